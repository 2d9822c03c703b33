//! Amazon ECS.

use aws_sdk_ecs::Client;
use aws_sdk_ecs::error::ProvideErrorMetadata as _;
use aws_sdk_ecs::types::{
    AwsVpcConfiguration, Compatibility, ContainerDefinition, LaunchType, NetworkConfiguration, NetworkMode,
    SchedulingStrategy, Tag,
};
use quell::model::RunOutcome;
use serde_json::json;

use super::run::Runs;
use super::{allow_only, intruder, minutes, skipped, subnet};
use crate::actions::{Drive, Lab, Scene, Stage};

pub const STAGES: &[Stage] = &[
    Stage { action: "ecs.stop", on: "a service on Fargate", set_up: |lab| Box::pin(with_service(lab)) },
    Stage { action: "ecs.stop", on: "a daemon", set_up: |lab| Box::pin(with_daemon(lab)) },
    Stage { action: "ecs.stop", on: "tasks that stand alone", set_up: |lab| Box::pin(with_tasks(lab)) },
];

const CLUSTER: &str = "render";

async fn with_service(lab: &Lab) -> Scene {
    prepare(lab).await;
    service(lab).await;
    Scene::in_region(lab, "{ from: ecs.services }")
}

async fn with_daemon(lab: &Lab) -> Scene {
    prepare(lab).await;
    daemon(lab).await;
    Scene::in_region(lab, "{ from: ecs.services }")
}

async fn with_tasks(lab: &Lab) -> Scene {
    prepare(lab).await;
    tasks(lab).await;
    Scene::in_region(lab, "{ from: ecs.tasks }")
}

fn client(lab: &Lab) -> Client {
    Client::new(&intruder(lab))
}

async fn network(lab: &Lab) -> NetworkConfiguration {
    let vpc = AwsVpcConfiguration::builder().subnets(subnet(lab).await).build().unwrap();
    NetworkConfiguration::builder().awsvpc_configuration(vpc).build()
}

/// A cluster of the intruder's, and what is to run in it.
async fn prepare(lab: &Lab) {
    let ecs = client(lab);
    ecs.create_cluster().cluster_name(CLUSTER).send().await.unwrap();
    for (family, fargate) in [("miner", true), ("agent", false)] {
        let container = ContainerDefinition::builder().name("x").image("docker.io/someone/xmrig").memory(512).build();
        let request = ecs.register_task_definition().family(family).container_definitions(container);
        let request = if fargate {
            request.requires_compatibilities(Compatibility::Fargate).network_mode(NetworkMode::Awsvpc)
        } else {
            request
        };
        request.cpu("4096").memory("8192").send().await.unwrap();
    }
}

/// A service that keeps three miners running on Fargate.
async fn service(lab: &Lab) {
    let request = client(lab).create_service().cluster(CLUSTER).service_name("miners").task_definition("miner");
    let request = request.desired_count(3).launch_type(LaunchType::Fargate).network_configuration(network(lab).await);
    request.tags(Tag::builder().key("team").value("render").build()).send().await.unwrap();
    minutes(1).await;
}

/// Two miners that stand alone.
async fn tasks(lab: &Lab) {
    let request = client(lab).run_task().cluster(CLUSTER).task_definition("miner").count(2);
    request.launch_type(LaunchType::Fargate).network_configuration(network(lab).await).send().await.unwrap();
    minutes(1).await;
}

/// A daemon on one container instance.
async fn daemon(lab: &Lab) {
    let ecs = client(lab);
    let document = json!({ "instanceId": lab.facts.machines["rogue"][0].id }).to_string();
    let register = ecs.register_container_instance().cluster(CLUSTER).instance_identity_document(document);
    register.send().await.unwrap();
    let request = ecs.create_service().cluster(CLUSTER).service_name("agents").task_definition("agent");
    request.scheduling_strategy(SchedulingStrategy::Daemon).send().await.unwrap();
    minutes(1).await;
}

/// The tasks that are meant to run.
async fn running(lab: &Lab) -> Vec<String> {
    client(lab).list_tasks().cluster(CLUSTER).send().await.unwrap().task_arns.unwrap_or_default()
}

