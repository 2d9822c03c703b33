//! Versions of managed policies.

use jiff::Timestamp;
use serde::Deserialize;

use super::managed::{ManagedPolicy, aws_managed, check_managed_document, missing};
use super::paging::Paging;
use super::{DONE, Iam, date, encoded, limit_exceeded, no_such_entity, read};
use crate::sim::call::{Body, Call, Refusal, Reply};
use crate::sim::wire::xml::Xml;
use crate::sim::world::World;

/// How many versions a policy may have.
const MOST: usize = 5;

/// The versions of a policy: id, text, whether it is in force, date.
fn versions(iam: &Iam, arn: &str) -> Result<Vec<(String, String, bool, String)>, Refusal> {
    if let Some(policy) = aws_managed(arn) {
        return Ok(vec![(policy.version.to_owned(), policy.document.to_owned(), true, policy.updated.to_owned())]);
    }
    let policy = iam.policies.get(arn).ok_or_else(|| missing(arn))?;
    let version = |(id, (text, at)): (&String, &(String, Timestamp))| {
        (id.clone(), text.clone(), *id == policy.default_version, date(*at))
    };
    Ok(policy.versions.iter().map(version).collect())
}

fn no_version(arn: &str, id: &str) -> Refusal {
    no_such_entity(format!("Policy {arn} version {id} does not exist or is not attachable."))
}

/// A policy of the account that has the version, to be changed. AWS's own cannot be.
fn policy_with<'a>(world: &'a mut World, call: &Call, asked: &OneVersion) -> Result<&'a mut ManagedPolicy, Refusal> {
    let OneVersion { policy_arn: arn, version_id: id } = asked;
    let policy = world.account_mut(&call.account).iam.policies.get_mut(arn).ok_or_else(|| missing(arn))?;
    if policy.versions.contains_key(id) { Ok(policy) } else { Err(no_version(arn, id)) }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct OneVersion {
    policy_arn: String,
    version_id: String,
}

pub(super) fn get(world: &World, call: &Call) -> Reply {
    let asked: OneVersion = read(call)?;
    let versions = versions(&world.account(&call.account).iam, &asked.policy_arn)?;
    let found = versions.into_iter().find(|(id, ..)| *id == asked.version_id);
    let (id, text, is_default, created) = found.ok_or_else(|| no_version(&asked.policy_arn, &asked.version_id))?;
    let mut children = vec![Xml::text("Document", encoded(&text))];
    children.extend(described(id, is_default, created));
    Ok(Body::Xml(vec![Xml::node("PolicyVersion", children)]))
}

/// A version as lists show it: without its text.
fn described(id: String, is_default: bool, created: String) -> Vec<Xml> {
    vec![Xml::text("VersionId", id), Xml::text("IsDefaultVersion", is_default), Xml::text("CreateDate", created)]
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct VersionsOfPolicy {
    policy_arn: String,
    marker: Option<String>,
    max_items: Option<usize>,
}

pub(super) fn list(world: &World, call: &Call) -> Reply {
    let asked: VersionsOfPolicy = read(call)?;
    let versions = versions(&world.account(&call.account).iam, &asked.policy_arn)?;
    let versions = versions.into_iter().map(|version| (version.0.clone(), version));
    let part = Paging { marker: asked.marker, max_items: asked.max_items }.part(versions)?;
    Ok(part.structures("Versions", |(id, _, is_default, created)| described(id, is_default, created)))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct CreateVersion {
    policy_arn: String,
    policy_document: String,
    #[serde(default)]
    set_as_default: bool,
}

pub(super) fn create(world: &mut World, call: &Call) -> Reply {
    let asked: CreateVersion = read(call)?;
    let iam = &mut world.account_mut(&call.account).iam;
    let policy = iam.policies.get_mut(&asked.policy_arn).ok_or_else(|| missing(&asked.policy_arn))?;
    check_managed_document(&asked.policy_document)?;
    if policy.versions.len() >= MOST {
        let message = format!(
            "A managed policy can have up to {MOST} versions. Before you create a new version, you must delete an \
             existing version."
        );
        return Err(limit_exceeded(message));
    }
    policy.last_version += 1;
    let id = format!("v{}", policy.last_version);
    policy.versions.insert(id.clone(), (asked.policy_document, call.now));
    if asked.set_as_default {
        policy.default_version.clone_from(&id);
    }
    let version = described(id, asked.set_as_default, date(call.now));
    Ok(Body::Xml(vec![Xml::node("PolicyVersion", version)]))
}

pub(super) fn set_default(world: &mut World, call: &Call) -> Reply {
    let asked: OneVersion = read(call)?;
    policy_with(world, call, &asked)?.default_version.clone_from(&asked.version_id);
    DONE
}

pub(super) fn delete(world: &mut World, call: &Call) -> Reply {
    let asked: OneVersion = read(call)?;
    let policy = policy_with(world, call, &asked)?;
    if policy.default_version == asked.version_id {
        return Err(Refusal::new(409, "DeleteConflict", "Cannot delete the default version of a policy."));
    }
    policy.versions.remove(&asked.version_id);
    DONE
}
