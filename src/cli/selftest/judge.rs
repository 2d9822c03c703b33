//! Disturbed runs, and what is wrong with how they ended.

use std::collections::{BTreeMap, BTreeSet};

use tokio::time::{Duration, timeout};

use super::disturb::Disturbance;
use super::shape::Shape;
use super::stage::Stage;
use super::tap::Cut;
use super::trial::{Trial, back, case};
use crate::cli::error::Failure;
use crate::engine::state::{Progress, State};
use crate::model::{ChangeId, Plan, RunOutcome, Severity, Summary};
use crate::sim::faults::FaultPlan;

/// After so long, by the clock of the run, a part of it counts as hanging.
const HANGS: Duration = Duration::from_hours(3);

/// What can be wrong. None of it may ever happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Wrong {
    /// A change that is said to be made and is not, or that was planned and has no end, or that the way back left behind.
    Lost,
    /// A change that was made twice.
    Duplicated,
    /// "Contained" or "looked at", and it is not.
    WrongClean,
    /// The responder cannot work any more.
    Lockout,
    /// It did not come to an end.
    Hung,
    /// It ended by an error of quell's own, or otherwise than it must.
    Failed,
}

/// A disturbed run, judged.
#[derive(Debug, Default)]
pub struct Judged {
    /// Which runbook, disturbed how.
    pub place: String,
    /// What is wrong with it.
    pub wrong: Vec<(Wrong, String)>,
    /// How many requests something went wrong with.
    pub struck: u64,
    /// Whether its process died.
    pub died: bool,
    /// By how many seconds it took longer than the undisturbed one; nothing where it was not planned.
    pub added: Option<f64>,
}

impl Judged {
    fn at(place: String) -> Self {
        Self { place, ..Self::default() }
    }

    fn note(&mut self, wrong: Wrong, what: impl Into<String>) {
        self.wrong.push((wrong, what.into()));
    }

    fn note_all(&mut self, wrong: Wrong, about: &str, what: Vec<String>) {
        if !what.is_empty() {
            self.note(wrong, format!("{about}:\n    {}", what.join("\n    ")));
        }
    }

    /// The value, unless it took too long or failed.
    async fn within<T>(&mut self, what: &str, work: impl Future<Output = Result<T, Failure>>) -> Option<T> {
        match timeout(HANGS, work).await {
            Ok(Ok(value)) => Some(value),
            Ok(Err(error)) => {
                self.note(Wrong::Failed, format!("{what}: {error}"));
                None
            }
            Err(_) => {
                self.note(Wrong::Hung, format!("{what} went on for {} hours", HANGS.as_secs() / 3_600));
                None
            }
        }
    }
}

/// The run with which nothing went wrong.
#[derive(Debug)]
pub struct Undisturbed {
    outcome: RunOutcome,
    changes: BTreeMap<ChangeId, String>,
    seconds: f64,
    end: Shape,
    /// Everywhere where it could have died.
    pub cuts: Vec<Cut>,
}

impl Undisturbed {
    /// Carries a stage's runbook out.
    ///
    /// # Errors
    /// Where that fails.
    pub async fn of(stage: &Stage) -> Result<Self, Failure> {
        let trial = stage.trial().await?;
        trial.watch();
        let planned = trial.plan().await?;
        let changes = planned
            .plan
            .changes
            .iter()
            .map(|change| (change.id.clone(), change.summary.clone()))
            .collect::<BTreeMap<_, _>>();
        let ended = trial.carry_out(planned, &case()).await?;
        let cuts = trial.cuts();
        let (outcome, seconds) = (ended.outcome, ended.seconds.total);
        if outcome != RunOutcome::Contained || changes.is_empty() {
            let left = unfinished(&trial.state_of(&case())?).join("\n  ");
            return Err(Failure::failed(format!("{} undisturbed: {}\n  {left}", stage.name, outcome.as_str())));
        }
        Ok(Self { outcome, changes, seconds, end: trial.shape().await, cuts })
    }
}

fn ids(plan: &Plan) -> BTreeSet<ChangeId> {
    plan.changes.iter().map(|change| change.id.clone()).collect()
}

