//! Runs as their journals hold them.

use std::path::Path;

use super::error::Failure;
use crate::journal;
use crate::model::{Event, RunId};
use crate::report::record::Record;

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
