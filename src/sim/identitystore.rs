//! The identity store of IAM Identity Center: users, groups, and who is in which.

use jiff::Timestamp;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::call::{Body, Call, Permission, Refusal, Reply};
use super::identity_center::{IdentityCenter, Membership, Named, denied, not_found};
use super::log::is_read_only;
use super::pages::part;
use super::time::seconds;
use super::wire::params::Params;
use super::world::World;

/// How many items one page shows.
const PAGE: usize = 100;

/// What the call needs to be allowed. ("Actions, resources, and condition keys for AWS Identity Store".)
pub fn permissions(world: &World, call: &Call) -> Result<Vec<Permission>, Refusal> {
    let Params::Json(params) = &call.params else { return Err(call.unknown()) };
    let owner = world.identity_center.as_ref().map_or(&call.account, |center| &center.owner);
    let id = |value: &Value| value.as_str().unwrap_or("*").to_owned();
    let of = |kind: &str, value: &Value| format!("arn:aws:identitystore:::{kind}/{}", id(value));
    let user = || of("user", &params["UserId"]);
    let group = || of("group", &params["GroupId"]);
    let member = || of("user", &params["MemberId"]["UserId"]);
    let resources = match call.operation.as_str() {
        "CreateUser" | "CreateGroup" | "ListUsers" | "ListGroups" | "GetUserId" => Vec::new(),
        "DescribeUser" | "DeleteUser" => vec![user()],
        "DescribeGroup" | "ListGroupMemberships" => vec![group()],
        "ListGroupMembershipsForMember" => vec![member()],
        "CreateGroupMembership" | "GetGroupMembershipId" => vec![group(), member()],
        "DeleteGroupMembership" => vec![of("membership", &params["MembershipId"])],
        _ => return Err(call.unknown()),
    };
    let store = format!("arn:aws:identitystore::{owner}:identitystore/{}", id(&params["IdentityStoreId"]));
    let action = format!("identitystore:{}", call.operation);
    Ok(std::iter::once(store).chain(resources).map(|resource| Permission::new(&action, resource)).collect())
}

/// Carries the call out. Member accounts may read.
pub fn handle(world: &mut World, call: &Call) -> Reply {
    let id = world.uuid();
    let Some(center) = &mut world.identity_center else { return Err(denied(call)) };
    center.settle(call.now);
    let may = is_read_only(&call.operation) || center.is_administered_by(&call.account);
    if call.region != center.region || !may {
        return Err(denied(call));
    }
    let Of { identity_store_id: store } = read(call)?;
    if store != center.store {
        return Err(not_found("identity store", &store));
    }
    let id = format!("{}-{id}", center.store.trim_start_matches("d-"));
    let json = match call.operation.as_str() {
        "CreateUser" => create_user(center, call, id),
        "CreateGroup" => create_group(center, call, id),
        "CreateGroupMembership" => join(center, call, id),
        "DeleteGroupMembership" => leave(center, call),
        "DeleteUser" => delete_user(center, call),
        "DescribeUser" => describe_user(center, call),
        "DescribeGroup" => describe_group(center, call),
        "GetUserId" => user_id(center, call),
        "GetGroupMembershipId" => membership_id(center, call),
        "ListUsers" => list(call, center.users.iter().map(|(id, user)| shown_user(center, id, user))),
        "ListGroups" => list(call, center.groups.iter().map(|(id, group)| shown_group(center, id, group))),
        "ListGroupMemberships" => of_group(center, call),
        "ListGroupMembershipsForMember" => of_member(center, call),
        _ => Err(call.unknown()),
    }?;
    Ok(Body::Json(json))
}

fn read<T: DeserializeOwned>(call: &Call) -> Result<T, Refusal> {
    call.params.read().map_err(|refusal| Refusal { code: "ValidationException".to_owned(), ..refusal })
}

