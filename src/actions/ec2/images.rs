//! `ec2.images`: the machine images that an account owns in a region.

use aws_sdk_ec2::types::Image;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::PAGE;
use crate::actions::field::{field, resource};
use crate::engine::action::{Ctx, Source, Wanted};
use crate::model::{ActionError, FieldType, KindSpec, Resource, Scope};

/// Lists the account's own images, also deprecated and disabled ones.
pub struct Images;

/// The source has no parameters.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {}

/// `ec2.image`.
pub static KIND: KindSpec = KindSpec {
    name: "ec2.image",
    scope: Scope::Regional,
    fields: &[
        field("id", FieldType::Text, "ami-…"),
        field("name", FieldType::Text, "its name"),
        field("created", FieldType::Timestamp, "when it was made"),
        field("state", FieldType::Text, "available, pending, disabled, deregistered, failed, …"),
        field("public", FieldType::Bool, "whether everybody may launch it"),
        field("platform", FieldType::Text, "windows or linux"),
        field("source", FieldType::Text, "the image that it is a copy of: ami-…"),
        field("source_instance", FieldType::Text, "the instance that it was made from: i-…"),
        field("tags", FieldType::TextMap, "its tags"),
    ],
};

impl Source for Images {
    type Params = Params;

    const NAME: &'static str = "ec2.images";
    const KIND: &'static KindSpec = &KIND;
    const TITLE: &'static str = "The account's own machine images in a region";
    const PERMISSIONS: &'static [&'static str] = &["ec2:DescribeImages"];

    async fn list(&self, cx: &Ctx, _: &Params, _: &Wanted<'_>) -> Result<Vec<Resource>, ActionError> {
        let request = super::client(cx).describe_images().owners("self").max_results(PAGE);
        let request = request.include_deprecated(true).include_disabled(true);
        let mut images = request.into_paginator().items().send();
        let mut members = Vec::new();
        while let Some(image) = images.next().await {
            members.extend(member(cx, &image?));
        }
        Ok(members)
    }
}

fn member(cx: &Ctx, image: &Image) -> Option<Resource> {
    let id = image.image_id()?;
    // A text already, unlike other times of EC2.
    let created: Option<jiff::Timestamp> = image.creation_date().and_then(|date| date.parse().ok());
    let fields = json!({
        "id": id,
        "name": image.name().unwrap_or_default(),
        "created": created.unwrap_or_default().to_string(),
        "state": image.state().map_or("", |state| state.as_str()),
        "public": image.public().unwrap_or_default(),
        "platform": image.platform().map_or("linux", |_| "windows"),
        "source": image.source_image_id().unwrap_or_default(),
        "source_instance": image.source_instance_id().unwrap_or_default(),
        "tags": super::tags(image.tags()),
    });
    resource(cx, KIND.name, id, fields)
}
