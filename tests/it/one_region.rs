//! Three hundred machines in one region, on the virtual clock: quell keeps under AWS's documented budgets by itself, and
//! close to them.

use std::process::Command;

use serde_json::Value;

use crate::python::{source, without_aws_of_the_user};

/// One call of `CreateSnapshots` per machine, from a bucket of 100 that gains 5 tokens per second.
/// (Amazon EC2 Developer Guide, "Request throttling".)
const DEMANDED_SECONDS: f64 = (300.0 - 100.0) / 5.0;

#[test]
fn three_hundred_machines_are_stopped_without_a_throttle_answer() {
    let state = tempfile::tempdir().unwrap();
    let mut quell = Command::new(env!("CARGO_BIN_EXE_quell"));
    without_aws_of_the_user(&mut quell);
    quell.arg("drill").arg(source("scenarios/one-region.yaml")).arg("--runbook").arg(source("benches/contain.yaml"));
    quell.args(["--clock", "virtual", "--approve", "reversible,disruptive", "--output", "json"]);
    let output = quell.arg("--state").arg(state.path()).output().unwrap();
    let summary: Value = serde_json::from_slice(&output.stdout).unwrap();
    let shown = format!("{summary:#}\n{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(summary["drill"]["stopped"], 300, "{shown}");
    assert_eq!(output.status.code(), Some(0), "{shown}");
    assert_eq!(summary["throttled"], 0, "{shown}");
    let apply = summary["seconds"]["apply"].as_f64().unwrap();
    assert!(apply <= 1.15 * DEMANDED_SECONDS, "{apply} s\n{shown}");
}
