//! What Organizations answers, through `permissions` and `handle`.

use super::*;
use crate::sim::call::test_call;

const DENY: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"*","Resource":"*"}]}"#;

/// The caller's account is the management account.
fn world() -> World {
    let mut world = World::new(1);
    let management = AccountId::new("111122223333").unwrap();
    let member = (AccountId::new("444455556666").unwrap(), "development", Some("workloads"));
    let now = Timestamp::UNIX_EPOCH;
    let made = Organization::new(&mut world.rng, (&management, "management"), &[member], &["workloads"], now);
    world.organization = Some(made);
    world
}

fn ask(world: &mut World, operation: &str, params: Value) -> Result<Value, Refusal> {
    let call = Call { params: Params::Json(params), ..test_call("organizations", operation, "") };
    permissions(world, &call)?;
    match handle(world, &call)? {
        Body::Json(json) => Ok(json),
        _ => unreachable!("Organizations answers JSON"),
    }
}

fn code(reply: Result<Value, Refusal>) -> String {
    reply.expect_err("a refusal").code
}

fn create(world: &mut World, name: &str) -> Result<Value, Refusal> {
    let params = json!({ "Name": name, "Description": "", "Type": "SERVICE_CONTROL_POLICY", "Content": DENY });
    ask(world, "CreatePolicy", params)
}

#[test]
fn a_policy_is_made_attached_detached_and_deleted() {
    let mut world = world();
    let made = create(&mut world, "quarantine").unwrap();
    let id = made["Policy"]["PolicySummary"]["Id"].as_str().unwrap().to_owned();
    assert_eq!(code(create(&mut world, "quarantine")), "DuplicatePolicyException");
    let both = json!({ "PolicyId": id, "TargetId": "444455556666" });
    ask(&mut world, "AttachPolicy", both.clone()).unwrap();
    assert_eq!(code(ask(&mut world, "AttachPolicy", both.clone())), "DuplicatePolicyAttachmentException");
    assert_eq!(code(ask(&mut world, "DeletePolicy", json!({ "PolicyId": id }))), "PolicyInUseException");
    ask(&mut world, "DetachPolicy", both.clone()).unwrap();
    assert_eq!(code(ask(&mut world, "DetachPolicy", both)), "PolicyNotAttachedException");
    ask(&mut world, "DeletePolicy", json!({ "PolicyId": id })).unwrap();
}

#[test]
fn the_first_and_the_last_policy_of_a_target_have_their_limits() {
    let mut world = world();
    let last = json!({ "PolicyId": FULL_ACCESS, "TargetId": "444455556666" });
    let refusal = ask(&mut world, "DetachPolicy", last).unwrap_err();
    assert_eq!(refusal.members, [("Reason", "MIN_POLICY_TYPE_ATTACHMENT_LIMIT_EXCEEDED".to_owned())]);
    for number in 0..ATTACHABLE {
        let made = create(&mut world, &format!("p{number}")).unwrap();
        let id = made["Policy"]["PolicySummary"]["Id"].clone();
        let attached = ask(&mut world, "AttachPolicy", json!({ "PolicyId": id, "TargetId": "444455556666" }));
        assert_eq!(attached.is_ok(), number < 9, "FullAWSAccess takes one of ten places");
    }
}

const ATTACHABLE: usize = 10;

#[test]
fn a_list_may_begin_with_an_empty_page() {
    let mut world = world();
    world.settings.empty_first_pages = true;
    let first = ask(&mut world, "ListAccounts", json!({})).unwrap();
    assert_eq!((first["Accounts"].as_array().unwrap().len(), &first["NextToken"]), (0, &json!("0")));
    let second = ask(&mut world, "ListAccounts", json!({ "NextToken": "0" })).unwrap();
    assert_eq!((second["Accounts"].as_array().unwrap().len(), second.get("NextToken")), (2, None));
}

#[test]
fn documents_are_checked() {
    let mut world = world();
    let params =
        |content: &str| json!({ "Name": "p", "Description": "", "Type": "SERVICE_CONTROL_POLICY", "Content": content });
    assert_eq!(code(ask(&mut world, "CreatePolicy", params("{}"))), "MalformedPolicyDocumentException");
    let large = format!("{DENY}{}", " ".repeat(10_240));
    let refusal = ask(&mut world, "CreatePolicy", params(&large)).unwrap_err();
    assert_eq!(refusal.members, [("Reason", "POLICY_CONTENT_LIMIT_EXCEEDED".to_owned())]);
}

#[test]
fn who_is_not_the_management_account_is_refused() {
    let mut world = world();
    world.organization.as_mut().unwrap().management = "444455556666".to_owned();
    assert_eq!(code(create(&mut world, "p")), "AccessDeniedException");
    assert!(ask(&mut world, "DescribeOrganization", json!({})).is_ok());
    world.organization = None;
    assert_eq!(code(ask(&mut world, "ListRoots", json!({}))), "AWSOrganizationsNotInUseException");
}

#[test]
fn accounts_have_state_beside_status_and_a_parent_to_move_from() {
    let mut world = world();
    let listed = ask(&mut world, "ListAccounts", json!({ "MaxResults": 1 })).unwrap();
    assert_eq!(listed["Accounts"][0]["State"], "ACTIVE");
    assert!(listed["NextToken"].is_string());
    let parents = ask(&mut world, "ListParents", json!({ "ChildId": "444455556666" })).unwrap();
    let unit = parents["Parents"][0]["Id"].clone();
    let root = world.organization.as_ref().unwrap().root.clone();
    let there = json!({ "AccountId": "444455556666", "SourceParentId": unit, "DestinationParentId": root });
    ask(&mut world, "MoveAccount", there.clone()).unwrap();
    assert_eq!(code(ask(&mut world, "MoveAccount", there)), "SourceParentNotFoundException");
}
