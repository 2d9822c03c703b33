//! The state of a run: a fold over its events, and nothing else. A resumed run is the same loop entered with a fuller state.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use jiff::Timestamp;

use super::graph::{Freed, Graph, Index};
use super::ports::Traffic;
use super::ready::{Place, Ready};
use crate::model::{
    Answer, Approval, Caller, Change, ChangeCounts, ChangeId, Coverage, CoverageStatus, Digest, Event, EventKind,
    Outcome, Phase, PhaseSeconds, Plan, RunId, RunOutcome, StepId, Summary, Target, Tier, Verdict,
};

/// How far a change has come.
#[derive(Debug, Clone, PartialEq)]
pub enum Progress {
    /// Not begun.
    Waiting,
    /// Its intent is on disk.
    Started,
    /// It has an outcome.
    Ended(Outcome),
}

/// A change and what became of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Tracked {
    /// The change.
    pub change: Change,
    /// How far it has come.
    pub progress: Progress,
    /// What the last look after it saw.
    pub verdict: Option<Verdict>,
    /// When its intent was recorded, first.
    pub started: Option<Timestamp>,
    /// When its outcome was recorded, last.
    pub ended: Option<Timestamp>,
    /// Whether it was attempted before: by a process that was cut off, or until somebody took it back. It may be in force, by
    /// half or whole.
    pub attempted: bool,
}

/// Changes of one step in one lane that can be made now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wave {
    /// The lane.
    pub target: Target,
    /// The step.
    pub step: StepId,
    /// The changes.
    pub changes: Vec<ChangeId>,
}

/// The state of a run.
#[derive(Debug, Clone)]
pub struct State {
    run: RunId,
    plan: Plan,
    digest: Digest,
    started: Timestamp,
    last: Timestamp,
    next_seq: u64,
    caller: Caller,
    tracked: Vec<Tracked>,
    index: HashMap<ChangeId, Index>,
    graph: Graph,
    ready: Ready,
    held: BTreeSet<Index>,
    next: BTreeSet<Index>,
    approvals: BTreeMap<Tier, Approval>,
    stopping: bool,
    coverage: Coverage,
    clean_sweeps: u32,
    sweeps: u32,
    seconds: PhaseSeconds,
    ended: Option<RunOutcome>,
    summary: Option<Summary>,
}

/// Events that are none of a run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoRun {
    /// They do not begin with one.
    #[error("the journal does not begin with the start of a run")]
    NotBegun,
    /// Something is to be changed by a step that the plan's runbook does not have: quell plans no such change.
    #[error("change {change} is of step `{step}`, which the plan's runbook does not have: it is no plan of quell's")]
    Stray {
        /// The change.
        change: ChangeId,
        /// The step that it names.
        step: StepId,
    },
}

fn every_step_is_known(plan: &Plan, changes: &[Change]) -> Result<(), NoRun> {
    let steps: HashSet<&StepId> = plan.runbook.steps.iter().map(|step| &step.id).collect();
    match changes.iter().find(|change| !steps.contains(&change.step)) {
        None => Ok(()),
        Some(stray) => Err(NoRun::Stray { change: stray.id.clone(), step: stray.step.clone() }),
    }
}

impl State {
    /// The state after the first event of a run.
    pub fn begin(event: &Event) -> Result<Self, NoRun> {
        let EventKind::RunStarted { run, plan, digest, .. } = &event.kind else { return Err(NoRun::NotBegun) };
        every_step_is_known(plan, &plan.changes)?;
        let mut state = Self {
            run: run.clone(),
            plan: (**plan).clone(),
            digest: digest.clone(),
            started: event.at,
            last: event.at,
            next_seq: event.seq + 1,
            caller: plan.caller.clone(),
            tracked: Vec::new(),
            index: HashMap::new(),
            graph: Graph::default(),
            ready: Ready::default(),
            held: BTreeSet::new(),
            next: BTreeSet::new(),
            approvals: BTreeMap::new(),
            stopping: false,
            coverage: plan.coverage.clone(),
            clean_sweeps: 0,
            sweeps: 0,
            seconds: PhaseSeconds::default(),
            ended: None,
            summary: None,
        };
        state.track(plan.changes.clone());
        state.connect();
        Ok(state)
    }

