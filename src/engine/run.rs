//! The main loop: ask, apply, prove. A resumed run is this same loop, entered with a state folded from the journal.

use std::collections::HashSet;
use std::ops::RangeFrom;
use std::sync::Arc;

use futures::FutureExt as _;
use serde_json::Value;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Duration, Instant};

use super::action::{FRESH, Found, LookBefore};
use super::lane::{self, Assigned, Direction, LaneEvent, Shard};
use super::ports::{Approver, Reporter};
use super::prove::{self, Looked, Swept};
use super::rooms::{Rooms, SILENCE};
use super::state::{Progress, State, Tracked, Wave};
use super::table::Table;
use super::{Engine, Looks, Planned};
use crate::journal::{Journal, JournalError};
use crate::model::{
    Answer, Approval, Caller, Change, ChangeId, Digest, Event, EventKind, Newcomers, Outcome, Phase, Plan, RunId,
    RunOutcome, StepId, Summary, Target, Tier, Verdict,
};

/// A run that a process works on.
pub struct Run<'a> {
    engine: Engine,
    journal: Journal,
    state: State,
    approver: Arc<dyn Approver>,
    reporter: &'a mut dyn Reporter,
    stop: watch::Receiver<bool>,
    /// What looks ahead saw, and when.
    foreseen: Looks,
}

