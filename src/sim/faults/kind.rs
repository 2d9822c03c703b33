use serde::{Deserialize, Serialize};

/// What can go wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FaultKind {
    /// The request never arrives, and nothing ever comes back.
    NoAnswer,
    /// No connection is made.
    RefuseConnection,
    /// The connection is made, and the TLS handshake fails.
    TlsError,
    /// The connection breaks before the request is carried out.
    ResetBefore,
    /// The request is carried out, and the connection breaks before the answer.
    Reset,
    /// The request is carried out, and nothing ever comes back.
    LostAnswer,
    /// The request is carried out, and the connection breaks in the middle of the answer.
    HalfAnswer,
    /// The request is carried out, and the answer is empty.
    EmptyAnswer,
    /// The request is carried out, and the answer is no text of the protocol.
    Garbage,
    /// `InternalError`, 500.
    #[serde(rename = "http-500")]
    Http500,
    /// A gateway's page, 502: nothing was carried out.
    #[serde(rename = "http-502")]
    Http502,
    /// `ServiceUnavailable`, 503.
    #[serde(rename = "http-503")]
    Http503,
    /// A gateway's page, 504: the request is carried out, the gateway did not wait for the answer.
    #[serde(rename = "http-504")]
    Http504,
    /// A web page with status 200 in the place of the answer, as a proxy or a hotel's network sends it: nothing was carried out.
    #[serde(rename = "html-200")]
    Html200,
    /// A web page with status 503: nothing was carried out.
    #[serde(rename = "html-503")]
    Html503,
    /// The service's own "too fast".
    Throttle,
    /// The service's own "access denied".
    Deny,
    /// It takes longer.
    Latency,
    /// Reads answer from the state before the writes of the last moments.
    StaleReads,
    /// What was just made is not found.
    NotFoundAfterCreate,
    /// The service's clock is ahead.
    ClockAhead,
    /// The service's clock is behind.
    ClockBehind,
    /// Sessions that began before count as expired.
    ExpireSessions,
    /// Keys, and sessions that began before, count as unknown.
    RevokeCredentials,
    /// The same page comes again, with the same token.
    RepeatPage,
    /// A page without anything comes first, with a token.
    EmptyPage,
    /// A page's token is refused.
    RefuseToken,
}

impl FaultKind {
    /// All of them.
    pub const ALL: [Self; 27] = [
        Self::NoAnswer,
        Self::RefuseConnection,
        Self::TlsError,
        Self::ResetBefore,
        Self::Reset,
        Self::LostAnswer,
        Self::HalfAnswer,
        Self::EmptyAnswer,
        Self::Garbage,
        Self::Http500,
        Self::Http502,
        Self::Http503,
        Self::Http504,
        Self::Html200,
        Self::Html503,
        Self::Throttle,
        Self::Deny,
        Self::Latency,
        Self::StaleReads,
        Self::NotFoundAfterCreate,
        Self::ClockAhead,
        Self::ClockBehind,
        Self::ExpireSessions,
        Self::RevokeCredentials,
        Self::RepeatPage,
        Self::EmptyPage,
        Self::RefuseToken,
    ];

    /// As it is written: `no-answer`.
    pub fn name(self) -> String {
        match serde_json::to_value(self) {
            Ok(serde_json::Value::String(name)) => name,
            _ => String::new(),
        }
    }

    /// The names of all, for messages.
    pub(super) fn names() -> String {
        Self::ALL.map(Self::name).join(", ")
    }

    /// Whether it comes beside what else becomes of a request.
    pub(super) fn adds(self) -> bool {
        self == Self::Latency || self.takes_by()
    }

    /// Whether it is about lists that come in pages.
    pub(super) fn is_of_pages(self) -> bool {
        matches!(self, Self::RepeatPage | Self::EmptyPage | Self::RefuseToken)
    }

    /// Whether it is stated by how much.
    pub(super) fn takes_by(self) -> bool {
        matches!(self, Self::StaleReads | Self::NotFoundAfterCreate | Self::ClockAhead | Self::ClockBehind)
    }
}

impl std::fmt::Display for FaultKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.name())
    }
}

impl std::str::FromStr for FaultKind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = Self::ALL.into_iter().find(|kind| kind.name() == text);
        known.ok_or_else(|| format!("`{text}` is not a kind of fault; there are {}", Self::names()))
    }
}
