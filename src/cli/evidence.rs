use std::path::{Path, PathBuf};

use clap::Subcommand;
use serde_json::{Value, json};

use super::capture::folder;
use super::error::Failure;
use super::screen::{Output, Screen};
use crate::evidence::verify::{self, Whole};
use crate::evidence::{Captured, Store, signature};
use crate::model::RunId;
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
    /// A signature that is there must be one over its manifest; with --signers, every capture must be signed by somebody in that
    /// file.
    ///
    /// Exit codes: 0 everything is as captured, 4 something is not (it is named).
    Verify {
        /// The store; otherwise `evidence` in the state folder
        store: Option<PathBuf>,
        /// Who may sign, in OpenSSH's form: a name and a public key on each line
        #[arg(long, value_name = "FILE")]
        signers: Option<PathBuf>,
    },
    /// Sign captures with an OpenSSH key: whoever holds it stands for what they say
    ///
    /// `ssh-keygen` signs, so that keys in an agent or in hardware work, and anybody can check without quell:
    /// `ssh-keygen -Y verify -n quell-capture -f SIGNERS -I NAME -s manifest.jsonl.sig < manifest.jsonl`.
    Sign {
        /// The captures, as `quell evidence list` lists them; otherwise all that are not signed yet
        captures: Vec<String>,
        /// The private key; of one in an agent or in hardware, the public key
        #[arg(long, value_name = "FILE")]
        key: PathBuf,
        /// The store; otherwise `evidence` in the state folder
        #[arg(long, value_name = "DIR")]
        store: Option<PathBuf>,
    },
}

/// Carries the command out.
pub fn run(args: &Args, screen: &Screen) -> Result<u8, Failure> {
    match &args.command {
        Command::List { store } => list(&open(store.as_ref(), screen)?, screen),
        Command::Verify { store, signers } => prove(&open(store.as_ref(), screen)?, signers.as_deref(), screen),
        Command::Sign { captures, key, store } => sign(&open(store.as_ref(), screen)?, captures, key, screen),
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

fn sign(store: &Store, captures: &[String], key: &Path, screen: &Screen) -> Result<u8, Failure> {
    let named = captures.iter().map(RunId::new).collect::<Result<Vec<_>, _>>().map_err(Failure::usage)?;
    let unsigned = |id: &RunId| !signature::path(&store.manifest_path(id)).exists();
    let ids = if named.is_empty() { store.captures()?.into_iter().filter(unsigned).collect() } else { named };
    for id in ids {
        // Nobody stands for what is broken or goes on.
        if store.capture(&id)?.ended().is_none() {
            let error = format!("capture {id} has not come to its end, and would not be what was signed");
            return Err(Failure::usage(error).hint(format!("`quell capture --resume {id}` goes on with it")));
        }
        let signature = signature::sign(&store.manifest_path(&id), key).map_err(Failure::failed)?;
        match screen.output {
            Output::Text => screen.print(&format!("{id}  {}\n", signature.display()))?,
            Output::Json | Output::Jsonl => screen.document(&json!({ "capture": id, "signature": signature }))?,
        }
    }
    Ok(0)
}

fn prove(store: &Store, signers: Option<&Path>, screen: &Screen) -> Result<u8, Failure> {
    let verified = verify::verify(store, signers)?;
    match screen.output {
        Output::Text => screen.print(&evidence::verified(&verified))?,
        Output::Json | Output::Jsonl => screen.document(&json!({
            "captures": verified.captures.iter().map(whole).collect::<Vec<_>>(),
            "objects": verified.objects, "wrong": verified.wrong, "unnamed": verified.unnamed,
        }))?,
    }
    Ok(if verified.wrong.is_empty() { 0 } else { 4 })
}

fn whole(Whole { id, head, answers, signed }: &Whole) -> Value {
    let signed = signed.as_ref().map(|signed| &signed.by);
    json!({ "capture": id, "head": head, "items": answers, "signed_by": signed })
}
