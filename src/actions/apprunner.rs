//! AWS App Runner: what its actions and sources share.

pub mod pause;
pub mod services;

use aws_sdk_apprunner::Client;
use aws_sdk_apprunner::config::Builder;
use aws_sdk_apprunner::config::retry::RetryConfig;
use aws_sdk_apprunner::types::ServiceSummary;

use crate::cloud::retry;
use crate::engine::action::Ctx;
use crate::model::{ActionError, ErrorKind};

/// The regions that App Runner was known to be in when this was written. ("AWS App Runner endpoints and quotas".) Where it
/// is not, there is no name to connect to; elsewhere silence is what it is everywhere, so that a region that App Runner has
/// come to since is looked at all the same.
const KNOWN_REGIONS: [&str; 11] = [
    "ap-northeast-1",
    "ap-south-1",
    "ap-southeast-1",
    "ap-southeast-2",
    "eu-central-1",
    "eu-west-1",
    "eu-west-2",
    "eu-west-3",
    "us-east-1",
    "us-east-2",
    "us-west-2",
];

fn is_known(cx: &Ctx) -> bool {
    KNOWN_REGIONS.contains(&cx.target.region.as_str())
}

/// The client of a lane. Where App Runner is not known to be, nobody waits for a second attempt.
fn client(cx: &Ctx) -> Client {
    let config = Builder::from(&cx.sdk).retry_partition(retry::partition(&cx.target)).retry_classifier(retry::WhenBusy);
    let config = if is_known(cx) { config } else { config.retry_config(RetryConfig::disabled()) };
    Client::from_conf(config.build())
}

/// All services of the region. Where App Runner is not known to be and no connection can be made, there are none. Were it
/// quell that cannot reach the region, the other services of the region would say so.
async fn all(cx: &Ctx) -> Result<Vec<ServiceSummary>, ActionError> {
    match listed(&client(cx)).await {
        Err(error) if error.kind == ErrorKind::Unreachable && !is_known(cx) => Ok(Vec::new()),
        answer => answer,
    }
}

async fn listed(client: &Client) -> Result<Vec<ServiceSummary>, ActionError> {
    let mut pages = client.list_services().into_paginator().send();
    let mut services = Vec::new();
    while let Some(page) = pages.next().await {
        services.extend(page?.service_summary_list);
    }
    Ok(services)
}
