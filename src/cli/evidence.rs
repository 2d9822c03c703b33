#[cfg(feature = "s3")]
mod bucket;

use std::path::{Path, PathBuf};

use clap::Subcommand;
use serde_json::{Value, json};

use super::capture::folder;
use super::error::Failure;
use super::screen::{Output, Screen};
use crate::evidence::verify::{self, Verified, Whole};
use crate::evidence::{Captured, Store, signature};
use crate::model::RunId;
use crate::report::evidence;
#[cfg(feature = "s3")]
use crate::report::text::counted;
#[cfg(feature = "s3")]
use bucket::Options;

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
        /// The store, a folder or s3://BUCKET/PREFIX; otherwise `evidence` in the state folder
        store: Option<PathBuf>,
        #[cfg(feature = "s3")]
        #[command(flatten)]
        bucket: Options,
    },
    /// Read every line and every byte of a store, and say what was changed
    ///
    /// Each manifest is a chain of hashes, and every answer is named for its own: a changed, missing or added byte is found.
    /// Compare the last hash of a capture with the one that was noted when it was made: that proves the whole of it.
    ///
    /// A signature that is there must be one over its manifest; with --signers, every capture must be signed by somebody in that
    /// file.
    ///
    /// Of a bucket, what was laid over a file (a new version, a delete marker) and what is not locked is named as well.
    ///
    /// Exit codes: 0 everything is as captured, 4 something is not (it is named).
    Verify {
        /// The store, a folder or s3://BUCKET/PREFIX; otherwise `evidence` in the state folder
        store: Option<PathBuf>,
        /// Who may sign, in OpenSSH's form: a name and a public key on each line
        #[arg(long, value_name = "FILE")]
        signers: Option<PathBuf>,
        #[cfg(feature = "s3")]
        #[command(flatten)]
        bucket: Options,
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
    /// Put captures into an S3 bucket, each file once, with its SHA-256, under Object Lock
    ///
    /// The bucket must keep versions, have Object Lock and be closed to the public; one that is not fit is refused, with the
    /// reason. What is there already is compared and locked for as long; nothing is overwritten. Captures that have not come to
    /// their end are left out.
    ///
    /// Exit codes: 0 all captures are there, 4 the bucket is not fit or holds something else under such a name, 5 captures were
    /// left out.
    #[cfg(feature = "s3")]
    Push(bucket::Push),
    /// Read the captures of an S3 bucket into a folder: the first version of each file, whatever was laid over it
    #[cfg(feature = "s3")]
    Pull(bucket::Pull),
}

/// Carries the command out.
pub async fn run(args: &Args, screen: &Screen) -> Result<u8, Failure> {
    match &args.command {
        #[cfg(feature = "s3")]
        Command::List { store: Some(store), bucket } if is_bucket(store) => {
            list(&bucket::fetched(store, bucket, screen).await?.store, screen)
        }
        Command::List { store, .. } => list(&open(store.as_ref(), screen)?, screen),
        #[cfg(feature = "s3")]
        Command::Verify { store: Some(store), signers, bucket } if is_bucket(store) => {
            let fetched = bucket::fetched(store, bucket, screen).await?;
            let mut verified = verify::verify(&fetched.store, signers.as_deref())?;
            if fetched.pulled.unlocked > 0 {
                screen.remark(&format!("the lock of {} has ended", counted(fetched.pulled.unlocked, "file")));
            }
            verified.wrong.extend(fetched.pulled.wrong);
            tell(&verified, screen)
        }
        Command::Verify { store, signers, .. } => {
            tell(&verify::verify(&open(store.as_ref(), screen)?, signers.as_deref())?, screen)
        }
        #[cfg(feature = "s3")]
        Command::Push(args) => bucket::push(args, screen).await,
        #[cfg(feature = "s3")]
        Command::Pull(args) => bucket::pull(args, screen).await,
        Command::Sign { captures, key, store } => sign(&open(store.as_ref(), screen)?, captures, key, screen),
    }
}

#[cfg(feature = "s3")]
fn is_bucket(store: &Path) -> bool {
    store.to_str().is_some_and(crate::bucket::Address::is_meant)
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

fn tell(verified: &Verified, screen: &Screen) -> Result<u8, Failure> {
    match screen.output {
        Output::Text => screen.print(&evidence::verified(verified))?,
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