#[tokio::test(start_paused = true)]
async fn services_and_tasks_are_found_with_who_made_them() {
    let lab = Lab::new().await;
    prepare(&lab).await;
    service(&lab).await;
    tasks(&lab).await;
    let services = lab.list("ecs.services", json!({}), &lab.region()).await;
    let [service] = &services[..] else { panic!("{services:?}") };
    assert!(service.fields["creator"].as_str().unwrap().ends_with(":user/mara.weiss"), "{service:?}");
    for (name, value) in [
        ("cluster", json!(CLUSTER)),
        ("desired", json!(3)),
        ("running", json!(3)),
        ("strategy", json!("REPLICA")),
        ("launch_type", json!("FARGATE")),
        ("task_definition", json!("miner:1")),
        ("tags", json!({ "team": "render" })),
    ] {
        assert_eq!(service.fields[name], value, "{name}");
    }
    let tasks = lab.list("ecs.tasks", json!({}), &lab.region()).await;
    assert_eq!(tasks.len(), 5);
    let alone = tasks.iter().filter(|task| task.fields["service"] == "");
    assert_eq!(alone.count(), 2);
    assert!(tasks.iter().all(|task| task.fields["images"] == json!(["docker.io/someone/xmrig"])), "{tasks:?}");
    assert!(tasks.iter().all(|task| (&task.fields["cpu"], &task.fields["state"]) == (&json!(4096), &json!("RUNNING"))));
}

#[tokio::test(start_paused = true)]
async fn a_service_starts_again_what_is_stopped_and_its_tasks_are_left_to_it() {
    let lab = Lab::new().await;
    prepare(&lab).await;
    service(&lab).await;
    let before = running(&lab).await;
    for task in &before {
        client(&lab).stop_task().cluster(CLUSTER).task(task).send().await.unwrap();
    }
    minutes(1).await;
    let after = running(&lab).await;
    assert_eq!(after.len(), 3, "tasks first is the wrong order");
    assert!(after.iter().all(|task| !before.contains(task)), "and they are new ones");

    let members = lab.list("ecs.tasks", json!({}), &lab.region()).await;
    let drive = Drive::new(&lab, "ecs.stop", json!({}), &lab.region(), &members);
    assert_eq!(drive.items().await, []);
    let reasons = skipped(&drive).await;
    assert_eq!(reasons.len(), 3);
    assert!(reasons.iter().all(|why| why.contains("its service miners would start another")), "{reasons:?}");
}

#[tokio::test(start_paused = true)]
async fn a_service_stops_with_all_its_tasks_and_goes_on_with_as_many() {
    let lab = Lab::new().await;
    prepare(&lab).await;
    service(&lab).await;
    let members = lab.list("ecs.services", json!({}), &lab.region()).await;
    let drive = Drive::new(&lab, "ecs.stop", json!({}), &lab.region(), &members);
    drive.there_and_back().await;
    drive.back_without_effects().await;

    minutes(1).await;
    let protect = client(&lab).update_task_protection().cluster(CLUSTER).set_tasks(Some(running(&lab).await));
    protect.protection_enabled(true).expires_in_minutes(2880).send().await.unwrap();
    client(&lab).update_service().cluster(CLUSTER).service("miners").desired_count(0).send().await.unwrap();
    minutes(30).await;
    assert_eq!(running(&lab).await.len(), 3, "protected tasks outlive their service's count");
    let items = drive.items().await;
    drive.apply(&items).await;
    assert_eq!(running(&lab).await, Vec::<String>::new());
    minutes(30).await;
    assert_eq!(running(&lab).await, Vec::<String>::new());
    assert_eq!(drive.items().await, [], "nothing is left to stop");
}

