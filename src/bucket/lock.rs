//! For how long, and how hard.

use aws_sdk_s3::types::{ObjectLockMode, ObjectLockRetentionMode};
use jiff::Timestamp;

/// The lock of what is put into a bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lock {
    /// Who can end it early.
    pub mode: Mode,
    /// Until when it holds.
    pub until: Timestamp,
}

/// Who can end a lock early.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Mode {
    /// Who has `s3:BypassGovernanceRetention` and asks for it
    #[default]
    Governance,
    /// Nobody, not even the root user, until its time is over: a mistake stays as well
    Compliance,
}

impl Mode {
    /// As a new version has it.
    pub(super) fn of_version(self) -> ObjectLockMode {
        match self {
            Self::Governance => ObjectLockMode::Governance,
            Self::Compliance => ObjectLockMode::Compliance,
        }
    }

    /// As a lock that is prolonged has it.
    pub(super) fn of_retention(self) -> ObjectLockRetentionMode {
        match self {
            Self::Governance => ObjectLockRetentionMode::Governance,
            Self::Compliance => ObjectLockRetentionMode::Compliance,
        }
    }
}
