//! Amazon SageMaker AI: what computes there. Notebook instances, jobs, endpoints and Studio's apps differ in their names and in
//! the words for their states, and are one thing here: a [`workload::Workload`] of a [`kind::Kind`].
//!
//! A tuning job and an AutoML job start training jobs of their own, and others when those end, until they are stopped
//! themselves.
//!
//! For scenarios: call CreateTrainingJob, CreateNotebookInstance, CreateEndpointConfig and CreateEndpoint, …

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::call::{Body, Call, Permission, Refusal, Reply};
use super::world::{Rng, World};
use kind::{KINDS, Kind};
use workload::Workload;

pub mod kind;
pub mod workload;

/// What an account has in one region.
#[derive(Debug, Clone, Default, Serialize)]
pub struct SageMaker {
    /// What computes, by the part of its ARN behind the account: `training-job/miner`.
    pub workloads: BTreeMap<String, Workload>,
    /// What endpoints are made from: production variants, by name.
    pub endpoint_configs: BTreeMap<String, Value>,
}

impl SageMaker {
    /// Lets time do its work: jobs that start others do so, and what ended long ago is forgotten.
    pub fn settle(&mut self, rng: &mut Rng, now: Timestamp) {
        let parents: Vec<(String, String, usize)> = self
            .workloads
            .iter()
            .filter(|(_, workload)| workload.starts_others(now))
            .map(|(id, workload)| (id.clone(), workload.name.clone(), workload.side_by_side()))
            .collect();
        for (parent, name, wanted) in parents {
            let running =
                self.workloads.values().filter(|child| child.parent.as_ref() == Some(&parent) && child.is_wanted());
            for _ in running.count()..wanted {
                let child = self.workloads[&parent].child(&parent, format!("{name}-{}", rng.hex(12)), now);
                self.workloads.insert(child.id(), child);
            }
        }
        self.workloads.retain(|_, workload| !workload.is_forgotten(now));
    }

    /// How many instances compute.
    fn instances(&self, now: Timestamp) -> usize {
        self.workloads.values().filter(|workload| workload.is_wanted() && !workload.has_ended(now)).count()
    }
}

fn refuse(code: &str, message: impl Into<String>) -> Refusal {
    Refusal::new(400, code, message)
}

fn invalid(message: impl Into<String>) -> Refusal {
    refuse("ValidationException", message)
}

/// What an operation does to a kind: `CreateTrainingJob`, `ListTrainingJobs`.
fn asked(operation: &str) -> Option<(&str, &'static Kind)> {
    KINDS.iter().find_map(|kind| {
        let verb = operation.strip_suffix(kind.noun).filter(|verb| *verb != "List");
        let list = operation.strip_prefix("List").filter(|rest| rest.strip_suffix('s') == Some(kind.noun));
        verb.or(list.map(|_| "List")).map(|verb| (verb, kind))
    })
}

fn text<'a>(call: &'a Call, name: &str) -> &'a str {
    call.params.json().get(name).and_then(Value::as_str).unwrap_or_default()
}

/// What the call needs to be allowed (Service Authorization Reference, "Actions defined by Amazon SageMaker AI").
pub fn permissions(world: &World, call: &Call) -> Result<Vec<Permission>, Refusal> {
    let arn = |id: &str| format!("arn:{}:sagemaker:{}:{}:{id}", world.partition, call.region, call.account);
    let action = format!("sagemaker:{}", call.operation);
    let resource = match (asked(&call.operation), call.operation.as_str()) {
        (_, "CreateEndpointConfig" | "DescribeEndpointConfig" | "DeleteEndpointConfig") => {
            arn(&format!("endpoint-config/{}", text(call, "EndpointConfigName").to_lowercase()))
        }
        (_, "ListEndpointConfigs") => "*".to_owned(),
        (_, "ListTags" | "AddTags") => text(call, "ResourceArn").to_owned(),
        (Some(("List", _)), _) => "*".to_owned(),
        (Some((verb, kind)), _) if kind.does(verb) => arn(&kind.id(call)),
        _ => return Err(call.unknown()),
    };
    let mut needed = vec![Permission::new(action, resource)];
    if call.operation == "CreateEndpoint" {
        let config = arn(&format!("endpoint-config/{}", text(call, "EndpointConfigName").to_lowercase()));
        needed.push(Permission::new("sagemaker:CreateEndpoint", config));
    }
    if call.operation.starts_with("Create") {
        let params = call.params.json();
        let role = params.get("RoleArn").or(params.pointer("/TrainingJobDefinition/RoleArn")).and_then(Value::as_str);
        needed.extend(
            role.map(|role| {
                Permission::new("iam:PassRole", role).with("iam:PassedToService", "sagemaker.amazonaws.com")
            }),
        );
    }
    Ok(needed)
}

