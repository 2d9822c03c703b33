//! CloudTrail's event history.

use serde_json::Value;

use super::{Seen, Subject, text, time};
use crate::model::Region;
use crate::story::fact::{Act, By, Confidence, Fact, Precision};

/// What the calls mean that matter most.
fn act(event: &str, read_only: bool) -> Act {
    match event {
        "CreateAccessKey" => Act::KeyMade,
        "CreateLoginProfile" | "UpdateLoginProfile" | "ChangePassword" => Act::PasswordSet,
        "CreateUser" => Act::UserMade,
        "CreateRole" => Act::RoleMade,
        "CreatePolicy" | "CreatePolicyVersion" | "SetDefaultPolicyVersion" => Act::PolicyMade,
        "AttachUserPolicy"
        | "PutUserPolicy"
        | "AddUserToGroup"
        | "AttachRolePolicy"
        | "PutRolePolicy"
        | "AttachGroupPolicy"
        | "PutGroupPolicy"
        | "DeleteUserPermissionsBoundary" => Act::PolicyChanged,
        "UpdateAssumeRolePolicy" => Act::TrustChanged,
        "EnableMFADevice" | "DeactivateMFADevice" | "CreateVirtualMFADevice" => Act::MfaChanged,
        "ConsoleLogin" => Act::PasswordUsed,
        "RunInstances" => Act::MachineLaunched,
        "StartInstances" => Act::MachineRestarted,
        "StopInstances" | "TerminateInstances" => Act::MachineStopped,
        "CopyImage" | "CreateImage" | "RegisterImage" => Act::ImageMade,
        "CreateSnapshot" | "CreateSnapshots" | "CopySnapshot" => Act::SnapshotMade,
        "CreateKeyPair" | "ImportKeyPair" => Act::KeyPairMade,
        "CreateLaunchTemplate" | "CreateLaunchTemplateVersion" => Act::TemplateMade,
        "RequestSpotInstances"
        | "RequestSpotFleet"
        | "CreateFleet"
        | "CreateAutoScalingGroup"
        | "UpdateAutoScalingGroup" => Act::LauncherMade,
        "CreateBucket" => Act::BucketMade,
        _ if read_only => Act::Read,
        _ => Act::Called,
    }
}

/// The facts of an event: one for each machine that it launched, and otherwise one.
pub(super) fn fact(seen: &Seen) -> Vec<Fact> {
    let state = &seen.record.state;
    let Ok(event) = serde_json::from_str::<Value>(text(state, "/CloudTrailEvent")) else { return Vec::new() };
    let at = event.get("eventTime").and_then(time).or_else(|| state.get("EventTime").and_then(time));
    let Some(at) = at else { return Vec::new() };
    let name = text(&event, "/eventName");
    let refused = text(&event, "/errorCode");
    let read_only = event.get("readOnly") == Some(&Value::Bool(true));
    let failed = !refused.is_empty() || text(&event, "/responseElements/ConsoleLogin") == "Failure";
    // What was refused changed nothing; that it was tried is told.
    let act = if failed { Act::Called } else { act(name, read_only) };
    let by = by(&event);
    let subjects = subjects(act, &event, by.as_ref());
    let region = Region::new(text(&event, "/awsRegion")).unwrap_or_else(|_| seen.record.target.region.clone());
    let one = |subject: Subject| {
        let who = by.as_ref().map_or("somebody", |by| short(&by.principal));
        let mut message = format!("{who} called {name} on {}", subject.id);
        if failed {
            message.push_str(if refused.is_empty() { ", which failed" } else { ", which was refused: " });
            message.push_str(refused);
        }
        Fact {
            time: at,
            precision: Precision::Second,
            confidence: Confidence::Recorded,
            phase: None,
            act,
            message,
            api: "cloudtrail:LookupEvents".to_owned(),
            field: format!("{} {}", text(&event, "/eventSource"), text(&event, "/eventID")),
            account: seen.record.target.account.clone(),
            region: region.clone(),
            by: by.clone(),
            subject,
            evidence: Some(seen.sha256.clone()),
            notes: Vec::new(),
        }
    };
    subjects.into_iter().map(one).collect()
}

