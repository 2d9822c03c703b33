//! Evidence in an S3 bucket: put there under Object Lock, read from there whatever somebody has laid over it.
//!
//! ```text
//! s3://BUCKET/PREFIX/objects/ab/abcdef….json
//! s3://BUCKET/PREFIX/captures/CAPTURE/manifest.jsonl
//! ```
//!
//! The same tree as in a folder ([`crate::evidence`]). Every version is written once (`If-None-Match`), with its SHA-256, for the
//! account that owns the bucket and no other, and locked. A lock holds a *version*: whoever may write to the bucket can still put
//! a new version or a delete marker over it, so the oldest version of each key is what counts.
//!
//! AWS pages: *Locking objects with Object Lock*, *Preventing object overwrites with conditional writes*, *Verifying bucket
//! ownership with bucket owner condition*; facts F1.

mod address;
mod fitness;
mod lock;
mod pull;
mod push;

pub use address::Address;
pub use fitness::check;
pub use lock::{Lock, Mode};
pub use pull::{Pulled, pull};
pub use push::{Pushed, push};

use aws_sdk_s3::Client;

use crate::cloud::s3;
use crate::engine::action::Ctx;
use crate::evidence::EvidenceError;
use crate::model::{AccountId, ActionError};

/// How many requests are under way at once.
const SIDE_BY_SIDE: usize = 16;

/// A bucket that evidence is kept in.
#[derive(Debug, Clone)]
pub struct Bucket {
    client: Client,
    address: Address,
    owner: AccountId,
}

/// Why evidence cannot be put there or read from there.
#[derive(Debug, thiserror::Error)]
pub enum BucketError {
    /// AWS said no.
    #[error("{what}: {error}")]
    Aws {
        /// What was tried.
        what: String,
        /// Its answer.
        error: ActionError,
    },
    /// The bucket would not keep evidence as evidence.
    #[error("bucket `{bucket}` is not fit for evidence: {}", .why.join("; "))]
    Unfit {
        /// The bucket.
        bucket: String,
        /// Everything that it lacks.
        why: Vec<String>,
    },
    /// The store in the folder.
    #[error(transparent)]
    Store(#[from] EvidenceError),
    /// A file of the store.
    #[error("`{path}`: {why}")]
    File {
        /// The file.
        path: String,
        /// Why.
        why: String,
    },
}

impl Bucket {
    /// A bucket as its owner's, from wherever it is.
    ///
    /// # Errors
    /// When it is not there, is another account's, or may not be looked at.
    pub async fn open(cx: &Ctx, address: Address, owner: AccountId) -> Result<Self, BucketError> {
        let home = s3::client(cx, None);
        let asked =
            home.get_bucket_location().bucket(&address.bucket).expected_bucket_owner(owner.as_str()).send().await;
        let location = asked.map_err(|error| BucketError::Aws {
            what: format!("cannot look at bucket `{}` of account {owner}", address.bucket),
            error: error.into(),
        })?;
        Ok(Self { client: s3::client(cx, Some(s3::region(location.location_constraint))), address, owner })
    }

    fn key(&self, path: &str) -> String {
        self.address.key(path)
    }
}

fn failed(what: impl Into<String>) -> impl FnOnce(ActionError) -> BucketError {
    |error| BucketError::Aws { what: what.into(), error }
}
