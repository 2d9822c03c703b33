//! Amazon EMR.

use aws_sdk_emr::Client;
use aws_sdk_emr::types::{InstanceGroupConfig, InstanceRoleType, JobFlowInstancesConfig};
use aws_types::SdkConfig;
use quell::engine::action::Decision;
use quell::engine::ports::Access;
use quell::model::RunOutcome;
use serde_json::json;

use crate::actions::{Drive, Lab as ActionLab, Scene, Stage};
use crate::launchers::{Lab, shipped, wait};
use crate::services::of;

pub const STAGES: &[Stage] =
    &[Stage { action: "emr.terminate", on: "a protected cluster", set_up: |lab| Box::pin(cluster(lab)) }];

async fn cluster(lab: &ActionLab) -> Scene {
    found_cluster(&lab.enter(&lab.region(), Access::Write).await.sdk, "miner").await;
    Scene::in_region(lab, "{ from: emr.clusters }")
}

/// The filter by which the machines of clusters are found.
const CORES: (&str, &str) = ("tag:aws:elasticmapreduce:instance-group-role", "CORE");
const MASTERS: (&str, &str) = ("tag:aws:elasticmapreduce:instance-group-role", "MASTER");
const SETS: &str = "  clusters: { from: emr.clusters, where: 'protected && !(\"owner\" in tags)' }";

/// A protected cluster of a master and three others.
async fn found_cluster(sdk: &SdkConfig, name: &str) -> String {
    let group = |role, count| {
        let group = InstanceGroupConfig::builder().instance_role(role).instance_type("c5.4xlarge");
        group.instance_count(count).build()
    };
    let instances = JobFlowInstancesConfig::builder().keep_job_flow_alive_when_no_steps(true);
    let instances = instances.instance_groups(group(InstanceRoleType::Master, 1)).termination_protected(true);
    let instances = instances.instance_groups(group(InstanceRoleType::Core, 3)).build();
    let run = Client::new(sdk).run_job_flow().name(name).release_label("emr-7.3.0").instances(instances);
    let made = run.service_role("EMR_DefaultRole").job_flow_role("EMR_EC2_DefaultRole").send().await.unwrap();
    wait(90).await;
    made.job_flow_id.unwrap()
}

async fn state(client: &Client, id: &str) -> String {
    let cluster = client.describe_cluster().cluster_id(id).send().await.unwrap().cluster.unwrap();
    cluster.status().unwrap().state().unwrap().as_str().to_owned()
}

fn count(states: &[String], state: &str) -> usize {
    states.iter().filter(|one| *one == state).count()
}

#[tokio::test(start_paused = true)]
async fn stopping_the_machines_alone_brings_others() {
    let lab = Lab::new();
    let id = found_cluster(&lab.intruder().await, "miner").await;
    let sets = "  rogue: { from: ec2.instances, where: 'tags[\"aws:elasticmapreduce:instance-group-role\"] == \"CORE\" && \
                state != \"terminated\"' }";
    let summary = lab.run(&of(&lab, sets, "  - { id: stop, uses: ec2.stop-instances, on: rogue }")).await;
    assert_ne!(summary.outcome, RunOutcome::Contained, "{summary:#?}");
    lab.states(CORES).await;
    wait(300).await;
    let states = lab.states(CORES).await;
    assert_eq!(count(&states, "running"), 3, "{states:?}");
    assert_eq!(state(&Client::new(&lab.responder().await), &id).await, "WAITING");
}

#[tokio::test(start_paused = true)]
async fn a_protected_cluster_is_terminated_with_all_its_machines_and_does_not_come_back() {
    let lab = Lab::new();
    let id = found_cluster(&lab.intruder().await, "miner").await;
    let client = Client::new(&lab.responder().await);
    let refused = client.terminate_job_flows().job_flow_ids(&id).send().await.unwrap_err();
    assert_eq!(quell::model::ActionError::from(refused).code.as_deref(), Some("ValidationException"));

    // Its machines are kept as snapshots; what protects a machine alone protects it from others than EMR.
    let sets =
        format!("{SETS}\n  rogue: {{ from: ec2.instances, where: '\"aws:elasticmapreduce:job-flow-id\" in tags' }}");
    let steps = "  - { id: evidence, uses: ec2.snapshot-volumes, on: rogue }\n\
                 \x20 - { id: emr, uses: emr.terminate, on: clusters, needs: [evidence] }";
    let summary = lab.run(&of(&lab, &sets, steps)).await;
    assert_eq!(summary.outcome, RunOutcome::Contained, "{summary:#?}");
    wait(300).await;
    assert_eq!(state(&client, &id).await, "TERMINATED");
    for role in [CORES, MASTERS] {
        let states = lab.states(role).await;
        assert_eq!(count(&states, "terminated"), states.len(), "{states:?}");
    }
    // What is gone is said to be gone before anything is taken back.
    let plan = lab.plan_back().await;
    let gone = |message: &str| message.contains(&id) && message.contains("does not come back");
    assert!(plan.findings.iter().any(|finding| gone(&finding.message)), "{:#?}", plan.findings);
}

#[tokio::test(start_paused = true)]
async fn the_shipped_runbook_ends_it() {
    let lab = Lab::new();
    let id = found_cluster(&lab.intruder().await, "miner").await;
    let summary = lab.run(&shipped("cryptojack")).await;
    assert_eq!(summary.outcome, RunOutcome::Contained, "{summary:#?}");
    wait(300).await;
    assert!(state(&Client::new(&lab.responder().await), &id).await.starts_with("TERMINATED"));
}

#[tokio::test(start_paused = true)]
async fn clusters_are_terminated_twice_without_harm_and_never_taken_back() {
    let lab = ActionLab::new().await;
    let target = lab.region();
    let sdk = lab.enter(&target, Access::Write).await.sdk;
    for name in ["one", "two"] {
        found_cluster(&sdk, name).await;
    }
    let clusters = lab.list("emr.clusters", json!({}), &target).await;
    assert_eq!(clusters.len(), 2);
    assert_eq!(clusters[0].fields["state"], "WAITING");
    assert!(clusters[0].fields["created"].as_str().unwrap() > "2026-03-03");
    let drive = Drive::new(&lab, "emr.terminate", json!({}), &target, &clusters);
    let items = drive.items().await;
    let Decision::Change(proposal) = drive.decide(&drive.look().await[0]).await else { panic!("no change") };
    assert_eq!(proposal.undo.how, None);
    drive.apply(&items).await;
    drive.assert_proven(&items).await;
    drive.apply(&items).await;
    wait(120).await;
    drive.assert_proven(&items).await;
    assert_eq!(lab.list("emr.clusters", json!({}), &target).await, [], "what has ended is not listed");
}
