//! Whose turn it is: of very many questions, each waits for a place in its region.

use std::collections::{HashMap, VecDeque};

use tokio::time::Instant;

use super::rooms::Rooms;
use crate::model::{Region, Target};

/// Questions by their number: those that are open, and those that wait for their turn.
#[derive(Debug)]
pub(super) struct Turns<Q> {
    open: Rooms,
    waiting: HashMap<Region, VecDeque<(Target, usize, Q)>>,
}

impl<Q> Turns<Q> {
    /// Nothing is asked yet.
    pub fn new() -> Self {
        Self { open: Rooms::default(), waiting: HashMap::new() }
    }

    /// A question turns up. Gives it back if it is its turn; otherwise it waits.
    pub fn enter(&mut self, lane: &Target, number: usize, question: Q) -> Option<(usize, Q)> {
        if self.open.enter(lane, number) {
            return Some((number, question));
        }
        self.waiting.entry(lane.region.clone()).or_default().push_back((lane.clone(), number, question));
        None
    }

    /// A question was answered. Gives those whose turn is next.
    pub fn leave(&mut self, region: &Region, number: usize) -> Vec<(usize, Q)> {
        if self.open.leave(region, number) { self.next(region) } else { Vec::new() }
    }

    /// Lets those give up their place whose lane is silent: they stay open. Gives the questions whose turn is next.
    pub fn pass_over(&mut self, heard: impl Fn(&Target) -> Option<Instant>) -> Vec<(usize, Q)> {
        let freed = self.open.pass_over(heard);
        freed.iter().flat_map(|region| self.next(region)).collect()
    }

    /// Whether any waits for its turn.
    pub fn are_waited_for(&self) -> bool {
        !self.waiting.is_empty()
    }

    fn next(&mut self, region: &Region) -> Vec<(usize, Q)> {
        let mut next = Vec::new();
        let Some(waiting) = self.waiting.get_mut(region) else { return next };
        while let Some((lane, number, _)) = waiting.front()
            && self.open.enter(lane, *number)
        {
            next.extend(waiting.pop_front().map(|(_, number, question)| (number, question)));
        }
        if waiting.is_empty() {
            self.waiting.remove(region);
        }
        next
    }
}

#[cfg(test)]
mod tests {
    use super::super::rooms::SILENCE;
    use super::super::rooms::tests::lane;
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn who_came_first_is_next() {
        let mut turns = Turns::new();
        let here = lane("eu-west-1");
        let open = (0..70).filter(|number| turns.enter(&here, *number, ()).is_some()).count();
        assert_eq!(turns.leave(&here.region, 5), [(open, ())]);
        assert!(turns.leave(&here.region, 5).is_empty(), "it has left");
        tokio::time::advance(SILENCE).await;
        let next: Vec<usize> = turns.pass_over(|_| None).into_iter().map(|(number, ())| number).collect();
        assert_eq!(next, (open + 1..70).collect::<Vec<_>>());
        assert!(!turns.are_waited_for());
        assert!(turns.leave(&here.region, 0).is_empty(), "its place was taken");
    }
}
