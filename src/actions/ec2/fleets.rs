//! `ec2.fleets`: the EC2 Fleets of a region.

use aws_sdk_ec2::types::{FleetData, TargetCapacitySpecification};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use crate::actions::field::{field, resource, time};
use crate::engine::action::{Ctx, Source, Wanted};
use crate::model::{ActionError, FieldType, KindSpec, Resource, Scope};

/// The largest page.
const PAGE: i32 = 200;

/// Lists EC2 Fleets. AWS lists those of type `instant` only to who names them.
pub struct Fleets;

/// The source has no parameters.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {}

/// `ec2.fleet`.
pub static KIND: KindSpec = KindSpec {
    name: "ec2.fleet",
    scope: Scope::Regional,
    fields: &[
        field("id", FieldType::Text, "fleet-…"),
        field("created", FieldType::Timestamp, "when it was made"),
        field("state", FieldType::Text, "submitted, active, modifying, failed, or that it was deleted or cancelled"),
        field("type", FieldType::Text, "maintain, request or instant"),
        field("capacity", FieldType::Integer, "how many units there are to be"),
        field("tags", FieldType::TextMap, "its tags"),
    ],
};

impl Source for Fleets {
    type Params = Params;

    const NAME: &'static str = "ec2.fleets";
    const KIND: &'static KindSpec = &KIND;
    const TITLE: &'static str = "All EC2 Fleets of a region, but those of type instant, which AWS does not list";
    const PERMISSIONS: &'static [&'static str] = &["ec2:DescribeFleets"];

    async fn list(&self, cx: &Ctx, _: &Params, _: &Wanted<'_>) -> Result<Vec<Resource>, ActionError> {
        let mut fleets = super::client(cx).describe_fleets().max_results(PAGE).into_paginator().items().send();
        let mut members = Vec::new();
        while let Some(fleet) = fleets.next().await {
            members.extend(member(cx, &fleet?));
        }
        Ok(members)
    }
}

fn member(cx: &Ctx, fleet: &FleetData) -> Option<Resource> {
    let id = fleet.fleet_id()?;
    let capacity = fleet.target_capacity_specification();
    let fields = json!({
        "id": id,
        "created": time(fleet.create_time()),
        "state": fleet.fleet_state().map_or("", |state| state.as_str()),
        "type": fleet.r#type().map_or("", |kind| kind.as_str()),
        "capacity": capacity.and_then(TargetCapacitySpecification::total_target_capacity).unwrap_or_default(),
        "tags": super::tags(fleet.tags()),
    });
    resource(cx, KIND.name, id, fields)
}
