//! Asks before anybody approves: would these changes be permitted? Each lane is asked as soon as it was surveyed.

use std::collections::BTreeSet;

use serde_json::Value;

use super::Engine;
use super::action::{Ctx, Decision, Found, Item};
use super::ports::Access;
use crate::model::{ActionError, ChangeId, Finding, Runbook, Severity, Step, StepId, Target};

/// EC2's `DryRun`, through the actions that have it: for what a step would change in a lane.
pub async fn dry_run(engine: &Engine, lane: &Target, step: &Step, found: &[Found<Value>]) -> Vec<Finding> {
    let asked = async {
        let cx = engine.sessions.enter(lane, Access::Read).await?;
        ask(engine, &cx, step, found).await
    };
    asked.await.unwrap_or_else(|error| vec![unchecked(Some(&step.id), lane, &error.to_string())])
}

async fn ask(engine: &Engine, cx: &Ctx, step: &Step, found: &[Found<Value>]) -> Result<Vec<Finding>, ActionError> {
    let Some(action) = engine.table.action(step.uses.as_str()) else { return Ok(Vec::new()) };
    let mut items = Vec::new();
    for found in found {
        if let Decision::Change(_) = action.plan(&cx.view, &step.with, found)? {
            items.push(Item {
                change: ChangeId::of(&step.id, &cx.target, &found.resource),
                member: found.member.clone(),
                resource: found.resource.clone(),
                prior: found.prior.clone(),
            });
        }
    }
    if items.is_empty() {
        return Ok(Vec::new());
    }
    let mut findings = action.preflight(cx, &step.with, &items).await?;
    for finding in &mut findings {
        finding.step.get_or_insert_with(|| step.id.clone());
        finding.target.get_or_insert_with(|| cx.target.clone());
    }
    Ok(findings)
}

/// All permissions that the runbook's steps need in an account.
pub fn needed(engine: &Engine, runbook: &Runbook) -> Vec<&'static str> {
    let catalog = engine.table.catalog();
    let needed: BTreeSet<&'static str> =
        runbook.steps.iter().flat_map(|step| catalog.permissions(runbook, step)).collect();
    needed.into_iter().collect()
}

/// Says that something could not be checked, and why.
pub fn unchecked(step: Option<&StepId>, target: &Target, why: &str) -> Finding {
    Finding {
        severity: Severity::Note,
        step: step.cloned(),
        target: Some(target.clone()),
        message: format!("could not check the permissions beforehand: {why}"),
    }
}