    /// The state after all these events.
    pub fn fold_all(events: &[Event]) -> Result<Self, NoRun> {
        let (first, rest) = events.split_first().ok_or(NoRun::NotBegun)?;
        let mut state = Self::begin(first)?;
        for event in rest {
            if let EventKind::PlanExtended { changes, .. } = &event.kind {
                every_step_is_known(&state.plan, changes)?;
            }
        }
        state.take_in(rest);
        Ok(state)
    }

    /// Takes events in. The graph is built anew once for all changes that are reopened one after the other.
    pub fn take_in(&mut self, events: &[Event]) {
        let mut reopened = false;
        for event in events {
            let reopens = matches!(event.kind, EventKind::ChangeReverted { .. });
            if reopened && !reopens {
                self.connect();
            }
            self.fold(event);
            reopened = reopens;
        }
        if reopened {
            self.connect();
        }
    }

    fn fold(&mut self, event: &Event) {
        self.next_seq = event.seq + 1;
        self.last = event.at;
        match &event.kind {
            EventKind::RunStarted { .. } | EventKind::ApprovalAsked { .. } | EventKind::PhaseStarted { .. } => {}
            EventKind::RunResumed { caller } => self.reopen(caller),
            EventKind::PhaseEnded { phase, seconds } => self.add_seconds(*phase, *seconds),
            EventKind::ApprovalAnswered { approval } => self.answer(approval),
            EventKind::ChangeStarted { change } => self.start(change, event.at),
            EventKind::ChangeEnded { change, outcome } => self.end(change, outcome, event.at),
            EventKind::ChangeProven { change, verdict } => {
                if let Some(index) = self.index.get(change) {
                    self.tracked[*index].verdict = Some(verdict.clone());
                }
            }
            EventKind::ChangeReverted { change, why } => self.reopen_change(change, why),
            EventKind::SweepEnded { newcomers, reverted, coverage, missed, .. } => {
                self.sweeps += 1;
                // One that saw nothing at all says nothing of newcomers.
                let is_clean = missed.is_none() && newcomers + reverted == 0;
                self.clean_sweeps = if is_clean { self.clean_sweeps + 1 } else { 0 };
                self.take_sweep(coverage);
            }
            EventKind::PlanExtended { changes, digest } => {
                self.plan.changes.extend(changes.iter().cloned());
                self.digest = digest.clone();
                self.track(changes.clone());
                self.connect();
            }
            EventKind::StopRequested => self.stopping = true,
            EventKind::RunEnded { outcome, summary } => {
                self.ended = Some(*outcome);
                self.summary = Some((**summary).clone());
            }
        }
    }

    /// A no to newcomers takes back nothing that was approved before.
    fn answer(&mut self, approval: &Approval) {
        let approved = self.approvals.get(&approval.tier).is_some_and(|known| known.answer == Answer::Approved);
        if approval.answer == Answer::Approved || !approved {
            self.approvals.insert(approval.tier, approval.clone());
        }
    }

    fn track(&mut self, changes: Vec<Change>) {
        for change in changes {
            self.index.insert(change.id.clone(), self.tracked.len());
            self.tracked.push(Tracked {
                change,
                progress: Progress::Waiting,
                verdict: None,
                started: None,
                ended: None,
                attempted: false,
            });
        }
    }

    /// Builds the graph anew and takes in what has ended.
    fn connect(&mut self) {
        self.graph = Graph::new(&self.plan.runbook, &self.plan.changes);
        self.ready.clear();
        for index in self.graph.free() {
            self.ready.add(&self.tracked[index].change, index);
        }
        self.held.clear();
        self.next.clear();
        for index in 0..self.tracked.len() {
            let tracked = &self.tracked[index];
            match &tracked.progress {
                Progress::Waiting => {}
                Progress::Started => self.ready.remove(&tracked.change, index),
                Progress::Ended(outcome) => {
                    let good = outcome.is_good();
                    self.release(index, good);
                }
            }
        }
    }

