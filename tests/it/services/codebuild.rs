//! CodeBuild: projects whose webhooks and batches start builds, and fleets.

use aws_sdk_codebuild::Client;
use aws_sdk_codebuild::error::ProvideErrorMetadata as _;
use aws_sdk_codebuild::types::{
    ArtifactsType, ComputeType, EnvironmentType, FleetScalingType, ProjectArtifacts, ProjectEnvironment, ProjectSource,
    ScalingConfigurationInput, SourceType, Tag, WebhookFilter, WebhookFilterType,
};
use quell::engine::ports::Access;
use quell::model::RunOutcome;
use serde_json::json;

use super::run::{Runs, wait};
use crate::actions::{Drive, Lab, Scene, Stage};

pub const STAGES: &[Stage] = &[
    Stage { action: "codebuild.stop-builds", on: "a webhook", set_up: |lab| Box::pin(hooked(lab, "filter")) },
    Stage { action: "codebuild.stop-builds", on: "a webhook (delete)", set_up: |lab| Box::pin(hooked(lab, "delete")) },
    Stage { action: "codebuild.shrink-fleets", on: "a fleet that grows", set_up: |lab| Box::pin(growing(lab)) },
];

async fn hooked(lab: &Lab, webhooks: &str) -> Scene {
    let client = Client::new(&lab.enter(&lab.region(), Access::Write).await.sdk);
    project(&client, "mine", None).await;
    webhook(&client, "mine").await;
    Scene::in_region(lab, "{ from: codebuild.projects }").with(json!({ "webhooks": webhooks }))
}

async fn growing(lab: &Lab) -> Scene {
    fleet(&Client::new(&lab.enter(&lab.region(), Access::Write).await.sdk)).await;
    Scene::in_region(lab, "{ from: codebuild.fleets }")
}

