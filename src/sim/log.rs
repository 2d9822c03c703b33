//! What was asked of the simulator: the request log, and each account's event history.

use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::call::{Body, Call, Permission, Reply};
use super::cloudtrail::{Event, Identity, USUAL_ADDRESS};
use super::wire::params::{Form, Params};
use super::wire::request::bucket_and_key;
use super::wire::xml::Xml;
use super::world::World;
use crate::model::AccountId;

/// A line of the request log: what `GET /_sim/log` answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// When it arrived.
    pub time: Timestamp,
    /// The account of the key; none if nobody's.
    pub account: Option<AccountId>,
    /// The region of the signature.
    pub region: String,
    /// The service.
    pub service: String,
    /// The operation.
    pub operation: String,
    /// The ARN of the principal, if it was authenticated.
    pub principal: Option<String>,
    /// The id of the access key.
    pub access_key: Option<String>,
    /// `ok`, AWS's error code, or the fault: `no-answer`.
    pub outcome: String,
}

/// Parameters and answers that no record shows.
const HIDDEN: [&str; 9] = [
    "SecretAccessKey",
    "SessionToken",
    "Password",
    "NewPassword",
    "OldPassword",
    "ServicePassword",
    "ServiceCredentialSecret",
    "UserData",
    "secretAccessKey",
];

/// Beginnings of the names of operations that change nothing.
const READING: [&str; 11] =
    ["BatchGet", "Describe", "Get", "List", "Lookup", "Simulate", "Search", "Head", "Decode", "Assume", "Generate"];

/// Whether an operation only reads, as CloudTrail's `readOnly` has it.
pub fn is_read_only(operation: &str) -> bool {
    READING.iter().any(|prefix| operation.starts_with(prefix))
}

/// Writes the call to the event history of its account, and of the account whose role it assumed.
pub fn record(world: &mut World, call: &Call, permissions: &[Permission], reply: &Reply) {
    let data_event = match call.service.as_str() {
        "s3" => bucket_and_key(&call.http.path).1.is_some(),
        "lambda" => call.operation == "Invoke",
        _ => false,
    };
    if !world.settings.event_history || data_event {
        return;
    }
    let mut event = Event {
        id: world.uuid(),
        time: call.now,
        name: event_name(call),
        source: format!("{}.amazonaws.com", call.service),
        region: call.region.clone(),
        recipient: call.account.clone(),
        read_only: is_read_only(&call.operation),
        identity: Identity::of(call),
        resources: resources(permissions),
        request: request_parameters(call),
        response: Value::Null,
        error: None,
        request_id: call.request_id.clone(),
        source_address: USUAL_ADDRESS.to_owned(),
        user_agent: call.http.headers.get("user-agent").and_then(|agent| agent.to_str().ok()).unwrap_or("-").to_owned(),
    };
    match reply {
        Ok(body) if !event.read_only || call.service == "sts" => event.response = response_elements(body),
        Ok(_) => {}
        Err(refusal) => event.error = Some((refusal.code.clone(), refusal.message.clone())),
    }
    if let (Ok(_), Some(account)) = (reply, assumed_account(call))
        && account != call.account
        && let Some(other) = world.accounts.get_mut(&account)
        && let Some(region) = other.regions.get_mut(&call.region)
    {
        let identity = event.identity.as_seen_elsewhere();
        region.cloudtrail.record(Event { recipient: account, identity, ..event.clone() });
    }
    let (account, region) = (call.account.clone(), call.region.clone());
    world.region_mut(&account, &region).cloudtrail.record(event);
}

/// The name of the event: the operation, for Lambda with the version of its API (AWS Lambda Developer Guide, "Logging AWS
/// Lambda API calls using AWS CloudTrail").
fn event_name(call: &Call) -> String {
    let operation = call.operation.as_str();
    let version = match operation {
        _ if call.service != "lambda" => "",
        "GetFunction"
        | "GetPolicy"
        | "AddPermission"
        | "RemovePermission"
        | "GetFunctionConfiguration"
        | "UpdateFunctionConfiguration" => "20150331v2",
        "PutFunctionConcurrency" | "DeleteFunctionConcurrency" => "20171031",
        _ if operation.contains("FunctionUrl") || operation.contains("Provisioned") => "",
        _ => "20150331",
    };
    format!("{operation}{version}")
}

/// The account whose role a call assumes.
fn assumed_account(call: &Call) -> Option<AccountId> {
    let Params::Form(Form::Tree(tree)) = &call.params else { return None };
    let Some(Form::Text(arn)) = tree.get("RoleArn").filter(|_| call.service == "sts") else { return None };
    AccountId::new(arn.split(':').nth(4)?).ok()
}

fn resources(permissions: &[Permission]) -> Vec<(String, String)> {
    let named = permissions.iter().filter(|permission| permission.resource != "*").map(|permission| {
        let mut parts = permission.resource.splitn(6, ':');
        let service = parts.nth(2).unwrap_or_default().to_owned();
        let resource = parts.nth(2).unwrap_or_default();
        let (kind, name) = resource.split_once('/').unwrap_or(("", resource));
        (resource_type(&service, kind), name.to_owned())
    });
    let mut named: Vec<_> = named.filter(|(_, name)| !name.is_empty() && name != "*").collect();
    named.dedup();
    named
}

/// `AWS::EC2::Instance` for `instance` of `ec2`.
fn resource_type(service: &str, kind: &str) -> String {
    let capital = |word: &str| {
        let mut letters = word.chars();
        letters.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(letters).collect::<String>()
    };
    let service = match service {
        "ec2" | "iam" | "sts" | "s3" => service.to_ascii_uppercase(),
        "autoscaling" => "AutoScaling".to_owned(),
        other => capital(other),
    };
    let kind = if kind.is_empty() { "Bucket".to_owned() } else { kind.split('-').map(capital).collect() };
    format!("AWS::{service}::{kind}")
}

