use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{AccountId, Region};

/// An account and a region: the place of a resource, and the lane in which its changes run.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Target {
    /// The account.
    pub account: AccountId,
    /// The region, or [`Region::global`].
    pub region: Region,
}

impl Target {
    /// The target of `account` in `region`.
    pub fn new(account: AccountId, region: Region) -> Self {
        Self { account, region }
    }

    /// The lane of the account's services without a region.
    pub fn global(account: AccountId) -> Self {
        Self::new(account, Region::global())
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.account, self.region)
    }
}
