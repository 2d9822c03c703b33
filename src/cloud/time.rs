//! The run's clock, as the SDK wants it.

use std::time::{Duration, SystemTime};

use aws_smithy_async::time::TimeSource;
use jiff::Timestamp;

use crate::engine::ports::SharedClock;

/// The SDK's time source: signatures and expiry of credentials follow the run's clock.
#[derive(Debug, Clone)]
pub(super) struct SdkTime(pub SharedClock);

impl TimeSource for SdkTime {
    fn now(&self) -> SystemTime {
        let since_1970 = Duration::try_from(self.0.now().as_duration()).unwrap_or_default();
        SystemTime::UNIX_EPOCH + since_1970
    }
}

/// A time of the SDK's as ours.
pub(super) fn timestamp(time: SystemTime) -> Timestamp {
    let since_1970 = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Timestamp::UNIX_EPOCH.saturating_add(since_1970).unwrap_or(Timestamp::MAX)
}
