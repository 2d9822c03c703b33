//! The closing table of a drill: what a rehearsal was worth.

mod intruder;

use std::fmt::Write as _;

use serde::Serialize;
use serde_json::{Value, json};

use super::record::Record;
use super::style::{Colour, laid_out, table};
use super::text::counted;
use crate::cost::{self, Asked, prices};
use crate::model::{Event, EventKind, Outcome, Platform, Region};

pub use intruder::{Intruder, Try, Way};

/// A machine of the simulated account, before and after.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Machine {
    /// Its instance id.
    pub id: String,
    /// Where it is.
    pub region: Region,
    /// Its instance type.
    pub instance_type: String,
    /// Its operating system.
    pub platform: Platform,
    /// Whose it is.
    pub owner: Owner,
    /// Whether it ran when the drill began.
    pub ran_before: bool,
    /// Whether it runs now, or is on its way up.
    pub runs_after: bool,
    /// Whether anything about it is different from before, other than the passing of time.
    pub changed: bool,
}

/// Whose a machine is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    /// The intruder's: to be contained.
    Intruder,
    /// The company's: to be left alone.
    Company,
}

/// What the simulated AWS knows of a drill, beside the journal.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Facts {
    /// Every machine.
    pub machines: Vec<Machine>,
    /// The intruder's access keys: how many there are, and how many are inactive now.
    pub keys: (usize, usize),
    /// Resources of the company other than machines that the run changed.
    pub other_touched: usize,
    /// What the simulated AWS charges for the intruder's machines up to the end of the run, in US dollars.
    pub charged: f64,
    /// The time that the simulated AWS takes to answer, in seconds.
    pub latency: f64,
    /// How many requests had to wait for one another, at the least, from the approval to the last StopInstances:
    /// [`super::chain::longest`].
    pub longest_chain: Option<u64>,
    /// The intruder, if it fought back.
    pub intruder: Option<Intruder>,
    /// What is left to the intruder: launchers that go on, machines that run.
    pub footholds: Vec<String>,
}

/// The score of a drill.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Score {
    /// The intruder's machines that ran when the drill began.
    pub rogue: usize,
    /// How many of them do not run any more.
    pub stopped: usize,
    /// The intruder's keys.
    pub keys: usize,
    /// How many of them are inactive.
    pub keys_inactive: usize,
    /// The company's machines.
    pub legitimate: usize,
    /// How many of the company's resources were touched; must be 0.
    pub legitimate_touched: usize,
    /// Snapshots taken.
    pub snapshots: usize,
    /// What the intruder's machines cost per hour.
    pub cost: Cost,
    /// From the last answer before the first change to the last StopInstances accepted, in seconds.
    pub to_last_stop_seconds: Option<f64>,
    /// How many requests had to wait for one another for that, at the least.
    pub longest_chain_requests: Option<u64>,
    /// The least that this could have taken: the longest chain of dependent requests, each with the latency; in seconds.
    pub longest_chain_seconds: Option<f64>,
    /// The intruder, if it fought back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub intruder: Option<Intruder>,
    /// What is left to the intruder.
    pub footholds: Vec<String>,
}

impl Score {
    /// Whether the intruder still got something done when the run had ended.
    pub fn is_lost(&self) -> bool {
        self.intruder
            .as_ref()
            .is_some_and(|intruder| intruder.tries.iter().any(|tried| tried.gains && tried.succeeded > 0))
    }
}

/// What the intruder's machines cost, in US dollars.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Cost {
    /// Per hour, when the drill began.
    pub before: f64,
    /// Per hour, now.
    pub after: f64,
    /// How much of `before` is by the price of another region, us-east-1's.
    pub estimated: f64,
    /// From the launches to the end of the run, as quell estimates it by its journal.
    pub so_far: f64,
    /// The same, as the simulated AWS charges it.
    pub charged: f64,
    /// Machines whose type is not in the price list, and which types these are.
    pub unpriced: usize,
    /// The types that are not in the price list.
    pub unpriced_types: Vec<String>,
    /// Where the prices come from.
    pub source: String,
}

