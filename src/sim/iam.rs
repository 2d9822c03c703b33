//! AWS Identity and Access Management.
//!
//! For scenarios: [`create_user`], [`create_role`], [`create_group`], [`add_access_key`], [`create_policy`],
//! [`create_instance_profile`] make what the operations of the same name make, with an id from the world's source;
//! what they return, and every field of [`Iam`], can then be changed at will. Changes made so are seen by every service at
//! once; those made by calls after `settings.iam_propagation`.

mod aws_managed;
mod credentials;
mod entity;
mod groups;
mod keys;
mod managed;
mod paging;
mod password_policy;
mod policies;
mod profiles;
mod providers;
mod report;
mod roles;
mod root;
mod simulate;
mod users;
mod versions;

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;

pub use aws_managed::AWS_MANAGED;
pub use credentials::{Credentials, PublicKey, ServiceCredential};
pub use entity::{Group, LoginProfile, Policies, Role, RoleUse, User};
pub use groups::create_group;
pub use keys::{AccessKey, KeyStatus, KeyUse, add_access_key};
pub use managed::{ManagedPolicy, create_policy};
pub use password_policy::PasswordPolicy;
pub use profiles::{InstanceProfile, create_instance_profile};
pub use providers::{IdentityProvider, Speaks};
pub use roles::create_role;
pub use root::{Root, may_enter_roots};
pub use users::create_user;

use super::call::{Body, Call, Permission, Principal, Refusal, Reply};
use super::lag::Lag;
use super::world::World;
use crate::model::{AccessKeyId, AccountId};

/// The state.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Iam {
    /// Users by name.
    pub users: BTreeMap<String, User>,
    /// Groups by name.
    pub groups: BTreeMap<String, Group>,
    /// Roles by name.
    pub roles: BTreeMap<String, Role>,
    /// Customer managed policies by ARN.
    pub policies: BTreeMap<String, ManagedPolicy>,
    /// Identity providers by ARN.
    pub providers: BTreeMap<String, IdentityProvider>,
    /// Instance profiles by name.
    pub instance_profiles: BTreeMap<String, InstanceProfile>,
    /// What the root user signs in with, beside access keys.
    pub root: Root,
    /// Long-term access keys.
    pub access_keys: BTreeMap<AccessKeyId, AccessKey>,
    /// What passwords have to be like, if somebody said.
    pub password_policy: Option<PasswordPolicy>,
    /// The account's alias.
    pub alias: Option<String>,
    /// When the credential report was made.
    pub credential_report: Option<Timestamp>,
    #[serde(skip)]
    lag: Lag<Iam>,
}

impl Iam {
    /// The state as services other than IAM itself see it: without the changes of the last moments.
    pub fn as_seen(&self, now: Timestamp) -> &Self {
        self.lag.seen(self, now)
    }

    /// An access key as authentication sees it: a key that was just made is not known yet, one that was just deactivated
    /// or deleted still is.
    pub fn effective_key(&self, id: &AccessKeyId, now: Timestamp) -> Option<&AccessKey> {
        self.as_seen(now).access_keys.get(id)
    }

    /// The status of an access key as authentication sees it.
    pub fn effective_key_status(&self, id: &AccessKeyId, now: Timestamp) -> Option<KeyStatus> {
        self.effective_key(id, now).map(|key| key.status)
    }

    /// Remembers that an access key was used.
    pub fn note_use(&mut self, id: &AccessKeyId, service: &str, region: &str, now: Timestamp) {
        if let Some(key) = self.access_keys.get_mut(id) {
            key.last_used = Some(KeyUse { at: now, service: service.to_owned(), region: region.to_owned() });
        }
    }

    /// Remembers that a session of a role was used.
    pub fn note_role_use(&mut self, role: &str, region: &str, now: Timestamp) {
        if let Some(role) = self.roles.get_mut(role) {
            role.last_used = Some(RoleUse { at: now, region: region.to_owned() });
        }
    }

    /// Who a user's key stands for; root when `user` is none. None when there is no such user.
    pub fn principal(&self, partition: &str, account: &AccountId, user: Option<&str>) -> Option<Principal> {
        let (arn, user_id) = match user {
            None => (format!("arn:{partition}:iam::{account}:root"), account.to_string()),
            Some(user) => self.users.get(user).map(|user| (user.arn.clone(), user.id.clone()))?,
        };
        Some(Principal { principal_arn: arn.clone(), arn, user_id, issued: None })
    }
}

