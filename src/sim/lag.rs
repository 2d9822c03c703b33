//! What was true a moment ago: changes that take time until every service sees them.

use std::collections::VecDeque;
use std::sync::Arc;

use jiff::Timestamp;

/// Earlier states, each with the time until which services still go by it.
#[derive(Debug, Clone)]
pub struct Lag<T>(VecDeque<(Timestamp, Arc<T>)>);

impl<T> Default for Lag<T> {
    fn default() -> Self {
        Self(VecDeque::new())
    }
}

impl<T> Lag<T> {
    /// Remembers the state before a change that services see from `until` on, and forgets what nobody goes by any more.
    pub fn keep(&mut self, before: T, now: Timestamp, until: Timestamp) {
        self.0.retain(|(until, _)| *until > now);
        self.0.push_back((until, Arc::new(before)));
    }

    /// The state that services go by at `now`.
    pub fn seen<'a>(&'a self, current: &'a T, now: Timestamp) -> &'a T {
        self.0.iter().find(|(until, _)| *until > now).map_or(current, |(_, state)| state)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_change_is_seen_after_its_own_lag() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let mut lag = Lag::default();
        lag.keep("a", at(0), at(4));
        lag.keep("b", at(2), at(6));
        assert_eq!([1, 3, 4, 5, 6].map(|second| *lag.seen(&"c", at(second))), ["a", "a", "b", "b", "c"]);
    }
}
