//! What quell itself did, by the journal of a run, and which other facts are of that.

use std::collections::BTreeSet;

use serde_json::Value;

use super::Subject;
use super::history::short;
use crate::model::{Change, Event, EventKind, Outcome, Plan};
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

/// Gives the response what is its own: calls of the responder's credentials since the run began, what bears the date of
/// something that the run made, and what differs between captures of something that it changed. Otherwise a snapshot that was
/// taken as evidence would be told as a preparation of the intruder's.
pub fn claim(facts: &mut [Fact], run: &[Event]) {
    let Some(EventKind::RunStarted { plan, .. }) = run.first().map(|event| &event.kind) else { return };
    let began = run[0].at;
    let responders = responders(plan);
    let made = made(run);
    let changed: BTreeSet<&str> =
        changes(run).flat_map(|change| [&change.resource, &change.member]).map(|id| short(id.as_str())).collect();
    let is_own = |fact: &Fact| match (&fact.by, fact.confidence) {
        (Some(by), _) => responders.contains(short(&by.principal)),
        (None, Confidence::Inferred) => changed.contains(short(&fact.subject.id)),
        (None, _) => made.contains(fact.subject.id.as_str()),
    };
    // AWS dates in whole seconds, and rounds down.
    let since = |fact: &&mut Fact| fact.time.as_second() >= began.as_second() && is_misread(fact.act);
    for fact in facts.iter_mut().filter(since) {
        if is_own(fact) {
            fact.phase = Some(Phase::Response);
        }
    }
}

/// Whether something of this kind is told of the intruder because of its time alone.
fn is_misread(act: Act) -> bool {
    !matches!(
        act,
        Act::Read
            | Act::Called
            | Act::Found
            | Act::KeyUsed
            | Act::PasswordUsed
            | Act::RoleUsed
            | Act::MachineStopped
            | Act::AccountJoined
            | Act::Appeared
            | Act::Disappeared
            | Act::Changed
            | Act::Responded
    )
}

/// The names of the user or role that called, and of the role that it worked in.
fn responders(plan: &Plan) -> BTreeSet<&str> {
    let role = plan.runbook.targets.role.as_ref().map(|role| short(&role.name));
    // The session of an assumed role is a name that anybody may choose.
    let caller = match plan.caller.arn.split_once(":assumed-role/") {
        Some((_, rest)) => rest.split('/').next().unwrap_or_default(),
        None => short(&plan.caller.arn),
    };
    role.into_iter().chain([caller]).collect()
}

fn changes(run: &[Event]) -> impl Iterator<Item = &Change> {
    run.iter().flat_map(|event| match &event.kind {
        EventKind::RunStarted { plan, .. } => plan.changes.as_slice(),
        EventKind::PlanExtended { changes, .. } => changes.as_slice(),
        _ => &[],
    })
}

/// The ids of what the changes made: every text in their effects.
fn made(run: &[Event]) -> BTreeSet<&str> {
    let mut made = BTreeSet::new();
    for event in run {
        if let EventKind::ChangeEnded { outcome: Outcome::Done { effect }, .. } = &event.kind {
            texts(effect, &mut made);
        }
    }
    made
}

fn texts<'a>(value: &'a Value, into: &mut BTreeSet<&'a str>) {
    match value {
        Value::String(text) => {
            into.insert(text);
        }
        Value::Array(items) => items.iter().for_each(|item| texts(item, into)),
        Value::Object(fields) => fields.iter().for_each(|(name, value)| {
            into.insert(name);
            texts(value, into);
        }),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::example;

    fn fact(id: &str, time: &str, confidence: Confidence, by: Option<&str>) -> Fact {
        let by = by.map(|arn| By { principal: arn.to_owned(), key: None, address: None, mfa: false });
        Fact {
            time: time.parse().unwrap(),
            precision: Precision::Second,
            confidence,
            phase: None,
            act: Act::SnapshotMade,
            message: String::new(),
            api: "ec2:DescribeSnapshots".to_owned(),
            field: "startTime".to_owned(),
            account: example::account(),
            region: "eu-west-1".parse().unwrap(),
            by,
            subject: Subject::new("ec2 snapshot", id),
            evidence: None,
            notes: Vec::new(),
        }
    }

    #[test]
    fn what_the_run_made_and_changed_is_the_responses_and_what_others_did_is_not() {
        let run = example::run();
        let (before, later) = ("2026-11-23T14:49:00Z", "2026-11-23T14:51:00Z");
        let caller = "arn:aws:iam::111122223333:role/IRResponder";
        let mut facts = [
            fact("snap-0a", later, Confidence::Dated, None),
            fact("snap-0f", later, Confidence::Dated, None),
            fact("snap-0a", before, Confidence::Dated, None),
            fact("anything", later, Confidence::Recorded, Some(caller)),
            fact("anything", before, Confidence::Recorded, Some(caller)),
            fact("anything", later, Confidence::Recorded, Some("arn:aws:iam::111122223333:user/mallory")),
            fact("i-0a", later, Confidence::Inferred, None),
            fact("i-0f", later, Confidence::Inferred, None),
        ];
        claim(&mut facts, &run);
        let own: Vec<bool> = facts.iter().map(|fact| fact.phase == Some(Phase::Response)).collect();
        assert_eq!(own, [true, false, false, true, false, false, true, false]);
    }
}
