//! Waiting for many answers, without one that never comes holding up the rest.

use std::future::Future;
use std::pin::pin;

use futures::stream::{self, FuturesUnordered, Stream, StreamExt as _};
use tokio::time::{Duration, Instant, sleep_until};

use super::ports::Sessions;
use super::rooms::SILENCE;
use super::turns::Turns;
use crate::model::Target;

/// How long the answers may take after the last question, when nothing is heard of those that are missing.
const LONGEST: Duration = Duration::from_secs(90);

/// How long stragglers are waited for once three quarters have answered, at least; and how long a lane may be silent before
/// it counts as dead.
const GRACE: Duration = Duration::from_secs(2);

/// Stragglers are given so many times what three quarters of the answers took.
const SLOWER: u32 = 3;

/// Asks all `questions`, each of a lane, side by side. Returns their answers in order; `None` for what did not answer in
/// time. Once three quarters have answered, the others get three times as long as those took, or two seconds; and longer as
/// long as their lane goes on answering requests. So a slow network, and a lane with much to look at, are given their time,
/// and a dead region among living ones costs seconds. What is left out is looked at again by the sweeps.
pub async fn ask_all<T, F: Future<Output = T>>(
    sessions: &dyn Sessions,
    questions: impl IntoIterator<Item = (Target, impl FnOnce() -> F)>,
) -> Vec<Option<T>> {
    ask_each(sessions, stream::iter(questions)).await
}

/// As [`ask_all`], for questions of which some turn up while others are already asked.
pub async fn ask_each<T, F: Future<Output = T>>(
    sessions: &dyn Sessions,
    questions: impl Stream<Item = (Target, impl FnOnce() -> F)>,
) -> Vec<Option<T>> {
    wait(|lane| sessions.heard(lane), questions).await
}

async fn wait<T, F: Future<Output = T>, Q: FnOnce() -> F>(
    heard: impl Fn(&Target) -> Option<Instant>,
    questions: impl Stream<Item = (Target, Q)>,
) -> Vec<Option<T>> {
    let mut questions = pin!(questions);
    let mut open = FuturesUnordered::new();
    let ask = |at: usize, question: F| async move { (at, question.await) };
    let mut asked: Vec<(usize, Q)> = Vec::new();
    let mut turns = Turns::new();
    let (mut lanes, mut answers): (Vec<Target>, Vec<Option<T>>) = (Vec::new(), Vec::new());
    let (mut all_asked, mut patient) = (false, true);
    let (mut begun, mut grace) = (Instant::now(), GRACE);
    let (mut deadline, mut next_turn) = (begun + LONGEST, begun + SILENCE);
    loop {
        if !asked.is_empty() {
            open.extend(asked.drain(..).map(|(at, question)| ask(at, question())));
            begun = Instant::now();
            deadline = begun + LONGEST;
        }
        if all_asked && !turns.are_waited_for() {
            if open.is_empty() {
                return answers;
            }
            if patient && open.len() * 4 <= lanes.len() {
                patient = false;
                grace = GRACE.max(begun.elapsed() * SLOWER);
                deadline = deadline.min(Instant::now() + grace);
            }
        }
        tokio::select! {
            biased;
            question = questions.next(), if !all_asked => match question {
                Some((lane, question)) => {
                    let at = lanes.len();
                    asked.extend(turns.enter(&lane, at, question));
                    lanes.push(lane);
                    answers.push(None);
                }
                None => all_asked = true,
            },
            Some((at, answer)) = open.next(), if !open.is_empty() => {
                answers[at] = Some(answer);
                asked.extend(turns.leave(&lanes[at].region, at));
            }
            () = sleep_until(next_turn), if turns.are_waited_for() => {
                asked.extend(turns.pass_over(&heard));
                next_turn = Instant::now() + SILENCE;
            }
            () = sleep_until(deadline), if all_asked => {
                let missing = lanes.iter().zip(&answers).filter(|(_, answer)| answer.is_none());
                match missing.filter_map(|(lane, _)| heard(lane)).max() {
                    Some(last) if last + grace > Instant::now() => deadline = last + grace,
                    _ => return answers,
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;
    use futures::future::BoxFuture;

    use super::*;
    use crate::model::{AccountId, Region};

    fn lane() -> Target {
        Target::new(AccountId::new("111122223333").unwrap(), Region::new("eu-west-3").unwrap())
    }

    async fn after(seconds: u64) -> u64 {
        tokio::time::sleep(Duration::from_secs(seconds)).await;
        seconds
    }

    /// A question that is answered after so long.
    fn question(seconds: u64) -> (Target, impl FnOnce() -> BoxFuture<'static, u64>) {
        (lane(), move || after(seconds).boxed())
    }

    async fn ask_all<const N: usize>(seconds: [u64; N]) -> Vec<Option<u64>> {
        wait(|_| None, stream::iter(seconds.map(question))).await
    }

    #[tokio::test(start_paused = true)]
    async fn a_dead_region_costs_seconds() {
        let begun = Instant::now();
        let answers = ask_all([1, 2, 3600, 1, 2]).await;
        assert_eq!(answers, [Some(1), Some(2), None, Some(1), Some(2)]);
        assert_eq!(begun.elapsed().as_secs(), 8);
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_network_is_given_its_time() {
        let answers = ask_all([20, 21, 22, 35]).await;
        assert_eq!(answers, [Some(20), Some(21), Some(22), Some(35)]);
    }

    #[tokio::test(start_paused = true)]
    async fn questions_that_turn_up_late_are_given_their_time_as_well() {
        let late = stream::once(after(30)).flat_map(|_| stream::iter([1, 2, 3600, 1].map(question)));
        let early = stream::iter([1].map(question));
        let begun = Instant::now();
        let answers = wait(|_| None, early.chain(late)).await;
        assert_eq!(answers, [Some(1), Some(1), Some(2), None, Some(1)]);
        assert_eq!(begun.elapsed().as_secs(), 38);
    }

    #[tokio::test(start_paused = true)]
    async fn a_lane_that_goes_on_answering_is_waited_for() {
        let begun = Instant::now();
        let busy = |_: &Target| Some(Instant::now()).filter(|_| begun.elapsed().as_secs() < 60);
        let answers = wait(busy, stream::iter([1, 1, 1, 50].map(question))).await;
        assert_eq!(answers[3], Some(50));
        let begun = Instant::now();
        let falls_silent = |_: &Target| Some(begun + Duration::from_secs(10)).filter(|last| *last <= Instant::now());
        let answers = wait(falls_silent, stream::iter([1, 1, 1, 50].map(question))).await;
        assert_eq!((answers[3], begun.elapsed().as_secs() < 20), (None, true));
    }

    #[tokio::test(start_paused = true)]
    async fn of_very_many_lanes_some_wait_for_their_turn() {
        let begun = Instant::now();
        let answers = Box::pin(wait(|_| None, stream::iter(vec![1; 640].into_iter().map(question)))).await;
        assert!(answers.iter().all(|answer| *answer == Some(1)));
        assert_eq!(begun.elapsed().as_secs(), 10);
    }

    #[tokio::test(start_paused = true)]
    async fn dead_accounts_do_not_hold_up_the_others() {
        let begun = Instant::now();
        let seconds = (0..640).map(|n| if n < 128 { 3600 } else { 1 });
        let answers = wait(|_| None, stream::iter(seconds.map(question))).await;
        assert_eq!(answers.iter().filter(|answer| answer.is_none()).count(), 128);
        assert!(begun.elapsed().as_secs() < 20, "{:?}", begun.elapsed());
    }
}
