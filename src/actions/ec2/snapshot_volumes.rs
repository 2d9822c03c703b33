//! `ec2.snapshot-volumes`

pub(super) mod evidence;

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_ec2::Client;
use aws_sdk_ec2::types::{
    CopyTagsFromSource, Instance, InstanceSpecification, ResourceType, SnapshotState, TagSpecification,
};
use aws_smithy_types::DateTime;
use aws_smithy_types::retry::RetryConfig;
use futures::future::try_join_all;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::time::{Duration, sleep};

use self::evidence::{Evidence, OF, held, tagged};
use super::filter;
use crate::actions::field::time;
use crate::engine::action::{Action, Ctx, Decision, Found, Item, Proposal, View};
use crate::model::{ActionError, Effect, ErrorKind, Finding, Resource, ResourceId, Tier, Undo, Verdict};

/// AWS takes one snapshot of a volume per 15 s, and a few at a time.
const VOLUME_BUSY: Duration = Duration::from_secs(16);
/// How long a new snapshot may take to be listed.
const UNTIL_LISTED: Duration = Duration::from_secs(5);
/// How often a creation is tried.
const TRIES: u32 = 6;

/// Takes snapshots of all volumes of an instance.
pub struct SnapshotVolumes;

/// What the snapshots carry.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// Tags beside `quell:case`, `quell:change` and those of the volumes.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
}

/// The volumes of an instance, and the snapshots of them that this case has.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Prior {
    /// The instance's state.
    pub state: String,
    /// The volume it starts from, if that is an EBS volume.
    pub root: Option<String>,
    /// All EBS volumes.
    pub volumes: BTreeSet<String>,
    /// Snapshots of this case, those that failed left out.
    pub snapshots: Vec<Evidence>,
}

impl Prior {
    /// Volumes without a snapshot.
    fn open(&self) -> BTreeSet<&str> {
        let taken: BTreeSet<&str> = self.snapshots.iter().map(|evidence| evidence.volume.as_str()).collect();
        self.volumes.iter().map(String::as_str).filter(|volume| !taken.contains(volume)).collect()
    }
}

impl Action for SnapshotVolumes {
    type Params = Params;
    type Prior = Prior;

