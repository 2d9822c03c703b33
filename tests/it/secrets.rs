//! No secret is ever written: not by a run, not into its logs, not where it fails.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use quell::journal;
use quell::sim::Sim;

use crate::binary::{self, changed};
use crate::site::{Hosted, Site};

const USER_DATA: &str = "#!/bin/sh\nexport POOL_PASSWORD=plant-5d1f-marker\n";

/// Reads what it can about machines, and changes a little of them.
const TOUCH: &str = r"quell: 1
name: touch
title: Protect and tag
targets: { accounts: self }
sets: { all: { from: ec2.instances } }
steps:
  - { id: protect, uses: ec2.protect, on: all }
  - { id: mark, uses: ec2.tag, on: all }
";

/// Everything that must not be seen: keys, tokens, user data, in every form in which they travel.
fn secrets(sim: &Sim) -> Vec<String> {
    let world = sim.world();
    let long_term = world.accounts.values().flat_map(|account| account.iam.access_keys.values());
    let mut secrets: Vec<String> = long_term.map(|key| key.secret.0.clone()).collect();
    for session in world.sessions.values() {
        secrets.extend([session.secret.0.clone(), session.token.0.clone()]);
    }
    secrets.extend(["plant-5d1f-marker".to_owned(), user_data()]);
    let encoded: Vec<String> =
        secrets.iter().map(|secret| form_urlencoded::byte_serialize(secret.as_bytes()).collect()).collect();
    secrets.extend(encoded);
    secrets
}

fn user_data() -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(USER_DATA)
}

/// Every file below a folder.
fn files(folder: &Path) -> Vec<std::path::PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

#[track_caller]
fn hold_none(what: &str, text: &[u8], secrets: &[String]) {
    let text = String::from_utf8_lossy(text);
    for (number, secret) in secrets.iter().enumerate() {
        if let Some(place) = text.find(secret.as_str()) {
            let from = text[..place].char_indices().rev().nth(300).map_or(0, |(index, _)| index);
            panic!("{what} holds secret {number}, after: {}", &text[from..place]);
        }
    }
}

#[track_caller]
fn runs(hosted: &Hosted, mut command: Command, code: i32) -> Output {
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(code), "{}", String::from_utf8_lossy(&output.stderr));
    let secrets = secrets(&hosted.sim);
    hold_none("standard output", &output.stdout, &secrets);
    hold_none("standard error", &output.stderr, &secrets);
    output
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_a_run_writes_holds_a_secret() {
    let hosted = Hosted::open().await;
    hosted.catch_up();
    hosted.sim.change(|world| {
        for region in world.accounts.values_mut().flat_map(|account| account.regions.values_mut()) {
            for instance in region.ec2.instances.values_mut() {
                instance.user_data = Some(user_data());
            }
        }
    });
    fs::write(hosted.folder.path().join("touch.yaml"), TOUCH).unwrap();

    // Long-term keys that assume a role.
    let leaked = format!("leaked_key={}", hosted.facts.leaked_key);
    let leaked = ["--input", &leaked, "--trust-endpoint", "-vvv"];
    let mut plan = hosted.quell(&["plan", "leaked-key", "-o", "plan.json"]);
    plan.args(leaked);
    runs(&hosted, plan, 0);
    let mut doctor = hosted.quell(&["doctor", "leaked-key"]);
    doctor.args(leaked).env("QUELL_LOG", "trace");
    runs(&hosted, doctor, 0);

    // Temporary credentials, by which quell works itself.
    let session = hosted.session().await;
    let as_session = |mut command: Command| {
        command.env("AWS_ACCESS_KEY_ID", session.access_key_id());
        command.env("AWS_SECRET_ACCESS_KEY", session.secret_access_key());
        command.env("AWS_SESSION_TOKEN", session.session_token().unwrap()).env("RUST_BACKTRACE", "1");
        command
    };
    let run = ["run", "touch.yaml", "--trust-endpoint", "--approve", "reversible", "--output", "jsonl", "-vvv"];
    let ran = runs(&hosted, as_session(hosted.bare(&run)), 0);
    assert!(String::from_utf8_lossy(&ran.stderr).contains("DEBUG"), "the logs are on");

    // What is told of a run, and its way back.
    let id = journal::list(&hosted.folder.path().join("state")).unwrap()[0].to_string();
    for arguments in [["show", &id], ["report", &id], ["runs", "-vvv"]] {
        runs(&hosted, as_session(hosted.bare(&arguments)), 0);
    }
    let back = ["rollback", &id, "--trust-endpoint", "--approve", "reversible", "--output", "jsonl", "-vvv"];
    runs(&hosted, as_session(hosted.bare(&back)), 0);

    // And where it fails.
    let mut wrong = as_session(hosted.bare(&run));
    wrong.env("AWS_ACCESS_KEY_ID", "ASIAIOSFODNN7EXAMPLE");
    runs(&hosted, wrong, 2);

    let secrets = secrets(&hosted.sim);
    assert!(secrets.len() > 10);
    let written = files(hosted.folder.path());
    assert!(
        written.iter().any(|path| path.ends_with("journal.jsonl"))
            && written.iter().any(|path| path.ends_with("plan.json"))
    );
    for path in written {
        hold_none(&path.display().to_string(), &fs::read(&path).unwrap(), &secrets);
    }
}

