//! The independent proof: boto3, the `aws` CLI and moto judge quell and its simulated AWS. Each test hands addresses to a
//! script of tests/python and shows what it printed when it fails.

use crate::binary::Simulator;
use crate::python::{Moto, Python, source, succeed};

/// A script that speaks to the simulated AWS alone.
fn against_the_simulator(script: &str) {
    let Some(python) = Python::ready() else { return };
    let simulator = Simulator::skipping("cryptojack-small");
    succeed(python.script(script).arg(simulator.ready.to_string()));
}

#[test]
fn boto3_looks_around() {
    against_the_simulator("look_around.py");
}

#[test]
fn boto3_sees_machines_come_back_until_their_launchers_stand_still() {
    against_the_simulator("launch_again.py");
}

#[test]
fn boto3_sees_batch_mine_until_the_whole_of_it_is_stopped() {
    against_the_simulator("batch.py");
}

#[test]
fn boto3_cuts_networks_off() {
    against_the_simulator("cut_off.py");
}

#[cfg(feature = "ecs")]
#[test]
fn boto3_mines_on_ecs() {
    against_the_simulator("mine_ecs.py");
}

#[cfg(feature = "sagemaker")]
#[test]
fn boto3_trains_on_sagemaker() {
    against_the_simulator("mine_sagemaker.py");
}

#[cfg(feature = "lambda")]
#[test]
fn boto3_calls_functions_and_shuts_them() {
    against_the_simulator("mine_lambda.py");
}

#[test]
fn boto3_sees_codebuild_start_the_next_build_of_a_batch() {
    against_the_simulator("codebuild.py");
}

#[test]
fn boto3_uses_app_runner_and_amplify() {
    against_the_simulator("apprunner_amplify.py");
}

#[test]
fn boto3_sees_glue_start_again_what_was_stopped_too_early() {
    against_the_simulator("glue.py");
}

#[cfg(all(feature = "ssoadmin", feature = "identitystore", feature = "rolesanywhere"))]
#[test]
fn boto3_assigns_by_identity_center_and_comes_by_roles_anywhere() {
    against_the_simulator("identity_center.py");
}

#[test]
fn boto3_sees_lightsail_start_and_stop() {
    against_the_simulator("lightsail.py");
}

#[test]
fn boto3_sees_emr_keep_its_machines_until_it_is_terminated() {
    against_the_simulator("emr.py");
}

#[test]
fn the_aws_cli_looks_around() {
    against_the_simulator("aws_cli.py");
}

#[test]
fn differences_from_moto_are_explained() {
    let Some(python) = Python::ready() else { return };
    let (simulator, moto) = (Simulator::skipping("cryptojack-small"), Moto::start(python));
    let mut script = python.script("differences.py");
    succeed(script.arg(simulator.ready.to_string()).arg(&moto.endpoint).arg(source("tests/differences.md")));
}

/// quell contains what boto3 seeded in moto, and boto3 reads the result back.
fn quell_contains_moto(runbook: &str, setting: &str) {
    let Some(python) = Python::ready() else { return };
    let moto = Moto::start(python);
    let mut script = python.script("contain_moto.py");
    succeed(script.args([env!("CARGO_BIN_EXE_quell"), &moto.endpoint, runbook, setting]));
}

#[test]
fn quell_captures_moto() {
    let Some(python) = Python::ready() else { return };
    let moto = Moto::start(python);
    succeed(python.script("capture_moto.py").args([env!("CARGO_BIN_EXE_quell"), &moto.endpoint]));
}

#[test]
fn rogue_instances_in_the_own_account() {
    quell_contains_moto("rogue-instances", "own-account");
}

#[test]
fn rogue_instances_through_a_role() {
    quell_contains_moto("rogue-instances", "through-a-role");
}

#[test]
fn rogue_instances_in_an_organisation() {
    quell_contains_moto("rogue-instances", "organisation");
}

#[test]
fn leaked_key_in_the_own_account() {
    quell_contains_moto("leaked-key", "own-account");
}

#[test]
fn leaked_key_through_a_role() {
    quell_contains_moto("leaked-key", "through-a-role");
}

#[test]
fn leaked_key_in_an_organisation() {
    quell_contains_moto("leaked-key", "organisation");
}

/// quell stops what boto3 runs in other services of moto, and takes that back.
fn quell_contains_moto_in(services: &[&str]) {
    let Some(python) = Python::ready() else { return };
    let moto = Moto::start(python);
    let mut script = python.script("contain_moto_services.py");
    succeed(script.args([env!("CARGO_BIN_EXE_quell"), &moto.endpoint]).args(services));
}

#[cfg(feature = "ecs")]
#[test]
fn services_and_tasks_on_ecs() {
    quell_contains_moto_in(&["ecs"]);
}

#[cfg(feature = "lambda")]
#[test]
fn functions_on_lambda() {
    quell_contains_moto_in(&["lambda"]);
}

#[cfg(feature = "sagemaker")]
#[test]
fn notebooks_and_endpoints_on_sagemaker() {
    quell_contains_moto_in(&["sagemaker"]);
}

#[cfg(feature = "batch")]
#[test]
fn queues_with_their_jobs_on_batch() {
    quell_contains_moto_in(&["batch"]);
}

#[cfg(feature = "emr")]
#[test]
fn clusters_on_emr() {
    quell_contains_moto_in(&["emr"]);
}

#[cfg(feature = "glue")]
#[test]
fn jobs_with_triggers_on_glue() {
    quell_contains_moto_in(&["glue"]);
}

#[cfg(all(
    feature = "amplify",
    feature = "apprunner",
    feature = "codebuild",
    feature = "lightsail",
    feature = "sagemaker"
))]
#[test]
fn what_moto_lacks_is_never_clean_and_holds_nothing_up() {
    quell_contains_moto_in(&["lightsail", "apprunner", "amplify", "codebuild", "sagemaker-apps"]);
}

#[cfg(all(feature = "ssoadmin", feature = "identitystore"))]
#[test]
fn assignments_and_memberships_in_identity_center() {
    quell_contains_moto_in(&["identity-center"]);
}

#[test]
fn quarantine_of_the_own_account_is_refused() {
    quell_contains_moto("quarantine-account", "own-account");
}

#[test]
fn quarantine_of_an_account_reached_through_a_role() {
    quell_contains_moto("quarantine-account", "through-a-role");
}

#[test]
fn quarantine_in_an_organisation() {
    quell_contains_moto("quarantine-account", "organisation");
}
