//! Waiting for many answers, without one that never comes holding up the rest.

use std::future::Future;

use futures::stream::{FuturesUnordered, StreamExt as _};
use tokio::time::{Duration, Instant};

use super::ports::Sessions;
use crate::model::Target;

/// How long all may take together, when nothing is heard of those that are missing.
const LONGEST: Duration = Duration::from_secs(90);

/// How long stragglers are waited for once three quarters have answered, at least; and how long a lane may be silent before
/// it counts as dead.
const GRACE: Duration = Duration::from_secs(5);

/// Asks all `questions`, each of a lane, side by side. Returns their answers in order; `None` for what did not answer in
/// time. Once three quarters have answered, the others get as long again as those took, or five seconds; and longer as long as
/// their lane goes on answering requests. So a slow network, and a lane with much to look at, are given their time, and a
/// dead region among living ones costs seconds.
pub async fn ask_all<T>(
    sessions: &dyn Sessions,
    questions: impl IntoIterator<Item = (Target, impl Future<Output = T>)>,
) -> Vec<Option<T>> {
    wait(|lane| sessions.heard(lane), questions).await
}

async fn wait<T>(
    heard: impl Fn(&Target) -> Option<Instant>,
    questions: impl IntoIterator<Item = (Target, impl Future<Output = T>)>,
) -> Vec<Option<T>> {
    let begun = Instant::now();
    let (mut deadline, mut grace) = (begun + LONGEST, GRACE);
    let (lanes, questions): (Vec<Target>, Vec<_>) = questions.into_iter().unzip();
    let mut open: FuturesUnordered<_> =
        questions.into_iter().enumerate().map(|(at, question)| async move { (at, question.await) }).collect();
    let mut answers: Vec<Option<T>> = std::iter::repeat_with(|| None).take(lanes.len()).collect();
    let mut patient = true;
    loop {
        match tokio::time::timeout_at(deadline, open.next()).await {
            Ok(Some((at, answer))) => answers[at] = Some(answer),
            Ok(None) => return answers,
            Err(_) => {
                let missing = lanes.iter().zip(&answers).filter(|(_, answer)| answer.is_none());
                match missing.filter_map(|(lane, _)| heard(lane)).max() {
                    Some(last) if last + grace > Instant::now() => deadline = last + grace,
                    _ => return answers,
                }
            }
        }
        if patient && open.len() * 4 <= lanes.len() {
            patient = false;
            grace = GRACE.max(begun.elapsed());
            deadline = deadline.min(Instant::now() + grace);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{AccountId, Region};

    fn lane() -> Target {
        Target::new(AccountId::new("111122223333").unwrap(), Region::new("eu-west-3").unwrap())
    }

    async fn after(seconds: u64) -> u64 {
        tokio::time::sleep(Duration::from_secs(seconds)).await;
        seconds
    }

    async fn ask_all<const N: usize>(seconds: [u64; N]) -> Vec<Option<u64>> {
        wait(|_| None, seconds.map(|seconds| (lane(), after(seconds)))).await
    }

    #[tokio::test(start_paused = true)]
    async fn a_dead_region_costs_seconds() {
        let begun = Instant::now();
        let answers = ask_all([1, 2, 3600, 1, 2]).await;
        assert_eq!(answers, [Some(1), Some(2), None, Some(1), Some(2)]);
        assert_eq!(begun.elapsed().as_secs(), 7);
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_network_is_given_its_time() {
        let answers = ask_all([20, 21, 22, 35]).await;
        assert_eq!(answers, [Some(20), Some(21), Some(22), Some(35)]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_lane_that_goes_on_answering_is_waited_for() {
        let begun = Instant::now();
        let busy = |_: &Target| Some(Instant::now()).filter(|_| begun.elapsed().as_secs() < 60);
        let answers = wait(busy, [1, 1, 1, 50].map(|seconds| (lane(), after(seconds)))).await;
        assert_eq!(answers[3], Some(50));
        let begun = Instant::now();
        let falls_silent = |_: &Target| Some(begun + Duration::from_secs(10)).filter(|last| *last <= Instant::now());
        let answers = wait(falls_silent, [1, 1, 1, 50].map(|seconds| (lane(), after(seconds)))).await;
        assert_eq!((answers[3], begun.elapsed().as_secs() < 20), (None, true));
    }
}
