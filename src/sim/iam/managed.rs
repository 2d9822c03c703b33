//! Managed policies.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::aws_managed::{AWS_MANAGED, AwsManaged};
use super::paging::Paging;
use super::policies::check_document;
use super::{DONE, Iam, already_exists, check_name, check_path, date, delete_conflict, limit_exceeded};
use super::{no_such_entity, read};
use crate::model::AccountId;
use crate::policy::{Kind, size_without_white_space};
use crate::sim::call::{Body, Call, Refusal, Reply};
use crate::sim::wire::xml::Xml;
use crate::sim::world::World;

/// Characters of a managed policy.
const LARGEST: usize = 6_144;

/// A managed policy of the account.
#[derive(Debug, Clone, Serialize)]
pub struct ManagedPolicy {
    /// Its name.
    pub name: String,
    /// Its path.
    pub path: String,
    /// `ANPA…`.
    pub id: String,
    /// What it is for.
    pub description: Option<String>,
    /// When it was made.
    pub created: Timestamp,
    /// Its versions: text and date by `v1`.
    pub versions: BTreeMap<String, (String, Timestamp)>,
    /// The version that is in force.
    pub default_version: String,
    /// The number of the newest version that ever was: none is given twice.
    pub last_version: u32,
}

/// The name at the end of a policy's ARN.
pub(super) fn name(arn: &str) -> &str {
    arn.rsplit('/').next().unwrap_or(arn)
}

/// The path in a policy's ARN.
pub(super) fn path(arn: &str) -> &str {
    let resource = arn.split_once(":policy").map_or("/", |(_, path)| path);
    resource.rfind('/').map_or("/", |end| &resource[..=end])
}

pub(super) fn missing(arn: &str) -> Refusal {
    no_such_entity(format!("Policy {arn} was not found."))
}

pub(super) fn aws_managed(arn: &str) -> Option<&'static AwsManaged> {
    let (_, name) = arn.split_once(":iam::aws:policy/")?;
    AWS_MANAGED.iter().find(|policy| policy.name == name)
}

impl Iam {
    /// The document of a managed policy that is in force: of the account's own, or of AWS's.
    pub fn managed_document(&self, arn: &str) -> Option<&str> {
        if let Some(policy) = aws_managed(arn) {
            return Some(policy.document);
        }
        let policy = self.policies.get(arn)?;
        policy.versions.get(&policy.default_version).map(|(text, _)| text.as_str())
    }
}

/// Refuses a document that a managed policy cannot have.
pub(super) fn check_managed_document(document: &str) -> Result<(), Refusal> {
    check_document(document, Kind::Identity)?;
    if size_without_white_space(document) > LARGEST {
        return Err(limit_exceeded(format!("Cannot exceed quota for PolicySize: {LARGEST}")));
    }
    Ok(())
}

