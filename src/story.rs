//! The story of an incident, told from evidence: what happened and when, and what is known of who did it.
//!
//! | file | holds |
//! |---|---|
//! | [`fact`] | what a dated fact is |
//! | [`facts`] | the facts that captures hold, one file per source |
//! | [`window`] | when the incident was, and what of it is which phase |
//! | [`principals`] | users, roles and root as the captures show them: credentials, last uses, policies |
//! | [`suspects`] | who could have done something at a time: the power by policy, and a credential that was in use |
//! | [`origins`] | who made the credentials that came into being in the incident, and which of them are the intruder's |
//! | [`attribution`] | how a verdict on each principal is come to |
//! | [`finding`] | the verdict, with the facts for and against |
//!
//! Nothing here asks AWS anything, and nothing is told that no fact bears: what is not known is said to be not known.

pub mod attribution;
pub mod fact;
pub mod facts;
pub mod finding;
pub mod origins;
pub mod principals;
pub mod suspects;
pub mod window;

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::evidence::resources::{self, Record};
use crate::evidence::{Captured, EvidenceError, Store};
use crate::model::{AccessKeyId, Digest, Event};

pub use fact::{Act, By, Confidence, Fact, Phase, Precision, Subject};
pub use finding::{Finding, Point, Verdict};
pub use window::Window;

/// What a responder knows beforehand.
#[derive(Debug, Clone, Default)]
pub struct Known {
    /// Access keys that are in somebody else's hands.
    pub leaked_keys: Vec<AccessKeyId>,
    /// Since when.
    pub since: Option<Timestamp>,
}

/// A record of a capture, with where it stands.
#[derive(Debug, Clone)]
pub struct Seen {
    /// What it says.
    pub record: Record,
    /// What was asked.
    pub api: String,
    /// With which parameters.
    pub parameters: Map<String, Value>,
    /// The object that says so.
    pub sha256: Digest,
}

/// What happened.
#[derive(Debug, Clone, Serialize)]
pub struct Story {
    /// When the incident was.
    pub window: Window,
    /// Every dated fact, oldest first.
    pub facts: Vec<Fact>,
    /// What is known of each principal: those that something is said of first.
    pub findings: Vec<Finding>,
    /// What bears on the whole of it: what was not captured, clocks that differ.
    pub remarks: Vec<String>,
}

/// Tells the story of captures, oldest first, and of the run that responded.
///
/// # Errors
/// When an answer is missing from the store or was changed.
pub fn tell(store: &Store, captures: &[Captured], known: &Known, run: &[Event]) -> Result<Story, EvidenceError> {
    let seen = seen_in(store, captures)?;
    let mut found = facts::of(&seen);
    for pair in captures.windows(2) {
        found.extend(facts::between::changes(store, &pair[0], &pair[1])?);
    }
    facts::response::claim(&mut found, run);
    found.extend(facts::response::of(run));
    let until = seen.iter().map(|seen| seen.record.at).max();
    let began = captures.last().map(|captured| captured.header.began);
    let window = Window::of(known, began.or(until).unwrap_or_default(), until);
    let remarks = remarks(captures, known, &window, &found);
    Ok(told(&seen, found, known, window, remarks))
}

/// The story of facts that are known already.
pub fn told(seen: &[Seen], mut facts: Vec<Fact>, known: &Known, window: Window, mut remarks: Vec<String>) -> Story {
    let principals = principals::Principals::of(seen);
    facts::settle(&mut facts);
    let origins = origins::Origins::of(&facts, &principals, known, &window);
    remarks.extend(window::unusual(&facts, &window, &origins));
    window::into_phases(&mut facts, &window, &origins);
    let findings = attribution::judge(&facts, &principals, &origins, &window);
    Story { window, facts, findings, remarks }
}

/// The records of captures.
///
/// # Errors
/// When an answer is missing from the store or was changed.
pub fn seen_in(store: &Store, captures: &[Captured]) -> Result<Vec<Seen>, EvidenceError> {
    let mut seen = Vec::new();
    for captured in captures {
        seen.extend(self::seen(store, captured)?);
    }
    Ok(seen)
}

/// The records of a capture. The same object answers many questions; it is read once.
fn seen(store: &Store, captured: &Captured) -> Result<Vec<Seen>, EvidenceError> {
    let mut answers: BTreeMap<Digest, Value> = BTreeMap::new();
    let mut seen = Vec::new();
    for item in captured.items().filter(|item| facts::is_read(&item.api)) {
        if !answers.contains_key(&item.sha256) {
            answers.insert(item.sha256.clone(), store.answer(&item.sha256)?);
        }
        let records = resources::records(item, &answers[&item.sha256]);
        let seen_in = |record| Seen {
            record,
            api: item.api.clone(),
            parameters: item.parameters.clone(),
            sha256: item.sha256.clone(),
        };
        seen.extend(records.into_iter().map(seen_in));
    }
    Ok(seen)
}

/// How far clocks may differ before it is said, in seconds: answers are dated in whole ones.
const SKEW: i64 = 2;

fn remarks(captures: &[Captured], known: &Known, window: &Window, facts: &[Fact]) -> Vec<String> {
    let mut remarks = Vec::new();
    if known.since.is_none() {
        remarks.push(format!(
            "nobody said since when: the incident is taken to begin at {:.0}, a day before the last capture",
            window.since
        ));
    }
    if !facts.iter().any(|fact| fact.confidence == Confidence::Recorded) {
        remarks.push(
            "there is no event history in the captures: nothing is proven to be done by anybody, only dated".to_owned(),
        );
    }
    for captured in captures {
        let (id, gaps) = (&captured.header.id, captured.gaps().count());
        if gaps > 0 {
            remarks.push(format!("capture {id} has {gaps} gaps: what they would have told is missing here"));
        }
        let Some(ended) = captured.ended() else {
            remarks.push(format!("capture {id} did not come to its end"));
            continue;
        };
        let skew = |item: &crate::evidence::Item| {
            let early = captured.header.began.as_second() - item.at.as_second();
            let late = item.at.as_second() - ended.at.as_second();
            if early > 0 { -early } else { late.max(0) }
        };
        let worst = captured.items().map(skew).max_by_key(|skew| skew.abs()).unwrap_or_default();
        if worst.abs() > SKEW {
            remarks.push(format!(
                "in capture {id} AWS's clock and this machine's differ by at least {} s: times of AWS are AWS's, those of the \
                 response are this machine's",
                worst.abs()
            ));
        }
    }
    remarks
}

#[cfg(test)]
mod tests;
