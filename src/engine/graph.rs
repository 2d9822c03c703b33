//! Which change waits for which. Built once from a plan (and again when a sweep extends it); answers in the time of the
//! edges of one change, so that 20,000 machines are no more work per machine than one.

use std::collections::{BTreeSet, HashMap};

use crate::model::{Change, Edge, OnFailure, ResourceId, Runbook, Step, StepId, Target};

/// The place of a change in the plan.
pub type Index = usize;

/// Whom a change waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Wait {
    /// One change: the same member, an earlier step.
    Change(Index),
    /// All changes of a step, by its place in the runbook.
    Step(usize),
}

/// The edges between the changes of a plan.
#[derive(Debug, Clone, Default)]
pub struct Graph {
    /// Per change, its step's place in the runbook.
    step_of: Vec<usize>,
    /// Per change: the changes that wait for it, and what its failure does to them.
    dependents: Vec<Vec<(Index, OnFailure)>>,
    /// Per step: the changes that wait for all of it.
    waiting: Vec<Vec<(Index, OnFailure)>>,
    /// Per step: how many of its changes have not ended.
    open: Vec<usize>,
    /// Per step: how many of its changes have not begun.
    unbegun: Vec<usize>,
    /// Per change: on how many changes and steps it still waits.
    waits: Vec<usize>,
    /// Per change: how many of those have not even begun.
    distant: Vec<usize>,
    /// Per change: whether it has ended. What waits for it is set free once, also when it is made again.
    ended: Vec<bool>,
}

impl Graph {
    /// The graph of `changes`, none of which has ended.
    pub fn new(runbook: &Runbook, changes: &[Change]) -> Self {
        let steps = &runbook.steps;
        let place: HashMap<&StepId, usize> = steps.iter().enumerate().map(|(at, step)| (&step.id, at)).collect();
        let step_of: Vec<usize> = changes.iter().map(|change| place[&change.step]).collect();
        let mut of_member: HashMap<(usize, &Target, &ResourceId), Vec<Index>> = HashMap::new();
        let mut open = vec![0; steps.len()];
        for (index, change) in changes.iter().enumerate() {
            for member in change.members() {
                of_member.entry((step_of[index], &change.target, member)).or_default().push(index);
            }
            open[step_of[index]] += 1;
        }
        let mut graph = Self {
            dependents: vec![Vec::new(); changes.len()],
            waiting: vec![Vec::new(); steps.len()],
            waits: vec![0; changes.len()],
            distant: vec![0; changes.len()],
            ended: vec![false; changes.len()],
            unbegun: open.clone(),
            open,
            step_of,
        };
        let edges = Edges { steps, place, of_member, open: graph.open.clone() };
        for (index, change) in changes.iter().enumerate() {
            let waits = edges.of(&steps[graph.step_of[index]], change);
            graph.waits[index] = waits.len();
            graph.distant[index] = waits.len();
            for (wait, on_failure) in waits {
                match wait {
                    Wait::Change(before) => graph.dependents[before].push((index, on_failure)),
                    Wait::Step(step) => graph.waiting[step].push((index, on_failure)),
                }
            }
        }
        graph
    }

    /// The changes that wait for nothing.
    pub fn free(&self) -> impl Iterator<Item = Index> + '_ {
        self.waits.iter().enumerate().filter(|(_, waits)| **waits == 0).map(|(index, _)| index)
    }

    /// Notes that a change began. Returns the changes whose turn is next: all that they wait for is under way.
    pub fn begin(&mut self, index: Index) -> BTreeSet<Index> {
        let step = self.step_of[index];
        self.unbegun[step] = self.unbegun[step].saturating_sub(1);
        let whole_step = if self.unbegun[step] == 0 { &*self.waiting[step] } else { &[] };
        let mut next = BTreeSet::new();
        for (dependent, _) in self.dependents[index].iter().chain(whole_step) {
            self.distant[*dependent] = self.distant[*dependent].saturating_sub(1);
            if self.distant[*dependent] == 0 {
                next.insert(*dependent);
            }
        }
        next
    }

    /// Notes that a change ended. Returns the changes that now wait for nothing, and those whose step is held by this
    /// one's failure.
    pub fn end(&mut self, index: Index, good: bool) -> Freed {
        let mut freed = Freed::default();
        if std::mem::replace(&mut self.ended[index], true) {
            return freed;
        }
        let step = self.step_of[index];
        for (dependent, on_failure) in std::mem::take(&mut self.dependents[index]) {
            if !good && on_failure == OnFailure::Hold {
                freed.held.insert(dependent);
            }
            self.release(dependent, &mut freed);
        }
        if !good {
            let held = self.waiting[step].iter().filter(|(_, on_failure)| *on_failure == OnFailure::Hold);
            freed.held.extend(held.map(|(dependent, _)| *dependent));
        }
        self.open[step] -= 1;
        if self.open[step] == 0 {
            for (dependent, _) in std::mem::take(&mut self.waiting[step]) {
                self.release(dependent, &mut freed);
            }
        }
        freed
    }

    fn release(&mut self, dependent: Index, freed: &mut Freed) {
        self.waits[dependent] -= 1;
        if self.waits[dependent] == 0 {
            freed.free.insert(dependent);
        }
    }
}

/// What the end of a change sets free.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Freed {
    /// They wait for nothing any more.
    pub free: BTreeSet<Index>,
    /// They must not be made: what they need failed.
    pub held: BTreeSet<Index>,
}

/// Finds the waits of one change.
struct Edges<'a> {
    steps: &'a [Step],
    place: HashMap<&'a StepId, usize>,
    of_member: HashMap<(usize, &'a Target, &'a ResourceId), Vec<Index>>,
    open: Vec<usize>,
}