/// What ends a run before its time. What merely happens in a run is an event.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// Nothing more can be recorded, so nothing more is done.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The journal is not a run's.
    #[error(transparent)]
    NoRun(#[from] super::state::NoRun),
    /// Part of quell failed. Its last words may hold what nobody is to read, and stay out of the message.
    #[error("quell itself failed")]
    Panicked(#[from] tokio::task::JoinError),
    /// The survey of a sweep failed as a whole.
    #[error(transparent)]
    Survey(#[from] super::survey::SurveyError),
}

type FromLanes = mpsc::UnboundedReceiver<(Target, StepId, LaneEvent)>;

impl<'a> Run<'a> {
    /// Begins a run: its plan becomes the first line of the journal. What the survey saw counts as a look before those
    /// changes that no other step can have touched since.
    pub fn start(
        engine: Engine,
        mut journal: Journal,
        run: RunId,
        Planned { plan, timed, seen }: Planned,
        ports: (Arc<dyn Approver>, &'a mut dyn Reporter, watch::Receiver<bool>),
    ) -> Result<Self, RunError> {
        let digest = plan.digest();
        let version = env!("CARGO_PKG_VERSION").to_owned();
        let kind = EventKind::RunStarted { run, version, plan: Box::new(plan), digest };
        let first = Event { seq: 0, at: engine.clock.now(), kind };
        journal.append(std::slice::from_ref(&first))?;
        journal.sync()?;
        let state = State::begin(&first)?;
        engine.sessions.assume(state.plan().runbook.targets.role.as_ref());
        let (approver, reporter, stop) = ports;
        reporter.event(&first);
        let mut run = Self { engine, journal, state, approver, reporter, stop, foreseen: seen };
        let (state, table) = (&run.state, &run.engine.table);
        run.foreseen.retain(|id, _| state.waits_for_nothing(id) || looks_ahead(table, state, id));
        run.record(timed.into_iter().map(|(phase, seconds)| EventKind::PhaseEnded { phase, seconds }))?;
        Ok(run)
    }

    /// Takes a run up again.
    pub fn resume(
        engine: Engine,
        journal: Journal,
        events: &[Event],
        caller: Caller,
        ports: (Arc<dyn Approver>, &'a mut dyn Reporter, watch::Receiver<bool>),
    ) -> Result<Self, RunError> {
        let state = State::fold_all(events)?;
        engine.sessions.assume(state.plan().runbook.targets.role.as_ref());
        let (approver, reporter, stop) = ports;
        for event in events {
            reporter.event(event);
        }
        let mut run = Self { engine, journal, state, approver, reporter, stop, foreseen: Looks::new() };
        run.record([EventKind::RunResumed { caller }])?;
        Ok(run)
    }

    /// Drives the plan to its end.
    pub async fn execute(mut self) -> Result<Summary, RunError> {
        self.approve().await?;
        if self.state.refusal().is_none() && !self.state.stopping() {
            self.apply().await?;
            self.prove().await?;
        }
        let outcome = self.state.outcome();
        let summary = self.state.summarise(outcome, self.engine.sessions.traffic());
        self.record([EventKind::RunEnded { outcome, summary: Box::new(summary.clone()) }])?;
        self.journal.sync()?;
        Ok(summary)
    }

    /// Asks for every tier before anything is changed: one no, and nothing is.
    async fn approve(&mut self) -> Result<(), RunError> {
        let tiers = self.state.unanswered();
        if tiers.is_empty() {
            return Ok(());
        }
        let begun = self.begin(Phase::Approval)?;
        for tier in tiers {
            if self.state.refusal().is_some() || self.state.stopping() {
                break;
            }
            self.ask(tier).await?;
        }
        self.finish(Phase::Approval, begun)
    }

    async fn ask(&mut self, tier: Tier) -> Result<(), RunError> {
        let plan = self.state.plan().clone();
        self.ask_about(&plan, tier).await.map(drop)
    }

    /// Asks about the changes of one tier in `plan`: the run's own, or what was found since. There is no answer when a person
    /// asks to stop instead.
    async fn ask_about(&mut self, plan: &Plan, tier: Tier) -> Result<Option<Answer>, RunError> {
        let changes = plan.changes.iter().filter(|change| change.tier == tier).count();
        self.record([EventKind::ApprovalAsked { tier, changes }])?;
        let approver = Arc::clone(&self.approver);
        let kind = tokio::select! {
            biased;
            () = stopped(&mut self.stop) => EventKind::StopRequested,
            reply = approver.ask(plan, tier) => EventKind::ApprovalAnswered {
                approval: Approval {
                    plan: self.state.digest().clone(),
                    tier,
                    answer: reply.answer,
                    by: reply.by,
                    through: reply.through,
                    at: self.engine.clock.now(),
                },
            },
        };
        let answer = match &kind {
            EventKind::ApprovalAnswered { approval } => Some(approval.answer),
            _ => None,
        };
        self.record([kind])?;
        Ok(answer)
    }

    /// Asks about what a sweep found. What is not approved is left alone; what was approved before stays so.
    async fn ask_about_newcomers(&mut self) -> Result<(), RunError> {
        let waiting: HashSet<ChangeId> = prove::waiting(&self.state).into_iter().collect();
        let mut found = self.state.plan().clone();
        found.changes.retain(|change| waiting.contains(&change.id));
        for tier in found.tiers() {
            match self.ask_about(&found, tier).await? {
                Some(Answer::Approved) => {}
                Some(Answer::Refused) => {
                    let of_tier = found.changes.iter().filter(|change| change.tier == tier);
                    let of_tier = of_tier.map(|change| change.id.clone()).collect();
                    self.leave(of_tier, "found after the plan was approved, and not approved")?;
                }
                None => return Ok(()),
            }
        }
        Ok(())
    }

    /// Ends changes that are not to be made.
    fn leave(&mut self, changes: Vec<ChangeId>, why: &str) -> Result<(), RunError> {
        let outcome = Outcome::Skipped { why: why.to_owned() };
        self.record(changes.into_iter().map(|change| EventKind::ChangeEnded { change, outcome: outcome.clone() }))
    }

    /// Makes all changes that can be made, and waits for all that were begun.
    async fn apply(&mut self) -> Result<(), RunError> {
        let begun = self.begin(Phase::Apply)?;
        let (sender, mut events) = mpsc::unbounded_channel();
        let mut lanes = JoinSet::new();
        let (mut rooms, mut numbers) = (Rooms::default(), 0..);
        let mut next_turn = Instant::now() + SILENCE;
        loop {
            self.skip_held()?;
            for (shard, number) in self.shards(&mut rooms, &mut numbers)? {
                let (target, step) = (shard.target.clone(), shard.step.id.clone());
                let (region, report) = (target.region.clone(), lane::through(sender.clone(), target, step));
                let carried_out = lane::carry_out(self.engine.clone(), shard, report);
                lanes.spawn(carried_out.map(move |()| Some((region, number))));
            }
            for shard in self.shards_ahead() {
                self.state.looks_ahead(&shard.target, &shard.step.id);
                let report = lane::through(sender.clone(), shard.target.clone(), shard.step.id.clone());
                lanes.spawn(lane::look_ahead(self.engine.clone(), shard, report).map(|()| None));
            }
            if lanes.is_empty() && events.is_empty() {
                break;
            }
            tokio::select! {
                biased;
                () = stopped(&mut self.stop), if !self.state.stopping() => self.record([EventKind::StopRequested])?,
                Some(event) = events.recv() => self.take(event, &mut events)?,
                Some(ended) = lanes.join_next() => {
                    if let Some((region, number)) = ended? {
                        rooms.leave(&region, number);
                    }
                }
                () = tokio::time::sleep_until(next_turn), if rooms.are_full() => {
                    rooms.pass_over(|lane| self.engine.sessions.heard(lane));
                    next_turn = Instant::now() + SILENCE;
                }
            }
        }
        self.finish(Phase::Apply, begun)
    }

    /// What can be started now, as far as there is room, each with its number there. Its intent is on the disk before it is
    /// handed out.
    fn shards(&mut self, rooms: &mut Rooms, numbers: &mut RangeFrom<usize>) -> Result<Vec<(Shard, usize)>, RunError> {
        let table = self.engine.table.clone();
        let steps = &self.state.plan().runbook;
        let batch = |id: &StepId| {
            let action = steps.step(id).and_then(|step| table.action(step.uses.as_str()));
            action.map_or(1, super::table::DynAction::batch)
        };
        let waves = self.state.waves(batch, |lane| numbers.next().filter(|number| rooms.enter(lane, *number)));
        if waves.is_empty() {
            return Ok(Vec::new());
        }
        let shards = waves.iter().map(|(wave, number)| (self.shard(wave), *number)).collect();
        for id in waves.iter().flat_map(|(wave, _)| &wave.changes) {
            self.foreseen.remove(id);
        }
        let intents = waves.into_iter().flat_map(|(wave, _)| wave.changes);
        self.record(intents.map(|change| EventKind::ChangeStarted { change }))?;
        self.journal.sync()?;
        Ok(shards)
    }

    /// What can be looked at now, ahead of its turn.
    fn shards_ahead(&mut self) -> Vec<Shard> {
        let mut next = self.state.take_next();
        let fresh = |id: &ChangeId| self.foreseen.get(id).is_some_and(|(at, _)| at.elapsed() <= FRESH / 2);
        for wave in &mut next {
            wave.changes.retain(|id| looks_ahead(&self.engine.table, &self.state, id) && !fresh(id));
        }
        next.retain(|wave| !wave.changes.is_empty());
        next.iter().map(|wave| self.shard(wave)).collect()
    }

    fn shard(&self, wave: &Wave) -> Shard {
        let plan = self.state.plan();
        let assign = |id| {
            let tracked = self.state.change(id).expect("a wave is made of the plan's changes");
            // A change without a known effect may have been made by half: what is seen of it does not tell.
            let unsure = plan.undoes.is_some() && !plan.effects.contains_key(id);
            Assigned {
                change: tracked.change.clone(),
                attempted: tracked.attempted || unsure,
                effect: plan.effects.get(id).cloned().unwrap_or_default(),
                seen: self.foreseen.get(id).filter(|(at, _)| at.elapsed() <= FRESH).map(|(_, found)| found.clone()),
            }
        };
        Shard {
            target: wave.target.clone(),
            step: plan.runbook.step(&wave.step).expect("a wave is of one of the plan's steps").clone(),
            direction: if plan.undoes.is_some() { Direction::Undo } else { Direction::Apply },
            changes: wave.changes.iter().map(assign).collect(),
        }
    }

    /// Takes in an event of a lane, and all others that are there by now, so that they share the next write to the disk.
    fn take(&mut self, first: (Target, StepId, LaneEvent), events: &mut FromLanes) -> Result<(), RunError> {
        let mut ended = Vec::new();
        let mut next = Some(first);
        while let Some((target, step, event)) = next {
            match event {
                LaneEvent::Looked => self.state.looked(&target, &step),
                LaneEvent::Foreseen(found) => {
                    let id = |found: &Found<Value>| ChangeId::of(&step, &target, &found.resource);
                    self.foreseen.extend(found.into_iter().map(|found| (id(&found), (Instant::now(), found))));
                }
                LaneEvent::Ended(change, outcome) => ended.push(EventKind::ChangeEnded { change, outcome }),
            }
            next = events.try_recv().ok();
        }
        self.record(ended)
    }

    fn skip_held(&mut self) -> Result<(), RunError> {
        loop {
            let held = self.state.held();
            if held.is_empty() {
                return Ok(());
            }
            let skip = |(change, why)| EventKind::ChangeEnded { change, outcome: Outcome::Skipped { why } };
            self.record(held.into_iter().map(skip).collect::<Vec<_>>())?;
        }
    }

    /// Looks again until what was done is seen, and until sweeps find nothing new. The first sweep is also the first look; it
    /// is the last one only if everything was proven by then. A stopped run is not looked at.
    async fn prove(&mut self) -> Result<(), RunError> {
        let begun = self.begin(Phase::Prove)?;
        let until = self.state.plan().runbook.until.clone();
        let mut swept_too_early = false;
        if !self.state.stopping() {
            let sweeps = !self.state.newcomers_settled();
            let seen = if sweeps { self.sweep(until.newcomers).await? } else { self.look().await? };
            if seen == Seen::Pending && !self.state.stopping() {
                self.verify().await?;
                swept_too_early = sweeps;
            }
        }
        while !self.state.stopping()
            && (swept_too_early || !self.state.newcomers_settled())
            && self.state.sweeps() < until.at_most
        {
            tokio::select! {
                () = stopped(&mut self.stop) => {
                    self.record([EventKind::StopRequested])?;
                    break;
                }
                () = tokio::time::sleep(until.every.std()) => {}
            }
            self.sweep(until.newcomers).await?;
            swept_too_early = false;
        }
        self.finish(Phase::Prove, begun)
    }

    /// Looks at what is not proven until nothing is pending any more, or for too long.
    async fn verify(&mut self) -> Result<(), RunError> {
        let mut wait = Duration::from_secs(2);
        let deadline = Instant::now() + prove::LONGEST;
        while self.look().await? == Seen::Pending && Instant::now() + wait <= deadline {
            tokio::select! {
                () = stopped(&mut self.stop) => return self.record([EventKind::StopRequested]),
                () = tokio::time::sleep(wait) => {}
            }
            wait = (wait * 3 / 2).min(Duration::from_secs(15));
        }
        Ok(())
    }

    /// Looks at what is not proven.
    async fn look(&mut self) -> Result<Seen, RunError> {
        let looked = prove::unproven(&self.engine, &self.state).await;
        self.note(looked)
    }

    /// Notes what a look says that was not known. What was proven stays so when a later look gets no answer.
    fn note(&mut self, looked: Looked) -> Result<Seen, RunError> {
        let seen = if looked.is_pending() { Seen::Pending } else { Seen::All };
        let unseen = looked.unseen.into_iter().map(|(change, why)| {
            let why = format!("could not look: {why}");
            (change, Verdict::Unproven { why })
        });
        let known = |change: &ChangeId| self.state.change(change).and_then(|tracked| tracked.verdict.as_ref());
        let unseen = unseen.filter(|(change, _)| known(change) != Some(&Verdict::Proven));
        let news = looked.verdicts.into_iter().chain(unseen).filter(|(change, verdict)| known(change) != Some(verdict));
        let news: Vec<_> = news.map(|(change, verdict)| EventKind::ChangeProven { change, verdict }).collect();
        self.record(news)?;
        Ok(seen)
    }

    /// Looks everywhere, and takes in what is there.
    async fn sweep(&mut self, newcomers: Newcomers) -> Result<Seen, RunError> {
        let Swept { looked, newcomers: found, coverage, missed } = prove::sweep(&self.engine, &self.state).await?;
        let reverted = self.reverted(&looked);
        let seen = self.note(looked)?;
        let sweep = self.state.sweeps() + 1;
        self.record([EventKind::SweepEnded {
            sweep,
            newcomers: found.len(),
            reverted: reverted.len(),
            coverage,
            missed,
        }])?;
        if !found.is_empty() {
            self.extend(found)?;
        }
        if newcomers != Newcomers::Report {
            self.record(reverted.into_iter().map(|(change, why)| EventKind::ChangeReverted { change, why }))?;
        }
        if !prove::waiting(&self.state).is_empty() {
            self.take_up(newcomers).await?;
        }
        Ok(seen)
    }

    /// The changes that were made and are not in force any more: an intruder may be quicker than the first look.
    fn reverted(&self, looked: &Looked) -> Vec<(ChangeId, String)> {
        let verdicts = looked.verdicts.iter();
        let reverted = verdicts.filter_map(|(change, verdict)| match verdict {
            Verdict::Unproven { why } if self.may_be_made_again(change) => Some((change.clone(), why.clone())),
            _ => None,
        });
        reverted.collect()
    }

    /// What was never seen in force is made again once: more would not help where AWS takes a change that has no effect.
    fn may_be_made_again(&self, change: &ChangeId) -> bool {
        let again = |tracked: &Tracked| tracked.verdict == Some(Verdict::Proven) || !tracked.attempted;
        self.state.change(change).is_some_and(again)
    }

    /// Makes what a sweep found part of the plan.
    fn extend(&mut self, found: Vec<Change>) -> Result<(), RunError> {
        let mut plan = self.state.plan().clone();
        plan.changes.extend(found.iter().cloned());
        let digest: Digest = plan.digest();
        self.record([EventKind::PlanExtended { changes: found, digest }])
    }

    /// What a sweep finds is contained where the runbook says so and the approvals given reach that far; otherwise it is
    /// named, and the run does not end as contained.
    async fn take_up(&mut self, newcomers: Newcomers) -> Result<(), RunError> {
        match newcomers {
            Newcomers::Contain => self.approve().await?,
            Newcomers::Ask => self.ask_about_newcomers().await?,
            Newcomers::Report => {
                let why = "found after the plan was approved; the runbook reports newcomers, it does not contain them";
                self.leave(prove::waiting(&self.state), why)?;
            }
        }
        if self.state.refusal().is_none() && !self.state.stopping() && !prove::waiting(&self.state).is_empty() {
            self.apply().await?;
            self.verify().await?;
        }
        Ok(())
    }

    fn begin(&mut self, phase: Phase) -> Result<Instant, RunError> {
        self.record([EventKind::PhaseStarted { phase }])?;
        Ok(Instant::now())
    }

    fn finish(&mut self, phase: Phase, begun: Instant) -> Result<(), RunError> {
        self.record([EventKind::PhaseEnded { phase, seconds: begun.elapsed().as_secs_f64() }])
    }

    /// Whether an event ends a change that has ended. Journals that are read may say so; this run must not.
    fn ends_again(&self, event: &Event) -> bool {
        let EventKind::ChangeEnded { change, .. } = &event.kind else { return false };
        self.state.change(change).is_some_and(|tracked| matches!(tracked.progress, Progress::Ended(_)))
    }

    /// The one way in which anything happens: recorded, remembered, shown.
    fn record(&mut self, kinds: impl IntoIterator<Item = EventKind>) -> Result<(), RunError> {
        let first = self.state.next_seq();
        let at = self.engine.clock.now();
        let events: Vec<Event> = kinds.into_iter().zip(first..).map(|(kind, seq)| Event { seq, at, kind }).collect();
        self.journal.append(&events)?;
        debug_assert!(!events.iter().any(|event| self.ends_again(event)), "a change ended twice: {events:?}");
        self.state.take_in(&events);
        for event in &events {
            self.reporter.event(event);
        }
        Ok(())
    }

    /// The state so far.
    pub fn state(&self) -> &State {
        &self.state
    }
}

/// Whether a look saw all that it was for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Seen {
    /// Nothing is on its way any more.
    All,
    /// A later look may see more.
    Pending,
}

/// Whether the look before a change may be taken ahead of its turn.
fn looks_ahead(table: &Table, state: &State, id: &ChangeId) -> bool {
    let action = state.change(id).and_then(|tracked| table.action(tracked.change.action.as_str()));
    action.is_some_and(|action| action.look_before() == LookBefore::Ahead)
}

/// Resolves when a person asks to stop.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    if stop.wait_for(|stop| *stop).await.is_err() {
        // Nobody is left who could ask.
        std::future::pending::<()>().await;
    }
}

/// Whether a run was refused by an answer, and by which.
pub fn refused(state: &State) -> Option<&Approval> {
    state.refusal().filter(|approval| approval.answer == Answer::Refused)
}

/// The outcome that a plan without any change ends with.
pub fn nothing_to_do(plan: &Plan) -> Option<RunOutcome> {
    plan.changes
        .is_empty()
        .then(|| if plan.coverage.is_complete() { RunOutcome::NothingToDo } else { RunOutcome::CoverageIncomplete })
}