    fn release(&mut self, index: Index, good: bool) {
        let Freed { free, held } = self.graph.end(index, good);
        let Self { tracked, ready, .. } = self;
        ready.remove(&tracked[index].change, index);
        self.held.remove(&index);
        for index in free.into_iter().filter(|index| tracked[*index].progress == Progress::Waiting) {
            ready.add(&tracked[index].change, index);
        }
        self.held.extend(held.into_iter().filter(|index| tracked[*index].progress == Progress::Waiting));
    }

    /// A process takes the run up: what was under way may have taken effect and is looked at first; what failed, or was
    /// held by a failure, gets another chance. What drifted stays as it is: nobody approved its new state.
    fn reopen(&mut self, caller: &Caller) {
        self.caller = caller.clone();
        self.stopping = false;
        self.ended = None;
        self.ready = Ready::default();
        self.clean_sweeps = 0;
        self.approvals.retain(|_, approval| approval.answer == Answer::Approved);
        for tracked in &mut self.tracked {
            match &tracked.progress {
                Progress::Started | Progress::Ended(Outcome::Failed { .. }) => {
                    tracked.attempted = true;
                    tracked.progress = Progress::Waiting;
                }
                Progress::Ended(Outcome::Skipped { .. }) => tracked.progress = Progress::Waiting,
                Progress::Waiting | Progress::Ended(_) => {}
            }
        }
        self.connect();
    }

    fn reopen_change(&mut self, change: &ChangeId, why: &str) {
        let Some(&index) = self.index.get(change) else { return };
        let tracked = &mut self.tracked[index];
        tracked.attempted = true;
        tracked.progress = Progress::Waiting;
        tracked.verdict = Some(Verdict::Unproven { why: why.to_owned() });
    }

    fn start(&mut self, change: &ChangeId, at: Timestamp) {
        let Some(&index) = self.index.get(change) else { return };
        let tracked = &mut self.tracked[index];
        tracked.progress = Progress::Started;
        tracked.started.get_or_insert(at);
        self.ready.begin(&tracked.change, index);
        self.next.extend(self.graph.begin(index));
    }

    fn end(&mut self, change: &ChangeId, outcome: &Outcome, at: Timestamp) {
        let Some(&index) = self.index.get(change) else { return };
        let tracked = &mut self.tracked[index];
        let has_ended = matches!(tracked.progress, Progress::Ended(_));
        if tracked.progress == Progress::Started {
            self.ready.end(&tracked.change);
        }
        tracked.progress = Progress::Ended(outcome.clone());
        tracked.ended = Some(at);
        // What waits for it was set free once.
        if !has_ended {
            self.release(index, outcome.is_good());
        }
    }

    /// The changes whose turn is next, as one wave per lane and step: all that they wait for has begun since this was asked
    /// last.
    pub fn take_next(&mut self) -> Vec<Wave> {
        let next = std::mem::take(&mut self.next);
        let waiting = next.into_iter().filter(|index| self.tracked[*index].progress == Progress::Waiting);
        self.by_lane(waiting)
    }

    /// Whether a change can be made now.
    pub fn waits_for_nothing(&self, id: &ChangeId) -> bool {
        self.index.get(id).is_some_and(|index| self.ready.contains(&self.tracked[*index].change, *index))
    }

    /// A lane looks at the resources of a wave ahead of its turn: until it has, no other wave of the step begins there.
    pub fn looks_ahead(&mut self, target: &Target, step: &StepId) {
        self.ready.look(target, step);
    }

    /// A lane has looked at the resources of its wave, so that the next wave may look.
    pub fn looked(&mut self, target: &Target, step: &StepId) {
        self.ready.looked(target, step);
    }

