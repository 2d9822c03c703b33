//! Who may reach a bucket from outside its account: policy, ACL, and the block of public access. None of it is enforced on
//! other accounts' calls, which are refused in any case.

use http::StatusCode;
use serde::Serialize;
use serde_json::Value;

use super::{Bucket, bare, bucket, bucket_mut, document, element, header, owner};
use crate::policy::{Document, Kind};
use crate::sim::call::{Body, Call, Refusal, Reply};
use crate::sim::wire::xml::Xml;
use crate::sim::world::World;

/// The access of a bucket, as a new one has it since April 2023 (S3 User Guide, "Default settings for new buckets").
#[derive(Debug, Clone, Serialize)]
pub struct BucketAccess {
    /// The bucket policy.
    pub policy: Option<String>,
    /// The canned ACL: `private`, `public-read`, …
    pub acl: String,
    /// The block of public access, if there is one.
    pub block: Option<PublicAccessBlock>,
    /// `AES256` or `aws:kms`.
    pub encryption: String,
}

impl Default for BucketAccess {
    fn default() -> Self {
        Self {
            policy: None,
            acl: "private".to_owned(),
            block: Some(PublicAccessBlock::WHOLE),
            encryption: "AES256".to_owned(),
        }
    }
}

/// The block of public access.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct PublicAccessBlock {
    /// Public ACLs are refused.
    pub block_public_acls: bool,
    /// Public ACLs count for nothing.
    pub ignore_public_acls: bool,
    /// Public policies are refused.
    pub block_public_policy: bool,
    /// A public policy opens the bucket to nobody outside the account.
    pub restrict_public_buckets: bool,
}

impl PublicAccessBlock {
    /// Everything.
    pub const WHOLE: Self = Self {
        block_public_acls: true,
        ignore_public_acls: true,
        block_public_policy: true,
        restrict_public_buckets: true,
    };
}

impl BucketAccess {
    /// Whether its policy lets in everybody (S3 User Guide, "The meaning of public": a wildcard principal without a condition).
    pub fn has_public_policy(&self) -> bool {
        let statements = self.policy.as_deref().and_then(|text| serde_json::from_str::<Value>(text).ok());
        let statements = statements.map(|policy| match policy.get("Statement").cloned().unwrap_or_default() {
            Value::Array(statements) => statements,
            statement => vec![statement],
        });
        statements.iter().flatten().any(|statement| {
            let principal = &statement["Principal"];
            let everybody = |principal: &Value| match principal {
                Value::Array(several) => several.iter().any(|one| one == "*"),
                one => one == "*",
            };
            statement["Effect"] == "Allow"
                && statement.get("Condition").is_none()
                && (everybody(principal) || everybody(&principal["AWS"]))
        })
    }
}

pub(super) fn get_policy(world: &World, call: &Call) -> Reply {
    let policy = access(world, call)?.policy.clone().ok_or_else(no_policy)?;
    let mut response = http::Response::new(policy.into());
    response.headers_mut().insert(http::header::CONTENT_TYPE, http::HeaderValue::from_static("application/json"));
    Ok(Body::Raw(response))
}

fn no_policy() -> Refusal {
    Refusal::new(404, "NoSuchBucketPolicy", "The bucket policy does not exist")
}

pub(super) fn policy_status(world: &World, call: &Call) -> Reply {
    let access = access(world, call)?;
    if access.policy.is_none() {
        return Err(no_policy());
    }
    Ok(document("PolicyStatus", vec![Xml::text("IsPublic", access.has_public_policy())]))
}

pub(super) fn put_policy(world: &mut World, call: &Call) -> Reply {
    let text = String::from_utf8_lossy(&call.http.body).into_owned();
    Document::parse("bucket policy", &text, Kind::Resource)
        .map_err(|error| Refusal::new(400, "MalformedPolicy", error.to_string()))?;
    let access = &mut bucket_mut(world, call)?.access;
    let before = access.policy.replace(text);
    if access.has_public_policy() && access.block.is_some_and(|block| block.block_public_policy) {
        access.policy = before;
        return Err(blocked("BlockPublicPolicy"));
    }
    Ok(Body::Raw(bare(StatusCode::NO_CONTENT)))
}

pub(super) fn delete_policy(world: &mut World, call: &Call) -> Reply {
    bucket_mut(world, call)?.access.policy = None;
    Ok(Body::Raw(bare(StatusCode::NO_CONTENT)))
}

