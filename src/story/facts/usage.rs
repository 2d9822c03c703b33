//! Days on which much more was used than on those before, by Cost Explorer.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde_json::Value;

use super::{Seen, dated, text};
use crate::evidence::resources::at;
use crate::model::AccountId;
use crate::story::fact::{Act, Fact, Precision, Subject};

/// What is read.
const API: &str = "ce:GetCostAndUsage";
/// So many days before are compared with.
const BEFORE: usize = 7;
/// A jump is at least so many times the most of them, and …
const TIMES: f64 = 2.0;
/// … at least so many hours more: one machine that ran all day.
const HOURS: f64 = 24.0;

/// What Cost Explorer says of an account's machines.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Usage {
    /// The days that it was asked about, in UTC.
    pub days: BTreeSet<Date>,
    /// By usage type (`EUC1-BoxUsage:c5.18xlarge`), the days with any use.
    pub types: BTreeMap<String, BTreeMap<Date, Used>>,
}

/// What a day's use of a type of machine was.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Used {
    /// Hours.
    pub hours: f64,
    /// US dollars, before taxes and credits.
    pub dollars: f64,
    /// Whether AWS says that the figures may still change.
    pub preliminary: bool,
    /// The record that says so, among those that were read.
    record: usize,
}

/// The use of machines by account. Of what several captures say of a day the last holds; a day can be spread over pages.
pub fn by_account(seen: &[Seen]) -> BTreeMap<AccountId, Usage> {
    let mut accounts: BTreeMap<AccountId, Usage> = BTreeMap::new();
    let mut answers: Vec<(usize, &Seen)> = seen.iter().enumerate().filter(|(_, seen)| seen.api == API).collect();
    answers.sort_by_key(|(_, seen)| seen.record.at);
    for (record, seen) in answers {
        let usage = accounts.entry(seen.record.target.account.clone()).or_default();
        for answered in at(&seen.record.state, &["ResultsByTime", "*"]) {
            let Some(day) = text(answered, "/TimePeriod/Start").parse().ok() else { continue };
            let preliminary = answered.get("Estimated").and_then(Value::as_bool).unwrap_or_default();
            usage.days.insert(day);
            for group in at(answered, &["Groups", "*"]) {
                let keys = at(group, &["Keys", "*"]);
                let Some(machines) = keys.into_iter().filter_map(Value::as_str).find(|key| is_machines(key)) else {
                    continue;
                };
                let (hours, dollars) = (metric(group, "UsageQuantity"), metric(group, "UnblendedCost"));
                let days = usage.types.entry(machines.to_owned()).or_default();
                days.insert(day, Used { hours, dollars, preliminary, record });
            }
        }
    }
    accounts
}

/// Whether a usage type is that of machines: on demand, Spot, or dedicated.
fn is_machines(usage_type: &str) -> bool {
    ["BoxUsage:", "SpotUsage:", "DedicatedUsage:"].iter().any(|kind| usage_type.contains(kind))
}

fn metric(group: &Value, name: &str) -> f64 {
    let amount = group.get("Metrics").and_then(|metrics| metrics.get(name)).and_then(|metric| metric.get("Amount"));
    amount.and_then(Value::as_str).and_then(|amount| amount.parse().ok()).unwrap_or_default()
}

/// The facts of all answers.
pub(super) fn facts(seen: &[Seen]) -> Vec<Fact> {
    let mut facts = Vec::new();
    for usage in by_account(seen).values() {
        for (usage_type, days) in &usage.types {
            let jumps = jumps(&usage.days, days).into_iter();
            facts.extend(jumps.map(|(day, most)| fact(&seen[days[&day].record], usage_type, (day, days[&day]), most)));
        }
    }
    facts
}

/// The days that differ from those before, with the most of these.
fn jumps(asked: &BTreeSet<Date>, used: &BTreeMap<Date, Used>) -> Vec<(Date, f64)> {
    let days: Vec<Date> = asked.iter().copied().collect();
    let hours = |day: &Date| used.get(day).map_or(0.0, |used| used.hours);
    let jump = |number: usize| {
        let most = days[number.saturating_sub(BEFORE)..number].iter().map(hours).fold(0.0, f64::max);
        let now = hours(&days[number]);
        (now >= TIMES * most && now >= most + HOURS).then(|| (days[number], most))
    };
    (1..days.len()).filter_map(jump).collect()
}

