use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    ActionError, Approval, Caller, Change, ChangeId, Coverage, Digest, Effect, Plan, RunId, RunOutcome, Summary, Tier,
};

/// One fact of a run. The journal, the screen, the JSON lines and the report are made of these and of nothing else.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Counts from 0 without a gap.
    pub seq: u64,
    /// When quell noted it.
    pub at: Timestamp,
    /// What happened.
    #[serde(flatten)]
    pub kind: EventKind,
}

/// What can happen in a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum EventKind {
    /// The run exists, with all that it may do.
    RunStarted {
        /// Its id.
        run: RunId,
        /// quell's version.
        version: String,
        /// The plan, priors included.
        plan: Box<Plan>,
        /// The plan's digest.
        digest: Digest,
    },
    /// A process took the run up again.
    RunResumed {
        /// Who.
        caller: Caller,
    },
    /// A phase began.
    PhaseStarted {
        /// Which.
        phase: Phase,
    },
    /// A phase ended.
    PhaseEnded {
        /// Which.
        phase: Phase,
        /// How long it took, by the run's clock.
        seconds: f64,
    },
    /// A tier's changes wait for an answer.
    ApprovalAsked {
        /// The tier.
        tier: Tier,
        /// How many changes.
        changes: usize,
    },
    /// The answer.
    ApprovalAnswered {
        /// The answer, bound to the plan.
        approval: Approval,
    },
    /// The intent to make a change: durable before any request of it leaves.
    ChangeStarted {
        /// Which.
        change: ChangeId,
    },
    /// A change has its outcome.
    ChangeEnded {
        /// Which.
        change: ChangeId,
        /// How it ended.
        outcome: Outcome,
    },
    /// A change was looked at again after all was done.
    ChangeProven {
        /// Which.
        change: ChangeId,
        /// What was seen.
        verdict: Verdict,
    },
    /// A change that was proven is not in force any more: somebody took it back. It is made again, under the approval that it
    /// has.
    ChangeReverted {
        /// Which.
        change: ChangeId,
        /// What was seen.
        why: String,
    },
    /// A sweep looked for newcomers.
    SweepEnded {
        /// Counts from 1.
        sweep: u32,
        /// How many resources the sets have that no plan named before.
        newcomers: usize,
        /// How many proven changes somebody had taken back.
        #[serde(default)]
        reverted: usize,
        /// What the sweep saw.
        coverage: Coverage,
        /// Why it saw nothing at all: nobody could be asked where to look.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        missed: Option<String>,
    },
    /// A sweep found work, which becomes part of the run (after approval, where the runbook does not pre-approve it).
    PlanExtended {
        /// The changes.
        changes: Vec<Change>,
        /// The digest of the whole plan with them.
        digest: Digest,
    },
    /// A person asked to stop: what is in flight ends, nothing else begins.
    StopRequested,
    /// The process ended in good order.
    RunEnded {
        /// How.
        outcome: RunOutcome,
        /// The figures.
        summary: Box<Summary>,
    },
}

/// The parts of a run that are timed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// Looking: targets, sets, priors.
    Survey,
    /// Deciding.
    Plan,
    /// Checking permissions and guards.
    Preflight,
    /// Waiting for people.
    Approval,
    /// Changing.
    Apply,
    /// Looking again.
    Prove,
}

/// How a change ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "kebab-case")]
pub enum Outcome {
    /// AWS accepted it.
    Done {
        /// What it made.
        #[serde(default, skip_serializing_if = "serde_json::Value::is_null")]
        effect: Effect,
    },
    /// It was so when looked at right before (or: it had taken effect before a crash).
    Already,
    /// AWS refused or did not answer.
    Failed {
        /// Why.
        error: ActionError,
    },
    /// The resource is no longer as approved; it was left alone.
    Drifted {
        /// What is different.
        why: String,
    },
    /// It did not begin: something it needs failed, or its tier was not approved.
    Skipped {
        /// Why.
        why: String,
    },
}

impl Outcome {
    /// Whether steps that need this change may go on.
    pub fn is_good(&self) -> bool {
        matches!(self, Self::Done { .. } | Self::Already)
    }
}

/// What a look after the change saw.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "verdict", rename_all = "kebab-case")]
pub enum Verdict {
    /// It is as the plan wished.
    Proven,
    /// On its way, and accepted by AWS: "snapshot at 40 %".
    Pending {
        /// What is still to come.
        why: String,
    },
    /// It is not as wished, or it could not be seen.
    Unproven {
        /// What was seen instead.
        why: String,
    },
}
