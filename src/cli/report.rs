use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::capture::folder;
use super::error::Failure;
use super::recorded;
use super::screen::{Output, Screen};
use crate::cost::{self, Asked};
use crate::evidence::{Captured, Store};
use crate::journal::{self, Recorded};
use crate::model::{AccessKeyId, RunId};
use crate::report::document::{Evidence, Report, Sources, leave_alone};
use crate::report::record::Record;
use crate::report::summary;
use crate::report::text::shown;
use crate::story::{self, Known};

/// Print the closing report of a run again, or write the whole report of it to files
///
/// Without a file: what was not seen, what was done, what is left for a person, and the commands to go on. With one: a summary,
/// the timeline and who was at work when, what it cost, the verdicts on each principal, the coverage, every change with the
/// state before and after, the evidence with its hashes, what is left to do and what would have prevented it. The HTML is one
/// page that needs no network and no script; all forms say the same.
///
/// Made from the journal and from captures, and nothing is asked of AWS: it is the same today and in a year.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  quell report 20261123-145502-c7d8e9                                    the closing screen again
  quell report 20261123-145502-c7d8e9 --html report.html                 with the captures of the state folder
  quell report 20261123-145502-c7d8e9 --html report.html --markdown report.md --json report.json
  quell report 20261123-145502-c7d8e9 --html report.html --evidence /evidence --since 2026-11-23T14:44:00Z")]
pub struct Args {
    /// The run, as `quell runs` lists it.
    run: String,
    /// Write it as one HTML page
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Write it as Markdown
    #[arg(long, value_name = "FILE")]
    markdown: Option<PathBuf>,
    /// Write it as a JSON document
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// The evidence store that tells what happened; otherwise `evidence` in the state folder, if it is there
    #[arg(long, value_name = "DIR")]
    evidence: Option<PathBuf>,
    /// An access key that is known to be in somebody else's hands; otherwise those that the run was given
    #[arg(long, value_name = "ID")]
    leaked_key: Vec<AccessKeyId>,
    /// Since when the incident is known to have gone on; otherwise the input `since` of the run
    #[arg(long, value_name = "TIME")]
    since: Option<Timestamp>,
}

/// Carries the command out.
pub fn run(args: &Args, screen: &Screen) -> Result<u8, Failure> {
    let state = screen.state()?;
    let forms = [(&args.html, Form::Html), (&args.markdown, Form::Markdown), (&args.json, Form::Json)];
    let wanted: Vec<(&Path, Form)> =
        forms.into_iter().filter_map(|(path, form)| Some((path.as_deref()?, form))).collect();
    let (record, _) = recorded::read(&state, &args.run)?;
    if wanted.is_empty() {
        match screen.output {
            Output::Text => screen.print(&summary::render(&record, screen.colour()))?,
            Output::Json | Output::Jsonl => screen.document(&summary::document(&record))?,
        }
        return Ok(0);
    }
    let journal = journal::read(&state, &RunId::new(&args.run).map_err(Failure::usage)?)?;
    let store = match &args.evidence {
        Some(path) => Some(Store::open(path)?),
        None => Store::open(&folder(screen)?).ok(),
    };
    let mut known = recorded::known(&record);
    if !args.leaked_key.is_empty() {
        known.leaked_keys.clone_from(&args.leaked_key);
    }
    known.since = args.since.or(known.since);
    let report = make(&record, &journal, store.as_ref(), &known)?;
    for (path, form) in wanted {
        write(&report, form, path)?;
        screen.remark(&format!("wrote {}", shown(&path.display().to_string())));
    }
    Ok(0)
}

/// The forms of a report.
#[derive(Debug, Clone, Copy)]
pub enum Form {
    /// One page.
    Html,
    /// Markdown.
    Markdown,
    /// A JSON document.
    Json,
}

/// Makes the report of a run, with what the captures of a store tell.
pub fn make(record: &Record, journal: &Recorded, store: Option<&Store>, known: &Known) -> Result<Report, Failure> {
    let mut captures = Vec::new();
    if let Some(store) = store {
        captures = store.captures()?.iter().map(|id| store.capture(id)).collect::<Result<Vec<Captured>, _>>()?;
        captures.sort_by_key(|captured| captured.header.began);
    }
    let (mut seen, mut story) = (Vec::new(), None);
    if let Some(store) = store.filter(|_| !captures.is_empty()) {
        seen = story::seen_in(store, &captures)?;
        let mut told = story::tell(store, &captures, known, &journal.events)?;
        leave_alone(&mut told, record);
        story = Some(told);
    }
    let costs = cost::of(&seen, story.as_ref(), &journal.events, &Asked::default());
    let evidence = store.zip(story.as_ref()).map(|(store, story)| Evidence { store, captures: &captures, story });
    Ok(Report::of(&Sources { record, journal: &journal.head, costs, evidence })?)
}

/// Writes a report to a file that only its owner may read: it names what an intruder would like to know.
pub fn write(report: &Report, form: Form, path: &Path) -> Result<(), Failure> {
    let text = match form {
        Form::Html => report.html(),
        Form::Markdown => report.markdown(),
        Form::Json => report.json(),
    };
    let cannot = |error| Failure::usage(format!("cannot write the report to `{}`: {error}", path.display()));
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path).map_err(cannot)?;
    file.write_all(text.as_bytes()).map_err(cannot)
}
