//! `ec2.spot-requests`: the Spot requests of a region.

use aws_sdk_ec2::Client;
use aws_sdk_ec2::types::{Filter, SpotInstanceRequest};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::PAGE;
use crate::actions::field::{field, resource, time};
use crate::engine::action::{Ctx, Source, Wanted};
use crate::model::{ActionError, FieldType, KindSpec, Resource, Scope};

/// Lists Spot requests, those that have ended included as long as AWS shows them.
pub struct SpotRequests;

/// The source has no parameters.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {}

/// `ec2.spot-request`.
pub static KIND: KindSpec = KindSpec {
    name: "ec2.spot-request",
    scope: Scope::Regional,
    fields: &[
        field("id", FieldType::Text, "sir-…"),
        field("created", FieldType::Timestamp, "when it was made"),
        field("type", FieldType::Text, "one-time or persistent"),
        field("state", FieldType::Text, "open, active, disabled, closed, cancelled or failed"),
        field("instance", FieldType::Text, "the id of the instance that it launched last"),
        field("image", FieldType::Text, "the id of the AMI that it launches"),
        field("instance_type", FieldType::Text, "what it launches: c5.4xlarge"),
        field("fleet", FieldType::Text, "the Spot Fleet that made it: sfr-…"),
        field("tags", FieldType::TextMap, "its tags"),
    ],
};

impl Source for SpotRequests {
    type Params = Params;

    const NAME: &'static str = "ec2.spot-requests";
    const KIND: &'static KindSpec = &KIND;
    const TITLE: &'static str = "All Spot requests of a region";
    const PERMISSIONS: &'static [&'static str] = &["ec2:DescribeSpotInstanceRequests"];

    async fn list(&self, cx: &Ctx, _: &Params, _: &Wanted<'_>) -> Result<Vec<Resource>, ActionError> {
        let requests = described(&super::client(cx), None).await?;
        Ok(requests.iter().filter_map(|request| member(cx, request)).collect())
    }
}

/// The Spot requests that a filter lets pass.
pub(super) async fn described(
    client: &Client,
    filter: Option<Filter>,
) -> Result<Vec<SpotInstanceRequest>, ActionError> {
    let request = client.describe_spot_instance_requests().set_filters(filter.map(|filter| vec![filter]));
    let mut items = request.max_results(PAGE).into_paginator().items().send();
    let mut requests = Vec::new();
    while let Some(request) = items.next().await {
        requests.push(request?);
    }
    Ok(requests)
}

fn member(cx: &Ctx, request: &SpotInstanceRequest) -> Option<Resource> {
    let tags = super::tags(request.tags());
    let launch = request.launch_specification();
    let id = request.spot_instance_request_id()?;
    let fields = json!({
        "id": id,
        "created": time(request.create_time()),
        "type": request.r#type().map_or("", |kind| kind.as_str()),
        "state": request.state().map_or("", |state| state.as_str()),
        "instance": request.instance_id().unwrap_or_default(),
        "image": launch.and_then(|launch| launch.image_id()).unwrap_or_default(),
        "instance_type": launch.and_then(|launch| launch.instance_type()).map_or("", |kind| kind.as_str()),
        "fleet": tags.get("aws:ec2spot:fleet-request-id").map_or("", String::as_str),
        "tags": tags,
    });
    resource(cx, KIND.name, id, fields)
}
