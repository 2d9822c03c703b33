//! A user or a role, by its ARN; the pairs of IAM operations that differ only in which of the two they are for.

use aws_sdk_iam::Client;
use futures::future;

use super::iam::if_any;
use crate::engine::action::{Ctx, View};
use crate::model::{ActionError, ErrorKind, Resource, ResourceId};

/// Whom a policy is put on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Principal<'a> {
    /// The user of this name.
    User(&'a str),
    /// The role of this name.
    Role(&'a str),
}

/// The policies that an action looks at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Policies {
    /// The ARNs of the managed policies attached.
    pub attached: Vec<String>,
    /// The ARN of the permissions boundary.
    pub boundary: Option<String>,
}

impl<'a> Principal<'a> {
    /// Reads an ARN: `arn:aws:iam::111122223333:user/ops/anna`.
    pub fn of(arn: &'a ResourceId) -> Result<Self, ActionError> {
        let resource = arn.as_str().splitn(6, ':').nth(5).unwrap_or_default();
        let name = resource.rsplit('/').next().unwrap_or_default();
        match resource.split('/').next() {
            Some("user") => Ok(Self::User(name)),
            Some("role") => Ok(Self::Role(name)),
            _ => Err(ActionError::new(ErrorKind::Other, format!("`{arn}` is the ARN of neither a user nor a role"))),
        }
    }

