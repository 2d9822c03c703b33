//! Evidence in a bucket, for the commands that put it there and read it from there.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde_json::json;

use super::open;
use crate::bucket::{self, Address, Bucket, BucketError, Lock, Mode, Pulled};
use crate::cli::carry_out::new_run;
use crate::cli::error::Failure;
use crate::cli::options::AwsOptions;
use crate::cli::screen::{Output, Screen};
use crate::cli::session;
use crate::engine::ports::{Access, Clock as _, WallClock};
use crate::evidence::Store;
use crate::model::{AccountId, ErrorKind, Span, Target};
use crate::report::text::{counted, shown};

/// Whose bucket, and who looks.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// The account that owns the bucket; otherwise the caller's. A bucket of any other is refused
    #[arg(long, value_name = "ACCOUNT")]
    owner: Option<AccountId>,
    #[command(flatten)]
    aws: AwsOptions,
}

/// `quell evidence push`
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  quell evidence push s3://acme-evidence/case-7 --keep 730d
  quell evidence push s3://acme-evidence --lock compliance --keep 90d --owner 210987654321 --profile forensics")]
pub struct Push {
    /// s3://BUCKET/PREFIX
    to: Address,
    /// The store; otherwise `evidence` in the state folder
    #[arg(long, value_name = "DIR")]
    store: Option<PathBuf>,
    /// For how long it is locked from now on
    #[arg(long, value_name = "TIME", default_value = "365d")]
    keep: Span,
    /// Who can end the lock early
    #[arg(long, value_enum, default_value_t)]
    lock: Mode,
    #[command(flatten)]
    bucket: Options,
}

/// `quell evidence pull`
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  quell evidence pull s3://acme-evidence/case-7 ./case-7
  quell timeline --store ./case-7")]
pub struct Pull {
    /// s3://BUCKET/PREFIX
    from: Address,
    /// The folder to read it into: a new one
    to: PathBuf,
    #[command(flatten)]
    bucket: Options,
}

/// What was read out of a bucket, to be looked at and thrown away.
pub struct Fetched {
    /// The store.
    pub store: Store,
    /// How it lay in the bucket.
    pub pulled: Pulled,
    /// Removes it in the end.
    _folder: tempfile::TempDir,
}

/// Reads a store out of a bucket.
pub async fn fetched(named: &Path, options: &Options, screen: &Screen) -> Result<Fetched, Failure> {
    let address: Address = named.to_string_lossy().parse().map_err(Failure::usage)?;
    let folder = tempfile::tempdir()?;
    let store = Store::make(folder.path())?;
    let now = WallClock.now();
    let bucket = bucket_of(address, options, Access::Read, now, screen).await?;
    let pulled = bucket::pull(&bucket, &store, now).await?;
    Ok(Fetched { store, pulled, _folder: folder })
}

/// Carries `quell evidence push` out.
pub async fn push(args: &Push, screen: &Screen) -> Result<u8, Failure> {
    let store = open(args.store.as_ref(), screen)?;
    let now = WallClock.now();
    let bucket = bucket_of(args.to.clone(), &args.bucket, Access::Write, now, screen).await?;
    bucket::check(&bucket).await?;
    let lock = Lock { mode: args.lock, until: now + args.keep.std() };
    let pushed = bucket::push(&bucket, &store, lock).await?;
    match screen.output {
        Output::Text => {
            let mut text = format!(
                "{}: {} new ({} bytes), {} there already, of which {} locked for longer; locked until {:.0}\n",
                shown(&args.to.to_string()),
                counted(pushed.new, "file"),
                pushed.bytes,
                pushed.there,
                pushed.prolonged,
                lock.until,
            );
            for id in &pushed.left_out {
                let _ = writeln!(text, "left out: {id} has not come to its end; `quell capture --resume {id}`");
            }
            screen.print(&text)?;
        }
        Output::Json | Output::Jsonl => {
            screen.document(&json!({ "to": args.to.to_string(), "locked_until": lock.until, "pushed": pushed }))?;
        }
    }
    Ok(if pushed.left_out.is_empty() { 0 } else { 5 })
}

/// Carries `quell evidence pull` out.
pub async fn pull(args: &Pull, screen: &Screen) -> Result<u8, Failure> {
    if args.to.exists() {
        let error = format!("`{}` is there already", shown(&args.to.display().to_string()));
        return Err(Failure::usage(error).hint("name a folder that is new: nothing is mixed with what it holds"));
    }
    let now = WallClock.now();
    let bucket = bucket_of(args.from.clone(), &args.bucket, Access::Read, now, screen).await?;
    let pulled = bucket::pull(&bucket, &Store::make(&args.to)?, now).await?;
    match screen.output {
        Output::Text => {
            let mut text =
                format!("{} in `{}`\n", counted(pulled.files, "file"), shown(&args.to.display().to_string()));
            for wrong in &pulled.wrong {
                let _ = writeln!(text, "WRONG: {}", shown(wrong));
            }
            screen.print(&text)?;
        }
        Output::Json | Output::Jsonl => screen.document(&json!({ "to": args.to, "pulled": pulled }))?,
    }
    Ok(if pulled.wrong.is_empty() { 0 } else { 4 })
}

async fn bucket_of(
    address: Address,
    options: &Options,
    access: Access,
    now: Timestamp,
    screen: &Screen,
) -> Result<Bucket, Failure> {
    let (engine, caller) = session::open(&options.aws, (&new_run(now), now), None, screen).await?;
    let cx = engine.sessions.enter(&Target::global(caller.account.clone()), access).await?;
    Ok(Bucket::open(&cx, address, options.owner.clone().unwrap_or(caller.account)).await?)
}

impl From<BucketError> for Failure {
    fn from(error: BucketError) -> Self {
        match error {
            BucketError::Aws { what, error } => {
                let message = format!("{what}: {error}");
                let hint = "--owner names the account that owns the bucket; docs/evidence.md names the permissions";
                match error.kind {
                    ErrorKind::NotFound => Failure::usage(message).hint(hint),
                    ErrorKind::Denied => Failure::refused(message).hint(hint),
                    _ => Failure::from(error).about(message),
                }
            }
            unfit @ BucketError::Unfit { .. } => {
                Failure::refused(unfit).hint("docs/evidence.md shows how to make a bucket that is fit")
            }
            BucketError::Store(error) => error.into(),
            file @ BucketError::File { .. } => Failure::refused(file),
        }
    }
}
