//! Fleets: machines that are kept ready, and paid for, whether anything is built or not.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{CodeBuild, arn, invalid, missing, read, sorted_out};
use crate::sim::call::{Call, Refusal};
use crate::sim::pages::{epoch, part};

/// How many names a page, or a call, holds.
const PAGE: usize = 100;

/// A fleet.
#[derive(Debug, Clone, Serialize)]
pub struct Fleet {
    /// Its name.
    pub name: String,
    /// Its ARN.
    pub arn: String,
    /// Its id.
    pub id: String,
    /// When it was made.
    pub created: Timestamp,
    /// How many machines it has at least.
    pub base_capacity: u32,
    /// `LINUX_CONTAINER`, …
    pub environment_type: String,
    /// `BUILD_GENERAL1_XLARGE`, …
    pub compute_type: String,
    /// How it grows.
    pub scaling: Option<Value>,
    /// Tags.
    pub tags: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Create {
    name: String,
    base_capacity: u32,
    environment_type: String,
    compute_type: String,
    scaling_configuration: Option<Value>,
    #[serde(default)]
    tags: Vec<Tag>,
}

#[derive(Deserialize)]
struct Tag {
    key: String,
    #[serde(default)]
    value: String,
}

/// AWS CodeBuild API Reference, *CreateFleet*: a fleet has one machine at least.
fn check(capacity: u32) -> Result<(), Refusal> {
    if capacity == 0 { Err(invalid("Invalid baseCapacity: it must be at least 1")) } else { Ok(()) }
}

pub(super) fn create(codebuild: &mut CodeBuild, call: &Call, id: &str) -> Result<Value, Refusal> {
    let asked: Create = read(call)?;
    check(asked.base_capacity)?;
    if codebuild.fleets.contains_key(&asked.name) {
        let message = format!("Fleet already exists: {}", asked.name);
        return Err(Refusal::new(400, "ResourceAlreadyExistsException", message));
    }
    let fleet = Fleet {
        arn: format!("{}:{id}", arn(call, "fleet", &asked.name)),
        name: asked.name.clone(),
        id: id.to_owned(),
        created: call.now,
        base_capacity: asked.base_capacity,
        environment_type: asked.environment_type,
        compute_type: asked.compute_type,
        scaling: asked.scaling_configuration,
        tags: asked.tags.into_iter().map(|tag| (tag.key, tag.value)).collect(),
    };
    let shown = shown(&fleet);
    codebuild.fleets.insert(asked.name, fleet);
    Ok(json!({ "fleet": shown }))
}

fn shown(fleet: &Fleet) -> Value {
    let tags: Vec<Value> = fleet.tags.iter().map(|(key, value)| json!({ "key": key, "value": value })).collect();
    let mut shown = json!({
        "name": fleet.name,
        "arn": fleet.arn,
        "id": fleet.id,
        "created": epoch(fleet.created),
        "lastModified": epoch(fleet.created),
        "status": { "statusCode": "ACTIVE" },
        "baseCapacity": fleet.base_capacity,
        "environmentType": fleet.environment_type,
        "computeType": fleet.compute_type,
        "overflowBehavior": "QUEUE",
        "tags": tags,
    });
    if let Some(scaling) = &fleet.scaling {
        shown["scalingConfiguration"] = scaling.clone();
    }
    shown
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Page {
    next_token: Option<String>,
    max_results: Option<usize>,
}

/// ListFleets: their ARNs.
pub(super) fn list(codebuild: &CodeBuild, call: &Call) -> Result<Value, Refusal> {
    let page: Page = read(call)?;
    let arns: Vec<&String> = codebuild.fleets.values().map(|fleet| &fleet.arn).collect();
    let (fleets, next) = part(arns, page.next_token.as_deref(), page.max_results.unwrap_or(PAGE).min(PAGE))?;
    Ok(json!({ "fleets": fleets, "nextToken": next }))
}

fn is(fleet: &Fleet, name: &str) -> bool {
    fleet.arn == name || fleet.name == name
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Names {
    names: Vec<String>,
}

pub(super) fn get(codebuild: &CodeBuild, call: &Call) -> Result<Value, Refusal> {
    let Names { names } = read(call)?;
    let found = |name: &String| codebuild.fleets.values().find(|fleet| is(fleet, name)).map(shown);
    let found = names.into_iter().map(|name| (name.clone(), found(&name)));
    Ok(sorted_out(found.collect(), "fleets", "fleetsNotFound"))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Update {
    arn: String,
    base_capacity: Option<u32>,
    scaling_configuration: Option<Value>,
}

pub(super) fn update(codebuild: &mut CodeBuild, call: &Call) -> Result<Value, Refusal> {
    let asked: Update = read(call)?;
    check(asked.base_capacity.unwrap_or(1))?;
    let fleet = codebuild.fleets.values_mut().find(|fleet| is(fleet, &asked.arn));
    let fleet = fleet.ok_or_else(|| missing(format!("Fleet cannot be found: {}", asked.arn)))?;
    fleet.base_capacity = asked.base_capacity.unwrap_or(fleet.base_capacity);
    // An empty configuration takes it away.
    if let Some(scaling) = asked.scaling_configuration {
        fleet.scaling = Some(scaling).filter(|scaling| scaling.as_object().is_some_and(|scaling| !scaling.is_empty()));
    }
    Ok(json!({ "fleet": shown(fleet) }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Arn {
    arn: String,
}

pub(super) fn delete(codebuild: &mut CodeBuild, call: &Call) -> Result<Value, Refusal> {
    let Arn { arn } = read(call)?;
    codebuild.fleets.retain(|_, fleet| !is(fleet, &arn));
    Ok(json!({}))
}
