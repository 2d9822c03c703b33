//! The conformance suite: every action of the table, on each of its stages (`actions.rs`), through the real engine and its
//! journal: it ends contained, leaves nothing to do, and goes back to what was there before.
//!
//! An action is not tested here by name: a stage for it is enough, and an action without one fails the suite.

mod shape;
#[expect(dead_code, reason = "what dies, and what is refused, comes next")]
mod trial;

use std::collections::BTreeSet;

use quell::actions;
use quell::model::RunOutcome;

use crate::actions::stages;
use trial::{Ready, back};

#[test]
fn every_action_has_a_stage_and_every_stage_an_action() {
    let table: BTreeSet<String> = actions::table().catalog().actions.into_keys().collect();
    let staged: BTreeSet<String> = stages().iter().map(|stage| stage.action.to_owned()).collect();
    assert_eq!(staged, table);
}

/// What the plan names as not coming back, or leaves on purpose: evidence, start times, automatic addresses,
/// what was running.
fn is_lost(line: &str) -> bool {
    let path = line.split(" = ").next().unwrap_or_default();
    let holds = ["/snapshots/", "/batch/jobs/", "/webhooks/", "/payload_url", "/runs/", "/ended", "/stop_asked"];
    let ends = ["/launch_time", "/public_ip", "/public_dns_name", "/state_transition_reason", "/since", "/updated"];
    // A provider that is made again has another date and another id.
    let again = path.contains("/providers/") && (path.ends_with("/created") || path.ends_with("/uuid"));
    again || holds.iter().any(|part| path.contains(part)) || ends.iter().any(|end| path.ends_with(end))
}

#[tokio::test(start_paused = true)]
async fn every_action_ends_contained_and_is_taken_back() {
    let mut wrong = Vec::new();
    for stage in stages() {
        let ready = Ready::new(stage).await;
        let trial = ready.trial().await;
        let ended = trial.run().await;
        if ended.outcome != RunOutcome::Contained || ended.changes.done == 0 {
            wrong.push(format!("{}: {:?} {:?}", ready.name(), ended.outcome, ended.changes));
            continue;
        }
        let again = trial.plan().await.plan;
        if !again.changes.is_empty() {
            wrong.push(format!("{}: planned again: {:?}", ready.name(), again.changes));
        }
        if trial.can_go_back() {
            let ended = trial.take_back(&back()).await;
            if ended.outcome != RunOutcome::RolledBack {
                wrong.push(format!("{}: {:?} {:?}", ready.name(), ended.outcome, ended.changes));
            }
            let differences = ready.before().differences(&trial.shape().await, is_lost);
            if !differences.is_empty() {
                wrong.push(format!("{} taken back:\n  {}", ready.name(), differences.join("\n  ")));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
