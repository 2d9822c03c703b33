//! A group, and how it looks after its instances.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::Serialize;

use crate::sim::ec2::Ec2;
use crate::sim::ec2::instances::State;
use crate::sim::ec2::launch::LaunchSpec;
use crate::sim::ec2::launch_templates::TemplateReference;

/// The processes that can be suspended.
pub const PROCESSES: [&str; 9] = [
    "AZRebalance",
    "AddToLoadBalancer",
    "AlarmNotification",
    "HealthCheck",
    "InstanceRefresh",
    "Launch",
    "ReplaceUnhealthy",
    "ScheduledActions",
    "Terminate",
];

/// A group.
#[derive(Debug, Clone, Serialize)]
pub struct Group {
    /// Its name.
    pub name: String,
    /// Its ARN.
    pub arn: String,
    /// Fewest instances.
    pub min: u32,
    /// Most instances.
    pub max: u32,
    /// How many there should be.
    pub desired: u32,
    /// Since when.
    pub created: Timestamp,
    /// What it launches.
    pub template: TemplateReference,
    /// Where it launches: subnet ids.
    pub subnets: Vec<String>,
    /// Its instances, with their lifecycle state: `InService`, `Standby`.
    pub members: BTreeMap<String, String>,
    /// What it must not do.
    pub suspended: BTreeSet<String>,
    /// Which deletions are refused: `none`, `prevent-force-deletion`, `prevent-all-deletion`.
    pub deletion_protection: String,
    /// Tags: value, and whether instances get it too.
    pub tags: BTreeMap<String, (String, bool)>,
}

/// Something that a group did.
#[derive(Debug, Clone, Serialize)]
pub struct Activity {
    /// A UUID.
    pub id: String,
    /// The group.
    pub group: String,
    /// The group's ARN.
    pub arn: String,
    /// In words.
    pub description: String,
    /// Why.
    pub cause: String,
    /// When.
    pub at: Timestamp,
}

impl Group {
    fn runs(&self, process: &str) -> bool {
        !self.suspended.contains(process)
    }

    /// Whether what it launched is still on its way up, or what it ended on its way down.
    pub fn is_busy(&self, ec2: &Ec2, activities: &[Activity]) -> bool {
        let under_way = |activity: &Activity| {
            let id = activity.description.rsplit(' ').next().unwrap_or_default();
            let state = ec2.instances.get(id).map(|instance| instance.state.name());
            matches!(state, Some("pending" | "shutting-down"))
        };
        activities.iter().filter(|activity| activity.arn == self.arn).any(under_way)
    }

    /// How many members are in service.
    pub fn in_service(&self) -> usize {
        self.members.values().filter(|state| *state == "InService").count()
    }

    /// Ends members that are not running any more, and launches and ends others until as many as desired are in service.
    pub fn settle(&mut self, ec2: &mut Ec2, activities: &mut Vec<Activity>, now: Timestamp) {
        let in_service: Vec<String> =
            self.members.iter().filter(|(_, state)| *state == "InService").map(|(id, _)| id.clone()).collect();
        for id in in_service {
            let gone = ec2.instances.get(&id).is_none_or(|instance| instance.state.is_ending());
            let stopped = ec2
                .instances
                .get(&id)
                .is_some_and(|instance| matches!(instance.state, State::Stopped | State::Stopping { .. }));
            if (gone || stopped) && self.runs("HealthCheck") && self.runs("ReplaceUnhealthy") && self.runs("Terminate")
            {
                self.end(
                    &id,
                    ec2,
                    activities,
                    now,
                    "an instance was taken out of service in response to an EC2 health check",
                );
            }
        }
        while self.in_service() > self.desired as usize && self.runs("Terminate") {
            let Some(id) = self.members.iter().find(|(_, state)| *state == "InService").map(|(id, _)| id.clone())
            else {
                break;
            };
            self.end(&id, ec2, activities, now, "the group shrinks to its desired capacity");
        }
        while self.in_service() < self.desired as usize && self.runs("Launch") {
            if !self.launch(ec2, activities, now) {
                break;
            }
        }
    }

    fn end(&mut self, id: &str, ec2: &mut Ec2, activities: &mut Vec<Activity>, now: Timestamp, cause: &str) {
        self.members.remove(id);
        ec2.terminate_instance(id, now, "Client.UserInitiatedShutdown", "User initiated shutdown");
        activities.push(self.activity(ec2, format!("Terminating EC2 instance: {id}"), cause, now));
    }

    /// Whether it could.
    fn launch(&mut self, ec2: &mut Ec2, activities: &mut Vec<Activity>, now: Timestamp) -> bool {
        let turn = self.members.len().checked_rem(self.subnets.len()).unwrap_or_default();
        let spec = ec2.template_spec(&self.template, now).map(|spec| {
            let mut tags = spec.tags.clone();
            tags.extend(
                self.tags
                    .iter()
                    .filter(|(_, (_, propagate))| *propagate)
                    .map(|(key, (value, _))| (key.clone(), value.clone())),
            );
            tags.insert("aws:autoscaling:groupName".to_owned(), self.name.clone());
            let subnet_id = self.subnets.get(turn).cloned().or(spec.subnet_id.clone());
            LaunchSpec { tags, subnet_id, requester_id: Some("940372691376".to_owned()), ..spec }
        });
        match spec.and_then(|spec| ec2.launch(&spec)) {
            Ok(id) => {
                activities.push(self.activity(
                    ec2,
                    format!("Launching a new EC2 instance: {id}"),
                    "the group grows to its desired capacity",
                    now,
                ));
                self.members.insert(id, "InService".to_owned());
                true
            }
            Err(refusal) => {
                let failed = format!("Launching a new EC2 instance. Status Reason: {}", refusal.message);
                if activities.last().is_none_or(|last| last.description != failed) {
                    activities.push(self.activity(ec2, failed, "the group grows to its desired capacity", now));
                }
                false
            }
        }
    }

    /// Something that the group does now.
    pub fn activity(&self, ec2: &mut Ec2, description: String, cause: &str, at: Timestamp) -> Activity {
        let id = ec2.ids.next("");
        Activity {
            id,
            group: self.name.clone(),
            arn: self.arn.clone(),
            description,
            cause: format!("At {at} {cause}."),
            at,
        }
    }
}
