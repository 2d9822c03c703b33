//! One run of one action over a world of its own.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use jiff::Timestamp;
use quell::approval::Flags;
use quell::engine::Planned;
use quell::engine::ports::{Approver, Reporter, Sessions as _};
use quell::engine::rollback;
use quell::engine::run::Run;
use quell::engine::state::State;
use quell::journal::{self, Journal};
use quell::model::{Event, Plan, RunId, Runbook, Summary, Tier};
use quell::sim::Sim;
use quell::sim::faults::Fault;
use quell::sim::world::World;
use serde_json::Map;
use tokio::sync::watch;
use tokio::time::{Duration, sleep};

use super::shape::{Known, Shape};
use crate::actions::{Lab, Stage, case};

/// Until everything that takes its time has happened: IAM, machines, snapshots.
const SETTLED: Duration = Duration::from_mins(15);

/// A stage on which everything is ready.
pub struct Ready {
    pub stage: Stage,
    pub runbook: Runbook,
    lab: Lab,
    world: World,
    at: Timestamp,
    known: Known,
}

impl Ready {
    pub async fn new(stage: Stage) -> Self {
        let lab = Lab::new().await;
        let scene = (stage.set_up)(&lab).await;
        sleep(SETTLED).await;
        let runbook = scene.runbook(&lab, stage.action);
        let (world, at) = (lab.sim.world(), lab.sim.now());
        let known = Known::of(&world);
        Self { stage, runbook, lab, world, at, known }
    }

    /// What is tried on what.
    pub fn name(&self) -> String {
        format!("{} on {}", self.stage.action, self.stage.on)
    }

    /// A trial that begins with what was set up.
    pub async fn trial(&self) -> Trial<'_> {
        self.trial_from((self.world.clone(), self.at)).await
    }

    /// A trial that begins with another world of this stage.
    pub async fn trial_from(&self, world: (World, Timestamp)) -> Trial<'_> {
        let tap = Tap::default();
        let lab = self.lab.again(world, |sim| tap.before(sim)).await;
        Trial { ready: self, lab, tap, state: tempfile::tempdir().unwrap() }
    }

    /// The world before anything was done.
    pub fn before(&self) -> Shape {
        self.known.shape(&self.world)
    }
}

/// A world in which an action is carried out and taken back.
pub struct Trial<'a> {
    ready: &'a Ready,
    pub lab: Lab,
    tap: Tap,
    state: tempfile::TempDir,
}

/// Where a process could have died.
pub struct Cut {
    /// What had just happened.
    pub after: String,
    pub events: Vec<Event>,
    pub world: (World, Timestamp),
}

pub fn back() -> RunId {
    RunId::new("back-1").unwrap()
}

