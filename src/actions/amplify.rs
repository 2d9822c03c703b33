//! AWS Amplify: what its actions and sources share.

pub mod apps;
pub mod stop_builds;

use aws_sdk_amplify::Client;
use aws_sdk_amplify::config::Builder;
use aws_sdk_amplify::types::App;

use crate::cloud::retry;
use crate::engine::action::Ctx;
use crate::model::ActionError;

/// The largest page.
const PAGE: i32 = 100;

/// The client of a lane.
fn client(cx: &Ctx) -> Client {
    let config = Builder::from(&cx.sdk).retry_partition(retry::partition(&cx.target)).retry_classifier(retry::WhenBusy);
    Client::from_conf(config.build())
}

/// All apps of the region.
async fn all_apps(client: &Client) -> Result<Vec<App>, ActionError> {
    let mut pages = client.list_apps().max_results(PAGE).into_paginator().send();
    let mut apps = Vec::new();
    while let Some(page) = pages.next().await {
        apps.extend(page?.apps);
    }
    Ok(apps)
}
