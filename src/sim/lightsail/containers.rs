//! Lightsail container services.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{CHANGE_TAKES, Lightsail, Tag, arn, invalid, location, not_found, read, seconds};
use crate::sim::call::{Call, Refusal};

/// A service that runs containers.
#[derive(Debug, Clone, Serialize)]
pub struct ContainerService {
    /// Its name.
    pub name: String,
    /// Its ARN.
    pub arn: String,
    /// Since when.
    pub created: Timestamp,
    /// `nano` to `xlarge`.
    pub power: String,
    /// How many nodes, 1 to 20.
    pub scale: u32,
    /// Whether it is switched off.
    pub disabled: bool,
    /// The containers of its last deployment, and how many there were.
    pub deployment: Option<(u32, Value)>,
    /// Tags.
    pub tags: Vec<Tag>,
    /// What is being done, and until when.
    #[serde(skip)]
    changing: Option<(&'static str, Timestamp)>,
}

impl ContainerService {
    /// Lets time do its work.
    pub fn settle(&mut self, now: Timestamp) {
        self.changing = self.changing.filter(|(_, until)| *until > now);
    }

    fn state(&self) -> &'static str {
        match (self.changing, self.disabled, &self.deployment) {
            (Some((state, _)), ..) => state,
            (None, true, _) => "DISABLED",
            (None, false, Some(_)) => "RUNNING",
            (None, false, None) => "READY",
        }
    }

    /// Refuses a change while another is under way.
    fn check(&self) -> Result<(), Refusal> {
        match self.changing {
            None => Ok(()),
            Some((state, _)) => Err(invalid(format!("The service {} is {state}: try again later", self.name))),
        }
    }

    fn shown(&self, call: &Call) -> Value {
        let mut json = json!({
            "containerServiceName": self.name,
            "arn": self.arn,
            "createdAt": seconds(self.created),
            "location": location(call, "all"),
            "resourceType": "ContainerService",
            "tags": self.tags,
            "power": self.power,
            "scale": self.scale,
            "state": self.state(),
            "isDisabled": self.disabled,
            "url": format!("https://{}.example.{}.cs.amazonlightsail.com/", self.name, call.region),
        });
        if let Some((version, containers)) = &self.deployment {
            let state = if self.disabled { "INACTIVE" } else { "ACTIVE" };
            json["currentDeployment"] = json!({ "version": version, "state": state, "containers": containers });
        }
        json
    }
}

fn named<'a>(state: &'a mut Lightsail, name: &str) -> Result<&'a mut ContainerService, Refusal> {
    state.containers.get_mut(name).ok_or_else(|| not_found("ContainerService", name))
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct List {
    service_name: Option<String>,
}

/// GetContainerServices.
pub(super) fn list(state: &mut Lightsail, call: &Call) -> Result<Value, Refusal> {
    let List { service_name } = read(call)?;
    let shown: Vec<Value> = match service_name {
        Some(name) => vec![named(state, &name)?.shown(call)],
        None => state.containers.values().map(|service| service.shown(call)).collect(),
    };
    Ok(json!({ "containerServices": shown }))
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Create {
    service_name: String,
    power: String,
    scale: u32,
    #[serde(default)]
    tags: Vec<Tag>,
}

/// CreateContainerService.
pub(super) fn create(state: &mut Lightsail, call: &Call, uuid: &str) -> Result<Value, Refusal> {
    let params: Create = read(call)?;
    check_size(&params.power, params.scale)?;
    if state.containers.contains_key(&params.service_name) {
        return Err(invalid(format!("The service name {} is already in use", params.service_name)));
    }
    let service = ContainerService {
        arn: arn(call, "ContainerService", uuid),
        name: params.service_name,
        created: call.now,
        power: params.power,
        scale: params.scale,
        disabled: false,
        deployment: None,
        tags: params.tags,
        changing: Some(("PENDING", call.now + CHANGE_TAKES)),
    };
    let answer = json!({ "containerService": service.shown(call) });
    state.containers.insert(service.name.clone(), service);
    Ok(answer)
}

fn check_size(power: &str, scale: u32) -> Result<(), Refusal> {
    let known = ["nano", "micro", "small", "medium", "large", "xlarge"].contains(&power);
    if known && (1..=20).contains(&scale) {
        Ok(())
    } else {
        Err(invalid("power must be nano to xlarge, and scale from 1 to 20"))
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Deploy {
    service_name: String,
    containers: Value,
}

/// CreateContainerServiceDeployment.
pub(super) fn deploy(state: &mut Lightsail, call: &Call) -> Result<Value, Refusal> {
    let params: Deploy = read(call)?;
    let service = named(state, &params.service_name)?;
    service.check()?;
    if service.disabled {
        return Err(invalid(format!("The service {} is DISABLED", service.name)));
    }
    let version = service.deployment.as_ref().map_or(1, |(version, _)| version + 1);
    service.deployment = Some((version, params.containers));
    service.changing = Some(("DEPLOYING", call.now + CHANGE_TAKES));
    Ok(json!({ "containerService": service.shown(call) }))
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Update {
    service_name: String,
    power: Option<String>,
    scale: Option<u32>,
    is_disabled: Option<bool>,
}

/// UpdateContainerService. A service that is switched on again runs its last deployment.
pub(super) fn update(state: &mut Lightsail, call: &Call) -> Result<Value, Refusal> {
    let params: Update = read(call)?;
    let service = named(state, &params.service_name)?;
    service.check()?;
    let (power, scale) = (params.power.unwrap_or(service.power.clone()), params.scale.unwrap_or(service.scale));
    check_size(&power, scale)?;
    (service.power, service.scale) = (power, scale);
    service.disabled = params.is_disabled.unwrap_or(service.disabled);
    service.changing = Some(("UPDATING", call.now + CHANGE_TAKES));
    Ok(json!({ "containerService": service.shown(call) }))
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Delete {
    service_name: String,
}

/// DeleteContainerService.
pub(super) fn delete(state: &mut Lightsail, call: &Call) -> Result<Value, Refusal> {
    let Delete { service_name } = read(call)?;
    named(state, &service_name)?;
    state.containers.remove(&service_name);
    Ok(json!({}))
}
