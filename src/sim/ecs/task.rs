//! Tasks: what runs.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::cluster::Cluster;
use super::definition::TaskDefinition;
use super::{Ecs, Tag, failure, found, part, read, refuse, with_known};
use crate::sim::call::{Call, Refusal};
use crate::sim::ec2::Ec2;
use crate::sim::time::seconds;
use crate::sim::world::Rng;

/// From the start of a task until it runs: half of it `PROVISIONING`, half `PENDING`.
const STARTS: SignedDuration = SignedDuration::from_secs(20);
/// How long containers are given after their SIGTERM ("StopTask": 30 s unless the task definition says otherwise).
const STOPS: SignedDuration = SignedDuration::from_secs(30);
/// Until the network interface of a task is gone.
const DEPROVISIONS: SignedDuration = SignedDuration::from_secs(10);
/// How long a stopped task is shown.
const SHOWN: SignedDuration = SignedDuration::from_hours(1);
/// How many tasks one call starts ("RunTask").
const AT_ONCE: u32 = 10;
/// vCPUs that may run on Fargate at once, in 1,024ths: the quota of an account in use ("Fargate service quotas").
const FARGATE: u32 = 4_000 * 1024;

/// A task.
#[derive(Debug, Clone, Serialize)]
pub struct Task {
    /// 32 hexadecimal digits.
    pub id: String,
    /// Its ARN.
    pub arn: String,
    /// The ARN of its task definition.
    pub definition: String,
    /// Name and image of each container.
    pub containers: Vec<(String, String)>,
    /// CPU units.
    pub cpu: Option<String>,
    /// MiB.
    pub memory: Option<String>,
    /// Where it runs.
    pub place: Place,
    /// `family:…`, or `service:…`.
    pub group: String,
    /// Who started it, in the words of the call; `ecs-svc/…` for a service.
    pub started_by: Option<String>,
    /// The service that it belongs to.
    pub service: Option<String>,
    /// The container instance on which it runs.
    pub instance: Option<String>,
    /// When it was started.
    pub created: Timestamp,
    /// That and why it is stopped.
    pub ending: Option<Ending>,
    /// Until when its service may not scale it in.
    pub protected: Option<Timestamp>,
    /// Tags.
    pub tags: Vec<Tag>,
    /// The token of the call that started it.
    #[serde(skip)]
    pub token: Option<String>,
}

/// Where tasks run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub enum Place {
    /// On container instances.
    Ec2,
    /// On Fargate.
    Fargate,
    /// On Fargate, by this capacity provider.
    Provider(String),
}

/// The end of a task.
#[derive(Debug, Clone, Serialize)]
pub struct Ending {
    /// When it was asked for.
    pub asked: Timestamp,
    /// `UserInitiated`, `ServiceSchedulerInitiated`, `TerminationNotice`.
    pub code: String,
    /// In words.
    pub reason: String,
}

impl Place {
    /// The launch type as ECS shows it.
    pub(super) fn launch_type(&self) -> &'static str {
        if *self == Self::Ec2 { "EC2" } else { "FARGATE" }
    }

    pub(super) fn provider(&self) -> Option<&str> {
        match self {
            Self::Provider(name) => Some(name),
            Self::Ec2 | Self::Fargate => None,
        }
    }

    /// What a call asks for.
    pub(super) fn of(cluster: &Cluster, launch_type: Option<&str>, strategy: &[Strategy]) -> Result<Self, Refusal> {
        match (launch_type, strategy.first()) {
            (Some(_), Some(_)) => {
                let message = "Specifying both a launch type and capacity provider strategy is not supported.";
                Err(refuse("InvalidParameterException", message))
            }
            (Some("FARGATE"), None) => Ok(Self::Fargate),
            (Some("EC2") | None, None) => Ok(Self::Ec2),
            (Some(other), None) => {
                Err(refuse("InvalidParameterException", format!("Launch type '{other}' is not supported.")))
            }
            (None, Some(first)) if cluster.capacity_providers.contains(&first.capacity_provider) => {
                Ok(Self::Provider(first.capacity_provider.clone()))
            }
            (None, Some(_)) => Err(refuse(
                "InvalidParameterException",
                "The specified capacity provider strategy cannot contain a capacity provider that is not associated with \
                 the cluster.",
            )),
        }
    }
}