/// The names that a call gives, whatever it is about.
#[derive(serde::Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Named {
    user_name: Option<String>,
    role_name: Option<String>,
    group_name: Option<String>,
    instance_profile_name: Option<String>,
    policy_arn: Option<String>,
    policy_source_arn: Option<String>,
    permissions_boundary: Option<String>,
    access_key_id: Option<String>,
    #[serde(rename = "SAMLProviderArn", alias = "OpenIDConnectProviderArn")]
    provider_arn: Option<String>,
    name: Option<String>,
    url: Option<String>,
    path: Option<String>,
    policy_name: Option<String>,
}

/// What the call needs to be allowed.
pub fn permissions(world: &World, call: &Call) -> Result<Vec<Permission>, Refusal> {
    let named: Named = read(call)?;
    let iam = &world.account(&call.account).iam;
    let head = format!("arn:{}:iam::{}:", world.partition, call.account);
    let path = named.path.as_deref().unwrap_or("/");
    let user = |name: &Option<String>| match name {
        Some(name) => iam.users.get(name).map_or_else(|| format!("{head}user{path}{name}"), |user| user.arn.clone()),
        None => call.principal.principal_arn.clone(),
    };
    let role =
        |name: &str| iam.roles.get(name).map_or_else(|| format!("{head}role{path}{name}"), |role| role.arn.clone());
    let group =
        |name: &str| iam.groups.get(name).map_or_else(|| format!("{head}group{path}{name}"), |group| group.arn.clone());
    let profile = |name: &str| format!("{head}instance-profile{path}{name}");
    let resource = match call.operation.as_str() {
        "ListUsers"
        | "ListRoles"
        | "ListGroups"
        | "ListPolicies"
        | "ListInstanceProfiles"
        | "ListAccountAliases"
        | "CreateAccountAlias"
        | "DeleteAccountAlias"
        | "GetAccountSummary"
        | "GetAccountPasswordPolicy"
        | "UpdateAccountPasswordPolicy"
        | "DeleteAccountPasswordPolicy"
        | "GetAccountAuthorizationDetails"
        | "GenerateCredentialReport"
        | "GetCredentialReport"
        | "ListOrganizationsFeatures"
        | "EnableOrganizationsRootCredentialsManagement"
        | "EnableOrganizationsRootSessions"
        | "ListSAMLProviders"
        | "ListOpenIDConnectProviders" => "*".to_owned(),
        "GetAccessKeyLastUsed" => {
            let key = named.access_key_id.as_deref().and_then(|id| AccessKeyId::new(id).ok());
            let owner = key.and_then(|id| iam.access_keys.get(&id)).and_then(|key| key.user.clone());
            owner.map_or_else(|| "*".to_owned(), |owner| user(&Some(owner)))
        }
        "SimulatePrincipalPolicy" => named.policy_source_arn.unwrap_or_default(),
        "CreatePolicy" => format!("{head}policy{path}{}", named.policy_name.unwrap_or_default()),
        "CreateSAMLProvider" => providers::saml_arn(world, &call.account, &named.name.unwrap_or_default()),
        "CreateOpenIDConnectProvider" => providers::oidc_arn(world, &call.account, &named.url.unwrap_or_default()),
        operation if !OPERATIONS.contains(&operation) => return Err(call.unknown()),
        _ if named.provider_arn.is_some() => named.provider_arn.clone().unwrap_or_default(),
        _ => match (named.role_name, named.group_name, named.instance_profile_name) {
            (_, _, Some(name)) => profile(&name),
            (Some(name), _, _) => role(&name),
            (_, Some(name), _) => group(&name),
            _ if call.operation.contains("Policy") && named.user_name.is_none() => {
                named.policy_arn.clone().unwrap_or_default()
            }
            _ => user(&named.user_name),
        },
    };
    let mut permission = Permission::new(format!("iam:{}", call.operation), resource);
    if let Some(arn) = named.policy_arn {
        permission = permission.with("iam:PolicyARN", arn);
    }
    if let Some(arn) = named.permissions_boundary {
        permission = permission.with("iam:PermissionsBoundary", arn);
    }
    Ok(vec![permission])
}

