//! AWS Batch.

use aws_sdk_batch::Client;
use aws_sdk_batch::types::{
    CeState, CeType, ComputeEnvironmentOrder, ComputeResource, ContainerProperties, CrType, JobDefinitionType,
    JobStatus, ResourceRequirement, ResourceType, RetryStrategy,
};
use aws_types::SdkConfig;
use quell::engine::ports::Access;
use quell::model::{Resource, RunOutcome, Target};
use serde_json::json;

use crate::actions::{Drive, Lab as ActionLab, Scene, Stage};
use crate::launchers::{Lab, shipped, wait};
use crate::services::of;

pub const STAGES: &[Stage] = &[
    Stage { action: "batch.stop", on: "a queue with jobs", set_up: |lab| Box::pin(queue(lab)) },
    Stage { action: "batch.disable-environments", on: "EC2 and Fargate", set_up: |lab| Box::pin(environments(lab)) },
];

/// A queue whose jobs run on Fargate.
async fn queue(lab: &ActionLab) -> Scene {
    let sdk = lab.enter(&lab.region(), Access::Write).await.sdk;
    let client = Client::new(&sdk);
    found_queue(&client, &sdk, "miners", 0).await;
    client.update_compute_environment().compute_environment("miners").state(CeState::Disabled).send().await.unwrap();
    wait(5).await;
    mine(&client, "miners", &["small", "small", "small"]).await;
    Scene::in_region(lab, "{ from: batch.queues }")
}

/// Environments in which nothing runs: what runs does not come back.
async fn environments(lab: &ActionLab) -> Scene {
    let sdk = lab.enter(&lab.region(), Access::Write).await.sdk;
    found_queue(&Client::new(&sdk), &sdk, "miners", 0).await;
    Scene::in_region(lab, "{ from: batch.environments }")
}

/// The filter by which Batch's machines are found.
const OF_BATCH: (&str, &str) = ("tag:AWSBatchServiceTag", "batch");
const SETS: &str = "  queues: { from: batch.queues, where: '!(\"owner\" in tags)' }\n\
                    \x20 places: { from: batch.environments, where: '!(\"owner\" in tags)' }";
const RIGHT: &str = "  - { id: batch, uses: batch.stop, on: queues }\n\
                     \x20 - { id: places, uses: batch.disable-environments, on: places, needs: [batch] }";

/// A queue with a compute environment on EC2 of the same name, and one on Fargate.
async fn found_queue(client: &Client, sdk: &SdkConfig, name: &str, least: i32) {
    let subnets = aws_sdk_ec2::Client::new(sdk).describe_subnets().send().await.unwrap();
    let subnet = subnets.subnets()[0].subnet_id().unwrap();
    let on_ec2 = ComputeResource::builder().r#type(CrType::Ec2).minv_cpus(least).maxv_cpus(48).subnets(subnet);
    let on_ec2 = on_ec2.instance_types("c5.4xlarge").instance_role("ecsInstanceRole").build();
    let on_fargate = ComputeResource::builder().r#type(CrType::Fargate).maxv_cpus(8).subnets(subnet).build();
    for (suffix, resources) in [("", on_ec2), ("-fargate", on_fargate)] {
        let made = client.create_compute_environment().compute_environment_name(format!("{name}{suffix}"));
        made.r#type(CeType::Managed).compute_resources(resources).send().await.unwrap();
    }
    wait(5).await;
    let entry = |order: i32, suffix: &str| {
        let environment = format!("{name}{suffix}");
        ComputeEnvironmentOrder::builder().order(order).compute_environment(environment).build()
    };
    let queue = client.create_job_queue().job_queue_name(name).priority(1);
    queue.compute_environment_order(entry(1, "")).compute_environment_order(entry(2, "-fargate")).send().await.unwrap();
    wait(5).await;
}

/// Jobs of a whole machine each, and one that fits on Fargate only, once the machines are full.
const JOBS: [&str; 4] = ["big", "big", "big", "small"];

