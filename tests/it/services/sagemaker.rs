//! Amazon SageMaker AI.

use aws_sdk_sagemaker::Client;
use aws_sdk_sagemaker::error::ProvideErrorMetadata as _;
use aws_sdk_sagemaker::types::{
    AlgorithmSpecification, AppType, HyperParameterTrainingJobDefinition, HyperParameterTuningJobConfig,
    HyperParameterTuningJobStrategyType, InstanceType, OutputDataConfig, ProductionVariant,
    ProductionVariantInstanceType, ResourceConfig, ResourceLimits, StoppingCondition, Tag, TrainingInputMode,
    TrainingInstanceType,
};
use quell::engine::ports::Access;
use quell::model::RunOutcome;
use serde_json::{Value, json};

use super::run::Runs;
use super::{allow_only, intruder, minutes, skipped};
use crate::actions::{Drive, Lab, Scene, Stage};

pub const STAGES: &[Stage] = &[
    Stage { action: "sagemaker.stop", on: "a notebook instance", set_up: |lab| Box::pin(with_notebook(lab)) },
    Stage { action: "sagemaker.stop", on: "an endpoint", set_up: |lab| Box::pin(with_endpoint(lab)) },
    Stage { action: "sagemaker.stop", on: "a tuning job", set_up: |lab| Box::pin(with_tuning(lab)) },
];

async fn with_notebook(lab: &Lab) -> Scene {
    notebook(lab).await;
    Scene::in_region(lab, "{ from: sagemaker.workloads }")
}

async fn with_endpoint(lab: &Lab) -> Scene {
    endpoint(lab).await;
    Scene::in_region(lab, "{ from: sagemaker.workloads }")
}

async fn with_tuning(lab: &Lab) -> Scene {
    tuning(lab).await;
    Scene::in_region(lab, "{ from: sagemaker.workloads, where: parent == \"\" }")
}

fn client(lab: &Lab) -> Client {
    Client::new(&intruder(lab))
}

fn role(lab: &Lab) -> String {
    format!("arn:aws:iam::{}:role/ml", lab.facts.breached_account)
}

async fn notebook(lab: &Lab) {
    let request = client(lab).create_notebook_instance().notebook_instance_name("rig").role_arn(role(lab));
    let request = request.tags(Tag::builder().key("team").value("x").build());
    request.instance_type(InstanceType::from("ml.p3.8xlarge")).send().await.unwrap();
    minutes(5).await;
}

async fn endpoint(lab: &Lab) {
    let sagemaker = client(lab);
    let variant = ProductionVariant::builder().variant_name("all").model_name("m").initial_instance_count(4);
    let variant = variant.instance_type(ProductionVariantInstanceType::from("ml.g5.48xlarge")).build();
    let config = sagemaker.create_endpoint_config().endpoint_config_name("rig").production_variants(variant);
    config.send().await.unwrap();
    let request = sagemaker.create_endpoint().endpoint_name("rig").endpoint_config_name("rig");
    request.tags(Tag::builder().key("team").value("x").build()).send().await.unwrap();
    minutes(5).await;
}

fn output() -> OutputDataConfig {
    OutputDataConfig::builder().s3_output_path("s3://somebody/out").build()
}

fn machines() -> ResourceConfig {
    let kind = TrainingInstanceType::from("ml.p4d.24xlarge");
    ResourceConfig::builder().instance_type(kind).instance_count(2).volume_size_in_gb(50).build()
}

fn five_days() -> StoppingCondition {
    StoppingCondition::builder().max_runtime_in_seconds(432_000).build()
}

async fn training(lab: &Lab, name: &str) {
    let image = AlgorithmSpecification::builder().training_image("someone/xmrig");
    let image = image.training_input_mode(TrainingInputMode::File).build();
    let request = client(lab).create_training_job().training_job_name(name).role_arn(role(lab));
    let request = request.algorithm_specification(image).output_data_config(output()).resource_config(machines());
    request.stopping_condition(five_days()).send().await.unwrap();
}

