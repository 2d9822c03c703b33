use super::error::Failure;
use super::recorded;
use super::screen::{Output, Screen};
use crate::report::runs;

/// List the runs, newest first
///
/// Drills are runs like any other. A run without an outcome is still going on, or was cut off: `quell resume` takes it up.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Carries the command out.
pub fn run(Args {}: &Args, screen: &Screen) -> Result<u8, Failure> {
    let (records, unusable) = recorded::all(&screen.state()?)?;
    match screen.output {
        Output::Text => screen.print(&runs::render(&records, screen.colour()))?,
        Output::Json | Output::Jsonl => screen.document(&runs::document(&records))?,
    }
    for why in unusable {
        screen.remark(&format!("left out: {why}"));
    }
    Ok(0)
}
