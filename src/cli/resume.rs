use super::carry_out::{approver, finish, report, stop_on_interrupt};
use super::error::Failure;
use super::options::{ApprovalOptions, AwsOptions};
use super::screen::Screen;
use super::session;
use crate::engine::lockout;
use crate::engine::run::Run;
use crate::journal::Journal;
use crate::model::{EventKind, Plan, RunId};

/// Go on with a run that was stopped or cut off
///
/// What was begun and has no end is looked at first and repeated only if it did not happen. Approvals that were given are
/// not asked for again.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "Examples:\n  quell resume 20261123-144312-a1b2c3")]
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
    let run = RunId::new(&args.run).map_err(Failure::usage)?;
    let state = screen.state()?;
    let (journal, recorded) = Journal::open(&state, &run)?;
    let events = recorded.events;
    let Some(EventKind::RunStarted { plan, .. }) = events.first().map(|event| &event.kind) else {
        let failure = Failure::usage(format!("run {run} was cut off before it began: there is nothing to go on with"));
        return Err(failure.hint("nothing was changed; `quell run` begins anew"));
    };
    let (engine, caller) = session::open(&args.aws, (&run, plan.created), None, screen).await?;
    if caller.account != plan.caller.account {
        return Err(Failure::refused(format!(
            "the run belongs to account {}, and the credentials are of account {}",
            plan.caller.account, caller.account
        ))
        .hint("use the credentials the run was begun with (--profile)"));
    }
    // Whoever goes on need not be who began: the policies were weighed for the latter.
    let mut weighed = Plan::clone(plan);
    weighed.caller = caller.clone();
    if let Some(refusal) = lockout::findings(&weighed).first() {
        let hint = format!("go on as {}, as whom the run was begun", plan.caller.arn);
        return Err(Failure::refused(&refusal.message).hint(hint));
    }
    let mut reporters = screen.reporters();
    let stop = stop_on_interrupt(&run, screen);
    let approver = approver(&args.approval.approve, screen);
    let resumed = Run::resume(engine, journal, &events, caller, (approver, &mut reporters, stop))?;
    let ended = finish(resumed, &state, &run).await?;
    report(&ended, screen)
}
