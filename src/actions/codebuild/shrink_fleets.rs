//! `codebuild.shrink-fleets`

use std::collections::BTreeMap;

use aws_sdk_codebuild::types::{
    Fleet, FleetScalingMetricType, FleetScalingType, FleetStatusCode, ScalingConfigurationInput,
    ScalingConfigurationOutput, TargetTrackingScalingConfiguration,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::actions::field::time;
use crate::engine::action::{Action, Ctx, Decision, Found, Item, Proposal, View};
use crate::model::{ActionError, Effect, ErrorKind, Resource, ResourceId, Tier, Undo, Verdict};

/// The fewest machines that AWS lets a fleet have.
const FEWEST: i32 = 1;

/// Shrinks fleets to one machine.
pub struct ShrinkFleets;

/// The action has no parameters.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {}

/// A fleet before it shrinks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Prior {
    /// When it was made.
    pub created: String,
    /// How many machines it keeps ready.
    pub capacity: i32,
    /// To how many it grows by itself, and at which use.
    pub scaling: Option<Scaling>,
    /// Whether AWS is still changing it.
    pub changing: bool,
}

/// How a fleet grows by itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Scaling {
    /// The most machines.
    pub most: Option<i32>,
    /// `TARGET_TRACKING_SCALING`.
    pub kind: Option<String>,
    /// Metrics and the values that they are kept at.
    pub targets: BTreeMap<String, f64>,
}

impl Action for ShrinkFleets {
    type Params = Params;
    type Prior = Prior;

