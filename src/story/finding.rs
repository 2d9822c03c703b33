//! What is said of a principal.

use std::collections::BTreeSet;

use serde::Serialize;

use super::fact::{Confidence, Fact};
use crate::model::Digest;

/// A verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// The history has that its own credentials acted, nobody else is known to hold them, and they were used from where they
    /// had been used before, or with a second factor.
    Acted,
    /// Its own credentials were used in the incident; whether by itself is open.
    CredentialsUsed,
    /// What points at it was made, or could have been made, by somebody else.
    Framed,
    /// Nothing points at it.
    NoSign,
}

impl Verdict {
    /// In words.
    pub fn words(self) -> &'static str {
        match self {
            Self::Acted => "acted",
            Self::CredentialsUsed => "credentials used",
            Self::Framed => "framed: consistent with",
            Self::NoSign => "no sign",
        }
    }
}

/// A verdict on a principal, with its reasons.
#[derive(Debug, Clone, Serialize)]
pub struct Finding {
    /// The ARN.
    pub principal: String,
    /// The name.
    pub name: String,
    /// The verdict.
    pub verdict: Verdict,
    /// What the verdict rests on.
    pub confidence: Confidence,
    /// What its credentials did.
    pub proven: Vec<Point>,
    /// What looks like its doing and was done to it, and who could have.
    pub looks_like: Vec<Point>,
    /// What speaks against the verdict, or is open.
    pub against: Vec<Point>,
}

/// A reason.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Point {
    /// In words.
    pub text: String,
    /// The objects of the evidence store that say so.
    pub evidence: BTreeSet<Digest>,
}

impl Point {
    /// Without evidence of its own.
    pub(super) fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), evidence: BTreeSet::new() }
    }

    /// With the facts that say so.
    pub(super) fn of(text: impl Into<String>, facts: &[&Fact]) -> Self {
        Self { text: text.into(), evidence: facts.iter().filter_map(|fact| fact.evidence.clone()).collect() }
    }
}
