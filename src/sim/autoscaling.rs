//! Amazon EC2 Auto Scaling: groups, which launch instances again unless their processes are suspended.
//!
//! For scenarios: put a [`group::Group`] into [`AutoScaling::groups`], or call CreateAutoScalingGroup.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;

use super::call::{Call, Permission, Refusal, Reply};
use super::ec2::{self, Ec2};
use super::world::World;

mod describe;
pub mod group;
pub mod operations;

/// What an account has in one region.
#[derive(Debug, Clone, Default, Serialize)]
pub struct AutoScaling {
    /// Groups, by name.
    pub groups: BTreeMap<String, group::Group>,
    /// What they did, the oldest first.
    pub activities: Vec<group::Activity>,
}

impl AutoScaling {
    /// Lets time do its work: every group looks after its instances.
    pub fn settle(&mut self, ec2: &mut Ec2, now: Timestamp) {
        for group in self.groups.values_mut() {
            group.settle(ec2, &mut self.activities, now);
        }
    }
}

/// What the call needs to be allowed.
pub fn permissions(_: &World, call: &Call) -> Result<Vec<Permission>, Refusal> {
    let action = format!("autoscaling:{}", call.operation);
    match call.operation.as_str() {
        operation if operation.starts_with("Describe") => {
            operations::known(call).map(|()| vec![Permission::new(action, "*")])
        }
        _ => {
            operations::known(call)?;
            let name = operations::group_name(call)?;
            let (region, account) = (&call.region, &call.account);
            let arn = format!("arn:aws:autoscaling:{region}:{account}:autoScalingGroup:*:autoScalingGroupName/{name}");
            let mut needed = vec![Permission::new(action, arn)];
            if operations::names_a_template(call) {
                // Whoever makes a group of a launch template must be allowed to launch from it.
                let instance = format!("arn:aws:ec2:{region}:{account}:instance/*");
                needed.push(Permission::new("ec2:RunInstances", instance).with("ec2:Region", region.as_str()));
            }
            Ok(needed)
        }
    }
}

/// Carries the call out.
pub fn handle(world: &mut World, call: &Call) -> Reply {
    ec2::prepare(world, call);
    let state = world.region_mut(&call.account, &call.region);
    let reply = operations::carry_out(&mut state.autoscaling, &mut state.ec2, call);
    state.autoscaling.settle(&mut state.ec2, call.now);
    reply
}
