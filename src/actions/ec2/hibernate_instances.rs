//! `ec2.hibernate-instances`

use aws_sdk_ec2::Client;
use aws_sdk_ec2::types::{HibernationOptions, Instance};
use futures::future::try_join_all;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::time::{Duration, sleep};

use super::{Flag, LOOK_EVERY};
use crate::engine::action::{Action, Ctx, Decision, Found, Item, Proposal, View};
use crate::model::{ActionError, Effect, ErrorKind, Finding, Resource, ResourceId, Tier, Undo, Verdict};

/// How long it is waited for: writing hundreds of gigabytes takes its time, and a run that is resumed goes on from there.
const HIBERNATED_WITHIN: Duration = Duration::from_mins(30);
/// A machine can hibernate some two minutes after it was started.
const READY_WITHIN: Duration = Duration::from_mins(3);
/// The effect of a change that cleared stop protection.
const CLEARED: &str = "cleared_stop_protection";
/// The reason that AWS gives for the state of a machine that hibernated.
const HIBERNATED: &str = "Client.UserInitiatedHibernate";

/// Keeps the memory of machines, and stops them.
pub struct HibernateInstances;

/// Nothing to choose.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {}

/// What has to be known of a machine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Prior {
    /// `running`, …
    pub state: String,
    /// `m5.24xlarge`, …
    pub instance_type: String,
    /// Why it is in that state, as AWS says: a code, or nothing.
    pub reason: String,
    /// Whether hibernation was enabled when it was launched.
    pub can_hibernate: bool,
    /// Whether stop protection is on.
    pub stop_protection: bool,
}

impl Action for HibernateInstances {
    type Params = Params;
    type Prior = Prior;

