//! `lightsail.stop`

use aws_sdk_lightsail::Client;
use aws_sdk_lightsail::types::{ContainerService, Instance};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::time::{Duration, sleep};

use super::{containers, instances};
use crate::engine::action::{Action, Ctx, Decision, Found, Item, Proposal, View};
use crate::model::{ActionError, Effect, ErrorKind, Kind, Resource, ResourceId, Tier, Undo, Verdict};

/// How long something may take until it can be changed.
const READY_WITHIN: Duration = Duration::from_mins(10);
/// How long to wait between two looks.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Stops instances and container services.
pub struct Stop;

/// The action has no parameters.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {}

/// What is to be stopped, before it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Prior {
    /// An instance.
    Instance {
        /// Its ARN, which tells it from a later one of the same name.
        arn: String,
        /// `running`, …
        state: String,
        /// `2xlarge_3_0`.
        bundle: String,
        /// Whether its public address is its own.
        static_ip: bool,
    },
    /// A container service.
    Containers {
        /// Its ARN.
        arn: String,
        /// `RUNNING`, …
        state: String,
        /// Whether it is switched off, or about to be.
        disabled: bool,
        /// `20 xlarge nodes`.
        size: String,
    },
}

impl Prior {
    fn arn(&self) -> &str {
        match self {
            Self::Instance { arn, .. } | Self::Containers { arn, .. } => arn,
        }
    }

    /// Whether it is up, or about to be.
    fn is_up(&self) -> bool {
        match self {
            Self::Instance { state, .. } => matches!(state.as_str(), "running" | "pending"),
            Self::Containers { disabled, state, .. } => !disabled && state != "DELETING",
        }
    }
}

impl Action for Stop {
    type Params = Params;
    type Prior = Prior;

