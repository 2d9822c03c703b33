//! `autoscaling.suspend`

use std::collections::BTreeSet;

use aws_sdk_autoscaling::Client;
use aws_sdk_autoscaling::types::{AutoScalingGroup, LifecycleState};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::Group;
use crate::engine::action::{Action, Ctx, Decision, Found, Item, Proposal, View};
use crate::model::{ActionError, Effect, Resource, ResourceId, Tier, Undo, Verdict};

/// How many instances one call moves.
const MOVED_AT_ONCE: usize = 20;

/// Makes Auto Scaling groups stand still.
pub struct Suspend;

/// How far the group is taken out of play.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// What becomes of the instances in service.
    #[serde(default)]
    pub instances: Instances,
}

/// What becomes of the instances of a group that stands still.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Instances {
    /// They stay in service.
    #[default]
    Keep,
    /// They stay in the group and serve nothing: out of its load balancers, and out of its health checks.
    Standby,
    /// They leave the group.
    Detach,
}

impl Instances {
    fn words(self) -> &'static str {
        match self {
            Self::Keep => "suspended",
            Self::Standby => "suspended, its instances in standby",
            Self::Detach => "suspended, its instances detached",
        }
    }
}

/// A group before it stands still.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Prior {
    /// What it may not do.
    pub group: Group,
    /// Its smallest size.
    pub min: i32,
    /// Its wished size.
    pub desired: i32,
    /// The instances in service, where they are to be moved.
    pub in_service: BTreeSet<String>,
}

/// What was done to a group.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Done {
    processes: Vec<String>,
    moved: Vec<String>,
}

impl Action for Suspend {
    type Params = Params;
    type Prior = Prior;

