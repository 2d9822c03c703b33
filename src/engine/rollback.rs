//! The way back: a plan made from what a run did, newest first, to be approved and carried out like any other.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::state::{Progress, State};
use crate::model::{
    Caller, Effect, Finding, Newcomers, OnFailure, Outcome, Plan, Runbook, Severity, Step, Tier, Until,
};

/// The plan that takes a run back. Changes that were begun count, whether or not they are known to have ended: `prior` was
/// on disk before the first request. What cannot be taken back becomes a finding.
pub fn plan(run: &State, caller: Caller, now: Timestamp) -> Plan {
    let mut changes = Vec::new();
    let mut findings = Vec::new();
    let mut effects = BTreeMap::new();
    for tracked in run.changes().iter().rev() {
        let effect = match &tracked.progress {
            // Of several attempts the last tells its own part only.
            Progress::Ended(Outcome::Done { .. }) if tracked.attempted => Some(Effect::Null),
            Progress::Ended(Outcome::Done { effect }) => Some(effect.clone()),
            Progress::Started | Progress::Ended(Outcome::Failed { .. }) => None,
            Progress::Waiting | Progress::Ended(_) => continue,
        };
        let change = &tracked.change;
        let lost = |what: &str| Finding {
            severity: Severity::Note,
            step: Some(change.step.clone()),
            target: Some(change.target.clone()),
            message: format!("{}: does not come back: {what}", change.resource),
        };
        findings.extend(change.undo.loses.iter().map(|what| lost(what)));
        let Some(how) = &change.undo.how else { continue };
        effects.extend(effect.map(|effect| (change.id.clone(), effect)));
        let mut back = change.clone();
        back.summary = format!("take back: {} ({how})", change.summary);
        std::mem::swap(&mut back.before, &mut back.after);
        back.tier = back.tier.max(Tier::Reversible);
        back.notes.clear();
        back.attaches = None;
        changes.push(back);
    }
    Plan {
        created: now,
        caller,
        runbook: reverse(&run.plan().runbook),
        inputs: run.plan().inputs.clone(),
        targets: run.plan().targets.clone(),
        sets: run.plan().sets.clone(),
        listed: Vec::new(),
        changes,
        already: Vec::new(),
        skipped: Vec::new(),
        by_hand: Vec::new(),
        findings,
        coverage: crate::model::Coverage::default(),
        undoes: Some(run.run().clone()),
        effects,
    }
}

/// The runbook with its arrows turned round. A failure on the way back never holds anything.
fn reverse(runbook: &Runbook) -> Runbook {
    let needed_by = |step: &Step| {
        let later = runbook.steps.iter().filter(|later| later.needs.contains(&step.id));
        later.map(|later| later.id.clone()).collect()
    };
    let back = |step: &Step| Step { needs: needed_by(step), on_failure: Some(OnFailure::Continue), ..step.clone() };
    Runbook {
        steps: runbook.steps.iter().rev().map(back).collect(),
        until: Until { clean_sweeps: 0, newcomers: Newcomers::Report, ..runbook.until.clone() },
        ..runbook.clone()
    }
}
