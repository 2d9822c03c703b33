//! What was not seen, in as few lines as say it all.

use indexmap::IndexMap;

use super::summary::status_words;
use super::text::shown;
use crate::model::{AccountId, Coverage, CoverageEntry, CoverageStatus};

/// From how many places on an account's places are counted and not named, where the same is true of all of them.
pub const COUNTED: usize = 4;

/// One line for each place that was not seen; of an account that says the same in many places, one line for all of them.
pub fn lines(coverage: &Coverage) -> Vec<String> {
    let mut alike: IndexMap<(AccountId, String, CoverageStatus, Option<String>), Vec<CoverageEntry>> = IndexMap::new();
    for entry in coverage.entries().filter(|entry| !entry.status.is_known()) {
        let key = (entry.target.account.clone(), entry.service.clone(), entry.status, entry.reason.clone());
        alike.entry(key).or_default().push(entry);
    }
    let mut lines = Vec::new();
    for ((account, service, status, reason), entries) in alike {
        let reason = reason.map(|reason| format!(": {}", shown(&reason))).unwrap_or_default();
        let rest = format!("{} {}{reason}", shown(&service), status_words(status));
        if entries.len() < COUNTED {
            lines.extend(entries.iter().map(|entry| format!("{} {rest}", entry.target)));
        } else {
            lines.push(format!("{account} in {} regions: {rest}", entries.len()));
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Region, Target};

    #[test]
    fn an_account_that_cannot_be_entered_takes_one_line() {
        let account = AccountId::new("111122223333").unwrap();
        let mut coverage = Coverage::default();
        for region in ["eu-west-1", "eu-west-2", "eu-west-3", "us-east-1"] {
            let lane = Target::new(account.clone(), Region::new(region).unwrap());
            coverage.note(lane, "ec2", CoverageStatus::Denied, Some("no role".to_owned()));
        }
        coverage.note(Target::global(account), "iam", CoverageStatus::Denied, Some("no role".to_owned()));
        assert_eq!(
            lines(&coverage),
            ["111122223333 in 4 regions: ec2 denied access: no role", "111122223333/global iam denied access: no role"]
        );
    }
}