/// Operations whose resource is what they name.
const OPERATIONS: &[&str] = &[
    "AddRoleToInstanceProfile",
    "AddUserToGroup",
    "AttachGroupPolicy",
    "AttachRolePolicy",
    "AttachUserPolicy",
    "CreateAccessKey",
    "CreateGroup",
    "CreateInstanceProfile",
    "CreateLoginProfile",
    "CreatePolicyVersion",
    "CreateRole",
    "CreateServiceSpecificCredential",
    "CreateUser",
    "DeactivateMFADevice",
    "DeleteAccessKey",
    "DeleteInstanceProfile",
    "DeleteLoginProfile",
    "DeleteOpenIDConnectProvider",
    "DeletePolicy",
    "DeletePolicyVersion",
    "DeleteRole",
    "DeleteRolePermissionsBoundary",
    "DeleteRolePolicy",
    "DeleteSAMLProvider",
    "DeleteSigningCertificate",
    "DeleteUser",
    "DeleteUserPermissionsBoundary",
    "DeleteUserPolicy",
    "DetachGroupPolicy",
    "DetachRolePolicy",
    "DetachUserPolicy",
    "EnableMFADevice",
    "GetGroup",
    "GetGroupPolicy",
    "GetInstanceProfile",
    "GetLoginProfile",
    "GetOpenIDConnectProvider",
    "GetPolicy",
    "GetPolicyVersion",
    "GetRole",
    "GetRolePolicy",
    "GetSAMLProvider",
    "GetUser",
    "GetUserPolicy",
    "ListAccessKeys",
    "ListAttachedGroupPolicies",
    "ListAttachedRolePolicies",
    "ListAttachedUserPolicies",
    "ListGroupPolicies",
    "ListGroupsForUser",
    "ListInstanceProfilesForRole",
    "ListEntitiesForPolicy",
    "ListMFADevices",
    "ListPolicyVersions",
    "ListRolePolicies",
    "ListRoleTags",
    "ListSSHPublicKeys",
    "ListServiceSpecificCredentials",
    "ListSigningCertificates",
    "ListUserPolicies",
    "ListUserTags",
    "PutGroupPolicy",
    "PutRolePermissionsBoundary",
    "PutRolePolicy",
    "PutUserPermissionsBoundary",
    "PutUserPolicy",
    "RemoveRoleFromInstanceProfile",
    "RemoveUserFromGroup",
    "SetDefaultPolicyVersion",
    "TagRole",
    "TagUser",
    "UntagRole",
    "UntagUser",
    "UpdateAccessKey",
    "UpdateAssumeRolePolicy",
    "UpdateLoginProfile",
    "UpdateSSHPublicKey",
    "UpdateServiceSpecificCredential",
    "UpdateSigningCertificate",
    "UploadSSHPublicKey",
    "UploadSigningCertificate",
];

/// Carries the call out. IAM's own reads see a change at once, other services after `settings.iam_propagation`.
pub fn handle(world: &mut World, call: &Call) -> Reply {
    let reads = ["Get", "List", "Simulate", "Generate"].iter().any(|verb| call.operation.starts_with(verb));
    if reads {
        return dispatch(world, call);
    }
    let mut before = world.account(&call.account).iam.clone();
    before.lag = Lag::default();
    let body = dispatch(world, call)?;
    let until = call.now + world.settings.iam_propagation;
    world.account_mut(&call.account).iam.lag.keep(before, call.now, until);
    Ok(body)
}

