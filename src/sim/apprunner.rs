//! AWS App Runner: services that run until they are paused.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::call::{Body, Call, Permission, Refusal, Reply};
use super::pages::{epoch, part};
use super::wire::params::Params;
use super::world::World;

/// Where App Runner is. ("AWS App Runner endpoints and quotas".)
pub const REGIONS: [&str; 11] = [
    "ap-northeast-1",
    "ap-south-1",
    "ap-southeast-1",
    "ap-southeast-2",
    "eu-central-1",
    "eu-west-1",
    "eu-west-2",
    "eu-west-3",
    "us-east-1",
    "us-east-2",
    "us-west-2",
];

/// How long an operation takes: making, pausing, resuming.
const TAKES: SignedDuration = SignedDuration::from_secs(90);
/// How many services an account may have in a region.
const QUOTA: usize = 30;

/// What an account has in one region.
#[derive(Debug, Clone, Default, Serialize)]
pub struct AppRunner {
    /// Services, by ARN.
    pub services: BTreeMap<String, Service>,
}

/// A service.
#[derive(Debug, Clone, Serialize)]
pub struct Service {
    /// Its name.
    pub name: String,
    /// Its ARN.
    pub arn: String,
    /// Its id.
    pub id: String,
    /// When it was made.
    pub created: Timestamp,
    /// What it is after the operation that began last: `RUNNING` or `PAUSED`.
    pub status: &'static str,
    /// When that operation began.
    pub since: Timestamp,
    /// What it runs.
    pub source: Value,
    /// `Cpu`, `Memory` and `InstanceRoleArn`.
    pub instance: Value,
    /// Tags.
    pub tags: BTreeMap<String, String>,
}

impl Service {
    /// Its status, as on the wire.
    pub fn status(&self, now: Timestamp) -> &'static str {
        if now < self.since + TAKES { "OPERATION_IN_PROGRESS" } else { self.status }
    }
}

/// What the call needs to be allowed. Whoever makes a service passes it the roles that it has.
pub fn permissions(_: &World, call: &Call) -> Result<Vec<Permission>, Refusal> {
    let Params::Json(params) = &call.params else { return Err(call.unknown()) };
    let text = |name: &str| params[name].as_str().unwrap_or_default().to_owned();
    let resource = match call.operation.as_str() {
        "ListServices" => "*".to_owned(),
        "CreateService" => {
            format!("arn:aws:apprunner:{}:{}:service/{}/*", call.region, call.account, text("ServiceName"))
        }
        "DeleteService" | "DescribeService" | "PauseService" | "ResumeService" => text("ServiceArn"),
        "ListTagsForResource" => text("ResourceArn"),
        _ => return Err(call.unknown()),
    };
    let mut needed = vec![Permission::new(format!("apprunner:{}", call.operation), resource)];
    let roles = [
        (&params["InstanceConfiguration"]["InstanceRoleArn"], "tasks.apprunner.amazonaws.com"),
        (
            &params["SourceConfiguration"]["AuthenticationConfiguration"]["AccessRoleArn"],
            "build.apprunner.amazonaws.com",
        ),
    ];
    let passed = roles.iter().filter_map(|(role, to)| Some((role.as_str()?, *to)));
    needed.extend(passed.map(|(role, to)| Permission::new("iam:PassRole", role).with("iam:PassedToService", to)));
    Ok(needed)
}

/// Carries the call out.
pub fn handle(world: &mut World, call: &Call) -> Reply {
    let id = world.rng.hex(32);
    let state = &mut world.region_mut(&call.account, &call.region).apprunner;
    let answer = match call.operation.as_str() {
        "CreateService" => create(state, call, &id),
        "DeleteService" => delete(state, call, &id),
        "DescribeService" => describe(state, call),
        "ListServices" => list(state, call),
        "ListTagsForResource" => tags(state, call),
        "PauseService" => switch(state, call, &id, ("RUNNING", "PAUSED")),
        "ResumeService" => switch(state, call, &id, ("PAUSED", "RUNNING")),
        _ => Err(call.unknown()),
    };
    answer.map(Body::Json)
}

fn read<T: serde::de::DeserializeOwned>(call: &Call) -> Result<T, Refusal> {
    call.params.read().map_err(|refusal| Refusal { code: "InvalidRequestException".to_owned(), ..refusal })
}

