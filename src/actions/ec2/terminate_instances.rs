//! `ec2.terminate-instances`

use std::collections::{BTreeMap, BTreeSet, HashMap};

use aws_sdk_ec2::Client;
use aws_sdk_ec2::types::{
    EbsInstanceBlockDeviceSpecification, Instance, InstanceBlockDeviceMappingSpecification, SpotInstanceType,
};
use futures::future::try_join_all;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::time::{Duration, sleep};

use super::snapshot_volumes::evidence::{Evidence, held};
use super::{FILTER_VALUES, Flag, LOOK_EVERY, filter, spot_requests, suspend_launchers};
use crate::engine::action::{Action, Ctx, Decision, Found, Item, Proposal, View};
use crate::model::{ActionError, Effect, ErrorKind, Finding, Resource, ResourceId, Tier, Undo, Verdict};

/// How long snapshots that are still being copied are waited for.
const COPIED_WITHIN: Duration = Duration::from_mins(10);

/// Terminates instances.
pub struct TerminateInstances;

/// What must be there before an instance goes.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// The evidence that must be confirmed.
    #[serde(default)]
    pub evidence: Required,
}

/// The evidence that must be confirmed before an instance is terminated.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Required {
    /// A completed snapshot of every volume, taken in this case.
    #[default]
    Snapshots,
    /// None: the volumes stay, and are the evidence.
    Waived,
}

/// An instance before it is terminated.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Prior {
    /// `running`, …
    pub state: String,
    /// `m5.24xlarge`.
    pub instance_type: String,
    /// Its volumes, by device: whether each is deleted with it.
    pub deleted_with_it: BTreeMap<String, bool>,
    /// Volumes without a completed snapshot of this case.
    pub unsaved: BTreeSet<String>,
    /// What would launch another in its place.
    pub launcher: Option<String>,
}

impl Action for TerminateInstances {
    type Params = Params;
    type Prior = Prior;