fn blocked(by: &str) -> Refusal {
    let message =
        format!("Access Denied because public access is prevented by the {by} setting in S3 Block Public Access.");
    Refusal::new(403, "AccessDenied", message)
}

pub(super) fn get_block(world: &World, call: &Call) -> Reply {
    let message = "The public access block configuration was not found";
    let missing = || Refusal::new(404, "NoSuchPublicAccessBlockConfiguration", message);
    let block = access(world, call)?.block.ok_or_else(missing)?;
    let flags = [
        ("BlockPublicAcls", block.block_public_acls),
        ("IgnorePublicAcls", block.ignore_public_acls),
        ("BlockPublicPolicy", block.block_public_policy),
        ("RestrictPublicBuckets", block.restrict_public_buckets),
    ];
    let flags = flags.into_iter().map(|(name, on)| Xml::text(name, on)).collect();
    Ok(document("PublicAccessBlockConfiguration", flags))
}

pub(super) fn put_block(world: &mut World, call: &Call) -> Reply {
    let on = |name| element(call, name) == Some("true");
    let block = PublicAccessBlock {
        block_public_acls: on("BlockPublicAcls"),
        ignore_public_acls: on("IgnorePublicAcls"),
        block_public_policy: on("BlockPublicPolicy"),
        restrict_public_buckets: on("RestrictPublicBuckets"),
    };
    bucket_mut(world, call)?.access.block = Some(block);
    Ok(Body::Raw(bare(StatusCode::OK)))
}

pub(super) fn delete_block(world: &mut World, call: &Call) -> Reply {
    bucket_mut(world, call)?.access.block = None;
    Ok(Body::Raw(bare(StatusCode::NO_CONTENT)))
}

/// The groups that a canned ACL lets in, and what for (S3 User Guide, "Canned ACL").
fn let_in(acl: &str) -> &'static [(&'static str, &'static str)] {
    match acl {
        "public-read" => &[("AllUsers", "READ")],
        "public-read-write" => &[("AllUsers", "READ"), ("AllUsers", "WRITE")],
        "authenticated-read" => &[("AuthenticatedUsers", "READ")],
        _ => &[],
    }
}

pub(super) fn get_acl(world: &World, call: &Call) -> Reply {
    let (account, _) = owner(world, call)?;
    let acl = &access(world, call)?.acl;
    let grantee = |kind: &str, name: &'static str, text: String| {
        Xml::node("Grantee", vec![Xml::text(name, text)])
            .attribute("xmlns:xsi", "http://www.w3.org/2001/XMLSchema-instance")
            .attribute("xsi:type", kind)
    };
    let grant = |grantee: Xml, permission: &str| Xml::node("Grant", vec![grantee, Xml::text("Permission", permission)]);
    let mut grants = vec![grant(grantee("CanonicalUser", "ID", account.to_string()), "FULL_CONTROL")];
    for (group, permission) in let_in(acl) {
        let uri = format!("http://acs.amazonaws.com/groups/global/{group}");
        grants.push(grant(grantee("Group", "URI", uri), permission));
    }
    let owner = Xml::node("Owner", vec![Xml::text("ID", account)]);
    Ok(document("AccessControlPolicy", vec![owner, Xml::node("AccessControlList", grants)]))
}

/// PutBucketAcl, by a canned ACL. Object Ownership, which forbids ACLs on new buckets, is not simulated.
pub(super) fn put_acl(world: &mut World, call: &Call) -> Reply {
    let acl = header(call, "x-amz-acl").unwrap_or_default().to_owned();
    if !["private", "public-read", "public-read-write", "authenticated-read"].contains(&acl.as_str()) {
        let message = format!("The simulated AWS knows canned ACLs alone, and not `{acl}`");
        return Err(Refusal::new(400, "InvalidArgument", message));
    }
    let access = &mut bucket_mut(world, call)?.access;
    if !let_in(&acl).is_empty() && access.block.is_some_and(|block| block.block_public_acls) {
        return Err(blocked("BlockPublicAcls"));
    }
    access.acl = acl;
    Ok(Body::Raw(bare(StatusCode::OK)))
}

