//! Glue: jobs that triggers start again, and interactive sessions.

use aws_sdk_glue::Client;
use aws_sdk_glue::error::ProvideErrorMetadata as _;
use aws_sdk_glue::types::{
    Action, Condition, JobCommand, JobRunState, LogicalOperator, Predicate, SessionCommand, TriggerState, TriggerType,
};
use quell::engine::ports::Access;
use quell::model::RunOutcome;
use serde_json::json;

use super::run::{Runs, wait};
use crate::actions::{Drive, Lab, Scene, Stage};

pub const STAGES: &[Stage] = &[
    Stage { action: "glue.stop-jobs", on: "a job that runs every night", set_up: |lab| Box::pin(nightly(lab)) },
    Stage { action: "glue.stop-sessions", on: "a session", set_up: |lab| Box::pin(session(lab)) },
];

async fn nightly(lab: &Lab) -> Scene {
    let client = Client::new(&lab.enter(&lab.region(), Access::Write).await.sdk);
    let command = JobCommand::builder().name("glueetl").build();
    client.create_job().name("mine").role("glue").command(command).send().await.unwrap();
    let nightly = client.create_trigger().name("nightly").r#type(TriggerType::Scheduled).schedule("cron(0 3 * * ? *)");
    let nightly = nightly.actions(Action::builder().job_name("mine").build());
    nightly.start_on_creation(true).send().await.unwrap();
    client.start_job_run().job_name("mine").send().await.unwrap();
    Scene::in_region(lab, "{ from: glue.jobs }")
}

async fn session(lab: &Lab) -> Scene {
    shell(&Client::new(&lab.enter(&lab.region(), Access::Write).await.sdk)).await;
    Scene::in_region(lab, "{ from: glue.sessions }")
}

const EVERY_FIVE_MINUTES: &str = "cron(0/5 * * * ? *)";

/// A job with eight large workers, and a trigger that starts it every five minutes. The company's job runs beside it.
async fn mine(client: &Client) {
    let command = || JobCommand::builder().name("glueetl").script_location("s3://scripts/job.py").build();
    for (name, owner) in [("mine", None), ("report", Some("data"))] {
        let job = client.create_job().name(name).role("glue").command(command());
        let job = job.worker_type("G.8X".into()).number_of_workers(8);
        job.set_tags(owner.map(|owner| [("owner".to_owned(), owner.to_owned())].into())).send().await.unwrap();
    }
    let again = client.create_trigger().name("again").r#type(TriggerType::Scheduled).schedule(EVERY_FIVE_MINUTES);
    let again = again.actions(Action::builder().job_name("mine").build());
    let again = again.actions(Action::builder().job_name("report").build());
    again.start_on_creation(true).send().await.unwrap();
    // It comes back when somebody stops it.
    let stopped = Condition::builder().logical_operator(LogicalOperator::Equals).job_name("mine");
    let stopped = Predicate::builder().conditions(stopped.state(JobRunState::Stopped).build()).build();
    let revive = client.create_trigger().name("revive").r#type(TriggerType::Conditional).predicate(stopped);
    let revive = revive.actions(Action::builder().job_name("mine").build());
    revive.start_on_creation(true).send().await.unwrap();
    wait(330).await;
}

async fn states(client: &Client, job: &str) -> Vec<JobRunState> {
    let runs = client.get_job_runs().job_name(job).send().await.unwrap();
    runs.job_runs().iter().filter_map(|run| run.job_run_state().cloned()).collect()
}

async fn trigger(client: &Client, name: &str) -> TriggerState {
    let trigger = client.get_trigger().name(name).send().await.unwrap();
    trigger.trigger().unwrap().state().unwrap().clone()
}

async fn shell(client: &Client) {
    let session = client.create_session().id("shell").role("glue");
    session.command(SessionCommand::builder().name("glueetl").build()).send().await.unwrap();
}

const ROGUE: &str = "!tags.exists(k, k == \"owner\")";

