//! Waiting for many answers, without one that never comes holding up the rest.

use std::future::Future;

use futures::stream::{FuturesUnordered, StreamExt as _};
use tokio::time::{Duration, Instant};

use crate::model::Target;

/// How long all may take together.
const LONGEST: Duration = Duration::from_secs(90);

/// How long stragglers are waited for once three quarters have answered, at least.
const GRACE: Duration = Duration::from_secs(5);

/// Runs all `questions` side by side, each with the lane that it is put to. Returns their answers in order; `None` for what
/// did not answer in time. Once three quarters have answered, the others get as long again as those took, or [`GRACE`]: so a
/// slow network is given its time, and a dead region among living ones costs seconds. A lane that is being heard all the
/// while is not dead but has much to say, or waits for its budget: it gets the time it needs.
pub async fn ask_all<T>(
    heard: impl Fn(&Target) -> Option<Instant>,
    questions: impl IntoIterator<Item = (Target, impl Future<Output = T>)>,
) -> Vec<Option<T>> {
    let begun = Instant::now();
    let (lanes, questions): (Vec<Target>, Vec<_>) = questions.into_iter().unzip();
    let total = questions.len();
    let mut open: FuturesUnordered<_> =
        questions.into_iter().enumerate().map(|(at, question)| async move { (at, question.await) }).collect();
    let mut answers: Vec<Option<T>> = std::iter::repeat_with(|| None).take(total).collect();
    let (mut deadline, mut grace) = (begun + LONGEST, GRACE);
    let mut patient = true;
    loop {
        match tokio::time::timeout_at(deadline, open.next()).await {
            Ok(None) => return answers,
            Ok(Some((at, answer))) => answers[at] = Some(answer),
            Err(_) => {
                let silent = lanes.iter().zip(&answers).filter(|(_, answer)| answer.is_none());
                let last = silent.filter_map(|(lane, _)| heard(lane)).max();
                match last.map(|last| last + grace).filter(|until| *until > Instant::now()) {
                    Some(until) => deadline = until,
                    None => return answers,
                }
            }
        }
        if patient && open.len() * 4 <= total {
            patient = false;
            grace = GRACE.max(begun.elapsed());
            deadline = deadline.min(Instant::now() + grace);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::example::target;

    fn after(seconds: u64) -> (Target, impl Future<Output = u64>) {
        let question = async move {
            tokio::time::sleep(Duration::from_secs(seconds)).await;
            seconds
        };
        (target("eu-west-1"), question)
    }

    fn nobody(_: &Target) -> Option<Instant> {
        None
    }

    #[tokio::test(start_paused = true)]
    async fn a_dead_region_costs_seconds() {
        let begun = Instant::now();
        let answers = ask_all(nobody, [after(1), after(2), after(3600), after(1), after(2)]).await;
        assert_eq!(answers, [Some(1), Some(2), None, Some(1), Some(2)]);
        assert_eq!(begun.elapsed().as_secs(), 7);
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_network_is_given_its_time() {
        let answers = ask_all(nobody, [after(20), after(21), after(22), after(35)]).await;
        assert_eq!(answers, [Some(20), Some(21), Some(22), Some(35)]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_lane_that_is_heard_may_take_its_time() {
        let begun = Instant::now();
        let (_, busy) = after(200);
        let (_, dead) = after(3600);
        let questions: [(Target, futures::future::BoxFuture<'_, u64>); 6] = [
            (target("us-east-1"), Box::pin(busy)),
            (target("eu-west-3"), Box::pin(dead)),
            (target("eu-west-1"), Box::pin(after(1).1)),
            (target("eu-west-1"), Box::pin(after(1).1)),
            (target("eu-west-1"), Box::pin(after(1).1)),
            (target("eu-west-1"), Box::pin(after(1).1)),
        ];
        let heard = |lane: &Target| (lane.region.as_str() == "us-east-1").then(Instant::now);
        let answers = ask_all(heard, questions).await;
        assert_eq!(answers[..2], [Some(200), None]);
        assert!(begun.elapsed().as_secs() <= 206, "{:?}", begun.elapsed());
    }
}
