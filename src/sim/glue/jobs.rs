//! Jobs, and their runs.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::{Glue, invalid, missing, read, request_of, submitted_before};
use crate::sim::call::{Call, Refusal};
use crate::sim::pages::{epoch, part};

/// From `STARTING` to `RUNNING`.
const STARTS_IN: SignedDuration = SignedDuration::from_secs(10);
/// From `STOPPING` to `STOPPED`.
const STOPS_IN: SignedDuration = SignedDuration::from_secs(15);
/// Minutes after which a run ends for which nobody said otherwise: 48 hours.
const TIMEOUT: i64 = 2880;
/// How many runs one call stops.
const STOPPED_AT_ONCE: usize = 25;

/// A job.
#[derive(Debug, Clone, Serialize)]
pub struct Job {
    /// Its name.
    pub name: String,
    /// As whom it runs.
    pub role: String,
    /// When it was made.
    pub created: Timestamp,
    /// What it runs: `Name` and `ScriptLocation`.
    pub command: Value,
    /// The arguments of every run.
    pub arguments: Value,
    /// `G.1X`, `G.8X`, …
    pub worker_type: String,
    /// How many workers.
    pub workers: u32,
    /// How many runs there may be at once.
    pub max_concurrent_runs: usize,
    /// Minutes until a run is ended.
    pub timeout: i64,
    /// Tags.
    pub tags: BTreeMap<String, String>,
    /// What it was asked for with.
    #[serde(skip)]
    pub request: Value,
    /// Its runs, the oldest first.
    pub runs: Vec<Run>,
}

/// A run of a job. Mining ends only when it is made to, or by its time limit.
#[derive(Debug, Clone, Serialize)]
pub struct Run {
    /// `jr_…`.
    pub id: String,
    /// The trigger that started it.
    pub trigger: Option<String>,
    /// When it was started.
    pub started: Timestamp,
    /// When its time is up.
    pub until: Timestamp,
    /// When somebody stopped it.
    pub stop_asked: Option<Timestamp>,
    /// When and how it ended: `STOPPED` or `TIMEOUT`.
    pub ended: Option<(Timestamp, &'static str)>,
}

impl Run {
    /// When it will end as things stand.
    pub(super) fn ends(&self) -> Option<Timestamp> {
        let ends = self.stop_asked.map_or(self.until, |asked| asked + STOPS_IN);
        self.ended.is_none().then_some(ends)
    }

    /// Its state, as on the wire.
    pub fn state(&self, now: Timestamp) -> &'static str {
        match (self.ended, self.stop_asked) {
            (Some((_, state)), _) => state,
            (None, Some(_)) => "STOPPING",
            (None, None) if now < self.started + STARTS_IN => "STARTING",
            (None, None) => "RUNNING",
        }
    }
}

impl Glue {
    /// Ends the runs whose time has come. Gives the jobs whose runs were started by a trigger, and how they ended: only
    /// those make conditional triggers fire.
    pub(super) fn end_runs(&mut self, at: Timestamp) -> Vec<(String, &'static str)> {
        let mut ended = Vec::new();
        for job in self.jobs.values_mut() {
            for run in job.runs.iter_mut().filter(|run| run.ends().is_some_and(|ends| ends <= at)) {
                let state = if run.stop_asked.is_some() { "STOPPED" } else { "TIMEOUT" };
                run.ended = Some((at, state));
                if run.trigger.is_some() {
                    ended.push((job.name.clone(), state));
                }
            }
        }
        ended
    }

