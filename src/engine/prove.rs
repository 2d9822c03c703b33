//! Proof: looking again after the last change, and looking for newcomers.

use std::collections::BTreeSet;

use tokio::time::Duration;

use super::lane::members;
use super::patience::ask_all;
use super::ports::Access;
use super::state::{Progress, State, Tracked};
use super::survey::{SurveyError, survey};
use super::{Engine, lockout, planner};
use crate::model::{ActionError, Change, ChangeId, Coverage, CoverageStatus, Verdict};

/// How long pending changes are waited for: EC2 itself gives a machine ten minutes to stop.
pub const LONGEST: Duration = Duration::from_mins(10);

/// Whether a look later may say more.
pub fn is_pending(verdict: &Verdict) -> bool {
    matches!(verdict, Verdict::Pending { .. })
}

/// The changes that nobody has begun.
pub fn waiting(state: &State) -> Vec<ChangeId> {
    let waiting = state.changes().iter().filter(|tracked| tracked.progress == Progress::Waiting);
    waiting.map(|tracked| tracked.change.id.clone()).collect()
}

/// Looks at every change that was made and is not proven.
pub async fn verify(engine: &Engine, state: &State) -> Vec<(ChangeId, Verdict)> {
    let open = |tracked: &&Tracked| {
        let good = matches!(&tracked.progress, Progress::Ended(outcome) if outcome.is_good());
        good && tracked.verdict != Some(Verdict::Proven)
    };
    let open: Vec<&Tracked> = state.changes().iter().filter(open).collect();
    let mut groups: Vec<Vec<&Change>> = Vec::new();
    let mut order: Vec<_> = open.iter().map(|tracked| &tracked.change).collect();
    order.sort_by(|a, b| (&a.step, &a.target).cmp(&(&b.step, &b.target)));
    for change in order {
        match groups.last_mut() {
            Some(group) if group[0].step == change.step && group[0].target == change.target => group.push(change),
            _ => groups.push(vec![change]),
        }
    }
    let looks = groups.iter().map(|group| (group[0].target.clone(), look(engine, state, group)));
    let answers = ask_all(engine.sessions.as_ref(), looks).await;
    let mut verdicts = Vec::new();
    for (group, answer) in groups.iter().zip(answers) {
        match answer {
            Some(Ok(seen)) => verdicts.extend(seen),
            Some(Err(error)) => verdicts.extend(group.iter().map(|change| unseen(change, &error.to_string()))),
            None => verdicts.extend(group.iter().map(|change| unseen(change, "no answer"))),
        }
    }
    verdicts
}

fn unseen(change: &Change, why: &str) -> (ChangeId, Verdict) {
    (change.id.clone(), Verdict::Unproven { why: format!("could not look: {why}") })
}

/// Looks at the changes of one step in one lane.
async fn look(engine: &Engine, state: &State, group: &[&Change]) -> Result<Vec<(ChangeId, Verdict)>, ActionError> {
    let missing = || ActionError::new(crate::model::ErrorKind::Unsupported, "this quell lacks the step's action");
    let step = state.plan().runbook.step(&group[0].step).ok_or_else(missing)?;
    let action = engine.table.action(step.uses.as_str()).ok_or_else(missing)?;
    let cx = engine.sessions.enter(&group[0].target, Access::Read).await?;
    let found = action.discover(&cx, &step.with, &members(group.iter().copied())).await?;
    let mut verdicts = Vec::new();
    for change in group {
        let now = found.iter().find(|found| found.resource == change.resource);
        let verdict = match now {
            None if state.plan().undoes.is_some() => Verdict::Unproven { why: "it is not there any more".into() },
            None => Verdict::Proven,
            Some(now) if state.plan().undoes.is_some() => action.restored(&change.prior, &now.prior)?,
            Some(now) => action.verify(&cx.view, &step.with, now)?,
        };
        verdicts.push((change.id.clone(), verdict));
    }
    Ok(verdicts)
}

/// Surveys once more and returns the changes that no plan named before.
pub async fn sweep(engine: &Engine, state: &State) -> Result<(Vec<Change>, Coverage), SurveyError> {
    let plan = state.plan();
    let known: BTreeSet<&ChangeId> = plan.changes.iter().map(|change| &change.id).collect();
    let case = (state.run(), plan.created);
    let survey = survey(engine, &plan.runbook, &plan.inputs, case, &known, &mut |_| {}).await?;
    let swept = planner::plan(&engine.table, &plan.runbook, &plan.inputs, &survey);
    let mut coverage = survey.coverage;
    let newcomers = swept.changes.into_iter().filter(|change| !known.contains(&change.id));
    // A newcomer whose containment would lock somebody out is left to a person; the ledger says so.
    let (harmless, locking): (Vec<_>, Vec<_>) =
        newcomers.partition(|change| lockout::of_change(plan, change).is_empty());
    for change in locking {
        let why = lockout::of_change(plan, &change).into_iter().next().map(|finding| finding.message);
        let service = change.action.as_str().split('.').next().unwrap_or_default().to_owned();
        coverage.note(change.target, &service, CoverageStatus::Unknown, why);
    }
    Ok((harmless, coverage))
}