/// Submits jobs, one after the other.
async fn mine(client: &Client, queue: &str, jobs: &[&str]) {
    for (name, vcpus) in [("big", "16"), ("small", "4")] {
        let vcpus = ResourceRequirement::builder().r#type(ResourceType::Vcpu).value(vcpus).build();
        let container = ContainerProperties::builder().image("xmrig").resource_requirements(vcpus).build();
        let retries = RetryStrategy::builder().attempts(10).build();
        let definition = client.register_job_definition().job_definition_name(name).retry_strategy(retries);
        definition.r#type(JobDefinitionType::Container).container_properties(container).send().await.unwrap();
    }
    for job in jobs {
        client.submit_job().job_name(*job).job_definition(*job).job_queue(queue).send().await.unwrap();
        wait(40).await;
    }
    wait(60).await;
}

async fn count(client: &Client, queue: &str, status: JobStatus) -> usize {
    let listed = client.list_jobs().job_queue(queue).job_status(status).send().await.unwrap();
    listed.job_summary_list().len()
}

async fn running(client: &Client, queue: &str) -> usize {
    count(client, queue, JobStatus::Running).await
}

/// The intruder's queue, with its jobs running.
async fn mined() -> (Lab, Client) {
    let lab = Lab::new();
    let sdk = lab.intruder().await;
    let client = Client::new(&sdk);
    found_queue(&client, &sdk, "miners", 16).await;
    mine(&client, "miners", &JOBS).await;
    assert_eq!(running(&client, "miners").await, 4, "three fill the machines, one is on Fargate");
    (lab, client)
}

#[tokio::test(start_paused = true)]
async fn stopping_the_machines_alone_brings_others() {
    let (lab, client) = mined().await;
    let sets = "  rogue: { from: ec2.instances, where: '\"AWSBatchServiceTag\" in tags && state != \"terminated\"' }";
    let steps = "  - { id: stop, uses: ec2.stop-instances, on: rogue }";
    let summary = lab.run(&of(&lab, sets, steps)).await;
    assert_ne!(summary.outcome, RunOutcome::Contained, "{summary:#?}");
    wait(300).await;
    let states = lab.states(OF_BATCH).await;
    assert_eq!(states.iter().filter(|state| *state == "running").count(), 3, "{states:?}");
    assert_eq!(running(&client, "miners").await, 4, "lost jobs are tried again");
}

#[tokio::test(start_paused = true)]
async fn disabled_environments_alone_let_jobs_run() {
    let (lab, client) = mined().await;
    let steps = "  - { id: places, uses: batch.disable-environments, on: places }";
    let summary = lab.run(&of(&lab, SETS, steps)).await;
    assert_ne!(summary.outcome, RunOutcome::Contained, "{summary:#?}");
    assert_eq!(running(&client, "miners").await, 4);
}

#[tokio::test(start_paused = true)]
async fn jobs_that_are_terminated_while_the_queue_is_open_are_submitted_again() {
    let (_lab, client) = mined().await;
    let jobs = client.list_jobs().job_queue("miners").send().await.unwrap();
    for job in jobs.job_summary_list() {
        client.terminate_job().job_id(job.job_id().unwrap()).reason("miner").send().await.unwrap();
    }
    wait(60).await;
    assert_eq!(running(&client, "miners").await, 0, "a terminated job is not tried again");
    mine(&client, "miners", &JOBS).await;
    assert_eq!(running(&client, "miners").await, 4, "but nothing keeps others away");
}