    const NAME: &'static str = "ec2.hibernate-instances";
    const TIER: Tier = Tier::Disruptive;
    const KINDS: &'static [&'static str] = &["ec2.instance"];
    const TITLE: &'static str = "Hibernate machines, to keep their memory as evidence";
    const DESCRIPTION: &'static str = "Writes the memory of a machine to its root volume and stops it. A snapshot that is taken \
        *afterwards* holds the memory: let `ec2.snapshot-volumes` need this step. AWS can do it only where hibernation was \
        enabled when the machine was launched; the plan names the others, whose memory has to be captured by hand. When a \
        machine does not manage to hibernate AWS shuts it down all the same: quell sees it by the reason that AWS gives for \
        the state, the change fails as one whose memory is lost, and what needs the step is held for that machine. Write \
        `needs: [memory]` at the step that stops or terminates. Malicious code in the machine goes on until it is stopped.\n\n\
        AWS pages: *Hibernate your Amazon EC2 instance*, *StopInstances*, *StateReason*.";
    const UNDO: &'static str = "Starts what was running, which goes on from its memory, and sets stop protection again. Lost: instance-store data, an \
         automatically assigned public IPv4 address.";
    const PERMISSIONS: &'static [&'static str] =
        &["ec2:DescribeInstances", "ec2:DescribeInstanceAttribute", "ec2:ModifyInstanceAttribute", "ec2:StopInstances"];
    const UNDO_PERMISSIONS: &'static [&'static str] = &["ec2:StartInstances"];
    const EXAMPLE: &'static str = "{ id: memory, uses: ec2.hibernate-instances, on: rogue }";

    async fn discover(&self, cx: &Ctx, _: &Params, members: &[Resource]) -> Result<Vec<Found<Prior>>, ActionError> {
        let client = super::client(cx);
        let instances = super::instances(&client, members).await?;
        let found = instances.iter().map(|instance| found(&client, instance));
        Ok(try_join_all(found).await?.into_iter().flatten().collect())
    }

    fn plan(&self, _: &View, _: &Params, found: &Found<Prior>) -> Decision {
        let Prior { state, instance_type, reason, can_hibernate, stop_protection } = &found.prior;
        match state.as_str() {
            "stopped" | "stopping" if reason == HIBERNATED => return Decision::Already,
            "running" | "pending" => {}
            other => return Decision::Skip(format!("it is {other}: its memory is gone")),
        }
        if !can_hibernate {
            let why =
                "hibernation was not enabled when it was launched: capture its memory by hand, before it is stopped";
            return Decision::Skip(why.to_owned());
        }
        let undo = Undo::by("start it again, from its memory")
            .losing("instance-store data")
            .losing("an automatically assigned public IPv4 address")
            .losing("the launch time");
        let summary = format!("hibernate {} ({instance_type})", found.resource);
        let proposal = Proposal::new(summary, state, "stopped, its memory on its root volume", undo);
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
        let request = super::client(cx).stop_instances().instance_ids(item.resource.as_str()).hibernate(true);
        super::asked(cx, "ec2:StopInstances", request.dry_run(true).send().await).into_iter().collect()
    }

    async fn apply(&self, cx: &Ctx, _: &Params, items: &[Item<Prior>]) -> Result<Vec<Effect>, ActionError> {
        let client = super::client(cx);
        let effects = try_join_all(items.iter().map(|item| hibernate(&client, item))).await?;
        until_stopped(&client, items).await?;
        Ok(effects)
    }

    fn verify(&self, _: &View, _: &Params, found: &Found<Prior>) -> Verdict {
        let Prior { state, reason, .. } = &found.prior;
        let lost = || Verdict::Unproven { why: format!("it is {state} without having hibernated: its memory is lost") };
        match state.as_str() {
            "stopping" | "stopped" if reason != HIBERNATED => lost(),
            "stopped" => Verdict::Proven,
            "stopping" => Verdict::Pending { why: "it is stopping".to_owned() },
            state if super::is_terminated(state) => lost(),
            state => Verdict::Unproven { why: format!("it is {state}") },
        }
    }

    fn restored(&self, prior: &Prior, now: &Prior) -> Verdict {
        match now.state.as_str() {
            state if state == prior.state => Verdict::Proven,
            "running" => Verdict::Proven,
            state if super::is_terminated(state) => Verdict::Unproven { why: format!("it is {state}") },
            state => Verdict::Pending { why: format!("it is {state}") },
        }
    }

    async fn undo(&self, cx: &Ctx, _: &Params, item: &Item<Prior>, effect: &Effect) -> Result<(), ActionError> {
        let (client, id) = (super::client(cx), item.resource.as_str());
        super::stop_instances::start(&client, id).await?;
        if item.prior.stop_protection || effect.get(CLEARED).is_some() {
            super::unless_gone(super::set_flag(&client, id, Flag::Stop, true).await)?;
        }
        Ok(())
    }
}

async fn found(client: &Client, instance: &Instance) -> Result<Option<Found<Prior>>, ActionError> {
    let Ok(resource) = ResourceId::new(super::id(instance)) else { return Ok(None) };
    let state = super::state(instance);
    let is_up = matches!(state.as_str(), "running" | "pending");
    let stop_protection = is_up && super::flag(client, resource.as_str(), Flag::Stop).await? == Some(true);
    let prior = Prior {
        state,
        instance_type: instance.instance_type().map_or("", |kind| kind.as_str()).to_owned(),
        reason: reason(instance).to_owned(),
        can_hibernate: instance.hibernation_options().and_then(HibernationOptions::configured).unwrap_or_default(),
        stop_protection,
    };
    Ok(Some(Found { member: resource.clone(), resource, prior }))
}

/// Hibernates one machine. One that was launched just now is waited for, and stop protection is cleared.
async fn hibernate(client: &Client, item: &Item<Prior>) -> Result<Effect, ActionError> {
    let id = item.resource.as_str();
    let mut cleared = false;
    if item.prior.stop_protection {
        super::set_flag(client, id, Flag::Stop, false).await?;
    }
    let mut waited = Duration::ZERO;
    loop {
        let answer = client.stop_instances().instance_ids(id).hibernate(true).send().await;
        match answer.map_err(ActionError::from) {
            Ok(_) => return Ok(if cleared { json!({ CLEARED: true }) } else { Value::Null }),
            Err(error) if error.is("OperationNotPermitted") && !cleared => {
                super::set_flag(client, id, Flag::Stop, false).await?;
                cleared = true;
            }
            Err(error) if is_too_early(&error) && waited < READY_WITHIN => {
                sleep(LOOK_EVERY).await;
                waited += LOOK_EVERY;
            }
            Err(error) => return Err(error),
        }
    }
}