/// What environments hold, what an MFA device shows, and what a panic has in its hands.
const IN_A_FUNCTION: &str = "plant-71aa-marker";
const IN_A_CONTAINER: &str = "plant-82bb-marker";
const IN_A_PANIC: &str = "plant-93cc-marker";
const MFA_CODE: &str = "135790";

/// A drill, at its most talkative, over a function and containers whose environments hold secrets.
#[test]
fn environments_of_functions_and_containers_are_not_looked_into() {
    let home = tempfile::tempdir().unwrap();
    let function = format!("      Environment: {{ Variables: {{ TOKEN: {IN_A_FUNCTION} }} }}\n");
    let container = format!("environment: [{{ name: TOKEN, value: {IN_A_CONTAINER} }}]");
    let scenario = changed(
        home.path(),
        "scenarios/persistent.yaml",
        &[
            ("      Handler: x.handler\n", &format!("      Handler: x.handler\n{function}")),
            ("image: \"docker.io/library/worker\"", &format!("image: \"docker.io/library/worker\", {container}")),
        ],
    );
    let secrets = [IN_A_FUNCTION.to_owned(), IN_A_CONTAINER.to_owned()];
    let mut there = binary::quell(home.path());
    there.args(["drill", scenario.to_str().unwrap(), "--clock", "virtual", "--approve", "reversible,disruptive"]);
    there.args(["--output", "jsonl", "-vvv"]).env("QUELL_LOG", "trace");
    let ran = there.output().unwrap();
    let said = String::from_utf8_lossy(&ran.stderr);
    assert!([0, 3, 5].contains(&ran.status.code().unwrap()), "{}", &said[said.len().saturating_sub(2_000)..]);
    let words = String::from_utf8_lossy(&ran.stdout);
    assert!(
        words.contains("report-generator") && words.contains("ecs.stop"),
        "the function and the service were looked at"
    );
    hold_none("standard output", &ran.stdout, &secrets);
    hold_none("standard error", &ran.stderr, &secrets);
    for path in files(&home.path().join("state")) {
        hold_none(&path.display().to_string(), &fs::read(&path).unwrap(), &secrets);
    }
}

#[test]
fn the_code_of_an_mfa_device_is_not_repeated() {
    let site = Site::open();
    let account = site.fact("/accounts/development").to_owned();
    let role = format!("arn:aws:iam::{account}:role/ir/IRResponder");
    let device = "arn:aws:iam::210987654321:mfa/duty";
    let mut run =
        site.quell(&["plan", "rogue-instances", "--trust-endpoint", "--work-as", &role, "--mfa", device, "-vvv"]);
    run.env("QUELL_MFA_CODE", MFA_CODE).env("QUELL_LOG", "trace");
    let output = run.output().unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("AssumeRole"), "the role was asked for: {said}");
    // Six digits may stand in a longer number.
    let words = said.split(|c: char| !c.is_ascii_alphanumeric() && c != '.');
    assert_eq!(words.filter(|word| *word == MFA_CODE).count(), 0, "{said}");
}

