//! App Runner: services, in the few regions that have it.

use aws_sdk_apprunner::Client;
use aws_sdk_apprunner::error::ProvideErrorMetadata as _;
use aws_sdk_apprunner::types::{ImageRepository, ImageRepositoryType, ServiceStatus, SourceConfiguration, Tag};
use quell::engine::ports::Access;
use quell::model::{Region, RunOutcome, Target};
use serde_json::json;

use super::run::{Runs, wait};
use crate::actions::{Drive, Lab, Scene, Stage};

pub const STAGES: &[Stage] =
    &[Stage { action: "apprunner.pause", on: "a service", set_up: |lab| Box::pin(one_service(lab)) }];

/// A region that has App Runner.
fn ireland(lab: &Lab) -> Target {
    Target::new(lab.facts.breached_account.clone(), Region::new("eu-west-1").unwrap())
}

async fn one_service(lab: &Lab) -> Scene {
    service(&Client::new(&lab.enter(&ireland(lab), Access::Write).await.sdk), "mine", None).await;
    Scene::in_region(lab, "{ from: apprunner.services }").at(ireland(lab))
}

async fn service(client: &Client, name: &str, owner: Option<&str>) -> String {
    let image = ImageRepository::builder().image_identifier("public.ecr.aws/example/miner:latest");
    let image = image.image_repository_type(ImageRepositoryType::EcrPublic).build().unwrap();
    let source = SourceConfiguration::builder().image_repository(image).build();
    let made = client.create_service().service_name(name).source_configuration(source);
    let tags = owner.map(|owner| vec![Tag::builder().key("owner").value(owner).build()]);
    let made = made.set_tags(tags).send().await.unwrap();
    made.service().unwrap().service_arn().to_owned()
}

async fn state(client: &Client, arn: &str) -> ServiceStatus {
    client.describe_service().service_arn(arn).send().await.unwrap().service().unwrap().status().clone()
}

#[tokio::test(start_paused = true)]
async fn services_are_paused_and_resumed_and_regions_without_app_runner_are_known() {
    let runs = Runs::new().await;
    let client = Client::new(&runs.lab.enter(&ireland(&runs.lab), Access::Write).await.sdk);
    let mine = service(&client, "mine", None).await;
    let shop = service(&client, "shop", Some("shop")).await;
    let summary = runs
        .contain(
            "enabled",
            "sets: { services: { from: apprunner.services, where: '!tags.exists(k, k == \"owner\") && cpu == \"1024\"' } }\n\
             steps: [{ id: pause, uses: apprunner.pause, on: services }]",
        )
        .await;
    assert_eq!(summary.outcome, RunOutcome::Contained, "{summary:#?}");
    let seen = &summary.coverage;
    assert_eq!((seen.acted, seen.denied, seen.unreachable, seen.unknown), (1, 0, 0, 0), "{seen:?}");
    let log = runs.lab.sim.log();
    let nowhere: Vec<_> = log.iter().filter(|entry| entry.outcome == "no-endpoint").collect();
    assert!(nowhere.iter().any(|entry| entry.region == "eu-south-1"), "asked where App Runner is not known to be");
    assert!(nowhere.iter().all(|entry| entry.region != "eu-west-1"));
    assert_eq!(
        (state(&client, &mine).await, state(&client, &shop).await),
        (ServiceStatus::Paused, ServiceStatus::Running)
    );

    let back = runs.take_back().await;
    assert_eq!(back.outcome, RunOutcome::RolledBack, "{back:#?}");
    wait(120).await;
    assert_eq!(state(&client, &mine).await, ServiceStatus::Running);
}

#[tokio::test(start_paused = true)]
async fn a_service_that_is_being_made_is_paused_as_soon_as_it_can_be() {
    let lab = Lab::new().await;
    let target = ireland(&lab);
    let client = Client::new(&lab.enter(&target, Access::Write).await.sdk);
    let arn = service(&client, "mine", None).await;
    let error = client.pause_service().service_arn(&arn).send().await.unwrap_err();
    assert_eq!(error.code(), Some("InvalidStateException"), "{error:?}");
    let services = lab.list("apprunner.services", json!({}), &target).await;
    let drive = Drive::new(&lab, "apprunner.pause", json!({}), &target, &services);
    let items = drive.items().await;
    drive.apply(&items).await;
    wait(120).await;
    assert_eq!(state(&client, &arn).await, ServiceStatus::Paused);
    drive.apply(&items).await;
    drive.assert_proven(&items).await;
}
