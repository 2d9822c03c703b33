//! The other services that miners use: found, stopped, proven, taken back; and the wrong order loses.

#[cfg(feature = "amplify")]
pub mod amplify;
#[cfg(feature = "apprunner")]
pub mod apprunner;
#[cfg(all(feature = "batch", feature = "cloudtrail"))]
pub mod batch;
#[cfg(feature = "codebuild")]
pub mod codebuild;
#[cfg(feature = "ecs")]
pub mod ecs;
#[cfg(feature = "emr")]
pub mod emr;
#[cfg(feature = "glue")]
pub mod glue;
#[cfg(all(feature = "ssoadmin", feature = "identitystore"))]
pub mod identity_center;
#[cfg(feature = "lambda")]
pub mod lambda;
#[cfg(feature = "lightsail")]
pub mod lightsail;
#[cfg(feature = "rolesanywhere")]
pub mod rolesanywhere;
mod run;
#[cfg(feature = "sagemaker")]
pub mod sagemaker;

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::provider::SharedCredentialsProvider;
use quell::actions;
use quell::engine::action::Decision;
use quell::model::Runbook;
use quell::runbook;
use serde_json::json;

use crate::actions::{Drive, Lab as ActionLab};
use crate::launchers::{Lab, wait};

/// A runbook for the intruder's region, with these sets and steps.
fn of(lab: &Lab, sets: &str, steps: &str) -> Runbook {
    let text = format!(
        "quell: 1\nname: test\ntitle: Miners in other services\n\
         targets: {{ accounts: [\"{}\"], regions: [{}], role: ir/IRResponder }}\n\
         sets:\n{sets}\nsteps:\n{steps}\n\
         until: {{ clean_sweeps: 2, every: 60s, at_most: 6, newcomers: contain }}\n",
        lab.facts.breached_account, lab.target.region
    );
    match runbook::load("test", &text, &actions::table().catalog()) {
        Ok((runbook, _)) => runbook,
        Err(found) => panic!("{text}\n{:#?}", found.errors),
    }
}

/// The intruder's own way to AWS there.
fn intruder(lab: &ActionLab) -> SdkConfig {
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(lab.region().region.to_string()))
        .credentials_provider(SharedCredentialsProvider::new(lab.attacker.clone()))
        .http_client(lab.sim.http_client())
        .time_source(lab.sim.time_source())
        .build()
}

/// A subnet there.
async fn subnet(lab: &ActionLab) -> String {
    let subnets = aws_sdk_ec2::Client::new(&intruder(lab)).describe_subnets().send().await.unwrap();
    subnets.subnets()[0].subnet_id().unwrap().to_owned()
}

async fn minutes(count: u64) {
    wait(60 * count).await;
}

/// Gives the intruder these actions, and no others.
fn allow_only(lab: &ActionLab, actions: &[&str]) {
    let allow = json!({ "Version": "2012-10-17", "Statement": [
        { "Effect": "Allow", "Action": actions, "Resource": "*" },
    ] });
    lab.sim.change(|world| {
        let users = &mut world.account_mut(&lab.facts.breached_account).iam.users;
        let policies = &mut users.get_mut("mara.weiss").unwrap().policies;
        policies.managed.clear();
        policies.inline.insert("Only".to_owned(), allow.to_string());
    });
}

/// Why nothing is done about each of what is found.
async fn skipped(drive: &Drive<'_>) -> Vec<String> {
    let mut reasons = Vec::new();
    for found in drive.look().await {
        if let Decision::Skip(why) = drive.decide(&found).await {
            reasons.push(why);
        }
    }
    reasons
}
