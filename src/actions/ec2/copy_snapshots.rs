//! `ec2.copy-snapshots`

use std::collections::BTreeMap;

use aws_sdk_ec2::Client;
use aws_sdk_ec2::types::{ResourceType, TagSpecification};
use aws_smithy_types::retry::RetryConfig;
use futures::future::try_join_all;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;
use tokio::time::{Duration, sleep};

use super::snapshot_volumes::evidence::{COPY_OF, Evidence, OfInstance, held};
use crate::engine::action::{Action, Ctx, Decision, Found, Item, Proposal, View};
use crate::model::{ActionError, Effect, ErrorKind, Resource, ResourceId, Tier, Undo, Verdict};

/// How long to wait between two looks at a snapshot that is not complete yet.
const LOOK_EVERY: Duration = Duration::from_secs(15);
/// For how long: the first snapshot of a large disk takes hours, and a run that is resumed goes on from there.
const COMPLETE_WITHIN: Duration = Duration::from_mins(30);
/// Copies that AWS makes at a time in a region are limited to 20; how long one waits for a place before it asks again.
const NO_PLACE: Duration = Duration::from_mins(1);

/// Copies the snapshots of this case under another key.
pub struct CopySnapshots;

/// Under which.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// The KMS key as the account calls it in each region: `alias/forensics`, the id or ARN of a multi-Region key, or the ARN
    /// of a key in another account that may be used from here
    #[schemars(length(min = 1))]
    pub key: String,
}

/// What the case holds of an instance.
pub type Prior = OfInstance;

impl OfInstance {
    fn uncopied(&self) -> impl Iterator<Item = &Evidence> {
        self.originals.iter().filter(|evidence| !self.copies.contains_key(&evidence.snapshot))
    }

    fn failed(&self) -> Vec<&str> {
        let failed = self.copies.values().filter(|copy| copy.state == "error");
        failed.map(|copy| copy.snapshot.as_str()).collect()
    }
}

impl Action for CopySnapshots {
    type Params = Params;
    type Prior = Prior;

