//! Builds.

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Amplify, Branch, Job, app, branch, missing, part, read, refuse};
use crate::sim::call::{Call, Refusal};
use crate::sim::pages::epoch;

impl Branch {
    /// Starts a build.
    pub(super) fn start(&mut self, kind: &str, now: Timestamp) -> &Job {
        let id = (self.jobs.len() + 1).to_string();
        self.jobs.push(Job { id, kind: kind.to_owned(), started: now, stop_asked: None });
        &self.jobs[self.jobs.len() - 1]
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Start {
    app_id: String,
    branch_name: String,
    job_type: String,
    #[serde(rename = "jobReason")]
    _job_reason: Option<String>,
}

pub(super) fn start(state: &mut Amplify, call: &Call) -> Result<Value, Refusal> {
    let asked: Start = read(call)?;
    if !["RELEASE", "RETRY", "MANUAL", "WEB_HOOK"].contains(&asked.job_type.as_str()) {
        return Err(refuse(format!("{} is not a type of job", asked.job_type)));
    }
    let arn = app(state, &asked.app_id)?.arn.clone();
    let branch = branch(state, &asked.app_id, &asked.branch_name)?;
    if branch.jobs.iter().any(|job| matches!(job.state(call.now), "RUNNING" | "CANCELLING")) {
        return Err(refuse("The branch already has a job in progress."));
    }
    let job = branch.start(&asked.job_type, call.now).clone();
    Ok(json!({ "jobSummary": shown(&arn, branch, &job, call.now) }))
}

fn shown(app: &str, branch: &Branch, job: &Job, now: Timestamp) -> Value {
    json!({
        "jobArn": format!("{app}/branches/{}/jobs/{}", branch.name, job.id),
        "jobId": job.id,
        "commitId": "HEAD",
        "commitMessage": "",
        "commitTime": epoch(job.started),
        "startTime": epoch(job.started),
        "status": job.state(now),
        "jobType": job.kind,
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct OfBranch {
    app_id: String,
    branch_name: String,
}

/// ListJobs: the newest first.
pub(super) fn list(state: &mut Amplify, call: &Call) -> Result<Value, Refusal> {
    let OfBranch { app_id, branch_name } = read(call)?;
    let arn = app(state, &app_id)?.arn.clone();
    let branch = branch(state, &app_id, &branch_name)?;
    part(call, "jobSummaries", branch.jobs.iter().rev().map(|job| shown(&arn, branch, job, call.now)).collect())
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct OfJob {
    app_id: String,
    branch_name: String,
    job_id: String,
}

pub(super) fn get(state: &mut Amplify, call: &Call) -> Result<Value, Refusal> {
    let OfJob { app_id, branch_name, job_id } = read(call)?;
    let arn = app(state, &app_id)?.arn.clone();
    let branch = branch(state, &app_id, &branch_name)?;
    let job = branch.jobs.iter().find(|job| job.id == job_id).ok_or_else(|| missing("The job"))?;
    Ok(json!({ "job": { "summary": shown(&arn, branch, job, call.now), "steps": [] } }))
}

/// StopJob: only while it is in progress.
pub(super) fn stop(state: &mut Amplify, call: &Call) -> Result<Value, Refusal> {
    let OfJob { app_id, branch_name, job_id } = read(call)?;
    let arn = app(state, &app_id)?.arn.clone();
    let branch = branch(state, &app_id, &branch_name)?;
    let job = branch.jobs.iter_mut().find(|job| job.id == job_id).ok_or_else(|| missing("The job"))?;
    if job.state(call.now) != "RUNNING" {
        return Err(refuse(format!("The job is {} and cannot be stopped.", job.state(call.now))));
    }
    job.stop_asked = Some(call.now);
    let job = job.clone();
    Ok(json!({ "jobSummary": shown(&arn, branch, &job, call.now) }))
}
