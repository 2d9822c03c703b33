//! One run of one action over a world of its own.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;
use quell::approval::Flags;
use quell::cli::selftest::shape::{Known, Shape};
use quell::cli::selftest::tap::{Cut, Tap};
use quell::engine::Planned;
use quell::engine::action::Item;
use quell::engine::lane::Direction;
use quell::engine::ports::{Access, Approver, Reporter, Sessions as _};
use quell::engine::rollback;
use quell::engine::run::Run;
use quell::engine::state::{Progress, State};
use quell::engine::survey::SurveyError;
use quell::journal::{self, Journal};
use quell::model::{Change, Event, Outcome, Plan, Resource, ResourceId, RunId, Runbook, Summary, Tier, Verdict};
use quell::sim::faults::{Fault, FaultKind};
use quell::sim::world::World;
use serde_json::{Map, Value, json};
use tokio::sync::watch;
use tokio::time::{Duration, sleep};

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
    before: Shape,
}

impl Ready {
    pub async fn new(stage: Stage) -> Self {
        let lab = Lab::new().await;
        let scene = (stage.set_up)(&lab).await;
        sleep(SETTLED).await;
        let runbook = scene.runbook(&lab, stage.action);
        let (world, at) = (lab.sim.world(), lab.sim.now());
        let known = Known::of(&json!(world));
        let before = known.shape(&json!(world));
        Self { stage, runbook, lab, world, at, known, before }
    }

    /// The same without a sweep after the run, for what no sweep has a part in.
    pub fn without_sweeps(mut self) -> Self {
        self.runbook.until.clean_sweeps = 0;
        self
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
        let lab = self.lab.again(world, self.at, |sim| tap.before(sim)).await;
        Trial { ready: self, lab, tap, state: in_memory() }
    }
}

/// A world in which an action is carried out and taken back.
pub struct Trial<'a> {
    ready: &'a Ready,
    pub lab: Lab,
    tap: Tap,
    state: tempfile::TempDir,
}

/// A call, as IAM names it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Called {
    pub service: String,
    pub operation: String,
}

impl Called {
    pub fn writes(&self) -> bool {
        !quell::sim::log::is_read_only(&self.operation)
    }
}

impl std::fmt::Display for Called {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.service, self.operation)
    }
}

/// A folder for journals, in memory where there is such a place: what a journal waits for the disk is not of interest here.
fn in_memory() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

pub fn back() -> RunId {
    RunId::new("back-1").unwrap()
}

