//! What would have prevented it, or shown it sooner: checks that fail in a capture.

use std::collections::BTreeMap;

use serde::Serialize;

use super::block::{Block, Cell, Entry, Tone};
use crate::model::{AccountId, Region, RunId};
use crate::posture::{Judged, Severity, Status};
use crate::report::text::counted;

/// How many findings of a check are named.
const NAMED: usize = 8;

/// How the accounts were set up.
#[derive(Debug, Clone, Serialize)]
pub struct Prevention {
    /// The capture that was judged.
    pub capture: RunId,
    /// How many checks pass.
    pub pass: usize,
    /// How many are not known, as what they need was not captured.
    pub not_known: usize,
    /// Those that fail, what weighs most first.
    pub failed: Vec<Failed>,
}

/// A check that fails.
#[derive(Debug, Clone, Serialize)]
pub struct Failed {
    /// Its id.
    pub check: &'static str,
    /// The account.
    pub account: AccountId,
    /// What is so where it passes.
    pub title: &'static str,
    /// How much it weighs.
    pub severity: Severity,
    /// Why it matters.
    pub why: &'static str,
    /// What to do.
    pub fix: &'static str,
    /// What made it fail; those alike in several regions are one.
    pub findings: Vec<String>,
}

impl Prevention {
    /// Of a capture that was judged.
    pub fn of(capture: &RunId, judged: &[Judged]) -> Self {
        let count = |status| judged.iter().filter(|one| one.status() == status).count();
        let mut failed: Vec<Failed> =
            judged.iter().filter(|one| one.status() == Status::Fail).map(Failed::of).collect();
        failed.sort_by_key(|failed| failed.severity);
        Self { capture: capture.clone(), pass: count(Status::Pass), not_known: count(Status::NotKnown), failed }
    }

    /// How it is shown.
    pub fn blocks(&self) -> Vec<Block> {
        let Self { capture, pass, not_known, failed } = self;
        let mut blocks = vec![Block::Text(format!(
            "The accounts as capture {capture} has them, by the checks of quell posture: {} fail, {pass} pass, {not_known} \
             are not known.",
            failed.len()
        ))];
        blocks.extend(failed.iter().map(Failed::entry));
        blocks
    }
}

impl Failed {
    fn of(judged: &Judged) -> Self {
        let mut alike: BTreeMap<(&str, &str), Vec<&str>> = BTreeMap::new();
        for fact in &judged.facts {
            let places = alike.entry((&fact.resource, &fact.what)).or_default();
            places.extend(fact.region.as_ref().map(Region::as_str));
        }
        let finding = |((resource, what), places): ((&str, &str), Vec<&str>)| {
            let place = if places.is_empty() { String::new() } else { format!(" ({})", places.join(", ")) };
            format!("{resource} {what}{place}")
        };
        Self {
            check: judged.check.id,
            account: judged.account.clone(),
            title: judged.check.title,
            severity: judged.check.severity,
            why: judged.check.why,
            fix: judged.check.fix,
            findings: alike.into_iter().map(finding).collect(),
        }
    }

    fn entry(&self) -> Block {
        let tone = match self.severity {
            Severity::High => Tone::Bad,
            Severity::Medium => Tone::Open,
            Severity::Low => Tone::Plain,
        };
        let mut named: Vec<Cell> = self.findings.iter().take(NAMED).cloned().map(Cell::Text).collect();
        if self.findings.len() > NAMED {
            named.push(Cell::Text(format!("and {}", counted(self.findings.len() - NAMED, "more"))));
        }
        let terms = vec![
            ("Check".to_owned(), Cell::Text(format!("{} in {}", self.check, self.account))),
            ("Why".to_owned(), Cell::text(self.why)),
            ("Fix".to_owned(), Cell::text(self.fix)),
        ];
        Block::Entry(Entry {
            heading: format!("Not so: {}", self.title),
            mark: Some((tone, self.severity.as_str().to_owned())),
            blocks: vec![
                Block::Terms(terms),
                Block::Folded(counted(self.findings.len(), "finding"), vec![Block::List(named)]),
            ],
        })
    }
}
