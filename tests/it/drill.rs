//! The main job, through the real binary: a drill on the virtual clock; and, against a simulated AWS in a process of its own,
//! a run that is killed, resumed, and taken back.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Stdio;
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::binary::{Simulator, changed, code, differences, json, quell};

const APPROVED: [&str; 2] = ["--approve", "reversible,disruptive"];

fn drill(home: &Path, arguments: &[&str]) -> (i32, Value) {
    let mut command = quell(home);
    let output = command.arg("drill").args(arguments).args(APPROVED).args(["--output", "json"]).output().unwrap();
    (code(&output), json(&output))
}

#[test]
fn the_story_ends_contained() {
    let home = tempfile::tempdir().unwrap();
    let (code, ended) = drill(home.path(), &["cryptojack"]);
    assert_eq!((code, ended["outcome"].as_str()), (0, Some("contained")), "{ended:#}");
    let score = &ended["drill"];
    assert_eq!((score["rogue"].as_u64(), score["stopped"].as_u64()), (Some(100), Some(100)));
    assert_eq!((score["keys"].as_u64(), score["keys_inactive"].as_u64()), (Some(2), Some(2)));
    assert_eq!(score["legitimate_touched"], 0);
    assert!(score["legitimate"].as_u64() >= Some(30), "{score}");
    assert!(score["snapshots"].as_u64() >= Some(100), "{score}");
    assert_eq!((ended["coverage"]["unknown"].as_u64(), ended["coverage"]["unreachable"].as_u64()), (Some(0), Some(0)));
    assert_eq!(ended["throttled"], 0);

    let runs = json(&quell(home.path()).args(["runs", "--output", "json"]).output().unwrap());
    assert_eq!(runs["runs"][0]["run"], ended["run"], "a drill's run is listed like any other");
}

/// How many services a shipped runbook looks at in every region.
fn regional_services(runbook: &str) -> u64 {
    let (_, text) = quell::runbook::shipped().iter().find(|(name, _)| *name == runbook).unwrap();
    let sources = text.lines().filter_map(|line| line.trim().strip_prefix("from: "));
    let services: BTreeSet<&str> = sources.filter_map(|source| source.split('.').next()).collect();
    services.iter().filter(|service| **service != "iam").count() as u64
}

#[test]
fn a_silent_region_delays_no_other_and_is_never_clean() {
    let home = tempfile::tempdir().unwrap();
    let (_, whole) = drill(home.path(), &["cryptojack"]);
    let (code, ended) = drill(home.path(), &["cryptojack", "--fault", "eu-west-3=no-answer"]);
    assert_eq!((code, ended["outcome"].as_str()), (5, Some("coverage-incomplete")), "{ended:#}");
    assert_eq!((ended["drill"]["stopped"].as_u64(), ended["drill"]["keys_inactive"].as_u64()), (Some(95), Some(2)));
    // Its event history cannot be read either: where sessions of the key went there is not known in the account's ledger.
    let unreachable = Some(regional_services("cryptojack") + 1);
    let of_coverage = |status: &str| ended["coverage"][status].as_u64();
    assert_eq!((of_coverage("unreachable"), of_coverage("unknown")), (unreachable, Some(0)));
    let seconds = |run: &Value| run["seconds"]["apply"].as_f64().unwrap();
    assert!(seconds(&ended) <= seconds(&whole) + 0.2, "{} after {}", seconds(&ended), seconds(&whole));
}

#[test]
fn every_shipped_runbook_is_drilled() {
    let home = tempfile::tempdir().unwrap();
    for runbook in ["cryptojack", "leaked-key", "quarantine-account", "preserve-evidence", "rogue-instances", "harden"]
    {
        let (code, ended) = drill(home.path(), &["cryptojack-small", "--runbook", runbook]);
        assert_eq!((code, ended["outcome"].as_str()), (0, Some("contained")), "{runbook}: {ended:#}");
        assert!(ended["changes"]["done"].as_u64() > Some(0), "{runbook}");
        assert_eq!(ended["drill"]["legitimate_touched"], 0, "{runbook}");
    }
}

