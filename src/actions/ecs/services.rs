//! `ecs.services`: the services of a region's clusters.

use aws_sdk_ecs::types::Service;
use futures::future::try_join_all;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use crate::actions::field::{field, resource, time};
use crate::engine::action::{Ctx, Source, Wanted};
use crate::model::{ActionError, FieldType, KindSpec, Resource, Scope};

/// Lists services.
pub struct Services;

/// The source has no parameters.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {}

/// `ecs.service`; a member's id is its ARN.
pub static KIND: KindSpec = KindSpec {
    name: "ecs.service",
    scope: Scope::Regional,
    fields: &[
        field("name", FieldType::Text, "its name"),
        field("cluster", FieldType::Text, "the name of its cluster"),
        field("created", FieldType::Timestamp, "when it was created"),
        field("creator", FieldType::Text, "the ARN of whoever created it"),
        field("status", FieldType::Text, "ACTIVE, or DRAINING once it was deleted"),
        field("strategy", FieldType::Text, "REPLICA: so many tasks; DAEMON: one on each container instance"),
        field("desired", FieldType::Integer, "how many tasks it wants"),
        field("running", FieldType::Integer, "how many of its tasks run"),
        field("launch_type", FieldType::Text, "FARGATE, EC2, EXTERNAL, or the name of its first capacity provider"),
        field("task_definition", FieldType::Text, "family:revision of its task definition"),
        field("tags", FieldType::TextMap, "its tags"),
    ],
};

impl Source for Services {
    type Params = Params;

    const NAME: &'static str = "ecs.services";
    const KIND: &'static KindSpec = &KIND;
    const TITLE: &'static str = "All ECS services of a region, on Fargate and elsewhere";
    const PERMISSIONS: &'static [&'static str] = &["ecs:DescribeServices", "ecs:ListClusters", "ecs:ListServices"];

    async fn list(&self, cx: &Ctx, _: &Params, _: &Wanted<'_>) -> Result<Vec<Resource>, ActionError> {
        let client = super::client(cx);
        let clusters = super::clusters(&client).await?;
        let services = clusters.iter().map(|cluster| super::services_of(&client, cluster));
        let services = try_join_all(services).await?;
        let members = clusters
            .iter()
            .zip(&services)
            .flat_map(|(cluster, services)| services.iter().filter_map(move |service| member(cx, cluster, service)));
        Ok(members.collect())
    }
}

fn member(cx: &Ctx, cluster: &str, service: &Service) -> Option<Resource> {
    let name = service.service_name()?;
    let provider = service
        .capacity_provider_strategy()
        .first()
        .map(aws_sdk_ecs::types::CapacityProviderStrategyItem::capacity_provider);
    let fields = json!({
        "name": name,
        "cluster": super::short(cluster),
        "created": time(service.created_at()),
        "creator": service.created_by().unwrap_or_default(),
        "status": service.status().unwrap_or_default(),
        "strategy": service.scheduling_strategy().map_or("REPLICA", |strategy| strategy.as_str()),
        "desired": service.desired_count(),
        "running": service.running_count(),
        "launch_type": service.launch_type().map(aws_sdk_ecs::types::LaunchType::as_str).or(provider).unwrap_or_default(),
        "task_definition": super::short(service.task_definition().unwrap_or_default()),
        "tags": super::tags(service.tags()),
    });
    resource(cx, KIND.name, &super::id("service", cluster, name), fields)
}
