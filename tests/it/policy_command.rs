//! `quell policy evaluate`, as scripts use it.

use std::io::Write as _;
use std::process::{Output, Stdio};

use crate::binary::{code, quell};
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
