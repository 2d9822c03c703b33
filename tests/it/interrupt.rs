//! Ctrl-C: once ends what is in flight, twice leaves at once; either way the journal is whole and `resume` goes on.

use std::fs;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::binary;
use crate::site::{Site, stderr};

/// Long enough that a signal finds requests in flight.
const LATENCY: &str = "400ms";

/// Keys, a deny and a tag on every machine, one after the other, without sweeps.
const SLOW: &str = r#"quell: 1
name: slow
title: One thing after the other
inputs: { leaked_key: { type: access-key-id } }
targets: { accounts: { of_key: "${{ inputs.leaked_key }}" }, role: ir/IRResponder }
sets:
  owner: { from: iam.owner-of-key, with: { key: "${{ inputs.leaked_key }}" } }
  all: { from: ec2.instances }
steps:
  - { id: keys, uses: iam.deactivate-access-keys, on: owner }
  - { id: deny, uses: iam.deny-all, on: owner, needs: [keys] }
  - { id: mark, uses: ec2.tag, on: all, needs: [deny] }
until: { clean_sweeps: 0 }
"#;

fn interrupt(process: &Child) {
    let sent = Command::new("kill").args(["-INT", &process.id().to_string()]).status().unwrap();
    assert!(sent.success());
}

/// Begins a slow run and waits until its journal holds `event`.
fn begun(site: &Site, event: &str) -> Child {
    site.write("slow.yaml", SLOW);
    let input = site.simulator.leaked_key();
    let run = ["run", "slow.yaml", "--input", &input, "--trust-endpoint", "--approve", "reversible,disruptive"];
    let mut command = site.quell(&run);
    let process = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    while !journal(site).contains(event) {
        assert!(Instant::now() < deadline, "no {event} in the journal");
        std::thread::sleep(Duration::from_millis(10));
    }
    process
}

fn journal(site: &Site) -> String {
    let Ok(mut runs) = fs::read_dir(site.path("state/runs")) else { return String::new() };
    let Some(Ok(run)) = runs.next() else { return String::new() };
    fs::read_to_string(run.path().join("journal.jsonl")).unwrap_or_default()
}

/// The events of the only run, of which `show` has verified the chain.
fn events(site: &Site) -> Vec<Value> {
    let shown = site.quell(&["show", &site.run(), "--output", "jsonl"]).output().unwrap();
    assert_eq!(binary::code(&shown), 0, "{}", stderr(&shown));
    String::from_utf8(shown.stdout).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn count(events: &[Value], name: &str) -> usize {
    events.iter().filter(|event| event["event"] == name).count()
}

/// Resumes the run, which ends as contained with every change made once.
fn resumed(site: &Site) {
    let resume = ["resume", &site.run(), "--trust-endpoint", "--output", "json"];
    let output = site.quell(&resume).output().unwrap();
    assert_eq!(binary::code(&output), 0, "{}", stderr(&output));
    let summary = binary::json(&output);
    assert_eq!(summary["changes"]["done"], summary["changes"]["planned"], "{summary}");
    let log = site.simulator.log();
    let accepted = |request: &&Value| request["operation"] == "UpdateAccessKey" && request["outcome"] == "ok";
    let switched_off = log.as_array().unwrap().iter().filter(accepted).count();
    assert_eq!(switched_off, 2, "each key is switched off once");
}

#[test]
fn once_ends_what_is_in_flight_and_says_how_to_go_on() {
    let site = Site::with_latency(LATENCY);
    let process = begun(&site, "change-started");
    interrupt(&process);
    let output = process.wait_with_output().unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), stderr(&output));
    assert_eq!(output.status.code(), Some(130), "{said}");
    assert!(said.contains("what is in flight ends first"), "{said}");
    assert!(said.contains(&format!("quell resume {}", site.run())), "{said}");

    let events = events(&site);
    let (started, ended) = (count(&events, "change-started"), count(&events, "change-ended"));
    assert!(started > 0 && started == ended, "{started} begun, {ended} ended");
    assert_eq!(count(&events, "stop-requested"), 1);
    assert_eq!(events.last().unwrap()["event"], "run-ended");
    resumed(&site);
}

#[test]
fn twice_leaves_at_once_and_the_journal_is_whole() {
    let site = Site::with_latency("3s");
    let process = begun(&site, "change-started");
    interrupt(&process);
    std::thread::sleep(Duration::from_millis(200));
    let asked = Instant::now();
    interrupt(&process);
    let output = process.wait_with_output().unwrap();
    assert!(asked.elapsed() < Duration::from_millis(1500), "it left after {:?}", asked.elapsed());
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(130), "{said}");
    assert!(said.contains(&format!("quell resume {}", site.run())), "{said}");

    let events = events(&site);
    assert!(count(&events, "change-started") > count(&events, "change-ended"), "something was in flight");
    resumed(&site);
}
