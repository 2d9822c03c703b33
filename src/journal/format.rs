//! How events stand in the file.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

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

/// The hash of a text that follows the line with hash `before`.
pub fn chain(before: &str, text: &str) -> String {
    let mut hash = Sha256::new();
    hash.update(before);
    hash.update(text);
    hex::encode(hash.finalize())
}

/// An event as a line, with its hash.
pub fn line(before: &str, event: &Event) -> (String, String) {
    let text = serde_json::to_string(event).expect("an event is always JSON");
    let hash = chain(before, &text);
    (format!("{{\"hash\":\"{hash}\",\"event\":{text}}}\n"), hash)
}

/// Takes a line apart into its hash and the text of its event: the hash is over that very text.
pub fn split(line: &str) -> Option<(&str, &str)> {
    let rest = line.strip_prefix("{\"hash\":\"")?;
    let (hash, rest) = rest.split_at_checked(64)?;
    let text = rest.strip_prefix("\",\"event\":")?.strip_suffix('}')?;
    Some((hash, text))
}