    /// Starts a run, unless as many as there may be are in progress.
    pub(super) fn start_run(
        &mut self,
        name: &str,
        trigger: Option<&str>,
        now: Timestamp,
        timeout: Option<i64>,
    ) -> Result<String, Refusal> {
        let job = self.jobs.get_mut(name).ok_or_else(|| unknown(name))?;
        if job.runs.iter().filter(|run| run.ended.is_none()).count() >= job.max_concurrent_runs {
            let message = format!("Concurrent runs exceeded for {name}");
            return Err(Refusal::new(400, "ConcurrentRunsExceededException", message));
        }
        let id = format!("jr_{}", hex::encode(Sha256::digest(format!("{name} {now} {}", job.runs.len()))));
        let until = now + SignedDuration::from_mins(timeout.unwrap_or(job.timeout));
        let trigger = trigger.map(str::to_owned);
        job.runs.push(Run { id: id.clone(), trigger, started: now, until, stop_asked: None, ended: None });
        Ok(id)
    }
}

fn unknown(name: &str) -> Refusal {
    missing(format!("Job {name} not found."))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Create {
    name: String,
    role: String,
    command: Value,
    #[serde(default)]
    default_arguments: Value,
    execution_property: Option<ExecutionProperty>,
    worker_type: Option<String>,
    number_of_workers: Option<u32>,
    timeout: Option<i64>,
    #[serde(default)]
    tags: BTreeMap<String, String>,
    #[serde(rename = "Description")]
    _description: Option<String>,
    #[serde(rename = "GlueVersion")]
    _glue_version: Option<String>,
    #[serde(rename = "MaxRetries")]
    _max_retries: Option<u32>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct ExecutionProperty {
    max_concurrent_runs: usize,
}

pub(super) fn create(glue: &mut Glue, call: &Call) -> Result<Value, Refusal> {
    let asked: Create = read(call)?;
    if let Some(known) = glue.jobs.get(&asked.name) {
        return submitted_before(&asked.name, &known.request, call);
    }
    let job = Job {
        name: asked.name.clone(),
        role: asked.role,
        created: call.now,
        command: asked.command,
        arguments: asked.default_arguments,
        worker_type: asked.worker_type.unwrap_or_else(|| "G.1X".to_owned()),
        workers: asked.number_of_workers.unwrap_or(10),
        max_concurrent_runs: asked.execution_property.map_or(1, |property| property.max_concurrent_runs),
        timeout: asked.timeout.unwrap_or(TIMEOUT),
        tags: asked.tags,
        request: request_of(call),
        runs: Vec::new(),
    };
    glue.jobs.insert(asked.name.clone(), job);
    Ok(json!({ "Name": asked.name }))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Named {
    job_name: String,
}

/// DeleteJob: no error when there is none of that name. Runs in progress go with it.
pub(super) fn delete(glue: &mut Glue, call: &Call) -> Result<Value, Refusal> {
    let Named { job_name } = read(call)?;
    glue.jobs.remove(&job_name);
    Ok(json!({ "JobName": job_name }))
}

pub(super) fn get(glue: &Glue, call: &Call) -> Result<Value, Refusal> {
    let Named { job_name } = read(call)?;
    Ok(json!({ "Job": shown(glue.jobs.get(&job_name).ok_or_else(|| unknown(&job_name))?) }))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Page {
    next_token: Option<String>,
    max_results: Option<usize>,
}

pub(super) fn list(glue: &Glue, call: &Call) -> Result<Value, Refusal> {
    let page: Page = read(call)?;
    let all = glue.jobs.values().map(shown).collect();
    let (jobs, next) = part(all, page.next_token.as_deref(), page.max_results.unwrap_or(100).min(1000))?;
    Ok(json!({ "Jobs": jobs, "NextToken": next }))
}

fn shown(job: &Job) -> Value {
    json!({
        "Name": job.name,
        "Role": job.role,
        "CreatedOn": epoch(job.created),
        "LastModifiedOn": epoch(job.created),
        "ExecutionProperty": { "MaxConcurrentRuns": job.max_concurrent_runs },
        "Command": job.command,
        "DefaultArguments": job.arguments,
        "MaxRetries": 0,
        "Timeout": job.timeout,
        "WorkerType": job.worker_type,
        "NumberOfWorkers": job.workers,
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Start {
    job_name: String,
    timeout: Option<i64>,
    #[serde(rename = "Arguments")]
    _arguments: Option<Value>,
}

pub(super) fn start(glue: &mut Glue, call: &Call) -> Result<Value, Refusal> {
    let asked: Start = read(call)?;
    Ok(json!({ "JobRunId": glue.start_run(&asked.job_name, None, call.now, asked.timeout)? }))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct ListRuns {
    job_name: String,
    next_token: Option<String>,
    max_results: Option<usize>,
}

/// GetJobRuns: the newest first.
pub(super) fn runs(glue: &Glue, call: &Call) -> Result<Value, Refusal> {
    let asked: ListRuns = read(call)?;
    let job = glue.jobs.get(&asked.job_name).ok_or_else(|| unknown(&asked.job_name))?;
    let all = job.runs.iter().rev().map(|run| shown_run(job, run, call.now)).collect();
    let (runs, next) = part(all, asked.next_token.as_deref(), asked.max_results.unwrap_or(200).min(200))?;
    Ok(json!({ "JobRuns": runs, "NextToken": next }))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct OneRun {
    job_name: String,
    run_id: String,
    #[serde(rename = "PredecessorsIncluded")]
    _predecessors_included: Option<bool>,
}

pub(super) fn get_run(glue: &Glue, call: &Call) -> Result<Value, Refusal> {
    let asked: OneRun = read(call)?;
    let job = glue.jobs.get(&asked.job_name).ok_or_else(|| unknown(&asked.job_name))?;
    let run = job.runs.iter().find(|run| run.id == asked.run_id);
    let run = run.ok_or_else(|| missing(format!("Job run {} not found.", asked.run_id)))?;
    Ok(json!({ "JobRun": shown_run(job, run, call.now) }))
}

fn shown_run(job: &Job, run: &Run, now: Timestamp) -> Value {
    let mut shown = json!({
        "Id": run.id,
        "Attempt": 0,
        "JobName": job.name,
        "StartedOn": epoch(run.started),
        "LastModifiedOn": epoch(run.ended.map_or(run.started, |(at, _)| at)),
        "JobRunState": run.state(now),
        "WorkerType": job.worker_type,
        "NumberOfWorkers": job.workers,
    });
    if let Some(trigger) = &run.trigger {
        shown["TriggerName"] = json!(trigger);
    }
    if let Some((at, _)) = run.ended {
        shown["CompletedOn"] = epoch(at);
    }
    shown
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct StopRuns {
    job_name: String,
    job_run_ids: Vec<String>,
}

/// BatchStopJobRun: what cannot be stopped is told run by run, in an answer that is no error.
pub(super) fn stop_runs(glue: &mut Glue, call: &Call) -> Result<Value, Refusal> {
    let asked: StopRuns = read(call)?;
    if asked.job_run_ids.is_empty() || asked.job_run_ids.len() > STOPPED_AT_ONCE {
        return Err(invalid(format!("JobRunIds must hold from 1 to {STOPPED_AT_ONCE} ids")));
    }
    let (mut stopped, mut errors) = (Vec::new(), Vec::new());
    for id in &asked.job_run_ids {
        let job = glue.jobs.get_mut(&asked.job_name);
        let run = job.and_then(|job| job.runs.iter_mut().find(|run| run.id == *id));
        let refused = match run {
            None => Some(missing(format!("Job run {id} of {} not found.", asked.job_name))),
            Some(run) if run.ended.is_some() || run.stop_asked.is_some() => {
                Some(invalid(format!("Job run {id} is {} and cannot be stopped.", run.state(call.now))))
            }
            Some(run) => {
                run.stop_asked = Some(call.now);
                None
            }
        };
        let of_run = json!({ "JobName": asked.job_name, "JobRunId": id });
        match refused {
            None => stopped.push(of_run),
            Some(Refusal { code, message, .. }) => {
                let mut error = of_run;
                error["ErrorDetail"] = json!({ "ErrorCode": code, "ErrorMessage": message });
                errors.push(error);
            }
        }
    }
    Ok(json!({ "SuccessfulSubmissions": stopped, "Errors": errors }))
}
