use std::fs;
use std::path::Path;

use super::JournalError;
use super::format::{self, Header, VERSION};
use crate::bounded::{self, JOURNAL, Unreadable};
use crate::chained;
use crate::model::{Event, RunId};

/// What a journal holds.
#[derive(Debug, Clone, PartialEq)]
pub struct Recorded {
    /// The events, in order.
    pub events: Vec<Event>,
    /// The hash of the last whole line.
    pub head: String,
    /// Bytes up to the end of the last whole line.
    pub length: u64,
}

/// Reads a run's journal and verifies its chain. A last line without its end was torn by a crash and is left out; any
/// other line that does not fit is an error.
pub fn read(state: &Path, run: &RunId) -> Result<Recorded, JournalError> {
    let path = format::file(state, run);
    match bounded::bytes(&path, &JOURNAL) {
        Ok(bytes) => parse(&bytes, run, &path),
        Err(error) if error.is_absent() => Err(JournalError::Unknown { run: run.to_string(), state: state.to_owned() }),
        Err(Unreadable::Io(source)) => Err(JournalError::Io { doing: "read", path, source }),
        Err(why) => Err(JournalError::NoJournal { path, why }),
    }
}

/// Reads what the journal of a run holds, and verifies its chain. `path` is where it stands, for what is said of it.
pub fn parse(bytes: &[u8], run: &RunId, path: &Path) -> Result<Recorded, JournalError> {
    let length = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |last| last + 1);
    let broken = |line: usize, why: &str| JournalError::Broken { path: path.to_owned(), line, why: why.to_owned() };
    let text = std::str::from_utf8(&bytes[..length]).map_err(|_| broken(1, "not a text"))?;
    let mut lines = text.lines();

    let cut_off = "it was cut off before it began, and nothing was done; begin the run anew";
    let first = lines.next().ok_or_else(|| broken(1, cut_off))?;
    let header: Header = serde_json::from_str(first).map_err(|_| broken(1, "not a journal's header"))?;
    if header.quell_journal != VERSION {
        return Err(JournalError::Version { path: path.to_owned(), found: header.quell_journal });
    }
    if header.run != *run {
        return Err(broken(1, "the header names another run"));
    }

    let mut head = chained::follow("", first);
    let mut events: Vec<Event> = Vec::new();
    for (number, line) in lines.enumerate() {
        let number = number + 2;
        let (hash, text) = format::split(line).ok_or_else(|| broken(number, "not a journal line"))?;
        if hash != chained::follow(&head, text) {
            return Err(broken(number, "its hash does not follow from the lines before"));
        }
        let event: Event = serde_json::from_str(text).map_err(|error| broken(number, &error.to_string()))?;
        if event.seq != events.len() as u64 {
            return Err(broken(number, "its number is out of order"));
        }
        hash.clone_into(&mut head);
        events.push(event);
    }
    Ok(Recorded { events, head, length: length as u64 })
}

/// The runs in a state folder, newest first. A folder that does not exist has none.
pub fn list(state: &Path) -> Result<Vec<RunId>, JournalError> {
    let folder = format::runs(state);
    let entries = match fs::read_dir(&folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(JournalError::Io { doing: "read", path: folder, source }),
    };
    let mut runs: Vec<RunId> = entries
        .filter_map(|entry| RunId::new(entry.ok()?.file_name().to_str()?).ok())
        .filter(|run| format::file(state, run).exists())
        .collect();
    runs.sort_unstable_by(|a, b| b.cmp(a));
    Ok(runs)
}