#[tokio::test(start_paused = true)]
async fn tasks_that_stand_alone_stop_for_good() {
    let lab = Lab::new().await;
    prepare(&lab).await;
    tasks(&lab).await;
    let members = lab.list("ecs.tasks", json!({}), &lab.region()).await;
    let drive = Drive::new(&lab, "ecs.stop", json!({}), &lab.region(), &members);
    let items = drive.items().await;
    assert_eq!(items.len(), 2);
    drive.apply(&items).await;
    drive.apply(&items).await;
    drive.assert_proven(&items).await;
    assert_eq!(running(&lab).await, Vec::<String>::new());
    minutes(120).await;
    drive.apply(&items).await;
    let cx = lab.enter(&lab.region(), quell::engine::ports::Access::Write).await;
    let error = drive.action.undo(&cx, &drive.with, &items[0], &json!(null)).await.unwrap_err();
    assert!(error.message.contains("stopped for good"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_daemon_is_kept_off_every_instance_and_comes_back() {
    let lab = Lab::new().await;
    prepare(&lab).await;
    daemon(&lab).await;
    assert_eq!(running(&lab).await.len(), 1);
    let counted = client(&lab).update_service().cluster(CLUSTER).service("agents").desired_count(0).send().await;
    assert_eq!(counted.unwrap_err().code(), Some("InvalidParameterException"), "a daemon has no count");

    let members = lab.list("ecs.services", json!({}), &lab.region()).await;
    let drive = Drive::new(&lab, "ecs.stop", json!({}), &lab.region(), &members);
    drive.there_and_back().await;
    drive.back_without_effects().await;
    minutes(1).await;
    assert_eq!(running(&lab).await.len(), 1, "it is back");
    drive.apply(&drive.items().await).await;
    minutes(30).await;
    assert_eq!(running(&lab).await, Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn locking_the_intruder_out_stops_no_service() {
    let lab = Lab::new().await;
    prepare(&lab).await;
    service(&lab).await;
    let (before, network) = (running(&lab).await, network(&lab).await);
    let members = lab.intruder().await;
    let deny = Drive::new(&lab, "iam.deny-all", json!({}), &lab.global(), &members);
    deny.apply(&deny.items().await).await;
    minutes(1).await;
    let request = client(&lab).run_task().cluster(CLUSTER).task_definition("miner").launch_type(LaunchType::Fargate);
    let refused = request.network_configuration(network).send().await.unwrap_err();
    assert_eq!(refused.code(), Some("AccessDeniedException"));
    let tasks = lab.list("ecs.tasks", json!({}), &lab.region()).await;
    assert_eq!(tasks.len(), before.len(), "what runs goes on");
}

#[tokio::test(start_paused = true)]
async fn a_role_is_passed_to_containers_only_by_whom_that_is_allowed() {
    let lab = Lab::new().await;
    prepare(&lab).await;
    allow_only(&lab, &["ecs:*"]);
    let container = ContainerDefinition::builder().name("x").image("x").memory(512).build();
    let request = client(&lab).register_task_definition().family("spy").container_definitions(container);
    let role = format!("arn:aws:iam::{}:role/ir/IRResponder", lab.facts.breached_account);
    let refused = request.clone().task_role_arn(role).send().await.unwrap_err();
    assert_eq!(refused.code(), Some("AccessDeniedException"));
    assert!(refused.message().unwrap().contains("iam:PassRole"), "{refused:?}");
    request.send().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_run_stops_the_intruders_services_and_tasks_and_takes_the_services_back() {
    let runs = Runs::new().await;
    let lab = &runs.lab;
    prepare(lab).await;
    service(lab).await;
    let owned = client(lab).create_service().cluster(CLUSTER).service_name("shop").task_definition("miner");
    let owned = owned.desired_count(1).launch_type(LaunchType::Fargate).network_configuration(network(lab).await);
    owned.tags(Tag::builder().key("owner").value("web").build()).send().await.unwrap();
    tasks(lab).await;
    assert_eq!(running(lab).await.len(), 6);
    let sets = "sets:\n  services: { from: ecs.services, where: '!(\"owner\" in tags)' }\n\
                \x20 alone: { from: ecs.tasks, where: service == \"\" }";
    let steps = "steps:\n  - { id: services, uses: ecs.stop, on: services }\n\
                 \x20 - { id: alone, uses: ecs.stop, on: alone }";
    let summary = runs.contain("enabled", &format!("{sets}\n{steps}")).await;
    assert_eq!(summary.outcome, RunOutcome::Contained, "{summary:#?}");
    assert_eq!(summary.changes.done, 3, "{summary:#?}");
    let seen = &summary.coverage;
    assert_eq!((seen.acted, seen.denied, seen.unreachable, seen.unknown), (1, 0, 0, 0), "{seen:?}");
    minutes(30).await;
    assert_eq!(running(lab).await.len(), 1, "the company's goes on, and nothing else was started");

    let back = runs.take_back().await;
    let taken_back = (back.outcome, back.changes.done);
    assert_eq!(taken_back, (RunOutcome::RolledBack, 1), "the service; tasks that stood alone do not come back");
    minutes(1).await;
    assert_eq!(running(lab).await.len(), 4, "the service has its three again");
}