#[tokio::test(start_paused = true)]
async fn jobs_are_found_stopped_proven_and_their_triggers_come_back() {
    let runs = Runs::new().await;
    let client = Client::new(&runs.sdk().await);
    mine(&client).await;
    shell(&client).await;
    let summary = runs
        .contain(
            "enabled",
            &format!(
                "sets:\n  jobs: {{ from: glue.jobs, where: '{ROGUE} && worker_type == \"G.8X\" && workers >= 8' }}\n\
                 \x20 shells: {{ from: glue.sessions, where: '{ROGUE} && state != \"STOPPED\"' }}\n\
                 steps:\n  - {{ id: jobs, uses: glue.stop-jobs, on: jobs }}\n\
                 \x20 - {{ id: shells, uses: glue.stop-sessions, on: shells }}"
            ),
        )
        .await;
    assert_eq!(summary.outcome, RunOutcome::Contained, "{summary:#?}");
    let seen = &summary.coverage;
    assert_eq!((seen.acted, seen.denied, seen.unreachable, seen.unknown), (1, 0, 0, 0), "{seen:?}");
    wait(3600).await;
    assert_eq!(states(&client, "mine").await, [JobRunState::Stopped], "nothing started it again");
    assert_eq!(states(&client, "report").await, [JobRunState::Running], "what the company runs goes on");
    assert_eq!(trigger(&client, "again").await, TriggerState::Deactivated);

    let back = runs.take_back().await;
    assert_eq!(back.outcome, RunOutcome::RolledBack, "{back:#?}");
    wait(600).await;
    assert_eq!(trigger(&client, "again").await, TriggerState::Activated);
    assert_eq!(trigger(&client, "revive").await, TriggerState::Activated);
    assert_eq!(states(&client, "mine").await[0], JobRunState::Running, "by its trigger");
}

#[tokio::test(start_paused = true)]
async fn a_run_that_is_stopped_before_its_triggers_comes_back() {
    let runs = Runs::new().await;
    let client = Client::new(&runs.sdk().await);
    mine(&client).await;
    let first = client.get_job_runs().job_name("mine").send().await.unwrap();
    let id = first.job_runs()[0].id().unwrap();
    client.batch_stop_job_run().job_name("mine").job_run_ids(id).send().await.unwrap();
    wait(60).await;
    assert_eq!(states(&client, "mine").await, [JobRunState::Running, JobRunState::Stopped]);
}

#[tokio::test(start_paused = true)]
async fn jobs_go_off_and_on_and_sessions_off() {
    let lab = Lab::new().await;
    let target = lab.region();
    let cx = lab.enter(&target, Access::Write).await;
    let client = Client::new(&cx.sdk);
    mine(&client).await;
    let jobs = lab.list("glue.jobs", json!({}), &target).await;
    assert_eq!(jobs.len(), 2);
    let drive = Drive::new(&lab, "glue.stop-jobs", json!({}), &target, &jobs);
    drive.there_and_back().await;
    drive.back_without_effects().await;

    // A job that was deleted and made anew is somebody else's.
    let items = drive.items().await;
    drive.apply(&items).await;
    client.delete_job().job_name("mine").send().await.unwrap();
    let command = JobCommand::builder().name("glueetl").build();
    client.create_job().name("mine").role("glue").command(command).send().await.unwrap();
    wait(10).await;
    drive.undo(&items[..1], &[json!(null)]).await;
    assert_eq!(trigger(&client, "again").await, TriggerState::Deactivated);

    // Still being made when its turn comes: that is waited for.
    shell(&client).await;
    let sessions = lab.list("glue.sessions", json!({}), &target).await;
    let drive = Drive::new(&lab, "glue.stop-sessions", json!({}), &target, &sessions);
    let items = drive.items().await;
    drive.apply(&items).await;
    drive.apply(&items).await;
    drive.assert_proven(&items).await;
    let error = drive.action.undo(&cx, &drive.with, &items[0], &json!(null)).await.unwrap_err();
    assert!(error.message.contains("stopped for good"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_closed_account_starts_no_job_while_what_runs_goes_on() {
    let runs = Runs::new().await;
    let client = Client::new(&runs.sdk().await);
    mine(&client).await;
    runs.close_account();
    let intruder = Client::new(&runs.intruder().await);
    let error = intruder.start_job_run().job_name("report").send().await.unwrap_err();
    assert_eq!(error.code(), Some("AccessDeniedException"), "{error:?}");
    assert!(states(&client, "mine").await.contains(&JobRunState::Running));
}
