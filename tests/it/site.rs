//! quell as a person starts it, beside a simulated AWS that listens on a port.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use aws_credential_types::Credentials;
use aws_credential_types::provider::{ProvideCredentials as _, SharedCredentialsProvider};
use jiff::{SignedDuration, Timestamp};
use quell::cloud::{CloudSessions, Options};
use quell::engine::ports::{Access, Clock, Sessions as _};
use quell::model::{Role, RunId, Target};
use quell::sim::Sim;
use quell::sim::listener::Listener;
use quell::sim::scenario::{Credentials as Keys, Facts, Scenario};
use serde_json::{Value, json};

use crate::binary::{self, Simulator};

/// A small breached organisation in a process of its own, and a person with quell beside it.
pub struct Site {
    pub simulator: Simulator,
    folder: tempfile::TempDir,
}

impl Site {
    pub fn open() -> Self {
        Self::of("cryptojack-small")
    }

    /// The world of another scenario.
    pub fn of(scenario: &str) -> Self {
        Self { simulator: Simulator::start(scenario, "0ms"), folder: tempfile::tempdir().unwrap() }
    }

    /// A fact that the simulated AWS told when it was ready: `/facts/leaked_key`.
    pub fn fact(&self, pointer: &str) -> &str {
        self.simulator.ready.pointer(pointer).and_then(Value::as_str).unwrap()
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        fs::write(self.path(name), text).unwrap();
        self.path(name)
    }

    /// quell without credentials and without any word of the simulated AWS.
    pub fn bare(&self, arguments: &[&str]) -> Command {
        bare(self.folder.path(), arguments)
    }

    /// quell as the responder.
    pub fn quell(&self, arguments: &[&str]) -> Command {
        let mut command = self.simulator.quell(self.folder.path());
        command.args(arguments).current_dir(self.folder.path());
        command
    }

    /// quell with the key that the intruder made.
    pub fn quell_as_intruder(&self, arguments: &[&str]) -> Command {
        let mut command = self.quell(arguments);
        command
            .env("AWS_ACCESS_KEY_ID", self.fact("/credentials/attacker/access_key_id"))
            .env("AWS_SECRET_ACCESS_KEY", self.fact("/credentials/attacker/secret_access_key"));
        command
    }

    /// The leaked-key runbook about the key that did leak.
    pub fn contain(&self, more: &[&str]) -> Command {
        let mut command = self.quell(&["run", "leaked-key", "--input", &self.simulator.leaked_key()]);
        command.args(more);
        command
    }

    /// The only run so far.
    pub fn run(&self) -> String {
        let mut runs = fs::read_dir(self.path("state/runs")).unwrap();
        let run = runs.next().unwrap().unwrap().file_name().into_string().unwrap();
        assert!(runs.next().is_none(), "more than one run");
        run
    }
}

fn bare(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = binary::quell(folder);
    command.args(arguments).current_dir(folder).env("AWS_EC2_METADATA_DISABLED", "true");
    command
}

/// What a command said on standard error.
pub fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A simulated AWS in this process, whose world and whose time a test can change.
pub struct Hosted {
    pub sim: Sim,
    pub facts: Facts,
    responder: Keys,
    clock: Shifted,
    endpoint: String,
    pub folder: tempfile::TempDir,
}

/// The time of the day, some seconds earlier.
#[derive(Debug, Clone, Default)]
struct Shifted(Arc<AtomicI64>);

impl Clock for Shifted {
    fn now(&self) -> Timestamp {
        Timestamp::now() + SignedDuration::from_secs(self.0.load(Ordering::Relaxed))
    }
}

impl Hosted {
    /// A world whose clock is half a day behind, so that there is time that can pass.
    pub async fn open() -> Self {
        let clock = Shifted::default();
        clock.0.store(-43_200, Ordering::Relaxed);
        let built = Scenario::named("cryptojack-small").unwrap().build(1, clock.now()).unwrap();
        let time = clock.clone();
        let sim = Sim::new(built.world, move || time.now());
        sim.set_latency(std::time::Duration::ZERO);
        let listener = Listener::bind(sim.clone(), 0).await.unwrap();
        let endpoint = format!("http://{}", listener.address().unwrap());
        tokio::spawn(listener.serve(std::future::pending()));
        let (facts, responder) = (built.facts, built.credentials["responder"].clone());
        Self { sim, facts, responder, clock, endpoint, folder: tempfile::tempdir().unwrap() }
    }

    /// Brings its clock to the time of the day.
    pub fn catch_up(&self) {
        self.clock.0.store(0, Ordering::Relaxed);
    }

    pub fn bare(&self, arguments: &[&str]) -> Command {
        let mut command = bare(self.folder.path(), arguments);
        command.env("AWS_ENDPOINT_URL", &self.endpoint).env("AWS_REGION", "us-east-1");
        command
    }

    /// quell as the responder.
    pub fn quell(&self, arguments: &[&str]) -> Command {
        let mut command = self.bare(arguments);
        command
            .env("AWS_ACCESS_KEY_ID", self.responder.access_key_id.as_str())
            .env("AWS_SECRET_ACCESS_KEY", &self.responder.secret_access_key.0);
        command
    }

    /// Temporary credentials of the responder role in the breached account.
    pub async fn session(&self) -> Credentials {
        let key = self.responder.access_key_id.as_str();
        let keys = Credentials::new(key, self.responder.secret_access_key.0.clone(), None, None, "scenario");
        let options = Options {
            profile: None,
            region: Some("us-east-1".into()),
            http: Some(self.sim.http_client()),
            credentials: Some(SharedCredentialsProvider::new(keys)),
            endpoint_url: None,
            evidence: None,
            clock: Arc::new(self.clock.clone()),
            case: RunId::new("case-1").unwrap(),
            now: self.clock.now(),
        };
        let sessions = CloudSessions::new(options).await.unwrap();
        sessions.assume(Some(&Role { name: "ir/IRResponder".into(), external_id: None, source_identity: None }));
        let target = Target::global(self.facts.breached_account.clone());
        let cx = sessions.enter(&target, Access::Read).await.unwrap();
        cx.sdk.credentials_provider().unwrap().provide_credentials().await.unwrap()
    }

    pub fn world(&self) -> Value {
        let mut world = json!(self.sim.world());
        binary::forget(&mut world, "last_used");
        world
    }
}
