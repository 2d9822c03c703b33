use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{CoverageCounts, RunId};

/// How a run ended, and with it quell's exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RunOutcome {
    /// Everything done and proven, everything looked at.
    Contained,
    /// A rollback: everything taken back that can be.
    RolledBack,
    /// There was nothing to do, and everything was looked at.
    NothingToDo,
    /// Some changes failed, drifted or are unproven.
    Incomplete,
    /// What could be seen is done, but something could not be seen.
    CoverageIncomplete,
    /// A guard, or a person, said no; nothing was changed after that.
    Refused,
    /// Stopped by hand; `quell resume` goes on.
    Interrupted,
    /// quell itself failed.
    Failed,
}

impl RunOutcome {
    /// The exit code of the process (design, section 7).
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Contained | Self::RolledBack | Self::NothingToDo => 0,
            Self::Failed => 1,
            Self::Incomplete => 3,
            Self::Refused => 4,
            Self::CoverageIncomplete => 5,
            Self::Interrupted => 130,
        }
    }

    /// As it stands in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Contained => "contained",
            Self::RolledBack => "rolled-back",
            Self::NothingToDo => "nothing-to-do",
            Self::Incomplete => "incomplete",
            Self::CoverageIncomplete => "coverage-incomplete",
            Self::Refused => "refused",
            Self::Interrupted => "interrupted",
            Self::Failed => "failed",
        }
    }
}

/// The closing figures of a run: the document that `--output json` prints.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// How it ended.
    pub outcome: RunOutcome,
    /// Its id.
    pub run: RunId,
    /// The name of the runbook.
    pub runbook: String,
    /// When it began.
    pub started: Timestamp,
    /// What became of the changes.
    pub changes: ChangeCounts,
    /// What was looked at.
    pub coverage: CoverageCounts,
    /// Requests sent to AWS, retries included.
    pub requests: u64,
    /// Answers that said "too fast".
    pub throttled: u64,
    /// Requests sent again.
    pub retries: u64,
    /// How long each phase took, by the run's clock.
    pub seconds: PhaseSeconds,
}

/// What became of the changes. Every planned change is in exactly one of the other counts once a run has ended, but that
/// `unproven` counts among `done`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "each field is the outcome of its name")]
pub struct ChangeCounts {
    pub planned: usize,
    pub done: usize,
    pub already: usize,
    pub failed: usize,
    pub drifted: usize,
    pub skipped: usize,
    pub unproven: usize,
}

/// Seconds per phase.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "each field is the phase of its name")]
pub struct PhaseSeconds {
    pub survey: f64,
    pub plan: f64,
    pub preflight: f64,
    pub approval: f64,
    pub apply: f64,
    pub prove: f64,
    pub total: f64,
}
