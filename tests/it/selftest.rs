//! The matrix of `quell selftest` on the smallest world: every shipped runbook dies everywhere, and meets every fault once.

use std::time::{Duration, Instant};

use quell::cli::selftest::disturb::{Disturbance, MayDie};
use quell::cli::selftest::kill::Killing;
use quell::cli::selftest::{Figures, Ground, Job, carry_out, faults};

fn grounds(names: &[&str]) -> Vec<Ground> {
    names.iter().map(|name| Ground::of(name, 1).unwrap_or_else(|error| panic!("{error}"))).collect()
}

#[track_caller]
fn nothing_is_wrong(jobs: &[Job]) {
    let hour = Instant::now() + Duration::from_hours(1);
    let figures: Figures = carry_out(jobs, hour, &|_| {}).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(figures.runs, jobs.len());
    let wrong: Vec<String> = figures.wrong.iter().map(|(wrong, what)| format!("{wrong:?}: {what}")).collect();
    assert!(wrong.is_empty(), "{} of {} runs:\n{}", wrong.len(), jobs.len(), wrong.join("\n"));
}

fn shipped() -> Vec<&'static str> {
    quell::runbook::shipped().iter().map(|(name, _)| *name).collect()
}

#[test]
fn a_shipped_runbook_that_dies_anywhere_is_taken_up_and_back() {
    let grounds = grounds(&shipped());
    nothing_is_wrong(&grounds.iter().flat_map(Ground::deaths).collect::<Vec<_>>());
}

#[test]
fn a_real_process_that_is_killed_is_taken_up_by_another() {
    let killing = Killing::prepare(env!("CARGO_BIN_EXE_quell").into()).unwrap_or_else(|error| panic!("{error}"));
    let figures = killing.kill(4, 1, Instant::now() + Duration::from_mins(5)).unwrap_or_else(|error| panic!("{error}"));
    assert!(figures.deaths > 0, "some were still there to be killed");
    assert!(figures.wrong.is_empty(), "{:#?}", figures.wrong);
}

#[test]
fn a_shipped_runbook_meets_every_fault() {
    let grounds = grounds(&shipped());
    let jobs: Vec<Job> = faults(&grounds, 1, MayDie::Yes).take(grounds.len() * Disturbance::kinds()).collect();
    nothing_is_wrong(&jobs);
}