/// Carries the call out.
pub fn handle(world: &mut World, call: &Call) -> Reply {
    let World { accounts, rng, .. } = world;
    let account = accounts.get_mut(&call.account).expect("the account of an authenticated call");
    let state = account.regions.get_mut(&call.region).expect("the region of an authenticated call");
    let sagemaker = &mut state.sagemaker;
    sagemaker.settle(rng, call.now);
    let answer = match (asked(&call.operation), call.operation.as_str()) {
        (_, "CreateEndpointConfig") => create_config(sagemaker, call),
        (_, "DescribeEndpointConfig") => describe_config(sagemaker, call),
        (_, "DeleteEndpointConfig") => delete_config(sagemaker, call),
        (_, "ListEndpointConfigs") => list_configs(sagemaker, call),
        (_, "ListTags") => tags(sagemaker, call),
        (_, "AddTags") => add_tags(sagemaker, call),
        (Some(("Create", kind)), _) => workload::create(sagemaker, kind, call),
        (Some(("Describe", kind)), _) => workload::describe(sagemaker, kind, call),
        (Some(("List", kind)), _) => workload::list(sagemaker, kind, call),
        (Some(("Stop" | "Delete", kind)), _) => workload::end(sagemaker, kind, call),
        (Some(("Start", kind)), _) => workload::start(sagemaker, kind, call),
        _ => Err(call.unknown()),
    };
    sagemaker.settle(rng, call.now);
    answer.map(Body::Json)
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct CreateConfig {
    endpoint_config_name: String,
    production_variants: Vec<Value>,
    #[serde(rename = "Tags", default)]
    _tags: Vec<workload::Tag>,
}

fn read<T: serde::de::DeserializeOwned>(call: &Call) -> Result<T, Refusal> {
    call.params.read().map_err(|refusal| match refusal.code.as_str() {
        "UnknownParameter" => refusal,
        _ => Refusal { code: "ValidationException".to_owned(), ..refusal },
    })
}

fn config_arn(call: &Call, name: &str) -> String {
    format!("arn:aws:sagemaker:{}:{}:endpoint-config/{}", call.region, call.account, name.to_lowercase())
}

fn create_config(sagemaker: &mut SageMaker, call: &Call) -> Result<Value, Refusal> {
    let asked: CreateConfig = read(call)?;
    let name = asked.endpoint_config_name;
    workload::check_name(&name)?;
    if asked.production_variants.is_empty() {
        return Err(invalid("An endpoint configuration needs a production variant."));
    }
    if sagemaker.endpoint_configs.contains_key(&name) {
        let message = format!("Cannot create already existing endpoint configuration \"{}\".", config_arn(call, &name));
        return Err(invalid(message));
    }
    let shown = json!({
        "EndpointConfigName": name,
        "EndpointConfigArn": config_arn(call, &name),
        "ProductionVariants": asked.production_variants,
        "CreationTime": super::time::seconds(call.now),
    });
    sagemaker.endpoint_configs.insert(name.clone(), shown);
    Ok(json!({ "EndpointConfigArn": config_arn(call, &name) }))
}

fn config<'a>(sagemaker: &'a SageMaker, call: &Call, name: &str) -> Result<&'a Value, Refusal> {
    let missing = || invalid(format!("Could not find endpoint configuration \"{}\".", config_arn(call, name)));
    sagemaker.endpoint_configs.get(name).ok_or_else(missing)
}

fn describe_config(sagemaker: &SageMaker, call: &Call) -> Result<Value, Refusal> {
    config(sagemaker, call, text(call, "EndpointConfigName")).cloned()
}

fn delete_config(sagemaker: &mut SageMaker, call: &Call) -> Result<Value, Refusal> {
    let name = text(call, "EndpointConfigName");
    config(sagemaker, call, name)?;
    sagemaker.endpoint_configs.remove(name);
    Ok(json!({}))
}

fn list_configs(sagemaker: &SageMaker, call: &Call) -> Result<Value, Refusal> {
    let summary = |shown: &Value| {
        let mut shown = shown.clone();
        shown.as_object_mut().map(|shown| shown.remove("ProductionVariants"));
        shown
    };
    part("EndpointConfigs", sagemaker.endpoint_configs.values().map(summary).collect(), call)
}

/// The workload that an ARN names.
fn by_arn<'a>(sagemaker: &'a mut SageMaker, call: &Call) -> Result<&'a mut Workload, Refusal> {
    let arn = text(call, "ResourceArn");
    let id = arn.splitn(6, ':').nth(5).unwrap_or_default();
    sagemaker.workloads.get_mut(id).ok_or_else(|| invalid(format!("Resource {arn} does not exist")))
}

fn tags(sagemaker: &mut SageMaker, call: &Call) -> Result<Value, Refusal> {
    Ok(json!({ "Tags": by_arn(sagemaker, call)?.tags }))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct AddTags {
    #[serde(rename = "ResourceArn")]
    _arn: String,
    tags: Vec<workload::Tag>,
}

fn add_tags(sagemaker: &mut SageMaker, call: &Call) -> Result<Value, Refusal> {
    let asked: AddTags = read(call)?;
    let workload = by_arn(sagemaker, call)?;
    workload.tags.retain(|held| asked.tags.iter().all(|tag| tag.key != held.key));
    workload.tags.extend(asked.tags);
    Ok(json!({ "Tags": workload.tags }))
}

/// One part of a list.
fn part(name: &str, items: Vec<Value>, call: &Call) -> Result<Value, Refusal> {
    let params = call.params.json();
    let most = params.get("MaxResults").map_or(Some(10), Value::as_u64);
    let most = most.and_then(|most| usize::try_from(most).ok()).filter(|most| (1..=100).contains(most));
    let most = most.ok_or_else(|| invalid("'maxResults' failed to satisfy constraint: between 1 and 100"))?;
    let unknown = || invalid("The token is not one that was given.");
    let start = params.get("NextToken").and_then(Value::as_str).map_or(Ok(0), str::parse::<usize>);
    let start = start.map_err(|_| unknown())?;
    let end = start.saturating_add(most).min(items.len());
    let shown = items.get(start..end).ok_or_else(unknown)?;
    let mut answer = Map::new();
    answer.insert(name.to_owned(), Value::from(shown.to_vec()));
    if end < items.len() {
        answer.insert("NextToken".to_owned(), Value::from(end.to_string()));
    }
    Ok(Value::Object(answer))
}
