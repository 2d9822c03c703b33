//! `ec2.stop-instances`

use std::collections::{HashMap, HashSet};

use aws_sdk_ec2::Client;
use aws_sdk_ec2::types::{DeviceType, Instance, SpotInstanceType};
use futures::future::try_join_all;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::time::{Duration, sleep};

use super::{FILTER_VALUES, Flag, LOOK_EVERY, filter, spot_requests};
use crate::actions::field::timestamp;
use crate::engine::action::{Action, Ctx, Decision, Found, Item, LookBefore, Proposal, View};
use crate::model::{ActionError, Effect, ErrorKind, Finding, Platform, Resource, ResourceId, Tier, Undo, Verdict};

/// How long a rollback waits for a machine that is still stopping.
const STOPPED_WITHIN: Duration = Duration::from_mins(10);
/// How long a machine that is being launched may take until it can be stopped.
const RUNNING_WITHIN: Duration = Duration::from_mins(2);

/// In an effect: stop protection that the survey had not seen was cleared.
const CLEARED: &str = "stop_protection_cleared";

/// Stops instances.
pub struct StopInstances;

/// The action has no parameters.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {}

/// An instance before it is stopped.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Prior {
    /// `running`, …
    pub state: String,
    /// `m5.24xlarge`.
    pub instance_type: String,
    /// Whether `disableApiStop` is on. Looked up by the survey, and only while the instance runs.
    pub stop_protection: bool,
    /// Why AWS cannot stop it, if it cannot.
    pub unstoppable: Option<String>,
    /// What it costs depends on this.
    #[serde(default)]
    pub platform: Platform,
    /// Its last start, from which on it costs: a rollback loses it.
    #[serde(default)]
    pub launched: Option<Timestamp>,
    /// When its first network interface was attached: its launch, which no restart moves.
    #[serde(default)]
    pub attached: Option<Timestamp>,
}

impl Action for StopInstances {
    type Params = Params;
    type Prior = Prior;

