//! What could not be looked at, and what is not done for that. A step that needs another would go ahead as if the other had
//! nothing to do: a machine would be stopped before what launches it again, or terminated without its evidence.

use std::collections::BTreeMap;

use crate::model::{Change, Edge, OnFailure, ResourceId, Runbook, Step, StepId, Target};

/// The looks that failed, with the words for it.
#[derive(Debug)]
pub struct Unseen<'a> {
    runbook: &'a Runbook,
    lanes: &'a BTreeMap<(StepId, Target), String>,
    members: BTreeMap<(StepId, Target, ResourceId), String>,
}

impl<'a> Unseen<'a> {
    /// The steps that could not be looked at in a lane.
    pub fn of(runbook: &'a Runbook, lanes: &'a BTreeMap<(StepId, Target), String>) -> Self {
        Self { runbook, lanes, members: BTreeMap::new() }
    }

    /// A step could not be looked at for one member.
    pub fn add(&mut self, step: &StepId, target: &Target, member: &ResourceId, why: &str) {
        self.members.insert((step.clone(), target.clone(), member.clone()), why.to_owned());
    }

    /// Why a change must not be made: what would hold it if it failed could not be looked at.
    pub fn holds(&self, change: &Change) -> Option<String> {
        if self.lanes.is_empty() && self.members.is_empty() {
            return None;
        }
        let step = self.runbook.step(&change.step)?;
        let (need, why) = change.members().find_map(|member| self.before(step, &change.target, member))?;
        Some(format!("`{}` waits for `{need}`, which could not be looked at: {why}", step.id))
    }

    /// What a step needs for a member, directly or through other steps, and could not be looked at.
    fn before(&self, step: &Step, target: &Target, member: &ResourceId) -> Option<(&StepId, &str)> {
        self.holding(step).find_map(|need| match Runbook::edge(step, need) {
            Edge::PerMember => self.here(need, target, member).or_else(|| self.before(need, target, member)),
            Edge::Barrier => self.anywhere(need),
        })
    }

    fn here(&self, step: &Step, target: &Target, member: &ResourceId) -> Option<(&StepId, &str)> {
        let lane = self.lanes.get_key_value(&(step.id.clone(), target.clone()));
        let lane = lane.map(|((step, _), why)| (step, why.as_str()));
        lane.or_else(|| {
            let key = (step.id.clone(), target.clone(), member.clone());
            self.members.get_key_value(&key).map(|((step, _, _), why)| (step, why.as_str()))
        })
    }

    /// Across a barrier a step waits for all of the other.
    fn anywhere(&self, step: &Step) -> Option<(&StepId, &str)> {
        let lane = self.lanes.iter().find(|((id, _), _)| *id == step.id).map(|((id, _), why)| (id, why.as_str()));
        let member = || self.members.iter().find(|((id, _, _), _)| *id == step.id);
        let member = || member().map(|((id, _, _), why)| (id, why.as_str()));
        lane.or_else(member).or_else(|| self.holding(step).find_map(|need| self.anywhere(need)))
    }

    /// The steps whose failure holds a step.
    fn holding(&self, step: &'a Step) -> impl Iterator<Item = &'a Step> {
        let needed = step.needs.iter().filter_map(|id| self.runbook.step(id));
        needed.filter(move |need| Runbook::on_failure(step, need) == OnFailure::Hold)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::test_plans::{change, runbook};

    const STEPS: &str = r#"[
        {"id": "protect", "uses": "toy.set", "on": "machines", "on_failure": "continue"},
        {"id": "launchers", "uses": "toy.set", "on": "machines"},
        {"id": "isolate", "uses": "toy.set", "on": "machines", "needs": ["launchers", "protect"]},
        {"id": "stop", "uses": "toy.set", "on": "machines", "needs": ["isolate"]},
        {"id": "users", "uses": "toy.set", "on": "users", "needs": ["launchers"]}
    ]"#;

    fn held(lanes: &[&str], members: &[(&str, &str)], of: &Change) -> Option<String> {
        let runbook = runbook(STEPS);
        let id = |step: &str| StepId::new(step).unwrap();
        let lanes = lanes.iter().map(|step| ((id(step), of.target.clone()), "denied".to_owned())).collect();
        let mut unseen = Unseen::of(&runbook, &lanes);
        for (step, member) in members {
            unseen.add(&id(step), &of.target, &ResourceId::new(*member).unwrap(), "denied");
        }
        unseen.holds(of)
    }

    #[test]
    fn what_needs_a_step_that_was_not_seen_is_held_through_others_as_well() {
        let why = "`isolate` waits for `launchers`, which could not be looked at: denied";
        assert_eq!(held(&["launchers"], &[], &change("isolate", "a")).as_deref(), Some(why));
        assert!(held(&["launchers"], &[], &change("stop", "a")).is_some(), "through isolate");
        assert_eq!(held(&["stop"], &[], &change("isolate", "a")), None, "what comes later");
    }

    #[test]
    fn only_the_member_that_was_not_seen_is_held() {
        assert!(held(&[], &[("launchers", "a")], &change("stop", "a")).is_some());
        assert_eq!(held(&[], &[("launchers", "a")], &change("stop", "b")), None);
    }

    #[test]
    fn what_goes_on_after_a_failure_goes_on_unseen() {
        assert_eq!(held(&["protect"], &[], &change("isolate", "a")), None);
        assert_eq!(held(&["launchers"], &[], &change("users", "u")), None, "a barrier holds nobody by default");
    }

    #[test]
    fn a_barrier_that_holds_waits_for_what_was_seen_nowhere() {
        let mut runbook = runbook(STEPS);
        runbook.steps[1].on_failure = Some(OnFailure::Hold);
        let lanes = BTreeMap::new();
        let mut unseen = Unseen::of(&runbook, &lanes);
        let of = change("users", "u");
        assert_eq!(unseen.holds(&of), None);
        unseen.add(&runbook.steps[1].id, &of.target, &ResourceId::new("a").unwrap(), "denied");
        assert!(unseen.holds(&of).is_some());
    }
}