/// Scores a drill.
pub fn score(record: &Record, events: &[Event], facts: &Facts) -> Score {
    let rogue: Vec<_> = facts.machines.iter().filter(|m| m.owner == Owner::Intruder && m.ran_before).collect();
    let company: Vec<_> = facts.machines.iter().filter(|m| m.owner == Owner::Company).collect();
    Score {
        rogue: rogue.len(),
        stopped: rogue.iter().filter(|machine| !machine.runs_after).count(),
        keys: facts.keys.0,
        keys_inactive: facts.keys.1,
        legitimate: company.len(),
        legitimate_touched: company.iter().filter(|machine| machine.changed).count() + facts.other_touched,
        snapshots: record.snapshots().len(),
        cost: cost(&rogue, events, facts.charged),
        to_last_stop_seconds: to_last_stop(record, events),
        intruder: facts.intruder.clone(),
        footholds: footholds(facts),
        longest_chain_requests: facts.longest_chain,
        #[expect(clippy::cast_precision_loss, reason = "a chain has a few dozen requests")]
        longest_chain_seconds: facts.longest_chain.map(|requests| requests as f64 * facts.latency),
    }
}

/// What is left: what the intruder could do with its credentials, and what goes on without it.
fn footholds(facts: &Facts) -> Vec<String> {
    let of_intruder = facts.intruder.iter().flat_map(Intruder::footholds);
    of_intruder.chain(facts.footholds.iter().cloned()).collect()
}

fn cost(rogue: &[&Machine], events: &[Event], charged: f64) -> Cost {
    let so_far = cost::of(&[], None, events, &Asked::default()).map_or(0.0, |costs| costs.so_far);
    let (unpriced, unpriced_types) = (0, Vec::new());
    let source = prices::source();
    let mut cost = Cost { before: 0.0, after: 0.0, estimated: 0.0, so_far, charged, unpriced, unpriced_types, source };
    for machine in rogue {
        let Some(price) = prices::of(&machine.region, &machine.instance_type, machine.platform) else {
            cost.unpriced += 1;
            cost.unpriced_types.push(machine.instance_type.clone());
            continue;
        };
        cost.before += price.per_hour;
        if price.basis == prices::Basis::UsEast1 {
            cost.estimated += price.per_hour;
        }
        if machine.runs_after {
            cost.after += price.per_hour;
        }
    }
    cost.unpriced_types.sort_unstable();
    cost.unpriced_types.dedup();
    cost
}

/// From the last answer that came before the first change to the last accepted StopInstances, in seconds.
fn to_last_stop(record: &Record, events: &[Event]) -> Option<f64> {
    let first_change = events.iter().position(|event| matches!(event.kind, EventKind::ChangeStarted { .. }))?;
    let approved = events[..first_change]
        .iter()
        .rfind(|event| matches!(event.kind, EventKind::ApprovalAnswered { .. }))
        .map_or(events[first_change].at, |event| event.at);
    let last_stop = record
        .fates()
        .filter(|(change, fate)| {
            change.action.as_str() == "ec2.stop-instances" && matches!(fate.outcome, Some(Outcome::Done { .. }))
        })
        .filter_map(|(_, fate)| fate.ended)
        .max()?;
    Some(last_stop.duration_since(approved).as_secs_f64())
}