/// GetBucketEncryption: every bucket has one.
pub(super) fn get_encryption(world: &World, call: &Call) -> Reply {
    let encryption = &access(world, call)?.encryption;
    let default = Xml::node("ApplyServerSideEncryptionByDefault", vec![Xml::text("SSEAlgorithm", encryption)]);
    let rule = Xml::node("Rule", vec![default, Xml::text("BucketKeyEnabled", encryption == "aws:kms")]);
    Ok(document("ServerSideEncryptionConfiguration", vec![rule]))
}

pub(super) fn put_encryption(world: &mut World, call: &Call) -> Reply {
    let algorithm = element(call, "SSEAlgorithm").unwrap_or_default().to_owned();
    if !["AES256", "aws:kms"].contains(&algorithm.as_str()) {
        return Err(Refusal::new(400, "MalformedXML", "SSEAlgorithm must be AES256 or aws:kms"));
    }
    bucket_mut(world, call)?.access.encryption = algorithm;
    Ok(Body::Raw(bare(StatusCode::OK)))
}

fn access<'w>(world: &'w World, call: &Call) -> Result<&'w BucketAccess, Refusal> {
    bucket(world, call).map(|Bucket { access, .. }| access)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Region;
    use crate::sim::call::test_call;
    use crate::sim::s3::{create_bucket, handle};

    const PUBLIC: &str = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":"*","Action":"s3:GetObject",
        "Resource":"arn:aws:s3:::case/*"}}"#;

    fn ask(world: &mut World, operation: &str, acl: &str, body: &str) -> Result<String, String> {
        let mut call = test_call("s3", operation, "");
        call.http.path = "/case".to_owned();
        call.http.body = bytes::Bytes::from(body.to_owned());
        call.http.headers.insert("x-amz-acl", acl.parse().unwrap());
        match handle(world, &call).map_err(|refusal| refusal.code)? {
            Body::Raw(response) => Ok(String::from_utf8_lossy(response.body()).into_owned()),
            _ => unreachable!("S3 answers raw"),
        }
    }

    fn world() -> World {
        let mut world = World::new(1);
        let account = world.add_account(test_call("s3", "", "").account, "development").id.clone();
        let region = Region::new("us-east-1").unwrap();
        create_bucket(&mut world, &account, &region, "case", jiff::Timestamp::UNIX_EPOCH).unwrap();
        world
    }

    #[test]
    fn a_new_bucket_is_closed_and_stays_so_while_it_is_blocked() {
        let mut world = world();
        assert_eq!(ask(&mut world, "GetBucketPolicy", "", "").unwrap_err(), "NoSuchBucketPolicy");
        assert!(ask(&mut world, "GetPublicAccessBlock", "", "").unwrap().contains("<BlockPublicAcls>true<"));
        assert!(ask(&mut world, "GetBucketEncryption", "", "").unwrap().contains("AES256"));
        assert_eq!(ask(&mut world, "PutBucketPolicy", "", PUBLIC).unwrap_err(), "AccessDenied");
        assert_eq!(ask(&mut world, "PutBucketAcl", "public-read", "").unwrap_err(), "AccessDenied");
        assert_eq!(ask(&mut world, "GetBucketPolicy", "", "").unwrap_err(), "NoSuchBucketPolicy");
    }

    #[test]
    fn without_the_block_policy_and_acl_can_open_it() {
        let mut world = world();
        ask(&mut world, "DeletePublicAccessBlock", "", "").unwrap();
        assert_eq!(
            ask(&mut world, "GetPublicAccessBlock", "", "").unwrap_err(),
            "NoSuchPublicAccessBlockConfiguration"
        );
        ask(&mut world, "PutBucketPolicy", "", PUBLIC).unwrap();
        assert!(ask(&mut world, "GetBucketPolicyStatus", "", "").unwrap().contains("<IsPublic>true<"));
        ask(&mut world, "PutBucketAcl", "public-read", "").unwrap();
        assert!(ask(&mut world, "GetBucketAcl", "", "").unwrap().contains("global/AllUsers</URI>"));
        let narrowed =
            PUBLIC.replace("\"Action\"", r#""Condition":{"StringEquals":{"aws:PrincipalOrgID":"o-1"}},"Action""#);
        ask(&mut world, "PutBucketPolicy", "", &narrowed).unwrap();
        assert!(ask(&mut world, "GetBucketPolicyStatus", "", "").unwrap().contains("<IsPublic>false<"));
    }
}
