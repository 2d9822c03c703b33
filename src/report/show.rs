//! One run in full: every event in its order, then every change with what became of it.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::record::{Fate, Record};
use super::style::Colour;
use super::text::{counted, seconds, shown};
use crate::model::{Answer, Change, Event, EventKind, Outcome, Plan, Verdict};

/// Renders a run: timeline, changes, closing screen.
pub fn render(record: &Record, events: &[Event], colour: Colour) -> String {
    let mut text = format!("{}\n", colour.bold(format!("Run {} ({})", record.run, shown(&record.plan.runbook.name))));
    for event in events {
        let _ = writeln!(text, "  {}  {}", colour.dim(format!("{:.0}", event.at)), said(event, &record.plan));
    }
    let _ = writeln!(text, "\n{}", colour.bold("Changes"));
    for (change, fate) in record.fates() {
        let _ = writeln!(text, "  {} {} {}: {}", change.step, change.target, shown(&change.summary), fate_words(fate));
    }
    text.push('\n');
    text + &super::summary::render(record, colour)
}

/// The document of `quell show --output json`.
pub fn document(record: &Record, events: &[Event]) -> Value {
    let changes: Vec<Value> = record.fates().map(|(change, fate)| one(change, fate)).collect();
    json!({
        "run": record.run,
        "summary": super::summary::document(record),
        "approvals": record.approvals,
        "changes": changes,
        "coverage": record.coverage,
        "events": events,
    })
}

fn one(change: &Change, fate: &Fate) -> Value {
    json!({
        "change": change, "started": fate.started, "ended": fate.ended, "outcome": fate.outcome, "verdict": fate.verdict,
    })
}

fn fate_words(fate: &Fate) -> String {
    let outcome = match (&fate.outcome, fate.started) {
        (Some(outcome), _) => outcome_words(outcome),
        (None, Some(_)) => "begun, and its end is unknown".to_owned(),
        (None, None) => "not begun".to_owned(),
    };
    match &fate.verdict {
        None => outcome,
        Some(verdict) => format!("{outcome}, {}", verdict_words(verdict)),
    }
}

/// An outcome in words, fit for a terminal.
pub fn outcome_words(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Done { .. } => "done".to_owned(),
        Outcome::Already => "already so".to_owned(),
        Outcome::Failed { error } => format!("failed: {}", shown(&error.to_string())),
        Outcome::Drifted { why } => format!("drifted: {}", shown(why)),
        Outcome::Skipped { why } => format!("skipped: {}", shown(why)),
    }
}

fn verdict_words(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Proven => "proven".to_owned(),
        Verdict::Pending { why } => format!("on its way: {}", shown(why)),
        Verdict::Unproven { why } => format!("UNPROVEN: {}", shown(why)),
    }
}

