//! `codebuild.projects`: the build projects of a region.

use aws_sdk_codebuild::types::Project;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use crate::actions::field::{field, resource, time};
use crate::engine::action::{Ctx, Source, Wanted};
use crate::model::{ActionError, FieldType, KindSpec, Resource, Scope};

/// Lists projects.
pub struct Projects;

/// The source has no parameters.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {}

/// `codebuild.project`.
pub static KIND: KindSpec = KindSpec {
    name: "codebuild.project",
    scope: Scope::Regional,
    fields: &[
        field("name", FieldType::Text, "its name"),
        field("created", FieldType::Timestamp, "when it was created"),
        field("modified", FieldType::Timestamp, "when it was last changed"),
        field("role", FieldType::Text, "the ARN of the role as which it builds"),
        field("source_type", FieldType::Text, "where its source comes from: GITHUB, CODECOMMIT, NO_SOURCE, …"),
        field("source", FieldType::Text, "the address of its source"),
        field("image", FieldType::Text, "the container image that it builds in"),
        field("compute_type", FieldType::Text, "the size of its machine: BUILD_GENERAL1_2XLARGE"),
        field("environment", FieldType::Text, "what it builds on: LINUX_CONTAINER, LINUX_GPU_CONTAINER, …"),
        field("privileged", FieldType::Bool, "whether its container may run others"),
        field("fleet", FieldType::Text, "the ARN of the fleet that it builds on"),
        field("webhook", FieldType::Bool, "whether pushes to its repository start builds"),
        field("tags", FieldType::TextMap, "its tags"),
    ],
};

impl Source for Projects {
    type Params = Params;

    const NAME: &'static str = "codebuild.projects";
    const KIND: &'static KindSpec = &KIND;
    const TITLE: &'static str = "All CodeBuild projects of a region";
    const PERMISSIONS: &'static [&'static str] = &["codebuild:BatchGetProjects", "codebuild:ListProjects"];

    async fn list(&self, cx: &Ctx, _: &Params, _: &Wanted<'_>) -> Result<Vec<Resource>, ActionError> {
        let client = super::client(cx);
        let mut pages = client.list_projects().into_paginator().send();
        let mut names = Vec::new();
        while let Some(page) = pages.next().await {
            names.extend(page?.projects.unwrap_or_default());
        }
        Ok(super::projects(&client, &names).await?.iter().filter_map(|project| member(cx, project)).collect())
    }
}

fn member(cx: &Ctx, project: &Project) -> Option<Resource> {
    let name = project.name()?;
    let (source, environment) = (project.source(), project.environment());
    let fields = json!({
        "name": name,
        "created": time(project.created()),
        "modified": time(project.last_modified()),
        "role": project.service_role().unwrap_or_default(),
        "source_type": source.map_or("", |source| source.r#type().as_str()),
        "source": source.and_then(|source| source.location()).unwrap_or_default(),
        "image": environment.map_or("", |environment| environment.image()),
        "compute_type": environment.map_or("", |environment| environment.compute_type().as_str()),
        "environment": environment.map_or("", |environment| environment.r#type().as_str()),
        "privileged": environment.and_then(aws_sdk_codebuild::types::ProjectEnvironment::privileged_mode).unwrap_or_default(),
        "fleet": environment.and_then(|environment| environment.fleet()?.fleet_arn()).unwrap_or_default(),
        "webhook": project.webhook().is_some(),
        "tags": super::tags(project.tags()),
    });
    resource(cx, KIND.name, name, fields)
}
