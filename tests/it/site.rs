//! quell as a person starts it, beside a simulated AWS that listens on a port.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

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

const QUELL: &str = env!("CARGO_BIN_EXE_quell");

/// A small breached organisation in a process of its own, and a person with quell beside it.
pub struct Site {
    sim: Child,
    ready: Value,
    folder: tempfile::TempDir,
}

impl Site {
    pub fn open() -> Self {
        Self::with_latency("0ms")
    }

    pub fn with_latency(latency: &str) -> Self {
        let arguments = ["sim", "--scenario", "cryptojack-small", "--port", "0", "--latency", latency];
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new(QUELL);
        command.args(arguments).env_clear().env("HOME", folder.path()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut sim = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(sim.stdout.take().unwrap()).read_line(&mut line).unwrap();
        Self { ready: serde_json::from_str(&line).unwrap(), sim, folder }
    }

    /// A fact that the simulated AWS told when it was ready: `/facts/leaked_key`.
    pub fn fact(&self, pointer: &str) -> &str {
        self.ready.pointer(pointer).and_then(Value::as_str).unwrap()
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

    /// quell as `who` of the scenario.
    pub fn quell_as(&self, who: &str, arguments: &[&str]) -> Command {
        let mut command = self.bare(arguments);
        command
            .env("AWS_ENDPOINT_URL", self.fact("/endpoint"))
            .env("AWS_REGION", self.fact("/region"))
            .env("AWS_ACCESS_KEY_ID", self.fact(&format!("/credentials/{who}/access_key_id")))
            .env("AWS_SECRET_ACCESS_KEY", self.fact(&format!("/credentials/{who}/secret_access_key")));
        command
    }

    pub fn quell(&self, arguments: &[&str]) -> Command {
        self.quell_as("responder", arguments)
    }

    /// The leaked-key runbook about the key that did leak.
    pub fn contain(&self, more: &[&str]) -> Command {
        let leaked = format!("leaked_key={}", self.fact("/facts/leaked_key"));
        let mut command = self.quell(&["run", "leaked-key", "--input", &leaked]);
        command.args(more);
        command
    }

    /// The world as it is, but for what looking around leaves behind.
    pub fn world(&self) -> Value {
        let mut world = get(self.fact("/endpoint"), "/_sim/world");
        forget_use(&mut world);
        world
    }

    pub fn log(&self) -> Value {
        get(self.fact("/endpoint"), "/_sim/log")
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.sim.kill();
        let _ = self.sim.wait();
    }
}

fn get(endpoint: &str, path: &str) -> Value {
    let address = endpoint.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap()
}

fn bare(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(QUELL);
    command.args(arguments).arg("--state").arg(folder.join("state")).current_dir(folder).env_clear();
    command.env("HOME", folder).env("AWS_EC2_METADATA_DISABLED", "true").stdin(Stdio::null());
    command
}

/// Takes out when keys and roles were last used: looking around is use.
fn forget_use(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|name, _| name != "last_used");
            fields.values_mut().for_each(forget_use);
        }
        Value::Array(items) => items.iter_mut().for_each(forget_use),
        _ => {}
    }
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
            clock: Arc::new(self.clock.clone()),
            case: RunId::new("case-1").unwrap(),
            now: self.clock.now(),
        };
        let sessions = CloudSessions::new(options).await.unwrap();
        sessions.assume(Some(&Role { name: "ir/IRResponder".into(), external_id: None }));
        let target = Target::global(self.facts.breached_account.clone());
        let cx = sessions.enter(&target, Access::Read).await.unwrap();
        cx.sdk.credentials_provider().unwrap().provide_credentials().await.unwrap()
    }

    pub fn world(&self) -> Value {
        let mut world = json!(self.sim.world());
        forget_use(&mut world);
        world
    }
}