/// An event as one line, fit for a terminal.
pub fn said(event: &Event, plan: &Plan) -> String {
    let change_words = |id| {
        plan.change(id).map_or_else(
            || format!("change {id}"),
            |change| format!("{} {} {}", change.step, change.target, shown(change.resource.as_str())),
        )
    };
    match &event.kind {
        EventKind::RunStarted { run, version, plan, digest } => format!(
            "run {run} began: {} by {} (quell {}, plan {})",
            counted(plan.changes.len(), "change"),
            shown(&plan.caller.arn),
            shown(version),
            digest.short()
        ),
        EventKind::RunResumed { caller } => format!("taken up again by {}", shown(&caller.arn)),
        EventKind::PhaseStarted { phase } => format!("{} …", super::plain::phase_words(*phase)),
        EventKind::PhaseEnded { phase, seconds: took } => {
            format!("{} took {}", super::plain::phase_words(*phase), seconds(*took))
        }
        EventKind::ApprovalAsked { tier, changes } => {
            format!("{tier} waits for an answer: {}", counted(*changes, "change"))
        }
        EventKind::ApprovalAnswered { approval } => {
            let answer = match approval.answer {
                Answer::Approved => "approved",
                Answer::Refused => "REFUSED",
            };
            format!("{} {answer} by {} ({})", approval.tier, shown(&approval.by), shown(&approval.through))
        }
        EventKind::ChangeStarted { change } => format!("{}: begins", change_words(change)),
        EventKind::ChangeEnded { change, outcome } => format!("{}: {}", change_words(change), outcome_words(outcome)),
        EventKind::ChangeProven { change, verdict } => format!("{}: {}", change_words(change), verdict_words(verdict)),
        EventKind::ChangeReverted { change, why } => {
            format!("{}: somebody took it back ({}); it is made again", change_words(change), shown(why))
        }
        EventKind::SweepEnded { sweep, newcomers, reverted: 0, .. } => {
            format!("sweep {sweep} found {}", counted(*newcomers, "newcomer"))
        }
        EventKind::SweepEnded { sweep, newcomers, reverted, .. } => {
            let newcomers = counted(*newcomers, "newcomer");
            format!("sweep {sweep} found {newcomers} and {} taken back", counted(*reverted, "change"))
        }
        EventKind::PlanExtended { changes, digest } => {
            format!("the plan has {} more ({})", counted(changes.len(), "change"), digest.short())
        }
        EventKind::StopRequested => "a person asked to stop".to_owned(),
        EventKind::RunEnded { outcome, .. } => format!("ended: {}", outcome.as_str()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::example;

    #[test]
    fn the_timeline_tells_every_event() {
        let events = example::run();
        let record = Record::of(&events).unwrap();
        let text = render(&record, &events, Colour::Plain);
        let timeline: Vec<_> = text.lines().take(events.len() + 1).collect();
        insta::assert_snapshot!(timeline.join("\n"), @r"
        Run 20261123-145000-cryptojack (cryptojack)
          2026-11-23T14:50:00Z  run 20261123-145000-cryptojack began: 5 changes by arn:aws:sts::111122223333:assumed-role/IRResponder/anna (quell 0.1.0, plan 8048b669)
          2026-11-23T14:50:01Z  waiting for approval …
          2026-11-23T14:50:02Z  reversible waits for an answer: 3 changes
          2026-11-23T14:50:03Z  reversible approved by anna (--approve)
          2026-11-23T14:50:04Z  disruptive waits for an answer: 2 changes
          2026-11-23T14:50:05Z  disruptive approved by anna (--approve)
          2026-11-23T14:50:06Z  waiting for approval took 2.0 s
          2026-11-23T14:50:07Z  applying …
          2026-11-23T14:50:08Z  keys 111122223333/global AKIAIOSFODNN7EXAMPLE: begins
          2026-11-23T14:50:09Z  keys 111122223333/global AKIAIOSFODNN7EXAMPLE: done
          2026-11-23T14:50:10Z  evidence 111122223333/eu-west-1 i-0a: begins
          2026-11-23T14:50:11Z  evidence 111122223333/eu-west-1 i-0a: done
          2026-11-23T14:50:12Z  evidence 111122223333/us-east-1 i-0b: begins
          2026-11-23T14:50:13Z  evidence 111122223333/us-east-1 i-0b: done
          2026-11-23T14:50:14Z  stop 111122223333/eu-west-1 i-0a: begins
          2026-11-23T14:50:15Z  stop 111122223333/eu-west-1 i-0a: done
          2026-11-23T14:50:16Z  stop 111122223333/us-east-1 i-0b: begins
          2026-11-23T14:50:17Z  stop 111122223333/us-east-1 i-0b: failed: UnauthorizedOperation: You are not authorized to perform this operation.
          2026-11-23T14:50:18Z  applying took 6.5 s
          2026-11-23T14:50:19Z  proving …
          2026-11-23T14:50:20Z  keys 111122223333/global AKIAIOSFODNN7EXAMPLE: proven
          2026-11-23T14:50:21Z  evidence 111122223333/eu-west-1 i-0a: proven
          2026-11-23T14:50:22Z  evidence 111122223333/us-east-1 i-0b: proven
          2026-11-23T14:50:23Z  stop 111122223333/eu-west-1 i-0a: proven
          2026-11-23T14:50:24Z  sweep 1 found 0 newcomers
          2026-11-23T14:50:25Z  proving took 1.0 s
          2026-11-23T14:50:26Z  ended: coverage-incomplete
        ");
    }

    #[test]
    fn the_document_pairs_changes_with_outcomes() {
        let events = example::run();
        let document = document(&Record::of(&events).unwrap(), &events);
        assert_eq!(document["changes"].as_array().unwrap().len(), 5);
        assert_eq!(document["changes"][4]["outcome"]["outcome"], "failed");
        assert_eq!(document["events"].as_array().unwrap().len(), events.len());
    }
}
