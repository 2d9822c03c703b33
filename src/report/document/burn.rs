//! What it cost: the burn rate over time, what each step of the response ended, and where the money went.

use std::collections::BTreeSet;

use serde::Serialize;

use super::block::{Block, Cell, Figure, Picture, Table, Tone, clock};
use super::charts::{Chart, bars, both, curve};
use super::containment::{StepSpan, spans};
use super::timeline::capital;
use crate::cost::storage::Kept;
use crate::cost::{Avoided, Costs, Day, Machine, Point, Share};
use crate::report::cost::remarks;
use crate::report::record::Record;
use crate::report::text::{counted, seconds};

/// How many days are shown; JSON has all.
const DAYS: usize = 14;

/// What it cost. All money is in US dollars, estimated and never billed.
#[derive(Debug, Clone, Serialize)]
pub struct Burn {
    /// The figures.
    #[serde(flatten)]
    pub costs: Costs,
    /// The steps of the response, in their order.
    pub steps: Vec<StepSpan>,
}

impl Burn {
    /// Of the machines of an incident, and the run that stopped them.
    pub fn of(costs: Costs, record: &Record) -> Self {
        Self { costs, steps: spans(record) }
    }

    /// The highest burn rate, in US dollars per hour.
    pub fn highest(&self) -> f64 {
        self.costs.curve.iter().map(|point| point.per_hour).fold(0.0, f64::max)
    }

    /// What would have been spent, had nothing been stopped.
    pub fn avoided(&self) -> f64 {
        self.costs.avoided.iter().map(|avoided| avoided.dollars).sum()
    }

    /// How many machines there are, and how many of them do not run any more.
    pub fn machines(&self) -> (usize, usize) {
        let is_stopped = |machine: &&Machine| machine.runs.last().is_none_or(|run| run.to.is_some());
        (self.costs.machines.len(), self.costs.machines.iter().filter(is_stopped).count())
    }

    /// In how many regions they ran.
    pub fn regions(&self) -> usize {
        self.costs.machines.iter().map(|machine| &machine.region).collect::<BTreeSet<_>>().len()
    }

    /// How it is shown.
    pub fn blocks(&self) -> Vec<Block> {
        let mut blocks = vec![Block::Figures(self.figures())];
        blocks.extend(self.unpriced().map(|text| Block::Notice(Tone::Open, text)));
        blocks.push(Block::Heading("Burn rate over the incident".to_owned()));
        blocks.push(self.over_time());
        if self.steps.iter().any(|step| step.first.is_some()) {
            blocks.push(Block::Heading("The response, step by step".to_owned()));
            blocks.push(self.response());
        }
        if !self.costs.avoided.is_empty() {
            blocks.push(avoided(&self.costs));
        }
        blocks.push(Block::Heading("By region".to_owned()));
        blocks.push(share("Burn rate by region, at the highest", "Region", &self.costs.regions));
        blocks.push(Block::Heading("By type".to_owned()));
        blocks.push(share("Burn rate by instance type, at the highest", "Type", &self.costs.types));
        if !self.costs.storage.is_empty() {
            blocks.push(Block::Heading("What goes on costing".to_owned()));
            blocks.push(storage(&self.costs.storage));
        }
        if !self.costs.billed.is_empty() {
            blocks.push(Block::Heading("Billed and estimated".to_owned()));
            blocks.push(billed(&self.costs.billed));
        }
        blocks.push(Block::Heading("How to read these figures".to_owned()));
        let mut notes = vec![Cell::Text(format!("Estimates, never bills. Prices: {}.", self.costs.source))];
        notes.extend(remarks(&self.costs).iter().map(|remark| Cell::Text(capital(remark))));
        blocks.push(Block::List(notes));
        blocks
    }

    /// The machines without a price, if there are some.
    pub fn unpriced(&self) -> Option<String> {
        let types: Vec<String> = self.costs.unpriced.iter().map(|(name, count)| format!("{count} × {name}")).collect();
        (!types.is_empty()).then(|| format!("Without a known price, and in no sum: {}.", types.join(", ")))
    }

