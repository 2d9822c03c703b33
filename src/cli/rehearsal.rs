//! A simulated AWS in this process, and the responder who works on it.

use std::path::PathBuf;
use std::sync::Arc;

use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use jiff::Timestamp;

use super::error::Failure;
use crate::cloud::{CloudSessions, Options, Witness};
use crate::engine::Engine;
use crate::engine::ports::{SharedClock, TokioClock};
use crate::engine::table::Table;
use crate::model::{AccessKeyId, RunId, Runbook};
use crate::sim::Sim;
use crate::sim::scenario::{Built, Facts};
use crate::sim::world::World;

/// A simulated AWS with its clock, and the credentials of the responder.
#[derive(Debug)]
pub struct Rehearsal {
    /// The simulated AWS.
    pub sim: Sim,
    /// Its clock, which is quell's too.
    pub clock: SharedClock,
    /// Where a run keeps what it captures, if anywhere.
    pub evidence: Option<PathBuf>,
    responder: Credentials,
}

impl Rehearsal {
    /// Begins with a world at its time. Must be called inside a tokio runtime.
    pub fn begin(world: World, at: Timestamp, responder: Credentials) -> Self {
        let clock = Arc::new(TokioClock::starting_at(at));
        let time: SharedClock = Arc::clone(&clock) as SharedClock;
        let sim = Sim::new(world, move || time.now());
        if let Ok(key) = AccessKeyId::new(responder.access_key_id()) {
            sim.introduce_responder(key);
        }
        Self { sim, clock, responder, evidence: None }
    }

    /// quell on it, for a run planned at `now`, whose requests go through `http`.
    pub async fn engine(
        &self,
        table: Table,
        (case, now): (&RunId, Timestamp),
        http: SharedHttpClient,
    ) -> Result<Engine, Failure> {
        self.engine_before(None, table, (case, now), http).await
    }

    /// As [`Rehearsal::engine`], before a witness who sees what AWS answers.
    pub async fn engine_before(
        &self,
        witness: Option<Arc<dyn Witness>>,
        table: Table,
        (case, now): (&RunId, Timestamp),
        http: SharedHttpClient,
    ) -> Result<Engine, Failure> {
        let options = Options {
            profile: None,
            region: Some("us-east-1".to_owned()),
            http: Some(http),
            credentials: Some(SharedCredentialsProvider::new(self.responder.clone())),
            endpoint_url: None,
            evidence: self.evidence.clone(),
            clock: Arc::clone(&self.clock),
            case: case.clone(),
            now,
        };
        let sessions = CloudSessions::seen_by(options, witness).await?;
        Ok(Engine { sessions: Arc::new(sessions), table, clock: Arc::clone(&self.clock) })
    }
}

/// The credentials of a scenario's responder.
pub fn responder(built: &Built) -> Credentials {
    let keys = &built.credentials["responder"];
    Credentials::new(keys.access_key_id.as_str(), &keys.secret_access_key.0, None, None, "drill")
}

/// What the scenario knows of a runbook's inputs: in a drill nobody has to look for the key that leaked. What is `given`
/// stays.
pub fn inputs(runbook: &Runbook, facts: &Facts, given: &[(String, String)]) -> Vec<(String, String)> {
    let rogue = facts.machines.get("rogue").into_iter().flatten().map(|machine| machine.id.as_str());
    let mut known = vec![
        ("leaked_key", facts.leaked_key.to_string()),
        ("account", facts.breached_account.to_string()),
        ("instances", rogue.collect::<Vec<_>>().join(",")),
    ];
    known.extend(facts.accounts.iter().map(|accounts| ("accounts", accounts.clone())));
    let mut all = given.to_vec();
    for (name, value) in known {
        let is_given = given.iter().any(|(given, _)| given == name);
        if runbook.inputs.contains_key(name) && !is_given {
            all.push((name.to_owned(), value));
        }
    }
    all
}