impl Trial<'_> {
    pub async fn plan(&self) -> Planned {
        self.try_plan().await.unwrap()
    }

    pub async fn try_plan(&self) -> Result<Planned, SurveyError> {
        let (engine, runbook) = (self.lab.engine(), &self.ready.runbook);
        engine.plan(runbook, &Map::new(), &case(), self.lab.sim.now(), &mut |_| {}).await
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

    /// How many requests there were so far.
    pub fn asked(&self) -> usize {
        self.lab.sim.log().len()
    }

    /// What was asked since so many requests, and with what outcomes.
    pub fn calls_since(&self, asked: usize) -> BTreeMap<Called, BTreeSet<String>> {
        let mut calls: BTreeMap<Called, BTreeSet<String>> = BTreeMap::new();
        for entry in self.lab.sim.log().split_off(asked) {
            let called = Called { service: entry.service, operation: entry.operation };
            calls.entry(called).or_default().insert(entry.outcome);
        }
        calls
    }

    /// From now on something goes wrong with a call: so many times, or always.
    pub fn spoil(&self, call: &Called, kind: FaultKind, times: Option<u32>) {
        let (service, operation) = (Some(call.service.clone()), Some(call.operation.clone()));
        let fault = Fault { service, operation, times, ..Fault::new(kind) };
        self.lab.sim.set_faults(vec![fault]);
    }

    /// Nothing goes wrong any more.
    pub fn mend(&self) {
        self.lab.sim.set_faults(Vec::new());
    }

    /// The same world and the same journal of the run once more.
    pub async fn fork(&self) -> Self {
        let fork = self.ready.trial_from((self.lab.sim.world(), self.lab.sim.now())).await;
        fork.remember(&self.events(&case()), &case());
        fork
    }

    /// What a run says that it made and saw, and what a look that nothing disturbs does not see.
    pub async fn false_claims(&self, run: &RunId) -> Vec<String> {
        let state = self.state_of(run);
        let mut wrong = Vec::new();
        for tracked in state.changes().iter().filter(|tracked| tracked.verdict == Some(Verdict::Proven)) {
            let change = &tracked.change;
            let step = state.plan().runbook.step(&change.step).unwrap();
            let action = self.lab.table.action(change.action.as_str()).unwrap();
            let cx = self.lab.enter(&change.target, Access::Read).await;
            let found = action.discover(&cx, &step.with, &members(change)).await.unwrap();
            let Some(now) = found.iter().find(|found| found.resource == change.resource) else { continue };
            let verdict = match state.plan().undoes {
                None => action.verify(&cx.view, &step.with, now).unwrap(),
                Some(_) => action.restored(&change.prior, &now.prior).unwrap(),
            };
            if let Verdict::Unproven { why } = verdict {
                wrong.push(format!("{} is said to be proven, and {why}", change.resource));
            }
        }
        wrong
    }

    /// Makes every change of the run once more, or takes it back once more, whatever was done before.
    pub async fn once_more(&self, direction: Direction) -> Result<(), String> {
        let state = self.state_of(&case());
        for tracked in state.changes() {
            let change = tracked.change.clone();
            let step = state.plan().runbook.step(&change.step).unwrap();
            let action = self.lab.table.action(change.action.as_str()).unwrap();
            let cx = self.lab.enter(&change.target, Access::Write).await;
            let effect = match &tracked.progress {
                Progress::Ended(Outcome::Done { effect }) => effect,
                _ => &Value::Null,
            };
            let look = action.discover(&cx, &step.with, &members(&change)).await;
            let seen = look.unwrap().into_iter().find(|found| found.resource == change.resource);
            // A change is made with the state as just read, and taken back with the one from before.
            let prior = match (direction, seen) {
                (Direction::Apply, Some(now)) => now.prior,
                (Direction::Apply, None) => continue,
                (Direction::Undo, _) => change.prior,
            };
            let item = Item { change: change.id, member: change.member, resource: change.resource, prior };
            let done = match direction {
                Direction::Apply => action.apply(&cx, &step.with, std::slice::from_ref(&item)).await.map(drop),
                Direction::Undo => action.undo(&cx, &step.with, &item, effect).await,
            };
            done.map_err(|error| format!("{}: {error}", item.resource))?;
        }
        Ok(())
    }

    /// All that a run says of itself beside its changes: outcomes, verdicts, coverage, findings, what it leaves to a person.
    pub fn told(&self, run: &RunId) -> String {
        let events = self.events(run);
        let (plan, later) = (self.state_of(run).plan().clone(), &events[1..]);
        json!([later, plan.findings, plan.coverage, plan.skipped, plan.by_hand]).to_string()
    }

    /// The world, when everything has happened.
    pub async fn shape(&self) -> Shape {
        sleep(SETTLED).await;
        self.ready.known.shape(&json!(self.lab.sim.world()))
    }

    /// What is tried on what.
    pub fn name(&self) -> String {
        self.ready.name()
    }

    /// The world before anything was done.
    pub fn before(&self) -> &Shape {
        &self.ready.before
    }

    /// Everywhere where the process could have died so far.
    pub fn cuts(&self) -> Vec<Cut> {
        self.tap.cuts()
    }

    /// Notes from now on where the process could have died.
    pub fn watch(&self) {
        self.tap.watch();
    }
}

/// The members for which a change is made. Their fields are not known here.
fn members(change: &Change) -> Vec<Resource> {
    let member = |id: &ResourceId| {
        let (kind, target) = (change.kind.clone(), change.target.clone());
        Resource { kind, id: id.clone(), target, fields: Map::new() }
    };
    change.members().map(member).collect()
}

fn approver() -> Arc<dyn Approver> {
    Arc::new(Flags::new(Tier::ALL, "test"))
}
