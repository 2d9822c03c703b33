//! Job definitions and jobs.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Batch, name, part, queues, read, refuse};
use crate::sim::call::{Call, Refusal};

/// From the word to end to the end: the container is asked first, and killed half a minute later at the latest.
const ENDING_TAKES: SignedDuration = SignedDuration::from_secs(10);

/// What a job is made from.
#[derive(Debug, Clone, Serialize)]
pub struct Definition {
    /// Its name.
    pub name: String,
    /// Counted from 1.
    pub revision: u32,
    /// Its ARN.
    pub arn: String,
    /// The container, as it was given.
    pub container: Value,
    /// How often a job is tried at most.
    pub attempts: u32,
    /// How long an attempt may take.
    pub timeout: Option<SignedDuration>,
    /// Tags.
    pub tags: BTreeMap<String, String>,
}

/// How far a job has got.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Status {
    /// Waits for room.
    Runnable,
    /// Has room, and its container is being started.
    Starting,
    /// Runs.
    Running,
    /// Ended otherwise than by success. Without a program behind it no job succeeds.
    Failed,
}

impl Status {
    fn as_str(self) -> &'static str {
        match self {
            Self::Runnable => "RUNNABLE",
            Self::Starting => "STARTING",
            Self::Running => "RUNNING",
            Self::Failed => "FAILED",
        }
    }
}

/// A job.
#[derive(Debug, Clone, Serialize)]
pub struct Job {
    /// A UUID.
    pub id: String,
    /// Its ARN.
    pub arn: String,
    /// Its name.
    pub name: String,
    /// The name of its queue.
    pub queue: String,
    /// The ARN of its definition.
    pub definition: String,
    /// What it needs.
    pub vcpus: f64,
    /// When it was submitted.
    pub created: Timestamp,
    /// How far it has got.
    pub status: Status,
    /// Why it is where it is.
    pub reason: String,
    /// How often it is tried at most.
    pub attempts: u32,
    /// How often it was tried.
    pub tried: u32,
    /// How long an attempt may take.
    pub timeout: Option<SignedDuration>,
    /// Where it was placed: environment, and the instance unless it is on Fargate.
    pub place: Option<(String, Option<String>)>,
    /// When the attempt began to run, or will.
    pub started: Option<Timestamp>,
    /// When it ended.
    pub stopped: Option<Timestamp>,
    /// Told to end: with what words, and when it will have.
    pub ending: Option<(String, Timestamp)>,
    /// Tags.
    pub tags: BTreeMap<String, String>,
}

impl Job {
    /// Whether it is over.
    pub fn has_ended(&self) -> bool {
        self.status == Status::Failed
    }

    /// Whether it takes room.
    pub fn is_placed(&self) -> bool {
        matches!(self.status, Status::Starting | Status::Running)
    }

    /// Ends it now.
    pub fn end(&mut self, reason: &str, now: Timestamp) {
        self.status = Status::Failed;
        reason.clone_into(&mut self.reason);
        self.stopped = Some(now);
        self.place = None;
    }

