//! IAM Identity Center: who is assigned to an account, by whom, and through which group.
//!
//! The organisation has one instance, in one region; an assignment belongs to one account, so it is asked for in the global
//! lane of that account. Only the management account and delegated administrators are answered, so it is the caller's own
//! session that asks, as with Organizations. Where the instance is, AWS says by itself: `ListInstances` with `ALL_REGIONS`.
//! AWS pages: *ListInstances*, *Delegated administration*, *Single-account access to AWS accounts*.

use std::future::Future;

use aws_sdk_identitystore::types::{AlternateIdentifier, GroupMembership, MemberId, UniqueAttribute};
use aws_sdk_ssoadmin::types::{InstanceMetadata, InstanceStatus, PrincipalType, RegionScope, TargetType};
use aws_smithy_types::{DateTime, Document};
use futures::future::try_join_all;
use tokio::time::{Duration, sleep};

use crate::cloud::retry;
use crate::engine::action::{Ctx, View};
use crate::model::{ActionError, ByHand, ErrorKind, Target};

/// How often is asked whether something is done.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// How long making or deleting an assignment may take. AWS names no limit: it is seconds for one, minutes for hundreds.
const DONE_WITHIN: Duration = Duration::from_mins(10);

/// The instance, and the clients of its region.
pub(super) struct Center {
    pub admin: aws_sdk_ssoadmin::Client,
    pub store: aws_sdk_identitystore::Client,
    /// The ARN of the instance.
    pub instance: String,
    /// The id of its identity store.
    pub store_id: String,
}

/// Who has which permission set.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Assignment {
    /// The ARN of the permission set.
    pub set: String,
    /// `USER` or `GROUP`.
    pub kind: String,
    /// The id of the user or group.
    pub principal: String,
}

/// A user or group as it is called.
#[derive(Debug, Clone, Default)]
pub(super) struct Named {
    pub name: String,
    pub created: Option<DateTime>,
}

impl Center {
    /// The organisation's instance. `None` where there is none for the caller's own account. Of another account nobody can
    /// say that whom no instance is shown to.
    pub async fn of(cx: &Ctx) -> Result<Option<Self>, ActionError> {
        let caller = &cx.view.caller.account;
        let lane = Target::global(caller.clone());
        let config = aws_sdk_ssoadmin::config::Builder::from(&cx.home);
        let home = aws_sdk_ssoadmin::Client::from_conf(
            config.retry_partition(retry::partition(&lane)).retry_classifier(retry::WhenBusy).build(),
        );
        let mut pages = home.list_instances().region_scope(RegionScope::AllRegions).into_paginator().items().send();
        let mut found: Vec<InstanceMetadata> = Vec::new();
        while let Some(instance) = pages.next().await {
            found.push(instance?);
        }
        found.retain(|instance| instance.status().is_none_or(|status| *status == InstanceStatus::Active));
        // An account may have an instance of its own beside the organisation's, which assigns nobody to accounts.
        found.sort_by_key(|instance| instance.owner_account_id() == Some(caller.as_str()));
        let Some(instance) = found.into_iter().next() else {
            if cx.target.account == *caller {
                return Ok(None);
            }
            let message = format!(
                "no instance of IAM Identity Center is shown to the caller's account {caller}: who may enter account {} \
                 by one cannot be said from there",
                cx.target.account
            );
            return Err(ActionError::new(ErrorKind::Unsupported, message));
        };
        let (Some(arn), Some(store_id)) = (instance.instance_arn, instance.identity_store_id) else {
            return Err(ActionError::new(ErrorKind::Unsupported, "sso:ListInstances gave an instance without its ids"));
        };
        let region = instance.primary_region.map(aws_types::region::Region::new);
        let region = region.or_else(|| cx.home.region().cloned());
        let admin = aws_sdk_ssoadmin::config::Builder::from(&cx.home).region(region.clone());
        let store = aws_sdk_identitystore::config::Builder::from(&cx.home).region(region);
        Ok(Some(Self {
            admin: aws_sdk_ssoadmin::Client::from_conf(
                admin.retry_partition(retry::partition(&lane)).retry_classifier(retry::WhenBusy).build(),
            ),
            store: aws_sdk_identitystore::Client::from_conf(
                store.retry_partition(retry::partition(&lane)).retry_classifier(retry::WhenBusy).build(),
            ),
            instance: arn,
            store_id,
        }))
    }

