//! AWS Organizations.

use serde::Serialize;

use super::call::{Call, Permission, Refusal, Reply};
use super::world::World;

/// The state.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Organization {
    pub id: String,
}

impl Organization {
    pub fn is_management(&self, _: &crate::model::AccountId) -> bool {
        false
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
