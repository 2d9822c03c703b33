//! A run as its events tell it: what every closing screen is made from.

use std::collections::BTreeSet;

use indexmap::IndexMap;
use jiff::Timestamp;
use serde_json::Value;

use crate::model::{
    Approval, Change, ChangeId, Coverage, Digest, Event, EventKind, Outcome, Phase, Plan, RunId, RunOutcome, Summary,
    Verdict,
};

/// A run as far as it has come.
#[derive(Debug, Clone)]
pub struct Record {
    /// Its id.
    pub run: RunId,
    /// The version of quell that began it.
    pub version: String,
    /// When it began.
    pub started: Timestamp,
    /// The plan, with what sweeps added.
    pub plan: Plan,
    /// The digest of that plan.
    pub digest: Digest,
    /// The answers, in their order.
    pub approvals: Vec<Approval>,
    /// What became of each change, in the order of the plan.
    pub changes: IndexMap<ChangeId, Fate>,
    /// What the survey and all sweeps saw.
    pub coverage: Coverage,
    /// How many sweeps were made.
    pub sweeps: u32,
    /// How many resources the sweeps found that no plan named before.
    pub newcomers: usize,
    /// When each phase ended, with its seconds.
    pub phases: Vec<(Phase, f64)>,
    /// The closing figures; `None` while the run goes on, or when it was cut off.
    pub summary: Option<Summary>,
}

/// What became of a change.
#[derive(Debug, Clone, Default)]
pub struct Fate {
    /// When its intent was written down.
    pub started: Option<Timestamp>,
    /// When it ended.
    pub ended: Option<Timestamp>,
    /// How it ended.
    pub outcome: Option<Outcome>,
    /// What the look after it saw.
    pub verdict: Option<Verdict>,
}

impl Record {
    /// Reads a run's events. `None` when the run has not begun: nothing was planned, nothing was done.
    pub fn of(events: &[Event]) -> Option<Self> {
        let (first, rest) = events.split_first()?;
        let EventKind::RunStarted { run, version, plan, digest } = &first.kind else { return None };
        let mut record = Self {
            run: run.clone(),
            version: version.clone(),
            started: first.at,
            plan: plan.as_ref().clone(),
            digest: digest.clone(),
            approvals: Vec::new(),
            changes: plan.changes.iter().map(|change| (change.id.clone(), Fate::default())).collect(),
            coverage: plan.coverage.clone(),
            sweeps: 0,
            newcomers: 0,
            phases: Vec::new(),
            summary: None,
        };
        for event in rest {
            record.event(event);
        }
        Some(record)
    }

    fn event(&mut self, event: &Event) {
        match &event.kind {
            EventKind::PhaseEnded { phase, seconds } => self.phases.push((*phase, *seconds)),
            EventKind::ApprovalAnswered { approval } => self.approvals.push(approval.clone()),
            EventKind::ChangeStarted { change } => self.fate(change).started = Some(event.at),
            EventKind::ChangeEnded { change, outcome } => {
                let fate = self.fate(change);
                fate.ended = Some(event.at);
                fate.outcome = Some(outcome.clone());
            }
            EventKind::ChangeProven { change, verdict } => self.fate(change).verdict = Some(verdict.clone()),
            EventKind::SweepEnded { newcomers, coverage, .. } => {
                self.sweeps += 1;
                self.newcomers += newcomers;
                self.coverage.merge(coverage);
            }
            EventKind::PlanExtended { changes, digest } => {
                self.changes.extend(changes.iter().map(|change| (change.id.clone(), Fate::default())));
                self.plan.changes.extend(changes.iter().cloned());
                self.digest = digest.clone();
            }
            EventKind::RunEnded { summary, .. } => self.summary = Some(summary.as_ref().clone()),
            EventKind::RunResumed { .. } => self.summary = None,
            EventKind::RunStarted { .. }
            | EventKind::ChangeReverted { .. }
            | EventKind::PhaseStarted { .. }
            | EventKind::ApprovalAsked { .. }
            | EventKind::StopRequested => {}
        }
    }

    fn fate(&mut self, change: &ChangeId) -> &mut Fate {
        self.changes.entry(change.clone()).or_default()
    }

    /// How it ended, if it did.
    pub fn outcome(&self) -> Option<RunOutcome> {
        self.summary.as_ref().map(|summary| summary.outcome)
    }

    /// The changes with what became of them, in the order of the plan.
    pub fn fates(&self) -> impl Iterator<Item = (&Change, &Fate)> {
        self.plan.changes.iter().filter_map(|change| Some((change, self.changes.get(&change.id)?)))
    }

    /// The ids of all snapshots that the run took: everything in an effect that has the form of one.
    pub fn snapshots(&self) -> BTreeSet<&str> {
        let mut snapshots = BTreeSet::new();
        for fate in self.changes.values() {
            if let Some(Outcome::Done { effect }) = &fate.outcome {
                collect_snapshots(effect, &mut snapshots);
            }
        }
        snapshots
    }
}

/// The ids of snapshots in what a change made.
pub(super) fn snapshots_in(effect: &Value) -> BTreeSet<&str> {
    let mut snapshots = BTreeSet::new();
    collect_snapshots(effect, &mut snapshots);
    snapshots
}

fn collect_snapshots<'a>(effect: &'a Value, snapshots: &mut BTreeSet<&'a str>) {
    match effect {
        Value::String(text) if text.starts_with("snap-") => {
            snapshots.insert(text);
        }
        Value::Array(items) => items.iter().for_each(|item| collect_snapshots(item, snapshots)),
        Value::Object(fields) => {
            for (name, value) in fields {
                if name.starts_with("snap-") {
                    snapshots.insert(name);
                }
                collect_snapshots(value, snapshots);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::example;

    #[test]
    fn a_record_holds_what_became_of_every_change() {
        let events = example::run();
        let record = Record::of(&events).unwrap();
        assert_eq!(record.outcome(), Some(RunOutcome::CoverageIncomplete));
        assert_eq!(record.fates().count(), 5);
        let failed = record.fates().filter(|(_, fate)| matches!(fate.outcome, Some(Outcome::Failed { .. }))).count();
        assert_eq!(failed, 1);
        assert_eq!(record.snapshots().into_iter().collect::<Vec<_>>(), ["snap-0a", "snap-0b"]);
        assert!(!record.coverage.is_complete());
    }

    #[test]
    fn a_run_that_was_taken_up_again_has_not_ended() {
        let mut events = example::run();
        let caller = example::plan().caller;
        events.push(example::event(99, EventKind::RunResumed { caller }));
        assert_eq!(Record::of(&events).unwrap().outcome(), None);
    }

    #[test]
    fn without_a_beginning_there_is_no_record() {
        assert!(Record::of(&[]).is_none());
        assert!(Record::of(&[example::event(0, EventKind::StopRequested)]).is_none());
    }
}
