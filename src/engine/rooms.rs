//! How much is open at once in a region, whatever the account.

use std::collections::{BTreeMap, HashMap};

use tokio::time::{Duration, Instant};

use crate::model::{Region, Target};

/// How much is open at once in one region: all of it takes memory and connections, and an organisation has thousands of
/// accounts. By region, so that what is slow in one does not take the place of another.
const AT_ONCE: usize = 64;

/// The same for what an account has only once.
const AT_ONCE_GLOBAL: usize = 256;

/// For how long a lane may be silent before it counts no more.
pub(super) const SILENCE: Duration = Duration::from_secs(2);

/// What is open and counts, by region and number, with its lane and since when.
#[derive(Debug, Default)]
pub(super) struct Rooms(HashMap<Region, BTreeMap<usize, (Target, Instant)>>);

impl Rooms {
    /// Takes a place for something of this number in a lane, if one is free.
    pub fn enter(&mut self, lane: &Target, number: usize) -> bool {
        let room = self.0.entry(lane.region.clone()).or_default();
        let is_free = room.len() < at_once(&lane.region);
        if is_free {
            room.insert(number, (lane.clone(), Instant::now()));
        }
        is_free
    }

    /// Gives a place back. Says whether it was still taken.
    pub fn leave(&mut self, region: &Region, number: usize) -> bool {
        self.0.get_mut(region).is_some_and(|room| room.remove(&number).is_some())
    }

    /// Whether all places of some region are taken.
    pub fn are_full(&self) -> bool {
        self.0.iter().any(|(region, room)| room.len() >= at_once(region))
    }

    /// Frees the places of lanes that are silent, in regions without a free one: a dead account must not hold up others.
    /// `heard` says when a lane answered last. Gives those regions.
    pub fn pass_over(&mut self, heard: impl Fn(&Target) -> Option<Instant>) -> Vec<Region> {
        let speaks =
            |(lane, since): &(Target, Instant)| heard(lane).map_or(*since, |last| last.max(*since)).elapsed() < SILENCE;
        let full = self.0.iter_mut().filter(|(region, room)| room.len() >= at_once(region));
        let freed = full.map(|(region, room)| {
            room.retain(|_, open| speaks(open));
            region.clone()
        });
        freed.collect()
    }
}

fn at_once(region: &Region) -> usize {
    if region.is_global() { AT_ONCE_GLOBAL } else { AT_ONCE }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub fn lane(region: &str) -> Target {
        Target::new("111122223333".parse().unwrap(), region.parse().unwrap())
    }

    #[tokio::test(start_paused = true)]
    async fn each_region_has_its_own_places() {
        let mut rooms = Rooms::default();
        let full = lane("eu-west-1");
        assert_eq!((0..100).filter(|number| rooms.enter(&full, *number)).count(), AT_ONCE);
        assert!(rooms.are_full());
        assert!(rooms.enter(&lane("eu-west-3"), 100));
        assert!(rooms.leave(&full.region, 7) && !rooms.leave(&full.region, 7));
        assert!(!rooms.are_full() && rooms.enter(&full, 101));
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_silent_counts_no_more() {
        let mut rooms = Rooms::default();
        let here = lane("eu-west-1");
        assert_eq!((0..100).filter(|number| rooms.enter(&here, *number)).count(), AT_ONCE);
        rooms.pass_over(|_| None);
        assert!(rooms.are_full(), "they have only begun");
        tokio::time::advance(SILENCE).await;
        rooms.pass_over(|_| Some(Instant::now()));
        assert!(rooms.are_full(), "it has just answered");
        assert_eq!(rooms.pass_over(|_| None), std::slice::from_ref(&here.region));
        assert!(!rooms.are_full() && !rooms.leave(&here.region, 0) && rooms.enter(&here, 100));
    }
}
