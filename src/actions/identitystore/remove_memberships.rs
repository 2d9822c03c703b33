//! `identitystore.remove-memberships`

use futures::future::try_join_all;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use aws_sdk_identitystore::types::MemberId;

use crate::actions::identity_center::{Center, still_held, when_free};
use crate::engine::action::{Action, Ctx, Decision, Found, Item, Proposal, View};
use crate::model::{ActionError, Effect, ErrorKind, Resource, ResourceId, Tier, Undo};

/// Takes users out of groups.
pub struct RemoveMemberships;

/// The action has no parameters.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {}

/// A membership.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Prior {
    /// Its id; `None` where the user is no member.
    pub id: Option<String>,
    /// The name of the group.
    pub group: String,
    /// The name of the user.
    pub user: String,
    /// Whether it is the caller's own.
    pub own: bool,
}

impl Action for RemoveMemberships {
    type Params = Params;
    type Prior = Prior;

    const NAME: &'static str = "identitystore.remove-memberships";
    const TIER: Tier = Tier::Disruptive;
    const KINDS: &'static [&'static str] = &["identitystore.membership"];
    const TITLE: &'static str = "Take users out of groups of IAM Identity Center";
    const DESCRIPTION: &'static str = "Deletes memberships: the user loses what the group is assigned in all accounts and \
        applications, and the other members keep it. Sessions that have begun go on until they end by themselves, after up to \
        12 hours: deny the user first, by organizations.deny-all with `users`.\n\n\
        A group that an identity provider synchronises gets its member back with the next synchronisation: take the user out \
        of it there as well. Afterwards a person disables the user at the identity provider, ends its portal sessions in the \
        console (no API does that), and disables the user last, because the portal sessions of a disabled user cannot be \
        ended.\n\n\
        The caller's own session asks, in the region that Identity Center has: it must be of the management account or of a \
        delegated administrator. A membership of the caller itself is refused.\n\n\
        AWS pages: *Revoke access for IAM Identity Center users*, *DeleteGroupMembership*, *Provisioning an external identity \
        provider into IAM Identity Center using SCIM*.";
    const UNDO: &'static str = "Makes the user a member again; the membership has a new id and a new date.";
    const PERMISSIONS: &'static [&'static str] = &[
        "sso:ListInstances",
        "identitystore:DescribeUser",
        "identitystore:DescribeGroup",
        "identitystore:GetUserId",
        "identitystore:GetGroupMembershipId",
        "identitystore:DeleteGroupMembership",
    ];
    const UNDO_PERMISSIONS: &'static [&'static str] = &["identitystore:CreateGroupMembership"];
    const EXAMPLE: &'static str = "{ id: memberships, uses: identitystore.remove-memberships, on: memberships }";

    async fn discover(&self, cx: &Ctx, _: &Params, members: &[Resource]) -> Result<Vec<Found<Prior>>, ActionError> {
        let Some(center) = Center::of(cx).await? else { return Ok(Vec::new()) };
        let caller = center.caller(&cx.view).await?;
        let found = members.iter().map(|member| async {
            let (group, user) = parts(&member.id)?;
            let prior = Prior {
                id: center.membership(group, user).await?,
                group: center.named("GROUP", group).await?.name,
                user: center.named("USER", user).await?.name,
                own: caller.as_deref() == Some(user),
            };
            Ok(Found { member: member.id.clone(), resource: member.id.clone(), prior })
        });
        try_join_all(found).await
    }

    fn plan(&self, _: &View, _: &Params, found: &Found<Prior>) -> Decision {
        let Prior { id, group, user, own } = &found.prior;
        if id.is_none() {
            return Decision::Already;
        }
        if *own {
            return Decision::Refuse(format!("the caller works as {user}, a member of {group}: use another principal"));
        }
        let undo = Undo::by("make the user a member again, with a new membership id");
        let summary = format!("take the user {user} out of the group {group}");
        let proposal = Proposal::new(summary, "member", "no member", undo);
        let proposal =
            proposal.noting("an identity provider that synchronises the group makes the user a member again");
        Decision::Change(proposal.leaving(still_held(&format!("the user {user}"))))
    }

    /// What they are called matters to nobody, nor that somebody made the membership anew.
    fn drift(&self, approved: &Prior, now: &Prior) -> Option<String> {
        let differs = approved.id.is_some() != now.id.is_some();
        differs.then(|| if now.id.is_some() { "is a member".to_owned() } else { "is no member".to_owned() })
    }

    async fn apply(&self, cx: &Ctx, _: &Params, items: &[Item<Prior>]) -> Result<Vec<Effect>, ActionError> {
        let center = Center::again(cx).await?;
        for item in items {
            let Some(id) = &item.prior.id else { continue };
            let removed = when_free(|| async {
                let request = center.store.delete_group_membership().identity_store_id(&center.store_id);
                request.membership_id(id).send().await.map_err(ActionError::from)
            });
            match removed.await {
                Err(error) if error.kind != ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(vec![Value::Null; items.len()])
    }

    async fn undo(&self, cx: &Ctx, _: &Params, item: &Item<Prior>, _: &Effect) -> Result<(), ActionError> {
        if item.prior.id.is_none() {
            return Ok(());
        }
        let center = Center::again(cx).await?;
        let (group, user) = parts(&item.resource)?;
        let made = when_free(|| async {
            // A conflict says either that it is there or that somebody else is at it: looking tells.
            if center.membership(group, user).await?.is_some() {
                return Ok(());
            }
            let request = center.store.create_group_membership().identity_store_id(&center.store_id).group_id(group);
            let made = request.member_id(MemberId::UserId(user.to_owned())).send().await;
            made.map(drop).map_err(ActionError::from)
        });
        made.await
    }
}

/// The group and the user that an id names.
fn parts(id: &ResourceId) -> Result<(&str, &str), ActionError> {
    let wrong = || ActionError::new(ErrorKind::Other, format!("{id} names no group and user"));
    id.as_str().split_once('/').ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::actions::tests::view;

    fn plan(id: Option<&str>, own: bool) -> Decision {
        let resource = ResourceId::new("g-1/u-1").unwrap();
        let prior = Prior { id: id.map(str::to_owned), group: "admins".into(), user: "eve".into(), own };
        RemoveMemberships.plan(&view(), &Params {}, &Found { member: resource.clone(), resource, prior })
    }

    #[test]
    fn a_member_is_taken_out_and_the_caller_is_not() {
        let Decision::Change(proposal) = plan(Some("m-1"), false) else { panic!("no change") };
        assert_eq!(proposal.summary, "take the user eve out of the group admins");
        assert!(proposal.by_hand[0].what.contains("the user eve"), "{:?}", proposal.by_hand);
        assert_eq!(plan(None, false), Decision::Already);
        assert!(matches!(plan(Some("m-1"), true), Decision::Refuse(_)));
    }
}
