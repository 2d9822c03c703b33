//! Objects, their versions and their locks.

use bytes::Bytes;
use http::{Response, StatusCode};
use jiff::{SignedDuration, Timestamp};

use super::checksums::{self, etag};
use super::{
    Bucket, LockMode, Version, Versioning, bare, bucket, bucket_mut, date, document, element, header, parameter,
};
use crate::model::Digest;
use crate::sim::call::{Body, Call, Refusal, Reply};
use crate::sim::wire::request::bucket_and_key;
use crate::sim::wire::response::http_date;
use crate::sim::wire::xml::Xml;
use crate::sim::world::World;

/// Who can end a lock, and when it ends by itself.
type Retention = (LockMode, Timestamp);

fn key(call: &Call) -> String {
    bucket_and_key(&call.http.path).1.unwrap_or_default()
}

fn no_key(key: &str) -> Refusal {
    Refusal::new(404, "NoSuchKey", format!("The specified key does not exist: {key}"))
}

/// The version that is asked for: by its id, or the newest.
fn find<'a>(bucket: &'a Bucket, key: &str, id: Option<&str>) -> Result<&'a Version, Refusal> {
    let versions = bucket.objects.get(key).map_or(&[][..], Vec::as_slice);
    match id {
        None => versions.last().ok_or_else(|| no_key(key)),
        Some(id) => {
            let missing = || Refusal::new(404, "NoSuchVersion", format!("The specified version does not exist: {id}"));
            versions.iter().find(|version| version.id == id).ok_or_else(missing)
        }
    }
}

fn set(response: &mut Response<Bytes>, name: &str, value: impl AsRef<str>) {
    if let (Ok(name), Ok(value)) = (name.parse::<http::HeaderName>(), value.as_ref().parse()) {
        response.headers_mut().insert(name, value);
    }
}

/// The lock that a new version is to have.
fn lock(call: &Call, bucket: &Bucket) -> Result<(Option<Retention>, bool), Refusal> {
    let mode = header(call, "x-amz-object-lock-mode").map(LockMode::parse).transpose()?;
    let until = header(call, "x-amz-object-lock-retain-until-date").map(until).transpose()?;
    let hold = header(call, "x-amz-object-lock-legal-hold") == Some("ON");
    if (mode.is_some() || hold) && !bucket.object_lock {
        return Err(not_lockable());
    }
    if mode.is_some() || hold {
        checksums::required(call, "Put Object requests with Object Lock parameters")?;
    }
    let invalid = |message: &str| Refusal::new(400, "InvalidArgument", message);
    match (mode, until) {
        (Some(_), Some(until)) if until <= call.now => Err(invalid("The retain until date must be in the future!")),
        (Some(mode), Some(until)) => Ok((Some((mode, until)), hold)),
        (None, None) => {
            let default = bucket.default_retention;
            Ok((default.map(|(mode, days)| (mode, call.now + SignedDuration::from_hours(days.min(36_500) * 24))), hold))
        }
        _ => Err(invalid("x-amz-object-lock-retain-until-date and x-amz-object-lock-mode must both be supplied")),
    }
}

fn until(text: &str) -> Result<Timestamp, Refusal> {
    let invalid = |_| Refusal::new(400, "InvalidArgument", format!("Not a date: {text}"));
    text.parse().map_err(invalid)
}

fn not_lockable() -> Refusal {
    Refusal::new(400, "InvalidRequest", "Bucket is missing Object Lock Configuration")
}

