//! What the machines of an incident cost: per hour, so far, and what the response saved.
//!
//! | file | holds |
//! |---|---|
//! | [`prices`] | the table: region, type, platform |
//! | [`machine`] | a machine and the time that it ran |
//! | `fleet` | the machines that captures and a run know |
//! | [`curve`] | what they cost over time, at the highest, and what each step ended |
//! | [`storage`] | what goes on costing when machines are stopped |
//! | [`billed`] | what Cost Explorer says, day by day, beside the estimate |
//!
//! Estimates by list prices, never bills: a machine that runs costs its on-demand price, by the second. A price that is not
//! known is never guessed in silence: the machine is counted and named, or its price says whose it is.

pub mod billed;
pub mod curve;
mod fleet;
pub mod machine;
pub mod prices;
pub mod storage;

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;

use crate::model::{Event, Span};
use crate::story::{Seen, Story};
use fleet::Fleet;
use machine::Since;
use prices::Basis;

pub use billed::Day;
pub use curve::{Avoided, Point, Share};
pub use machine::Machine;
pub use storage::Kept;

/// What is asked for.
#[derive(Debug, Clone, Copy)]
pub struct Asked {
    /// Up to when costs are counted; otherwise up to the last thing that captures and run know.
    pub until: Option<Timestamp>,
    /// For how long what was stopped would have gone on.
    pub horizon: Span,
}

impl Default for Asked {
    fn default() -> Self {
        Self { until: None, horizon: Span::seconds(24 * 3_600) }
    }
}

/// What the machines of an incident cost. All amounts are in US dollars.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Costs {
    /// From each time on, so much per hour, until the next. The first is the first launch; ascending.
    pub curve: Vec<Point>,
    /// At the highest, by region, the dearest first.
    pub regions: Vec<Share>,
    /// At the highest, by type, the dearest first.
    pub types: Vec<Share>,
    /// Per hour, at `until`.
    pub burn_now: f64,
    /// From the first launch to `until`.
    pub so_far: f64,
    /// Up to when it is counted.
    pub until: Timestamp,
    /// What each step of the response ended.
    pub avoided: Vec<Avoided>,
    /// For how long that would have gone on, in hours.
    pub horizon_hours: f64,
    /// Types without a price, with how many machines: they are in no sum.
    pub unpriced: Vec<(String, usize)>,
    /// How much of `so_far` is by the price of another region, us-east-1's.
    pub estimated: f64,
    /// How much of `so_far` is by prices that a rule gives and no list.
    pub derived: f64,
    /// What stays when machines are stopped.
    pub storage: Vec<Kept>,
    /// Cost Explorer's days, where captures hold them.
    pub billed: Vec<Day>,
    /// Where the prices come from, in a sentence.
    pub source: String,
    /// What is not counted, and what the figures do not say; a sentence each.
    pub notes: Vec<String>,
    /// The machines.
    pub machines: Vec<Machine>,
}

/// What the machines of an incident cost, by captures (oldest first), the story that they tell, and the run that responded;
/// any of them may be missing. `None` when no machine of an incident is known.
pub fn of(seen: &[Seen], story: Option<&Story>, events: &[Event], asked: &Asked) -> Option<Costs> {
    let fleet = Fleet::of(seen, story, events);
    let machines = fleet.of_incident();
    let first = machines.iter().filter_map(|machine| machine.runs.first()).map(|run| run.from).min()?;
    let until = asked.until.or(fleet.last).unwrap_or(first).max(first);
    let curve = curve::curve(&machines, until);
    let peak = curve::highest(&curve);
    let sum = |wanted: fn(Basis) -> bool| -> f64 {
        let wanted = |machine: &&Machine| machine.price.is_some_and(|price| wanted(price.basis));
        // The sum of nothing is -0.
        machines.iter().filter(wanted).map(|machine| machine.dollars(first, until)).sum::<f64>() + 0.0
    };
    Some(Costs {
        regions: curve::shares(&machines, peak, |machine| machine.region.as_str()),
        types: curve::shares(&machines, peak, |machine| &machine.instance_type),
        burn_now: curve.last().map_or(0.0, |point| point.per_hour),
        so_far: sum(|_| true),
        until,
        avoided: curve::avoided(&machines, asked.horizon),
        horizon_hours: asked.horizon.0.as_secs_f64() / 3_600.0,
        unpriced: unpriced(&machines),
        estimated: sum(|basis| basis == Basis::UsEast1),
        derived: sum(|basis| basis == Basis::Derived),
        storage: storage::of(seen, &machines, until),
        billed: billed::days(seen, &fleet.all().collect::<Vec<_>>(), &machines, until),
        source: prices::source(),
        notes: notes(&machines),
        curve,
        machines,
    })
}

fn unpriced(machines: &[Machine]) -> Vec<(String, usize)> {
    let mut types: BTreeMap<String, usize> = BTreeMap::new();
    for machine in machines.iter().filter(|machine| machine.price.is_none()) {
        *types.entry(format!("{} ({})", machine.instance_type, machine.platform.as_str())).or_default() += 1;
    }
    types.into_iter().collect()
}

fn notes(machines: &[Machine]) -> Vec<String> {
    let count = |wanted: fn(&Machine) -> bool| machines.iter().filter(|machine| wanted(machine)).count();
    let mut notes = Vec::new();
    let mut note = |count: usize, what: &str| {
        if count > 0 {
            notes.push(format!("{count} of {} machines {what}", machines.len()));
        }
    };
    note(
        count(|machine| machine.since == Since::Earlier),
        "were stopped and started again: earlier runs that nobody saw are not counted, so this is the least",
    );
    note(
        count(|machine| machine.since == Since::Unknown),
        "may have run before what is counted, for when they were launched is not known: this is the least",
    );
    note(count(|machine| machine.spot), "are Spot instances, counted at the on-demand price: they cost less");
    notes.push(
        "not counted: data transfer, the speed of volumes, other licences than that of Windows, discounts, Savings Plans, credits \
         and taxes, and services other than EC2"
            .to_owned(),
    );
    notes
}

#[cfg(test)]
mod tests;
