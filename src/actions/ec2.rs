//! EC2: what its actions and sources share.

pub mod addresses;
pub mod block_image_sharing;
pub mod block_public_access;
pub mod block_snapshot_sharing;
pub mod cancel_spot_requests;
pub mod capacity_reservations;
pub mod copy_snapshots;
pub mod cut_subnet;
pub mod detach_profile;
pub mod disable_imds;
pub mod encrypt_by_default;
pub mod fleets;
pub mod hibernate_instances;
pub mod images;
pub mod instances;
pub mod isolate;
pub mod key_pairs;
pub mod launch_templates;
pub mod lock_snapshots;
pub mod protect;
pub mod regions;
pub mod require_imdsv2;
pub mod restore_default_version;
pub mod share_snapshots;
pub mod shared_snapshots;
pub mod snapshot_volumes;
pub mod spot_fleets;
pub mod spot_requests;
pub mod stop_instances;
pub mod subnets;
#[cfg(feature = "autoscaling")]
pub mod suspend_launchers;
pub mod tag;
#[cfg(feature = "autoscaling")]
pub mod terminate_instances;
pub mod volumes;
pub mod vpcs;

use std::collections::BTreeMap;
use std::error::Error;

use aws_sdk_ec2::Client;
use aws_sdk_ec2::config::Builder;
use aws_sdk_ec2::types::{Filter, Instance, InstanceAttributeName, InstanceLifecycleType, Tag};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use futures::future::{try_join, try_join_all};
use tokio::time::Duration;
#[cfg(feature = "autoscaling")]
use tokio::time::sleep;

use crate::cloud::retry;
use crate::engine::action::Ctx;
use crate::model::{ActionError, ErrorKind, Finding, Resource, Severity};

/// How many values one filter takes.
const FILTER_VALUES: usize = 200;
/// The largest page of most `Describe` calls. A call without a page size has half the request rate.
const PAGE: i32 = 1000;
/// How long a rollback waits for machines that others of its changes start.
#[cfg(feature = "autoscaling")]
const UP_WITHIN: Duration = Duration::from_mins(10);
/// How long to wait between two looks.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// The client of a lane.
pub(super) fn client(cx: &Ctx) -> Client {
    let config = Builder::from(&cx.sdk).retry_partition(retry::partition(&cx.target)).retry_classifier(retry::WhenBusy);
    Client::from_conf(config.build())
}

fn filter(name: &str, values: impl IntoIterator<Item = impl Into<String>>) -> Filter {
    let values = values.into_iter().map(Into::into).collect();
    Filter::builder().name(name).set_values(Some(values)).build()
}

/// The ids of members, in portions that fit into one filter. A filter passes over what is gone; a list of ids would make
/// one gone instance spoil the whole call.
fn portions(members: &[Resource]) -> impl Iterator<Item = Vec<String>> {
    members.chunks(FILTER_VALUES).map(|chunk| chunk.iter().map(|member| member.id.to_string()).collect())
}

/// The instances among `members`, also those that a service manages and AWS hides by default.
async fn instances(client: &Client, members: &[Resource]) -> Result<Vec<Instance>, ActionError> {
    let portions = portions(members).map(|ids| described(client, Some(filter("instance-id", ids))));
    Ok(try_join_all(portions).await?.into_iter().flatten().collect())
}

async fn described(client: &Client, filter: Option<Filter>) -> Result<Vec<Instance>, ActionError> {
    let request = client.describe_instances().include_managed_resources(true).set_filters(filter.map(|f| vec![f]));
    let mut pages = request.max_results(PAGE).into_paginator().send();
    let mut instances = Vec::new();
    while let Some(page) = pages.next().await {
        let reservations = page?.reservations.unwrap_or_default();
        instances.extend(reservations.into_iter().flat_map(|reservation| reservation.instances.unwrap_or_default()));
    }
    Ok(instances)
}

/// Waits until none of these instances is stopped or on its way there. `otherwise` tells what would happen to one that is.
#[cfg(feature = "autoscaling")]
pub(super) async fn until_up(cx: &Ctx, ids: &[String], otherwise: &str) -> Result<(), ActionError> {
    let client = client(cx);
    let mut waited = Duration::ZERO;
    for ids in ids.chunks(FILTER_VALUES) {
        loop {
            let instances = described(&client, Some(filter("instance-id", ids))).await?;
            let down = instances.iter().find(|instance| matches!(state(instance).as_str(), "stopped" | "stopping"));
            match down {
                None => break,
                Some(_) if waited < UP_WITHIN => {
                    sleep(LOOK_EVERY).await;
                    waited += LOOK_EVERY;
                }
                Some(down) => {
                    let message = format!("{} is {}: {otherwise}", id(down), state(down));
                    return Err(ActionError::new(ErrorKind::WrongState, message));
                }
            }
        }
    }
    Ok(())
}

