//! The ten lines for who has to answer for it.

use std::collections::BTreeSet;

use serde::Serialize;

use super::block::{Block, Cell, Figure, Tone, clock};
use super::burn::{Burn, money};
use super::coverage::Ledger;
use super::evidence::Kept;
use super::principals;
use super::remaining::Remaining;
use super::timeline::Timeline;
use crate::model::{Outcome, RunOutcome};
use crate::report::record::Record;
use crate::report::summary::{figures_of, outcome_words};
use crate::report::text::{counted, seconds};
use crate::report::timeline::name;
use crate::story::{Act, Confidence, Finding, Phase, Story, Verdict};

/// What stands first.
#[derive(Debug, Clone, Serialize)]
pub struct Overview {
    /// How the run ended.
    pub outcome: RunOutcome,
    /// The same as a sentence.
    pub sentence: String,
    /// Ten questions, each with its answer.
    pub lines: Vec<(&'static str, String)>,
    /// Figures to be seen from afar: what, how much, and what to know of it.
    pub figures: Vec<(&'static str, String, String)>,
}

/// What the overview is made from.
pub(super) struct Sections<'a> {
    pub record: &'a Record,
    pub story: Option<&'a Story>,
    pub timeline: Option<&'a Timeline>,
    pub burn: Option<&'a Burn>,
    pub coverage: &'a Ledger,
    pub kept: &'a Kept,
    pub remaining: &'a Remaining,
}

/// What is said where there is no evidence.
const NOT_KNOWN: &str = "Not known: there is no evidence.";

impl Overview {
    pub(super) fn of(sections: &Sections<'_>) -> Self {
        let outcome = figures_of(sections.record).outcome;
        Self {
            outcome,
            sentence: format!("{}.", outcome_words(outcome)),
            lines: vec![
                ("What happened", sections.what()),
                ("Since when", sections.since()),
                ("How they came in", sections.entry()),
                ("Whose credentials", sections.who()),
                ("What was contained", sections.contained()),
                ("What it cost", sections.cost()),
                ("What was saved", sections.saved()),
                ("What was kept", sections.evidence()),
                ("What is left to do", sections.left()),
                ("Can it be trusted", sections.trust()),
            ],
            figures: sections.figures(),
        }
    }

    /// How good the outcome is.
    pub fn tone(&self) -> Tone {
        match self.outcome {
            RunOutcome::Contained | RunOutcome::RolledBack | RunOutcome::NothingToDo => Tone::Good,
            RunOutcome::CoverageIncomplete | RunOutcome::Interrupted => Tone::Open,
            RunOutcome::Incomplete | RunOutcome::Refused | RunOutcome::Failed => Tone::Bad,
        }
    }

    /// How it is shown.
    pub fn blocks(&self) -> Vec<Block> {
        let figure = |(label, value, note): &(&'static str, String, String)| Figure {
            label: (*label).to_owned(),
            value: value.clone(),
            note: note.clone(),
        };
        let line = |(question, answer): &(&'static str, String)| ((*question).to_owned(), Cell::text(answer.clone()));
        vec![
            Block::Notice(self.tone(), self.sentence.clone()),
            Block::Figures(self.figures.iter().map(figure).collect()),
            Block::Terms(self.lines.iter().map(line).collect()),
        ]
    }
}

/// A verdict, as it reads in a sentence.
fn words(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Acted => "acted",
        Verdict::CredentialsUsed => "credentials used",
        Verdict::Framed => "consistent with having been framed",
        Verdict::NoSign => "no sign",
    }
}

impl Sections<'_> {
    fn what(&self) -> String {
        let machines = self.burn.map_or(0, |burn| burn.machines().0);
        if machines == 0 {
            return super::timeline::capital(&self.record.plan.runbook.title);
        }
        let regions = self.burn.map_or(0, Burn::regions);
        let accounts: BTreeSet<&str> =
            self.record.plan.changes.iter().map(|change| change.target.account.as_str()).collect();
        let accounts = accounts.into_iter().collect::<Vec<_>>().join(", ");
        format!("{} ran in {} of account {accounts}.", counted(machines, "rogue machine"), counted(regions, "region"))
    }

