//! What was kept, and by which hashes it can be told that nobody changed it.

use jiff::Timestamp;
use serde::Serialize;

use super::block::{Block, Cell, Table, Tone};
use crate::evidence::Captured;
use crate::model::{AccountId, Digest, Outcome, Region, ResourceId, RunId};
use crate::report::record::Record;
use crate::report::text::counted;

/// What was kept.
#[derive(Debug, Clone, Serialize)]
pub struct Kept {
    /// The last hash of the run's journal, which stands for all of it.
    pub journal: String,
    /// The digest of the plan that was approved, with what sweeps added.
    pub plan: Digest,
    /// The snapshots.
    pub snapshots: Vec<Snapshot>,
    /// The captures.
    pub captures: Vec<Capture>,
}

/// A snapshot that the run took.
#[derive(Debug, Clone, Serialize)]
pub struct Snapshot {
    /// Its id.
    pub id: String,
    /// Of which machine.
    pub of: ResourceId,
    /// The account.
    pub account: AccountId,
    /// The region.
    pub region: Region,
    /// When it was begun.
    pub at: Option<Timestamp>,
}

/// A capture.
#[derive(Debug, Clone, Serialize)]
pub struct Capture {
    /// Its id.
    pub id: RunId,
    /// When it began.
    pub began: Timestamp,
    /// When it ended, if it did.
    pub ended: Option<Timestamp>,
    /// Who captured.
    pub by: String,
    /// How many answers it holds.
    pub answers: usize,
    /// How much could not be captured.
    pub gaps: usize,
    /// The last hash of its manifest.
    pub head: String,
}

impl Kept {
    /// Of a run, the last hash of its journal, and captures.
    pub fn of(record: &Record, journal: &str, captures: &[Captured]) -> Self {
        let capture = |captured: &Captured| Capture {
            id: captured.header.id.clone(),
            began: captured.header.began,
            ended: captured.ended().map(|ended| ended.at),
            by: captured.header.by.clone(),
            answers: captured.items().count(),
            gaps: captured.gaps().count(),
            head: captured.head.clone(),
        };
        Self {
            journal: journal.to_owned(),
            plan: record.digest.clone(),
            snapshots: snapshots(record),
            captures: captures.iter().map(capture).collect(),
        }
    }

    /// How it is shown.
    pub fn blocks(&self) -> Vec<Block> {
        let mut blocks = vec![
            Block::Terms(vec![
                ("Journal, last hash".to_owned(), Cell::code(self.journal.clone())),
                ("Plan, digest".to_owned(), Cell::code(self.plan.to_string())),
            ]),
            self.captures(),
        ];
        if self.snapshots.is_empty() {
            blocks.push(Block::text("No snapshots were taken."));
        } else {
            blocks.push(self.snapshots());
        }
        blocks
    }

    fn captures(&self) -> Block {
        if self.captures.is_empty() {
            return Block::Notice(Tone::Open, super::WITHOUT_EVIDENCE.to_owned());
        }
        let row = |capture: &Capture| {
            vec![
                Cell::code(capture.id.to_string()),
                Cell::Time(capture.began),
                Cell::time(capture.ended),
                Cell::count(capture.answers),
                Cell::count(capture.gaps),
                Cell::code(capture.head.clone()),
            ]
        };
        Block::Table(Table {
            caption: "Captures; quell evidence verify proves each by its last hash".to_owned(),
            head: vec!["Capture", "Began (UTC)", "Ended (UTC)", "Answers", "Gaps", "Last hash"],
            rows: self.captures.iter().map(row).collect(),
        })
    }

    fn snapshots(&self) -> Block {
        let row = |snapshot: &Snapshot| {
            vec![
                Cell::code(snapshot.id.clone()),
                Cell::code(snapshot.of.to_string()),
                Cell::text(format!("{} {}", snapshot.account, snapshot.region)),
                Cell::time(snapshot.at),
            ]
        };
        let table = Table {
            caption: "Snapshots that the run took".to_owned(),
            head: vec!["Snapshot", "Of", "Where", "Begun (UTC)"],
            rows: self.snapshots.iter().map(row).collect(),
        };
        Block::Folded(counted(self.snapshots.len(), "snapshot"), vec![Block::Table(table)])
    }
}

fn snapshots(record: &Record) -> Vec<Snapshot> {
    let mut snapshots = Vec::new();
    for (change, fate) in record.fates() {
        let Some(Outcome::Done { effect }) = &fate.outcome else { continue };
        snapshots.extend(crate::report::record::snapshots_in(effect).into_iter().map(|id| Snapshot {
            id: id.to_owned(),
            of: change.resource.clone(),
            account: change.target.account.clone(),
            region: change.target.region.clone(),
            at: fate.ended,
        }));
    }
    snapshots
}
