//! What is left for people to do.

use indexmap::IndexMap;
use serde::Serialize;

use super::block::{Block, Cell, Entry, Table, Tone};
use crate::model::{AccountId, Finding, LeftByHand, Region, ResourceId, SetName, Severity, StepId};
use crate::report::record::Record;
use crate::report::summary::open_changes;
use crate::report::text::counted;

/// What is left.
#[derive(Debug, Clone, Serialize)]
pub struct Remaining {
    /// Changes that are not both done and proven.
    pub open: Vec<Open>,
    /// What quell cannot do.
    pub by_hand: Vec<LeftByHand>,
    /// What was found and not changed, by what to make of it.
    pub found: Vec<Found>,
    /// What a step could not work on.
    pub skipped: Vec<Open>,
    /// What the plan warned of.
    pub warnings: Vec<Finding>,
}

/// Something that was not done, with the reason.
#[derive(Debug, Clone, Serialize)]
pub struct Open {
    /// The step.
    pub step: StepId,
    /// The account.
    pub account: AccountId,
    /// The region, or global.
    pub region: Region,
    /// What.
    pub resource: ResourceId,
    /// Why.
    pub why: String,
}

/// Members of a set that is a finding.
#[derive(Debug, Clone, Serialize)]
pub struct Found {
    /// The set.
    pub set: SetName,
    /// What to make of them.
    pub finding: String,
    /// Which they are: where, and the id.
    pub members: Vec<(AccountId, Region, ResourceId)>,
}

impl Remaining {
    /// Of a run.
    pub fn of(record: &Record) -> Self {
        let open = open_changes(record).map(|(change, why)| Open {
            step: change.step.clone(),
            account: change.target.account.clone(),
            region: change.target.region.clone(),
            resource: change.resource.clone(),
            why,
        });
        let skipped = record.plan.skipped.iter().map(|skip| Open {
            step: skip.step.clone(),
            account: skip.target.account.clone(),
            region: skip.target.region.clone(),
            resource: skip.resource.clone(),
            why: skip.reason.clone(),
        });
        let warnings = record.plan.findings.iter().filter(|finding| finding.severity != Severity::Note);
        Self {
            open: open.collect(),
            by_hand: record.plan.by_hand.clone(),
            found: found(record),
            skipped: skipped.collect(),
            warnings: warnings.cloned().collect(),
        }
    }

    /// How many things a person has to see to.
    pub fn count(&self) -> usize {
        let found: usize = self.found.iter().map(|found| found.members.len()).sum();
        self.open.len() + self.by_hand.len() + found + self.skipped.len()
    }

    /// How it is shown.
    pub fn blocks(&self) -> Vec<Block> {
        let mut blocks = Vec::new();
        if self.count() == 0 {
            blocks.push(Block::Notice(Tone::Good, "Nothing that this run knows of.".to_owned()));
        }
        if !self.open.is_empty() {
            blocks.push(Block::Heading("Changes that are not done and proven".to_owned()));
            blocks.push(open("Changes that are not both done and proven, with the reason", &self.open));
        }
        if !self.by_hand.is_empty() {
            blocks.push(Block::Heading("By hand, as quell cannot".to_owned()));
            blocks.extend(self.by_hand.iter().map(by_hand));
        }
        if !self.found.is_empty() {
            blocks.push(Block::Heading("Found, and not changed".to_owned()));
            blocks.extend(self.found.iter().map(Found::folded));
        }
        if !self.skipped.is_empty() {
            blocks.push(Block::Heading("Left out of the plan".to_owned()));
            blocks.push(open("What a step could not work on, with the reason", &self.skipped));
        }
        if !self.warnings.is_empty() {
            blocks.push(Block::Heading("What the plan warned of".to_owned()));
            let warning = |finding: &Finding| {
                let step = finding.step.as_ref().map(|step| format!("{step}: ")).unwrap_or_default();
                Cell::Text(format!("{step}{}", finding.message))
            };
            blocks.push(Block::List(self.warnings.iter().map(warning).collect()));
        }
        blocks
    }
}

fn found(record: &Record) -> Vec<Found> {
    let mut sets: IndexMap<&SetName, Found> = IndexMap::new();
    for listed in &record.plan.listed {
        let finding = record.plan.runbook.sets.get(&listed.set).and_then(|set| set.finding.clone());
        let empty = Found { set: listed.set.clone(), finding: finding.unwrap_or_default(), members: Vec::new() };
        let place = (listed.target.account.clone(), listed.target.region.clone(), listed.member.clone());
        sets.entry(&listed.set).or_insert(empty).members.push(place);
    }
    sets.into_values().collect()
}

fn open(caption: &str, open: &[Open]) -> Block {
    let row = |open: &Open| {
        vec![
            Cell::code(open.resource.to_string()),
            Cell::text(format!("{} {}", open.account, open.region)),
            Cell::text(open.step.to_string()),
            Cell::text(open.why.clone()),
        ]
    };
    Block::Table(Table {
        caption: caption.to_owned(),
        head: vec!["Resource", "Where", "Step", "Why"],
        rows: open.iter().map(row).collect(),
    })
}

fn by_hand(work: &LeftByHand) -> Block {
    let place = work.target.as_ref().map(|target| format!(" ({target})")).unwrap_or_default();
    let steps = Block::List(work.steps.iter().cloned().map(Cell::Text).collect());
    Block::Entry(Entry { heading: format!("{}{place}", work.what), mark: None, blocks: vec![steps] })
}

impl Found {
    fn folded(&self) -> Block {
        let row = |(account, region, member): &(AccountId, Region, ResourceId)| {
            vec![Cell::code(member.to_string()), Cell::text(format!("{account} {region}"))]
        };
        let table = Table {
            caption: super::timeline::capital(&self.finding),
            head: vec!["Which", "Where"],
            rows: self.members.iter().map(row).collect(),
        };
        let what = counted(self.members.len(), "member");
        let summary =
            format!("{}: {what}. {}", self.set.to_string().replace('_', " "), super::timeline::capital(&self.finding));
        Block::Folded(summary, vec![Block::Table(table)])
    }
}
