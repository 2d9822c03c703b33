//! The dated facts that captures hold, source by source.

pub mod between;
pub mod compute;
mod dates;
mod history;
pub use history::short;
mod identity;
pub mod report;
pub mod response;
pub mod usage;

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde_json::Value;

use super::Seen;
use super::fact::{Act, Confidence, Fact, Precision, Subject};

/// Last-used dates lag by so much.
pub const LAG: jiff::SignedDuration = jiff::SignedDuration::from_mins(15);

/// Whether an answer can hold facts, or say who has which credentials; others are not read.
pub fn is_read(api: &str) -> bool {
    !matches!(
        api,
        "ec2:GetConsoleOutput"
            | "ec2:GetConsoleScreenshot"
            | "ec2:DescribeInstanceAttribute"
            | "ec2:DescribeImageAttribute"
            | "ec2:DescribeSnapshotAttribute"
            | "iam:GenerateCredentialReport"
    )
}

/// The facts of records; what several captures say alike is there once.
pub fn of(seen: &[Seen]) -> Vec<Fact> {
    let mut facts: Vec<Fact> = Vec::new();
    let launches = compute::Attachments::of(seen);
    let keys = identity::known_keys(seen);
    facts.extend(usage::facts(seen));
    for seen in seen {
        match seen.record.kind {
            "cloudtrail event" => facts.extend(history::fact(seen)),
            "ec2 instance" => facts.extend(compute::machine(seen, &launches)),
            kind if kind.starts_with("iam ") => facts.extend(identity::facts(seen)),
            "answer" => facts.extend(identity::answered(seen, &keys)),
            _ => facts.extend(dates::facts(seen)),
        }
    }
    facts
}

/// Puts facts in order and leaves out what is said twice: by several captures, or in the histories of several regions.
pub fn settle(facts: &mut Vec<Fact>) {
    facts.sort_by(|a, b| (a.time, a.act, &a.subject.id, &a.api).cmp(&(b.time, b.act, &b.subject.id, &b.api)));
    let mut known = BTreeSet::new();
    facts.retain(|fact| {
        let Fact { time, act, api, field, account, region, subject, .. } = fact;
        known.insert((*time, *act, api.clone(), field.clone(), account.clone(), region.clone(), subject.id.clone()))
    });
}

/// A fact that a date on a resource bears.
fn dated(seen: &Seen, (act, field, time): (Act, &str, Timestamp), subject: Subject, message: String) -> Fact {
    Fact {
        time,
        precision: Precision::Second,
        confidence: Confidence::Dated,
        phase: None,
        act,
        message,
        api: seen.api.clone(),
        field: field.to_owned(),
        account: seen.record.target.account.clone(),
        region: seen.record.target.region.clone(),
        by: None,
        subject,
        evidence: Some(seen.sha256.clone()),
        notes: Vec::new(),
    }
}

impl Subject {
    /// Of a kind, with an id.
    pub fn new(kind: &str, id: impl Into<String>) -> Self {
        Self { kind: kind.to_owned(), id: id.into(), user: None, image: None }
    }

    /// The same, given to a user.
    #[must_use]
    pub fn of_user(mut self, user: impl Into<String>) -> Self {
        self.user = Some(user.into());
        self
    }
}

/// A date of AWS: a text in ISO 8601, or seconds since 1970 as the JSON protocols have it.
pub fn time(value: &Value) -> Option<Timestamp> {
    match value {
        Value::String(text) => text.parse().ok(),
        Value::Number(number) => {
            #[expect(clippy::cast_possible_truncation, reason = "milliseconds of a date fit")]
            let milliseconds = (number.as_f64()? * 1e3) as i64;
            Timestamp::from_millisecond(milliseconds).ok()
        }
        _ => None,
    }
}

/// A text member, by its pointer.
pub fn text<'a>(state: &'a Value, pointer: &str) -> &'a str {
    state.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}
