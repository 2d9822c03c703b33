//! Triggers: what starts jobs by the clock, or when other jobs end.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::schedule::Schedule;
use super::{Glue, invalid, missing, read, request_of, submitted_before};
use crate::sim::call::{Call, Refusal};
use crate::sim::pages::part;

/// From `ACTIVATING` to `ACTIVATED`, and from `DEACTIVATING` to `DEACTIVATED`.
const SETTLES_IN: SignedDuration = SignedDuration::from_secs(3);
/// How many jobs a trigger starts at most.
const ACTIONS: usize = 50;

/// A trigger.
#[derive(Debug, Clone, Serialize)]
pub struct Trigger {
    /// Its name.
    pub name: String,
    /// When it fires.
    pub kind: Kind,
    /// `cron(…)`, of a scheduled one.
    pub schedule: Option<String>,
    /// What a conditional one waits for.
    pub predicate: Option<Predicate>,
    /// Which of the conditions have come true since it fired last.
    pub met: BTreeSet<usize>,
    /// The jobs that it starts.
    pub jobs: Vec<String>,
    /// Whether it is switched on; none before it ever was.
    pub active: Option<bool>,
    /// When that was last switched.
    pub since: Timestamp,
    /// Tags.
    pub tags: BTreeMap<String, String>,
    /// What it was asked for with.
    #[serde(skip)]
    pub request: Value,
}

/// When a trigger fires.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Kind {
    /// By the clock.
    Scheduled,
    /// When jobs end.
    Conditional,
    /// When it is started.
    OnDemand,
    /// By an event; none comes in the simulated AWS.
    Event,
}

/// What a conditional trigger waits for.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct Predicate {
    /// `AND` or `ANY`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub logical: Option<String>,
    /// The conditions.
    pub conditions: Vec<Condition>,
}

/// That a job ended in a state.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct Condition {
    /// `EQUALS`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub logical_operator: Option<String>,
    /// The job.
    pub job_name: String,
    /// `SUCCEEDED`, `STOPPED`, `FAILED` or `TIMEOUT`.
    pub state: String,
}

impl Trigger {
    fn state(&self, now: Timestamp) -> &'static str {
        let settled = now >= self.since + SETTLES_IN;
        match (self.active, settled) {
            (None, _) => "CREATED",
            (Some(true), true) => "ACTIVATED",
            (Some(true), false) => "ACTIVATING",
            (Some(false), true) => "DEACTIVATED",
            (Some(false), false) => "DEACTIVATING",
        }
    }

    /// When the clock makes it fire next.
    pub(super) fn next_tick(&self, after: Timestamp) -> Option<Timestamp> {
        let schedule = self.schedule.as_deref().filter(|_| self.active == Some(true))?;
        Schedule::read(schedule).ok()?.next(after.max(self.since))
    }
}

impl Glue {
    /// Fires what is scheduled for this minute.
    pub(super) fn tick(&mut self, at: Timestamp) {
        let before = at - SignedDuration::from_secs(1);
        let due = self.triggers.values().filter(|trigger| trigger.next_tick(before) == Some(at));
        let due: Vec<String> = due.map(|trigger| trigger.name.clone()).collect();
        for name in &due {
            self.fire(name, at);
        }
    }

    /// Fires what waited for a job to end so.
    pub(super) fn follow(&mut self, job: &str, state: &str, at: Timestamp) {
        let mut due = Vec::new();
        for trigger in self.triggers.values_mut().filter(|trigger| trigger.active == Some(true)) {
            let Some(Predicate { logical, conditions }) = &trigger.predicate else { continue };
            let true_now = |condition: &Condition| condition.job_name == job && condition.state == state;
            let met = conditions.iter().enumerate().filter(|(_, condition)| true_now(condition));
            let before = trigger.met.len();
            trigger.met.extend(met.map(|(number, _)| number));
            let all = trigger.met.len() == conditions.len();
            let any = logical.as_deref() == Some("ANY") && trigger.met.len() > before;
            if (all && before < conditions.len()) || any {
                trigger.met.clear();
                due.push(trigger.name.clone());
            }
        }
        for name in &due {
            self.fire(name, at);
        }
    }

    /// Starts what a trigger starts. A job of which enough runs are in progress is passed over.
    fn fire(&mut self, name: &str, at: Timestamp) {
        let jobs = self.triggers.get(name).map(|trigger| trigger.jobs.clone()).unwrap_or_default();
        for job in jobs {
            let _ = self.start_run(&job, Some(name), at, None);
        }
    }
}

