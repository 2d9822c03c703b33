//! What the engine needs from outside: time, sessions, a screen, people.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use jiff::Timestamp;
use tokio::time::{Duration, Instant};

use super::action::Ctx;
use crate::model::{
    AccountId, ActionError, Answer, Caller, Event, Finding, Plan, Regions, Role, Target, Targets, Tier,
};

/// A future behind a port.
pub type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Time. Waiting is tokio's own `sleep`, which a drill's runtime pauses and moves forward by itself: so there is one
/// flow of time for quell, for the SDK and for the simulated AWS.
pub trait Clock: Send + Sync + std::fmt::Debug {
    /// The time now.
    fn now(&self) -> Timestamp;
}

/// The clock on the wall.
#[derive(Debug, Clone, Copy)]
pub struct WallClock;

impl Clock for WallClock {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}

/// A clock that begins at a given time and goes with tokio's: at the pace of the day, or, on a paused runtime, as fast as
/// the work is done.
#[derive(Debug, Clone, Copy)]
pub struct TokioClock {
    start: Timestamp,
    since: Instant,
}

impl TokioClock {
    /// A clock that shows `start` now. Must be made inside a tokio runtime.
    pub fn starting_at(start: Timestamp) -> Self {
        Self { start, since: Instant::now() }
    }
}

impl Clock for TokioClock {
    fn now(&self) -> Timestamp {
        let elapsed: Duration = self.since.elapsed();
        self.start.saturating_add(elapsed).unwrap_or(Timestamp::MAX)
    }
}

/// An account of a runbook's targets, or why it cannot be worked in.
pub type Account = (AccountId, Result<(), ActionError>);

/// A lane of a runbook's targets, or why it cannot be entered.
pub type Lane = (Target, Result<(), ActionError>);

/// What a session may do. There is no flag in the code that writes: the wire itself refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Access {
    /// Only calls on the read list, and EC2 calls that carry `DryRun`.
    Read,
    /// Every call.
    Write,
}

/// Sessions in accounts and regions.
pub trait Sessions: Send + Sync {
    /// Who the caller is (`sts:GetCallerIdentity`).
    fn caller(&self) -> Boxed<'_, Result<Caller, ActionError>>;

    /// The accounts that a runbook's targets stand for. One that is known not to be worked in comes with the error that
    /// says why.
    fn accounts<'a>(&'a self, targets: &'a Targets) -> Boxed<'a, Result<Vec<Account>, ActionError>>;

    /// The regional lanes of an account. What is disabled, or cannot be entered, comes with the error that says so. An error
    /// is a mistake in `wanted`.
    fn regions<'a>(&'a self, account: &'a AccountId, wanted: &'a Regions) -> Boxed<'a, Result<Vec<Lane>, ActionError>>;

    /// Tells which role to assume in accounts that are not the caller's own. [`Sessions::accounts`] does so by itself; a run
    /// that begins from a plan or a journal says it here.
    fn assume(&self, role: Option<&Role>);

    /// A session in a lane.
    fn enter<'a>(&'a self, target: &'a Target, access: Access) -> Boxed<'a, Result<Ctx, ActionError>>;

    /// Which of these permissions the lane's principal lacks, as far as AWS can say beforehand
    /// (`iam:SimulatePrincipalPolicy`). When AWS cannot say, one note that it could not be checked.
    fn lacking<'a>(&'a self, target: &'a Target, permissions: &'a [&'static str]) -> Boxed<'a, Vec<Finding>>;

    /// When the lane last answered anything: a lane that answers slowly is not a dead one.
    fn heard(&self, target: &Target) -> Option<Instant>;

    /// Requests, throttle answers and repeats so far.
    fn traffic(&self) -> Traffic;
}

/// What went over the wire so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Requests sent, repeats included.
    pub requests: u64,
    /// Answers that said "too fast".
    pub throttled: u64,
    /// Requests sent again.
    pub retries: u64,
}

/// A consumer of events: screen, JSON lines. It cannot fail the run and cannot steer it.
pub trait Reporter: Send {
    /// Shows one event.
    fn event(&mut self, event: &Event);
}

/// People, or what stands for them.
pub trait Approver: Send + Sync {
    /// Asks whether the changes of a tier may be made. Resolves when there is an answer: yes or no, by whom, through what.
    fn ask<'a>(&'a self, plan: &'a Plan, tier: Tier) -> Boxed<'a, Reply>;
}

/// An answer as it comes from an [`Approver`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// Yes or no.
    pub answer: Answer,
    /// Who.
    pub by: String,
    /// Through what: "terminal", "--approve".
    pub through: String,
}

/// A shared clock.
pub type SharedClock = Arc<dyn Clock>;