fn request_parameters(call: &Call) -> Value {
    match &call.params {
        Params::Json(json) if matches!(call.service.as_str(), "lambda" | "sagemaker") => {
            let mut parameters = in_lower_camel(json.clone());
            if let Some(shown) = parameters.as_object_mut() {
                // What may hold secrets is left out.
                shown.retain(|name, _| !matches!(name.as_str(), "environment" | "code"));
            }
            hide(parameters)
        }
        Params::Json(json) => hide(json.clone()),
        Params::Form(form) if call.service == "s3" => {
            let (bucket, _) = bucket_and_key(&call.http.path);
            let mut parameters = form_value(form);
            parameters["bucketName"] = json!(bucket);
            parameters
        }
        Params::Form(form) => form_value(form),
    }
}

/// A document whose names begin with small letters.
fn in_lower_camel(value: Value) -> Value {
    match value {
        Value::Object(object) => {
            Value::Object(object.into_iter().map(|(name, value)| (lower_camel(&name), in_lower_camel(value))).collect())
        }
        Value::Array(items) => items.into_iter().map(in_lower_camel).collect(),
        other => other,
    }
}

fn form_value(form: &Form) -> Value {
    match form {
        Form::Text(text) => Value::from(text.as_str()),
        Form::Tree(tree) => {
            let object = tree.iter().map(|(name, form)| (lower_camel(name), form_value(form)));
            hide(Value::Object(object.collect()))
        }
    }
}

fn response_elements(body: &Body) -> Value {
    match body {
        Body::Xml(children) => hide(xml_value(children)),
        Body::Json(json) => hide(json.clone()),
        Body::Raw(_) => Value::Null,
    }
}

fn xml_value(children: &[Xml]) -> Value {
    if children.iter().all(|child| matches!(child.name(), "item" | "member")) && !children.is_empty() {
        return children.iter().map(element_value).collect();
    }
    Value::Object(children.iter().map(|child| (lower_camel(child.name()), element_value(child))).collect())
}

fn element_value(element: &Xml) -> Value {
    element.as_text().map_or_else(|| xml_value(element.children()), Value::from)
}

fn hide(value: Value) -> Value {
    match value {
        Value::Object(object) => {
            let hidden = |name: &str| HIDDEN.iter().any(|secret| secret.eq_ignore_ascii_case(name));
            let members = object.into_iter().map(|(name, value)| {
                let value = if hidden(&name) { json!("HIDDEN_DUE_TO_SECURITY_REASONS") } else { hide(value) };
                (name, value)
            });
            Value::Object(members.collect::<Map<_, _>>())
        }
        Value::Array(items) => items.into_iter().map(hide).collect(),
        other => other,
    }
}

fn lower_camel(name: &str) -> String {
    let mut letters = name.chars();
    letters.next().map(|first| first.to_ascii_lowercase()).into_iter().chain(letters).collect()
}

impl Entry {
    /// The line of a call that was authenticated.
    pub fn of(call: &Call, reply: &Reply) -> Self {
        Self {
            time: call.now,
            account: Some(call.account.clone()),
            region: call.region.to_string(),
            service: call.service.clone(),
            operation: call.operation.clone(),
            principal: Some(call.principal.arn.clone()),
            access_key: Some(call.access_key.clone()),
            outcome: reply.as_ref().map_or_else(|refusal| refusal.code.clone(), |_| "ok".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::call::test_call;

    fn recorded(call: &Call, permissions: &[Permission], reply: &Reply) -> Event {
        let mut world = World::new(1);
        world.add_account(call.account.clone(), "development");
        record(&mut world, call, permissions, reply);
        world.region(&call.account, &call.region).cloudtrail.events[0].clone()
    }

    #[test]
    fn a_new_key_is_recorded_without_its_secret() {
        let call = test_call("iam", "CreateAccessKey", "UserName=mara.weiss");
        let key = vec![Xml::text("AccessKeyId", "AKIA1"), Xml::text("SecretAccessKey", "wJalr")];
        let event = recorded(&call, &[], &Ok(Body::Xml(vec![Xml::node("AccessKey", key)])));
        assert_eq!(event.request["userName"], "mara.weiss");
        assert_eq!(event.response["accessKey"]["accessKeyId"], "AKIA1");
        assert!(!event.response.to_string().contains("wJalr"));
    }

    #[test]
    fn resources_come_from_what_had_to_be_allowed() {
        let call = test_call("ec2", "StopInstances", "InstanceId.1=i-1");
        let instance = Permission::new("ec2:StopInstances", "arn:aws:ec2:us-east-1:111122223333:instance/i-1");
        let event = recorded(&call, &[instance], &Ok(Body::empty()));
        assert_eq!(event.resources, [("AWS::EC2::Instance".to_owned(), "i-1".to_owned())]);
        assert!(!event.read_only);
    }

    #[test]
    fn an_assumed_role_is_recorded_on_both_sides() {
        let role = "RoleArn=arn%3Aaws%3Aiam%3A%3A444455556666%3Arole%2Fx";
        let call = test_call("sts", "AssumeRole", role);
        let mut world = World::new(1);
        let other = AccountId::new("444455556666").unwrap();
        world.add_account(call.account.clone(), "management");
        world.add_account(other.clone(), "development");
        record(&mut world, &call, &[], &Ok(Body::empty()));
        let seen = &world.region(&other, &call.region).cloudtrail.events[0];
        assert_eq!(seen.recipient, other);
        assert_eq!(seen.identity.access_key, "", "another account is not shown the key");
        assert_eq!(seen.identity.account, call.account);
    }
}
