use std::path::PathBuf;

use jiff::Timestamp;

use super::capture::folder;
use super::error::Failure;
use super::recorded;
use super::screen::{Output, Screen};
use crate::cost::{self, Asked, Costs};
use crate::evidence::{Captured, Store};
use crate::model::{AccessKeyId, Event, RunId, Span};
use crate::report::case::{self, Case};
use crate::report::cost as report;
use crate::report::record::Record;
use crate::story::{self, Known, Story};

/// Tell what an incident cost: per hour, so far, what the response saved; and draft the case for credit
///
/// By the journal of the run that responded and by captures, either alone or both: machines cost their on-demand price from
/// launch to stop, by region, type and platform. A type without a known price is counted and named, and never guessed. Where a
/// capture holds Cost Explorer's days they stand beside the estimate. Nothing is asked of AWS. docs/cost.md says where prices
/// come from and what is not counted.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  quell cost 20261123-145502-c7d8e9                       what the machines cost that this run stopped
  quell cost 20261123-145502-c7d8e9 --horizon 30d         and would have cost in 30 days
  quell cost --leaked-key AKIAIOSFODNN7EXAMPLE --since 2026-11-23T14:44:00Z      by captures alone
  quell cost 20261123-145502-c7d8e9 --case > case.md      the draft of the case for AWS Support
  quell cost 20261123-145502-c7d8e9 --output json")]
pub struct Args {
    /// The run that responded, as `quell runs` lists it
    run: Option<String>,
    /// A capture to go by, as `quell evidence list` lists them; otherwise all of the store
    #[arg(long = "capture", value_name = "CAPTURE")]
    captures: Vec<String>,
    /// The store; otherwise `evidence` in the state folder, if it is there
    #[arg(long, value_name = "DIR")]
    store: Option<PathBuf>,
    /// An access key that is known to be in somebody else's hands; otherwise those that the run was given
    #[arg(long, value_name = "ID")]
    leaked_key: Vec<AccessKeyId>,
    /// Since when the incident is known to have gone on; otherwise what the run was given
    #[arg(long, value_name = "TIME")]
    since: Option<Timestamp>,
    /// Up to when costs are counted; otherwise up to the last thing that is known
    #[arg(long, value_name = "TIME")]
    until: Option<Timestamp>,
    /// For how long what was stopped would have gone on
    #[arg(long, value_name = "TIME", default_value = "24h")]
    horizon: Span,
    /// Print the draft of the case in which AWS Support is asked for credit, as Markdown
    #[arg(long)]
    case: bool,
}

/// Carries the command out.
pub fn run(args: &Args, screen: &Screen) -> Result<u8, Failure> {
    let (record, events) = match &args.run {
        Some(run) => recorded::read(&screen.state()?, run).map(|(record, events)| (Some(record), events))?,
        None => (None, Vec::new()),
    };
    let known = known(args, record.as_ref());
    let Told { captures, story, costs } = tell(args, &known, &events, screen)?;
    let costs = costs.ok_or_else(|| {
        Failure::usage("no machine of an incident is known").hint(
            "name the run that responded (`quell runs`), or take a capture and say what leaked: --leaked-key, --since",
        )
    })?;
    match screen.output {
        Output::Text if args.case => {
            let case = Case { costs: &costs, run: record.as_ref(), story: story.as_ref(), captures: &captures };
            screen.print(&case::markdown(&case))?;
        }
        Output::Text => screen.print(&report::text(&costs, screen.colour()))?,
        Output::Json | Output::Jsonl => screen.document(&report::document(&costs))?,
    }
    Ok(0)
}

/// What captures tell.
struct Told {
    captures: Vec<Captured>,
    story: Option<Story>,
    costs: Option<Costs>,
}

fn tell(args: &Args, known: &Known, events: &[Event], screen: &Screen) -> Result<Told, Failure> {
    let asked = Asked { until: args.until, horizon: args.horizon };
    let store = match &args.store {
        Some(path) => Some(Store::open(path)?),
        None if args.captures.is_empty() => Store::open(&folder(screen)?).ok(),
        None => Some(Store::open(&folder(screen)?)?),
    };
    let Some(store) = store else {
        return Ok(Told { captures: Vec::new(), story: None, costs: cost::of(&[], None, events, &asked) });
    };
    let ids = match &args.captures[..] {
        [] => store.captures()?,
        named => named.iter().map(RunId::new).collect::<Result<_, _>>().map_err(Failure::usage)?,
    };
    let mut captures = ids.iter().map(|id| store.capture(id)).collect::<Result<Vec<Captured>, _>>()?;
    captures.sort_by_key(|captured| captured.header.began);
    let seen = story::seen_in(&store, &captures)?;
    let story = (!captures.is_empty()).then(|| story::tell(&store, &captures, known, events)).transpose()?;
    let costs = cost::of(&seen, story.as_ref(), events, &asked);
    Ok(Told { captures, story, costs })
}

/// What is known of the incident: by the command line, or else by what the run was given.
fn known(args: &Args, record: Option<&Record>) -> Known {
    let given = record.map(recorded::known).unwrap_or_default();
    let leaked_keys = if args.leaked_key.is_empty() { given.leaked_keys } else { args.leaked_key.clone() };
    Known { leaked_keys, since: args.since.or(given.since) }
}
