//! Ctrl-C: once ends what is in flight, twice leaves at once; either way the journal is whole and `resume` goes on.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::binary;
use crate::site::{Site, stderr};

/// Keys, a deny and a tag on every machine, one after the other.
pub const SLOW: &str = r#"quell: 1
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
until: { clean_sweeps: 1 }
"#;

fn interrupt(process: &Child) {
    let sent = Command::new("kill").args(["-INT", &process.id().to_string()]).status().unwrap();
    assert!(sent.success());
}

/// Makes switching a key off take so long; everything else is as fast as ever.
pub fn slow_down(site: &Site, delay: &str) {
    let address = site.fact("/endpoint").trim_start_matches("http://");
    let rules =
        json!([{ "kind": "latency", "service": "iam", "operation": "UpdateAccessKey", "delay": delay }]).to_string();
    let mut stream = TcpStream::connect(address).unwrap();
    let length = rules.len();
    write!(
        stream,
        "POST /_sim/faults HTTP/1.1\r\nHost: {address}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{rules}"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

/// Begins a slow run and waits until its journal holds `event`.
pub fn begun(site: &Site, event: &str) -> Child {
    site.write("slow.yaml", SLOW);
    let input = site.simulator.leaked_key();
    let run = ["run", "slow.yaml", "--input", &input, "--trust-endpoint", "--approve", "reversible,disruptive"];
    let mut command = site.quell(&run);
    let mut process = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let deadline = Instant::now() + Duration::from_mins(1);
    while !journal(site).contains(event) {
        if process.try_wait().unwrap().is_some() || Instant::now() > deadline {
            process.kill().unwrap();
            panic!("no {event} in the journal: {}", stderr(&process.wait_with_output().unwrap()));
        }
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
pub fn resumed(site: &Site) {
    let resume = ["resume", &site.run(), "--trust-endpoint", "--output", "json"];
    let output = site.quell(&resume).output().unwrap();
    assert_eq!(binary::code(&output), 0, "{}", stderr(&output));
    let summary = binary::json(&output);
    assert_eq!(summary["changes"]["done"], summary["changes"]["planned"], "{summary}");
    let log = site.simulator.log();
    let log = log.as_array().unwrap();
    let switched_off = log.iter().filter(|request| request["operation"] == "UpdateAccessKey");
    assert_eq!(switched_off.count(), 2, "each key is switched off once: {log:#?}");
}

#[test]
fn once_ends_what_is_in_flight_and_says_how_to_go_on() {
    let site = Site::open();
    slow_down(&site, "2s");
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
    let site = Site::open();
    slow_down(&site, "10s");
    let process = begun(&site, "change-started");
    interrupt(&process);
    std::thread::sleep(Duration::from_millis(200));
    let asked = Instant::now();
    interrupt(&process);
    let output = process.wait_with_output().unwrap();
    assert!(asked.elapsed() < Duration::from_secs(5), "it left after {:?}", asked.elapsed());
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(130), "{said}");
    assert!(said.contains(&format!("quell resume {}", site.run())), "{said}");

    slow_down(&site, "0s");
    let events = events(&site);
    assert!(count(&events, "change-started") > count(&events, "change-ended"), "something was in flight");
    resumed(&site);
}
