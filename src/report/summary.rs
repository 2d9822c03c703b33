//! The closing screen of a run, and the same as a JSON document.

use std::fmt::Write as _;

use indexmap::IndexMap;
use serde_json::{Value, json};

use super::plan_text::by_hand;
use super::record::{Fate, Record};
use super::style::{Colour, laid_out, table};
use super::text::{counted, seconds, shown};
use super::{accounts, findings, unseen};
use crate::model::{
    Change, CoverageEntry, CoverageStatus, Outcome, PhaseSeconds, RunOutcome, StepId, Summary, Verdict,
};

/// How many open changes are named before the rest is only counted.
const NAMED: usize = 20;

/// How many phases fit in the eighty columns of a small terminal, even where each takes minutes.
const PHASES_IN_A_LINE: usize = 3;

/// Renders the closing screen.
pub fn render(record: &Record, colour: Colour) -> String {
    format!("{}\n{}", of_drill(record, colour), next(record, colour))
}

/// Renders the closing screen of a drill: its world is gone, so there is nothing to go on with.
pub fn of_drill(record: &Record, colour: Colour) -> String {
    let sections = [
        verdict(record, colour),
        not_seen(record, colour),
        changes(record, colour),
        open(record, colour),
        findings::section(&record.plan, NAMED, colour),
        by_hand(&record.plan.by_hand, colour),
        figures(record),
    ];
    sections.into_iter().filter(|section| !section.is_empty()).collect::<Vec<_>>().join("\n")
}

/// The summary document: [`Summary`], with what is left for a person.
pub fn document(record: &Record) -> Value {
    let mut document = json!(figures_of(record));
    let open: Vec<Value> = open_changes(record).map(|(change, why)| open_change(change, &why)).collect();
    document["open"] = json!(open);
    document["by_hand"] = json!(record.plan.by_hand);
    document["not_seen"] = json!(not_seen_entries(record));
    document["found"] = findings::document(&record.plan);
    document["accounts"] = json!(accounts::counts(record));
    document["snapshots"] = json!(record.snapshots().len());
    document["sweeps"] = json!({ "made": record.sweeps, "newcomers": record.newcomers });
    document["digest"] = json!(record.digest);
    document
}

fn open_change(change: &Change, why: &str) -> Value {
    json!({
        "change": change.id, "step": change.step, "account": change.target.account, "region": change.target.region,
        "resource": change.resource, "why": why,
    })
}

/// The figures of the run; of one that was cut off, what its journal gives.
pub fn figures_of(record: &Record) -> Summary {
    record.summary.clone().unwrap_or_else(|| {
        let mut counts = crate::model::ChangeCounts { planned: record.plan.changes.len(), ..Default::default() };
        for (_, fate) in record.fates() {
            match &fate.outcome {
                Some(Outcome::Done { .. }) => counts.done += 1,
                Some(Outcome::Already) => counts.already += 1,
                Some(Outcome::Failed { .. }) => counts.failed += 1,
                Some(Outcome::Drifted { .. }) => counts.drifted += 1,
                Some(Outcome::Skipped { .. }) => counts.skipped += 1,
                None => {}
            }
        }
        Summary {
            outcome: RunOutcome::Interrupted,
            run: record.run.clone(),
            runbook: record.plan.runbook.name.clone(),
            started: record.started,
            changes: counts,
            coverage: record.coverage.counts(),
            requests: 0,
            throttled: 0,
            retries: 0,
            seconds: PhaseSeconds::default(),
        }
    })
}

/// An outcome as a sentence, without its full stop.
pub fn outcome_words(outcome: RunOutcome) -> &'static str {
    match outcome {
        RunOutcome::Contained => "Contained: every change is done and proven, and everything was looked at",
        RunOutcome::RolledBack => "Rolled back: everything that can be taken back is as before",
        RunOutcome::NothingToDo => "Nothing to do: everything was looked at and is as wished",
        RunOutcome::Incomplete => "NOT contained: some changes failed, drifted or are unproven",
        RunOutcome::CoverageIncomplete => "NOT everything was seen: what could be seen is done",
        RunOutcome::Refused => "Refused: a guard or a person said no",
        RunOutcome::Interrupted => "Interrupted: the journal is intact",
        RunOutcome::Failed => "Failed: quell itself could not go on",
    }
}

