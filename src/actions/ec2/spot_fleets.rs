//! `ec2.spot-fleets`: the Spot Fleets of a region.

use aws_sdk_ec2::types::{SpotFleetRequestConfig, SpotFleetRequestConfigData};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use crate::actions::field::{field, resource, time};
use crate::engine::action::{Ctx, Source, Wanted};
use crate::model::{ActionError, FieldType, KindSpec, Resource, Scope};

/// The largest page.
const PAGE: i32 = 200;

/// Lists Spot Fleets, cancelled ones included as long as AWS shows them.
pub struct SpotFleets;

/// The source has no parameters.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {}

/// `ec2.spot-fleet`.
pub static KIND: KindSpec = KindSpec {
    name: "ec2.spot-fleet",
    scope: Scope::Regional,
    fields: &[
        field("id", FieldType::Text, "sfr-…"),
        field("created", FieldType::Timestamp, "when it was made"),
        field("state", FieldType::Text, "submitted, active, modifying, failed, or that it was deleted or cancelled"),
        field("type", FieldType::Text, "maintain, request or instant"),
        field("capacity", FieldType::Integer, "how many units there are to be"),
        field("tags", FieldType::TextMap, "its tags"),
    ],
};

impl Source for SpotFleets {
    type Params = Params;

    const NAME: &'static str = "ec2.spot-fleets";
    const KIND: &'static KindSpec = &KIND;
    const TITLE: &'static str = "All Spot Fleets of a region";
    const PERMISSIONS: &'static [&'static str] = &["ec2:DescribeSpotFleetRequests"];

    async fn list(&self, cx: &Ctx, _: &Params, _: &Wanted<'_>) -> Result<Vec<Resource>, ActionError> {
        let request = super::client(cx).describe_spot_fleet_requests().max_results(PAGE);
        let mut fleets = request.into_paginator().items().send();
        let mut members = Vec::new();
        while let Some(fleet) = fleets.next().await {
            members.extend(member(cx, &fleet?));
        }
        Ok(members)
    }
}

fn member(cx: &Ctx, fleet: &SpotFleetRequestConfig) -> Option<Resource> {
    let id = fleet.spot_fleet_request_id()?;
    let config = fleet.spot_fleet_request_config();
    let fields = json!({
        "id": id,
        "created": time(fleet.create_time()),
        "state": fleet.spot_fleet_request_state().map_or("", |state| state.as_str()),
        // One that names no type maintains.
        "type": config.and_then(SpotFleetRequestConfigData::r#type).map_or("maintain", |kind| kind.as_str()),
        "capacity": config.and_then(SpotFleetRequestConfigData::target_capacity).unwrap_or_default(),
        "tags": super::tags(fleet.tags()),
    });
    resource(cx, KIND.name, id, fields)
}