/// Whose credentials were used. A session of a role stands for its role.
fn by(event: &Value) -> Option<By> {
    let identity = event.get("userIdentity")?;
    let issuer = text(identity, "/sessionContext/sessionIssuer/arn");
    let principal = match (issuer, text(identity, "/arn")) {
        ("", "") => {
            [text(identity, "/invokedBy"), text(identity, "/accountId")].into_iter().find(|who| !who.is_empty())?
        }
        ("", arn) => arn,
        (issuer, _) => issuer,
    };
    let filled = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let mfa = text(identity, "/sessionContext/attributes/mfaAuthenticated") == "true"
        || text(event, "/additionalEventData/MFAUsed") == "Yes";
    Some(By {
        principal: self::principal(principal),
        key: filled(text(identity, "/accessKeyId")),
        address: filled(text(event, "/sourceIPAddress")),
        mfa,
    })
}

/// The ARN of a user, role or root that an ARN speaks of: `assumed-role/R/session` is the role, whose path it does not tell.
pub(super) fn principal(arn: &str) -> String {
    match arn.split_once(":assumed-role/") {
        Some((head, rest)) => {
            let role = rest.split('/').next().unwrap_or_default();
            format!("{}:role/{role}", head.replacen(":sts:", ":iam:", 1))
        }
        None => arn.to_owned(),
    }
}

/// The name at the end of an ARN.
pub fn short(arn: &str) -> &str {
    if arn.ends_with(":root") { "root" } else { arn.rsplit('/').next().unwrap_or(arn) }
}

fn subjects(act: Act, event: &Value, by: Option<&By>) -> Vec<Subject> {
    // A call without a user name is about the caller.
    let named = [text(event, "/responseElements/accessKey/userName"), text(event, "/requestParameters/userName")];
    let itself = by.map(|by| short(&by.principal)).unwrap_or_default();
    let user = named.into_iter().find(|name| !name.is_empty()).unwrap_or(itself);
    match act {
        Act::KeyMade => {
            vec![Subject::new("iam access key", text(event, "/responseElements/accessKey/accessKeyId")).of_user(user)]
        }
        Act::PasswordSet | Act::PasswordUsed => vec![Subject::new("iam password", user).of_user(user)],
        Act::UserMade => vec![Subject::new("iam user", user).of_user(user)],
        Act::PolicyChanged if named.iter().any(|name| !name.is_empty()) => {
            vec![Subject::new("iam user", user).of_user(user)]
        }
        Act::MachineLaunched => {
            let machines = event.pointer("/responseElements/instancesSet/items").and_then(Value::as_array);
            let image = text(event, "/requestParameters/imageId");
            let machine = |item: &Value| {
                let image = [text(item, "/imageId"), image].into_iter().find(|image| !image.is_empty());
                Subject { image: image.map(str::to_owned), ..Subject::new("ec2 instance", text(item, "/instanceId")) }
            };
            let machines: Vec<Subject> = machines.into_iter().flatten().map(machine).collect();
            if machines.is_empty() { vec![Subject::new("ec2 instance", "an unknown machine")] } else { machines }
        }
        Act::ImageMade => {
            let image = [text(event, "/responseElements/imageId"), text(event, "/requestParameters/name")];
            vec![Subject::new("ec2 image", image.into_iter().find(|image| !image.is_empty()).unwrap_or("an image"))]
        }
        _ => vec![other(event)],
    }
}

/// What the parameters name first, with the service for its kind.
fn other(event: &Value) -> Subject {
    let service = text(event, "/eventSource").split('.').next().unwrap_or_default();
    let parameters = event.get("requestParameters").and_then(Value::as_object);
    let name = parameters.and_then(|parameters| parameters.values().find_map(Value::as_str)).unwrap_or(service);
    Subject::new(service, name)
}
