//! `glue.stop-sessions`

use std::collections::BTreeSet;

use aws_sdk_glue::Client;
use aws_sdk_glue::types::{Session, SessionStatus};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::time::{Duration, sleep};

use super::LOOK_EVERY;
use crate::actions::field::time;
use crate::engine::action::{Action, Ctx, Decision, Found, Item, Proposal, View};
use crate::model::{ActionError, Effect, ErrorKind, Resource, ResourceId, Tier, Undo, Verdict};

/// How long a session that is being made may take until it can be stopped.
const READY_WITHIN: Duration = Duration::from_mins(3);

/// Stops interactive sessions.
pub struct StopSessions;

/// The action has no parameters.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {}

/// A session before it is stopped.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Prior {
    /// When it was made, which tells it from a later session of the same id.
    pub created: String,
    /// `PROVISIONING`, `READY`, …
    pub state: String,
}

impl Action for StopSessions {
    type Params = Params;
    type Prior = Prior;

    const NAME: &'static str = "glue.stop-sessions";
    const TIER: Tier = Tier::Disruptive;
    const KINDS: &'static [&'static str] = &["glue.session"];
    const TITLE: &'static str = "Stop interactive Glue sessions";
    const DESCRIPTION: &'static str = "Ends interactive sessions: their workers run whatever statements they are sent, and \
        cost until somebody stops them or their time is up. A session that is still being made cannot be stopped: it is \
        waited for. Nothing starts a session again but a call; take the credentials first.\n\n\
        AWS pages: *Interactive Sessions API*, *StopSession*.";
    const UNDO: &'static str = "Not possible: a stopped session does not start again, and what it held in memory is gone. \
        Whoever needs it makes a new one.";
    const PERMISSIONS: &'static [&'static str] = &["glue:ListSessions", "glue:StopSession"];
    const UNDO_PERMISSIONS: &'static [&'static str] = &[];
    const EXAMPLE: &'static str = "{ id: glue-sessions, uses: glue.stop-sessions, on: sessions }";

    async fn discover(&self, cx: &Ctx, _: &Params, members: &[Resource]) -> Result<Vec<Found<Prior>>, ActionError> {
        let wanted: BTreeSet<&str> = members.iter().map(|member| member.id.as_str()).collect();
        let sessions = super::all_sessions(&super::client(cx)).await?;
        let sessions = sessions.iter().filter(|session| session.id().is_some_and(|id| wanted.contains(id)));
        Ok(sessions.filter_map(found).collect())
    }

    fn plan(&self, _: &View, _: &Params, found: &Found<Prior>) -> Decision {
        let state = found.prior.state.as_str();
        if has_ended(state) || state == "STOPPING" {
            return Decision::Already;
        }
        let undo = Undo::impossible("the session and what it holds in memory: it cannot be started again");
        Decision::Change(Proposal::new(format!("stop the Glue session {}", found.resource), state, "STOPPED", undo))
    }

    fn drift(&self, approved: &Prior, now: &Prior) -> Option<String> {
        (approved.created != now.created).then(|| "it is another session of the same id".to_owned())
    }

    async fn apply(&self, cx: &Ctx, _: &Params, items: &[Item<Prior>]) -> Result<Vec<Effect>, ActionError> {
        let client = super::client(cx);
        for item in items {
            stop(&client, item.resource.as_str()).await?;
        }
        Ok(vec![Value::Null; items.len()])
    }

    fn verify(&self, _: &View, _: &Params, found: &Found<Prior>) -> Verdict {
        match found.prior.state.as_str() {
            state if has_ended(state) => Verdict::Proven,
            "STOPPING" => Verdict::Pending { why: "it is STOPPING".to_owned() },
            state => Verdict::Unproven { why: format!("it is {state}") },
        }
    }

    async fn undo(&self, _: &Ctx, _: &Params, item: &Item<Prior>, _: &Effect) -> Result<(), ActionError> {
        let message = format!("{} is stopped for good: make a new session if it is needed", item.resource);
        Err(ActionError::new(ErrorKind::WrongState, message))
    }
}

fn found(session: &Session) -> Option<Found<Prior>> {
    let resource = ResourceId::new(session.id()?).ok()?;
    let state = session.status().map_or("", SessionStatus::as_str).to_owned();
    let prior = Prior { created: time(session.created_on()), state };
    Some(Found { member: resource.clone(), resource, prior })
}

fn has_ended(state: &str) -> bool {
    matches!(state, "STOPPED" | "FAILED" | "TIMEOUT")
}

/// Stops a session; one that is being made, as soon as that is over. One that has ended meanwhile is left alone.
async fn stop(client: &Client, id: &str) -> Result<(), ActionError> {
    let mut waited = Duration::ZERO;
    loop {
        let error = match client.stop_session().id(id).send().await.map_err(ActionError::from) {
            Ok(_) => return Ok(()),
            Err(error) if error.is("IllegalSessionStateException") => error,
            Err(error) => return Err(error),
        };
        let sessions = super::all_sessions(client).await?;
        let session = sessions.iter().find(|session| session.id() == Some(id));
        match session.and_then(Session::status) {
            Some(SessionStatus::Provisioning) if waited < READY_WITHIN => {
                sleep(LOOK_EVERY).await;
                waited += LOOK_EVERY;
            }
            Some(status) if *status == SessionStatus::Stopping || has_ended(status.as_str()) => return Ok(()),
            _ => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::actions::tests::view;

    fn found(state: &str) -> Found<Prior> {
        let id = ResourceId::new("shell").unwrap();
        Found { member: id.clone(), resource: id, prior: Prior { created: "c".into(), state: state.into() } }
    }

    #[test]
    fn what_lives_is_stopped_for_good_and_what_has_ended_stays() {
        let plan = |state: &str| StopSessions.plan(&view(), &Params {}, &found(state));
        let Decision::Change(proposal) = plan("READY") else { panic!("no change") };
        assert_eq!(proposal.undo.how, None);
        assert!(matches!(plan("PROVISIONING"), Decision::Change(_)));
        for state in ["STOPPING", "STOPPED", "TIMEOUT", "FAILED"] {
            assert_eq!(plan(state), Decision::Already, "{state}");
        }
    }
}
