//! Auto Scaling: what its actions and sources share.

pub mod groups;
pub mod suspend;

use std::collections::BTreeSet;

use aws_sdk_autoscaling::Client;
use aws_sdk_autoscaling::config::Builder;
use aws_sdk_autoscaling::types::{AutoScalingGroup, LifecycleState};
use futures::future::try_join_all;
use serde::{Deserialize, Serialize};

use crate::cloud::retry;
use crate::engine::action::Ctx;
use crate::model::ActionError;

/// Everything that a group does by itself and that can be suspended.
const PROCESSES: [&str; 9] = [
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
/// How many groups one call names.
const NAMES: usize = 50;
/// The largest page.
const PAGE: i32 = 100;

/// The client of a lane.
pub(super) fn client(cx: &Ctx) -> Client {
    let config = Builder::from(&cx.sdk).retry_partition(retry::partition(&cx.target)).retry_classifier(retry::WhenBusy);
    Client::from_conf(config.build())
}

/// A group and what it may not do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Group {
    /// Its name.
    pub name: String,
    /// Its ARN, which tells it from a later group of the same name.
    pub arn: String,
    /// The processes that are suspended.
    pub suspended: BTreeSet<String>,
}

impl Group {
    /// The group as AWS shows it.
    pub(super) fn of(group: &AutoScalingGroup) -> Self {
        let suspended = group.suspended_processes().iter().filter_map(|process| process.process_name());
        Self {
            name: name(group).to_owned(),
            arn: group.auto_scaling_group_arn().unwrap_or_default().to_owned(),
            suspended: suspended.map(str::to_owned).collect(),
        }
    }

    /// The processes that run.
    pub(super) fn running(&self) -> Vec<String> {
        PROCESSES.iter().filter(|process| !self.suspended.contains(**process)).map(|name| (*name).to_owned()).collect()
    }

    /// Suspends what runs, and nothing else. Returns what that was.
    pub(super) async fn suspend(&self, client: &Client) -> Result<Vec<String>, ActionError> {
        let running = self.running();
        if !running.is_empty() {
            let request = client.suspend_processes().auto_scaling_group_name(&self.name);
            request.set_scaling_processes(Some(running.clone())).send().await?;
        }
        Ok(running)
    }

    /// Resumes processes, when every instance in service is up: a group that finds one stopped terminates it. A group that is
    /// gone, or another of the same name, is left alone.
    pub(super) async fn resume(&self, cx: &Ctx, processes: &[String]) -> Result<(), ActionError> {
        let client = client(cx);
        let now = described(&client, [self.name.as_str()]).await?;
        let Some(now) = now.first().filter(|now| Self::of(now).arn == self.arn) else { return Ok(()) };
        if processes.is_empty() {
            return Ok(());
        }
        let in_service = members(now, &LifecycleState::InService);
        super::ec2::until_up(cx, &in_service, &format!("resuming {} would terminate it", self.name)).await?;
        let request = client.resume_processes().auto_scaling_group_name(&self.name);
        request.set_scaling_processes(Some(processes.to_vec())).send().await?;
        Ok(())
    }
}

/// A group's name; AWS always gives one.
fn name(group: &AutoScalingGroup) -> &str {
    group.auto_scaling_group_name().unwrap_or_default()
}

/// The instances of a group in a lifecycle state.
fn members(group: &AutoScalingGroup, state: &LifecycleState) -> Vec<String> {
    let members = group.instances().iter().filter(|member| member.lifecycle_state() == Some(state));
    members.filter_map(|member| member.instance_id()).map(str::to_owned).collect()
}

/// The groups with these names; one that is gone is passed over.
pub(super) async fn described(
    client: &Client,
    names: impl IntoIterator<Item = &str>,
) -> Result<Vec<AutoScalingGroup>, ActionError> {
    let names: BTreeSet<String> = names.into_iter().map(str::to_owned).collect();
    let names: Vec<String> = names.into_iter().collect();
    let portions = names.chunks(NAMES).map(|names| pages(client, Some(names.to_vec())));
    Ok(try_join_all(portions).await?.into_iter().flatten().collect())
}

/// The groups with these names, or all.
async fn pages(client: &Client, names: Option<Vec<String>>) -> Result<Vec<AutoScalingGroup>, ActionError> {
    let request = client.describe_auto_scaling_groups().set_auto_scaling_group_names(names).max_records(PAGE);
    let mut items = request.into_paginator().items().send();
    let mut groups = Vec::new();
    while let Some(group) = items.next().await {
        groups.push(group?);
    }
    Ok(groups)
}
