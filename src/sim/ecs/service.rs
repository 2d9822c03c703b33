//! Services: they keep as many tasks running as they are told to.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::cluster::Cluster;
use super::definition::TaskDefinition;
use super::task::{Place, Start, Strategy, check_placement};
use super::{Ecs, Tag, found, part, read, refuse, with_known};
use crate::sim::call::{Call, Refusal};
use crate::sim::ec2::Ec2;
use crate::sim::time::seconds;
use crate::sim::world::Rng;

/// How many tasks a service may have ("Amazon ECS service quotas").
const TASKS: u32 = 5_000;
/// How many services a cluster may have (the same source).
const SERVICES: usize = 5_000;

/// A service.
#[derive(Debug, Clone, Serialize)]
pub struct Service {
    /// Its name.
    pub name: String,
    /// Its ARN.
    pub arn: String,
    /// `ACTIVE`; `DRAINING` once it was deleted, until its tasks have stopped; then `INACTIVE`.
    pub status: String,
    /// The ARN of its task definition.
    pub definition: String,
    /// How many tasks it wants. A daemon has none: it wants one on every container instance that fits.
    pub desired: Option<u32>,
    /// Where its tasks run.
    pub place: Place,
    /// Which container instances fit.
    pub constraints: Vec<Constraint>,
    /// The network of its tasks.
    pub network: Option<Value>,
    /// When it was created.
    pub created: Timestamp,
    /// By whom.
    pub by: String,
    /// Tags.
    pub tags: Vec<Tag>,
    /// Of its deployment, by which its tasks name who started them.
    pub deployment: String,
    /// The token of the call that created it.
    #[serde(skip)]
    pub token: Option<String>,
}

/// A placement constraint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Constraint {
    /// `distinctInstance`, `memberOf`.
    #[serde(rename = "type")]
    pub kind: String,
    /// What an instance must be like, in the cluster query language.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expression: Option<String>,
}

impl Constraint {
    /// Whether a container instance satisfies it. Container instances here have no custom attributes, and expressions
    /// about anything else are refused when they are set.
    fn admits(&self) -> bool {
        self.kind != "memberOf"
    }

    fn check(&self) -> Result<(), Refusal> {
        let expression = self.expression.as_deref().unwrap_or_default();
        match self.kind.as_str() {
            "distinctInstance" => Ok(()),
            "memberOf" if expression.starts_with("attribute:") && !expression.starts_with("attribute:ecs.") => Ok(()),
            _ => Err(refuse("InvalidParameterException", format!("Invalid expression: {expression}"))),
        }
    }
}

impl Service {
    /// Starts and stops tasks until there are as many as it wants. Which of them it stops it is not free to choose: a
    /// protected one stays.
    pub(super) fn settle(
        &mut self,
        cluster: &mut Cluster,
        definitions: &BTreeMap<String, Vec<TaskDefinition>>,
        usable: &[String],
        rng: &mut Rng,
        now: Timestamp,
    ) {
        let all = definitions.values().flatten();
        let Some(definition) = all.into_iter().find(|definition| definition.arn == self.definition) else { return };
        let live = |cluster: &Cluster| {
            let mine =
                cluster.tasks.values().filter(|task| task.is_wanted() && task.service.as_ref() == Some(&self.name));
            mine.map(|task| (task.id.clone(), task.instance.clone())).collect::<Vec<_>>()
        };
        let running = live(cluster);
        let wanted: Vec<Option<String>> = match (self.status.as_str(), self.desired, &self.place) {
            ("ACTIVE", Some(count), Place::Ec2) if !usable.is_empty() => {
                usable.iter().cycle().take(count as usize).cloned().map(Some).collect()
            }
            ("ACTIVE", Some(_), Place::Ec2) => Vec::new(),
            ("ACTIVE", Some(count), _) => vec![None; count as usize],
            ("ACTIVE", None, _) if self.constraints.iter().all(Constraint::admits) => {
                usable.iter().cloned().map(Some).collect()
            }
            _ => Vec::new(),
        };
        if self.desired.is_none() {
            for (id, _) in running.iter().filter(|(_, instance)| !wanted.contains(instance)) {
                self.scale_in(cluster, id, now);
            }
            let occupied: Vec<Option<String>> = live(cluster).into_iter().map(|(_, instance)| instance).collect();
            for instance in wanted.into_iter().filter(|instance| !occupied.contains(instance)) {
                self.start(cluster, definition, instance, rng, now);
            }
        } else {
            for (id, _) in running.iter().skip(wanted.len()) {
                self.scale_in(cluster, id, now);
            }
            for instance in wanted.into_iter().skip(running.len()) {
                self.start(cluster, definition, instance, rng, now);
            }
        }
        let of_mine = |task: &&super::task::Task| task.service.as_ref() == Some(&self.name);
        let ended = cluster.tasks.values().filter(of_mine).all(|task| task.last_status(now) == "STOPPED");
        if self.status == "DRAINING" && ended {
            "INACTIVE".clone_into(&mut self.status);
        }
    }

