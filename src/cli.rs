//! The command line: one file per command. Only this module joins all others.

pub mod actions;
mod capture;
mod carry_out;
pub mod check;
mod completions;
mod cost;
mod diff;
mod doctor;
mod drill;
mod error;
mod evidence;
mod options;
mod plan;
mod plan_file;
pub mod policy;
mod posture;
mod prepare;
mod recorded;
mod rehearsal;
mod report;
mod resume;
mod rollback;
mod run;
mod runs;
pub mod schema;
mod screen;
pub mod selftest;
mod session;
mod show;
mod sim;
mod timeline;

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};

use error::Failure;
use screen::{Output, Screen};

/// Contain a breached AWS organisation, account or identity
///
/// quell carries out a runbook: it looks at every account and region, shows an exact plan, asks, makes the changes
/// everywhere at once, and looks again until they are proven. Nothing changes without a plan that was shown; everything is
/// recorded before it is done, and can be taken back.
#[derive(Debug, Parser)]
#[command(name = "quell", version, max_term_width = 100, arg_required_else_help = true, after_long_help = AFTER_HELP)]
pub struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

const AFTER_HELP: &str = "\
Examples:
  quell drill                                                     rehearse on a simulated AWS, no account needed
  quell plan cryptojack --input leaked_key=AKIAIOSFODNN7EXAMPLE   show what would be done
  quell run cryptojack --input leaked_key=AKIAIOSFODNN7EXAMPLE    contain, asking once per tier
  quell runs                                                      what was done so far

Exit codes:
  0    done and proven
  1    failed
  2    used wrongly
  3    changes failed, drifted or are unproven
  4    refused by a guard, an approval or a digest
  5    done, but something could not be looked at
  10   `plan --detailed-exitcode`: there is something to change
  130  stopped by hand; `quell resume` goes on

Colours follow NO_COLOR and CLICOLOR. QUELL_LOG takes a log filter, such as quell=debug.";

/// Options of every command.
#[derive(Debug, Clone, clap::Args)]
pub struct Global {
    /// The form of results: for people, one JSON document, or one JSON document per line
    #[arg(long, global = true, value_enum, default_value_t, value_name = "FORMAT", help_heading = "Global options")]
    pub output: Output,
    /// The folder in which runs live; otherwise the user's state folder
    #[arg(long, global = true, env = "QUELL_STATE", value_name = "DIR", help_heading = "Global options")]
    pub state: Option<PathBuf>,
    /// Log more, on standard error; twice for still more
    #[arg(short, long, global = true, action = clap::ArgAction::Count, help_heading = "Global options")]
    pub verbose: u8,
    /// The form of logs
    #[arg(long, global = true, value_enum, default_value_t, value_name = "FORMAT", help_heading = "Global options")]
    pub log_format: LogFormat,
}

/// The form of logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON document per entry.
    Json,
}

#[derive(Debug, Subcommand)]
enum Command {
    Drill(drill::Args),
    Plan(plan::Args),
    Run(run::Args),
    Resume(resume::Args),
    Rollback(rollback::Args),
    Runs(runs::Args),
    Show(show::Args),
    Report(report::Args),
    Capture(capture::Args),
    Evidence(evidence::Args),
    Diff(diff::Args),
    Timeline(timeline::Args),
    Cost(cost::Args),
    Posture(posture::Args),
    Check(check::Args),
    Doctor(doctor::Args),
    Actions(actions::Args),
    Policy(policy::Args),
    Schema(schema::Args),
    Sim(sim::Args),
    Selftest(selftest::Args),
    Completions(completions::Args),
}

/// Runs quell with the arguments of the process.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Where neither stream can be written to there is nobody to tell.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    // A panic is a failure of quell's own, with the exit code of one.
    std::panic::set_hook(Box::new(panicked));
    std::panic::catch_unwind(|| run_command(&cli)).unwrap_or(ExitCode::FAILURE)
}

