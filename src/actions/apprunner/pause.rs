//! `apprunner.pause`

use std::collections::BTreeSet;

use aws_sdk_apprunner::types::ServiceSummary;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::time::{Duration, sleep};

use crate::engine::action::{Action, Ctx, Decision, Found, Item, Proposal, View};
use crate::model::{ActionError, Effect, ErrorKind, Resource, ResourceId, Tier, Undo, Verdict};

/// How often a service is looked at while another operation is under way.
const LOOK_EVERY: Duration = Duration::from_secs(15);
/// How long such an operation may take: making a service from source takes minutes.
const SETTLED_WITHIN: Duration = Duration::from_mins(15);

/// In an effect: whether it was paused here.
const PAUSED: &str = "paused";

/// Pauses services.
pub struct Pause;

/// The action has no parameters.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {}

/// A service before it is paused. A later one of the same name has another ARN.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Prior {
    /// `RUNNING`, `PAUSED`, `OPERATION_IN_PROGRESS`, …
    pub state: String,
}

impl Action for Pause {
    type Params = Params;
    type Prior = Prior;

    const NAME: &'static str = "apprunner.pause";
    const TIER: Tier = Tier::Disruptive;
    const KINDS: &'static [&'static str] = &["apprunner.service"];
    const TITLE: &'static str = "Pause App Runner services";
    const DESCRIPTION: &'static str = "Pauses services: their capacity becomes zero, they answer nothing, and what they held \
        in memory and on their disks is gone. A paused service is deployed to by nothing; only a call resumes it, so take \
        the credentials first. While another operation is under way AWS refuses: it is waited for.\n\n\
        App Runner is in few regions. One that it is not known to be in is asked all the same: where no connection can be \
        made, there is none.\n\n\
        AWS pages: *Pausing and resuming an App Runner service*, *AWS App Runner endpoints and quotas*.";
    const UNDO: &'static str = "Resumes what was running. Lost: what its instances held in memory and on their disks.";
    const PERMISSIONS: &'static [&'static str] = &["apprunner:ListServices", "apprunner:PauseService"];
    const UNDO_PERMISSIONS: &'static [&'static str] = &["apprunner:ResumeService"];
    const EXAMPLE: &'static str = "{ id: apprunner, uses: apprunner.pause, on: services }";

    async fn discover(&self, cx: &Ctx, _: &Params, members: &[Resource]) -> Result<Vec<Found<Prior>>, ActionError> {
        let wanted: BTreeSet<&str> = members.iter().map(|member| member.id.as_str()).collect();
        let services = super::all(cx).await?;
        let services = services.iter().filter(|service| service.service_arn().is_some_and(|arn| wanted.contains(arn)));
        Ok(services.filter_map(found).collect())
    }

    fn plan(&self, _: &View, _: &Params, found: &Found<Prior>) -> Decision {
        match found.prior.state.as_str() {
            "PAUSED" | "DELETED" => Decision::Already,
            "CREATE_FAILED" | "DELETE_FAILED" => Decision::Skip(format!("it is {}: nothing runs", found.prior.state)),
            state => {
                let undo = Undo::by("resume it").losing("what its instances hold in memory and on their disks");
                let summary = format!("pause the App Runner service {}", found.resource);
                Decision::Change(Proposal::new(summary, state, "PAUSED", undo))
            }
        }
    }

    fn drift(&self, approved: &Prior, now: &Prior) -> Option<String> {
        let gone = now.state == "DELETED" && approved.state != "DELETED";
        gone.then(|| "it is deleted".to_owned())
    }

    async fn apply(&self, cx: &Ctx, _: &Params, items: &[Item<Prior>]) -> Result<Vec<Effect>, ActionError> {
        let mut effects = Vec::with_capacity(items.len());
        for item in items {
            let runs = state(cx, item.resource.as_str()).await?.as_deref() == Some("RUNNING");
            if runs {
                super::client(cx).pause_service().service_arn(item.resource.as_str()).send().await?;
            }
            effects.push(json!({ PAUSED: runs }));
        }
        Ok(effects)
    }

    fn verify(&self, _: &View, _: &Params, found: &Found<Prior>) -> Verdict {
        match found.prior.state.as_str() {
            "PAUSED" | "DELETED" => Verdict::Proven,
            "OPERATION_IN_PROGRESS" => Verdict::Pending { why: "an operation is in progress".to_owned() },
            state => Verdict::Unproven { why: format!("it is {state}") },
        }
    }

    fn restored(&self, prior: &Prior, now: &Prior) -> Verdict {
        match now.state.as_str() {
            _ if prior.state == "PAUSED" => Verdict::Proven,
            "RUNNING" => Verdict::Proven,
            "OPERATION_IN_PROGRESS" => Verdict::Pending { why: "an operation is in progress".to_owned() },
            state => Verdict::Unproven { why: format!("it is {state}") },
        }
    }

    /// What somebody else was pausing already stays paused.
    async fn undo(&self, cx: &Ctx, _: &Params, item: &Item<Prior>, effect: &Effect) -> Result<(), ActionError> {
        let paused = effect.get(PAUSED).and_then(Value::as_bool).unwrap_or(item.prior.state == "RUNNING");
        if paused && state(cx, item.resource.as_str()).await?.as_deref() == Some("PAUSED") {
            super::client(cx).resume_service().service_arn(item.resource.as_str()).send().await?;
        }
        Ok(())
    }
}

fn found(service: &ServiceSummary) -> Option<Found<Prior>> {
    let resource = ResourceId::new(service.service_arn()?).ok()?;
    let state = service.status().map_or("", |status| status.as_str()).to_owned();
    Some(Found { member: resource.clone(), resource, prior: Prior { state } })
}

/// The state of a service when no operation is under way on it any more; none for one that is gone.
async fn state(cx: &Ctx, arn: &str) -> Result<Option<String>, ActionError> {
    let mut waited = Duration::ZERO;
    loop {
        let services = super::all(cx).await?;
        let service = services.iter().find(|service| service.service_arn() == Some(arn));
        let state = service.and_then(ServiceSummary::status).map(|status| status.as_str().to_owned());
        if state.as_deref() != Some("OPERATION_IN_PROGRESS") {
            return Ok(state);
        }
        if waited >= SETTLED_WITHIN {
            let message = format!("another operation is still in progress after {} s", waited.as_secs());
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

    #[test]
    fn what_runs_or_is_about_to_is_paused() {
        let plan = |state: &str| {
            let id = ResourceId::new("arn:aws:apprunner:us-east-1:111122223333:service/mine/1").unwrap();
            let prior = Prior { state: state.into() };
            Pause.plan(&view(), &Params {}, &Found { member: id.clone(), resource: id, prior })
        };
        assert!(matches!(plan("RUNNING"), Decision::Change(_)));
        assert!(matches!(plan("OPERATION_IN_PROGRESS"), Decision::Change(_)));
        assert_eq!(plan("PAUSED"), Decision::Already);
        assert!(matches!(plan("CREATE_FAILED"), Decision::Skip(_)));
    }
}
