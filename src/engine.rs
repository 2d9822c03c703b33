//! Survey, plan, apply, prove. Knows no AWS service: actions and sources come in through [`action`], everything outside
//! through [`ports`].

pub mod action;
pub mod graph;
pub mod lane;
pub mod lockout;
pub mod patience;
pub mod places;
pub mod planner;
pub mod ports;
pub mod preflight;
mod prove;
mod ready;
pub mod rollback;
mod rooms;
pub mod run;
pub mod state;
pub mod survey;
pub mod table;
#[cfg(test)]
mod test_plans;
mod turns;
mod unseen;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Map, Value};
use tokio::time::Instant;

use self::action::{FRESH, Found};
use self::survey::Purpose;
use crate::model::{AccountId, ChangeId, Finding, Phase, Plan, RunId, Runbook, StepId};

/// What a run is carried out with. Cheap to clone.
#[derive(Clone)]
pub struct Engine {
    /// The way to AWS.
    pub sessions: Arc<dyn ports::Sessions>,
    /// What can be done there.
    pub table: table::Table,
    /// The time.
    pub clock: ports::SharedClock,
}

/// A plan, and how long it took to make it.
#[derive(Debug, Clone)]
pub struct Planned {
    /// The plan.
    pub plan: Plan,
    /// The phases that led to it, with their seconds.
    pub timed: Vec<(Phase, f64)>,
    /// What the survey saw of each change, and when: if nothing is waited for, that is the look right before it.
    pub seen: Looks,
}

/// What looks saw of changes, and when.
pub type Looks = HashMap<ChangeId, (Instant, Found<Value>)>;

impl From<Plan> for Planned {
    /// A plan from a file or a journal: nobody has looked since.
    fn from(plan: Plan) -> Self {
        Self { plan, timed: Vec::new(), seen: Looks::new() }
    }
}

impl Engine {
    /// Surveys, plans and checks the plan: reads only. `runbook` has its inputs filled in; `case` is the id of the run
    /// that the plan is for.
    pub async fn plan(
        &self,
        runbook: &Runbook,
        inputs: &Map<String, Value>,
        case: &RunId,
        now: Timestamp,
        progress: &mut (dyn FnMut(survey::Progress) + Send),
    ) -> Result<Planned, survey::SurveyError> {
        let begun = Instant::now();
        let survey = survey::survey(self, runbook, inputs, (case, now), &Purpose::Plan, progress).await?;
        let surveyed = Instant::now();
        let mut plan = planner::plan(&self.table, runbook, inputs, &survey);
        let planned = Instant::now();
        add_findings(&survey, &mut plan);
        plan.findings.extend(lockout::findings(&plan));
        let checked = Instant::now();
        let seconds = |from: Instant, to: Instant| (to - from).as_secs_f64();
        let timed = vec![
            (Phase::Survey, seconds(begun, surveyed)),
            (Phase::Plan, seconds(surveyed, planned)),
            (Phase::Preflight, seconds(planned, checked)),
        ];
        let seen = looks(survey, begun, &plan);
        Ok(Planned { plan, timed, seen })
    }
}

/// Adds what the checks of permissions found: of accounts in which something is to be changed, and each finding once, as what
/// the caller lacks at home is found again for every account that needs it.
fn add_findings(survey: &survey::Survey, plan: &mut Plan) {
    let steps: HashSet<&StepId> = plan.changes.iter().map(|change| &change.step).collect();
    let accounts: HashSet<&AccountId> = plan.changes.iter().map(|change| &change.target.account).collect();
    let concerns = |finding: &&Finding| match (&finding.step, &finding.target) {
        (Some(step), _) => steps.contains(step),
        (None, Some(target)) if target.account != plan.caller.account => accounts.contains(&target.account),
        (None, _) => !plan.changes.is_empty(),
    };
    let mut known: HashSet<&Finding> = plan.findings.iter().collect();
    let new: Vec<Finding> =
        survey.findings.iter().filter(concerns).filter(|finding| known.insert(finding)).cloned().collect();
    plan.findings.extend(new);
}

/// What a survey saw of the changes of its plan. Its beginning counts as the time of all its looks: after one that took long,
/// none of them is fresh.
fn looks(survey: survey::Survey, begun: Instant, plan: &Plan) -> Looks {
    if begun.elapsed() > FRESH {
        return Looks::new();
    }
    let changes: HashSet<&ChangeId> = plan.changes.iter().map(|change| &change.id).collect();
    let lanes =
        survey.found.into_iter().flat_map(|(step, lanes)| lanes.into_iter().map(move |lane| (step.clone(), lane)));
    let found = lanes.flat_map(|(step, (target, found))| {
        found.into_iter().map(move |found| (ChangeId::of(&step, &target, &found.resource), (begun, found)))
    });
    found.filter(|(id, _)| changes.contains(id)).collect()
}