    fn scale_in(&self, cluster: &mut Cluster, id: &str, now: Timestamp) {
        if let Some(task) = cluster.tasks.get_mut(id).filter(|task| !task.is_protected(now)) {
            let reason = format!("Scaling activity initiated by (deployment {})", self.deployment);
            task.stop(now, "ServiceSchedulerInitiated", &reason);
        }
    }

    fn start(
        &self,
        cluster: &mut Cluster,
        definition: &TaskDefinition,
        instance: Option<String>,
        rng: &mut Rng,
        now: Timestamp,
    ) {
        let start = Start {
            definition,
            place: self.place.clone(),
            group: format!("service:{}", self.name),
            started_by: Some(self.deployment.clone()),
            service: Some(self.name.clone()),
            instance,
            tags: Vec::new(),
            token: None,
        };
        cluster.start(start, rng, now);
    }

    fn shown(&self, cluster: &Cluster, now: Timestamp) -> Value {
        let mine = || cluster.tasks.values().filter(|task| task.service.as_ref() == Some(&self.name));
        let running = mine().filter(|task| task.last_status(now) == "RUNNING").count();
        let pending = mine().filter(|task| matches!(task.last_status(now), "PROVISIONING" | "PENDING")).count();
        let desired =
            self.desired.map_or_else(|| mine().filter(|task| task.is_wanted()).count(), |count| count as usize);
        let deployment = json!({
            "id": self.deployment,
            "status": "PRIMARY",
            "taskDefinition": self.definition,
            "desiredCount": desired,
            "runningCount": running,
            "pendingCount": pending,
            "createdAt": seconds(self.created),
            "updatedAt": seconds(self.created),
            "launchType": self.place.launch_type(),
        });
        let shown = json!({
            "serviceArn": self.arn,
            "serviceName": self.name,
            "clusterArn": cluster.arn,
            "status": self.status,
            "desiredCount": desired,
            "runningCount": running,
            "pendingCount": pending,
            "taskDefinition": self.definition,
            "createdAt": seconds(self.created),
            "createdBy": self.by,
            "schedulingStrategy": if self.desired.is_some() { "REPLICA" } else { "DAEMON" },
            "deploymentController": { "type": "ECS" },
            "deployments": [deployment],
            "events": [],
            "loadBalancers": [],
            "placementConstraints": self.constraints,
            "placementStrategy": [],
            "serviceRegistries": [],
            "tags": self.tags,
        });
        let provider = self.place.provider();
        let strategy = provider.map(|name| json!([{ "capacityProvider": name, "weight": 1, "base": 0 }]));
        let launch_type = provider.is_none().then(|| json!(self.place.launch_type()));
        with_known(
            shown,
            &[
                ("networkConfiguration", self.network.clone()),
                ("capacityProviderStrategy", strategy),
                ("launchType", launch_type),
            ],
        )
    }
}

