use serde::{Deserialize, Serialize};

/// What a failed request means for the run. Decided by AWS's error code, never by its text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ErrorKind {
    /// Permission is missing, or a policy denies it.
    Denied,
    /// The credentials are wrong, inactive or expired.
    Credentials,
    /// The rate limit, after all retries.
    Throttled,
    /// The resource is not there.
    NotFound,
    /// The resource is in a state, or has a protection, that forbids it.
    WrongState,
    /// A quota is full.
    Quota,
    /// It is already so.
    Already,
    /// The region is not enabled for the account.
    Disabled,
    /// No answer, or none that can be understood: whether the request took effect is unknown until it is looked at.
    Unreachable,
    /// AWS does not know the operation here, or quell cannot use its answer.
    Unsupported,
    /// A guard of quell's refused to send it.
    Refused,
    /// Anything else.
    Other,
}

/// A request, or an action, that failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{}{message}{}", code.as_ref().map(|code| format!("{code}: ")).unwrap_or_default(),
    request_id.as_ref().map(|id| format!(" (request {id})")).unwrap_or_default())]
pub struct ActionError {
    /// What it means.
    pub kind: ErrorKind,
    /// AWS's error code, as it stood on the wire.
    pub code: Option<String>,
    /// AWS's or quell's words.
    pub message: String,
    /// AWS's id of the request, to ask AWS Support about.
    pub request_id: Option<String>,
}

impl ActionError {
    /// An error of quell's own.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, code: None, message: message.into(), request_id: None }
    }

    /// Whether AWS answered with this code.
    pub fn is(&self, code: &str) -> bool {
        self.code.as_deref() == Some(code)
    }
}
