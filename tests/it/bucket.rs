//! Evidence in a bucket, under Object Lock: in the simulated AWS and in moto, with boto3 as the one who tries to get rid of it.

use std::path::PathBuf;

use crate::binary::{self, Simulator};
use crate::python::{Moto, Python, succeed};
use crate::site::stderr;

/// A store with a capture of a small account, in a folder, beside the simulated AWS that it is of.
fn captured() -> (tempfile::TempDir, Simulator, PathBuf) {
    let home = tempfile::tempdir().unwrap();
    let scenario = binary::changed(home.path(), "scenarios/one-region.yaml", &[("count: 300", "count: 2")]);
    let (simulator, store) = (Simulator::start(scenario, "0ms"), home.path().join("evidence"));
    let words = ["capture", "--trust-endpoint", "--history", "0s", "--to", store.to_str().unwrap()];
    let output = simulator.quell(home.path()).args(words).output().unwrap();
    assert_eq!(binary::code(&output), 0, "{}", stderr(&output));
    (home, simulator, store)
}

fn put_into(python: &Python, endpoint: &str, (key, secret): (&str, &str), store: &std::path::Path) {
    let mut script = python.script("evidence_bucket.py");
    succeed(script.args([env!("CARGO_BIN_EXE_quell"), endpoint, key, secret]).arg(store));
}

#[test]
fn evidence_is_locked_in_the_simulated_aws() {
    let Some(python) = Python::ready() else { return };
    let (_home, simulator, store) = captured();
    let text = |pointer: &str| simulator.ready.pointer(pointer).unwrap().as_str().unwrap();
    let key = (text("/credentials/responder/access_key_id"), text("/credentials/responder/secret_access_key"));
    put_into(python, text("/endpoint"), key, &store);
}

#[test]
fn evidence_is_locked_in_moto() {
    let Some(python) = Python::ready() else { return };
    let (_home, _simulator, store) = captured();
    let moto = Moto::start(python);
    put_into(python, &moto.endpoint, ("testing", "testing"), &store);
}