    /// The same for what was found in it before.
    pub async fn again(cx: &Ctx) -> Result<Self, ActionError> {
        let gone = || ActionError::new(ErrorKind::NotFound, "the instance of IAM Identity Center is gone");
        Self::of(cx).await?.ok_or_else(gone)
    }

    /// All assignments to an account.
    pub async fn assignments(&self, account: &str) -> Result<Vec<Assignment>, ActionError> {
        let request = self.admin.list_permission_sets_provisioned_to_account().instance_arn(&self.instance);
        let mut pages = request.account_id(account).into_paginator().items().send();
        let mut sets = Vec::new();
        while let Some(set) = pages.next().await {
            sets.push(set.map_err(explained)?);
        }
        let assignments = try_join_all(sets.iter().map(|set| self.assignments_of(set, account))).await?;
        Ok(assignments.into_iter().flatten().collect())
    }

    /// The assignments of one permission set to an account; none of one that is gone.
    pub async fn assignments_of(&self, set: &str, account: &str) -> Result<Vec<Assignment>, ActionError> {
        let request = self.admin.list_account_assignments().instance_arn(&self.instance).account_id(account);
        let mut pages = request.permission_set_arn(set).into_paginator().items().send();
        let mut assignments = Vec::new();
        while let Some(assignment) = pages.next().await {
            let assignment = match assignment.map_err(explained) {
                Err(error) if error.kind == ErrorKind::NotFound => return Ok(Vec::new()),
                answer => answer?,
            };
            let (Some(kind), Some(principal)) = (assignment.principal_type, assignment.principal_id) else { continue };
            assignments.push(Assignment { set: set.to_owned(), kind: kind.as_str().to_owned(), principal });
        }
        Ok(assignments)
    }

    /// A permission set.
    pub async fn permission_set(&self, arn: &str) -> Result<aws_sdk_ssoadmin::types::PermissionSet, ActionError> {
        let request = self.admin.describe_permission_set().instance_arn(&self.instance).permission_set_arn(arn);
        match request.send().await.map_err(ActionError::from) {
            Err(error) if error.kind != ErrorKind::NotFound => Err(error),
            answer => {
                let set = answer.ok().and_then(|answer| answer.permission_set);
                Ok(set.unwrap_or_else(|| aws_sdk_ssoadmin::types::PermissionSet::builder().build()))
            }
        }
    }

    /// What a user or group is called. One that was deleted has no name any more, although it may still be assigned.
    pub async fn named(&self, kind: &str, id: &str) -> Result<Named, ActionError> {
        let found = if kind == PrincipalType::Group.as_str() {
            let request = self.store.describe_group().identity_store_id(&self.store_id).group_id(id);
            let answer = request.send().await.map_err(ActionError::from);
            answer.map(|group| Named { name: group.display_name.unwrap_or_default(), created: group.created_at })
        } else {
            let request = self.store.describe_user().identity_store_id(&self.store_id).user_id(id);
            let answer = request.send().await.map_err(ActionError::from);
            answer.map(|user| Named { name: user.user_name.unwrap_or_default(), created: user.created_at })
        };
        match found {
            Err(error) if error.kind == ErrorKind::NotFound => Ok(Named::default()),
            answer => answer,
        }
    }

    /// The id of a user that is given by its name or by its id.
    pub async fn user_id(&self, given: &str) -> Result<String, ActionError> {
        if is_id(given) {
            return Ok(given.to_owned());
        }
        let name = UniqueAttribute::builder().attribute_path("userName").attribute_value(Document::from(given));
        let name = name.build().map_err(|error| ActionError::new(ErrorKind::Other, error.to_string()))?;
        let request = self.store.get_user_id().identity_store_id(&self.store_id);
        let answer = request.alternate_identifier(AlternateIdentifier::UniqueAttribute(name)).send().await;
        answer.map(|answer| answer.user_id).map_err(|error| {
            let error = ActionError::from(error);
            let message = format!("Identity Center has no user `{given}`: {}", error.message);
            if error.kind == ErrorKind::NotFound { ActionError { message, ..error } } else { error }
        })
    }

