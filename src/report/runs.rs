//! The list of runs.

use serde_json::{Value, json};

use super::record::Record;
use super::style::{Colour, laid_out, table};
use super::text::shown;
use crate::model::RunOutcome;

/// Renders the runs as a table; the caller gives them newest first.
pub fn render(runs: &[Record], colour: Colour) -> String {
    if runs.is_empty() {
        return "No runs yet.\n".to_owned();
    }
    let mut rows = table();
    rows.set_header(["run", "runbook", "started", "outcome", "done", "planned", "snapshots"]);
    for record in runs {
        let done = record
            .fates()
            .filter(|(_, fate)| fate.outcome.as_ref().is_some_and(crate::model::Outcome::is_good))
            .count();
        rows.add_row([
            record.run.to_string(),
            runbook(record),
            format!("{:.0}", record.started),
            outcome(record.outcome(), colour),
            done.to_string(),
            record.plan.changes.len().to_string(),
            record.snapshots().len().to_string(),
        ]);
    }
    laid_out(&rows)
}

fn runbook(record: &Record) -> String {
    let name = shown(&record.plan.runbook.name);
    match &record.plan.undoes {
        Some(run) => format!("{name} (takes back {run})"),
        None => name,
    }
}

fn outcome(outcome: Option<RunOutcome>, colour: Colour) -> String {
    match outcome {
        None => colour.yellow("open"),
        Some(outcome) if outcome.exit_code() == 0 => colour.green(outcome.as_str()),
        Some(outcome) => colour.red(outcome.as_str()),
    }
}

/// The document of `quell runs --output json`. The outcome of a run that has not ended is `open`.
pub fn document(runs: &[Record]) -> Value {
    let runs: Vec<Value> = runs.iter().map(one).collect();
    json!({ "runs": runs })
}

fn one(record: &Record) -> Value {
    let plan = &record.plan;
    json!({
        "run": record.run,
        "runbook": plan.runbook.name,
        "outcome": record.outcome().map_or("open", RunOutcome::as_str),
        "started": record.started,
        "account": plan.caller.account,
        "caller": plan.caller.arn,
        "changes": super::summary::figures_of(record).changes,
        "digest": record.digest,
        "undoes": plan.undoes,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::example;

    #[test]
    fn a_table_has_one_line_per_run() {
        let ended = Record::of(&example::run()).unwrap();
        let open = Record::of(&example::run()[..9]).unwrap();
        insta::assert_snapshot!(render(&[ended, open], Colour::Plain), @r"
        run                         runbook     started               outcome              done  planned  snapshots
        20261123-145000-cryptojack  cryptojack  2026-11-23T14:50:00Z  coverage-incomplete  4     5        2
        20261123-145000-cryptojack  cryptojack  2026-11-23T14:50:00Z  open                 0     5        0
        ");
        assert_eq!(render(&[], Colour::Plain), "No runs yet.\n");
    }

    #[test]
    fn the_document_names_run_runbook_outcome_and_start() {
        let document = document(&[Record::of(&example::run()).unwrap()]);
        let run = &document["runs"][0];
        assert_eq!(run["run"], "20261123-145000-cryptojack");
        assert_eq!(run["runbook"], "cryptojack");
        assert_eq!(run["outcome"], "coverage-incomplete");
        assert_eq!(run["started"], "2026-11-23T14:50:00Z");
    }
}