    const NAME: &'static str = "ec2.stop-instances";
    const TIER: Tier = Tier::Disruptive;
    const KINDS: &'static [&'static str] = &["ec2.instance"];
    const TITLE: &'static str = "Stop instances";
    const DESCRIPTION: &'static str = "Stops instances in batches; stop protection that it finds is cleared first. A stop \
        that AWS has accepted counts as pending until the machine is seen stopped. One-time Spot instances, Spot \
        instances of a fleet and instances with an instance-store root cannot be stopped, only terminated: the plan names \
        them. An instance of an Auto Scaling group is replaced when it stops: suspend the group first.\n\n\
        AWS pages: *Stop and start Amazon EC2 instances*, *Enable stop protection*, *Manage your Spot Instances*.";
    const UNDO: &'static str = "Starts what was running, and sets stop protection again. Lost: memory, instance-store data, \
        an automatically assigned public IPv4 address.";
    const PERMISSIONS: &'static [&'static str] = &[
        "ec2:DescribeInstances",
        "ec2:DescribeInstanceAttribute",
        "ec2:DescribeSpotInstanceRequests",
        "ec2:ModifyInstanceAttribute",
        "ec2:StopInstances",
    ];
    const UNDO_PERMISSIONS: &'static [&'static str] = &["ec2:StartInstances"];
    const EXAMPLE: &'static str = "{ id: stop, uses: ec2.stop-instances, on: rogue, at_most: 500 }";
    const BATCH: usize = 50;
    const LOOK_BEFORE: LookBefore = LookBefore::Ahead;

    async fn discover(&self, cx: &Ctx, _: &Params, members: &[Resource]) -> Result<Vec<Found<Prior>>, ActionError> {
        let client = super::client(cx);
        // The survey knows already who runs, so that both are asked at once; what it does not know is asked afterwards.
        let listed: Vec<&str> = members.iter().filter(|member| ran(member)).map(|member| member.id.as_str()).collect();
        let (instances, mut protected) =
            super::both(super::instances(&client, members), protected(&client, listed.iter().copied())).await?;
        let running = instances.iter().filter(|instance| runs(&super::state(instance)) && !super::is_spot(instance));
        let others = running.map(super::id).filter(|id| !listed.contains(id));
        let (more, persistent) =
            super::both(self::protected(&client, others), persistent_spot_requests(&client, &instances)).await?;
        protected.extend(more);
        let found =
            |instance| found(instance, protected.contains(super::id(instance)), unstoppable(instance, &persistent));
        Ok(instances.iter().filter_map(found).collect())
    }

    /// Only the state can have changed in a way that matters: whether AWS can stop an instance at all is settled when it is
    /// launched, and stop protection that was set since shows when the stop is refused.
    async fn look_again(
        &self,
        cx: &Ctx,
        _: &Params,
        members: &[Resource],
        approved: &[Item<Prior>],
    ) -> Result<Vec<Found<Prior>>, ActionError> {
        let approved: HashMap<&str, &Prior> =
            approved.iter().map(|item| (item.resource.as_str(), &item.prior)).collect();
        let instances = super::instances(&super::client(cx), members).await?;
        let found = |instance| {
            let before = approved.get(super::id(instance))?;
            found(instance, before.stop_protection, before.unstoppable.clone())
        };
        Ok(instances.iter().filter_map(found).collect())
    }

    fn plan(&self, _: &View, _: &Params, found: &Found<Prior>) -> Decision {
        let Prior { state, instance_type, stop_protection, unstoppable, .. } = &found.prior;
        match state.as_str() {
            "stopped" | "stopping" => return Decision::Already,
            "running" | "pending" => {}
            other => return Decision::Skip(format!("it is {other}: nothing is left to stop")),
        }
        if let Some(why) = unstoppable {
            return Decision::Skip(why.clone());
        }
        let undo = Undo::by("start it again")
            .losing("the memory")
            .losing("instance-store data")
            .losing("an automatically assigned public IPv4 address")
            .losing("the launch time");
        let proposal = Proposal::new(format!("stop {} ({instance_type})", found.resource), state, "stopped", undo);
        Decision::Change(if *stop_protection {
            proposal.noting("its stop protection is cleared first")
        } else {
            proposal
        })
    }

    fn drift(&self, approved: &Prior, now: &Prior) -> Option<String> {
        let gone = super::is_terminated(&now.state) && !super::is_terminated(&approved.state);
        gone.then(|| format!("it is {}", now.state))
    }

    async fn preflight(&self, cx: &Ctx, _: &Params, items: &[Item<Prior>]) -> Vec<Finding> {
        let Some(item) = items.first() else { return Vec::new() };
        let client = super::client(cx);
        let answer = client.stop_instances().instance_ids(item.resource.as_str()).dry_run(true).send().await;
        super::asked(cx, "ec2:StopInstances", answer).into_iter().collect()
    }

    async fn apply(&self, cx: &Ctx, _: &Params, items: &[Item<Prior>]) -> Result<Vec<Effect>, ActionError> {
        let client = super::client(cx);
        // Those whose protection is in the way do not hold up the others.
        let (protected, open): (Vec<_>, Vec<_>) = items.iter().partition(|item| item.prior.stop_protection);
        let unprotected = async {
            let cleared =
                protected.iter().map(|item| super::set_flag(&client, item.resource.as_str(), Flag::Stop, false));
            try_join_all(cleared).await?;
            stop(&client, &protected).await
        };
        let (cleared, _) = super::both(stop(&client, &open), unprotected).await?;
        let effect = |item: &Item<Prior>| match &cleared {
            Some(id) if *id == item.resource => json!({ CLEARED: true }),
            _ => Value::Null,
        };
        Ok(items.iter().map(effect).collect())
    }

    fn verify(&self, _: &View, _: &Params, found: &Found<Prior>) -> Verdict {
        match found.prior.state.as_str() {
            "stopped" | "terminated" => Verdict::Proven,
            state @ ("stopping" | "shutting-down") => Verdict::Pending { why: format!("it is {state}") },
            state => Verdict::Unproven { why: format!("it is {state}") },
        }
    }

    fn restored(&self, prior: &Prior, now: &Prior) -> Verdict {
        match now.state.as_str() {
            state if state == prior.state => Verdict::Proven,
            "running" if runs(&prior.state) => Verdict::Proven,
            state if super::is_terminated(state) => Verdict::Unproven { why: format!("it is {state}") },
            state => Verdict::Pending { why: format!("it is {state}") },
        }
    }

    async fn undo(&self, cx: &Ctx, _: &Params, item: &Item<Prior>, effect: &Effect) -> Result<(), ActionError> {
        let client = super::client(cx);
        let id = item.resource.as_str();
        if runs(&item.prior.state) {
            start(&client, id).await?;
        }
        if item.prior.stop_protection || effect.get(CLEARED).is_some() {
            super::unless_gone(super::set_flag(&client, id, Flag::Stop, true).await)?;
        }
        Ok(())
    }
}