/// Tells of a panic in a sentence. What the code that panicked had in its hands may be a secret, so its words are not shown.
fn panicked(panic: &std::panic::PanicHookInfo<'_>) {
    let place = panic.location().map(|at| format!(" in {}, line {}", at.file(), at.line())).unwrap_or_default();
    let text = format!(
        "error: quell itself failed{place}: this is a mistake in quell\n\
         hint: what was done is in the journal; `quell runs` names the run, and `quell resume` goes on with it\n"
    );
    // Where standard error cannot be written to there is nobody to tell.
    let _ = std::io::stderr().write_all(text.as_bytes());
}

fn run_command(cli: &Cli) -> ExitCode {
    let screen = Screen::open(&cli.global);
    match carry_out_command(&cli.command, &screen) {
        Ok(code) => ExitCode::from(code),
        Err(failure) => {
            screen.failure(&failure);
            ExitCode::from(failure.exit_code())
        }
    }
}

fn carry_out_command(command: &Command, screen: &Screen) -> Result<u8, Failure> {
    match command {
        Command::Drill(args) => match args.clock {
            drill::Clock::Real => block_on(drill::run(args, screen)),
            drill::Clock::Virtual => block_on_virtual_time(drill::run(args, screen)),
        },
        Command::Plan(args) => block_on(plan::run(args, screen)),
        Command::Run(args) => block_on(run::run(args, screen)),
        Command::Resume(args) => block_on(resume::run(args, screen)),
        Command::Rollback(args) => block_on(rollback::run(args, screen)),
        Command::Runs(args) => runs::run(args, screen),
        Command::Show(args) => show::run(args, screen),
        Command::Report(args) => report::run(args, screen),
        Command::Check(args) => match screen.output {
            Output::Text => Ok(check::text(args, &catalog(), &mut screen.stdout(), &mut std::io::stderr())?),
            Output::Json | Output::Jsonl => Ok(check::json(args, &catalog(), &mut screen.stdout())?),
        },
        Command::Actions(args) => match screen.output {
            Output::Text => Ok(actions::text(args, &catalog(), &mut screen.stdout(), &mut std::io::stderr())?),
            Output::Json | Output::Jsonl => {
                Ok(actions::json(args, &catalog(), &mut screen.stdout(), &mut std::io::stderr())?)
            }
        },
        Command::Policy(args) => match (&args.question, &args.runbook) {
            (Some(policy::Question::Evaluate(args)), _) => {
                let remark = &mut |text: &str| screen.remark(text);
                policy::evaluate::run(args, &mut std::io::stdin().lock(), &mut screen.stdout(), remark)
            }
            (Some(policy::Question::Explain(args)), _) => block_on(policy::explain::run(args, screen)),
            (None, runbook) => {
                let table = crate::actions::table();
                let runbook = prepare::load(runbook.as_deref().unwrap_or_default(), &table, screen)?;
                Ok(policy::run(args, &runbook, &table.catalog(), &mut screen.stdout())?)
            }
        },
        Command::Schema(args) => Ok(schema::run(args, &catalog(), &mut screen.stdout())?),
        Command::Doctor(args) => block_on(doctor::run(args, screen)),
        Command::Capture(args) => block_on(capture::run(args, screen)),
        Command::Evidence(args) => block_on(evidence::run(args, screen)),
        Command::Diff(args) => diff::run(args, screen),
        Command::Timeline(args) => timeline::run(args, screen),
        Command::Cost(args) => cost::run(args, screen),
        Command::Posture(args) => block_on(posture::run(args, screen)),
        Command::Sim(args) => block_on(sim::run(args, screen)),
        Command::Selftest(args) => selftest::run(args, screen),
        Command::Completions(args) => completions::run(args, screen),
    }
}

/// What runbooks can be made of.
fn catalog() -> crate::model::Catalog {
    crate::actions::table().catalog()
}

