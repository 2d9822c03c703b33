//! `glue.jobs`: the Glue jobs of a region.

use std::collections::BTreeMap;

use aws_sdk_glue::types::Job;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use crate::actions::field::{field, resource, time};
use crate::engine::action::{Ctx, Source, Wanted};
use crate::model::{ActionError, FieldType, KindSpec, Resource, Scope};

/// Lists jobs.
pub struct Jobs;

/// The source has no parameters.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {}

/// `glue.job`.
pub static KIND: KindSpec = KindSpec {
    name: "glue.job",
    scope: Scope::Regional,
    fields: &[
        field("name", FieldType::Text, "its name"),
        field("created", FieldType::Timestamp, "when it was created"),
        field("modified", FieldType::Timestamp, "when it was last changed"),
        field("role", FieldType::Text, "the role as which it runs, by name or ARN"),
        field("type", FieldType::Text, "what it runs: glueetl, gluestreaming, glueray or pythonshell"),
        field("script", FieldType::Text, "where its script is: s3://…"),
        field("worker_type", FieldType::Text, "the size of its workers: G.1X, G.8X, …"),
        field("workers", FieldType::Integer, "how many workers it has"),
        field("tags", FieldType::TextMap, "its tags"),
    ],
};

impl Source for Jobs {
    type Params = Params;

    const NAME: &'static str = "glue.jobs";
    const KIND: &'static KindSpec = &KIND;
    const TITLE: &'static str = "All Glue jobs of a region";
    const PERMISSIONS: &'static [&'static str] = &["glue:GetJobs", "glue:GetTags"];

    async fn list(&self, cx: &Ctx, _: &Params, wanted: &Wanted<'_>) -> Result<Vec<Resource>, ActionError> {
        let client = super::client(cx);
        let jobs = super::all_jobs(&client).await?;
        let names = jobs.iter().filter_map(Job::name).collect();
        let tags = super::tags(cx, &client, ("job", names), wanted).await?;
        Ok(jobs.iter().zip(tags).filter_map(|(job, tags)| member(cx, job, &tags)).collect())
    }
}

fn member(cx: &Ctx, job: &Job, tags: &BTreeMap<String, String>) -> Option<Resource> {
    let command = job.command();
    let name = job.name()?;
    let fields = json!({
        "name": name,
        "created": time(job.created_on()),
        "modified": time(job.last_modified_on()),
        "role": job.role().unwrap_or_default(),
        "type": command.and_then(|command| command.name()).unwrap_or_default(),
        "script": command.and_then(|command| command.script_location()).unwrap_or_default(),
        "worker_type": job.worker_type().map_or("", |kind| kind.as_str()),
        "workers": job.number_of_workers().unwrap_or_default(),
        "tags": tags,
    });
    resource(cx, KIND.name, name, fields)
}
