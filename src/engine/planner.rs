//! Decides: from what the survey saw to the exact changes. A pure function; it cannot even wait.

use indexmap::{IndexMap, IndexSet};
use serde_json::{Map, Value};

use super::action::{Decision, Found};
use super::survey::{self, Survey};
use super::table::Table;
use super::unseen::Unseen;
use crate::model::{
    Already, ByHand, Change, ChangeId, Finding, Kind, LeftByHand, Listed, Plan, ResourceId, Runbook, Severity, Skip,
    Step, Target, Tier, Undo,
};

/// Makes the plan.
pub fn plan(table: &Table, runbook: &Runbook, inputs: &Map<String, Value>, survey: &Survey) -> Plan {
    let mut plan = Plan {
        created: survey.view.now,
        caller: survey.view.caller.clone(),
        runbook: runbook.clone(),
        inputs: inputs.clone(),
        targets: survey.lanes.clone(),
        sets: survey.sets.iter().map(|(name, members)| (name.clone(), members.len())).collect(),
        listed: listed(runbook, survey),
        changes: Vec::new(),
        already: Vec::new(),
        skipped: Vec::new(),
        by_hand: runbook.by_hand.iter().map(|work| left(None, None, work.clone())).collect(),
        findings: Vec::new(),
        coverage: survey.coverage.clone(),
        undoes: None,
        effects: std::collections::BTreeMap::new(),
    };
    if plan.caller.is_root() {
        refuse(
            &mut plan,
            None,
            None,
            "the caller is the root user, whom no policy can bound; use the responder role".into(),
        );
    }
    for (target, gap) in &survey.gaps {
        could_not_look(&mut plan, target, gap.clone());
    }
    let mut unseen = Unseen::of(runbook, &survey.unseen);
    for step in &runbook.steps {
        for ((target, _), same) in by_resource(survey.found.get(&step.id).into_iter().flatten()) {
            decide(table, survey, step, target, &same, &mut unseen, &mut plan);
        }
    }
    hold(&unseen, &mut plan);
    for step in &runbook.steps {
        bound(step, &mut plan);
    }
    plan
}

/// Leaves out what needs something that could not be looked at.
fn hold(unseen: &Unseen<'_>, plan: &mut Plan) {
    let skipped = &mut plan.skipped;
    plan.changes.retain(|change| {
        let Some(reason) = unseen.holds(change).map(brief) else { return true };
        let Change { step, target, member, resource, .. } = change.clone();
        skipped.push(Skip { step, target, member, resource, reason });
        false
    });
}

/// The members of the sets that are findings.
fn listed(runbook: &Runbook, survey: &Survey) -> Vec<Listed> {
    let findings = runbook.sets.iter().filter(|(_, set)| set.finding.is_some());
    let members = findings.flat_map(|(name, _)| survey.sets.get(name).into_iter().flatten().map(move |m| (name, m)));
    let listed = members.map(|(set, member)| Listed {
        set: set.clone(),
        target: member.target.clone(),
        member: member.id.clone(),
        fields: member.fields.iter().map(|(name, value)| (name.clone(), brief_value(value))).collect(),
    });
    listed.collect()
}

/// So many characters of a text are recorded that tells something to a person. What an undo needs is recorded in full.
const MOST_RECORDED: usize = 4_000;

/// The text, cut when somebody chose names of no sane length.
fn brief(text: String) -> String {
    match text.char_indices().nth(MOST_RECORDED) {
        Some((end, _)) => format!("{}… ({} bytes)", &text[..end], text.len()),
        None => text,
    }
}

/// The same for all texts of a value.
fn brief_value(value: &Value) -> Value {
    match value {
        Value::String(text) => brief(text.clone()).into(),
        Value::Array(items) => items.iter().map(brief_value).collect(),
        Value::Object(fields) => fields.iter().map(|(name, value)| (brief(name.clone()), brief_value(value))).collect(),
        other => other.clone(),
    }
}

/// What was found, resource by resource: one thing that belongs to several members, or that several looks found, is changed
/// once, for all of them.
fn by_resource<'a>(
    found: impl Iterator<Item = &'a (Target, Vec<Found<Value>>)>,
) -> IndexMap<(&'a Target, &'a ResourceId), Vec<&'a Found<Value>>> {
    let mut resources: IndexMap<_, Vec<&Found<Value>>> = IndexMap::new();
    for (target, found) in found {
        for found in found {
            resources.entry((target, &found.resource)).or_default().push(found);
        }
    }
    resources
}

