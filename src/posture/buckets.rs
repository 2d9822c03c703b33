//! Buckets that everybody could read.

use serde_json::Value;

use super::check::{Check, Read, Severity};
use super::facts::{Missing, View};

const BUCKETS: &str = "s3:ListBuckets";
const LOCATION: &str = "s3:GetBucketLocation";
const BLOCK: &str = "s3:GetPublicAccessBlock";
const STATUS: &str = "s3:GetBucketPolicyStatus";
const ACL: &str = "s3:GetBucketAcl";

/// The groups that are everybody (S3 User Guide, "Amazon S3 predefined groups").
const EVERYBODY: [&str; 2] = ["global/AllUsers", "global/AuthenticatedUsers"];

/// No bucket is open.
pub(super) const PUBLIC: Check = Check {
    id: "s3.public-buckets",
    title: "No bucket is open to everybody",
    severity: Severity::High,
    why: "What is public is found and copied within hours. The account's own block of public access is not seen here: it may close \
          what the bucket opens.",
    fix: "aws s3api put-public-access-block --bucket BUCKET --public-access-block-configuration \
          BlockPublicAcls=true,IgnorePublicAcls=true,BlockPublicPolicy=true,RestrictPublicBuckets=true.",
    needs: &[BUCKETS, LOCATION, BLOCK, STATUS, ACL],
    read: |view| {
        each(view, |read, bucket| {
            let Some(block) = read.known(perhaps(view, BLOCK, bucket)) else { return };
            let holds = |flag: &str| block.is_some_and(|block| block[flag] == "true");
            if let Some(Some(status)) = read.known(perhaps(view, STATUS, bucket))
                && is_true(&status["IsPublic"])
                && !holds("RestrictPublicBuckets")
            {
                read.fail(format!("bucket {bucket}"), "has a policy that lets in everybody");
            }
            let acl = read.known(perhaps(view, ACL, bucket).and_then(|acl| acl.ok_or_else(|| missing(ACL, bucket))));
            if acl.is_some_and(|acl| names_everybody(&acl["AccessControlList"])) && !holds("IgnorePublicAcls") {
                read.fail(format!("bucket {bucket}"), "has an ACL that lets in everybody");
            }
        })
    },
};

/// And none can be opened by a slip.
pub(super) const BLOCKED: Check = Check {
    id: "s3.block-public-access",
    title: "Every bucket blocks public access",
    severity: Severity::Medium,
    why: "With the block, neither a slip in a policy nor an intruder's ACL opens the bucket.",
    fix: "aws s3api put-public-access-block --bucket BUCKET --public-access-block-configuration \
          BlockPublicAcls=true,IgnorePublicAcls=true,BlockPublicPolicy=true,RestrictPublicBuckets=true; for all at once: aws \
          s3control put-public-access-block --account-id ACCOUNT with the same.",
    needs: &[BUCKETS, LOCATION, BLOCK, ACL],
    read: |view| {
        each(view, |read, bucket| {
            let flags = ["BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets"];
            match read.known(perhaps(view, BLOCK, bucket)) {
                None => {}
                Some(Some(block)) if flags.iter().all(|flag| block[flag] == "true") => {}
                Some(Some(_)) => read.fail(format!("bucket {bucket}"), "blocks public access in part"),
                Some(None) => read.fail(format!("bucket {bucket}"), "does not block public access"),
            }
        })
    },
};

fn each(view: &View<'_>, look: impl Fn(&mut Read, &str)) -> Read {
    let mut read = Read::default();
    let buckets = read.known(view.list(BUCKETS, &["Buckets", "*"])).unwrap_or_default();
    for name in buckets.iter().filter_map(|bucket| bucket["Name"].as_str()) {
        look(&mut read, name);
    }
    read
}

/// What was answered about a bucket; none if the answer was that there is no such thing. It was asked if the ACL was, which
/// every bucket has.
fn perhaps<'f>(view: &View<'f>, api: &str, bucket: &str) -> Result<Option<&'f Value>, Missing> {
    let about = |api: &str| -> Result<Option<&'f Value>, Missing> {
        let answers = view.perhaps(api, ACL)?;
        Ok(answers.into_iter().find(|answer| answer.names(bucket)).map(|answer| &answer.said))
    };
    match (about(api)?, about(ACL)?) {
        (None, None) => Err(missing(api, bucket)),
        (answer, _) => Ok(answer),
    }
}

fn missing(api: &str, bucket: &str) -> Missing {
    Missing { region: None, why: format!("{api} of {bucket} was not captured") }
}

fn is_true(flag: &Value) -> bool {
    flag.as_str().is_some_and(|flag| flag.eq_ignore_ascii_case("true"))
}

fn names_everybody(grants: &Value) -> bool {
    match grants {
        Value::Array(grants) => grants.iter().any(names_everybody),
        Value::Object(members) => members.values().any(names_everybody),
        Value::String(text) => EVERYBODY.iter().any(|group| text.ends_with(group)),
        _ => false,
    }
}