    const NAME: &'static str = "ec2.copy-snapshots";
    const TIER: Tier = Tier::Reversible;
    const KINDS: &'static [&'static str] = &["ec2.instance"];
    const TITLE: &'static str = "Copy the snapshots that were taken as evidence, under a key of your own";
    const DESCRIPTION: &'static str = "Copies every snapshot of the instance's volumes that this case has, within its region, \
        encrypted with the KMS key that is named. A snapshot under the default key `aws/ebs` cannot be shared, its copy can; \
        and whoever holds the account's keys cannot make the copy useless when the key belongs to another one. Comes after \
        `ec2.snapshot-volumes`, and fails where a volume has no snapshot of this case. AWS copies what is complete only: a \
        snapshot that is still being taken is waited for, half an hour at most; after that, resume the run. The copy's volume \
        id means nothing to AWS, so that the tags `quell:copy-of` and `quell:volume` tell what it is of. The key must let the \
        responder's role use it (`kms:DescribeKey`, `kms:CreateGrant`, `kms:GenerateDataKey*`, `kms:ReEncrypt*`): where it \
        does not, AWS accepts the request, and the copy fails afterwards.\n\n\
        AWS pages: *CopySnapshot*, *Copy an Amazon EBS snapshot*, *Share an Amazon EBS snapshot*.";
    const UNDO: &'static str =
        "Nothing: the copies are evidence and stay. Delete them by hand when the case is closed.";
    const PERMISSIONS: &'static [&'static str] =
        &["ec2:DescribeInstances", "ec2:DescribeSnapshots", "ec2:CopySnapshot", "ec2:CreateTags"];
    const UNDO_PERMISSIONS: &'static [&'static str] = &[];
    const EXAMPLE: &'static str =
        "{ id: copy, uses: ec2.copy-snapshots, on: rogue, needs: [evidence], with: { key: alias/forensics } }";

    async fn discover(&self, cx: &Ctx, _: &Params, members: &[Resource]) -> Result<Vec<Found<Prior>>, ActionError> {
        let client = super::client(cx);
        let (instances, held) = super::both(super::instances(&client, members), held(&client, &cx.view.case)).await?;
        let found = instances.iter().filter_map(|instance| {
            let resource = ResourceId::new(super::id(instance)).ok()?;
            Some(Found { member: resource.clone(), resource, prior: held.of(instance) })
        });
        Ok(found.collect())
    }

    fn plan(&self, _: &View, params: &Params, found: &Found<Prior>) -> Decision {
        let prior = &found.prior;
        if prior.volumes.is_empty() && prior.originals.is_empty() {
            return Decision::Skip("it has no EBS volume, and no snapshot".to_owned());
        }
        if prior.untaken().is_empty() && prior.uncopied().next().is_none() {
            return Decision::Already;
        }
        let summary = format!("copy the snapshots of {} under {}", found.resource, params.key);
        let undo = Undo::by("nothing to take back: the copies stay as evidence");
        Decision::Change(Proposal::new(summary, "no copies", format!("copies under {}", params.key), undo))
    }

    /// Snapshots are taken after the plan was made.
    fn drift(&self, _: &Prior, _: &Prior) -> Option<String> {
        None
    }

    async fn apply(&self, cx: &Ctx, params: &Params, items: &[Item<Prior>]) -> Result<Vec<Effect>, ActionError> {
        let effects = items.iter().map(|item| async move {
            if let [volume, ..] = item.prior.untaken()[..] {
                return Err(nothing_taken(&item.resource, volume));
            }
            let copies = item.prior.uncopied().map(|original| copy(cx, params, item, original));
            Ok(json!({ "copies": try_join_all(copies).await? }))
        });
        try_join_all(effects).await
    }

    fn verify(&self, _: &View, _: &Params, found: &Found<Prior>) -> Verdict {
        let prior = &found.prior;
        let open: Vec<&str> =
            prior.uncopied().map(|original| original.snapshot.as_str()).chain(prior.untaken()).collect();
        if !open.is_empty() {
            return Verdict::Unproven { why: format!("{} not copied", open.join(", ")) };
        }
        if let failed @ [_, ..] = &prior.failed()[..] {
            let why = format!(
                "the copy {} failed: mostly, the key may not be used; delete the copy and run again",
                failed.join(", ")
            );
            return Verdict::Unproven { why };
        }
        match prior.copies.values().find(|copy| copy.state != "completed") {
            None => Verdict::Proven,
            Some(copy) => Verdict::Pending { why: format!("{} is being copied", copy.snapshot) },
        }
    }

    fn made(&self, found: &Found<Prior>) -> Effect {
        json!({ "copies": found.prior.copies.values().map(|copy| &copy.snapshot).collect::<Vec<_>>() })
    }

    /// Nothing is taken back, so nothing has to be as before.
    fn restored(&self, _: &Prior, _: &Prior) -> Verdict {
        Verdict::Proven
    }

    async fn undo(&self, _: &Ctx, _: &Params, _: &Item<Prior>, _: &Effect) -> Result<(), ActionError> {
        Ok(())
    }
}

/// What a step says whose instance has a volume without a snapshot.
pub fn nothing_taken(instance: &ResourceId, volume: &str) -> ActionError {
    let why = format!("no snapshot of {instance}'s {volume} was taken in this case: ec2.snapshot-volumes comes first");
    ActionError::new(ErrorKind::WrongState, why)
}

/// Copies one snapshot, when it is complete; gives the copy's id. The request has no token and is sent once only: whoever
/// comes again looks for the tag first.
async fn copy(cx: &Ctx, params: &Params, item: &Item<Prior>, original: &Evidence) -> Result<String, ActionError> {
    let client = super::client(cx);
    until_complete(&client, original).await?;
    let once = || aws_sdk_ec2::config::Config::builder().retry_config(RetryConfig::standard().with_max_attempts(1));
    let mut waited = Duration::ZERO;
    loop {
        let request = client
            .copy_snapshot()
            .source_region(cx.target.region.as_str())
            .source_snapshot_id(&original.snapshot)
            .encrypted(true)
            .kms_key_id(&params.key)
            .description(format!("quell {}: copy of {}", cx.view.case, original.snapshot))
            .tag_specifications(lineage(cx, item, original));
        match request.customize().config_override(once()).send().await.map_err(ActionError::from) {
            Ok(answer) => return Ok(answer.snapshot_id.unwrap_or_default()),
            Err(error) if error.is("ResourceLimitExceeded") && waited < COMPLETE_WITHIN => {
                sleep(NO_PLACE).await;
                waited += NO_PLACE;
            }
            Err(error) => return Err(error),
        }
    }
}

