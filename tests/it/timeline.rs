//! The story that evidence tells of simulated incidents, beside what the scenario says is true.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::binary::{self, Simulator, changed, code};

/// A simulated incident and a store with a capture of it.
struct Case {
    simulator: Simulator,
    folder: tempfile::TempDir,
}

/// Whether the captures hold the event history.
#[derive(Debug, Clone, Copy)]
enum History {
    There,
    Missing,
}

impl Case {
    fn of(scenario: impl AsRef<std::ffi::OsStr>, history: History) -> Self {
        let case = Self { simulator: Simulator::start(scenario, "0ms"), folder: tempfile::tempdir().unwrap() };
        case.capture(history);
        case
    }

    fn capture(&self, history: History) {
        let days = match history {
            History::There => "14d",
            History::Missing => "0s",
        };
        let account = self.simulator.ready["facts"]["breached_account"].as_str().unwrap();
        let mut capture = self.simulator.quell(self.folder.path());
        capture.args(["capture", "--trust-endpoint", "--role", "ir/IRResponder", "--history", days]);
        let output = capture.args(["--accounts", account]).output().unwrap();
        // The simulated AWS does not know everything that is asked: gaps are in order.
        assert!(matches!(code(&output), 0 | 5), "{}", String::from_utf8_lossy(&output.stderr));
    }

    /// The timeline, with what the responder knows: the key that leaked (or several), and since when.
    fn timeline(&self, leaked: &[&str], more: &[&str]) -> std::process::Output {
        let mut command = binary::quell(self.folder.path());
        command.arg("timeline").args(["--since", self.fact("since")]);
        for key in leaked {
            command.args(["--leaked-key", key]);
        }
        let output = command.args(more).output().unwrap();
        assert_eq!(code(&output), 0, "{}", String::from_utf8_lossy(&output.stderr));
        output
    }

    fn story(&self, leaked: &[&str]) -> Value {
        binary::json(&self.timeline(leaked, &["--output", "json"]))
    }

    fn fact(&self, name: &str) -> &str {
        self.simulator.ready["facts"][name].as_str().unwrap()
    }

    /// The key of a user, as the responder may know it from elsewhere.
    fn key_of(&self, user: &str) -> String {
        let world = self.simulator.world();
        let keys = &world["accounts"][self.fact("breached_account")]["iam"]["access_keys"];
        let keys = keys.as_object().unwrap().iter().filter(|(_, key)| key["user"] == user);
        keys.map(|(id, _)| id.clone()).next().unwrap()
    }
}

/// Verdicts by the name of the principal.
fn verdicts(story: &Value) -> BTreeMap<String, String> {
    let findings = story["findings"].as_array().unwrap().iter();
    let text = |finding: &Value, name: &str| finding[name].as_str().unwrap().to_owned();
    findings.map(|finding| (text(finding, "name"), text(finding, "verdict"))).collect()
}

fn scenario(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios").join(format!("{name}.yaml"))
}

/// What may be said of a part without accusing anybody falsely, the most that the evidence bears first.
fn bearable(part: Option<&str>, history: History) -> &'static [&'static str] {
    match (part, history) {
        (Some("guilty"), History::There) => &["acted"],
        // A date does not tell a person from a key.
        (Some("guilty"), History::Missing) | (Some("compromised"), _) => &["credentials-used"],
        (Some("framed"), _) => &["framed"],
        (None, History::There) => &["no-sign"],
        // Whose key was made at such a time may have been framed, for all that dates can tell: that accuses nobody.
        (None, History::Missing) => &["no-sign", "framed"],
        (Some(other), _) => panic!("{other}"),
    }
}

/// The verdicts are those that the truth of the scenario bears, with and without an event history.
fn holds_up(scenario: impl AsRef<std::ffi::OsStr>, also_leaked: &[&str]) {
    for history in [History::There, History::Missing] {
        let case = Case::of(scenario.as_ref(), history);
        let mut leaked = vec![case.fact("leaked_key").to_owned()];
        leaked.extend(also_leaked.iter().map(|user| case.key_of(user)));
        let story = case.story(&leaked.iter().map(String::as_str).collect::<Vec<_>>());
        let parts = &case.simulator.ready["facts"]["parts"];
        let recorded = story["facts"].as_array().unwrap().iter().any(|fact| fact["confidence"] == "recorded");
        assert_eq!(recorded, matches!(history, History::There));
        for (name, verdict) in verdicts(&story) {
            let bearable = bearable(parts[&name].as_str(), history);
            assert!(bearable.contains(&verdict.as_str()), "{name}: {verdict}, {history:?}: {:#}", story["findings"]);
        }
        for finding in story["findings"].as_array().unwrap() {
            if parts[finding["name"].as_str().unwrap()].is_string() {
                let sure = if recorded { "recorded" } else { "dated" };
                assert_eq!(finding["confidence"], sure, "{finding:#}");
                let of = |name: &str| finding[name].as_array().unwrap().len();
                assert!(of("proven") + of("looks_like") > 0 && of("against") > 0 || recorded, "{finding:#}");
            }
        }
    }
}

#[test]
fn the_framed_and_the_compromised_of_cryptojack_are_told_apart() {
    holds_up("cryptojack", &[]);
}

#[test]
fn so_they_are_with_the_roles_swapped() {
    let folder = tempfile::tempdir().unwrap();
    let swap = [("mara.weiss", "\u{1}"), ("jonas.brandt", "mara.weiss"), ("\u{1}", "jonas.brandt")];
    holds_up(changed(folder.path(), "scenarios/cryptojack-small.yaml", &swap), &[]);
}

