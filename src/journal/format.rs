//! How events stand in the file.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::chained;
use crate::model::{Event, RunId};

/// The version of the format.
pub const VERSION: u64 = 1;

/// The first line.
#[derive(Debug, Serialize, Deserialize)]
pub struct Header {
    /// The format's version.
    pub quell_journal: u64,
    /// The run.
    pub run: RunId,
}

/// The folder of all runs.
pub fn runs(state: &Path) -> PathBuf {
    state.join("runs")
}

/// The file of a run.
pub fn file(state: &Path, run: &RunId) -> PathBuf {
    runs(state).join(run.as_str()).join("journal.jsonl")
}

/// An event as a line, with its hash.
pub fn line(before: &str, event: &Event) -> (String, String) {
    chained::line(before, "event", event)
}

/// Takes a line apart into its hash and the text of its event.
pub fn split(line: &str) -> Option<(&str, &str)> {
    chained::split(line, "event")
}