pub(super) fn put(world: &mut World, call: &Call) -> Reply {
    let checksums = checksums::stated(call)?;
    let new_id = world.rng.hex(32);
    let bucket = bucket_mut(world, call)?;
    let key = key(call);
    let exists = bucket.objects.get(&key).and_then(|versions| versions.last()).is_some_and(|last| last.body.is_some());
    if exists && header(call, "if-none-match") == Some("*") {
        let message = "At least one of the pre-conditions you specified did not hold";
        return Err(Refusal::new(412, "PreconditionFailed", message));
    }
    let (retention, legal_hold) = lock(call, bucket)?;
    let metadata = call.http.headers.iter().filter_map(|(name, value)| {
        Some((name.as_str().strip_prefix("x-amz-meta-")?.to_owned(), value.to_str().ok()?.to_owned()))
    });
    let body = call.http.body.clone();
    let mut response = bare(StatusCode::OK);
    set(&mut response, "etag", etag(&body));
    for (name, value) in &checksums {
        set(&mut response, name, value);
    }
    let version = Version {
        id: new_id,
        size: body.len(),
        sha256: Digest::of(&body).as_str().to_owned(),
        modified: call.now,
        content_type: header(call, "content-type").unwrap_or("binary/octet-stream").to_owned(),
        retention,
        legal_hold,
        metadata: metadata.collect(),
        etag: etag(&body),
        checksums,
        body: Some(body),
    };
    if let Some(id) = store(bucket, key, version) {
        set(&mut response, "x-amz-version-id", id);
    }
    Ok(Body::Raw(response))
}

/// Stores a version and returns its id. Without versioning it replaces the one that is there, and has no id.
fn store(bucket: &mut Bucket, key: String, mut version: Version) -> Option<String> {
    let versions = bucket.objects.entry(key).or_default();
    if bucket.versioning == Some(Versioning::Enabled) {
        let id = version.id.clone();
        versions.push(version);
        return Some(id);
    }
    "null".clone_into(&mut version.id);
    versions.retain(|version| version.id != "null");
    versions.push(version);
    None
}

pub(super) fn get(world: &World, call: &Call) -> Reply {
    let (bucket, key, id) = (bucket(world, call)?, key(call), parameter(call, "versionId"));
    let version = find(bucket, &key, id.as_deref())?;
    let Some(body) = &version.body else {
        let gone =
            Refusal::new(405, "MethodNotAllowed", "The specified method is not allowed against a delete marker.");
        return Err(if id.is_some() { gone } else { no_key(&key) });
    };
    let mut response = bare(StatusCode::OK);
    set(&mut response, "etag", &version.etag);
    set(&mut response, "content-type", &version.content_type);
    set(&mut response, "content-length", body.len().to_string());
    set(&mut response, "last-modified", http_date(version.modified));
    if bucket.versioning.is_some() {
        set(&mut response, "x-amz-version-id", &version.id);
    }
    if header(call, "x-amz-checksum-mode").is_some_and(|mode| mode.eq_ignore_ascii_case("enabled")) {
        for (name, value) in &version.checksums {
            set(&mut response, name, value);
        }
    }
    if let Some((mode, until)) = version.retention {
        set(&mut response, "x-amz-object-lock-mode", mode.as_str());
        set(&mut response, "x-amz-object-lock-retain-until-date", date(until));
    }
    if version.legal_hold {
        set(&mut response, "x-amz-object-lock-legal-hold", "ON");
    }
    for (name, value) in &version.metadata {
        set(&mut response, &format!("x-amz-meta-{name}"), value);
    }
    if call.operation == "GetObject" {
        *response.body_mut() = body.clone();
    }
    Ok(Body::Raw(response))
}

/// Refuses what would remove a locked version.
fn check_unlocked(version: &Version, bypass: bool, now: Timestamp) -> Result<(), Refusal> {
    let locked =
        version.retention.is_some_and(|(mode, until)| until > now && !(mode == LockMode::Governance && bypass));
    let message = "Access Denied because object protected by object lock.";
    if locked || version.legal_hold { Err(Refusal::new(403, "AccessDenied", message)) } else { Ok(()) }
}

/// Whether the call asks to go past a governance lock.
pub(super) fn bypasses(call: &Call) -> bool {
    header(call, "x-amz-bypass-governance-retention") == Some("true")
}

