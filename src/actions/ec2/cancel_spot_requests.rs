//! `ec2.cancel-spot-requests`

use std::collections::HashMap;

use aws_sdk_ec2::Client;
use aws_sdk_ec2::types::{SpotInstanceRequest, SpotInstanceType};
use futures::future::try_join_all;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::time::{Duration, sleep};

use super::{FILTER_VALUES, LOOK_EVERY, filter, spot_requests};
use crate::engine::action::{Action, Ctx, Decision, Found, Item, Proposal, View};
use crate::model::{ActionError, Effect, ErrorKind, Finding, Resource, ResourceId, Tier, Undo};

/// How long an instance may take to stop before its request is cancelled.
const STOPPED_WITHIN: Duration = Duration::from_mins(10);

/// Cancels Spot requests.
pub struct CancelSpotRequests;

/// How to go about it.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// What to do about a persistent request whose instance runs.
    #[serde(default)]
    pub running: Running,
}

/// What to do about a persistent request whose instance runs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Running {
    /// Leave it, and report it as failed: stop the instance first.
    #[default]
    Refuse,
    /// Cancel it: its instance can then only be terminated.
    Cancel,
}

/// A Spot request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Prior {
    /// `open`, `active`, `disabled`, `closed`, `cancelled` or `failed`.
    pub state: String,
    /// Whether it launches again.
    pub persistent: bool,
    /// What it launched last.
    pub instance: Option<String>,
    /// The state of that.
    pub instance_state: Option<String>,
}

impl Action for CancelSpotRequests {
    type Params = Params;
    type Prior = Prior;

    const NAME: &'static str = "ec2.cancel-spot-requests";
    const TIER: Tier = Tier::Destructive;
    const KINDS: &'static [&'static str] = &["ec2.spot-request", "ec2.instance"];
    const TITLE: &'static str = "Cancel Spot requests";
    const DESCRIPTION: &'static str = "Cancels the Spot requests, or those that launched the instances. The order matters: an \
        instance of a persistent request can be stopped only while the request lives, and terminating it while the request \
        lives makes the request launch another. So stop first, then cancel, then terminate. A persistent request whose \
        instance runs is therefore refused unless `running: cancel` says otherwise; an instance that is still stopping is \
        waited for. A running instance goes on when its request is cancelled. Take snapshots before: AWS's pages differ on \
        what becomes of a stopped instance.\n\n\
        AWS pages: *Manage your Spot Instances*, *Cancel a Spot Instance request*, *CancelSpotInstanceRequests*.";
    const UNDO: &'static str =
        "Not possible: a cancelled request does not come back. Whoever needs it makes a new one.";
    const PERMISSIONS: &'static [&'static str] =
        &["ec2:CancelSpotInstanceRequests", "ec2:DescribeInstances", "ec2:DescribeSpotInstanceRequests"];
    const UNDO_PERMISSIONS: &'static [&'static str] = &[];
    const EXAMPLE: &'static str = "{ id: spot, uses: ec2.cancel-spot-requests, on: requests }";
    const BATCH: usize = 50;

    async fn discover(&self, cx: &Ctx, _: &Params, members: &[Resource]) -> Result<Vec<Found<Prior>>, ActionError> {
        let client = super::client(cx);
        let (instances, requests): (Vec<&Resource>, Vec<&Resource>) =
            members.iter().partition(|member| member.id.as_str().starts_with("i-"));
        let of_instances = requests_by(&client, "instance-id", &instances);
        let by_id = requests_by(&client, "spot-instance-request-id", &requests);
        let (of_instances, by_id) = super::both(of_instances, by_id).await?;
        let launched = of_instances.iter().chain(&by_id).filter_map(SpotInstanceRequest::instance_id);
        let states = states(&client, launched).await?;
        let of_instances = of_instances.iter().filter_map(|request| found(request, request.instance_id()?, &states));
        let by_id = by_id.iter().filter_map(|request| found(request, request.spot_instance_request_id()?, &states));
        Ok(of_instances.chain(by_id).collect())
    }

    fn plan(&self, _: &View, params: &Params, found: &Found<Prior>) -> Decision {
        let Prior { state, persistent, instance, .. } = &found.prior;
        if !matches!(state.as_str(), "open" | "active" | "disabled") {
            return Decision::Already;
        }
        let kind = if *persistent { "persistent" } else { "one-time" };
        let undo = Undo::impossible("the Spot request: it cannot be opened again");
        let summary = format!("cancel the {kind} Spot request {}", found.resource);
        let proposal = Proposal::new(summary, state, "cancelled", undo);
        Decision::Change(match (instance, params.running) {
            (Some(id), Running::Refuse) if *persistent => {
                proposal.noting(format!("{id} is stopped first: once its request is cancelled it cannot be stopped"))
            }
            (Some(id), Running::Cancel) if *persistent => {
                proposal.noting(format!("if {id} still runs, it can only be terminated afterwards"))
            }
            (Some(id), _) => proposal.noting(format!("{id} goes on")),
            (None, _) => proposal,
        })
    }

    fn drift(&self, approved: &Prior, now: &Prior) -> Option<String> {
        let launched = now.instance.as_ref().filter(|id| approved.instance.as_ref() != Some(id))?;
        Some(format!("it has launched {launched} since that was approved"))
    }

    async fn preflight(&self, cx: &Ctx, _: &Params, items: &[Item<Prior>]) -> Vec<Finding> {
        let Some(item) = items.first() else { return Vec::new() };
        let request =
            super::client(cx).cancel_spot_instance_requests().spot_instance_request_ids(item.resource.as_str());
        super::asked(cx, "ec2:CancelSpotInstanceRequests", request.dry_run(true).send().await).into_iter().collect()
    }

    async fn apply(&self, cx: &Ctx, params: &Params, items: &[Item<Prior>]) -> Result<Vec<Effect>, ActionError> {
        let client = super::client(cx);
        let persistent = items.iter().filter(|item| item.prior.persistent);
        let launched: Vec<&str> = persistent.filter_map(|item| item.prior.instance.as_deref()).collect();
        until_stopped(&client, &launched, params.running).await?;
        let ids = items.iter().map(|item| item.resource.to_string()).collect();
        client.cancel_spot_instance_requests().set_spot_instance_request_ids(Some(ids)).send().await?;
        Ok(vec![Value::Null; items.len()])
    }

    async fn undo(&self, _: &Ctx, _: &Params, item: &Item<Prior>, _: &Effect) -> Result<(), ActionError> {
        let message = format!("{} is cancelled for good: request a new Spot instance if it is needed", item.resource);
        Err(ActionError::new(ErrorKind::WrongState, message))
    }
}

