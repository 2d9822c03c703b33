//! Putting evidence into a bucket.

use std::collections::BTreeSet;

use aws_sdk_s3::primitives::{ByteStream, DateTime};
use aws_sdk_s3::types::{ChecksumAlgorithm, ObjectLockRetention};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use sha2::{Digest as _, Sha256};

use super::{Bucket, BucketError, Lock, SIDE_BY_SIDE, failed};
use crate::bounded;
use crate::evidence::Store;
use crate::model::{ActionError, RunId};

/// What was put there.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct Pushed {
    /// Files that were not there before.
    pub new: usize,
    /// Their bytes.
    pub bytes: u64,
    /// Files that were there, with the same content.
    pub there: usize,
    /// Of these, the ones whose lock was made longer.
    pub prolonged: usize,
    /// Captures that have not come to their end, and were left out.
    pub left_out: Vec<RunId>,
}

/// What became of one file.
enum Put {
    New(u64),
    There,
    Prolonged,
}

/// Puts all captures of a store that have come to their end into a bucket, every file under the lock. Answers come before
/// the manifests that name them: a manifest that is there is whole. What is there already is compared, and locked for as long.
///
/// # Errors
/// When the store cannot be read, AWS says no, or something else is there under a name of the store's.
pub async fn push(bucket: &Bucket, store: &Store, lock: Lock) -> Result<Pushed, BucketError> {
    let mut pushed = Pushed::default();
    let (mut objects, mut manifests) = (BTreeSet::new(), Vec::new());
    for id in store.captures()? {
        let captured = store.capture(&id)?;
        if captured.ended().is_none() {
            pushed.left_out.push(id);
            continue;
        }
        objects.extend(captured.items().map(|item| store.relative(&store.object_path(&item.sha256))));
        manifests.extend(store.files_of(&id).iter().map(|path| store.relative(path)));
    }
    for paths in [objects.into_iter().collect(), manifests] {
        put_all(bucket, store, paths, lock, &mut pushed).await?;
    }
    Ok(pushed)
}

async fn put_all(
    bucket: &Bucket,
    store: &Store,
    paths: Vec<String>,
    lock: Lock,
    pushed: &mut Pushed,
) -> Result<(), BucketError> {
    let puts = stream::iter(paths).map(|path| async move { put(bucket, store, &path, lock).await });
    let mut puts = puts.buffer_unordered(SIDE_BY_SIDE);
    while let Some(put) = puts.try_next().await? {
        match put {
            Put::New(bytes) => {
                pushed.new += 1;
                pushed.bytes += bytes;
            }
            Put::There => pushed.there += 1,
            Put::Prolonged => {
                pushed.there += 1;
                pushed.prolonged += 1;
            }
        }
    }
    Ok(())
}

async fn put(bucket: &Bucket, store: &Store, path: &str, lock: Lock) -> Result<Put, BucketError> {
    let file = store.root().join(path);
    let unreadable = |why: String| BucketError::File { path: file.display().to_string(), why };
    let content = bounded::bytes(&file, &bounded::EVIDENCE).map_err(|error| unreadable(error.to_string()))?;
    let checksum = STANDARD.encode(Sha256::digest(&content));
    let (bytes, key) = (content.len() as u64, bucket.key(path));
    // What is there already is not sent again.
    if let Some(put) = there(bucket, &key, &checksum, lock).await? {
        return Ok(put);
    }
    let request = bucket.client.put_object().bucket(&bucket.address.bucket).key(&key).body(ByteStream::from(content));
    let request = request
        .expected_bucket_owner(bucket.owner.as_str())
        .if_none_match("*")
        .checksum_algorithm(ChecksumAlgorithm::Sha256)
        .checksum_sha256(&checksum)
        .object_lock_mode(lock.mode.of_version())
        .object_lock_retain_until_date(time(lock));
    match request.send().await.map_err(ActionError::from) {
        Ok(_) => Ok(Put::New(bytes)),
        // Somebody was quicker: another quell, or whoever wants this name for something else.
        Err(error) if error.code.as_deref() == Some("PreconditionFailed") => {
            there(bucket, &key, &checksum, lock).await?.ok_or_else(|| failed(format!("cannot put `{key}`"))(error))
        }
        Err(error) => Err(failed(format!("cannot put `{key}`"))(error)),
    }
}

/// Compares what is there under a key, and makes its lock as long as it is to be.
async fn there(bucket: &Bucket, key: &str, checksum: &str, lock: Lock) -> Result<Option<Put>, BucketError> {
    let head = bucket.client.head_object().bucket(&bucket.address.bucket).key(key);
    let head = head.expected_bucket_owner(bucket.owner.as_str());
    let head = match head.checksum_mode(aws_sdk_s3::types::ChecksumMode::Enabled).send().await {
        Ok(head) => head,
        Err(error) => {
            let error = ActionError::from(error);
            let is_absent = error.kind == crate::model::ErrorKind::NotFound;
            return if is_absent { Ok(None) } else { Err(failed(format!("cannot look at `{key}`"))(error)) };
        }
    };
    if head.checksum_sha256() != Some(checksum) {
        let why = "something else is in the bucket under this name, and is left as it is".to_owned();
        return Err(BucketError::File { path: key.to_owned(), why });
    }
    let is_locked = |until: &DateTime| until.secs() >= lock.until.as_second();
    if head.object_lock_retain_until_date().is_some_and(is_locked) {
        return Ok(Some(Put::There));
    }
    let retention = ObjectLockRetention::builder().mode(lock.mode.of_retention()).retain_until_date(time(lock)).build();
    let request = bucket.client.put_object_retention().bucket(&bucket.address.bucket).key(key).retention(retention);
    let request = request.expected_bucket_owner(bucket.owner.as_str()).set_version_id(head.version_id);
    let prolonged = request.checksum_algorithm(ChecksumAlgorithm::Sha256).send().await;
    prolonged.map_err(|error| failed(format!("cannot prolong the lock of `{key}`"))(error.into()))?;
    Ok(Some(Put::Prolonged))
}

fn time(lock: Lock) -> DateTime {
    DateTime::from_secs(lock.until.as_second())
}
