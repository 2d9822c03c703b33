//! One run of a stage's runbook: planned, carried out, taken up, taken back, and looked at.

use std::collections::BTreeMap;
use std::sync::Arc;

use aws_credential_types::Credentials;
use jiff::Timestamp;
use serde_json::{Map, Value, json};
use tokio::sync::watch;
use tokio::time::{Duration, sleep};

use super::shape::Shape;
use super::stage::Stage;
use super::tap::{Cut, Tap};
use crate::approval::Flags;
use crate::cli::error::Failure;
use crate::cli::rehearsal::Rehearsal;
use crate::engine::ports::{Access, Approver};
use crate::engine::run::Run;
use crate::engine::state::State;
use crate::engine::{Engine, Planned, rollback};
use crate::journal::{self, Journal};
use crate::model::{Change, Event, Plan, Resource, ResourceId, RunId, Summary, Target, Tier, Verdict};
use crate::sim::faults::FaultPlan;
use crate::sim::world::World;

/// Until everything that takes its time has happened: IAM, machines, snapshots.
const SETTLED: Duration = Duration::from_mins(15);

/// A run in a world of its own.
pub struct Trial<'a> {
    stage: &'a Stage,
    rehearsal: Rehearsal,
    engine: Engine,
    tap: Tap,
    state: tempfile::TempDir,
}

/// The run that is disturbed.
pub fn case() -> RunId {
    RunId::new("case-1").expect("a run id")
}

/// The run that takes it back.
pub fn back() -> RunId {
    RunId::new("back-1").expect("a run id")
}

