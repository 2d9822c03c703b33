//! Lightsail instances.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{CHANGE_TAKES, Lightsail, Tag, arn, invalid, location, not_found, read, seconds};
use crate::sim::call::{Call, Refusal};

/// How many instances an account may have (Amazon Lightsail service quotas).
const MOST: usize = 20;
/// How many one page shows.
const PAGE: usize = 100;

/// A machine.
#[derive(Debug, Clone, Serialize)]
pub struct Instance {
    /// Its name.
    pub name: String,
    /// Its ARN.
    pub arn: String,
    /// Since when.
    pub created: Timestamp,
    /// `eu-central-1a`.
    pub zone: String,
    /// What it runs: `ubuntu_22_04`.
    pub blueprint: String,
    /// How big it is: `2xlarge_3_0`.
    pub bundle: String,
    /// None while it is stopped.
    pub public_ip: Option<String>,
    /// Where it has got to.
    pub state: State,
    /// Tags.
    pub tags: Vec<Tag>,
}

/// Where an instance has got to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// Being made or started.
    Pending {
        /// When it will run.
        until: Timestamp,
    },
    /// Up.
    Running,
    /// Being stopped.
    Stopping {
        /// When it will be stopped.
        until: Timestamp,
    },
    /// Down.
    Stopped,
}

impl State {
    /// As EC2 has them.
    fn shown(self) -> Value {
        match self {
            Self::Pending { .. } => json!({ "code": 0, "name": "pending" }),
            Self::Running => json!({ "code": 16, "name": "running" }),
            Self::Stopping { .. } => json!({ "code": 64, "name": "stopping" }),
            Self::Stopped => json!({ "code": 80, "name": "stopped" }),
        }
    }
}

impl Instance {
    /// Lets time do its work.
    pub fn settle(&mut self, now: Timestamp) {
        match self.state {
            State::Pending { until } if until <= now => self.state = State::Running,
            State::Stopping { until } if until <= now => {
                self.state = State::Stopped;
                self.public_ip = None;
            }
            _ => {}
        }
    }

    fn cpus(&self) -> u32 {
        match self.bundle.split('_').next().unwrap_or_default() {
            "xlarge" => 4,
            size => {
                size.strip_suffix("xlarge").and_then(|times| times.parse::<u32>().ok()).map_or(2, |times| 4 * times)
            }
        }
    }

    fn shown(&self, call: &Call) -> Value {
        let mut json = json!({
            "name": self.name,
            "arn": self.arn,
            "createdAt": seconds(self.created),
            "location": location(call, &self.zone),
            "resourceType": "Instance",
            "tags": self.tags,
            "blueprintId": self.blueprint,
            "bundleId": self.bundle,
            "isStaticIp": false,
            "ipAddressType": "dualstack",
            "hardware": { "cpuCount": self.cpus() },
            "state": self.state.shown(),
        });
        if let Some(address) = &self.public_ip {
            json["publicIpAddress"] = json!(address);
        }
        json
    }
}

/// An operation, as every call that changes an instance answers.
fn operations(call: &Call, names: &[String], uuid: &str) -> Value {
    let kind = call.operation.trim_end_matches('s');
    let operations = names.iter().map(|name| {
        json!({
            "id": uuid,
            "resourceName": name,
            "resourceType": "Instance",
            "createdAt": seconds(call.now),
            "location": location(call, "all"),
            "isTerminal": false,
            "operationType": kind,
            "status": "Started",
            "statusChangedAt": seconds(call.now),
        })
    });
    json!({ "operations": operations.collect::<Vec<_>>() })
}

