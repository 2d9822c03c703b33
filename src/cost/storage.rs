//! What goes on costing when machines are stopped: volumes, snapshots, public addresses.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

use super::machine::Machine;
use super::prices;
use crate::story::Seen;
use crate::story::facts::text;

/// AWS's month in prices per month, in hours.
const HOURS_PER_MONTH: f64 = 730.0;

/// Something that costs by the month.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Kept {
    /// What: `gp3 volumes`.
    pub what: String,
    /// How many.
    pub count: usize,
    /// GiB of all of them; none for what has no size.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gib: Option<f64>,
    /// US dollars per month, by the prices of us-east-1; none where the price is not known.
    pub per_month: Option<f64>,
    /// What the figure does not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<&'static str>,
}

/// What the machines keep, as the last capture of each thing has it.
pub fn of(seen: &[Seen], machines: &[Machine], until: Timestamp) -> Vec<Kept> {
    let ids: BTreeSet<&str> = machines.iter().map(|machine| machine.id.as_str()).collect();
    let of_kind = |kind: &'static str| {
        let records = seen.iter().filter(move |seen| seen.record.kind == kind);
        records.map(|seen| (seen.record.id.as_str(), &seen.record.state)).collect::<BTreeMap<&str, &Value>>()
    };
    let volumes = of_kind("ec2 volume");
    let volumes: Vec<_> = volumes.iter().filter(|(_, state)| ids.contains(attached_to(state))).collect();
    let mut kept: BTreeMap<String, Kept> = BTreeMap::new();
    for (_, state) in &volumes {
        let (volume_type, gib) = (text(state, "/volumeType"), number(state, "/size"));
        let per_month = prices::volume_per_month(volume_type, gib);
        add(&mut kept, &format!("{volume_type} volumes"), (Some(gib), per_month), None);
    }
    let volumes: BTreeSet<&str> = volumes.iter().map(|(id, _)| **id).collect();
    for state in of_kind("ec2 snapshot").values().filter(|state| volumes.contains(text(state, "/volumeId"))) {
        let gib = number(state, "/volumeSize");
        let per_month = gib * prices::SNAPSHOT_PER_GIB_MONTH;
        let note = "at most: only what is written takes room, and AWS does not say how much that is";
        add(&mut kept, "snapshots", (Some(gib), Some(per_month)), Some(note));
    }
    let with_address = |(id, state): &(&str, &Value)| {
        let runs = machines.iter().any(|machine| machine.id == *id && machine.runs_at(until));
        runs && !text(state, "/ipAddress").is_empty()
    };
    for _ in of_kind("ec2 instance").into_iter().filter(with_address) {
        let per_month = prices::ADDRESS_PER_HOUR * HOURS_PER_MONTH;
        add(&mut kept, "public IPv4 addresses", (None, Some(per_month)), Some("while the machine runs"));
    }
    kept.into_values().collect()
}

fn add(
    kept: &mut BTreeMap<String, Kept>,
    what: &str,
    (gib, per_month): (Option<f64>, Option<f64>),
    note: Option<&'static str>,
) {
    let blank =
        || Kept { what: what.to_owned(), count: 0, gib: gib.map(|_| 0.0), per_month: per_month.map(|_| 0.0), note };
    let sum = kept.entry(what.to_owned()).or_insert_with(blank);
    sum.count += 1;
    sum.gib = sum.gib.zip(gib).map(|(sum, gib)| sum + gib);
    sum.per_month = sum.per_month.zip(per_month).map(|(sum, per_month)| sum + per_month);
}

fn attached_to(volume: &Value) -> &str {
    text(volume, "/attachmentSet/0/instanceId")
}

fn number(state: &Value, pointer: &str) -> f64 {
    text(state, pointer).parse().unwrap_or_default()
}
