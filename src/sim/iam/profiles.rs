//! Instance profiles.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::paging::{Everything, Paging};
use super::{DONE, Iam, already_exists, check_name, check_path, date, delete_conflict, limit_exceeded};
use super::{no_such_entity, read, roles};
use crate::model::AccountId;
use crate::sim::call::{Body, Call, Refusal, Reply};
use crate::sim::wire::xml::Xml;
use crate::sim::world::World;

/// An instance profile.
#[derive(Debug, Clone, Serialize)]
pub struct InstanceProfile {
    /// Its name.
    pub name: String,
    /// Its path.
    pub path: String,
    /// `AIPA…`.
    pub id: String,
    /// Its ARN.
    pub arn: String,
    /// When it was made.
    pub created: Timestamp,
    /// The role in it.
    pub role: Option<String>,
}

/// Adds an instance profile. Refused when there is one of that name.
pub fn create_instance_profile<'a>(
    world: &'a mut World,
    account: &AccountId,
    path: &str,
    name: &str,
    now: Timestamp,
) -> Result<&'a mut InstanceProfile, Refusal> {
    check_name(name, 128)?;
    if world.account(account).iam.instance_profiles.contains_key(name) {
        return Err(already_exists(format!("Instance Profile {name} already exists.")));
    }
    let profile = InstanceProfile {
        name: name.to_owned(),
        path: path.to_owned(),
        id: world.unique_id("AIPA"),
        arn: format!("arn:{}:iam::{account}:instance-profile{path}{name}", world.partition),
        created: now,
        role: None,
    };
    Ok(world.account_mut(account).iam.instance_profiles.entry(name.to_owned()).insert_entry(profile).into_mut())
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct OneProfile {
    instance_profile_name: String,
    role_name: Option<String>,
    path: Option<String>,
}

pub(super) fn create(world: &mut World, call: &Call) -> Reply {
    let asked: OneProfile = read(call)?;
    let path = check_path(asked.path)?;
    create_instance_profile(world, &call.account, &path, &asked.instance_profile_name, call.now)?;
    let iam = &world.account(&call.account).iam;
    let profile = &iam.instance_profiles[&asked.instance_profile_name];
    Ok(Body::Xml(vec![Xml::node("InstanceProfile", described(iam, profile))]))
}

pub(super) fn described(iam: &Iam, profile: &InstanceProfile) -> Vec<Xml> {
    let role = profile.role.as_ref().and_then(|name| iam.roles.get(name));
    vec![
        Xml::text("Path", &profile.path),
        Xml::text("InstanceProfileName", &profile.name),
        Xml::text("InstanceProfileId", &profile.id),
        Xml::text("Arn", &profile.arn),
        Xml::text("CreateDate", date(profile.created)),
        Xml::list("Roles", "member", role.map(roles::listed)),
    ]
}

fn missing(name: &str) -> Refusal {
    no_such_entity(format!("Instance Profile {name} cannot be found."))
}

pub(super) fn get(world: &World, call: &Call) -> Reply {
    let asked: OneProfile = read(call)?;
    let iam = &world.account(&call.account).iam;
    let profile = iam.instance_profiles.get(&asked.instance_profile_name);
    let profile = profile.ok_or_else(|| missing(&asked.instance_profile_name))?;
    Ok(Body::Xml(vec![Xml::node("InstanceProfile", described(iam, profile))]))
}

pub(super) fn list(world: &World, call: &Call) -> Reply {
    let asked: Everything = read(call)?;
    let iam = &world.account(&call.account).iam;
    let profiles = iam.instance_profiles.iter().filter(|(_, profile)| asked.admits(&profile.path));
    let part = asked.paging().part(profiles.map(|(name, profile)| (name.clone(), profile)))?;
    Ok(part.structures("InstanceProfiles", |profile| described(iam, profile)))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct ProfilesOfRole {
    role_name: String,
    marker: Option<String>,
    max_items: Option<usize>,
}

pub(super) fn list_for_role(world: &World, call: &Call) -> Reply {
    let asked: ProfilesOfRole = read(call)?;
    let iam = &world.account(&call.account).iam;
    iam.role(&asked.role_name)?;
    let profiles = iam.instance_profiles.iter().filter(|(_, profile)| profile.role.as_ref() == Some(&asked.role_name));
    let paging = Paging { marker: asked.marker, max_items: asked.max_items };
    let part = paging.part(profiles.map(|(name, profile)| (name.clone(), profile)))?;
    Ok(part.structures("InstanceProfiles", |profile| described(iam, profile)))
}

pub(super) fn add_role(world: &mut World, call: &Call) -> Reply {
    let asked: OneProfile = read(call)?;
    let role = asked.role_name.ok_or_else(|| Refusal::new(400, "ValidationError", "missing field `RoleName`"))?;
    let iam = &mut world.account_mut(&call.account).iam;
    iam.role(&role)?;
    let profile = iam.instance_profiles.get_mut(&asked.instance_profile_name);
    let profile = profile.ok_or_else(|| missing(&asked.instance_profile_name))?;
    if profile.role.is_some() {
        return Err(limit_exceeded("Cannot exceed quota for InstanceSessionsPerInstanceProfile: 1".to_owned()));
    }
    profile.role = Some(role);
    DONE
}

pub(super) fn delete(world: &mut World, call: &Call) -> Reply {
    let asked: OneProfile = read(call)?;
    let profiles = &mut world.account_mut(&call.account).iam.instance_profiles;
    let profile = profiles.get(&asked.instance_profile_name);
    if profile.ok_or_else(|| missing(&asked.instance_profile_name))?.role.is_some() {
        return Err(delete_conflict("remove roles from instance profile"));
    }
    profiles.remove(&asked.instance_profile_name);
    DONE
}

pub(super) fn remove_role(world: &mut World, call: &Call) -> Reply {
    let asked: OneProfile = read(call)?;
    let profiles = &mut world.account_mut(&call.account).iam.instance_profiles;
    let profile = profiles.get_mut(&asked.instance_profile_name);
    let profile = profile.ok_or_else(|| missing(&asked.instance_profile_name))?;
    if profile.role != asked.role_name {
        let name = asked.role_name.unwrap_or_default();
        return Err(no_such_entity(format!("The role with name {name} cannot be found.")));
    }
    profile.role = None;
    DONE
}
