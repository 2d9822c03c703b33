//! From a plan to its end: shown, approved, carried out, reported. `run`, `resume`, `rollback` and `drill` all end here.

use std::io::IsTerminal as _;
use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;
use tokio::sync::watch;

use super::error::Failure;
use super::options::person;
use super::prepare::Prepared;
use super::recorded;
use super::screen::{Output, Screen};
use crate::approval::{Flags, Terminal};
use crate::engine::ports::Approver;
use crate::engine::run::{Run, RunError};
use crate::engine::survey::{Progress, SurveyError};
use crate::engine::{Engine, Planned};
use crate::journal::Journal;
use crate::model::{
    Answer, Approval, Event, EventKind, Finding, Phase, Plan, RunId, RunOutcome, Severity, Summary, Tier,
};
use crate::report::plan_text::{self, Detail};
use crate::report::record::Record;
use crate::report::style::Colour;
use crate::report::text::{counted, shown};

/// A run that came to an end, as its journal holds it.
#[derive(Debug)]
pub struct Ended {
    /// The closing figures.
    pub summary: Summary,
    /// The run.
    pub record: Record,
    /// Its events.
    pub events: Vec<Event>,
}

/// An id for a new run: its time in UTC, and six digits at random.
pub fn new_run(now: Timestamp) -> RunId {
    let id = format!("{}-{:06x}", now.strftime("%Y%m%d-%H%M%S"), fastrand::u32(..1 << 24));
    RunId::new(id).expect("digits, letters and hyphens make a run id")
}

/// Who approves: a person where there is one to ask, otherwise only what `--approve` lists.
pub fn approver(approved: &[Tier], screen: &Screen) -> Arc<dyn Approver> {
    let flags = Flags::new(approved.iter().copied(), person());
    match Terminal::open(flags.clone(), person()) {
        Some(terminal) if screen.is_attended() => Arc::new(terminal),
        _ => Arc::new(flags),
    }
}

/// Plans, and shows how far the survey has come.
pub async fn show_survey(
    engine: &Engine,
    prepared: &Prepared,
    case: &RunId,
    now: Timestamp,
    screen: &Screen,
) -> Result<Planned, Failure> {
    let mut reporters = screen.reporters();
    let (mut lanes, mut looked) = (0, 0);
    let mut show = |progress| match progress {
        Progress::Caller(caller) => reporters.working(Phase::Survey, &shown(&caller.arn)),
        Progress::Lanes(count) => {
            lanes = count;
            reporters.working(Phase::Survey, &counted(lanes, "lane"));
        }
        Progress::Lane => {
            looked += 1;
            reporters.working(Phase::Survey, &format!("{looked} of {lanes} lanes"));
        }
    };
    let planned = engine.plan(&prepared.runbook, &prepared.inputs, case, now, &mut show).await?;
    reporters.clear();
    Ok(planned)
}

/// Shows a plan before it is asked about: as a result for people, as a remark beside a result for machines.
pub fn show_plan(plan: &Plan, screen: &Screen) -> Result<(), Failure> {
    match screen.output {
        Output::Text => screen.print(&format!("{}\n", plan_text::render(plan, Detail::Counts, screen.colour()))),
        Output::Json | Output::Jsonl if screen.is_attended() => {
            screen.remark(&plan_text::render(plan, Detail::Counts, Colour::of_stderr()));
            Ok(())
        }
        Output::Json | Output::Jsonl => Ok(()),
    }
}

/// Refuses a plan that a guard refused.
pub fn check_guards(plan: &Plan) -> Result<(), Failure> {
    let refusals: Vec<&Finding> =
        plan.findings.iter().filter(|finding| finding.severity == Severity::Refusal).collect();
    if refusals.is_empty() {
        return Ok(());
    }
    let refused = Failure::refused("the plan is refused, and nothing was changed:");
    Err(refusals.into_iter().fold(refused, |failure, finding| match &finding.step {
        Some(step) => failure.line(format!("[{step}] {}", finding.message)),
        None => failure.line(&finding.message),
    }))
}