    /// What can be made now, as one wave per lane and step. `batch` tells how many changes one request of a step carries;
    /// `enter` finds room for a wave in a lane, and what it gives comes with the wave. A wave begins when the one before it
    /// has looked, so that what becomes ready meanwhile goes together, and nothing waits for longer than a look.
    pub fn waves<T>(
        &self,
        batch: impl Fn(&StepId) -> usize,
        enter: impl FnMut(&Target) -> Option<T>,
    ) -> Vec<(Wave, T)> {
        if self.stopping {
            return Vec::new();
        }
        let wave = |((target, step), changes, entered): (&Place, Vec<Index>, T)| {
            let changes = changes.into_iter().map(|index| self.tracked[index].change.id.clone()).collect();
            (Wave { target: target.clone(), step: step.clone(), changes }, entered)
        };
        self.ready.waves(batch, enter).into_iter().map(wave).collect()
    }

    fn by_lane(&self, changes: impl Iterator<Item = Index>) -> Vec<Wave> {
        let mut waves: BTreeMap<(&Target, &StepId), Vec<ChangeId>> = BTreeMap::new();
        for index in changes {
            let change = &self.tracked[index].change;
            waves.entry((&change.target, &change.step)).or_default().push(change.id.clone());
        }
        let wave = |((target, step), changes): ((&Target, &StepId), _)| Wave {
            target: target.clone(),
            step: step.clone(),
            changes,
        };
        waves.into_iter().map(wave).collect()
    }

    /// The changes that must not be made because something they need failed, with the words for it.
    pub fn held(&self) -> Vec<(ChangeId, String)> {
        let why = |index: &Index| {
            let change = &self.tracked[*index].change;
            (change.id.clone(), format!("a step that `{}` needs did not succeed for {}", change.step, change.member))
        };
        self.held.iter().map(why).collect()
    }

    /// The tiers of the plan without an answer.
    pub fn unanswered(&self) -> Vec<Tier> {
        let open = |tier: &Tier| {
            let waits = |t: &Tracked| t.change.tier == *tier && !matches!(t.progress, Progress::Ended(_));
            self.tracked.iter().any(waits)
        };
        self.plan.tiers().into_iter().filter(|tier| !self.approvals.contains_key(tier) && open(tier)).collect()
    }

    /// The answer that forbids the run, if one does.
    pub fn refusal(&self) -> Option<&Approval> {
        self.approvals.values().find(|approval| approval.answer == Answer::Refused)
    }

    fn add_seconds(&mut self, phase: Phase, seconds: f64) {
        *match phase {
            Phase::Survey => &mut self.seconds.survey,
            Phase::Plan => &mut self.seconds.plan,
            Phase::Preflight => &mut self.seconds.preflight,
            Phase::Approval => &mut self.seconds.approval,
            Phase::Apply => &mut self.seconds.apply,
            Phase::Prove => &mut self.seconds.prove,
        } += seconds;
        self.seconds.total += seconds;
    }

    /// A sweep's look is newer than the survey's: what it saw replaces what could not be seen, what it could not see
    /// counts until a later sweep sees it.
    fn take_sweep(&mut self, seen: &Coverage) {
        let mut coverage = seen.clone();
        for entry in self.coverage.entries() {
            if seen.status(&entry.target, &entry.service) == CoverageStatus::Unknown {
                coverage.note(entry.target, &entry.service, entry.status, entry.reason);
            }
        }
        self.coverage = coverage;
    }

    /// The ledger, with `acted` where a change was made.
    pub fn coverage(&self) -> Coverage {
        let mut coverage = self.coverage.clone();
        for tracked in &self.tracked {
            if let Progress::Ended(Outcome::Done { .. }) = tracked.progress {
                let change = &tracked.change;
                let service = change.action.as_str().split('.').next().unwrap_or_default();
                coverage.note(change.target.clone(), service, CoverageStatus::Acted, None);
            }
        }
        coverage
    }

