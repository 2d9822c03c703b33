//! AWS Glue: jobs and their runs, the triggers that start them again, and interactive sessions.

pub mod jobs;
mod schedule;
pub mod sessions;
pub mod triggers;

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};

use super::call::{Body, Call, Permission, Refusal, Reply};
use super::wire::params::Params;
use super::world::World;

/// What an account has in one region.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Glue {
    /// Jobs, by name.
    pub jobs: BTreeMap<String, jobs::Job>,
    /// Triggers, by name.
    pub triggers: BTreeMap<String, triggers::Trigger>,
    /// Interactive sessions, by id.
    pub sessions: BTreeMap<String, sessions::Session>,
    /// Until when everything has happened that was to happen.
    #[serde(skip)]
    settled: Option<Timestamp>,
}

/// What an operation works on: the first part of the ARN's resource, and the parameter that holds the name.
fn subject(operation: &str) -> Option<(&'static str, &'static str)> {
    Some(match operation {
        "CreateJob" => ("job", "Name"),
        "BatchStopJobRun" | "DeleteJob" | "GetJob" | "GetJobRun" | "GetJobRuns" | "StartJobRun" => ("job", "JobName"),
        "CreateTrigger" | "DeleteTrigger" | "GetTrigger" | "StartTrigger" | "StopTrigger" => ("trigger", "Name"),
        "CreateSession" | "DeleteSession" | "GetSession" | "StopSession" => ("session", "Id"),
        "GetTags" => ("", "ResourceArn"),
        "GetJobs" | "GetTriggers" | "ListSessions" => ("*", ""),
        _ => return None,
    })
}

/// What the call needs to be allowed. Glue's service authorization reference; whoever makes a job or a session passes it
/// the role as which it runs.
pub fn permissions(_: &World, call: &Call) -> Result<Vec<Permission>, Refusal> {
    let (kind, parameter) = subject(&call.operation).ok_or_else(|| call.unknown())?;
    let text = |name: &str| match &call.params {
        Params::Json(json) => json.get(name).and_then(Value::as_str).unwrap_or_default().to_owned(),
        Params::Form(_) => String::new(),
    };
    let resource = match kind {
        "*" => "*".to_owned(),
        "" => text(parameter),
        kind => arn(call, kind, &text(parameter)),
    };
    let mut needed = vec![Permission::new(format!("glue:{}", call.operation), resource)];
    if matches!(call.operation.as_str(), "CreateJob" | "CreateSession") {
        let role = text("Role");
        let role = if role.starts_with("arn:") { role } else { format!("arn:aws:iam::{}:role/{role}", call.account) };
        needed.push(Permission::new("iam:PassRole", role).with("iam:PassedToService", "glue.amazonaws.com"));
    }
    Ok(needed)
}

fn arn(call: &Call, kind: &str, name: &str) -> String {
    format!("arn:aws:glue:{}:{}:{kind}/{name}", call.region, call.account)
}

/// Carries the call out.
pub fn handle(world: &mut World, call: &Call) -> Reply {
    let glue = &mut world.region_mut(&call.account, &call.region).glue;
    glue.settle(call.now);
    let answer = match call.operation.as_str() {
        "BatchStopJobRun" => jobs::stop_runs(glue, call),
        "CreateJob" => jobs::create(glue, call),
        "CreateSession" => sessions::create(glue, call),
        "CreateTrigger" => triggers::create(glue, call),
        "DeleteJob" => jobs::delete(glue, call),
        "DeleteSession" => sessions::delete(glue, call),
        "DeleteTrigger" => triggers::delete(glue, call),
        "GetJob" => jobs::get(glue, call),
        "GetJobRun" => jobs::get_run(glue, call),
        "GetJobRuns" => jobs::runs(glue, call),
        "GetJobs" => jobs::list(glue, call),
        "GetSession" => sessions::get(glue, call),
        "GetTags" => tags(glue, call),
        "GetTrigger" => triggers::get(glue, call),
        "GetTriggers" => triggers::list(glue, call),
        "ListSessions" => sessions::list(glue, call),
        "StartJobRun" => jobs::start(glue, call),
        "StartTrigger" => triggers::start(glue, call),
        "StopSession" => sessions::stop(glue, call),
        "StopTrigger" => triggers::stop(glue, call),
        _ => Err(call.unknown()),
    };
    answer.map(Body::Json)
}

impl Glue {
    /// Lets time do its work, in its order: runs end, and triggers start others.
    pub fn settle(&mut self, now: Timestamp) {
        let mut at = self.settled.unwrap_or(now);
        while let Some(next) = self.next(at).filter(|next| *next <= now) {
            at = next;
            for (job, state) in self.end_runs(at) {
                self.follow(&job, state, at);
            }
            self.tick(at);
        }
        self.settled = Some(now);
    }

    /// When something happens next.
    fn next(&self, after: Timestamp) -> Option<Timestamp> {
        let ends = self.jobs.values().flat_map(|job| &job.runs).filter_map(jobs::Run::ends);
        let ticks = self.triggers.values().filter_map(|trigger| trigger.next_tick(after));
        ends.chain(ticks).min()
    }
}

#[derive(serde::Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct GetTags {
    resource_arn: String,
}

fn tags(glue: &Glue, call: &Call) -> Result<Value, Refusal> {
    let GetTags { resource_arn } = read(call)?;
    let resource = resource_arn.splitn(6, ':').nth(5).and_then(|resource| resource.split_once('/'));
    let tags = match resource {
        Some(("job", name)) => glue.jobs.get(name).map(|job| &job.tags),
        Some(("trigger", name)) => glue.triggers.get(name).map(|trigger| &trigger.tags),
        Some(("session", id)) => glue.sessions.get(id).map(|session| &session.tags),
        _ => return Err(invalid(format!("{resource_arn} is not the ARN of a resource with tags"))),
    };
    Ok(json!({ "Tags": tags.ok_or_else(|| missing("Entity not found"))? }))
}

fn read<T: serde::de::DeserializeOwned>(call: &Call) -> Result<T, Refusal> {
    call.params.read().map_err(|refusal| Refusal { code: "InvalidInputException".to_owned(), ..refusal })
}

/// The parameters of a call.
fn request_of(call: &Call) -> Value {
    match &call.params {
        Params::Json(json) => json.clone(),
        Params::Form(_) => Value::Null,
    }
}

/// What is made again under its name: nothing changes if it is asked for as before, and is refused otherwise.
fn submitted_before(name: &str, request: &Value, call: &Call) -> Result<Value, Refusal> {
    if *request == request_of(call) {
        return Ok(json!({ "Name": name }));
    }
    let message = format!("{name} already submitted with different configuration");
    Err(Refusal::new(400, "IdempotentParameterMismatchException", message))
}

fn invalid(message: impl Into<String>) -> Refusal {
    Refusal::new(400, "InvalidInputException", message)
}

fn missing(message: impl Into<String>) -> Refusal {
    Refusal::new(400, "EntityNotFoundException", message)
}

#[cfg(test)]
mod tests;
