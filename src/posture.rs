//! How well an account is set up against the next breach: checks over what a capture says. Nothing is asked here, and what a
//! capture does not say is `not known`, never passed.
//!
//! A file per topic, and [`CHECKS`], whose order is that of every report.

mod account;
mod buckets;
mod budgets;
mod check;
mod facts;
mod guardduty;
mod keys;
mod machines;
mod metadata;
mod organization;
mod page;
mod passwords;
mod report;
mod root;
mod sharing;
mod trails;

use std::collections::BTreeSet;

pub use check::{Check, Fact, Judged, Lack, Severity, Status};
pub use facts::{Facts, Missing, View};
pub use page::page;

/// Every check.
pub const CHECKS: &[Check] = &[
    root::MFA,
    root::KEYS,
    passwords::MFA,
    passwords::POLICY,
    passwords::IDENTITY_PROVIDER,
    keys::LONG_TERM,
    keys::UNUSED,
    keys::OLD,
    machines::KEYS,
    trails::MULTI_REGION,
    trails::ORGANIZATION,
    guardduty::DETECTORS,
    metadata::DEFAULT,
    metadata::ON_INSTANCES,
    sharing::SNAPSHOTS,
    sharing::IMAGES,
    machines::ENCRYPTION,
    buckets::PUBLIC,
    buckets::BLOCKED,
    organization::REGION_DENY,
    organization::LEAVING,
    account::UNUSED_REGIONS,
    budgets::BUDGET,
    budgets::ANOMALIES,
];

/// What has to be asked for all of them, beside which regions are enabled.
pub fn needs() -> BTreeSet<&'static str> {
    CHECKS.iter().flat_map(|check| check.needs).copied().collect()
}

/// Judges every account of a capture by every check.
pub fn judge(facts: &Facts) -> Vec<Judged> {
    let accounts = facts.accounts();
    let judged = |check: &'static Check| accounts.iter().map(move |account| check.judge(&facts.of(account)));
    CHECKS.iter().flat_map(judged).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_check_has_an_id_of_its_own_and_says_all_that_it_has_to() {
        let ids: BTreeSet<_> = CHECKS.iter().map(|check| check.id).collect();
        assert_eq!(ids.len(), CHECKS.len());
        for check in CHECKS {
            assert!(check.id.contains('.') && !check.needs.is_empty(), "{}", check.id);
            for sentence in [check.why, check.fix] {
                assert!(sentence.ends_with('.') && !sentence.contains("  "), "{}: {sentence}", check.id);
            }
            assert!(!check.title.ends_with('.'), "{}", check.id);
        }
    }

    #[test]
    fn of_an_empty_capture_nothing_is_known_and_nothing_passes() {
        let account = "111122223333".parse().unwrap();
        let facts = Facts::nothing(account, "2026-03-03T15:00:00Z".parse().unwrap());
        for judged in judge(&facts) {
            assert_eq!(judged.status(), Status::NotKnown, "{}", judged.check.id);
            assert!(!judged.lacks.is_empty(), "{}", judged.check.id);
        }
    }
}
