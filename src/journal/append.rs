use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use super::format::{self, Header, VERSION};
use super::{JournalError, Recorded, read};
use crate::chained;
use crate::model::{Event, RunId};

/// A journal open for writing, by this process alone.
#[derive(Debug)]
pub struct Journal {
    file: File,
    path: PathBuf,
    hash: String,
}

impl Journal {
    /// Begins the journal of a new run. Folders are readable by their owner alone, as is the file: it holds names and
    /// policies of the account, though never a secret.
    pub fn create(state: &Path, run: &RunId) -> Result<Self, JournalError> {
        let path = format::file(state, run);
        let folder = path.parent().expect("a journal has a folder");
        let mut builder = DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(folder).map_err(io("make", folder))?;

        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(&path).map_err(io("make", &path))?;
        lock(&file, run, &path)?;

        let header = Header { quell_journal: VERSION, run: run.clone() };
        let text = serde_json::to_string(&header).expect("a header is always JSON");
        let mut journal = Self { file, hash: chained::follow("", &text), path: path.clone() };
        journal.write(&format!("{text}\n"))?;
        journal.sync()?;
        // A new file is only safe once the folder that names it is.
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(io("write", folder))?;
        Ok(journal)
    }

    /// Goes on with a journal: reads and verifies all of it, and cuts off a last line that a crash left torn.
    pub fn open(state: &Path, run: &RunId) -> Result<(Self, Recorded), JournalError> {
        let path = format::file(state, run);
        if !path.exists() {
            return Err(JournalError::Unknown { run: run.to_string(), state: state.to_owned() });
        }
        let file = OpenOptions::new().read(true).write(true).open(&path).map_err(io("open", &path))?;
        lock(&file, run, &path)?;
        let recorded = read(state, run)?;
        file.set_len(recorded.length).map_err(io("write", &path))?;
        let mut journal = Self { file, hash: recorded.head.clone(), path };
        journal.file.seek(SeekFrom::End(0)).map_err(io("write", &journal.path))?;
        Ok((journal, recorded))
    }

    /// Hands events to the operating system: they outlive this process, and with the next [`Journal::sync`] the machine.
    pub fn append(&mut self, events: &[Event]) -> Result<(), JournalError> {
        let mut lines = String::new();
        let mut hash = self.hash.clone();
        for event in events {
            let (line, next) = format::line(&hash, event);
            lines.push_str(&line);
            hash = next;
        }
        self.write(&lines)?;
        self.hash = hash;
        Ok(())
    }

    /// Waits until everything appended is on the disk.
    pub fn sync(&self) -> Result<(), JournalError> {
        self.file.sync_data().map_err(io("write", &self.path))
    }

    /// The hash of the last line: whoever keeps it can prove that nothing before was changed.
    pub fn head(&self) -> &str {
        &self.hash
    }

    fn write(&mut self, text: &str) -> Result<(), JournalError> {
        self.file.write_all(text.as_bytes()).map_err(io("write", &self.path))
    }
}

/// Lets go of the lock itself, not only of the file: a child process that is being started may still hold the file open.
impl Drop for Journal {
    fn drop(&mut self) {
        let _ = self.file.unlock();
    }
}

fn io<'a>(doing: &'static str, path: &'a Path) -> impl FnOnce(std::io::Error) -> JournalError + 'a {
    move |source| JournalError::Io { doing, path: path.to_owned(), source }
}

fn lock(file: &File, run: &RunId, path: &Path) -> Result<(), JournalError> {
    file.try_lock().map_err(|error| match error {
        TryLockError::WouldBlock => JournalError::Locked { run: run.clone() },
        TryLockError::Error(source) => JournalError::Io { doing: "lock", path: path.to_owned(), source },
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use jiff::Timestamp;

    use super::*;
    use crate::model::EventKind;

    fn event(seq: u64) -> Event {
        Event { seq, at: Timestamp::UNIX_EPOCH, kind: EventKind::StopRequested }
    }

    fn three_events() -> (tempfile::TempDir, RunId, PathBuf) {
        let state = tempfile::tempdir().unwrap();
        let run = RunId::new("20261123-144312-a1b2").unwrap();
        let mut journal = Journal::create(state.path(), &run).unwrap();
        journal.append(&[event(0), event(1)]).unwrap();
        journal.append(&[event(2)]).unwrap();
        journal.sync().unwrap();
        let path = format::file(state.path(), &run);
        (state, run, path)
    }

    #[test]
    fn what_was_appended_is_read_and_goes_on() {
        let (state, run, _) = three_events();
        let (mut journal, recorded) = Journal::open(state.path(), &run).unwrap();
        assert_eq!(recorded.events, [event(0), event(1), event(2)]);
        journal.append(&[event(3)]).unwrap();
        assert_eq!(read(state.path(), &run).unwrap().events.len(), 4);
        assert_eq!(read(state.path(), &run).unwrap().head, journal.head());
    }

    #[test]
    fn one_process_writes() {
        let (state, run, _) = three_events();
        let _first = Journal::open(state.path(), &run).unwrap();
        assert!(matches!(Journal::open(state.path(), &run), Err(JournalError::Locked { .. })));
    }

    #[test]
    fn a_child_that_is_being_started_does_not_keep_a_journal_that_was_let_go() {
        let (state, run, _) = three_events();
        let (first, _) = Journal::open(state.path(), &run).unwrap();
        // What a child has between fork and exec.
        let _inherited = first.file.try_clone().unwrap();
        drop(first);
        Journal::open(state.path(), &run).unwrap();
    }

    #[test]
    fn a_torn_last_line_is_dropped() {
        let (state, run, path) = three_events();
        let whole = fs::read(&path).unwrap();
        for cut in 1..60 {
            fs::write(&path, &whole[..whole.len() - cut]).unwrap();
            let (mut journal, recorded) = Journal::open(state.path(), &run).unwrap();
            assert_eq!(recorded.events, [event(0), event(1)], "cut by {cut}");
            journal.append(&[event(2)]).unwrap();
            drop(journal);
            assert_eq!(fs::read(&path).unwrap(), whole);
        }
    }

    #[test]
    fn a_flipped_byte_anywhere_is_found() {
        let (state, run, path) = three_events();
        let whole = fs::read(&path).unwrap();
        for at in 0..whole.len() - 1 {
            let mut flipped = whole.clone();
            flipped[at] ^= 1;
            fs::write(&path, &flipped).unwrap();
            assert!(read(state.path(), &run).is_err(), "byte {at}");
        }
    }

    #[test]
    fn a_missing_line_is_found() {
        let (state, run, path) = three_events();
        let text = fs::read_to_string(&path).unwrap();
        let without: Vec<&str> = text.lines().enumerate().filter(|(n, _)| *n != 2).map(|(_, line)| line).collect();
        fs::write(&path, without.join("\n") + "\n").unwrap();
        assert!(matches!(read(state.path(), &run), Err(JournalError::Broken { line: 3, .. })));
    }

    #[cfg(unix)]
    #[test]
    fn only_the_owner_may_read() {
        use std::os::unix::fs::PermissionsExt as _;
        let (_state, _, path) = three_events();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::metadata(path.parent().unwrap()).unwrap().permissions().mode() & 0o777, 0o700);
    }
}
