use super::error::Failure;
use super::recorded;
use super::screen::{Output, Screen};
use crate::report::summary;

/// Print the closing report of a run again
///
/// What was not seen, what was done, what is left for a person, and the commands to go on: made from the journal alone, so
/// it is the same today and in a year.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The run, as `quell runs` lists it.
    run: String,
}

/// Carries the command out.
pub fn run(args: &Args, screen: &Screen) -> Result<u8, Failure> {
    let (record, _) = recorded::read(&screen.state()?, &args.run)?;
    match screen.output {
        Output::Text => screen.print(&summary::render(&record, screen.colour()))?,
        Output::Json | Output::Jsonl => screen.document(&summary::document(&record))?,
    }
    Ok(0)
}