/// A coverage status in words.
pub fn status_words(status: CoverageStatus) -> &'static str {
    match status {
        CoverageStatus::Clean => "was clean",
        CoverageStatus::Acted => "was acted on",
        CoverageStatus::Disabled => "is disabled",
        CoverageStatus::Denied => "denied access",
        CoverageStatus::Unreachable => "did not answer",
        CoverageStatus::Unknown => "was not looked at",
    }
}

fn verdict(record: &Record, colour: Colour) -> String {
    let outcome = figures_of(record).outcome;
    let words = outcome_words(outcome);
    let words = match outcome {
        RunOutcome::Contained | RunOutcome::RolledBack | RunOutcome::NothingToDo => colour.green(colour.bold(words)),
        RunOutcome::CoverageIncomplete | RunOutcome::Interrupted => colour.yellow(colour.bold(words)),
        RunOutcome::Incomplete | RunOutcome::Refused | RunOutcome::Failed => colour.red(colour.bold(words)),
    };
    format!("{words}.\n{}\n", colour.dim(format!("{} · run {}", shown(&record.plan.runbook.name), record.run)))
}

fn not_seen_entries(record: &Record) -> Vec<CoverageEntry> {
    record.coverage.entries().filter(|entry| !entry.status.is_known()).collect()
}

fn not_seen(record: &Record, colour: Colour) -> String {
    let mut text = String::new();
    if !record.coverage.is_complete() {
        let _ = writeln!(text, "{}", colour.red("Not seen"));
        for line in unseen::lines(&record.coverage) {
            let _ = writeln!(text, "  {line}");
        }
    }
    let counts = figures_of(record).coverage;
    let mut parts = Vec::new();
    for (count, word) in [
        (counts.unknown, "not looked at"),
        (counts.unreachable, "unreachable"),
        (counts.denied, "denied"),
        (counts.acted, "acted on"),
        (counts.clean, "clean"),
        (counts.disabled, "disabled"),
    ] {
        if count > 0 {
            parts.push(format!("{count} {word}"));
        }
    }
    let _ = writeln!(text, "Coverage (account × region × service): {}", parts.join(" · "));
    let accounts = accounts::counts(record).words();
    if !accounts.is_empty() {
        let _ = writeln!(text, "Accounts: {accounts}");
    }
    text
}

fn changes(record: &Record, colour: Colour) -> String {
    let mut by_step: IndexMap<&StepId, Vec<&Fate>> = IndexMap::new();
    for (change, fate) in record.fates() {
        by_step.entry(&change.step).or_default().push(fate);
    }
    if by_step.is_empty() {
        return String::new();
    }
    let mut rows = table();
    rows.set_header(["step", "planned", "done", "already", "proven", "failed", "drifted", "skipped", "open"]);
    for (step, fates) in by_step {
        let count = |wanted: fn(&Fate) -> bool| fates.iter().filter(|fate| wanted(fate)).count();
        let cells = [
            fates.len(),
            count(|fate| matches!(fate.outcome, Some(Outcome::Done { .. }))),
            count(|fate| matches!(fate.outcome, Some(Outcome::Already))),
            count(|fate| matches!(fate.verdict, Some(Verdict::Proven))),
            count(|fate| matches!(fate.outcome, Some(Outcome::Failed { .. }))),
            count(|fate| matches!(fate.outcome, Some(Outcome::Drifted { .. }))),
            count(|fate| matches!(fate.outcome, Some(Outcome::Skipped { .. }))),
            count(|fate| fate.outcome.is_none()),
        ];
        let shown = cells.map(|count| if count == 0 { colour.dim("·") } else { count.to_string() });
        rows.add_row(std::iter::once(step.to_string()).chain(shown));
    }
    laid_out(&rows)
}

