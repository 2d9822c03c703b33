//! AWS Organizations.
//!
//! For scenarios: [`Organization::new`] makes an organisation with its accounts and units, service control policies
//! enabled and `FullAWSAccess` attached everywhere, and resource control policies switched off; [`Organization::attach`] and the fields do the rest, seen by every
//! service at once. Changes made by calls are in force after `settings.organizations_propagation`.

mod accounts;
mod policies;

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

pub use policies::PolicyType;

use super::call::{Body, Call, Permission, Refusal, Reply};
use super::lag::Lag;
use super::wire::params::Params;
use super::world::{Rng, World};
use crate::model::AccountId;

/// The id of the policy that allows everything, which AWS owns.
pub const FULL_ACCESS: &str = "p-FullAWSAccess";

/// Its counterpart for resources, attached everywhere as long as their type is enabled.
pub const FULL_ACCESS_TO_RESOURCES: &str = "p-RCPFullAWSAccess";

/// The state.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Organization {
    /// `o-…`.
    pub id: String,
    /// The management account.
    pub management: String,
    /// `r-…`.
    pub root: String,
    /// The policy types that are enabled on the root.
    pub policy_types: BTreeSet<PolicyType>,
    /// Organisational units by id.
    pub units: BTreeMap<String, Unit>,
    /// Accounts.
    pub members: BTreeMap<AccountId, Member>,
    /// Service and resource control policies by id.
    pub policies: BTreeMap<String, Policy>,
    /// The ids of the policies that are attached to a root, a unit or an account.
    pub attachments: BTreeMap<String, BTreeSet<String>>,
    /// Accounts to which the delegation policy gives the management of policies.
    pub delegated: BTreeSet<AccountId>,
    /// What IAM may do centrally: `RootCredentialsManagement`, `RootSessions`.
    pub features: BTreeSet<String>,
    #[serde(skip)]
    lag: Lag<Organization>,
}

/// An organisational unit.
#[derive(Debug, Clone, Serialize)]
pub struct Unit {
    /// Its name.
    pub name: String,
    /// The id of the root or unit that it is in.
    pub parent: String,
    /// Tags.
    pub tags: BTreeMap<String, String>,
}

/// An account in the organisation.
#[derive(Debug, Clone, Serialize)]
pub struct Member {
    /// Its name.
    pub name: String,
    /// Its address.
    pub email: String,
    /// `ACTIVE`.
    pub state: String,
    /// When it joined.
    pub joined: Timestamp,
    /// The id of the root or unit that it is in.
    pub parent: String,
    /// Tags.
    pub tags: BTreeMap<String, String>,
}

/// A service or resource control policy.
#[derive(Debug, Clone, Serialize)]
pub struct Policy {
    /// Its name.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// Its type.
    pub kind: PolicyType,
    /// Its text.
    pub content: String,
    /// Whether AWS owns it.
    pub aws_managed: bool,
    /// Tags.
    pub tags: BTreeMap<String, String>,
}

