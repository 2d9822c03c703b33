use std::path::PathBuf;

use clap::Subcommand;
use serde_json::json;

use super::capture::folder;
use super::error::Failure;
use super::screen::{Output, Screen};
use crate::evidence::{Captured, Store, verify};
use crate::report::evidence;

/// List evidence, and verify that it is what was captured
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List the captures of a store, oldest first
    List {
        /// The store; otherwise `evidence` in the state folder
        store: Option<PathBuf>,
    },
    /// Read every line and every byte of a store, and say what was changed
    ///
    /// Each manifest is a chain of hashes, and every answer is named for its own: a changed, missing or added byte is found.
    /// Compare the last hash of a capture with the one that was noted when it was made: that proves the whole of it.
    ///
    /// Exit codes: 0 everything is as captured, 4 something is not (it is named).
    Verify {
        /// The store; otherwise `evidence` in the state folder
        store: Option<PathBuf>,
    },
}

/// Carries the command out.
pub fn run(args: &Args, screen: &Screen) -> Result<u8, Failure> {
    match &args.command {
        Command::List { store } => list(&open(store.as_ref(), screen)?, screen),
        Command::Verify { store } => prove(&open(store.as_ref(), screen)?, screen),
    }
}

/// The store that is meant.
pub fn open(named: Option<&PathBuf>, screen: &Screen) -> Result<Store, Failure> {
    Ok(Store::open(&named.cloned().map_or_else(|| folder(screen), Ok)?)?)
}

fn list(store: &Store, screen: &Screen) -> Result<u8, Failure> {
    let captures = store.captures()?.iter().map(|id| store.capture(id)).collect::<Result<Vec<Captured>, _>>()?;
    match screen.output {
        Output::Text => screen.print(&evidence::list(&captures))?,
        Output::Json | Output::Jsonl => screen.document(&evidence::list_document(&captures))?,
    }
    Ok(0)
}

fn prove(store: &Store, screen: &Screen) -> Result<u8, Failure> {
    let verified = verify::verify(store)?;
    match screen.output {
        Output::Text => screen.print(&evidence::verified(&verified))?,
        Output::Json | Output::Jsonl => screen.document(&json!({
            "captures": verified.captures.iter().map(|(id, head, items)| json!({ "capture": id, "head": head, "items": items })).collect::<Vec<_>>(),
            "objects": verified.objects, "wrong": verified.wrong, "unnamed": verified.unnamed,
        }))?,
    }
    Ok(if verified.wrong.is_empty() { 0 } else { 4 })
}