fn lineage(cx: &Ctx, item: &Item<Prior>, original: &Evidence) -> TagSpecification {
    let tags = [
        ("quell:case", cx.view.case.as_str()),
        ("quell:change", item.change.as_str()),
        (COPY_OF, original.snapshot.as_str()),
        ("quell:volume", original.volume.as_str()),
        ("quell:instance", item.resource.as_str()),
    ];
    let tags: BTreeMap<String, String> = tags.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
    let snapshot = TagSpecification::builder().resource_type(ResourceType::Snapshot);
    snapshot.set_tags(Some(super::tag_list(&tags))).build()
}

async fn until_complete(client: &Client, original: &Evidence) -> Result<(), ActionError> {
    let (mut state, mut waited) = (original.state.clone(), Duration::ZERO);
    while state != "completed" {
        if waited >= COMPLETE_WITHIN {
            let message = format!(
                "{} is still {state} after {} min, and only what is complete can be copied: resume the run later",
                original.snapshot,
                waited.as_secs() / 60
            );
            return Err(ActionError::new(ErrorKind::WrongState, message));
        }
        sleep(LOOK_EVERY).await;
        waited += LOOK_EVERY;
        let answer = client.describe_snapshots().snapshot_ids(&original.snapshot).send().await?;
        let found = answer.snapshots().first().and_then(|snapshot| snapshot.state());
        found.map_or("gone", |state| state.as_str()).clone_into(&mut state);
        if matches!(state.as_str(), "error" | "gone") {
            let message = format!("{} is {state}: there is nothing to copy", original.snapshot);
            return Err(ActionError::new(ErrorKind::NotFound, message));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::actions::ec2::snapshot_volumes::evidence::Copied;
    use crate::actions::tests::view;

    fn found(volumes: &[&str], taken: &[&str], copies: &[(&str, &str)]) -> Found<Prior> {
        let id = ResourceId::new("i-1").unwrap();
        let original = |volume: &&str| Evidence {
            snapshot: format!("snap-of-{volume}"),
            volume: (*volume).to_owned(),
            started: String::new(),
            state: "completed".into(),
            instance: "i-1".into(),
        };
        let copy = |(volume, state): &(&str, &str)| {
            let copy = Copied { snapshot: format!("copy-of-{volume}"), state: (*state).to_owned() };
            (format!("snap-of-{volume}"), copy)
        };
        let prior = Prior {
            volumes: volumes.iter().map(ToString::to_string).collect(),
            originals: taken.iter().map(original).collect(),
            copies: copies.iter().map(copy).collect(),
        };
        Found { member: id.clone(), resource: id, prior }
    }

    fn params() -> Params {
        Params { key: "alias/forensics".into() }
    }

    #[test]
    fn what_is_not_taken_not_copied_or_failed_is_no_proof() {
        let verify = |found: &Found<Prior>| CopySnapshots.verify(&view(), &params(), found);
        let why = |found: &Found<Prior>| match verify(found) {
            Verdict::Unproven { why } => why,
            other => panic!("{other:?} of {found:?}"),
        };
        assert_eq!(why(&found(&["v1"], &[], &[])), "v1 not copied");
        assert_eq!(why(&found(&["v1", "v2"], &["v1", "v2"], &[("v1", "completed")])), "snap-of-v2 not copied");
        assert!(why(&found(&["v1"], &["v1"], &[("v1", "error")])).contains("copy-of-v1 failed"));
        assert!(matches!(verify(&found(&["v1"], &["v1"], &[("v1", "pending")])), Verdict::Pending { .. }));
        assert_eq!(verify(&found(&["v1"], &["v1"], &[("v1", "completed")])), Verdict::Proven);
    }

    #[test]
    fn what_has_a_copy_needs_no_other() {
        let plan = |found: &Found<Prior>| CopySnapshots.plan(&view(), &params(), found);
        let Decision::Change(proposal) = plan(&found(&["v1"], &[], &[])) else { panic!("no change") };
        assert_eq!(proposal.summary, "copy the snapshots of i-1 under alias/forensics");
        assert_eq!(plan(&found(&["v1"], &["v1"], &[("v1", "pending")])), Decision::Already);
        assert!(matches!(plan(&found(&[], &[], &[])), Decision::Skip(_)));
    }
}
