//! Users, groups and roles as data, and what they have in common: policies.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::Serialize;

use super::{Iam, no_such_entity};
use crate::sim::call::Refusal;
use crate::sim::world::Secret;

/// The policies of a user, a group or a role.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Policies {
    /// Inline policies: text by name.
    pub inline: BTreeMap<String, String>,
    /// The ARNs of managed policies.
    pub managed: BTreeSet<String>,
    /// The ARN of the managed policy that is the permissions boundary. Groups have none.
    pub boundary: Option<String>,
}

/// A user.
#[derive(Debug, Clone, Serialize)]
pub struct User {
    /// Its name.
    pub name: String,
    /// `/`, or `/team/`.
    pub path: String,
    /// `AIDA…`.
    pub id: String,
    /// Its ARN.
    pub arn: String,
    /// When it was made.
    pub created: Timestamp,
    /// When its password was last used.
    pub password_last_used: Option<Timestamp>,
    /// Tags.
    pub tags: BTreeMap<String, String>,
    /// Policies.
    pub policies: Policies,
    /// The groups that it is in.
    pub groups: BTreeSet<String>,
    /// Its password.
    pub login_profile: Option<LoginProfile>,
    /// What else it signs in with.
    pub credentials: super::Credentials,
}

/// A user's password.
#[derive(Debug, Clone, Serialize)]
pub struct LoginProfile {
    /// The password.
    #[serde(skip)]
    pub password: Secret,
    /// When it was made.
    pub created: Timestamp,
    /// When it was last set.
    pub changed: Timestamp,
    /// Whether the user must choose another at the next sign-in.
    pub reset_required: bool,
}

/// A group.
#[derive(Debug, Clone, Serialize)]
pub struct Group {
    /// Its name.
    pub name: String,
    /// Its path.
    pub path: String,
    /// `AGPA…`.
    pub id: String,
    /// Its ARN.
    pub arn: String,
    /// When it was made.
    pub created: Timestamp,
    /// Policies.
    pub policies: Policies,
}

/// A role.
#[derive(Debug, Clone, Serialize)]
pub struct Role {
    /// Its name.
    pub name: String,
    /// Its path. That of a service-linked role begins with `/aws-service-role/`.
    pub path: String,
    /// `AROA…`.
    pub id: String,
    /// Its ARN.
    pub arn: String,
    /// When it was made.
    pub created: Timestamp,
    /// Its trust policy.
    pub trust: String,
    /// What it is for.
    pub description: Option<String>,
    /// How long a session may last, in seconds.
    pub max_session: u32,
    /// Tags.
    pub tags: BTreeMap<String, String>,
    /// Policies.
    pub policies: Policies,
    /// When a session of it last called.
    pub last_used: Option<RoleUse>,
}

/// When and where a role was last used.
#[derive(Debug, Clone, Serialize)]
pub struct RoleUse {
    /// When.
    pub at: Timestamp,
    /// Where.
    pub region: String,
}

impl Role {
    /// Whether a service owns it. Such roles cannot be changed, and service control policies do not bind them.
    pub fn is_service_linked(&self) -> bool {
        self.path.starts_with("/aws-service-role/")
    }

    /// Whether IAM refuses to change it: service-linked roles, and those of Identity Center.
    fn is_protected(&self) -> bool {
        self.is_service_linked() || self.path.starts_with("/aws-reserved/")
    }

    /// Refuses a change to a role that a service owns.
    pub(super) fn check_changeable(&self) -> Result<(), Refusal> {
        let message = format!("Cannot perform the operation on the protected role '{}'", self.name);
        if self.is_protected() { Err(Refusal::new(400, "UnmodifiableEntity", message)) } else { Ok(()) }
    }
}

/// What a policy belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Owner {
    User,
    Role,
    Group,
}

impl Owner {
    /// As messages call it.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Role => "role",
            Self::Group => "group",
        }
    }

    /// As quotas and parameters call it.
    pub(super) fn capital(self) -> &'static str {
        match self {
            Self::User => "User",
            Self::Role => "Role",
            Self::Group => "Group",
        }
    }

    /// How many characters its inline policies may have together (IAM User Guide, "IAM and AWS STS quotas").
    pub(super) fn inline_quota(self) -> usize {
        match self {
            Self::User => 2_048,
            Self::Role => 10_240,
            Self::Group => 5_120,
        }
    }

    pub(super) fn missing(self, name: &str) -> Refusal {
        no_such_entity(format!("The {} with name {name} cannot be found.", self.as_str()))
    }
}

impl Iam {
    pub(super) fn user(&self, name: &str) -> Result<&User, Refusal> {
        self.users.get(name).ok_or_else(|| Owner::User.missing(name))
    }

    pub(super) fn user_mut(&mut self, name: &str) -> Result<&mut User, Refusal> {
        self.users.get_mut(name).ok_or_else(|| Owner::User.missing(name))
    }

    pub(super) fn role(&self, name: &str) -> Result<&Role, Refusal> {
        self.roles.get(name).ok_or_else(|| Owner::Role.missing(name))
    }

    /// A role, to be changed: refused for one that a service owns.
    pub(super) fn role_mut(&mut self, name: &str) -> Result<&mut Role, Refusal> {
        let role = self.roles.get_mut(name).ok_or_else(|| Owner::Role.missing(name))?;
        role.check_changeable()?;
        Ok(role)
    }

    pub(super) fn policies_of(&self, owner: Owner, name: &str) -> Result<&Policies, Refusal> {
        match owner {
            Owner::User => Ok(&self.user(name)?.policies),
            Owner::Role => Ok(&self.role(name)?.policies),
            Owner::Group => self.groups.get(name).map(|group| &group.policies).ok_or_else(|| owner.missing(name)),
        }
    }

    pub(super) fn policies_of_mut(&mut self, owner: Owner, name: &str) -> Result<&mut Policies, Refusal> {
        match owner {
            Owner::User => Ok(&mut self.user_mut(name)?.policies),
            Owner::Role => Ok(&mut self.role_mut(name)?.policies),
            Owner::Group => {
                self.groups.get_mut(name).map(|group| &mut group.policies).ok_or_else(|| owner.missing(name))
            }
        }
    }

    /// All policies (users, groups, roles).
    pub(super) fn all_policies(&self) -> impl Iterator<Item = &Policies> {
        let users = self.users.values().map(|user| &user.policies);
        let groups = self.groups.values().map(|group| &group.policies);
        let roles = self.roles.values().map(|role| &role.policies);
        users.chain(groups).chain(roles)
    }
}