/// The service that a name or an ARN means.
fn name(asked: &str) -> &str {
    asked.rsplit('/').next().unwrap_or(asked)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Create {
    cluster: Option<String>,
    service_name: String,
    task_definition: Option<String>,
    desired_count: Option<u32>,
    launch_type: Option<String>,
    #[serde(default)]
    capacity_provider_strategy: Vec<Strategy>,
    network_configuration: Option<Value>,
    scheduling_strategy: Option<String>,
    #[serde(default)]
    placement_constraints: Vec<Constraint>,
    #[serde(default)]
    tags: Vec<Tag>,
    client_token: Option<String>,
    #[serde(rename = "platformVersion")]
    _platform: Option<String>,
    #[serde(rename = "deploymentConfiguration")]
    _deployment: Option<Value>,
    #[serde(rename = "enableECSManagedTags")]
    _managed_tags: Option<bool>,
    #[serde(rename = "enableExecuteCommand")]
    _execute: Option<bool>,
    #[serde(rename = "propagateTags")]
    _propagate: Option<String>,
}

/// CreateService.
pub(super) fn create(ecs: &mut Ecs, ec2: &Ec2, call: &Call) -> Result<Value, Refusal> {
    let asked: Create = read(call)?;
    let invalid = |message: &str| Err(refuse("InvalidParameterException", message));
    let Some(named) = asked.task_definition else { return invalid("TaskDefinition cannot be blank.") };
    let definition = ecs.definition(&named)?.clone();
    let cluster = ecs.cluster_mut(asked.cluster.as_deref())?;
    let place = Place::of(cluster, asked.launch_type.as_deref(), &asked.capacity_provider_strategy)?;
    check_placement(&definition, &place, asked.network_configuration.as_ref(), ec2)?;
    asked.placement_constraints.iter().try_for_each(Constraint::check)?;
    let desired = match (asked.scheduling_strategy.as_deref().unwrap_or("REPLICA"), asked.desired_count) {
        ("DAEMON", None | Some(0)) if place == Place::Ec2 => None,
        ("DAEMON", Some(_)) => {
            return invalid("The daemon scheduling strategy does not support a desired count for services.");
        }
        ("DAEMON", _) => return invalid("The daemon scheduling strategy is not supported on AWS Fargate."),
        (_, Some(count)) if count <= TASKS => Some(count),
        (_, None) => return invalid("The replica scheduling strategy requires a desired count."),
        (_, Some(_)) => return invalid("The desired count exceeds the quota of tasks per service."),
    };
    let existing = cluster.services.get(&asked.service_name).filter(|service| service.status != "INACTIVE");
    if let Some(existing) = existing {
        if existing.token.is_some() && existing.token == asked.client_token {
            return Ok(json!({ "service": existing.shown(cluster, call.now) }));
        }
        return invalid("Creation of service was not idempotent.");
    }
    if cluster.services.len() >= SERVICES {
        return invalid("The cluster has as many services as its quota allows.");
    }
    let service = Service {
        arn: cluster.arn_of("service", &asked.service_name),
        name: asked.service_name.clone(),
        status: "ACTIVE".to_owned(),
        definition: definition.arn,
        desired,
        place,
        constraints: asked.placement_constraints,
        network: asked.network_configuration,
        created: call.now,
        by: call.principal.principal_arn.clone(),
        tags: asked.tags,
        deployment: format!("ecs-svc/{:019}", call.now.as_microsecond()),
        token: asked.client_token,
    };
    let shown = service.shown(cluster, call.now);
    cluster.services.insert(asked.service_name, service);
    Ok(json!({ "service": shown }))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Update {
    cluster: Option<String>,
    service: String,
    desired_count: Option<u32>,
    task_definition: Option<String>,
    placement_constraints: Option<Vec<Constraint>>,
    network_configuration: Option<Value>,
    #[serde(rename = "forceNewDeployment")]
    _force: Option<bool>,
}

/// UpdateService.
pub(super) fn update(ecs: &mut Ecs, ec2: &Ec2, call: &Call) -> Result<Value, Refusal> {
    let asked: Update = read(call)?;
    let definition = asked.task_definition.as_deref().map(|named| ecs.definition(named).cloned()).transpose()?;
    let cluster = ecs.cluster_mut(asked.cluster.as_deref())?;
    let missing = || refuse("ServiceNotFoundException", "Service not found.");
    let service = cluster.services.get_mut(name(&asked.service)).ok_or_else(missing)?;
    if service.status != "ACTIVE" {
        return Err(refuse("ServiceNotActiveException", "Service was not ACTIVE."));
    }
    let invalid = |message: &str| Err(refuse("InvalidParameterException", message));
    match (asked.desired_count, service.desired) {
        (Some(_), None) => {
            return invalid("The daemon scheduling strategy does not support a desired count for services.");
        }
        (Some(count), Some(_)) if count > TASKS => {
            return invalid("The desired count exceeds the quota of tasks per service.");
        }
        _ => {}
    }
    if let Some(definition) = &definition {
        let network = asked.network_configuration.as_ref().or(service.network.as_ref());
        check_placement(definition, &service.place, network, ec2)?;
    }
    asked.placement_constraints.iter().flatten().try_for_each(Constraint::check)?;
    service.desired = asked.desired_count.or(service.desired);
    service.network = asked.network_configuration.or(service.network.take());
    if let Some(definition) = definition {
        service.definition = definition.arn;
    }
    if let Some(constraints) = asked.placement_constraints {
        service.constraints = constraints;
    }
    let shown = cluster.services[name(&asked.service)].shown(cluster, call.now);
    Ok(json!({ "service": shown }))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Delete {
    cluster: Option<String>,
    service: String,
    force: Option<bool>,
}

/// DeleteService.
pub(super) fn delete(ecs: &mut Ecs, call: &Call) -> Result<Value, Refusal> {
    let asked: Delete = read(call)?;
    let cluster = ecs.cluster_mut(asked.cluster.as_deref())?;
    let missing = || refuse("ServiceNotFoundException", "Service not found.");
    let service = cluster.services.get_mut(name(&asked.service)).ok_or_else(missing)?;
    if service.desired.is_some_and(|count| count > 0) && asked.force != Some(true) {
        let message = "The service cannot be stopped while it is scaled above 0.";
        return Err(refuse("InvalidParameterException", message));
    }
    "DRAINING".clone_into(&mut service.status);
    let shown = cluster.services[name(&asked.service)].shown(cluster, call.now);
    Ok(json!({ "service": shown }))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Describe {
    cluster: Option<String>,
    services: Vec<String>,
    #[serde(default, rename = "include")]
    _include: Vec<String>,
}

/// DescribeServices.
pub(super) fn describe(ecs: &Ecs, call: &Call) -> Result<Value, Refusal> {
    let asked: Describe = read(call)?;
    let cluster = ecs.cluster(asked.cluster.as_deref())?;
    if !(1..=10).contains(&asked.services.len()) {
        return Err(refuse("InvalidParameterException", "Services must hold between 1 and 10 names."));
    }
    Ok(found("services", &asked.services, |asked| Some(cluster.services.get(name(asked))?.shown(cluster, call.now))))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct List {
    cluster: Option<String>,
    launch_type: Option<String>,
    scheduling_strategy: Option<String>,
    next_token: Option<String>,
    max_results: Option<usize>,
}

/// ListServices.
pub(super) fn list(ecs: &Ecs, call: &Call) -> Result<Value, Refusal> {
    let asked: List = read(call)?;
    let cluster = ecs.cluster(asked.cluster.as_deref())?;
    let strategy = |service: &Service| if service.desired.is_some() { "REPLICA" } else { "DAEMON" };
    let wanted = |service: &&Service| {
        service.status != "INACTIVE"
            && asked.launch_type.as_ref().is_none_or(|kind| service.place.launch_type() == kind)
            && asked.scheduling_strategy.as_ref().is_none_or(|wanted| strategy(service) == wanted)
    };
    let arns = cluster.services.values().filter(wanted).map(|service| service.arn.clone()).collect();
    part("serviceArns", arns, asked.next_token.as_deref(), asked.max_results, 10)
}
