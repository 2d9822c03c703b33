//! Clusters and their container instances.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::{Value, json};

use super::definition::TaskDefinition;
use super::service::Service;
use super::task::Task;
use super::{Ecs, Tag, found, part, read, refuse};
use crate::sim::call::{Call, Refusal};
use crate::sim::ec2::Ec2;
use crate::sim::ec2::instances::State;
use crate::sim::world::Rng;

/// A cluster.
#[derive(Debug, Clone, Serialize)]
pub struct Cluster {
    /// Its name.
    pub name: String,
    /// Its ARN.
    pub arn: String,
    /// `ACTIVE`, or `INACTIVE` once it was deleted.
    pub status: String,
    /// Tags.
    pub tags: Vec<Tag>,
    /// `FARGATE`, `FARGATE_SPOT`.
    pub capacity_providers: Vec<String>,
    /// Services, by name.
    pub services: BTreeMap<String, Service>,
    /// Tasks, by id; a stopped one is shown for an hour. Those of a service are its own doing, so they are no part of a dump,
    /// nor are those that have ended.
    #[serde(serialize_with = "standing")]
    pub tasks: BTreeMap<String, Task>,
    /// Container instances: the id of each, and the instance that it is.
    pub instances: BTreeMap<String, String>,
}

impl Cluster {
    /// The ids of the container instances whose machines run.
    pub(super) fn usable(&self, ec2: &Ec2) -> Vec<String> {
        let up = |machine: &String| {
            ec2.instances.get(machine).is_some_and(|instance| matches!(instance.state, State::Running))
        };
        self.instances.iter().filter(|(_, machine)| up(machine)).map(|(id, _)| id.clone()).collect()
    }

    /// Its part of an ARN of `service` or `task`: `arn:…:service/name/`.
    pub(super) fn arn_of(&self, kind: &str, name: &str) -> String {
        format!("{}/{name}", self.arn.replacen(":cluster/", &format!(":{kind}/"), 1))
    }

    /// Ends tasks whose machine is gone, lets every service start and stop tasks, and forgets what stopped an hour ago.
    pub(super) fn settle(
        &mut self,
        definitions: &BTreeMap<String, Vec<TaskDefinition>>,
        ec2: &Ec2,
        rng: &mut Rng,
        now: Timestamp,
    ) {
        let usable = self.usable(ec2);
        for task in self.tasks.values_mut().filter(|task| task.is_wanted()) {
            if task.instance.as_ref().is_some_and(|instance| !usable.contains(instance)) {
                task.stop(now, "TerminationNotice", "Host EC2 terminated.");
            }
        }
        let mut services = std::mem::take(&mut self.services);
        for service in services.values_mut() {
            service.settle(self, definitions, &usable, rng, now);
        }
        self.services = services;
        self.tasks.retain(|_, task| !task.is_forgotten(now));
    }

    fn shown(&self, now: Timestamp) -> Value {
        let count = |status: &str| self.tasks.values().filter(|task| task.last_status(now) == status).count();
        json!({
            "clusterArn": self.arn,
            "clusterName": self.name,
            "status": self.status,
            "registeredContainerInstancesCount": self.instances.len(),
            "runningTasksCount": count("RUNNING"),
            "pendingTasksCount": count("PENDING") + count("PROVISIONING"),
            "activeServicesCount": self.services.values().filter(|service| service.status == "ACTIVE").count(),
            "statistics": [],
            "settings": [{ "name": "containerInsights", "value": "disabled" }],
            "capacityProviders": self.capacity_providers,
            "defaultCapacityProviderStrategy": [],
            "tags": self.tags,
        })
    }
}

fn standing<S: Serializer>(tasks: &BTreeMap<String, Task>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(tasks.iter().filter(|(_, task)| task.is_wanted() && task.service.is_none()))
}

