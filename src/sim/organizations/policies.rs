//! Service and resource control policies.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{FULL_ACCESS, FULL_ACCESS_TO_RESOURCES, Organization, Policy, accounts, part, read, refuse, violation};
use crate::policy::{Document, Kind};
use crate::sim::call::{Call, Refusal};
use crate::sim::world::Rng;

/// What a policy binds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum PolicyType {
    /// The principals of an account.
    #[serde(rename = "SERVICE_CONTROL_POLICY")]
    ServiceControl,
    /// The resources of an account.
    #[serde(rename = "RESOURCE_CONTROL_POLICY")]
    ResourceControl,
}

impl PolicyType {
    /// As the API calls it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ServiceControl => "SERVICE_CONTROL_POLICY",
            Self::ResourceControl => "RESOURCE_CONTROL_POLICY",
        }
    }

    /// Characters of a document; white space that comes through the API counts.
    fn largest(self) -> usize {
        match self {
            Self::ServiceControl => 10_240,
            Self::ResourceControl => 5_120,
        }
    }

    /// Policies attached directly to one root, unit or account.
    fn attachments(self) -> usize {
        match self {
            Self::ServiceControl => 10,
            Self::ResourceControl => 5,
        }
    }

    /// The policy that allows everything.
    fn full_access(self) -> &'static str {
        match self {
            Self::ServiceControl => FULL_ACCESS,
            Self::ResourceControl => FULL_ACCESS_TO_RESOURCES,
        }
    }
}