impl Trial<'_> {
    pub async fn plan(&self) -> Planned {
        let (engine, runbook) = (self.lab.engine(), &self.ready.runbook);
        engine.plan(runbook, &Map::new(), &case(), self.lab.sim.now(), &mut |_| {}).await.unwrap()
    }

    /// Plans, and carries the plan out with every approval.
    pub async fn run(&self) -> Summary {
        let planned = self.plan().await;
        self.carry_out(planned, &case()).await
    }

    pub async fn carry_out(&self, planned: Planned, run: &RunId) -> Summary {
        let journal = Journal::create(self.state.path(), run).unwrap();
        let mut seen = self.tap.reporter(&self.lab.sim);
        let (_never, stop) = watch::channel(false);
        let run = Run::start(self.lab.engine(), journal, run.clone(), planned, (approver(), &mut seen, stop)).unwrap();
        run.execute().await.unwrap()
    }

    /// Leaves the journal of a run whose process died.
    pub fn remember(&self, events: &[Event], run: &RunId) {
        Journal::create(self.state.path(), run).unwrap().append(events).unwrap();
    }

    /// Takes such a run up.
    pub async fn resume(&self, run: &RunId) -> Summary {
        let (journal, recorded) = Journal::open(self.state.path(), run).unwrap();
        let caller = self.lab.sessions.caller().await.unwrap();
        let mut seen = self.tap.reporter(&self.lab.sim);
        let (_never, stop) = watch::channel(false);
        let ports = (approver(), &mut seen as &mut dyn Reporter, stop);
        Run::resume(self.lab.engine(), journal, &recorded.events, caller, ports).unwrap().execute().await.unwrap()
    }

    /// Takes the run of this trial back.
    pub async fn take_back(&self, run: &RunId) -> Summary {
        let plan = self.plan_back().await;
        self.carry_out(plan.into(), run).await
    }

    pub async fn plan_back(&self) -> Plan {
        let caller = self.lab.sessions.caller().await.unwrap();
        rollback::plan(&self.state_of(&case()), caller, self.lab.sim.now())
    }

    /// Whether the plan says that all of it can be taken back.
    pub fn can_go_back(&self) -> bool {
        self.state_of(&case()).plan().changes.iter().all(|change| change.undo.how.is_some())
    }

    /// What the journal of a run says.
    pub fn state_of(&self, run: &RunId) -> State {
        State::fold_all(&self.events(run)).unwrap()
    }

    pub fn events(&self, run: &RunId) -> Vec<Event> {
        journal::read(self.state.path(), run).unwrap().events
    }

    /// Every request so far, by service and operation.
    pub fn asked(&self) -> BTreeSet<(String, String)> {
        self.lab.sim.log().into_iter().map(|entry| (entry.service, entry.operation)).collect()
    }

    pub fn faults(&self, rules: Vec<Fault>) {
        self.lab.sim.set_faults(rules);
    }

    /// The world, when everything has happened.
    pub async fn shape(&self) -> Shape {
        sleep(SETTLED).await;
        self.ready.known.shape(&self.lab.sim.world())
    }

    /// Everywhere where the process could have died so far.
    pub fn cuts(&self) -> Vec<Cut> {
        std::mem::take(&mut self.tap.0.lock().unwrap().cuts)
    }

    /// Notes from now on where the process could have died.
    pub fn watch(&self) {
        self.tap.0.lock().unwrap().watching = true;
    }
}

fn approver() -> Arc<dyn Approver> {
    Arc::new(Flags::new(Tier::ALL, "test"))
}

/// What listens at the wire and at the journal: after each event, and after each answer to a request that writes, the process
/// could have died.
#[derive(Clone, Default)]
struct Tap(Arc<Mutex<Tapped>>);

#[derive(Default)]
struct Tapped {
    watching: bool,
    events: Vec<Event>,
    cuts: Vec<Cut>,
}

impl Tap {
    fn before(&self, sim: &Sim) -> SharedHttpClient {
        SharedHttpClient::new(Door { tap: self.clone(), sim: sim.clone(), inner: sim.http_client() })
    }

    fn reporter(&self, sim: &Sim) -> Reported {
        self.0.lock().unwrap().events.clear();
        Reported { tap: self.clone(), sim: sim.clone() }
    }

    fn note(&self, sim: &Sim, after: impl FnOnce() -> String) {
        let mut tapped = self.0.lock().unwrap();
        if tapped.watching && !tapped.events.is_empty() {
            let cut = Cut { after: after(), events: tapped.events.clone(), world: (sim.world(), sim.now()) };
            tapped.cuts.push(cut);
        }
    }
}

struct Reported {
    tap: Tap,
    sim: Sim,
}

impl Reporter for Reported {
    fn event(&mut self, event: &Event) {
        self.tap.0.lock().unwrap().events.push(event.clone());
        self.tap.note(&self.sim, || {
            let event = serde_json::to_value(event).unwrap();
            format!("event {} ({})", event["seq"], event["event"])
        });
    }
}

#[derive(Clone)]
struct Door {
    tap: Tap,
    sim: Sim,
    inner: SharedHttpClient,
}

impl std::fmt::Debug for Door {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Door")
    }
}

impl HttpClient for Door {
    fn http_connector(&self, settings: &HttpConnectorSettings, components: &RuntimeComponents) -> SharedHttpConnector {
        let inner = self.inner.http_connector(settings, components);
        SharedHttpConnector::new(Connection { door: self.clone(), inner })
    }
}

#[derive(Debug)]
struct Connection {
    door: Door,
    inner: SharedHttpConnector,
}

impl HttpConnector for Connection {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let (door, inner) = (self.door.clone(), self.inner.clone());
        HttpConnectorFuture::new(async move {
            let answer = inner.call(request).await;
            let last = door.sim.log().pop();
            if let Some(last) = last.filter(|last| !quell::sim::log::is_read_only(&last.operation)) {
                door.tap.note(&door.sim, || format!("{}:{}", last.service, last.operation));
            }
            answer
        })
    }
}