fn fact(seen: &Seen, usage_type: &str, (day, used): (Date, Used), most: f64) -> Fact {
    let ends = day.tomorrow().ok().and_then(|next| TimeZone::UTC.to_timestamp(next.at(0, 0, 0, 0)).ok());
    let time = ends.unwrap_or(Timestamp::MAX).min(seen.record.at);
    let hours = used.hours;
    let message =
        format!("{usage_type}: {hours:.0} h were used on {day}, and at most {most:.0} h on a day of the week before");
    let subject = Subject::new("usage type", usage_type);
    let mut fact =
        dated(seen, (Act::UsageJumped, "ResultsByTime/Groups/Metrics/UsageQuantity", time), subject, message);
    fact.precision = Precision::Day;
    fact.notes.push("Cost Explorer shows use up to 24 hours late");
    if used.preliminary {
        fact.notes.push("the day's figures are preliminary");
    }
    fact
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, json};

    use super::*;
    use crate::evidence::resources::Record;
    use crate::model::{Digest, Region, Target};

    const TYPE: &str = "EUC1-BoxUsage:c5.18xlarge";

    /// An answer about days of March from `first` on.
    fn answered(first: usize, hours: &[f64]) -> Seen {
        let day = |(number, hours): (usize, &f64)| {
            let date = format!("2026-03-{:02}", first + number);
            let metrics =
                json!({ "UsageQuantity": { "Amount": hours.to_string() }, "UnblendedCost": { "Amount": "1.5" } });
            let machines = json!({ "Keys": ["Amazon Elastic Compute Cloud - Compute", TYPE], "Metrics": metrics });
            let other = json!({ "Keys": ["Amazon Simple Storage Service", "Requests-Tier1"], "Metrics": {} });
            let groups = if *hours > 0.0 { json!([machines, other]) } else { json!([other]) };
            json!({ "TimePeriod": { "Start": date }, "Groups": groups, "Estimated": false })
        };
        let state = json!({ "ResultsByTime": hours.iter().enumerate().map(day).collect::<Vec<_>>() });
        let target = Target::new("111122223333".parse().unwrap(), Region::new("us-east-1").unwrap());
        let record =
            Record { kind: "answer", id: API.to_owned(), target, at: "2026-03-20T10:00:00Z".parse().unwrap(), state };
        Seen { record, api: API.to_owned(), parameters: Map::new(), sha256: Digest::of("") }
    }

    fn jumped(pages: &[Seen]) -> Vec<String> {
        facts(pages)
            .into_iter()
            .map(|fact| fact.message.split_once(" on 2026-03-").unwrap().1[..2].to_owned())
            .collect()
    }

    #[test]
    fn a_day_that_differs_from_the_week_before_is_told_once() {
        let jumped = |hours: &[f64]| jumped(&[answered(1, hours)]);
        assert_eq!(jumped(&[0.0, 0.0, 96.0, 96.0, 96.0]), ["03"]);
        assert_eq!(jumped(&[24.0, 24.0, 60.0, 0.0, 60.0]), ["03"], "it had been so in that week");
        assert!(jumped(&[100.0, 110.0, 120.0]).is_empty(), "it grows");
        assert!(jumped(&[0.0, 20.0]).is_empty(), "an odd machine");
        assert!(jumped(&[500.0]).is_empty(), "nothing is known of the days before the first");
    }

    #[test]
    fn a_day_is_whole_however_it_is_spread_over_pages() {
        assert!(jumped(&[answered(1, &[90.0, 90.0, 90.0]), answered(3, &[0.0, 90.0])]).is_empty());
        assert_eq!(jumped(&[answered(1, &[0.0, 0.0]), answered(3, &[90.0])]), ["03"]);
    }

    #[test]
    fn the_time_of_a_day_is_its_end() {
        let fact = &facts(&[answered(1, &[0.0, 96.0])])[0];
        assert_eq!((fact.time.to_string().as_str(), fact.precision), ("2026-03-03T00:00:00Z", Precision::Day));
        assert_eq!(fact.subject.id, TYPE);
    }

    #[test]
    fn only_machines_are_read() {
        let usage = &by_account(&[answered(1, &[0.0, 12.0, 0.0])])[&"111122223333".parse::<AccountId>().unwrap()];
        assert_eq!((usage.types.len(), usage.days.len()), (1, 3));
        let used: Vec<(f64, f64)> = usage.types[TYPE].values().map(|used| (used.hours, used.dollars)).collect();
        assert_eq!(used, [(12.0, 1.5)]);
    }
}