    const NAME: &'static str = "autoscaling.suspend";
    const TIER: Tier = Tier::Disruptive;
    const KINDS: &'static [&'static str] = &["autoscaling.group"];
    const TITLE: &'static str = "Make Auto Scaling groups stand still";
    const DESCRIPTION: &'static str = "Suspends every process of a group that is not suspended yet: it launches, replaces, \
        terminates and rebalances nothing any more, whatever alarms and schedules say. A group that is not suspended \
        terminates an instance that was stopped and launches another, so this comes before the stop. `instances: standby` \
        also takes its instances out of service, `detach` out of the group; both lower its smallest size to zero first.\n\n\
        AWS pages: *Suspend and resume Amazon EC2 Auto Scaling processes*, *Temporarily remove instances from your Auto \
        Scaling group*, *Detach or attach instances*.";
    const UNDO: &'static str = "Puts the instances back into service (those that run), sets the sizes back, and resumes \
        exactly the processes that it suspended, when no instance in service is stopped any more: a resumed group would \
        terminate it.";
    const PERMISSIONS: &'static [&'static str] = &[
        "autoscaling:DescribeAutoScalingGroups",
        "autoscaling:SuspendProcesses",
        "autoscaling:UpdateAutoScalingGroup",
        "autoscaling:EnterStandby",
        "autoscaling:DetachInstances",
    ];
    const UNDO_PERMISSIONS: &'static [&'static str] = &[
        "autoscaling:AttachInstances",
        "autoscaling:ExitStandby",
        "autoscaling:ResumeProcesses",
        "ec2:DescribeInstances",
    ];
    const EXAMPLE: &'static str = "{ id: groups, uses: autoscaling.suspend, on: groups, with: { instances: standby } }";

    async fn discover(
        &self,
        cx: &Ctx,
        params: &Params,
        members: &[Resource],
    ) -> Result<Vec<Found<Prior>>, ActionError> {
        let names = members.iter().map(|member| member.id.as_str());
        let groups = super::described(&super::client(cx), names).await?;
        Ok(groups.iter().filter_map(|group| found(group, params.instances)).collect())
    }

    fn plan(&self, _: &View, params: &Params, found: &Found<Prior>) -> Decision {
        let Prior { group, min, desired, in_service } = &found.prior;
        let running = group.running();
        if running.is_empty() && in_service.is_empty() {
            return Decision::Already;
        }
        let before = match running.len() {
            0 => format!("suspended, {} instances in service", in_service.len()),
            count if group.suspended.is_empty() => format!("all {count} processes run"),
            count => format!("{count} processes run"),
        };
        let undo = Undo::by("resume what was suspended here, and put its instances back");
        let summary = format!("suspend the Auto Scaling group {}", found.resource);
        let proposal = Proposal::new(summary, before, params.instances.words(), undo);
        Decision::Change(match params.instances {
            Instances::Keep => proposal,
            Instances::Standby | Instances::Detach => proposal.noting(format!(
                "its smallest size becomes 0 (now {min}), its wished size {}",
                desired - i32::try_from(in_service.len()).unwrap_or(*desired)
            )),
        })
    }

    fn drift(&self, approved: &Prior, now: &Prior) -> Option<String> {
        if approved.group.arn != now.group.arn {
            return Some("it is another group of the same name".to_owned());
        }
        let newcomer = now.in_service.difference(&approved.in_service).next();
        newcomer.map(|id| format!("{id} is in service by now, which was not approved"))
    }

    async fn apply(&self, cx: &Ctx, params: &Params, items: &[Item<Prior>]) -> Result<Vec<Effect>, ActionError> {
        let client = super::client(cx);
        let mut effects = Vec::with_capacity(items.len());
        for Item { prior, .. } in items {
            let name = prior.group.name.as_str();
            let processes = prior.group.suspend(&client).await?;
            let moved: Vec<String> = prior.in_service.iter().cloned().collect();
            // An earlier attempt may have moved some of them.
            let left = still_in_service(&client, name, &moved).await?;
            if !left.is_empty() {
                resize(&client, name, 0, None).await?;
            }
            for ids in left.chunks(MOVED_AT_ONCE) {
                // A repeat of a request whose answer was lost is refused for what the first one did.
                if let Err(error) = take_out(&client, name, params.instances, ids).await
                    && !still_in_service(&client, name, ids).await?.is_empty()
                {
                    return Err(error);
                }
            }
            effects.push(json!(Done { processes, moved }));
        }
        Ok(effects)
    }

    fn restored(&self, prior: &Prior, now: &Prior) -> Verdict {
        if prior.group.suspended != now.group.suspended {
            return Verdict::Unproven { why: "its suspended processes are not those from before".to_owned() };
        }
        if prior.in_service != now.in_service || (prior.min, prior.desired) != (now.min, now.desired) {
            return Verdict::Pending { why: "its instances are not back in service".to_owned() };
        }
        Verdict::Proven
    }

    async fn undo(&self, cx: &Ctx, params: &Params, item: &Item<Prior>, effect: &Effect) -> Result<(), ActionError> {
        let client = super::client(cx);
        let prior = &item.prior;
        let now = super::described(&client, [prior.group.name.as_str()]).await?;
        let Some(now) = now.first().filter(|now| Group::of(now).arn == prior.group.arn) else { return Ok(()) };
        let done: Option<Done> = serde_json::from_value(effect.clone()).ok();
        let done = done.unwrap_or_else(|| Done {
            processes: prior.group.running(),
            moved: prior.in_service.iter().cloned().collect(),
        });
        let back = outside(now, params.instances, &done.moved);
        crate::actions::ec2::until_up(cx, &back, "a stopped instance cannot go back into service").await?;
        for ids in back.chunks(MOVED_AT_ONCE) {
            if let Err(error) = put_back(&client, &prior.group.name, params.instances, ids).await {
                let now = super::described(&client, [prior.group.name.as_str()]).await?;
                if now.iter().any(|now| !outside(now, params.instances, ids).is_empty()) {
                    return Err(error);
                }
            }
        }
        if !done.moved.is_empty() {
            resize(&client, &prior.group.name, prior.min, Some(prior.desired)).await?;
        }
        prior.group.resume(cx, &done.processes).await
    }
}

fn found(group: &AutoScalingGroup, instances: Instances) -> Option<Found<Prior>> {
    let resource = ResourceId::new(super::name(group)).ok()?;
    let in_service = match instances {
        Instances::Keep => BTreeSet::new(),
        Instances::Standby | Instances::Detach => {
            super::members(group, &LifecycleState::InService).into_iter().collect()
        }
    };
    let prior = Prior {
        group: Group::of(group),
        min: group.min_size().unwrap_or_default(),
        desired: group.desired_capacity().unwrap_or_default(),
        in_service,
    };
    Some(Found { member: resource.clone(), resource, prior })
}

