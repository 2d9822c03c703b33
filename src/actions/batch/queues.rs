//! `batch.queues`: the job queues of a region.

use aws_sdk_batch::types::JobQueueDetail;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use crate::actions::creation::Creation;
use crate::actions::field::{field, resource, time};
use crate::engine::action::{Ctx, Source, Wanted};
use crate::model::{ActionError, FieldType, KindSpec, Resource, Scope};

/// Lists job queues.
pub struct Queues;

/// The source has no parameters.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {}

/// `batch.queue`.
pub static KIND: KindSpec = KindSpec {
    name: "batch.queue",
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
        field("type", FieldType::Text, "ECS, ECS_FARGATE, EKS or SAGEMAKER_TRAINING"),
        field("priority", FieldType::Integer, "queues with a higher number are served first"),
        field("environments", FieldType::TextList, "the names of the compute environments that it sends jobs to"),
        field("tags", FieldType::TextMap, "its tags"),
    ],
};

impl Source for Queues {
    type Params = Params;

    const NAME: &'static str = "batch.queues";
    const KIND: &'static KindSpec = &KIND;
    const TITLE: &'static str = "All Batch job queues of a region";
    const PERMISSIONS: &'static [&'static str] = &["batch:DescribeJobQueues", "cloudtrail:LookupEvents"];

    async fn list(&self, cx: &Ctx, _: &Params, wanted: &Wanted<'_>) -> Result<Vec<Resource>, ActionError> {
        let queues = super::queues(&super::client(cx), None).await?;
        let made = super::creations(cx, wanted, !queues.is_empty(), "CreateJobQueue", "jobQueueName").await?;
        Ok(queues.iter().filter_map(|queue| member(cx, queue, made.get(super::queue_name(queue)))).collect())
    }
}

fn member(cx: &Ctx, queue: &JobQueueDetail, made: Option<&Creation>) -> Option<Resource> {
    let name = super::queue_name(queue);
    let environments = queue.compute_environment_order().iter().filter_map(|entry| entry.compute_environment());
    let environments = environments.filter_map(|arn| arn.rsplit('/').next());
    let fields = json!({
        "name": name,
        "created": made.map_or_else(|| time(None), |made| made.created.clone()),
        "creator": made.map_or("", |made| &made.creator),
        "state": queue.state().map_or("", |state| state.as_str()),
        "status": queue.status().map_or("", |status| status.as_str()),
        "type": queue.job_queue_type().map_or("", |kind| kind.as_str()),
        "priority": queue.priority().unwrap_or_default(),
        "environments": environments.collect::<Vec<_>>(),
        "tags": queue.tags().cloned().unwrap_or_default(),
    });
    resource(cx, KIND.name, name, fields)
}
