//! `batch.disable-environments`

use aws_sdk_batch::Client;
use aws_sdk_batch::types::{CeState, ComputeEnvironmentDetail, ComputeResource, ComputeResourceUpdate};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::engine::action::{Action, Ctx, Decision, Found, Item, Proposal, View};
use crate::model::{ActionError, Effect, Resource, ResourceId, Tier, Undo, Verdict};

/// Disables compute environments.
pub struct DisableEnvironments;

/// The action has no parameters.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {}

/// An environment before it is disabled.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Prior {
    /// `ENABLED` or `DISABLED`.
    pub state: String,
    /// The UUID that tells it from a later one of the same name, where AWS gives one.
    pub uuid: Option<String>,
    /// Whether Batch launches its machines.
    pub managed: bool,
    /// The vCPUs that it keeps without any job; none where there is no such setting.
    pub min: Option<i32>,
    /// The vCPUs that it has or is about to have.
    pub desired: i32,
}

impl Prior {
    fn keeps_machines(&self) -> bool {
        self.min.is_some_and(|min| min > 0)
    }
}

impl Action for DisableEnvironments {
    type Params = Params;
    type Prior = Prior;

    const NAME: &'static str = "batch.disable-environments";
    const TIER: Tier = Tier::Disruptive;
    const KINDS: &'static [&'static str] = &["batch.environment"];
    const TITLE: &'static str = "Disable Batch compute environments";
    const DESCRIPTION: &'static str = "Disables a compute environment, so that no job is placed in it and it launches \
        nothing any more, and sets the vCPUs that it keeps without any job to zero: disabled alone, it goes on to hold and \
        bill its minimum. Jobs that run in it go on until they end, and hold its machines: `batch.stop` on the queues comes \
        first. A managed environment counts as pending until it has no vCPUs any more; then its machines are gone, and what \
        was on them: take snapshots before where they matter. The machines of one that is not managed are ordinary \
        instances, and stay.\n\n\
        AWS pages: *UpdateComputeEnvironment*, *Compute environments for AWS Batch*. Facts B12.";
    const UNDO: &'static str = "Sets the least vCPUs back and enables the environment. Its machines are new ones.";
    const PERMISSIONS: &'static [&'static str] =
        &["batch:DescribeComputeEnvironments", "batch:UpdateComputeEnvironment"];
    const UNDO_PERMISSIONS: &'static [&'static str] = &[];
    const EXAMPLE: &'static str =
        "{ id: batch-environments, uses: batch.disable-environments, on: environments, needs: [batch] }";

    async fn discover(&self, cx: &Ctx, _: &Params, members: &[Resource]) -> Result<Vec<Found<Prior>>, ActionError> {
        let environments = super::environments_of(&super::client(cx), members).await?;
        Ok(environments.iter().filter_map(found).collect())
    }

    fn plan(&self, _: &View, _: &Params, found: &Found<Prior>) -> Decision {
        let prior = &found.prior;
        if prior.state == "DISABLED" && !prior.keeps_machines() {
            return Decision::Already;
        }
        let before = match prior.desired {
            0 => prior.state.clone(),
            desired => format!("{}, {desired} vCPUs", prior.state),
        };
        let mut undo = Undo::by("enable it again");
        if prior.desired > 0 {
            undo = undo.losing("its machines and what is on them: it launches others");
        }
        let summary = format!("disable the compute environment {}", found.resource);
        let mut proposal = Proposal::new(summary, before, "DISABLED", undo);
        if let Some(min) = prior.min.filter(|min| *min > 0) {
            proposal = proposal.noting(format!("the vCPUs that it keeps without any job become 0 (now {min})"));
        }
        if !prior.managed {
            proposal = proposal.noting("Batch does not manage its machines: they go on");
        }
        Decision::Change(proposal)
    }

    fn drift(&self, approved: &Prior, now: &Prior) -> Option<String> {
        (approved.uuid != now.uuid).then(|| "it is another environment of the same name".to_owned())
    }

    async fn apply(&self, cx: &Ctx, _: &Params, items: &[Item<Prior>]) -> Result<Vec<Effect>, ActionError> {
        let client = super::client(cx);
        for Item { resource, prior, .. } in items {
            set(&client, resource.as_str(), CeState::Disabled, prior.min.map(|_| 0)).await?;
        }
        Ok(vec![Value::Null; items.len()])
    }

    fn verify(&self, _: &View, _: &Params, found: &Found<Prior>) -> Verdict {
        let Prior { state, desired, managed, .. } = &found.prior;
        match state.as_str() {
            "DISABLED" if found.prior.keeps_machines() => {
                Verdict::Unproven { why: "it keeps machines without any job".to_owned() }
            }
            "DISABLED" if *managed && *desired > 0 => Verdict::Pending { why: format!("it still has {desired} vCPUs") },
            "DISABLED" => Verdict::Proven,
            state => Verdict::Unproven { why: format!("it is {state}") },
        }
    }

    fn restored(&self, prior: &Prior, now: &Prior) -> Verdict {
        if (&prior.state, prior.min) == (&now.state, now.min) {
            Verdict::Proven
        } else {
            Verdict::Unproven { why: format!("it is {}", now.state) }
        }
    }

    async fn undo(&self, cx: &Ctx, _: &Params, item: &Item<Prior>, _: &Effect) -> Result<(), ActionError> {
        let Prior { state, min, .. } = &item.prior;
        set(&super::client(cx), item.resource.as_str(), CeState::from(state.as_str()), *min).await
    }
}

