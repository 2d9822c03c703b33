//! Job queues.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Batch, Changing, check_state, environments, name, part, read, refuse};
use crate::sim::call::{Call, Refusal};

/// How many environments one queue may send jobs to (AWS Batch User Guide, "Job queues").
const ENVIRONMENTS: usize = 3;

/// Where jobs wait.
#[derive(Debug, Clone, Serialize)]
pub struct Queue {
    /// Its name.
    pub name: String,
    /// Its ARN.
    pub arn: String,
    /// `ENABLED` or `DISABLED`: whether it takes new jobs. Those that it has go on either way.
    pub state: String,
    /// Queues with a higher number are served first.
    pub priority: i32,
    /// The names of its environments, the first first.
    pub order: Vec<(i32, String)>,
    /// Tags.
    pub tags: BTreeMap<String, String>,
    #[serde(skip)]
    changing: Changing,
}

/// The queue of that name or ARN.
pub(super) fn named<'a>(batch: &'a mut Batch, queue: &str) -> Result<&'a mut Queue, Refusal> {
    let missing = || refuse(format!("{queue} does not exist"));
    batch.queues.get_mut(name(queue)).ok_or_else(missing)
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Entry {
    order: i32,
    compute_environment: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Create {
    job_queue_name: String,
    state: Option<String>,
    priority: i32,
    compute_environment_order: Vec<Entry>,
    #[serde(default)]
    tags: BTreeMap<String, String>,
}

/// CreateJobQueue.
pub(super) fn create(batch: &mut Batch, call: &Call) -> Result<Value, Refusal> {
    let params: Create = read(call)?;
    let name = params.job_queue_name;
    if batch.queues.contains_key(&name) {
        return Err(refuse(format!("Object already exists: {name}")));
    }
    let state = params.state.unwrap_or_else(|| "ENABLED".to_owned());
    check_state(&state)?;
    let order = order(batch, params.compute_environment_order, call)?;
    let queue = Queue {
        arn: super::arn(call, "job-queue", &name),
        name: name.clone(),
        state,
        priority: params.priority,
        order,
        tags: params.tags,
        changing: Changing::begun("CREATING", call.now),
    };
    let answer = json!({ "jobQueueName": name, "jobQueueArn": queue.arn });
    batch.queues.insert(name, queue);
    Ok(answer)
}

/// The environments of a queue. Each must be `VALID` before a queue can name it.
fn order(batch: &mut Batch, entries: Vec<Entry>, call: &Call) -> Result<Vec<(i32, String)>, Refusal> {
    if !(1..=ENVIRONMENTS).contains(&entries.len()) {
        return Err(refuse(format!("computeEnvironmentOrder must have from 1 to {ENVIRONMENTS} entries")));
    }
    let mut order = Vec::new();
    for entry in entries {
        let environment = environments::named(batch, &entry.compute_environment)?;
        if !environment.is_valid(call.now) {
            return Err(refuse(format!("{} is not VALID", entry.compute_environment)));
        }
        order.push((entry.order, environment.name.clone()));
    }
    order.sort();
    Ok(order)
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Describe {
    #[serde(default)]
    job_queues: Vec<String>,
    max_results: Option<usize>,
    next_token: Option<String>,
}

/// DescribeJobQueues.
pub(super) fn describe(batch: &Batch, call: &Call) -> Result<Value, Refusal> {
    let params: Describe = read(call)?;
    let names: Vec<&str> = params.job_queues.iter().map(|named| name(named)).collect();
    let wanted = batch.queues.values().filter(|queue| names.is_empty() || names.contains(&queue.name.as_str()));
    let shown = wanted.map(|queue| {
        let order = queue.order.iter().map(|(order, name)| {
            json!({ "order": order, "computeEnvironment": super::arn(call, "compute-environment", name) })
        });
        let json = json!({
            "jobQueueName": queue.name,
            "jobQueueArn": queue.arn,
            "state": queue.state,
            "status": queue.changing.status(call.now),
            "statusReason": "JobQueue Healthy",
            "priority": queue.priority,
            "computeEnvironmentOrder": order.collect::<Vec<_>>(),
            "jobQueueType": "ECS",
            "tags": queue.tags,
        });
        (queue.name.clone(), json)
    });
    part("jobQueues", shown, params.max_results, params.next_token.as_deref())
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Update {
    job_queue: String,
    state: Option<String>,
    priority: Option<i32>,
    compute_environment_order: Option<Vec<Entry>>,
}

/// UpdateJobQueue.
pub(super) fn update(batch: &mut Batch, call: &Call) -> Result<Value, Refusal> {
    let params: Update = read(call)?;
    named(batch, &params.job_queue)?.changing.check(call.now)?;
    let order = params.compute_environment_order.map(|entries| order(batch, entries, call)).transpose()?;
    params.state.as_deref().map_or(Ok(()), check_state)?;
    let queue = named(batch, &params.job_queue)?;
    queue.state = params.state.unwrap_or_else(|| queue.state.clone());
    queue.priority = params.priority.unwrap_or(queue.priority);
    queue.order = order.unwrap_or_else(|| queue.order.clone());
    queue.changing = Changing::begun("UPDATING", call.now);
    Ok(json!({ "jobQueueName": queue.name, "jobQueueArn": queue.arn }))
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Delete {
    job_queue: String,
}

/// DeleteJobQueue: it must be disabled; its jobs end with it.
pub(super) fn delete(batch: &mut Batch, call: &Call) -> Result<Value, Refusal> {
    let params: Delete = read(call)?;
    let queue = named(batch, &params.job_queue)?;
    queue.changing.check(call.now)?;
    if queue.state != "DISABLED" {
        return Err(refuse("Cannot delete, JobQueue must be DISABLED"));
    }
    let name = queue.name.clone();
    for job in batch.jobs.values_mut().filter(|job| job.queue == name && !job.has_ended()) {
        job.end("JobQueue deleted", call.now);
    }
    batch.queues.remove(&name);
    Ok(json!({}))
}