/// In a build without debug assertions there is no way to make it fail.
#[cfg(debug_assertions)]
#[test]
fn a_mistake_in_quell_is_a_sentence_and_the_run_goes_on_afterwards() {
    let site = Site::open();
    let mut run = site.contain(&["--trust-endpoint", "--approve", "reversible,disruptive", "-vvv"]);
    run.env("QUELL_TEST_PANIC", IN_A_PANIC).env("RUST_BACKTRACE", "full");
    let failed = run.output().unwrap();
    let said = String::from_utf8_lossy(&failed.stderr).into_owned();
    assert_eq!(failed.status.code(), Some(1), "{said}");
    hold_none("standard output", &failed.stdout, &[IN_A_PANIC.to_owned()]);
    hold_none("standard error", &failed.stderr, &[IN_A_PANIC.to_owned()]);
    assert_eq!(said.matches("error: ").count(), 1, "{said}");
    assert!(said.contains("error: quell itself failed in src/cli/screen.rs, line "), "{said}");
    assert!(said.contains("`quell resume` goes on"), "{said}");

    let id = site.run();
    let journal = site.path("state/runs").join(&id).join("journal.jsonl");
    hold_none("the journal", &fs::read(&journal).unwrap(), &[IN_A_PANIC.to_owned()]);
    let shown = site.quell(&["show", &id]).output().unwrap();
    assert_eq!(shown.status.code(), Some(0), "{}", String::from_utf8_lossy(&shown.stderr));
    let resume = ["resume", &id, "--trust-endpoint", "--approve", "reversible,disruptive"];
    let resumed = site.quell(&resume).output().unwrap();
    assert_eq!(resumed.status.code(), Some(0), "{}", String::from_utf8_lossy(&resumed.stderr));
    let shown = String::from_utf8(site.quell(&["show", &id]).output().unwrap().stdout).unwrap();
    assert!(shown.contains("taken up again by") && shown.contains("ended: contained"), "{shown}");
}

/// Whatever the umask allows.
#[cfg(unix)]
#[test]
fn what_is_written_is_its_owners_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let site = Site::open();
    let input = site.simulator.leaked_key();
    let generous = |arguments: &[&str]| {
        let quell = site.quell(arguments);
        let mut command = Command::new("sh");
        command.args(["-c", "umask 000; exec \"$0\" \"$@\""]).arg(quell.get_program()).args(quell.get_args());
        command.env_clear().envs(quell.get_envs().filter_map(|(name, value)| Some((name, value?))));
        command.current_dir(site.path("."));
        command.output().unwrap()
    };
    let plan = ["plan", "leaked-key", "--input", &input, "--trust-endpoint", "-o", "plan.json"];
    assert_eq!(generous(&plan).status.code(), Some(0));
    let run = ["run", "--plan", "plan.json", "--trust-endpoint", "--approve", "reversible,disruptive"];
    let ran = generous(&run);
    assert_eq!(ran.status.code(), Some(0), "{}", String::from_utf8_lossy(&ran.stderr));
    let rollback = ["rollback", &site.run(), "--trust-endpoint", "--approve", "reversible,disruptive"];
    assert!(generous(&rollback).status.code().is_some());
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&site.path("plan.json")), 0o600);
    let state = site.path("state");
    for file in files(&state) {
        assert_eq!(mode(&file), 0o600, "{}", file.display());
        for folder in file.ancestors().skip(1).take_while(|folder| folder.starts_with(&state)) {
            assert_eq!(mode(folder), 0o700, "{}", folder.display());
        }
    }
    assert!(files(&state).len() >= 2, "a run and its rollback");
}