    const NAME: &'static str = "ec2.snapshot-volumes";
    const TIER: Tier = Tier::Reversible;
    const KINDS: &'static [&'static str] = &["ec2.instance"];
    const TITLE: &'static str = "Take snapshots of all volumes, as evidence";
    const DESCRIPTION: &'static str = "Takes crash-consistent snapshots of all EBS volumes of an instance in one request, \
        tagged `quell:case` and `quell:change`, with the tags of the volume beside them. The content is fixed when the \
        request is accepted; the copying goes on afterwards, so a machine may be stopped at once. The request has no \
        client token: quell looks for its own tag before it asks, so that a resumed run takes no second one. Memory and \
        instance-store volumes are not in a snapshot. When somebody terminates the instance meanwhile, the volumes that \
        outlive it (`ec2.protect` sees to that) are taken one by one.\n\n\
        AWS pages: *Create Amazon EBS snapshots*, *CreateSnapshots*, *Quotas for Amazon EBS*.";
    const UNDO: &'static str =
        "Nothing: the snapshots are evidence and stay. Delete them by hand when the case is closed.";
    const PERMISSIONS: &'static [&'static str] = &[
        "ec2:DescribeInstances",
        "ec2:DescribeSnapshots",
        "ec2:DescribeVolumes",
        "ec2:CreateSnapshots",
        "ec2:CreateSnapshot",
        "ec2:CreateTags",
    ];
    const UNDO_PERMISSIONS: &'static [&'static str] = &[];
    const EXAMPLE: &'static str = "{ id: evidence, uses: ec2.snapshot-volumes, on: rogue }";

    async fn discover(&self, cx: &Ctx, _: &Params, members: &[Resource]) -> Result<Vec<Found<Prior>>, ActionError> {
        let client = super::client(cx);
        let (instances, held) = super::both(super::instances(&client, members), held(&client, &cx.view.case)).await?;
        Ok(instances.iter().filter_map(|instance| found(instance, &held.originals)).collect())
    }

    /// A terminated instance does not show its volumes any more; those that were approved and outlived it are still there.
    async fn look_again(
        &self,
        cx: &Ctx,
        params: &Params,
        members: &[Resource],
        approved: &[Item<Prior>],
    ) -> Result<Vec<Found<Prior>>, ActionError> {
        let mut found = self.discover(cx, params, members).await?;
        for Found { resource, prior, .. } in found.iter_mut().filter(|found| super::is_terminated(&found.prior.state)) {
            let Some(approved) = approved.iter().find(|item| item.resource == *resource) else { continue };
            prior.volumes.extend(there(&super::client(cx), &approved.prior.volumes).await?);
        }
        Ok(found)
    }

    fn plan(&self, _: &View, _: &Params, found: &Found<Prior>) -> Decision {
        let prior = &found.prior;
        if prior.volumes.is_empty() {
            let why = match prior.state.as_str() {
                "terminated" | "shutting-down" => "it is terminated: its volumes are gone or detached",
                _ => "it has no EBS volume: an instance store cannot be snapshot, capture its memory or disk by hand",
            };
            return Decision::Skip(why.to_owned());
        }
        let open = prior.open();
        if open.is_empty() {
            return Decision::Already;
        }
        let undo = Undo::by("nothing to take back: the snapshots stay as evidence");
        let before = format!("{} volumes without a snapshot", open.len());
        let after = format!("{} snapshots", open.len());
        let summary = format!("take snapshots of {}'s {} volumes", found.resource, open.len());
        Decision::Change(Proposal::new(summary, before, after, undo))
    }

    fn drift(&self, approved: &Prior, now: &Prior) -> Option<String> {
        let lost: Vec<&str> = approved.volumes.difference(&now.volumes).map(String::as_str).collect();
        (!lost.is_empty()).then(|| format!("{} not attached any more", lost.join(", ")))
    }

    async fn preflight(&self, cx: &Ctx, params: &Params, items: &[Item<Prior>]) -> Vec<Finding> {
        let Some(item) = items.first() else { return Vec::new() };
        let request = creation(&super::client(cx), cx, params, item, &item.prior);
        super::asked(cx, "ec2:CreateSnapshots", request.dry_run(true).send().await).into_iter().collect()
    }

    async fn apply(&self, cx: &Ctx, params: &Params, items: &[Item<Prior>]) -> Result<Vec<Effect>, ActionError> {
        let effects = items.iter().map(|item| async move {
            let evidence = take(cx, params, item).await?;
            Ok(json!({ "snapshots": evidence }))
        });
        try_join_all(effects).await
    }

    fn verify(&self, _: &View, _: &Params, found: &Found<Prior>) -> Verdict {
        let open = found.prior.open();
        if open.is_empty() && !found.prior.snapshots.is_empty() {
            return Verdict::Proven;
        }
        let volumes: Vec<&str> = open.into_iter().collect();
        Verdict::Unproven { why: format!("no snapshot of {}", volumes.join(", ")) }
    }

    fn made(&self, found: &Found<Prior>) -> Effect {
        json!({ "snapshots": found.prior.snapshots })
    }

    /// Nothing is taken back, so nothing has to be as before.
    fn restored(&self, _: &Prior, _: &Prior) -> Verdict {
        Verdict::Proven
    }

    async fn undo(&self, _: &Ctx, _: &Params, _: &Item<Prior>, _: &Effect) -> Result<(), ActionError> {
        Ok(())
    }
}

