//! `ec2.lock-snapshots`

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_ec2::Client;
use aws_sdk_ec2::types::{Instance, LockMode, LockState};
use futures::future::try_join_all;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::PAGE;
use super::snapshot_volumes::evidence::{Evidence, Held, OfInstance, held};
use crate::engine::action::{Action, Ctx, Decision, Found, Item, Proposal, View};
use crate::model::{ActionError, Effect, ErrorKind, Resource, ResourceId, Tier, Undo, Verdict};

/// Locks the snapshots of this case.
pub struct LockSnapshots;

/// How long.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// For how many days, from 1 to 36500 (LockSnapshot, `LockDuration`)
    #[serde(default = "default_days")]
    #[schemars(range(min = 1, max = 36_500))]
    pub days: u16,
}

fn default_days() -> u16 {
    90
}

/// The snapshots of this case that an instance's volumes have.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Prior {
    /// All EBS volumes of the instance.
    pub volumes: BTreeSet<String>,
    /// The snapshots, with whether each is locked.
    pub snapshots: BTreeMap<String, bool>,
    /// The volumes that have one.
    pub taken: BTreeSet<String>,
}

impl Prior {
    fn unlocked(&self) -> impl Iterator<Item = &str> {
        self.snapshots.iter().filter(|(_, locked)| !**locked).map(|(id, _)| id.as_str())
    }

    fn untaken(&self) -> Vec<&str> {
        self.volumes.difference(&self.taken).map(String::as_str).collect()
    }
}

impl Action for LockSnapshots {
    type Params = Params;
    type Prior = Prior;

    const NAME: &'static str = "ec2.lock-snapshots";
    const TIER: Tier = Tier::Reversible;
    const KINDS: &'static [&'static str] = &["ec2.instance"];
    const TITLE: &'static str = "Lock the snapshots that were taken as evidence";
    const DESCRIPTION: &'static str = "Locks every snapshot of the instance's volumes that this case has, in governance mode: \
        until the time is over nobody deletes it, unless somebody with `ec2:UnlockSnapshot` takes the lock away first. Comes \
        after `ec2.snapshot-volumes`, and fails where a volume has no snapshot of this case. Copies that \
        `ec2.copy-snapshots` made are locked with them. A snapshot that is locked already is left as it is. A lock keeps a snapshot from being deleted and not from being shared or copied, and the \
        key that it is encrypted with from nothing.\n\n\
        AWS pages: *Amazon EBS snapshot lock*, *LockSnapshot*.";
    const UNDO: &'static str = "Takes the locks away that this change made. The snapshots stay.";
    const PERMISSIONS: &'static [&'static str] =
        &["ec2:DescribeInstances", "ec2:DescribeSnapshots", "ec2:DescribeLockedSnapshots", "ec2:LockSnapshot"];
    const UNDO_PERMISSIONS: &'static [&'static str] = &["ec2:UnlockSnapshot"];
    const EXAMPLE: &'static str =
        "{ id: lock, uses: ec2.lock-snapshots, on: rogue, needs: [evidence], with: { days: 365 } }";

    async fn discover(&self, cx: &Ctx, _: &Params, members: &[Resource]) -> Result<Vec<Found<Prior>>, ActionError> {
        let client = super::client(cx);
        let instances = super::instances(&client, members);
        let evidence = async { super::both(held(&client, &cx.view.case), locked(&client)).await };
        let (instances, (held, locked)) = super::both(instances, evidence).await?;
        Ok(instances.iter().filter_map(|instance| found(instance, &held, &locked)).collect())
    }

    fn plan(&self, _: &View, params: &Params, found: &Found<Prior>) -> Decision {
        let prior = &found.prior;
        if prior.volumes.is_empty() && prior.snapshots.is_empty() {
            return Decision::Skip("it has no EBS volume, and no snapshot".to_owned());
        }
        if prior.untaken().is_empty() && prior.unlocked().next().is_none() {
            return Decision::Already;
        }
        let summary = format!("lock the snapshots of {} for {} days", found.resource, params.days);
        let undo = Undo::by("take the locks away");
        Decision::Change(Proposal::new(summary, "not locked", format!("locked for {} days", params.days), undo))
    }

    /// Snapshots are taken after the plan was made, and that somebody locks one is no reason to leave the others unlocked.
    fn drift(&self, _: &Prior, _: &Prior) -> Option<String> {
        None
    }

    async fn apply(&self, cx: &Ctx, params: &Params, items: &[Item<Prior>]) -> Result<Vec<Effect>, ActionError> {
        let client = super::client(cx);
        let effects = items.iter().map(|item| {
            let client = &client;
            async move {
                if let [volume, ..] = item.prior.untaken()[..] {
                    let id = &item.resource;
                    let why = format!(
                        "no snapshot of {id}'s {volume} was taken in this case: ec2.snapshot-volumes comes first"
                    );
                    return Err(ActionError::new(ErrorKind::WrongState, why));
                }
                let locks = item.prior.unlocked().map(|snapshot| async move {
                    let request = client.lock_snapshot().snapshot_id(snapshot).lock_mode(LockMode::Governance);
                    request.lock_duration(i32::from(params.days)).send().await?;
                    Ok::<_, ActionError>(snapshot.to_owned())
                });
                Ok(json!({ "locked": try_join_all(locks).await? }))
            }
        });
        try_join_all(effects).await
    }

    fn verify(&self, _: &View, _: &Params, found: &Found<Prior>) -> Verdict {
        let open: Vec<&str> = found.prior.unlocked().chain(found.prior.untaken()).collect();
        if open.is_empty() {
            return Verdict::Proven;
        }
        Verdict::Unproven { why: format!("{} not locked", open.join(", ")) }
    }

    fn made(&self, found: &Found<Prior>) -> Effect {
        let locked = found.prior.snapshots.iter().filter(|(_, locked)| **locked).map(|(id, _)| id);
        json!({ "locked": locked.collect::<Vec<_>>() })
    }

    fn restored(&self, prior: &Prior, now: &Prior) -> Verdict {
        let is_new = |id: &&String| !prior.snapshots.get(*id).copied().unwrap_or_default();
        let held = now.snapshots.iter().filter(|(_, locked)| **locked).map(|(id, _)| id).filter(is_new);
        match held.map(String::as_str).collect::<Vec<_>>()[..] {
            [] => Verdict::Proven,
            ref held => Verdict::Unproven { why: format!("{} still locked", held.join(", ")) },
        }
    }

    /// Works from a look, as an attempt that was cut off does not know what it locked.
    async fn undo(&self, cx: &Ctx, _: &Params, item: &Item<Prior>, _: &Effect) -> Result<(), ActionError> {
        let client = super::client(cx);
        let (held, locked) = super::both(held(&client, &cx.view.case), locked(&client)).await?;
        let of_it = |evidence: &&Evidence| {
            item.prior.volumes.contains(&evidence.volume) || evidence.instance == item.resource.as_str()
        };
        let was_locked = |id: &str| item.prior.snapshots.get(id).copied().unwrap_or_default();
        let originals: Vec<&String> = held.originals.iter().filter(of_it).map(|evidence| &evidence.snapshot).collect();
        let copies = originals.iter().filter_map(|of| held.copies.get(*of)).map(|copy| &copy.snapshot);
        let ids = originals.iter().copied().chain(copies);
        let unlocks = ids.filter(|id| locked.contains(*id) && !was_locked(id)).map(|snapshot| {
            let request = client.unlock_snapshot().snapshot_id(snapshot);
            async move { unless_unlocked(request.send().await.map(drop).map_err(ActionError::from)) }
        });
        try_join_all(unlocks).await.map(drop)
    }
}