impl Organization {
    /// An organisation with its management account, further accounts (id, name, name of their unit) and units below the
    /// root, all with `FullAWSAccess`.
    pub fn new(
        rng: &mut Rng,
        management: (&AccountId, &str),
        accounts: &[(AccountId, &str, Option<&str>)],
        units: &[&str],
        now: Timestamp,
    ) -> Self {
        let root = format!("r-{}", rng.hex(4));
        let mut organization = Self {
            id: format!("o-{}", rng.hex(10)),
            management: management.0.to_string(),
            root: root.clone(),
            policy_types: BTreeSet::from([PolicyType::ServiceControl]),
            ..Self::default()
        };
        let full = |kind: PolicyType, name: &str, content: &str| Policy {
            name: name.to_owned(),
            description: "Allows access to every operation".to_owned(),
            kind,
            content: content.to_owned(),
            aws_managed: true,
            tags: BTreeMap::new(),
        };
        let (allow, to_resources) = (
            r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}"#,
            r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"*","Resource":"*"}]}"#,
        );
        organization.policies.extend([
            (FULL_ACCESS.to_owned(), full(PolicyType::ServiceControl, "FullAWSAccess", allow)),
            (FULL_ACCESS_TO_RESOURCES.to_owned(), full(PolicyType::ResourceControl, "RCPFullAWSAccess", to_resources)),
        ]);
        organization.attach(&root, FULL_ACCESS);
        for name in units {
            organization.add_unit(rng, name, &root);
        }
        organization.add_account(management.0, management.1, &root, now);
        for (id, name, unit) in accounts {
            let found = organization.units.iter().find(|(_, known)| Some(known.name.as_str()) == *unit);
            let parent = found.map_or_else(|| root.clone(), |(id, _)| id.clone());
            organization.add_account(id, name, &parent, now);
        }
        organization
    }

    /// Adds a unit and returns its id.
    pub fn add_unit(&mut self, rng: &mut Rng, name: &str, parent: &str) -> String {
        let id = format!("ou-{}-{}", self.root.trim_start_matches("r-"), rng.hex(8));
        let unit = Unit { name: name.to_owned(), parent: parent.to_owned(), tags: BTreeMap::new() };
        self.units.insert(id.clone(), unit);
        self.attach(&id, FULL_ACCESS);
        id
    }

    /// Adds an account.
    pub fn add_account(&mut self, id: &AccountId, name: &str, parent: &str, now: Timestamp) {
        let member = Member {
            name: name.to_owned(),
            email: format!("{}@example.com", name.to_lowercase().replace(' ', "-")),
            state: "ACTIVE".to_owned(),
            joined: now,
            parent: parent.to_owned(),
            tags: BTreeMap::new(),
        };
        self.members.insert(id.clone(), member);
        self.attach(id.as_str(), FULL_ACCESS);
    }

    /// Attaches a policy to a root, a unit or an account.
    pub fn attach(&mut self, target: &str, policy: &str) {
        self.attachments.entry(target.to_owned()).or_default().insert(policy.to_owned());
    }

    /// Whether it is the management account, which service control policies do not bind.
    pub fn is_management(&self, account: &AccountId) -> bool {
        account.as_str() == self.management
    }

    /// The state as authorisation sees it: without the changes of the last moments.
    pub fn as_seen(&self, now: Timestamp) -> &Self {
        self.lag.seen(self, now)
    }

    /// The policies of a type (name, text) that bind an account, by level from the root to the account. None bind the
    /// management account, accounts outside, and anybody while the policy type is disabled.
    pub fn levels(&self, account: &AccountId, kind: PolicyType) -> Vec<Vec<(&str, &str)>> {
        let enabled = self.policy_types.contains(&kind);
        let Some(member) = self.members.get(account) else { return Vec::new() };
        if !enabled || self.is_management(account) {
            return Vec::new();
        }
        let mut targets = vec![account.as_str()];
        let mut parent = member.parent.as_str();
        while let Some(unit) = self.units.get(parent) {
            targets.push(parent);
            parent = &unit.parent;
        }
        targets.push(&self.root);
        let of_target = |target: &str| {
            let ids = self.attachments.get(target).into_iter().flatten();
            let policies = ids.filter_map(|id| self.policies.get(id)).filter(|policy| policy.kind == kind);
            policies.map(|policy| (policy.name.as_str(), policy.content.as_str())).collect()
        };
        targets.into_iter().rev().map(of_target).collect()
    }

    fn arn(&self, partition: &str, kind: &str, id: &str) -> String {
        format!("arn:{partition}:organizations::{}:{kind}/{}/{id}", self.management, self.id)
    }

    /// The ARN of a policy.
    pub(self) fn policy_arn(&self, partition: &str, id: &str) -> String {
        let policy = self.policies.get(id);
        let kind = policy.map_or(PolicyType::ServiceControl, |policy| policy.kind).as_str().to_lowercase();
        if policy.is_some_and(|policy| policy.aws_managed) {
            return format!("arn:{partition}:organizations::aws:policy/{kind}/{id}");
        }
        let (management, organization) = (&self.management, &self.id);
        format!("arn:{partition}:organizations::{management}:policy/{organization}/{kind}/{id}")
    }

    /// The ARN of a root, a unit or an account.
    pub(self) fn target_arn(&self, partition: &str, id: &str) -> String {
        let kind = match id.split('-').next() {
            Some("r") => "root",
            Some("ou") => "ou",
            _ => "account",
        };
        self.arn(partition, kind, id)
    }

    /// Whether a root, a unit or an account of that id is there.
    pub(self) fn has_target(&self, id: &str) -> bool {
        id == self.root || self.units.contains_key(id) || self.members.keys().any(|account| account.as_str() == id)
    }
}

