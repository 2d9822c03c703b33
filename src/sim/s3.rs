//! Amazon S3: buckets, objects, versions, Object Lock. Path-style addresses only.
//!
//! For scenarios: [`create_bucket`], and the fields of [`S3`].
//!
//! An `ETag` is not the MD5 of the body (as it is not at AWS for objects encrypted with a KMS key); `Content-MD5` is
//! accepted unread. SHA-256 and CRC-32 are checked and answered.

mod buckets;
mod objects;

use std::collections::BTreeMap;

use bytes::Bytes;
use http::{Response, StatusCode};
use jiff::Timestamp;
use serde::Serialize;

use super::call::{Body, Call, Permission, Refusal, Reply};
use super::wire::request::bucket_and_key;
use super::wire::xml::Xml;
use super::world::World;
use crate::model::{AccountId, Region};

pub use buckets::create_bucket;

/// The state.
#[derive(Debug, Clone, Default, Serialize)]
pub struct S3 {
    /// Buckets by name, which is unique among all accounts.
    pub buckets: BTreeMap<String, Bucket>,
}

/// A bucket.
#[derive(Debug, Clone, Serialize)]
pub struct Bucket {
    /// Where it is.
    pub region: Region,
    /// When it was made.
    pub created: Timestamp,
    /// Whether it keeps versions. None: it never did.
    pub versioning: Option<Versioning>,
    /// Whether its versions can be locked.
    pub object_lock: bool,
    /// The lock that a new version gets: mode and days.
    pub default_retention: Option<(LockMode, i64)>,
    /// The versions of each key, oldest first.
    pub objects: BTreeMap<String, Vec<Version>>,
}

/// Whether a bucket keeps versions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Versioning {
    /// It does.
    Enabled,
    /// Not any more.
    Suspended,
}

/// Who can end a lock early.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum LockMode {
    /// Who has `s3:BypassGovernanceRetention` and asks for it.
    Governance,
    /// Nobody.
    Compliance,
}

/// A version of an object, or a delete marker.
#[derive(Debug, Clone, Serialize)]
pub struct Version {
    /// Its id; `null` in a bucket without versioning.
    pub id: String,
    /// The content; none for a delete marker.
    #[serde(skip)]
    pub body: Option<Bytes>,
    /// Bytes.
    pub size: usize,
    /// SHA-256 of the content, in hexadecimal digits.
    pub sha256: String,
    /// When it was stored.
    pub modified: Timestamp,
    /// `Content-Type`.
    pub content_type: String,
    /// The lock and until when it holds.
    pub retention: Option<(LockMode, Timestamp)>,
    /// A lock without an end.
    pub legal_hold: bool,
    /// `x-amz-meta-…`.
    pub metadata: BTreeMap<String, String>,
}

impl LockMode {
    fn as_str(self) -> &'static str {
        match self {
            Self::Governance => "GOVERNANCE",
            Self::Compliance => "COMPLIANCE",
        }
    }

    fn parse(text: &str) -> Result<Self, Refusal> {
        match text {
            "GOVERNANCE" => Ok(Self::Governance),
            "COMPLIANCE" => Ok(Self::Compliance),
            _ => Err(Refusal::new(400, "InvalidArgument", format!("Unknown Object Lock mode: {text}"))),
        }
    }
}

/// What the call needs to be allowed.
pub fn permissions(_: &World, call: &Call) -> Result<Vec<Permission>, Refusal> {
    let (bucket, key) = bucket_and_key(&call.http.path);
    let bucket = format!("arn:aws:s3:::{}", bucket.unwrap_or_default());
    let object = format!("{bucket}/{}", key.unwrap_or_default());
    let has_version = parameter(call, "versionId").is_some();
    let one = |action: &str, resource: &str| vec![Permission::new(format!("s3:{action}"), resource)];
    Ok(match call.operation.as_str() {
        "ListBuckets" => one("ListAllMyBuckets", "*"),
        "CreateBucket" | "DeleteBucket" | "GetBucketLocation" | "GetBucketVersioning" | "PutBucketVersioning" => {
            one(&call.operation, &bucket)
        }
        "HeadBucket" | "ListObjectsV2" | "ListObjects" => one("ListBucket", &bucket),
        "ListObjectVersions" => one("ListBucketVersions", &bucket),
        "GetObjectLockConfiguration" => one("GetBucketObjectLockConfiguration", &bucket),
        "PutObjectLockConfiguration" => one("PutBucketObjectLockConfiguration", &bucket),
        "GetObject" | "HeadObject" if has_version => one("GetObjectVersion", &object),
        "GetObject" | "HeadObject" => one("GetObject", &object),
        "DeleteObject" => {
            let mut needed = one(if has_version { "DeleteObjectVersion" } else { "DeleteObject" }, &object);
            if header(call, "x-amz-bypass-governance-retention") == Some("true") {
                needed.extend(one("BypassGovernanceRetention", &object));
            }
            needed
        }
        "PutObject" => {
            let mut needed = one("PutObject", &object);
            if header(call, "x-amz-object-lock-mode").is_some() {
                needed.extend(one("PutObjectRetention", &object));
            }
            if header(call, "x-amz-object-lock-legal-hold").is_some() {
                needed.extend(one("PutObjectLegalHold", &object));
            }
            needed
        }
        "PutObjectRetention" | "GetObjectRetention" | "PutObjectLegalHold" | "GetObjectLegalHold" => {
            one(&call.operation, &object)
        }
        _ => return Err(call.unknown()),
    })
}

