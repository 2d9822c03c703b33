//! How far a run has come, lane by lane: what both the live and the plain screen show.

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::model::{AccountId, Change, ChangeId, Event, EventKind, Outcome, StepId, Target, Verdict};

/// Counts of changes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Count {
    /// All.
    pub planned: usize,
    /// Begun and not ended.
    pub running: usize,
    /// Ended well.
    pub good: usize,
    /// Failed or drifted.
    pub bad: usize,
    /// Not begun, and never will be.
    pub skipped: usize,
}

impl Count {
    /// How many have an end.
    pub fn ended(&self) -> usize {
        self.good + self.bad + self.skipped
    }

    /// Whether nothing is left to do.
    pub fn is_over(&self) -> bool {
        self.ended() == self.planned
    }

    fn of(&mut self, outcome: &Outcome) -> &mut usize {
        match outcome {
            Outcome::Done { .. } | Outcome::Already => &mut self.good,
            Outcome::Failed { .. } | Outcome::Drifted { .. } => &mut self.bad,
            Outcome::Skipped { .. } => &mut self.skipped,
        }
    }
}

/// What one line of the screen stands for: a region, or an account.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lane {
    /// Its changes.
    pub count: Count,
    /// How many of them were seen to be in force.
    pub proven: usize,
    /// How many changes of each step are in flight.
    in_flight: BTreeMap<StepId, usize>,
}

impl Lane {
    /// Takes in the changes of another.
    pub fn add(&mut self, other: &Self) {
        self.count.planned += other.count.planned;
        self.count.running += other.count.running;
        self.count.good += other.count.good;
        self.count.bad += other.count.bad;
        self.count.skipped += other.count.skipped;
        self.proven += other.proven;
        for (step, running) in &other.in_flight {
            *self.in_flight.entry(step.clone()).or_default() += running;
        }
    }

    /// The steps in flight, the one with most changes first.
    pub fn steps(&self) -> String {
        let mut steps: Vec<_> = self.in_flight.iter().filter(|(_, running)| **running > 0).collect();
        steps.sort_by_key(|(_, running)| std::cmp::Reverse(**running));
        let names: Vec<_> = steps.into_iter().map(|(step, _)| step.as_str()).collect();
        names.join(", ")
    }
}

/// A step that has ended in one account and region.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepEnded {
    /// The step.
    pub step: StepId,
    /// Where.
    pub target: Target,
    /// With what result.
    pub count: Count,
}

/// The fold of a run's events into counts.
#[derive(Debug, Default)]
pub struct Progress {
    changes: HashMap<ChangeId, Place>,
    steps: HashMap<(StepId, Target), Count>,
    lanes: BTreeMap<String, Lane>,
    total: Count,
    proven: HashSet<ChangeId>,
    grouping: Grouping,
}

#[derive(Debug, Clone)]
struct Place {
    step: StepId,
    target: Target,
    running: bool,
    ended: Option<Outcome>,
}

/// What one line stands for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Grouping {
    /// One account: a line per region.
    #[default]
    Regions,
    /// Many accounts: a line per account.
    Accounts,
}

impl Progress {
    /// Takes in an event. Returns the step that it brought to its end somewhere, if it did.
    pub fn fold(&mut self, event: &Event) -> Option<StepEnded> {
        match &event.kind {
            EventKind::RunStarted { plan, .. } => {
                let accounts: std::collections::BTreeSet<&AccountId> =
                    plan.changes.iter().map(|change| &change.target.account).collect();
                self.grouping = if accounts.len() > 1 { Grouping::Accounts } else { Grouping::Regions };
                self.plan(&plan.changes);
                None
            }
            EventKind::PlanExtended { changes, .. } => {
                self.plan(changes);
                None
            }
            EventKind::ChangeStarted { change } => {
                self.begin(change);
                None
            }
            EventKind::ChangeEnded { change, outcome } => self.end(change, outcome),
            EventKind::ChangeProven { change, verdict } => {
                // A change is looked at again until it is seen: only the last look counts.
                self.prove(change, matches!(verdict, Verdict::Proven));
                None
            }
            _ => None,
        }
    }

    /// The counts of the whole run.
    pub fn total(&self) -> Count {
        self.total
    }

    /// How many changes were seen to be in force.
    pub fn proven(&self) -> usize {
        self.proven.len()
    }

    /// Each line, by name.
    pub fn lanes(&self) -> impl Iterator<Item = (&str, &Lane)> {
        self.lanes.iter().map(|(name, lane)| (name.as_str(), lane))
    }

    fn lane(&self, target: &Target) -> String {
        match self.grouping {
            Grouping::Regions => target.region.to_string(),
            Grouping::Accounts => target.account.to_string(),
        }
    }

    fn plan(&mut self, changes: &[Change]) {
        for change in changes {
            let place = Place { step: change.step.clone(), target: change.target.clone(), running: false, ended: None };
            let lane = self.lane(&change.target);
            self.counts(&place, &lane, |count| count.planned += 1);
            self.changes.insert(change.id.clone(), place);
        }
    }

