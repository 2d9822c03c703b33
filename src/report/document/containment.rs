//! What was done: every change with the state before and after, and who approved it.

use indexmap::IndexMap;
use jiff::Timestamp;
use serde::Serialize;

use super::block::{Block, Cell, Table, Tone};
use crate::model::{
    AccountId, ActionName, Answer, Approval, Change, Outcome, Region, ResourceId, StepId, Tier, Verdict,
};
use crate::report::record::{Fate, Record};
use crate::report::show::outcome_words;
use crate::report::text::counted;

/// What was done.
#[derive(Debug, Clone, Serialize)]
pub struct Containment {
    /// The steps, in the order of the runbook.
    pub steps: Vec<StepDone>,
    /// The answers of people, in their order.
    pub approvals: Vec<Approval>,
    /// What a rollback does not bring back, with how many changes that is true of.
    pub lost: Vec<(String, usize)>,
}

/// The changes of a step.
#[derive(Debug, Clone, Serialize)]
pub struct StepDone {
    /// The step, from its first change to its last.
    #[serde(flatten)]
    pub span: StepSpan,
    /// What carried it out.
    pub action: ActionName,
    /// What had to be approved.
    pub tier: Tier,
    /// How many of its changes are done, or were so already.
    pub done: usize,
    /// How many of them are proven.
    pub proven: usize,
    /// Every change.
    pub changes: Vec<Made>,
}

/// A step in time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StepSpan {
    /// Which.
    pub step: StepId,
    /// How many changes it has.
    #[serde(skip)]
    pub changes: usize,
    /// When the first of them began.
    pub first: Option<Timestamp>,
    /// When the last of them ended.
    pub last: Option<Timestamp>,
}

/// A change, with what became of it.
#[derive(Debug, Clone, Serialize)]
pub struct Made {
    /// The account.
    pub account: AccountId,
    /// The region, or global.
    pub region: Region,
    /// What was changed.
    pub resource: ResourceId,
    /// What was to be done.
    pub summary: String,
    /// The state before.
    pub before: String,
    /// The state after.
    pub after: String,
    /// When AWS had accepted it, or refused.
    pub ended: Option<Timestamp>,
    /// What became of it.
    pub outcome: String,
    /// What the look after it saw.
    pub verdict: String,
    /// Whether it is both done and proven, or AWS has accepted it and it is on its way.
    pub is_good: bool,
}

/// The steps of a run in time, in the order of the runbook, those without changes left out.
pub fn spans(record: &Record) -> Vec<StepSpan> {
    let mut spans: IndexMap<&StepId, StepSpan> = IndexMap::new();
    for (change, fate) in record.fates() {
        let empty = StepSpan { step: change.step.clone(), changes: 0, first: None, last: None };
        let span = spans.entry(&change.step).or_insert(empty);
        span.changes += 1;
        span.first = span.first.into_iter().chain(fate.started).min();
        span.last = span.last.max(fate.ended);
    }
    spans.into_values().collect()
}

impl Containment {
    /// Of a run.
    pub fn of(record: &Record) -> Self {
        let step = |span: StepSpan| {
            let changes: Vec<(&Change, &Fate)> =
                record.fates().filter(|(change, _)| change.step == span.step).collect();
            let (first, _) = changes[0];
            let count = |wanted: fn(&Fate) -> bool| changes.iter().filter(|(_, fate)| wanted(fate)).count();
            StepDone {
                action: first.action.clone(),
                tier: first.tier,
                done: count(|fate| fate.outcome.as_ref().is_some_and(Outcome::is_good)),
                proven: count(|fate| matches!(fate.verdict, Some(Verdict::Proven))),
                changes: changes.iter().map(|(change, fate)| Made::of(change, fate)).collect(),
                span,
            }
        };
        let mut lost: IndexMap<String, usize> = IndexMap::new();
        let done = record.fates().filter(|(_, fate)| matches!(fate.outcome, Some(Outcome::Done { .. })));
        for loses in done.flat_map(|(change, _)| &change.undo.loses) {
            *lost.entry(loses.clone()).or_default() += 1;
        }
        Self {
            steps: spans(record).into_iter().map(step).collect(),
            approvals: record.approvals.clone(),
            lost: lost.into_iter().collect(),
        }
    }