fn dispatch(world: &mut World, call: &Call) -> Reply {
    use entity::Owner::{Group, Role, User};
    match call.operation.as_str() {
        "CreateUser" => users::create(world, call),
        "GetUser" => users::get(world, call),
        "ListUsers" => users::list(world, call),
        "DeleteUser" => users::delete(world, call),
        "TagUser" => users::tag(world, call),
        "UntagUser" => users::untag(world, call),
        "ListUserTags" => users::tags(world, call),
        "CreateLoginProfile" => users::create_login_profile(world, call),
        "GetLoginProfile" => users::get_login_profile(world, call),
        "UpdateLoginProfile" => users::update_login_profile(world, call),
        "DeleteLoginProfile" => users::delete_login_profile(world, call),
        "UploadSigningCertificate" => credentials::upload_certificate(world, call),
        "ListSigningCertificates" => credentials::list_certificates(world, call),
        "UpdateSigningCertificate" => credentials::update_certificate(world, call),
        "DeleteSigningCertificate" => credentials::delete_certificate(world, call),
        "UploadSSHPublicKey" => credentials::upload_ssh_key(world, call),
        "ListSSHPublicKeys" => credentials::list_ssh_keys(world, call),
        "UpdateSSHPublicKey" => credentials::update_ssh_key(world, call),
        "CreateServiceSpecificCredential" => credentials::create_service_credential(world, call),
        "ListServiceSpecificCredentials" => credentials::list_service_credentials(world, call),
        "UpdateServiceSpecificCredential" => credentials::update_service_credential(world, call),
        "EnableMFADevice" => credentials::enable_mfa(world, call),
        "DeactivateMFADevice" => credentials::deactivate_mfa(world, call),
        "ListMFADevices" => credentials::list_mfa(world, call),
        "CreateAccessKey" => keys::create(world, call),
        "UpdateAccessKey" => keys::update(world, call),
        "ListAccessKeys" => keys::list(world, call),
        "DeleteAccessKey" => keys::delete(world, call),
        "GetAccessKeyLastUsed" => keys::last_used(world, call),
        "PutUserPolicy" => policies::put(world, call, User),
        "PutRolePolicy" => policies::put(world, call, Role),
        "PutGroupPolicy" => policies::put(world, call, Group),
        "GetUserPolicy" => policies::get(world, call, User),
        "GetRolePolicy" => policies::get(world, call, Role),
        "GetGroupPolicy" => policies::get(world, call, Group),
        "ListUserPolicies" => policies::list(world, call, User),
        "ListRolePolicies" => policies::list(world, call, Role),
        "ListGroupPolicies" => policies::list(world, call, Group),
        "DeleteUserPolicy" => policies::delete(world, call, User),
        "DeleteRolePolicy" => policies::delete(world, call, Role),
        "AttachUserPolicy" => policies::attach(world, call, User),
        "AttachRolePolicy" => policies::attach(world, call, Role),
        "AttachGroupPolicy" => policies::attach(world, call, Group),
        "DetachUserPolicy" => policies::detach(world, call, User),
        "DetachRolePolicy" => policies::detach(world, call, Role),
        "DetachGroupPolicy" => policies::detach(world, call, Group),
        "ListAttachedUserPolicies" => policies::list_attached(world, call, User),
        "ListAttachedRolePolicies" => policies::list_attached(world, call, Role),
        "ListAttachedGroupPolicies" => policies::list_attached(world, call, Group),
        "PutUserPermissionsBoundary" => policies::put_boundary(world, call, User),
        "PutRolePermissionsBoundary" => policies::put_boundary(world, call, Role),
        "DeleteUserPermissionsBoundary" => policies::delete_boundary(world, call, User),
        "DeleteRolePermissionsBoundary" => policies::delete_boundary(world, call, Role),
        "CreatePolicy" => managed::create(world, call),
        "GetPolicy" => managed::get(world, call),
        "CreatePolicyVersion" => versions::create(world, call),
        "GetPolicyVersion" => versions::get(world, call),
        "ListPolicyVersions" => versions::list(world, call),
        "SetDefaultPolicyVersion" => versions::set_default(world, call),
        "DeletePolicyVersion" => versions::delete(world, call),
        "ListPolicies" => managed::list(world, call),
        "ListEntitiesForPolicy" => managed::list_entities(world, call),
        "DeletePolicy" => managed::delete(world, call),
        "CreateRole" => roles::create(world, call),
        "GetRole" => roles::get(world, call),
        "ListRoles" => roles::list(world, call),
        "UpdateAssumeRolePolicy" => roles::update_trust(world, call),
        "DeleteRole" => roles::delete(world, call),
        "TagRole" => roles::tag(world, call),
        "UntagRole" => roles::untag(world, call),
        "ListRoleTags" => roles::tags(world, call),
        "CreateGroup" => groups::create(world, call),
        "GetGroup" => groups::get(world, call),
        "ListGroups" => groups::list(world, call),
        "ListGroupsForUser" => groups::list_for_user(world, call),
        "AddUserToGroup" => groups::add_user(world, call),
        "RemoveUserFromGroup" => groups::remove_user(world, call),
        "CreateInstanceProfile" => profiles::create(world, call),
        "DeleteInstanceProfile" => profiles::delete(world, call),
        "GetInstanceProfile" => profiles::get(world, call),
        "ListInstanceProfiles" => profiles::list(world, call),
        "ListInstanceProfilesForRole" => profiles::list_for_role(world, call),
        "AddRoleToInstanceProfile" => profiles::add_role(world, call),
        "RemoveRoleFromInstanceProfile" => profiles::remove_role(world, call),
        "ListOrganizationsFeatures" => root::features(world, call),
        "EnableOrganizationsRootCredentialsManagement" => root::enable(world, call, root::CREDENTIALS),
        "EnableOrganizationsRootSessions" => root::enable(world, call, root::SESSIONS),
        "CreateSAMLProvider" => providers::create_saml(world, call),
        "GetSAMLProvider" => providers::get_saml(world, call),
        "ListSAMLProviders" => providers::list_saml(world, call),
        "DeleteSAMLProvider" => providers::delete_saml(world, call),
        "CreateOpenIDConnectProvider" => providers::create_oidc(world, call),
        "GetOpenIDConnectProvider" => providers::get_oidc(world, call),
        "ListOpenIDConnectProviders" => providers::list_oidc(world, call),
        "DeleteOpenIDConnectProvider" => providers::delete_oidc(world, call),
        "CreateAccountAlias" => report::create_alias(world, call),
        "DeleteAccountAlias" => report::delete_alias(world, call),
        "ListAccountAliases" => report::aliases(world, call),
        "GetAccountPasswordPolicy" => password_policy::get(world, call),
        "UpdateAccountPasswordPolicy" => password_policy::update(world, call),
        "DeleteAccountPasswordPolicy" => password_policy::delete(world, call),
        "GetAccountSummary" => report::summary(world, call),
        "GetAccountAuthorizationDetails" => report::authorization_details(world, call),
        "GenerateCredentialReport" => report::generate_credential_report(world, call),
        "GetCredentialReport" => report::credential_report(world, call),
        "SimulatePrincipalPolicy" => simulate::principal_policy(world, call),
        _ => Err(call.unknown()),
    }
}