fn decide(
    table: &Table,
    survey: &Survey,
    step: &Step,
    target: &Target,
    same: &[&Found<Value>],
    unseen: &mut Unseen<'_>,
    plan: &mut Plan,
) {
    let (Some(action), [found, others @ ..]) = (table.action(step.uses.as_str()), same) else { return };
    let (member, resource) = (found.member.clone(), found.resource.clone());
    let also_for: IndexSet<ResourceId> = others.iter().map(|other| other.member.clone()).collect();
    let also_for = also_for.into_iter().filter(|other| *other != member).collect();
    match action.plan(&survey.view, &step.with, found) {
        Ok(Decision::Change(proposal)) => {
            let set = step.on.as_ref().and_then(|set| plan.runbook.sets.get(set));
            let kind =
                set.and_then(|set| table.source(set.from.as_str())).map_or("account", |source| source.kind().name);
            plan.changes.push(Change {
                id: ChangeId::of(&step.id, target, &resource),
                step: step.id.clone(),
                action: step.uses.clone(),
                tier: step.approval.map_or(action.tier(), |asked| asked.max(action.tier())),
                target: target.clone(),
                kind: Kind::new(kind),
                member,
                also_for,
                resource,
                summary: brief(proposal.summary),
                before: brief(proposal.before),
                after: brief(proposal.after),
                prior: found.prior.clone(),
                undo: Undo {
                    how: proposal.undo.how.map(brief),
                    loses: proposal.undo.loses.into_iter().map(brief).collect(),
                },
                notes: proposal.notes.into_iter().map(brief).collect(),
                attaches: proposal.attaches,
            });
            by_hand(plan, step, target, proposal.by_hand);
        }
        Ok(Decision::Already) => {
            plan.already.push(Already { step: step.id.clone(), target: target.clone(), member, resource });
        }
        Ok(Decision::Skip(reason)) => {
            let reason = brief(reason);
            plan.skipped.push(Skip { step: step.id.clone(), target: target.clone(), member, resource, reason });
        }
        Ok(Decision::ByHand(work)) => by_hand(plan, step, target, vec![work]),
        Ok(Decision::Refuse(why)) => refuse(plan, Some(step), Some(target), why),
        Ok(Decision::Unseen(error)) => {
            let (service, why) = (step.uses.as_str().split('.').next().unwrap_or_default(), error.to_string());
            plan.coverage.note(target.clone(), service, survey::status(&error), Some(why.clone()));
            could_not_look(plan, target, format!("{resource}: {why}"));
            for found in same {
                unseen.add(&step.id, target, &found.member, &why);
            }
        }
        Err(error) => refuse(plan, Some(step), Some(target), error.to_string()),
    }
}

fn could_not_look(plan: &mut Plan, target: &Target, why: String) {
    let message = brief(format!("could not look: {why}"));
    plan.findings.push(Finding { severity: Severity::Warning, step: None, target: Some(target.clone()), message });
}

fn left(step: Option<&Step>, target: Option<&Target>, ByHand { what, steps }: ByHand) -> LeftByHand {
    let (step, steps) = (step.map(|step| step.id.clone()), steps.into_iter().map(brief).collect());
    LeftByHand { step, target: target.cloned(), what: brief(what), steps }
}

/// The same work for several members of a lane is one piece of work.
fn by_hand(plan: &mut Plan, step: &Step, target: &Target, work: Vec<ByHand>) {
    for work in work {
        let work = left(Some(step), Some(target), work);
        let mut here =
            plan.by_hand.iter().rev().take_while(|left| left.step == work.step && left.target == work.target);
        if !here.any(|left| *left == work) {
            plan.by_hand.push(work);
        }
    }
}

fn refuse(plan: &mut Plan, step: Option<&Step>, target: Option<&Target>, message: String) {
    let (step, target) = (step.map(|step| step.id.clone()), target.cloned());
    plan.findings.push(Finding { severity: Severity::Refusal, step, target, message: brief(message) });
}

/// A step with more changes than its `at_most` asks for the highest approval: one more question, and a harder one.
fn bound(step: &Step, plan: &mut Plan) {
    let count = plan.changes.iter().filter(|change| change.step == step.id).count();
    let Some(at_most) = step.at_most.filter(|at_most| count > *at_most as usize) else { return };
    for change in plan.changes.iter_mut().filter(|change| change.step == step.id) {
        change.tier = Tier::Destructive;
    }
    let message =
        format!("{count} changes, and the runbook expects at most {at_most}: they need the approval `destructive`");
    plan.findings.push(Finding { severity: Severity::Warning, step: Some(step.id.clone()), target: None, message });
}
