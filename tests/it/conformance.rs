//! The conformance suite: every action of the table, on each of its stages (`actions.rs`), through the real engine and its
//! journal. It is applied twice and taken back twice; its process dies after each event and each writing request, and is
//! taken up or back; each call it makes is throttled, refused, and answered into the void (`faults.rs`).
//!
//! An action is not tested here by name: a stage for it is enough, and an action without one fails the suite. Only what
//! changes nothing in AWS is left out, and has tests of its own.

mod faults;
mod side_by_side;
mod trial;

use std::collections::BTreeSet;

use quell::actions;
use quell::engine::lane::Direction;
use quell::model::{RunOutcome, Severity};

use crate::actions::{case, stages};
use side_by_side::on_every_stage;
use trial::{Ready, Trial, back};

/// Actions that change nothing in AWS.
const READ_ONLY: [&str; 1] = ["account.capture"];

#[test]
fn every_action_has_a_stage_and_every_stage_an_action() {
    let mut table: BTreeSet<String> = actions::table().catalog().actions.into_keys().collect();
    for action in READ_ONLY {
        assert!(table.remove(action), "no {action}");
    }
    let staged: BTreeSet<String> = stages().iter().map(|stage| stage.action.to_owned()).collect();
    assert_eq!(table.difference(&staged).collect::<Vec<_>>(), [""; 0], "actions without a stage");
    assert_eq!(staged.difference(&table).collect::<Vec<_>>(), [""; 0], "stages without an action");
}

/// What the plan names as not coming back, or leaves on purpose: evidence, start times, automatic addresses, what was running
/// (a service starts other tasks), the addresses of webhooks.
fn is_lost(line: &str) -> bool {
    let path = line.split(" = ").next().unwrap_or_default();
    let holds =
        ["/snapshots/", "/batch/jobs/", "/webhooks/", "/payload_url", "/runs/", "/tasks/", "/ended", "/stop_asked"];
    let ends = [
        "/launch_time",
        "/public_ip",
        "/public_dns_name",
        "/state_transition_reason",
        "/since",
        "/started",
        "/updated",
    ];
    // What is made again has another date, and a provider or a membership another id.
    let made_again = ["/providers/", "/memberships/", "/workloads/endpoint/"].iter().any(|part| path.contains(part));
    let again = made_again && ["/created", "/uuid", "/id"].iter().any(|end| path.ends_with(end));
    again || holds.iter().any(|part| path.contains(part)) || ends.iter().any(|end| path.ends_with(end))
}

#[test]
fn every_action_is_applied_twice_and_taken_back_twice() {
    on_every_stage(async |stage, wrong| {
        let ready = Ready::new(stage).await;
        let trial = ready.trial().await;
        let planned = trial.plan().await;
        let refused = planned.plan.findings.iter().filter(|finding| finding.severity == Severity::Refusal);
        wrong.extend(refused.map(|finding| format!("{}: refused: {}", ready.name(), finding.message)));
        let ended = trial.carry_out(planned, &case()).await;
        if ended.outcome != RunOutcome::Contained || ended.changes.done == 0 {
            wrong.push(format!("{}: {:?} {:?}", ready.name(), ended.outcome, ended.changes));
            return;
        }
        let again = trial.plan().await.plan;
        if !again.changes.is_empty() {
            wrong.push(format!("{}: planned again: {:?}", ready.name(), again.changes));
        }
        once_more(wrong, &trial, Direction::Apply).await;
        if trial.can_go_back() {
            go_back(wrong, &ready.name(), &trial).await;
            once_more(wrong, &trial, Direction::Undo).await;
        }
    });
}

/// What is done once more changes nothing any more.
async fn once_more(wrong: &mut Vec<String>, trial: &Trial<'_>, direction: Direction) {
    let place = format!("{}, {direction:?} once more", trial.name());
    let before = trial.shape().await;
    if let Err(error) = trial.once_more(direction).await {
        wrong.push(format!("{place}: {error}"));
    }
    report(wrong, &place, "then", before.differences(&trial.shape().await, |_| false));
}

#[test]
fn a_run_that_dies_anywhere_is_taken_up_or_back() {
    on_every_stage(async |stage, wrong| {
        let ready = Ready::new(stage).await.without_sweeps();
        let clean = ready.trial().await;
        clean.watch();
        clean.run().await;
        let (cuts, end) = (clean.cuts(), clean.shape().await);
        assert!(cuts.iter().any(|cut| cut.after.contains(':')), "{}: no request that writes", ready.name());
        let mut footing = None;
        for cut in cuts {
            let place = format!("{}, dead after {}", ready.name(), cut.after);
            let new = footing != Some(cut.footing());
            footing = Some(cut.footing());
            let trial = ready.trial_from(cut.world.clone()).await;
            trial.remember(&cut.events, &case());
            let ended = trial.resume(&case()).await;
            if ended.outcome != RunOutcome::Contained {
                wrong.push(format!("{place}: resumed: {:?} {:?}", ended.outcome, ended.changes));
            }
            report(wrong, &place, "resumed", end.differences(&trial.shape().await, |_| false));
            if new && trial.can_go_back() {
                go_back(wrong, &format!("{place} and resumed"), &trial).await;
                let trial = ready.trial_from(cut.world).await;
                trial.remember(&cut.events, &case());
                go_back(wrong, &place, &trial).await;
            }
        }
    });
}

/// Takes a trial's run back, which leaves what was there before.
async fn go_back(wrong: &mut Vec<String>, place: &str, trial: &Trial<'_>) {
    let ended = trial.take_back(&back()).await;
    if ended.outcome != RunOutcome::RolledBack {
        wrong.push(format!("{place}: taken back: {:?} {:?}", ended.outcome, ended.changes));
    }
    report(wrong, place, "taken back", trial.before().differences(&trial.shape().await, is_lost));
}

fn report(wrong: &mut Vec<String>, place: &str, what: &str, differences: Vec<String>) {
    if !differences.is_empty() {
        wrong.push(format!("{place}: {what}:\n  {}", differences.join("\n  ")));
    }
}