/// Renders the closing table; the closing screen of the run goes before it.
pub fn render(score: &Score, colour: Colour) -> String {
    let mut rows = table();
    let judged = |good: bool, text: String| if good { colour.green(text) } else { colour.red(text) };
    rows.add_row([
        "rogue machines stopped".to_owned(),
        judged(score.stopped == score.rogue, format!("{} of {}", score.stopped, score.rogue)),
    ]);
    rows.add_row([
        "intruder's keys inactive".to_owned(),
        judged(score.keys_inactive == score.keys, format!("{} of {}", score.keys_inactive, score.keys)),
    ]);
    rows.add_row([
        "legitimate resources touched".to_owned(),
        judged(
            score.legitimate_touched == 0,
            format!("{} (of {})", score.legitimate_touched, counted(score.legitimate, "machine")),
        ),
    ]);
    rows.add_row(["evidence taken".to_owned(), counted(score.snapshots, "snapshot")]);
    let cost = &score.cost;
    rows.add_row(["cost per hour".to_owned(), format!("{:.2} → {:.2} USD", cost.before, cost.after)]);
    rows.add_row([
        "cost so far".to_owned(),
        format!("{:.2} USD (the simulated AWS charges {:.2})", cost.so_far, cost.charged),
    ]);
    if let Some(took) = score.to_last_stop_seconds {
        rows.add_row(["approval to last stop".to_owned(), format!("{took:.2} s")]);
    }
    if let (Some(requests), Some(least)) = (score.longest_chain_requests, score.longest_chain_seconds) {
        let chain = format!(
            "{least:.2} s ({} one after the other)",
            counted(usize::try_from(requests).unwrap_or(usize::MAX), "request")
        );
        rows.add_row(["the least it could take".to_owned(), chain]);
    }
    if let Some(intruder) = &score.intruder {
        let after = super::text::seconds(intruder.seconds);
        rows.add_row([
            "intruder's attempts".to_owned(),
            format!("{} during the run, {} in the {after} after it", intruder.during, intruder.afterwards()),
        ]);
    }
    let mut text = format!("{}\n{}", colour.bold("Drill"), laid_out(&rows));
    text.extend(score.intruder.as_ref().map(|intruder| intruder::render(intruder, colour)));
    if !score.footholds.is_empty() {
        let _ = writeln!(text, "{}", colour.red("Left to the intruder"));
        for left in &score.footholds {
            let _ = writeln!(text, "  {}", super::text::shown(left));
        }
    }
    if cost.unpriced > 0 {
        let _ = writeln!(
            text,
            "  {} without a price, not in the sum: {}",
            counted(cost.unpriced, "machine"),
            cost.unpriced_types.iter().map(|name| super::text::shown(name)).collect::<Vec<_>>().join(", ")
        );
    }
    let _ = writeln!(text, "  {}", colour.dim(format!("Prices: {}.", cost.source)));
    if cost.estimated > 0.0 {
        let estimated = format!("{:.2} USD of the cost per hour are estimated by us-east-1.", cost.estimated);
        let _ = writeln!(text, "  {}", colour.dim(estimated));
    }
    text
}

/// The summary document of a drill: that of the run, with the score under `drill`.
pub fn document(record: &Record, score: &Score) -> Value {
    let mut document = super::summary::document(record);
    document["drill"] = json!(score);
    document
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::example;

    fn machine(id: &str, instance_type: &str, owner: Owner, runs_after: bool) -> Machine {
        Machine {
            id: id.into(),
            region: Region::new("us-east-1").unwrap(),
            instance_type: instance_type.into(),
            platform: Platform::Windows,
            owner,
            ran_before: true,
            runs_after,
            changed: owner == Owner::Intruder,
        }
    }

    fn facts() -> Facts {
        Facts {
            machines: vec![
                machine("i-0a", "c5.18xlarge", Owner::Intruder, false),
                machine("i-0b", "c5.18xlarge", Owner::Intruder, true),
                machine("i-0c", "p5.48xlarge", Owner::Intruder, false),
                machine("i-0d", "m5.large", Owner::Company, true),
            ],
            keys: (2, 2),
            other_touched: 0,
            charged: 1.25,
            latency: 0.08,
            longest_chain: Some(12),
            ..Facts::default()
        }
    }

    #[test]
    fn the_score_counts_what_runs_and_what_it_costs() {
        let events = example::run();
        let score = score(&Record::of(&events).unwrap(), &events, &facts());
        assert_eq!((score.rogue, score.stopped), (3, 2));
        assert_eq!((score.legitimate, score.legitimate_touched), (1, 0));
        assert!((score.cost.before - 12.744).abs() < 0.001 && (score.cost.after - 6.372).abs() < 0.001);
        assert_eq!(score.cost.unpriced_types, ["p5.48xlarge"]);
        let text = render(&score, Colour::Plain);
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
        insta::assert_snapshot!(text, @r"
        Drill
          rogue machines stopped        2 of 3
          intruder's keys inactive      2 of 2
          legitimate resources touched  0 (of 1 machine)
          evidence taken                2 snapshots
          cost per hour                 12.74 → 6.37 USD
          cost so far                   0.00 USD (the simulated AWS charges 1.25)
          approval to last stop         10.00 s
          the least it could take       0.96 s (12 requests one after the other)
          1 machine without a price, not in the sum: p5.48xlarge
          Prices: on-demand lists of 2026-07-20 (us-east-1), 2025-03-02 (other regions).
        ");
    }

    #[test]
    fn touching_the_company_shows() {
        let events = example::run();
        let mut facts = facts();
        facts.machines[3].changed = true;
        facts.other_touched = 1;
        assert_eq!(score(&Record::of(&events).unwrap(), &events, &facts).legitimate_touched, 2);
    }
}
