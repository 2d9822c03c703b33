//! `lambda.functions`: the functions of a region.

use std::collections::BTreeMap;

use aws_sdk_lambda::Client;
use aws_sdk_lambda::types::{EventSourceMappingConfiguration, FunctionConfiguration};
use futures::future::try_join_all;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::close_policy::statement;
use crate::actions::field::{field, resource};
use crate::engine::action::{Ctx, Source, Wanted};
use crate::model::{ActionError, FieldType, KindSpec, Resource, Scope};

/// Lists functions.
pub struct Functions;

/// The source has no parameters.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {}

/// `lambda.function`; a member's id is its name.
pub static KIND: KindSpec = KindSpec {
    name: "lambda.function",
    scope: Scope::Regional,
    fields: &[
        field("name", FieldType::Text, "its name"),
        field("arn", FieldType::Text, "its ARN"),
        field(
            "modified",
            FieldType::Timestamp,
            "when it was created, or its code or configuration last changed; Lambda does not tell the two apart, nor by whom",
        ),
        field("runtime", FieldType::Text, "python3.13, …; empty for an image"),
        field("role", FieldType::Text, "the ARN of the role that it runs as"),
        field("memory", FieldType::Integer, "MB"),
        field("timeout", FieldType::Integer, "the longest that an invocation runs, in seconds"),
        field("state", FieldType::Text, "Pending, Active, Inactive or Failed"),
        field(
            "concurrency",
            FieldType::Integer,
            "its reserved concurrency; -1 for none, 0 for a function that is throttled",
        ),
        field("url_auth", FieldType::TextList, "AWS_IAM or NONE for each function URL of it and its aliases"),
        field("foreign", FieldType::TextList, "outsiders that its policy lets in: accounts, principals, organisations"),
        field("everybody", FieldType::Bool, "whether its policy lets everybody in"),
        field("event_sources", FieldType::TextList, "the ARNs of the queues and streams that have it work"),
        field("tags", FieldType::TextMap, "its tags"),
    ],
};

impl Source for Functions {
    type Params = Params;

    const NAME: &'static str = "lambda.functions";
    const KIND: &'static KindSpec = &KIND;
    const TITLE: &'static str = "All Lambda functions of a region";
    const PERMISSIONS: &'static [&'static str] = &[
        "lambda:GetFunction",
        "lambda:GetPolicy",
        "lambda:ListEventSourceMappings",
        "lambda:ListFunctionUrlConfigs",
        "lambda:ListFunctions",
        "lambda:ListTags",
    ];

    async fn list(&self, cx: &Ctx, _: &Params, wanted: &Wanted<'_>) -> Result<Vec<Resource>, ActionError> {
        let client = super::client(cx);
        let mut pages = client.list_functions().max_items(super::PAGE).into_paginator().items().send();
        let mut functions = Vec::new();
        while let Some(function) = pages.next().await {
            functions.push(function?);
        }
        let any = |names: &[&str]| !functions.is_empty() && names.iter().any(|name| wanted.fields.contains(name));
        let mappings = if any(&["event_sources"]) { super::mappings(&client).await? } else { Vec::new() };
        let (tags, urls, policy) = (any(&["tags", "concurrency"]), any(&["url_auth"]), any(&["foreign", "everybody"]));
        let more = functions.iter().filter_map(FunctionConfiguration::function_name);
        let more = try_join_all(more.map(async |name| {
            Ok::<_, ActionError>((
                if tags { details(&client, name).await? } else { Details::default() },
                if urls { super::urls(&client, name).await? } else { Vec::new() },
                if policy { policy_of(&client, name).await? } else { String::new() },
            ))
        }));
        let more = more.await?;
        let members = functions.iter().zip(more).filter_map(|(function, (details, urls, policy))| {
            let urls = urls.iter().map(|url| url.auth_type().as_str().to_owned()).collect();
            member(cx, function, details, urls, &policy, &mappings)
        });
        Ok(members.collect())
    }
}

/// What the list of functions leaves out.
#[derive(Default)]
struct Details {
    tags: BTreeMap<String, String>,
    concurrency: Option<i32>,
}

/// One request for both, of which AWS allows more than of those for one alone. A function that is gone has neither.
async fn details(client: &Client, name: &str) -> Result<Details, ActionError> {
    let answer = client.get_function().function_name(name).send().await;
    let Some(answer) = super::if_any(answer.map_err(ActionError::from))? else { return Ok(Details::default()) };
    let concurrency = answer.concurrency().and_then(aws_sdk_lambda::types::Concurrency::reserved_concurrent_executions);
    Ok(Details { tags: answer.tags.unwrap_or_default().into_iter().collect(), concurrency })
}

async fn policy_of(client: &Client, name: &str) -> Result<String, ActionError> {
    let answer = client.get_policy().function_name(name).send().await;
    let answer = super::if_any(answer.map_err(ActionError::from))?;
    Ok(answer.and_then(|answer| answer.policy).unwrap_or_default())
}

fn member(
    cx: &Ctx,
    function: &FunctionConfiguration,
    details: Details,
    url_auth: Vec<String>,
    policy: &str,
    mappings: &[EventSourceMappingConfiguration],
) -> Option<Resource> {
    let name = function.function_name()?;
    let outsiders: Vec<String> = statement::all(policy)
        .iter()
        .filter_map(|statement| statement::outsider(statement, cx.target.account.as_str()))
        .collect();
    let calls = |mapping: &&EventSourceMappingConfiguration| {
        mapping.function_arn().map(super::name_in) == Some(name) && mapping.state() != Some("Disabled")
    };
    let sources = mappings.iter().filter(calls).filter_map(|mapping| mapping.event_source_arn());
    let fields = json!({
        "name": name,
        "arn": function.function_arn().unwrap_or_default(),
        "modified": modified(function.last_modified().unwrap_or_default()),
        "runtime": function.runtime().map_or("", |runtime| runtime.as_str()),
        "role": function.role().unwrap_or_default(),
        "memory": function.memory_size().unwrap_or_default(),
        "timeout": function.timeout().unwrap_or_default(),
        "state": function.state().map_or("", |state| state.as_str()),
        "concurrency": details.concurrency.unwrap_or(-1),
        "url_auth": url_auth,
        "foreign": outsiders.iter().filter(|name| *name != statement::EVERYBODY).collect::<Vec<_>>(),
        "everybody": outsiders.iter().any(|name| name == statement::EVERYBODY),
        "event_sources": sources.collect::<Vec<_>>(),
        "tags": details.tags,
    });
    resource(cx, KIND.name, name, fields)
}

/// Lambda's own spelling of a time, `2026-03-03T15:00:00.000+0000`, as RFC 3339.
fn modified(text: &str) -> String {
    let time = jiff::fmt::strtime::parse("%Y-%m-%dT%H:%M:%S%.f%z", text).and_then(|time| time.to_timestamp());
    time.unwrap_or(jiff::Timestamp::UNIX_EPOCH).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lambdas_times_are_read() {
        assert_eq!(modified("2026-03-03T15:00:00.250+0000"), "2026-03-03T15:00:00.25Z");
        assert_eq!(modified(""), "1970-01-01T00:00:00Z");
    }
}
