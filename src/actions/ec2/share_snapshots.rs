//! `ec2.share-snapshots`

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_ec2::Client;
use aws_sdk_ec2::types::{CreateVolumePermission, CreateVolumePermissionModifications, SnapshotAttributeName};
use futures::future::try_join_all;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, json};

use super::copy_snapshots::nothing_taken;
use super::snapshot_volumes::evidence::{OfInstance, held};
use crate::engine::action::{Action, Ctx, Decision, Found, Item, Proposal, View};
use crate::model::{AccountId, ActionError, Effect, ErrorKind, Kind, Resource, ResourceId, Tier, Undo, Verdict};

/// Shares the snapshots of this case with other accounts.
pub struct ShareSnapshots;

/// With whom.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// The account ids
    #[schemars(length(min = 1, max = 500))]
    pub accounts: BTreeSet<AccountId>,
}

/// The snapshots of this case that an instance's volumes have, and who may read them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Prior {
    /// The volumes of which there is no snapshot.
    pub untaken: BTreeSet<String>,
    /// What is to be shared: the copy of each snapshot that has one, the snapshot itself of the others; and with whom each is
    /// already.
    pub shared: BTreeMap<String, BTreeSet<String>>,
}

impl Prior {
    /// Whom each snapshot still lacks.
    fn lacking<'a>(&'a self, params: &'a Params) -> impl Iterator<Item = (&'a str, Vec<&'a str>)> {
        self.shared.iter().filter_map(|(snapshot, with)| {
            let wanted = params.accounts.iter().map(AccountId::as_str);
            let lacking: Vec<&str> = wanted.filter(|account| !with.contains(*account)).collect();
            (!lacking.is_empty()).then_some((snapshot.as_str(), lacking))
        })
    }
}

impl Params {
    fn names(&self) -> String {
        self.accounts.iter().map(AccountId::as_str).collect::<Vec<_>>().join(", ")
    }
}

impl Action for ShareSnapshots {
    type Params = Params;
    type Prior = Prior;

