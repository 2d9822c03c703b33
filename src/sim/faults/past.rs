//! States of the world from before the last writes, for services that lag behind them.

use std::collections::VecDeque;

use jiff::{SignedDuration, Timestamp};

use super::{Faults, Struck};
use crate::sim::call::{Call, Refusal, Reply};
use crate::sim::world::World;

/// A lag is kept to so many parts of it: more states than that are not held.
const PARTS: i32 = 8;

/// The world as it was, oldest first.
#[derive(Debug, Default)]
pub struct Past(VecDeque<(Timestamp, World)>);

impl Past {
    /// Remembers the world right before a write, for as long as the longest lag.
    fn keep(&mut self, world: &World, now: Timestamp, longest: SignedDuration) {
        self.0.retain(|(at, _)| now.duration_since(*at) < longest);
        let is_near = |(at, _): &(Timestamp, World)| now.duration_since(*at) < longest / PARTS;
        if self.0.back().is_none_or(|last| !is_near(last)) {
            self.0.push_back((now, world.clone()));
        }
    }

    /// The world before the writes since then; none if there were none.
    fn before(&mut self, since: Timestamp) -> Option<&mut World> {
        self.0.iter_mut().find(|(at, _)| *at > since).map(|(_, world)| world)
    }
}

/// How a service carries a call out.
type Handle = fn(&mut World, &Call) -> Reply;

impl Faults {
    /// Carries a call out, in the world or, where the service lags behind, in the one that it still goes by.
    pub(in crate::sim) fn handle(&mut self, world: &mut World, call: &Call, struck: &Struck, handle: Handle) -> Reply {
        if let Some(past) = struck.stale.filter(|_| reads(call)).and_then(|lag| self.before(call, lag)) {
            return handle(past, call);
        }
        if let Some(past) = struck.unseen.and_then(|lag| self.before(call, lag))
            && let Err(refusal) = handle(&mut past.clone(), call)
            && is_not_found(&refusal)
        {
            return Err(refusal);
        }
        if let Some(longest) = self.longest_lag().filter(|_| !reads(call)) {
            self.past.keep(world, call.now, longest);
        }
        handle(world, call)
    }

    fn before(&mut self, call: &Call, lag: SignedDuration) -> Option<&mut World> {
        self.past.before(call.now.saturating_sub(lag).ok()?)
    }
}

/// Whether a call only reads what others wrote. What STS and IAM generate is a write of its own kind.
fn reads(call: &Call) -> bool {
    let operation = call.operation.as_str();
    let prefixes = ["BatchGet", "Describe", "Get", "List", "Lookup", "Search", "Simulate"];
    call.service != "sts" && prefixes.iter().any(|prefix| operation.starts_with(prefix))
}

/// Whether a service says that it does not know what the call names.
fn is_not_found(refusal: &Refusal) -> bool {
    let code = refusal.code.as_str();
    code.ends_with(".NotFound")
        || code.ends_with("NotFoundException")
        || code.starts_with("NoSuch")
        || matches!(code, "ResourceNotFound" | "EntityNotFoundException")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_read_sees_the_world_before_the_writes_of_the_last_moments() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let (mut past, lag) = (Past::default(), SignedDuration::from_secs(8));
        let mut world = World::new(1);
        for second in [100, 104, 120] {
            past.keep(&world, at(second), lag);
            world.partition = format!("after {second}");
        }
        let seen = |past: &mut Past, second| past.before(at(second) - lag).map(|world| world.partition.clone());
        assert_eq!(seen(&mut past, 121).as_deref(), Some("after 104"));
        assert_eq!(seen(&mut past, 128), None);
    }

    #[test]
    fn few_worlds_are_kept_however_much_is_written() {
        let (mut past, world) = (Past::default(), World::new(1));
        for millisecond in 0..60_000 {
            past.keep(&world, Timestamp::from_millisecond(millisecond).unwrap(), SignedDuration::from_secs(10));
        }
        assert!(past.0.len() <= 9, "{}", past.0.len());
    }
}
