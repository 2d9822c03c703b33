use std::path::PathBuf;

use super::carry_out::{new_run, show_survey};
use super::error::Failure;
use super::options::{AwsOptions, InputOptions};
use super::prepare::prepare;
use super::screen::{Output, Screen};
use super::session;
use crate::model::{PlanFile, Severity};
use crate::report::plan_json;
use crate::report::plan_text::{self, Detail};

/// Show every change a runbook would make, and make none
///
/// Looks at every account and region of the runbook, behind a guard that lets no writing call through. The plan names each
/// change with its state before and after, who must approve it and how it is taken back, what cannot be seen and what is
/// refused.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  quell plan cryptojack --input leaked_key=AKIAIOSFODNN7EXAMPLE
  quell plan ./ours.yaml --changes
  quell plan cryptojack -o plan.json && quell run --plan plan.json --approve reversible,disruptive")]
pub struct Args {
    /// A file, or the name of a shipped runbook
    #[arg(value_name = "RUNBOOK")]
    runbook: String,
    #[command(flatten)]
    inputs: InputOptions,
    /// Show every single change, not only counts
    #[arg(long)]
    changes: bool,
    /// Write the plan to a file, for `quell run --plan FILE`
    #[arg(short, long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Exit with 10 when there is something to change
    #[arg(long)]
    detailed_exitcode: bool,
    #[command(flatten)]
    aws: AwsOptions,
}

/// The exit code of `--detailed-exitcode` when there is something to change.
const SOMETHING_TO_CHANGE: u8 = 10;

/// Carries the command out.
pub async fn run(args: &Args, screen: &Screen) -> Result<u8, Failure> {
    let now = jiff::Timestamp::now();
    let case = new_run(now);
    let prepared = prepare(&args.runbook, &args.inputs.inputs, &crate::actions::table(), now, screen).await?;
    let (engine, _) = session::open(&args.aws, (&case, now), Some(&prepared.runbook.targets), screen).await?;
    let planned = show_survey(&engine, &prepared, &case, now, screen).await?;
    let plan = planned.plan;
    if let Some(out) = &args.out {
        PlanFile::new(case, planned.timed, plan.clone()).write(out)?;
        screen.remark(&format!("plan written to {}", out.display()));
    }
    match screen.output {
        Output::Text => {
            let detail = if args.changes { Detail::Changes } else { Detail::Counts };
            screen.print(&plan_text::render(&plan, detail, screen.colour()))?;
        }
        Output::Json | Output::Jsonl => screen.document(&plan_json::document(&plan))?,
    }
    if plan.findings.iter().any(|finding| finding.severity == Severity::Refusal) {
        return Ok(4);
    }
    if !plan.coverage.is_complete() {
        return Ok(5);
    }
    Ok(if args.detailed_exitcode && !plan.changes.is_empty() { SOMETHING_TO_CHANGE } else { 0 })
}