/// The name of the cluster that a call asks for, by name or ARN, or not at all.
pub(super) fn name(asked: Option<&str>) -> &str {
    asked.map_or("default", |asked| asked.rsplit('/').next().unwrap_or(asked))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Create {
    cluster_name: Option<String>,
    #[serde(default)]
    tags: Vec<Tag>,
    #[serde(default)]
    capacity_providers: Vec<String>,
    #[serde(rename = "defaultCapacityProviderStrategy")]
    _default: Option<Value>,
    #[serde(rename = "settings")]
    _settings: Option<Value>,
}

/// CreateCluster. One that exists already is answered as it is.
pub(super) fn create(ecs: &mut Ecs, call: &Call) -> Result<Value, Refusal> {
    let asked: Create = read(call)?;
    let name = asked.cluster_name.unwrap_or_else(|| "default".to_owned());
    let fits = |letter: char| letter.is_ascii_alphanumeric() || "-_".contains(letter);
    if name.is_empty() || name.len() > 255 || !name.chars().all(fits) {
        return Err(refuse("InvalidParameterException", "Invalid identifier: Identifier is invalid."));
    }
    if let Some(unknown) =
        asked.capacity_providers.iter().find(|name| !matches!(name.as_str(), "FARGATE" | "FARGATE_SPOT"))
    {
        let message = format!("The specified capacity provider '{unknown}' was not found.");
        return Err(refuse("InvalidParameterException", message));
    }
    let arn = format!("arn:aws:ecs:{}:{}:cluster/{name}", call.region, call.account);
    let made = Cluster {
        name: name.clone(),
        arn,
        status: "ACTIVE".to_owned(),
        tags: asked.tags,
        capacity_providers: asked.capacity_providers,
        services: BTreeMap::new(),
        tasks: BTreeMap::new(),
        instances: BTreeMap::new(),
    };
    let cluster = ecs.clusters.entry(name).or_insert_with(|| made.clone());
    if cluster.status != "ACTIVE" {
        *cluster = made;
    }
    Ok(json!({ "cluster": cluster.shown(call.now) }))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Named {
    cluster: String,
}

/// DeleteCluster: only when it is empty.
pub(super) fn delete(ecs: &mut Ecs, call: &Call) -> Result<Value, Refusal> {
    let asked: Named = read(call)?;
    let cluster = ecs.cluster_mut(Some(&asked.cluster))?;
    if cluster.services.values().any(|service| service.status != "INACTIVE") {
        let message = "The Cluster cannot be deleted while Services are active.";
        return Err(refuse("ClusterContainsServicesException", message));
    }
    if cluster.tasks.values().any(|task| task.last_status(call.now) != "STOPPED") {
        return Err(refuse("ClusterContainsTasksException", "The Cluster cannot be deleted while Tasks are active."));
    }
    if !cluster.instances.is_empty() {
        let message = "The Cluster cannot be deleted while Container Instances are active or draining.";
        return Err(refuse("ClusterContainsContainerInstancesException", message));
    }
    "INACTIVE".clone_into(&mut cluster.status);
    Ok(json!({ "cluster": cluster.shown(call.now) }))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Describe {
    #[serde(default)]
    clusters: Vec<String>,
    #[serde(rename = "include", default)]
    _include: Vec<String>,
}

/// DescribeClusters.
pub(super) fn describe(ecs: &Ecs, call: &Call) -> Result<Value, Refusal> {
    let mut asked: Describe = read(call)?;
    if asked.clusters.is_empty() {
        asked.clusters.push("default".to_owned());
    }
    Ok(found("clusters", &asked.clusters, |asked| Some(ecs.clusters.get(name(Some(asked)))?.shown(call.now))))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct List {
    cluster: Option<String>,
    next_token: Option<String>,
    max_results: Option<usize>,
}

/// ListClusters.
pub(super) fn list(ecs: &Ecs, call: &Call) -> Result<Value, Refusal> {
    let asked: List = read(call)?;
    let active = ecs.clusters.values().filter(|cluster| cluster.status == "ACTIVE");
    let arns = active.map(|cluster| cluster.arn.clone()).collect();
    part("clusterArns", arns, asked.next_token.as_deref(), asked.max_results, 100)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Register {
    cluster: Option<String>,
    instance_identity_document: String,
    #[serde(rename = "instanceIdentityDocumentSignature")]
    _signature: Option<String>,
    #[serde(rename = "totalResources")]
    _resources: Option<Value>,
    #[serde(rename = "versionInfo")]
    _version: Option<Value>,
}

/// RegisterContainerInstance: what the agent on a machine calls.
pub(super) fn register_instance(ecs: &mut Ecs, ec2: &Ec2, rng: &mut Rng, call: &Call) -> Result<Value, Refusal> {
    let asked: Register = read(call)?;
    let cluster = ecs.cluster_mut(asked.cluster.as_deref())?;
    let document: Value = serde_json::from_str(&asked.instance_identity_document).unwrap_or_default();
    let machine = document.get("instanceId").and_then(Value::as_str).unwrap_or_default();
    if !ec2.instances.contains_key(machine) {
        return Err(refuse("ClientException", "Unable to verify the instance identity document."));
    }
    let id = rng.hex(32);
    cluster.instances.insert(id.clone(), machine.to_owned());
    let arn = cluster.arn_of("container-instance", &id);
    Ok(json!({ "containerInstance": {
        "containerInstanceArn": arn, "ec2InstanceId": machine, "status": "ACTIVE", "agentConnected": true,
    } }))
}

/// ListContainerInstances.
pub(super) fn list_instances(ecs: &Ecs, call: &Call) -> Result<Value, Refusal> {
    let asked: List = read(call)?;
    let cluster = ecs.cluster(asked.cluster.as_deref())?;
    let arns = cluster.instances.keys().map(|id| cluster.arn_of("container-instance", id)).collect();
    part("containerInstanceArns", arns, asked.next_token.as_deref(), asked.max_results, 100)
}
