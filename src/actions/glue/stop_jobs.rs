//! `glue.stop-jobs`

use std::collections::{BTreeMap, BTreeSet, HashMap};

use aws_sdk_glue::Client;
use aws_sdk_glue::types::{Action as Starts, Job, JobRun, JobRunState, Trigger, TriggerState, TriggerType};
use futures::future::try_join_all;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::time::{Duration, sleep};

use super::LOOK_EVERY;
use crate::actions::field::time;
use crate::engine::action::{Action, Ctx, Decision, Found, Item, Proposal, View};
use crate::model::{ActionError, Effect, ErrorKind, Resource, ResourceId, Tier, Undo, Verdict};

/// How many runs one call stops.
const STOPPED_AT_ONCE: usize = 25;
/// The largest page of triggers and of runs.
const PAGE: i32 = 200;
/// How long a trigger may take until it is switched off.
const OFF_WITHIN: Duration = Duration::from_mins(1);

/// Stops jobs, and what would start them again.
pub struct StopJobs;

/// The action has no parameters.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {}

/// A job before it is stopped.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Prior {
    /// When it was made, which tells it from a later job of the same name.
    pub created: String,
    /// The triggers that are switched on and start it, each with the other jobs that it starts.
    pub triggers: BTreeMap<String, BTreeSet<String>>,
    /// Its runs in progress.
    pub runs: BTreeSet<String>,
    /// Its runs on their way to a stop.
    pub stopping: BTreeSet<String>,
}

impl Prior {
    /// What goes on, in words.
    fn going_on(&self) -> Option<String> {
        let count = |count: usize, one: &str| match count {
            0 => None,
            1 => Some(format!("1 {one}")),
            many => Some(format!("{many} {one}s")),
        };
        let words = [count(self.triggers.len(), "active trigger"), count(self.runs.len(), "run")];
        let words: Vec<String> = words.into_iter().flatten().collect();
        (!words.is_empty()).then(|| words.join(" and "))
    }
}

/// What was stopped.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Done {
    triggers: Vec<String>,
    runs: Vec<String>,
}

impl Action for StopJobs {
    type Params = Params;
    type Prior = Prior;

    const NAME: &'static str = "glue.stop-jobs";
    const TIER: Tier = Tier::Disruptive;
    const KINDS: &'static [&'static str] = &["glue.job"];
    const TITLE: &'static str = "Stop Glue jobs, and the triggers that start them";
    const DESCRIPTION: &'static str = "Switches off every trigger that starts a job by the clock, by an event or when other \
        jobs end, and then stops the runs in progress. The order matters: a trigger whose condition is `STOPPED` starts a \
        job again because it was stopped. The plan names the other jobs that a trigger starts: they stand still with it. \
        A trigger on demand starts nothing by itself and is left alone; whoever may call StartJobRun can still start the \
        job, so take the credentials first.\n\n\
        AWS pages: *AWS Glue triggers*, *StopTrigger*, *BatchStopJobRun*.";
    const UNDO: &'static str = "Switches on again the triggers that it switched off. A run that was stopped does not go on: \
        what it had done in memory is lost, and the job has to be started anew.";
    const PERMISSIONS: &'static [&'static str] =
        &["glue:BatchStopJobRun", "glue:GetJobRuns", "glue:GetJobs", "glue:GetTriggers", "glue:StopTrigger"];
    const UNDO_PERMISSIONS: &'static [&'static str] = &["glue:StartTrigger"];
    const EXAMPLE: &'static str = "{ id: glue, uses: glue.stop-jobs, on: jobs }";

    async fn discover(&self, cx: &Ctx, _: &Params, members: &[Resource]) -> Result<Vec<Found<Prior>>, ActionError> {
        let client = super::client(cx);
        let jobs = super::all_jobs(&client).await?;
        let jobs: HashMap<&str, &Job> = jobs.iter().filter_map(|job| Some((job.name()?, job))).collect();
        let triggers = all_triggers(&client).await?;
        let there = members.iter().filter_map(|member| Some((&member.id, *jobs.get(member.id.as_str())?)));
        let looks = there.map(|(id, job)| found(&client, id, job, &triggers));
        Ok(try_join_all(looks).await?.into_iter().flatten().collect())
    }

    fn plan(&self, _: &View, _: &Params, found: &Found<Prior>) -> Decision {
        let Some(before) = found.prior.going_on() else { return Decision::Already };
        let undo = Undo::by("switch its triggers on again").losing("what its runs have in memory");
        let summary = format!("stop the Glue job {}", found.resource);
        let mut proposal = Proposal::new(summary, before, "nothing runs or starts it", undo);
        for (trigger, others) in found.prior.triggers.iter().filter(|(_, others)| !others.is_empty()) {
            let others: Vec<&str> = others.iter().map(String::as_str).collect();
            proposal = proposal.noting(format!("its trigger {trigger} also starts {}", others.join(", ")));
        }
        Decision::Change(proposal)
    }

    /// Further runs and triggers of the same job are stopped with those that were seen.
    fn drift(&self, approved: &Prior, now: &Prior) -> Option<String> {
        (approved.created != now.created).then(|| "it is another job of the same name".to_owned())
    }

    async fn apply(&self, cx: &Ctx, _: &Params, items: &[Item<Prior>]) -> Result<Vec<Effect>, ActionError> {
        let client = super::client(cx);
        let mut effects = Vec::with_capacity(items.len());
        for Item { resource, prior, .. } in items {
            let triggers: Vec<String> = prior.triggers.keys().cloned().collect();
            for trigger in &triggers {
                unless_gone(client.stop_trigger().name(trigger).send().await.map_err(ActionError::from))?;
            }
            // Whatever was started until the last of them was off.
            let (runs, _) = runs(&client, resource.as_str()).await?;
            let runs: Vec<String> = runs.into_iter().collect();
            stop_runs(&client, resource.as_str(), &runs).await?;
            effects.push(json!(Done { triggers, runs }));
        }
        Ok(effects)
    }

    fn verify(&self, _: &View, _: &Params, found: &Found<Prior>) -> Verdict {
        match found.prior.going_on() {
            Some(what) => Verdict::Unproven { why: format!("there is still {what}") },
            None if !found.prior.stopping.is_empty() => Verdict::Pending { why: "its runs are STOPPING".to_owned() },
            None => Verdict::Proven,
        }
    }

    fn restored(&self, prior: &Prior, now: &Prior) -> Verdict {
        let missing = prior.triggers.keys().find(|trigger| !now.triggers.contains_key(*trigger));
        missing.map_or(Verdict::Proven, |trigger| Verdict::Unproven { why: format!("its trigger {trigger} is off") })
    }

    async fn undo(&self, cx: &Ctx, _: &Params, item: &Item<Prior>, effect: &Effect) -> Result<(), ActionError> {
        let client = super::client(cx);
        let jobs = super::all_jobs(&client).await?;
        let same =
            |job: &Job| job.name() == Some(item.resource.as_str()) && time(job.created_on()) == item.prior.created;
        if !jobs.iter().any(same) {
            return Ok(());
        }
        let done: Option<Done> = serde_json::from_value(effect.clone()).ok();
        let triggers = done.map_or_else(|| item.prior.triggers.keys().cloned().collect(), |done| done.triggers);
        for trigger in triggers {
            switch_on(&client, &trigger).await?;
        }
        Ok(())
    }
}

