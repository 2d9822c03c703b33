//! Buckets and their settings.

use std::collections::BTreeMap;

use http::StatusCode;
use jiff::Timestamp;

use super::{
    Bucket, BucketAccess, LockMode, Versioning, bare, bucket, bucket_mut, date, document, element, header, owner,
};
use crate::model::{AccountId, Region};
use crate::sim::call::{Body, Call, Refusal, Reply};
use crate::sim::wire::request::bucket_and_key;
use crate::sim::wire::xml::Xml;
use crate::sim::world::World;

/// Adds a bucket. Refused when any account has one of that name.
pub fn create_bucket<'a>(
    world: &'a mut World,
    account: &AccountId,
    region: &Region,
    name: &str,
    now: Timestamp,
) -> Result<&'a mut Bucket, Refusal> {
    let fits = (3..=63).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-".contains(&byte));
    if !fits {
        return Err(Refusal::new(400, "InvalidBucketName", format!("The specified bucket is not valid: {name}")));
    }
    let holder = world.accounts.values().find(|account| account.s3.buckets.contains_key(name));
    if let Some(holder) = holder {
        let (code, message) = if holder.id == *account {
            ("BucketAlreadyOwnedByYou", "The bucket exists and is yours.")
        } else {
            ("BucketAlreadyExists", "The requested bucket name is not available.")
        };
        return Err(Refusal::new(409, code, message));
    }
    let bucket = Bucket {
        region: region.clone(),
        created: now,
        versioning: None,
        object_lock: false,
        default_retention: None,
        access: BucketAccess::default(),
        objects: BTreeMap::new(),
    };
    Ok(world.account_mut(account).s3.buckets.entry(name.to_owned()).insert_entry(bucket).into_mut())
}

pub(super) fn list(world: &World, call: &Call) -> Body {
    let buckets = world.account(&call.account).s3.buckets.iter();
    let shown = buckets.map(|(name, bucket)| {
        vec![
            Xml::text("Name", name),
            Xml::text("CreationDate", date(bucket.created)),
            Xml::text("BucketRegion", &bucket.region),
        ]
    });
    let owner = Xml::node("Owner", vec![Xml::text("ID", &call.account)]);
    document("ListAllMyBucketsResult", vec![owner, Xml::list("Buckets", "Bucket", shown)])
}

pub(super) fn create(world: &mut World, call: &Call) -> Reply {
    let name = bucket_and_key(&call.http.path).0.unwrap_or_default();
    let asked = element(call, "LocationConstraint").unwrap_or("us-east-1");
    if asked != call.region.as_str() {
        let message = format!("The {asked} location constraint is incompatible with the endpoint of {}.", call.region);
        return Err(Refusal::new(400, "IllegalLocationConstraintException", message));
    }
    let bucket = create_bucket(world, &call.account, &call.region, &name, call.now)?;
    if header(call, "x-amz-bucket-object-lock-enabled").is_some_and(|flag| flag.eq_ignore_ascii_case("true")) {
        bucket.object_lock = true;
        bucket.versioning = Some(Versioning::Enabled);
    }
    let mut response = bare(StatusCode::OK);
    if let Ok(location) = format!("/{name}").parse() {
        response.headers_mut().insert(http::header::LOCATION, location);
    }
    Ok(Body::Raw(response))
}

pub(super) fn head(world: &World, call: &Call) -> Reply {
    let region = &bucket(world, call)?.region;
    let mut response = bare(StatusCode::OK);
    if let Ok(region) = region.as_str().parse() {
        response.headers_mut().insert("x-amz-bucket-region", region);
    }
    Ok(Body::Raw(response))
}

pub(super) fn delete(world: &mut World, call: &Call) -> Reply {
    let (account, name) = owner(world, call)?;
    if !bucket(world, call)?.objects.is_empty() {
        return Err(Refusal::new(409, "BucketNotEmpty", "The bucket you tried to delete is not empty"));
    }
    world.account_mut(&account).s3.buckets.remove(&name);
    Ok(Body::Raw(bare(StatusCode::NO_CONTENT)))
}

/// Buckets of us-east-1 have no location constraint.
pub(super) fn location(world: &World, call: &Call) -> Reply {
    let bucket = bucket(world, call)?;
    if bucket.region.as_str() == "us-east-1" {
        return Ok(document("LocationConstraint", Vec::new()));
    }
    let text = format!(
        "<LocationConstraint xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">{}</LocationConstraint>",
        bucket.region
    );
    Ok(Body::Raw(http::Response::new(text.into())))
}

pub(super) fn get_versioning(world: &World, call: &Call) -> Reply {
    let status = bucket(world, call)?.versioning.map(|versioning| match versioning {
        Versioning::Enabled => "Enabled",
        Versioning::Suspended => "Suspended",
    });
    Ok(document("VersioningConfiguration", status.into_iter().map(|status| Xml::text("Status", status)).collect()))
}

fn malformed(what: &str) -> Refusal {
    Refusal::new(400, "MalformedXML", format!("The XML you provided was not well-formed: {what}"))
}

pub(super) fn put_versioning(world: &mut World, call: &Call) -> Reply {
    let versioning = match element(call, "Status") {
        Some("Enabled") => Versioning::Enabled,
        Some("Suspended") => Versioning::Suspended,
        _ => return Err(malformed("Status must be Enabled or Suspended")),
    };
    let bucket = bucket_mut(world, call)?;
    if bucket.object_lock && versioning == Versioning::Suspended {
        let message = "An Object Lock configuration is present on this bucket, so versioning cannot be suspended.";
        return Err(Refusal::new(409, "InvalidBucketState", message));
    }
    bucket.versioning = Some(versioning);
    Ok(Body::Raw(bare(StatusCode::OK)))
}

pub(super) fn get_lock(world: &World, call: &Call) -> Reply {
    let bucket = bucket(world, call)?;
    if !bucket.object_lock {
        let message = "Object Lock configuration does not exist for this bucket";
        return Err(Refusal::new(404, "ObjectLockConfigurationNotFoundError", message));
    }
    let mut children = vec![Xml::text("ObjectLockEnabled", "Enabled")];
    if let Some((mode, days)) = bucket.default_retention {
        let default = vec![Xml::text("Mode", mode.as_str()), Xml::text("Days", days)];
        children.push(Xml::node("Rule", vec![Xml::node("DefaultRetention", default)]));
    }
    Ok(document("ObjectLockConfiguration", children))
}

pub(super) fn put_lock(world: &mut World, call: &Call) -> Reply {
    if element(call, "ObjectLockEnabled") != Some("Enabled") {
        return Err(malformed("ObjectLockEnabled must be Enabled"));
    }
    let number = |name: &str| element(call, name).map(str::parse::<i64>).transpose();
    let days = number("Days").map_err(|_| malformed("Days must be a number"))?;
    let years = number("Years").map_err(|_| malformed("Years must be a number"))?;
    let retention = match (element(call, "Mode"), days.or(years.map(|years| years.saturating_mul(365)))) {
        (Some(mode), Some(days)) if days > 0 => Some((LockMode::parse(mode)?, days)),
        (None, None) => None,
        _ => return Err(malformed("a default retention has a mode and a number of days or years")),
    };
    let bucket = bucket_mut(world, call)?;
    if bucket.versioning != Some(Versioning::Enabled) {
        let message = "Versioning must be 'Enabled' on the bucket to apply a Object Lock configuration";
        return Err(Refusal::new(409, "InvalidBucketState", message));
    }
    bucket.object_lock = true;
    bucket.default_retention = retention;
    Ok(Body::Raw(bare(StatusCode::OK)))
}
