use super::error::Failure;
use super::recorded;
use super::screen::{Output, Screen};
use crate::report::show;

/// Show one run in full: every event, every change, what is left
///
/// The journal's hash chain is verified first; a journal that was changed is refused with exit code 4.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The run, as `quell runs` lists it.
    run: String,
}

/// Carries the command out.
pub fn run(args: &Args, screen: &Screen) -> Result<u8, Failure> {
    let (record, events) = recorded::read(&screen.state()?, &args.run)?;
    match screen.output {
        Output::Text => screen.print(&show::render(&record, &events, screen.colour()))?,
        Output::Json => screen.document(&show::document(&record, &events))?,
        Output::Jsonl => {
            for event in &events {
                screen.document(&serde_json::json!(event))?;
            }
        }
    }
    Ok(0)
}
