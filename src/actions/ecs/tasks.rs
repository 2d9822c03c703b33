//! `ecs.tasks`: what runs in a region's clusters.

use aws_sdk_ecs::types::{Container, Task};
use futures::future::try_join_all;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use crate::actions::field::{field, resource, time};
use crate::engine::action::{Ctx, Source, Wanted};
use crate::model::{ActionError, FieldType, KindSpec, Resource, Scope};

/// Lists tasks.
pub struct Tasks;

/// The source has no parameters.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {}

/// `ecs.task`; a member's id is its ARN.
pub static KIND: KindSpec = KindSpec {
    name: "ecs.task",
    scope: Scope::Regional,
    fields: &[
        field("cluster", FieldType::Text, "the name of its cluster"),
        field("service", FieldType::Text, "the service that it belongs to; empty for a task that stands alone"),
        field("group", FieldType::Text, "service:…, family:…, or what whoever started it said"),
        field("started_by", FieldType::Text, "ecs-svc/… for a service, otherwise what whoever started it said"),
        field("created", FieldType::Timestamp, "when it was started"),
        field("state", FieldType::Text, "PROVISIONING, PENDING, RUNNING, …"),
        field("launch_type", FieldType::Text, "FARGATE, EC2 or EXTERNAL"),
        field("cpu", FieldType::Integer, "CPU units, of which a vCPU has 1,024; 0 where only its containers say"),
        field("memory", FieldType::Integer, "MiB; 0 where only its containers say"),
        field("images", FieldType::TextList, "the images of its containers"),
        field("task_definition", FieldType::Text, "family:revision of its task definition"),
        field("tags", FieldType::TextMap, "its tags"),
    ],
};

impl Source for Tasks {
    type Params = Params;

    const NAME: &'static str = "ecs.tasks";
    const KIND: &'static KindSpec = &KIND;
    const TITLE: &'static str = "All ECS tasks of a region that are meant to run";
    const PERMISSIONS: &'static [&'static str] = &["ecs:DescribeTasks", "ecs:ListClusters", "ecs:ListTasks"];

    async fn list(&self, cx: &Ctx, _: &Params, _: &Wanted<'_>) -> Result<Vec<Resource>, ActionError> {
        let client = super::client(cx);
        let clusters = super::clusters(&client).await?;
        let tasks = try_join_all(clusters.iter().map(async |cluster| {
            let running = super::running(&client, cluster, None).await?;
            super::described_tasks(&client, cluster, &running).await
        }))
        .await?;
        let members = clusters
            .iter()
            .zip(&tasks)
            .flat_map(|(cluster, tasks)| tasks.iter().filter_map(move |task| member(cx, cluster, task)));
        Ok(members.collect())
    }
}

fn member(cx: &Ctx, cluster: &str, task: &Task) -> Option<Resource> {
    let number = |text: Option<&str>| text.and_then(|text| text.parse::<i64>().ok()).unwrap_or_default();
    let fields = json!({
        "cluster": super::short(cluster),
        "service": super::service_of(task).unwrap_or_default(),
        "group": task.group().unwrap_or_default(),
        "started_by": task.started_by().unwrap_or_default(),
        "created": time(task.created_at()),
        "state": task.last_status().unwrap_or_default(),
        "launch_type": task.launch_type().map_or("", |kind| kind.as_str()),
        "cpu": number(task.cpu()),
        "memory": number(task.memory()),
        "images": task.containers().iter().filter_map(Container::image).collect::<Vec<_>>(),
        "task_definition": super::short(task.task_definition_arn().unwrap_or_default()),
        "tags": super::tags(task.tags()),
    });
    resource(cx, KIND.name, &super::id("task", cluster, super::short(task.task_arn()?)), fields)
}
