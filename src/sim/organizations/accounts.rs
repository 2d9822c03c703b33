//! Accounts, units and the root.

use serde::Deserialize;
use serde_json::{Value, json};

use super::{Member, Organization, part, read, refuse};
use crate::model::AccountId;
use crate::sim::call::{Call, Refusal};

pub(super) fn describe_organization(organization: &Organization, partition: &str) -> Value {
    let Organization { id, management, .. } = organization;
    let email = organization.members.iter().find(|(id, _)| id.as_str() == management).map(|(_, member)| &member.email);
    json!({ "Organization": {
        "Id": id,
        "Arn": format!("arn:{partition}:organizations::{management}:organization/{id}"),
        "FeatureSet": "ALL",
        "MasterAccountId": management,
        "MasterAccountArn": organization.target_arn(partition, management),
        "MasterAccountEmail": email,
        "AvailablePolicyTypes": [{ "Type": "SERVICE_CONTROL_POLICY", "Status": "ENABLED" }],
    }})
}

pub(super) fn root(organization: &Organization, partition: &str) -> Value {
    let types = organization.policy_types.iter().map(|kind| json!({ "Type": kind.as_str(), "Status": "ENABLED" }));
    json!({
        "Id": organization.root,
        "Arn": organization.target_arn(partition, &organization.root),
        "Name": "Root",
        "PolicyTypes": types.collect::<Vec<_>>(),
    })
}

pub(super) fn roots(organization: &Organization, partition: &str) -> Value {
    json!({ "Roots": [root(organization, partition)] })
}

