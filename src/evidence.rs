//! Evidence: what AWS answered, kept so that it stands up.
//!
//! ```text
//! STORE/objects/ab/abcdef….json            an answer, under its SHA-256: the same answer is kept once
//! STORE/captures/CAPTURE/manifest.jsonl    what was asked, where, when, and which object answered it
//! STORE/captures/CAPTURE/manifest.jsonl.sig    who stands for it, where somebody does
//! ```
//!
//! A manifest is a chain of lines ([`crate::chained`]): its last hash stands for all that was captured. An answer is kept as
//! JSON whatever AWS sent ([`document`]), without the id of the request, which stands in the manifest: so two answers that say
//! the same are the same object, and a second capture of an unchanged account takes next to no room.

pub mod diff;
pub mod document;
pub mod item;
pub mod manifest;
pub mod resources;
pub mod signature;
pub mod store;
pub mod verify;

pub use item::{Ended, Entry, Gap, Header, Item};
pub use manifest::{Captured, Manifest};
pub use store::Store;

use std::path::PathBuf;

/// Why evidence cannot be kept or read.
#[derive(Debug, thiserror::Error)]
pub enum EvidenceError {
    /// The file system said no.
    #[error("cannot {doing} `{}`: {source}", path.display())]
    Io {
        /// What was tried: "write".
        doing: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// Its answer.
        source: std::io::Error,
    },
    /// There is no store.
    #[error("`{}` is no evidence store: it has no folder `captures`; `quell capture --to` makes one", path.display())]
    NoStore {
        /// The folder.
        path: PathBuf,
    },
    /// There is no such capture.
    #[error("there is no capture `{id}` in `{}`; `quell evidence list` lists those that are there", store.display())]
    Unknown {
        /// The id that was asked for.
        id: String,
        /// The store.
        store: PathBuf,
    },
    /// Another process writes to it.
    #[error("capture {id} is in the hands of another quell process; wait for it, or stop it first")]
    Locked {
        /// The capture.
        id: String,
    },
    /// A line of a manifest does not follow from those before it.
    #[error("`{}`, line {line}: {why}", path.display())]
    Broken {
        /// The file.
        path: PathBuf,
        /// Counts from 1.
        line: usize,
        /// What is wrong.
        why: String,
    },
    /// An object is not what its name says.
    #[error("`{}` {why}", path.display())]
    Object {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
}
