//! Proof: looking again after the last change, and looking for newcomers.

use std::collections::{BTreeSet, HashMap};

use jiff::SignedDuration;
use serde_json::Value;
use tokio::time::Duration;

use super::action::{Decision, Found};
use super::lane::members;
use super::patience::ask_all;
use super::ports::Access;
use super::state::{Progress, State, Tracked};
use super::survey::{Known, Purpose, SurveyError, status, survey};
use super::{Engine, lockout, planner};
use crate::model::{
    ActionError, Change, ChangeId, Coverage, CoverageStatus, Finding, ResourceId, Severity, StepId, Target, Tier,
    Verdict,
};

/// How long pending changes are waited for: EC2 itself gives a machine ten minutes to stop.
pub const LONGEST: Duration = Duration::from_mins(10);

/// How long after a change reads may still show what was before: IAM and EC2 say that they are eventually consistent, without a
/// figure (IAM User Guide, "Troubleshoot IAM"; EC2 API Reference, "Eventual consistency"). Most changes show within a second or two.
const LAG: SignedDuration = SignedDuration::from_secs(10);

/// The changes that nobody has begun.
pub fn waiting(state: &State) -> Vec<ChangeId> {
    let waiting = state.changes().iter().filter(|tracked| tracked.progress == Progress::Waiting);
    waiting.map(|tracked| tracked.change.id.clone()).collect()
}

/// What a look at the changes of a run saw.
#[derive(Debug, Default)]
pub struct Looked {
    /// How the changes stand.
    pub verdicts: Vec<(ChangeId, Verdict)>,
    /// The changes that could not be looked at, and why.
    pub unseen: Vec<(ChangeId, String)>,
    /// What was found beside them for the same members: a second key of a user, another policy of a role.
    pub beside: Vec<(StepId, Target, Found<Value>)>,
}

impl Looked {
    /// Whether a look later may see more.
    pub fn is_pending(&self) -> bool {
        self.verdicts.iter().any(|(_, verdict)| matches!(verdict, Verdict::Pending { .. }))
    }
}

/// Looks at every change that was made, also at those that a look has seen before: an intruder may have taken them back.
pub async fn all(engine: &Engine, state: &State) -> Looked {
    look(engine, state, |_| true).await
}

/// Looks at the changes that were made and that no look has seen yet.
pub async fn unproven(engine: &Engine, state: &State) -> Looked {
    look(engine, state, |tracked| tracked.verdict != Some(Verdict::Proven)).await
}

async fn look(engine: &Engine, state: &State, wanted: impl Fn(&Tracked) -> bool) -> Looked {
    let tracked = state.changes().iter().filter(|tracked| was_made(tracked) && wanted(tracked));
    let mut changes: Vec<&Change> = tracked.map(|tracked| &tracked.change).collect();
    changes.sort_by(|a, b| (&a.step, &a.target).cmp(&(&b.step, &b.target)));
    let groups: Vec<&[&Change]> = changes.chunk_by(|a, b| (&a.step, &a.target) == (&b.step, &b.target)).collect();
    let looks = groups.iter().map(|group| (group[0].target.clone(), move || look_at(engine, state, group)));
    let answers = ask_all(engine.sessions.as_ref(), looks).await;
    let mut looked = Looked::default();
    for (group, answer) in groups.iter().zip(answers) {
        let why = match answer {
            Some(Ok(seen)) => {
                looked.verdicts.extend(seen.verdicts);
                looked.unseen.extend(seen.unseen);
                looked.beside.extend(seen.beside);
                continue;
            }
            Some(Err(error)) => error.to_string(),
            None => "no answer".to_owned(),
        };
        looked.unseen.extend(group.iter().map(|change| (change.id.clone(), why.clone())));
    }
    looked
}

fn was_made(tracked: &Tracked) -> bool {
    matches!(&tracked.progress, Progress::Ended(outcome) if outcome.is_good())
}

/// Looks at the changes of one step in one lane.
async fn look_at(engine: &Engine, state: &State, group: &[&Change]) -> Result<Looked, ActionError> {
    let missing = || ActionError::new(crate::model::ErrorKind::Unsupported, "this quell lacks the step's action");
    let (step, target) = (&group[0].step, &group[0].target);
    let step = state.plan().runbook.step(step).ok_or_else(missing)?;
    let action = engine.table.action(step.uses.as_str()).ok_or_else(missing)?;
    let cx = engine.sessions.enter(target, Access::Read).await?;
    let found = action.discover(&cx, &step.with, &members(group.iter().copied())).await?;
    let by_resource: HashMap<&ResourceId, &Found<Value>> =
        found.iter().rev().map(|found| (&found.resource, found)).collect();
    let mut looked = Looked::default();
    for change in group {
        let now = by_resource.get(&change.resource).copied();
        if let Some(now) = now
            && let Decision::Unseen(error) = action.plan(&cx.view, &step.with, now)?
        {
            looked.unseen.push((change.id.clone(), error.to_string()));
            continue;
        }
        let verdict = match now {
            None if state.plan().undoes.is_some() => Verdict::Unproven { why: "it is not there any more".into() },
            None => Verdict::Proven,
            Some(now) if state.plan().undoes.is_some() => action.restored(&change.prior, &now.prior)?,
            Some(now) => action.verify(&cx.view, &step.with, now)?,
        };
        let verdict = if is_settled(engine, state, &change.id) { verdict } else { not_shown_yet(verdict) };
        looked.verdicts.push((change.id.clone(), verdict));
    }
    let beside = found.into_iter().map(|found| (step.id.clone(), target.clone(), found));
    looked.beside.extend(
        beside.filter(|(step, target, found)| state.change(&ChangeId::of(step, target, &found.resource)).is_none()),
    );
    Ok(looked)
}