/// Somebody deleted the snapshot, or took the lock away: what was wished is so.
fn unless_unlocked(answer: Result<(), ActionError>) -> Result<(), ActionError> {
    match answer {
        Err(error) if error.code.as_deref() == Some("IncorrectState") => Ok(()),
        other => super::unless_gone(other),
    }
}

/// The snapshots of the region whose lock has not expired.
async fn locked(client: &Client) -> Result<BTreeSet<String>, ActionError> {
    let (mut locked, mut token) = (BTreeSet::new(), None);
    loop {
        let page = client.describe_locked_snapshots().max_results(PAGE).set_next_token(token).send().await?;
        let held = page.snapshots().iter().filter(|lock| lock.lock_state() != Some(&LockState::Expired));
        locked.extend(held.filter_map(|lock| lock.snapshot_id().map(str::to_owned)));
        token = page.next_token.filter(|token| !token.is_empty());
        if token.is_none() {
            return Ok(locked);
        }
    }
}

fn found(instance: &Instance, held: &Held, locked: &BTreeSet<String>) -> Option<Found<Prior>> {
    let resource = ResourceId::new(super::id(instance)).ok()?;
    let OfInstance { volumes, originals, copies } = held.of(instance);
    let taken = originals.iter().map(|evidence| evidence.volume.clone()).collect();
    let copies = copies.into_values().filter(|copy| copy.state != "error").map(|copy| copy.snapshot);
    let snapshots = originals.into_iter().map(|evidence| evidence.snapshot).chain(copies);
    let snapshots = snapshots.map(|id| (id.clone(), locked.contains(&id))).collect();
    Some(Found { member: resource.clone(), resource, prior: Prior { volumes, snapshots, taken } })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::actions::tests::view;

    fn found(volumes: &[&str], snapshots: &[(&str, bool)]) -> Found<Prior> {
        let id = ResourceId::new("i-1").unwrap();
        let prior = Prior {
            volumes: volumes.iter().map(ToString::to_string).collect(),
            snapshots: snapshots.iter().map(|(volume, locked)| (format!("snap-of-{volume}"), *locked)).collect(),
            taken: snapshots.iter().map(|(volume, _)| (*volume).to_owned()).collect(),
        };
        Found { member: id.clone(), resource: id, prior }
    }

    #[test]
    fn what_is_not_taken_or_not_locked_is_a_change_and_no_proof() {
        let params = Params { days: 90 };
        let plan = |found: &Found<Prior>| LockSnapshots.plan(&view(), &params, found);
        let verify = |found: &Found<Prior>| LockSnapshots.verify(&view(), &params, found);
        for (found, open) in [
            (found(&["vol-1"], &[]), "vol-1 not locked"),
            (found(&["vol-1", "vol-2"], &[("vol-1", true), ("vol-2", false)]), "snap-of-vol-2 not locked"),
        ] {
            let Decision::Change(proposal) = plan(&found) else { panic!("no change of {found:?}") };
            assert_eq!(proposal.summary, "lock the snapshots of i-1 for 90 days");
            assert_eq!(verify(&found), Verdict::Unproven { why: open.into() });
        }
        let whole = found(&["vol-1"], &[("vol-1", true)]);
        assert_eq!((plan(&whole), verify(&whole)), (Decision::Already, Verdict::Proven));
        assert!(matches!(plan(&found(&[], &[])), Decision::Skip(_)));
    }

    #[test]
    fn only_locks_that_were_not_there_before_are_missed_when_they_stay() {
        let (before, after) = (found(&["vol-1"], &[]).prior, found(&["vol-1"], &[("vol-1", true)]).prior);
        assert!(matches!(LockSnapshots.restored(&before, &after), Verdict::Unproven { .. }));
        assert_eq!(LockSnapshots.restored(&after, &after), Verdict::Proven);
    }
}
