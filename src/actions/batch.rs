//! AWS Batch: what its actions and sources share.

pub mod disable_environments;
pub mod environments;
pub mod queues;
pub mod stop;

use std::collections::HashMap;

use aws_sdk_batch::Client;
use aws_sdk_batch::config::Builder;
use aws_sdk_batch::types::{ComputeEnvironmentDetail, JobQueueDetail};
use futures::future::try_join_all;
use tokio::time::{Duration, sleep};

use super::creation::{self, Creation};
use crate::cloud::retry;
use crate::engine::action::{Ctx, Wanted};
use crate::model::{ActionError, ErrorKind, Resource};

/// The largest page, and how many names one call takes.
const PAGE: usize = 100;
/// How long a change of a queue or an environment may take until the next is accepted.
const CHANGED_WITHIN: Duration = Duration::from_mins(2);
/// How long to wait between two looks.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// The client of a lane.
fn client(cx: &Ctx) -> Client {
    let config = Builder::from(&cx.sdk).retry_partition(retry::partition(&cx.target)).retry_classifier(retry::WhenBusy);
    Client::from_conf(config.build())
}

/// The page size as the SDK wants it.
fn page() -> i32 {
    i32::try_from(PAGE).unwrap_or(i32::MAX)
}

/// The queues with these names, or all.
async fn queues(client: &Client, names: Option<Vec<String>>) -> Result<Vec<JobQueueDetail>, ActionError> {
    let request = client.describe_job_queues().set_job_queues(names).max_results(page());
    let mut items = request.into_paginator().items().send();
    let mut queues = Vec::new();
    while let Some(queue) = items.next().await {
        queues.push(queue?);
    }
    Ok(queues)
}

/// The environments with these names, or all.
async fn environments(
    client: &Client,
    names: Option<Vec<String>>,
) -> Result<Vec<ComputeEnvironmentDetail>, ActionError> {
    let request = client.describe_compute_environments().set_compute_environments(names).max_results(page());
    let mut items = request.into_paginator().items().send();
    let mut environments = Vec::new();
    while let Some(environment) = items.next().await {
        environments.push(environment?);
    }
    Ok(environments)
}

/// The names of members, in portions that fit into one call.
fn portions(members: &[Resource]) -> impl Iterator<Item = Option<Vec<String>>> {
    members.chunks(PAGE).map(|chunk| Some(chunk.iter().map(|member| member.id.to_string()).collect()))
}

async fn queues_of(client: &Client, members: &[Resource]) -> Result<Vec<JobQueueDetail>, ActionError> {
    let portions = portions(members).map(|names| queues(client, names));
    Ok(try_join_all(portions).await?.into_iter().flatten().collect())
}

async fn environments_of(client: &Client, members: &[Resource]) -> Result<Vec<ComputeEnvironmentDetail>, ActionError> {
    let portions = portions(members).map(|names| environments(client, names));
    Ok(try_join_all(portions).await?.into_iter().flatten().collect())
}

/// Batch itself does not say when a thing was made and by whom: asked for only where it is wanted, and there are any.
async fn creations(
    cx: &Ctx,
    wanted: &Wanted<'_>,
    any: bool,
    event: &str,
    parameter: &str,
) -> Result<HashMap<String, Creation>, ActionError> {
    if any && wanted.fields.iter().any(|field| ["created", "creator"].contains(field)) {
        return creation::by_name(cx, event, parameter).await;
    }
    Ok(HashMap::new())
}

/// A queue's name; AWS always gives one.
fn queue_name(queue: &JobQueueDetail) -> &str {
    queue.job_queue_name().unwrap_or_default()
}

/// An environment's name; AWS always gives one.
fn environment_name(environment: &ComputeEnvironmentDetail) -> &str {
    environment.compute_environment_name().unwrap_or_default()
}

/// Waits until what is being made or changed can be changed; `status` looks.
async fn until_changed<F>(name: &str, mut status: impl FnMut() -> F) -> Result<(), ActionError>
where
    F: Future<Output = Result<Option<String>, ActionError>>,
{
    let mut waited = Duration::ZERO;
    loop {
        match status().await?.as_deref() {
            Some(busy @ ("CREATING" | "UPDATING")) if waited >= CHANGED_WITHIN => {
                let message = format!("{name} is still {busy} after {} s: try again later", waited.as_secs());
                return Err(ActionError::new(ErrorKind::WrongState, message));
            }
            Some("CREATING" | "UPDATING") => {
                sleep(LOOK_EVERY).await;
                waited += LOOK_EVERY;
            }
            _ => return Ok(()),
        }
    }
}