    /// The memberships of a user.
    pub async fn memberships_of(&self, user: &str) -> Result<Vec<GroupMembership>, ActionError> {
        let request = self.store.list_group_memberships_for_member().identity_store_id(&self.store_id);
        let mut pages = request.member_id(MemberId::UserId(user.to_owned())).into_paginator().items().send();
        let mut memberships = Vec::new();
        while let Some(membership) = pages.next().await {
            memberships.push(membership?);
        }
        Ok(memberships)
    }

    /// The memberships in a group; none in one that is gone.
    pub async fn memberships_in(&self, group: &str) -> Result<Vec<GroupMembership>, ActionError> {
        let request = self.store.list_group_memberships().identity_store_id(&self.store_id).group_id(group);
        let mut pages = request.into_paginator().items().send();
        let mut memberships = Vec::new();
        while let Some(membership) = pages.next().await {
            match membership.map_err(ActionError::from) {
                Err(error) if error.kind == ErrorKind::NotFound => break,
                membership => memberships.push(membership?),
            }
        }
        Ok(memberships)
    }

    /// All groups.
    pub async fn groups(&self) -> Result<Vec<String>, ActionError> {
        let mut pages = self.store.list_groups().identity_store_id(&self.store_id).into_paginator().items().send();
        let mut groups = Vec::new();
        while let Some(group) = pages.next().await {
            groups.push(group?.group_id);
        }
        Ok(groups)
    }