/// An item of a capacity provider strategy.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Strategy {
    /// Its name.
    pub capacity_provider: String,
    /// Its share.
    #[serde(default)]
    pub weight: u32,
    /// The fewest tasks.
    #[serde(default)]
    pub base: u32,
}

/// Checks that tasks of a definition can be placed so, and that the network that they need is named and there.
pub(super) fn check_placement(
    definition: &TaskDefinition,
    place: &Place,
    network: Option<&Value>,
    ec2: &Ec2,
) -> Result<(), Refusal> {
    let unfit = |message: String| Err(refuse("InvalidParameterException", message));
    if *place != Place::Ec2 && !definition.fits_fargate() {
        return unfit("Task definition does not support launch_type FARGATE.".to_owned());
    }
    if !definition.is_awsvpc() {
        return Ok(());
    }
    let subnets = network.and_then(|network| network.pointer("/awsvpcConfiguration/subnets")?.as_array());
    let Some(subnets) = subnets.filter(|subnets| !subnets.is_empty()) else {
        return unfit("Network Configuration must be provided when networkMode 'awsvpc' is specified.".to_owned());
    };
    match subnets.iter().filter_map(Value::as_str).find(|subnet| !ec2.subnets.contains_key(*subnet)) {
        Some(unknown) => unfit(format!(
            "Error retrieving subnet information for [{unknown}]: The subnet ID '{unknown}' does not exist"
        )),
        None => Ok(()),
    }
}

/// A task that is about to be started.
pub(super) struct Start<'a> {
    pub definition: &'a TaskDefinition,
    pub place: Place,
    pub group: String,
    pub started_by: Option<String>,
    pub service: Option<String>,
    pub instance: Option<String>,
    pub tags: Vec<Tag>,
    pub token: Option<String>,
}

impl Cluster {
    /// Starts a task; returns its id.
    pub(super) fn start(&mut self, start: Start<'_>, rng: &mut Rng, now: Timestamp) -> String {
        let id = rng.hex(32);
        let Start { definition, place, group, started_by, service, instance, tags, token } = start;
        let task = Task {
            arn: self.arn_of("task", &id),
            id: id.clone(),
            definition: definition.arn.clone(),
            containers: definition.containers(),
            cpu: definition.cpu().map(str::to_owned),
            memory: definition.memory().map(str::to_owned),
            place,
            group,
            started_by,
            service,
            instance,
            created: now,
            ending: None,
            protected: None,
            tags,
            token,
        };
        self.tasks.insert(id.clone(), task);
        id
    }
}

