//! Amazon Lightsail.

use aws_sdk_lightsail::Client;
use aws_sdk_lightsail::types::{Container, ContainerServicePowerName, ContainerServiceState, Tag};
use aws_types::SdkConfig;
use quell::engine::ports::Access;
use quell::model::{ErrorKind, Region, RunOutcome, Target};
use serde_json::json;

use crate::actions::{Drive, Lab as ActionLab, Scene, Stage};
use crate::launchers::{Lab, shipped, wait};
use crate::services::of;

pub const STAGES: &[Stage] = &[
    Stage {
        action: "lightsail.stop",
        on: "an instance",
        set_up: |lab| Box::pin(stage(lab, "{ from: lightsail.instances }")),
    },
    Stage {
        action: "lightsail.stop",
        on: "a container service",
        set_up: |lab| Box::pin(stage(lab, "{ from: lightsail.containers }")),
    },
];

async fn stage(lab: &ActionLab, set: &str) -> Scene {
    let target = lab.region();
    found_miners(&lab.enter(&target, Access::Write).await.sdk, target.region.as_str()).await;
    Scene::in_region(lab, set)
}

/// An instance and a container service that nobody owns, and an instance that somebody does.
async fn found_miners(sdk: &SdkConfig, region: &str) {
    let client = Client::new(sdk);
    for (name, owner) in [("miner", None), ("shop", Some("owner"))] {
        let tag = owner.map(|owner| Tag::builder().key(owner).value("web").build());
        let create = client.create_instances().instance_names(name).availability_zone(format!("{region}a"));
        let create = create.blueprint_id("ubuntu_22_04").bundle_id("4xlarge_3_0").set_tags(tag.map(|tag| vec![tag]));
        create.send().await.unwrap();
    }
    let service = client.create_container_service().service_name("miner").scale(20);
    service.power(ContainerServicePowerName::Xlarge).send().await.unwrap();
    wait(30).await;
    let deploy = client.create_container_service_deployment().service_name("miner");
    deploy.containers("xmrig", Container::builder().image("xmrig").build()).send().await.unwrap();
    wait(30).await;
}

async fn states(client: &Client) -> (Vec<(String, String)>, Vec<ContainerServiceState>) {
    let instances = client.get_instances().send().await.unwrap();
    let state = |of: &aws_sdk_lightsail::types::Instance| {
        (of.name().unwrap().to_owned(), of.state().unwrap().name().unwrap().to_owned())
    };
    let services = client.get_container_services().send().await.unwrap();
    let services = services.container_services().iter().map(|service| service.state().unwrap().clone());
    (instances.instances().iter().map(state).collect(), services.collect())
}

fn named(miner: &str, shop: &str) -> Vec<(String, String)> {
    [("miner", miner), ("shop", shop)].map(|(name, state)| (name.to_owned(), state.to_owned())).to_vec()
}

#[tokio::test(start_paused = true)]
async fn miners_are_stopped_stay_so_and_come_back() {
    let lab = Lab::new();
    found_miners(&lab.intruder().await, lab.target.region.as_str()).await;
    let client = Client::new(&lab.responder().await);
    assert_eq!(states(&client).await, (named("running", "running"), vec![ContainerServiceState::Running]));
    let sets = "  instances: { from: lightsail.instances, where: '!(\"owner\" in tags) && cpus >= 16' }\n\
                \x20 services: { from: lightsail.containers, where: '\"xmrig\" in images' }";
    let steps = "  - { id: instances, uses: lightsail.stop, on: instances }\n\
                 \x20 - { id: services, uses: lightsail.stop, on: services }";
    let summary = lab.run(&of(&lab, sets, steps)).await;
    assert_eq!(summary.outcome, RunOutcome::Contained, "{summary:#?}");
    assert_eq!(summary.changes.done, 2, "{summary:#?}");
    wait(1800).await;
    assert_eq!(states(&client).await, (named("stopped", "running"), vec![ContainerServiceState::Disabled]));

    let back = lab.take_back().await;
    assert_eq!(back.outcome, RunOutcome::RolledBack, "{back:#?}");
    wait(60).await;
    assert_eq!(states(&client).await, (named("running", "running"), vec![ContainerServiceState::Running]));
}

/// Stopping is no lock: whoever still has credentials starts again what was stopped. The whole runbook takes them away.
#[tokio::test(start_paused = true)]
async fn whoever_has_credentials_starts_them_again_until_the_whole_runbook_has_run() {
    let lab = Lab::new();
    let sdk = lab.intruder().await;
    found_miners(&sdk, lab.target.region.as_str()).await;
    let intruder = Client::new(&sdk);
    let set = "  instances: { from: lightsail.instances, where: '!(\"owner\" in tags)' }";
    lab.run(&of(&lab, set, "  - { id: instances, uses: lightsail.stop, on: instances }")).await;
    intruder.start_instance().instance_name("miner").send().await.unwrap();
    wait(60).await;
    let client = Client::new(&lab.responder().await);
    assert_eq!(states(&client).await.0, named("running", "running"));

    let summary = lab.run_as(&shipped("cryptojack"), "case-2").await;
    assert_eq!(summary.outcome, RunOutcome::Contained, "{summary:#?}");
    assert_eq!(states(&client).await, (named("stopped", "running"), vec![ContainerServiceState::Disabled]));
    let refused = intruder.start_instance().instance_name("miner").send().await.unwrap_err();
    let refused = quell::model::ActionError::from(refused);
    assert!([ErrorKind::Denied, ErrorKind::Credentials].contains(&refused.kind), "{refused}");
}

#[tokio::test(start_paused = true)]
async fn instances_and_services_go_off_and_on() {
    let lab = ActionLab::new().await;
    let target = lab.region();
    found_miners(&lab.enter(&target, Access::Write).await.sdk, target.region.as_str()).await;
    for set in ["lightsail.instances", "lightsail.containers"] {
        let members = lab.list(set, json!({}), &target).await;
        let drive = Drive::new(&lab, "lightsail.stop", json!({}), &target, &members);
        drive.there_and_back().await;
        wait(60).await;
        drive.back_without_effects().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_region_without_lightsail_counts_as_looked_at_by_what_lightsail_says() {
    let lab = ActionLab::new().await;
    let without = Target::new(lab.facts.breached_account.clone(), Region::new("eu-south-1").unwrap());
    let before = lab.sim.log().len();
    for set in ["lightsail.instances", "lightsail.containers"] {
        assert_eq!(lab.list(set, json!({}), &without).await, []);
    }
    let log = lab.sim.log();
    let asked = log[before..].iter().filter(|entry| entry.service == "lightsail");
    let asked: Vec<(&str, &str)> = asked.map(|entry| (entry.region.as_str(), entry.operation.as_str())).collect();
    assert_eq!(asked, [("us-east-1", "GetRegions"); 2]);
    // There is nobody who could be asked.
    let client = Client::new(&lab.enter(&without, Access::Read).await.sdk);
    let nowhere = quell::model::ActionError::from(client.get_instances().send().await.unwrap_err());
    assert_eq!(nowhere.kind, ErrorKind::Unreachable);
}