    const NAME: &'static str = "lightsail.stop";
    const TIER: Tier = Tier::Disruptive;
    const KINDS: &'static [&'static str] = &[instances::KIND.name, containers::KIND.name];
    const TITLE: &'static str = "Stop Lightsail instances and container services";
    const DESCRIPTION: &'static str = "Stops instances, and disables container services, which shuts their containers down. \
        Lightsail has nothing that would launch either again by itself: no group, no fleet, no schedule. Whoever can call \
        Lightsail can, and can start what was stopped: identities come first. The disk of an instance stays, for a snapshot \
        afterwards; both are billed as before. In a region without Lightsail there is no endpoint: Lightsail's own list of \
        regions is asked, and such a region counts as looked at.\n\n\
        AWS pages: *StopInstance*, *UpdateContainerService*, *GetRegions*, *Enable and disable Lightsail container \
        services*. Facts B12.";
    const UNDO: &'static str = "Starts what ran, and enables what was enabled: its last deployment runs again. Lost: memory, \
        what containers held, and a public IPv4 address that is not a static one.";
    const PERMISSIONS: &'static [&'static str] = &[
        "lightsail:GetContainerServices",
        "lightsail:GetInstance",
        "lightsail:GetInstances",
        "lightsail:StopInstance",
        "lightsail:UpdateContainerService",
    ];
    const UNDO_PERMISSIONS: &'static [&'static str] = &["lightsail:StartInstance"];
    const ONLY_ON: &'static [(&'static str, &'static [&'static str])] = &[
        (
            instances::KIND.name,
            &["lightsail:GetInstance", "lightsail:GetInstances", "lightsail:StartInstance", "lightsail:StopInstance"],
        ),
        (containers::KIND.name, &["lightsail:GetContainerServices", "lightsail:UpdateContainerService"]),
    ];
    const EXAMPLE: &'static str = "{ id: lightsail, uses: lightsail.stop, on: instances }";

    async fn discover(&self, cx: &Ctx, _: &Params, members: &[Resource]) -> Result<Vec<Found<Prior>>, ActionError> {
        let client = super::client(cx);
        let is_member = |id: &ResourceId| members.iter().any(|member| member.id == *id);
        let any = |kind: &str| members.iter().any(|member| member.kind == Kind::new(kind));
        let mut found = Vec::new();
        if any(instances::KIND.name) {
            found.extend(super::instances(&client).await?.iter().filter_map(of_instance));
        }
        if any(containers::KIND.name) {
            found.extend(super::containers(&client, None).await?.iter().filter_map(of_containers));
        }
        found.retain(|found| is_member(&found.member));
        Ok(found)
    }

    fn plan(&self, _: &View, _: &Params, found: &Found<Prior>) -> Decision {
        if !found.prior.is_up() {
            return Decision::Already;
        }
        let name = &found.resource;
        Decision::Change(match &found.prior {
            Prior::Instance { state, bundle, static_ip, .. } => {
                let mut undo = Undo::by("start it again").losing("the memory");
                if !static_ip {
                    undo = undo.losing("its public IPv4 address");
                }
                Proposal::new(format!("stop the Lightsail instance {name} ({bundle})"), state, "stopped", undo)
            }
            Prior::Containers { state, size, .. } => {
                let undo = Undo::by("enable it again").losing("what its containers hold");
                let summary = format!("disable the Lightsail container service {name} ({size})");
                Proposal::new(summary, state, "DISABLED", undo)
            }
        })
    }

    fn drift(&self, approved: &Prior, now: &Prior) -> Option<String> {
        (approved.arn() != now.arn()).then(|| "it is another one of the same name".to_owned())
    }

    async fn apply(&self, cx: &Ctx, _: &Params, items: &[Item<Prior>]) -> Result<Vec<Effect>, ActionError> {
        let client = super::client(cx);
        for Item { resource, prior, .. } in items {
            match prior {
                Prior::Instance { .. } => stop(&client, resource.as_str()).await?,
                Prior::Containers { arn, .. } => switch(&client, (resource.as_str(), arn), Switch::Off).await?,
            }
        }
        Ok(vec![Value::Null; items.len()])
    }

    fn verify(&self, _: &View, _: &Params, found: &Found<Prior>) -> Verdict {
        let (Prior::Instance { state, .. } | Prior::Containers { state, .. }) = &found.prior;
        match state.as_str() {
            "stopped" | "DISABLED" => Verdict::Proven,
            state if found.prior.is_up() => Verdict::Unproven { why: format!("it is {state}") },
            state => Verdict::Pending { why: format!("it is {state}") },
        }
    }

    fn restored(&self, prior: &Prior, now: &Prior) -> Verdict {
        let (Prior::Instance { state, .. } | Prior::Containers { state, .. }) = now;
        if prior.is_up() == now.is_up() { Verdict::Proven } else { Verdict::Pending { why: format!("it is {state}") } }
    }

    async fn undo(&self, cx: &Ctx, _: &Params, item: &Item<Prior>, _: &Effect) -> Result<(), ActionError> {
        let client = super::client(cx);
        match &item.prior {
            prior if !prior.is_up() => Ok(()),
            Prior::Instance { arn, .. } => start(&client, item.resource.as_str(), arn).await,
            Prior::Containers { arn, .. } => switch(&client, (item.resource.as_str(), arn), Switch::On).await,
        }
    }
}

fn of_instance(instance: &Instance) -> Option<Found<Prior>> {
    let resource = ResourceId::new(instance.name()?).ok()?;
    let prior = Prior::Instance {
        arn: instance.arn().unwrap_or_default().to_owned(),
        state: super::state(instance).to_owned(),
        bundle: instance.bundle_id().unwrap_or_default().to_owned(),
        static_ip: instance.is_static_ip().unwrap_or_default(),
    };
    Some(Found { member: resource.clone(), resource, prior })
}

fn of_containers(service: &ContainerService) -> Option<Found<Prior>> {
    let resource = ResourceId::new(service.container_service_name()?).ok()?;
    let power = service.power().map_or("", |power| power.as_str());
    let prior = Prior::Containers {
        arn: service.arn().unwrap_or_default().to_owned(),
        state: service.state().map_or("", |state| state.as_str()).to_owned(),
        disabled: service.is_disabled().unwrap_or_default(),
        size: format!("{} {power} nodes", service.scale().unwrap_or_default()),
    };
    Some(Found { member: resource.clone(), resource, prior })
}

/// Stops an instance, when it has started. One that is gone or stopped is left alone.
async fn stop(client: &Client, name: &str) -> Result<(), ActionError> {
    let running = until(name, "pending", || async {
        Ok(super::instance(client, name).await?.map(|instance| super::state(&instance).to_owned()))
    });
    if running.await?.as_deref() == Some("running") {
        client.stop_instance().instance_name(name).send().await?;
    }
    Ok(())
}