    fn figures(&self) -> Vec<Figure> {
        let figure = |label: String, value: String, note: String| Figure { label, value, note };
        let (all, stopped) = self.machines();
        vec![
            figure("At the highest".to_owned(), format!("{}/h", money(self.highest())), "estimated".to_owned()),
            figure(
                "So far".to_owned(),
                money(self.costs.so_far),
                format!("until {} UTC, estimated", self.costs.until.strftime("%d %b %H:%M")),
            ),
            figure(
                "Now".to_owned(),
                format!("{}/h", money(self.costs.burn_now)),
                format!("{} still running", counted(all - stopped, "machine")),
            ),
            figure(
                format!("Saved in the next {:.0} h", self.costs.horizon_hours),
                money(self.avoided()),
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
                    money(self.costs.burn_now),
                    began.map(|at| format!("; the response begins at {} UTC", clock(at))).unwrap_or_default()
                ),
                drawn: both(|width| curve::incident(&self.costs.curve, began, width)),
            },
            legend: Vec::new(),
            table: Table {
                caption: "From each time on, so many machines at so much".to_owned(),
                head: vec!["From (UTC)", "Machines", "USD per hour"],
                rows: self.costs.curve.iter().map(row).collect(),
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
                    seconds(span)
                ),
                drawn: both(|width| curve::response(&self.costs.curve, &self.steps, width)),
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

/// What each step ended.
fn avoided(costs: &Costs) -> Block {
    let row = |avoided: &Avoided| {
        vec![
            Cell::text(avoided.step.to_string()),
            Cell::Time(avoided.at),
            Cell::count(avoided.machines),
            Cell::Number(format!("{:.2}", avoided.per_hour)),
            Cell::Number(format!("{:.2}", avoided.dollars)),
        ]
    };
    Block::Table(Table {
        caption: format!(
            "What the steps ended; saved is what it would have cost in the {:.0} hours from then on",
            costs.horizon_hours
        ),
        head: vec!["Step", "First stop (UTC)", "Machines", "USD per hour", "USD saved"],
        rows: costs.avoided.iter().map(row).collect(),
    })
}

/// What stays when machines are stopped.
fn storage(storage: &[Kept]) -> Block {
    let row = |kept: &Kept| {
        vec![
            Cell::text(kept.what.clone()),
            Cell::count(kept.count),
            kept.gib.map_or_else(|| Cell::text("–"), |gib| Cell::Number(format!("{gib:.0}"))),
            Cell::dollars(kept.per_month),
            Cell::text(kept.note.unwrap_or("–")),
        ]
    };
    Block::Table(Table {
        caption: "Volumes, snapshots and addresses cost until somebody deletes them; by the prices of us-east-1"
            .to_owned(),
        head: vec!["What", "How many", "GiB", "USD per month", "Note"],
        rows: storage.iter().map(row).collect(),
    })
}

/// What Cost Explorer says beside the estimate: the last days.
fn billed(days: &[Day]) -> Block {
    let row = |day: &Day| {
        vec![
            Cell::text(day.day.to_string()),
            Cell::text(day.account.to_string()),
            Cell::Number(format!("{:.2}", day.billed)),
            Cell::Number(format!("{:.2}", day.estimated)),
            Cell::Number(format!("{:.2}", day.of_incident)),
            Cell::text(if day.preliminary { "may still change" } else { "final" }),
        ]
    };
    Block::Table(Table {
        caption: "By day, in USD: Cost Explorer shows use up to 24 hours late; taxes and credits are not in it"
            .to_owned(),
        head: vec!["Day", "Account", "Billed", "Estimated", "Of it the incident", "State"],
        rows: days.iter().rev().take(DAYS).rev().map(row).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn money_is_grouped() {
        assert_eq!(money(1_234_567.5), "$1,234,567.50");
        assert_eq!(money(0.0), "$0.00");
        assert_eq!(money(999.999), "$1,000.00");
        assert_eq!(money(-12.3), "-$12.30");
    }
}
