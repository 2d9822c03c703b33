//! What an incident cost: quell's estimate beside what the simulated AWS charges, which are two tables and two ways.

use std::path::Path;
use std::process::Output;

use jiff::Timestamp;
use quell::model::{Platform, Region};
use quell::sim::costs::prices;
use serde_json::Value;

use crate::binary::{Simulator, code, json, quell};
use crate::python::Python;

/// Whether an estimate is as near to the truth as is demanded.
fn is_near(estimate: f64, truth: f64) -> bool {
    truth > 0.0 && (estimate / truth - 1.0).abs() < 0.02
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("no number: {value}"))
}

#[test]
fn the_estimate_of_a_drill_is_within_two_percent_of_what_is_charged() {
    let home = tempfile::tempdir().unwrap();
    let mut drill = quell(home.path());
    drill.args(["drill", "cryptojack", "--approve", "reversible,disruptive", "--output", "json"]);
    let ended = json(&drill.output().unwrap());
    let cost = &ended["drill"]["cost"];
    let (estimate, charged) = (number(&cost["so_far"]), number(&cost["charged"]));
    assert!(charged > 100.0 && is_near(estimate, charged), "{cost:#}");
    assert!(!is_near(charged * 1.03, charged) && !is_near(charged * 0.97, charged), "3 % off is not near");
    assert_eq!((number(&cost["after"]), cost["unpriced"].as_u64()), (0.0, Some(0)));
    assert!(
        number(&cost["estimated"]) < 0.05 * number(&cost["before"]),
        "little of it is estimated by us-east-1: {cost:#}"
    );

    let run = ended["run"].as_str().unwrap();
    let costs = json(&quell(home.path()).args(["cost", run, "--horizon", "30d", "--output", "json"]).output().unwrap());
    assert!((number(&costs["so_far"]) - estimate).abs() < 0.01, "the journal alone says the same");
    assert_eq!((costs["machines"].as_array().unwrap().len(), costs["regions"].as_array().unwrap().len()), (100, 19));
    let curve = costs["curve"].as_array().unwrap();
    let highest = curve.iter().map(|point| number(&point["per_hour"])).fold(0.0, f64::max);
    assert!((highest - number(&cost["before"])).abs() < 0.01, "{highest}");
    assert_eq!(curve.last().unwrap()["machines"], 0);
    let avoided = &costs["avoided"][0];
    assert_eq!((avoided["step"].as_str(), avoided["machines"].as_u64()), (Some("stop"), Some(100)));
    assert!((number(&avoided["dollars"]) - 720.0 * highest).abs() < 1.0, "{avoided}");
}

/// A simulated AWS on which a run has stopped the intruder's machines, and which was captured afterwards.
struct Contained {
    simulator: Simulator,
    home: tempfile::TempDir,
    run: String,
}

impl Contained {
    fn now() -> Self {
        let (simulator, home) = (Simulator::start("cryptojack-small", "0ms"), tempfile::tempdir().unwrap());
        let mut run = simulator.quell(home.path());
        run.args(["run", "cryptojack", "--trust-endpoint", "--approve", "reversible,disruptive", "--output", "json"]);
        let ended = json(&run.args(["--input", &simulator.leaked_key()]).output().unwrap());
        let run = ended["run"].as_str().unwrap_or_else(|| panic!("{ended:#}")).to_owned();
        let mut capture = simulator.quell(home.path());
        let account = simulator.ready["facts"]["breached_account"].as_str().unwrap();
        capture.args(["capture", "--trust-endpoint", "--role", "ir/IRResponder", "--accounts", account]);
        // The simulated AWS does not know everything that is asked: gaps are in order.
        assert!(matches!(code(&capture.output().unwrap()), 0 | 5));
        Self { simulator, home, run }
    }

    fn cost(&self, more: &[&str]) -> Output {
        quell(self.home.path()).arg("cost").args(more).output().unwrap()
    }

    /// What the intruder's machines cost, by the world's own times.
    fn truth(&self) -> f64 {
        let world = self.simulator.world();
        let machines = self.simulator.ready["facts"]["machines"]["rogue"].as_array().unwrap();
        machines.iter().map(|machine| charged(&world, machine)).sum()
    }
}

fn charged(world: &Value, machine: &Value) -> f64 {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let (account, region, id) = (text(&machine["account"]), text(&machine["region"]), text(&machine["id"]));
    let instance = &world["accounts"][account]["regions"][&region]["ec2"]["instances"][id];
    let launched: Timestamp = text(&instance["launch_time"]).parse().unwrap();
    let reason = text(&instance["transition_reason"]);
    let (_, stopped) =
        reason.trim_end_matches(" GMT)").split_once('(').unwrap_or_else(|| panic!("it runs: {instance}"));
    let stopped: Timestamp = format!("{}Z", stopped.replace(' ', "T")).parse().unwrap();
    let platform = if instance["platform"].is_null() { Platform::Linux } else { Platform::Windows };
    let price = prices::per_hour(&Region::new(region).unwrap(), &text(&instance["instance_type"]), platform).unwrap();
    stopped.duration_since(launched).as_secs_f64() / 3_600.0 * price
}

