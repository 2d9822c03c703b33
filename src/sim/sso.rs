//! The administration of IAM Identity Center (`sso-admin`): instances, permission sets, assignments to accounts.
//!
//! The management account and delegated administrators may work here, the latter not on the management account. Making and
//! deleting an assignment takes a few seconds; two at once on one permission set in one account are a conflict.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::call::{Body, Call, Permission, Refusal, Reply};
use super::identity_center::{Assignment, IdentityCenter, PermissionSet, Request, denied, not_found};
use super::pages::part;
use super::time::seconds;
use super::wire::params::Params;
use super::world::World;

/// How many items one page shows.
const PAGE: usize = 100;

/// What the call needs to be allowed. ("Actions, resources, and condition keys for AWS IAM Identity Center".)
pub fn permissions(_: &World, call: &Call) -> Result<Vec<Permission>, Refusal> {
    let Params::Json(params) = &call.params else { return Err(call.unknown()) };
    let text = |name: &str| params[name].as_str().unwrap_or_default();
    let account = |name: &str| format!("arn:aws:sso:::account/{}", text(name));
    let (instance, set) = (text("InstanceArn").to_owned(), text("PermissionSetArn").to_owned());
    let resources = match call.operation.as_str() {
        "ListInstances" => vec!["*".to_owned()],
        "CreatePermissionSet"
        | "ListPermissionSets"
        | "DescribeAccountAssignmentCreationStatus"
        | "DescribeAccountAssignmentDeletionStatus" => vec![instance],
        "DescribePermissionSet" | "DeletePermissionSet" => vec![instance, set],
        "ListPermissionSetsProvisionedToAccount" => vec![instance, account("AccountId")],
        "ListAccountAssignments" => vec![instance, set, account("AccountId")],
        "CreateAccountAssignment" | "DeleteAccountAssignment" => vec![instance, set, account("TargetId")],
        _ => return Err(call.unknown()),
    };
    let action = format!("sso:{}", call.operation);
    Ok(resources.into_iter().map(|resource| Permission::new(&action, resource)).collect())
}

/// Carries the call out.
pub fn handle(world: &mut World, call: &Call) -> Reply {
    let id = world.uuid();
    let digits = world.rng.hex(16);
    let Some(center) = &mut world.identity_center else {
        return if call.operation == "ListInstances" {
            Ok(Body::Json(json!({ "Instances": [] })))
        } else {
            Err(denied(call))
        };
    };
    center.settle(call.now);
    if call.operation == "ListInstances" {
        let belongs =
            |organization: &super::organizations::Organization| organization.members.contains_key(&call.account);
        let is_seen = world.organization.as_ref().is_some_and(belongs);
        return instances(center, call, is_seen).map(Body::Json);
    }
    if call.region != center.region || !center.is_administered_by(&call.account) {
        return Err(denied(call));
    }
    let json = match call.operation.as_str() {
        "CreatePermissionSet" => create_permission_set(center, call, &digits),
        "DescribePermissionSet" => permission_set(center, call),
        "DeletePermissionSet" => delete_permission_set(center, call),
        "ListPermissionSets" => permission_sets(center, call),
        "ListPermissionSetsProvisionedToAccount" => provisioned(center, call),
        "ListAccountAssignments" => assignments(center, call),
        "CreateAccountAssignment" => begin(center, call, &id, false),
        "DeleteAccountAssignment" => begin(center, call, &id, true),
        "DescribeAccountAssignmentCreationStatus" => status(center, call, false),
        "DescribeAccountAssignmentDeletionStatus" => status(center, call, true),
        _ => Err(call.unknown()),
    }?;
    Ok(Body::Json(json))
}

fn read<T: DeserializeOwned>(call: &Call) -> Result<T, Refusal> {
    call.params.read().map_err(|refusal| Refusal { code: "ValidationException".to_owned(), ..refusal })
}

fn check_instance(center: &IdentityCenter, arn: &str) -> Result<(), Refusal> {
    if arn == center.instance { Ok(()) } else { Err(not_found("instance", arn)) }
}