/// What is busy, slow to show, or breaks now and then takes longer, and is contained.
#[test]
fn what_is_busy_slow_to_show_or_breaks_now_and_then_is_contained_all_the_same() {
    let home = tempfile::tempdir().unwrap();
    for fault in [
        "*=throttle@0.5",
        "ec2=stale-reads:8s",
        "iam=stale-reads:8s",
        "ec2=not-found-after-create:4s",
        "iam=not-found-after-create:4s",
        "*=reset-before@0.1",
    ] {
        let mut command = quell(home.path());
        command.args(["drill", "cryptojack-small", "--fault", fault, "--clock", "virtual", "--output", "json"]);
        let output = command.args(["--approve", "reversible,disruptive"]).output().unwrap();
        let (ended, said) = (json(&output), String::from_utf8_lossy(&output.stderr).into_owned());
        assert_eq!((code(&output), ended["outcome"].as_str()), (0, Some("contained")), "{fault}: {said}");
        assert_eq!(ended["drill"]["stopped"], ended["drill"]["rogue"], "{fault}");
        assert!(
            !said.contains("aws_smithy") && !said.contains("ERROR"),
            "{fault}: nobody asked for the SDK's log: {said}"
        );
    }
}

/// A breached world in which nothing takes long, and a cryptojack runbook that sweeps every second.
struct Stage {
    home: tempfile::TempDir,
    simulator: Simulator,
    runbook: std::path::PathBuf,
}

impl Stage {
    fn set() -> Self {
        let home = tempfile::tempdir().unwrap();
        let quick =
            "settings: { stop: 300ms, start: 0s, iam_propagation: 0s, organizations_propagation: 0s }\naccounts:";
        let scenario =
            changed(home.path(), "scenarios/cryptojack-small.yaml", &[("\naccounts:", &format!("\n{quick}"))]);
        let runbook = changed(home.path(), "runbooks/cryptojack.yaml", &[("every: 20s", "every: 1s")]);
        let simulator = Simulator::start(scenario, "30ms");
        Self { home, simulator, runbook }
    }

    fn quell(&self, arguments: &[&str]) -> std::process::Command {
        let mut command = self.simulator.quell(self.home.path());
        command.args(arguments).args(APPROVED).args(["--trust-endpoint", "--output", "json"]);
        command
    }

    fn run(&self) -> std::process::Command {
        let mut command = self.quell(&["run"]);
        command.arg(&self.runbook).args(["--input", &self.simulator.leaked_key()]);
        command
    }

    /// Starts a run and kills it (as `kill -9` does) when its journal has so many lines.
    fn run_killed_after(&self, lines: usize) -> String {
        let mut process = self.run().stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let deadline = Instant::now() + Duration::from_mins(1);
        loop {
            if let Some((run, journal)) = self.newest()
                && journal.matches('\n').count() >= lines
            {
                process.kill().unwrap();
                process.wait().unwrap();
                return run;
            }
            assert!(process.try_wait().unwrap().is_none(), "the run ended before it was killed");
            assert!(Instant::now() < deadline, "the run does not get on");
            sleep(Duration::from_millis(2));
        }
    }

    fn newest(&self) -> Option<(String, String)> {
        let runs = std::fs::read_dir(self.home.path().join("state/runs")).ok()?;
        let newest = runs.filter_map(Result::ok).map(|entry| entry.path()).max()?;
        let journal = std::fs::read_to_string(newest.join("journal.jsonl")).ok()?;
        Some((newest.file_name()?.to_str()?.to_owned(), journal))
    }

    fn breached(&self, world: &Value) -> Value {
        world["accounts"][self.simulator.account("development")].clone()
    }

