//! What quell itself did, by the journal of a run.

use super::Subject;
use crate::model::{Change, Event, EventKind, Outcome};
use crate::story::fact::{Act, By, Confidence, Fact, Phase, Precision};

/// The facts of a run: every change that was made.
pub fn of(events: &[Event]) -> Vec<Fact> {
    let mut changes: Vec<&Change> = Vec::new();
    let mut caller = None;
    let mut facts = Vec::new();
    for event in events {
        match &event.kind {
            EventKind::RunStarted { plan, .. } => {
                changes.extend(&plan.changes);
                caller = Some(plan.caller.arn.clone());
            }
            EventKind::PlanExtended { changes: more, .. } => changes.extend(more),
            EventKind::ChangeEnded { change, outcome } => {
                let Some(known) = changes.iter().find(|known| known.id == *change) else { continue };
                facts.push(fact(event, known, outcome, caller.as_deref()));
            }
            _ => {}
        }
    }
    facts
}

fn fact(event: &Event, change: &Change, outcome: &Outcome, caller: Option<&str>) -> Fact {
    let end = match outcome {
        Outcome::Done { .. } => "done",
        Outcome::Already => "was so already",
        Outcome::Failed { .. } => "failed",
        Outcome::Drifted { .. } => "left alone, it was not as approved",
        Outcome::Skipped { .. } => "skipped",
    };
    Fact {
        time: event.at,
        precision: Precision::Second,
        confidence: Confidence::Recorded,
        phase: Some(Phase::Response),
        act: Act::Responded,
        message: format!("{} on {}: {end}", change.action, change.resource),
        api: "quell".to_owned(),
        field: format!("journal, event {}", event.seq),
        account: change.target.account.clone(),
        region: change.target.region.clone(),
        by: caller.map(|arn| By { principal: super::history::principal(arn), key: None, address: None, mfa: false }),
        subject: Subject::new(change.action.as_str(), change.resource.to_string()),
        evidence: None,
        notes: vec!["by the clock of the machine that quell ran on"],
    }
}