#[test]
fn captures_and_journal_tell_the_cost_and_draft_the_case() {
    let contained = Contained::now();
    let costs = json(&contained.cost(&[&contained.run, "--output", "json"]));
    let (estimate, truth) = (number(&costs["so_far"]), contained.truth());
    assert!(is_near(estimate, truth), "{estimate}, and the truth is {truth}");
    assert!(
        costs["storage"].as_array().unwrap().iter().any(|kept| kept["what"] == "snapshots"),
        "{:#}",
        costs["storage"]
    );
    let days = costs["billed"].as_array().unwrap();
    assert!(!days.is_empty() && days.iter().all(|day| number(&day["estimated"]) > 0.0), "{days:#?}");
    assert_eq!(days.last().unwrap()["preliminary"], true, "today is not over for Cost Explorer: {days:#?}");

    let alone = ["--leaked-key", contained.simulator.ready["facts"]["leaked_key"].as_str().unwrap()];
    let since = ["--since", contained.simulator.ready["facts"]["since"].as_str().unwrap(), "--output", "json"];
    let captured = json(&contained.cost(&[&alone[..], &since[..]].concat()));
    assert!(is_near(number(&captured["so_far"]), truth), "captures alone: {}", captured["so_far"]);
    assert!(captured["notes"].to_string().contains("nothing ties them to the"), "{:#}", captured["notes"]);
    assert!(captured["avoided"].as_array().unwrap().is_empty(), "nobody said who stopped them");

    let case = contained.cost(&[&contained.run, "--case"]);
    let case = String::from_utf8(case.stdout).unwrap();
    let head = json(&quell(contained.home.path()).args(["evidence", "list", "--output", "json"]).output().unwrap());
    let head = head["captures"][0]["head"].as_str().unwrap_or_else(|| panic!("{head:#}")).to_owned();
    for part in [contained.run.as_str(), &head, "`ec2.stop-instances`", "{{ name, role, phone", "## What happened"] {
        assert!(case.contains(part), "no `{part}` in {case}");
    }
    assert!(!case.contains("snapshot begun"), "what the responders did is no part of what happened to them");
    let shown = contained.cost(&[&contained.run]);
    let shown = String::from_utf8(shown.stdout).unwrap();
    assert!(shown.contains("What the response ended") && shown.contains("not counted:"), "{shown}");
}

#[test]
fn without_an_incident_nothing_is_made_up() {
    let home = tempfile::tempdir().unwrap();
    let output = quell(home.path()).arg("cost").output().unwrap();
    assert_eq!(code(&output), 2);
    assert!(String::from_utf8_lossy(&output.stderr).contains("no machine of an incident is known"));
}

/// The script reads AWS's own list, and of it the plain on-demand prices alone.
#[test]
fn the_price_list_of_aws_becomes_a_column_of_the_table() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = tempfile::tempdir().unwrap();
    let table = folder.path().join("prices.csv");
    std::fs::copy(root.join("src/cost/ec2-prices.csv"), &table).unwrap();
    let Some(python) = Python::ready() else { return };
    let made = python
        .program("python")
        .arg(root.join("scripts/prices.py"))
        .arg("--table")
        .arg(&table)
        .args(["index", "eu-west-1"])
        .arg(root.join("tests/it/cost/index.csv"))
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let text = std::fs::read_to_string(table).unwrap();
    assert!(text.contains("# eu-west-1: 2026-07-21, AWS Price List Bulk API"));
    let cell = |name: &str, column: &str| {
        let mut rows =
            text.lines().filter(|line| !line.starts_with('#')).map(|line| line.split(',').collect::<Vec<_>>());
        let place = rows.next().unwrap().iter().position(|head| *head == column).unwrap();
        rows.find(|row| row[0] == name).map(|row| row[place].to_owned())
    };
    assert_eq!(cell("c5.large", "eu-west-1").as_deref(), Some("0.096"));
    assert_eq!(cell("c5.large", "windows").as_deref(), Some("0.092"));
    assert_eq!(cell("z9.large", "eu-west-1").as_deref(), Some("0.5"), "a type that is new");
    assert_eq!(cell("m5.large", "eu-west-1").as_deref(), Some(""), "what the list does not have is not known");
    assert_eq!(cell("m5.large", "us-east-1").as_deref(), Some("0.096"), "other regions stay");
}