fn found(instance: &Instance, snapshots: &[Evidence]) -> Option<Found<Prior>> {
    let resource = ResourceId::new(super::id(instance)).ok()?;
    let volume = |mapping: &aws_sdk_ec2::types::InstanceBlockDeviceMapping| {
        Some((mapping.device_name()?.to_owned(), mapping.ebs()?.volume_id()?.to_owned()))
    };
    let devices: BTreeMap<String, String> = instance.block_device_mappings().iter().filter_map(volume).collect();
    let root = instance.root_device_name().and_then(|device| devices.get(device)).cloned();
    let volumes: BTreeSet<String> = devices.into_values().collect();
    let state = super::state(instance);
    // One that a later step terminated shows no volumes any more.
    let was_of_it = |evidence: &Evidence| super::is_terminated(&state) && evidence.instance == resource.as_str();
    let of_it = |evidence: &&Evidence| volumes.contains(&evidence.volume) || was_of_it(evidence);
    let snapshots = snapshots.iter().filter(of_it).cloned().collect();
    let prior = Prior { state, root, volumes, snapshots };
    Some(Found { member: resource.clone(), resource, prior })
}

/// Those of the volumes that exist.
async fn there(client: &Client, volumes: &BTreeSet<String>) -> Result<Vec<String>, ActionError> {
    if volumes.is_empty() {
        return Ok(Vec::new());
    }
    let request = client.describe_volumes().filters(filter("volume-id", volumes.iter().map(String::as_str)));
    let answer = request.send().await?;
    Ok(answer.volumes().iter().filter_map(|volume| volume.volume_id().map(str::to_owned)).collect())
}

type Creation = aws_sdk_ec2::operation::create_snapshots::builders::CreateSnapshotsFluentBuilder;

/// The request for the volumes that have no snapshot yet.
fn creation(client: &Client, cx: &Ctx, params: &Params, item: &Item<Prior>, prior: &Prior) -> Creation {
    let open = prior.open();
    let is_taken = |volume: &&String| !open.contains(volume.as_str());
    let root = prior.root.as_ref();
    let data = prior.volumes.iter().filter(|volume| Some(*volume) != root).filter(is_taken).cloned();
    let data: Vec<String> = data.collect();
    let specification = InstanceSpecification::builder()
        .instance_id(item.resource.as_str())
        .set_exclude_boot_volume(root.filter(is_taken).map(|_| true))
        .set_exclude_data_volume_ids((!data.is_empty()).then_some(data))
        .build();
    client
        .create_snapshots()
        .instance_specification(specification)
        .description(description(cx, item))
        .copy_tags_from_source(CopyTagsFromSource::Volume)
        .tag_specifications(tags(cx, params, item))
}

fn description(cx: &Ctx, item: &Item<Prior>) -> String {
    format!("quell {}{OF}{}", cx.view.case, item.resource)
}

fn tags(cx: &Ctx, params: &Params, item: &Item<Prior>) -> TagSpecification {
    let own = [("quell:case", cx.view.case.as_str()), ("quell:change", item.change.as_str())];
    let own = own.map(|(key, value)| (key.to_owned(), value.to_owned()));
    let tags: BTreeMap<String, String> = params.tags.clone().into_iter().chain(own).collect();
    let snapshot = TagSpecification::builder().resource_type(ResourceType::Snapshot);
    snapshot.set_tags(Some(super::tag_list(&tags))).build()
}

/// Asks for every snapshot that is missing. Sent once only: a repeat after an unknown outcome could take one twice.
async fn create(
    client: &Client,
    cx: &Ctx,
    params: &Params,
    item: &Item<Prior>,
    prior: &Prior,
) -> Result<Vec<Evidence>, ActionError> {
    let once = || aws_sdk_ec2::config::Config::builder().retry_config(RetryConfig::standard().with_max_attempts(1));
    if !super::is_terminated(&prior.state) {
        let request = creation(client, cx, params, item, prior).customize().config_override(once());
        let answer = request.send().await?;
        let made = answer.snapshots().iter();
        return Ok(made
            .map(|of| evidence(item, of.snapshot_id().zip(of.volume_id()), of.start_time(), of.state()))
            .collect());
    }
    let mut made = Vec::new();
    for volume in prior.open() {
        let request = client.create_snapshot().volume_id(volume).description(description(cx, item));
        let request = request.tag_specifications(tags(cx, params, item)).customize().config_override(once());
        let of = request.send().await?;
        made.push(evidence(item, of.snapshot_id().zip(of.volume_id()), of.start_time(), of.state()));
    }
    Ok(made)
}

