//! AWS Identity and Access Management.

use serde::Serialize;

use super::call::{Call, Permission, Refusal, Reply};
use super::world::World;

/// The state.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Iam {
    pub access_keys: std::collections::BTreeMap<crate::model::AccessKeyId, AccessKey>,
    pub roles: std::collections::BTreeMap<String, Role>,
}

#[derive(Debug, Clone, Serialize)]
pub struct Role {
    pub arn: String,
    pub id: String,
    pub trust_policy: String,
    pub max_session: jiff::SignedDuration,
}

#[derive(Debug, Clone, Serialize)]
pub struct AccessKey {
    pub user: Option<String>,
    #[serde(skip)]
    pub secret: String,
    pub status: String,
}

impl Iam {
    pub fn principal(&self, _: &str, _: &crate::model::AccountId, _: Option<&str>) -> Option<super::call::Principal> {
        None
    }
}

/// What the call needs to be allowed.
pub fn permissions(_world: &World, call: &Call) -> Result<Vec<Permission>, Refusal> {
    Err(call.unknown())
}

/// Carries the call out.
pub fn handle(_world: &mut World, call: &Call) -> Reply {
    Err(call.unknown())
}
