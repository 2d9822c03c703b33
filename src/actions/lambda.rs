//! AWS Lambda: what its actions and source share.

pub mod close_policy;
pub mod functions;
pub mod stop;

use aws_sdk_lambda::Client;
use aws_sdk_lambda::config::Builder;
use aws_sdk_lambda::types::{EventSourceMappingConfiguration, FunctionUrlConfig};

use crate::cloud::retry;
use crate::engine::action::Ctx;
use crate::model::{ActionError, ErrorKind};

/// The largest page.
const PAGE: i32 = 50;

fn client(cx: &Ctx) -> Client {
    let config = Builder::from(&cx.sdk).retry_partition(retry::partition(&cx.target)).retry_classifier(retry::WhenBusy);
    Client::from_conf(config.build())
}

/// The event source mappings of a region, of all functions.
async fn mappings(client: &Client) -> Result<Vec<EventSourceMappingConfiguration>, ActionError> {
    let mut pages = client.list_event_source_mappings().max_items(PAGE).into_paginator().items().send();
    let mut mappings = Vec::new();
    while let Some(mapping) = pages.next().await {
        mappings.push(mapping?);
    }
    Ok(mappings)
}

/// The URLs of a function and its aliases.
async fn urls(client: &Client, name: &str) -> Result<Vec<FunctionUrlConfig>, ActionError> {
    let request = client.list_function_url_configs().function_name(name).max_items(PAGE);
    let mut pages = request.into_paginator().items().send();
    let mut urls = Vec::new();
    while let Some(url) = pages.next().await {
        urls.push(url?);
    }
    Ok(urls)
}

/// The name in a function's ARN.
fn name_in(arn: &str) -> &str {
    arn.split(':').nth(6).unwrap_or_default()
}

/// The version or alias in a function's ARN; empty for the unpublished version.
fn qualifier_in(arn: &str) -> &str {
    arn.split(':').nth(7).unwrap_or_default()
}

/// A qualifier as requests want it: none for the unpublished version.
fn qualifier(name: &str) -> Option<String> {
    (!name.is_empty()).then(|| name.to_owned())
}

/// Nothing where there is nothing of that name.
fn if_any<T>(answer: Result<T, ActionError>) -> Result<Option<T>, ActionError> {
    match answer {
        Err(error) if error.kind == ErrorKind::NotFound => Ok(None),
        other => other.map(Some),
    }
}
