//! AWS Glue: what its actions and sources share.

pub mod jobs;
pub mod sessions;
pub mod stop_jobs;
pub mod stop_sessions;

use std::collections::BTreeMap;

use aws_sdk_glue::Client;
use aws_sdk_glue::config::Builder;
use aws_sdk_glue::types::{Job, Session};
use futures::future::try_join_all;
use tokio::time::Duration;

use crate::cloud::retry;
use crate::engine::action::{Ctx, Wanted};
use crate::model::ActionError;

/// The largest page.
const PAGE: i32 = 1000;
/// How often something that is on its way is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// The client of a lane.
fn client(cx: &Ctx) -> Client {
    let config = Builder::from(&cx.sdk).retry_partition(retry::partition(&cx.target)).retry_classifier(retry::WhenBusy);
    Client::from_conf(config.build())
}

/// All jobs of the region.
async fn all_jobs(client: &Client) -> Result<Vec<Job>, ActionError> {
    let mut pages = client.get_jobs().max_results(PAGE).into_paginator().send();
    let mut jobs = Vec::new();
    while let Some(page) = pages.next().await {
        jobs.extend(page?.jobs.unwrap_or_default());
    }
    Ok(jobs)
}

/// All interactive sessions of the region, those that have ended included as long as AWS shows them.
async fn all_sessions(client: &Client) -> Result<Vec<Session>, ActionError> {
    let mut pages = client.list_sessions().max_results(PAGE).into_paginator().send();
    let mut sessions = Vec::new();
    while let Some(page) = pages.next().await {
        sessions.extend(page?.sessions.unwrap_or_default());
    }
    Ok(sessions)
}

/// The tags of things of one kind, in their order: none where nobody wants to know, as each takes a request of its own.
async fn tags(
    cx: &Ctx,
    client: &Client,
    (kind, names): (&str, Vec<&str>),
    wanted: &Wanted<'_>,
) -> Result<Vec<BTreeMap<String, String>>, ActionError> {
    if !wanted.fields.contains(&"tags") {
        return Ok(vec![BTreeMap::new(); names.len()]);
    }
    let (region, account) = (&cx.target.region, &cx.target.account);
    let partition = cx.view.caller.partition();
    let of = |name: &str| {
        let request = client.get_tags().resource_arn(format!("arn:{partition}:glue:{region}:{account}:{kind}/{name}"));
        async move { Ok(request.send().await?.tags.unwrap_or_default().into_iter().collect()) }
    };
    try_join_all(names.into_iter().map(of)).await
}