/// Policies of an organisation.
const POLICIES: usize = 10_000;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Tag {
    key: String,
    value: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct CreatePolicy {
    content: String,
    description: String,
    name: String,
    r#type: String,
    #[serde(default)]
    tags: Vec<Tag>,
}

/// Other types of policies exist at AWS, and are not simulated.
fn read_kind(kind: &str) -> Result<PolicyType, Refusal> {
    let known = [PolicyType::ServiceControl, PolicyType::ResourceControl];
    let message = format!("The simulated AWS has service and resource control policies only, no {kind}.");
    let unknown = || violation("InvalidInputException", "INVALID_ENUM_POLICY_TYPE", &message);
    known.into_iter().find(|known| known.as_str() == kind).ok_or_else(unknown)
}

fn check_content(kind: PolicyType, content: &str) -> Result<(), Refusal> {
    if content.chars().count() > kind.largest() {
        let message = "You have exceeded the maximum policy size.";
        return Err(violation("ConstraintViolationException", "POLICY_CONTENT_LIMIT_EXCEEDED", message));
    }
    let malformed = |error: crate::policy::Malformed| refuse("MalformedPolicyDocumentException", error.to_string());
    match kind {
        PolicyType::ServiceControl => {
            Document::parse("content", content, Kind::ServiceControl).map_err(malformed).map(drop)
        }
        PolicyType::ResourceControl => {
            Document::parse("content", content, Kind::ResourceControl).map_err(malformed)?;
            check_resource_control(content)
        }
    }
}

/// What a resource control policy may say beside its grammar: it only denies, everybody, and never `*` alone
/// (Organizations User Guide, "RCP syntax").
fn check_resource_control(content: &str) -> Result<(), Refusal> {
    let document: Value = serde_json::from_str(content).unwrap_or_default();
    let statements = match &document["Statement"] {
        Value::Array(statements) => statements.as_slice(),
        one => std::slice::from_ref(one),
    };
    let everybody = [json!("*"), json!({ "AWS": "*" }), json!({ "AWS": ["*"] })];
    let wrong = statements.iter().any(|statement| {
        let actions = &statement["Action"];
        let all = *actions == json!("*") || actions.as_array().is_some_and(|actions| actions.contains(&json!("*")));
        statement["Effect"] != "Deny" || !everybody.contains(&statement["Principal"]) || all
    });
    let message = "The provided policy document does not meet the requirements of the specified policy type.";
    if wrong { Err(refuse("MalformedPolicyDocumentException", message)) } else { Ok(()) }
}

fn check_name(organization: &Organization, name: &str, id: Option<&str>) -> Result<(), Refusal> {
    let taken = organization.policies.iter().any(|(known, policy)| policy.name == name && Some(known.as_str()) != id);
    let message = format!("A policy with the name {name} already exists.");
    if taken { Err(refuse("DuplicatePolicyException", message)) } else { Ok(()) }
}

fn summary(organization: &Organization, partition: &str, id: &str, policy: &Policy) -> Value {
    json!({
        "Id": id,
        "Arn": organization.policy_arn(partition, id),
        "Name": policy.name,
        "Description": policy.description,
        "Type": policy.kind.as_str(),
        "AwsManaged": policy.aws_managed,
    })
}

fn described(organization: &Organization, partition: &str, id: &str) -> Result<Value, Refusal> {
    let policy = organization.policies.get(id).ok_or_else(|| no_policy(id))?;
    let summary = summary(organization, partition, id, policy);
    Ok(json!({ "Policy": { "PolicySummary": summary, "Content": policy.content } }))
}

fn no_policy(id: &str) -> Refusal {
    refuse("PolicyNotFoundException", format!("There is no policy with the id {id}."))
}

fn check_target(organization: &Organization, id: &str) -> Result<(), Refusal> {
    let message = format!("There is no root, unit or account with the id {id}.");
    if organization.has_target(id) { Ok(()) } else { Err(refuse("TargetNotFoundException", message)) }
}

pub(super) fn create(
    organization: &mut Organization,
    partition: &str,
    rng: &mut Rng,
    call: &Call,
) -> Result<Value, Refusal> {
    let asked: CreatePolicy = read(call)?;
    let kind = read_kind(&asked.r#type)?;
    check_content(kind, &asked.content)?;
    check_name(organization, &asked.name, None)?;
    if organization.policies.len() >= POLICIES {
        let message = "You have exceeded the number of policies of the organization.";
        return Err(violation("ConstraintViolationException", "POLICY_NUMBER_LIMIT_EXCEEDED", message));
    }
    let id = format!("p-{}", rng.hex(8));
    let tags = asked.tags.into_iter().map(|tag| (tag.key, tag.value)).collect();
    let policy = Policy {
        name: asked.name,
        description: asked.description,
        kind,
        content: asked.content,
        aws_managed: false,
        tags,
    };
    organization.policies.insert(id.clone(), policy);
    described(organization, partition, &id)
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct OnePolicy {
    policy_id: String,
    next_token: Option<String>,
    max_results: Option<usize>,
}

pub(super) fn describe(organization: &Organization, partition: &str, call: &Call) -> Result<Value, Refusal> {
    let asked: OnePolicy = read(call)?;
    described(organization, partition, &asked.policy_id)
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct UpdatePolicy {
    policy_id: String,
    name: Option<String>,
    description: Option<String>,
    content: Option<String>,
}

/// A policy of the organisation itself: those of AWS cannot be changed.
fn own_policy<'a>(organization: &'a mut Organization, id: &str) -> Result<&'a mut Policy, Refusal> {
    let policy = organization.policies.get_mut(id).ok_or_else(|| no_policy(id))?;
    if policy.aws_managed {
        let message = "You can't modify a policy that AWS manages.";
        return Err(violation("InvalidInputException", "IMMUTABLE_POLICY", message));
    }
    Ok(policy)
}

pub(super) fn update(organization: &mut Organization, partition: &str, call: &Call) -> Result<Value, Refusal> {
    let asked: UpdatePolicy = read(call)?;
    if let Some(name) = &asked.name {
        check_name(organization, name, Some(&asked.policy_id))?;
    }
    let policy = own_policy(organization, &asked.policy_id)?;
    if let Some(content) = &asked.content {
        check_content(policy.kind, content)?;
    }
    policy.name = asked.name.unwrap_or_else(|| policy.name.clone());
    policy.description = asked.description.unwrap_or_else(|| policy.description.clone());
    policy.content = asked.content.unwrap_or_else(|| policy.content.clone());
    described(organization, partition, &asked.policy_id)
}

pub(super) fn delete(organization: &mut Organization, call: &Call) -> Result<Value, Refusal> {
    let asked: OnePolicy = read(call)?;
    own_policy(organization, &asked.policy_id)?;
    if organization.attachments.values().any(|policies| policies.contains(&asked.policy_id)) {
        return Err(refuse("PolicyInUseException", "The policy is attached to one or more entities: detach it first."));
    }
    organization.policies.remove(&asked.policy_id);
    Ok(json!({}))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct ListPolicies {
    filter: String,
    target_id: Option<String>,
    next_token: Option<String>,
    max_results: Option<usize>,
}

pub(super) fn list(organization: &Organization, partition: &str, call: &Call) -> Result<Value, Refusal> {
    let asked: ListPolicies = read(call)?;
    let kind = read_kind(&asked.filter)?;
    let policies = organization.policies.iter().filter(|(_, policy)| policy.kind == kind);
    let policies = policies.map(|(id, policy)| summary(organization, partition, id, policy));
    part("Policies", policies.collect(), asked.next_token.as_deref(), asked.max_results)
}

pub(super) fn list_for_target(organization: &Organization, partition: &str, call: &Call) -> Result<Value, Refusal> {
    let asked: ListPolicies = read(call)?;
    let kind = read_kind(&asked.filter)?;
    let target = asked.target_id.ok_or_else(|| refuse("InvalidInputException", "missing field `TargetId`"))?;
    check_target(organization, &target)?;
    let ids = organization.attachments.get(&target).into_iter().flatten();
    let policies = ids.filter_map(|id| Some((id, organization.policies.get(id)?)));
    let policies = policies.filter(|(_, policy)| policy.kind == kind);
    let policies = policies.map(|(id, policy)| summary(organization, partition, id, policy));
    part("Policies", policies.collect(), asked.next_token.as_deref(), asked.max_results)
}

pub(super) fn targets(organization: &Organization, partition: &str, call: &Call) -> Result<Value, Refusal> {
    let asked: OnePolicy = read(call)?;
    organization.policies.get(&asked.policy_id).ok_or_else(|| no_policy(&asked.policy_id))?;
    let targets = organization.attachments.iter().filter(|(_, policies)| policies.contains(&asked.policy_id));
    let target = |id: &String| {
        let unit = organization.units.get(id).map(|unit| ("ORGANIZATIONAL_UNIT", unit.name.as_str()));
        let member = organization.members.iter().find(|(account, _)| account.as_str() == id);
        let account = member.map(|(_, member)| ("ACCOUNT", member.name.as_str()));
        let (kind, name) = unit.or(account).unwrap_or(("ROOT", "Root"));
        json!({ "TargetId": id, "Arn": organization.target_arn(partition, id), "Name": name, "Type": kind })
    };
    part("Targets", targets.map(|(id, _)| target(id)).collect(), asked.next_token.as_deref(), asked.max_results)
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Attachment {
    policy_id: String,
    target_id: String,
}

/// What is asked for, and how many policies of that type the target has.
fn read_attachment(organization: &Organization, call: &Call) -> Result<(Attachment, PolicyType, usize), Refusal> {
    let asked: Attachment = read(call)?;
    let kind = organization.policies.get(&asked.policy_id).ok_or_else(|| no_policy(&asked.policy_id))?.kind;
    check_target(organization, &asked.target_id)?;
    if !organization.policy_types.contains(&kind) {
        let message = "The policy type is not enabled on this root.";
        return Err(refuse("PolicyTypeNotEnabledException", message));
    }
    let attached = organization.attachments.get(&asked.target_id).into_iter().flatten();
    let attached = attached.filter(|id| organization.policies.get(*id).is_some_and(|policy| policy.kind == kind));
    let attached = attached.count();
    Ok((asked, kind, attached))
}

pub(super) fn attach(organization: &mut Organization, call: &Call) -> Result<Value, Refusal> {
    let (Attachment { policy_id, target_id }, kind, many) = read_attachment(organization, call)?;
    let attached = organization.attachments.entry(target_id).or_default();
    if attached.contains(&policy_id) {
        let message = "A policy with the specified name and type already exists on the target.";
        return Err(refuse("DuplicatePolicyAttachmentException", message));
    }
    if many >= kind.attachments() {
        let message = "You have attached the maximum number of policies of this type to the target.";
        let reason = "MAX_POLICY_TYPE_ATTACHMENT_LIMIT_EXCEEDED";
        return Err(violation("ConstraintViolationException", reason, message));
    }
    attached.insert(policy_id);
    Ok(json!({}))
}

pub(super) fn detach(organization: &mut Organization, call: &Call) -> Result<Value, Refusal> {
    let (Attachment { policy_id, target_id }, _, many) = read_attachment(organization, call)?;
    let attached = organization.attachments.entry(target_id).or_default();
    if !attached.contains(&policy_id) {
        return Err(refuse("PolicyNotAttachedException", "The policy isn't attached to the specified target."));
    }
    if policy_id == FULL_ACCESS_TO_RESOURCES {
        let message = "You can't detach the policy RCPFullAWSAccess.";
        return Err(refuse("ConstraintViolationException", message));
    }
    if many == 1 {
        let message = "You cannot remove the last policy of this type from the target.";
        let reason = "MIN_POLICY_TYPE_ATTACHMENT_LIMIT_EXCEEDED";
        return Err(violation("ConstraintViolationException", reason, message));
    }
    attached.remove(&policy_id);
    Ok(json!({}))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct TypeOfRoot {
    root_id: String,
    policy_type: String,
}

fn read_type(organization: &Organization, call: &Call) -> Result<PolicyType, Refusal> {
    let asked: TypeOfRoot = read(call)?;
    let kind = read_kind(&asked.policy_type)?;
    let message = format!("There is no root with the id {}.", asked.root_id);
    if asked.root_id == organization.root { Ok(kind) } else { Err(refuse("RootNotFoundException", message)) }
}

/// Enabling attaches the policy that allows everything everywhere.
pub(super) fn enable_type(organization: &mut Organization, partition: &str, call: &Call) -> Result<Value, Refusal> {
    let kind = read_type(organization, call)?;
    if !organization.policy_types.insert(kind) {
        return Err(refuse("PolicyTypeAlreadyEnabledException", "The specified policy type is already enabled."));
    }
    let units = organization.units.keys().cloned();
    let accounts = organization.members.keys().map(ToString::to_string);
    let targets: Vec<String> = units.chain(accounts).chain([organization.root.clone()]).collect();
    for target in targets {
        organization.attach(&target, kind.full_access());
    }
    Ok(json!({ "Root": accounts::root(organization, partition) }))
}

/// Disabling detaches every policy of the type for good.
pub(super) fn disable_type(organization: &mut Organization, partition: &str, call: &Call) -> Result<Value, Refusal> {
    let kind = read_type(organization, call)?;
    if !organization.policy_types.remove(&kind) {
        return Err(refuse("PolicyTypeNotEnabledException", "The policy type is not enabled on this root."));
    }
    let Organization { attachments, policies, .. } = organization;
    for attached in attachments.values_mut() {
        attached.retain(|id| policies.get(id).is_some_and(|policy| policy.kind != kind));
    }
    Ok(json!({ "Root": accounts::root(organization, partition) }))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Tagging {
    resource_id: String,
    #[serde(default)]
    tags: Vec<Tag>,
    #[serde(rename = "NextToken")]
    _next_token: Option<String>,
}

fn tags_of<'a>(organization: &'a mut Organization, id: &str) -> Result<&'a mut BTreeMap<String, String>, Refusal> {
    let Organization { policies, units, members, .. } = organization;
    let policy = policies.get_mut(id).map(|policy| &mut policy.tags);
    let unit = units.get_mut(id).map(|unit| &mut unit.tags);
    let member = members.iter_mut().find(|(account, _)| account.as_str() == id).map(|(_, member)| &mut member.tags);
    let message = format!("There is nothing with the id {id} that can be tagged.");
    policy.or(unit).or(member).ok_or_else(|| refuse("TargetNotFoundException", message))
}

pub(super) fn tag(organization: &mut Organization, call: &Call) -> Result<Value, Refusal> {
    let asked: Tagging = read(call)?;
    let tags = tags_of(organization, &asked.resource_id)?;
    tags.extend(asked.tags.into_iter().map(|tag| (tag.key, tag.value)));
    Ok(json!({}))
}

pub(super) fn tags(organization: &mut Organization, call: &Call) -> Result<Value, Refusal> {
    let asked: Tagging = read(call)?;
    let tags = tags_of(organization, &asked.resource_id)?;
    let tags: Vec<Value> = tags.iter().map(|(key, value)| json!({ "Key": key, "Value": value })).collect();
    Ok(json!({ "Tags": tags }))
}
