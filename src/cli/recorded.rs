//! Runs as their journals hold them.

use std::path::Path;

use serde_json::Value;

use super::error::Failure;
use crate::journal;
use crate::model::{AccessKeyId, Event, InputType, RunId};
use crate::report::record::Record;
use crate::story::Known;

/// A run's events, and the record made of them.
pub fn read(state: &Path, run: &str) -> Result<(Record, Vec<Event>), Failure> {
    let run = RunId::new(run).map_err(Failure::usage)?;
    let events = journal::read(state, &run)?.events;
    let record = Record::of(&events)
        .ok_or_else(|| Failure::usage(format!("run {run} was cut off before it began: there is nothing to show")))?;
    Ok((record, events))
}

/// All runs, newest first. A journal that cannot be used is left out and named.
pub fn all(state: &Path) -> Result<(Vec<Record>, Vec<String>), Failure> {
    let mut records = Vec::new();
    let mut unusable = Vec::new();
    for run in journal::list(state)? {
        match journal::read(state, &run) {
            Ok(recorded) => records.extend(Record::of(&recorded.events)),
            Err(error) => unusable.push(error.to_string()),
        }
    }
    records.sort_by(|a, b| (b.started, &b.run).cmp(&(a.started, &a.run)));
    Ok((records, unusable))
}

/// What a run was told of the incident: keys that leaked, and since when.
pub fn known(record: &Record) -> Known {
    let plan = &record.plan;
    let of_type = |wanted: InputType| {
        let inputs = plan.runbook.inputs.iter().filter(move |(_, input)| input.input_type == wanted);
        inputs.filter_map(|(name, _)| Some((name.as_str(), plan.inputs.get(name).and_then(Value::as_str)?)))
    };
    Known {
        leaked_keys: of_type(InputType::AccessKeyId).filter_map(|(_, key)| AccessKeyId::new(key).ok()).collect(),
        since: of_type(InputType::Timestamp).find(|(name, _)| *name == "since").and_then(|(_, at)| at.parse().ok()),
    }
}
