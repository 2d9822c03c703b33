//! What machines cost over time, at the highest, and what each step of the response ended.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;

use super::machine::Machine;
use crate::model::{Span, StepId};

/// From a time on.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Point {
    /// The time.
    pub at: Timestamp,
    /// US dollars per hour of the machines that run from then on.
    pub per_hour: f64,
    /// How many they are, those without a price included.
    pub machines: usize,
}

/// What some of the machines cost.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Share {
    /// The region, or the type.
    pub name: String,
    /// How many machines.
    pub machines: usize,
    /// US dollars per hour.
    pub per_hour: f64,
    /// How many of the machines have no price.
    pub unpriced: usize,
}

/// What a step of the response ended.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Avoided {
    /// The step.
    pub step: StepId,
    /// When the first machine was stopped by it.
    pub at: Timestamp,
    /// How many machines it stopped.
    pub machines: usize,
    /// US dollars per hour that they had cost.
    pub per_hour: f64,
    /// US dollars that they would have cost from then on, had they run for as long as is asked about.
    pub dollars: f64,
}

/// The curve up to a time, a point for each time at which anything changes.
pub fn curve(machines: &[Machine], until: Timestamp) -> Vec<Point> {
    let mut changes: BTreeMap<Timestamp, (f64, isize)> = BTreeMap::new();
    let mut change = |at: Timestamp, per_hour: f64, machines: isize| {
        let change = changes.entry(at).or_default();
        *change = (change.0 + per_hour, change.1 + machines);
    };
    for machine in machines {
        for run in machine.runs.iter().filter(|run| run.from <= until) {
            change(run.from, machine.per_hour(), 1);
            if let Some(to) = run.to.filter(|to| *to <= until) {
                change(to, -machine.per_hour(), -1);
            }
        }
    }
    let mut sum = (0.0, 0_isize);
    let point = |(at, change): (Timestamp, (f64, isize))| {
        sum = (sum.0 + change.0, sum.1 + change.1);
        // What is left of adding and subtracting when nothing runs is nothing.
        let per_hour = if sum.1 == 0 { 0.0 } else { sum.0.max(0.0) };
        Point { at, per_hour, machines: sum.1.max(0).unsigned_abs() }
    };
    changes.into_iter().map(point).collect()
}

/// When it was highest.
pub fn highest(curve: &[Point]) -> Timestamp {
    let highest = curve.iter().rev().max_by(|a, b| {
        (a.per_hour, a.machines).partial_cmp(&(b.per_hour, b.machines)).unwrap_or(std::cmp::Ordering::Equal)
    });
    highest.map_or(Timestamp::UNIX_EPOCH, |point| point.at)
}

/// The shares of the machines that ran at a time, by a name, the dearest first.
pub fn shares(machines: &[Machine], at: Timestamp, name: impl Fn(&Machine) -> &str) -> Vec<Share> {
    let mut shares: BTreeMap<&str, Share> = BTreeMap::new();
    for machine in machines.iter().filter(|machine| machine.runs_at(at)) {
        let name = name(machine);
        let blank = || Share { name: name.to_owned(), machines: 0, per_hour: 0.0, unpriced: 0 };
        let share = shares.entry(name).or_insert_with(blank);
        share.machines += 1;
        share.per_hour += machine.per_hour();
        share.unpriced += usize::from(machine.price.is_none());
    }
    let mut shares: Vec<Share> = shares.into_values().collect();
    shares.sort_by(|a, b| b.per_hour.total_cmp(&a.per_hour));
    shares
}

/// What each step ended, in the order of time.
pub fn avoided(machines: &[Machine], horizon: Span) -> Vec<Avoided> {
    let mut steps: BTreeMap<&StepId, Avoided> = BTreeMap::new();
    for machine in machines {
        // A machine that it stopped twice would have gone on once.
        let mut stops = machine.runs.iter().rev().filter_map(|run| Some((run.ended_by.as_ref()?, run.to?)));
        let Some((step, at)) = stops.next() else { continue };
        let blank = || Avoided { step: step.clone(), at, machines: 0, per_hour: 0.0, dollars: 0.0 };
        let avoided = steps.entry(step).or_insert_with(blank);
        avoided.at = avoided.at.min(at);
        avoided.machines += 1;
        avoided.per_hour += machine.per_hour();
        avoided.dollars += machine.per_hour() * horizon.0.as_secs_f64() / 3_600.0;
    }
    let mut steps: Vec<Avoided> = steps.into_values().collect();
    steps.sort_by_key(|avoided| avoided.at);
    steps
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cost::machine::tests::{at, machine};

    fn stop() -> StepId {
        StepId::new("stop").unwrap()
    }

    fn three() -> Vec<Machine> {
        let mut machines = vec![
            machine("i-1", "us-east-1", "10:00:00"),
            machine("i-2", "sa-east-1", "11:00:00"),
            machine("i-3", "us-east-1", "11:00:00"),
        ];
        machines[0].ended(at("12:00:00"), Some(stop()));
        machines[1].ended(at("12:30:00"), Some(stop()));
        machines[2].price = None;
        machines
    }

    #[test]
    fn the_curve_rises_with_each_launch_and_falls_with_each_stop() {
        let curve = curve(&three(), at("13:00:00"));
        let points: Vec<(String, f64, usize)> = curve
            .iter()
            .map(|point| (point.at.strftime("%H:%M").to_string(), (point.per_hour * 1e3).round() / 1e3, point.machines))
            .collect();
        let expected = [("10:00", 3.06, 1), ("11:00", 7.776, 3), ("12:00", 4.716, 2), ("12:30", 0.0, 1)];
        assert_eq!(points, expected.map(|(at, per_hour, machines)| (at.to_owned(), per_hour, machines)));
        assert_eq!(highest(&curve), at("11:00:00"));
        assert_eq!(super::curve(&three(), at("11:30:00")).len(), 2, "what comes after is not in it");
    }

    #[test]
    fn shares_are_of_what_ran_at_the_highest() {
        let shares = shares(&three(), at("11:00:00"), |machine| machine.region.as_str());
        let shares: Vec<_> = shares.iter().map(|share| (share.name.as_str(), share.machines, share.unpriced)).collect();
        assert_eq!(shares, [("sa-east-1", 1, 0), ("us-east-1", 2, 1)]);
    }

    #[test]
    fn a_step_saved_what_its_machines_would_have_cost() {
        let avoided = avoided(&three(), Span::seconds(36_000));
        assert_eq!(avoided.len(), 1);
        assert_eq!((avoided[0].machines, avoided[0].at), (2, at("12:00:00")));
        assert!((avoided[0].dollars - 77.76).abs() < 1e-6, "{}", avoided[0].dollars);
    }
}
