//! The stages side by side: a run over the simulated AWS waits for nothing, so that only processors make it quicker.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::{env, panic, thread};

use tokio::runtime::Builder;

use crate::actions::{Stage, stages};

/// Narrows the suite to actions whose names begin so: `QUELL_STAGES=lambda cargo test conformance`.
const NARROWED: &str = "QUELL_STAGES";

/// Tries something on every stage, each in a time of its own, and fails with all that was found wrong.
pub fn on_every_stage(try_on: impl AsyncFn(Stage, &mut Vec<String>) + Sync) {
    let wanted = env::var(NARROWED).unwrap_or_default();
    let stages: Vec<Stage> = stages().into_iter().filter(|stage| stage.action.starts_with(&wanted)).collect();
    assert!(!stages.is_empty(), "no action begins with {wanted}");
    let next = AtomicUsize::new(0);
    let work = || {
        let mut found = Vec::new();
        while let Some(stage) = stages.get(next.fetch_add(1, Ordering::Relaxed)) {
            let runtime = Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
            let mut wrong = Vec::new();
            runtime.block_on(try_on(*stage, &mut wrong));
            found.extend(wrong);
        }
        found
    };
    let wrong: Vec<String> = thread::scope(|scope| {
        let workers = thread::available_parallelism().map_or(1, usize::from);
        let workers: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        let found = workers.into_iter().map(|worker| worker.join().unwrap_or_else(|panic| panic::resume_unwind(panic)));
        found.flatten().collect()
    });
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
