use std::path::PathBuf;

use serde_json::json;

use super::error::Failure;
use super::evidence::open;
use super::screen::{Output, Screen};
use crate::evidence::diff::diff;
use crate::model::RunId;
use crate::report::evidence;

/// Show what changed between two captures, resource by resource
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  quell diff 20261101-060000-a1b2c3 20261123-144312-d4e5f6
  quell diff 20261101-060000-a1b2c3 20261123-144312-d4e5f6 --store /evidence --output json")]
pub struct Args {
    /// The earlier capture, as `quell evidence list` lists it
    earlier: String,
    /// The later one
    later: String,
    /// The store; otherwise `evidence` in the state folder
    #[arg(long, value_name = "DIR")]
    store: Option<PathBuf>,
}

/// Carries the command out.
pub fn run(args: &Args, screen: &Screen) -> Result<u8, Failure> {
    let store = open(args.store.as_ref(), screen)?;
    let capture = |id: &str| -> Result<_, Failure> { Ok(store.capture(&RunId::new(id).map_err(Failure::usage)?)?) };
    let found = diff(&store, &capture(&args.earlier)?, &capture(&args.later)?)?;
    match screen.output {
        Output::Text => screen.print(&evidence::differences(&found, screen.colour()))?,
        Output::Json | Output::Jsonl => screen.document(&json!({ "differences": found }))?,
    }
    Ok(0)
}