fn known<'a>(center: &'a IdentityCenter, arn: &str) -> Result<&'a PermissionSet, Refusal> {
    center.permission_sets.get(arn).ok_or_else(|| not_found("permission set", arn))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Instances {
    region_scope: Option<String>,
    next_token: Option<String>,
    max_results: Option<usize>,
}

/// ListInstances: every account of the organisation sees its instance, by default only in the region that it is in.
fn instances(center: &IdentityCenter, call: &Call, is_seen: bool) -> Result<Value, Refusal> {
    let Instances { region_scope, next_token, max_results } = read(call)?;
    let everywhere = match region_scope.as_deref() {
        None | Some("CURRENT_REGION") => false,
        Some("ALL_REGIONS") => true,
        Some(other) => return Err(Refusal::new(400, "ValidationException", format!("{other} is not a RegionScope"))),
    };
    let shown = json!({
        "InstanceArn": center.instance,
        "IdentityStoreId": center.store,
        "OwnerAccountId": center.owner,
        "CreatedDate": seconds(center.created),
        "Status": "ACTIVE",
        "PrimaryRegion": center.region,
    });
    let all = if is_seen && (everywhere || call.region == center.region) { vec![shown] } else { Vec::new() };
    let (shown, next) = part(all, next_token.as_deref(), max_results.unwrap_or(PAGE))?;
    Ok(json!({ "Instances": shown, "NextToken": next }))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct CreatePermissionSet {
    instance_arn: String,
    name: String,
    description: Option<String>,
    session_duration: Option<String>,
}

fn create_permission_set(center: &mut IdentityCenter, call: &Call, digits: &str) -> Result<Value, Refusal> {
    let CreatePermissionSet { instance_arn, name, description, session_duration } = read(call)?;
    check_instance(center, &instance_arn)?;
    if center.permission_sets.values().any(|set| set.name == name) {
        return Err(Refusal::new(400, "ConflictException", format!("A permission set named {name} exists already.")));
    }
    let arn = format!("{}/ps-{digits}", center.instance.replace(":instance/", ":permissionSet/"));
    let set = PermissionSet {
        name,
        description: description.unwrap_or_default(),
        session: session_duration.unwrap_or_else(|| "PT1H".to_owned()),
        created: call.now,
    };
    let answer = json!({ "PermissionSet": shown(&arn, &set) });
    center.permission_sets.insert(arn, set);
    Ok(answer)
}

fn shown(arn: &str, set: &PermissionSet) -> Value {
    let PermissionSet { name, description, session, created } = set;
    json!({ "Name": name, "PermissionSetArn": arn, "Description": description, "SessionDuration": session,
        "CreatedDate": seconds(*created) })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct OnePermissionSet {
    instance_arn: String,
    permission_set_arn: String,
}

fn permission_set(center: &IdentityCenter, call: &Call) -> Result<Value, Refusal> {
    let OnePermissionSet { instance_arn, permission_set_arn } = read(call)?;
    check_instance(center, &instance_arn)?;
    Ok(json!({ "PermissionSet": shown(&permission_set_arn, known(center, &permission_set_arn)?) }))
}

/// DeletePermissionSet: not as long as somebody has it somewhere.
fn delete_permission_set(center: &mut IdentityCenter, call: &Call) -> Result<Value, Refusal> {
    let OnePermissionSet { instance_arn, permission_set_arn } = read(call)?;
    check_instance(center, &instance_arn)?;
    known(center, &permission_set_arn)?;
    if center.assignments.iter().any(|assignment| assignment.permission_set == permission_set_arn) {
        return Err(Refusal::new(400, "ConflictException", "The permission set is assigned."));
    }
    center.permission_sets.remove(&permission_set_arn);
    Ok(json!({}))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct ListPermissionSets {
    instance_arn: String,
    next_token: Option<String>,
    max_results: Option<usize>,
}

fn permission_sets(center: &IdentityCenter, call: &Call) -> Result<Value, Refusal> {
    let ListPermissionSets { instance_arn, next_token, max_results } = read(call)?;
    check_instance(center, &instance_arn)?;
    let all = center.permission_sets.keys().collect();
    let (sets, next) = part(all, next_token.as_deref(), max_results.unwrap_or(PAGE).min(PAGE))?;
    Ok(json!({ "PermissionSets": sets, "NextToken": next }))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Provisioned {
    instance_arn: String,
    account_id: String,
    next_token: Option<String>,
    max_results: Option<usize>,
}

/// ListPermissionSetsProvisionedToAccount.
fn provisioned(center: &IdentityCenter, call: &Call) -> Result<Value, Refusal> {
    let Provisioned { instance_arn, account_id, next_token, max_results } = read(call)?;
    check_instance(center, &instance_arn)?;
    let all = center.provisioned_to(&account_id).into_iter().collect();
    let (sets, next) = part(all, next_token.as_deref(), max_results.unwrap_or(PAGE).min(PAGE))?;
    Ok(json!({ "PermissionSets": sets, "NextToken": next }))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Assignments {
    instance_arn: String,
    account_id: String,
    permission_set_arn: String,
    next_token: Option<String>,
    max_results: Option<usize>,
}

/// ListAccountAssignments.
fn assignments(center: &IdentityCenter, call: &Call) -> Result<Value, Refusal> {
    let Assignments { instance_arn, account_id, permission_set_arn, next_token, max_results } = read(call)?;
    check_instance(center, &instance_arn)?;
    known(center, &permission_set_arn)?;
    let here =
        center.assignments.iter().filter(|of| of.account == account_id && of.permission_set == permission_set_arn);
    let all = here.map(|assignment| {
        json!({
            "AccountId": assignment.account,
            "PermissionSetArn": assignment.permission_set,
            "PrincipalType": assignment.principal_type,
            "PrincipalId": assignment.principal_id,
        })
    });
    let (shown, next) = part(all.collect(), next_token.as_deref(), max_results.unwrap_or(PAGE).min(PAGE))?;
    Ok(json!({ "AccountAssignments": shown, "NextToken": next }))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Assign {
    instance_arn: String,
    target_id: String,
    target_type: String,
    permission_set_arn: String,
    principal_type: String,
    principal_id: String,
}

/// CreateAccountAssignment and DeleteAccountAssignment: the answer is a request that is under way.
fn begin(center: &mut IdentityCenter, call: &Call, id: &str, deletes: bool) -> Result<Value, Refusal> {
    let Assign { instance_arn, target_id, target_type, permission_set_arn, principal_type, principal_id } = read(call)?;
    check_instance(center, &instance_arn)?;
    known(center, &permission_set_arn)?;
    if target_type != "AWS_ACCOUNT" || !["USER", "GROUP"].contains(&principal_type.as_str()) {
        return Err(Refusal::new(400, "ValidationException", "The type of the target or the principal is not known."));
    }
    // What is provisioned in the management account is the management account's to change.
    if target_id == center.owner.as_str() && call.account != center.owner {
        return Err(denied(call));
    }
    let assignment =
        Assignment { account: target_id, permission_set: permission_set_arn, principal_type, principal_id };
    let request = center.begin(id, deletes, assignment, call.now)?;
    Ok(answer(id, request))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Status {
    instance_arn: String,
    #[serde(alias = "AccountAssignmentCreationRequestId")]
    account_assignment_deletion_request_id: String,
}

/// DescribeAccountAssignmentCreationStatus and DescribeAccountAssignmentDeletionStatus.
fn status(center: &IdentityCenter, call: &Call, deletes: bool) -> Result<Value, Refusal> {
    let Status { instance_arn, account_assignment_deletion_request_id: id } = read(call)?;
    check_instance(center, &instance_arn)?;
    Ok(answer(&id, center.request(&id, deletes)?))
}

fn answer(id: &str, request: &Request) -> Value {
    let Assignment { account, permission_set, principal_type, principal_id } = &request.assignment;
    let status = json!({
        "Status": request.status,
        "RequestId": id,
        "FailureReason": request.failure,
        "TargetId": account,
        "TargetType": "AWS_ACCOUNT",
        "PermissionSetArn": permission_set,
        "PrincipalType": principal_type,
        "PrincipalId": principal_id,
        "CreatedDate": seconds(request.begun),
    });
    let name = if request.deletes { "AccountAssignmentDeletionStatus" } else { "AccountAssignmentCreationStatus" };
    json!({ name: status })
}
