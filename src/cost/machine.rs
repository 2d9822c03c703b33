//! A machine and the time that it ran.

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use super::prices::Price;
use crate::model::{AccountId, Platform, Region, StepId};

/// A machine is billed by the second, and for so many at least each time that it runs (EC2 User Guide, "Billing and purchasing
/// options").
const LEAST_BILLED: f64 = 60.0;

/// A machine that cost something.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Machine {
    /// `i-0abc`.
    pub id: String,
    /// Its account.
    pub account: AccountId,
    /// Its region.
    pub region: Region,
    /// `c5.18xlarge`.
    pub instance_type: String,
    /// Its operating system.
    pub platform: Platform,
    /// Whether it is a Spot instance, which costs less than its price here.
    pub spot: bool,
    /// When it ran, as far as it is known; the oldest first.
    pub runs: Vec<Run>,
    /// What is known of the beginning of the first run.
    pub since: Since,
    /// What it costs while it runs; none for a type that is not in the table.
    pub price: Option<Price>,
    /// When it was last seen running.
    #[serde(skip)]
    pub(super) seen_running: Option<Timestamp>,
}

/// A time in which a machine ran.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Run {
    /// From when.
    pub from: Timestamp,
    /// Until when; none while it runs.
    pub to: Option<Timestamp>,
    /// The step of the response that ended it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended_by: Option<StepId>,
}

/// What is known of the time before the first run that is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Since {
    /// The first run begins with the launch: nothing is missing.
    Launch,
    /// It had been launched before, and was stopped and started again: runs are missing, and so the cost is the least.
    Earlier,
    /// When it was launched is not known: the first run begins when it was first seen, and so the cost is the least.
    Unknown,
}

impl Machine {
    /// US dollars from one time to another; 0 without a price.
    pub fn dollars(&self, from: Timestamp, to: Timestamp) -> f64 {
        self.price.map_or(0.0, |price| self.hours(from, to) * price.per_hour)
    }

    /// Hours that are billed from one time to another.
    pub fn hours(&self, from: Timestamp, to: Timestamp) -> f64 {
        self.runs.iter().map(|run| run.hours(from, to)).sum()
    }

    /// Whether it ran at a time.
    pub fn runs_at(&self, at: Timestamp) -> bool {
        self.runs.iter().any(|run| run.from <= at && run.to.is_none_or(|to| to > at))
    }

    /// US dollars per hour while it runs; 0 without a price.
    pub fn per_hour(&self) -> f64 {
        self.price.map_or(0.0, |price| price.per_hour)
    }

    /// Says that it ran from a time on, unless that is known. When the run before it ended, nobody may have seen: then it is
    /// taken to have ended when it was last seen running, and what it cost is the least.
    pub(super) fn ran_from(&mut self, from: Timestamp) {
        // The same launch, told twice: a run that is known to begin there, or a moment before.
        const SAME: SignedDuration = SignedDuration::from_secs(2);
        if self.runs.iter().any(|run| run.from.duration_since(from).abs() <= SAME) {
            return;
        }
        self.runs.push(Run { from, to: None, ended_by: None });
        self.runs.sort_by_key(|run| run.from);
        let seen = self.seen_running;
        for pair in 1..self.runs.len() {
            let next = self.runs[pair].from;
            let before = &mut self.runs[pair - 1];
            if before.to.is_none() {
                before.to = Some(seen.unwrap_or(before.from).clamp(before.from, next));
            }
        }
    }

    /// Says that it was stopped, by AWS's word or by quell's. AWS's, in whole seconds, is the one that is billed by.
    pub(super) fn ended(&mut self, to: Timestamp, by: Option<StepId>) {
        let Some(run) = self.runs.iter_mut().rev().find(|run| run.from <= to) else { return };
        if by.is_some() {
            run.ended_by = by;
        }
        run.to = Some(run.to.map_or(to, |known| known.min(to)));
    }
}

impl Run {
    fn hours(&self, from: Timestamp, to: Timestamp) -> f64 {
        let ended = self.to.unwrap_or(to);
        let (began, until) = (self.from.max(from), ended.min(to));
        if until < began {
            return 0.0;
        }
        let seconds = until.duration_since(began).as_secs_f64();
        // The least is billed once, with the beginning.
        let least = if self.from >= from { LEAST_BILLED } else { 0.0 };
        seconds.max(least) / 3_600.0
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::cost::prices;

    pub(in crate::cost) fn at(text: &str) -> Timestamp {
        format!("2026-03-03T{text}Z").parse().unwrap()
    }

    pub(in crate::cost) fn machine(id: &str, region: &str, from: &str) -> Machine {
        let (region, instance_type) = (Region::new(region).unwrap(), "c5.18xlarge".to_owned());
        let price = prices::of(&region, &instance_type, Platform::Linux);
        Machine {
            id: id.to_owned(),
            account: "111122223333".parse().unwrap(),
            region,
            instance_type,
            platform: Platform::Linux,
            spot: false,
            runs: vec![Run { from: at(from), to: None, ended_by: None }],
            since: Since::Launch,
            price,
            seen_running: None,
        }
    }

    fn hours(machine: &Machine, from: &str, to: &str) -> f64 {
        machine.hours(at(from), at(to))
    }

    #[test]
    fn seconds_are_billed_and_sixty_at_least() {
        let mut machine = machine("i-1", "us-east-1", "10:00:00");
        assert!((hours(&machine, "00:00:00", "10:30:00") - 0.5).abs() < 1e-9);
        machine.ended(at("10:00:05"), None);
        assert!((hours(&machine, "00:00:00", "10:30:00") - 1.0 / 60.0).abs() < 1e-9);
        assert!((machine.dollars(at("00:00:00"), at("23:00:00")) - 3.06 / 60.0).abs() < 1e-9);
    }

    #[test]
    fn parts_of_a_run_make_the_whole() {
        let mut machine = machine("i-1", "us-east-1", "10:00:00");
        machine.ended(at("13:00:00"), None);
        let parts = hours(&machine, "00:00:00", "11:30:00") + hours(&machine, "11:30:00", "23:00:00");
        assert!((parts - 3.0).abs() < 1e-9);
        assert!(hours(&machine, "00:00:00", "09:00:00").abs() < 1e-9);
        assert!(hours(&machine, "14:00:00", "15:00:00").abs() < 1e-9);
    }

    #[test]
    fn a_stop_that_nobody_saw_was_after_the_last_sight_of_it() {
        let mut machine = machine("i-1", "us-east-1", "10:00:00");
        machine.seen_running = Some(at("11:00:00"));
        machine.ran_from(at("14:00:00"));
        assert!((hours(&machine, "00:00:00", "15:00:00") - 2.0).abs() < 1e-9);
    }

    #[test]
    fn a_machine_that_was_started_again_ran_twice() {
        let mut machine = machine("i-1", "us-east-1", "10:00:00");
        machine.ended(at("11:00:03"), Some(StepId::new("stop").unwrap()));
        machine.ended(at("11:00:00"), None);
        machine.ran_from(at("10:00:01"));
        machine.ran_from(at("12:00:00"));
        assert_eq!(machine.runs.len(), 2);
        assert_eq!((machine.runs[0].to, machine.runs[1].to), (Some(at("11:00:00")), None));
        assert!(machine.runs[0].ended_by.is_some());
        assert!((hours(&machine, "00:00:00", "13:00:00") - 2.0).abs() < 1e-9);
        assert!(machine.runs_at(at("12:30:00")) && !machine.runs_at(at("11:30:00")));
    }
}