/// Starts an instance, when it has stopped. One that is gone, another of the same name, and one that runs are left alone.
async fn start(client: &Client, name: &str, arn: &str) -> Result<(), ActionError> {
    let stopped = until(name, "stopping", || async {
        let same = super::instance(client, name).await?.filter(|instance| instance.arn() == Some(arn));
        Ok(same.map(|instance| super::state(&instance).to_owned()))
    });
    if stopped.await?.as_deref() == Some("stopped") {
        client.start_instance().instance_name(name).send().await?;
    }
    Ok(())
}

/// Where the switch of a container service is to stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Switch {
    Off,
    On,
}

/// Switches a container service off or on, when nothing else is being done to it. Another of the same name is left alone.
async fn switch(client: &Client, (name, arn): (&str, &str), to: Switch) -> Result<(), ActionError> {
    let look = || async {
        let service = super::containers(client, Some(name)).await?.pop();
        Ok::<_, ActionError>(service.filter(|service| service.arn() == Some(arn)))
    };
    for busy in ["PENDING", "DEPLOYING", "UPDATING"] {
        until(name, busy, || async {
            Ok(look().await?.and_then(|service| Some(service.state()?.as_str().to_owned())))
        })
        .await?;
    }
    let disabled = to == Switch::Off;
    if look().await?.is_some_and(|service| service.is_disabled() != Some(disabled)) {
        client.update_container_service().service_name(name).is_disabled(disabled).send().await?;
    }
    Ok(())
}

/// Waits as long as it is `busy`. Returns its state then; none if it is gone.
async fn until<F>(name: &str, busy: &str, mut state: impl FnMut() -> F) -> Result<Option<String>, ActionError>
where
    F: Future<Output = Result<Option<String>, ActionError>>,
{
    let mut waited = Duration::ZERO;
    loop {
        let now = state().await?;
        if now.as_deref() != Some(busy) {
            return Ok(now);
        }
        if waited >= READY_WITHIN {
            let message = format!("{name} is still {busy} after {} s: try again later", waited.as_secs());
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

    fn instance(state: &str, static_ip: bool) -> Found<Prior> {
        let resource = ResourceId::new("miner").unwrap();
        let prior =
            Prior::Instance { arn: "arn:1".into(), state: state.into(), bundle: "2xlarge_3_0".into(), static_ip };
        Found { member: resource.clone(), resource, prior }
    }

    fn containers(state: &str, disabled: bool) -> Found<Prior> {
        let resource = ResourceId::new("miner").unwrap();
        let prior =
            Prior::Containers { arn: "arn:1".into(), state: state.into(), disabled, size: "20 xlarge nodes".into() };
        Found { member: resource.clone(), resource, prior }
    }

    #[test]
    fn an_address_that_is_lost_is_said() {
        let loses = |static_ip| match Stop.plan(&view(), &Params {}, &instance("running", static_ip)) {
            Decision::Change(proposal) => proposal.undo.loses,
            other => panic!("{other:?}"),
        };
        assert_eq!(loses(false), ["the memory", "its public IPv4 address"]);
        assert_eq!(loses(true), ["the memory"]);
    }

    #[test]
    fn what_is_on_its_way_down_is_pending() {
        let verify = |found: &Found<Prior>| Stop.verify(&view(), &Params {}, found);
        assert_eq!(verify(&instance("stopped", false)), Verdict::Proven);
        assert!(matches!(verify(&instance("stopping", false)), Verdict::Pending { .. }));
        assert!(matches!(verify(&instance("running", false)), Verdict::Unproven { .. }));
        assert_eq!(verify(&containers("DISABLED", true)), Verdict::Proven);
        assert!(matches!(verify(&containers("UPDATING", true)), Verdict::Pending { .. }));
        assert!(matches!(verify(&containers("UPDATING", false)), Verdict::Unproven { .. }));
    }

    #[test]
    fn a_namesake_voids_the_approval() {
        let approved = instance("running", false).prior;
        let mut namesake = approved.clone();
        if let Prior::Instance { arn, .. } = &mut namesake {
            "arn:2".clone_into(arn);
        }
        assert!(Stop.drift(&approved, &namesake).is_some());
        assert_eq!(Stop.drift(&approved, &instance("stopped", false).prior), None);
    }
}
