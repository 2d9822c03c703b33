//! How long a request goes on against "too fast".

use tokio::time::{Duration, Instant};

/// The first pause before a throttled request is sent again; each one is twice as long as that before.
const FIRST: Duration = Duration::from_millis(200);
/// The longest pause.
const LONGEST: Duration = Duration::from_secs(5);
/// For how long a request is sent again. The slowest bucket that machines are stopped by, 1,000 instances of which 20 come back
/// in a second (Amazon EC2 Developer Guide, "Request throttling"), is full again in 50 s, whoever emptied it.
const PATIENCE: Duration = Duration::from_mins(1);

/// The throttle answers to one request.
///
/// An intruder who drains a budget must not end a containment, and neither may a storm without an end hold one up for longer
/// than once: when for a minute nothing but throttle answers came from a bucket, requests that draw from it are not sent again
/// until one has passed. The pauses come on top of the turn in the bucket, which is slowed down as well.
#[derive(Debug, Default)]
pub(super) struct Storm {
    begun: Option<Instant>,
    pauses: u32,
}

impl Storm {
    /// How long to wait before the request is sent again after a throttle answer; `None` when it is given up.
    /// `bucket_since` says since when nothing else came from its bucket.
    pub fn pause(&mut self, bucket_since: Option<Instant>) -> Option<Duration> {
        let begun = *self.begun.get_or_insert_with(Instant::now);
        if begun.elapsed() >= PATIENCE || bucket_since.is_some_and(|since| since.elapsed() >= PATIENCE) {
            return None;
        }
        let pause = FIRST.saturating_mul(1 << self.pauses.min(8)).min(LONGEST);
        self.pauses += 1;
        Some(pause)
    }
}