    const NAME: &'static str = "codebuild.shrink-fleets";
    const TIER: Tier = Tier::Disruptive;
    const KINDS: &'static [&'static str] = &["codebuild.fleet"];
    const TITLE: &'static str = "Shrink CodeBuild fleets to one machine";
    const DESCRIPTION: &'static str = "Sets the capacity of a fleet to one machine and lets it grow no more. A fleet costs \
        whether anything is built on it or not, and AWS does not let it have no machine at all: what is left has to be \
        deleted by a person who knows that nobody needs it. Stop the builds first, by `codebuild.stop-builds`: they go on \
        while the fleet shrinks.\n\n\
        AWS pages: *Run builds on reserved capacity fleets*, *UpdateFleet*.";
    const UNDO: &'static str = "Sets capacity and growth back.";
    const PERMISSIONS: &'static [&'static str] = &["codebuild:BatchGetFleets", "codebuild:UpdateFleet"];
    const UNDO_PERMISSIONS: &'static [&'static str] = &[];
    const EXAMPLE: &'static str = "{ id: fleets, uses: codebuild.shrink-fleets, on: fleets }";

    async fn discover(&self, cx: &Ctx, _: &Params, members: &[Resource]) -> Result<Vec<Found<Prior>>, ActionError> {
        let arns: Vec<String> = members.iter().map(|member| member.id.to_string()).collect();
        let fleets = super::fleets(&super::client(cx), &arns).await?;
        Ok(fleets.iter().filter_map(found).collect())
    }

    fn plan(&self, _: &View, _: &Params, found: &Found<Prior>) -> Decision {
        let Prior { capacity, scaling, .. } = &found.prior;
        if *capacity <= FEWEST && scaling.is_none() {
            return Decision::Already;
        }
        let before = match scaling.as_ref().and_then(|scaling| scaling.most) {
            Some(most) => format!("{capacity} machines, up to {most}"),
            None => format!("{capacity} machines"),
        };
        let undo = Undo::by("set its capacity and its growth back");
        let summary = format!("shrink the CodeBuild fleet {}", found.resource);
        let proposal = Proposal::new(summary, before, "1 machine, which does not grow", undo);
        Decision::Change(proposal.noting("one machine goes on costing: AWS lets no fleet be empty"))
    }

    fn drift(&self, approved: &Prior, now: &Prior) -> Option<String> {
        (approved.created != now.created).then(|| "it is another fleet".to_owned())
    }

    async fn apply(&self, cx: &Ctx, _: &Params, items: &[Item<Prior>]) -> Result<Vec<Effect>, ActionError> {
        let client = super::client(cx);
        for Item { resource, prior, .. } in items {
            let mut request = client.update_fleet().arn(resource.as_str()).base_capacity(FEWEST);
            if prior.scaling.is_some() {
                request = request.scaling_configuration(ScalingConfigurationInput::builder().build());
            }
            request.send().await?;
        }
        Ok(vec![Value::Null; items.len()])
    }

    fn verify(&self, view: &View, params: &Params, found: &Found<Prior>) -> Verdict {
        match self.plan(view, params, found) {
            Decision::Already if found.prior.changing => Verdict::Pending { why: "AWS is changing it".to_owned() },
            Decision::Already => Verdict::Proven,
            _ => Verdict::Unproven { why: format!("it still has {} machines", found.prior.capacity) },
        }
    }

    fn restored(&self, prior: &Prior, now: &Prior) -> Verdict {
        if (prior.capacity, &prior.scaling) == (now.capacity, &now.scaling) {
            return Verdict::Proven;
        }
        Verdict::Unproven { why: "its capacity is not as it was before".to_owned() }
    }

    async fn undo(&self, cx: &Ctx, _: &Params, item: &Item<Prior>, _: &Effect) -> Result<(), ActionError> {
        let client = super::client(cx);
        let now = super::fleets(&client, &[item.resource.to_string()]).await?;
        if now.first().and_then(found).is_none_or(|now| now.prior.created != item.prior.created) {
            return Ok(());
        }
        let request = client.update_fleet().arn(item.resource.as_str()).base_capacity(item.prior.capacity);
        let scaling = item.prior.scaling.as_ref().map(Scaling::sdk);
        match request.set_scaling_configuration(scaling).send().await.map_err(ActionError::from) {
            Err(error) if error.kind != ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

impl Scaling {
    /// As AWS shows it; none where the fleet does not grow.
    fn of(scaling: &ScalingConfigurationOutput) -> Option<Self> {
        let targets = scaling.target_tracking_scaling_configs().iter();
        let targets = targets.filter_map(|one| Some((one.metric_type()?.as_str().to_owned(), one.target_value()?)));
        let kind = scaling.scaling_type().map(|kind| kind.as_str().to_owned());
        kind.as_ref()?;
        Some(Self { most: scaling.max_capacity(), kind, targets: targets.collect() })
    }

    fn sdk(&self) -> ScalingConfigurationInput {
        let targets = self.targets.iter().map(|(metric, value)| {
            let metric = FleetScalingMetricType::from(metric.as_str());
            TargetTrackingScalingConfiguration::builder().metric_type(metric).target_value(*value).build()
        });
        let targets: Vec<_> = targets.collect();
        ScalingConfigurationInput::builder()
            .set_max_capacity(self.most)
            .set_scaling_type(self.kind.as_deref().map(FleetScalingType::from))
            .set_target_tracking_scaling_configs(Some(targets).filter(|targets| !targets.is_empty()))
            .build()
    }
}

fn found(fleet: &Fleet) -> Option<Found<Prior>> {
    let resource = ResourceId::new(fleet.arn()?).ok()?;
    let state = fleet.status().and_then(|status| status.status_code());
    let prior = Prior {
        created: time(fleet.created()),
        capacity: fleet.base_capacity().unwrap_or_default(),
        scaling: fleet.scaling_configuration().and_then(Scaling::of),
        changing: !matches!(state, None | Some(FleetStatusCode::Active)),
    };
    Some(Found { member: resource.clone(), resource, prior })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::actions::tests::view;

    fn found(capacity: i32, most: Option<i32>) -> Found<Prior> {
        let id = ResourceId::new("arn:aws:codebuild:us-east-1:111122223333:fleet/mine:1").unwrap();
        let scaling = most.map(|most| Scaling { most: Some(most), kind: None, targets: BTreeMap::new() });
        let prior = Prior { created: "c".into(), capacity, scaling, changing: false };
        Found { member: id.clone(), resource: id, prior }
    }

    #[test]
    fn a_fleet_shrinks_to_one_machine_and_grows_no_more() {
        let plan = |found: &Found<Prior>| ShrinkFleets.plan(&view(), &Params {}, found);
        assert_eq!(plan(&found(1, None)), Decision::Already);
        assert!(matches!(plan(&found(1, Some(50))), Decision::Change(_)));
        let Decision::Change(proposal) = plan(&found(20, Some(50))) else { panic!("no change") };
        assert_eq!(proposal.before, "20 machines, up to 50");
        assert!(proposal.notes[0].contains("goes on costing"), "{:?}", proposal.notes);
    }
}
