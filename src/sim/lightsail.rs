//! Amazon Lightsail: instances and container services, in regions of its own.
//!
//! For scenarios: call the operations, or fill [`Lightsail`].

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::call::{Body, Call, Permission, Refusal, Reply};
use super::wire::params::Params;
use super::world::World;

mod containers;
mod instances;

/// The regions that have an endpoint.
pub const REGIONS: [&str; 19] = [
    "ap-east-1",
    "ap-northeast-1",
    "ap-northeast-2",
    "ap-south-1",
    "ap-southeast-1",
    "ap-southeast-2",
    "ap-southeast-3",
    "ap-southeast-5",
    "ca-central-1",
    "eu-central-1",
    "eu-north-1",
    "eu-south-2",
    "eu-west-1",
    "eu-west-2",
    "eu-west-3",
    "sa-east-1",
    "us-east-1",
    "us-east-2",
    "us-west-2",
];

/// How long an instance starts and stops, and a container service changes.
const CHANGE_TAKES: SignedDuration = SignedDuration::from_secs(20);

/// What an account has in one region.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Lightsail {
    /// Instances, by name.
    pub instances: BTreeMap<String, instances::Instance>,
    /// Container services, by name.
    pub containers: BTreeMap<String, containers::ContainerService>,
}

/// A tag, as every resource has them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Tag {
    /// Its key.
    pub key: String,
    /// Its value.
    #[serde(default)]
    pub value: String,
}

/// What the call needs to be allowed. ("Actions, resources, and condition keys for Amazon Lightsail".)
pub fn permissions(world: &World, call: &Call) -> Result<Vec<Permission>, Refusal> {
    let Params::Json(params) = &call.params else { return Err(call.unknown()) };
    let state = &world.region(&call.account, &call.region).lightsail;
    let text = |name: &str| params[name].as_str().unwrap_or_default();
    let resource = match call.operation.as_str() {
        "GetRegions" | "GetInstances" | "GetContainerServices" => "*".to_owned(),
        "CreateInstances" => arn(call, "Instance", "*"),
        "GetInstance" | "StartInstance" | "StopInstance" | "DeleteInstance" => {
            let instance = state.instances.get(text("instanceName"));
            instance.map_or_else(|| arn(call, "Instance", "*"), |instance| instance.arn.clone())
        }
        "CreateContainerService" => arn(call, "ContainerService", "*"),
        "CreateContainerServiceDeployment" | "UpdateContainerService" | "DeleteContainerService" => {
            let service = state.containers.get(text("serviceName"));
            service.map_or_else(|| arn(call, "ContainerService", "*"), |service| service.arn.clone())
        }
        _ => return Err(call.unknown()),
    };
    let tags = params["tags"].as_array().into_iter().flatten();
    let with = |permission: Permission, tag: &Value| {
        let value = tag["value"].as_str().unwrap_or_default();
        permission.with(format!("aws:RequestTag/{}", tag["key"].as_str().unwrap_or_default()), value)
    };
    Ok(vec![tags.fold(Permission::new(format!("lightsail:{}", call.operation), resource), with)])
}

/// Carries the call out.
pub fn handle(world: &mut World, call: &Call) -> Reply {
    let uuid = world.uuid();
    let state = &mut world.region_mut(&call.account, &call.region).lightsail;
    state.settle(call.now);
    let json = match call.operation.as_str() {
        "GetRegions" => Ok(regions()),
        "GetInstances" => instances::list(state, call),
        "GetInstance" => instances::one(state, call),
        "CreateInstances" => instances::create(state, call, &uuid),
        "StartInstance" | "StopInstance" => instances::switch(state, call, &uuid),
        "DeleteInstance" => instances::delete(state, call, &uuid),
        "GetContainerServices" => containers::list(state, call),
        "CreateContainerService" => containers::create(state, call, &uuid),
        "CreateContainerServiceDeployment" => containers::deploy(state, call),
        "UpdateContainerService" => containers::update(state, call),
        "DeleteContainerService" => containers::delete(state, call),
        _ => Err(call.unknown()),
    }?;
    Ok(Body::Json(json))
}

impl Lightsail {
    /// Lets time do its work.
    pub fn settle(&mut self, now: Timestamp) {
        self.instances.values_mut().for_each(|instance| instance.settle(now));
        self.containers.values_mut().for_each(|service| service.settle(now));
    }
}

fn regions() -> Value {
    let regions = REGIONS.iter().map(|name| json!({ "name": name, "displayName": name, "availabilityZones": [] }));
    json!({ "regions": regions.collect::<Vec<_>>() })
}

fn arn(call: &Call, kind: &str, id: &str) -> String {
    format!("arn:aws:lightsail:{}:{}:{kind}/{id}", call.region, call.account)
}

fn invalid(message: impl Into<String>) -> Refusal {
    Refusal::new(400, "InvalidInputException", message)
}

fn not_found(kind: &str, name: &str) -> Refusal {
    Refusal::new(404, "NotFoundException", format!("The {kind} does not exist: {name}"))
}

fn read<T: DeserializeOwned>(call: &Call) -> Result<T, Refusal> {
    call.params.read().map_err(|refusal| invalid(refusal.message))
}

/// Seconds, as the JSON protocol has times.
fn seconds(at: Timestamp) -> Value {
    json!(at.as_duration().as_secs_f64())
}

fn location(call: &Call, zone: &str) -> Value {
    json!({ "availabilityZone": zone, "regionName": call.region.as_str() })
}