/// The process dies at `cut` and is taken up again; then its run is taken back. With `prefix` it is also taken back without
/// being taken up.
pub async fn dies(stage: &Stage, clean: &Undisturbed, cut: &Cut, prefix: bool) -> Judged {
    let mut judged = Judged::at(format!("{}, dead after {}", stage.name, cut.after));
    judged.died = true;
    if let Err(error) = taken_up(stage, clean, cut, &mut judged).await {
        judged.note(Wrong::Failed, error.to_string());
    }
    if prefix && let Err(error) = taken_back_at_once(stage, cut, &mut judged).await {
        judged.note(Wrong::Failed, error.to_string());
    }
    judged
}

async fn taken_up(stage: &Stage, clean: &Undisturbed, cut: &Cut, judged: &mut Judged) -> Result<(), Failure> {
    let trial = stage.trial_from(cut.world.clone()).await?;
    trial.remember(&cut.events, &case())?;
    let Some(ended) = judged.within("resumed", trial.resume(&case())).await else { return Ok(()) };
    if ended.outcome != clean.outcome {
        judged.note_all(Wrong::Lost, ended.outcome.as_str(), unfinished(&trial.state_of(&case())?));
    }
    judged.added = Some(ended.seconds.total - clean.seconds);
    let differences = clean.end.differences(&trial.shape().await, |_| false);
    judged.note_all(Wrong::Lost, "resumed, and not as undisturbed", differences);
    judged.note_all(Wrong::Duplicated, "resumed", trial.duplicates());
    standing(&trial, judged, ended.outcome).await?;
    taken_back(stage, &trial, judged, "resumed and taken back").await
}

async fn taken_back_at_once(stage: &Stage, cut: &Cut, judged: &mut Judged) -> Result<(), Failure> {
    let trial = stage.trial_from(cut.world.clone()).await?;
    trial.remember(&cut.events, &case())?;
    taken_back(stage, &trial, judged, "taken back").await
}

/// Everything goes wrong that the disturbance names; perhaps the process dies in it as well. Then nothing goes wrong any more,
/// and it is looked what the run said and what there is.
pub async fn goes_wrong(stage: &Stage, clean: &Undisturbed, disturbance: &Disturbance) -> Judged {
    let mut judged = Judged::at(format!("{}, {disturbance}", stage.name));
    if let Err(error) = Box::pin(gone_wrong(stage, clean, disturbance, &mut judged)).await {
        judged.note(Wrong::Failed, error.to_string());
    }
    judged
}