    /// How many snapshots of the case each volume has.
    fn snapshots(&self, run: &str) -> BTreeMap<String, usize> {
        let mut snapshots = BTreeMap::new();
        for region in self.breached(&self.simulator.world())["regions"].as_object().unwrap().values() {
            for snapshot in region["ec2"]["snapshots"].as_object().into_iter().flatten().map(|(_, snapshot)| snapshot) {
                if snapshot["tags"].to_string().contains(run) {
                    *snapshots.entry(snapshot["volume_id"].as_str().unwrap().to_owned()).or_default() += 1;
                }
            }
        }
        snapshots
    }
}

#[test]
fn a_killed_run_is_resumed_and_taken_back() {
    let stage = Stage::set();
    let before = stage.simulator.world();
    let run = stage.run_killed_after(60);
    let resumed = stage.quell(&["resume", &run]).output().unwrap();
    let ended = json(&resumed);
    assert_eq!((code(&resumed), ended["outcome"].as_str()), (0, Some("contained")), "{ended:#}");
    assert_eq!(ended["changes"]["done"].as_u64().unwrap() + ended["changes"]["already"].as_u64().unwrap(), 54);
    let snapshots = stage.snapshots(&run);
    assert_eq!(snapshots.len(), 12, "every volume of every rogue machine: {snapshots:?}");
    assert!(snapshots.values().all(|count| *count == 1), "none has two: {snapshots:?}");
    assert_eq!(ended["snapshots"].as_u64(), Some(12), "the journal knows of all of them");
    evidence_before_stop(&stage.newest().unwrap().1);

    let back = stage.quell(&["rollback", &run]).output().unwrap();
    let ended = json(&back);
    assert_eq!((code(&back), ended["outcome"].as_str()), (0, Some("rolled-back")), "{ended:#}");
    let differences = differences(&before, &stage.simulator.world());
    let unexpected: Vec<_> = differences.iter().filter(|(path, ..)| !named_as_lost(path)).collect();
    assert!(unexpected.is_empty(), "{unexpected:#?}");
    let paths: BTreeSet<&str> = differences.iter().filter_map(|(path, ..)| path.rsplit('/').next()).collect();
    assert!(paths.contains("launch_time"), "the comparison sees what does change: {paths:?}");
}

/// No machine's stop was begun before its evidence had been taken.
fn evidence_before_stop(journal: &str) {
    let events: Vec<Value> = journal.lines().skip(1).map(|line| serde_json::from_str(line).unwrap()).collect();
    let changes = events[0]["event"]["plan"]["changes"].as_array().unwrap();
    let of = |step: &str, kind: &str| -> BTreeMap<&str, usize> {
        let ids = changes.iter().filter(|change| change["step"] == step);
        let place = |change: &Value| {
            let is_it = |line: &Value| line["event"]["event"] == kind && line["event"]["change"] == change["id"];
            events.iter().position(is_it).unwrap()
        };
        ids.map(|change| (change["member"].as_str().unwrap(), place(change))).collect()
    };
    let (evidence, stops) = (of("evidence", "change-ended"), of("stop", "change-started"));
    assert_eq!((evidence.len(), stops.len()), (10, 10));
    assert!(stops.iter().all(|(machine, at)| evidence[machine] < *at), "{evidence:?} {stops:?}");
}

/// What the plan names as not coming back: evidence that stays, the launch time, the automatic public address.
fn named_as_lost(path: &str) -> bool {
    path.contains("/snapshots/")
        || ["/launch_time", "/public_ip", "/public_dns_name", "/state_transition_reason"]
            .iter()
            .any(|end| path.contains(end))
}

#[test]
fn killed_anywhere_nothing_is_lost_and_nothing_done_twice() {
    for lines in [2, 20, 90, 130] {
        let stage = Stage::set();
        let run = stage.run_killed_after(lines);
        let resumed = stage.quell(&["resume", &run]).output().unwrap();
        let ended = json(&resumed);
        assert_eq!((code(&resumed), ended["outcome"].as_str()), (0, Some("contained")), "after {lines}: {ended:#}");
        let snapshots = stage.snapshots(&run);
        assert_eq!((snapshots.len(), snapshots.values().sum::<usize>()), (12, 12), "after {lines}: {snapshots:?}");
    }
}