impl Edges<'_> {
    fn of(&self, step: &Step, change: &Change) -> HashMap<Wait, OnFailure> {
        let mut waits = HashMap::new();
        for member in change.members() {
            self.collect(step, (&change.target, member), None, &mut waits);
        }
        waits
    }

    /// A step that has nothing to do (for this member, or at all) does not cut the order: what it needs is needed through
    /// it. `through` is then the edge that is looked through, whose rule for failures goes on to hold.
    fn collect(
        &self,
        step: &Step,
        of: (&Target, &ResourceId),
        through: Option<OnFailure>,
        waits: &mut HashMap<Wait, OnFailure>,
    ) {
        for need in step.needs.iter().filter_map(|id| self.place.get(id).copied()) {
            let needed = &self.steps[need];
            let on_failure = through.unwrap_or_else(|| Runbook::on_failure(step, needed));
            let mut wait = |key| {
                let rule = waits.entry(key).or_insert(on_failure);
                if on_failure == OnFailure::Hold {
                    *rule = OnFailure::Hold;
                }
            };
            match Runbook::edge(step, needed) {
                Edge::PerMember => match self.of_member.get(&(need, of.0, of.1)) {
                    Some(before) => before.iter().for_each(|index| wait(Wait::Change(*index))),
                    None => self.collect(needed, of, None, waits),
                },
                Edge::Barrier if self.open[need] > 0 => wait(Wait::Step(need)),
                Edge::Barrier => self.collect(needed, of, Some(on_failure), waits),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::test_plans::{change, runbook};

    const PER_MEMBER: &str = r#"[
        {"id": "keys", "uses": "toy.set", "on": "users"},
        {"id": "evidence", "uses": "toy.set", "on": "machines", "needs": ["keys"]},
        {"id": "isolate", "uses": "toy.set", "on": "machines", "needs": ["evidence"]},
        {"id": "stop", "uses": "toy.set", "on": "machines", "needs": ["isolate"]}
    ]"#;

    #[test]
    fn each_member_goes_on_by_itself() {
        let runbook = runbook(PER_MEMBER);
        let changes =
            [change("evidence", "a"), change("evidence", "b"), change("isolate", "a"), change("isolate", "b")];
        let mut graph = Graph::new(&runbook, &changes);
        assert_eq!(graph.free().collect::<Vec<_>>(), [0, 1]);
        assert_eq!(graph.end(1, true).free, BTreeSet::from([3]));
        assert_eq!(graph.end(0, true).free, BTreeSet::from([2]));
    }

    #[test]
    fn a_barrier_waits_for_the_whole_step() {
        let runbook = runbook(PER_MEMBER);
        let changes = [change("keys", "u1"), change("keys", "u2"), change("evidence", "a")];
        let mut graph = Graph::new(&runbook, &changes);
        assert_eq!(graph.end(0, false), Freed::default());
        // One failure never holds others across a barrier, unless the runbook says so.
        assert_eq!(graph.end(1, true), Freed { free: BTreeSet::from([2]), held: BTreeSet::new() });
    }

    #[test]
    fn a_change_is_next_when_all_that_it_waits_for_is_under_way() {
        let runbook = runbook(PER_MEMBER);
        let changes = [change("keys", "u1"), change("keys", "u2"), change("evidence", "a"), change("isolate", "a")];
        let mut graph = Graph::new(&runbook, &changes);
        assert_eq!(graph.begin(0), BTreeSet::new());
        assert_eq!(graph.begin(1), BTreeSet::from([2]));
        assert_eq!(graph.begin(2), BTreeSet::from([3]));
    }

    #[test]
    fn a_failure_holds_the_same_member_only() {
        let runbook = runbook(PER_MEMBER);
        let changes =
            [change("evidence", "a"), change("evidence", "b"), change("isolate", "a"), change("isolate", "b")];
        let mut graph = Graph::new(&runbook, &changes);
        assert_eq!(graph.end(0, false).held, BTreeSet::from([2]));
        assert_eq!(graph.end(1, true), Freed { free: BTreeSet::from([3]), held: BTreeSet::new() });
    }

    #[test]
    fn what_belongs_to_several_members_is_waited_for_by_each_and_waits_for_all() {
        let runbook = runbook(PER_MEMBER);
        let mut shared = change("isolate", "subnet");
        (shared.member, shared.also_for) = (ResourceId::new("a").unwrap(), vec![ResourceId::new("b").unwrap()]);
        let changes = [change("evidence", "a"), change("evidence", "b"), shared, change("stop", "b")];
        let mut graph = Graph::new(&runbook, &changes);
        assert_eq!(graph.free().collect::<Vec<_>>(), [0, 1]);
        assert_eq!(graph.end(0, true).free, BTreeSet::new(), "the other machine's evidence is missing");
        assert_eq!(graph.end(1, true).free, BTreeSet::from([2]));
        assert_eq!(graph.end(2, true).free, BTreeSet::from([3]));
    }

    #[test]
    fn a_step_with_nothing_to_do_does_not_cut_the_order() {
        let runbook = runbook(PER_MEMBER);
        // `isolate` has nothing to do for a: stop still waits for its evidence, and through that for the keys.
        let changes = [change("keys", "u1"), change("evidence", "a"), change("stop", "a"), change("stop", "b")];
        let mut graph = Graph::new(&runbook, &changes);
        assert_eq!(graph.free().collect::<Vec<_>>(), [0]);
        assert_eq!(graph.end(0, true).free, BTreeSet::from([1, 3]));
        assert_eq!(graph.end(1, true).free, BTreeSet::from([2]));
    }
}
