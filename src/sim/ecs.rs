//! Amazon ECS: services, which start their tasks again, and tasks that stand alone, on Fargate and on container instances.
//!
//! Services are driven by a service-linked role, so no service control policy holds them back.
//!
//! For scenarios: call CreateCluster, RegisterTaskDefinition, RunTask, CreateService; or fill [`Ecs::clusters`].

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use super::call::{Body, Call, Permission, Refusal, Reply};
use super::ec2::Ec2;
use super::world::{Rng, World};
use cluster::Cluster;
use definition::TaskDefinition;

pub mod cluster;
pub mod definition;
pub mod service;
pub mod task;

/// What an account has in one region.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Ecs {
    /// Clusters, by name.
    pub clusters: BTreeMap<String, Cluster>,
    /// The revisions of every family of task definitions, the first first.
    pub definitions: BTreeMap<String, Vec<TaskDefinition>>,
}

impl Ecs {
    /// Lets time do its work: services start and stop tasks until there are as many as they want.
    pub fn settle(&mut self, ec2: &Ec2, rng: &mut Rng, now: Timestamp) {
        for cluster in self.clusters.values_mut() {
            cluster.settle(&self.definitions, ec2, rng, now);
        }
    }

    /// The cluster that a call names, by name or ARN; `default` when it names none.
    fn cluster(&self, asked: Option<&str>) -> Result<&Cluster, Refusal> {
        let name = cluster::name(asked);
        self.clusters.get(name).ok_or_else(|| refuse("ClusterNotFoundException", "Cluster not found."))
    }

    fn cluster_mut(&mut self, asked: Option<&str>) -> Result<&mut Cluster, Refusal> {
        let name = cluster::name(asked);
        self.clusters.get_mut(name).ok_or_else(|| refuse("ClusterNotFoundException", "Cluster not found."))
    }

    /// A task definition by `family`, `family:revision` or ARN.
    fn definition(&self, asked: &str) -> Result<&TaskDefinition, Refusal> {
        let name = asked.rsplit('/').next().unwrap_or(asked);
        let (family, revision) = name.split_once(':').unwrap_or((name, ""));
        let revisions = self.definitions.get(family).map_or(&[][..], Vec::as_slice);
        let found = match revision {
            "" => revisions.last(),
            number => revisions.iter().find(|definition| definition.revision.to_string() == number),
        };
        found.ok_or_else(|| refuse("ClientException", "Unable to describe task definition."))
    }
}

/// What the call needs to be allowed (Service Authorization Reference, "Actions defined by Amazon Elastic Container
/// Service").
pub fn permissions(world: &World, call: &Call) -> Result<Vec<Permission>, Refusal> {
    let ecs = &world.region(&call.account, &call.region).ecs;
    let text = |name: &str| call.params.json().get(name).and_then(Value::as_str);
    let texts = |name: &str| {
        let list = call.params.json().get(name).and_then(Value::as_array).into_iter().flatten();
        list.filter_map(Value::as_str).collect::<Vec<_>>()
    };
    let action = format!("ecs:{}", call.operation);
    let cluster = cluster::name(text("cluster"));
    let arn = |kind: &str, name: &str| {
        let name = name.rsplit('/').next().unwrap_or(name);
        format!("arn:{}:ecs:{}:{}:{kind}/{cluster}/{name}", world.partition, call.region, call.account)
    };
    let of_cluster = |name: &str| {
        let name = cluster::name(Some(name));
        format!("arn:{}:ecs:{}:{}:cluster/{name}", world.partition, call.region, call.account)
    };
    let resources: Vec<String> = match call.operation.as_str() {
        "CreateCluster"
        | "ListClusters"
        | "ListServices"
        | "ListTasks"
        | "RegisterTaskDefinition"
        | "DescribeTaskDefinition"
        | "ListTaskDefinitions" => vec![],
        "DeleteCluster" | "RegisterContainerInstance" | "ListContainerInstances" => vec![of_cluster(cluster)],
        "DescribeClusters" => texts("clusters").into_iter().map(of_cluster).collect(),
        "CreateService" => vec![arn("service", text("serviceName").unwrap_or_default())],
        "UpdateService" | "DeleteService" => vec![arn("service", text("service").unwrap_or_default())],
        "DescribeServices" => texts("services").into_iter().map(|name| arn("service", name)).collect(),
        "StopTask" => vec![arn("task", text("task").unwrap_or_default())],
        "DescribeTasks" | "UpdateTaskProtection" | "GetTaskProtection" => {
            texts("tasks").into_iter().map(|name| arn("task", name)).collect()
        }
        "RunTask" => {
            let named = text("taskDefinition").unwrap_or_default();
            vec![ecs.definition(named).map_or_else(|_| named.to_owned(), |definition| definition.arn.clone())]
        }
        _ => return Err(call.unknown()),
    };
    let with_cluster = |permission: Permission| permission.with("ecs:cluster", of_cluster(cluster));
    let mut needed: Vec<Permission> =
        resources.into_iter().map(|resource| with_cluster(Permission::new(&action, resource))).collect();
    if needed.is_empty() {
        needed.push(with_cluster(Permission::new(&action, "*")));
    }
    needed.extend(
        passed_roles(ecs, call)
            .into_iter()
            .map(|role| Permission::new("iam:PassRole", role).with("iam:PassedToService", "ecs-tasks.amazonaws.com")),
    );
    Ok(needed)
}

