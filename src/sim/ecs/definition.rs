//! Task definitions.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Ecs, part, read, refuse};
use crate::sim::call::{Call, Refusal};
use crate::sim::time::seconds;

/// A revision of a task definition.
#[derive(Debug, Clone, Serialize)]
pub struct TaskDefinition {
    /// Its ARN, revision included.
    pub arn: String,
    /// Its number, from 1.
    pub revision: u32,
    /// When it was registered.
    pub registered: Timestamp,
    /// By whom.
    pub by: String,
    /// What was asked for: containers, roles, size.
    pub asked: Value,
}

impl TaskDefinition {
    fn text(&self, name: &str) -> Option<&str> {
        self.asked.get(name).and_then(Value::as_str)
    }

    /// Whether it may run on Fargate.
    pub(super) fn fits_fargate(&self) -> bool {
        let required = self.asked.get("requiresCompatibilities").and_then(Value::as_array);
        required.is_some_and(|kinds| kinds.iter().any(|kind| kind == "FARGATE"))
    }

    /// Whether its tasks have network interfaces of their own.
    pub(super) fn is_awsvpc(&self) -> bool {
        self.text("networkMode") == Some("awsvpc")
    }

    /// CPU units, of which a vCPU has 1,024.
    pub(super) fn cpu(&self) -> Option<&str> {
        self.text("cpu")
    }

    /// MiB.
    pub(super) fn memory(&self) -> Option<&str> {
        self.text("memory")
    }

    /// Name and image of each container.
    pub(super) fn containers(&self) -> Vec<(String, String)> {
        let containers = self.asked.get("containerDefinitions").and_then(Value::as_array).into_iter().flatten();
        let text = |container: &Value, name: &str| container[name].as_str().unwrap_or_default().to_owned();
        containers.map(|container| (text(container, "name"), text(container, "image"))).collect()
    }

    fn shown(&self) -> Value {
        let mut shown = self.asked.clone();
        shown["taskDefinitionArn"] = json!(self.arn);
        shown["revision"] = json!(self.revision);
        shown["status"] = json!("ACTIVE");
        shown["registeredAt"] = seconds(self.registered);
        shown["registeredBy"] = json!(self.by);
        let compatible = if self.fits_fargate() { json!(["EC2", "FARGATE"]) } else { json!(["EC2"]) };
        shown["compatibilities"] = compatible;
        for empty in ["volumes", "placementConstraints"] {
            if shown.get(empty).is_none() {
                shown[empty] = json!([]);
            }
        }
        shown.as_object_mut().map(|shown| shown.remove("tags"));
        shown
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Register {
    family: String,
    container_definitions: Vec<Value>,
    #[serde(default)]
    requires_compatibilities: Vec<String>,
    network_mode: Option<String>,
    cpu: Option<String>,
    memory: Option<String>,
    #[serde(rename = "taskRoleArn")]
    _task_role: Option<String>,
    #[serde(rename = "executionRoleArn")]
    _execution_role: Option<String>,
    #[serde(rename = "volumes", default)]
    _volumes: Vec<Value>,
    #[serde(rename = "tags", default)]
    _tags: Vec<super::Tag>,
    #[serde(rename = "runtimePlatform")]
    _platform: Option<Value>,
    #[serde(rename = "ephemeralStorage")]
    _storage: Option<Value>,
}

/// RegisterTaskDefinition.
pub(super) fn register(ecs: &mut Ecs, call: &Call) -> Result<Value, Refusal> {
    let asked: Register = read(call)?;
    let unfit = |message: &str| Err(refuse("ClientException", message));
    if asked.container_definitions.is_empty() {
        return unfit("TaskDefinition must contain at least one container definition.");
    }
    if asked.requires_compatibilities.iter().any(|kind| kind == "FARGATE") {
        if asked.network_mode.as_deref() != Some("awsvpc") {
            return unfit("Fargate only supports network mode 'awsvpc'.");
        }
        if asked.cpu.is_none() || asked.memory.is_none() {
            return unfit("Fargate requires that 'cpu' and 'memory' be defined at the task level.");
        }
    }
    let revisions = ecs.definitions.entry(asked.family.clone()).or_default();
    let revision = revisions.last().map_or(1, |last| last.revision + 1);
    let arn = format!("arn:aws:ecs:{}:{}:task-definition/{}:{revision}", call.region, call.account, asked.family);
    let made = TaskDefinition {
        arn,
        revision,
        registered: call.now,
        by: call.principal.arn.clone(),
        asked: call.params.json().clone(),
    };
    let shown = made.shown();
    revisions.push(made);
    Ok(json!({ "taskDefinition": shown }))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Describe {
    task_definition: String,
    #[serde(default, rename = "include")]
    _include: Vec<String>,
}

/// DescribeTaskDefinition.
pub(super) fn describe(ecs: &Ecs, call: &Call) -> Result<Value, Refusal> {
    let asked: Describe = read(call)?;
    Ok(json!({ "taskDefinition": ecs.definition(&asked.task_definition)?.shown() }))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct List {
    family_prefix: Option<String>,
    next_token: Option<String>,
    max_results: Option<usize>,
}

/// ListTaskDefinitions.
pub(super) fn list(ecs: &Ecs, call: &Call) -> Result<Value, Refusal> {
    let asked: List = read(call)?;
    let families =
        ecs.definitions.iter().filter(|(family, _)| asked.family_prefix.as_ref().is_none_or(|f| f == *family));
    let arns = families.flat_map(|(_, revisions)| revisions).map(|definition| definition.arn.clone()).collect();
    part("taskDefinitionArns", arns, asked.next_token.as_deref(), asked.max_results, 100)
}
