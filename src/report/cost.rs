//! What an incident cost, for people and for programs.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::style::{Colour, laid_out, table};
use super::text::{counted, shown};
use crate::cost::{Costs, Share};

/// How many shares and days are shown; JSON has all.
const SHOWN: usize = 24;

/// The costs as a document.
pub fn document(costs: &Costs) -> Value {
    json!(costs)
}

/// The costs for a terminal.
pub fn text(costs: &Costs, colour: Colour) -> String {
    let mut text = format!("{}\n", colour.bold("Cost of the incident's machines, estimated (no bill)"));
    text.push_str(&figures(costs));
    for (heading, shares) in [("By region", &costs.regions), ("By type", &costs.types)] {
        if !shares.is_empty() {
            let heading = colour.bold(format!("{heading}, at the highest"));
            // Writing to a string cannot fail.
            let _ = write!(text, "\n{heading}\n{}", self::shares(shares));
        }
    }
    if !costs.avoided.is_empty() {
        let _ = write!(text, "\n{}\n{}", colour.bold("What the response ended"), avoided(costs));
    }
    if !costs.storage.is_empty() {
        let _ = write!(text, "\n{}\n{}", colour.bold("What stays, at the prices of us-east-1"), storage(costs));
    }
    if !costs.billed.is_empty() {
        let _ = write!(text, "\n{}\n{}", colour.bold("By day, billed and estimated, in USD"), days(costs));
        let late = "Cost Explorer shows use up to 24 hours late; taxes and credits are not in it.";
        let _ = writeln!(text, "  {}", colour.dim(late));
    }
    text.push('\n');
    for line in remarks(costs) {
        let _ = writeln!(text, "{} {}", colour.yellow("!"), shown(&line));
    }
    let _ = writeln!(text, "{}", colour.dim(format!("Prices: {}.", costs.source)));
    text
}

/// What has to be known to read the figures: what has no price, what is an estimate of an estimate, what is not counted.
pub fn remarks(costs: &Costs) -> Vec<String> {
    let mut remarks = Vec::new();
    if !costs.unpriced.is_empty() {
        let types: Vec<String> = costs.unpriced.iter().map(|(name, count)| format!("{count} × {name}")).collect();
        remarks.push(format!("without a known price, and in no sum: {}", types.join(", ")));
    }
    if costs.estimated > 0.0 {
        remarks.push(format!(
            "{} of what it cost so far are estimated by us-east-1: the prices of their regions are not known",
            dollars(costs.estimated)
        ));
    }
    if costs.derived > 0.0 {
        remarks.push(format!("{} are by prices that a rule gives (docs/cost.md)", dollars(costs.derived)));
    }
    remarks.extend(costs.notes.iter().cloned());
    remarks
}

fn figures(costs: &Costs) -> String {
    let mut rows = table();
    let peak = costs.curve.iter().rev().max_by(|a, b| a.per_hour.total_cmp(&b.per_hour));
    let first = costs.curve.first().map_or(costs.until, |point| point.at);
    let running = costs.curve.last().map_or(0, |point| point.machines);
    rows.add_row(["so far".to_owned(), dollars(costs.so_far), format!("from {first:.0} to {:.0}", costs.until)]);
    rows.add_row(["per hour now".to_owned(), dollars(costs.burn_now), counted(running, "machine")]);
    if let Some(peak) = peak {
        let when = format!("{}, {:.0}", counted(peak.machines, "machine"), peak.at);
        rows.add_row(["per hour at the highest".to_owned(), dollars(peak.per_hour), when]);
    }
    let saved: f64 = costs.avoided.iter().map(|avoided| avoided.dollars).sum();
    if saved > 0.0 {
        rows.add_row([
            "saved".to_owned(),
            dollars(saved),
            format!("had it gone on for {}", hours(costs.horizon_hours)),
        ]);
    }
    laid_out(&rows)
}

fn shares(shares: &[Share]) -> String {
    let mut rows = table();
    for share in shares.iter().take(SHOWN) {
        let unpriced = if share.unpriced > 0 { format!("{} without a price", share.unpriced) } else { String::new() };
        let per_hour = format!("{}/h", dollars(share.per_hour));
        rows.add_row([shown(&share.name), counted(share.machines, "machine"), per_hour, unpriced]);
    }
    more(laid_out(&rows), shares.len())
}

fn avoided(costs: &Costs) -> String {
    let mut rows = table();
    rows.set_header(["step", "from", "machines", "USD per hour", &format!("USD in {}", hours(costs.horizon_hours))]);
    for avoided in &costs.avoided {
        rows.add_row([
            avoided.step.to_string(),
            format!("{:.0}", avoided.at),
            avoided.machines.to_string(),
            format!("{:.2}", avoided.per_hour),
            format!("{:.2}", avoided.dollars),
        ]);
    }
    laid_out(&rows)
}

fn storage(costs: &Costs) -> String {
    let mut rows = table();
    for kept in &costs.storage {
        let size = kept.gib.map(|gib| format!("{gib:.0} GiB")).unwrap_or_default();
        let price =
            kept.per_month.map_or("price not known".to_owned(), |price| format!("{} per month", dollars(price)));
        rows.add_row([
            kept.count.to_string(),
            shown(&kept.what),
            size,
            price,
            kept.note.unwrap_or_default().to_owned(),
        ]);
    }
    laid_out(&rows)
}

fn days(costs: &Costs) -> String {
    let mut rows = table();
    rows.set_header(["account", "day", "billed", "estimated", "of it the incident", ""]);
    let from = costs.billed.len().saturating_sub(SHOWN);
    for day in &costs.billed[from..] {
        let preliminary = if day.preliminary { "preliminary" } else { "" };
        rows.add_row([
            day.account.to_string(),
            day.day.to_string(),
            format!("{:.2}", day.billed),
            format!("{:.2}", day.estimated),
            format!("{:.2}", day.of_incident),
            preliminary.to_owned(),
        ]);
    }
    more(laid_out(&rows), costs.billed.len())
}

fn more(text: String, all: usize) -> String {
    if all > SHOWN { format!("{text}  and {} more\n", all - SHOWN) } else { text }
}

/// `1234.50 USD`.
pub fn dollars(amount: f64) -> String {
    format!("{amount:.2} USD")
}

/// `24 h`, `30 days`.
pub fn hours(hours: f64) -> String {
    if hours > 24.0 && hours % 24.0 == 0.0 { format!("{:.0} days", hours / 24.0) } else { format!("{hours:.0} h") }
}