    fn since(&self) -> String {
        let began = self.record.started;
        let noticed = format!("the response began {} UTC", clock(began));
        let Some(timeline) = self.timeline else { return format!("Not known: there is no evidence; {noticed}.") };
        let launched = self.burn.and_then(|burn| burn.costs.curve.first());
        let launched = launched.map(|point| format!("the first machine {} UTC; ", clock(point.at))).unwrap_or_default();
        match timeline.began {
            Some(first) => format!("First sign {} UTC; {launched}{noticed}.", clock(first)),
            None => format!("The evidence holds no event of it; {noticed}."),
        }
    }

    fn entry(&self) -> String {
        let Some(story) = self.story else { return NOT_KNOWN.to_owned() };
        let entries = story.facts.iter().filter(|fact| fact.phase == Some(Phase::Entry));
        let keys: BTreeSet<&str> =
            entries.clone().filter(|fact| fact.act == Act::KeyUsed).map(|fact| fact.subject.id.as_str()).collect();
        let passwords = entries.filter(|fact| fact.act == Act::PasswordUsed).count();
        let mut ways = Vec::new();
        if !keys.is_empty() {
            let noun = if keys.len() == 1 { "the leaked access key" } else { "the leaked access keys" };
            ways.push(format!("by {noun} {}", keys.into_iter().collect::<Vec<_>>().join(", ")));
        }
        if passwords > 0 {
            ways.push(format!("by signing in, {}", counted(passwords, "time")));
        }
        if ways.is_empty() {
            "The evidence does not say.".to_owned()
        } else {
            super::timeline::capital(&ways.join(" and "))
        }
    }

    fn who(&self) -> String {
        let Some(story) = self.story else { return NOT_KNOWN.to_owned() };
        let said = |finding: &Finding| {
            format!("{} – {} ({})", name(finding), words(finding.verdict), finding.confidence.as_str())
        };
        let said: Vec<String> =
            story.findings.iter().filter(|finding| principals::is_told(finding)).map(said).collect();
        if said.is_empty() { "Nothing points at anybody.".to_owned() } else { format!("{}.", said.join("; ")) }
    }

    fn contained(&self) -> String {
        let changes = figures_of(self.record).changes;
        let steps: BTreeSet<_> = self.record.plan.changes.iter().map(|change| &change.step).collect();
        let (first, last) = self.span();
        let took = first.zip(last).map(|(first, last)| {
            format!(", {} from the first to the last", seconds(last.duration_since(first).as_secs_f64()))
        });
        let good = changes.done + changes.already;
        format!(
            "{good} of {} in {} are done{}.",
            counted(changes.planned, "change"),
            counted(steps.len(), "step"),
            took.unwrap_or_default()
        )
    }

    /// When the first change began and the last ended.
    fn span(&self) -> (Option<jiff::Timestamp>, Option<jiff::Timestamp>) {
        let fates = || self.record.fates().map(|(_, fate)| fate);
        (fates().filter_map(|fate| fate.started).min(), fates().filter_map(|fate| fate.ended).max())
    }

    fn cost(&self) -> String {
        let Some(burn) = self.burn else { return "No machines were found that cost by the hour.".to_owned() };
        let unpriced: usize = burn.costs.unpriced.iter().map(|(_, count)| count).sum();
        let unpriced = match unpriced {
            0 => String::new(),
            count => format!("; {} without a known price are not in it", counted(count, "machine")),
        };
        format!(
            "{} until {} UTC, {} per hour at the highest (estimated{unpriced}).",
            money(burn.costs.so_far),
            clock(burn.costs.until),
            money(burn.highest())
        )
    }