    const NAME: &'static str = "ec2.share-snapshots";
    const TIER: Tier = Tier::Reversible;
    const KINDS: &'static [&'static str] = &["ec2.instance"];
    const TITLE: &'static str = "Share the snapshots that were taken as evidence with another account";
    const DESCRIPTION: &'static str = "Lets other accounts, such as one for forensics, read every snapshot of the instance's \
        volumes that this case has: its copy where `ec2.copy-snapshots` made one, itself otherwise. Comes after \
        `ec2.snapshot-volumes`, and fails where a volume has no snapshot of this case. AWS refuses to share what is encrypted \
        with the default key `aws/ebs`: copy it first. The key of an encrypted one has to be shared too, which is done in the \
        key's policy and not by quell. Whoever a snapshot is shared with can copy it: what was copied stays with them.\n\n\
        AWS pages: *Share an Amazon EBS snapshot*, *ModifySnapshotAttribute*.";
    const UNDO: &'static str =
        "Takes back the permissions that this change gave. What was copied meanwhile stays copied.";
    const PERMISSIONS: &'static [&'static str] = &[
        "ec2:DescribeInstances",
        "ec2:DescribeSnapshots",
        "ec2:DescribeSnapshotAttribute",
        "ec2:ModifySnapshotAttribute",
    ];
    const UNDO_PERMISSIONS: &'static [&'static str] = &[];
    const EXAMPLE: &'static str =
        "{ id: share, uses: ec2.share-snapshots, on: rogue, needs: [copy], with: { accounts: [\"210987654321\"] } }";

    async fn discover(&self, cx: &Ctx, _: &Params, members: &[Resource]) -> Result<Vec<Found<Prior>>, ActionError> {
        let client = super::client(cx);
        let (instances, held) = super::both(super::instances(&client, members), held(&client, &cx.view.case)).await?;
        let found = instances.iter().map(|instance| (super::id(instance), held.of(instance)));
        let found =
            found.filter_map(|(id, of_it)| Some((ResourceId::new(id).ok()?, of_it))).map(|(resource, of_it)| {
                let client = &client;
                async move { Ok(Found { member: resource.clone(), resource, prior: prior(client, &of_it).await? }) }
            });
        try_join_all(found).await
    }

    fn plan(&self, _: &View, params: &Params, found: &Found<Prior>) -> Decision {
        let prior = &found.prior;
        if prior.untaken.is_empty() && prior.shared.is_empty() {
            return Decision::Skip("it has no EBS volume, and no snapshot".to_owned());
        }
        if prior.untaken.is_empty() && prior.lacking(params).next().is_none() {
            return Decision::Already;
        }
        let names = params.names();
        let summary = format!("share the snapshots of {} with {names}", found.resource);
        let undo = Undo::by("end the sharing").losing("what the account copied meanwhile");
        Decision::Change(Proposal::new(summary, "not shared", format!("shared with {names}"), undo))
    }

    /// Snapshots are taken after the plan was made.
    fn drift(&self, _: &Prior, _: &Prior) -> Option<String> {
        None
    }

    async fn apply(&self, cx: &Ctx, params: &Params, items: &[Item<Prior>]) -> Result<Vec<Effect>, ActionError> {
        let client = super::client(cx);
        let effects = items.iter().map(|item| {
            let client = &client;
            async move {
                if let Some(volume) = item.prior.untaken.first() {
                    return Err(nothing_taken(&item.resource, volume));
                }
                let shares = item.prior.lacking(params).map(|(snapshot, with)| share(client, snapshot, with));
                try_join_all(shares).await?;
                let shared: BTreeMap<&str, Vec<&str>> = item.prior.lacking(params).collect();
                Ok(json!({ "shared": shared }))
            }
        });
        try_join_all(effects).await
    }

    fn verify(&self, _: &View, params: &Params, found: &Found<Prior>) -> Verdict {
        let lacking = found.prior.lacking(params).map(|(snapshot, _)| snapshot);
        let open: Vec<&str> = lacking.chain(found.prior.untaken.iter().map(String::as_str)).collect();
        if open.is_empty() {
            return Verdict::Proven;
        }
        Verdict::Unproven { why: format!("{} not shared", open.join(", ")) }
    }

    fn restored(&self, prior: &Prior, now: &Prior) -> Verdict {
        let before = |snapshot: &String| prior.shared.get(snapshot).cloned().unwrap_or_default();
        let more = now.shared.iter().filter(|(snapshot, with)| !with.is_subset(&before(snapshot)));
        match more.map(|(snapshot, _)| snapshot.as_str()).collect::<Vec<_>>()[..] {
            [] => Verdict::Proven,
            ref shared => Verdict::Unproven { why: format!("{} still shared", shared.join(", ")) },
        }
    }

    /// Works from a look, as an attempt that was cut off does not know what it shared.
    async fn undo(&self, cx: &Ctx, params: &Params, item: &Item<Prior>, _: &Effect) -> Result<(), ActionError> {
        let client = super::client(cx);
        let kind = Kind::new(Self::KINDS[0]);
        let member = Resource { kind, id: item.member.clone(), target: cx.target.clone(), fields: Map::new() };
        let now = self.discover(cx, params, &[member]).await?;
        let shared = now.iter().flat_map(|found| &found.prior.shared);
        let ends = shared.map(|(snapshot, with)| {
            let before = item.prior.shared.get(snapshot);
            let ours = params.accounts.iter().map(AccountId::as_str);
            let ours = ours.filter(|account| with.contains(*account));
            let ours: Vec<&str> = ours.filter(|account| !before.is_some_and(|with| with.contains(*account))).collect();
            let client = &client;
            async move { if ours.is_empty() { Ok(()) } else { super::unless_gone(end(client, snapshot, ours).await) } }
        });
        try_join_all(ends).await.map(drop)
    }
}

fn permissions(accounts: Vec<&str>) -> Vec<CreateVolumePermission> {
    accounts.into_iter().map(|account| CreateVolumePermission::builder().user_id(account).build()).collect()
}

async fn modify(
    client: &Client,
    snapshot: &str,
    permissions: CreateVolumePermissionModifications,
) -> Result<(), ActionError> {
    let request = client.modify_snapshot_attribute().snapshot_id(snapshot);
    let request = request.attribute(SnapshotAttributeName::CreateVolumePermission);
    Ok(request.create_volume_permission(permissions).send().await.map(drop)?)
}