/// What a person has to look at: every change that is not both done and proven, with the reason.
pub(super) fn open_changes(record: &Record) -> impl Iterator<Item = (&Change, String)> {
    record.fates().filter_map(|(change, fate)| {
        let why = match (&fate.outcome, &fate.verdict) {
            (Some(Outcome::Failed { error }), _) => format!("failed: {error}"),
            (Some(Outcome::Drifted { why }), _) => format!("drifted: {why}"),
            (Some(Outcome::Skipped { why }), _) => format!("skipped: {why}"),
            (Some(Outcome::Done { .. } | Outcome::Already), Some(Verdict::Unproven { why })) => {
                format!("unproven: {why}")
            }
            (Some(Outcome::Done { .. } | Outcome::Already), Some(Verdict::Pending { why })) => {
                format!("accepted: {why}")
            }
            (Some(Outcome::Done { .. } | Outcome::Already), _) => return None,
            (None, _) if fate.started.is_some() => "begun, and its end is unknown".to_owned(),
            (None, _) => "not begun".to_owned(),
        };
        Some((change, why))
    })
}

fn open(record: &Record, colour: Colour) -> String {
    let open: Vec<_> = open_changes(record).collect();
    let nothing_began = record.fates().all(|(_, fate)| fate.started.is_none());
    if open.is_empty() || (nothing_began && figures_of(record).outcome == RunOutcome::Refused) {
        return String::new();
    }
    let mut text = format!("{}\n", colour.yellow(format!("Left for a person: {}", counted(open.len(), "change"))));
    for (change, why) in open.iter().take(NAMED) {
        let _ =
            writeln!(text, "  {} {} {}: {}", change.step, change.target, shown(change.resource.as_str()), shown(why));
    }
    if open.len() > NAMED {
        let _ = writeln!(text, "  and {} more: quell show {}", open.len() - NAMED, record.run);
    }
    text
}

fn figures(record: &Record) -> String {
    let mut text = String::new();
    let snapshots = record.snapshots().len();
    if snapshots > 0 {
        let _ = writeln!(text, "Evidence  {}", counted(snapshots, "snapshot"));
    }
    let Some(summary) = &record.summary else { return text };
    let phases = &summary.seconds;
    let named = [
        ("survey", phases.survey),
        ("plan", phases.plan),
        ("preflight", phases.preflight),
        ("approval", phases.approval),
        ("apply", phases.apply),
        ("prove", phases.prove),
    ];
    let phases: Vec<_> =
        named.iter().filter(|(_, s)| *s > 0.0).map(|(name, s)| format!("{name} {}", seconds(*s))).collect();
    let _ = writeln!(text, "Time      {}", seconds(summary.seconds.total));
    for phases in phases.chunks(PHASES_IN_A_LINE) {
        let _ = writeln!(text, "          {}", phases.join(" · "));
    }
    let _ = writeln!(
        text,
        "Traffic   {} · {} throttled · {} sent again",
        counted(usize::try_from(summary.requests).unwrap_or(usize::MAX), "request"),
        summary.throttled,
        summary.retries
    );
    text
}

fn next(record: &Record, colour: Colour) -> String {
    let run = &record.run;
    let mut commands = Vec::new();
    let outcome = figures_of(record).outcome;
    if matches!(outcome, RunOutcome::Interrupted | RunOutcome::Failed) {
        commands.push((format!("quell resume {run}"), "goes on where it stopped"));
    }
    if matches!(outcome, RunOutcome::Incomplete | RunOutcome::CoverageIncomplete) {
        commands.push((run_again(record), "plans again what is left"));
    }
    let done = record.fates().any(|(_, fate)| matches!(fate.outcome, Some(Outcome::Done { .. })));
    if done && record.plan.undoes.is_none() {
        commands.push((format!("quell rollback {run}"), "takes the changes back"));
    }
    commands.push((format!("quell show {run}"), "tells every event and change"));
    let mut rows = table();
    for (command, what) in commands {
        rows.add_row([colour.bold(command), what.to_owned()]);
    }
    format!("Next\n{}", laid_out(&rows))
}

