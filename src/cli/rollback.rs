use super::carry_out::{approver, check_guards, new_run, report, show_plan, start};
use super::error::Failure;
use super::options::{ApprovalOptions, AwsOptions};
use super::screen::Screen;
use super::session;
use crate::engine::rollback;
use crate::engine::state::State;
use crate::journal;
use crate::model::RunId;

/// Take back what a run did
///
/// A run of its own, with its own plan, approval and journal: the changes of the run in question, newest first, each put
/// back to the state that was found before. What cannot be taken back is named.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  quell rollback 20261123-144312-a1b2c3
  quell rollback 20261123-144312-a1b2c3 --approve reversible,disruptive")]
pub struct Args {
    /// The run, as `quell runs` lists it
    run: String,
    #[command(flatten)]
    approval: ApprovalOptions,
    #[command(flatten)]
    aws: AwsOptions,
}

/// Carries the command out.
pub async fn run(args: &Args, screen: &Screen) -> Result<u8, Failure> {
    let undone = RunId::new(&args.run).map_err(Failure::usage)?;
    let folder = screen.state()?;
    let events = journal::read(&folder, &undone)?.events;
    let state = State::fold_all(&events).map_err(|_| {
        Failure::usage(format!("run {undone} was cut off before it began: there is nothing to take back"))
    })?;
    if state.plan().undoes.is_some() {
        return Err(Failure::usage(format!("run {undone} is a rollback itself"))
            .hint("run the runbook again to contain once more"));
    }
    let now = jiff::Timestamp::now();
    let run = new_run(now);
    // Evidence was tagged with the run that is taken back, and is found by it.
    let (engine, caller) = session::open(&args.aws, (&undone, state.plan().created), None, screen).await?;
    if caller.account != state.plan().caller.account {
        return Err(Failure::refused(format!(
            "the run belongs to account {}, and the credentials are of account {}",
            state.plan().caller.account,
            caller.account
        ))
        .hint("use the credentials the run was begun with (--profile)"));
    }
    let plan = rollback::plan(&state, caller, now);
    show_plan(&plan, screen)?;
    check_guards(&plan)?;
    let approver = approver(&args.approval.approve, screen);
    let ended = start(engine, &folder, run, plan.into(), approver, screen).await?;
    report(&ended, screen)
}