fn find<'a>(glue: &'a mut Glue, name: &str) -> Result<&'a mut Trigger, Refusal> {
    glue.triggers.get_mut(name).ok_or_else(|| missing(format!("Trigger {name} not found.")))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Create {
    name: String,
    r#type: Kind,
    schedule: Option<String>,
    predicate: Option<Predicate>,
    actions: Vec<Action>,
    #[serde(default)]
    start_on_creation: bool,
    #[serde(default)]
    tags: BTreeMap<String, String>,
    #[serde(rename = "Description")]
    _description: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Action {
    job_name: String,
}

pub(super) fn create(glue: &mut Glue, call: &Call) -> Result<Value, Refusal> {
    let asked: Create = read(call)?;
    if let Some(known) = glue.triggers.get(&asked.name) {
        return submitted_before(&asked.name, &known.request, call);
    }
    if asked.actions.is_empty() || asked.actions.len() > ACTIONS {
        return Err(invalid(format!("A trigger has from 1 to {ACTIONS} actions")));
    }
    if let Some(unknown) = asked.actions.iter().find(|action| !glue.jobs.contains_key(&action.job_name)) {
        return Err(missing(format!("Job {} not found.", unknown.job_name)));
    }
    match (asked.r#type, &asked.schedule, &asked.predicate) {
        (Kind::Scheduled, Some(schedule), _) => drop(Schedule::read(schedule).map_err(invalid)?),
        (Kind::Scheduled, None, _) => return Err(invalid("A scheduled trigger needs a schedule")),
        (Kind::Conditional, _, None) => return Err(invalid("A conditional trigger needs a predicate")),
        (Kind::OnDemand, ..) if asked.start_on_creation => {
            return Err(invalid("StartOnCreation is not supported for ON_DEMAND triggers"));
        }
        _ => {}
    }
    let trigger = Trigger {
        name: asked.name.clone(),
        kind: asked.r#type,
        schedule: asked.schedule,
        predicate: asked.predicate,
        met: BTreeSet::new(),
        jobs: asked.actions.into_iter().map(|action| action.job_name).collect(),
        active: asked.start_on_creation.then_some(true),
        since: call.now,
        tags: asked.tags,
        request: request_of(call),
    };
    glue.triggers.insert(asked.name.clone(), trigger);
    Ok(json!({ "Name": asked.name }))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Named {
    name: String,
}

/// DeleteTrigger: no error when there is none of that name.
pub(super) fn delete(glue: &mut Glue, call: &Call) -> Result<Value, Refusal> {
    let Named { name } = read(call)?;
    glue.triggers.remove(&name);
    Ok(json!({ "Name": name }))
}

pub(super) fn get(glue: &mut Glue, call: &Call) -> Result<Value, Refusal> {
    let Named { name } = read(call)?;
    Ok(json!({ "Trigger": shown(find(glue, &name)?, call.now) }))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Page {
    next_token: Option<String>,
    dependent_job_name: Option<String>,
    max_results: Option<usize>,
}

/// GetTriggers. When no trigger starts the job that is named, AWS lists all of them.
pub(super) fn list(glue: &Glue, call: &Call) -> Result<Value, Refusal> {
    let page: Page = read(call)?;
    let starts = |trigger: &&Trigger| page.dependent_job_name.as_ref().is_some_and(|job| trigger.jobs.contains(job));
    let mut wanted: Vec<&Trigger> = glue.triggers.values().filter(starts).collect();
    if wanted.is_empty() {
        wanted = glue.triggers.values().collect();
    }
    let all = wanted.into_iter().map(|trigger| shown(trigger, call.now)).collect();
    let (triggers, next) = part(all, page.next_token.as_deref(), page.max_results.unwrap_or(100).min(200))?;
    Ok(json!({ "Triggers": triggers, "NextToken": next }))
}

fn shown(trigger: &Trigger, now: Timestamp) -> Value {
    let actions: Vec<Value> = trigger.jobs.iter().map(|job| json!({ "JobName": job })).collect();
    let mut shown = json!({
        "Name": trigger.name,
        "Type": trigger.kind,
        "State": trigger.state(now),
        "Actions": actions,
    });
    if let Some(schedule) = &trigger.schedule {
        shown["Schedule"] = json!(schedule);
    }
    if let Some(predicate) = &trigger.predicate {
        shown["Predicate"] = json!(predicate);
    }
    shown
}

/// StartTrigger: switches a trigger on; one on demand fires at once, and stays as it is.
pub(super) fn start(glue: &mut Glue, call: &Call) -> Result<Value, Refusal> {
    let Named { name } = read(call)?;
    let trigger = find(glue, &name)?;
    if trigger.kind == Kind::OnDemand {
        glue.fire(&name, call.now);
        return Ok(json!({ "Name": name }));
    }
    if trigger.state(call.now) == "DEACTIVATING" {
        return Err(invalid(format!("Trigger {name} is DEACTIVATING")));
    }
    if trigger.active != Some(true) {
        (trigger.active, trigger.since) = (Some(true), call.now);
        trigger.met.clear();
    }
    Ok(json!({ "Name": name }))
}

/// StopTrigger: switches a trigger off. What it started goes on.
pub(super) fn stop(glue: &mut Glue, call: &Call) -> Result<Value, Refusal> {
    let Named { name } = read(call)?;
    let trigger = find(glue, &name)?;
    if trigger.kind == Kind::OnDemand || trigger.active.is_none() {
        return Err(invalid(format!("Trigger {name} is {}: it cannot be stopped", trigger.state(call.now))));
    }
    if trigger.active == Some(true) {
        (trigger.active, trigger.since) = (Some(false), call.now);
    }
    Ok(json!({ "Name": name }))
}