    fn begin(&mut self, change: &ChangeId) {
        let Some(place) = self.changes.get_mut(change).filter(|place| !place.running) else { return };
        place.running = true;
        // A change that is made once more (after a resume, or because somebody took it back) has not ended any more.
        let before = place.ended.take();
        let place = place.clone();
        let lane = self.lane(&place.target);
        self.counts(&place, &lane, |count| {
            count.running += 1;
            if let Some(before) = &before {
                *count.of(before) -= 1;
            }
        });
        *self.lanes.entry(lane).or_default().in_flight.entry(place.step).or_default() += 1;
    }

    fn prove(&mut self, change: &ChangeId, proven: bool) {
        let Some(lane) = self.changes.get(change).map(|place| self.lane(&place.target)) else { return };
        let lane = self.lanes.entry(lane).or_default();
        if proven && self.proven.insert(change.clone()) {
            lane.proven += 1;
        } else if !proven && self.proven.remove(change) {
            lane.proven -= 1;
        }
    }

    fn end(&mut self, change: &ChangeId, outcome: &Outcome) -> Option<StepEnded> {
        let place = self.changes.get_mut(change)?;
        let was_running = std::mem::take(&mut place.running);
        let before = place.ended.replace(outcome.clone());
        let place = place.clone();
        let lane = self.lane(&place.target);
        self.counts(&place, &lane, |count| {
            count.running -= usize::from(was_running);
            if let Some(before) = &before {
                *count.of(before) -= 1;
            }
            *count.of(outcome) += 1;
        });
        if was_running && let Some(running) = self.lanes.entry(lane).or_default().in_flight.get_mut(&place.step) {
            *running -= 1;
        }
        let count = self.steps[&(place.step.clone(), place.target.clone())];
        count.is_over().then_some(StepEnded { step: place.step, target: place.target, count })
    }

    fn counts(&mut self, place: &Place, lane: &str, change: impl Fn(&mut Count)) {
        change(self.steps.entry((place.step.clone(), place.target.clone())).or_default());
        change(&mut self.lanes.entry(lane.to_owned()).or_default().count);
        change(&mut self.total);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::example;

    #[test]
    fn every_change_ends_up_in_one_count() {
        let mut progress = Progress::default();
        let ended: Vec<_> = example::run().iter().filter_map(|event| progress.fold(event)).collect();
        assert_eq!(progress.total(), Count { planned: 5, running: 0, good: 4, bad: 1, skipped: 0 });
        assert_eq!(progress.proven(), 4);
        let lanes: Vec<_> = progress.lanes().map(|(name, lane)| (name, lane.count.good, lane.count.bad)).collect();
        assert_eq!(lanes, [("eu-west-1", 2, 0), ("global", 1, 0), ("us-east-1", 1, 1)]);
        let steps: Vec<_> = ended.iter().map(|ended| format!("{} {}", ended.step, ended.target.region)).collect();
        assert_eq!(
            steps,
            ["keys global", "evidence eu-west-1", "evidence us-east-1", "stop eu-west-1", "stop us-east-1"]
        );
    }

    #[test]
    fn a_change_in_flight_is_running() {
        let mut progress = Progress::default();
        for event in &example::run()[..9] {
            progress.fold(event);
        }
        assert_eq!(progress.total().running, 1);
        assert!(!progress.total().is_over());
    }

    #[test]
    fn several_accounts_have_a_line_each() {
        let mut events = example::run();
        if let EventKind::RunStarted { plan, .. } = &mut events[0].kind {
            plan.changes[0].target.account = AccountId::new("444455556666").unwrap();
        }
        let mut progress = Progress::default();
        progress.fold(&events[0]);
        let lanes: Vec<_> = progress.lanes().map(|(name, lane)| (name.to_owned(), lane.count.planned)).collect();
        assert_eq!(lanes, [("111122223333".to_owned(), 4), ("444455556666".to_owned(), 1)]);
    }

    #[test]
    fn a_change_that_is_made_once_more_counts_once() {
        let events = example::run();
        let mut progress = Progress::default();
        for event in &events {
            progress.fold(event);
        }
        let (before, change) = (
            progress.total(),
            events.iter().find_map(|event| match &event.kind {
                EventKind::ChangeEnded { change, outcome: Outcome::Done { .. } } => Some(change.clone()),
                _ => None,
            }),
        );
        let change = change.unwrap();
        let event = |kind| Event { seq: 0, at: events[0].at, kind };
        progress.fold(&event(EventKind::ChangeStarted { change: change.clone() }));
        assert_eq!((progress.total().good, progress.total().running), (before.good - 1, before.running + 1));
        let outcome = Outcome::Done { effect: serde_json::Value::Null };
        progress.fold(&event(EventKind::ChangeEnded { change, outcome }));
        assert_eq!(progress.total(), before);
    }
}
