//! What ends a command, and the exit code that it ends with.

use std::fmt;

use crate::bounded::Unreadable;
use crate::journal::JournalError;
use crate::model::{ActionError, ErrorKind};
use crate::report::text::shown;

/// A command that cannot go on.
#[derive(Debug)]
pub struct Failure {
    kind: FailureKind,
    message: String,
    hints: Vec<String>,
}

/// Whose turn it is after a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureKind {
    /// The person who typed the command: a wrong argument, a runbook with mistakes, no credentials.
    Usage,
    /// The person who answers for it: a guard or an approval said no.
    Refused,
    /// Whoever runs the machine, or AWS: a file that cannot be written, a service that does not answer.
    Failed,
    /// Nobody: standard output was closed by its reader.
    OutputClosed,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Failure {
    /// Used wrongly.
    pub fn usage(message: impl fmt::Display) -> Self {
        Self::new(FailureKind::Usage, message)
    }

    /// Refused.
    pub fn refused(message: impl fmt::Display) -> Self {
        Self::new(FailureKind::Refused, message)
    }

    /// Failed.
    pub fn failed(message: impl fmt::Display) -> Self {
        Self::new(FailureKind::Failed, message)
    }

    /// Used wrongly, in several ways: each is told on a line of its own.
    pub fn usages(messages: impl IntoIterator<Item = impl fmt::Display>) -> Self {
        let lines: Vec<String> = messages.into_iter().map(|message| shown(&message.to_string())).collect();
        Self { kind: FailureKind::Usage, message: lines.join("\n"), hints: Vec::new() }
    }

    /// Adds a line to the message.
    #[must_use]
    pub fn line(mut self, line: impl fmt::Display) -> Self {
        self.message = format!("{}\n  {}", self.message, shown(&line.to_string()));
        self
    }

    /// What AWS says may hold line ends, and must not be able to tell a story of its own.
    fn new(kind: FailureKind, message: impl fmt::Display) -> Self {
        Self { kind, message: shown(&message.to_string()), hints: Vec::new() }
    }

    /// Adds a way out.
    #[must_use]
    pub fn hint(mut self, hint: impl fmt::Display) -> Self {
        self.hints.push(hint.to_string());
        self
    }

    /// The same failure in other words.
    #[must_use]
    pub fn about(mut self, message: impl fmt::Display) -> Self {
        self.message = shown(&message.to_string());
        self
    }

    /// Whose turn it is.
    pub fn kind(&self) -> FailureKind {
        self.kind
    }

    /// What happened.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The ways out.
    pub fn hints(&self) -> &[String] {
        &self.hints
    }

    /// The exit code of the process (see `quell --help`).
    pub fn exit_code(&self) -> u8 {
        match self.kind {
            FailureKind::Usage => 2,
            FailureKind::Refused => 4,
            FailureKind::Failed | FailureKind::OutputClosed => 1,
        }
    }
}

impl From<JournalError> for Failure {
    fn from(error: JournalError) -> Self {
        let kind = match &error {
            JournalError::Io { .. } => FailureKind::Failed,
            JournalError::Unknown { .. } | JournalError::Version { .. } => FailureKind::Usage,
            JournalError::Locked { .. } | JournalError::Broken { .. } | JournalError::NoJournal { .. } => {
                FailureKind::Refused
            }
        };
        let broken = matches!(error, JournalError::Broken { .. } | JournalError::NoJournal { .. });
        let failure = Self::new(kind, error);
        if broken {
            failure.hint("put the file back as it was, from a copy; what AWS itself recorded is in CloudTrail")
        } else {
            failure
        }
    }
}

impl From<ActionError> for Failure {
    fn from(error: ActionError) -> Self {
        match error.kind {
            ErrorKind::Credentials => Self::usage(format!("AWS does not accept the credentials: {error}"))
                .hint("sign in again (`aws sso login`), or set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (with AWS_SESSION_TOKEN for temporary ones)"),
            ErrorKind::NotFound => Self::usage(error),
            ErrorKind::Denied => Self::refused(format!("AWS denies the caller what the plan needs: {error}"))
                .hint("`quell doctor RUNBOOK` names the missing permissions, `quell policy RUNBOOK` prints a policy that has them"),
            ErrorKind::Refused => Self::refused(error),
            ErrorKind::Unreachable => {
                Self::failed(format!("AWS does not answer: {error}")).hint("`quell doctor` tells what can be reached")
            }
            ErrorKind::Throttled
            | ErrorKind::WrongState
            | ErrorKind::Quota
            | ErrorKind::Already
            | ErrorKind::Disabled
            | ErrorKind::Unsupported
            | ErrorKind::Other => Self::failed(error),
        }
    }
}

impl Failure {
    /// A file that the caller named cannot be read. `what` is its kind, with its article.
    pub fn unreadable(what: &str, file: &str, error: &Unreadable) -> Self {
        let failure = Self::usage(format!("cannot read {what} `{}`: {error}", shown(file)));
        match error.way_out() {
            Some(way_out) => failure.hint(way_out),
            None => failure,
        }
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        let closed = error.kind() == std::io::ErrorKind::BrokenPipe;
        Self::new(if closed { FailureKind::OutputClosed } else { FailureKind::Failed }, error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_its_exit_code() {
        assert_eq!(Failure::usage("x").exit_code(), 2);
        assert_eq!(Failure::refused("x").exit_code(), 4);
        assert_eq!(Failure::failed("x").exit_code(), 1);
    }

    #[test]
    fn wrong_credentials_are_a_mistake_of_the_caller() {
        let expired = ActionError {
            kind: ErrorKind::Credentials,
            code: Some("ExpiredToken".into()),
            message: "The security token included in the request is expired".into(),
            request_id: None,
        };
        let failure = Failure::from(expired);
        assert_eq!(failure.exit_code(), 2);
        assert!(failure.message().contains("ExpiredToken"));
        assert!(failure.hints()[0].contains("sso login"));
    }

    #[test]
    fn an_answer_of_awss_is_one_line() {
        let error = ActionError::new(ErrorKind::Other, "no\nhint: paste this into a shell\u{1b}[2J");
        assert_eq!(Failure::from(error).message(), "no\\u{a}hint: paste this into a shell\\u{1b}[2J");
        assert_eq!(Failure::usages(["a", "b\n"]).message(), "a\nb\\u{a}");
    }

    #[test]
    fn a_tampered_journal_is_refused() {
        let broken = JournalError::Broken { path: "journal.jsonl".into(), line: 3, why: "no".into() };
        assert_eq!(Failure::from(broken).exit_code(), 4);
    }
}
