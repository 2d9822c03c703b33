//! Interactive sessions: workers that wait for statements.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Glue, missing, read};
use crate::sim::call::{Call, Refusal};
use crate::sim::pages::{epoch, part};

/// From `PROVISIONING` to `READY`.
const READY_IN: SignedDuration = SignedDuration::from_secs(30);
/// From `STOPPING` to `STOPPED`.
const STOPS_IN: SignedDuration = SignedDuration::from_secs(15);
/// Minutes after which a session ends for which nobody said otherwise: 48 hours.
const TIMEOUT: i64 = 2880;

/// A session.
#[derive(Debug, Clone, Serialize)]
pub struct Session {
    /// Its id, which its maker chose.
    pub id: String,
    /// As whom it runs.
    pub role: String,
    /// When it was made.
    pub created: Timestamp,
    /// What it runs: `glueetl`, `gluestreaming`, `glueray`.
    pub command: Value,
    /// `G.1X`, …
    pub worker_type: String,
    /// How many workers.
    pub workers: u32,
    /// When its time is up.
    pub until: Timestamp,
    /// When somebody stopped it.
    pub stop_asked: Option<Timestamp>,
    /// Tags.
    pub tags: BTreeMap<String, String>,
}

impl Session {
    /// Its state, as on the wire.
    pub fn state(&self, now: Timestamp) -> &'static str {
        match self.stop_asked {
            Some(asked) if now >= asked + STOPS_IN => "STOPPED",
            Some(_) => "STOPPING",
            None if now >= self.until => "TIMEOUT",
            None if now < self.created + READY_IN => "PROVISIONING",
            None => "READY",
        }
    }
}

fn find<'a>(glue: &'a mut Glue, id: &str) -> Result<&'a mut Session, Refusal> {
    glue.sessions.get_mut(id).ok_or_else(|| missing(format!("Session {id} not found.")))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Create {
    id: String,
    role: String,
    command: Value,
    worker_type: Option<String>,
    number_of_workers: Option<u32>,
    timeout: Option<i64>,
    #[serde(default)]
    tags: BTreeMap<String, String>,
    #[serde(rename = "GlueVersion")]
    _glue_version: Option<String>,
    #[serde(rename = "IdleTimeout")]
    _idle_timeout: Option<u32>,
    #[serde(rename = "Description")]
    _description: Option<String>,
}

pub(super) fn create(glue: &mut Glue, call: &Call) -> Result<Value, Refusal> {
    let asked: Create = read(call)?;
    if glue.sessions.contains_key(&asked.id) {
        let message = format!("Session already created, sessionId={}", asked.id);
        return Err(Refusal::new(400, "AlreadyExistsException", message));
    }
    let session = Session {
        id: asked.id.clone(),
        role: asked.role,
        created: call.now,
        command: asked.command,
        worker_type: asked.worker_type.unwrap_or_else(|| "G.1X".to_owned()),
        workers: asked.number_of_workers.unwrap_or(5),
        until: call.now + SignedDuration::from_mins(asked.timeout.unwrap_or(TIMEOUT)),
        stop_asked: None,
        tags: asked.tags,
    };
    let shown = shown(&session, call.now);
    glue.sessions.insert(asked.id, session);
    Ok(json!({ "Session": shown }))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Named {
    id: String,
    #[serde(rename = "RequestOrigin")]
    _request_origin: Option<String>,
}

pub(super) fn get(glue: &mut Glue, call: &Call) -> Result<Value, Refusal> {
    let Named { id, .. } = read(call)?;
    Ok(json!({ "Session": shown(find(glue, &id)?, call.now) }))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Page {
    next_token: Option<String>,
    max_results: Option<usize>,
    #[serde(default)]
    tags: BTreeMap<String, String>,
    #[serde(rename = "RequestOrigin")]
    _request_origin: Option<String>,
}

pub(super) fn list(glue: &Glue, call: &Call) -> Result<Value, Refusal> {
    let page: Page = read(call)?;
    let tagged = |session: &&Session| page.tags.iter().all(|(key, value)| session.tags.get(key) == Some(value));
    let all = glue.sessions.values().filter(tagged).map(|session| shown(session, call.now)).collect();
    let (sessions, next) = part(all, page.next_token.as_deref(), page.max_results.unwrap_or(100).min(1000))?;
    let ids: Vec<&Value> = sessions.iter().map(|session| &session["Id"]).collect();
    Ok(json!({ "Ids": ids, "Sessions": sessions, "NextToken": next }))
}

fn shown(session: &Session, now: Timestamp) -> Value {
    json!({
        "Id": session.id,
        "CreatedOn": epoch(session.created),
        "Status": session.state(now),
        "Role": session.role,
        "Command": session.command,
        "WorkerType": session.worker_type,
        "NumberOfWorkers": session.workers,
    })
}

/// StopSession: only while it is ready.
pub(super) fn stop(glue: &mut Glue, call: &Call) -> Result<Value, Refusal> {
    let Named { id, .. } = read(call)?;
    let session = find(glue, &id)?;
    match session.state(call.now) {
        "READY" => session.stop_asked = Some(call.now),
        state => return Err(illegal(state)),
    }
    Ok(json!({ "Id": id }))
}

/// DeleteSession: only after its end.
pub(super) fn delete(glue: &mut Glue, call: &Call) -> Result<Value, Refusal> {
    let Named { id, .. } = read(call)?;
    match find(glue, &id)?.state(call.now) {
        "STOPPED" | "TIMEOUT" => drop(glue.sessions.remove(&id)),
        state => return Err(illegal(state)),
    }
    Ok(json!({ "Id": id }))
}

fn illegal(state: &str) -> Refusal {
    Refusal::new(400, "IllegalSessionStateException", format!("Session is in {state} status"))
}