#[tokio::test(start_paused = true)]
async fn the_queue_first_then_its_environments_ends_it_and_goes_back() {
    let (lab, client) = mined().await;
    let summary = lab.run(&of(&lab, SETS, RIGHT)).await;
    assert_eq!(summary.outcome, RunOutcome::Contained, "{summary:#?}");
    assert_eq!(summary.changes.done, 3, "{summary:#?}");
    let refused = client.submit_job().job_name("big").job_definition("big").job_queue("miners").send().await;
    assert_eq!(refused.unwrap_err().into_service_error().meta().code(), Some("ClientException"));
    wait(1800).await;
    assert_eq!(running(&client, "miners").await, 0);
    assert!(lab.states(OF_BATCH).await.iter().all(|state| state == "terminated"), "no machine is left");

    let back = lab.take_back().await;
    assert_eq!(back.outcome, RunOutcome::RolledBack, "{back:#?}");
    for _ in 0..3 {
        lab.states(OF_BATCH).await;
        wait(60).await;
    }
    let running_machines = lab.states(OF_BATCH).await.into_iter().filter(|state| state == "running").count();
    assert_eq!(running_machines, 1, "the least vCPUs are one machine");
    client.submit_job().job_name("big").job_definition("big").job_queue("miners").send().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn the_shipped_runbook_ends_it_and_keeps_the_machines_as_evidence() {
    let (lab, client) = mined().await;
    let summary = lab.run(&shipped("cryptojack")).await;
    assert_eq!(summary.outcome, RunOutcome::Contained, "{summary:#?}");
    wait(1800).await;
    let cx = lab.responder().await;
    assert_eq!(running(&Client::new(&cx), "miners").await, 0);
    assert_eq!(lab.states(OF_BATCH).await, ["stopped"; 3], "stopped, not terminated, and no others");
    drop(client);
}

/// The members of a set, and a queue of the responder's colleagues beside the intruder's.
async fn two_queues(lab: &ActionLab) -> (Target, Vec<Resource>, Vec<Resource>) {
    let first = &lab.facts.machines["rogue"][0];
    let target = Target::new(first.account.clone(), first.region.clone());
    let sdk = lab.enter(&target, Access::Write).await.sdk;
    let client = Client::new(&sdk);
    found_queue(&client, &sdk, "research", 16).await;
    let provider = aws_credential_types::provider::SharedCredentialsProvider::new(lab.attacker.clone());
    let sdk = sdk.into_builder().credentials_provider(provider).build();
    let client = Client::new(&sdk);
    found_queue(&client, &sdk, "miners", 16).await;
    mine(&client, "miners", &JOBS).await;
    let queues = lab.list("batch.queues", json!({}), &target).await;
    let environments = lab.list("batch.environments", json!({}), &target).await;
    (target, queues, environments)
}

#[tokio::test(start_paused = true)]
async fn queues_and_environments_are_found_with_their_makers() {
    let lab = ActionLab::new().await;
    let (_, queues, environments) = two_queues(&lab).await;
    let maker = |members: &[Resource], name: &str| {
        let member = members.iter().find(|member| member.fields["name"] == name).unwrap();
        (member.fields["creator"].as_str().unwrap().to_owned(), member.fields["created"].clone())
    };
    for members in [&queues, &environments] {
        let (intruder, created) = maker(members, "miners");
        assert!(intruder.ends_with(&format!("user/{}", lab.facts.compromised_user)), "{intruder}");
        assert!(created.as_str().unwrap() > "2026-03-03", "{created}");
        assert!(maker(members, "research").0.contains(":assumed-role/IRResponder/"));
    }
    assert_eq!(queues[0].fields["environments"], json!(["miners", "miners-fargate"]));
    assert_eq!(environments[0].fields["desired_vcpus"], 48);
    // What the event history does not reach.
    lab.sim.change(|world| {
        for region in world.accounts.values_mut().flat_map(|account| account.regions.values_mut()) {
            region.cloudtrail.events.clear();
        }
    });
    let target = queues[0].target.clone();
    assert_eq!(maker(&lab.list("batch.queues", json!({}), &target).await, "miners").1, "1970-01-01T00:00:00Z");
}

#[tokio::test(start_paused = true)]
async fn queues_and_environments_go_off_and_on() {
    let lab = ActionLab::new().await;
    let (target, queues, environments) = two_queues(&lab).await;
    let places = Drive::new(&lab, "batch.disable-environments", json!({}), &target, &environments);
    places.there_and_back().await;
    places.back_without_effects().await;
    let queues = Drive::new(&lab, "batch.stop", json!({}), &target, &queues);
    queues.there_and_back().await;
    queues.back_without_effects().await;
}
