//! The intruder of a drill, beside the run and after it.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::report::drill::{Intruder, Try, Way};
use crate::sim::Sim;
use crate::sim::adversary::{self, Adversary, Aim, Attempt, Begins, End};

/// An intruder who fights, or waits for the run to end.
pub enum Fight {
    /// It waits.
    Waiting(adversary::Intruder),
    /// It is at work until it is told that it is over.
    Going(watch::Sender<bool>, JoinHandle<Vec<Attempt>>),
}

impl Fight {
    /// Sets the intruder of a scenario on the simulated AWS.
    pub fn of(sim: &Sim, intruder: adversary::Intruder) -> Self {
        match intruder.begins {
            Begins::AtOnce => Self::begun(sim, intruder),
            Begins::Afterwards => Self::Waiting(intruder),
        }
    }

    fn begun(sim: &Sim, intruder: adversary::Intruder) -> Self {
        let (sender, over) = watch::channel(false);
        Self::Going(sender, tokio::spawn(Adversary::new(sim.clone(), intruder).fight(over)))
    }

    /// Lets it go on for so long, now that the run has ended, and tells what it tried.
    pub async fn go_on(self, sim: &Sim, aftermath: Duration) -> Intruder {
        let ended = sim.now();
        let fight = match self {
            Self::Waiting(intruder) => Self::begun(sim, intruder),
            going @ Self::Going(..) => going,
        };
        let Self::Going(sender, fighting) = fight else { unreachable!("it has begun") };
        tokio::time::sleep(aftermath).await;
        // Nobody listens any more when it has come to an end by itself.
        let _ = sender.send(true);
        let attempts = fighting.await.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()));
        told(&attempts, ended, aftermath)
    }
}

/// The attempts of a fight, by action.
fn told(attempts: &[Attempt], ended: Timestamp, aftermath: Duration) -> Intruder {
    let mut tries: BTreeMap<&str, Try> = BTreeMap::new();
    let after = attempts.iter().filter(|attempt| attempt.at >= ended);
    for Attempt { with, aim, region, action, end, .. } in after {
        let tried = tries.entry(action).or_insert_with(|| Try {
            action: action.clone(),
            gains: *aim != Aim::Enter,
            ..Try::default()
        });
        match end {
            End::Succeeded => {
                tried.succeeded += 1;
                tried.ways.insert(Way { with: with.clone(), region: region.clone() });
            }
            End::Refused(code) => *tried.refused.entry(code.clone()).or_default() += 1,
            End::Failed(code) => *tried.failed.entry(code.clone()).or_default() += 1,
        }
    }
    Intruder {
        during: attempts.iter().filter(|attempt| attempt.at < ended).count(),
        seconds: aftermath.as_secs_f64(),
        tries: tries.into_values().collect(),
    }
}