/// `State` is what to read; `Status` goes with it until AWS retires it.
fn account(organization: &Organization, partition: &str, (id, member): (&AccountId, &Member)) -> Value {
    json!({
        "Id": id,
        "Arn": organization.target_arn(partition, id.as_str()),
        "Email": member.email,
        "Name": member.name,
        "Status": member.state,
        "State": member.state,
        "JoinedMethod": "CREATED",
        "JoinedTimestamp": member.joined.as_second(),
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Listing {
    next_token: Option<String>,
    max_results: Option<usize>,
}

pub(super) fn list(organization: &Organization, partition: &str, call: &Call) -> Result<Value, Refusal> {
    let asked: Listing = read(call)?;
    let accounts = organization.members.iter().map(|member| account(organization, partition, member)).collect();
    part("Accounts", accounts, asked.next_token.as_deref(), asked.max_results)
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Delegated {
    #[serde(rename = "ServicePrincipal")]
    _service_principal: Option<String>,
    next_token: Option<String>,
    max_results: Option<usize>,
}

/// The simulator's delegated administrators are that of every service.
pub(super) fn delegated(organization: &Organization, partition: &str, call: &Call) -> Result<Value, Refusal> {
    let asked: Delegated = read(call)?;
    let members = organization.members.iter().filter(|(id, _)| organization.delegated.contains(*id));
    let shown = members.map(|(id, member)| {
        let mut shown = account(organization, partition, (id, member));
        shown["DelegationEnabledDate"] = json!(member.joined.as_second());
        shown
    });
    part("DelegatedAdministrators", shown.collect(), asked.next_token.as_deref(), asked.max_results)
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct OneAccount {
    account_id: String,
}

fn no_account(id: &str) -> Refusal {
    refuse("AccountNotFoundException", format!("You specified an account that doesn't exist: {id}."))
}

pub(super) fn describe(organization: &Organization, partition: &str, call: &Call) -> Result<Value, Refusal> {
    let asked: OneAccount = read(call)?;
    let found = organization.members.iter().find(|(id, _)| id.as_str() == asked.account_id);
    let member = found.ok_or_else(|| no_account(&asked.account_id))?;
    Ok(json!({ "Account": account(organization, partition, member) }))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
#[expect(clippy::struct_field_names, reason = "the names are those of AWS's parameters")]
struct Child {
    child_id: String,
    #[serde(rename = "NextToken")]
    _next_token: Option<String>,
    #[serde(rename = "MaxResults")]
    _max_results: Option<usize>,
}

pub(super) fn parents(organization: &Organization, call: &Call) -> Result<Value, Refusal> {
    let asked: Child = read(call)?;
    let unit = organization.units.get(&asked.child_id).map(|unit| &unit.parent);
    let member = organization.members.iter().find(|(id, _)| id.as_str() == asked.child_id);
    let parent = unit.or(member.map(|(_, member)| &member.parent));
    let missing = || refuse("ChildNotFoundException", format!("There is no child with the id {}.", asked.child_id));
    let parent = parent.ok_or_else(missing)?;
    let kind = if *parent == organization.root { "ROOT" } else { "ORGANIZATIONAL_UNIT" };
    Ok(json!({ "Parents": [{ "Id": parent, "Type": kind }] }))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
#[expect(clippy::struct_field_names, reason = "the names are those of AWS's parameters")]
struct Parent {
    parent_id: String,
    child_type: Option<ChildType>,
    next_token: Option<String>,
    max_results: Option<usize>,
}

#[derive(Deserialize, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum ChildType {
    Account,
    OrganizationalUnit,
}

fn read_parent(organization: &Organization, call: &Call) -> Result<Parent, Refusal> {
    let asked: Parent = read(call)?;
    if asked.parent_id == organization.root || organization.units.contains_key(&asked.parent_id) {
        return Ok(asked);
    }
    Err(refuse("ParentNotFoundException", format!("There is no root or unit with the id {}.", asked.parent_id)))
}

pub(super) fn children(organization: &Organization, call: &Call) -> Result<Value, Refusal> {
    let asked = read_parent(organization, call)?;
    let children = match asked.child_type {
        Some(ChildType::Account) => {
            let members = organization.members.iter().filter(|(_, member)| member.parent == asked.parent_id);
            members.map(|(id, _)| json!({ "Id": id, "Type": "ACCOUNT" })).collect()
        }
        Some(ChildType::OrganizationalUnit) => {
            let units = organization.units.iter().filter(|(_, unit)| unit.parent == asked.parent_id);
            units.map(|(id, _)| json!({ "Id": id, "Type": "ORGANIZATIONAL_UNIT" })).collect()
        }
        None => return Err(refuse("InvalidInputException", "missing field `ChildType`")),
    };
    part("Children", children, asked.next_token.as_deref(), asked.max_results)
}

pub(super) fn accounts_of(organization: &Organization, partition: &str, call: &Call) -> Result<Value, Refusal> {
    let asked = read_parent(organization, call)?;
    let members = organization.members.iter().filter(|(_, member)| member.parent == asked.parent_id);
    let accounts = members.map(|member| account(organization, partition, member)).collect();
    part("Accounts", accounts, asked.next_token.as_deref(), asked.max_results)
}

fn unit(organization: &Organization, partition: &str, id: &str, name: &str) -> Value {
    json!({ "Id": id, "Arn": organization.target_arn(partition, id), "Name": name })
}

pub(super) fn units_of(organization: &Organization, partition: &str, call: &Call) -> Result<Value, Refusal> {
    let asked = read_parent(organization, call)?;
    let units = organization.units.iter().filter(|(_, unit)| unit.parent == asked.parent_id);
    let units = units.map(|(id, found)| unit(organization, partition, id, &found.name)).collect();
    part("OrganizationalUnits", units, asked.next_token.as_deref(), asked.max_results)
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct OneUnit {
    organizational_unit_id: String,
}

pub(super) fn describe_unit(organization: &Organization, partition: &str, call: &Call) -> Result<Value, Refusal> {
    let OneUnit { organizational_unit_id: id } = read(call)?;
    let message = format!("There is no organizational unit with the id {id}.");
    let found = organization.units.get(&id).ok_or_else(|| refuse("OrganizationalUnitNotFoundException", message))?;
    Ok(json!({ "OrganizationalUnit": unit(organization, partition, &id, &found.name) }))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
#[expect(clippy::struct_field_names, reason = "the names are those of AWS's parameters")]
struct MoveAccount {
    account_id: String,
    source_parent_id: String,
    destination_parent_id: String,
}

pub(super) fn move_account(organization: &mut Organization, call: &Call) -> Result<Value, Refusal> {
    let asked: MoveAccount = read(call)?;
    let is_parent = |id: &str| id == organization.root || organization.units.contains_key(id);
    if !is_parent(&asked.destination_parent_id) {
        let message = format!("There is no root or unit with the id {}.", asked.destination_parent_id);
        return Err(refuse("DestinationParentNotFoundException", message));
    }
    let found = organization.members.iter_mut().find(|(id, _)| id.as_str() == asked.account_id);
    let (_, member) = found.ok_or_else(|| no_account(&asked.account_id))?;
    if member.parent != asked.source_parent_id {
        let message = format!("The account is not in {}.", asked.source_parent_id);
        return Err(refuse("SourceParentNotFoundException", message));
    }
    if member.parent == asked.destination_parent_id {
        return Err(refuse("DuplicateAccountException", "The account is already there."));
    }
    member.parent = asked.destination_parent_id;
    Ok(json!({}))
}
