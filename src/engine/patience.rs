//! Waiting for many answers, without one that never comes holding up the rest.

use std::future::Future;

use futures::stream::{FuturesUnordered, StreamExt as _};
use tokio::time::{Duration, Instant};

/// How long all may take together.
const LONGEST: Duration = Duration::from_secs(90);

/// How long stragglers are waited for once three quarters have answered, at least.
const GRACE: Duration = Duration::from_secs(5);

/// Runs all `questions` side by side. Returns their answers in order; `None` for what did not answer in time. Once three
/// quarters have answered, the others get as long again as those took, or [`GRACE`]: so a slow network is given its time,
/// and a dead region among living ones costs seconds.
pub async fn ask_all<T>(questions: impl IntoIterator<Item = impl Future<Output = T>>) -> Vec<Option<T>> {
    let begun = Instant::now();
    let mut deadline = begun + LONGEST;
    let mut open: FuturesUnordered<_> =
        questions.into_iter().enumerate().map(|(at, question)| async move { (at, question.await) }).collect();
    let total = open.len();
    let mut answers: Vec<Option<T>> = std::iter::repeat_with(|| None).take(total).collect();
    let mut patient = true;
    while let Ok(Some((at, answer))) = tokio::time::timeout_at(deadline, open.next()).await {
        answers[at] = Some(answer);
        if patient && open.len() * 4 <= total {
            patient = false;
            deadline = deadline.min(Instant::now() + GRACE.max(begun.elapsed()));
        }
    }
    answers
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn after(seconds: u64) -> u64 {
        tokio::time::sleep(Duration::from_secs(seconds)).await;
        seconds
    }

    #[tokio::test(start_paused = true)]
    async fn a_dead_region_costs_seconds() {
        let begun = Instant::now();
        let answers = ask_all([after(1), after(2), after(3600), after(1), after(2)]).await;
        assert_eq!(answers, [Some(1), Some(2), None, Some(1), Some(2)]);
        assert_eq!(begun.elapsed().as_secs(), 7);
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_network_is_given_its_time() {
        let answers = ask_all([after(20), after(21), after(22), after(35)]).await;
        assert_eq!(answers, [Some(20), Some(21), Some(22), Some(35)]);
    }
}