/// Adds a managed policy and returns its ARN. Refused when there is one of that name.
pub fn create_policy(
    world: &mut World,
    account: &AccountId,
    path: &str,
    name: &str,
    document: &str,
    now: Timestamp,
) -> Result<String, Refusal> {
    check_name(name, 128)?;
    check_managed_document(document)?;
    if world.account(account).iam.policies.values().any(|policy| policy.name == name) {
        let message = format!("A policy called {name} already exists. Duplicate names are not allowed.");
        return Err(already_exists(message));
    }
    let arn = format!("arn:{}:iam::{account}:policy{path}{name}", world.partition);
    let policy = ManagedPolicy {
        name: name.to_owned(),
        path: path.to_owned(),
        id: world.unique_id("ANPA"),
        description: None,
        created: now,
        versions: BTreeMap::from([("v1".to_owned(), (document.to_owned(), now))]),
        default_version: "v1".to_owned(),
        last_version: 1,
    };
    world.account_mut(account).iam.policies.insert(arn.clone(), policy);
    Ok(arn)
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct CreatePolicy {
    policy_name: String,
    policy_document: String,
    path: Option<String>,
    description: Option<String>,
}

pub(super) fn create(world: &mut World, call: &Call) -> Reply {
    let asked: CreatePolicy = read(call)?;
    let path = check_path(asked.path)?;
    let arn = create_policy(world, &call.account, &path, &asked.policy_name, &asked.policy_document, call.now)?;
    let iam = &mut world.account_mut(&call.account).iam;
    if let Some(policy) = iam.policies.get_mut(&arn) {
        policy.description = asked.description;
    }
    described(iam, &arn).map(|policy| Body::Xml(vec![Xml::node("Policy", policy)]))
}

/// A policy as `GetPolicy` and `ListPolicies` show it.
fn described(iam: &Iam, arn: &str) -> Result<Vec<Xml>, Refusal> {
    let (id, version, created, updated) = match (aws_managed(arn), iam.policies.get(arn)) {
        (Some(policy), _) => (policy.id, policy.version, policy.created.to_owned(), policy.updated.to_owned()),
        (None, Some(policy)) => {
            let updated = policy.versions.values().map(|(_, at)| *at).max().unwrap_or(policy.created);
            (policy.id.as_str(), policy.default_version.as_str(), date(policy.created), date(updated))
        }
        (None, None) => return Err(missing(arn)),
    };
    let [attachments, boundaries] = usage(iam, arn);
    Ok(vec![
        Xml::text("PolicyName", name(arn)),
        Xml::text("PolicyId", id),
        Xml::text("Arn", arn),
        Xml::text("Path", path(arn)),
        Xml::text("DefaultVersionId", version),
        attachments,
        boundaries,
        Xml::text("IsAttachable", true),
        Xml::text("CreateDate", created),
        Xml::text("UpdateDate", updated),
    ])
}

/// How often a policy is attached, and how often it is a boundary.
pub(super) fn usage(iam: &Iam, arn: &str) -> [Xml; 2] {
    let attached = iam.all_policies().filter(|policies| policies.managed.contains(arn)).count();
    let boundaries = iam.all_policies().filter(|policies| policies.boundary.as_deref() == Some(arn)).count();
    [Xml::text("AttachmentCount", attached), Xml::text("PermissionsBoundaryUsageCount", boundaries)]
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct ListEntities {
    policy_arn: String,
    entity_filter: Option<EntityKind>,
    path_prefix: Option<String>,
    policy_usage_filter: Option<Usage>,
    marker: Option<String>,
    max_items: Option<usize>,
}

#[derive(Deserialize, Clone, Copy, PartialEq)]
enum EntityKind {
    User,
    Role,
    Group,
    LocalManagedPolicy,
    #[serde(rename = "AWSManagedPolicy")]
    AwsManagedPolicy,
}

/// The users, groups and roles that a policy is attached to, or that it bounds, in one paged list.
pub(super) fn list_entities(world: &World, call: &Call) -> Reply {
    let asked: ListEntities = read(call)?;
    let (iam, arn) = (&world.account(&call.account).iam, &asked.policy_arn);
    described(iam, arn)?;
    let of_groups =
        iam.groups.values().map(|held| (EntityKind::Group, &held.name, &held.id, &held.path, &held.policies));
    let of_roles = iam.roles.values().map(|held| (EntityKind::Role, &held.name, &held.id, &held.path, &held.policies));
    let of_users = iam.users.values().map(|held| (EntityKind::User, &held.name, &held.id, &held.path, &held.policies));
    let uses = |policies: &super::Policies| {
        let (attached, bounds) = (policies.managed.contains(arn), policies.boundary.as_ref() == Some(arn));
        match asked.policy_usage_filter {
            None => attached || bounds,
            Some(Usage::PermissionsPolicy) => attached,
            Some(Usage::PermissionsBoundary) => bounds,
        }
    };
    let prefix = asked.path_prefix.as_deref().unwrap_or("/");
    let found = of_groups.chain(of_roles).chain(of_users).filter(|(kind, _, _, path, policies)| {
        asked.entity_filter.is_none_or(|wanted| wanted == *kind) && path.starts_with(prefix) && uses(policies)
    });
    let found = found.map(|(kind, name, id, ..)| {
        let (key, word) = match kind {
            EntityKind::Group => ("group", "Group"),
            EntityKind::Role => ("role", "Role"),
            _ => ("user", "User"),
        };
        let entity = vec![Xml::text(format!("{word}Name"), name), Xml::text(format!("{word}Id"), id)];
        (format!("{key}/{name}"), (word, entity))
    });
    let part = Paging { marker: asked.marker, max_items: asked.max_items }.part(found)?;
    let ending = part.ending();
    let list = |word: &str| {
        let entities = part.items.iter().filter(|(of, _)| *of == word).map(|(_, entity)| entity.clone());
        Xml::list(format!("Policy{word}s"), "member", entities)
    };
    Ok(Body::Xml([vec![list("Group"), list("User"), list("Role")], ending].concat()))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct OnePolicy {
    policy_arn: String,
}

pub(super) fn get(world: &World, call: &Call) -> Reply {
    let asked: OnePolicy = read(call)?;
    let policy = described(&world.account(&call.account).iam, &asked.policy_arn)?;
    Ok(Body::Xml(vec![Xml::node("Policy", policy)]))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct ListPolicies {
    scope: Option<Scope>,
    #[serde(default)]
    only_attached: bool,
    path_prefix: Option<String>,
    policy_usage_filter: Option<Usage>,
    marker: Option<String>,
    max_items: Option<usize>,
}

#[derive(Deserialize, PartialEq)]
enum Scope {
    All,
    #[serde(rename = "AWS")]
    Aws,
    Local,
}

#[derive(Deserialize, PartialEq)]
enum Usage {
    PermissionsPolicy,
    PermissionsBoundary,
}

pub(super) fn list(world: &World, call: &Call) -> Reply {
    let asked: ListPolicies = read(call)?;
    let iam = &world.account(&call.account).iam;
    let scope = asked.scope.unwrap_or(Scope::All);
    let mut arns: Vec<String> = Vec::new();
    if scope != Scope::Local {
        arns.extend(AWS_MANAGED.iter().map(|policy| policy.arn(&world.partition)));
    }
    if scope != Scope::Aws {
        arns.extend(iam.policies.keys().cloned());
    }
    arns.sort();
    let attached = |arn: &str| iam.all_policies().any(|policies| policies.managed.contains(arn));
    let bounds = |arn: &str| iam.all_policies().any(|policies| policies.boundary.as_deref() == Some(arn));
    arns.retain(|arn| {
        let used = match asked.policy_usage_filter {
            None => !asked.only_attached || attached(arn) || bounds(arn),
            Some(Usage::PermissionsPolicy) => attached(arn),
            Some(Usage::PermissionsBoundary) => bounds(arn),
        };
        used && path(arn).starts_with(asked.path_prefix.as_deref().unwrap_or("/"))
    });
    let part = Paging { marker: asked.marker, max_items: asked.max_items }
        .part(arns.into_iter().map(|arn| (arn.clone(), arn)))?;
    let ending = part.ending();
    let policies = part.items.iter().map(|arn| described(iam, arn)).collect::<Result<Vec<_>, _>>()?;
    Ok(Body::Xml([vec![Xml::list("Policies", "member", policies)], ending].concat()))
}

pub(super) fn delete(world: &mut World, call: &Call) -> Reply {
    let asked: OnePolicy = read(call)?;
    let iam = &mut world.account_mut(&call.account).iam;
    let arn = &asked.policy_arn;
    let used = |policies: &super::Policies| policies.managed.contains(arn) || policies.boundary.as_ref() == Some(arn);
    if iam.all_policies().any(used) {
        return Err(delete_conflict("detach the policy from all entities"));
    }
    if iam.policies.get(arn).ok_or_else(|| missing(arn))?.versions.len() > 1 {
        let message = "This policy has more than one version. Before you delete a policy, you must delete the policy's \
                       versions. The default version is deleted with the policy.";
        return Err(Refusal::new(409, "DeleteConflict", message));
    }
    iam.policies.remove(arn);
    DONE
}
