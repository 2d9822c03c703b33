//! Looks: who am I, which lanes are there, who is in the sets, in what state. Reads only: its sessions cannot write.

use std::collections::{BTreeSet, HashMap};

use indexmap::IndexMap;
use jiff::Timestamp;
use serde_json::{Map, Value};

use super::Engine;
use super::action::{Found, View};
use super::patience::ask_all;
use super::ports::{Access, Lane};
use crate::model::{
    ActionError, Caller, ChangeId, Coverage, CoverageStatus, ErrorKind, Kind, Resource, ResourceId, RunId, Runbook,
    Scope, SetName, Step, StepId, Target,
};
use crate::runbook::predicate::{Fault, Predicate};

/// What a survey saw.
#[derive(Debug, Clone)]
pub struct Survey {
    /// What the plan will know of the run.
    pub view: View,
    /// The lanes, also those that cannot be entered.
    pub lanes: Vec<Target>,
    /// The members of each set.
    pub sets: IndexMap<SetName, Vec<Resource>>,
    /// What each step's action found, per lane.
    pub found: IndexMap<StepId, Vec<FoundInLane>>,
    /// What was looked at.
    pub coverage: Coverage,
    /// What could not be looked at, in words.
    pub gaps: Vec<(Target, String)>,
}

/// What one step's action found in one lane.
pub type FoundInLane = (Target, Vec<Found<Value>>);

/// Why there is no survey at all.
#[derive(Debug, Clone, thiserror::Error)]
pub enum SurveyError {
    /// Nobody can say who the caller is.
    #[error("cannot find out who is calling: {0}")]
    Caller(ActionError),
    /// The target accounts cannot be found out.
    #[error("cannot find out the target accounts and regions: {0}")]
    Targets(ActionError),
    /// A set names something that is not there.
    #[error("set `{set}`: {error}")]
    Set {
        /// The set.
        set: SetName,
        /// Why.
        error: ActionError,
    },
    /// A guard does not let this caller look any further.
    #[error("set `{set}`: {why}")]
    Refused {
        /// The set that tells it.
        set: SetName,
        /// Why, and the way out.
        why: String,
    },
    /// The runbook asks for something this quell does not have, or in a form it does not understand.
    #[error("{0}")]
    Runbook(String),
}

/// Where a survey has got to, for the screen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// The caller is known.
    Caller(Caller),
    /// So many lanes are looked at.
    Lanes(usize),
    /// A lane answered all that was asked of it, or did not.
    Lane(Target, Result<usize, String>),
}

/// Surveys all lanes of a runbook. A member of a set that one of the changes `known` is made to is listed, and not asked
/// about again for that change's step.
pub async fn survey(
    engine: &Engine,
    runbook: &Runbook,
    inputs: &Map<String, Value>,
    (case, now): (&RunId, Timestamp),
    known: &BTreeSet<&ChangeId>,
    progress: &mut (dyn FnMut(Progress) + Send),
) -> Result<Survey, SurveyError> {
    let (caller, lanes) = futures::join!(engine.sessions.caller(), engine.sessions.targets(&runbook.targets));
    let caller = caller.map_err(SurveyError::Caller)?;
    progress(Progress::Caller(caller.clone()));
    let view = View { case: case.clone(), caller, now };
    let lanes = lanes.map_err(SurveyError::Targets)?;
    progress(Progress::Lanes(lanes.len()));
    let mut survey = Survey {
        view,
        lanes: lanes.iter().map(|(target, _)| target.clone()).collect(),
        sets: IndexMap::new(),
        found: IndexMap::new(),
        coverage: Coverage::default(),
        gaps: Vec::new(),
    };
    let open = expect(engine, runbook, &lanes, &mut survey)?;
    list_sets(engine, runbook, inputs, &open, &mut survey).await?;
    discover(engine, runbook, &open, known, &mut survey).await?;
    for lane in &open {
        let members = survey.sets.values().flatten().filter(|resource| resource.target == *lane).count();
        let gap = survey.gaps.iter().find(|(target, _)| target == lane).map(|(_, why)| why.clone());
        progress(Progress::Lane(lane.clone(), gap.map_or(Ok(members), Err)));
    }
    Ok(survey)
}