async fn requests_by(
    client: &Client,
    name: &str,
    members: &[&Resource],
) -> Result<Vec<SpotInstanceRequest>, ActionError> {
    let portions = members.chunks(FILTER_VALUES).map(|members| {
        let ids = filter(name, members.iter().map(|member| member.id.as_str()));
        spot_requests::described(client, Some(ids))
    });
    Ok(try_join_all(portions).await?.into_iter().flatten().collect())
}

/// The states of instances, by id.
async fn states<'a>(
    client: &Client,
    ids: impl Iterator<Item = &'a str>,
) -> Result<HashMap<String, String>, ActionError> {
    let ids: Vec<&str> = ids.collect();
    let portions = ids.chunks(FILTER_VALUES);
    let portions = portions.map(|ids| super::described(client, Some(filter("instance-id", ids.iter().copied()))));
    let instances = try_join_all(portions).await?.into_iter().flatten();
    Ok(instances.map(|instance| (super::id(&instance).to_owned(), super::state(&instance))).collect())
}

fn found(request: &SpotInstanceRequest, member: &str, states: &HashMap<String, String>) -> Option<Found<Prior>> {
    let instance = request.instance_id();
    let prior = Prior {
        state: request.state().map_or("", |state| state.as_str()).to_owned(),
        persistent: request.r#type() == Some(&SpotInstanceType::Persistent),
        instance: instance.map(str::to_owned),
        instance_state: instance.and_then(|id| states.get(id)).cloned(),
    };
    let resource = ResourceId::new(request.spot_instance_request_id()?).ok()?;
    Some(Found { member: ResourceId::new(member).ok()?, resource, prior })
}

/// Waits for instances on their way to a stop. One that runs is an error, unless it may be cancelled as it runs.
async fn until_stopped(client: &Client, ids: &[&str], running: Running) -> Result<(), ActionError> {
    let mut waited = Duration::ZERO;
    loop {
        let states = states(client, ids.iter().copied()).await?;
        let runs = states.iter().find(|(_, state)| matches!(state.as_str(), "running" | "pending"));
        if let Some((id, state)) = runs.filter(|_| running == Running::Refuse) {
            let message = format!(
                "{id} is {state}, and cannot be stopped once its persistent request is cancelled: stop it first, or say \
                 `running: cancel`"
            );
            return Err(ActionError::new(ErrorKind::WrongState, message));
        }
        let Some((id, _)) = states.iter().find(|(_, state)| *state == "stopping") else { return Ok(()) };
        if waited >= STOPPED_WITHIN {
            let message = format!("{id} is still stopping after {} s: cancel its request later", waited.as_secs());
            return Err(ActionError::new(ErrorKind::WrongState, message));
        }
        sleep(LOOK_EVERY).await;
        waited += LOOK_EVERY;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::actions::tests::view;

    fn found(state: &str, persistent: bool, instance: Option<&str>) -> Found<Prior> {
        let id = ResourceId::new("sir-1").unwrap();
        let prior = Prior {
            state: state.into(),
            persistent,
            instance: instance.map(str::to_owned),
            instance_state: instance.map(|_| "running".to_owned()),
        };
        Found { member: id.clone(), resource: id, prior }
    }

    #[test]
    fn what_lives_is_cancelled_for_good_and_the_order_is_said() {
        let params = Params { running: Running::Refuse };
        let plan = |found: &Found<Prior>| CancelSpotRequests.plan(&view(), &params, found);
        let Decision::Change(proposal) = plan(&found("active", true, Some("i-1"))) else { panic!("no change") };
        assert_eq!(proposal.undo.how, None);
        assert!(proposal.notes[0].starts_with("i-1 is stopped first"), "{:?}", proposal.notes);
        assert!(matches!(plan(&found("disabled", true, None)), Decision::Change(_)));
        assert_eq!(plan(&found("cancelled", true, Some("i-1"))), Decision::Already);
        assert_eq!(plan(&found("closed", false, Some("i-1"))), Decision::Already);
    }

    #[test]
    fn a_new_instance_voids_the_approval_and_a_stop_does_not() {
        let approved = found("active", true, Some("i-1")).prior;
        assert_eq!(CancelSpotRequests.drift(&approved, &found("disabled", true, Some("i-1")).prior), None);
        assert!(CancelSpotRequests.drift(&approved, &found("active", true, Some("i-2")).prior).is_some());
    }
}
