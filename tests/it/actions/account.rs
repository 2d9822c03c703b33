//! An account captured as a step of a run.

use std::fs;

use quell::engine::action::Decision;
use quell::engine::ports::Access;
use quell::evidence::Store;
use quell::model::{ErrorKind, RunId, RunOutcome, Verdict};
use quell::sim::faults::{Fault, FaultKind};
use quell::sim::iam::KeyStatus;
use serde_json::json;
use tokio::time::{Duration, timeout};

use super::drive::Drive;
use super::lab::{Lab, case};
use crate::binary::differences;

/// A capture, and a change that waits for it.
fn steps(with: &str) -> String {
    format!(
        "sets: {{ intruder: {{ from: iam.owner-of-key, with: {{ key: KEY }} }} }}\n\
         steps: [{{ id: capture, uses: account.capture, on_failure: hold, with: {with} }},\
                 {{ id: key, uses: iam.deactivate-access-keys, on: intruder, needs: [capture] }}]\n\
         until: {{ clean_sweeps: 1, every: 10s, at_most: 2, newcomers: report }}\n"
    )
}

async fn run(lab: &Lab, with: &str) -> RunOutcome {
    let rest = steps(with).replace("KEY", lab.facts.leaked_key.as_str());
    let plan = lab.plan(&format!("[\"{}\"]", lab.facts.breached_account), &rest).await;
    lab.carry_out(plan).await.outcome
}

/// The state of the leaked key.
fn key(lab: &Lab) -> KeyStatus {
    lab.sim.world().accounts[&lab.facts.breached_account].iam.access_keys[&lab.facts.leaked_key].status
}

/// What the case captures of the breached account is called.
fn capture(lab: &Lab) -> RunId {
    RunId::new(format!("{}-{}", case(), lab.facts.breached_account)).unwrap()
}

/// What goes wrong with Config, always.
fn without_config(kind: FaultKind) -> Fault {
    Fault { service: Some("config".to_owned()), ..Fault::new(kind) }
}

#[tokio::test(start_paused = true)]
async fn the_account_is_captured_before_the_change_that_needs_it() {
    let lab = Lab::new().await;
    assert_eq!(run(&lab, "{ history: 1d }").await, RunOutcome::Contained);
    let store = Store::open(lab.evidence.path()).unwrap();
    let captured = store.capture(&capture(&lab)).unwrap();
    assert!(captured.ended().is_some());
    let manifest = lab.evidence.path().join("captures").join(capture(&lab).as_str()).join("manifest.jsonl");
    let manifest = fs::read_to_string(manifest).unwrap();
    for api in ["iam:GetAccountAuthorizationDetails", "ec2:DescribeInstances", "cloudtrail:LookupEvents"] {
        assert!(manifest.contains(&format!("\"{api}\"")), "{api}");
    }
    // The key was still active when it was captured.
    assert_eq!(key(&lab), KeyStatus::Inactive);
    let log = lab.sim.log();
    let nth = |operation| log.iter().position(|entry| entry.operation == operation).unwrap();
    let last = log.iter().rposition(|entry| entry.service == "guardduty").unwrap();
    assert!(last < nth("UpdateAccessKey"), "captured first");
}

#[tokio::test(start_paused = true)]
async fn a_capture_changes_nothing_and_is_taken_once() {
    let lab = Lab::new().await;
    let drive = Drive::new(&lab, "account.capture", json!({}), &lab.global(), &[lab.account()]);
    let before = json!(lab.sim.world());
    let items = drive.items().await;
    let effects = drive.apply(&items).await;
    assert_eq!(effects[0]["capture"], json!(capture(&lab)));
    drive.assert_proven(&items).await;
    let traces = ["/sessions", "/credential_report", "/last_used"];
    let changed: Vec<_> = differences(&before, &json!(lab.sim.world()))
        .into_iter()
        .filter(|(path, ..)| !traces.iter().any(|trace| path.contains(trace)))
        .collect();
    assert!(changed.is_empty(), "{changed:#?}");

    let asked = lab.sim.log().len();
    drive.apply(&items).await;
    assert!(matches!(drive.decide(&drive.look().await[0]).await, Decision::Already));
    drive.undo(&items, &effects).await;
    assert!(lab.sim.log().len() - asked < 10, "nothing is asked again");
    assert!(Store::open(lab.evidence.path()).unwrap().capture(&capture(&lab)).is_ok(), "the evidence stays");
}

#[tokio::test(start_paused = true)]
async fn a_capture_that_was_cut_off_goes_on() {
    let lab = Lab::new().await;
    lab.sim.set_latency(Duration::from_millis(80));
    let drive = Drive::new(&lab, "account.capture", json!({}), &lab.global(), &[lab.account()]);
    let items = drive.items().await;
    let cx = lab.enter(&lab.global(), Access::Write).await;
    let cut = timeout(Duration::from_millis(400), drive.action.apply(&cx, &drive.with, &items)).await;
    assert!(cut.is_err(), "it takes longer");
    let found = drive.look().await;
    let verdict = drive.action.verify(&cx.view, &drive.with, &found[0]).unwrap();
    assert!(matches!(verdict, Verdict::Unproven { .. }), "{verdict:?}");

    let effects = drive.apply(&items).await;
    drive.assert_proven(&items).await;
    let captured = Store::open(lab.evidence.path()).unwrap().capture(&capture(&lab)).unwrap();
    assert_eq!(captured.ended().unwrap().items, effects[0]["answers"].as_u64().unwrap());
}

#[tokio::test(start_paused = true)]
async fn a_gap_is_accepted_or_holds_what_needs_the_capture() {
    for (with, outcome, status) in [
        ("{}", RunOutcome::Contained, KeyStatus::Inactive),
        ("{ gaps: refused }", RunOutcome::Incomplete, KeyStatus::Active),
    ] {
        let lab = Lab::new().await;
        lab.sim.set_faults(vec![without_config(FaultKind::Deny)]);
        assert_eq!(run(&lab, with).await, outcome, "{with}");
        assert_eq!(key(&lab), status, "{with}");
    }
}

#[tokio::test(start_paused = true)]
async fn without_a_store_nothing_is_captured() {
    let lab = Lab::new().await;
    let drive = Drive::new(&lab, "account.capture", json!({}), &lab.global(), &[lab.account()]);
    let cx = lab.enter(&lab.global(), Access::Read).await;
    let cx = quell::engine::action::Ctx { evidence: None, ..cx };
    let error = drive.action.discover(&cx, &drive.with, &[lab.account()]).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unsupported);
    assert!(error.message.contains("quell run"), "{error}");
}