    /// The id of the membership of a user in a group; `None` for who is no member.
    pub async fn membership(&self, group: &str, user: &str) -> Result<Option<String>, ActionError> {
        let request = self.store.get_group_membership_id().identity_store_id(&self.store_id).group_id(group);
        let answer = request.member_id(MemberId::UserId(user.to_owned())).send().await.map_err(ActionError::from);
        match answer {
            Ok(answer) => Ok(Some(answer.membership_id)),
            Err(error) if error.kind == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Deletes an assignment, and waits until it is gone. One that is gone already is.
    pub async fn unassign(&self, account: &str, of: &Assignment) -> Result<(), ActionError> {
        let begun = when_free(|| async {
            let request = self.admin.delete_account_assignment().instance_arn(&self.instance).target_id(account);
            let request = request.target_type(TargetType::AwsAccount).permission_set_arn(&of.set);
            let request = request.principal_type(of.kind.as_str().into()).principal_id(&of.principal);
            request.send().await.map_err(ActionError::from)
        });
        let begun = match begun.await {
            Err(error) if error.kind == ErrorKind::NotFound => return Ok(()),
            answer => answer?.account_assignment_deletion_status,
        };
        let Some(id) = begun.and_then(|status| status.request_id) else { return Ok(()) };
        done("remove the assignment", || async {
            let request = self.admin.describe_account_assignment_deletion_status().instance_arn(&self.instance);
            let answer = request.account_assignment_deletion_request_id(&id).send().await?;
            let status = answer.account_assignment_deletion_status;
            Ok(status.map(|status| (status.status.map(|status| status.as_str().to_owned()), status.failure_reason)))
        })
        .await
    }

    /// Makes an assignment, and waits until it is there. AWS does not mind one that is there already.
    pub async fn assign(&self, account: &str, of: &Assignment) -> Result<(), ActionError> {
        let begun = when_free(|| async {
            let request = self.admin.create_account_assignment().instance_arn(&self.instance).target_id(account);
            let request = request.target_type(TargetType::AwsAccount).permission_set_arn(&of.set);
            let request = request.principal_type(of.kind.as_str().into()).principal_id(&of.principal);
            request.send().await.map_err(ActionError::from)
        });
        let Some(id) = begun.await?.account_assignment_creation_status.and_then(|status| status.request_id) else {
            return Ok(());
        };
        done("make the assignment again", || async {
            let request = self.admin.describe_account_assignment_creation_status().instance_arn(&self.instance);
            let answer = request.account_assignment_creation_request_id(&id).send().await?;
            let status = answer.account_assignment_creation_status;
            Ok(status.map(|status| (status.status.map(|status| status.as_str().to_owned()), status.failure_reason)))
        })
        .await
    }

    /// The id of the Identity Center user as whom the caller works, if it is one.
    pub async fn caller(&self, view: &View) -> Result<Option<String>, ActionError> {
        let Some((_, name)) = own_session(view) else { return Ok(None) };
        match self.user_id(name).await {
            Ok(id) => Ok(Some(id)),
            // A session name that is no user name: whose session it is cannot be said.
            Err(error) if error.kind == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// The names of the permission set and of the user, of a caller who came by Identity Center.
pub(super) fn own_session(view: &View) -> Option<(&str, &str)> {
    let (_, session) = view.caller.arn.split_once(":assumed-role/AWSReservedSSO_")?;
    let (role, user) = session.split_once('/')?;
    let (set, _) = role.rsplit_once('_')?;
    Some((set, user))
}

/// What no API ends of what a user holds, or the members of a group.
pub(super) fn still_held(whom: &str) -> ByHand {
    ByHand::new(
        format!("end what {whom} may still hold in IAM Identity Center"),
        &[
            "Role sessions that have begun live on for up to 12 hours: deny the users by organizations.deny-all with `users`.",
            "Disable the users at the identity provider, if they come from one: it gives back what was removed here.",
            "End their portal sessions: IAM Identity Center console, Users, Active sessions. No API does that.",
            "Disable the users in Identity Center last: the portal sessions of a disabled user cannot be ended.",
        ],
    )
}

/// Asks again for as long as another change of the same thing is under way.
pub(super) async fn when_free<T, F>(ask: impl Fn() -> F) -> Result<T, ActionError>
where
    F: Future<Output = Result<T, ActionError>>,
{
    let mut waited = Duration::ZERO;
    loop {
        match ask().await {
            Err(error) if error.is("ConflictException") && waited < DONE_WITHIN => sleep(LOOK_EVERY).await,
            answer => return answer,
        }
        waited += LOOK_EVERY;
    }
}

type Status = Option<(Option<String>, Option<String>)>;

/// Waits until a request that AWS took is done.
async fn done<F>(what: &str, ask: impl Fn() -> F) -> Result<(), ActionError>
where
    F: Future<Output = Result<Status, ActionError>>,
{
    let mut waited = Duration::ZERO;
    loop {
        match ask().await? {
            Some((Some(status), _)) if status == "IN_PROGRESS" => {}
            Some((Some(status), why)) if status == "FAILED" => {
                let message = format!("AWS could not {what}: {}", why.unwrap_or_default());
                return Err(ActionError::new(ErrorKind::Other, message));
            }
            _ => return Ok(()),
        }
        if waited >= DONE_WITHIN {
            let message = format!("AWS is still about to {what} after {} s", waited.as_secs());
            return Err(ActionError::new(ErrorKind::WrongState, message));
        }
        sleep(LOOK_EVERY).await;
        waited += LOOK_EVERY;
    }
}

/// A refusal, with who may.
fn explained(error: impl Into<ActionError>) -> ActionError {
    let error = error.into();
    let message = format!(
        "{} (the management account may, and a delegated administrator of Identity Center on all other accounts)",
        error.message
    );
    if error.kind == ErrorKind::Denied { ActionError { message, ..error } } else { error }
}

/// Whether a text is the id of a user or group: a UUID, in older stores with ten digits before it.
fn is_id(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    let uuid = parts.len().checked_sub(5).map(|start| &parts[start..]);
    let lengths = |parts: &[&str]| parts.iter().map(|part| part.len()).collect::<Vec<_>>();
    let is_hex = text.bytes().all(|byte| byte == b'-' || byte.is_ascii_hexdigit());
    let before = parts.len() == 5 || parts.len() == 6 && parts[0].len() == 10;
    is_hex && before && uuid.is_some_and(|uuid| lengths(uuid) == [8, 4, 4, 4, 12])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::actions::tests::view;

    #[test]
    fn ids_are_told_from_names() {
        assert!(is_id("9067642f8b-61f7a2b8-9d8e-4c47-9d1f-4a0d6b1f2c33"));
        assert!(is_id("61f7a2b8-9d8e-4c47-9d1f-4a0d6b1f2c33"));
        assert!(!is_id("anna@example.com"));
        assert!(!is_id("dead-beef"));
    }

    #[test]
    fn a_caller_who_came_by_identity_center_is_known_by_its_session() {
        let mut view = view();
        assert_eq!(own_session(&view), None);
        let role = "AWSReservedSSO_Incident_Admin_0123456789abcdef";
        view.caller.arn = format!("arn:aws:sts::111122223333:assumed-role/{role}/anna@example.com");
        assert_eq!(own_session(&view), Some(("Incident_Admin", "anna@example.com")));
    }
}
