//! `ec2.capacity-reservations`: the capacity reservations of a region.

use aws_sdk_ec2::types::CapacityReservation;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::PAGE;
use crate::actions::field::{field, resource, time};
use crate::engine::action::{Ctx, Source, Wanted};
use crate::model::{ActionError, FieldType, KindSpec, Resource, Scope};

/// Lists capacity reservations: they cost as much as the machines that could run in them.
pub struct CapacityReservations;

/// The source has no parameters.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {}

/// `ec2.capacity-reservation`.
pub static KIND: KindSpec = KindSpec {
    name: "ec2.capacity-reservation",
    scope: Scope::Regional,
    fields: &[
        field("id", FieldType::Text, "cr-…"),
        field("created", FieldType::Timestamp, "when it was made"),
        field("type", FieldType::Text, "what may run in it: p5.48xlarge"),
        field("count", FieldType::Integer, "for how many machines"),
        field("unused", FieldType::Integer, "how many of them do not run"),
        field("state", FieldType::Text, "active, expired, cancelled, pending, failed, …"),
        field("tags", FieldType::TextMap, "its tags"),
    ],
};

impl Source for CapacityReservations {
    type Params = Params;

    const NAME: &'static str = "ec2.capacity-reservations";
    const KIND: &'static KindSpec = &KIND;
    const TITLE: &'static str = "All capacity reservations of a region: they cost as much as what could run in them";
    const PERMISSIONS: &'static [&'static str] = &["ec2:DescribeCapacityReservations"];

    async fn list(&self, cx: &Ctx, _: &Params, _: &Wanted<'_>) -> Result<Vec<Resource>, ActionError> {
        let request = super::client(cx).describe_capacity_reservations().max_results(PAGE);
        let mut reservations = request.into_paginator().items().send();
        let mut members = Vec::new();
        while let Some(reservation) = reservations.next().await {
            members.extend(member(cx, &reservation?));
        }
        Ok(members)
    }
}

fn member(cx: &Ctx, reservation: &CapacityReservation) -> Option<Resource> {
    let id = reservation.capacity_reservation_id()?;
    let fields = json!({
        "id": id,
        "created": time(reservation.create_date()),
        "type": reservation.instance_type().unwrap_or_default(),
        "count": reservation.total_instance_count().unwrap_or_default(),
        "unused": reservation.available_instance_count().unwrap_or_default(),
        "state": reservation.state().map_or("", |state| state.as_str()),
        "tags": super::tags(reservation.tags()),
    });
    resource(cx, KIND.name, id, fields)
}
