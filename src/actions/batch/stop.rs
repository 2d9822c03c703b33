//! `batch.stop`

use std::collections::BTreeSet;

use aws_sdk_batch::Client;
use aws_sdk_batch::types::{JobQueueDetail, JobQueueType, JobStatus, JobSummary, JqState};
use futures::future::try_join_all;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::engine::action::{Action, Ctx, Decision, Found, Item, Proposal, View};
use crate::model::{ActionError, Effect, Resource, ResourceId, Tier, Undo, Verdict};

/// The statuses of jobs that have not ended.
const ACTIVE: [JobStatus; 5] =
    [JobStatus::Submitted, JobStatus::Pending, JobStatus::Runnable, JobStatus::Starting, JobStatus::Running];
/// How many jobs are terminated at once.
const AT_ONCE: usize = 10;

/// Stops job queues.
pub struct Stop;

/// What becomes of the jobs.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// What becomes of the jobs that the queue has.
    #[serde(default)]
    pub jobs: Jobs,
}

/// What becomes of the jobs of a queue that takes no more.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Jobs {
    /// They are terminated, those that wait and those that run.
    #[default]
    Terminate,
    /// They go on: those that wait are started, too.
    Keep,
}

/// A queue before it is stopped.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Prior {
    /// `ENABLED` or `DISABLED`.
    pub state: String,
    /// Its jobs that have not ended and were not told to, by id.
    pub jobs: BTreeSet<String>,
    /// How many were told to end and have not yet.
    pub ending: usize,
    /// Whether its jobs are SageMaker's.
    pub of_sagemaker: bool,
}

impl Action for Stop {
    type Params = Params;
    type Prior = Prior;

