//! The machines of an incident: what each is, what it costs, and from when to when it ran.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde_json::Value;

use crate::evidence::{Captured, EvidenceError, Store, resources};
use crate::model::prices::{Platform, per_hour};
use crate::model::{Change, Outcome, Region};
use crate::report::record::{Fate, Record};
use crate::story::{Act, Story};

/// What stops a machine.
const STOP: &str = "ec2.stop-instances";
/// The question whose answers know machines.
const MACHINES: &str = "ec2:DescribeInstances";

/// A machine of the incident.
#[derive(Debug, Clone, PartialEq)]
pub struct Machine {
    /// Its instance id.
    pub id: String,
    /// Its region.
    pub region: Region,
    /// Its type.
    pub instance_type: String,
    /// When it was launched, as far as evidence knows.
    pub launched: Option<Timestamp>,
    /// When AWS accepted that it stops.
    pub stopped: Option<Timestamp>,
    /// US dollars per hour; none for a type without a price.
    pub per_hour: Option<f64>,
}

/// The machines that the run stopped, or would have stopped.
pub fn of(
    record: &Record,
    story: Option<&Story>,
    evidence: Option<(&Store, &[Captured])>,
) -> Result<Vec<Machine>, EvidenceError> {
    let windows = match evidence {
        Some((store, captures)) => windows(store, captures)?,
        None => BTreeSet::new(),
    };
    let launches = story.map(launches).unwrap_or_default();
    let machine = |(change, fate): (&Change, &Fate)| {
        let id = change.resource.as_str();
        let instance_type = change.prior.get("instance_type").and_then(Value::as_str).unwrap_or("unknown");
        let platform = if windows.contains(id) { Platform::Windows } else { Platform::Linux };
        Machine {
            id: id.to_owned(),
            region: change.target.region.clone(),
            instance_type: instance_type.to_owned(),
            launched: launches.get(id).copied(),
            stopped: fate.ended.filter(|_| matches!(fate.outcome, Some(Outcome::Done { .. } | Outcome::Already))),
            per_hour: per_hour(instance_type, platform),
        }
    };
    Ok(record.fates().filter(|(change, _)| change.action.as_str() == STOP).map(machine).collect())
}

/// When machines were launched, by their ids.
fn launches(story: &Story) -> BTreeMap<&str, Timestamp> {
    let mut launches = BTreeMap::new();
    for fact in story.facts.iter().filter(|fact| fact.act == Act::MachineLaunched) {
        launches.entry(fact.subject.id.as_str()).or_insert(fact.time);
    }
    launches
}

/// The machines that run Windows, whose licence costs.
fn windows(store: &Store, captures: &[Captured]) -> Result<BTreeSet<String>, EvidenceError> {
    let mut windows = BTreeSet::new();
    for item in captures.iter().flat_map(Captured::items).filter(|item| item.api == MACHINES) {
        let answer = store.answer(&item.sha256)?;
        let records = resources::records(item, &answer).into_iter().filter(|record| record.kind == "ec2 instance");
        let is_windows = |state: &Value| {
            state.get("platform").and_then(Value::as_str).is_some_and(|name| name.eq_ignore_ascii_case("windows"))
        };
        windows.extend(records.filter(|record| is_windows(&record.state)).map(|record| record.id));
    }
    Ok(windows)
}
