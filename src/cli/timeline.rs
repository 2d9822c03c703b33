use std::fs;
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::error::Failure;
use super::evidence::open;
use super::recorded;
use super::screen::{Output, Screen};
use crate::evidence::Captured;
use crate::model::{AccessKeyId, RunId};
use crate::report::document::timeline_page;
use crate::report::timeline;
use crate::story::{self, Known};

/// Tell from evidence what happened, when, and what is known of who did it
///
/// Every dated fact of the captures becomes an event: recorded in CloudTrail's event history, dated by AWS, or inferred from
/// what differs between two captures. Then, for each principal: what its credentials are proven to have done, what only looks
/// like it, and who else could have done that. Nothing is asked of AWS. docs/timeline.md says what each word means.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  quell timeline                                             all captures of the store
  quell timeline --leaked-key AKIAIOSFODNN7EXAMPLE --since 2026-11-23T14:44:00Z
  quell timeline 20261101-060000-a1b2c3 20261123-144312-d4e5f6 --run 20261123-145502-c7d8e9
  quell timeline --csv timeline.csv                          for Timesketch and spreadsheets
  quell timeline --html timeline.html                        to look at
  quell timeline --output json")]
pub struct Args {
    /// The captures, as `quell evidence list` lists them; otherwise all of the store
    captures: Vec<String>,
    /// The store; otherwise `evidence` in the state folder
    #[arg(long, value_name = "DIR")]
    store: Option<PathBuf>,
    /// An access key that is known to be in somebody else's hands; may be given several times
    #[arg(long, value_name = "ID")]
    leaked_key: Vec<AccessKeyId>,
    /// Since when the incident is known to have gone on, such as 2026-11-23T14:44:00Z
    #[arg(long, value_name = "TIME")]
    since: Option<Timestamp>,
    /// The run that responded: its journal adds what was done against the incident
    #[arg(long, value_name = "RUN")]
    run: Option<String>,
    /// Write the events to this file too, as Timesketch reads them
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,
    /// Write timeline and verdicts to this file too, as one page without network or script
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
}

/// Carries the command out.
pub fn run(args: &Args, screen: &Screen) -> Result<u8, Failure> {
    let store = open(args.store.as_ref(), screen)?;
    let ids = match &args.captures[..] {
        [] => store.captures()?,
        named => named.iter().map(RunId::new).collect::<Result<_, _>>().map_err(Failure::usage)?,
    };
    let mut captures = ids.iter().map(|id| store.capture(id)).collect::<Result<Vec<Captured>, _>>()?;
    if captures.is_empty() {
        return Err(Failure::usage("there is no capture in the store; `quell capture` makes one"));
    }
    captures.sort_by_key(|captured| captured.header.began);
    let events = match &args.run {
        Some(run) => recorded::read(&screen.state()?, run)?.1,
        None => Vec::new(),
    };
    let known = Known { leaked_keys: args.leaked_key.clone(), since: args.since };
    let story = story::tell(&store, &captures, &known, &events)?;
    if let Some(path) = &args.csv {
        write(path, &timeline::csv(&story))?;
    }
    if let Some(path) = &args.html {
        write(path, &timeline_page(&story))?;
    }
    match screen.output {
        Output::Text => screen.print(&timeline::text(&story, screen.colour()))?,
        Output::Json | Output::Jsonl => screen.document(&timeline::document(&story))?,
    }
    Ok(0)
}

fn write(path: &Path, text: &str) -> Result<(), Failure> {
    fs::write(path, text).map_err(|error| Failure::failed(format!("cannot write `{}`: {error}", path.display())))
}
