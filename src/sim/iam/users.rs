//! Users and their passwords.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Deserialize;

use super::entity::{LoginProfile, User};
use super::paging::Everything;
use super::root::is_meant;
use super::{DONE, Iam, already_exists, check_name, check_path, date, delete_conflict, no_such_entity, read};
use crate::model::AccountId;
use crate::sim::call::{Body, Call, Refusal, Reply};
use crate::sim::wire::xml::Xml;
use crate::sim::world::{Secret, World};

/// A tag.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct Tag {
    pub(super) key: String,
    pub(super) value: String,
}

/// Adds a user. Refused when there is one of that name.
pub fn create_user<'a>(
    world: &'a mut World,
    account: &AccountId,
    path: &str,
    name: &str,
    now: Timestamp,
) -> Result<&'a mut User, Refusal> {
    check_name(name, 64)?;
    if world.account(account).iam.users.contains_key(name) {
        return Err(already_exists(format!("User with name {name} already exists.")));
    }
    let user = User {
        name: name.to_owned(),
        path: path.to_owned(),
        id: world.unique_id("AIDA"),
        arn: format!("arn:{}:iam::{account}:user{path}{name}", world.partition),
        created: now,
        password_last_used: None,
        tags: BTreeMap::new(),
        policies: super::Policies::default(),
        groups: std::collections::BTreeSet::new(),
        login_profile: None,
        credentials: super::Credentials::default(),
    };
    Ok(world.account_mut(account).iam.users.entry(name.to_owned()).insert_entry(user).into_mut())
}

/// The name that is given, or that of the user whose key signed the call.
pub(super) fn name_or_caller(iam: &Iam, call: &Call, name: Option<String>) -> Result<String, Refusal> {
    if let Some(name) = name {
        return Ok(name);
    }
    let caller = iam.users.values().find(|user| user.arn == call.principal.arn).map(|user| user.name.clone());
    let message = "Must specify userName when calling with non-User credentials";
    caller.ok_or_else(|| Refusal::new(400, "ValidationError", message))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct CreateUser {
    user_name: String,
    path: Option<String>,
    permissions_boundary: Option<String>,
    #[serde(default)]
    tags: Vec<Tag>,
}

pub(super) fn create(world: &mut World, call: &Call) -> Reply {
    let asked: CreateUser = read(call)?;
    let path = check_path(asked.path)?;
    if let Some(arn) = &asked.permissions_boundary {
        world.account(&call.account).iam.managed_document(arn).ok_or_else(|| super::managed::missing(arn))?;
    }
    let user = create_user(world, &call.account, &path, &asked.user_name, call.now)?;
    user.policies.boundary = asked.permissions_boundary;
    user.tags = asked.tags.into_iter().map(|tag| (tag.key, tag.value)).collect();
    Ok(Body::Xml(vec![Xml::node("User", described(user))]))
}

/// A user as `GetUser` shows it.
fn described(user: &User) -> Vec<Xml> {
    let mut xml = listed(user);
    xml.extend(user.policies.boundary.as_ref().map(boundary));
    if !user.tags.is_empty() {
        xml.push(tag_list(&user.tags));
    }
    xml
}

/// A user as `ListUsers` shows it: without tags and boundary.
pub(super) fn listed(user: &User) -> Vec<Xml> {
    let mut xml = vec![
        Xml::text("Path", &user.path),
        Xml::text("UserName", &user.name),
        Xml::text("UserId", &user.id),
        Xml::text("Arn", &user.arn),
        Xml::text("CreateDate", date(user.created)),
    ];
    xml.extend(user.password_last_used.map(|at| Xml::text("PasswordLastUsed", date(at))));
    xml
}

pub(super) fn boundary(arn: &String) -> Xml {
    let children = vec![Xml::text("PermissionsBoundaryType", "Policy"), Xml::text("PermissionsBoundaryArn", arn)];
    Xml::node("PermissionsBoundary", children)
}

pub(super) fn tag_list(tags: &BTreeMap<String, String>) -> Xml {
    Xml::list("Tags", "member", tags.iter().map(|(key, value)| vec![Xml::text("Key", key), Xml::text("Value", value)]))
}

/// Parameters of operations on one user, who may be the caller.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct OneUser {
    user_name: Option<String>,
    #[serde(rename = "Marker")]
    _marker: Option<String>,
    #[serde(rename = "MaxItems")]
    _max_items: Option<usize>,
}

fn named_user<'a>(world: &'a World, call: &Call) -> Result<&'a User, Refusal> {
    let asked: OneUser = read(call)?;
    let iam = &world.account(&call.account).iam;
    iam.user(&name_or_caller(iam, call, asked.user_name)?)
}

pub(super) fn get(world: &World, call: &Call) -> Reply {
    Ok(Body::Xml(vec![Xml::node("User", described(named_user(world, call)?))]))
}

pub(super) fn list(world: &World, call: &Call) -> Reply {
    let asked: Everything = read(call)?;
    let users = &world.account(&call.account).iam.users;
    let users = users.iter().filter(|(_, user)| asked.admits(&user.path)).map(|(name, user)| (name.clone(), user));
    Ok(asked.paging().part(users)?.structures("Users", listed))
}

