//! What is asked for a capture: the state of accounts, in all their regions, read only.
//!
//! A file per service says what is asked of it. None of them keeps anything: every answer passes the [`Recorder`], as it came,
//! on its way in, so that what is kept is what AWS said and not what quell understood.

#[cfg(feature = "autoscaling")]
mod autoscaling;
#[cfg(feature = "cloudtrail")]
mod cloudtrail;
#[cfg(feature = "config")]
mod config;
#[cfg(feature = "costexplorer")]
mod costs;
#[cfg(feature = "ec2")]
mod ec2;
#[cfg(feature = "guardduty")]
mod guardduty;
#[cfg(feature = "iam")]
mod iam;
#[cfg(feature = "organizations")]
mod organizations;
mod questions;
mod recorder;
#[cfg(feature = "s3")]
mod s3;

use std::collections::BTreeSet;
use std::sync::Arc;

use futures::future::join_all;
use jiff::Timestamp;

use crate::cloud::{self, Witness, regions, retry};
use crate::engine::action::Ctx;
use crate::engine::ports::{Access, Boxed, Sessions};
use crate::model::{ActionError, ErrorKind, Target, Targets};
use questions::Questions;
pub use recorder::{Recorded, Recorder};

/// What is to be captured.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// Which accounts and regions.
    pub targets: Targets,
    /// Since when the event history is read; none leaves it out.
    pub history: Option<Timestamp>,
    /// Now, by quell's clock.
    pub now: Timestamp,
    /// The operations that are asked; none asks all.
    pub only: Option<BTreeSet<&'static str>>,
    /// What an earlier process captured to its end.
    pub done: BTreeSet<String>,
}

/// What is asked of one service in one lane.
type Ask = for<'a> fn(&'a Ctx, &'a Questions, &'a Wanted) -> Boxed<'a, ()>;

/// What is asked once per account.
const OF_ACCOUNT: &[Ask] = &[
    #[cfg(feature = "iam")]
    |cx, questions, _| Box::pin(iam::ask(cx, questions)),
    #[cfg(feature = "organizations")]
    |cx, questions, _| Box::pin(organizations::ask(cx, questions)),
    #[cfg(feature = "s3")]
    |cx, questions, _| Box::pin(s3::ask(cx, questions)),
    #[cfg(feature = "costexplorer")]
    |cx, questions, wanted| Box::pin(costs::ask(cx, questions, wanted)),
];

/// What is asked in every region.
const OF_REGION: &[Ask] = &[
    #[cfg(feature = "ec2")]
    |cx, questions, _| Box::pin(ec2::ask(cx, questions)),
    #[cfg(feature = "autoscaling")]
    |cx, questions, _| Box::pin(autoscaling::ask(cx, questions)),
    #[cfg(feature = "config")]
    |cx, questions, _| Box::pin(config::ask(cx, questions)),
    #[cfg(feature = "guardduty")]
    |cx, questions, _| Box::pin(guardduty::ask(cx, questions)),
    #[cfg(feature = "cloudtrail")]
    |cx, questions, wanted| Box::pin(cloudtrail::ask(cx, questions, wanted)),
];

/// Asks everything of all targets at once. What cannot be answered becomes a gap of the capture; nothing of that holds up the
/// rest.
///
/// # Errors
/// When the accounts cannot be found out, or the targets name a region that there is not.
pub async fn capture(
    sessions: &dyn Sessions,
    recorder: &Arc<Recorder>,
    wanted: &Wanted,
    progress: &(dyn Fn(&Target) + Sync),
) -> Result<(), ActionError> {
    let accounts = sessions.accounts(&wanted.targets).await?;
    let ask = accounts.into_iter().map(|(account, state)| async move {
        let global = Target::global(account.clone());
        if let Err(error) = state {
            recorder.lacks(&global, "the account", &error);
            return Ok(());
        }
        let regional = async {
            let lanes = sessions.regions(&account, &wanted.targets.regions).await?;
            let lanes = lanes.into_iter().map(|(lane, state)| async move {
                match state {
                    Ok(()) => self::lane(sessions, recorder, wanted, (&lane, OF_REGION), progress).await,
                    Err(error) if error.kind == ErrorKind::Disabled => {}
                    Err(error) => recorder.lacks(&lane, "the region", &error),
                }
            });
            join_all(lanes).await;
            Ok(())
        };
        let ((), regional) =
            futures::join!(lane(sessions, recorder, wanted, (&global, OF_ACCOUNT), progress), regional);
        regional
    });
    join_all(ask).await.into_iter().collect()
}

/// Asks everything in one lane.
async fn lane(
    sessions: &dyn Sessions,
    recorder: &Arc<Recorder>,
    wanted: &Wanted,
    (lane, asks): (&Target, &[Ask]),
    progress: &(dyn Fn(&Target) + Sync),
) {
    match sessions.enter(lane, Access::Read).await {
        Err(error) => recorder.lacks(lane, "everything", &error),
        Ok(cx) => ask_all(&cx, recorder, wanted, asks).await,
    }
    progress(lane);
}

/// Asks everything in the lane of a session.
async fn ask_all(cx: &Ctx, recorder: &Arc<Recorder>, wanted: &Wanted, asks: &[Ask]) {
    let questions = Questions::new(cx.target.clone(), recorder.clone(), wanted.only.clone());
    join_all(asks.iter().map(|ask| ask(cx, &questions, wanted))).await;
}

/// Asks everything of one account, whose session in any lane is given. The recorder is the witness of what is asked here, and of
/// nothing else that the run asks.
///
/// # Errors
/// When the account's regions cannot be found out.
pub async fn of_account(cx: &Ctx, recorder: &Arc<Recorder>, wanted: &Wanted) -> Result<(), ActionError> {
    let witness: Arc<dyn Witness> = recorder.clone();
    let global = Ctx { target: Target::global(cx.target.account.clone()), ..cloud::seen(cx, &witness) };
    let regional = async {
        let listed = regions::of(&global.sdk, retry::partition(&global.target)).await?;
        let asks = listed.into_iter().map(|(region, state)| {
            let cx = global.in_region(&region);
            async move {
                match state {
                    Ok(()) => ask_all(&cx, recorder, wanted, OF_REGION).await,
                    Err(error) if error.kind == ErrorKind::Disabled => {}
                    Err(error) => recorder.lacks(&cx.target, "the region", &error),
                }
            }
        });
        join_all(asks).await;
        Ok(())
    };
    let ((), regional) = futures::join!(ask_all(&global, recorder, wanted, OF_ACCOUNT), regional);
    regional
}
