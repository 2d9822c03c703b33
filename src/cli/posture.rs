use std::path::PathBuf;

use super::capture::{Begin, folder, take, targets};
use super::carry_out::new_run;
use super::error::Failure;
use super::evidence::open;
use super::options::AwsOptions;
use super::screen::{Output, Screen};
use crate::capture::Wanted;
use crate::engine::ports::{Clock as _, WallClock};
use crate::evidence::{Captured, Store};
use crate::model::RunId;
use crate::posture::{Facts, Status, judge, needs};
use crate::report::posture;

/// Check how accounts are set up against the next breach: trails, MFA, keys, IMDSv2, guardrails
///
/// Reads only. Without --capture it asks AWS what the checks need, and keeps the answers as evidence. What was not captured is
/// not known, and never passed. docs/posture.md has every check with why it matters and how to fix what it finds.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  quell posture                                      the caller's own account
  quell posture --accounts organization --role ir/IRResponder
  quell posture --capture 20261123-144312-a1b2c3     as it was then

Exit codes: 0 every check passes, 3 some fail, 5 none fails but some are not known, 1 failed.")]
pub struct Args {
    /// The evidence store; otherwise `evidence` in the state folder
    #[arg(long, value_name = "DIR")]
    store: Option<PathBuf>,
    /// Judge this capture instead of asking AWS
    #[arg(long, value_name = "CAPTURE", conflicts_with_all = ["accounts", "regions", "role"])]
    capture: Option<String>,
    /// Which accounts: self, organization, ou-…, account ids
    #[arg(long, value_name = "ACCOUNT,...", value_delimiter = ',', default_value = "self")]
    accounts: Vec<String>,
    /// Which regions; otherwise all that are enabled
    #[arg(long, value_name = "REGION,...", value_delimiter = ',')]
    regions: Vec<String>,
    /// The role to assume in accounts that are not the caller's own, with its path
    #[arg(long, value_name = "ROLE")]
    role: Option<String>,
    #[command(flatten)]
    aws: AwsOptions,
}

/// Carries the command out.
pub async fn run(args: &Args, screen: &Screen) -> Result<u8, Failure> {
    let (store, captured) = match &args.capture {
        Some(id) => {
            let store = open(args.store.as_ref(), screen)?;
            let captured = store.capture(&RunId::new(id).map_err(Failure::usage)?)?;
            (store, captured)
        }
        None => ask(args, screen).await?,
    };
    let judged = judge(&Facts::read(&store, &captured)?);
    match screen.output {
        Output::Text => screen.print(&posture::text(&captured.header.id, &judged, screen.colour()))?,
        Output::Json | Output::Jsonl => screen.document(&posture::document(&captured.header.id, &judged))?,
    }
    let has = |status| judged.iter().any(|judged| judged.status() == status);
    Ok(match (has(Status::Fail), has(Status::NotKnown)) {
        (true, _) => 3,
        (false, true) => 5,
        (false, false) => 0,
    })
}

/// Captures what the checks need.
async fn ask(args: &Args, screen: &Screen) -> Result<(Store, Captured), Failure> {
    let now = WallClock.now();
    let id = new_run(now);
    let store = Store::make(&args.store.clone().map_or_else(|| folder(screen), Ok)?)?;
    let targets = targets(&args.accounts, &args.regions, args.role.as_ref());
    let wanted = Wanted { targets, history: None, now, only: Some(needs()), done: std::collections::BTreeSet::new() };
    take(&id, &store, Begin::Anew, wanted, &args.aws, screen).await?;
    let captured = store.capture(&id)?;
    Ok((store, captured))
}
