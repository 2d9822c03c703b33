//! What IAM answers, through `permissions` and `handle`.

use jiff::SignedDuration;

use super::*;
use crate::sim::call::test_call;

const TRUST: &str = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"Service":"ec2.amazonaws.com"},"Action":"sts:AssumeRole"}}"#;
const DENY: &str = r#"{"Version":"2012-10-17","Statement":{"Effect":"Deny","Action":"*","Resource":"*"}}"#;

fn world() -> World {
    let mut world = World::new(1);
    let account = world.add_account(AccountId::new("111122223333").unwrap(), "development").id.clone();
    let now = Timestamp::UNIX_EPOCH;
    for name in ["admin", "eve"] {
        create_user(&mut world, &account, "/", name, now).unwrap();
    }
    create_role(&mut world, &account, "/", "worker", TRUST, now).unwrap();
    world
}

/// The answer as text, or the code and status of the refusal.
fn ask(world: &mut World, operation: &str, form: &str) -> Result<String, (u16, String)> {
    let call = test_call("iam", operation, form);
    permissions(world, &call).expect("every operation has its permission");
    match handle(world, &call) {
        Ok(Body::Xml(children)) => {
            let mut text = String::new();
            for child in &children {
                child.write(&mut text);
            }
            Ok(text)
        }
        Ok(_) => unreachable!("IAM answers XML"),
        Err(refusal) => Err((refusal.status, refusal.code)),
    }
}

fn refused(status: u16, code: &str) -> Result<String, (u16, String)> {
    Err((status, code.to_owned()))
}

#[test]
fn lists_come_in_parts_with_markers() {
    let mut world = world();
    let first = ask(&mut world, "ListUsers", "MaxItems=1").unwrap();
    assert!(first.contains("<UserName>admin</UserName>") && first.contains("<IsTruncated>true</IsTruncated>"));
    let marker = first.split("<Marker>").nth(1).and_then(|rest| rest.split('<').next()).unwrap();
    let second = ask(&mut world, "ListUsers", &format!("MaxItems=1&Marker={marker}")).unwrap();
    assert!(second.contains("<UserName>eve</UserName>") && second.contains("<IsTruncated>false</IsTruncated>"));
    assert_eq!(ask(&mut world, "ListUsers", "Marker=zz"), refused(400, "ValidationError"));
}

#[test]
fn the_errors_are_those_of_aws() {
    let mut world = world();
    assert_eq!(ask(&mut world, "GetUser", "UserName=nobody"), refused(404, "NoSuchEntity"));
    assert_eq!(ask(&mut world, "CreateUser", "UserName=eve"), refused(409, "EntityAlreadyExists"));
    assert_eq!(ask(&mut world, "GetLoginProfile", "UserName=eve"), refused(404, "NoSuchEntity"));
    let put = "UserName=eve&PolicyName=p&PolicyDocument=%7B%7D";
    assert_eq!(ask(&mut world, "PutUserPolicy", put), refused(400, "MalformedPolicyDocument"));
    for _ in 0..2 {
        ask(&mut world, "CreateAccessKey", "UserName=eve").unwrap();
    }
    assert_eq!(ask(&mut world, "CreateAccessKey", "UserName=eve"), refused(409, "LimitExceeded"));
    assert_eq!(ask(&mut world, "DeleteUser", "UserName=eve"), refused(409, "DeleteConflict"));
    let unknown = ask(&mut world, "UpdateAccessKey", "UserName=eve&Status=Inactive&AccessKeyId=AKIAIOSFODNN7EXAMPLE");
    assert_eq!(unknown, refused(404, "NoSuchEntity"));
    let account = AccountId::new("111122223333").unwrap();
    create_role(&mut world, &account, "/aws-service-role/x/", "Linked", TRUST, Timestamp::UNIX_EPOCH).unwrap();
    let attach = "RoleName=Linked&PolicyArn=arn:aws:iam::aws:policy/AWSDenyAll";
    assert_eq!(ask(&mut world, "AttachRolePolicy", attach), refused(400, "UnmodifiableEntity"));
}

