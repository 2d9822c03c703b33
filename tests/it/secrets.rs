//! No secret is ever written: not by a run, not into its logs, not where it fails.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use quell::sim::Sim;

use crate::site::Hosted;

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
