//! Reading evidence out of a bucket, whatever somebody has laid over it.

use std::collections::BTreeMap;

use aws_sdk_s3::primitives::DateTime;
use bytes::Bytes;
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use jiff::Timestamp;

use super::{Bucket, BucketError, SIDE_BY_SIDE, failed};
use crate::bounded;
use crate::evidence::Store;
use crate::model::ActionError;

/// What was read.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct Pulled {
    /// Files.
    pub files: usize,
    /// What is wrong with how they lie in the bucket, in words: overwritten, hidden, not locked, not evidence.
    pub wrong: Vec<String>,
    /// Files whose lock has ended.
    pub unlocked: usize,
}

/// The versions of one key.
#[derive(Debug, Default)]
struct Versions {
    /// The oldest one: what was put there.
    oldest: Option<(i64, String, i64)>,
    /// How many there are.
    count: usize,
    /// When a delete marker hid it.
    hidden: Option<i64>,
}

/// Reads all evidence of a bucket into a store: of every key the oldest version, which is the one that was put there.
///
/// # Errors
/// When AWS says no, or a file cannot be written.
pub async fn pull(bucket: &Bucket, store: &Store, now: Timestamp) -> Result<Pulled, BucketError> {
    let mut pulled = Pulled::default();
    let mut wanted = Vec::new();
    for (key, versions) in versions(bucket).await? {
        let place = bucket.address.path(&key).and_then(|path| store.place(path));
        let (Some(place), Some((_, version, size))) = (place, versions.oldest) else {
            pulled.wrong.push(format!("`{key}` does not belong into the store"));
            continue;
        };
        if versions.count > 1 {
            let more = versions.count - 1;
            pulled.wrong.push(format!("`{key}` was overwritten {more} times; the first version is read"));
        }
        if let Some(at) = versions.hidden.and_then(|at| Timestamp::from_second(at).ok()) {
            pulled.wrong.push(format!("`{key}` was deleted at {at}; its first version is there under its lock"));
        }
        if usize::try_from(size).map_or(true, |size| size > bounded::EVIDENCE.bytes) {
            pulled.wrong.push(format!("`{key}` has {size} bytes, which no answer has"));
            continue;
        }
        wanted.push((key, version, place));
    }
    let reads = stream::iter(wanted).map(|(key, version, place)| async move {
        let (content, lock) = get(bucket, &key, version).await?;
        store.restore(&place, &content)?;
        Ok::<_, BucketError>((key, lock))
    });
    let mut reads = reads.buffer_unordered(SIDE_BY_SIDE);
    while let Some((key, lock)) = reads.try_next().await? {
        pulled.files += 1;
        match lock {
            None => pulled.wrong.push(format!("`{key}` is not locked")),
            Some(until) if until.secs() <= now.as_second() => pulled.unlocked += 1,
            Some(_) => {}
        }
    }
    pulled.wrong.sort();
    Ok(pulled)
}

/// Every key below the address, with its versions.
async fn versions(bucket: &Bucket) -> Result<BTreeMap<String, Versions>, BucketError> {
    let mut found: BTreeMap<String, Versions> = BTreeMap::new();
    let (mut key_marker, mut version_marker) = (None, None);
    loop {
        let request = bucket.client.list_object_versions().bucket(&bucket.address.bucket);
        let request = request.expected_bucket_owner(bucket.owner.as_str()).prefix(bucket.key(""));
        let page = request.set_key_marker(key_marker).set_version_id_marker(version_marker).send().await;
        let page = page.map_err(|error| failed("cannot list the versions")(ActionError::from(error)))?;
        for version in page.versions() {
            let (Some(key), Some(id)) = (version.key(), version.version_id()) else { continue };
            let at = version.last_modified().map_or(0, DateTime::secs);
            let here = found.entry(key.to_owned()).or_default();
            here.count += 1;
            // Newest first, as AWS lists them: of two in one second the later one is the older.
            if here.oldest.as_ref().is_none_or(|(oldest, ..)| at <= *oldest) {
                here.oldest = Some((at, id.to_owned(), version.size().unwrap_or_default()));
            }
        }
        for marker in page.delete_markers().iter().filter(|marker| marker.is_latest() == Some(true)) {
            let at = marker.last_modified().map_or(0, DateTime::secs);
            found.entry(marker.key().unwrap_or_default().to_owned()).or_default().hidden = Some(at);
        }
        if page.is_truncated() != Some(true) {
            return Ok(found);
        }
        (key_marker, version_marker) = (page.next_key_marker, page.next_version_id_marker);
    }
}

/// The content of a version, and until when it is locked, if it is.
async fn get(bucket: &Bucket, key: &str, version: String) -> Result<(Bytes, Option<DateTime>), BucketError> {
    let request = bucket.client.get_object().bucket(&bucket.address.bucket).key(key).version_id(version);
    let answer = request.expected_bucket_owner(bucket.owner.as_str()).send().await;
    let answer = answer.map_err(|error| failed(format!("cannot read `{key}`"))(ActionError::from(error)))?;
    let lock = answer.object_lock_retain_until_date;
    let broken = |why: String| BucketError::File { path: key.to_owned(), why };
    let content = answer.body.collect().await.map_err(|error| broken(error.to_string()))?;
    Ok((content.into_bytes(), lock))
}
