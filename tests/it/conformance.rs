//! The conformance suite: every action of the table, on each of its stages (`actions.rs`), through the real engine and its
//! journal. It is applied twice and taken back twice; its process dies after each event and each writing request, and is
//! taken up or back; each call it makes is throttled, refused, and answered into the void (`faults.rs`).
//!
//! An action is not tested here by name: a stage for it is enough, and an action without one fails the suite.

mod faults;
mod shape;
mod trial;

use std::collections::BTreeSet;

use quell::actions;
use quell::engine::lane::Direction;
use quell::model::{RunOutcome, Severity};

use crate::actions::{Stage, case, stages};
use trial::{Ready, Trial, back};

#[test]
fn every_action_has_a_stage_and_every_stage_an_action() {
    let table: BTreeSet<String> = actions::table().catalog().actions.into_keys().collect();
    let staged: BTreeSet<String> = stages().iter().map(|stage| stage.action.to_owned()).collect();
    assert_eq!(table.difference(&staged).collect::<Vec<_>>(), [""; 0], "actions without a stage");
    assert_eq!(staged.difference(&table).collect::<Vec<_>>(), [""; 0], "stages without an action");
}

/// Services and actions that have only been driven there and back so far: what becomes of them when something goes wrong is
/// still to be tried, or is known not to hold yet.
const UNTRIED: [&str; 8] =
    ["amplify", "apprunner", "ecs", "emr", "iam.delete-root-credentials", "lambda", "lightsail", "sagemaker"];

fn is_tried(stage: &Stage) -> bool {
    let service = stage.action.split('.').next().unwrap_or_default();
    !UNTRIED.contains(&service) && !UNTRIED.contains(&stage.action)
}

/// The stages on which something goes wrong.
fn tried_stages() -> impl Iterator<Item = Stage> {
    stages().into_iter().filter(is_tried)
}

/// What the plan names as not coming back, or leaves on purpose: evidence, start times, automatic addresses,
/// what was running.
fn is_lost(line: &str) -> bool {
    let path = line.split(" = ").next().unwrap_or_default();
    let holds = ["/snapshots/", "/batch/jobs/", "/webhooks/", "/payload_url", "/runs/", "/ended", "/stop_asked"];
    let ends = ["/launch_time", "/public_ip", "/public_dns_name", "/state_transition_reason", "/since", "/updated"];
    // A provider or a membership that is made again has another date and another id.
    let again = ["/providers/", "/memberships/"].iter().any(|part| path.contains(part))
        && ["/created", "/uuid", "/id"].iter().any(|end| path.ends_with(end));
    again || holds.iter().any(|part| path.contains(part)) || ends.iter().any(|end| path.ends_with(end))
}

#[tokio::test(start_paused = true)]
async fn every_action_is_applied_twice_and_taken_back_twice() {
    let mut wrong = Vec::new();
    for stage in stages() {
        let ready = Ready::new(stage).await;
        let trial = ready.trial().await;
        let planned = trial.plan().await;
        let refused = planned.plan.findings.iter().filter(|finding| finding.severity == Severity::Refusal);
        wrong.extend(refused.map(|finding| format!("{}: refused: {}", ready.name(), finding.message)));
        let ended = trial.carry_out(planned, &case()).await;
        if ended.outcome != RunOutcome::Contained || ended.changes.done == 0 {
            wrong.push(format!("{}: {:?} {:?}", ready.name(), ended.outcome, ended.changes));
            continue;
        }
        let again = trial.plan().await.plan;
        if !again.changes.is_empty() {
            wrong.push(format!("{}: planned again: {:?}", ready.name(), again.changes));
        }
        if is_tried(&stage) {
            once_more(&mut wrong, &trial, Direction::Apply).await;
        }
        if trial.can_go_back() {
            go_back(&mut wrong, &ready.name(), &trial).await;
            if is_tried(&stage) {
                once_more(&mut wrong, &trial, Direction::Undo).await;
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
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

#[tokio::test(start_paused = true)]
async fn a_run_that_dies_anywhere_is_taken_up_or_back() {
    let mut wrong = Vec::new();
    for stage in tried_stages() {
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
            report(&mut wrong, &place, "resumed", end.differences(&trial.shape().await, |_| false));
            if new && trial.can_go_back() {
                go_back(&mut wrong, &format!("{place} and resumed"), &trial).await;
                let trial = ready.trial_from(cut.world).await;
                trial.remember(&cut.events, &case());
                go_back(&mut wrong, &place, &trial).await;
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
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