/// Waits until the machines are stopped, and fails for those that were shut down: what needs their memory is then held.
async fn until_stopped(client: &Client, items: &[Item<Prior>]) -> Result<(), ActionError> {
    let ids: Vec<String> = items.iter().map(|item| item.resource.to_string()).collect();
    let mut waited = Duration::ZERO;
    loop {
        let instances = super::described(client, Some(super::filter("instance-id", &ids))).await?;
        if let Some(lost) = instances.iter().find(|instance| is_lost(instance)) {
            let message = format!("{} was shut down without having hibernated: its memory is lost", super::id(lost));
            return Err(ActionError::new(ErrorKind::WrongState, message));
        }
        let Some(late) = instances.iter().find(|instance| super::state(instance) != "stopped") else { return Ok(()) };
        if waited >= HIBERNATED_WITHIN {
            let (id, minutes) = (super::id(late), HIBERNATED_WITHIN.as_secs() / 60);
            let message = format!("{id} is still {} after {minutes} minutes: resume the run", super::state(late));
            return Err(ActionError::new(ErrorKind::WrongState, message));
        }
        sleep(LOOK_EVERY).await;
        waited += LOOK_EVERY;
    }
}

fn is_lost(instance: &Instance) -> bool {
    let state = super::state(instance);
    super::is_terminated(&state) || matches!(state.as_str(), "stopping" | "stopped") && reason(instance) != HIBERNATED
}

/// Why a machine is in its state, as AWS says: a code, or nothing.
fn reason(instance: &Instance) -> &str {
    instance.state_reason().and_then(|reason| reason.code()).unwrap_or_default()
}

/// AWS refuses a machine that does not run yet, and one that has not run for two minutes.
fn is_too_early(error: &ActionError) -> bool {
    error.is("IncorrectInstanceState") || error.is("UnsupportedOperation")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::actions::tests::view;

    fn found(state: &str, reason: &str) -> Found<Prior> {
        let id = ResourceId::new("i-1").unwrap();
        let prior = Prior {
            state: state.into(),
            instance_type: "m5.large".into(),
            reason: reason.into(),
            can_hibernate: true,
            stop_protection: false,
        };
        Found { member: id.clone(), resource: id, prior }
    }

    #[test]
    fn what_cannot_hibernate_and_what_is_stopped_is_named() {
        let plan = |found: &Found<Prior>| HibernateInstances.plan(&view(), &Params {}, found);
        let mut running = found("running", "");
        assert!(matches!(plan(&running), Decision::Change(_)));
        running.prior.can_hibernate = false;
        assert!(matches!(plan(&running), Decision::Skip(why) if why.contains("by hand")));
        assert!(
            matches!(plan(&found("stopped", "Client.UserInitiatedShutdown")), Decision::Skip(why) if why.contains("gone"))
        );
        assert_eq!(plan(&found("stopped", HIBERNATED)), Decision::Already);
    }

    #[test]
    fn a_machine_that_was_shut_down_instead_has_lost_its_memory() {
        let verify = |state, reason| HibernateInstances.verify(&view(), &Params {}, &found(state, reason));
        assert_eq!(verify("stopped", HIBERNATED), Verdict::Proven);
        assert!(matches!(verify("stopping", HIBERNATED), Verdict::Pending { .. }));
        for lost in [("stopping", "Client.UserInitiatedShutdown"), ("stopped", ""), ("terminated", HIBERNATED)] {
            assert!(matches!(verify(lost.0, lost.1), Verdict::Unproven { why } if why.contains("memory is lost")));
        }
        assert!(matches!(verify("running", ""), Verdict::Unproven { .. }));
    }
}