/// Carries the call out.
pub fn handle(world: &mut World, call: &Call) -> Reply {
    match call.operation.as_str() {
        "ListBuckets" => Ok(buckets::list(world, call)),
        "CreateBucket" => buckets::create(world, call),
        "HeadBucket" => buckets::head(world, call),
        "DeleteBucket" => buckets::delete(world, call),
        "GetBucketLocation" => buckets::location(world, call),
        "GetBucketVersioning" => buckets::get_versioning(world, call),
        "PutBucketVersioning" => buckets::put_versioning(world, call),
        "GetObjectLockConfiguration" => buckets::get_lock(world, call),
        "PutObjectLockConfiguration" => buckets::put_lock(world, call),
        "ListObjectsV2" => objects::list(world, call),
        "ListObjectVersions" => objects::list_versions(world, call),
        "PutObject" => objects::put(world, call),
        "GetObject" | "HeadObject" => objects::get(world, call),
        "DeleteObject" => objects::delete(world, call),
        "GetObjectRetention" => objects::get_retention(world, call),
        "PutObjectRetention" => objects::put_retention(world, call),
        "GetObjectLegalHold" => objects::get_legal_hold(world, call),
        "PutObjectLegalHold" => objects::put_legal_hold(world, call),
        _ => Err(call.unknown()),
    }
}

fn header<'a>(call: &'a Call, name: &str) -> Option<&'a str> {
    call.http.headers.get(name).and_then(|value| value.to_str().ok())
}

fn parameter(call: &Call, name: &str) -> Option<String> {
    let mut pairs = form_urlencoded::parse(call.http.query.as_bytes());
    pairs.find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
}

/// The text of an element of the request's body. The configurations read here have no attributes at their leaves, and no
/// leaf twice.
fn element<'a>(call: &'a Call, name: &str) -> Option<&'a str> {
    let body = std::str::from_utf8(&call.http.body).ok()?;
    let (_, rest) = body.split_once(&format!("<{name}>"))?;
    rest.split_once(&format!("</{name}>")).map(|(text, _)| text.trim())
}

/// Whose the named bucket is, if the caller may know: another account's is refused, since bucket policies are not
/// simulated. `x-amz-expected-bucket-owner` is checked first.
fn owner(world: &World, call: &Call) -> Result<(AccountId, String), Refusal> {
    let name = bucket_and_key(&call.http.path).0.unwrap_or_default();
    let found = world.accounts.values().find(|account| account.s3.buckets.contains_key(&name));
    let missing = || Refusal::new(404, "NoSuchBucket", format!("The specified bucket does not exist: {name}"));
    let account = found.ok_or_else(missing)?.id.clone();
    let expected = header(call, "x-amz-expected-bucket-owner");
    if account != call.account || expected.is_some_and(|expected| expected != account.as_str()) {
        return Err(Refusal::new(403, "AccessDenied", "Access Denied"));
    }
    Ok((account, name))
}

fn bucket<'a>(world: &'a World, call: &Call) -> Result<&'a Bucket, Refusal> {
    let (account, name) = owner(world, call)?;
    Ok(&world.account(&account).s3.buckets[&name])
}

fn bucket_mut<'a>(world: &'a mut World, call: &Call) -> Result<&'a mut Bucket, Refusal> {
    let (account, name) = owner(world, call)?;
    Ok(world.account_mut(&account).s3.buckets.get_mut(&name).expect("the owner has it"))
}

/// An answer without a body.
fn bare(status: StatusCode) -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = status;
    response
}

fn document(root: &'static str, children: Vec<Xml>) -> Body {
    let mut text = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let root = Xml::node(root, children).attribute("xmlns", "http://s3.amazonaws.com/doc/2006-03-01/");
    root.write(&mut text);
    let mut response = Response::new(Bytes::from(text));
    response.headers_mut().insert(http::header::CONTENT_TYPE, http::HeaderValue::from_static("application/xml"));
    Body::Raw(response)
}

fn date(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%S.000Z").to_string()
}
