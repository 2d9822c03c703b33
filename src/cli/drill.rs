//! A rehearsal: a runbook against a simulated AWS in the same process.

mod fight;
mod judge;
mod reported;

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::carry_out::{Ended, approver, check_guards, new_run, show_plan, show_survey, start};
use super::error::Failure;
use super::options::{ApprovalOptions, FaultOptions, InputOptions};
use super::prepare::{load, prepare};
use super::rehearsal::{self, Rehearsal};
use super::screen::{Output, Screen};
use crate::bounded::{self, SCENARIO};
use crate::model::{RunOutcome, Span};
use crate::report::chain;
use crate::report::drill::{Intruder, document, render, score};
use crate::report::summary;
use crate::sim::faults::FaultPlan;
use crate::sim::scenario::{Built, Facts, Scenario};
use fight::Fight;
use reported::Reported;

/// Rehearse a runbook on a simulated AWS under attack
///
/// Needs no AWS account and no credentials: the simulated AWS lives in this process. Everything else is real: the plan, the
/// questions, the requests, the journal. At the end stands what was contained, how long it took, what it cost per hour, and
/// whether anything legitimate was touched; and where the intruder fights back, what it tried and what it got. Scenarios:
/// cryptojack, cryptojack-small, live, organization, persistent, smallest.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  quell drill
  quell drill cryptojack --approve reversible,disruptive --clock real
  quell drill --fault eu-west-3=no-answer --fault 'us-east-1/ec2:StopInstances=throttle@0.5'
  quell drill --faults bad-network.yaml
  quell drill cryptojack --approve reversible,disruptive --report drill

A file of faults holds `rules`, each with a kind, and says where, when and how often:
  seed: 7
  rules:
    - eu-west-3=no-answer
    - { kind: no-answer, region: eu-west-1, from: 10s, until: 2m }
    - { kind: throttle, service: ec2, who: responder, until: 30s, recovers: 1m, rate: 0.8 }
    - { kind: latency, delay: { median: 200ms, p99: 8s } }
docs/faults.md describes all of them.")]
pub struct Args {
    /// The name of a shipped scenario, or a file
    #[arg(default_value = "cryptojack")]
    scenario: String,
    /// The runbook to rehearse: a file, or the name of a shipped one
    #[arg(long, value_name = "RUNBOOK", default_value = "cryptojack")]
    runbook: String,
    #[command(flatten)]
    inputs: InputOptions,
    #[command(flatten)]
    approval: ApprovalOptions,
    #[command(flatten)]
    faults: FaultOptions,
    /// Whether waiting takes time: `virtual` skips it, `real` rehearses at the pace of the day
    #[arg(long, value_enum, default_value_t)]
    pub clock: Clock,
    /// How long every request takes
    #[arg(long, value_name = "TIME", default_value = "80ms")]
    latency: Latency,
    /// What ids and secrets are made from: the same seed gives the same ones
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// How long an intruder who fights back goes on after the run; 30m, or 1m on the real clock
    #[arg(long, value_name = "TIME")]
    afterwards: Option<Span>,
    /// Capture the accounts before and after, and write report.html, report.md and report.json to this folder
    #[arg(long, value_name = "DIR")]
    report: Option<PathBuf>,
}

impl Args {
    /// How long the intruder goes on after the run.
    fn aftermath(&self) -> Duration {
        let usual = match self.clock {
            Clock::Virtual => Duration::from_mins(30),
            Clock::Real => Duration::from_mins(1),
        };
        self.afterwards.map_or(usual, Span::std)
    }
}

/// The clock of a drill.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Clock {
    /// As fast as the work is done: waiting is skipped, and counted.
    #[default]
    Virtual,
    /// At the pace of the day.
    Real,
}

/// A length of time that a request takes: `80ms`.
#[derive(Debug, Clone, Copy)]
pub struct Latency(Span);

impl std::str::FromStr for Latency {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        text.parse().map(Self)
    }
}

impl From<Latency> for Span {
    fn from(latency: Latency) -> Self {
        latency.0
    }
}

impl From<Latency> for std::time::Duration {
    fn from(latency: Latency) -> Self {
        latency.0.std()
    }
}

