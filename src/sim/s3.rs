//! Amazon S3: buckets, objects, versions, Object Lock. The bucket is addressed by path or by host.
//!
//! For scenarios: [`create_bucket`], and the fields of [`S3`].

mod access;
mod buckets;
mod checksums;
mod delete_objects;
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

pub use access::{BucketAccess, PublicAccessBlock};
pub use buckets::create_bucket;
pub use checksums::Checksums;

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
    /// Who may reach it from outside its account.
    pub access: BucketAccess,
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
    /// MD5 of the content, between quotation marks.
    pub etag: String,
    /// The checksums that were stated with it.
    pub checksums: Checksums,
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
        "CreateBucket"
        | "DeleteBucket"
        | "DeleteBucketPolicy"
        | "GetBucketAcl"
        | "GetBucketLocation"
        | "GetBucketPolicy"
        | "GetBucketPolicyStatus"
        | "GetBucketVersioning"
        | "PutBucketAcl"
        | "PutBucketPolicy"
        | "PutBucketVersioning" => one(&call.operation, &bucket),
        "GetBucketEncryption" => one("GetEncryptionConfiguration", &bucket),
        "PutBucketEncryption" => one("PutEncryptionConfiguration", &bucket),
        "GetPublicAccessBlock" => one("GetBucketPublicAccessBlock", &bucket),
        "PutPublicAccessBlock" | "DeletePublicAccessBlock" => one("PutBucketPublicAccessBlock", &bucket),
        "HeadBucket" | "ListObjectsV2" | "ListObjects" => one("ListBucket", &bucket),
        "ListObjectVersions" => one("ListBucketVersions", &bucket),
        "GetObjectLockConfiguration" => one("GetBucketObjectLockConfiguration", &bucket),
        "PutObjectLockConfiguration" => one("PutBucketObjectLockConfiguration", &bucket),
        "GetObject" | "HeadObject" if has_version => one("GetObjectVersion", &object),
        "GetObject" | "HeadObject" => one("GetObject", &object),
        "DeleteObject" => {
            let mut needed = one(if has_version { "DeleteObjectVersion" } else { "DeleteObject" }, &object);
            if objects::bypasses(call) {
                needed.extend(one("BypassGovernanceRetention", &object));
            }
            needed
        }
        "DeleteObjects" => {
            let mut needed = Vec::new();
            for (key, version) in delete_objects::named(call)? {
                let action = if version.is_some() { "DeleteObjectVersion" } else { "DeleteObject" };
                needed.extend(one(action, &format!("{bucket}/{key}")));
            }
            if objects::bypasses(call) {
                needed.extend(one("BypassGovernanceRetention", &format!("{bucket}/*")));
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
            let mut needed = one(&call.operation, &object);
            if objects::bypasses(call) {
                needed.extend(one("BypassGovernanceRetention", &object));
            }
            needed
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
        "GetBucketPolicy" => access::get_policy(world, call),
        "GetBucketPolicyStatus" => access::policy_status(world, call),
        "PutBucketPolicy" => access::put_policy(world, call),
        "DeleteBucketPolicy" => access::delete_policy(world, call),
        "GetPublicAccessBlock" => access::get_block(world, call),
        "PutPublicAccessBlock" => access::put_block(world, call),
        "DeletePublicAccessBlock" => access::delete_block(world, call),
        "GetBucketAcl" => access::get_acl(world, call),
        "PutBucketAcl" => access::put_acl(world, call),
        "GetBucketEncryption" => access::get_encryption(world, call),
        "PutBucketEncryption" => access::put_encryption(world, call),
        "GetBucketVersioning" => buckets::get_versioning(world, call),
        "PutBucketVersioning" => buckets::put_versioning(world, call),
        "GetObjectLockConfiguration" => buckets::get_lock(world, call),
        "PutObjectLockConfiguration" => buckets::put_lock(world, call),
        "ListObjectsV2" => objects::list(world, call),
        "ListObjectVersions" => objects::list_versions(world, call),
        "PutObject" => objects::put(world, call),
        "GetObject" | "HeadObject" => objects::get(world, call),
        "DeleteObject" => objects::delete(world, call),
        "DeleteObjects" => delete_objects::delete(world, call),
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

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;
    use crate::sim::call::test_call;

    fn world() -> World {
        let mut world = World::new(1);
        let account = world.add_account(AccountId::new("111122223333").unwrap(), "development").id.clone();
        let region = Region::new("us-east-1").unwrap();
        let bucket = create_bucket(&mut world, &account, &region, "case", Timestamp::UNIX_EPOCH).unwrap();
        bucket.versioning = Some(Versioning::Enabled);
        bucket.object_lock = true;
        world
    }

    fn call(operation: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Call {
        let mut call = test_call("s3", operation, "");
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        (call.http.path, call.http.query) = (path.to_owned(), query.to_owned());
        call.http.body = Bytes::from(body.to_owned());
        for (name, value) in headers {
            let name: http::HeaderName = name.parse().unwrap();
            call.http.headers.insert(name, value.parse().unwrap());
        }
        call
    }

    fn ask(world: &mut World, call: &Call) -> Result<Response<Bytes>, (u16, String)> {
        permissions(world, call).unwrap();
        match handle(world, call) {
            Ok(Body::Raw(response)) => Ok(response),
            Ok(_) => unreachable!("S3 answers raw"),
            Err(refusal) => Err((refusal.status, refusal.code)),
        }
    }

    #[test]
    fn what_is_put_can_be_got_with_its_checksum() {
        let mut world = world();
        let stated = [
            ("x-amz-meta-case", "7"),
            ("x-amz-checksum-sha256", "RBNvo1WzZ4oRRq0W9+hknpT7T8If536DEMBg9hyq/4o="),
            ("x-amz-checksum-crc64nvme", "AAAAAAAAAAA="),
        ];
        let put = ask(&mut world, &call("PutObject", "/case/a/b.json", &stated, "{}")).unwrap();
        assert!(put.headers().contains_key("x-amz-version-id"));
        assert_eq!(put.headers()["etag"], "\"99914b932bd37a50b983c5e7c90ae93b\"");
        let got =
            ask(&mut world, &call("GetObject", "/case/a/b.json", &[("x-amz-checksum-mode", "ENABLED")], "")).unwrap();
        assert_eq!(got.body(), "{}");
        assert_eq!(got.headers()["x-amz-meta-case"], "7");
        assert_eq!(got.headers()["x-amz-checksum-sha256"], "RBNvo1WzZ4oRRq0W9+hknpT7T8If536DEMBg9hyq/4o=");
        assert_eq!(got.headers()["x-amz-checksum-crc64nvme"], "AAAAAAAAAAA=");
        let listed = ask(&mut world, &call("ListObjectsV2", "/case?prefix=a/", &[], "")).unwrap();
        assert!(String::from_utf8_lossy(listed.body()).contains("<Key>a/b.json</Key>"));
    }

    #[test]
    fn conditions_checksums_and_owners_are_checked() {
        let mut world = world();
        ask(&mut world, &call("PutObject", "/case/a", &[], "x")).unwrap();
        let refused = |world: &mut World, header: (&str, &str)| {
            ask(world, &call("PutObject", "/case/a", &[header], "y")).unwrap_err()
        };
        assert_eq!(refused(&mut world, ("if-none-match", "*")), (412, "PreconditionFailed".to_owned()));
        assert_eq!(refused(&mut world, ("x-amz-checksum-sha256", "AAAA")), (400, "BadDigest".to_owned()));
        assert_eq!(refused(&mut world, ("x-amz-checksum-crc32", "AAAAAA==")), (400, "BadDigest".to_owned()));
        assert_eq!(refused(&mut world, ("content-md5", "1B2M2Y8AsgTpgAmY7PhCfg==")), (400, "BadDigest".to_owned()));
        assert_eq!(refused(&mut world, ("content-md5", "short")), (400, "InvalidDigest".to_owned()));
        assert_eq!(
            refused(&mut world, ("x-amz-expected-bucket-owner", "444455556666")),
            (403, "AccessDenied".to_owned())
        );
        assert_eq!(ask(&mut world, &call("PutObject", "/other/a", &[], "")).unwrap_err().1, "NoSuchBucket");
    }

    #[test]
    fn a_locked_version_stays_until_its_date() {
        let mut world = world();
        let lock = [
            ("x-amz-object-lock-mode", "COMPLIANCE"),
            ("x-amz-object-lock-retain-until-date", "2026-03-04T15:00:00Z"),
            ("content-md5", "ndTkYSaMgDT1yFZOFVxnpg=="),
        ];
        let without_checksum = call("PutObject", "/case/a", &lock[..2], "x");
        assert_eq!(ask(&mut world, &without_checksum).unwrap_err(), (400, "InvalidRequest".to_owned()));
        let put = ask(&mut world, &call("PutObject", "/case/a", &lock, "x")).unwrap();
        let id = put.headers()["x-amz-version-id"].to_str().unwrap();
        let bypass = [("x-amz-bypass-governance-retention", "true")];
        let mut delete = call("DeleteObject", &format!("/case/a?versionId={id}"), &bypass, "");
        assert_eq!(ask(&mut world, &delete).unwrap_err(), (403, "AccessDenied".to_owned()));
        let marker = ask(&mut world, &call("DeleteObject", "/case/a", &[], "")).unwrap();
        assert_eq!(marker.headers()["x-amz-delete-marker"], "true");
        assert_eq!(ask(&mut world, &call("GetObject", "/case/a", &[], "")).unwrap_err().1, "NoSuchKey");
        delete.now += SignedDuration::from_hours(25);
        assert_eq!(ask(&mut world, &delete).unwrap().status(), StatusCode::NO_CONTENT);
    }

    #[test]
    fn many_are_deleted_in_one_call_and_what_is_locked_is_named() {
        let mut world = world();
        ask(&mut world, &call("PutObject", "/case/a&b", &[], "x")).unwrap();
        let held = [("x-amz-object-lock-legal-hold", "ON"), ("content-md5", "ndTkYSaMgDT1yFZOFVxnpg==")];
        let put = ask(&mut world, &call("PutObject", "/case/held", &held, "x")).unwrap();
        let id = put.headers()["x-amz-version-id"].to_str().unwrap();
        let body = format!(
            "<Delete><Object><Key>a&amp;b</Key></Object><Object><Key>held</Key><VersionId>{id}</VersionId></Object></Delete>"
        );
        let without_checksum = call("DeleteObjects", "/case?delete", &[], &body);
        assert_eq!(ask(&mut world, &without_checksum).unwrap_err().1, "InvalidRequest");
        let checksum = [("x-amz-checksum-crc64nvme", "AAAAAAAAAAA=")];
        let asked = call("DeleteObjects", "/case?delete", &checksum, &body);
        let needed: Vec<String> = permissions(&world, &asked).unwrap().into_iter().map(|one| one.resource).collect();
        assert_eq!(needed, ["arn:aws:s3:::case/a&b", "arn:aws:s3:::case/held"]);
        let answer = ask(&mut world, &asked).unwrap();
        let text = String::from_utf8_lossy(answer.body()).into_owned();
        assert!(text.contains("<Deleted><Key>a&amp;b</Key><DeleteMarker>true</DeleteMarker>"), "{text}");
        assert!(text.contains("<Error><Key>held</Key>") && text.contains("<Code>AccessDenied</Code>"), "{text}");
        assert_eq!(ask(&mut world, &call("GetObject", "/case/a&b", &[], "")).unwrap_err().1, "NoSuchKey");
    }

    #[test]
    fn names_of_buckets_are_global() {
        let mut world = world();
        let other = world.add_account(AccountId::new("444455556666").unwrap(), "production").id.clone();
        let region = Region::new("us-east-1").unwrap();
        let refusal = create_bucket(&mut world, &other, &region, "case", Timestamp::UNIX_EPOCH).unwrap_err();
        assert_eq!(refusal.code, "BucketAlreadyExists");
    }
}
