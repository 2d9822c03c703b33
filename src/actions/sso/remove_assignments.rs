//! `sso.remove-assignments`

use std::collections::{BTreeMap, BTreeSet};

use futures::future::try_join_all;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::actions::identity_center::{Assignment, Center, own_session, still_held};
use crate::engine::action::{Action, Ctx, Decision, Found, Item, Proposal, View};
use crate::model::{ActionError, Effect, ErrorKind, Resource, ResourceId, Tier, Undo};

/// Removes assignments to accounts.
pub struct RemoveAssignments;

/// The action has no parameters.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {}

/// An assignment; its resource id says all that it takes to make it again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Prior {
    /// Whether it is there.
    pub assigned: bool,
    /// The name of the permission set.
    pub permission_set: String,
    /// The name of the user or group.
    pub principal: String,
    /// Whether it is one by which the caller works in the account.
    pub own: bool,
}

impl Action for RemoveAssignments {
    type Params = Params;
    type Prior = Prior;

    const NAME: &'static str = "sso.remove-assignments";
    const TIER: Tier = Tier::Disruptive;
    const KINDS: &'static [&'static str] = &["sso.assignment"];
    const TITLE: &'static str = "Take permission sets of IAM Identity Center in an account from users and groups";
    const DESCRIPTION: &'static str = "Deletes assignments of users and groups to the account. From then on nobody begins a \
        session of the permission set by them; sessions that have begun go on until they end by themselves, after up to 12 \
        hours. So deny the users first, by organizations.deny-all with `users`, then remove what lets them in. What is taken \
        from a group is taken from all its members: of one user among many remove the membership \
        (identitystore.remove-memberships), and only the user's own assignments here.\n\n\
        AWS does it in the background; each is waited for, and one that AWS could not remove is told with AWS's reason. \
        Changes of one permission set in one account follow one another.\n\n\
        Afterwards a person disables the users at the identity provider, ends their portal sessions in the console (no API \
        does that), and disables the users last, because the portal sessions of a disabled user cannot be ended.\n\n\
        The caller's own session asks, in the region that Identity Center has: it must be of the management account or of a \
        delegated administrator. What is assigned in the management account is out of a delegated administrator's reach, \
        and there the caller needs the right to change IAM's roles below `aws-reserved/sso.amazonaws.com` as well. An \
        assignment by which the caller itself works in the account is refused.\n\n\
        AWS pages: *Revoke active IAM role sessions created by permission sets*, *DeleteAccountAssignment*, *Delegated \
        administration*.";
    const UNDO: &'static str = "Makes the assignment again: the same permission set for the same user or group.";
    const PERMISSIONS: &'static [&'static str] = &[
        "sso:ListInstances",
        "sso:ListAccountAssignments",
        "sso:DescribePermissionSet",
        "sso:DeleteAccountAssignment",
        "sso:DescribeAccountAssignmentDeletionStatus",
        "identitystore:DescribeUser",
        "identitystore:DescribeGroup",
        "identitystore:GetUserId",
        "identitystore:GetGroupMembershipId",
    ];
    const UNDO_PERMISSIONS: &'static [&'static str] =
        &["sso:CreateAccountAssignment", "sso:DescribeAccountAssignmentCreationStatus"];
    const EXAMPLE: &'static str = "{ id: assignments, uses: sso.remove-assignments, on: assignments }";

    async fn discover(&self, cx: &Ctx, _: &Params, members: &[Resource]) -> Result<Vec<Found<Prior>>, ActionError> {
        let Some(center) = Center::of(cx).await? else { return Ok(Vec::new()) };
        let account = cx.target.account.as_str();
        let asked = members.iter().map(|member| Ok((member, assignment(&member.id)?)));
        let asked = asked.collect::<Result<Vec<_>, ActionError>>()?;
        let sets: BTreeSet<&str> = asked.iter().map(|(_, of)| of.set.as_str()).collect();
        let of = &center;
        let sets = sets.into_iter().map(|set| async move {
            let there: BTreeSet<Assignment> = of.assignments_of(set, account).await?.into_iter().collect();
            let name = of.permission_set(set).await?.name.unwrap_or_default();
            Ok::<_, ActionError>((set, (name, there)))
        });
        let sets: BTreeMap<_, _> = try_join_all(sets).await?.into_iter().collect();
        let in_account = cx.view.caller.account == cx.target.account;
        let caller = if in_account { center.caller(&cx.view).await? } else { None };
        let found = asked.iter().map(|(member, of)| async {
            let (permission_set, there) = &sets[of.set.as_str()];
            let principal = center.named(&of.kind, &of.principal).await?.name;
            let by_it = own_session(&cx.view).is_some_and(|(set, _)| set == permission_set);
            let own = match caller.as_ref().filter(|_| by_it) {
                Some(user) if of.kind == "GROUP" => center.membership(&of.principal, user).await?.is_some(),
                user => user == Some(&of.principal),
            };
            let prior = Prior { assigned: there.contains(of), permission_set: permission_set.clone(), principal, own };
            Ok(Found { member: member.id.clone(), resource: member.id.clone(), prior })
        });
        try_join_all(found).await
    }

    fn plan(&self, _: &View, _: &Params, found: &Found<Prior>) -> Decision {
        let Prior { assigned, permission_set, principal, own } = &found.prior;
        if !assigned {
            return Decision::Already;
        }
        let Ok(of) = assignment(&found.resource) else {
            return Decision::Skip(format!("{} names no assignment", found.resource));
        };
        let name = if principal.is_empty() { &of.principal } else { principal };
        let whom = format!("the {} {name}", of.kind.to_lowercase());
        if *own {
            return Decision::Refuse(format!(
                "the caller works by the assignment of {permission_set} to {whom}: use another principal"
            ));
        }
        let undo = Undo::by("make the assignment again");
        let summary = format!("take the permission set {permission_set} from {whom}");
        let proposal = Proposal::new(summary, "assigned", "not assigned", undo);
        let proposal =
            proposal.noting("sessions that have begun go on for up to 12 hours: deny them by the organisation");
        if of.kind == "GROUP" {
            let proposal = proposal.noting("taken from every member of the group");
            return Decision::Change(proposal.leaving(still_held(&format!("the members of {whom}"))));
        }
        Decision::Change(proposal.leaving(still_held(&whom)))
    }

    /// What the principal and the set are called matters to nobody.
    fn drift(&self, approved: &Prior, now: &Prior) -> Option<String> {
        (approved.assigned != now.assigned).then(|| format!("assigned: {}", now.assigned))
    }

    async fn apply(&self, cx: &Ctx, _: &Params, items: &[Item<Prior>]) -> Result<Vec<Effect>, ActionError> {
        let center = Center::again(cx).await?;
        for item in items {
            center.unassign(cx.target.account.as_str(), &assignment(&item.resource)?).await?;
        }
        Ok(vec![Value::Null; items.len()])
    }

    /// It is made whether it is there or not: a deletion that was cut off may still be under way, and then it is waited for.
    async fn undo(&self, cx: &Ctx, _: &Params, item: &Item<Prior>, _: &Effect) -> Result<(), ActionError> {
        if !item.prior.assigned {
            return Ok(());
        }
        Center::again(cx).await?.assign(cx.target.account.as_str(), &assignment(&item.resource)?).await
    }
}