/// A snapshot as AWS's answer to its creation tells it.
fn evidence(
    item: &Item<Prior>,
    ids: Option<(&str, &str)>,
    started: Option<&DateTime>,
    state: Option<&SnapshotState>,
) -> Evidence {
    let (snapshot, volume) = ids.unwrap_or_default();
    Evidence {
        snapshot: snapshot.to_owned(),
        volume: volume.to_owned(),
        started: time(started),
        state: state.map_or("", |state| state.as_str()).to_owned(),
        instance: item.resource.to_string(),
    }
}

/// Takes the snapshots that are missing, and returns all.
async fn take(cx: &Ctx, params: &Params, item: &Item<Prior>) -> Result<Vec<Evidence>, ActionError> {
    let client = super::client(cx);
    let mut prior = item.prior.clone();
    for attempt in 1.. {
        if prior.open().is_empty() {
            break;
        }
        let error = match create(&client, cx, params, item, &prior).await {
            Ok(made) => {
                prior.snapshots.extend(made);
                break;
            }
            Err(error) => error,
        };
        let wait = match error.code.as_deref() {
            Some("ConcurrentSnapshotLimitExceeded" | "SnapshotCreationPerVolumeRateExceeded") => VOLUME_BUSY,
            _ if error.kind == ErrorKind::Throttled => UNTIL_LISTED,
            _ if error.kind == ErrorKind::Unreachable => UNTIL_LISTED,
            _ => return Err(error),
        };
        if attempt == TRIES {
            return Err(error);
        }
        sleep(wait).await;
        // Some may have been taken before the one that failed.
        if error.kind == ErrorKind::Unreachable || super::is_terminated(&prior.state) {
            prior.snapshots = tagged(&client, "tag:quell:change", item.change.as_str()).await?.originals;
        }
    }
    Ok(prior.snapshots)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::actions::tests::view;

    fn found(volumes: &[&str], taken: &[&str]) -> Found<Prior> {
        let id = ResourceId::new("i-1").unwrap();
        let snapshots = taken.iter().map(|volume| Evidence {
            snapshot: format!("snap-{volume}"),
            volume: (*volume).to_owned(),
            started: String::new(),
            state: "pending".into(),
            instance: "i-1".into(),
        });
        let prior = Prior {
            state: "running".into(),
            root: volumes.first().map(ToString::to_string),
            volumes: volumes.iter().map(ToString::to_string).collect(),
            snapshots: snapshots.collect(),
        };
        Found { member: id.clone(), resource: id, prior }
    }

    fn plan(found: &Found<Prior>) -> Decision {
        SnapshotVolumes.plan(&view(), &Params { tags: BTreeMap::new() }, found)
    }

    #[test]
    fn every_volume_needs_a_snapshot() {
        let Decision::Change(proposal) = plan(&found(&["vol-1", "vol-2"], &["vol-1"])) else { panic!("no change") };
        assert_eq!(proposal.summary, "take snapshots of i-1's 1 volumes");
        assert_eq!(plan(&found(&["vol-1"], &["vol-1"])), Decision::Already);
        assert!(matches!(plan(&found(&[], &[])), Decision::Skip(why) if why.contains("instance store")));
    }

    #[test]
    fn a_pending_snapshot_is_proof_and_a_missing_one_is_named() {
        let verify = |found| SnapshotVolumes.verify(&view(), &Params { tags: BTreeMap::new() }, &found);
        assert_eq!(verify(found(&["vol-1"], &["vol-1"])), Verdict::Proven);
        let missing = Verdict::Unproven { why: "no snapshot of vol-2".into() };
        assert_eq!(verify(found(&["vol-1", "vol-2"], &["vol-1"])), missing);
    }

    #[test]
    fn only_a_lost_volume_voids_the_approval() {
        let (one, two) = (found(&["vol-1"], &[]).prior, found(&["vol-1", "vol-2"], &["vol-1"]).prior);
        assert_eq!(SnapshotVolumes.drift(&one, &two), None);
        assert!(SnapshotVolumes.drift(&two, &one).is_some_and(|why| why.contains("vol-2")));
    }
}