/// What the call needs to be allowed.
pub fn permissions(world: &World, call: &Call) -> Result<Vec<Permission>, Refusal> {
    let organization = world.organization.as_ref();
    let text = |name: &str| match &call.params {
        Params::Json(json) => json.get(name).and_then(Value::as_str),
        Params::Form(_) => None,
    };
    let arn = |name: &str| {
        let (organization, id) = (organization?, text(name)?);
        if id.starts_with("p-") {
            Some(organization.policy_arn(&world.partition, id))
        } else {
            Some(organization.target_arn(&world.partition, id))
        }
    };
    let targets: &[&str] = match call.operation.as_str() {
        "DescribeOrganization"
        | "ListRoots"
        | "ListAccounts"
        | "CreatePolicy"
        | "ListPolicies"
        | "ListDelegatedAdministrators" => &[],
        "DescribeAccount" => &["AccountId"],
        "ListParents" => &["ChildId"],
        "ListChildren" | "ListAccountsForParent" | "ListOrganizationalUnitsForParent" => &["ParentId"],
        "DescribeOrganizationalUnit" => &["OrganizationalUnitId"],
        "DescribePolicy" | "UpdatePolicy" | "DeletePolicy" | "ListTargetsForPolicy" => &["PolicyId"],
        "ListPoliciesForTarget" => &["TargetId"],
        "AttachPolicy" | "DetachPolicy" => &["PolicyId", "TargetId"],
        "EnablePolicyType" | "DisablePolicyType" => &["RootId"],
        "MoveAccount" => &["AccountId", "SourceParentId", "DestinationParentId"],
        "TagResource" | "ListTagsForResource" => &["ResourceId"],
        _ => return Err(call.unknown()),
    };
    let action = format!("organizations:{}", call.operation);
    let found = targets.iter().filter_map(|name| arn(name)).map(|arn| Permission::new(&action, arn));
    let mut needed: Vec<_> = found.collect();
    if needed.is_empty() {
        needed.push(Permission::new(action, "*"));
    }
    // AWS Organizations API Reference, CreatePolicy: a policy that is made with tags needs the right to tag, too.
    let tags = match &call.params {
        Params::Json(json) => json.get("Tags").and_then(Value::as_array),
        Params::Form(_) => None,
    };
    if call.operation == "CreatePolicy" && tags.is_some_and(|tags| !tags.is_empty()) {
        needed.push(Permission::new("organizations:TagResource", "*"));
    }
    Ok(needed)
}

/// Carries the call out. Organizations' own reads see a change at once, authorisation after
/// `settings.organizations_propagation`.
pub fn handle(world: &mut World, call: &Call) -> Reply {
    let partition = world.partition.clone();
    let until = call.now + world.settings.organizations_propagation;
    let begins_empty = world.settings.empty_first_pages && begins_list(call);
    let World { organization, rng, .. } = world;
    let not_in_use = || refuse("AWSOrganizationsNotInUseException", "Your account is not a member of an organization.");
    let state = organization.as_mut().filter(|organization| organization.members.contains_key(&call.account));
    let state = state.ok_or_else(not_in_use)?;
    check_caller(state, call)?;
    if ["Describe", "List"].iter().any(|verb| call.operation.starts_with(verb)) {
        let json = dispatch(state, &partition, rng, call)?;
        return Ok(Body::Json(if begins_empty { empty_page(json) } else { json }));
    }
    let mut before = state.clone();
    before.lag = Lag::default();
    let json = dispatch(state, &partition, rng, call)?;
    state.lag.keep(before, call.now, until);
    Ok(Body::Json(json))
}