#[test]
fn a_user_name_that_is_left_out_is_the_callers() {
    let mut world = world();
    assert!(ask(&mut world, "CreateAccessKey", "").unwrap().contains("<UserName>admin</UserName>"));
}

#[test]
fn inline_policies_count_together_without_white_space() {
    let mut world = world();
    let policy = |actions: usize| {
        let action = format!("\"ec2:{}\"", "a".repeat(actions));
        format!(r#"{{"Version":"2012-10-17","Statement":{{"Effect":"Deny","Action":{action},"Resource":"*"}}}}"#)
    };
    let document = format!("{}{}", policy(1_800), " ".repeat(3_000));
    assert!(ask(&mut world, "PutUserPolicy", &format!("UserName=eve&PolicyName=a&PolicyDocument={document}")).is_ok());
    let second = format!("UserName=eve&PolicyName=b&PolicyDocument={}", policy(300));
    assert_eq!(ask(&mut world, "PutUserPolicy", &second), refused(409, "LimitExceeded"));
    assert!(ask(&mut world, "PutRolePolicy", &second.replace("UserName=eve", "RoleName=worker")).is_ok());
}

#[test]
fn policies_come_back_percent_encoded() {
    let mut world = world();
    ask(&mut world, "PutUserPolicy", &format!("UserName=eve&PolicyName=p&PolicyDocument={DENY}")).unwrap();
    let answer = ask(&mut world, "GetUserPolicy", "UserName=eve&PolicyName=p").unwrap();
    assert!(answer.contains("<PolicyDocument>%7B%22Version%22%3A%222012-10-17%22"), "{answer}");
}

#[test]
fn a_deactivated_key_is_seen_by_iam_at_once_and_by_others_later() {
    let mut world = world();
    let account = AccountId::new("111122223333").unwrap();
    let (id, _) = add_access_key(&mut world, &account, Some("eve"), Timestamp::UNIX_EPOCH).unwrap();
    ask(&mut world, "UpdateAccessKey", &format!("UserName=eve&Status=Inactive&AccessKeyId={id}")).unwrap();
    assert!(ask(&mut world, "ListAccessKeys", "UserName=eve").unwrap().contains("<Status>Inactive</Status>"));
    let now = test_call("iam", "", "").now;
    let status =
        |second| world.account(&account).iam.effective_key_status(&id, now + SignedDuration::from_secs(second));
    assert_eq!(status(3), Some(KeyStatus::Active));
    assert_eq!(status(4), Some(KeyStatus::Inactive));
}

#[test]
fn a_simulation_decides_as_a_call_would_be_decided() {
    let mut world = world();
    let account = AccountId::new("111122223333").unwrap();
    let eve = world.account_mut(&account).iam.users.get_mut("eve").unwrap();
    eve.policies.managed.insert("arn:aws:iam::aws:policy/ReadOnlyAccess".to_owned());
    eve.policies.managed.insert("arn:aws:iam::aws:policy/AWSCompromisedKeyQuarantineV3".to_owned());
    let form = "PolicySourceArn=arn:aws:iam::111122223333:user/eve&ActionNames.member.1=ec2:DescribeInstances\
                &ActionNames.member.2=ec2:RunInstances&ActionNames.member.3=ec2:StopInstances";
    let answer = ask(&mut world, "SimulatePrincipalPolicy", form).unwrap();
    let decisions: Vec<&str> =
        answer.split("<EvalDecision>").skip(1).filter_map(|rest| rest.split('<').next()).collect();
    assert_eq!(decisions, ["allowed", "explicitDeny", "implicitDeny"]);
}

#[test]
fn an_unknown_operation_is_named() {
    let world = world();
    let refusal = permissions(&world, &test_call("iam", "CreateVirtualMFADevice", "")).unwrap_err();
    assert!(refusal.message.contains("iam:CreateVirtualMFADevice"));
}