pub(super) fn delete(world: &mut World, call: &Call) -> Reply {
    let name = named_user(world, call)?.name.clone();
    let iam = &mut world.account_mut(&call.account).iam;
    let user = iam.user(&name)?;
    if !user.policies.managed.is_empty() {
        return Err(delete_conflict("detach all policies"));
    }
    if !user.policies.inline.is_empty() {
        return Err(delete_conflict("delete policies"));
    }
    if iam.access_keys.values().any(|key| key.user.as_deref() == Some(&name)) {
        return Err(delete_conflict("delete access keys"));
    }
    if user.login_profile.is_some() {
        return Err(delete_conflict("delete login profile"));
    }
    if let Some(what) = user.credentials.in_the_way() {
        return Err(delete_conflict(what));
    }
    if !user.groups.is_empty() {
        return Err(delete_conflict("remove users from group"));
    }
    iam.users.remove(&name);
    DONE
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct TagUser {
    user_name: String,
    tags: Vec<Tag>,
}

pub(super) fn tag(world: &mut World, call: &Call) -> Reply {
    let asked: TagUser = read(call)?;
    let user = world.account_mut(&call.account).iam.user_mut(&asked.user_name)?;
    user.tags.extend(asked.tags.into_iter().map(|tag| (tag.key, tag.value)));
    DONE
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct UntagUser {
    user_name: String,
    tag_keys: Vec<String>,
}

pub(super) fn untag(world: &mut World, call: &Call) -> Reply {
    let asked: UntagUser = read(call)?;
    let user = world.account_mut(&call.account).iam.user_mut(&asked.user_name)?;
    user.tags.retain(|key, _| !asked.tag_keys.contains(key));
    DONE
}

pub(super) fn tags(world: &World, call: &Call) -> Reply {
    let user = named_user(world, call)?;
    Ok(Body::Xml(vec![tag_list(&user.tags), Xml::text("IsTruncated", false)]))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
#[expect(clippy::struct_field_names, reason = "the names are those of AWS's parameters")]
struct Password {
    user_name: Option<String>,
    password: Option<String>,
    password_reset_required: Option<bool>,
}

pub(super) fn create_login_profile(world: &mut World, call: &Call) -> Reply {
    let asked: Password = read(call)?;
    let iam = &mut world.account_mut(&call.account).iam;
    let name = name_or_caller(iam, call, asked.user_name)?;
    let user = iam.user_mut(&name)?;
    if user.login_profile.is_some() {
        return Err(already_exists(format!("Login Profile for user {name} already exists.")));
    }
    let password = asked.password.ok_or_else(|| Refusal::new(400, "ValidationError", "missing field `Password`"))?;
    let profile = LoginProfile {
        password: Secret(password),
        created: call.now,
        changed: call.now,
        reset_required: asked.password_reset_required.unwrap_or(false),
    };
    let xml = login_profile(&name, &profile);
    user.login_profile = Some(profile);
    Ok(Body::Xml(vec![xml]))
}

fn login_profile(name: &str, profile: &LoginProfile) -> Xml {
    let children = vec![
        Xml::text("UserName", name),
        Xml::text("CreateDate", date(profile.created)),
        Xml::text("PasswordResetRequired", profile.reset_required),
    ];
    Xml::node("LoginProfile", children)
}

fn no_login_profile(name: &str) -> Refusal {
    no_such_entity(format!("Login Profile for User {name} cannot be found."))
}

pub(super) fn get_login_profile(world: &World, call: &Call) -> Reply {
    if is_meant(call, read::<OneUser>(call)?.user_name.as_ref()) {
        let set = world.account(&call.account).iam.root.password.ok_or_else(|| no_login_profile("root"))?;
        let profile = vec![Xml::text("UserName", "root"), Xml::text("CreateDate", date(set))];
        return Ok(Body::Xml(vec![Xml::node("LoginProfile", profile)]));
    }
    let user = named_user(world, call)?;
    let profile = user.login_profile.as_ref().ok_or_else(|| no_login_profile(&user.name))?;
    Ok(Body::Xml(vec![login_profile(&user.name, profile)]))
}

pub(super) fn update_login_profile(world: &mut World, call: &Call) -> Reply {
    let asked: Password = read(call)?;
    let iam = &mut world.account_mut(&call.account).iam;
    let name = name_or_caller(iam, call, asked.user_name)?;
    let profile = iam.user_mut(&name)?.login_profile.as_mut().ok_or_else(|| no_login_profile(&name))?;
    if let Some(password) = asked.password {
        profile.password = Secret(password);
        profile.changed = call.now;
    }
    profile.reset_required = asked.password_reset_required.unwrap_or(profile.reset_required);
    DONE
}

pub(super) fn delete_login_profile(world: &mut World, call: &Call) -> Reply {
    if is_meant(call, read::<OneUser>(call)?.user_name.as_ref()) {
        let root = &mut world.account_mut(&call.account).iam.root;
        root.password.take().ok_or_else(|| no_login_profile("root"))?;
        return DONE;
    }
    let name = named_user(world, call)?.name.clone();
    let user = world.account_mut(&call.account).iam.user_mut(&name)?;
    user.login_profile.take().ok_or_else(|| no_login_profile(&name))?;
    DONE
}
