//! `identitystore.memberships`: through which groups of IAM Identity Center users enter an account.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_identitystore::types::GroupMembership;
use futures::future::try_join_all;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use crate::actions::field::{field, resource, time};
use crate::actions::identity_center::{Center, Named};
use crate::engine::action::{Ctx, Source, Wanted};
use crate::model::{ActionError, FieldType, KindSpec, Resource, Scope};

/// Lists memberships.
pub struct Memberships;

/// Whose memberships, and in which groups.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// Users, by user name or id. Then only their memberships are members.
    #[serde(default)]
    pub users: Vec<String>,
    /// Whether memberships count in groups, too, that are not assigned to the account: they may lead into applications. As
    /// these are the same for all accounts, name one account in such a runbook (`targets.accounts: self`).
    #[serde(default)]
    pub all_groups: bool,
}

/// `identitystore.membership`; a member's id is the group's id and the user's id.
pub static KIND: KindSpec = KindSpec {
    name: "identitystore.membership",
    scope: Scope::Global,
    fields: &[
        field("group_id", FieldType::Text, "the id of the group"),
        field("group", FieldType::Text, "the name of the group"),
        field("group_created", FieldType::Timestamp, "when the group was created"),
        field("user_id", FieldType::Text, "the id of the user"),
        field("user", FieldType::Text, "the name of the user"),
        field("user_created", FieldType::Timestamp, "when the user was created"),
        field("created", FieldType::Timestamp, "when the user came to the group, where AWS says so"),
        field("created_by", FieldType::Text, "by whom, where AWS says so"),
        field(
            "permission_sets",
            FieldType::TextList,
            "the names of the permission sets that the group has in the account",
        ),
    ],
};

impl Source for Memberships {
    type Params = Params;

    const NAME: &'static str = "identitystore.memberships";
    const KIND: &'static KindSpec = &KIND;
    const TITLE: &'static str = "Through which groups of IAM Identity Center users enter an account";
    const PERMISSIONS: &'static [&'static str] = &[
        "sso:ListInstances",
        "sso:ListPermissionSetsProvisionedToAccount",
        "sso:ListAccountAssignments",
        "sso:DescribePermissionSet",
        "identitystore:DescribeUser",
        "identitystore:DescribeGroup",
        "identitystore:GetUserId",
        "identitystore:ListGroups",
        "identitystore:ListGroupMemberships",
        "identitystore:ListGroupMembershipsForMember",
    ];

    async fn list(&self, cx: &Ctx, params: &Params, wanted: &Wanted<'_>) -> Result<Vec<Resource>, ActionError> {
        let Some(center) = Center::of(cx).await? else { return Ok(Vec::new()) };
        let is_wanted = |names: &[&str]| wanted.fields.iter().any(|field| names.contains(field));
        let mut sets: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        let assignments = center.assignments(cx.target.account.as_str()).await?;
        for assignment in assignments.into_iter().filter(|assignment| assignment.kind == "GROUP") {
            sets.entry(assignment.principal).or_default().insert(assignment.set);
        }
        let memberships = memberships(&center, params, &sets).await?;
        let users: BTreeSet<&str> =
            memberships.iter().filter_map(user).filter(|_| is_wanted(&["user", "user_created"])).collect();
        let users = names(&center, "USER", users).await?;
        let groups = memberships.iter().filter_map(GroupMembership::group_id);
        let groups: BTreeSet<&str> = groups.filter(|_| is_wanted(&["group", "group_created"])).collect();
        let groups = names(&center, "GROUP", groups).await?;
        let asked = sets.values().flatten().filter(|_| is_wanted(&["permission_sets"])).collect::<BTreeSet<_>>();
        let asked = asked.into_iter().map(|arn| async {
            Ok::<_, ActionError>((arn.as_str(), center.permission_set(arn).await?.name.unwrap_or_default()))
        });
        let called: BTreeMap<&str, String> = try_join_all(asked).await?.into_iter().collect();
        let member = |membership: &GroupMembership| {
            let (group_id, user_id) = (membership.group_id()?, user(membership)?);
            let (group, user) = (groups.get(group_id), users.get(user_id));
            let gives = sets.get(group_id).into_iter().flatten().filter_map(|set| called.get(set.as_str()));
            let fields = json!({
                "group_id": group_id,
                "group": group.map_or("", |group| group.name.as_str()),
                "group_created": time(group.and_then(|group| group.created.as_ref())),
                "user_id": user_id,
                "user": user.map_or("", |user| user.name.as_str()),
                "user_created": time(user.and_then(|user| user.created.as_ref())),
                "created": time(membership.created_at()),
                "created_by": membership.created_by().unwrap_or_default(),
                "permission_sets": gives.collect::<Vec<_>>(),
            });
            resource(cx, KIND.name, &format!("{group_id}/{user_id}"), fields)
        };
        Ok(memberships.iter().filter_map(member).collect())
    }
}

/// The memberships that are asked for. `assigned` are the groups that lead into the account.
async fn memberships(
    center: &Center,
    params: &Params,
    assigned: &BTreeMap<String, BTreeSet<String>>,
) -> Result<Vec<GroupMembership>, ActionError> {
    let found = if params.users.is_empty() {
        let groups = if params.all_groups { center.groups().await? } else { assigned.keys().cloned().collect() };
        try_join_all(groups.iter().map(|group| center.memberships_in(group))).await?
    } else {
        let of = params.users.iter().map(|user| async { center.memberships_of(&center.user_id(user).await?).await });
        try_join_all(of).await?
    };
    let counts = |membership: &GroupMembership| {
        params.all_groups || membership.group_id().is_some_and(|group| assigned.contains_key(group))
    };
    Ok(found.into_iter().flatten().filter(counts).collect())
}

fn user(membership: &GroupMembership) -> Option<&str> {
    membership.member_id()?.as_user_id().ok().map(String::as_str)
}

/// What users or groups are called.
async fn names(center: &Center, kind: &str, ids: BTreeSet<&str>) -> Result<BTreeMap<String, Named>, ActionError> {
    let named =
        ids.into_iter().map(|id| async move { Ok::<_, ActionError>((id.to_owned(), center.named(kind, id).await?)) });
    Ok(try_join_all(named).await?.into_iter().collect())
}
