//! Every seed of the fuzzer, and everything that it ever found, once more: through the functions that the fuzzer calls.

use std::fs;
use std::path::{Path, PathBuf};

#[path = "../../fuzz/src/lib.rs"]
mod targets;

/// The inputs of a target: its seeds, and what was found with it.
fn inputs(target: &str) -> Vec<PathBuf> {
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    let of = |folder: &str| fs::read_dir(fuzz.join(folder).join(target)).into_iter().flatten();
    let seeds: Vec<PathBuf> = of("corpus").map(|entry| entry.unwrap().path()).collect();
    assert!(!seeds.is_empty(), "{target} has no seeds");
    seeds.into_iter().chain(of("findings").map(|entry| entry.unwrap().path())).collect()
}

fn replay(target: &str, run: fn(&[u8])) {
    for path in inputs(target) {
        let data = fs::read(&path).unwrap();
        let done = std::panic::catch_unwind(|| run(&data));
        assert!(done.is_ok(), "{}: what the panic said stands above", path.display());
    }
}

#[test]
fn no_runbook_confuses_its_reader() {
    replay("runbook", targets::runbook);
}

#[test]
fn no_predicate_fails_half_way() {
    replay("predicate", targets::predicate);
}

#[test]
fn no_plan_is_shown_unescaped() {
    replay("plan", targets::plan);
}

#[test]
fn no_journal_confuses_its_reader() {
    replay("journal", targets::journal);
}

#[test]
fn no_policy_confuses_the_evaluator() {
    replay("policy", targets::policy);
}

#[test]
fn no_request_brings_the_simulated_aws_down() {
    replay("wire", targets::wire);
}