async fn found(
    client: &Client,
    id: &ResourceId,
    job: &Job,
    triggers: &[Trigger],
) -> Result<Option<Found<Prior>>, ActionError> {
    let (runs, stopping) = match runs(client, id.as_str()).await {
        Err(error) if error.kind == ErrorKind::NotFound => return Ok(None),
        runs => runs?,
    };
    let starting = triggers.iter().filter(|trigger| is_on(trigger) && starts(trigger).contains(id.as_str()));
    let others = |trigger: &Trigger| {
        let mut jobs = starts(trigger);
        jobs.remove(id.as_str());
        Some((trigger.name()?.to_owned(), jobs.into_iter().map(str::to_owned).collect()))
    };
    let prior =
        Prior { created: time(job.created_on()), triggers: starting.filter_map(others).collect(), runs, stopping };
    Ok(Some(Found { member: id.clone(), resource: id.clone(), prior }))
}

/// The jobs that a trigger starts.
fn starts(trigger: &Trigger) -> BTreeSet<&str> {
    trigger.actions().iter().filter_map(Starts::job_name).collect()
}

/// Whether a trigger fires by itself. One on demand never does.
fn is_on(trigger: &Trigger) -> bool {
    let on =
        matches!(trigger.state(), Some(TriggerState::Activated | TriggerState::Activating | TriggerState::Updating));
    on && trigger.r#type() != Some(&TriggerType::OnDemand)
}

/// All triggers of the region. Asked for those of one job, AWS lists all when there is none: so all are asked for at once.
async fn all_triggers(client: &Client) -> Result<Vec<Trigger>, ActionError> {
    let mut pages = client.get_triggers().max_results(PAGE).into_paginator().send();
    let mut triggers = Vec::new();
    while let Some(page) = pages.next().await {
        triggers.extend(page?.triggers.unwrap_or_default());
    }
    Ok(triggers)
}

/// The runs of a job that are in progress, and those that are on their way to a stop.
async fn runs(client: &Client, job: &str) -> Result<(BTreeSet<String>, BTreeSet<String>), ActionError> {
    let mut pages = client.get_job_runs().job_name(job).max_results(PAGE).into_paginator().send();
    let (mut runs, mut stopping) = (BTreeSet::new(), BTreeSet::new());
    while let Some(page) = pages.next().await {
        for run in page?.job_runs.unwrap_or_default() {
            let id = run.id().map(str::to_owned);
            match run.job_run_state() {
                _ if has_ended(&run) => {}
                Some(JobRunState::Stopping) => stopping.extend(id),
                _ => runs.extend(id),
            }
        }
    }
    Ok((runs, stopping))
}