/// Whether what a look says of a change can count against it: until one has shown the change, reads may still show what was
/// before. What was shown once and is not any more, somebody took back.
fn is_settled(engine: &Engine, state: &State, change: &ChangeId) -> bool {
    let Some(tracked) = state.change(change) else { return true };
    let is_recent = |ended| engine.clock.now().duration_since(ended) < LAG;
    tracked.verdict == Some(Verdict::Proven) || !tracked.ended.is_some_and(is_recent)
}

fn not_shown_yet(verdict: Verdict) -> Verdict {
    match verdict {
        Verdict::Unproven { why } => Verdict::Pending { why: format!("not shown yet: {why}") },
        proven_or_pending => proven_or_pending,
    }
}

/// What a sweep saw.
#[derive(Debug)]
pub struct Swept {
    /// How the changes of the plan stand.
    pub looked: Looked,
    /// Changes that no plan named before.
    pub newcomers: Vec<Change>,
    /// What was looked at.
    pub coverage: Coverage,
    /// Why nothing at all could be looked at.
    pub missed: Option<String>,
}

/// Looks everywhere once more: at every change of the plan, and for members that the plan does not know.
pub async fn sweep<'a>(engine: &Engine, state: &'a State) -> Result<Swept, SurveyError> {
    let plan = state.plan();
    let changes = state.changes().iter().filter(|tracked| was_made(tracked)).map(|tracked| &tracked.change);
    let mut known: Known<'a> = HashMap::new();
    for change in changes {
        let here = known.entry(&change.target).or_default();
        here.extend(change.members().map(|member| (&change.step, member)));
    }
    let disabled = plan.coverage.entries().filter(|entry| entry.status == CoverageStatus::Disabled);
    let disabled: BTreeSet<Target> = disabled.map(|entry| entry.target).collect();
    let lanes = plan.targets.iter().filter(|lane| !lane.region.is_global() && !disabled.contains(lane)).collect();
    let purpose = Purpose::Sweep { known, lanes };
    let case = (state.run(), plan.created);
    let mut unwatched = |_| {};
    let survey = survey(engine, &plan.runbook, &plan.inputs, case, &purpose, &mut unwatched);
    let (mut looked, survey) = futures::join!(all(engine, state), survey);
    let mut survey = match survey {
        // Nobody could be asked where to look: a sweep that saw nothing.
        Err(SurveyError::Caller(error) | SurveyError::Targets(error)) => {
            let mut coverage = Coverage::default();
            for cell in state.coverage().entries().filter(|cell| cell.status != CoverageStatus::Disabled) {
                coverage.note(cell.target, &cell.service, status(&error), Some(error.to_string()));
            }
            return Ok(Swept { looked, newcomers: Vec::new(), coverage, missed: Some(error.to_string()) });
        }
        survey => survey?,
    };
    for (step, target, found) in std::mem::take(&mut looked.beside) {
        survey.found.entry(step).or_default().push((target, vec![found]));
    }
    let swept = planner::plan(&engine.table, &plan.runbook, &plan.inputs, &survey);
    let mut coverage = swept.coverage;
    let newcomers = swept.changes.into_iter().filter(|change| state.change(&change.id).is_none());
    // What a guard refuses is left to a person; the ledger says so.
    let (newcomers, locking): (Vec<_>, Vec<_>) =
        newcomers.partition(|change| lockout::of_change(plan, change).is_empty());
    let locking = locking.iter().flat_map(|change| lockout::of_change(plan, change));
    let refused = swept.findings.into_iter().filter(|finding| finding.severity == Severity::Refusal);
    for Finding { step, target, message, .. } in locking.chain(refused) {
        let Some((step, target)) = step.and_then(|step| plan.runbook.step(&step)).zip(target) else { continue };
        let service = step.uses.as_str().split('.').next().unwrap_or_default();
        coverage.note(target, service, CoverageStatus::Unknown, Some(message));
    }
    Ok(Swept { looked, newcomers: bounded(state, newcomers), coverage, missed: None })
}

/// A step's `at_most` counts its changes over all sweeps: what is beyond it needs the highest approval.
fn bounded(state: &State, mut newcomers: Vec<Change>) -> Vec<Change> {
    for step in &state.plan().runbook.steps {
        let Some(at_most) = step.at_most else { continue };
        let before = state.changes().iter().filter(|tracked| tracked.change.step == step.id).count();
        let beyond = newcomers
            .iter_mut()
            .filter(|change| change.step == step.id)
            .skip((at_most as usize).saturating_sub(before));
        for change in beyond {
            change.tier = Tier::Destructive;
        }
    }
    newcomers
}