/// A tuning job that keeps two training jobs running.
async fn tuning(lab: &Lab) {
    let limits = ResourceLimits::builder().max_parallel_training_jobs(2).max_number_of_training_jobs(100).build();
    let config = HyperParameterTuningJobConfig::builder().strategy(HyperParameterTuningJobStrategyType::Random);
    let algorithm = aws_sdk_sagemaker::types::HyperParameterAlgorithmSpecification::builder();
    let algorithm = algorithm.training_image("someone/xmrig").training_input_mode(TrainingInputMode::File).build();
    let definition = HyperParameterTrainingJobDefinition::builder().role_arn(role(lab));
    let definition = definition.algorithm_specification(algorithm).output_data_config(output());
    let definition = definition.resource_config(machines()).stopping_condition(five_days()).build();
    let request = client(lab).create_hyper_parameter_tuning_job().hyper_parameter_tuning_job_name("search");
    let request = request.hyper_parameter_tuning_job_config(config.resource_limits(limits).build());
    request.training_job_definition(definition).send().await.unwrap();
    minutes(1).await;
}

/// The names of training jobs that run.
async fn running(lab: &Lab) -> Vec<String> {
    let jobs = client(lab).list_training_jobs().status_equals("InProgress".into()).send().await.unwrap();
    jobs.training_job_summaries().iter().filter_map(|job| job.training_job_name().map(str::to_owned)).collect()
}

async fn all(lab: &Lab) -> Vec<quell::model::Resource> {
    let cx = lab.enter(&lab.region(), Access::Read).await;
    let wanted = quell::engine::action::Wanted { fields: vec!["parent", "tags"], known: Vec::new() };
    lab.table.source("sagemaker.workloads").unwrap().list(&cx, &serde_json::Map::new(), &wanted).await.unwrap().members
}