fn find<'a>(state: &'a mut AppRunner, arn: &str) -> Result<&'a mut Service, Refusal> {
    let missing = || Refusal::new(400, "ResourceNotFoundException", format!("Service {arn} does not exist."));
    state.services.get_mut(arn).ok_or_else(missing)
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Create {
    service_name: String,
    source_configuration: Value,
    #[serde(default)]
    instance_configuration: Value,
    #[serde(default)]
    tags: Vec<Tag>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Tag {
    key: String,
    #[serde(default)]
    value: String,
}

fn create(state: &mut AppRunner, call: &Call, id: &str) -> Result<Value, Refusal> {
    let asked: Create = read(call)?;
    if state.services.values().any(|service| service.name == asked.service_name) {
        let message = format!("Service with the provided name already exists: {}", asked.service_name);
        return Err(Refusal::new(400, "InvalidRequestException", message));
    }
    if state.services.len() >= QUOTA {
        return Err(Refusal::new(402, "ServiceQuotaExceededException", "The quota of services is reached."));
    }
    let arn = format!("arn:aws:apprunner:{}:{}:service/{}/{id}", call.region, call.account, asked.service_name);
    let asked_for =
        |name: &str, default: &str| asked.instance_configuration[name].as_str().unwrap_or(default).to_owned();
    let mut instance = json!({ "Cpu": asked_for("Cpu", "1024"), "Memory": asked_for("Memory", "2048") });
    if let Some(role) = asked.instance_configuration["InstanceRoleArn"].as_str() {
        instance["InstanceRoleArn"] = json!(role);
    }
    let service = Service {
        name: asked.service_name,
        arn: arn.clone(),
        id: id.to_owned(),
        created: call.now,
        status: "RUNNING",
        since: call.now,
        source: asked.source_configuration,
        instance,
        tags: asked.tags.into_iter().map(|tag| (tag.key, tag.value)).collect(),
    };
    let shown = shown(&service, call);
    state.services.insert(arn, service);
    Ok(json!({ "Service": shown, "OperationId": id }))
}

fn summary(service: &Service, call: &Call) -> Value {
    json!({
        "ServiceName": service.name,
        "ServiceId": service.id,
        "ServiceArn": service.arn,
        "ServiceUrl": format!("{}.{}.awsapprunner.com", service.id, call.region),
        "CreatedAt": epoch(service.created),
        "UpdatedAt": epoch(service.since),
        "Status": service.status(call.now),
    })
}

fn shown(service: &Service, call: &Call) -> Value {
    let mut shown = summary(service, call);
    shown["SourceConfiguration"] = service.source.clone();
    shown["InstanceConfiguration"] = service.instance.clone();
    shown["AutoScalingConfigurationSummary"] = json!({ "AutoScalingConfigurationName": "DefaultConfiguration" });
    shown["NetworkConfiguration"] = json!({ "IngressConfiguration": { "IsPubliclyAccessible": true } });
    shown
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Page {
    next_token: Option<String>,
    max_results: Option<usize>,
}

fn list(state: &AppRunner, call: &Call) -> Result<Value, Refusal> {
    let page: Page = read(call)?;
    let all = state.services.values().map(|service| summary(service, call)).collect();
    let (services, next) = part(all, page.next_token.as_deref(), page.max_results.unwrap_or(20).min(20))?;
    Ok(json!({ "ServiceSummaryList": services, "NextToken": next }))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Named {
    service_arn: String,
}

fn describe(state: &mut AppRunner, call: &Call) -> Result<Value, Refusal> {
    let Named { service_arn } = read(call)?;
    Ok(json!({ "Service": shown(find(state, &service_arn)?, call) }))
}

/// PauseService and ResumeService: from one status to the other, and from no other.
fn switch(state: &mut AppRunner, call: &Call, id: &str, (from, to): (&str, &'static str)) -> Result<Value, Refusal> {
    let Named { service_arn } = read(call)?;
    let service = find(state, &service_arn)?;
    let now = service.status(call.now);
    if now != from {
        return Err(wrong_state(now));
    }
    (service.status, service.since) = (to, call.now);
    Ok(json!({ "Service": shown(service, call), "OperationId": id }))
}

fn delete(state: &mut AppRunner, call: &Call, id: &str) -> Result<Value, Refusal> {
    let Named { service_arn } = read(call)?;
    let service = find(state, &service_arn)?;
    match service.status(call.now) {
        "OPERATION_IN_PROGRESS" => Err(wrong_state("OPERATION_IN_PROGRESS")),
        _ => {
            let mut shown = shown(service, call);
            shown["Status"] = json!("DELETED");
            state.services.remove(&service_arn);
            Ok(json!({ "Service": shown, "OperationId": id }))
        }
    }
}

fn wrong_state(status: &str) -> Refusal {
    let message = format!("You can't perform this operation on a service that is {status}.");
    Refusal::new(400, "InvalidStateException", message)
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct OfResource {
    resource_arn: String,
}

fn tags(state: &mut AppRunner, call: &Call) -> Result<Value, Refusal> {
    let OfResource { resource_arn } = read(call)?;
    let tags = &find(state, &resource_arn)?.tags;
    let tags: Vec<Value> = tags.iter().map(|(key, value)| json!({ "Key": key, "Value": value })).collect();
    Ok(json!({ "Tags": tags }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::AccountId;
    use crate::sim::call::test_call;

    #[test]
    fn a_service_is_paused_when_it_runs_and_resumed_when_it_is_paused() {
        let mut world = World::new(1);
        world.add_account(AccountId::new("111122223333").unwrap(), "development");
        let mut now: Timestamp = "2026-03-03T15:00:00Z".parse().unwrap();
        let mut ask = |now: Timestamp, operation: &str, params: Value| {
            let call = Call { now, params: Params::Json(params), ..test_call("apprunner", operation, "") };
            match handle(&mut world, &call) {
                Ok(Body::Json(json)) => Ok(json),
                Ok(_) => panic!("not JSON"),
                Err(refusal) => Err(refusal.code),
            }
        };
        let made = ask(now, "CreateService", json!({ "ServiceName": "mine", "SourceConfiguration": {} })).unwrap();
        let arn = json!({ "ServiceArn": made["Service"]["ServiceArn"] });
        assert_eq!(ask(now, "PauseService", arn.clone()).unwrap_err(), "InvalidStateException");
        now += TAKES;
        assert_eq!(ask(now, "ResumeService", arn.clone()).unwrap_err(), "InvalidStateException");
        ask(now, "PauseService", arn.clone()).unwrap();
        now += TAKES;
        assert_eq!(ask(now, "DescribeService", arn.clone()).unwrap()["Service"]["Status"], "PAUSED");
        ask(now, "ResumeService", arn.clone()).unwrap();
        assert_eq!(ask(now, "DescribeService", arn).unwrap()["Service"]["Status"], "OPERATION_IN_PROGRESS");
    }
}
