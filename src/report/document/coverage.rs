//! What was looked at, and what not.

use indexmap::IndexMap;
use serde::Serialize;

use super::block::{Block, Cell, Table, Tone};
use crate::model::{AccountId, CoverageCounts, CoverageEntry, CoverageStatus, Outcome};
use crate::report::record::Record;
use crate::report::text::counted;
use crate::report::unseen;

/// The ledger of a run.
#[derive(Debug, Clone, Serialize)]
pub struct Ledger {
    /// Whether everything was seen.
    pub is_complete: bool,
    /// How many cells have which status.
    pub counts: CoverageCounts,
    /// Every cell: account, region, service.
    pub cells: Vec<CoverageEntry>,
    /// What was not seen, in as few lines as say it all.
    pub not_seen: Vec<String>,
    /// How many times it was looked for newcomers, and how many there were.
    pub sweeps: (u32, usize),
}

/// A ledger of so many rows is not folded up.
const SHORT: usize = 40;
/// From the best to the worst.
const STATUSES: [CoverageStatus; 6] = [
    CoverageStatus::Acted,
    CoverageStatus::Clean,
    CoverageStatus::Disabled,
    CoverageStatus::Denied,
    CoverageStatus::Unreachable,
    CoverageStatus::Unknown,
];

impl Ledger {
    /// Of a run.
    pub fn of(record: &Record) -> Self {
        let mut coverage = record.coverage.clone();
        for (change, _) in record.fates().filter(|(_, fate)| matches!(fate.outcome, Some(Outcome::Done { .. }))) {
            let service = change.action.as_str().split('.').next().unwrap_or_default();
            coverage.note(change.target.clone(), service, CoverageStatus::Acted, None);
        }
        Self {
            is_complete: coverage.is_complete(),
            counts: coverage.counts(),
            not_seen: unseen::lines(&coverage),
            cells: coverage.entries().collect(),
            sweeps: (record.sweeps, record.newcomers),
        }
    }

    /// How many cells were seen, and how many there are.
    pub fn seen(&self) -> (usize, usize) {
        (self.cells.iter().filter(|cell| cell.status.is_known()).count(), self.cells.len())
    }

    /// How it is shown.
    pub fn blocks(&self) -> Vec<Block> {
        let (seen, all) = self.seen();
        let (sweeps, newcomers) = self.sweeps;
        let mut blocks = vec![if self.is_complete {
            Block::Notice(
                Tone::Good,
                format!("Everything was looked at: all {all} places (account × region × service)."),
            )
        } else {
            let text = format!("NOT everything was looked at: {seen} of {all} places (account × region × service).");
            Block::Notice(Tone::Bad, text)
        }];
        if !self.not_seen.is_empty() {
            blocks.push(Block::Heading("Not seen".to_owned()));
            blocks.push(Block::List(self.not_seen.iter().cloned().map(Cell::Text).collect()));
        }
        let newcomers = if newcomers == 0 { "found nothing new".to_owned() } else { format!("found {newcomers} more") };
        let times = usize::try_from(sweeps).unwrap_or(usize::MAX);
        blocks
            .push(Block::text(format!("After the changes, {} looked again and {newcomers}.", counted(times, "sweep"))));
        blocks.push(self.table());
        blocks
    }

    /// A row for each service of an account, which says of every region how it was.
    fn table(&self) -> Block {
        let mut rows: IndexMap<(&AccountId, &str), Vec<&CoverageEntry>> = IndexMap::new();
        for cell in &self.cells {
            rows.entry((&cell.target.account, &cell.service)).or_default().push(cell);
        }
        let row = |((account, service), cells): ((&AccountId, &str), Vec<&CoverageEntry>)| {
            let worst = cells.iter().map(|cell| cell.status).max().unwrap_or(CoverageStatus::Unknown);
            let regions = STATUSES.into_iter().filter_map(|status| regions(&cells, status));
            vec![
                Cell::text(service),
                Cell::text(account.to_string()),
                Cell::Mark(tone(worst), if worst.is_known() { "seen" } else { "not all seen" }.to_owned()),
                Cell::Text(regions.collect::<Vec<_>>().join("; ")),
            ]
        };
        let table = Table {
            caption: "Every service of every account, with how it was in each region".to_owned(),
            head: vec!["Service", "Account", "State", "Regions"],
            rows: rows.into_iter().map(row).collect(),
        };
        if table.rows.len() <= SHORT {
            return Block::Table(table);
        }
        Block::Folded(format!("The whole ledger: {}", counted(table.rows.len(), "row")), vec![Block::Table(table)])
    }
}

/// `acted on in eu-west-1, us-east-1`.
fn regions(cells: &[&CoverageEntry], status: CoverageStatus) -> Option<String> {
    let regions: Vec<&str> =
        cells.iter().filter(|cell| cell.status == status).map(|cell| cell.target.region.as_str()).collect();
    (!regions.is_empty()).then(|| format!("{} ({}): {}", word(status), regions.len(), regions.join(", ")))
}

fn word(status: CoverageStatus) -> &'static str {
    match status {
        CoverageStatus::Acted => "acted on",
        CoverageStatus::Clean => "clean",
        CoverageStatus::Disabled => "switched off by the account",
        CoverageStatus::Denied => "access denied",
        CoverageStatus::Unreachable => "no answer",
        CoverageStatus::Unknown => "not looked at",
    }
}

fn tone(status: CoverageStatus) -> Tone {
    match status {
        CoverageStatus::Acted | CoverageStatus::Clean | CoverageStatus::Disabled => Tone::Good,
        CoverageStatus::Denied | CoverageStatus::Unreachable | CoverageStatus::Unknown => Tone::Bad,
    }
}