    fn saved(&self) -> String {
        let Some(burn) = self.burn else { return "Nothing that is counted in money.".to_owned() };
        format!(
            "The burn rate went from {} to {} per hour: {} in the {:.0} hours after, estimated.",
            money(burn.highest()),
            money(burn.costs.burn_now),
            money(burn.avoided()),
            burn.costs.horizon_hours
        )
    }

    fn evidence(&self) -> String {
        let snapshots = counted(self.kept.snapshots.len(), "snapshot");
        let captures = counted(self.kept.captures.len(), "capture");
        format!(
            "{snapshots} of disks, {captures} of what AWS answered, and a journal of every change, bound by hashes."
        )
    }

    fn left(&self) -> String {
        let Remaining { open, by_hand, found, skipped, .. } = self.remaining;
        let found: usize = found.iter().map(|found| found.members.len()).sum();
        let parts = [
            (open.len(), "change that is not proven", "changes that are not proven"),
            (by_hand.len(), "task by hand", "tasks by hand"),
            (found, "thing found and not changed", "things found and not changed"),
            (skipped.len(), "resource left out of the plan", "resources left out of the plan"),
        ];
        let word = |(count, one, many): (usize, &str, &str)| match count {
            0 => None,
            1 => Some(format!("1 {one}")),
            _ => Some(format!("{count} {many}")),
        };
        let parts: Vec<String> = parts.into_iter().filter_map(word).collect();
        if parts.is_empty() { "Nothing that this run knows of.".to_owned() } else { format!("{}.", parts.join(", ")) }
    }

    fn trust(&self) -> String {
        let (seen, all) = self.coverage.seen();
        let proven = self.proven();
        let is_recorded = |story: &Story| {
            story.facts.iter().any(|fact| fact.confidence == Confidence::Recorded && fact.evidence.is_some())
        };
        let told = match self.story {
            None => "what happened is not told, as there is no evidence",
            Some(story) if is_recorded(story) => "what happened rests on CloudTrail's event history",
            Some(_) => "what happened rests on dates alone, as there is no event history",
        };
        if self.coverage.is_complete {
            format!("Yes, as far as it looked: all {all} places were seen; {proven}; {told}.")
        } else {
            format!("Not fully: {} of {all} places were not seen; {proven}; {told}.", all - seen)
        }
    }

    fn proven(&self) -> String {
        let done = self.record.fates().filter(|(_, fate)| fate.outcome.as_ref().is_some_and(Outcome::is_good));
        let (proven, all) = done.fold((0, 0), |(proven, all), (_, fate)| {
            (proven + usize::from(matches!(fate.verdict, Some(crate::model::Verdict::Proven))), all + 1)
        });
        format!("{proven} of {all} changes that are done were seen in force afterwards")
    }

    fn figures(&self) -> Vec<(&'static str, String, String)> {
        let mut figures = Vec::new();
        if let Some(burn) = self.burn {
            let (all, stopped) = burn.machines();
            figures.push((
                "Machines stopped",
                format!("{stopped} of {all}"),
                format!("in {}", counted(burn.regions(), "region")),
            ));
            figures.push((
                "Burn rate",
                format!("{}/h", money(burn.costs.burn_now)),
                format!("from {}/h, estimated", money(burn.highest())),
            ));
        }
        let changes = figures_of(self.record).changes;
        figures.push((
            "Changes done",
            format!("{} of {}", changes.done + changes.already, changes.planned),
            self.span_words(),
        ));
        let (seen, all) = self.coverage.seen();
        let note = if self.coverage.is_complete { "everything was looked at" } else { "NOT everything was looked at" };
        figures.push(("Places seen", format!("{seen} of {all}"), note.to_owned()));
        figures
    }

    fn span_words(&self) -> String {
        match self.span() {
            (Some(first), Some(last)) => format!("in {}", seconds(last.duration_since(first).as_secs_f64())),
            _ => String::new(),
        }
    }
}
