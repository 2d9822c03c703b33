//! What a manifest says of each thing that was asked.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::model::{AccountId, Digest, ErrorKind, Region, RunId, Target};

/// The version of the format.
pub const VERSION: u64 = 1;

/// The first line of a manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// The format's version.
    pub quell_capture: u64,
    /// The capture.
    pub id: RunId,
    /// When it began, by quell's clock.
    pub began: Timestamp,
    /// The ARN of who captured.
    pub by: String,
    /// The version of quell.
    pub quell: String,
    /// The accounts that were to be captured.
    pub accounts: Vec<AccountId>,
}

/// A line of a manifest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "entry", rename_all = "lowercase")]
pub enum Entry {
    /// AWS answered.
    Item(Item),
    /// Something could not be captured.
    Gap(Gap),
    /// AWS answered that there is no such thing.
    Absent(Gap),
    /// Something that takes several questions was captured to its end; a capture that is taken up does not ask again.
    Done {
        /// What: `cloudtrail us-east-1 writes 2026-03-01`.
        what: String,
    },
    /// The capture came to its end.
    Ended(Ended),
}

/// An answer of AWS.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Item {
    /// `ec2:DescribeInstances`.
    pub api: String,
    /// What was asked for, page tokens included.
    pub parameters: Map<String, Value>,
    /// The account.
    pub account: AccountId,
    /// The region that answered.
    pub region: Region,
    /// AWS's id of the request.
    pub request: Option<String>,
    /// When AWS answered, by its own clock (the header `Date`, in whole seconds).
    pub at: Timestamp,
    /// The SHA-256 of the answer as it is kept.
    pub sha256: Digest,
    /// Its size, in bytes.
    pub bytes: u64,
}

/// A question without an answer: something that could not be captured, or that is not there.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Gap {
    /// What was asked for: an operation, or in words.
    pub what: String,
    /// The account.
    pub account: AccountId,
    /// The region, or global.
    pub region: Region,
    /// The sort of error.
    pub kind: ErrorKind,
    /// What AWS said.
    pub why: String,
    /// AWS's id of the request, to ask AWS Support about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<String>,
}

/// How a capture ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    /// When, by quell's clock.
    pub at: Timestamp,
    /// How many answers there are.
    pub items: u64,
    /// How many things could not be captured.
    pub gaps: u64,
}

impl Item {
    /// Where the answer came from.
    pub fn target(&self) -> Target {
        Target::new(self.account.clone(), self.region.clone())
    }

    /// A text among the parameters.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.get(name)?.as_str()
    }
}
