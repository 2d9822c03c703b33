//! Roles.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Deserialize;

use super::entity::Role;
use super::paging::Everything;
use super::policies::check_document;
use super::users::{Tag, boundary, tag_list};
use super::{DONE, already_exists, check_name, check_path, date, delete_conflict, encoded, read};
use crate::model::AccountId;
use crate::policy::Kind;
use crate::sim::call::{Body, Call, Refusal, Reply};
use crate::sim::wire::xml::Xml;
use crate::sim::world::World;

/// Adds a role with a trust policy. Refused when there is one of that name, or when the policy cannot be read.
pub fn create_role<'a>(
    world: &'a mut World,
    account: &AccountId,
    path: &str,
    name: &str,
    trust: &str,
    now: Timestamp,
) -> Result<&'a mut Role, Refusal> {
    check_name(name, 64)?;
    check_document(trust, Kind::Trust)?;
    if world.account(account).iam.roles.contains_key(name) {
        return Err(already_exists(format!("Role with name {name} already exists.")));
    }
    let role = Role {
        name: name.to_owned(),
        path: path.to_owned(),
        id: world.unique_id("AROA"),
        arn: format!("arn:{}:iam::{account}:role{path}{name}", world.partition),
        created: now,
        trust: trust.to_owned(),
        description: None,
        max_session: 3600,
        tags: BTreeMap::new(),
        policies: super::Policies::default(),
        last_used: None,
    };
    Ok(world.account_mut(account).iam.roles.entry(name.to_owned()).insert_entry(role).into_mut())
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct CreateRole {
    role_name: String,
    assume_role_policy_document: String,
    path: Option<String>,
    description: Option<String>,
    max_session_duration: Option<u32>,
    permissions_boundary: Option<String>,
    #[serde(default)]
    tags: Vec<Tag>,
}

pub(super) fn create(world: &mut World, call: &Call) -> Reply {
    let asked: CreateRole = read(call)?;
    let path = check_path(asked.path)?;
    if let Some(arn) = &asked.permissions_boundary {
        world.account(&call.account).iam.managed_document(arn).ok_or_else(|| super::managed::missing(arn))?;
    }
    let max_session = asked.max_session_duration.unwrap_or(3600);
    if !(3600..=43_200).contains(&max_session) {
        let message = format!("MaxSessionDuration must be from 3600 to 43200, not {max_session}");
        return Err(Refusal::new(400, "ValidationError", message));
    }
    let trust = &asked.assume_role_policy_document;
    let role = create_role(world, &call.account, &path, &asked.role_name, trust, call.now)?;
    role.description = asked.description;
    role.max_session = max_session;
    role.policies.boundary = asked.permissions_boundary;
    role.tags = asked.tags.into_iter().map(|tag| (tag.key, tag.value)).collect();
    Ok(Body::Xml(vec![Xml::node("Role", described(role))]))
}

/// A role as `ListRoles` shows it.
pub(super) fn listed(role: &Role) -> Vec<Xml> {
    let mut xml = vec![
        Xml::text("Path", &role.path),
        Xml::text("RoleName", &role.name),
        Xml::text("RoleId", &role.id),
        Xml::text("Arn", &role.arn),
        Xml::text("CreateDate", date(role.created)),
        Xml::text("AssumeRolePolicyDocument", encoded(&role.trust)),
        Xml::text("MaxSessionDuration", role.max_session),
    ];
    xml.extend(role.description.as_ref().map(|text| Xml::text("Description", text)));
    xml
}

/// A role as `GetRole` shows it: with boundary, tags and last use.
fn described(role: &Role) -> Vec<Xml> {
    let mut xml = listed(role);
    xml.extend(role.policies.boundary.as_ref().map(boundary));
    if !role.tags.is_empty() {
        xml.push(tag_list(&role.tags));
    }
    xml.push(last_used(role));
    xml
}

pub(super) fn last_used(role: &Role) -> Xml {
    let used = role.last_used.iter();
    let children = used.flat_map(|used| [Xml::text("LastUsedDate", date(used.at)), Xml::text("Region", &used.region)]);
    Xml::node("RoleLastUsed", children.collect())
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct OneRole {
    role_name: String,
    policy_document: Option<String>,
    #[serde(default)]
    tags: Vec<Tag>,
    #[serde(default)]
    tag_keys: Vec<String>,
    #[serde(rename = "Marker")]
    _marker: Option<String>,
    #[serde(rename = "MaxItems")]
    _max_items: Option<usize>,
}

pub(super) fn get(world: &World, call: &Call) -> Reply {
    let asked: OneRole = read(call)?;
    let role = world.account(&call.account).iam.role(&asked.role_name)?;
    Ok(Body::Xml(vec![Xml::node("Role", described(role))]))
}

pub(super) fn list(world: &World, call: &Call) -> Reply {
    let asked: Everything = read(call)?;
    let roles = &world.account(&call.account).iam.roles;
    let roles = roles.iter().filter(|(_, role)| asked.admits(&role.path)).map(|(name, role)| (name.clone(), role));
    Ok(asked.paging().part(roles)?.structures("Roles", listed))
}

pub(super) fn update_trust(world: &mut World, call: &Call) -> Reply {
    let asked: OneRole = read(call)?;
    let missing = || Refusal::new(400, "ValidationError", "missing field `PolicyDocument`");
    let document = asked.policy_document.ok_or_else(missing)?;
    check_document(&document, Kind::Trust)?;
    world.account_mut(&call.account).iam.role_mut(&asked.role_name)?.trust = document;
    DONE
}

pub(super) fn delete(world: &mut World, call: &Call) -> Reply {
    let asked: OneRole = read(call)?;
    let iam = &mut world.account_mut(&call.account).iam;
    let policies = &iam.role_mut(&asked.role_name)?.policies;
    if !policies.managed.is_empty() {
        return Err(delete_conflict("detach all policies"));
    }
    if !policies.inline.is_empty() {
        return Err(delete_conflict("delete policies"));
    }
    if iam.instance_profiles.values().any(|profile| profile.role.as_ref() == Some(&asked.role_name)) {
        return Err(delete_conflict("remove roles from instance profile"));
    }
    iam.roles.remove(&asked.role_name);
    DONE
}

pub(super) fn tag(world: &mut World, call: &Call) -> Reply {
    let asked: OneRole = read(call)?;
    let role = world.account_mut(&call.account).iam.role_mut(&asked.role_name)?;
    role.tags.extend(asked.tags.into_iter().map(|tag| (tag.key, tag.value)));
    DONE
}

pub(super) fn untag(world: &mut World, call: &Call) -> Reply {
    let asked: OneRole = read(call)?;
    let role = world.account_mut(&call.account).iam.role_mut(&asked.role_name)?;
    role.tags.retain(|key, _| !asked.tag_keys.contains(key));
    DONE
}

pub(super) fn tags(world: &World, call: &Call) -> Reply {
    let asked: OneRole = read(call)?;
    let role = world.account(&call.account).iam.role(&asked.role_name)?;
    Ok(Body::Xml(vec![tag_list(&role.tags), Xml::text("IsTruncated", false)]))
}
