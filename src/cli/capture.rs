use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};

use super::carry_out::new_run;
use super::error::Failure;
use super::options::AwsOptions;
use super::screen::{Output, Screen};
use super::session;
use crate::capture::{self, Recorded, Recorder, Wanted};
use crate::engine::ports::{Clock as _, SharedClock, WallClock};
use crate::evidence::item::VERSION;
use crate::evidence::{EvidenceError, Gap, Header, Store};
use crate::model::{Accounts, Regions, Role, RunId, Span, Target, Targets};
use crate::report::evidence;

/// Capture the state of accounts as evidence: everything that AWS answers, in all regions, read only
///
/// What AWS answers is kept under its SHA-256, with a manifest of what was asked, where and when; the same answer is kept
/// once, so that a second capture takes next to no room. Run daily, it is the history that shows what an intruder changed.
/// Answers hold user data, which may hold secrets: the store is readable by its owner alone.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  quell capture                                     the caller's own account
  quell capture --accounts organization --role ir/IRResponder --to /evidence
  quell capture --history 14d                       less of CloudTrail's event history
  quell capture --resume 20261123-144312-a1b2c3     go on with one that was cut off

Exit codes: 0 everything was captured, 5 something could not be (it is named), 1 failed.")]
pub struct Args {
    /// The folder of the evidence store; otherwise `evidence` in the state folder
    #[arg(long, value_name = "DIR")]
    to: Option<PathBuf>,
    /// Which accounts: self, organization, ou-…, account ids
    #[arg(long, value_name = "ACCOUNT,...", value_delimiter = ',', default_value = "self")]
    accounts: Vec<String>,
    /// Which regions; otherwise all that are enabled
    #[arg(long, value_name = "REGION,...", value_delimiter = ',')]
    regions: Vec<String>,
    /// The role to assume in accounts that are not the caller's own, with its path
    #[arg(long, value_name = "ROLE")]
    role: Option<String>,
    /// How far back CloudTrail's event history is read, 90d at most; 0s leaves it out
    #[arg(long, value_name = "TIME", default_value = "90d")]
    history: Span,
    /// Go on with a capture that did not come to its end
    #[arg(long, value_name = "CAPTURE")]
    resume: Option<String>,
    #[command(flatten)]
    aws: AwsOptions,
}

/// The longest that CloudTrail keeps its event history.
const LONGEST: Duration = Duration::from_hours(90 * 24);

/// Carries the command out.
pub async fn run(args: &Args, screen: &Screen) -> Result<u8, Failure> {
    let now = WallClock.now();
    let store = Store::make(&args.to.clone().map_or_else(|| folder(screen), Ok)?)?;
    let id = match &args.resume {
        Some(id) => RunId::new(id).map_err(Failure::usage)?,
        None => new_run(now),
    };
    let history = args.history.std().min(LONGEST);
    let history = (!history.is_zero()).then(|| now - history);
    let targets = targets(&args.accounts, &args.regions, args.role.as_ref());
    let wanted = Wanted { targets, history, now, only: None, done: BTreeSet::new() };
    let begin = if args.resume.is_some() { Begin::Again } else { Begin::Anew };
    let recorded = take(&id, &store, begin, wanted, &args.aws, screen).await?;
    show(&id, &store, &recorded, screen)?;
    Ok(if recorded.gaps.is_empty() { 0 } else { 5 })
}

/// Whether a capture is a new one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Begin {
    /// It is.
    Anew,
    /// It was cut off before.
    Again,
}

/// Captures what is wanted.
pub async fn take(
    id: &RunId,
    store: &Store,
    begin: Begin,
    mut wanted: Wanted,
    aws: &AwsOptions,
    screen: &Screen,
) -> Result<Recorded, Failure> {
    let clock: SharedClock = Arc::new(WallClock);
    let now = wanted.now;
    let witness = Arc::new(Late::default());
    let (engine, caller) = session::open_before(Some(witness.clone()), aws, (id, now), None, screen).await?;
    let manifest = if begin == Begin::Again {
        let (manifest, captured) = store.take_up(id)?;
        if captured.ended().is_some() {
            return Err(Failure::usage(format!("capture {id} has come to its end; there is nothing to go on with")));
        }
        wanted.done = captured.done().map(str::to_owned).collect();
        manifest
    } else {
        let accounts = vec![caller.account.clone()];
        let quell = env!("CARGO_PKG_VERSION").to_owned();
        store.begin(&Header { quell_capture: VERSION, id: id.clone(), began: now, by: caller.arn, quell, accounts })?
    };
    let recorder = Arc::new(Recorder::new(store.clone(), manifest, clock));
    witness.begin(recorder.clone());
    let remarks = screen.remarks();
    let done = move |lane: &Target| remarks.write(&format!("captured {lane}"));
    let asked = capture::capture(engine.sessions.as_ref(), &recorder, &wanted, &done).await;
    if let Err(error) = asked {
        // What was answered stays.
        recorder.stop()?;
        return Err(error.into());
    }
    Ok(recorder.end()?)
}

/// Where evidence is kept unless somebody says otherwise.
pub fn folder(screen: &Screen) -> Result<PathBuf, Failure> {
    Ok(screen.state()?.join("evidence"))
}

/// Accounts, regions and role as options name them.
pub fn targets(accounts: &[String], regions: &[String], role: Option<&String>) -> Targets {
    let regions = if regions.is_empty() { Regions::Enabled } else { Regions::Listed(regions.to_vec()) };
    let role = role.map(|name| Role { name: name.clone(), external_id: None, source_identity: None });
    Targets { accounts: Accounts::Listed(accounts.to_vec()), regions, role }
}

fn show(id: &RunId, store: &Store, recorded: &Recorded, screen: &Screen) -> Result<(), Failure> {
    match screen.output {
        Output::Text => screen.print(&evidence::captured(id, store.root(), &figures(recorded), &recorded.gaps)),
        Output::Json | Output::Jsonl => screen.document(&document(id, store, recorded)),
    }
}

fn figures(recorded: &Recorded) -> evidence::Figures {
    let Recorded { items, new, new_bytes, bytes, head, .. } = recorded.clone();
    evidence::Figures { items, new, new_bytes, bytes, head }
}

fn document(id: &RunId, store: &Store, recorded: &Recorded) -> Value {
    let gaps: &[Gap] = &recorded.gaps;
    json!({
        "capture": id, "store": store.root(), "items": recorded.items, "new": recorded.new, "bytes": recorded.bytes,
        "new_bytes": recorded.new_bytes, "head": recorded.head, "gaps": gaps,
    })
}

/// A witness who comes when the store is ready: who calls is asked before.
#[derive(Debug, Default)]
pub struct Late(Mutex<Option<Arc<Recorder>>>);

impl Late {
    /// Lets it come.
    pub fn begin(&self, recorder: Arc<Recorder>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(recorder);
    }
}

impl crate::cloud::Witness for Late {
    fn saw(&self, exchange: crate::cloud::Exchange) {
        let recorder = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(recorder) = recorder {
            recorder.saw(exchange);
        }
    }
}

impl From<EvidenceError> for Failure {
    fn from(error: EvidenceError) -> Self {
        match &error {
            EvidenceError::Io { .. } => Self::failed(error),
            EvidenceError::NoStore { .. } | EvidenceError::Unknown { .. } => Self::usage(error),
            EvidenceError::Locked { .. } | EvidenceError::Broken { .. } | EvidenceError::Object { .. } => {
                Self::refused(error)
            }
        }
    }
}