/// What became of an object that was deleted.
pub(super) enum Deleted {
    /// It, or the version of it that was named, is gone.
    Gone,
    /// A delete marker, with this version id, hides it.
    Hidden {
        /// `null` where versioning is suspended.
        marker: String,
    },
}

/// Deletes an object, or a version of one. Without a version nothing is lost in a bucket with versioning: a delete marker
/// hides the object. What is not there is deleted all the same.
pub(super) fn remove(
    bucket: &mut Bucket,
    key: &str,
    version: Option<&str>,
    marker: String,
    bypass: bool,
    now: Timestamp,
) -> Result<Deleted, Refusal> {
    if let Some(id) = version {
        if let Ok(version) = find(bucket, key, Some(id)) {
            check_unlocked(version, bypass, now)?;
        }
        if let Some(versions) = bucket.objects.get_mut(key) {
            versions.retain(|version| version.id != id);
        }
        bucket.objects.retain(|_, versions| !versions.is_empty());
        return Ok(Deleted::Gone);
    }
    if bucket.versioning.is_none() {
        bucket.objects.remove(key);
        return Ok(Deleted::Gone);
    }
    let marker = Version {
        id: marker,
        body: None,
        size: 0,
        sha256: String::new(),
        etag: String::new(),
        checksums: checksums::Checksums::new(),
        modified: now,
        content_type: String::new(),
        retention: None,
        legal_hold: false,
        metadata: std::collections::BTreeMap::new(),
    };
    let id = store(bucket, key.to_owned(), marker);
    Ok(Deleted::Hidden { marker: id.unwrap_or_else(|| "null".to_owned()) })
}

pub(super) fn delete(world: &mut World, call: &Call) -> Reply {
    let marker_id = world.rng.hex(32);
    let version = parameter(call, "versionId");
    let deleted =
        remove(bucket_mut(world, call)?, &key(call), version.as_deref(), marker_id, bypasses(call), call.now)?;
    let mut response = bare(StatusCode::NO_CONTENT);
    if let Some(id) = version {
        set(&mut response, "x-amz-version-id", id);
    }
    if let Deleted::Hidden { marker } = deleted {
        set(&mut response, "x-amz-delete-marker", "true");
        set(&mut response, "x-amz-version-id", marker);
    }
    Ok(Body::Raw(response))
}

pub(super) fn list(world: &World, call: &Call) -> Reply {
    let bucket = bucket(world, call)?;
    let name = bucket_and_key(&call.http.path).0.unwrap_or_default();
    let prefix = parameter(call, "prefix").unwrap_or_default();
    if parameter(call, "delimiter").is_some_and(|delimiter| !delimiter.is_empty()) {
        return Err(Refusal::new(501, "NotImplemented", "the simulated AWS does not know `delimiter`"));
    }
    let after = parameter(call, "continuation-token").or_else(|| parameter(call, "start-after")).unwrap_or_default();
    let most = parameter(call, "max-keys").and_then(|number| number.parse().ok()).unwrap_or(1000).min(1000);
    let live = bucket.objects.iter().filter_map(|(key, versions)| {
        let last = versions.last().filter(|version| version.body.is_some())?;
        (key.starts_with(&prefix) && *key > after).then_some((key, last))
    });
    let mut found: Vec<_> = live.take(most + 1).collect();
    let truncated = found.len() > most;
    found.truncate(most);
    let mut children = vec![
        Xml::text("Name", name),
        Xml::text("Prefix", prefix),
        Xml::text("KeyCount", found.len()),
        Xml::text("MaxKeys", most),
        Xml::text("IsTruncated", truncated),
    ];
    if let (true, Some((last, _))) = (truncated, found.last()) {
        children.push(Xml::text("NextContinuationToken", last));
    }
    children.extend(found.into_iter().map(|(key, version)| {
        let object = vec![
            Xml::text("Key", key),
            Xml::text("LastModified", date(version.modified)),
            Xml::text("ETag", &version.etag),
            Xml::text("Size", version.size),
            Xml::text("StorageClass", "STANDARD"),
        ];
        Xml::node("Contents", object)
    }));
    Ok(document("ListBucketResult", children))
}