    /// The name of a user; an error for a role.
    pub fn user_name(self, arn: &ResourceId) -> Result<&'a str, ActionError> {
        match self {
            Self::User(name) => Ok(name),
            Self::Role(_) => Err(ActionError::new(ErrorKind::Other, format!("{arn} is not a user"))),
        }
    }

    /// Whether it belongs to another account than the one that is worked in: a key may have led there.
    pub fn is_elsewhere(arn: &ResourceId, cx: &Ctx) -> bool {
        arn.as_str().split(':').nth(4) != Some(cx.target.account.as_str())
    }

    /// What is said of such a principal.
    pub fn elsewhere(arn: &ResourceId) -> String {
        let account = arn.as_str().split(':').nth(4).unwrap_or_default();
        format!("belongs to account {account}: contain it there, with `targets.accounts: [\"{account}\"]`")
    }

    /// Why a member is in its set, where the set says so. Known in a survey only.
    pub fn because(member: &Resource) -> Option<String> {
        let because = member.fields.get("because")?.as_str()?;
        (!because.is_empty()).then(|| because.to_owned())
    }

    /// Whether quell itself works as this principal. A session's ARN lacks the path of its role, so names are compared.
    pub fn is_caller(self, arn: &ResourceId, view: &View) -> bool {
        let own = view.caller.principal_arn();
        let same_account = arn.as_str().split(':').nth(4) == own.split(':').nth(4);
        let own_name = own.rsplit('/').next();
        same_account
            && match self {
                Self::User(name) => own.contains(":user/") && own_name == Some(name),
                Self::Role(name) => own.contains(":role/") && own_name == Some(name),
            }
    }

    /// Why AWS lets nobody change its policies, if so.
    pub fn untouchable(arn: &ResourceId) -> Option<&'static str> {
        if arn.as_str().contains(":role/aws-service-role/") {
            return Some("a service-linked role: AWS lets nobody change it; contain what the service does instead");
        }
        arn.as_str()
            .contains(":role/aws-reserved/")
            .then_some("a role of IAM Identity Center: remove the assignment, or deny the user by an SCP")
    }

    /// Its managed policies and boundary; `None` when it does not exist.
    pub async fn policies(self, client: &Client) -> Result<Option<Policies>, ActionError> {
        let (attached, boundary) = future::join(self.attached(client), self.boundary(client)).await;
        let Some(boundary) = if_any(boundary)? else { return Ok(None) };
        Ok(if_any(attached)?.map(|attached| Policies { attached, boundary }))
    }

    async fn attached(self, client: &Client) -> Result<Vec<String>, ActionError> {
        let mut arns = Vec::new();
        match self {
            Self::User(name) => {
                let mut pages = client.list_attached_user_policies().user_name(name).into_paginator().items().send();
                while let Some(policy) = pages.next().await {
                    arns.extend(policy?.policy_arn);
                }
            }
            Self::Role(name) => {
                let mut pages = client.list_attached_role_policies().role_name(name).into_paginator().items().send();
                while let Some(policy) = pages.next().await {
                    arns.extend(policy?.policy_arn);
                }
            }
        }
        Ok(arns)
    }

    async fn boundary(self, client: &Client) -> Result<Option<String>, ActionError> {
        let boundary = match self {
            Self::User(name) => {
                client.get_user().user_name(name).send().await?.user.and_then(|user| user.permissions_boundary)
            }
            Self::Role(name) => {
                client.get_role().role_name(name).send().await?.role.and_then(|role| role.permissions_boundary)
            }
        };
        Ok(boundary.and_then(|boundary| boundary.permissions_boundary_arn))
    }

    /// The text of an inline policy, if there is one of that name.
    pub async fn inline(self, client: &Client, policy: &str) -> Result<Option<String>, ActionError> {
        let document = match self {
            Self::User(name) => {
                let answer = client.get_user_policy().user_name(name).policy_name(policy).send().await;
                if_any(answer.map_err(ActionError::from))?.map(|answer| answer.policy_document)
            }
            Self::Role(name) => {
                let answer = client.get_role_policy().role_name(name).policy_name(policy).send().await;
                if_any(answer.map_err(ActionError::from))?.map(|answer| answer.policy_document)
            }
        };
        Ok(document.as_deref().map(decoded))
    }

    /// Puts an inline policy, over one of that name.
    pub async fn put_inline(self, client: &Client, policy: &str, text: &str) -> Result<(), ActionError> {
        match self {
            Self::User(name) => {
                client.put_user_policy().user_name(name).policy_name(policy).policy_document(text).send().await?;
            }
            Self::Role(name) => {
                client.put_role_policy().role_name(name).policy_name(policy).policy_document(text).send().await?;
            }
        }
        Ok(())
    }

    /// Removes an inline policy, if it is there.
    pub async fn delete_inline(self, client: &Client, policy: &str) -> Result<(), ActionError> {
        let answer = match self {
            Self::User(name) => {
                let request = client.delete_user_policy().user_name(name).policy_name(policy);
                request.send().await.map(drop).map_err(ActionError::from)
            }
            Self::Role(name) => {
                let request = client.delete_role_policy().role_name(name).policy_name(policy);
                request.send().await.map(drop).map_err(ActionError::from)
            }
        };
        if_any(answer).map(drop)
    }

    /// Attaches a managed policy.
    pub async fn attach(self, client: &Client, arn: &str) -> Result<(), ActionError> {
        match self {
            Self::User(name) => drop(client.attach_user_policy().user_name(name).policy_arn(arn).send().await?),
            Self::Role(name) => drop(client.attach_role_policy().role_name(name).policy_arn(arn).send().await?),
        }
        Ok(())
    }

    /// Detaches a managed policy, if it is attached.
    pub async fn detach(self, client: &Client, arn: &str) -> Result<(), ActionError> {
        let answer = match self {
            Self::User(name) => {
                let request = client.detach_user_policy().user_name(name).policy_arn(arn);
                request.send().await.map(drop).map_err(ActionError::from)
            }
            Self::Role(name) => {
                let request = client.detach_role_policy().role_name(name).policy_arn(arn);
                request.send().await.map(drop).map_err(ActionError::from)
            }
        };
        if_any(answer).map(drop)
    }

    /// Sets the permissions boundary; `None` removes it.
    pub async fn set_boundary(self, client: &Client, arn: Option<&str>) -> Result<(), ActionError> {
        match (self, arn) {
            (Self::User(name), Some(arn)) => {
                client.put_user_permissions_boundary().user_name(name).permissions_boundary(arn).send().await?;
            }
            (Self::Role(name), Some(arn)) => {
                client.put_role_permissions_boundary().role_name(name).permissions_boundary(arn).send().await?;
            }
            (Self::User(name), None) => {
                client.delete_user_permissions_boundary().user_name(name).send().await?;
            }
            (Self::Role(name), None) => {
                client.delete_role_permissions_boundary().role_name(name).send().await?;
            }
        }
        Ok(())
    }
}

/// A policy document as IAM gives it: percent-encoded.
pub(super) fn decoded(document: &str) -> String {
    percent_encoding::percent_decode_str(document).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::actions::tests::view;

    #[test]
    fn an_arn_names_user_or_role_without_its_path() {
        let arn = ResourceId::new("arn:aws:iam::111122223333:role/ir/IRResponder").unwrap();
        let principal = Principal::of(&arn).unwrap();
        assert_eq!(principal, Principal::Role("IRResponder"));
        assert!(principal.is_caller(&arn, &view()));
        let other = ResourceId::new("arn:aws:iam::444455556666:role/ir/IRResponder").unwrap();
        assert!(!Principal::of(&other).unwrap().is_caller(&other, &view()));
        assert!(Principal::of(&ResourceId::new("arn:aws:iam::111122223333:group/x").unwrap()).is_err());
    }
}
