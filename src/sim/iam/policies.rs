//! Inline and attached policies, and boundaries.

use serde::Deserialize;

use super::entity::Owner;
use super::managed;
use super::paging::Paging;
use super::{DONE, check_name, encoded, limit_exceeded, no_such_entity, read};
use crate::policy::{Document, Kind, size_without_white_space};
use crate::sim::call::{Body, Call, Refusal, Reply};
use crate::sim::wire::xml::Xml;
use crate::sim::world::World;

/// Managed policies per user, group or role, unless the quota was raised.
const ATTACHMENTS: usize = 10;

/// Reads a document that is to be stored.
pub(super) fn check_document(text: &str, kind: Kind) -> Result<(), Refusal> {
    let malformed = |error: crate::policy::Malformed| Refusal::new(400, "MalformedPolicyDocument", error.to_string());
    Document::parse("document", text, kind).map_err(malformed).map(drop)
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Inline {
    #[serde(rename = "UserName", alias = "RoleName", alias = "GroupName")]
    owner: String,
    policy_name: String,
    policy_document: Option<String>,
}

pub(super) fn put(world: &mut World, call: &Call, owner: Owner) -> Reply {
    let asked: Inline = read(call)?;
    check_name(&asked.policy_name, 128)?;
    let missing = || Refusal::new(400, "ValidationError", "missing field `PolicyDocument`");
    let document = asked.policy_document.ok_or_else(missing)?;
    check_document(&document, Kind::Identity)?;
    let policies = world.account_mut(&call.account).iam.policies_of_mut(owner, &asked.owner)?;
    let others = policies.inline.iter().filter(|(name, _)| **name != asked.policy_name);
    let size: usize = others.map(|(_, text)| size_without_white_space(text)).sum();
    let quota = owner.inline_quota();
    if size + size_without_white_space(&document) > quota {
        let message = format!("Maximum policy size of {quota} bytes exceeded for {} {}", owner.as_str(), asked.owner);
        return Err(limit_exceeded(message));
    }
    policies.inline.insert(asked.policy_name, document);
    DONE
}

fn no_inline(owner: Owner, name: &str) -> Refusal {
    no_such_entity(format!("The {} policy with name {name} cannot be found.", owner.as_str()))
}

pub(super) fn get(world: &World, call: &Call, owner: Owner) -> Reply {
    let asked: Inline = read(call)?;
    let policies = world.account(&call.account).iam.policies_of(owner, &asked.owner)?;
    let document = policies.inline.get(&asked.policy_name).ok_or_else(|| no_inline(owner, &asked.policy_name))?;
    Ok(Body::Xml(vec![
        Xml::text(format!("{}Name", owner.capital()), asked.owner),
        Xml::text("PolicyName", asked.policy_name),
        Xml::text("PolicyDocument", encoded(document)),
    ]))
}

pub(super) fn delete(world: &mut World, call: &Call, owner: Owner) -> Reply {
    let asked: Inline = read(call)?;
    let policies = world.account_mut(&call.account).iam.policies_of_mut(owner, &asked.owner)?;
    policies.inline.remove(&asked.policy_name).ok_or_else(|| no_inline(owner, &asked.policy_name))?;
    DONE
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Listed {
    #[serde(rename = "UserName", alias = "RoleName", alias = "GroupName")]
    owner: String,
    path_prefix: Option<String>,
    marker: Option<String>,
    max_items: Option<usize>,
}

pub(super) fn list(world: &World, call: &Call, owner: Owner) -> Reply {
    let asked: Listed = read(call)?;
    let policies = world.account(&call.account).iam.policies_of(owner, &asked.owner)?;
    let names = policies.inline.keys().map(|name| (name.clone(), name.clone()));
    Ok(Paging { marker: asked.marker, max_items: asked.max_items }.part(names)?.texts("PolicyNames"))
}

pub(super) fn list_attached(world: &World, call: &Call, owner: Owner) -> Reply {
    let asked: Listed = read(call)?;
    let policies = world.account(&call.account).iam.policies_of(owner, &asked.owner)?;
    let prefix = asked.path_prefix.unwrap_or_else(|| "/".to_owned());
    let arns = policies.managed.iter().filter(|arn| managed::path(arn).starts_with(&prefix));
    let part = Paging { marker: asked.marker, max_items: asked.max_items }.part(arns.map(|arn| (arn.clone(), arn)))?;
    Ok(part.structures("AttachedPolicies", attached))
}

pub(super) fn attached(arn: &String) -> Vec<Xml> {
    vec![Xml::text("PolicyName", managed::name(arn)), Xml::text("PolicyArn", arn)]
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Attachment {
    #[serde(rename = "UserName", alias = "RoleName", alias = "GroupName")]
    owner: String,
    policy_arn: String,
}

/// Attaching again is not an error.
pub(super) fn attach(world: &mut World, call: &Call, owner: Owner) -> Reply {
    let asked: Attachment = read(call)?;
    let iam = &mut world.account_mut(&call.account).iam;
    iam.policies_of(owner, &asked.owner)?;
    if iam.managed_document(&asked.policy_arn).is_none() {
        let message = format!("Policy {} does not exist or is not attachable.", asked.policy_arn);
        return Err(no_such_entity(message));
    }
    let policies = iam.policies_of_mut(owner, &asked.owner)?;
    if !policies.managed.contains(&asked.policy_arn) && policies.managed.len() >= ATTACHMENTS {
        let message = format!("Cannot exceed quota for PoliciesPer{}: {ATTACHMENTS}", owner.capital());
        return Err(limit_exceeded(message));
    }
    policies.managed.insert(asked.policy_arn);
    DONE
}

pub(super) fn detach(world: &mut World, call: &Call, owner: Owner) -> Reply {
    let asked: Attachment = read(call)?;
    let policies = world.account_mut(&call.account).iam.policies_of_mut(owner, &asked.owner)?;
    if !policies.managed.remove(&asked.policy_arn) {
        return Err(no_such_entity(format!("Policy {} was not found.", asked.policy_arn)));
    }
    DONE
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Boundary {
    #[serde(rename = "UserName", alias = "RoleName")]
    owner: String,
    permissions_boundary: Option<String>,
}

pub(super) fn put_boundary(world: &mut World, call: &Call, owner: Owner) -> Reply {
    let asked: Boundary = read(call)?;
    let missing = || Refusal::new(400, "ValidationError", "missing field `PermissionsBoundary`");
    let arn = asked.permissions_boundary.ok_or_else(missing)?;
    let iam = &mut world.account_mut(&call.account).iam;
    iam.policies_of(owner, &asked.owner)?;
    iam.managed_document(&arn).ok_or_else(|| managed::missing(&arn))?;
    iam.policies_of_mut(owner, &asked.owner)?.boundary = Some(arn);
    DONE
}

/// Deleting a boundary that is not there is an error, as for AWS.
pub(super) fn delete_boundary(world: &mut World, call: &Call, owner: Owner) -> Reply {
    let asked: Boundary = read(call)?;
    let policies = world.account_mut(&call.account).iam.policies_of_mut(owner, &asked.owner)?;
    let message = format!("The {} {} has no permissions boundary.", owner.as_str(), asked.owner);
    policies.boundary.take().ok_or_else(|| no_such_entity(message))?;
    DONE
}