#[test]
fn a_guilty_insider_is_not_taken_for_framed_nor_his_victim_for_guilty() {
    holds_up(scenario("insider"), &[]);
}

#[test]
fn two_compromised_users_are_two() {
    holds_up(scenario("two-keys"), &["jonas.brandt"]);
}

#[test]
fn nobody_is_framed_where_nobody_was() {
    holds_up(scenario("nobody-framed"), &[]);
}

#[test]
fn a_password_that_was_set_and_used_by_another_does_not_accuse_its_owner() {
    holds_up(scenario("taken-over"), &[]);
}

#[test]
fn without_a_word_of_the_responder_nobody_is_accused() {
    for history in [History::There, History::Missing] {
        let story = Case::of("cryptojack-small", history).story(&[]);
        assert!(verdicts(&story).values().all(|verdict| verdict == "no-sign"), "{:#}", story["findings"]);
    }
}

/// Every deed of the intruder that left a trace is on the timeline, in its phase.
#[test]
fn the_timeline_has_what_the_intruder_did() {
    for history in [History::There, History::Missing] {
        let case = Case::of("cryptojack-small", history);
        let story = case.story(&[case.fact("leaked_key")]);
        let has = |phase: &str, act: &str, wanted: &str| {
            story["facts"].as_array().unwrap().iter().any(|fact| {
                fact["phase"] == phase && fact["act"] == act && fact["message"].as_str().unwrap().contains(wanted)
            })
        };
        assert!(has("entry", "key-used", case.fact("leaked_key")));
        assert!(has("preparation", "image-made", ""));
        assert!(has(
            "persistence",
            "key-made",
            case.simulator.ready["credentials"]["attacker"]["access_key_id"].as_str().unwrap()
        ));
        assert!(has("persistence", "password-set", "jonas.brandt"));
        for machine in case.simulator.ready["facts"]["machines"]["rogue"].as_array().unwrap() {
            assert!(has("launch", "machine-launched", machine["id"].as_str().unwrap()), "{machine}");
        }
        let policy = has("persistence", "policy-changed", "jonas.brandt");
        assert_eq!(policy, matches!(history, History::There), "an attached policy bears no date");
    }
}

#[test]
fn a_second_capture_infers_what_bears_no_date_and_a_run_adds_the_response() {
    let case = Case::of("cryptojack-small", History::Missing);
    let leaked = case.simulator.leaked_key();
    let mut run = case.simulator.quell(case.folder.path());
    run.args([
        "run",
        "leaked-key",
        "--trust-endpoint",
        "--approve",
        "reversible,disruptive",
        "--output",
        "json",
        "--input",
        &leaked,
    ]);
    let output = run.output().unwrap();
    assert!(matches!(code(&output), 0 | 5), "{}", String::from_utf8_lossy(&output.stderr));
    let runs = std::fs::read_dir(case.folder.path().join("state/runs")).unwrap();
    let run = runs.map(|run| run.unwrap().file_name().into_string().unwrap()).next().unwrap();
    case.capture(History::Missing);
    let told = case.timeline(&[case.fact("leaked_key")], &["--run", &run, "--output", "json"]);
    let story = binary::json(&told);
    let facts = story["facts"].as_array().unwrap();
    assert!(facts.iter().any(|fact| fact["phase"] == "response" && fact["act"] == "responded"));
    let inferred: Vec<&Value> = facts.iter().filter(|fact| fact["confidence"] == "inferred").collect();
    assert!(
        !inferred.is_empty() && inferred.iter().all(|fact| fact["precision"]["after"].is_string()),
        "{inferred:#?}"
    );
    assert_eq!(verdicts(&story)["mara.weiss"], "credentials-used", "a deactivated key is still the one that leaked");
}

/// A name can hold a formula and an escape sequence; neither gets anywhere.
#[test]
fn hostile_names_reach_neither_the_terminal_nor_a_spreadsheet_nor_a_page() {
    let folder = tempfile::tempdir().unwrap();
    let name = r#""=cmd|' /C calc'!A0\e[2Jowned<script>""#;
    let file = changed(folder.path(), "scenarios/cryptojack-small.yaml", &[("Windows_Server-2022-Update", name)]);
    let case = Case::of(file, History::There);
    let (csv, html) = (case.folder.path().join("timeline.csv"), case.folder.path().join("timeline.html"));
    let files = ["--csv", csv.to_str().unwrap(), "--html", html.to_str().unwrap()];
    let output = case.timeline(&[case.fact("leaked_key")], &files);
    let (csv, html) = (std::fs::read_to_string(csv).unwrap(), std::fs::read_to_string(html).unwrap());
    assert!(csv.starts_with("message,datetime,timestamp_desc,"));
    assert!(csv.contains("owned") && html.contains("owned"), "the name is told");
    assert!(html.starts_with("<!DOCTYPE html>") && html.contains("<svg") && html.contains("mara.weiss"));
    assert!(!html.contains("<script"));
    for text in [csv.as_str(), html.as_str(), &String::from_utf8(output.stdout).unwrap()] {
        assert!(!text.contains('\u{1b}'));
    }
    for line in csv.split("\r\n").flat_map(|line| line.split(',')) {
        assert!(!line.trim_start_matches('"').starts_with(['=', '+', '-', '@']), "{line}");
    }
}