    const NAME: &'static str = "batch.stop";
    const TIER: Tier = Tier::Disruptive;
    const KINDS: &'static [&'static str] = &["batch.queue"];
    const TITLE: &'static str = "Stop Batch job queues";
    const DESCRIPTION: &'static str = "Disables a queue, so that it takes no more jobs, and then terminates those that it \
        has: a disabled queue alone lets them run, and starts those that wait. The other order loses: whoever submits jobs \
        goes on. Terminated jobs are not tried again. A job that was told to end counts as pending until it has ended. The \
        machines are its compute environments': `batch.disable-environments` comes after this; stopping machines before, by \
        `ec2.stop-instances`, makes Batch launch others. Schedules and functions that submit jobs stay: from now on they are \
        refused.\n\n\
        AWS pages: *UpdateJobQueue*, *TerminateJob*, *Automated job retries*, *Job states*. Facts B12.";
    const UNDO: &'static str =
        "Enables the queue again. The jobs do not come back: whoever needs one submits it again.";
    const PERMISSIONS: &'static [&'static str] =
        &["batch:DescribeJobQueues", "batch:ListJobs", "batch:TerminateJob", "batch:UpdateJobQueue"];
    const UNDO_PERMISSIONS: &'static [&'static str] = &[];
    const EXAMPLE: &'static str = "{ id: batch, uses: batch.stop, on: queues }";

    async fn discover(&self, cx: &Ctx, _: &Params, members: &[Resource]) -> Result<Vec<Found<Prior>>, ActionError> {
        let client = super::client(cx);
        let queues = super::queues_of(&client, members).await?;
        let found = try_join_all(queues.into_iter().map(|queue| found(client.clone(), queue))).await?;
        Ok(found.into_iter().flatten().collect())
    }

    fn plan(&self, _: &View, params: &Params, found: &Found<Prior>) -> Decision {
        let Prior { state, jobs, of_sagemaker, .. } = &found.prior;
        let ended = if params.jobs == Jobs::Terminate { jobs.len() } else { 0 };
        if state == "DISABLED" && ended == 0 {
            return Decision::Already;
        }
        let mut undo = Undo::by("enable it again");
        if ended > 0 {
            undo = undo.losing(format!("{ended} jobs that run or wait: they have to be submitted again"));
        }
        let before = format!("{state}, {} jobs run or wait", jobs.len());
        let after = match params.jobs {
            Jobs::Terminate => "DISABLED, no jobs",
            Jobs::Keep => "DISABLED",
        };
        let mut proposal = Proposal::new(format!("stop the job queue {}", found.resource), before, after, undo);
        if ended > 0 {
            proposal = proposal.noting("jobs that are submitted until then are terminated, too");
        }
        if *of_sagemaker {
            proposal = proposal.noting("its training jobs are SageMaker's, and go on");
        }
        Decision::Change(proposal)
    }

    /// Jobs come and go: what is approved is that the queue has none.
    fn drift(&self, _: &Prior, _: &Prior) -> Option<String> {
        None
    }

    async fn apply(&self, cx: &Ctx, params: &Params, items: &[Item<Prior>]) -> Result<Vec<Effect>, ActionError> {
        let client = super::client(cx);
        let mut effects = Vec::with_capacity(items.len());
        for item in items {
            let name = item.resource.as_str();
            switch(&client, name, JqState::Disabled).await?;
            let ends = params.jobs == Jobs::Terminate && !item.prior.of_sagemaker;
            let ended = if ends { terminate_all(cx, &client, name).await? } else { BTreeSet::new() };
            effects.push(json!({ "terminated": ended }));
        }
        Ok(effects)
    }

    fn verify(&self, _: &View, params: &Params, found: &Found<Prior>) -> Verdict {
        let Prior { state, jobs, ending, .. } = &found.prior;
        if state != "DISABLED" {
            return Verdict::Unproven { why: format!("it is {state}") };
        }
        match params.jobs {
            Jobs::Keep => Verdict::Proven,
            Jobs::Terminate if !jobs.is_empty() => {
                Verdict::Unproven { why: format!("{} jobs run or wait", jobs.len()) }
            }
            Jobs::Terminate if *ending > 0 => Verdict::Pending { why: format!("{ending} jobs are ending") },
            Jobs::Terminate => Verdict::Proven,
        }
    }

    fn restored(&self, prior: &Prior, now: &Prior) -> Verdict {
        if prior.state == now.state {
            Verdict::Proven
        } else {
            Verdict::Unproven { why: format!("it is {}", now.state) }
        }
    }

    async fn undo(&self, cx: &Ctx, _: &Params, item: &Item<Prior>, _: &Effect) -> Result<(), ActionError> {
        match item.prior.state.as_str() {
            "ENABLED" => switch(&super::client(cx), item.resource.as_str(), JqState::Enabled).await,
            _ => Ok(()),
        }
    }
}

async fn found(client: Client, queue: JobQueueDetail) -> Result<Option<Found<Prior>>, ActionError> {
    let Ok(resource) = ResourceId::new(super::queue_name(&queue)) else { return Ok(None) };
    let of_sagemaker = queue.job_queue_type() == Some(&JobQueueType::SagemakerTraining);
    let jobs = if of_sagemaker { Vec::new() } else { active(&client, resource.as_str()).await? };
    let ending = jobs.iter().filter(|job| ending(job)).count();
    let jobs = jobs.into_iter().filter(|job| !self::ending(job)).filter_map(|job| job.job_id).collect();
    let state = queue.state().map_or("", |state| state.as_str()).to_owned();
    let prior = Prior { state, jobs, ending, of_sagemaker };
    Ok(Some(Found { member: resource.clone(), resource, prior }))
}

/// Whether a job was told to end.
fn ending(job: &JobSummary) -> bool {
    job.is_terminated().unwrap_or_default()
}

/// The jobs of a queue that have not ended. Of an array job or one on many nodes the job that holds the others.
async fn active(client: &Client, queue: &str) -> Result<Vec<JobSummary>, ActionError> {
    // In the order in which a job goes on: one that does so between two calls is seen twice, not missed.
    let mut jobs: Vec<JobSummary> = Vec::new();
    for status in ACTIVE {
        for job in in_status(client, queue, status).await? {
            if !jobs.iter().any(|known| known.job_id() == job.job_id()) {
                jobs.push(job);
            }
        }
    }
    Ok(jobs)
}

