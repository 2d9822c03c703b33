//! The snapshots that a case holds as evidence, and their copies under another key.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_ec2::Client;
use aws_sdk_ec2::types::{Instance, Snapshot, SnapshotState};
use serde::{Deserialize, Serialize};

use crate::actions::ec2::{self, PAGE, filter, tags};
use crate::actions::field::time;
use crate::model::{ActionError, RunId};

/// What stands in a snapshot's description between the case and the instance.
pub const OF: &str = ": evidence of ";
/// The tag of a copy: what it is a copy of. AWS gives a copy a volume id that means nothing (*CopySnapshot*).
pub const COPY_OF: &str = "quell:copy-of";

/// A snapshot.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    /// `snap-…`
    pub snapshot: String,
    /// The volume it is of.
    pub volume: String,
    /// When it was taken; what was written later is not in it.
    pub started: String,
    /// `pending` or `completed`.
    pub state: String,
    /// The instance that the volume belonged to, which a terminated one does not show any more.
    #[serde(default)]
    pub instance: String,
}

/// A copy of a snapshot.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Copied {
    /// `snap-…`
    pub snapshot: String,
    /// `pending`, `completed` or `error`.
    pub state: String,
}

/// What a case holds in one region.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Held {
    /// The snapshots of volumes.
    pub originals: Vec<Evidence>,
    /// The copy of each that has one.
    pub copies: BTreeMap<String, Copied>,
}

/// What a case holds of one instance.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct OfInstance {
    /// All EBS volumes of the instance; none when it is terminated.
    pub volumes: BTreeSet<String>,
    /// Their snapshots.
    pub originals: Vec<Evidence>,
    /// The copy of each snapshot that has one.
    pub copies: BTreeMap<String, Copied>,
}

impl OfInstance {
    /// Volumes of which there is no snapshot.
    pub fn untaken(&self) -> Vec<&str> {
        let taken: BTreeSet<&str> = self.originals.iter().map(|evidence| evidence.volume.as_str()).collect();
        self.volumes.iter().map(String::as_str).filter(|volume| !taken.contains(volume)).collect()
    }
}

impl Held {
    /// What is held of an instance. One that a later step terminated shows no volumes any more.
    pub fn of(&self, instance: &Instance) -> OfInstance {
        let volumes = instance.block_device_mappings().iter().filter_map(|mapping| mapping.ebs()?.volume_id());
        let volumes: BTreeSet<String> = volumes.map(str::to_owned).collect();
        let of_it = |evidence: &&Evidence| {
            volumes.contains(&evidence.volume) || (volumes.is_empty() && evidence.instance == ec2::id(instance))
        };
        let originals: Vec<Evidence> = self.originals.iter().filter(of_it).cloned().collect();
        let copy = |evidence: &Evidence| self.copies.get_key_value(&evidence.snapshot);
        let copies = originals.iter().filter_map(copy).map(|(of, copy)| (of.clone(), copy.clone())).collect();
        OfInstance { volumes, originals, copies }
    }
}

/// What a case holds in the client's region.
pub async fn held(client: &Client, case: &RunId) -> Result<Held, ActionError> {
    tagged(client, "tag:quell:case", case.as_str()).await
}

/// The caller's own snapshots with a tag; those that failed are left out, but for copies, whose failure has to be seen. Without
/// an owner AWS lists public and shared ones too.
pub async fn tagged(client: &Client, tag: &str, value: &str) -> Result<Held, ActionError> {
    let request = client.describe_snapshots().owner_ids("self").filters(filter(tag, [value])).max_results(PAGE);
    let mut pages = request.into_paginator().items().send();
    let mut held = Held::default();
    while let Some(snapshot) = pages.next().await {
        let snapshot = snapshot?;
        match tags(snapshot.tags()).remove(COPY_OF) {
            Some(of) => drop(held.copies.insert(of, copied(&snapshot))),
            None if snapshot.state() == Some(&SnapshotState::Error) => {}
            None => held.originals.push(original(&snapshot)),
        }
    }
    held.originals.sort_by(|a, b| a.snapshot.cmp(&b.snapshot));
    Ok(held)
}

fn original(snapshot: &Snapshot) -> Evidence {
    Evidence {
        snapshot: snapshot.snapshot_id().unwrap_or_default().to_owned(),
        volume: snapshot.volume_id().unwrap_or_default().to_owned(),
        started: time(snapshot.start_time()),
        state: state(snapshot),
        instance: snapshot.description().and_then(|text| text.split(OF).nth(1)).unwrap_or_default().to_owned(),
    }
}

fn copied(snapshot: &Snapshot) -> Copied {
    Copied { snapshot: snapshot.snapshot_id().unwrap_or_default().to_owned(), state: state(snapshot) }
}

fn state(snapshot: &Snapshot) -> String {
    snapshot.state().map_or("", |state| state.as_str()).to_owned()
}
