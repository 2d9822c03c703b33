//! IAM Roles Anywhere: whom certificates let in from outside, and into which roles.

pub mod disable;
pub mod profiles;
pub mod trust_anchors;

use std::collections::BTreeMap;

use aws_sdk_rolesanywhere::Client;
use aws_sdk_rolesanywhere::config::Builder;
use aws_sdk_rolesanywhere::types::{ProfileDetail, TrustAnchorDetail};

use crate::cloud::retry;
use crate::engine::action::{Ctx, Wanted};
use crate::model::ActionError;

/// How many items a page may hold.
const PAGE: i32 = 50;

/// The client of a lane.
fn client(cx: &Ctx) -> Client {
    let config = Builder::from(&cx.sdk).retry_partition(retry::partition(&cx.target)).retry_classifier(retry::WhenBusy);
    Client::from_conf(config.build())
}

/// All trust anchors of the region.
async fn trust_anchors(client: &Client) -> Result<Vec<TrustAnchorDetail>, ActionError> {
    let mut pages = client.list_trust_anchors().page_size(PAGE).into_paginator().items().send();
    let mut anchors = Vec::new();
    while let Some(anchor) = pages.next().await {
        anchors.push(anchor?);
    }
    Ok(anchors)
}

/// All profiles of the region.
async fn profiles(client: &Client) -> Result<Vec<ProfileDetail>, ActionError> {
    let mut pages = client.list_profiles().page_size(PAGE).into_paginator().items().send();
    let mut profiles = Vec::new();
    while let Some(profile) = pages.next().await {
        profiles.push(profile?);
    }
    Ok(profiles)
}

/// The tags of a trust anchor or a profile, where they are wanted: AWS answers one such question a second.
async fn tags(client: &Client, arn: &str, wanted: &Wanted<'_>) -> Result<BTreeMap<String, String>, ActionError> {
    if !wanted.fields.contains(&"tags") {
        return Ok(BTreeMap::new());
    }
    let tags = client.list_tags_for_resource().resource_arn(arn).send().await?.tags.unwrap_or_default();
    Ok(tags.into_iter().map(|tag| (tag.key, tag.value)).collect())
}
