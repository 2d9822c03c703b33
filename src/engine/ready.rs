//! What can be begun now, by lane and step.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::graph::Index;
use crate::model::{Change, Region, StepId, Target};

/// How many changes of one step may be under way in one lane. It bounds how long a change can wait between the look
/// before it and the request.
const IN_FLIGHT: usize = 50;

/// A step in a lane.
pub type Place = (Target, StepId);

/// What can be begun, and what is under way.
#[derive(Debug, Clone, Default)]
pub struct Ready {
    places: HashMap<Place, Changes>,
    /// Where something can be begun, by region: there may be tens of thousands, and all but a few wait for room.
    open: BTreeMap<Region, BTreeSet<Place>>,
}

/// The changes of one step in one lane.
#[derive(Debug, Clone, Default)]
struct Changes {
    ready: BTreeSet<Index>,
    in_flight: usize,
    looking: bool,
}

impl Changes {
    fn is_open(&self) -> bool {
        !self.ready.is_empty() && !self.looking
    }
}

impl Ready {
    /// A change waits for nothing any more.
    pub fn add(&mut self, change: &Change, index: Index) {
        self.update(&change.target, &change.step, |here| _ = here.ready.insert(index));
    }

    /// A change cannot be begun any more.
    pub fn remove(&mut self, change: &Change, index: Index) {
        self.update(&change.target, &change.step, |here| _ = here.ready.remove(&index));
    }

    /// Whether a change waits for nothing.
    pub fn contains(&self, change: &Change, index: Index) -> bool {
        let here = self.places.get(&(change.target.clone(), change.step.clone()));
        here.is_some_and(|here| here.ready.contains(&index))
    }

    /// A change is begun: its resource is looked at first.
    pub fn begin(&mut self, change: &Change, index: Index) {
        self.update(&change.target, &change.step, |here| {
            here.ready.remove(&index);
            here.in_flight += 1;
            here.looking = true;
        });
    }

    /// A change that was begun has ended.
    pub fn end(&mut self, change: &Change) {
        self.update(&change.target, &change.step, |here| here.in_flight = here.in_flight.saturating_sub(1));
    }

    /// A lane looks ahead: until it has, no wave of the step begins there.
    pub fn look(&mut self, target: &Target, step: &StepId) {
        self.update(target, step, |here| here.looking = true);
    }

    /// A lane has looked.
    pub fn looked(&mut self, target: &Target, step: &StepId) {
        self.update(target, step, |here| here.looking = false);
    }

    /// Nothing can be begun any more. What is under way stays so.
    pub fn clear(&mut self) {
        self.open.clear();
        self.places.values_mut().for_each(|here| here.ready.clear());
    }

    /// What can be begun, place by place. `batch` tells how many changes one request of a step carries; `enter` finds room for
    /// a place. Where there is none, the rest of the region waits.
    pub fn waves<T>(
        &self,
        batch: impl Fn(&StepId) -> usize,
        mut enter: impl FnMut(&Target) -> Option<T>,
    ) -> Vec<(&Place, Vec<Index>, T)> {
        let mut waves = Vec::new();
        for places in self.open.values() {
            for place in places {
                let here = &self.places[place];
                let most = batch(&place.1).max(IN_FLIGHT).saturating_sub(here.in_flight);
                if most == 0 {
                    continue;
                }
                let Some(entered) = enter(&place.0) else { break };
                waves.push((place, here.ready.iter().copied().take(most).collect(), entered));
            }
        }
        waves.sort_unstable_by_key(|(place, _, _)| *place);
        waves
    }

    fn update(&mut self, target: &Target, step: &StepId, change: impl FnOnce(&mut Changes)) {
        let place = (target.clone(), step.clone());
        let here = self.places.entry(place.clone()).or_default();
        let before = here.is_open();
        change(here);
        let now = here.is_open();
        if before != now {
            let open = self.open.entry(target.region.clone()).or_default();
            if now {
                open.insert(place)
            } else {
                open.remove(&place)
            };
        }
    }
}
