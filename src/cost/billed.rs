//! What Cost Explorer says was billed for machines, day by day, beside what is estimated.

use std::collections::BTreeSet;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::Serialize;

use super::machine::Machine;
use crate::model::AccountId;
use crate::story::Seen;
use crate::story::facts::usage;

/// A day of an account, in UTC.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Day {
    /// The account.
    pub account: AccountId,
    /// The day.
    pub day: Date,
    /// US dollars that AWS says all machines of the account cost, before taxes and credits. Of a management account: those of
    /// its organisation.
    pub billed: f64,
    /// Whether AWS says that this may still change: it shows use up to 24 hours late.
    pub preliminary: bool,
    /// US dollars by this estimate, for all machines of the account that the captures show.
    pub estimated: f64,
    /// Of these, for the machines of the incident.
    pub of_incident: f64,
}

/// The days on which machines of the incident ran, and the day before, of every account whose captures hold them. Nothing where
/// they do not.
pub fn days(seen: &[Seen], all: &[&Machine], incident: &[Machine], until: Timestamp) -> Vec<Day> {
    let of_incident: BTreeSet<&str> = incident.iter().map(|machine| machine.id.as_str()).collect();
    let first = incident.iter().filter_map(|machine| machine.runs.first()).map(|run| run.from).min();
    let Some(first) = first.and_then(|first| TimeZone::UTC.to_datetime(first).date().yesterday().ok()) else {
        return Vec::new();
    };
    let mut days = Vec::new();
    for (account, usage) in usage::by_account(seen) {
        for day in usage.days.range(first..) {
            let used: Vec<_> = usage.types.values().filter_map(|days| days.get(day)).collect();
            let (from, to) = (begins(*day), begins(day.tomorrow().unwrap_or(*day)).min(until));
            let sum = |wanted: &dyn Fn(&Machine) -> bool| -> f64 {
                let of_account = all.iter().filter(|machine| machine.account == account && wanted(machine));
                of_account.map(|machine| machine.dollars(from, to)).sum()
            };
            let estimated = sum(&|_| true);
            if used.is_empty() && estimated <= 0.0 {
                continue;
            }
            days.push(Day {
                account: account.clone(),
                day: *day,
                billed: used.iter().map(|used| used.dollars).sum(),
                preliminary: used.iter().any(|used| used.preliminary),
                estimated,
                of_incident: sum(&|machine| of_incident.contains(machine.id.as_str())),
            });
        }
    }
    days
}

fn begins(day: Date) -> Timestamp {
    TimeZone::UTC.to_timestamp(day.at(0, 0, 0, 0)).unwrap_or(Timestamp::MAX)
}
