//! The record of a run: JSON lines, each bound to all before it by a hash. The only state there is.
//!
//! ```text
//! STATE/runs/RUN/journal.jsonl
//! {"quell_journal":1,"run":"20261123-144312-a1b2"}
//! {"hash":"<64 hex digits>","event":{"seq":0,"at":"…","event":"run-started",…}}
//! ```
//!
//! How lines are bound to each other: [`crate::chained`].

mod append;
mod format;
mod read;

pub use append::Journal;
pub use read::{Recorded, list, parse, read};

/// Why a journal cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The file system said no.
    #[error("cannot {doing} `{}`: {source}", path.display())]
    Io {
        /// What was tried: "write".
        doing: &'static str,
        /// The file or folder.
        path: std::path::PathBuf,
        /// Its answer.
        source: std::io::Error,
    },
    /// Another process writes to it.
    #[error("run {run} is in the hands of another quell process; wait for it, or stop it first")]
    Locked {
        /// The run.
        run: crate::model::RunId,
    },
    /// There is no such run.
    #[error("there is no run `{run}` in `{}`; `quell runs` lists those that are there", state.display())]
    Unknown {
        /// The id that was asked for.
        run: String,
        /// The state folder.
        state: std::path::PathBuf,
    },
    /// A line does not follow from those before it.
    #[error("`{}`, line {line}: {why}; the journal was changed after it was written, so quell does not act on it", path.display())]
    Broken {
        /// The file.
        path: std::path::PathBuf,
        /// Counts from 1.
        line: usize,
        /// What is wrong.
        why: String,
    },
    /// What stands in its place cannot be one.
    #[error("`{}` is no journal: {why}", path.display())]
    NoJournal {
        /// The file.
        path: std::path::PathBuf,
        /// What it is instead.
        why: crate::bounded::Unreadable,
    },
    /// Another version of quell wrote it.
    #[error("`{}` has journal format {found}, and this quell reads format {ours}; use the quell that wrote it", path.display(), ours = format::VERSION)]
    Version {
        /// The file.
        path: std::path::PathBuf,
        /// Its format.
        found: u64,
    },
}
