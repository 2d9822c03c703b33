//! What it cost: the burn rate over time, what each step of the response ended, and where the money went.

mod machines;

use indexmap::IndexMap;
use jiff::Timestamp;
use serde::Serialize;

use super::block::{Block, Cell, Figure, Picture, Table, Tone, clock};
use super::charts::{Chart, bars, both, curve};
use super::containment::{StepSpan, spans};
use crate::evidence::{Captured, EvidenceError, Store};
use crate::report::record::Record;
use crate::report::text::counted;
use crate::story::Story;

pub use machines::Machine;

/// For how long what was avoided is counted: the story that quell comes from burnt for two weeks.
const HORIZON: f64 = 24.0;

/// What it cost. All money is US dollars, estimated and never billed.
#[derive(Debug, Clone, Serialize)]
pub struct Burn {
    /// Since each time, so many machines at so much per hour.
    pub curve: Vec<Point>,
    /// At the highest, by region, the dearest first.
    pub regions: Vec<Share>,
    /// At the highest, by type, the dearest first.
    pub types: Vec<Share>,
    /// From the first launch to the last stop; none where launch times are not known.
    pub so_far: Option<f64>,
    /// What would have been spent in the hours after the last stop.
    pub avoided: f64,
    /// How many hours that are.
    pub horizon_hours: f64,
    /// How many machines run still.
    pub left: usize,
    /// The steps of the response, in their order.
    pub steps: Vec<StepSpan>,
    /// Types without a price, with how many machines; they are in no sum.
    pub unpriced: Vec<(String, usize)>,
    /// Where the prices come from.
    pub source: String,
    /// What to know of the figures.
    pub notes: Vec<String>,
}

/// From a time on.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Point {
    /// The time.
    pub at: Timestamp,
    /// US dollars per hour.
    pub per_hour: f64,
    /// Machines.
    pub machines: usize,
}

/// A part of the whole.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Share {
    /// Which.
    pub name: String,
    /// Machines.
    pub machines: usize,
    /// US dollars per hour.
    pub per_hour: f64,
    /// How many of the machines have no price.
    pub unpriced: usize,
}

impl Burn {
    /// What the machines cost that the run stopped or would have stopped; nothing where there were none.
    ///
    /// # Errors
    /// When evidence is missing or was changed.
    pub fn of(
        record: &Record,
        story: Option<&Story>,
        evidence: Option<(&Store, &[Captured])>,
    ) -> Result<Option<Self>, EvidenceError> {
        let machines = machines::of(record, story, evidence)?;
        Ok((!machines.is_empty()).then(|| Self::told(&machines, record)))
    }

    fn told(machines: &[Machine], record: &Record) -> Self {
        let ended = machines.iter().filter_map(|machine| machine.stopped).max();
        let curve = curve_of(machines, record.started);
        let known = machines.iter().all(|machine| machine.launched.is_some());
        let unpriced = machines.iter().filter(|machine| machine.per_hour.is_none());
        let mut types: IndexMap<String, usize> = IndexMap::new();
        unpriced.for_each(|machine| *types.entry(machine.instance_type.clone()).or_default() += 1);
        let stopped: f64 =
            machines.iter().filter(|machine| machine.stopped.is_some()).filter_map(|machine| machine.per_hour).sum();
        let mut notes = vec![
            "Counted are machines while they run. Volumes, snapshots, addresses, traffic and other services are not."
                .to_owned(),
        ];
        if !known {
            notes.push(
                "When the machines were launched is not known, as there is no evidence: the curve begins with the run."
                    .to_owned(),
            );
        }
        Self {
            regions: shares(machines, |machine| machine.region.to_string()),
            types: shares(machines, |machine| machine.instance_type.clone()),
            so_far: known.then(|| spent(machines, ended.unwrap_or(record.started))),
            avoided: stopped * HORIZON,
            horizon_hours: HORIZON,
            left: machines.iter().filter(|machine| machine.stopped.is_none()).count(),
            steps: spans(record),
            unpriced: types.into_iter().collect(),
            source: crate::model::prices::SOURCE.to_owned(),
            notes,
            curve,
        }
    }

    /// The highest burn rate.
    pub fn highest(&self) -> f64 {
        self.curve.iter().map(|point| point.per_hour).fold(0.0, f64::max)
    }

    /// The burn rate at the end.
    pub fn last(&self) -> f64 {
        self.curve.last().map_or(0.0, |point| point.per_hour)
    }