/// An instance's id; AWS always gives one.
fn id(instance: &Instance) -> &str {
    instance.instance_id().unwrap_or_default()
}

/// `running`, `stopped`, …
fn state(instance: &Instance) -> String {
    let name = instance.state().and_then(|state| state.name());
    name.map(|name| name.as_str().to_owned()).unwrap_or_default()
}

fn is_spot(instance: &Instance) -> bool {
    instance.instance_lifecycle() == Some(&InstanceLifecycleType::Spot)
}

/// Whether an instance is gone, or as good as.
fn is_terminated(state: &str) -> bool {
    matches!(state, "terminated" | "shutting-down")
}

fn tags(tags: &[Tag]) -> BTreeMap<String, String> {
    let text = |value: Option<&str>| value.unwrap_or_default().to_owned();
    tags.iter().map(|tag| (text(tag.key()), text(tag.value()))).collect()
}

fn tag_list(tags: &BTreeMap<String, String>) -> Vec<Tag> {
    tags.iter().map(|(key, value)| Tag::builder().key(key).value(value).build()).collect()
}

/// The attributes of an instance that `DescribeInstances` does not show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flag {
    /// `disableApiTermination`.
    Termination,
    /// `disableApiStop`.
    Stop,
}

/// Whether a protection is on; `None` when the instance is gone.
async fn flag(client: &Client, id: &str, flag: Flag) -> Result<Option<bool>, ActionError> {
    let name = match flag {
        Flag::Termination => InstanceAttributeName::DisableApiTermination,
        Flag::Stop => InstanceAttributeName::DisableApiStop,
    };
    let answer = client.describe_instance_attribute().instance_id(id).attribute(name).send().await;
    let answer = match answer.map_err(ActionError::from) {
        Ok(answer) => answer,
        Err(error) if error.kind == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let value = match flag {
        Flag::Termination => answer.disable_api_termination,
        Flag::Stop => answer.disable_api_stop,
    };
    Ok(Some(value.and_then(|value| value.value).unwrap_or_default()))
}

/// What an instance does when it is shut down from inside: `stop` or `terminate`.
async fn shutdown_behavior(client: &Client, id: &str) -> Result<Option<String>, ActionError> {
    let name = InstanceAttributeName::InstanceInitiatedShutdownBehavior;
    let answer = client.describe_instance_attribute().instance_id(id).attribute(name).send().await;
    match answer.map_err(ActionError::from) {
        Ok(answer) => Ok(answer.instance_initiated_shutdown_behavior.and_then(|value| value.value)),
        Err(error) if error.kind == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Sets a protection.
async fn set_flag(client: &Client, id: &str, flag: Flag, on: bool) -> Result<(), ActionError> {
    let value = aws_sdk_ec2::types::AttributeBooleanValue::builder().value(on).build();
    let request = client.modify_instance_attribute().instance_id(id);
    let request = match flag {
        Flag::Termination => request.disable_api_termination(value),
        Flag::Stop => request.disable_api_stop(value),
    };
    request.send().await?;
    Ok(())
}

/// What the answer to a `DryRun` says about a permission. `DryRunOperation` is AWS's yes.
fn asked<T, E>(cx: &Ctx, permission: &str, answer: Result<T, SdkError<E, HttpResponse>>) -> Option<Finding>
where
    E: ProvideErrorMetadata + Error + 'static,
{
    let error = ActionError::from(answer.err()?);
    if error.is("DryRunOperation") {
        return None;
    }
    let place = format!("in account {}, {}", cx.target.account, cx.target.region);
    let (severity, message) = match error.kind {
        ErrorKind::Denied => (Severity::Warning, format!("{permission} is not allowed {place}: its changes will fail")),
        _ => (Severity::Note, format!("could not check {permission} {place}: {error}")),
    };
    Some(Finding { severity, step: None, target: Some(cx.target.clone()), message })
}

/// Succeeds also when what was to be changed back is gone.
fn unless_gone(result: Result<(), ActionError>) -> Result<(), ActionError> {
    match result {
        Err(error) if error.kind == ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// Both at once.
async fn both<A, B>(
    a: impl Future<Output = Result<A, ActionError>>,
    b: impl Future<Output = Result<B, ActionError>>,
) -> Result<(A, B), ActionError> {
    try_join(Box::pin(a), Box::pin(b)).await
}