/// Opens the cells of the ledger that the runbook needs, and closes those of lanes that cannot be entered.
fn expect(engine: &Engine, runbook: &Runbook, lanes: &[Lane], survey: &mut Survey) -> Result<Vec<Target>, SurveyError> {
    let mut services: Vec<(&str, Scope)> = Vec::new();
    for set in runbook.sets.values() {
        let source = engine.table.source(set.from.as_str()).ok_or_else(|| unknown(set.from.as_str()))?;
        services.push((service(set.from.as_str()), source.kind().scope));
    }
    for step in runbook.steps.iter().filter(|step| step.on.is_none()) {
        services.push((service(step.uses.as_str()), Scope::Global));
    }
    let mut open = Vec::new();
    for (target, entered) in lanes {
        let here = services.iter().filter(|(_, scope)| (*scope == Scope::Global) == target.region.is_global());
        for (service, _) in here {
            match entered {
                Ok(()) => survey.coverage.expect(target.clone(), service),
                Err(error) => {
                    survey.coverage.note(target.clone(), service, status(error), Some(error.to_string()));
                }
            }
        }
        match entered {
            Ok(()) => open.push(target.clone()),
            Err(error) if error.kind == ErrorKind::Disabled => {}
            Err(error) => survey.gaps.push((target.clone(), error.to_string())),
        }
    }
    Ok(open)
}

async fn list_sets(
    engine: &Engine,
    runbook: &Runbook,
    inputs: &Map<String, Value>,
    lanes: &[Target],
    survey: &mut Survey,
) -> Result<(), SurveyError> {
    let own = Target::global(survey.view.caller.account.clone());
    let (callers_own, others): (Vec<Target>, Vec<Target>) = lanes.iter().cloned().partition(|lane| *lane == own);
    let mut listed = list(engine, runbook, &callers_own).await?;
    refuse_caller(engine, runbook, &listed, &survey.view)?;
    listed.extend(list(engine, runbook, &others).await?);

    survey.sets.extend(runbook.sets.keys().map(|name| (name.clone(), Vec::new())));
    let predicates = predicates(engine, runbook)?;
    let mut absent = Vec::new();
    for Listed { name, lane, service, answer } in listed {
        match answer {
            Ok(resources) => {
                survey.coverage.note(lane, service, CoverageStatus::Clean, None);
                for resource in resources {
                    let belongs = match predicates.get(&name) {
                        None => true,
                        Some(predicate) => predicate
                            .matches(&resource.fields, inputs, survey.view.now)
                            .map_err(|error| SurveyError::Runbook(format!("set `{name}`, {}: {error}", resource.id)))?,
                    };
                    if belongs {
                        survey.sets[&name].push(resource);
                    }
                }
            }
            // The source itself says that what was asked for is not there: an answer.
            Err(error) if error.kind == ErrorKind::NotFound => {
                survey.coverage.note(lane, service, CoverageStatus::Clean, None);
                absent.push((name, error));
            }
            Err(error) => gap(survey, lane, service, &error),
        }
    }
    // If it is nowhere, that is the run's end. Where a lane did not answer, it may be there.
    if let Some((set, error)) = absent.into_iter().find(|(name, _)| survey.sets[name].is_empty())
        && survey.gaps.is_empty()
    {
        return Err(SurveyError::Set { set, error });
    }
    for members in survey.sets.values_mut() {
        members.sort_by(|a, b| (&a.target, &a.id).cmp(&(&b.target, &b.id)));
    }
    Ok(())
}

/// What a source said about one lane.
struct Listed<'a> {
    name: SetName,
    lane: Target,
    service: &'a str,
    answer: Result<Vec<Resource>, ActionError>,
}

/// Asks the sources of all sets about these lanes.
async fn list<'a>(engine: &Engine, runbook: &'a Runbook, lanes: &[Target]) -> Result<Vec<Listed<'a>>, SurveyError> {
    let mut asked = Vec::new();
    let mut questions = Vec::new();
    for (name, set) in &runbook.sets {
        let source = engine.table.source(set.from.as_str()).ok_or_else(|| unknown(set.from.as_str()))?;
        let global = source.kind().scope == Scope::Global;
        for lane in lanes.iter().filter(|lane| lane.region.is_global() == global) {
            asked.push((name.clone(), lane.clone(), service(set.from.as_str())));
            questions.push((lane.clone(), async move {
                let cx = engine.sessions.enter(lane, Access::Read).await?;
                source.list(&cx, &set.with).await
            }));
        }
    }
    let answers = ask_all(engine.sessions.as_ref(), questions)
        .await
        .into_iter()
        .map(|answer| answer.unwrap_or_else(|| Err(no_answer())));
    let listed = asked.into_iter().zip(answers);
    Ok(listed.map(|((name, lane, service), answer)| Listed { name, lane, service, answer }).collect())
}