async fn gone_wrong(
    stage: &Stage,
    clean: &Undisturbed,
    disturbance: &Disturbance,
    judged: &mut Judged,
) -> Result<(), Failure> {
    let first = stage.trial().await?;
    first.disturb(&disturbance.faults);
    first.watch();
    let planned = match timeout(HANGS, first.plan()).await {
        Ok(Ok(planned)) => planned,
        // Nothing could be planned, and nothing was done.
        Ok(Err(_)) => {
            judged.struck = first.struck();
            first.disturb(&FaultPlan::default());
            let differences = stage.before().differences(&first.shape().await, |_| false);
            judged.note_all(Wrong::Lost, "not planned, and yet changed", differences);
            return Ok(());
        }
        Err(_) => {
            judged.note(Wrong::Hung, "the survey");
            return Ok(());
        }
    };
    let was_planned = ids(&planned.plan);
    let missing = clean.changes.iter().filter(|(id, _)| !was_planned.contains(*id));
    let missing: Vec<String> = missing.map(|(_, summary)| summary.clone()).collect();
    let told = planned.plan.findings.iter().any(|finding| finding.severity == Severity::Refusal);
    if planned.plan.coverage.is_complete() && planned.plan.skipped.is_empty() && !told {
        judged.note_all(Wrong::WrongClean, "not planned, and everything counts as looked at", missing);
    }
    let ended = judged.within("carried out", first.carry_out(planned, &case())).await;
    judged.struck = first.struck();
    let cuts = first.cuts();
    let (trial, ended) = match (disturbance.dies_at(cuts.len()), ended) {
        (Some(at), Some(_)) => {
            judged.died = true;
            let cut = &cuts[at];
            judged.place = format!("{}, dead after {}", judged.place, cut.after);
            let trial = stage.trial_from(cut.world.clone()).await?;
            trial.remember(&cut.events, &case())?;
            // What strikes counts from the beginning again: a run that is taken up later meets other weather.
            trial.disturb(&disturbance.faults);
            let ended = judged.within("resumed", trial.resume(&case())).await;
            judged.struck += trial.struck();
            (trial, ended)
        }
        (_, ended) => (first, ended),
    };
    trial.disturb(&FaultPlan::default());
    let Some(ended) = ended else { return Ok(()) };
    judged.added = Some(ended.seconds.total - clean.seconds);
    let state = trial.state_of(&case())?;
    judged.note_all(Wrong::Lost, "without an end", endless(&state));
    let end = trial.shape().await;
    // A plan that was made while something was silent may hold less; what it holds is true all the same.
    if ended.outcome == RunOutcome::Contained && clean.changes.keys().eq(&was_planned) {
        let differences = clean.end.differences(&end, |_| false);
        judged.note_all(Wrong::WrongClean, "contained, and not as undisturbed", differences);
    }
    judged.note_all(Wrong::Duplicated, "at the end", trial.duplicates());
    standing(&trial, judged, ended.outcome).await?;
    taken_back(stage, &trial, judged, "taken back").await
}

/// What holds at the end of every run, whatever became of it.
async fn standing(trial: &Trial<'_>, judged: &mut Judged, outcome: RunOutcome) -> Result<(), Failure> {
    judged.note_all(Wrong::WrongClean, outcome.as_str(), trial.false_claims(&case()).await?);
    if let Some(why) = trial.lockout().await {
        judged.note(Wrong::Lockout, why);
    }
    Ok(())
}

/// Takes the run of a trial back, which leaves what was there before.
async fn taken_back(stage: &Stage, trial: &Trial<'_>, judged: &mut Judged, how: &str) -> Result<(), Failure> {
    let Some(ended) = judged.within(how, trial.take_back()).await else { return Ok(()) };
    let Summary { outcome, .. } = ended;
    if outcome != RunOutcome::RolledBack {
        judged.note_all(Wrong::Lost, &format!("{how}: {}", outcome.as_str()), unfinished(&trial.state_of(&back())?));
    }
    let differences = stage.before().differences(&trial.shape().await, is_lost);
    judged.note_all(Wrong::Lost, how, differences);
    Ok(())
}

/// Changes that neither ended nor were left out.
fn endless(state: &State) -> Vec<String> {
    let open = state.changes().iter().filter(|tracked| !matches!(tracked.progress, Progress::Ended(_)));
    open.map(|tracked| tracked.change.summary.clone()).collect()
}

/// What became of the changes that are not both made and proven.
fn unfinished(state: &State) -> Vec<String> {
    let told = state.changes().iter().filter(|tracked| tracked.verdict != Some(crate::model::Verdict::Proven));
    let mut left: Vec<String> = told
        .map(|tracked| format!("{}: {:?} {:?}", tracked.change.summary, tracked.progress, tracked.verdict))
        .collect();
    let coverage = state.coverage();
    let unseen = coverage.entries().filter(|entry| !entry.status.is_known());
    left.extend(
        unseen.map(|entry| format!("{:?} {} {:?} {:?}", entry.target, entry.service, entry.status, entry.reason)),
    );
    left
}

/// What the plan names as not coming back, or leaves on purpose: evidence, start times, automatic addresses.
fn is_lost(line: &str) -> bool {
    let path = line.split(" = ").next().unwrap_or_default();
    let holds = ["/snapshots/", "/login_profile"];
    let ends = ["/launch_time", "/public_ip", "/public_dns_name", "/state_transition_reason", "/since", "/updated"];
    holds.iter().any(|part| path.contains(part)) || ends.iter().any(|end| path.ends_with(end))
}
