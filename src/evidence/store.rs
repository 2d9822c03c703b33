//! The folder in which evidence is kept.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::item::Header;
use super::manifest::{self, Captured, Manifest};
use super::{EvidenceError, signature};
use crate::bounded;
use crate::model::{Digest, RunId};

/// A folder of evidence.
#[derive(Debug, Clone)]
pub struct Store {
    root: PathBuf,
}

impl Store {
    /// Opens a store, or makes one. Its folders are readable by their owner alone, as are its files: answers of AWS hold user
    /// data and environments, which hold secrets.
    ///
    /// # Errors
    /// When the folders cannot be made.
    pub fn make(root: &Path) -> Result<Self, EvidenceError> {
        let store = Self { root: root.to_owned() };
        folder(&store.objects())?;
        folder(&store.captures_folder())?;
        Ok(store)
    }

    /// Opens a store that is there.
    ///
    /// # Errors
    /// When it is none.
    pub fn open(root: &Path) -> Result<Self, EvidenceError> {
        let store = Self { root: root.to_owned() };
        if store.captures_folder().is_dir() { Ok(store) } else { Err(EvidenceError::NoStore { path: root.to_owned() }) }
    }

    /// Where it is.
    pub fn root(&self) -> &Path {
        &self.root
    }

    pub(super) fn objects(&self) -> PathBuf {
        self.root.join("objects")
    }

    pub(super) fn captures_folder(&self) -> PathBuf {
        self.root.join("captures")
    }

    /// Where an answer stands.
    pub fn object_path(&self, digest: &Digest) -> PathBuf {
        let name = digest.as_str();
        self.objects().join(&name[..2]).join(format!("{name}.json"))
    }

    /// Where the manifest of a capture stands.
    pub fn manifest_path(&self, id: &RunId) -> PathBuf {
        self.captures_folder().join(id.as_str()).join("manifest.jsonl")
    }

    /// The manifest of a capture, and its signature if there is one: the manifest last.
    pub fn files_of(&self, id: &RunId) -> Vec<PathBuf> {
        let manifest = self.manifest_path(id);
        [signature::path(&manifest), manifest].into_iter().filter(|path| path.exists()).collect()
    }

    /// A file of the store as it is called below it, with `/` between the folders.
    pub fn relative(&self, path: &Path) -> String {
        let below = path.strip_prefix(&self.root).unwrap_or(path);
        below.iter().map(|part| part.to_string_lossy()).collect::<Vec<_>>().join("/")
    }

    /// Where a file of that name would stand; none if a store has no such file. Whoever chose the name cannot lead out of it.
    pub fn place(&self, name: &str) -> Option<PathBuf> {
        let path = match name.split('/').collect::<Vec<_>>()[..] {
            ["objects", _, object] => self.object_path(&Digest::new(object.strip_suffix(".json")?).ok()?),
            ["captures", id, "manifest.jsonl"] => self.manifest_path(&RunId::new(id).ok()?),
            ["captures", id, "manifest.jsonl.sig"] => signature::path(&self.manifest_path(&RunId::new(id).ok()?)),
            _ => return None,
        };
        (self.relative(&path) == name).then_some(path)
    }

    /// Writes a file of the store that was kept elsewhere, as its owner's alone.
    ///
    /// # Errors
    /// When it is there already, or cannot be written.
    pub fn restore(&self, place: &Path, content: &[u8]) -> Result<(), EvidenceError> {
        folder(place.parent().expect("a file has a folder"))?;
        new_file(place)?.write_all(content).map_err(io("write", place))
    }

    /// Keeps an answer; gives its name, and whether it was not there before. Nothing is overwritten, and no name stands for a
    /// part of an answer: it is given when all of it is on the disk.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn keep(&self, answer: &[u8]) -> Result<(Digest, bool), EvidenceError> {
        let digest = Digest::of(answer);
        let path = self.object_path(&digest);
        if path.exists() {
            return Ok((digest, false));
        }
        let home = path.parent().expect("an object has a folder");
        folder(home)?;
        let mut file =
            tempfile::Builder::new().prefix(".new-").tempfile_in(home).map_err(io("make a file in", home))?;
        file.write_all(answer).and_then(|()| file.as_file().sync_data()).map_err(io("write", &path))?;
        file.persist(&path).map_err(|error| EvidenceError::Io {
            doing: "write",
            path: path.clone(),
            source: error.error,
        })?;
        Ok((digest, true))
    }

    /// An answer, when it is what its name says.
    ///
    /// # Errors
    /// When it is missing, was changed, or is no JSON.
    pub fn answer(&self, digest: &Digest) -> Result<Value, EvidenceError> {
        let path = self.object_path(digest);
        let wrong = |why: String| EvidenceError::Object { path: path.clone(), why };
        let bytes =
            bounded::bytes(&path, &bounded::EVIDENCE).map_err(|error| wrong(format!("cannot be read: {error}")))?;
        if Digest::of(&bytes) != *digest {
            return Err(wrong("was changed: its content does not have the SHA-256 that it is named for".to_owned()));
        }
        serde_json::from_slice(&bytes).map_err(|error| wrong(format!("is no JSON: {error}")))
    }

    /// Begins a capture.
    ///
    /// # Errors
    /// When there is one of that id, or it cannot be written.
    pub fn begin(&self, header: &Header) -> Result<Manifest, EvidenceError> {
        let path = self.manifest_path(&header.id);
        folder(path.parent().expect("a manifest has a folder"))?;
        Manifest::begin(&path, header)
    }

    /// Takes a capture up that did not come to its end.
    ///
    /// # Errors
    /// When there is no such capture, it was changed, or somebody else writes to it.
    pub fn take_up(&self, id: &RunId) -> Result<(Manifest, Captured), EvidenceError> {
        self.known(id)?;
        Manifest::take_up(&self.manifest_path(id), id)
    }

    /// What a capture holds, its chain verified.
    ///
    /// # Errors
    /// When there is no such capture, or it was changed.
    pub fn capture(&self, id: &RunId) -> Result<Captured, EvidenceError> {
        self.known(id)?;
        manifest::read(&self.manifest_path(id), id)
    }

    fn known(&self, id: &RunId) -> Result<(), EvidenceError> {
        let unknown = || EvidenceError::Unknown { id: id.to_string(), store: self.root.clone() };
        self.manifest_path(id).exists().then_some(()).ok_or_else(unknown)
    }

    /// The captures, oldest first.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn captures(&self) -> Result<Vec<RunId>, EvidenceError> {
        let folder = self.captures_folder();
        let entries = fs::read_dir(&folder).map_err(io("read", &folder))?;
        let ids = entries.filter_map(|entry| RunId::new(entry.ok()?.file_name().to_str()?).ok());
        let mut ids: Vec<RunId> = ids.filter(|id| self.manifest_path(id).exists()).collect();
        ids.sort();
        Ok(ids)
    }
}

fn folder(path: &Path) -> Result<(), EvidenceError> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path).map_err(io("make", path))
}

/// Makes a file that only its owner may read, and that was not there before.
pub(super) fn new_file(path: &Path) -> Result<File, EvidenceError> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map_err(io("make", path))
}

pub(super) fn io<'a>(doing: &'static str, path: &'a Path) -> impl FnOnce(std::io::Error) -> EvidenceError + 'a {
    move |source| EvidenceError::Io { doing, path: path.to_owned(), source }
}
