//! `batch.environments`: the compute environments of a region.

use aws_sdk_batch::types::{ComputeEnvironmentDetail, ComputeResource};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use crate::actions::creation::Creation;
use crate::actions::field::{field, resource, time};
use crate::engine::action::{Ctx, Source, Wanted};
use crate::model::{ActionError, FieldType, KindSpec, Resource, Scope};

/// Lists compute environments.
pub struct Environments;

/// The source has no parameters.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {}

/// `batch.environment`.
pub static KIND: KindSpec = KindSpec {
    name: "batch.environment",
    scope: Scope::Regional,
    fields: &[
        field("name", FieldType::Text, "its name"),
        field(
            "created",
            FieldType::Timestamp,
            "when it was created, as the event history of 90 days knows it; what is older is from 1970",
        ),
        field("creator", FieldType::Text, "who created it, from the same: an ARN"),
        field("state", FieldType::Text, "ENABLED or DISABLED"),
        field("status", FieldType::Text, "VALID, INVALID, CREATING, UPDATING or DELETING"),
        field("managed", FieldType::Bool, "whether Batch launches its machines"),
        field("type", FieldType::Text, "EC2, SPOT, FARGATE or FARGATE_SPOT; empty for one that is not managed"),
        field("min_vcpus", FieldType::Integer, "the vCPUs that it keeps without any job"),
        field("max_vcpus", FieldType::Integer, "the most vCPUs"),
        field("desired_vcpus", FieldType::Integer, "the vCPUs that it has or is about to have; 0 on Fargate"),
        field("instance_types", FieldType::TextList, "what it launches: c5.24xlarge, c5, optimal"),
        field("tags", FieldType::TextMap, "its tags"),
    ],
};

impl Source for Environments {
    type Params = Params;

    const NAME: &'static str = "batch.environments";
    const KIND: &'static KindSpec = &KIND;
    const TITLE: &'static str = "All Batch compute environments of a region";
    const PERMISSIONS: &'static [&'static str] = &["batch:DescribeComputeEnvironments", "cloudtrail:LookupEvents"];

    async fn list(&self, cx: &Ctx, _: &Params, wanted: &Wanted<'_>) -> Result<Vec<Resource>, ActionError> {
        let environments = super::environments(&super::client(cx), None).await?;
        let (event, parameter) = ("CreateComputeEnvironment", "computeEnvironmentName");
        let made = super::creations(cx, wanted, !environments.is_empty(), event, parameter).await?;
        let member = |environment| member(cx, environment, made.get(super::environment_name(environment)));
        Ok(environments.iter().filter_map(member).collect())
    }
}

fn member(cx: &Ctx, environment: &ComputeEnvironmentDetail, made: Option<&Creation>) -> Option<Resource> {
    let name = super::environment_name(environment);
    let compute = environment.compute_resources();
    let fields = json!({
        "name": name,
        "created": made.map_or_else(|| time(None), |made| made.created.clone()),
        "creator": made.map_or("", |made| &made.creator),
        "state": environment.state().map_or("", |state| state.as_str()),
        "status": environment.status().map_or("", |status| status.as_str()),
        "managed": compute.is_some(),
        "type": compute.and_then(|compute| compute.r#type()).map_or("", |kind| kind.as_str()),
        "min_vcpus": compute.and_then(ComputeResource::minv_cpus).unwrap_or_default(),
        "max_vcpus": compute.and_then(ComputeResource::maxv_cpus).unwrap_or_default(),
        "desired_vcpus": compute.and_then(ComputeResource::desiredv_cpus).unwrap_or_default(),
        "instance_types": compute.map(ComputeResource::instance_types).unwrap_or_default(),
        "tags": environment.tags().cloned().unwrap_or_default(),
    });
    resource(cx, KIND.name, name, fields)
}
