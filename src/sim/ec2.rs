//! Amazon EC2.

use serde::Serialize;

use super::call::{Call, Permission, Refusal, Reply};
use super::world::World;

/// The state.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Ec2 {}
impl Ec2 {
    pub fn settle(&mut self, _: jiff::Timestamp) {}
}

/// What the call needs to be allowed.
pub fn permissions(_world: &World, call: &Call) -> Result<Vec<Permission>, Refusal> {
    Err(call.unknown())
}

/// Carries the call out.
pub fn handle(_world: &mut World, call: &Call) -> Reply {
    Err(call.unknown())
}