/// Ends the survey when the caller is whom a set names as compromised.
fn refuse_caller(engine: &Engine, runbook: &Runbook, listed: &[Listed<'_>], view: &View) -> Result<(), SurveyError> {
    for Listed { name, answer, .. } in listed {
        let (set, Ok(members)) = (&runbook.sets[name], answer) else { continue };
        let source = engine.table.source(set.from.as_str()).ok_or_else(|| unknown(set.from.as_str()))?;
        let refusal = source.refuse(view, &set.with, members);
        if let Some(why) = refusal.map_err(|error| SurveyError::Set { set: name.clone(), error })? {
            return Err(SurveyError::Refused { set: name.clone(), why });
        }
    }
    Ok(())
}

fn predicates(engine: &Engine, runbook: &Runbook) -> Result<HashMap<SetName, Predicate>, SurveyError> {
    let mut predicates = HashMap::new();
    for (name, set) in &runbook.sets {
        let Some(text) = &set.predicate else { continue };
        let source = engine.table.source(set.from.as_str()).ok_or_else(|| unknown(set.from.as_str()))?;
        let wrong = |faults: Vec<Fault>| {
            let faults: Vec<String> = faults.iter().map(ToString::to_string).collect();
            SurveyError::Runbook(format!("set `{name}`: {}", faults.join("; ")))
        };
        predicates.insert(name.clone(), Predicate::compile(text, source.kind(), &runbook.inputs).map_err(wrong)?);
    }
    Ok(predicates)
}

async fn discover(
    engine: &Engine,
    runbook: &Runbook,
    lanes: &[Target],
    known: &BTreeSet<&ChangeId>,
    survey: &mut Survey,
) -> Result<(), SurveyError> {
    let mut asked = Vec::new();
    let mut questions = Vec::new();
    for step in &runbook.steps {
        let action = engine.table.action(step.uses.as_str()).ok_or_else(|| unknown(step.uses.as_str()))?;
        survey.found.insert(step.id.clone(), Vec::new());
        for (lane, members) in members(step, lanes, known, survey) {
            asked.push((step.id.clone(), lane.clone(), service(step.uses.as_str())));
            questions.push((lane.clone(), async move {
                let cx = engine.sessions.enter(&lane, Access::Read).await?;
                action.discover(&cx, &step.with, &members).await
            }));
        }
    }
    let answers = ask_all(engine.sessions.as_ref(), questions).await;
    for ((step, lane, service), answer) in asked.into_iter().zip(answers) {
        match answer.unwrap_or_else(|| Err(no_answer())) {
            Ok(mut found) => {
                survey.coverage.note(lane.clone(), service, CoverageStatus::Clean, None);
                found.sort_by(|a, b| (&a.member, &a.resource).cmp(&(&b.member, &b.resource)));
                survey.found[&step].push((lane, found));
            }
            Err(error) => gap(survey, lane, service, &error),
        }
    }
    Ok(())
}

/// The members of a step's set, per lane, without those that a known change is made to; for a step without a set the
/// accounts themselves.
fn members(
    step: &Step,
    lanes: &[Target],
    known: &BTreeSet<&ChangeId>,
    survey: &Survey,
) -> Vec<(Target, Vec<Resource>)> {
    let Some(set) = &step.on else {
        let account = |lane: &Target| Resource {
            kind: Kind::new("account"),
            id: ResourceId::new(lane.account.as_str()).expect("an account id is a resource id"),
            target: lane.clone(),
            fields: Map::new(),
        };
        let global = lanes.iter().filter(|lane| lane.region.is_global());
        return global.map(|lane| (lane.clone(), vec![account(lane)])).collect();
    };
    let mut by_lane: IndexMap<Target, Vec<Resource>> = IndexMap::new();
    let is_new = |resource: &&Resource| !known.contains(&ChangeId::of(&step.id, &resource.target, &resource.id));
    for resource in survey.sets.get(set).into_iter().flatten().filter(is_new) {
        by_lane.entry(resource.target.clone()).or_default().push(resource.clone());
    }
    by_lane.into_iter().collect()
}

fn gap(survey: &mut Survey, lane: Target, service: &str, error: &ActionError) {
    survey.coverage.note(lane.clone(), service, status(error), Some(error.to_string()));
    if error.kind != ErrorKind::Disabled {
        survey.gaps.push((lane, format!("{service}: {error}")));
    }
}

/// What an error says about how well a lane was looked at.
fn status(error: &ActionError) -> CoverageStatus {
    match error.kind {
        ErrorKind::Denied | ErrorKind::Credentials | ErrorKind::Refused => CoverageStatus::Denied,
        ErrorKind::Disabled => CoverageStatus::Disabled,
        ErrorKind::Unreachable | ErrorKind::Throttled => CoverageStatus::Unreachable,
        ErrorKind::NotFound
        | ErrorKind::WrongState
        | ErrorKind::Quota
        | ErrorKind::Already
        | ErrorKind::Unsupported
        | ErrorKind::Other => CoverageStatus::Unknown,
    }
}

fn no_answer() -> ActionError {
    ActionError::new(ErrorKind::Unreachable, "no answer within the time the others needed")
}

fn service(name: &str) -> &str {
    name.split('.').next().unwrap_or(name)
}

fn unknown(name: &str) -> SurveyError {
    SurveyError::Runbook(format!("this quell has no `{name}`; `quell actions` lists what it has"))
}