    /// How it is shown.
    pub fn blocks(&self) -> Vec<Block> {
        if self.steps.is_empty() {
            return vec![Block::text("Nothing was changed.")];
        }
        let mut blocks = vec![self.table(), Block::Heading("Every change".to_owned())];
        blocks.extend(self.steps.iter().map(StepDone::folded));
        blocks.push(Block::Heading("Approvals".to_owned()));
        blocks.push(self.approved());
        if !self.lost.is_empty() {
            blocks.push(Block::Heading("What taking it back will not restore".to_owned()));
            let lost = self.lost.iter().map(|(what, count)| format!("{what} ({})", counted(*count, "change")));
            blocks.push(Block::List(lost.map(Cell::Text).collect()));
        }
        blocks
    }

    fn table(&self) -> Block {
        let row = |step: &StepDone| {
            let all = step.changes.len();
            let good = step.changes.iter().filter(|made| made.is_good).count();
            let (tone, word) = if good == all { (Tone::Good, "complete") } else { (Tone::Open, "not complete") };
            vec![
                Cell::text(step.span.step.to_string()),
                Cell::code(step.action.to_string()),
                Cell::text(step.tier.to_string()),
                Cell::count(all),
                Cell::count(step.done),
                Cell::count(step.proven),
                Cell::time(step.span.first),
                Cell::Mark(tone, word.to_owned()),
            ]
        };
        Block::Table(Table {
            caption: "The steps of the response".to_owned(),
            head: vec!["Step", "Action", "Tier", "Changes", "Done", "Proven", "First change (UTC)", "State"],
            rows: self.steps.iter().map(row).collect(),
        })
    }

    fn approved(&self) -> Block {
        if self.approvals.is_empty() {
            return Block::text("Nobody was asked.");
        }
        let row = |approval: &Approval| {
            let (tone, word) = match approval.answer {
                Answer::Refused => (Tone::Bad, "refused"),
                Answer::Approved => (Tone::Good, "approved"),
            };
            vec![
                Cell::text(approval.tier.to_string()),
                Cell::Mark(tone, word.to_owned()),
                Cell::text(approval.by.clone()),
                Cell::text(approval.through.clone()),
                Cell::Time(approval.at),
                Cell::code(approval.plan.short()),
            ]
        };
        Block::Table(Table {
            caption: "Who approved what; each answer is bound to the digest of the plan that was shown".to_owned(),
            head: vec!["Tier", "Answer", "By", "Through", "Time (UTC)", "Plan"],
            rows: self.approvals.iter().map(row).collect(),
        })
    }
}

impl StepDone {
    fn folded(&self) -> Block {
        let row = |made: &Made| {
            let state = if made.verdict.is_empty() {
                made.outcome.clone()
            } else {
                format!("{}, {}", made.outcome, made.verdict)
            };
            vec![
                Cell::code(made.resource.to_string()),
                Cell::text(format!("{} {}", made.account, made.region)),
                Cell::text(made.summary.clone()),
                Cell::text(made.before.clone()),
                Cell::text(made.after.clone()),
                Cell::time(made.ended),
                Cell::Mark(if made.is_good { Tone::Good } else { Tone::Open }, state),
            ]
        };
        let summary = format!("{}: {}", self.span.step, counted(self.changes.len(), "change"));
        let table = Table {
            caption: format!("The changes of step {}", self.span.step),
            head: vec!["Resource", "Where", "Change", "Before", "After", "Ended (UTC)", "State"],
            rows: self.changes.iter().map(row).collect(),
        };
        Block::Folded(summary, vec![Block::Table(table)])
    }
}

impl Made {
    fn of(change: &Change, fate: &Fate) -> Self {
        let outcome = match (&fate.outcome, fate.started) {
            (Some(outcome), _) => outcome_words(outcome),
            (None, Some(_)) => "begun, and its end is unknown".to_owned(),
            (None, None) => "not begun".to_owned(),
        };
        let verdict = match &fate.verdict {
            None => String::new(),
            Some(Verdict::Proven) => "proven".to_owned(),
            Some(Verdict::Pending { why }) => format!("accepted: {why}"),
            Some(Verdict::Unproven { why }) => format!("unproven: {why}"),
        };
        let is_done = fate.outcome.as_ref().is_some_and(Outcome::is_good);
        Self {
            account: change.target.account.clone(),
            region: change.target.region.clone(),
            resource: change.resource.clone(),
            summary: change.summary.clone(),
            before: change.before.clone(),
            after: change.after.clone(),
            ended: fate.ended,
            outcome,
            is_good: is_done && !matches!(fate.verdict, Some(Verdict::Unproven { .. })),
            verdict,
        }
    }
}