/// Begins a run and drives it to its end.
pub async fn start(
    engine: Engine,
    state: &Path,
    run: RunId,
    planned: Planned,
    approver: Arc<dyn Approver>,
    screen: &Screen,
) -> Result<Ended, Failure> {
    let journal = Journal::create(state, &run)?;
    let mut reporters = screen.reporters();
    let stop = stop_on_interrupt(&run, screen);
    let id = run.clone();
    let started = Run::start(engine, journal, run, planned, (approver, &mut reporters, stop))?;
    finish(started, state, &id).await
}

/// Drives a run to its end and reads its journal.
pub async fn finish(run: Run<'_>, state: &Path, id: &RunId) -> Result<Ended, Failure> {
    let summary = run.execute().await?;
    let (record, events) = recorded::read(state, id.as_str())?;
    Ok(Ended { summary, record, events })
}

/// Shows the end of a run, and gives the exit code.
pub fn report(ended: &Ended, screen: &Screen) -> Result<u8, Failure> {
    match screen.output {
        Output::Text => {
            screen.print(&format!("\n{}", crate::report::summary::render(&ended.record, screen.colour())))?;
        }
        Output::Json => screen.document(&crate::report::summary::document(&ended.record))?,
        // The last event holds the summary.
        Output::Jsonl => {}
    }
    if let Some(no) = ended.events.iter().rev().find_map(refusal)
        && ended.summary.outcome == RunOutcome::Refused
    {
        let done = if ended.summary.changes.done == 0 { "nothing was changed" } else { "nothing more was changed" };
        let why = format!("{done}: the {} changes were not approved by {} ({})", no.tier, no.by, no.through);
        screen.failure(&Failure::refused(why));
    }
    Ok(ended.summary.outcome.exit_code())
}

/// The answer that ended a run, if this event is one.
fn refusal(event: &Event) -> Option<&Approval> {
    match &event.kind {
        EventKind::ApprovalAnswered { approval } if approval.answer == Answer::Refused => Some(approval),
        _ => None,
    }
}

/// Ctrl-C once asks the run to stop: what is in flight ends and is journalled. Twice leaves at once: the journal is whole
/// all the same, and `quell resume` finds out what became of what was in flight.
pub fn stop_on_interrupt(run: &RunId, screen: &Screen) -> watch::Receiver<bool> {
    let run = run.clone();
    let (sender, receiver) = watch::channel(false);
    let remark = screen.remarks();
    tokio::spawn(async move {
        if tokio::signal::ctrl_c().await.is_err() {
            return;
        }
        remark.write("stopping: what is in flight ends first; Ctrl-C again leaves at once");
        // Nobody listens any more when the run has ended by itself.
        let _ = sender.send(true);
        if tokio::signal::ctrl_c().await.is_ok() {
            remark.end(&format!(
                "left at once; the journal is whole: `quell resume {run}` looks what became of it and goes on"
            ));
            leave();
        }
    });
    receiver
}

#[expect(clippy::exit, reason = "a person who presses Ctrl-C twice wants out, whatever is still going on")]
fn leave() -> ! {
    if std::io::stderr().is_terminal() {
        // Gives back a cursor that a prompt or a progress line has hidden.
        let _ = console::Term::stderr().show_cursor();
    }
    std::process::exit(130)
}

impl From<RunError> for Failure {
    fn from(error: RunError) -> Self {
        match error {
            RunError::Journal(error) => error.into(),
            RunError::Survey(error) => error.into(),
            RunError::NoRun(error) => Self::usage(error),
            RunError::Panicked(error) => Self::failed(error).hint("the journal is whole; `quell resume` goes on"),
        }
    }
}

impl From<SurveyError> for Failure {
    fn from(error: SurveyError) -> Self {
        let message = error.to_string();
        match error {
            SurveyError::Caller(cause) | SurveyError::Targets(cause) | SurveyError::Set { error: cause, .. } => {
                Self::from(cause).about(message)
            }
            SurveyError::Refused { .. } => Self::refused(format!("{message}; nothing was changed")),
            SurveyError::Runbook(_) => Self::usage(message),
        }
    }
}