async fn project(client: &Client, name: &str, owner: Option<&str>) {
    let source = ProjectSource::builder().r#type(SourceType::Github).location("https://github.com/example/miner.git");
    let environment = ProjectEnvironment::builder()
        .r#type(EnvironmentType::LinuxContainer)
        .image("aws/codebuild/standard:7.0")
        .compute_type(ComputeType::BuildGeneral12Xlarge);
    let made = client.create_project().name(name).source(source.build().unwrap());
    let made = made.artifacts(ProjectArtifacts::builder().r#type(ArtifactsType::NoArtifacts).build().unwrap());
    let made = made.environment(environment.build().unwrap()).timeout_in_minutes(480);
    let made = made.service_role("arn:aws:iam::430987654321:role/build");
    let tags = owner.map(|owner| vec![Tag::builder().key("owner").value(owner).build()]);
    made.set_tags(tags).send().await.unwrap();
}

fn filter(kind: WebhookFilterType, pattern: &str) -> WebhookFilter {
    WebhookFilter::builder().r#type(kind).pattern(pattern).build().unwrap()
}

/// Pushes to the branch `main` start builds.
async fn webhook(client: &Client, project: &str) {
    let group = vec![filter(WebhookFilterType::Event, "PUSH"), filter(WebhookFilterType::HeadRef, "^refs/heads/main$")];
    client.create_webhook().project_name(project).filter_groups(group).send().await.unwrap();
}

async fn fleet(client: &Client) {
    let scaling = ScalingConfigurationInput::builder().max_capacity(50);
    let scaling = scaling.scaling_type(FleetScalingType::TargetTrackingScaling).build();
    let made = client.create_fleet().name("rigs").base_capacity(20).scaling_configuration(scaling);
    let made = made.environment_type(EnvironmentType::LinuxGpuContainer).compute_type(ComputeType::BuildGeneral1Large);
    made.send().await.unwrap();
}

/// The states of a project's builds, the newest first.
async fn states(client: &Client, project: &str) -> Vec<String> {
    let ids = client.list_builds_for_project().project_name(project).send().await.unwrap();
    let Some(ids) = ids.ids.filter(|ids| !ids.is_empty()) else { return Vec::new() };
    let builds = client.batch_get_builds().set_ids(Some(ids)).send().await.unwrap();
    builds.builds().iter().map(|build| build.build_status().unwrap().to_string()).collect()
}

/// What somebody pushes to a project's repository.
fn push(lab: &Lab, project: &str) {
    let (target, now) = (lab.region(), lab.sim.now());
    lab.sim.change(|world| world.region_mut(&target.account, &target.region).codebuild.push(project, "main", now));
}

#[tokio::test(start_paused = true)]
async fn builds_are_stopped_for_good_and_pushes_start_them_again_after_the_way_back() {
    let runs = Runs::new().await;
    let client = Client::new(&runs.sdk().await);
    project(&client, "mine", None).await;
    project(&client, "release", Some("platform")).await;
    webhook(&client, "mine").await;
    fleet(&client).await;
    push(&runs.lab, "mine");
    client.start_build_batch().project_name("mine").send().await.unwrap();
    client.start_build().project_name("release").send().await.unwrap();
    let summary = runs
        .contain(
            "enabled",
            "sets:\n  projects: { from: codebuild.projects, where: '!tags.exists(k, k == \"owner\")' }\n\
             \x20 fleets: { from: codebuild.fleets, where: capacity > 1 && environment.contains(\"GPU\") }\n\
             steps:\n  - { id: builds, uses: codebuild.stop-builds, on: projects }\n\
             \x20 - { id: fleets, uses: codebuild.shrink-fleets, on: fleets }",
        )
        .await;
    assert_eq!(summary.outcome, RunOutcome::Contained, "{summary:#?}");
    let seen = &summary.coverage;
    assert_eq!((seen.acted, seen.denied, seen.unreachable, seen.unknown), (1, 0, 0, 0), "{seen:?}");
    push(&runs.lab, "mine");
    wait(3600).await;
    assert_eq!(states(&client, "mine").await, ["STOPPED", "STOPPED"], "neither the push nor the batch started another");
    assert_eq!(states(&client, "release").await, ["IN_PROGRESS"], "what the company builds goes on");

    let back = runs.take_back().await;
    assert_eq!(back.outcome, RunOutcome::RolledBack, "{back:#?}");
    push(&runs.lab, "mine");
    assert_eq!(states(&client, "mine").await, ["IN_PROGRESS", "STOPPED", "STOPPED"]);
    let fleets = client.batch_get_fleets().names("rigs").send().await.unwrap();
    let fleet = &fleets.fleets()[0];
    assert_eq!((fleet.base_capacity(), fleet.scaling_configuration().unwrap().max_capacity()), (Some(20), Some(50)));
}

#[tokio::test(start_paused = true)]
async fn a_build_that_is_stopped_before_its_batch_is_followed_by_another() {
    let runs = Runs::new().await;
    let client = Client::new(&runs.sdk().await);
    project(&client, "mine", None).await;
    client.start_build_batch().project_name("mine").send().await.unwrap();
    let ids = client.list_builds_for_project().project_name("mine").send().await.unwrap();
    client.stop_build().id(&ids.ids()[0]).send().await.unwrap();
    wait(60).await;
    assert_eq!(states(&client, "mine").await, ["IN_PROGRESS", "STOPPED"]);
}

#[tokio::test(start_paused = true)]
async fn webhooks_are_held_or_deleted_and_come_back_either_way() {
    for webhooks in ["filter", "delete"] {
        let lab = Lab::new().await;
        let target = lab.region();
        let client = Client::new(&lab.enter(&target, Access::Write).await.sdk);
        project(&client, "mine", None).await;
        webhook(&client, "mine").await;
        let projects = lab.list("codebuild.projects", json!({}), &target).await;
        let drive = Drive::new(&lab, "codebuild.stop-builds", json!({ "webhooks": webhooks }), &target, &projects);
        drive.there_and_back().await;
        drive.back_without_effects().await;

        // What somebody has opened meanwhile stays as it is.
        let items = drive.items().await;
        let effects = drive.apply(&items).await;
        if webhooks == "filter" {
            client.update_webhook().project_name("mine").branch_filter("release").send().await.unwrap();
            drive.undo(&items, &effects).await;
            let shown = client.batch_get_projects().names("mine").send().await.unwrap();
            assert_eq!(shown.projects()[0].webhook().unwrap().branch_filter(), Some("release"));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_closed_account_starts_no_build_while_what_runs_goes_on() {
    let runs = Runs::new().await;
    let client = Client::new(&runs.sdk().await);
    project(&client, "mine", None).await;
    client.start_build().project_name("mine").send().await.unwrap();
    runs.close_account();
    let intruder = Client::new(&runs.intruder().await);
    let error = intruder.start_build().project_name("mine").send().await.unwrap_err();
    assert_eq!(error.code(), Some("AccessDeniedException"), "{error:?}");
    assert_eq!(states(&client, "mine").await, ["IN_PROGRESS"]);
}