fn has_ended(run: &JobRun) -> bool {
    use JobRunState::{Error, Expired, Failed, Stopped, Succeeded, Timeout};
    matches!(run.job_run_state(), Some(Error | Expired | Failed | Stopped | Succeeded | Timeout))
}

/// Stops runs. AWS tells in its answer which it did not stop; that counts only while they go on.
async fn stop_runs(client: &Client, job: &str, ids: &[String]) -> Result<(), ActionError> {
    let mut refused = Vec::new();
    for ids in ids.chunks(STOPPED_AT_ONCE) {
        let answer = client.batch_stop_job_run().job_name(job).set_job_run_ids(Some(ids.to_vec())).send().await?;
        refused.extend(answer.errors.unwrap_or_default());
    }
    if refused.is_empty() {
        return Ok(());
    }
    let (still, _) = runs(client, job).await?;
    let Some(error) = refused.iter().find(|error| error.job_run_id().is_some_and(|id| still.contains(id))) else {
        return Ok(());
    };
    let detail = error.error_detail();
    let message = detail.and_then(|detail| detail.error_message()).unwrap_or("AWS gave no reason");
    let message = format!("run {} was not stopped: {message}", error.job_run_id().unwrap_or_default());
    let code = detail.and_then(|detail| detail.error_code()).map(str::to_owned);
    Err(ActionError { code, ..ActionError::new(ErrorKind::WrongState, message) })
}

/// Switches a trigger on, when it is off. One that is gone is left alone.
async fn switch_on(client: &Client, name: &str) -> Result<(), ActionError> {
    let mut waited = Duration::ZERO;
    loop {
        let triggers = all_triggers(client).await?;
        let Some(trigger) = triggers.iter().find(|trigger| trigger.name() == Some(name)) else { return Ok(()) };
        match trigger.state() {
            _ if is_on(trigger) || trigger.r#type() == Some(&TriggerType::OnDemand) => return Ok(()),
            Some(TriggerState::Deactivating) if waited < OFF_WITHIN => {
                sleep(LOOK_EVERY).await;
                waited += LOOK_EVERY;
            }
            _ => return unless_gone(client.start_trigger().name(name).send().await.map_err(ActionError::from)),
        }
    }
}

fn unless_gone<T>(answer: Result<T, ActionError>) -> Result<(), ActionError> {
    match answer {
        Err(error) if error.kind != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::actions::tests::view;

    fn found(triggers: &[(&str, &[&str])], runs: &[&str], stopping: &[&str]) -> Found<Prior> {
        let id = ResourceId::new("mine").unwrap();
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
        let triggers = triggers.iter().map(|(name, others)| ((*name).to_owned(), names(others))).collect();
        let prior = Prior { created: "c".into(), triggers, runs: names(runs), stopping: names(stopping) };
        Found { member: id.clone(), resource: id, prior }
    }

    fn plan(found: &Found<Prior>) -> Decision {
        StopJobs.plan(&view(), &Params {}, found)
    }

    #[test]
    fn a_job_that_nothing_starts_and_that_does_not_run_is_fine() {
        assert_eq!(plan(&found(&[], &[], &["jr_1"])), Decision::Already);
        assert!(matches!(plan(&found(&[], &["jr_1"], &[])), Decision::Change(_)));
        let Decision::Change(proposal) = plan(&found(&[("again", &["report"])], &["jr_1", "jr_2"], &[])) else {
            panic!("no change")
        };
        assert_eq!(proposal.before, "1 active trigger and 2 runs");
        assert_eq!(proposal.notes, ["its trigger again also starts report"]);
    }

    #[test]
    fn a_run_on_its_way_to_a_stop_is_waited_for() {
        let verify = |found: &Found<Prior>| StopJobs.verify(&view(), &Params {}, found);
        assert!(matches!(verify(&found(&[], &[], &["jr_1"])), Verdict::Pending { .. }));
        assert!(matches!(verify(&found(&[("again", &[])], &[], &[])), Verdict::Unproven { .. }));
        assert_eq!(verify(&found(&[], &[], &[])), Verdict::Proven);
    }

    #[test]
    fn a_namesake_voids_the_approval_and_a_further_run_does_not() {
        let approved = found(&[], &["jr_1"], &[]).prior;
        assert_eq!(StopJobs.drift(&approved, &found(&[("again", &[])], &["jr_2"], &[]).prior), None);
        assert!(StopJobs.drift(&approved, &Prior { created: "d".into(), ..approved.clone() }).is_some());
    }
}