fn found(environment: &ComputeEnvironmentDetail) -> Option<Found<Prior>> {
    let resource = ResourceId::new(super::environment_name(environment)).ok()?;
    let compute = environment.compute_resources();
    let on_fargate =
        compute.and_then(|compute| compute.r#type()).is_some_and(|kind| kind.as_str().starts_with("FARGATE"));
    let prior = Prior {
        state: environment.state().map_or("", |state| state.as_str()).to_owned(),
        uuid: environment.uuid().map(str::to_owned),
        managed: compute.is_some(),
        min: compute.and_then(ComputeResource::minv_cpus).filter(|_| !on_fargate),
        desired: compute.and_then(ComputeResource::desiredv_cpus).unwrap_or_default(),
    };
    Some(Found { member: resource.clone(), resource, prior })
}

/// Sets state and least vCPUs, when nothing else is being changed. One that is gone, or so already, is left alone.
async fn set(client: &Client, name: &str, state: CeState, min: Option<i32>) -> Result<(), ActionError> {
    let look = || async { Ok::<_, ActionError>(super::environments(client, Some(vec![name.to_owned()])).await?.pop()) };
    let mut refused = None;
    loop {
        super::until_changed(name, || async {
            Ok(look().await?.and_then(|environment| Some(environment.status()?.as_str().to_owned())))
        })
        .await?;
        let Some(now) = look().await? else { return Ok(()) };
        let min = min.filter(|_| found(&now).is_some_and(|now| now.prior.min != min));
        if now.state() == Some(&state) && min.is_none() {
            return Ok(());
        }
        if let Some(error) = refused {
            return Err(error);
        }
        let compute = min.map(|min| ComputeResourceUpdate::builder().minv_cpus(min).build());
        let request = client.update_compute_environment().compute_environment(name).state(state.clone());
        match request.set_compute_resources(compute).send().await.map_err(ActionError::from) {
            // A repeat of a request whose answer was lost is refused while the first one is being carried out.
            Err(error) if error.is("ClientException") => refused = Some(error),
            answer => return answer.map(drop),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::actions::tests::view;

    fn found(state: &str, min: Option<i32>, desired: i32) -> Found<Prior> {
        let resource = ResourceId::new("miners").unwrap();
        let prior = Prior { state: state.into(), uuid: None, managed: true, min, desired };
        Found { member: resource.clone(), resource, prior }
    }

    #[test]
    fn disabled_with_a_minimum_is_not_contained() {
        let plan = |found: &Found<Prior>| DisableEnvironments.plan(&view(), &Params {}, found);
        let Decision::Change(proposal) = plan(&found("DISABLED", Some(96), 96)) else { panic!("no change") };
        assert_eq!(proposal.notes, ["the vCPUs that it keeps without any job become 0 (now 96)"]);
        assert_eq!(plan(&found("DISABLED", Some(0), 96)), Decision::Already);
        assert!(matches!(plan(&found("ENABLED", None, 0)), Decision::Change(_)));
    }

    #[test]
    fn it_is_contained_when_its_machines_are_gone() {
        let verify = |found: &Found<Prior>| DisableEnvironments.verify(&view(), &Params {}, found);
        assert_eq!(verify(&found("DISABLED", Some(0), 0)), Verdict::Proven);
        assert!(matches!(verify(&found("DISABLED", Some(0), 96)), Verdict::Pending { .. }));
        assert!(matches!(verify(&found("DISABLED", Some(4), 4)), Verdict::Unproven { .. }));
        assert!(matches!(verify(&found("ENABLED", Some(0), 0)), Verdict::Unproven { .. }));
    }
}
