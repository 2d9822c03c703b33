//! When and by whom things were made whose service does not say: CloudTrail's event history of 90 days knows.

use std::collections::HashMap;

use aws_sdk_cloudtrail::Client;
use aws_sdk_cloudtrail::config::Builder;
use aws_sdk_cloudtrail::types::{LookupAttribute, LookupAttributeKey};
use serde_json::Value;

use super::field::time;
use crate::cloud::retry;
use crate::engine::action::Ctx;
use crate::model::{ActionError, ErrorKind};

/// When something was made, and by whom.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Creation {
    /// RFC 3339.
    pub created: String,
    /// The ARN of the user or session.
    pub creator: String,
}

/// What `event` made in the last 90 days, by the name that the request gave it in `parameter`. Of two things of one name the
/// later.
pub(super) async fn by_name(cx: &Ctx, event: &str, parameter: &str) -> Result<HashMap<String, Creation>, ActionError> {
    let config =
        Builder::from(&cx.sdk).retry_partition(retry::partition(&cx.target)).retry_classifier(retry::WhenBusy).build();
    let named = LookupAttribute::builder().attribute_key(LookupAttributeKey::EventName).attribute_value(event).build();
    let named = named.map_err(|error| ActionError::new(ErrorKind::Other, error.to_string()))?;
    let request = Client::from_conf(config).lookup_events().lookup_attributes(named).max_results(50);
    let mut events = request.into_paginator().items().send();
    let mut made = HashMap::new();
    while let Some(event) = events.next().await {
        let event = event?;
        let Some(record) = event.cloud_trail_event().and_then(|text| serde_json::from_str::<Value>(text).ok()) else {
            continue;
        };
        let Some(name) = record["requestParameters"][parameter].as_str().filter(|_| record["errorCode"].is_null())
        else {
            continue;
        };
        let creator = record["userIdentity"]["arn"].as_str().unwrap_or_default().to_owned();
        // The newest comes first.
        made.entry(name.to_owned()).or_insert(Creation { created: time(event.event_time()), creator });
    }
    Ok(made)
}
