//! The manifest of a capture: written line by line, read whole.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use super::EvidenceError;
use super::item::{Ended, Entry, Gap, Header, Item, VERSION};
use super::store::{io, new_file};
use crate::bounded;
use crate::chained;
use crate::model::RunId;

/// The name under which a line holds its content.
const NAME: &str = "capture";

/// A manifest open for writing, by this process alone.
#[derive(Debug)]
pub struct Manifest {
    file: File,
    path: PathBuf,
    hash: String,
}

/// What a manifest holds.
#[derive(Debug, Clone, PartialEq)]
pub struct Captured {
    /// Its first line.
    pub header: Header,
    /// The lines after it.
    pub entries: Vec<Entry>,
    /// The hash of the last line, which stands for all.
    pub head: String,
    /// Bytes up to the end of the last whole line.
    length: u64,
}

impl Captured {
    /// The answers.
    pub fn items(&self) -> impl Iterator<Item = &Item> {
        self.entries.iter().filter_map(|entry| if let Entry::Item(item) = entry { Some(item) } else { None })
    }

    /// What could not be captured.
    pub fn gaps(&self) -> impl Iterator<Item = &Gap> {
        self.entries.iter().filter_map(|entry| if let Entry::Gap(gap) = entry { Some(gap) } else { None })
    }

    /// What AWS says is not there.
    pub fn absent(&self) -> impl Iterator<Item = &Gap> {
        self.entries.iter().filter_map(|entry| if let Entry::Absent(absent) = entry { Some(absent) } else { None })
    }

    /// What was captured to its end, of what takes several questions.
    pub fn done(&self) -> impl Iterator<Item = &str> {
        self.entries
            .iter()
            .filter_map(|entry| if let Entry::Done { what } = entry { Some(what.as_str()) } else { None })
    }

    /// How it ended; none while a process works on it, or when one was cut off.
    pub fn ended(&self) -> Option<&Ended> {
        self.entries.iter().rev().find_map(|entry| if let Entry::Ended(ended) = entry { Some(ended) } else { None })
    }
}

impl Manifest {
    pub(super) fn begin(path: &Path, header: &Header) -> Result<Self, EvidenceError> {
        let file = new_file(path)?;
        lock(&file, &header.id, path)?;
        let text = serde_json::to_string(header).expect("a header is always JSON");
        let mut manifest = Self { file, path: path.to_owned(), hash: chained::follow("", &text) };
        manifest.write(&format!("{text}\n"))?;
        manifest.sync()?;
        Ok(manifest)
    }

    pub(super) fn take_up(path: &Path, id: &RunId) -> Result<(Self, Captured), EvidenceError> {
        let file = OpenOptions::new().read(true).write(true).open(path).map_err(io("open", path))?;
        lock(&file, id, path)?;
        let captured = read(path, id)?;
        file.set_len(captured.length).map_err(io("write", path))?;
        let mut manifest = Self { file, path: path.to_owned(), hash: captured.head.clone() };
        manifest.file.seek(SeekFrom::End(0)).map_err(io("write", path))?;
        Ok((manifest, captured))
    }

    /// Adds a line.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn add(&mut self, entry: &Entry) -> Result<(), EvidenceError> {
        let (line, hash) = chained::line(&self.hash, NAME, entry);
        self.write(&line)?;
        self.hash = hash;
        Ok(())
    }

    /// Waits until everything added is on the disk.
    ///
    /// # Errors
    /// When the disk says no.
    pub fn sync(&self) -> Result<(), EvidenceError> {
        self.file.sync_data().map_err(io("write", &self.path))
    }

    /// The hash of the last line.
    pub fn head(&self) -> &str {
        &self.hash
    }

    fn write(&mut self, text: &str) -> Result<(), EvidenceError> {
        self.file.write_all(text.as_bytes()).map_err(io("write", &self.path))
    }
}

/// Lets go of the lock itself, not only of the file: a child process that is being started may still hold the file open.
impl Drop for Manifest {
    fn drop(&mut self) {
        let _ = self.file.unlock();
    }
}

fn lock(file: &File, id: &RunId, path: &Path) -> Result<(), EvidenceError> {
    file.try_lock().map_err(|error| match error {
        TryLockError::WouldBlock => EvidenceError::Locked { id: id.to_string() },
        TryLockError::Error(source) => EvidenceError::Io { doing: "lock", path: path.to_owned(), source },
    })
}

/// Reads a manifest and verifies its chain. A last line without its end was torn by a crash and is left out.
pub(super) fn read(path: &Path, id: &RunId) -> Result<Captured, EvidenceError> {
    let broken = |line: usize, why: &str| EvidenceError::Broken { path: path.to_owned(), line, why: why.to_owned() };
    let bytes = bounded::bytes(path, &bounded::MANIFEST).map_err(|error| broken(1, &error.to_string()))?;
    let length = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |last| last + 1);
    let text = std::str::from_utf8(&bytes[..length]).map_err(|_| broken(1, "not a text"))?;
    let mut lines = text.lines();
    let first = lines.next().ok_or_else(|| broken(1, "the header is missing"))?;
    let header: Header = serde_json::from_str(first).map_err(|_| broken(1, "not a manifest's header"))?;
    if header.quell_capture != VERSION {
        let why = format!("manifest format {}, and this quell reads format {VERSION}", header.quell_capture);
        return Err(broken(1, &why));
    }
    if header.id != *id {
        return Err(broken(1, "the header names another capture"));
    }
    let mut head = chained::follow("", first);
    let mut entries = Vec::new();
    for (number, line) in (2..).zip(lines) {
        let (hash, text) = chained::split(line, NAME).ok_or_else(|| broken(number, "not a manifest's line"))?;
        if hash != chained::follow(&head, text) {
            return Err(broken(number, "its hash does not follow from the lines before: it was changed"));
        }
        entries.push(serde_json::from_str(text).map_err(|error| broken(number, &error.to_string()))?);
        hash.clone_into(&mut head);
    }
    Ok(Captured { header, entries, head, length: length as u64 })
}