    const NAME: &'static str = "ec2.terminate-instances";
    const TIER: Tier = Tier::Destructive;
    const KINDS: &'static [&'static str] = &["ec2.instance"];
    const TITLE: &'static str = "Terminate instances, and keep their volumes";
    const DESCRIPTION: &'static str = "Terminates instances for good, one id per request: AWS lets one bad id spoil a request, \
        and one protected instance everything in its zone. Before that it looks again and refuses an instance of which a \
        volume has no completed snapshot of this case (`evidence: waived` does without), and one that something would \
        replace: a persistent Spot request that lives, an Auto Scaling group or fleet that is not suspended. Then every \
        volume is set to outlive the instance, and termination and stop protection are cleared.\n\n\
        AWS pages: *Terminate Amazon EC2 instances*, *TerminateInstances*, *Preserve data when an instance is terminated*.";
    const UNDO: &'static str = "Not possible. The volumes stay, detached, and so do the snapshots; memory, instance-store \
        data, addresses and the network interfaces made with the instance are gone.";
    const PERMISSIONS: &'static [&'static str] = &[
        "autoscaling:DescribeAutoScalingGroups",
        "ec2:DescribeFleets",
        "ec2:DescribeInstances",
        "ec2:DescribeSnapshots",
        "ec2:DescribeSpotFleetRequests",
        "ec2:DescribeSpotInstanceRequests",
        "ec2:ModifyInstanceAttribute",
        "ec2:TerminateInstances",
    ];
    const UNDO_PERMISSIONS: &'static [&'static str] = &[];
    const EXAMPLE: &'static str = "{ id: end, uses: ec2.terminate-instances, on: rogue, needs: [evidence] }";

    async fn discover(&self, cx: &Ctx, _: &Params, members: &[Resource]) -> Result<Vec<Found<Prior>>, ActionError> {
        let client = super::client(cx);
        let evidence = held(&client, &cx.view.case);
        let (instances, evidence) = super::both(super::instances(&client, members), evidence).await?;
        let (groups, requests) =
            super::both(suspend_launchers::launching(cx, members), live_requests(&client, &instances)).await?;
        let found = instances.iter().filter_map(|instance| {
            let id = super::id(instance);
            let launcher = requests.get(id).or_else(|| groups.get(id)).cloned();
            found(instance, &evidence.originals, launcher)
        });
        Ok(found.collect())
    }

    fn plan(&self, _: &View, params: &Params, found: &Found<Prior>) -> Decision {
        let Prior { state, instance_type, unsaved, launcher, .. } = &found.prior;
        if super::is_terminated(state) {
            return Decision::Already;
        }
        let undo = Undo::impossible("the machine: its volumes stay, detached")
            .losing("the memory")
            .losing("instance-store data")
            .losing("its addresses");
        let summary = format!("terminate {} ({instance_type})", found.resource);
        let mut proposal = Proposal::new(summary, state, "terminated", undo);
        if params.evidence == Required::Snapshots && !unsaved.is_empty() {
            proposal = proposal.noting(format!("refused until snapshots of {} volumes are complete", unsaved.len()));
        }
        if let Some(launcher) = launcher {
            proposal = proposal.noting(format!("refused while it would be replaced: {launcher}"));
        }
        Decision::Change(proposal)
    }

    /// Whether evidence is there and launchers are quiet is looked at when it is terminated: earlier steps see to both.
    fn drift(&self, _: &Prior, _: &Prior) -> Option<String> {
        None
    }

    async fn preflight(&self, cx: &Ctx, _: &Params, items: &[Item<Prior>]) -> Vec<Finding> {
        let Some(item) = items.first() else { return Vec::new() };
        let answer = super::client(cx).terminate_instances().instance_ids(item.resource.as_str()).dry_run(true).send();
        super::asked(cx, "ec2:TerminateInstances", answer.await).into_iter().collect()
    }

    async fn apply(&self, cx: &Ctx, params: &Params, items: &[Item<Prior>]) -> Result<Vec<Effect>, ActionError> {
        let client = super::client(cx);
        for item in items {
            let id = item.resource.as_str();
            let now = super::described(&client, Some(filter("instance-id", [id]))).await?;
            let lives = now.iter().find(|instance| !super::is_terminated(&super::state(instance)));
            // An earlier attempt may have been carried out.
            let Some(instance) = lives else { continue };
            if let Some(launcher) = &item.prior.launcher {
                let message = format!("{id} would be replaced: {launcher}; that comes first");
                return Err(ActionError::new(ErrorKind::WrongState, message));
            }
            if params.evidence == Required::Snapshots {
                until_saved(&client, cx, id, &item.prior.unsaved).await?;
            }
            keep_volumes(&client, id, &item.prior.deleted_with_it).await?;
            if !super::is_spot(instance) {
                super::set_flag(&client, id, Flag::Termination, false).await?;
                super::set_flag(&client, id, Flag::Stop, false).await?;
            }
            client.terminate_instances().instance_ids(id).send().await?;
        }
        Ok(vec![Value::Null; items.len()])
    }

    fn verify(&self, _: &View, _: &Params, found: &Found<Prior>) -> Verdict {
        match found.prior.state.as_str() {
            "terminated" => Verdict::Proven,
            "shutting-down" => Verdict::Pending { why: "it is shutting-down".to_owned() },
            state => Verdict::Unproven { why: format!("it is {state}") },
        }
    }

    async fn undo(&self, _: &Ctx, _: &Params, item: &Item<Prior>, _: &Effect) -> Result<(), ActionError> {
        let message = format!("{} is terminated: its volumes and snapshots are what is left", item.resource);
        Err(ActionError::new(ErrorKind::WrongState, message))
    }
}

fn found(instance: &Instance, evidence: &[Evidence], launcher: Option<String>) -> Option<Found<Prior>> {
    let resource = ResourceId::new(super::id(instance)).ok()?;
    let saved = |volume: &str| evidence.iter().any(|of| of.volume == volume && of.state == "completed");
    let devices = instance.block_device_mappings().iter();
    let devices: Vec<_> = devices.filter_map(|device| Some((device.device_name()?, device.ebs()?))).collect();
    let unsaved = devices.iter().filter_map(|(_, ebs)| ebs.volume_id()).filter(|volume| !saved(volume));
    let deleted = |ebs: &aws_sdk_ec2::types::EbsInstanceBlockDevice| ebs.delete_on_termination().unwrap_or_default();
    let prior = Prior {
        state: super::state(instance),
        instance_type: instance.instance_type().map_or("", |kind| kind.as_str()).to_owned(),
        deleted_with_it: devices.iter().map(|(name, ebs)| ((*name).to_owned(), deleted(ebs))).collect(),
        unsaved: unsaved.map(str::to_owned).collect(),
        launcher,
    };
    Some(Found { member: resource.clone(), resource, prior })
}

