//! Amplify: apps whose branches and webhooks start builds.

use aws_sdk_amplify::Client;
use aws_sdk_amplify::error::ProvideErrorMetadata as _;
use aws_sdk_amplify::types::{JobStatus, JobType};
use quell::engine::ports::Access;
use quell::model::RunOutcome;
use serde_json::json;

use super::run::{Runs, wait};
use crate::actions::{Drive, Lab, Scene, Stage};

pub const STAGES: &[Stage] =
    &[Stage { action: "amplify.stop-builds", on: "an app with a webhook", set_up: |lab| Box::pin(one_app(lab)) }];

async fn one_app(lab: &Lab) -> Scene {
    app(&Client::new(&lab.enter(&lab.region(), Access::Write).await.sdk), "mine", None).await;
    Scene::in_region(lab, "{ from: amplify.apps }")
}

/// An app that builds its branch at every push, and for whoever calls its webhook. Gives the ids of both.
async fn app(client: &Client, name: &str, owner: Option<&str>) -> (String, String) {
    let made = client.create_app().name(name).repository("https://github.com/example/site");
    let made = made.enable_auto_branch_creation(true);
    let made = made.set_tags(owner.map(|owner| [("owner".to_owned(), owner.to_owned())].into())).send().await.unwrap();
    let id = made.app().unwrap().app_id().to_owned();
    client.create_branch().app_id(&id).branch_name("feature/x").send().await.unwrap();
    let hook =
        client.create_webhook().app_id(&id).branch_name("feature/x").description("nightly").send().await.unwrap();
    (id, hook.webhook().unwrap().webhook_id().to_owned())
}

async fn states(client: &Client, app: &str) -> Vec<JobStatus> {
    let jobs = client.list_jobs().app_id(app).branch_name("feature/x").send().await.unwrap();
    jobs.job_summaries().iter().map(|job| job.status().clone()).collect()
}

/// What somebody pushes to an app's repository.
fn push(lab: &Lab, app: &str) {
    let (target, now) = (lab.region(), lab.sim.now());
    lab.sim.change(|world| world.region_mut(&target.account, &target.region).amplify.push(app, "feature/x", now));
}

/// What whoever knows the address of a webhook can do without credentials.
fn call(lab: &Lab, webhook: &str) {
    let (target, now) = (lab.region(), lab.sim.now());
    lab.sim.change(|world| world.region_mut(&target.account, &target.region).amplify.called(webhook, now));
}

#[tokio::test(start_paused = true)]
async fn builds_are_stopped_for_good_and_branches_build_again_after_the_way_back() {
    let runs = Runs::new().await;
    let client = Client::new(&runs.sdk().await);
    let (mine, hook) = app(&client, "mine", None).await;
    let (site, _) = app(&client, "site", Some("web")).await;
    push(&runs.lab, &mine);
    push(&runs.lab, &site);
    let summary = runs
        .contain(
            "enabled",
            "sets: { apps: { from: amplify.apps, where: '!tags.exists(k, k == \"owner\")' } }\n\
             steps: [{ id: builds, uses: amplify.stop-builds, on: apps }]",
        )
        .await;
    assert_eq!(summary.outcome, RunOutcome::Contained, "{summary:#?}");
    let seen = &summary.coverage;
    assert_eq!((seen.acted, seen.denied, seen.unreachable, seen.unknown), (1, 0, 0, 0), "{seen:?}");
    push(&runs.lab, &mine);
    call(&runs.lab, &hook);
    assert_eq!(states(&client, &mine).await, [JobStatus::Cancelled], "neither push nor webhook started another");
    assert_eq!(states(&client, &site).await, [JobStatus::Running], "what the company builds goes on");

    let back = runs.take_back().await;
    assert_eq!(back.outcome, RunOutcome::RolledBack, "{back:#?}");
    push(&runs.lab, &mine);
    assert_eq!(states(&client, &mine).await, [JobStatus::Running, JobStatus::Cancelled]);
    let hooks = client.list_webhooks().app_id(&mine).send().await.unwrap();
    assert_eq!(hooks.webhooks()[0].description(), "nightly");
    assert_ne!(hooks.webhooks()[0].webhook_id(), hook, "with another address");
}

#[tokio::test(start_paused = true)]
async fn a_build_that_is_stopped_before_its_webhook_comes_back() {
    let runs = Runs::new().await;
    let client = Client::new(&runs.sdk().await);
    let (mine, hook) = app(&client, "mine", None).await;
    call(&runs.lab, &hook);
    client.stop_job().app_id(&mine).branch_name("feature/x").job_id("1").send().await.unwrap();
    client.update_branch().app_id(&mine).branch_name("feature/x").enable_auto_build(false).send().await.unwrap();
    wait(60).await;
    call(&runs.lab, &hook);
    assert_eq!(states(&client, &mine).await, [JobStatus::Running, JobStatus::Cancelled]);
}

#[tokio::test(start_paused = true)]
async fn apps_go_off_and_on() {
    let lab = Lab::new().await;
    let target = lab.region();
    let client = Client::new(&lab.enter(&target, Access::Write).await.sdk);
    app(&client, "mine", None).await;
    let apps = lab.list("amplify.apps", json!({}), &target).await;
    let drive = Drive::new(&lab, "amplify.stop-builds", json!({}), &target, &apps);
    drive.there_and_back().await;
    drive.back_without_effects().await;
}

#[tokio::test(start_paused = true)]
async fn a_closed_account_starts_no_build() {
    let runs = Runs::new().await;
    let (mine, _) = app(&Client::new(&runs.sdk().await), "mine", None).await;
    runs.close_account();
    let intruder = Client::new(&runs.intruder().await);
    let job = intruder.start_job().app_id(&mine).branch_name("feature/x").job_type(JobType::Release);
    let error = job.send().await.unwrap_err();
    assert_eq!(error.code(), Some("AccessDeniedException"), "{error:?}");
}