#[tokio::test(start_paused = true)]
async fn all_sorts_of_workloads_are_found() {
    let lab = Lab::new().await;
    notebook(&lab).await;
    endpoint(&lab).await;
    tuning(&lab).await;
    training(&lab, "alone").await;
    let app = client(&lab).create_app().domain_id("d-1").user_profile_name("eve").app_type(AppType::from("JupyterLab"));
    app.app_name("default").send().await.unwrap();
    let found = all(&lab).await;
    let mut types: Vec<&str> = found.iter().map(|member| member.fields["type"].as_str().unwrap()).collect();
    types.sort_unstable();
    let expected =
        ["app", "endpoint", "notebook-instance", "training-job", "training-job", "training-job", "tuning-job"];
    assert_eq!(types, expected);
    let named = |name: &str| found.iter().find(|member| member.id.as_str() == name).expect(name);
    let notebook = named("notebook-instance/rig");
    assert_eq!(notebook.fields["instance_type"], "ml.p3.8xlarge");
    assert_eq!((&notebook.fields["state"], &notebook.fields["tags"]), (&json!("InService"), &json!({ "team": "x" })));
    assert_eq!(named("app/d-1/user/eve/JupyterLab/default").fields["owner"], "eve");
    assert_eq!(named("training-job/alone").fields["parent"], "");
    let children = found.iter().filter(|member| member.fields["parent"].as_str().unwrap().ends_with("job/search"));
    assert_eq!(children.count(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_notebook_stops_and_starts() {
    let lab = Lab::new().await;
    notebook(&lab).await;
    let members = all(&lab).await;
    let drive = Drive::new(&lab, "sagemaker.stop", json!({}), &lab.region(), &members);
    drive.there_and_back().await;
    drive.back_without_effects().await;
}

#[tokio::test(start_paused = true)]
async fn endpoints_and_apps_are_deleted_and_made_again() {
    let lab = Lab::new().await;
    endpoint(&lab).await;
    let app = client(&lab).create_app().domain_id("d-1").space_name("lab").app_type(AppType::from("JupyterLab"));
    app.app_name("default").send().await.unwrap();
    let members = all(&lab).await;
    let drive = Drive::new(&lab, "sagemaker.stop", json!({}), &lab.region(), &members);
    let items = drive.items().await;
    assert_eq!(items.len(), 2);
    drive.apply(&items).await;
    drive.apply(&items).await;
    minutes(5).await;
    assert_eq!(drive.items().await, []);
    let gone = client(&lab).describe_endpoint().endpoint_name("rig").send().await.unwrap_err();
    assert_eq!(gone.code(), Some("ValidationException"));
    for _ in 0..2 {
        drive.undo(&items, &[Value::Null, Value::Null]).await;
    }
    drive.assert_restored(&items).await;
    minutes(5).await;
    let back = all(&lab).await;
    let endpoint = back.iter().find(|member| member.fields["type"] == "endpoint").unwrap();
    assert_eq!((&endpoint.fields["state"], &endpoint.fields["tags"]), (&json!("InService"), &json!({ "team": "x" })));

    client(&lab).delete_endpoint_config().endpoint_config_name("rig").send().await.unwrap();
    let decision =
        drive.decide(drive.look().await.iter().find(|found| found.prior["type"] == "endpoint").unwrap()).await;
    let quell::engine::action::Decision::Change(proposal) = decision else { panic!("{decision:?}") };
    assert_eq!(proposal.undo.how, None, "without its configuration it does not come back");
}

#[tokio::test(start_paused = true)]
async fn a_tuning_job_starts_others_until_it_is_stopped_itself() {
    let lab = Lab::new().await;
    tuning(&lab).await;
    training(&lab, "alone").await;
    let before = running(&lab).await;
    assert_eq!(before.len(), 3);
    for job in before.iter().filter(|name| *name != "alone") {
        client(&lab).stop_training_job().training_job_name(job).send().await.unwrap();
    }
    minutes(1).await;
    assert_eq!(running(&lab).await.len(), 3, "its jobs first is the wrong order");

    let members = all(&lab).await;
    let drive = Drive::new(&lab, "sagemaker.stop", json!({}), &lab.region(), &members);
    assert_eq!(skipped(&drive).await.len(), 2, "they are left to it");
    let items = drive.items().await;
    drive.apply(&items).await;
    drive.apply(&items).await;
    drive.assert_proven(&items).await;
    minutes(30).await;
    assert_eq!(running(&lab).await, Vec::<String>::new());
    let cx = lab.enter(&lab.region(), Access::Write).await;
    let error = drive.action.undo(&cx, &drive.with, &items[0], &Value::Null).await.unwrap_err();
    assert!(error.message.contains("create it anew"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn what_is_still_being_created_is_waited_for() {
    let lab = Lab::new().await;
    let request = client(&lab).create_notebook_instance().notebook_instance_name("rig").role_arn(role(&lab));
    request.instance_type(InstanceType::from("ml.t3.medium")).send().await.unwrap();
    let early = client(&lab).stop_notebook_instance().notebook_instance_name("rig").send().await.unwrap_err();
    assert_eq!(early.code(), Some("ValidationException"));
    let members = all(&lab).await;
    let drive = Drive::new(&lab, "sagemaker.stop", json!({}), &lab.region(), &members);
    let items = drive.items().await;
    drive.apply(&items).await;
    drive.assert_proven(&items).await;
}

#[tokio::test(start_paused = true)]
async fn a_role_is_passed_to_sagemaker_only_by_whom_that_is_allowed() {
    let lab = Lab::new().await;
    allow_only(&lab, &["sagemaker:*"]);
    minutes(1).await;
    let request = client(&lab).create_notebook_instance().notebook_instance_name("spy").role_arn(role(&lab));
    let refused = request.instance_type(InstanceType::from("ml.t3.medium")).send().await.unwrap_err();
    assert_eq!(refused.code(), Some("AccessDeniedException"));
    assert!(refused.message().unwrap().contains("iam:PassRole"), "{refused:?}");
}

/// What there is, with its state; tuning and training jobs only while they run.
async fn states(lab: &Lab) -> Vec<(String, String)> {
    let found = all(lab).await;
    found.iter().map(|one| (one.id.to_string(), one.fields["state"].as_str().unwrap().to_owned())).collect()
}

fn named(states: &[(&str, &str)]) -> Vec<(String, String)> {
    states.iter().map(|(id, state)| ((*id).to_owned(), (*state).to_owned())).collect()
}

#[tokio::test(start_paused = true)]
async fn a_run_stops_what_computes_and_takes_back_what_can_be() {
    let runs = Runs::new().await;
    let lab = &runs.lab;
    notebook(lab).await;
    endpoint(lab).await;
    tuning(lab).await;
    training(lab, "alone").await;
    let new = client(lab).create_notebook_instance().notebook_instance_name("lab").role_arn(role(lab));
    let new = new.tags(Tag::builder().key("owner").value("science").build());
    new.instance_type(InstanceType::from("ml.t3.medium")).send().await.unwrap();
    minutes(5).await;
    let sets = "sets: { workloads: { from: sagemaker.workloads, where: 'parent == \"\" && !(\"owner\" in tags)' } }";
    let steps = "steps: [{ id: stop, uses: sagemaker.stop, on: workloads }]";
    let summary = runs.contain("enabled", &format!("{sets}\n{steps}")).await;
    assert_eq!(summary.outcome, RunOutcome::Contained, "{summary:#?}");
    assert_eq!(summary.changes.done, 4, "{summary:#?}");
    let seen = &summary.coverage;
    assert_eq!((seen.acted, seen.denied, seen.unreachable, seen.unknown), (1, 0, 0, 0), "{seen:?}");
    minutes(60).await;
    let owned = ("notebook-instance/lab", "InService");
    assert_eq!(states(lab).await, named(&[owned, ("notebook-instance/rig", "Stopped")]), "nothing was started again");

    let back = runs.take_back().await;
    assert_eq!((back.outcome, back.changes.done), (RunOutcome::RolledBack, 2), "jobs do not come back");
    minutes(5).await;
    let working = [owned, ("notebook-instance/rig", "InService"), ("endpoint/rig", "InService")];
    assert_eq!(states(lab).await, named(&working));
}

#[tokio::test(start_paused = true)]
async fn a_list_that_may_not_be_read_hides_no_types_that_are_named_apart() {
    let runs = Runs::new().await;
    let lab = &runs.lab;
    notebook(lab).await;
    lab.sim.set_faults(vec!["sagemaker:ListApps=deny".parse().unwrap()]);
    let sets = "sets:\n  notebooks: { from: sagemaker.workloads, with: { types: [notebook-instance] } }\n\
                \x20 apps: { from: sagemaker.workloads, with: { types: [app] } }";
    let steps = "steps:\n  - { id: notebooks, uses: sagemaker.stop, on: notebooks }\n\
                 \x20 - { id: apps, uses: sagemaker.stop, on: apps }";
    let before = lab.sim.log().len();
    let summary = runs.contain(&format!("[{}]", lab.region().region), &format!("{sets}\n{steps}")).await;
    assert_eq!(summary.outcome, RunOutcome::CoverageIncomplete, "{summary:#?}");
    assert_eq!((summary.changes.done, summary.coverage.denied), (1, 1), "{summary:#?}");
    let asked = |operation: &str| lab.sim.log()[before..].iter().any(|entry| entry.operation == operation);
    assert!(asked("ListApps") && !asked("ListTrainingJobs"), "what is not named is not asked for");
    lab.sim.set_faults(Vec::new());
    assert_eq!(states(lab).await, named(&[("notebook-instance/rig", "Stopped")]));
}