/// The roles that a call hands to containers.
fn passed_roles(ecs: &Ecs, call: &Call) -> Vec<String> {
    let params = call.params.json();
    let roles = |of: &Value| {
        let named = ["taskRoleArn", "executionRoleArn"].into_iter().filter_map(|name| of.get(name)?.as_str());
        named.map(str::to_owned).collect::<Vec<_>>()
    };
    match call.operation.as_str() {
        "RegisterTaskDefinition" => roles(params),
        "RunTask" | "CreateService" | "UpdateService" => {
            let definition = params.get("taskDefinition").and_then(Value::as_str);
            let definition = definition.and_then(|name| ecs.definition(name).ok());
            let overrides = params.get("overrides").map(roles).unwrap_or_default();
            definition.map(|definition| roles(&definition.asked)).into_iter().flatten().chain(overrides).collect()
        }
        _ => Vec::new(),
    }
}

/// Carries the call out.
pub fn handle(world: &mut World, call: &Call) -> Reply {
    let World { accounts, rng, .. } = world;
    let account = accounts.get_mut(&call.account).expect("the account of an authenticated call");
    let state = account.regions.get_mut(&call.region).expect("the region of an authenticated call");
    let (ecs, ec2) = (&mut state.ecs, &state.ec2);
    ecs.settle(ec2, rng, call.now);
    let answer = match call.operation.as_str() {
        "CreateCluster" => cluster::create(ecs, call),
        "DeleteCluster" => cluster::delete(ecs, call),
        "DescribeClusters" => cluster::describe(ecs, call),
        "ListClusters" => cluster::list(ecs, call),
        "RegisterContainerInstance" => cluster::register_instance(ecs, ec2, rng, call),
        "ListContainerInstances" => cluster::list_instances(ecs, call),
        "RegisterTaskDefinition" => definition::register(ecs, call),
        "DescribeTaskDefinition" => definition::describe(ecs, call),
        "ListTaskDefinitions" => definition::list(ecs, call),
        "RunTask" => task::run(ecs, ec2, rng, call),
        "StopTask" => task::stop(ecs, call),
        "DescribeTasks" => task::describe(ecs, call),
        "ListTasks" => task::list(ecs, call),
        "UpdateTaskProtection" => task::protect(ecs, call),
        "GetTaskProtection" => task::protection(ecs, call),
        "CreateService" => service::create(ecs, ec2, call),
        "UpdateService" => service::update(ecs, ec2, call),
        "DeleteService" => service::delete(ecs, call),
        "DescribeServices" => service::describe(ecs, call),
        "ListServices" => service::list(ecs, call),
        _ => Err(call.unknown()),
    };
    ecs.settle(ec2, rng, call.now);
    answer.map(Body::Json)
}

fn refuse(code: &str, message: impl Into<String>) -> Refusal {
    Refusal::new(400, code, message)
}

/// The parameters of a call. What ECS does not understand it calls `InvalidParameterException`.
fn read<T: DeserializeOwned>(call: &Call) -> Result<T, Refusal> {
    call.params.read().map_err(|refusal| match refusal.code.as_str() {
        "UnknownParameter" => refusal,
        _ => Refusal { code: "InvalidParameterException".to_owned(), ..refusal },
    })
}

/// A tag, as ECS writes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tag {
    /// Its key.
    pub key: String,
    /// Its value.
    #[serde(default)]
    pub value: String,
}

/// One part of a list of texts.
fn part(name: &str, items: Vec<String>, token: Option<&str>, most: Option<usize>, by: usize) -> Result<Value, Refusal> {
    let invalid = || refuse("InvalidParameterException", "Invalid token.");
    let start = token.map_or(Ok(0), str::parse::<usize>).map_err(|_| invalid())?;
    let most = most.unwrap_or(by);
    if !(1..=100).contains(&most) {
        return Err(refuse("InvalidParameterException", "maxResults must be between 1 and 100."));
    }
    let end = start.saturating_add(most).min(items.len());
    let shown = items.get(start..end).ok_or_else(invalid)?;
    let mut answer = json!({ name: shown });
    if end < items.len() {
        answer["nextToken"] = json!(end.to_string());
    }
    Ok(answer)
}

/// A failure inside an answer.
fn failure(arn: &str, reason: &str) -> Value {
    json!({ "arn": arn, "reason": reason })
}

/// What a list of names finds, and what it does not.
fn found(member: &str, names: &[String], look: impl Fn(&str) -> Option<Value>) -> Value {
    let (mut found, mut failures) = (Vec::new(), Vec::new());
    for name in names {
        match look(name) {
            Some(value) => found.push(value),
            None => failures.push(failure(name, "MISSING")),
        }
    }
    json!({ member: found, "failures": failures })
}

/// The members that have a value.
fn with_known(mut base: Value, more: &[(&str, Option<Value>)]) -> Value {
    let object: Option<&mut Map<String, Value>> = base.as_object_mut();
    if let Some(object) = object {
        object.extend(more.iter().filter_map(|(name, value)| Some(((*name).to_owned(), value.clone()?))));
    }
    base
}