/// Reads parameters; what does not fit is a `ValidationError`, as IAM calls it.
fn read<T: DeserializeOwned>(call: &Call) -> Result<T, Refusal> {
    call.params.read().map_err(|refusal| Refusal { code: "ValidationError".to_owned(), ..refusal })
}

fn no_such_entity(message: String) -> Refusal {
    Refusal::new(404, "NoSuchEntity", message)
}

fn already_exists(message: String) -> Refusal {
    Refusal::new(409, "EntityAlreadyExists", message)
}

fn limit_exceeded(message: String) -> Refusal {
    Refusal::new(409, "LimitExceeded", message)
}

fn delete_conflict(what: &str) -> Refusal {
    Refusal::new(409, "DeleteConflict", format!("Cannot delete entity, must {what} first."))
}

/// A date as IAM writes it.
fn date(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// A policy as IAM returns it: percent-encoded (RFC 3986).
fn encoded(document: &str) -> String {
    const UNRESERVED: &percent_encoding::AsciiSet =
        &percent_encoding::NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
    percent_encoding::utf8_percent_encode(document, UNRESERVED).to_string()
}

/// Answers nothing.
const DONE: Reply = Ok(Body::Xml(Vec::new()));

/// Whether a name is one that IAM takes.
fn check_name(name: &str, longest: usize) -> Result<(), Refusal> {
    let fits = (1..=longest).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+=,.@_-".contains(&byte));
    let message = format!("The specified value `{name}` is invalid: at most {longest} of A-Z a-z 0-9 and +=,.@_-");
    if fits { Ok(()) } else { Err(Refusal::new(400, "ValidationError", message)) }
}

/// Whether a path is one that IAM takes; `/` when none is given.
fn check_path(path: Option<String>) -> Result<String, Refusal> {
    let path = path.unwrap_or_else(|| "/".to_owned());
    let fits = path.starts_with('/') && path.ends_with('/') && path.len() <= 512;
    let message = format!("The specified path `{path}` is invalid: it must begin and end with /");
    if fits { Ok(path) } else { Err(Refusal::new(400, "ValidationError", message)) }
}

#[cfg(test)]
mod tests;