/// All versions in one answer.
pub(super) fn list_versions(world: &World, call: &Call) -> Reply {
    let bucket = bucket(world, call)?;
    let prefix = parameter(call, "prefix").unwrap_or_default();
    let mut children = vec![Xml::text("Prefix", &prefix), Xml::text("IsTruncated", false)];
    for (key, versions) in bucket.objects.iter().filter(|(key, _)| key.starts_with(&prefix)) {
        for (age, version) in versions.iter().rev().enumerate() {
            let mut xml = vec![
                Xml::text("Key", key),
                Xml::text("VersionId", &version.id),
                Xml::text("IsLatest", age == 0),
                Xml::text("LastModified", date(version.modified)),
            ];
            if version.body.is_some() {
                xml.extend([Xml::text("ETag", &version.etag), Xml::text("Size", version.size)]);
            }
            children.push(Xml::node(if version.body.is_some() { "Version" } else { "DeleteMarker" }, xml));
        }
    }
    Ok(document("ListVersionsResult", children))
}

fn lockable<'a>(world: &'a mut World, call: &Call) -> Result<&'a mut Version, Refusal> {
    let (key, id) = (key(call), parameter(call, "versionId"));
    let bucket = bucket_mut(world, call)?;
    if !bucket.object_lock {
        return Err(not_lockable());
    }
    let found = find(bucket, &key, id.as_deref())?.id.clone();
    let versions = bucket.objects.get_mut(&key).ok_or_else(|| no_key(&key))?;
    versions.iter_mut().find(|version| version.id == found).ok_or_else(|| no_key(&key))
}

pub(super) fn get_retention(world: &World, call: &Call) -> Reply {
    let version = find(bucket(world, call)?, &key(call), parameter(call, "versionId").as_deref())?;
    let missing = || Refusal::new(404, "NoSuchObjectLockConfiguration", "The object has no Object Lock configuration");
    let (mode, until) = version.retention.ok_or_else(missing)?;
    Ok(document("Retention", vec![Xml::text("Mode", mode.as_str()), Xml::text("RetainUntilDate", date(until))]))
}

/// A lock can be lengthened by anybody who may set it; a governance lock can be shortened with the bypass header.
pub(super) fn put_retention(world: &mut World, call: &Call) -> Reply {
    let malformed = || Refusal::new(400, "MalformedXML", "Retention has a Mode and a RetainUntilDate");
    let mode = LockMode::parse(element(call, "Mode").ok_or_else(malformed)?)?;
    let until = until(element(call, "RetainUntilDate").ok_or_else(malformed)?)?;
    let version = lockable(world, call)?;
    let weaker = version
        .retention
        .is_some_and(|(before, end)| until < end || (before == LockMode::Compliance && mode == LockMode::Governance));
    if weaker {
        check_unlocked(version, bypasses(call), call.now)?;
    }
    version.retention = Some((mode, until));
    Ok(Body::Raw(bare(StatusCode::OK)))
}

pub(super) fn get_legal_hold(world: &World, call: &Call) -> Reply {
    let version = find(bucket(world, call)?, &key(call), parameter(call, "versionId").as_deref())?;
    Ok(document("LegalHold", vec![Xml::text("Status", if version.legal_hold { "ON" } else { "OFF" })]))
}

pub(super) fn put_legal_hold(world: &mut World, call: &Call) -> Reply {
    let hold = match element(call, "Status") {
        Some("ON") => true,
        Some("OFF") => false,
        _ => return Err(Refusal::new(400, "MalformedXML", "LegalHold has a Status: ON or OFF")),
    };
    lockable(world, call)?.legal_hold = hold;
    Ok(Body::Raw(bare(StatusCode::OK)))
}
