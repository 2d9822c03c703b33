//! The run's clock, as the SDK wants it.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime};

use aws_smithy_async::time::TimeSource;
use jiff::{SignedDuration, Timestamp};

use crate::engine::ports::SharedClock;

/// How far the clocks may be apart until a refusal may be due to that. (The SDK's own measure.)
pub(super) const FAR: SignedDuration = SignedDuration::from_mins(4);

/// The SDK's time source: signatures and expiry of credentials follow the run's clock, set right by what AWS's answers say.
/// The SDK would learn the time as well, but each of its clients by itself and by a refusal of its own.
#[derive(Debug, Clone)]
pub(super) struct SdkTime {
    clock: SharedClock,
    /// By how many seconds AWS is ahead of the run's clock; 0 as long as that is less than [`FAR`].
    ahead: Arc<AtomicI64>,
}

impl SdkTime {
    /// The time by a clock of which nothing is known to be wrong.
    pub fn by(clock: SharedClock) -> Self {
        Self { clock, ahead: Arc::default() }
    }

    /// Takes in the date of an answer that came just now.
    pub fn learn(&self, date: Timestamp) {
        let ahead = date.duration_since(self.clock.now());
        let ahead = if ahead.abs() > FAR { ahead.as_secs() } else { 0 };
        if self.ahead.swap(ahead, Ordering::Relaxed) == 0 && ahead != 0 {
            tracing::warn!(
                seconds = ahead,
                "the clock of this machine is wrong: AWS's is ahead by so much; signing by AWS's"
            );
        }
    }
}

impl TimeSource for SdkTime {
    fn now(&self) -> SystemTime {
        let ahead = SignedDuration::from_secs(self.ahead.load(Ordering::Relaxed));
        let now = self.clock.now().saturating_add(ahead).unwrap_or(Timestamp::MAX);
        let since_1970 = Duration::try_from(now.as_duration()).unwrap_or_default();
        SystemTime::UNIX_EPOCH + since_1970
    }
}

/// A time of the SDK's as ours.
pub(super) fn timestamp(time: SystemTime) -> Timestamp {
    let since_1970 = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Timestamp::UNIX_EPOCH.saturating_add(since_1970).unwrap_or(Timestamp::MAX)
}
