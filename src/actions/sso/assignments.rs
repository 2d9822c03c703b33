//! `sso.assignments`: who may enter an account by IAM Identity Center.

use std::collections::{BTreeMap, BTreeSet};

use futures::future::{try_join_all, try_join3};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use crate::actions::field::{field, resource, time};
use crate::actions::identity_center::{Assignment, Center, Named};
use crate::engine::action::{Ctx, Source, Wanted};
use crate::model::{ActionError, FieldType, KindSpec, Resource, Scope};

/// Lists assignments.
pub struct Assignments;

/// Whose assignments.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// Users, by user name or id. Then only assignments that let one of them in are members: their own, and those of their
    /// groups.
    #[serde(default)]
    pub users: Vec<String>,
}

/// `sso.assignment`; a member's id is the ARN of the permission set, `USER` or `GROUP`, and the principal's id.
pub static KIND: KindSpec = KindSpec {
    name: "sso.assignment",
    scope: Scope::Global,
    fields: &[
        field("account", FieldType::Text, "the account that it leads into"),
        field("principal_type", FieldType::Text, "USER or GROUP"),
        field("principal_id", FieldType::Text, "the id of the user or group"),
        field("principal", FieldType::Text, "the name of the user or group; empty for one that was deleted"),
        field(
            "principal_created",
            FieldType::Timestamp,
            "when the user or group was created (of an assignment itself AWS keeps no date)",
        ),
        field("permission_set", FieldType::Text, "the name of the permission set"),
        field("permission_set_arn", FieldType::Text, "its ARN"),
        field("permission_set_created", FieldType::Timestamp, "when the permission set was created"),
        field("session_duration", FieldType::Text, "how long a session may last: PT12H"),
        field("users", FieldType::TextList, "the ids of the users that it lets in: of a group, those of its members"),
    ],
};

impl Source for Assignments {
    type Params = Params;

    const NAME: &'static str = "sso.assignments";
    const KIND: &'static KindSpec = &KIND;
    const TITLE: &'static str = "Who may enter an account by IAM Identity Center, with which permission set";
    const PERMISSIONS: &'static [&'static str] = &[
        "sso:ListInstances",
        "sso:ListPermissionSetsProvisionedToAccount",
        "sso:ListAccountAssignments",
        "sso:DescribePermissionSet",
        "identitystore:DescribeUser",
        "identitystore:DescribeGroup",
        "identitystore:GetUserId",
        "identitystore:ListGroupMemberships",
        "identitystore:ListGroupMembershipsForMember",
    ];

    async fn list(&self, cx: &Ctx, params: &Params, wanted: &Wanted<'_>) -> Result<Vec<Resource>, ActionError> {
        let Some(center) = Center::of(cx).await? else { return Ok(Vec::new()) };
        let mut assignments = center.assignments(cx.target.account.as_str()).await?;
        if let Some(principals) = principals(&center, &params.users).await? {
            assignments.retain(|assignment| principals.contains(&assignment.principal));
        }
        let of_set = |fields: &[&str]| wanted.fields.iter().any(|field| fields.contains(field));
        let sets: BTreeSet<&str> = assignments.iter().map(|assignment| assignment.set.as_str()).collect();
        let sets =
            sets.into_iter().filter(|_| of_set(&["permission_set", "permission_set_created", "session_duration"]));
        let of = &center;
        let sets = try_join_all(
            sets.map(|arn| async move { Ok::<_, ActionError>((arn.to_owned(), of.permission_set(arn).await?)) }),
        );
        let whom: BTreeSet<(&str, &str)> =
            assignments.iter().map(|of| (of.kind.as_str(), of.principal.as_str())).collect();
        let named = whom.iter().filter(|_| of_set(&["principal", "principal_created"]));
        let named =
            named.map(|(kind, id)| async move { Ok::<_, ActionError>(((*id).to_owned(), of.named(kind, id).await?)) });
        let groups = whom.iter().filter(|(kind, _)| *kind == "GROUP" && of_set(&["users"]));
        let groups =
            groups.map(|(_, id)| async move { Ok::<_, ActionError>(((*id).to_owned(), members(of, id).await?)) });
        let (sets, named, groups) = try_join3(sets, try_join_all(named), try_join_all(groups)).await?;
        let known = Known {
            sets: sets.into_iter().collect(),
            named: named.into_iter().collect(),
            groups: groups.into_iter().collect(),
        };
        Ok(assignments.iter().filter_map(|assignment| known.member(cx, assignment)).collect())
    }
}

/// The ids of the users and of the groups that they are in; `None` where no users are named.
async fn principals(center: &Center, users: &[String]) -> Result<Option<BTreeSet<String>>, ActionError> {
    if users.is_empty() {
        return Ok(None);
    }
    let found = try_join_all(users.iter().map(|user| async {
        let id = center.user_id(user).await?;
        let groups = center.memberships_of(&id).await?.into_iter().filter_map(|membership| membership.group_id);
        Ok::<Vec<String>, ActionError>(groups.chain([id]).collect())
    }));
    Ok(Some(found.await?.into_iter().flatten().collect()))
}

/// The ids of the members of a group.
async fn members(center: &Center, group: &str) -> Result<Vec<String>, ActionError> {
    let memberships = center.memberships_in(group).await?.into_iter();
    let users = memberships.filter_map(|membership| membership.member_id?.as_user_id().ok().cloned());
    Ok(users.collect())
}

/// What was asked about the assignments.
struct Known {
    sets: BTreeMap<String, aws_sdk_ssoadmin::types::PermissionSet>,
    named: BTreeMap<String, Named>,
    groups: BTreeMap<String, Vec<String>>,
}

impl Known {
    fn member(&self, cx: &Ctx, of: &Assignment) -> Option<Resource> {
        let set = self.sets.get(&of.set);
        let named = self.named.get(&of.principal);
        let own = vec![of.principal.clone()];
        let users = if of.kind == "USER" { Some(&own) } else { self.groups.get(&of.principal) };
        let fields = json!({
            "account": cx.target.account,
            "principal_type": of.kind,
            "principal_id": of.principal,
            "principal": named.map_or("", |named| named.name.as_str()),
            "principal_created": time(named.and_then(|named| named.created.as_ref())),
            "permission_set": set.and_then(|set| set.name()).unwrap_or_default(),
            "permission_set_arn": of.set,
            "permission_set_created": time(set.and_then(|set| set.created_date())),
            "session_duration": set.and_then(|set| set.session_duration()).unwrap_or_default(),
            "users": users.cloned().unwrap_or_default(),
        });
        resource(cx, KIND.name, &super::remove_assignments::id(of), fields)
    }
}