impl<'a> Trial<'a> {
    pub(super) async fn begin(
        stage: &'a Stage,
        (world, at): (World, Timestamp),
        (responder, planned): (Credentials, Timestamp),
    ) -> Result<Self, Failure> {
        let rehearsal = Rehearsal::begin(world, at, responder);
        let tap = Tap::default();
        let door = tap.before(&rehearsal.sim);
        // A process of its own has a table of its own: actions remember what they made.
        let engine = rehearsal.engine(crate::actions::table(), (&case(), planned), door).await?;
        engine.sessions.assume(stage.runbook.targets.role.as_ref());
        // In memory where there is such a place: what a journal waits for the disk is not of interest here.
        let state = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir())?;
        Ok(Self { stage, rehearsal, engine, tap, state })
    }

    /// Surveys and plans.
    pub async fn plan(&self) -> Result<Planned, Failure> {
        let (runbook, now) = (&self.stage.runbook, self.rehearsal.sim.now());
        Ok(Box::pin(self.engine.plan(runbook, &self.stage.inputs, &case(), now, &mut |_| {})).await?)
    }

    /// Plans, and carries the plan out with every approval.
    pub async fn run(&self) -> Result<Summary, Failure> {
        let planned = self.plan().await?;
        self.carry_out(planned, &case()).await
    }

    /// Carries a plan out with every approval.
    pub async fn carry_out(&self, planned: Planned, run: &RunId) -> Result<Summary, Failure> {
        let journal = Journal::create(self.state.path(), run)?;
        let mut seen = self.tap.reporter(&self.rehearsal.sim);
        let (_never, stop) = watch::channel(false);
        let started = Run::start(self.engine.clone(), journal, run.clone(), planned, (approver(), &mut seen, stop))?;
        Ok(Box::pin(started.execute()).await?)
    }

    /// Leaves the journal of a run whose process died.
    pub fn remember(&self, events: &[Event], run: &RunId) -> Result<(), Failure> {
        Ok(Journal::create(self.state.path(), run)?.append(events)?)
    }

    /// Takes such a run up.
    pub async fn resume(&self, run: &RunId) -> Result<Summary, Failure> {
        let (journal, recorded) = Journal::open(self.state.path(), run)?;
        let caller = self.engine.sessions.caller().await?;
        let mut seen = self.tap.reporter(&self.rehearsal.sim);
        let (_never, stop) = watch::channel(false);
        let ports = (approver(), &mut seen as &mut dyn crate::engine::ports::Reporter, stop);
        let run = Run::resume(self.engine.clone(), journal, &recorded.events, caller, ports)?;
        Ok(Box::pin(run.execute()).await?)
    }

    /// Takes the run of this trial back.
    pub async fn take_back(&self) -> Result<Summary, Failure> {
        let plan = self.plan_back().await?;
        self.carry_out(plan.into(), &back()).await
    }

    /// The plan that takes the run of this trial back.
    pub async fn plan_back(&self) -> Result<Plan, Failure> {
        let caller = self.engine.sessions.caller().await?;
        Ok(rollback::plan(&self.state_of(&case())?, caller, self.rehearsal.sim.now()))
    }

    /// What the journal of a run says.
    pub fn state_of(&self, run: &RunId) -> Result<State, Failure> {
        State::fold_all(&journal::read(self.state.path(), run)?.events).map_err(Failure::failed)
    }

    /// From now on this goes wrong, and nothing else.
    pub fn disturb(&self, faults: &FaultPlan) {
        self.rehearsal.sim.set_fault_plan(faults.clone());
    }

    /// How many requests something went wrong with, since it was said what.
    pub fn struck(&self) -> u64 {
        self.rehearsal.sim.struck().values().sum()
    }

    /// Notes from now on where the process could have died.
    pub fn watch(&self) {
        self.tap.watch();
    }

    /// Everywhere where the process could have died so far.
    pub fn cuts(&self) -> Vec<Cut> {
        self.tap.cuts()
    }

    /// The world, when everything has happened.
    pub async fn shape(&self) -> Shape {
        sleep(SETTLED).await;
        self.stage.shape(&self.rehearsal.sim.world())
    }

    /// What a run says that it made and saw, and what a look that nothing disturbs does not see.
    pub async fn false_claims(&self, run: &RunId) -> Result<Vec<String>, Failure> {
        let state = self.state_of(run)?;
        let mut wrong = Vec::new();
        for tracked in state.changes().iter().filter(|tracked| tracked.verdict == Some(Verdict::Proven)) {
            let change = &tracked.change;
            let action = self.engine.table.action(change.action.as_str());
            let (Some(step), Some(action)) = (state.plan().runbook.step(&change.step), action) else { continue };
            let cx = self.engine.sessions.enter(&change.target, Access::Read).await?;
            let found = action.discover(&cx, &step.with, &members(change)).await?;
            let Some(now) = found.iter().find(|found| found.resource == change.resource) else { continue };
            let verdict = match state.plan().undoes {
                None => action.verify(&cx.view, &step.with, now),
                Some(_) => action.restored(&change.prior, &now.prior),
            };
            if let Verdict::Unproven { why } = verdict.map_err(Failure::failed)? {
                wrong.push(format!("{} of {} is said to be proven, and {why}", change.resource, change.step));
            }
        }
        Ok(wrong)
    }

    /// What there is twice of what a run makes once.
    pub fn duplicates(&self) -> Vec<String> {
        snapshots_taken_twice(&json!(self.rehearsal.sim.world()))
    }

    /// Why the responder could not work in the account any more, if that is so.
    pub async fn lockout(&self) -> Option<String> {
        let target = Target::global(self.stage.account.clone());
        // New sessions: what was cached before may still work for a while.
        let (case, sim) = (case(), &self.rehearsal.sim);
        let engine = self.rehearsal.engine(self.engine.table.clone(), (&case, sim.now()), sim.http_client());
        let engine = match engine.await {
            Ok(engine) => engine,
            Err(error) => return Some(error.to_string()),
        };
        engine.sessions.assume(self.stage.runbook.targets.role.as_ref());
        let cx = match engine.sessions.enter(&target, Access::Read).await {
            Ok(cx) => cx,
            Err(error) => return Some(error.to_string()),
        };
        let users = engine.table.source("iam.users")?;
        let wanted = crate::engine::action::Wanted { fields: Vec::new(), known: Vec::new() };
        users.list(&cx, &Map::new(), &wanted).await.err().map(|error| error.to_string())
    }
}

/// The snapshots in the dump of a world of which a run took several of one volume.
pub fn snapshots_taken_twice(world: &Value) -> Vec<String> {
    let items =
        |value: &Value| value.as_object().into_iter().flatten().map(|(_, item)| item.clone()).collect::<Vec<_>>();
    let regions = items(&world["accounts"]).into_iter().flat_map(|account| items(&account["regions"]));
    let mut taken: BTreeMap<(String, String), usize> = BTreeMap::new();
    for snapshot in regions.flat_map(|region| items(&region["ec2"]["snapshots"])) {
        let tags = &snapshot["tags"];
        // The volume of a copy means nothing.
        let of = tags["quell:copy-of"].as_str().or(snapshot["volume_id"].as_str());
        if let (Some(volume), Some(case)) = (of, tags["quell:case"].as_str()) {
            *taken.entry((volume.to_owned(), case.to_owned())).or_default() += 1;
        }
    }
    let twice = taken.into_iter().filter(|(_, count)| *count > 1);
    twice.map(|((volume, case), count)| format!("{count} snapshots of {volume} by {case}")).collect()
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
    Arc::new(Flags::new(Tier::ALL, "self-test"))
}