/// Whether a member ran on demand when its set was listed.
fn ran(member: &Resource) -> bool {
    let field = |name| member.fields.get(name).and_then(Value::as_str);
    field("state").is_some_and(runs) && field("lifecycle") == Some("")
}

fn runs(state: &str) -> bool {
    matches!(state, "running" | "pending")
}

fn found(instance: &Instance, stop_protection: bool, unstoppable: Option<String>) -> Option<Found<Prior>> {
    let resource = ResourceId::new(super::id(instance)).ok()?;
    let prior = Prior {
        state: super::state(instance),
        instance_type: instance.instance_type().map_or("", |kind| kind.as_str()).to_owned(),
        stop_protection,
        unstoppable,
        platform: if instance.platform().is_some() { Platform::Windows } else { Platform::Linux },
        launched: instance.launch_time().and_then(timestamp),
        attached: first_attached(instance),
    };
    Some(Found { member: resource.clone(), resource, prior })
}

/// When the first network interface was attached.
fn first_attached(instance: &Instance) -> Option<Timestamp> {
    let attachments = instance.network_interfaces().iter().filter_map(|interface| interface.attachment());
    let first = attachments.into_iter().find(|attachment| attachment.device_index() == Some(0))?;
    first.attach_time().and_then(timestamp)
}

/// Stops instances. One that AWS refuses to stop spoils the whole request; that error lets the engine single it out. When it
/// stands alone, a machine that was launched just now is waited for, and stop protection that was set since the survey is
/// cleared. Returns the instance whose protection was.
async fn stop(client: &Client, items: &[&Item<Prior>]) -> Result<Option<ResourceId>, ActionError> {
    let ids: Vec<String> = items.iter().map(|item| item.resource.to_string()).collect();
    let alone = items.first().filter(|_| items.len() == 1).map(|item| &item.resource);
    let (mut cleared, mut waited) = (None, Duration::ZERO);
    while !ids.is_empty() {
        let answer = client.stop_instances().set_instance_ids(Some(ids.clone())).send().await;
        match (answer.map_err(ActionError::from), alone) {
            (Err(error), Some(_)) if error.is("IncorrectInstanceState") && waited < RUNNING_WITHIN => {
                sleep(LOOK_EVERY).await;
                waited += LOOK_EVERY;
            }
            (Err(error), Some(id)) if error.is("OperationNotPermitted") && cleared.is_none() => {
                super::set_flag(client, id.as_str(), Flag::Stop, false).await?;
                cleared = Some(id.clone());
            }
            (Err(error), _) => return Err(error),
            (Ok(_), _) => break,
        }
    }
    Ok(cleared)
}

/// Starts an instance, when it has stopped.
pub(super) async fn start(client: &Client, id: &str) -> Result<(), ActionError> {
    let mut waited = Duration::ZERO;
    loop {
        let instances = super::described(client, Some(filter("instance-id", [id]))).await?;
        let state = instances.first().map(super::state).unwrap_or_default();
        match state.as_str() {
            "running" | "pending" => return Ok(()),
            "stopped" => break,
            "stopping" if waited < STOPPED_WITHIN => {
                sleep(LOOK_EVERY).await;
                waited += LOOK_EVERY;
            }
            "stopping" => {
                let message = format!("{id} is still stopping after {} s: start it by hand", waited.as_secs());
                return Err(ActionError::new(ErrorKind::WrongState, message));
            }
            _ => {
                let message = format!("{id} cannot be started again; its snapshots are what is left");
                return Err(ActionError::new(ErrorKind::NotFound, message));
            }
        }
    }
    client.start_instances().instance_ids(id).send().await?;
    Ok(())
}