impl Task {
    /// `RUNNING`, or `STOPPED` from the moment that it was asked to stop.
    fn desired_status(&self) -> &'static str {
        if self.is_wanted() { "RUNNING" } else { "STOPPED" }
    }

    /// Whether nobody has stopped it.
    pub fn is_wanted(&self) -> bool {
        self.ending.is_none()
    }

    /// Where it is in its life.
    pub fn last_status(&self, now: Timestamp) -> &'static str {
        match &self.ending {
            None if now < self.created + STARTS / 2 => "PROVISIONING",
            None if now < self.created + STARTS => "PENDING",
            None => "RUNNING",
            Some(ending) if now < ending.asked + STOPS => "STOPPING",
            Some(ending) if now < ending.asked + STOPS + DEPROVISIONS => "DEPROVISIONING",
            Some(_) => "STOPPED",
        }
    }

    pub(super) fn is_protected(&self, now: Timestamp) -> bool {
        self.protected.is_some_and(|until| now < until)
    }

    pub(super) fn is_forgotten(&self, now: Timestamp) -> bool {
        self.ending.as_ref().is_some_and(|ending| now > ending.asked + STOPS + DEPROVISIONS + SHOWN)
    }

    /// Stops it, unless that was done before.
    pub(super) fn stop(&mut self, now: Timestamp, code: &str, reason: &str) {
        self.ending.get_or_insert_with(|| Ending { asked: now, code: code.to_owned(), reason: reason.to_owned() });
    }

    fn shown(&self, cluster: &Cluster, now: Timestamp) -> Value {
        let status = self.last_status(now);
        let containers = self
            .containers
            .iter()
            .map(|(name, image)| json!({ "name": name, "image": image, "taskArn": self.arn, "lastStatus": status }));
        let shown = json!({
            "taskArn": self.arn,
            "clusterArn": cluster.arn,
            "taskDefinitionArn": self.definition,
            "containers": containers.collect::<Vec<_>>(),
            "group": self.group,
            "launchType": self.place.launch_type(),
            "lastStatus": status,
            "desiredStatus": self.desired_status(),
            "createdAt": seconds(self.created),
            "overrides": { "containerOverrides": [], "inferenceAcceleratorOverrides": [] },
            "attachments": [],
            "enableExecuteCommand": false,
            "healthStatus": "UNKNOWN",
            "version": 1,
            "tags": self.tags,
        });
        let runs = self.ending.as_ref().map_or(now, |ending| ending.asked) >= self.created + STARTS;
        let ending = self.ending.as_ref();
        let stopped = ending.filter(|_| status == "STOPPED").map(|ending| ending.asked + STOPS + DEPROVISIONS);
        with_known(
            shown,
            &[
                ("cpu", self.cpu.as_ref().map(|cpu| json!(cpu))),
                ("memory", self.memory.as_ref().map(|memory| json!(memory))),
                ("startedBy", self.started_by.as_ref().map(|by| json!(by))),
                ("capacityProviderName", self.place.provider().map(|name| json!(name))),
                (
                    "containerInstanceArn",
                    self.instance.as_ref().map(|id| json!(cluster.arn_of("container-instance", id))),
                ),
                ("startedAt", runs.then(|| seconds(self.created + STARTS))),
                ("stoppingAt", ending.map(|ending| seconds(ending.asked))),
                ("stoppedAt", stopped.map(seconds)),
                ("stopCode", ending.map(|ending| json!(ending.code))),
                ("stoppedReason", ending.map(|ending| json!(ending.reason))),
            ],
        )
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Run {
    cluster: Option<String>,
    task_definition: String,
    count: Option<u32>,
    group: Option<String>,
    launch_type: Option<String>,
    #[serde(default)]
    capacity_provider_strategy: Vec<Strategy>,
    network_configuration: Option<Value>,
    started_by: Option<String>,
    #[serde(default)]
    tags: Vec<Tag>,
    client_token: Option<String>,
    #[serde(rename = "overrides")]
    _overrides: Option<Value>,
    #[serde(rename = "platformVersion")]
    _platform: Option<String>,
    #[serde(rename = "enableECSManagedTags")]
    _managed_tags: Option<bool>,
    #[serde(rename = "enableExecuteCommand")]
    _execute: Option<bool>,
    #[serde(rename = "propagateTags")]
    _propagate: Option<String>,
}

/// RunTask.
pub(super) fn run(ecs: &mut Ecs, ec2: &Ec2, rng: &mut Rng, call: &Call) -> Result<Value, Refusal> {
    let asked: Run = read(call)?;
    let count = asked.count.unwrap_or(1);
    if !(1..=AT_ONCE).contains(&count) {
        return Err(refuse("InvalidParameterException", format!("Count must be between 1 and {AT_ONCE}.")));
    }
    if asked.group.as_ref().is_some_and(|group| group.starts_with("service:")) {
        return Err(refuse("InvalidParameterException", "Invalid namespace for group."));
    }
    let definition = ecs.definition(&asked.task_definition)?.clone();
    let on_fargate = on_fargate(ecs);
    let cluster = ecs.cluster_mut(asked.cluster.as_deref())?;
    let place = Place::of(cluster, asked.launch_type.as_deref(), &asked.capacity_provider_strategy)?;
    check_placement(&definition, &place, asked.network_configuration.as_ref(), ec2)?;
    let shown = |cluster: &Cluster, ids: &[String]| {
        let tasks: Vec<Value> = ids.iter().map(|id| cluster.tasks[id].shown(cluster, call.now)).collect();
        json!({ "tasks": tasks, "failures": [] })
    };
    let before = cluster.tasks.values().filter(|task| task.token.is_some() && task.token == asked.client_token);
    let before: Vec<String> = before.map(|task| task.id.clone()).collect();
    if !before.is_empty() {
        return Ok(shown(cluster, &before));
    }
    let usable = cluster.usable(ec2);
    if place == Place::Ec2 && usable.is_empty() {
        return Err(refuse("InvalidParameterException", "No Container Instances were found in your cluster."));
    }
    if place != Place::Ec2 && on_fargate + count * units(&definition) > FARGATE {
        let message = "You've reached the limit on the number of vCPUs you can run concurrently";
        return Err(refuse("ClientException", message));
    }
    let family = asked.task_definition.rsplit('/').next().unwrap_or_default().split(':').next().unwrap_or_default();
    let group = asked.group.unwrap_or_else(|| format!("family:{family}"));
    let ids: Vec<String> = (0..count as usize)
        .map(|number| {
            let start = Start {
                definition: &definition,
                place: place.clone(),
                group: group.clone(),
                started_by: asked.started_by.clone(),
                service: None,
                instance: usable.get(number % usable.len().max(1)).filter(|_| place == Place::Ec2).cloned(),
                tags: asked.tags.clone(),
                token: asked.client_token.clone(),
            };
            cluster.start(start, rng, call.now)
        })
        .collect();
    Ok(shown(cluster, &ids))
}

/// CPU units of what runs on Fargate.
fn on_fargate(ecs: &Ecs) -> u32 {
    let tasks = ecs.clusters.values().flat_map(|cluster| cluster.tasks.values());
    let running = tasks.filter(|task| task.is_wanted() && task.place != Place::Ec2);
    running.filter_map(|task| task.cpu.as_ref()?.parse::<u32>().ok()).sum()
}

fn units(definition: &TaskDefinition) -> u32 {
    definition.cpu().and_then(|cpu| cpu.parse().ok()).unwrap_or_default()
}

/// The task that a name or an ARN means.
fn id(asked: &str) -> &str {
    asked.rsplit('/').next().unwrap_or(asked)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Stop {
    cluster: Option<String>,
    task: String,
    reason: Option<String>,
}

/// StopTask: a task of a service too, whether or not it is protected from scaling in. Its service starts another.
pub(super) fn stop(ecs: &mut Ecs, call: &Call) -> Result<Value, Refusal> {
    let asked: Stop = read(call)?;
    let cluster = ecs.cluster_mut(asked.cluster.as_deref())?;
    let missing = || refuse("InvalidParameterException", "The referenced task was not found.");
    let task = cluster.tasks.get_mut(id(&asked.task)).ok_or_else(missing)?;
    task.stop(call.now, "UserInitiated", asked.reason.as_deref().unwrap_or("Task stopped by user"));
    Ok(json!({ "task": cluster.tasks[id(&asked.task)].shown(cluster, call.now) }))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Describe {
    cluster: Option<String>,
    tasks: Vec<String>,
    #[serde(default, rename = "include")]
    _include: Vec<String>,
}

/// DescribeTasks.
pub(super) fn describe(ecs: &Ecs, call: &Call) -> Result<Value, Refusal> {
    let asked: Describe = read(call)?;
    let cluster = ecs.cluster(asked.cluster.as_deref())?;
    if !(1..=100).contains(&asked.tasks.len()) {
        return Err(refuse("InvalidParameterException", "Tasks must hold between 1 and 100 names."));
    }
    Ok(found("tasks", &asked.tasks, |name| Some(cluster.tasks.get(id(name))?.shown(cluster, call.now))))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct List {
    cluster: Option<String>,
    service_name: Option<String>,
    started_by: Option<String>,
    desired_status: Option<String>,
    launch_type: Option<String>,
    next_token: Option<String>,
    max_results: Option<usize>,
}

/// ListTasks: those that nobody has stopped, unless asked for the others.
pub(super) fn list(ecs: &Ecs, call: &Call) -> Result<Value, Refusal> {
    let asked: List = read(call)?;
    let cluster = ecs.cluster(asked.cluster.as_deref())?;
    let service = asked.service_name.as_deref().map(|name| id(name).to_owned());
    if service.as_ref().is_some_and(|name| !cluster.services.contains_key(name)) {
        return Err(refuse("ServiceNotFoundException", "Service not found."));
    }
    let status = asked.desired_status.as_deref().unwrap_or("RUNNING");
    let wanted = |task: &&super::task::Task| {
        task.desired_status() == status
            && service.as_ref().is_none_or(|name| task.service.as_ref() == Some(name))
            && asked.started_by.as_ref().is_none_or(|by| task.started_by.as_ref() == Some(by))
            && asked.launch_type.as_ref().is_none_or(|kind| task.place.launch_type() == kind)
    };
    let arns = cluster.tasks.values().filter(wanted).map(|task| task.arn.clone()).collect();
    part("taskArns", arns, asked.next_token.as_deref(), asked.max_results, 100)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Protect {
    cluster: String,
    #[serde(default)]
    tasks: Vec<String>,
    protection_enabled: bool,
    expires_in_minutes: Option<i64>,
}

/// UpdateTaskProtection: for tasks of services.
pub(super) fn protect(ecs: &mut Ecs, call: &Call) -> Result<Value, Refusal> {
    let asked: Protect = read(call)?;
    let minutes = asked.expires_in_minutes.unwrap_or(120);
    if !(1..=2880).contains(&minutes) {
        return Err(refuse("InvalidParameterException", "expiresInMinutes must be between 1 and 2880."));
    }
    let cluster = ecs.cluster_mut(Some(&asked.cluster))?;
    let until = asked.protection_enabled.then(|| call.now + SignedDuration::from_mins(minutes));
    for name in &asked.tasks {
        if let Some(task) = cluster.tasks.get_mut(id(name)).filter(|task| task.service.is_some()) {
            task.protected = until;
        }
    }
    Ok(protections(cluster, &asked.tasks, call.now))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Protection {
    cluster: String,
    #[serde(default)]
    tasks: Vec<String>,
}

/// GetTaskProtection.
pub(super) fn protection(ecs: &Ecs, call: &Call) -> Result<Value, Refusal> {
    let asked: Protection = read(call)?;
    Ok(protections(ecs.cluster(Some(&asked.cluster))?, &asked.tasks, call.now))
}

fn protections(cluster: &Cluster, names: &[String], now: Timestamp) -> Value {
    let (mut shown, mut failures) = (Vec::new(), Vec::new());
    for name in names {
        match cluster.tasks.get(id(name)) {
            Some(task) if task.service.is_some() => {
                let until = task.protected.filter(|_| task.is_protected(now));
                let protected = json!({ "taskArn": task.arn, "protectionEnabled": until.is_some() });
                shown.push(with_known(protected, &[("expirationDate", until.map(seconds))]));
            }
            Some(task) => failures.push(failure(&task.arn, "TASK_NOT_VALID")),
            None => failures.push(failure(name, "MISSING")),
        }
    }
    json!({ "protectedTasks": shown, "failures": failures })
}