    /// What became of the changes.
    pub fn counts(&self) -> ChangeCounts {
        let mut counts = ChangeCounts { planned: self.tracked.len(), ..ChangeCounts::default() };
        for tracked in &self.tracked {
            match &tracked.progress {
                Progress::Ended(Outcome::Done { .. }) => counts.done += 1,
                Progress::Ended(Outcome::Already) => counts.already += 1,
                Progress::Ended(Outcome::Failed { .. }) => counts.failed += 1,
                Progress::Ended(Outcome::Drifted { .. }) => counts.drifted += 1,
                // What never began counts as skipped: a run that was stopped is not done.
                Progress::Waiting | Progress::Started | Progress::Ended(Outcome::Skipped { .. }) => counts.skipped += 1,
            }
            let good = matches!(&tracked.progress, Progress::Ended(outcome) if outcome.is_good());
            if good && tracked.verdict != Some(Verdict::Proven) {
                counts.unproven += 1;
            }
        }
        counts
    }

    /// How the run stands, if it ended now.
    pub fn outcome(&self) -> RunOutcome {
        let counts = self.counts();
        if self.refusal().is_some() {
            RunOutcome::Refused
        } else if self.stopping {
            RunOutcome::Interrupted
        } else if counts.failed + counts.drifted + counts.skipped + counts.unproven > 0 || !self.newcomers_settled() {
            RunOutcome::Incomplete
        } else if !self.coverage().is_complete() {
            RunOutcome::CoverageIncomplete
        } else if self.plan.undoes.is_some() {
            RunOutcome::RolledBack
        } else if counts.planned == 0 && self.plan.already.is_empty() {
            RunOutcome::NothingToDo
        } else {
            RunOutcome::Contained
        }
    }

    /// Whether as many sweeps in a row found nothing new as the runbook demands. A rollback has none.
    pub fn newcomers_settled(&self) -> bool {
        self.plan.undoes.is_some() || self.clean_sweeps >= self.plan.runbook.until.clean_sweeps
    }

    /// The closing figures.
    pub fn summarise(&self, outcome: RunOutcome, traffic: Traffic) -> Summary {
        Summary {
            outcome,
            run: self.run.clone(),
            runbook: self.plan.runbook.name.clone(),
            started: self.started,
            changes: self.counts(),
            coverage: self.coverage().counts(),
            requests: traffic.requests,
            throttled: traffic.throttled,
            retries: traffic.retries,
            seconds: self.seconds.clone(),
        }
    }

    /// The run.
    pub fn run(&self) -> &RunId {
        &self.run
    }

    /// The plan, with what sweeps added.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The digest of the plan as it was shown last.
    pub fn digest(&self) -> &Digest {
        &self.digest
    }

    /// When the run began.
    pub fn started(&self) -> Timestamp {
        self.started
    }

    /// When its last event was noted.
    pub fn last(&self) -> Timestamp {
        self.last
    }

    /// The number of the next event.
    pub fn next_seq(&self) -> u64 {
        self.next_seq
    }

    /// Who runs it now.
    pub fn caller(&self) -> &Caller {
        &self.caller
    }

    /// The changes, in the order of the plan.
    pub fn changes(&self) -> &[Tracked] {
        &self.tracked
    }

    /// The change with this id.
    pub fn change(&self, id: &ChangeId) -> Option<&Tracked> {
        self.index.get(id).map(|index| &self.tracked[*index])
    }

    /// The answers.
    pub fn approvals(&self) -> impl Iterator<Item = &Approval> {
        self.approvals.values()
    }

    /// Whether a person asked to stop.
    pub fn stopping(&self) -> bool {
        self.stopping
    }

    /// How many sweeps there were.
    pub fn sweeps(&self) -> u32 {
        self.sweeps
    }

    /// How the run ended, once it has; none while a process works on it, or after one was killed.
    pub fn ended(&self) -> Option<RunOutcome> {
        self.ended
    }

    /// The closing figures, once it has ended.
    pub fn summary(&self) -> Option<&Summary> {
        self.summary.as_ref()
    }
}
