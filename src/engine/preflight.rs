//! Asks before anybody approves: would these changes be permitted, and would they lock anybody out?

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::Engine;
use super::action::Item;
use super::lockout;
use super::patience::ask_all;
use super::ports::Access;
use crate::model::{ActionError, Change, Finding, Plan, Region, Severity, Step, StepId, Target};

/// Adds to the plan what the checks find.
pub async fn preflight(engine: &Engine, plan: &mut Plan) {
    let mut findings = lockout::findings(plan);
    let (dry_runs, lacking) = futures::join!(dry_runs(engine, plan), lacking(engine, plan));
    findings.extend(dry_runs.into_iter().chain(lacking));
    plan.findings.extend(findings);
}

/// EC2's `DryRun`, through the actions that have it: per step and lane.
async fn dry_runs(engine: &Engine, plan: &Plan) -> Vec<Finding> {
    let mut groups: BTreeMap<(&Target, usize), Vec<&Change>> = BTreeMap::new();
    for change in &plan.changes {
        let place = plan.runbook.steps.iter().position(|step| step.id == change.step).unwrap_or_default();
        groups.entry((&change.target, place)).or_default().push(change);
    }
    let questions = groups.iter().map(|((target, place), changes)| {
        let step = &plan.runbook.steps[*place];
        let question = async move {
            let asked = dry_run(engine, target, step, changes).await;
            asked.unwrap_or_else(|error| vec![unchecked(Some(step), target, &error.to_string())])
        };
        ((*target).clone(), question)
    });
    let answers = ask_all(engine.sessions.as_ref(), questions).await;
    let unanswered =
        |(target, place): &(&Target, usize)| vec![unchecked(Some(&plan.runbook.steps[*place]), target, "no answer")];
    groups.keys().zip(answers).flat_map(|(group, answer)| answer.unwrap_or_else(|| unanswered(group))).collect()
}

async fn dry_run(
    engine: &Engine,
    target: &Target,
    step: &Step,
    changes: &[&Change],
) -> Result<Vec<Finding>, ActionError> {
    let Some(action) = engine.table.action(step.uses.as_str()) else { return Ok(Vec::new()) };
    let cx = engine.sessions.enter(target, Access::Read).await?;
    let item = |change: &&Change| Item::<Value> {
        change: change.id.clone(),
        member: change.member.clone(),
        resource: change.resource.clone(),
        prior: change.prior.clone(),
    };
    let items: Vec<_> = changes.iter().map(item).collect();
    let mut findings = action.preflight(&cx, &step.with, &items).await?;
    for finding in &mut findings {
        finding.step.get_or_insert_with(|| step.id.clone());
        finding.target.get_or_insert_with(|| target.clone());
    }
    Ok(findings)
}

/// IAM's simulation of all permissions that the plan needs, once per account.
async fn lacking(engine: &Engine, plan: &Plan) -> Vec<Finding> {
    let catalog = engine.table.catalog();
    let of_step = |step: &Step| (step.id.clone(), catalog.permissions(&plan.runbook, step));
    let by_step: BTreeMap<StepId, Vec<&'static str>> = plan.runbook.steps.iter().map(of_step).collect();
    let mut needed: BTreeMap<Target, BTreeSet<&'static str>> = BTreeMap::new();
    for change in &plan.changes {
        let lane = Target::new(change.target.account.clone(), Region::global());
        needed.entry(lane).or_default().extend(by_step.get(&change.step).into_iter().flatten());
    }
    let needed: Vec<(Target, Vec<&'static str>)> =
        needed.into_iter().map(|(target, permissions)| (target, permissions.into_iter().collect())).collect();
    let questions =
        needed.iter().map(|(target, permissions)| (target.clone(), engine.sessions.lacking(target, permissions)));
    let answers = ask_all(engine.sessions.as_ref(), questions).await;
    let mut findings = Vec::new();
    for ((target, _), answer) in needed.iter().zip(answers) {
        for finding in answer.unwrap_or_else(|| vec![unchecked(None, target, "no answer")]) {
            // What the caller lacks in its own account is found again for every account that needs it.
            if !findings.contains(&finding) {
                findings.push(finding);
            }
        }
    }
    findings
}

fn unchecked(step: Option<&Step>, target: &Target, why: &str) -> Finding {
    Finding {
        severity: Severity::Note,
        step: step.map(|step| step.id.clone()),
        target: Some(target.clone()),
        message: format!("could not check the permissions beforehand: {why}"),
    }
}