    fn shown(&self) -> Value {
        let mut json = json!({
            "jobId": self.id,
            "jobArn": self.arn,
            "jobName": self.name,
            "createdAt": self.created.as_millisecond(),
            "status": self.status.as_str(),
            "statusReason": self.reason,
            "jobDefinition": self.definition,
            "isTerminated": self.ending.is_some(),
        });
        if let Some(started) = self.started {
            json["startedAt"] = json!(started.as_millisecond());
        }
        if let Some(stopped) = self.stopped {
            json["stoppedAt"] = json!(stopped.as_millisecond());
        }
        json
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Register {
    job_definition_name: String,
    #[serde(rename = "type")]
    kind: String,
    container_properties: Option<Value>,
    #[serde(default)]
    retry_strategy: Retries,
    timeout: Option<Timeout>,
    #[serde(rename = "platformCapabilities")]
    _platform_capabilities: Option<Vec<String>>,
    #[serde(default)]
    tags: BTreeMap<String, String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Retries {
    attempts: Option<u32>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Timeout {
    attempt_duration_seconds: i64,
}

/// RegisterJobDefinition.
pub(super) fn register(batch: &mut Batch, call: &Call) -> Result<Value, Refusal> {
    let params: Register = read(call)?;
    let container = match (params.kind.as_str(), params.container_properties) {
        ("container", Some(container)) if container["image"].is_string() => container,
        _ => {
            return Err(refuse(
                "A definition of type container, with containerProperties and an image, must be provided",
            ));
        }
    };
    let name = params.job_definition_name;
    let last = batch.definitions.values().filter(|known| known.name == name).map(|known| known.revision).max();
    let revision = last.unwrap_or_default() + 1;
    let key = format!("{name}:{revision}");
    let definition = Definition {
        arn: super::arn(call, "job-definition", &key),
        name,
        revision,
        container,
        attempts: params.retry_strategy.attempts.unwrap_or(1),
        timeout: params.timeout.map(|timeout| SignedDuration::from_secs(timeout.attempt_duration_seconds)),
        tags: params.tags,
    };
    let answer = json!({
        "jobDefinitionName": definition.name,
        "jobDefinitionArn": definition.arn,
        "revision": revision,
    });
    batch.definitions.insert(key, definition);
    Ok(answer)
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Definitions {
    job_definition_name: Option<String>,
    max_results: Option<usize>,
    next_token: Option<String>,
}

/// DescribeJobDefinitions.
pub(super) fn definitions(batch: &Batch, call: &Call) -> Result<Value, Refusal> {
    let params: Definitions = read(call)?;
    let wanted = |definition: &Definition| params.job_definition_name.as_ref().is_none_or(|n| *n == definition.name);
    let shown = batch.definitions.iter().filter(|(_, definition)| wanted(definition)).map(|(key, definition)| {
        let json = json!({
            "jobDefinitionName": definition.name,
            "jobDefinitionArn": definition.arn,
            "revision": definition.revision,
            "status": "ACTIVE",
            "type": "container",
            "containerProperties": definition.container,
            "retryStrategy": { "attempts": definition.attempts },
            "tags": definition.tags,
        });
        (key.clone(), json)
    });
    part("jobDefinitions", shown, params.max_results, params.next_token.as_deref())
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Submit {
    job_name: String,
    job_queue: String,
    job_definition: String,
    #[serde(default)]
    retry_strategy: Retries,
    timeout: Option<Timeout>,
    #[serde(default)]
    tags: BTreeMap<String, String>,
}

/// SubmitJob: a disabled queue takes none.
pub(super) fn submit(batch: &mut Batch, call: &Call, id: String) -> Result<Value, Refusal> {
    let params: Submit = read(call)?;
    let queue = queues::named(batch, &params.job_queue)?;
    if queue.state != "ENABLED" {
        return Err(refuse(format!("JobQueue {} is not ENABLED: it takes no jobs", queue.name)));
    }
    let queue = queue.name.clone();
    let named = name(&params.job_definition);
    let definition = if named.contains(':') {
        batch.definitions.get(named)
    } else {
        batch.definitions.values().filter(|known| known.name == named).max_by_key(|known| known.revision)
    };
    let definition = definition.ok_or_else(|| refuse(format!("JobDefinition {named} does not exist")))?;
    let job = Job {
        arn: super::arn(call, "job", &id),
        name: params.job_name,
        queue,
        definition: definition.arn.clone(),
        vcpus: vcpus(&definition.container),
        created: call.now,
        status: Status::Runnable,
        reason: String::new(),
        attempts: params.retry_strategy.attempts.unwrap_or(definition.attempts),
        tried: 0,
        timeout: params
            .timeout
            .map_or(definition.timeout, |timeout| Some(SignedDuration::from_secs(timeout.attempt_duration_seconds))),
        place: None,
        started: None,
        stopped: None,
        ending: None,
        tags: params.tags,
        id: id.clone(),
    };
    let answer = json!({ "jobId": id, "jobArn": job.arn, "jobName": job.name });
    batch.jobs.insert(id, job);
    Ok(answer)
}

fn vcpus(container: &Value) -> f64 {
    let required = container["resourceRequirements"].as_array().into_iter().flatten();
    let required = required.filter(|requirement| requirement["type"] == "VCPU");
    let mut required = required.filter_map(|requirement| requirement["value"].as_str()?.parse().ok());
    required.next_back().or(container["vcpus"].as_f64()).unwrap_or(1.0)
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct List {
    job_queue: String,
    job_status: Option<String>,
    max_results: Option<usize>,
    next_token: Option<String>,
}

/// ListJobs: those that run, unless another status is named.
pub(super) fn list(batch: &mut Batch, call: &Call) -> Result<Value, Refusal> {
    const STATUSES: [&str; 7] = ["SUBMITTED", "PENDING", "RUNNABLE", "STARTING", "RUNNING", "SUCCEEDED", "FAILED"];
    let params: List = read(call)?;
    let status = params.job_status.as_deref().unwrap_or("RUNNING");
    if !STATUSES.contains(&status) {
        return Err(refuse(format!("{status} is not the status of a job")));
    }
    let queue = queues::named(batch, &params.job_queue)?.name.clone();
    let wanted = batch.jobs.values().filter(|job| job.queue == queue && job.status.as_str() == status);
    let shown = wanted.map(|job| (job.id.clone(), job.shown()));
    part("jobSummaryList", shown, params.max_results, params.next_token.as_deref())
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct DescribeJobs {
    jobs: Vec<String>,
}

/// DescribeJobs: one that is not known is left out.
pub(super) fn describe(batch: &Batch, call: &Call) -> Result<Value, Refusal> {
    let params: DescribeJobs = read(call)?;
    let found = params.jobs.iter().filter_map(|id| batch.jobs.get(name(id))).map(|job| {
        let mut json = job.shown();
        json["jobQueue"] = json!(super::arn(call, "job-queue", &job.queue));
        json["startedAt"] = json!(job.started.map_or(0, Timestamp::as_millisecond));
        json["retryStrategy"] = json!({ "attempts": job.attempts });
        json["tags"] = json!(job.tags);
        json
    });
    Ok(json!({ "jobs": found.collect::<Vec<_>>() }))
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct End {
    job_id: String,
    reason: String,
}

/// TerminateJob: whatever has not ended yet ends, and is not tried again.
pub(super) fn terminate(batch: &mut Batch, call: &Call) -> Result<Value, Refusal> {
    let End { job_id, reason } = read(call)?;
    let job = batch.jobs.get_mut(&job_id).ok_or_else(|| refuse(format!("Job {job_id} does not exist")))?;
    match job.status {
        Status::Failed => {}
        Status::Runnable => {
            job.ending = Some((reason.clone(), call.now));
            job.end(&reason, call.now);
        }
        Status::Starting | Status::Running if job.ending.is_some() => {}
        Status::Starting | Status::Running => job.ending = Some((reason, call.now + ENDING_TAKES)),
    }
    Ok(json!({}))
}

/// CancelJob: what has room already goes on.
pub(super) fn cancel(batch: &mut Batch, call: &Call) -> Result<Value, Refusal> {
    let End { job_id, reason } = read(call)?;
    let job = batch.jobs.get_mut(&job_id).ok_or_else(|| refuse(format!("Job {job_id} does not exist")))?;
    if job.status == Status::Runnable {
        job.end(&reason, call.now);
    }
    Ok(json!({}))
}
