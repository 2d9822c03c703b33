use std::path::{Path, PathBuf};

use super::carry_out::{approver, check_guards, new_run, report, show_plan, show_survey, start};
use super::error::Failure;
use super::options::{ApprovalOptions, AwsOptions, InputOptions};
use super::prepare::prepare;
use super::screen::Screen;
use super::session;
use crate::engine::{Engine, Planned};
use crate::model::{PlanFile, RunId};

/// Carry out a runbook: plan, ask, contain, prove
///
/// The plan is shown first. Then every tier of changes is asked about once, or approved by --approve; without a terminal,
/// what --approve does not list is refused and nothing is changed. Every change is written to the journal before it is
/// made, looked at again right before and afterwards, and can be taken back by `quell rollback`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  quell run cryptojack --input leaked_key=AKIAIOSFODNN7EXAMPLE
  quell run cryptojack --input leaked_key=AKIAIOSFODNN7EXAMPLE --approve reversible,disruptive
  quell run --plan plan.json --approve reversible --output jsonl")]
pub struct Args {
    /// A file, or the name of a shipped runbook
    #[arg(value_name = "RUNBOOK", required_unless_present = "plan", conflicts_with = "plan")]
    runbook: Option<String>,
    /// Carry out a plan that `quell plan -o FILE` wrote, exactly as it is
    #[arg(long, value_name = "FILE", conflicts_with = "inputs")]
    plan: Option<PathBuf>,
    #[command(flatten)]
    inputs: InputOptions,
    #[command(flatten)]
    approval: ApprovalOptions,
    #[command(flatten)]
    aws: AwsOptions,
}

/// Carries the command out.
pub async fn run(args: &Args, screen: &Screen) -> Result<u8, Failure> {
    let (engine, run, planned) = match (&args.plan, &args.runbook) {
        (Some(path), _) => from_file(path, &args.aws, screen).await?,
        (None, Some(runbook)) => made_now(runbook, args, screen).await?,
        (None, None) => return Err(Failure::usage("give a RUNBOOK, or a plan by --plan FILE")),
    };
    show_plan(&planned.plan, screen)?;
    check_guards(&planned.plan)?;
    let approver = approver(&args.approval.approve, screen);
    let ended = start(engine, &screen.state()?, run, planned, approver, screen).await?;
    report(&ended, screen)
}

/// Takes a plan from its file.
async fn from_file(path: &Path, aws: &AwsOptions, screen: &Screen) -> Result<(Engine, RunId, Planned), Failure> {
    let file = PlanFile::read(path)?;
    let (engine, caller) = session::open(aws, (&file.run, file.plan.created), None, screen).await?;
    file.check_caller(&caller)?;
    let PlanFile { run, plan, timed, .. } = file;
    Ok((engine, run, Planned { timed, ..Planned::from(plan) }))
}

/// Makes a plan now.
async fn made_now(runbook: &str, args: &Args, screen: &Screen) -> Result<(Engine, RunId, Planned), Failure> {
    let now = jiff::Timestamp::now();
    let case = new_run(now);
    let prepared = prepare(runbook, &args.inputs.inputs, &crate::actions::table(), now, screen).await?;
    let (engine, _) = session::open(&args.aws, (&case, now), Some(&prepared.runbook.targets), screen).await?;
    let planned = show_survey(&engine, &prepared, &case, now, screen).await?;
    Ok((engine, case, planned))
}