/// Shares a snapshot. AWS's own refusal of the default key does not say what to do.
async fn share(client: &Client, snapshot: &str, with: Vec<&str>) -> Result<(), ActionError> {
    let add = CreateVolumePermissionModifications::builder().set_add(Some(permissions(with))).build();
    modify(client, snapshot, add).await.map_err(|error| {
        if !error.is("InvalidParameter") {
            return error;
        }
        let message = format!("{}: copy it under a key of your own first (ec2.copy-snapshots)", error.message);
        ActionError { message, kind: ErrorKind::WrongState, ..error }
    })
}

async fn end(client: &Client, snapshot: &str, with: Vec<&str>) -> Result<(), ActionError> {
    let remove = CreateVolumePermissionModifications::builder().set_remove(Some(permissions(with))).build();
    modify(client, snapshot, remove).await
}

/// What is to be shared of an instance, and with whom each is.
async fn prior(client: &Client, of_it: &OfInstance) -> Result<Prior, ActionError> {
    let what = of_it
        .originals
        .iter()
        .map(|original| of_it.copies.get(&original.snapshot).map_or(&original.snapshot, |copy| &copy.snapshot));
    let shared = what.map(|snapshot| async move {
        let request = client.describe_snapshot_attribute().snapshot_id(snapshot);
        let answer = request.attribute(SnapshotAttributeName::CreateVolumePermission).send().await?;
        let with = answer.create_volume_permissions().iter();
        let with = with.filter_map(|permission| permission.user_id().map(str::to_owned)).collect();
        Ok::<_, ActionError>((snapshot.clone(), with))
    });
    let untaken = of_it.untaken().into_iter().map(str::to_owned).collect();
    Ok(Prior { untaken, shared: try_join_all(shared).await?.into_iter().collect() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::actions::tests::view;

    const FORENSICS: &str = "210987654321";

    fn found(untaken: &[&str], shared: &[(&str, &[&str])]) -> Found<Prior> {
        let id = ResourceId::new("i-1").unwrap();
        let set = |names: &[&str]| names.iter().map(ToString::to_string).collect::<BTreeSet<_>>();
        let shared = shared.iter().map(|(snapshot, with)| ((*snapshot).to_owned(), set(with))).collect();
        Found { member: id.clone(), resource: id, prior: Prior { untaken: set(untaken), shared } }
    }

    fn params() -> Params {
        Params { accounts: BTreeSet::from([AccountId::new(FORENSICS).unwrap()]) }
    }

    #[test]
    fn what_is_not_taken_or_not_shared_is_a_change_and_no_proof() {
        let plan = |found: &Found<Prior>| ShareSnapshots.plan(&view(), &params(), found);
        let verify = |found: &Found<Prior>| ShareSnapshots.verify(&view(), &params(), found);
        for (found, open) in [
            (found(&["vol-1"], &[]), "vol-1 not shared"),
            (found(&[], &[("snap-1", &[FORENSICS]), ("snap-2", &["333344445555"])]), "snap-2 not shared"),
        ] {
            let Decision::Change(proposal) = plan(&found) else { panic!("no change of {found:?}") };
            assert_eq!(proposal.summary, format!("share the snapshots of i-1 with {FORENSICS}"));
            assert_eq!(verify(&found), Verdict::Unproven { why: open.into() });
        }
        let whole = found(&[], &[("snap-1", &[FORENSICS])]);
        assert_eq!((plan(&whole), verify(&whole)), (Decision::Already, Verdict::Proven));
        assert!(matches!(plan(&found(&[], &[])), Decision::Skip(_)));
    }

    #[test]
    fn only_sharing_that_was_not_there_before_is_missed_when_it_stays() {
        let before = found(&[], &[("snap-1", &["333344445555"])]).prior;
        let after = found(&[], &[("snap-1", &["333344445555", FORENSICS])]).prior;
        assert!(matches!(ShareSnapshots.restored(&before, &after), Verdict::Unproven { .. }));
        assert_eq!(ShareSnapshots.restored(&after, &before), Verdict::Proven);
    }
}