/// Carries the command out.
pub async fn run(args: &Args, screen: &Screen) -> Result<u8, Failure> {
    let built = scenario(&args.scenario)?.build(args.seed, jiff::Timestamp::now()).map_err(Failure::usage)?;
    let intruder = built.adversary.clone();
    let mut stage = Stage::set(args, built, args.faults.plan()?);
    let sim = stage.rehearsal.sim.clone();
    let table = crate::actions::table();
    let given = rehearsal::inputs(&load(&args.runbook, &table, screen)?, &stage.facts, &args.inputs.inputs);
    let prepared = prepare(&args.runbook, &given, &table, stage.rehearsal.clock.now(), screen).await?;
    let reported = match &args.report {
        Some(folder) => Some(Reported::begin(folder, prepared.runbook.targets.clone())?),
        None => None,
    };
    // Never in the store of real accounts.
    stage.rehearsal.evidence = Some(match &args.report {
        Some(folder) => folder.join("evidence"),
        None => screen.state()?.join("evidence-of-drills"),
    });
    // Before the intruder begins to fight: capturing takes time.
    if let Some(reported) = &reported {
        reported.capture(&stage.rehearsal).await?;
    }
    let fight = intruder.map(|intruder| Fight::of(&sim, intruder));
    let now = stage.rehearsal.clock.now();
    let case = new_run(now);
    let engine = stage.rehearsal.engine(table, (&case, now), sim.http_client()).await?;
    let planned = show_survey(&engine, &prepared, &case, now, screen).await?;
    show_plan(&planned.plan, screen)?;
    check_guards(&planned.plan)?;
    let approver = approver(&args.approval.approve, screen);
    let ended = start(engine, &screen.state()?, case, planned, approver, screen).await?;
    let fought = match fight {
        Some(fight) => Some(fight.go_on(&sim, args.aftermath()).await),
        None => None,
    };
    if let Some(reported) = &reported {
        reported.capture(&stage.rehearsal).await?;
        reported.write(&ended, &stage.facts, screen)?;
    }
    report(&stage, &ended, fought, screen)
}

/// A scenario by name, or from a file.
pub fn scenario(name: &str) -> Result<Scenario, Failure> {
    if Scenario::names().any(|shipped| shipped == name) {
        return Scenario::named(name).map_err(Failure::usage);
    }
    let text = bounded::text(Path::new(name), &SCENARIO).map_err(|error| {
        let failure = Failure::unreadable("the scenario", name, &error);
        if !error.is_absent() {
            return failure;
        }
        let names: Vec<_> = Scenario::names().collect();
        failure.hint(format!("{}; or give the path of a file", crate::runbook::did_you_mean(name, names)))
    })?;
    Scenario::load(&text).map_err(Failure::usage)
}

/// A simulated AWS in which a drill takes place.
struct Stage {
    rehearsal: Rehearsal,
    facts: Facts,
    latency: Span,
    /// The world before anything was done.
    before: serde_json::Value,
}

impl Stage {
    fn set(args: &Args, built: Built, plan: FaultPlan) -> Self {
        let responder = rehearsal::responder(&built);
        let rehearsal = Rehearsal::begin(built.world, built.begins, responder);
        rehearsal.sim.set_latency(args.latency.into());
        rehearsal.sim.set_fault_plan(plan);
        let before = serde_json::json!(rehearsal.sim.world());
        Self { rehearsal, facts: built.facts, latency: args.latency.into(), before }
    }
}

fn report(stage: &Stage, ended: &Ended, fought: Option<Intruder>, screen: &Screen) -> Result<u8, Failure> {
    let after = serde_json::json!(stage.rehearsal.sim.world());
    let mut facts = judge::facts(&stage.facts, &stage.before, &after, stage.latency);
    facts.longest_chain = chain::longest(&ended.record, stage.latency);
    facts.intruder = fought;
    let until = ended.events.last().map_or_else(|| stage.rehearsal.clock.now(), |event| event.at);
    facts.charged = judge::charged(&stage.facts, &stage.rehearsal.sim.world(), until);
    let score = score(&ended.record, &ended.events, &facts);
    match screen.output {
        Output::Text => {
            let closing = summary::of_drill(&ended.record, screen.colour());
            screen.print(&format!("\n{closing}\n{}", render(&score, screen.colour())))?;
        }
        Output::Json | Output::Jsonl => screen.document(&document(&ended.record, &score))?,
    }
    // What the run believes is one thing; the intruder who was not locked out is another.
    let code = ended.summary.outcome.exit_code();
    Ok(if code == 0 && score.is_lost() { RunOutcome::Incomplete.exit_code() } else { code })
}