    /// How it is shown.
    pub fn blocks(&self) -> Vec<Block> {
        let mut blocks = vec![Block::Figures(self.figures())];
        if !self.unpriced.is_empty() {
            let types: Vec<String> = self.unpriced.iter().map(|(name, count)| format!("{count} × {name}")).collect();
            let text = format!("Without a price, and in no sum: {}.", types.join(", "));
            blocks.push(Block::Notice(Tone::Open, text));
        }
        blocks.push(Block::Heading("Burn rate over the incident".to_owned()));
        blocks.push(self.over_time());
        if self.steps.iter().any(|step| step.first.is_some()) {
            blocks.push(Block::Heading("The response, step by step".to_owned()));
            blocks.push(self.response());
        }
        blocks.push(Block::Heading("By region".to_owned()));
        blocks.push(share("Burn rate by region, at the highest", "Region", &self.regions));
        blocks.push(Block::Heading("By type".to_owned()));
        blocks.push(share("Burn rate by instance type, at the highest", "Type", &self.types));
        blocks.push(Block::text(format!("Prices: {}. {}", self.source, self.notes.join(" "))));
        blocks
    }

    fn figures(&self) -> Vec<Figure> {
        let figure = |label: &str, value: String, note: String| Figure { label: label.to_owned(), value, note };
        let so_far = self.so_far.map_or_else(|| "not known".to_owned(), money);
        vec![
            figure("At the highest", format!("{}/h", money(self.highest())), "estimated".to_owned()),
            figure("Spent until the last stop", so_far, "estimated".to_owned()),
            figure("Now", format!("{}/h", money(self.last())), format!("{} still run", self.left)),
            figure(
                &format!("Not spent in the {:.0} h after", self.horizon_hours),
                money(self.avoided),
                "had nothing been stopped".to_owned(),
            ),
        ]
    }

    fn over_time(&self) -> Block {
        let began = self.steps.iter().filter_map(|step| step.first).min();
        let row = |point: &Point| {
            vec![Cell::Time(point.at), Cell::count(point.machines), Cell::Number(format!("{:.2}", point.per_hour))]
        };
        Block::Picture(Picture {
            chart: Chart {
                title: "Burn rate over the incident, in US dollars per hour".to_owned(),
                description: format!(
                    "It rises to {} per hour and ends at {}{}.",
                    money(self.highest()),
                    money(self.last()),
                    began.map(|at| format!("; the response begins at {} UTC", clock(at))).unwrap_or_default()
                ),
                drawn: both(|width| curve::incident(&self.curve, began, width)),
            },
            legend: Vec::new(),
            table: Table {
                caption: "From each time on, so many machines at so much".to_owned(),
                head: vec!["From (UTC)", "Machines", "USD per hour"],
                rows: self.curve.iter().map(row).collect(),
            },
        })
    }

    fn response(&self) -> Block {
        let row = |step: &StepSpan| {
            vec![
                Cell::text(step.step.to_string()),
                Cell::time(step.first),
                Cell::time(step.last),
                Cell::count(step.changes),
            ]
        };
        let (first, last) = (
            self.steps.iter().filter_map(|step| step.first).min(),
            self.steps.iter().filter_map(|step| step.last).max(),
        );
        let span = first.zip(last).map(|(first, last)| last.duration_since(first).as_secs_f64()).unwrap_or_default();
        Block::Picture(Picture {
            chart: Chart {
                title: "The burn rate during the response, and its steps".to_owned(),
                description: format!(
                    "{} from the first change to the end of the last. Each bar is a step, from its first change to its last.",
                    crate::report::text::seconds(span)
                ),
                drawn: both(|width| curve::response(&self.curve, &self.steps, width)),
            },
            legend: Vec::new(),
            table: Table {
                caption: "The steps, with the first and the last change of each".to_owned(),
                head: vec!["Step", "First change (UTC)", "Last change ended (UTC)", "Changes"],
                rows: self.steps.iter().map(row).collect(),
            },
        })
    }
}

