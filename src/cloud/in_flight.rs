//! How many requests are on their way at once.

use tokio::sync::{Semaphore, SemaphorePermit};

use crate::engine::places::{Place, Places};

/// So many in one region, whatever account and service.
const IN_A_REGION: usize = 128;

/// So many in all: each takes memory, and a connection.
const IN_ALL: usize = 1_024;

/// The requests that are on their way.
#[derive(Debug)]
pub(super) struct InFlight {
    regions: Places,
    all: Semaphore,
}

/// Lets one request go its way, until this is dropped.
pub(super) type OnItsWay<'a> = (Place, Option<SemaphorePermit<'a>>);

impl Default for InFlight {
    fn default() -> Self {
        Self { regions: Places::of(IN_A_REGION), all: Semaphore::new(IN_ALL.min(files() / 2)) }
    }
}

/// How many files may be open, connections among them. As many as the system lets a process have: what it begins with is 1,024
/// on most, and 256 on some, while a connection to every service in every region stays open for its next request.
#[cfg(unix)]
fn files() -> usize {
    rlimit::increase_nofile_limit(u64::MAX).map_or(256, |files| usize::try_from(files).unwrap_or(usize::MAX))
}

#[cfg(not(unix))]
fn files() -> usize {
    usize::MAX
}

impl InFlight {
    /// A place for a request, when one is free.
    pub fn try_enter(&self, region: &str) -> Option<OnItsWay<'_>> {
        Some((Some(self.regions.try_enter(region)?), Some(self.all.try_acquire().ok()?)))
    }

    /// Waits until a request may leave.
    pub async fn enter(&self, region: &str) -> OnItsWay<'_> {
        (self.regions.enter(region).await, self.all.acquire().await.ok())
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;
    use tokio::task::unconstrained;

    use super::*;

    #[tokio::test]
    async fn no_more_leave_than_there_may_be_connections() {
        let in_flight = InFlight::default();
        let enter = |region: &str| unconstrained(in_flight.enter(region)).now_or_never();
        let regions: Vec<String> = (0..40).map(|n| format!("r-{n}")).collect();
        let requests = regions.iter().flat_map(|region| std::iter::repeat_n(region, 80));
        let all: Vec<_> = requests.map_while(|region| enter(region)).collect();
        assert_eq!(all.len(), IN_ALL);
        drop(all);
        let one: Vec<_> = (0..200).map_while(|_| enter("r-1")).collect();
        assert_eq!(one.len(), IN_A_REGION);
        assert!(enter("r-2").is_some());
    }
}