/// Which of these have stop protection.
async fn protected<'a>(
    client: &Client,
    instances: impl Iterator<Item = &'a str>,
) -> Result<HashSet<String>, ActionError> {
    let flags = instances
        .map(|id| async move { Ok::<_, ActionError>((id.to_owned(), super::flag(client, id, Flag::Stop).await?)) });
    let flags = try_join_all(flags).await?;
    Ok(flags.into_iter().filter(|(_, flag)| *flag == Some(true)).map(|(id, _)| id).collect())
}

/// For every Spot request of these instances, whether it is persistent and stands alone.
async fn persistent_spot_requests(
    client: &Client,
    instances: &[Instance],
) -> Result<HashMap<String, bool>, ActionError> {
    let requests: Vec<&str> = instances.iter().filter_map(Instance::spot_instance_request_id).collect();
    let mut persistent = HashMap::new();
    for ids in requests.chunks(FILTER_VALUES) {
        let ids = filter("spot-instance-request-id", ids.iter().copied());
        for request in spot_requests::described(client, Some(ids)).await? {
            let alone = request.launch_group().is_none() && request.availability_zone_group().is_none();
            let in_fleet = super::tags(request.tags()).contains_key("aws:ec2spot:fleet-request-id");
            let kind = request.r#type() == Some(&SpotInstanceType::Persistent);
            persistent.extend(request.spot_instance_request_id.map(|id| (id, kind && alone && !in_fleet)));
        }
    }
    Ok(persistent)
}

fn unstoppable(instance: &Instance, persistent: &HashMap<String, bool>) -> Option<String> {
    if instance.root_device_type() == Some(&DeviceType::InstanceStore) {
        return Some("its root is an instance store: it cannot be stopped, only isolated or terminated".to_owned());
    }
    let request = instance.spot_instance_request_id().filter(|_| super::is_spot(instance))?;
    match persistent.get(request) {
        Some(true) => None,
        _ => Some(
            "a Spot instance whose request is one-time or part of a group cannot be stopped, only isolated or terminated"
                .to_owned(),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::actions::tests::view;

    fn found(state: &str) -> Found<Prior> {
        let id = ResourceId::new("i-1").unwrap();
        let prior = Prior {
            state: state.into(),
            instance_type: "m5.24xlarge".into(),
            stop_protection: false,
            unstoppable: None,
            platform: Platform::Linux,
            launched: None,
            attached: None,
        };
        Found { member: id.clone(), resource: id, prior }
    }

    fn plan(found: &Found<Prior>) -> Decision {
        StopInstances.plan(&view(), &Params {}, found)
    }

    #[test]
    fn what_runs_is_stopped_and_what_is_stopped_stays() {
        assert!(matches!(plan(&found("running")), Decision::Change(_)));
        assert_eq!(plan(&found("stopping")), Decision::Already);
        assert!(matches!(plan(&found("terminated")), Decision::Skip(_)));
    }

    #[test]
    fn stop_protection_is_said_and_the_unstoppable_named() {
        let mut protected = found("running");
        protected.prior.stop_protection = true;
        let Decision::Change(proposal) = plan(&protected) else { panic!("no change") };
        assert_eq!(proposal.notes, ["its stop protection is cleared first"]);
        protected.prior.unstoppable = Some("one-time".into());
        assert_eq!(plan(&protected), Decision::Skip("one-time".into()));
    }

    #[test]
    fn only_a_termination_voids_the_approval() {
        let (running, stopped, gone) = (found("running").prior, found("stopped").prior, found("terminated").prior);
        assert_eq!(StopInstances.drift(&running, &stopped), None);
        assert!(StopInstances.drift(&running, &gone).is_some());
    }

    #[test]
    fn stopping_is_not_yet_stopped() {
        let verdict = |state| StopInstances.verify(&view(), &Params {}, &found(state));
        assert_eq!(verdict("stopped"), Verdict::Proven);
        assert!(matches!(verdict("stopping"), Verdict::Pending { .. }));
        assert!(matches!(verdict("running"), Verdict::Unproven { .. }));
    }
}
