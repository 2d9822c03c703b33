//! What an intruder who fought back tried after the run, and what it got.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use serde::Serialize;

use crate::report::style::{Colour, laid_out, table};

/// An intruder's attempts.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Intruder {
    /// How many calls it tried before the run ended.
    pub during: usize,
    /// For how long it went on after that, in seconds.
    pub seconds: f64,
    /// What it tried then, by action.
    pub tries: Vec<Try>,
}

/// The attempts at one action.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Try {
    /// `ec2:RunInstances`.
    pub action: String,
    /// Whether it gains something by it: machines, evidence, a change of policies. A session that may do nothing is no gain.
    pub gains: bool,
    /// How many attempts succeeded.
    pub succeeded: usize,
    /// With which credentials, and where.
    pub ways: BTreeSet<Way>,
    /// How many were not let in, by AWS's code.
    pub refused: BTreeMap<String, usize>,
    /// How many were let in and failed for another reason, by AWS's code.
    pub failed: BTreeMap<String, usize>,
}

/// How an attempt succeeded.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Way {
    /// `key AKIA… of mara.weiss`.
    pub with: String,
    /// Where.
    pub region: String,
}

impl Intruder {
    /// How many calls it tried after the run.
    pub fn afterwards(&self) -> usize {
        let count = |tried: &Try| {
            tried.succeeded + tried.refused.values().sum::<usize>() + tried.failed.values().sum::<usize>()
        };
        self.tries.iter().map(count).sum()
    }

    /// The credentials that still do something, each with what and where.
    pub fn footholds(&self) -> Vec<String> {
        let mut held: BTreeMap<&str, (BTreeSet<&str>, BTreeSet<&str>)> = BTreeMap::new();
        for tried in self.tries.iter().filter(|tried| tried.gains) {
            for Way { with, region } in &tried.ways {
                let (actions, regions) = held.entry(with).or_default();
                actions.insert(&tried.action);
                regions.insert(region);
            }
        }
        let listed = |(with, (actions, regions)): (&str, (BTreeSet<&str>, BTreeSet<&str>))| {
            let regions: Vec<&str> = regions.into_iter().collect();
            format!("{with} in {}: {}", regions.join(", "), first(&actions))
        };
        held.into_iter().map(listed).collect()
    }
}

/// The first few of many actions.
fn first(actions: &BTreeSet<&str>) -> String {
    const SHOWN: usize = 4;
    let shown: Vec<&str> = actions.iter().copied().take(SHOWN).collect();
    match actions.len().saturating_sub(SHOWN) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

/// The table of attempts.
pub fn render(intruder: &Intruder, colour: Colour) -> String {
    let mut rows = table();
    rows.set_header(["What the intruder tried", "Got", "Refused"].map(|title| colour.dim(title)));
    for tried in &intruder.tries {
        let got = tried.succeeded.to_string();
        let got = if tried.succeeded > 0 && tried.gains { colour.red(got) } else { got };
        let failed = tried.failed.iter().map(|(code, count)| (format!("{code} (let in)"), *count));
        let refused = tried.refused.clone().into_iter().chain(failed).collect();
        rows.add_row([tried.action.clone(), got, codes(&refused)]);
    }
    let mut text = laid_out(&rows);
    let gained: usize = intruder.tries.iter().filter(|tried| tried.gains).map(|tried| tried.succeeded).sum();
    let verdict = match gained {
        0 => colour.green("None of it started anything, touched evidence or changed a policy."),
        gained => colour.red(format!("{gained} of its calls started something, touched evidence or changed a policy.")),
    };
    let _ = writeln!(text, "  {verdict}");
    text
}

/// `240 AccessDenied, 3 Throttling`.
fn codes(counts: &BTreeMap<String, usize>) -> String {
    counts.iter().map(|(code, count)| format!("{count} {code}")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tried(action: &str, gains: bool, succeeded: usize) -> Try {
        Try {
            action: action.into(),
            gains,
            succeeded,
            ways: (0..succeeded).map(|_| Way { with: "key AKIA1 of eve".into(), region: "eu-west-3".into() }).collect(),
            refused: [("AccessDenied".to_owned(), 4)].into(),
            failed: BTreeMap::new(),
        }
    }

    #[test]
    fn a_session_alone_is_no_foothold() {
        let intruder = Intruder { during: 3, seconds: 1800.0, tries: vec![tried("sts:AssumeRole", false, 2)] };
        assert_eq!(intruder.footholds(), Vec::<String>::new());
        assert_eq!(intruder.afterwards(), 6);
        assert!(render(&intruder, Colour::Plain).contains("None of it"));
    }

    #[test]
    fn what_a_credential_still_does_is_a_foothold() {
        let tries = vec![tried("ec2:RunInstances", true, 1), tried("iam:CreateUser", true, 2)];
        let intruder = Intruder { during: 0, seconds: 60.0, tries };
        assert_eq!(intruder.footholds(), ["key AKIA1 of eve in eu-west-3: ec2:RunInstances, iam:CreateUser"]);
        assert!(render(&intruder, Colour::Plain).contains("3 of its calls"));
    }
}
