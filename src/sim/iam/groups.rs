//! Groups.

use jiff::Timestamp;
use serde::Deserialize;

use super::entity::{Group, Owner};
use super::paging::{Everything, Paging};
use super::{DONE, already_exists, check_name, check_path, date, read, users};
use crate::model::AccountId;
use crate::sim::call::{Body, Call, Refusal, Reply};
use crate::sim::wire::xml::Xml;
use crate::sim::world::World;

/// Adds a group. Refused when there is one of that name.
pub fn create_group<'a>(
    world: &'a mut World,
    account: &AccountId,
    path: &str,
    name: &str,
    now: Timestamp,
) -> Result<&'a mut Group, Refusal> {
    check_name(name, 128)?;
    if world.account(account).iam.groups.contains_key(name) {
        return Err(already_exists(format!("Group with name {name} already exists.")));
    }
    let group = Group {
        name: name.to_owned(),
        path: path.to_owned(),
        id: world.unique_id("AGPA"),
        arn: format!("arn:{}:iam::{account}:group{path}{name}", world.partition),
        created: now,
        policies: super::Policies::default(),
    };
    Ok(world.account_mut(account).iam.groups.entry(name.to_owned()).insert_entry(group).into_mut())
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct CreateGroup {
    group_name: String,
    path: Option<String>,
}

pub(super) fn create(world: &mut World, call: &Call) -> Reply {
    let asked: CreateGroup = read(call)?;
    let path = check_path(asked.path)?;
    let group = create_group(world, &call.account, &path, &asked.group_name, call.now)?;
    Ok(Body::Xml(vec![Xml::node("Group", described(group))]))
}

pub(super) fn described(group: &Group) -> Vec<Xml> {
    vec![
        Xml::text("Path", &group.path),
        Xml::text("GroupName", &group.name),
        Xml::text("GroupId", &group.id),
        Xml::text("Arn", &group.arn),
        Xml::text("CreateDate", date(group.created)),
    ]
}

pub(super) fn list(world: &World, call: &Call) -> Reply {
    let asked: Everything = read(call)?;
    let groups = &world.account(&call.account).iam.groups;
    let groups =
        groups.iter().filter(|(_, group)| asked.admits(&group.path)).map(|(name, group)| (name.clone(), group));
    Ok(asked.paging().part(groups)?.structures("Groups", described))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct OneGroup {
    group_name: String,
    marker: Option<String>,
    max_items: Option<usize>,
}

/// The group and its members.
pub(super) fn get(world: &World, call: &Call) -> Reply {
    let asked: OneGroup = read(call)?;
    let iam = &world.account(&call.account).iam;
    let group = iam.groups.get(&asked.group_name).ok_or_else(|| Owner::Group.missing(&asked.group_name))?;
    let members = iam.users.iter().filter(|(_, user)| user.groups.contains(&asked.group_name));
    let paging = Paging { marker: asked.marker, max_items: asked.max_items };
    let part = paging.part(members.map(|(name, user)| (name.clone(), user)))?;
    let ending = part.ending();
    let users = Xml::list("Users", "member", part.items.into_iter().map(users::listed));
    Ok(Body::Xml([vec![Xml::node("Group", described(group)), users], ending].concat()))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct GroupsOfUser {
    user_name: String,
    marker: Option<String>,
    max_items: Option<usize>,
}

pub(super) fn list_for_user(world: &World, call: &Call) -> Reply {
    let asked: GroupsOfUser = read(call)?;
    let iam = &world.account(&call.account).iam;
    let names = iam.user(&asked.user_name)?.groups.iter();
    let groups = names.filter_map(|name| Some((name.clone(), iam.groups.get(name)?)));
    Ok(Paging { marker: asked.marker, max_items: asked.max_items }.part(groups)?.structures("Groups", described))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Membership {
    group_name: String,
    user_name: String,
}

pub(super) fn add_user(world: &mut World, call: &Call) -> Reply {
    let asked: Membership = read(call)?;
    let iam = &mut world.account_mut(&call.account).iam;
    iam.policies_of(Owner::Group, &asked.group_name)?;
    iam.user_mut(&asked.user_name)?.groups.insert(asked.group_name);
    DONE
}

pub(super) fn remove_user(world: &mut World, call: &Call) -> Reply {
    let asked: Membership = read(call)?;
    let iam = &mut world.account_mut(&call.account).iam;
    iam.policies_of(Owner::Group, &asked.group_name)?;
    iam.user_mut(&asked.user_name)?.groups.remove(&asked.group_name);
    DONE
}
