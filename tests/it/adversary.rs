//! Intruders who fight back: shipped runbooks lock them out, a bad one does not, and the drill says what is left to them.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::binary::{code, json, quell};

/// What a drill ended with: the exit code and its document.
fn drill(arguments: &[&str]) -> (i32, Value) {
    let home = tempfile::tempdir().unwrap();
    let mut command = quell(home.path());
    command.arg("drill").args(arguments).args(["--approve", "reversible,disruptive", "--output", "json"]);
    let output = command.output().unwrap();
    let document = json(&output);
    (code(&output), document)
}

/// What the intruder tried after the run, by action: how often it succeeded, and how often it was refused.
fn tried<'a>(drill: &'a Value, action: &str) -> (u64, u64) {
    let tries = drill["drill"]["intruder"]["tries"].as_array().unwrap();
    let tried: Vec<&'a Value> = tries.iter().filter(|tried| tried["action"] == action).collect();
    let refused = |tried: &Value| tried["refused"].as_object().unwrap().values().filter_map(Value::as_u64).sum::<u64>();
    let succeeded = tried.iter().filter_map(|tried| tried["succeeded"].as_u64()).sum();
    (succeeded, tried.iter().map(|tried| refused(tried)).sum())
}

/// Nothing that the intruder tried in the half hour after the run gained it anything, and it did try.
fn assert_locked_out(drill: &Value) {
    let intruder = &drill["drill"]["intruder"];
    assert_eq!(intruder["seconds"].as_f64(), Some(1800.0));
    for tried in intruder["tries"].as_array().unwrap() {
        let gained = tried["gains"] == true && tried["succeeded"] != 0;
        assert!(!gained, "{tried:#}");
    }
    for action in [
        "ec2:RunInstances",
        "ec2:StartInstances",
        "ec2:RequestSpotInstances",
        "ec2:DescribeSnapshots",
        "iam:UpdateAccessKey",
        "ecs:RunTask",
        "lambda:Invoke",
        "sagemaker:CreateNotebookInstance",
        "sagemaker:CreateHyperParameterTuningJob",
        "iam:CreateAccessKey",
        "iam:UpdateAssumeRolePolicy",
    ] {
        let (succeeded, refused) = tried(drill, action);
        assert_eq!(succeeded, 0, "{action}");
        assert!(refused > 10, "{action} was refused {refused} times only");
    }
    assert_eq!(tried(drill, "sts:AssumeRole").0, 0, "the role lets nobody in any more");
}

#[test]
fn an_intruder_who_means_to_stay_is_locked_out() {
    let (code, drill) = drill(&["persistent"]);
    assert_eq!((code, drill["outcome"].as_str()), (0, Some("contained")), "{drill:#}");
    assert_locked_out(&drill);
    assert_eq!(drill["drill"]["footholds"], serde_json::json!([]), "no launcher goes on, and no machine is on the net");
    assert_eq!(drill["drill"]["legitimate_touched"], 0);
}

#[test]
fn an_intruder_who_fights_back_is_locked_out() {
    let (code, drill) = drill(&["live"]);
    assert_eq!((code, drill["outcome"].as_str()), (0, Some("contained")), "{drill:#}");
    assert_locked_out(&drill);
    assert_eq!(drill["drill"]["footholds"], serde_json::json!([]));
    assert!(drill["drill"]["intruder"]["during"].as_u64() > Some(100), "it was there while it was locked out");
    assert_eq!(drill["drill"]["legitimate_touched"], 0);
}

#[test]
fn closing_the_account_is_proven_by_calls_that_are_refused() {
    for scenario in ["persistent", "live"] {
        let (code, drill) = drill(&[scenario, "--runbook", "quarantine-account", "--afterwards", "5m"]);
        assert_eq!((code, drill["outcome"].as_str()), (0, Some("contained")), "{drill:#}");
        let tries = drill["drill"]["intruder"]["tries"].as_array().unwrap();
        let gained: Vec<_> = tries.iter().filter(|tried| tried["gains"] == true && tried["succeeded"] != 0).collect();
        assert!(gained.is_empty(), "{scenario}: {gained:#?}");
        let left = drill["drill"]["footholds"].to_string();
        assert!(left.contains("win-cache"), "what launches by itself goes on, and the drill says so: {left}");
    }
}

/// Stops first, switches keys off last, and does nothing about what launches machines.
fn bad(folder: &Path) -> PathBuf {
    let text = "\
quell: 1
name: bad
title: Stop first, keys last, nothing about what launches
inputs:
  leaked_key: { type: access-key-id, help: The key that leaked, example: AKIAIOSFODNN7EXAMPLE }
  since: { type: timestamp, help: Since when, default: now - 14d }
targets: { accounts: [\"${{ inputs.leaked_key }}\"], regions: enabled, role: ir/IRResponder }
sets:
  intruder: { from: iam.owner-of-key, with: { key: \"${{ inputs.leaked_key }}\" } }
  rogue:
    from: ec2.instances
    where: launched >= inputs.since && !tags.exists(k, k == \"owner\") && state != \"terminated\"
steps:
  - { id: stop, uses: ec2.stop-instances, on: rogue, at_most: 500 }
  - { id: keys, uses: iam.deactivate-access-keys, on: intruder, needs: [stop] }
until: { clean_sweeps: 2, every: 20s, at_most: 3, newcomers: contain }
";
    let path = folder.join("bad.yaml");
    std::fs::write(&path, text).unwrap();
    path
}

#[test]
fn a_bad_runbook_loses_and_the_drill_says_what_is_left_to_the_intruder() {
    let folder = tempfile::tempdir().unwrap();
    let (code, drill) = drill(&["live", "--runbook", bad(folder.path()).to_str().unwrap(), "--afterwards", "2m"]);
    assert_eq!((code, drill["outcome"].as_str()), (3, Some("incomplete")), "{drill:#}");
    let left: Vec<&str> = drill["drill"]["footholds"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    let named = |what: &str| left.iter().any(|left| left.contains(what));
    for foothold in [
        "of svc-backup in",
        "role OrganizationAuditRole in",
        "Auto Scaling group win-cache",
        "ec2-fleet",
        "ECS service batch/worker",
        "Lambda function report-generator",
        "SageMaker AI hyper-parameter-tuning-job/forecast",
        "SageMaker AI notebook-instance/forecast",
        "machines run",
    ] {
        assert!(named(foothold), "{foothold} is not in {left:#?}");
    }
    assert!(tried(&drill, "ec2:RunInstances").0 > 0);
}
