//! Whether evidence is what was captured.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::signature::{self, SignatureError, Signed};
use super::store::{Store, io};
use super::{EvidenceError, Item};
use crate::bounded;
use crate::model::{Digest, RunId};

/// What a look at a whole store found.
#[derive(Debug, Default)]
pub struct Verified {
    /// The captures whose chain holds.
    pub captures: Vec<Whole>,
    /// How many objects were read and are what their names say.
    pub objects: usize,
    /// What is wrong, in words.
    pub wrong: Vec<String>,
    /// Objects that no capture names.
    pub unnamed: Vec<String>,
}

/// A capture whose chain holds.
#[derive(Debug)]
pub struct Whole {
    /// Its id.
    pub id: RunId,
    /// The hash of its last line.
    pub head: String,
    /// How many answers it has.
    pub answers: usize,
    /// Who signed it, if somebody did.
    pub signed: Option<Signed>,
}

/// Reads all of a store: every line of every manifest, every byte of every object. With a file of those who may sign, every
/// capture must be signed by one of them.
///
/// # Errors
/// When the store cannot be read at all.
pub fn verify(store: &Store, signers: Option<&Path>) -> Result<Verified, EvidenceError> {
    let mut verified = Verified::default();
    let mut named: BTreeSet<Digest> = BTreeSet::new();
    for id in store.captures()? {
        match store.capture(&id) {
            Ok(captured) => {
                for item in captured.items() {
                    if named.insert(item.sha256.clone()) {
                        object(store, item, &mut verified);
                    }
                }
                if captured.ended().is_none() {
                    verified
                        .wrong
                        .push(format!("capture {id} did not come to its end; `quell capture --resume {id}` goes on"));
                }
                let signed = match signature::check(&store.manifest_path(&id), signers) {
                    Ok(signed) => Some(signed),
                    Err(SignatureError::Unsigned) if signers.is_none() => None,
                    Err(error) => {
                        verified.wrong.push(format!("the signature of capture {id}: {error}"));
                        None
                    }
                };
                let (head, answers) = (captured.head.clone(), captured.items().count());
                verified.captures.push(Whole { id, head, answers, signed });
            }
            Err(error) => verified.wrong.push(error.to_string()),
        }
    }
    for folder in list(&store.captures_folder())?.iter().filter(|folder| !folder.join("manifest.jsonl").exists()) {
        verified.wrong.push(format!("`{}` has no manifest", folder.display()));
    }
    // What no manifest names is looked at all the same: it may belong to one that was changed.
    for digest in objects(store)? {
        match digest {
            Ok(digest) if named.contains(&digest) => {}
            Ok(digest) => {
                if let Err(error) = store.answer(&digest) {
                    verified.wrong.push(error.to_string());
                }
                verified.unnamed.push(digest.to_string());
            }
            Err(path) => verified.wrong.push(format!("`{path}` does not belong into the store")),
        }
    }
    Ok(verified)
}

fn object(store: &Store, item: &Item, verified: &mut Verified) {
    let path = store.object_path(&item.sha256);
    let wrong = match bounded::bytes(&path, &bounded::EVIDENCE) {
        Err(error) if error.is_absent() => Some("is missing".to_owned()),
        Err(error) => Some(format!("cannot be read: {error}")),
        Ok(bytes) if Digest::of(&bytes) != item.sha256 => {
            Some("was changed: its content does not have the SHA-256 that it is named for".to_owned())
        }
        Ok(bytes) if bytes.len() as u64 != item.bytes => {
            Some(format!("has {} bytes, and not {}", bytes.len(), item.bytes))
        }
        Ok(_) => None,
    };
    match wrong {
        None => verified.objects += 1,
        Some(why) => verified.wrong.push(format!("`{}` ({} of {}) {why}", path.display(), item.api, item.target())),
    }
}

/// What a folder holds.
fn list(folder: &Path) -> Result<Vec<PathBuf>, EvidenceError> {
    let entries = fs::read_dir(folder).map_err(io("read", folder))?;
    let mut paths: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.sort();
    Ok(paths)
}

/// The names of all objects; for what is none, its path.
fn objects(store: &Store) -> Result<Vec<Result<Digest, String>>, EvidenceError> {
    let mut found = Vec::new();
    for folder in list(&store.objects())? {
        if !folder.is_dir() {
            found.push(Err(folder.display().to_string()));
            continue;
        }
        for path in list(&folder)? {
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            // What a crash left behind has no name yet.
            if name.starts_with(".new-") {
                continue;
            }
            let digest = name.strip_suffix(".json").and_then(|name| Digest::new(name).ok());
            let digest = digest.filter(|digest| store.object_path(digest) == path);
            found.push(digest.ok_or_else(|| path.display().to_string()));
        }
    }
    Ok(found)
}
