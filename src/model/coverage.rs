use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Target;

/// How one account × region × service was looked at. Ordered by how much it weighs when two looks differ: what could
/// not be seen is never hidden by what could.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CoverageStatus {
    /// Looked at; nothing to contain.
    Clean,
    /// Looked at, and something was changed.
    Acted,
    /// The account has the region switched off; what runs there still runs.
    Disabled,
    /// AWS refused to let quell look.
    Denied,
    /// AWS did not answer.
    Unreachable,
    /// Not looked at.
    Unknown,
}

impl CoverageStatus {
    /// Whether quell looked, or there is nothing that could be looked at. A `Disabled` region is reported, and counts as
    /// looked at: only its owner can switch it on.
    pub fn is_known(self) -> bool {
        matches!(self, Self::Clean | Self::Acted | Self::Disabled)
    }
}

/// The ledger: what was looked at, and with what result. A cell that nobody filled is `Unknown`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Vec<CoverageEntry>", into = "Vec<CoverageEntry>")]
pub struct Coverage {
    cells: BTreeMap<(Target, String), (CoverageStatus, Option<String>)>,
}

/// One cell of the ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CoverageEntry {
    /// Account and region.
    #[serde(flatten)]
    pub target: Target,
    /// `ec2`, `iam`, `organizations`, …
    pub service: String,
    /// The result.
    pub status: CoverageStatus,
    /// Why, where it is not clean.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// How many cells have which status.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "each field is the status of its name")]
pub struct CoverageCounts {
    pub clean: usize,
    pub acted: usize,
    pub denied: usize,
    pub unreachable: usize,
    pub disabled: usize,
    pub unknown: usize,
}

impl Coverage {
    /// Opens a cell as `Unknown`, unless it is there.
    pub fn expect(&mut self, target: Target, service: &str) {
        self.cells.entry((target, service.to_owned())).or_insert((CoverageStatus::Unknown, None));
    }

    /// Notes a look. It fills a cell that nobody filled; otherwise the weightier status stays. A look that failed for a reason
    /// that says nothing of the place leaves `Unknown` with that reason, and so fills the cell as well.
    pub fn note(&mut self, target: Target, service: &str, status: CoverageStatus, reason: Option<String>) {
        let cell = self.cells.entry((target, service.to_owned())).or_insert((CoverageStatus::Unknown, None));
        let is_open = *cell == (CoverageStatus::Unknown, None);
        if is_open || status > cell.0 {
            *cell = (status, reason);
        }
    }

    /// Adds all cells of another ledger by the rule of [`Coverage::note`].
    pub fn merge(&mut self, other: &Self) {
        for entry in other.entries() {
            if entry.status == CoverageStatus::Unknown {
                self.expect(entry.target, &entry.service);
            } else {
                self.note(entry.target, &entry.service, entry.status, entry.reason);
            }
        }
    }

    /// All cells, by account, region and service.
    pub fn entries(&self) -> impl Iterator<Item = CoverageEntry> + '_ {
        self.cells.iter().map(|((target, service), (status, reason))| CoverageEntry {
            target: target.clone(),
            service: service.clone(),
            status: *status,
            reason: reason.clone(),
        })
    }

    /// The status of a cell.
    pub fn status(&self, target: &Target, service: &str) -> CoverageStatus {
        self.cells.get(&(target.clone(), service.to_owned())).map_or(CoverageStatus::Unknown, |cell| cell.0)
    }

    /// Whether every cell [is known](CoverageStatus::is_known).
    pub fn is_complete(&self) -> bool {
        self.cells.values().all(|(status, _)| status.is_known())
    }

    /// How many cells have which status.
    pub fn counts(&self) -> CoverageCounts {
        let mut counts = CoverageCounts::default();
        for (status, _) in self.cells.values() {
            *match status {
                CoverageStatus::Clean => &mut counts.clean,
                CoverageStatus::Acted => &mut counts.acted,
                CoverageStatus::Denied => &mut counts.denied,
                CoverageStatus::Unreachable => &mut counts.unreachable,
                CoverageStatus::Disabled => &mut counts.disabled,
                CoverageStatus::Unknown => &mut counts.unknown,
            } += 1;
        }
        counts
    }
}

impl From<Vec<CoverageEntry>> for Coverage {
    fn from(entries: Vec<CoverageEntry>) -> Self {
        let cells = entries.into_iter().map(|e| ((e.target, e.service), (e.status, e.reason))).collect();
        Self { cells }
    }
}

impl From<Coverage> for Vec<CoverageEntry> {
    fn from(coverage: Coverage) -> Self {
        coverage.entries().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{AccountId, Region};

    #[test]
    fn a_region_that_failed_once_is_never_clean() {
        let target = Target::new(AccountId::new("111122223333").unwrap(), Region::new("eu-west-3").unwrap());
        let mut coverage = Coverage::default();
        coverage.expect(target.clone(), "ec2");
        assert!(!coverage.is_complete());
        coverage.note(target.clone(), "ec2", CoverageStatus::Unreachable, Some("no answer".into()));
        coverage.note(target.clone(), "ec2", CoverageStatus::Clean, None);
        assert_eq!(coverage.status(&target, "ec2"), CoverageStatus::Unreachable);
        assert!(!coverage.is_complete());
    }

    #[test]
    fn a_look_that_failed_is_not_made_good_by_another_whichever_came_first() {
        let target = Target::new(AccountId::new("111122223333").unwrap(), Region::new("eu-west-3").unwrap());
        let looks = [
            (CoverageStatus::Unknown, Some("the token of a page was refused".to_owned())),
            (CoverageStatus::Clean, None),
        ];
        for order in [[0, 1], [1, 0]] {
            let mut coverage = Coverage::default();
            for (status, reason) in order.map(|look| looks[look].clone()) {
                coverage.note(target.clone(), "ec2", status, reason);
            }
            assert!(!coverage.is_complete(), "{order:?}");
        }
    }
}
