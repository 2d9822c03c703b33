//! Keeps every answer as it comes: a witness at the wire, and a thread that writes.

use std::collections::BTreeSet;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Mutex, PoisonError};
use std::thread::JoinHandle;

use jiff::Timestamp;

use crate::cloud::{Exchange, Witness};
use crate::engine::ports::SharedClock;
use crate::evidence::{Ended, Entry, EvidenceError, Gap, Item, Manifest, Store, document};
use crate::model::{AccountId, ActionError, ErrorKind, Region, Target};

/// What is to be written.
enum Note {
    Answer(Exchange, Timestamp),
    Entry(Entry),
    End(Timestamp),
    EndIfWhole(Timestamp),
    Stop,
}

/// Keeps answers in a store.
#[derive(Debug)]
pub struct Recorder {
    notes: Mutex<Sender<Note>>,
    writer: Mutex<Option<JoinHandle<Result<Recorded, EvidenceError>>>>,
    clock: SharedClock,
}

/// What was kept.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Recorded {
    /// Answers.
    pub items: u64,
    /// Answers that the store did not hold before.
    pub new: u64,
    /// Their bytes.
    pub new_bytes: u64,
    /// The bytes of all answers.
    pub bytes: u64,
    /// What could not be captured.
    pub gaps: Vec<Gap>,
    /// The last hash of the manifest.
    pub head: String,
}

impl Recorder {
    /// One that writes a manifest and its answers, in a thread of its own: no lane waits for a disk.
    pub fn new(store: Store, manifest: Manifest, clock: SharedClock) -> Self {
        let (notes, incoming) = channel();
        let writer =
            std::thread::spawn(move || Writer { store, manifest, recorded: Recorded::default() }.write(&incoming));
        Self { notes: Mutex::new(notes), writer: Mutex::new(Some(writer)), clock }
    }

    /// Notes that something could not be captured.
    pub fn lacks(&self, target: &Target, what: &str, error: &ActionError) {
        self.note(Note::Entry(Entry::Gap(gap(target, what, error))));
    }

    /// Notes that there is no such thing, as AWS says.
    pub fn absent(&self, target: &Target, what: &str, error: &ActionError) {
        self.note(Note::Entry(Entry::Absent(gap(target, what, error))));
    }

    /// Notes that something that takes several questions was captured to its end.
    pub fn done(&self, what: String) {
        self.note(Note::Entry(Entry::Done { what }));
    }

    /// Ends the capture; gives what was kept.
    ///
    /// # Errors
    /// When something could not be written.
    ///
    /// # Panics
    /// When it was ended before, or its thread panicked.
    pub fn end(&self) -> Result<Recorded, EvidenceError> {
        self.note(Note::End(self.clock.now()));
        self.stop()
    }

    /// Ends the capture when nothing is lacking; otherwise it did not come to its end, and can be taken up. Gives what was kept.
    ///
    /// # Errors
    /// When something could not be written.
    ///
    /// # Panics
    /// When it was ended before, or its thread panicked.
    pub fn end_if_whole(&self) -> Result<Recorded, EvidenceError> {
        self.note(Note::EndIfWhole(self.clock.now()));
        self.stop()
    }

    /// Stops writing a capture that did not come to its end, and can be taken up.
    ///
    /// # Errors
    /// When something could not be written.
    ///
    /// # Panics
    /// When it was ended before, or its thread panicked.
    pub fn stop(&self) -> Result<Recorded, EvidenceError> {
        self.note(Note::Stop);
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take().expect("a capture ends once");
        writer.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }

    fn note(&self, note: Note) {
        // A writer that failed has gone, and `end` says why.
        let _ = self.notes.lock().unwrap_or_else(PoisonError::into_inner).send(note);
    }
}

/// A capture that is cut off lets go of the store before anybody goes on with it.
impl Drop for Recorder {
    fn drop(&mut self) {
        self.note(Note::Stop);
        if let Some(writer) = self.writer.get_mut().unwrap_or_else(PoisonError::into_inner).take() {
            // Nobody is left to whom an error could be told; what was written is found when the capture is taken up.
            let _ = writer.join();
        }
    }
}

fn gap(target: &Target, what: &str, error: &ActionError) -> Gap {
    let (account, region) = (target.account.clone(), target.region.clone());
    let request = error.request_id.clone();
    let why = ActionError { request_id: None, ..error.clone() }.to_string();
    Gap { what: what.to_owned(), account, region, kind: error.kind, why, request }
}

impl Witness for Recorder {
    fn saw(&self, exchange: Exchange) {
        let at = exchange.at.unwrap_or_else(|| self.clock.now());
        self.note(Note::Answer(exchange, at));
    }
}

struct Writer {
    store: Store,
    manifest: Manifest,
    recorded: Recorded,
}

impl Writer {
    fn write(mut self, notes: &Receiver<Note>) -> Result<Recorded, EvidenceError> {
        let mut lacking = BTreeSet::new();
        for note in notes {
            match note {
                Note::Answer(exchange, at) => self.answer(exchange, at)?,
                Note::Entry(Entry::Gap(gap)) => {
                    // What every page of a list lacks is said once.
                    if lacking.insert((gap.what.clone(), gap.account.clone(), gap.region.clone())) {
                        self.manifest.add(&Entry::Gap(gap.clone()))?;
                        self.recorded.gaps.push(gap);
                    }
                }
                Note::Entry(absent @ Entry::Absent(_)) => self.manifest.add(&absent)?,
                Note::Entry(entry) => {
                    self.manifest.add(&entry)?;
                    self.manifest.sync()?;
                }
                Note::EndIfWhole(_) if !self.recorded.gaps.is_empty() => {}
                Note::End(at) | Note::EndIfWhole(at) => {
                    let (items, gaps) = (self.recorded.items, self.recorded.gaps.len() as u64);
                    self.manifest.add(&Entry::Ended(Ended { at, items, gaps }))?;
                }
                Note::Stop => break,
            }
        }
        self.manifest.sync()?;
        self.manifest.head().clone_into(&mut self.recorded.head);
        Ok(self.recorded)
    }

    fn answer(&mut self, exchange: Exchange, at: Timestamp) -> Result<(), EvidenceError> {
        let Exchange { api, parameters, account, region, request, body, .. } = exchange;
        // Whose answer it is stands in the signature, which quell made.
        let (Ok(account), Ok(region)) = (AccountId::new(&account), Region::new(&region)) else { return Ok(()) };
        let answer = match document::read(&body) {
            Ok(answer) => answer,
            Err(error) => {
                let (kind, why) = (ErrorKind::Unsupported, error.to_string());
                let gap = Gap { what: api, account, region, kind, why, request };
                self.manifest.add(&Entry::Gap(gap.clone()))?;
                self.recorded.gaps.push(gap);
                return Ok(());
            }
        };
        let kept = serde_json::to_vec(&answer).expect("a document is always JSON");
        let (sha256, is_new) = self.store.keep(&kept)?;
        let bytes = kept.len() as u64;
        self.recorded.items += 1;
        self.recorded.bytes += bytes;
        if is_new {
            self.recorded.new += 1;
            self.recorded.new_bytes += bytes;
        }
        self.manifest.add(&Entry::Item(Item { api, parameters, account, region, request, at, sha256, bytes }))
    }
}
