//! `codebuild.fleets`: the fleets of reserved machines of a region.

use aws_sdk_codebuild::types::Fleet;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use crate::actions::field::{field, resource, time};
use crate::engine::action::{Ctx, Source, Wanted};
use crate::model::{ActionError, FieldType, KindSpec, Resource, Scope};

/// Lists fleets.
pub struct Fleets;

/// The source has no parameters.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {}

/// `codebuild.fleet`.
pub static KIND: KindSpec = KindSpec {
    name: "codebuild.fleet",
    scope: Scope::Regional,
    fields: &[
        field("arn", FieldType::Text, "its ARN"),
        field("name", FieldType::Text, "its name"),
        field("created", FieldType::Timestamp, "when it was created"),
        field("state", FieldType::Text, "ACTIVE, CREATING, UPDATING, PENDING_DELETION, …"),
        field("capacity", FieldType::Integer, "how many machines it keeps ready"),
        field("compute_type", FieldType::Text, "the size of its machines: BUILD_GENERAL1_2XLARGE"),
        field("environment", FieldType::Text, "what they are: LINUX_CONTAINER, LINUX_GPU_CONTAINER, …"),
        field("role", FieldType::Text, "the ARN of the role that it has"),
        field("tags", FieldType::TextMap, "its tags"),
    ],
};

impl Source for Fleets {
    type Params = Params;

    const NAME: &'static str = "codebuild.fleets";
    const KIND: &'static KindSpec = &KIND;
    const TITLE: &'static str = "All CodeBuild fleets of a region";
    const PERMISSIONS: &'static [&'static str] = &["codebuild:BatchGetFleets", "codebuild:ListFleets"];

    async fn list(&self, cx: &Ctx, _: &Params, _: &Wanted<'_>) -> Result<Vec<Resource>, ActionError> {
        let client = super::client(cx);
        let mut pages = client.list_fleets().into_paginator().send();
        let mut arns = Vec::new();
        while let Some(page) = pages.next().await {
            arns.extend(page?.fleets.unwrap_or_default());
        }
        Ok(super::fleets(&client, &arns).await?.iter().filter_map(|fleet| member(cx, fleet)).collect())
    }
}

fn member(cx: &Ctx, fleet: &Fleet) -> Option<Resource> {
    let arn = fleet.arn()?;
    let fields = json!({
        "arn": arn,
        "name": fleet.name().unwrap_or_default(),
        "created": time(fleet.created()),
        "state": fleet.status().and_then(|status| status.status_code()).map_or("", |code| code.as_str()),
        "capacity": fleet.base_capacity().unwrap_or_default(),
        "compute_type": fleet.compute_type().map_or("", |kind| kind.as_str()),
        "environment": fleet.environment_type().map_or("", |kind| kind.as_str()),
        "role": fleet.fleet_service_role().unwrap_or_default(),
        "tags": super::tags(fleet.tags()),
    });
    resource(cx, KIND.name, arn, fields)
}
