//! So many at once in one region, whatever the account.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Places, as many in every region: what a dead region holds up is its own.
#[derive(Debug)]
pub struct Places {
    in_a_region: usize,
    regions: Mutex<HashMap<String, Arc<Semaphore>>>,
}

/// A place that is taken until this is dropped.
pub type Place = Option<OwnedSemaphorePermit>;

impl Places {
    /// So many in each region.
    pub fn of(in_a_region: usize) -> Self {
        Self { in_a_region, regions: Mutex::default() }
    }

    /// A place, when one is free and nobody waits for it.
    pub fn try_enter(&self, region: &str) -> Place {
        self.region(region).try_acquire_owned().ok()
    }

    /// Waits for a place. Whoever asks first goes first.
    pub async fn enter(&self, region: &str) -> Place {
        // It is never closed.
        self.region(region).acquire_owned().await.ok()
    }

    fn region(&self, region: &str) -> Arc<Semaphore> {
        let mut regions = self.regions.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = regions.get(region) {
            return Arc::clone(known);
        }
        let new = Arc::new(Semaphore::new(self.in_a_region));
        Arc::clone(regions.entry(region.to_owned()).or_insert(new))
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn a_region_that_is_full_holds_up_no_other() {
        let places = Places::of(2);
        let (one, _two) = (places.enter("eu-west-3").await, places.enter("eu-west-3").await);
        assert!(places.enter("eu-west-3").now_or_never().is_none());
        assert!(places.enter("eu-west-1").now_or_never().is_some());
        drop(one);
        assert!(places.enter("eu-west-3").now_or_never().is_some());
    }
}
