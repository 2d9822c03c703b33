//! `ec2.volumes`: the EBS volumes of a region.

use aws_sdk_ec2::types::Volume;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::PAGE;
use crate::actions::field::{field, resource, time};
use crate::engine::action::{Ctx, Source, Wanted};
use crate::model::{ActionError, FieldType, KindSpec, Resource, Scope};

/// Lists volumes.
pub struct Volumes;

/// The source has no parameters.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {}

/// `ec2.volume`.
pub static KIND: KindSpec = KindSpec {
    name: "ec2.volume",
    scope: Scope::Regional,
    fields: &[
        field("id", FieldType::Text, "vol-…"),
        field("created", FieldType::Timestamp, "when it was created"),
        field("size", FieldType::Integer, "GiB"),
        field("state", FieldType::Text, "creating, available, in-use, deleting, deleted or error"),
        field("encrypted", FieldType::Bool, "whether it is encrypted"),
        field("instance", FieldType::Text, "the instance it is attached to"),
        field("tags", FieldType::TextMap, "its tags"),
    ],
};

impl Source for Volumes {
    type Params = Params;

    const NAME: &'static str = "ec2.volumes";
    const KIND: &'static KindSpec = &KIND;
    const TITLE: &'static str = "All EBS volumes of a region";
    const PERMISSIONS: &'static [&'static str] = &["ec2:DescribeVolumes"];

    async fn list(&self, cx: &Ctx, _: &Params, _: &Wanted<'_>) -> Result<Vec<Resource>, ActionError> {
        let request = super::client(cx).describe_volumes().include_managed_resources(true).max_results(PAGE);
        let mut volumes = request.into_paginator().items().send();
        let mut members = Vec::new();
        while let Some(volume) = volumes.next().await {
            members.extend(member(cx, &volume?));
        }
        Ok(members)
    }
}

fn member(cx: &Ctx, volume: &Volume) -> Option<Resource> {
    let id = volume.volume_id()?;
    let fields = json!({
        "id": id,
        "created": time(volume.create_time()),
        "size": volume.size().unwrap_or_default(),
        "state": volume.state().map_or("", |state| state.as_str()),
        "encrypted": volume.encrypted().unwrap_or_default(),
        "instance": volume.attachments().first().and_then(|at| at.instance_id()).unwrap_or_default(),
        "tags": super::tags(volume.tags()),
    });
    resource(cx, KIND.name, id, fields)
}