/// The id of an assignment in its account.
pub(super) fn id(of: &Assignment) -> String {
    format!("{}/{}/{}", of.set, of.kind, of.principal)
}

/// The assignment that an id names.
fn assignment(id: &ResourceId) -> Result<Assignment, ActionError> {
    let mut parts = id.as_str().rsplitn(3, '/').map(str::to_owned);
    match (parts.next(), parts.next(), parts.next()) {
        (Some(principal), Some(kind), Some(set)) => Ok(Assignment { set, kind, principal }),
        _ => Err(ActionError::new(ErrorKind::Other, format!("{id} names no assignment"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::actions::tests::view;

    fn plan(kind: &str, prior: Prior) -> Decision {
        let of = Assignment {
            set: "arn:aws:sso:::permissionSet/ssoins-1/ps-1".into(),
            kind: kind.into(),
            principal: "u-1".into(),
        };
        let id = ResourceId::new(id(&of)).unwrap();
        assert_eq!(assignment(&id).unwrap(), of);
        RemoveAssignments.plan(&view(), &Params {}, &Found { member: id.clone(), resource: id, prior })
    }

    fn prior(assigned: bool, own: bool) -> Prior {
        Prior { assigned, permission_set: "Admin".into(), principal: "eve".into(), own }
    }

    #[test]
    fn an_assignment_is_removed_with_what_is_left_to_a_person() {
        let Decision::Change(proposal) = plan("USER", prior(true, false)) else { panic!("no change") };
        assert_eq!(proposal.summary, "take the permission set Admin from the user eve");
        assert!(proposal.by_hand[0].steps[2].contains("portal sessions"), "{:?}", proposal.by_hand);
        assert!(proposal.by_hand[0].steps[3].contains("last"), "{:?}", proposal.by_hand);
        let Decision::Change(proposal) = plan("GROUP", prior(true, false)) else { panic!("no change") };
        assert!(proposal.notes[1].contains("every member"), "{:?}", proposal.notes);
        assert_eq!(plan("USER", prior(false, false)), Decision::Already);
    }

    #[test]
    fn that_of_the_caller_is_refused() {
        assert!(matches!(plan("USER", prior(true, true)), Decision::Refuse(why) if why.contains("another principal")));
    }
}
