//! `ec2.launch-templates`: the launch templates of a region.

use std::collections::HashMap;

use aws_sdk_ec2::Client;
use aws_sdk_ec2::types::{LaunchTemplate, LaunchTemplateVersion};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use crate::actions::field::{field, resource, time};
use crate::engine::action::{Ctx, Source, Wanted};
use crate::model::{ActionError, FieldType, KindSpec, Resource, Scope};

/// The largest page of both calls.
const PAGE: i32 = 200;

/// Lists launch templates, also those of services, with who made the versions that count.
pub struct LaunchTemplates;

/// The source has no parameters.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {}

/// `ec2.launch-template`.
pub static KIND: KindSpec = KindSpec {
    name: "ec2.launch-template",
    scope: Scope::Regional,
    fields: &[
        field("id", FieldType::Text, "lt-…"),
        field("name", FieldType::Text, "its name"),
        field("created", FieldType::Timestamp, "when it was made"),
        field("created_by", FieldType::Text, "the ARN of whoever made it"),
        field("default_version", FieldType::Integer, "the version that launches what names none"),
        field("default_created", FieldType::Timestamp, "when that version was made"),
        field("default_created_by", FieldType::Text, "the ARN of whoever made that version"),
        field("latest_version", FieldType::Integer, "its newest version"),
        field("latest_created", FieldType::Timestamp, "when its newest version was made"),
        field("tags", FieldType::TextMap, "its tags"),
    ],
};

impl Source for LaunchTemplates {
    type Params = Params;

    const NAME: &'static str = "ec2.launch-templates";
    const KIND: &'static KindSpec = &KIND;
    const TITLE: &'static str = "All launch templates of a region, with the versions that count";
    const PERMISSIONS: &'static [&'static str] = &["ec2:DescribeLaunchTemplates", "ec2:DescribeLaunchTemplateVersions"];

    async fn list(&self, cx: &Ctx, _: &Params, _: &Wanted<'_>) -> Result<Vec<Resource>, ActionError> {
        let client = super::client(cx);
        let (templates, versions) = super::both(all(&client), default_and_latest(&client)).await?;
        Ok(templates.iter().filter_map(|template| member(cx, template, &versions)).collect())
    }
}

async fn all(client: &Client) -> Result<Vec<LaunchTemplate>, ActionError> {
    let request = client.describe_launch_templates().include_managed_resources(true).max_results(PAGE);
    let mut items = request.into_paginator().items().send();
    let mut templates = Vec::new();
    while let Some(template) = items.next().await {
        templates.push(template?);
    }
    Ok(templates)
}

/// Versions by template and number.
type Versions = HashMap<(String, i64), LaunchTemplateVersion>;

/// The default and the newest versions of all templates: one question for all of them.
async fn default_and_latest(client: &Client) -> Result<Versions, ActionError> {
    let request = client.describe_launch_template_versions().include_managed_resources(true).max_results(PAGE);
    let mut items = request.versions("$Default").versions("$Latest").into_paginator().items().send();
    let mut versions = HashMap::new();
    while let Some(version) = items.next().await {
        let version = version?;
        let key = version.launch_template_id().map(str::to_owned).zip(version.version_number());
        versions.extend(key.map(|key| (key, version)));
    }
    Ok(versions)
}

fn member(cx: &Ctx, template: &LaunchTemplate, versions: &Versions) -> Option<Resource> {
    let id = template.launch_template_id()?;
    let version = |number: Option<i64>| versions.get(&(id.to_owned(), number?));
    let default = version(template.default_version_number());
    let latest = version(template.latest_version_number());
    let fields = json!({
        "id": id,
        "name": template.launch_template_name().unwrap_or_default(),
        "created": time(template.create_time()),
        "created_by": template.created_by().unwrap_or_default(),
        "default_version": template.default_version_number().unwrap_or_default(),
        "default_created": time(default.and_then(|version| version.create_time())),
        "default_created_by": default.and_then(|version| version.created_by()).unwrap_or_default(),
        "latest_version": template.latest_version_number().unwrap_or_default(),
        "latest_created": time(latest.and_then(|version| version.create_time())),
        "tags": super::tags(template.tags()),
    });
    resource(cx, KIND.name, id, fields)
}
