//! `ec2.shared-snapshots`: the snapshots that an account has shared with others.

use aws_sdk_ec2::Client;
use aws_sdk_ec2::types::{CreateVolumePermission, Snapshot, SnapshotAttributeName};
use futures::future::try_join_all;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::PAGE;
use crate::actions::field::{field, resource, time};
use crate::engine::action::{Ctx, Source, Wanted};
use crate::model::{ActionError, ErrorKind, FieldType, KindSpec, Resource, Scope};

/// How many snapshots are asked about at the same time.
const AT_ONCE: usize = 20;

/// Lists the account's own snapshots that others may restore.
pub struct SharedSnapshots;

/// Which snapshots to ask about.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// Only those that were begun since: AWS is asked about each one. All of them when it is not given.
    #[schemars(with = "Option<String>")]
    pub since: Option<Timestamp>,
}

/// `ec2.shared-snapshot`.
pub static KIND: KindSpec = KindSpec {
    name: "ec2.shared-snapshot",
    scope: Scope::Regional,
    fields: &[
        field("id", FieldType::Text, "snap-…"),
        field("created", FieldType::Timestamp, "when it was begun"),
        field("volume", FieldType::Text, "the volume that it was taken of"),
        field("size", FieldType::Integer, "GiB"),
        field("public", FieldType::Bool, "whether everybody may restore it"),
        field("shared_with", FieldType::TextList, "the accounts that may restore it"),
        field("tags", FieldType::TextMap, "its tags"),
    ],
};

impl Source for SharedSnapshots {
    type Params = Params;

    const NAME: &'static str = "ec2.shared-snapshots";
    const KIND: &'static KindSpec = &KIND;
    const TITLE: &'static str = "The account's own snapshots in a region that others may restore";
    const PERMISSIONS: &'static [&'static str] = &["ec2:DescribeSnapshots", "ec2:DescribeSnapshotAttribute"];

    async fn list(&self, cx: &Ctx, params: &Params, _: &Wanted<'_>) -> Result<Vec<Resource>, ActionError> {
        let client = super::client(cx);
        let snapshots = own(&client, params.since).await?;
        let mut members = Vec::new();
        for snapshots in snapshots.chunks(AT_ONCE) {
            let shared = try_join_all(snapshots.iter().map(|snapshot| shared(cx, &client, snapshot))).await?;
            members.extend(shared.into_iter().flatten());
        }
        Ok(members)
    }
}

/// The account's own snapshots that were begun since.
async fn own(client: &Client, since: Option<Timestamp>) -> Result<Vec<Snapshot>, ActionError> {
    let mut items = client.describe_snapshots().owner_ids("self").max_results(PAGE).into_paginator().items().send();
    let mut snapshots = Vec::new();
    while let Some(snapshot) = items.next().await {
        let snapshot = snapshot?;
        let begun: Option<Timestamp> = time(snapshot.start_time()).parse().ok();
        if since.is_none_or(|since| begun.is_some_and(|begun| begun >= since)) {
            snapshots.push(snapshot);
        }
    }
    Ok(snapshots)
}

/// The snapshot as a member, when anybody else may restore it.
async fn shared(cx: &Ctx, client: &Client, snapshot: &Snapshot) -> Result<Option<Resource>, ActionError> {
    let Some(id) = snapshot.snapshot_id() else { return Ok(None) };
    let name = SnapshotAttributeName::CreateVolumePermission;
    let answer = client.describe_snapshot_attribute().snapshot_id(id).attribute(name).send().await;
    let answer = match answer.map_err(ActionError::from) {
        Err(error) if error.kind == ErrorKind::NotFound => return Ok(None),
        answer => answer?,
    };
    let sharers = answer.create_volume_permissions();
    if sharers.is_empty() {
        return Ok(None);
    }
    let fields = json!({
        "id": id,
        "created": time(snapshot.start_time()),
        "volume": snapshot.volume_id().unwrap_or_default(),
        "size": snapshot.volume_size().unwrap_or_default(),
        "public": sharers.iter().any(|sharer| sharer.group().is_some()),
        "shared_with": sharers.iter().filter_map(CreateVolumePermission::user_id).collect::<Vec<_>>(),
        "tags": super::tags(snapshot.tags()),
    });
    Ok(resource(cx, KIND.name, id, fields))
}