/// Those of `ids` that the group still has in service.
async fn still_in_service(client: &Client, name: &str, ids: &[String]) -> Result<Vec<String>, ActionError> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let groups = super::described(client, [name]).await?;
    let in_service: Vec<String> =
        groups.iter().flat_map(|group| super::members(group, &LifecycleState::InService)).collect();
    Ok(ids.iter().filter(|id| in_service.contains(id)).cloned().collect())
}

/// Those of `moved` that are still where they were moved to.
fn outside(group: &AutoScalingGroup, instances: Instances, moved: &[String]) -> Vec<String> {
    let standing_by = super::members(group, &LifecycleState::Standby);
    let is_member = |id: &String| group.instances().iter().any(|member| member.instance_id() == Some(id));
    let outside = moved.iter().filter(|id| match instances {
        Instances::Keep => false,
        Instances::Standby => standing_by.contains(id),
        Instances::Detach => !is_member(id),
    });
    outside.cloned().collect()
}

async fn take_out(client: &Client, group: &str, instances: Instances, ids: &[String]) -> Result<(), ActionError> {
    let ids = Some(ids.to_vec());
    match instances {
        Instances::Keep => {}
        Instances::Standby => {
            let request = client.enter_standby().auto_scaling_group_name(group).set_instance_ids(ids);
            request.should_decrement_desired_capacity(true).send().await?;
        }
        Instances::Detach => {
            let request = client.detach_instances().auto_scaling_group_name(group).set_instance_ids(ids);
            request.should_decrement_desired_capacity(true).send().await?;
        }
    }
    Ok(())
}

async fn put_back(client: &Client, group: &str, instances: Instances, ids: &[String]) -> Result<(), ActionError> {
    let ids = Some(ids.to_vec());
    match instances {
        Instances::Keep => {}
        Instances::Standby => {
            client.exit_standby().auto_scaling_group_name(group).set_instance_ids(ids).send().await?;
        }
        Instances::Detach => {
            client.attach_instances().auto_scaling_group_name(group).set_instance_ids(ids).send().await?;
        }
    }
    Ok(())
}

async fn resize(client: &Client, group: &str, min: i32, desired: Option<i32>) -> Result<(), ActionError> {
    let request = client.update_auto_scaling_group().auto_scaling_group_name(group).min_size(min);
    request.set_desired_capacity(desired).send().await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::actions::tests::view;

    fn found(suspended: &[&str], in_service: &[&str]) -> Found<Prior> {
        let resource = ResourceId::new("miners").unwrap();
        let group = Group {
            name: "miners".into(),
            arn: "arn:1".into(),
            suspended: suspended.iter().map(|name| (*name).to_owned()).collect(),
        };
        let in_service = in_service.iter().map(|id| (*id).to_owned()).collect();
        Found { member: resource.clone(), resource, prior: Prior { group, min: 2, desired: 3, in_service } }
    }

    #[test]
    fn exactly_what_runs_is_suspended() {
        let partly = found(&["Launch", "Terminate"], &[]);
        assert_eq!(partly.prior.group.running().len(), 7);
        assert!(!partly.prior.group.running().contains(&"Launch".to_owned()));
        let params = Params { instances: Instances::Keep };
        assert!(matches!(Suspend.plan(&view(), &params, &partly), Decision::Change(_)));
        assert_eq!(Suspend.plan(&view(), &params, &found(&super::super::PROCESSES, &[])), Decision::Already);
    }

    #[test]
    fn a_suspended_group_with_instances_in_service_is_still_to_be_emptied_and_says_its_sizes() {
        let params = Params { instances: Instances::Standby };
        let full = found(&super::super::PROCESSES, &["i-1", "i-2"]);
        let Decision::Change(proposal) = Suspend.plan(&view(), &params, &full) else { panic!("no change") };
        assert_eq!(proposal.notes, ["its smallest size becomes 0 (now 2), its wished size 1"]);
    }

    #[test]
    fn a_newcomer_or_a_namesake_voids_the_approval() {
        let approved = found(&[], &["i-1"]).prior;
        assert_eq!(Suspend.drift(&approved, &found(&["Launch"], &[]).prior), None);
        assert!(Suspend.drift(&approved, &found(&[], &["i-1", "i-2"]).prior).is_some());
        let mut namesake = approved.clone();
        namesake.group.arn = "arn:2".into();
        assert!(Suspend.drift(&approved, &namesake).is_some());
    }
}