async fn in_status(client: &Client, queue: &str, status: JobStatus) -> Result<Vec<JobSummary>, ActionError> {
    let request = client.list_jobs().job_queue(queue).job_status(status).max_results(super::page());
    let mut items = request.into_paginator().items().send();
    let mut jobs = Vec::new();
    while let Some(job) = items.next().await {
        jobs.push(job?);
    }
    Ok(jobs)
}

/// Terminates the jobs of a queue that takes no more. One that was being submitted while it closed shows a moment later.
async fn terminate_all(cx: &Ctx, client: &Client, queue: &str) -> Result<BTreeSet<String>, ActionError> {
    let mut ended = BTreeSet::new();
    loop {
        let jobs = active(client, queue).await?;
        let left = jobs.into_iter().filter(|job| !ending(job)).filter_map(|job| job.job_id);
        let left: Vec<String> = left.filter(|id| !ended.contains(id)).collect();
        if left.is_empty() {
            return Ok(ended);
        }
        terminate(cx, client, &left).await?;
        ended.extend(left);
    }
}

async fn terminate(cx: &Ctx, client: &Client, jobs: &[String]) -> Result<(), ActionError> {
    let reason = format!("contained: case {}", cx.view.case);
    for portion in jobs.chunks(AT_ONCE) {
        let requests = portion.iter().map(|id| client.terminate_job().job_id(id).reason(&reason).send());
        try_join_all(requests).await?;
    }
    Ok(())
}

/// Enables or disables a queue, when nothing else is being changed at it. One that is gone, or so already, is left alone.
async fn switch(client: &Client, name: &str, state: JqState) -> Result<(), ActionError> {
    let look = || async { Ok::<_, ActionError>(super::queues(client, Some(vec![name.to_owned()])).await?.pop()) };
    let mut refused = None;
    loop {
        super::until_changed(name, || async {
            Ok(look().await?.and_then(|queue| Some(queue.status()?.as_str().to_owned())))
        })
        .await?;
        match look().await? {
            Some(queue) if queue.state() != Some(&state) => {}
            _ => return Ok(()),
        }
        if let Some(error) = refused {
            return Err(error);
        }
        let request = client.update_job_queue().job_queue(name).state(state.clone());
        match request.send().await.map_err(ActionError::from) {
            // A repeat of a request whose answer was lost is refused while the first one is being carried out.
            Err(error) if error.is("ClientException") => refused = Some(error),
            answer => return answer.map(drop),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::actions::tests::view;

    fn found(state: &str, jobs: &[&str], ending: usize) -> Found<Prior> {
        let resource = ResourceId::new("miners").unwrap();
        let jobs = jobs.iter().map(|id| (*id).to_owned()).collect();
        let prior = Prior { state: state.into(), jobs, ending, of_sagemaker: false };
        Found { member: resource.clone(), resource, prior }
    }

    const TERMINATE: Params = Params { jobs: Jobs::Terminate };

    #[test]
    fn a_disabled_queue_with_jobs_is_not_stopped_yet() {
        let plan = |found: &Found<Prior>| Stop.plan(&view(), &TERMINATE, found);
        let Decision::Change(proposal) = plan(&found("DISABLED", &["a", "b"], 0)) else { panic!("no change") };
        assert_eq!(proposal.undo.loses, ["2 jobs that run or wait: they have to be submitted again"]);
        assert_eq!(plan(&found("DISABLED", &[], 1)), Decision::Already);
        assert_eq!(Stop.plan(&view(), &Params { jobs: Jobs::Keep }, &found("DISABLED", &["a"], 0)), Decision::Already);
    }

    #[test]
    fn what_still_ends_is_pending() {
        let verify = |found: &Found<Prior>| Stop.verify(&view(), &TERMINATE, found);
        assert_eq!(verify(&found("DISABLED", &[], 0)), Verdict::Proven);
        assert!(matches!(verify(&found("DISABLED", &[], 1)), Verdict::Pending { .. }));
        assert!(matches!(verify(&found("DISABLED", &["a"], 0)), Verdict::Unproven { .. }));
        assert!(matches!(verify(&found("ENABLED", &[], 0)), Verdict::Unproven { .. }));
    }
}