/// An address that follows from name and time: another after every start.
fn address(name: &str, now: Timestamp) -> String {
    let mixed = name.bytes().fold(now.as_second().unsigned_abs(), |sum, byte| sum.wrapping_mul(31) + u64::from(byte));
    let [.., c, d] = mixed.to_be_bytes();
    format!("203.0.{}.{}", c, d.max(1))
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct List {
    page_token: Option<String>,
}

/// GetInstances.
pub(super) fn list(state: &Lightsail, call: &Call) -> Result<Value, Refusal> {
    let params: List = read(call)?;
    let after = params.page_token.unwrap_or_default();
    let mut rest = state.instances.values().filter(|instance| instance.name > after);
    let shown: Vec<&Instance> = rest.by_ref().take(PAGE).collect();
    let mut answer = json!({ "instances": shown.iter().map(|instance| instance.shown(call)).collect::<Vec<_>>() });
    if rest.next().is_some() {
        answer["nextPageToken"] = json!(shown.last().map(|instance| &instance.name));
    }
    Ok(answer)
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Named {
    instance_name: String,
    #[serde(rename = "force")]
    _force: Option<bool>,
    #[serde(rename = "forceDeleteAddOns")]
    _force_delete_add_ons: Option<bool>,
}

fn named<'a>(state: &'a mut Lightsail, name: &str) -> Result<&'a mut Instance, Refusal> {
    state.instances.get_mut(name).ok_or_else(|| not_found("Instance", name))
}

/// GetInstance.
pub(super) fn one(state: &mut Lightsail, call: &Call) -> Result<Value, Refusal> {
    let Named { instance_name, .. } = read(call)?;
    Ok(json!({ "instance": named(state, &instance_name)?.shown(call) }))
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Create {
    instance_names: Vec<String>,
    availability_zone: String,
    blueprint_id: String,
    bundle_id: String,
    #[serde(rename = "userData")]
    _user_data: Option<String>,
    #[serde(default)]
    tags: Vec<Tag>,
}

/// CreateInstances.
pub(super) fn create(state: &mut Lightsail, call: &Call, uuid: &str) -> Result<Value, Refusal> {
    let params: Create = read(call)?;
    if !params.availability_zone.starts_with(call.region.as_str()) {
        return Err(invalid(format!("The Availability Zone {} is not in {}", params.availability_zone, call.region)));
    }
    if let Some(taken) = params.instance_names.iter().find(|name| state.instances.contains_key(*name)) {
        return Err(invalid(format!("Some names are already in use: {taken}")));
    }
    if state.instances.len() + params.instance_names.len() > MOST {
        return Err(invalid(format!("Sorry, you've reached your maximum limit of Lightsail Instances : {MOST}.")));
    }
    for (nth, name) in params.instance_names.iter().enumerate() {
        let instance = Instance {
            arn: arn(call, "Instance", &format!("{uuid}{nth:02x}")),
            name: name.clone(),
            created: call.now,
            zone: params.availability_zone.clone(),
            blueprint: params.blueprint_id.clone(),
            bundle: params.bundle_id.clone(),
            public_ip: Some(address(name, call.now)),
            state: State::Pending { until: call.now + CHANGE_TAKES },
            tags: params.tags.clone(),
        };
        state.instances.insert(name.clone(), instance);
    }
    Ok(operations(call, &params.instance_names, uuid))
}

/// StartInstance and StopInstance. A new start gives a new address.
pub(super) fn switch(state: &mut Lightsail, call: &Call, uuid: &str) -> Result<Value, Refusal> {
    let Named { instance_name, .. } = read(call)?;
    let instance = named(state, &instance_name)?;
    let until = call.now + CHANGE_TAKES;
    instance.state = match (call.operation.as_str(), instance.state) {
        ("StopInstance", State::Running) => State::Stopping { until },
        ("StartInstance", State::Stopped) => State::Pending { until },
        (operation, _) => {
            let message = format!("{operation} is not possible in the current state of {instance_name}");
            return Err(Refusal::new(400, "OperationFailureException", message));
        }
    };
    if call.operation == "StartInstance" {
        instance.public_ip = Some(address(&instance_name, call.now));
    }
    Ok(operations(call, &[instance_name], uuid))
}

/// DeleteInstance: with its system disk.
pub(super) fn delete(state: &mut Lightsail, call: &Call, uuid: &str) -> Result<Value, Refusal> {
    let Named { instance_name, .. } = read(call)?;
    named(state, &instance_name)?;
    state.instances.remove(&instance_name);
    Ok(operations(call, &[instance_name], uuid))
}