fn begins_list(call: &Call) -> bool {
    let Params::Json(json) = &call.params else { return false };
    call.operation.starts_with("List") && json.get("NextToken").is_none()
}

/// The same list, as a page without items before it.
fn empty_page(mut json: Value) -> Value {
    if let Some(items) = json.as_object_mut().and_then(|lists| lists.values_mut().find(|value| value.is_array())) {
        *items = json!([]);
        json["NextToken"] = json!("0");
    }
    json
}

/// Members may only ask for the organisation; a delegated one may read and manage policies, but not move accounts.
fn check_caller(organization: &Organization, call: &Call) -> Result<(), Refusal> {
    let management = organization.is_management(&call.account);
    let delegated = organization.delegated.contains(&call.account) && call.operation != "MoveAccount";
    if management || delegated || call.operation == "DescribeOrganization" {
        return Ok(());
    }
    Err(refuse("AccessDeniedException", "You don't have permissions to access this resource."))
}

fn dispatch(organization: &mut Organization, partition: &str, rng: &mut Rng, call: &Call) -> Result<Value, Refusal> {
    match call.operation.as_str() {
        "DescribeOrganization" => Ok(accounts::describe_organization(organization, partition)),
        "ListRoots" => Ok(accounts::roots(organization, partition)),
        "ListAccounts" => accounts::list(organization, partition, call),
        "DescribeAccount" => accounts::describe(organization, partition, call),
        "ListDelegatedAdministrators" => accounts::delegated(organization, partition, call),
        "ListParents" => accounts::parents(organization, call),
        "ListChildren" => accounts::children(organization, call),
        "ListAccountsForParent" => accounts::accounts_of(organization, partition, call),
        "ListOrganizationalUnitsForParent" => accounts::units_of(organization, partition, call),
        "DescribeOrganizationalUnit" => accounts::describe_unit(organization, partition, call),
        "MoveAccount" => accounts::move_account(organization, call),
        "CreatePolicy" => policies::create(organization, partition, rng, call),
        "DescribePolicy" => policies::describe(organization, partition, call),
        "UpdatePolicy" => policies::update(organization, partition, call),
        "DeletePolicy" => policies::delete(organization, call),
        "ListPolicies" => policies::list(organization, partition, call),
        "ListPoliciesForTarget" => policies::list_for_target(organization, partition, call),
        "ListTargetsForPolicy" => policies::targets(organization, partition, call),
        "AttachPolicy" => policies::attach(organization, call),
        "DetachPolicy" => policies::detach(organization, call),
        "EnablePolicyType" => policies::enable_type(organization, partition, call),
        "DisablePolicyType" => policies::disable_type(organization, partition, call),
        "TagResource" => policies::tag(organization, call),
        "ListTagsForResource" => policies::tags(organization, call),
        _ => Err(call.unknown()),
    }
}

fn refuse(code: &str, message: impl Into<String>) -> Refusal {
    Refusal::new(400, code, message)
}

/// A refusal with the `Reason` that tells apart what has the same code.
fn violation(code: &str, reason: &str, message: &str) -> Refusal {
    let mut refusal = refuse(code, message);
    refusal.members.push(("Reason", reason.to_owned()));
    refusal
}

fn read<T: DeserializeOwned>(call: &Call) -> Result<T, Refusal> {
    call.params.read().map_err(|refusal| Refusal { code: "InvalidInputException".to_owned(), ..refusal })
}

/// One part of a list; the token holds where the next begins.
fn part(name: &str, items: Vec<Value>, token: Option<&str>, most: Option<usize>) -> Result<Value, Refusal> {
    let invalid = || violation("InvalidInputException", "INVALID_NEXT_TOKEN", "The token is not one that was given.");
    let start = token.map_or(Ok(0), str::parse::<usize>).map_err(|_| invalid())?;
    let end = start.saturating_add(most.unwrap_or(20).clamp(1, 20)).min(items.len());
    let shown = items.get(start..end).ok_or_else(invalid)?;
    let mut answer = json!({ name: shown });
    if end < items.len() {
        answer["NextToken"] = json!(end.to_string());
    }
    Ok(answer)
}

#[cfg(test)]
mod tests;
