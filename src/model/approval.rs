use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Digest, Tier};

/// The answer to one question: may the changes of this tier, in exactly this plan, be made?
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approval {
    /// The digest of the plan that was shown.
    pub plan: Digest,
    /// What was asked for.
    pub tier: Tier,
    /// The answer.
    pub answer: Answer,
    /// Who answered: the operating system's user name, or what an approval file names.
    pub by: String,
    /// By what means: "terminal", "--approve".
    pub through: String,
    /// When.
    pub at: Timestamp,
}

/// Yes or no.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Answer {
    /// Go ahead.
    Approved,
    /// Do not.
    Refused,
}