/// The command that runs the same runbook with the same inputs.
fn run_again(record: &Record) -> String {
    let mut command = format!("quell run {}", quoted(&record.plan.runbook.name));
    for (name, value) in &record.plan.inputs {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let _ = write!(command, " --input {}", quoted(&format!("{name}={value}")));
    }
    command
}

/// A word as a shell takes it.
fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_=./:@,+".contains(c);
    if word.chars().all(is_plain) { word.to_owned() } else { format!("'{}'", shown(word).replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::example;

    #[test]
    fn what_was_not_seen_comes_before_what_was_done() {
        let record = Record::of(&example::run()).unwrap();
        insta::assert_snapshot!(render(&record, Colour::Plain), @r"
        NOT everything was seen: what could be seen is done.
        cryptojack · run 20261123-145000-cryptojack

        Not seen
          111122223333/eu-west-3 ec2 did not answer: no answer within 3 s
        Coverage (account × region × service): 1 unreachable · 3 acted on · 1 disabled

          step      planned  done  already  proven  failed  drifted  skipped  open
          keys      1        1     ·        1       ·       ·        ·        ·
          evidence  2        2     ·        2       ·       ·        ·        ·
          stop      2        1     ·        1       1       ·        ·        ·

        Left for a person: 1 change
          stop 111122223333/us-east-1 i-0b: failed: UnauthorizedOperation: You are not authorized to perform this operation.

        Evidence  2 snapshots
        Time      11 s
                  survey 1.5 s · approval 2.0 s · apply 6.5 s
                  prove 1.0 s
        Traffic   41 requests · 0 throttled · 1 sent again

        Next
          quell run cryptojack --input leaked_key=AKIAIOSFODNN7EXAMPLE  plans again what is left
          quell rollback 20261123-145000-cryptojack                     takes the changes back
          quell show 20261123-145000-cryptojack                         tells every event and change
        ");
    }

    #[test]
    fn the_figures_fit_a_small_terminal_even_after_an_hour() {
        let mut record = Record::of(&example::run()).unwrap();
        let long = 3599.0;
        let phases = PhaseSeconds {
            survey: long,
            plan: long,
            preflight: long,
            approval: long,
            apply: long,
            prove: long,
            ..PhaseSeconds::default()
        };
        record.summary.as_mut().unwrap().seconds = phases;
        let text = figures(&record);
        assert!(text.contains("prove 59 min 59 s"), "{text}");
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    }

    #[test]
    fn a_run_that_was_cut_off_can_be_resumed() {
        let events = example::run();
        let record = Record::of(&events[..11]).unwrap();
        let text = render(&record, Colour::Plain);
        assert!(text.starts_with("Interrupted: the journal is intact."));
        assert!(text.contains("quell resume 20261123-145000-cryptojack"));
        assert!(text.contains("i-0a: begun, and its end is unknown\n"));
        assert!(text.contains("i-0b: not begun\n"));
    }

    #[test]
    fn the_document_is_the_summary_and_what_is_left() {
        let document = document(&Record::of(&example::run()).unwrap());
        assert_eq!(document["outcome"], "coverage-incomplete");
        assert_eq!(document["changes"]["done"], 4);
        assert_eq!(document["open"][0]["resource"], "i-0b");
        assert_eq!(document["not_seen"][0]["region"], "eu-west-3");
        assert_eq!(document["snapshots"], 2);
        let summary: Summary = serde_json::from_value(document).unwrap();
        assert_eq!(summary.requests, 41);
    }

    #[test]
    fn error_texts_of_aws_are_made_harmless() {
        let mut events = example::run();
        for event in &mut events {
            if let crate::model::EventKind::ChangeEnded { outcome: Outcome::Failed { error }, .. } = &mut event.kind {
                error.message = "no\u{1b}[2J\nContained: all is well".into();
            }
        }
        let text = render(&Record::of(&events).unwrap(), Colour::Plain);
        assert!(text.contains("no\\u{1b}[2J\\u{a}Contained: all is well"));
    }
}
