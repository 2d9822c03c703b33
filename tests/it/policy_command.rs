//! `quell policy evaluate` and `explain`, as scripts and people use them.

use std::io::Write as _;
use std::process::{Output, Stdio};

use serde_json::{Value, json};

use crate::binary::{Simulator, changed, code, json as read, quell};
use crate::python::source;

fn evaluate(input: &str) -> Output {
    let home = tempfile::tempdir().unwrap();
    let mut command = quell(home.path());
    command.args(["policy", "evaluate"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut process = command.spawn().unwrap();
    process.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    process.wait_with_output().unwrap()
}

#[test]
fn lines_that_are_no_cases_are_named() {
    let good = r#"{"principal": "arn:aws:iam::111122223333:root", "action": "s3:GetObject"}"#;
    let output = evaluate(&format!("{good}\n{{\"principal\": \"eve\n{good}\n{{\"scp\": []}}"));
    assert_eq!(code(&output), 2);
    let (out, err) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    let words: Vec<bool> = out.lines().map(|line| line.contains("\"allowed\"")).collect();
    assert_eq!(words, [true, false, true, false]);
    assert!(err.contains("line 2: ") && err.contains("line 4: ") && err.contains("2 lines"), "{err}");
}

#[test]
fn a_runbook_that_is_named_like_a_question_is_reached_by_its_path() {
    let home = tempfile::tempdir().unwrap();
    let runbook = source("runbooks/leaked-key.yaml");
    std::fs::copy(runbook, home.path().join("evaluate")).unwrap();
    let policy = |name: &str| {
        let output = quell(home.path()).current_dir(home.path()).args(["policy", name]).output().unwrap();
        assert_eq!(code(&output), 0, "{}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    };
    assert_eq!(policy("./evaluate"), policy("leaked-key"));
}

/// What `explain` says about a principal of the simulated AWS, asked by the responder.
fn explained(simulator: &Simulator, arguments: &[&str]) -> Value {
    let home = tempfile::tempdir().unwrap();
    let mut command = simulator.quell(home.path());
    command.args(["policy", "explain", "--trust-endpoint", "--output", "json"]).args(arguments);
    let output = command.output().unwrap();
    assert_eq!(code(&output), 0, "{}", String::from_utf8_lossy(&output.stderr));
    read(&output)
}

fn mara(simulator: &Simulator) -> String {
    format!("arn:aws:iam::{}:user/mara.weiss", simulator.account("development"))
}

#[test]
fn the_policies_of_an_account_and_its_organisation_are_explained() {
    let simulator = Simulator::start("cryptojack-small", "0ms");
    let mara = mara(&simulator);
    let stop = ["--action", "ec2:StopInstances"];
    let answer = explained(&simulator, &[&["--principal", &mara, "--role", "ir/IRResponder"], &stop[..]].concat());
    assert_eq!(answer["decision"], "allowed", "{answer:#}");
    let because = answer["because"].to_string();
    assert!(because.contains("identity-based policy `AdministratorAccess`"), "{because}");
    for level in 1..=3 {
        assert!(because.contains(&format!("service control policy `FullAWSAccess` (level {level})")), "{because}");
    }
    // The responder itself, in the management account, which no service control policy binds.
    let noa = format!("arn:aws:iam::{}:user/noa.lindqvist", simulator.account("management"));
    let answer = explained(&simulator, &[&["--principal", &noa], &stop[..]].concat());
    assert_eq!(answer["because"], json!(["no identity-based policy allows ec2:StopInstances"]));
    let statements = answer["statements"].as_array().unwrap();
    assert!(statements.iter().all(|told| told["statement"].as_str().unwrap().contains("`Respond`")), "{statements:?}");
}

#[test]
fn service_control_policies_that_may_not_be_read_leave_the_answer_open() {
    let folder = tempfile::tempdir().unwrap();
    let scenario = changed(folder.path(), "scenarios/cryptojack-small.yaml", &[("\"organizations:*\", ", "")]);
    let simulator = Simulator::start(scenario, "0ms");
    let arguments = ["--principal", &mara(&simulator), "--role", "ir/IRResponder", "--action", "ec2:StopInstances"];
    let answer = explained(&simulator, &arguments);
    assert_eq!(answer["decision"], "unknown");
    assert!(answer["because"].to_string().contains("the service control policies could not be read"), "{answer:#}");
}

#[test]
fn policies_in_files_are_explained_without_an_account() {
    let home = tempfile::tempdir().unwrap();
    let file = |name: &str, statement: &str| {
        let text = format!(r#"{{"Version":"2012-10-17","Statement":{{{statement},"Action":"*","Resource":"*"}}}}"#);
        std::fs::write(home.path().join(name), text).unwrap();
    };
    file("full.json", r#""Effect":"Allow""#);
    let spared = r#""Condition":{"ArnNotLike":{"aws:PrincipalArn":"arn:aws:iam::*:role/ir/IRResponder"}}"#;
    file("quarantine.json", &format!(r#""Sid":"IRDenyAll","Effect":"Deny",{spared}"#));
    let decided = |principal: &str| {
        let mut command = quell(home.path());
        let policies =
            ["--policy", "identity=full.json", "--policy", "scp:1=full.json", "--policy", "scp:1=quarantine.json"];
        command.current_dir(home.path()).args(["policy", "explain", "--action", "ec2:StopInstances"]).args(policies);
        let output = command.args(["--principal", principal]).output().unwrap();
        assert_eq!(code(&output), 0, "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let eve = decided("arn:aws:iam::111122223333:user/eve");
    assert!(
        eve.starts_with(
            "explicit-deny\n  service control policy `scps[0][1]` (level 1), statement `IRDenyAll` denies it\n"
        ),
        "{eve}"
    );
    let responder = decided("arn:aws:iam::111122223333:role/ir/IRResponder");
    assert!(
        responder.starts_with("allowed\n") && responder.contains("Deny, does not apply: the condition does not hold"),
        "{responder}"
    );
    // The path of the role is not in the ARN of its session.
    let session = decided("arn:aws:sts::111122223333:assumed-role/IRResponder/ada");
    assert!(
        session.starts_with("unknown\n") && session.contains("the value of `aws:PrincipalArn` is not known"),
        "{session}"
    );
}