/// Drives a command on a runtime of several threads.
fn block_on(command: impl Future<Output = Result<u8, Failure>>) -> Result<u8, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let result = runtime.block_on(command);
    // A prompt that was broken off still holds its thread.
    runtime.shutdown_background();
    result
}

/// Drives a command on a runtime whose clock is moved forward whenever all work waits.
fn block_on_virtual_time(command: impl Future<Output = Result<u8, Failure>>) -> Result<u8, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build()?;
    let result = runtime.block_on(command);
    runtime.shutdown_background();
    result
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    fn parse(arguments: &str) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(std::iter::once("quell").chain(arguments.split_whitespace()))
    }

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_and_option_has_a_help_text() {
        for command in Cli::command().get_subcommands() {
            assert!(command.get_about().is_some(), "{}", command.get_name());
            for argument in command.get_arguments() {
                assert!(argument.get_help().is_some(), "{} {}", command.get_name(), argument.get_id());
            }
        }
    }

    #[test]
    fn what_scripts_rely_on_is_understood() {
        for arguments in [
            "run cryptojack --input leaked_key=AKIAIOSFODNN7EXAMPLE --approve reversible,disruptive --trust-endpoint",
            "run --plan plan.json --state runs --output jsonl",
            "--output json runs",
            "runs --output json",
            "plan cryptojack -o plan.json --detailed-exitcode --changes",
            "resume 20261123-144312-a1b2c3 --approve reversible",
            "rollback 20261123-144312-a1b2c3 --approve reversible --profile ir --region eu-west-1",
            "show 20261123-144312-a1b2c3",
            "report 20261123-144312-a1b2c3 --output json",
            "report 20261123-144312-a1b2c3 --html r.html --markdown r.md --json r.json --evidence e --since 2026-11-23T14:44:00Z",
            "doctor cryptojack",
            "completions bash",
            "check ours.yaml theirs.yaml --output json",
            "actions ec2.stop-instances",
            "policy cryptojack --with-rollback",
            "policy --for role ./evaluate",
            "policy evaluate --absent-keys absent",
            "policy explain --principal arn:aws:iam::111122223333:user/eve --action s3:GetObject --context a=b --policy scp:1=f",
            "timeline",
            "timeline 20261123-144312-a1b2c3 --leaked-key AKIAIOSFODNN7EXAMPLE --since 2026-11-23T14:44:00Z --csv t.csv",
            "schema",
            "drill",
            "drill cryptojack-small --runbook leaked-key --approve reversible --fault eu-west-3=no-answer --clock virtual",
            "drill --latency 80ms --seed 7 --output json --input since=now",
            "drill cryptojack-small --approve reversible,disruptive --report drill",
            "selftest --runs 500 --seed 7 --runbook cryptojack --at-most 10m --output json",
            "sim --scenario cryptojack --port 4010 --latency 0ms --clock real --seed 1",
        ] {
            parse(arguments).unwrap_or_else(|error| panic!("{arguments}: {error}"));
        }
    }

    #[test]
    fn what_makes_no_sense_is_used_wrongly() {
        for arguments in [
            "run",
            "run cryptojack --plan plan.json",
            "run --plan plan.json --input a=b",
            "run cryptojack --input a",
            "run cryptojack --approve everything",
            "show",
            "policy",
            "policy --with-rollback",
            "policy evaluate cryptojack",
            "--output xml runs",
            "timeline --since soon",
            "timeline --leaked-key mara",
            "drill --fault everything",
            "drill --latency soon",
        ] {
            assert_eq!(parse(arguments).unwrap_err().exit_code(), 2, "{arguments}");
        }
    }

    #[test]
    fn the_help_names_every_exit_code() {
        let help = Cli::command().render_long_help().to_string();
        for code in
            ["0    done", "1    failed", "2    used", "3    changes", "4    refused", "5    done", "10   ", "130  "]
        {
            assert!(help.contains(code), "{code}");
        }
    }
}