fn conflict(message: String) -> Refusal {
    let members = vec![("Reason", "UNIQUENESS_CONSTRAINT_VIOLATION".to_owned())];
    Refusal { members, ..Refusal::new(400, "ConflictException", message) }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Of {
    identity_store_id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct CreateUser {
    #[serde(rename = "IdentityStoreId")]
    _store: String,
    user_name: String,
    #[serde(rename = "Name")]
    _name: Option<Value>,
    #[serde(rename = "DisplayName")]
    _display: Option<String>,
    #[serde(rename = "Emails")]
    _emails: Option<Value>,
}

fn create_user(center: &mut IdentityCenter, call: &Call, id: String) -> Result<Value, Refusal> {
    let CreateUser { user_name, .. } = read(call)?;
    if center.users.values().any(|user| user.name == user_name) {
        return Err(conflict(format!("There is a user {user_name} already.")));
    }
    let answer = json!({ "IdentityStoreId": center.store, "UserId": id, "UserArn": arn("user", &id), "Revision": "1" });
    center.users.insert(id, Named { name: user_name, created: call.now });
    Ok(answer)
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct CreateGroup {
    #[serde(rename = "IdentityStoreId")]
    _store: String,
    display_name: String,
    #[serde(rename = "Description")]
    _description: Option<String>,
}

fn create_group(center: &mut IdentityCenter, call: &Call, id: String) -> Result<Value, Refusal> {
    let CreateGroup { display_name, .. } = read(call)?;
    if center.groups.values().any(|group| group.name == display_name) {
        return Err(conflict(format!("There is a group {display_name} already.")));
    }
    let answer =
        json!({ "IdentityStoreId": center.store, "GroupId": id, "GroupArn": arn("group", &id), "Revision": "1" });
    center.groups.insert(id, Named { name: display_name, created: call.now });
    Ok(answer)
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Member {
    user_id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct OfBoth {
    #[serde(rename = "IdentityStoreId")]
    _store: String,
    group_id: String,
    member_id: Member,
}

/// CreateGroupMembership.
fn join(center: &mut IdentityCenter, call: &Call, id: String) -> Result<Value, Refusal> {
    let OfBoth { group_id: group, member_id: Member { user_id: user }, .. } = read(call)?;
    center.groups.get(&group).ok_or_else(|| not_found("group", &group))?;
    center.users.get(&user).ok_or_else(|| not_found("user", &user))?;
    let key = format!("{group}/{user}");
    if center.memberships.contains_key(&key) {
        return Err(conflict(format!("{user} is a member of {group} already.")));
    }
    let answer = known_as(center, &id);
    center.memberships.insert(key, Membership { id, group, user, created: call.now });
    Ok(answer)
}

fn known_as(center: &IdentityCenter, id: &str) -> Value {
    json!({ "IdentityStoreId": center.store, "MembershipId": id, "MembershipArn": arn("membership", id) })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct OneMembership {
    #[serde(rename = "IdentityStoreId")]
    _store: String,
    membership_id: String,
}

/// DeleteGroupMembership.
fn leave(center: &mut IdentityCenter, call: &Call) -> Result<Value, Refusal> {
    let OneMembership { membership_id, .. } = read(call)?;
    let before = center.memberships.len();
    center.memberships.retain(|_, membership| membership.id != membership_id);
    if center.memberships.len() == before {
        return Err(not_found("membership", &membership_id));
    }
    Ok(json!({}))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct OneUser {
    #[serde(rename = "IdentityStoreId")]
    _store: String,
    user_id: String,
}

/// DeleteUser: its assignments stay, and let nobody in.
fn delete_user(center: &mut IdentityCenter, call: &Call) -> Result<Value, Refusal> {
    let OneUser { user_id, .. } = read(call)?;
    center.users.remove(&user_id).ok_or_else(|| not_found("user", &user_id))?;
    center.memberships.retain(|_, membership| membership.user != user_id);
    Ok(json!({}))
}

fn describe_user(center: &IdentityCenter, call: &Call) -> Result<Value, Refusal> {
    let OneUser { user_id, .. } = read(call)?;
    let user = center.users.get(&user_id).ok_or_else(|| not_found("user", &user_id))?;
    Ok(shown_user(center, &user_id, user))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct OneGroup {
    #[serde(rename = "IdentityStoreId")]
    _store: String,
    group_id: String,
}

fn describe_group(center: &IdentityCenter, call: &Call) -> Result<Value, Refusal> {
    let OneGroup { group_id, .. } = read(call)?;
    let group = center.groups.get(&group_id).ok_or_else(|| not_found("group", &group_id))?;
    Ok(shown_group(center, &group_id, group))
}

/// GetUserId: by the name of the user alone.
fn user_id(center: &IdentityCenter, call: &Call) -> Result<Value, Refusal> {
    let Params::Json(params) = &call.params else { return Err(call.unknown()) };
    let unique = &params["AlternateIdentifier"]["UniqueAttribute"];
    let (path, value) = (unique["AttributePath"].as_str(), unique["AttributeValue"].as_str());
    let (Some("userName"), Some(name)) = (path, value) else {
        return Err(Refusal::new(400, "ValidationException", "The simulated AWS finds users by userName."));
    };
    let found = center.users.iter().find(|(_, user)| user.name == name);
    let (id, _) = found.ok_or_else(|| not_found("user", name))?;
    Ok(json!({ "IdentityStoreId": center.store, "UserId": id, "UserArn": arn("user", id) }))
}

/// GetGroupMembershipId.
fn membership_id(center: &IdentityCenter, call: &Call) -> Result<Value, Refusal> {
    let OfBoth { group_id, member_id: Member { user_id }, .. } = read(call)?;
    let membership = center.memberships.get(&format!("{group_id}/{user_id}"));
    let membership = membership.ok_or_else(|| not_found("membership of", &user_id))?;
    Ok(known_as(center, &membership.id))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Page {
    next_token: Option<String>,
    max_results: Option<usize>,
}

/// ListUsers and ListGroups.
fn list(call: &Call, all: impl Iterator<Item = Value>) -> Result<Value, Refusal> {
    let name = call.operation.trim_start_matches("List");
    paged(call, name, all)
}

fn paged(call: &Call, name: &str, all: impl Iterator<Item = Value>) -> Result<Value, Refusal> {
    let Page { next_token, max_results } = read(call)?;
    let (shown, next) = part(all.collect(), next_token.as_deref(), max_results.unwrap_or(PAGE).min(PAGE))?;
    Ok(json!({ name: shown, "NextToken": next }))
}

/// ListGroupMemberships.
fn of_group(center: &IdentityCenter, call: &Call) -> Result<Value, Refusal> {
    let Params::Json(params) = &call.params else { return Err(call.unknown()) };
    let group = params["GroupId"].as_str().unwrap_or_default();
    center.groups.get(group).ok_or_else(|| not_found("group", group))?;
    let of = center.memberships.values().filter(|membership| membership.group == group);
    paged(call, "GroupMemberships", of.map(|membership| shown(center, membership)))
}

/// ListGroupMembershipsForMember.
fn of_member(center: &IdentityCenter, call: &Call) -> Result<Value, Refusal> {
    let Params::Json(params) = &call.params else { return Err(call.unknown()) };
    let user = params["MemberId"]["UserId"].as_str().unwrap_or_default();
    center.users.get(user).ok_or_else(|| not_found("user", user))?;
    let of = center.memberships.values().filter(|membership| membership.user == user);
    paged(call, "GroupMemberships", of.map(|membership| shown(center, membership)))
}

fn shown(center: &IdentityCenter, membership: &Membership) -> Value {
    let mut shown = known_as(center, &membership.id);
    shown["GroupId"] = json!(membership.group);
    shown["MemberId"] = json!({ "UserId": membership.user });
    dated(shown, membership.created)
}

fn shown_user(center: &IdentityCenter, id: &str, user: &Named) -> Value {
    let shown = json!({ "IdentityStoreId": center.store, "UserId": id, "UserArn": arn("user", id), "Revision": "1",
        "UserName": user.name, "UserStatus": "ENABLED" });
    dated(shown, user.created)
}

fn shown_group(center: &IdentityCenter, id: &str, group: &Named) -> Value {
    let shown = json!({ "IdentityStoreId": center.store, "GroupId": id, "GroupArn": arn("group", id), "Revision": "1",
        "DisplayName": group.name });
    dated(shown, group.created)
}

fn dated(mut shown: Value, created: Timestamp) -> Value {
    shown["CreatedAt"] = seconds(created);
    shown
}

fn arn(kind: &str, id: &str) -> String {
    format!("arn:aws:identitystore:::{kind}/{id}")
}
