//! How a run left each account.

use std::collections::{BTreeMap, HashSet};

use serde::Serialize;

use super::record::Record;
use super::summary::open_changes;
use crate::model::{AccountId, CoverageStatus};

/// How many accounts were left in which state. What was not seen weighs more than what was done: an account of which a
/// part denied access is never contained, and never clean.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct AccountCounts {
    /// Everything was seen, and every change is done and proven.
    pub contained: usize,
    /// Everything was seen, and something is left for a person.
    pub open: usize,
    /// Everything was seen, and there was nothing to change.
    pub clean: usize,
    /// Some of it, or all, denied access.
    pub denied: usize,
    /// Some of it did not answer.
    pub unreachable: usize,
    /// Some of it was not looked at.
    pub unknown: usize,
}

/// Counts the accounts of a run.
pub fn counts(record: &Record) -> AccountCounts {
    let mut unseen: BTreeMap<AccountId, Option<CoverageStatus>> = BTreeMap::new();
    for entry in record.coverage.entries() {
        let worst = unseen.entry(entry.target.account).or_default();
        *worst = (*worst).max(Some(entry.status).filter(|status| !status.is_known()));
    }
    let changed: HashSet<&AccountId> = record.fates().map(|(change, _)| &change.target.account).collect();
    let open: HashSet<&AccountId> = open_changes(record).map(|(change, _)| &change.target.account).collect();
    let mut counts = AccountCounts::default();
    for (account, unseen) in &unseen {
        *match unseen {
            Some(CoverageStatus::Denied) => &mut counts.denied,
            Some(CoverageStatus::Unreachable) => &mut counts.unreachable,
            Some(_) => &mut counts.unknown,
            None if open.contains(account) => &mut counts.open,
            None if changed.contains(account) => &mut counts.contained,
            None => &mut counts.clean,
        } += 1;
    }
    counts
}

impl AccountCounts {
    /// In words, without what is none: `3 contained · 36 clean · 1 denied`. Empty for a single account.
    pub fn words(&self) -> String {
        let Self { contained, open, clean, denied, unreachable, unknown } = *self;
        if contained + open + clean + denied + unreachable + unknown < 2 {
            return String::new();
        }
        let parts = [
            (contained, "contained"),
            (open, "left open"),
            (clean, "clean"),
            (denied, "denied"),
            (unreachable, "unreachable"),
            (unknown, "not looked at"),
        ];
        let parts = parts.into_iter().filter(|(count, _)| *count > 0).map(|(count, word)| format!("{count} {word}"));
        parts.collect::<Vec<_>>().join(" · ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Target, example};

    #[test]
    fn what_was_not_seen_weighs_more_than_what_was_done() {
        let mut record = Record::of(&example::run()).unwrap();
        assert_eq!(counts(&record), AccountCounts { unreachable: 1, ..AccountCounts::default() });
        let global = |account: &str| Target::global(AccountId::new(account).unwrap());
        record.coverage.note(global("222233334444"), "iam", CoverageStatus::Clean, None);
        record.coverage.note(global("333344445555"), "iam", CoverageStatus::Clean, None);
        record.coverage.note(global("333344445555"), "ec2", CoverageStatus::Denied, None);
        assert_eq!(counts(&record).words(), "1 clean · 1 denied · 1 unreachable");
    }

    #[test]
    fn an_account_with_an_open_change_is_not_contained() {
        let mut record = Record::of(&example::run()).unwrap();
        let seen: Vec<_> = record.coverage.entries().filter(|entry| entry.status.is_known()).collect();
        record.coverage = seen.into();
        assert_eq!(counts(&record), AccountCounts { open: 1, ..AccountCounts::default() });
        let open: Vec<_> = open_changes(&record).map(|(change, _)| change.id.clone()).collect();
        record.plan.changes.retain(|change| !open.contains(&change.id));
        assert_eq!(counts(&record), AccountCounts { contained: 1, ..AccountCounts::default() });
    }
}