/// By instance, the persistent Spot request that would launch another.
async fn live_requests(client: &Client, instances: &[Instance]) -> Result<HashMap<String, String>, ActionError> {
    let ids: Vec<&str> = instances.iter().filter_map(Instance::spot_instance_request_id).collect();
    let portions = ids
        .chunks(FILTER_VALUES)
        .map(|ids| spot_requests::described(client, Some(filter("spot-instance-request-id", ids.iter().copied()))));
    let requests = try_join_all(portions).await?.into_iter().flatten();
    let live = requests.filter_map(|request| {
        let state = request.state()?.as_str().to_owned();
        let persistent = request.r#type() == Some(&SpotInstanceType::Persistent);
        let lives = persistent && matches!(state.as_str(), "open" | "active" | "disabled");
        let why = format!("the persistent Spot request {} is {state}", request.spot_instance_request_id()?);
        lives.then_some((request.instance_id()?.to_owned(), why))
    });
    Ok(live.collect())
}

/// Waits until every volume that had none has a completed snapshot of this case.
async fn until_saved(client: &Client, cx: &Ctx, id: &str, unsaved: &BTreeSet<String>) -> Result<(), ActionError> {
    let mut waited = Duration::ZERO;
    let mut unsaved = unsaved.clone();
    while !unsaved.is_empty() {
        let evidence = held(client, &cx.view.case).await?.originals;
        let of = |volume: &String, done: &str| evidence.iter().any(|of| of.volume == *volume && of.state == done);
        unsaved.retain(|volume| !of(volume, "completed"));
        if let Some(volume) = unsaved.iter().find(|volume| !of(volume, "pending")) {
            let message =
                format!("no snapshot of {id}'s {volume} was taken in this case: ec2.snapshot-volumes comes first");
            return Err(ActionError::new(ErrorKind::WrongState, message));
        }
        if !unsaved.is_empty() && waited >= COPIED_WITHIN {
            let message = format!("{} snapshots of {id} are still being copied: terminate it later", unsaved.len());
            return Err(ActionError::new(ErrorKind::WrongState, message));
        }
        if !unsaved.is_empty() {
            sleep(LOOK_EVERY).await;
            waited += LOOK_EVERY;
        }
    }
    Ok(())
}

/// Lets every volume outlive the instance.
async fn keep_volumes(client: &Client, id: &str, deleted_with_it: &BTreeMap<String, bool>) -> Result<(), ActionError> {
    let kept = EbsInstanceBlockDeviceSpecification::builder().delete_on_termination(false).build();
    let devices = deleted_with_it.iter().filter(|(_, deleted)| **deleted).map(|(device, _)| {
        InstanceBlockDeviceMappingSpecification::builder().device_name(device).ebs(kept.clone()).build()
    });
    let devices: Vec<_> = devices.collect();
    if !devices.is_empty() {
        let request = client.modify_instance_attribute().instance_id(id);
        request.set_block_device_mappings(Some(devices)).send().await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::actions::tests::view;

    fn found(state: &str, unsaved: &[&str], launcher: Option<&str>) -> Found<Prior> {
        let id = ResourceId::new("i-1").unwrap();
        let prior = Prior {
            state: state.into(),
            instance_type: "c5.large".into(),
            deleted_with_it: BTreeMap::new(),
            unsaved: unsaved.iter().map(ToString::to_string).collect(),
            launcher: launcher.map(str::to_owned),
        };
        Found { member: id.clone(), resource: id, prior }
    }

    #[test]
    fn what_cannot_come_back_and_what_is_missing_is_said_before() {
        let params = Params { evidence: Required::Snapshots };
        let plan = |found: &Found<Prior>| TerminateInstances.plan(&view(), &params, found);
        let Decision::Change(proposal) = plan(&found("running", &["vol-1"], Some("group miners"))) else {
            panic!("no change")
        };
        assert_eq!(proposal.undo.how, None);
        assert_eq!(
            proposal.notes,
            ["refused until snapshots of 1 volumes are complete", "refused while it would be replaced: group miners"]
        );
        assert_eq!(plan(&found("shutting-down", &[], None)), Decision::Already);
    }

    #[test]
    fn shutting_down_is_not_yet_terminated() {
        let params = Params { evidence: Required::Waived };
        let verify = |state| TerminateInstances.verify(&view(), &params, &found(state, &[], None));
        assert_eq!(verify("terminated"), Verdict::Proven);
        assert!(matches!(verify("shutting-down"), Verdict::Pending { .. }));
        assert!(matches!(verify("stopped"), Verdict::Unproven { .. }));
    }
}