/// US dollars, as they are read: `$1,234.50`.
pub fn money(dollars: f64) -> String {
    let text = format!("{dollars:.2}");
    let (whole, cents) = text.split_once('.').unwrap_or((&text, "00"));
    let digits = whole.trim_start_matches('-');
    let mut grouped = String::new();
    for (number, digit) in digits.chars().enumerate() {
        if number > 0 && (digits.len() - number).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    format!("{}${grouped}.{cents}", if dollars < 0.0 { "-" } else { "" })
}

/// From each time on, so many machines at so much. Machines of which it is not known when they were launched are there when
/// the run begins.
fn curve_of(machines: &[Machine], started: Timestamp) -> Vec<Point> {
    let mut turns: Vec<(Timestamp, f64, isize)> = Vec::new();
    for machine in machines {
        let price = machine.per_hour.unwrap_or_default();
        turns.push((machine.launched.unwrap_or(started), price, 1));
        turns.extend(machine.stopped.map(|at| (at, -price, -1)));
    }
    turns.sort_by_key(|(at, ..)| *at);
    let (mut per_hour, mut running) = (0.0, 0_isize);
    let mut curve: Vec<Point> = Vec::new();
    for (at, price, one) in turns {
        (per_hour, running) = (per_hour + price, running + one);
        let machines = running.unsigned_abs();
        // A sum of many parts does not come back to nothing by itself.
        let point = Point { at, per_hour: if machines == 0 { 0.0 } else { per_hour }, machines };
        match curve.last_mut() {
            Some(last) if last.at == at => *last = point,
            _ => curve.push(point),
        }
    }
    curve
}

/// What was spent until a time, by the second.
fn spent(machines: &[Machine], until: Timestamp) -> f64 {
    let cost = |machine: &Machine| {
        let (launched, until) = (machine.launched?, machine.stopped.unwrap_or(until));
        Some(machine.per_hour? * until.duration_since(launched).as_secs_f64().max(0.0) / 3_600.0)
    };
    machines.iter().filter_map(cost).sum()
}

fn shares(machines: &[Machine], name: impl Fn(&Machine) -> String) -> Vec<Share> {
    let mut shares: IndexMap<String, Share> = IndexMap::new();
    for machine in machines {
        let name = name(machine);
        let empty = Share { name: name.clone(), machines: 0, per_hour: 0.0, unpriced: 0 };
        let share = shares.entry(name).or_insert(empty);
        share.machines += 1;
        share.per_hour += machine.per_hour.unwrap_or_default();
        share.unpriced += usize::from(machine.per_hour.is_none());
    }
    let mut shares: Vec<Share> = shares.into_values().collect();
    shares.sort_by(|a, b| b.per_hour.total_cmp(&a.per_hour).then_with(|| a.name.cmp(&b.name)));
    shares
}

fn share(title: &str, of: &'static str, shares: &[Share]) -> Block {
    let row = |share: &Share| {
        let price = if share.unpriced == share.machines { None } else { Some(share.per_hour) };
        vec![
            Cell::text(share.name.clone()),
            Cell::count(share.machines),
            Cell::dollars(price),
            Cell::count(share.unpriced),
        ]
    };
    let gist = shares.first().map(|first| {
        format!(
            "{}; the most in {}: {} at {} per hour.",
            counted(shares.len(), "bar"),
            first.name,
            counted(first.machines, "machine"),
            money(first.per_hour)
        )
    });
    Block::Picture(Picture {
        chart: Chart {
            title: title.to_owned(),
            description: gist.unwrap_or_default(),
            drawn: both(|width| bars::draw(shares, width)),
        },
        legend: Vec::new(),
        table: Table {
            caption: title.to_owned(),
            head: vec![of, "Machines", "USD per hour", "Of these without a price"],
            rows: shares.iter().map(row).collect(),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(launched: &str, stopped: Option<&str>, per_hour: f64) -> Machine {
        Machine {
            id: "i-0a".to_owned(),
            region: "eu-west-1".parse().unwrap(),
            instance_type: "c5.9xlarge".to_owned(),
            launched: launched.parse().ok(),
            stopped: stopped.map(|at| at.parse().unwrap()),
            per_hour: Some(per_hour),
        }
    }

    #[test]
    fn the_curve_rises_with_launches_falls_with_stops_and_ends_at_nothing() {
        let machines = [
            machine("2026-03-03T14:00:00Z", Some("2026-03-03T15:00:00Z"), 0.1),
            machine("2026-03-03T14:30:00Z", Some("2026-03-03T15:00:00Z"), 0.2),
        ];
        let curve = curve_of(&machines, "2026-03-03T15:00:00Z".parse().unwrap());
        let rates: Vec<(f64, usize)> = curve.iter().map(|point| (point.per_hour, point.machines)).collect();
        assert_eq!(rates.len(), 3);
        assert!((rates[1].0 - 0.3).abs() < 1e-9 && rates[1].1 == 2);
        assert_eq!(rates[2], (0.0, 0));
        assert!((spent(&machines, "2026-03-03T16:00:00Z".parse().unwrap()) - 0.2).abs() < 1e-9);
    }

    #[test]
    fn money_is_grouped() {
        assert_eq!(money(1_234_567.5), "$1,234,567.50");
        assert_eq!(money(0.0), "$0.00");
        assert_eq!(money(999.999), "$1,000.00");
        assert_eq!(money(-12.3), "-$12.30");
    }
}
