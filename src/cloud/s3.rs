//! S3: a client for a bucket, where the bucket is.

use aws_sdk_s3::Client;
use aws_sdk_s3::config::{Builder, Region};
use aws_sdk_s3::types::BucketLocationConstraint;

use super::retry;
use crate::engine::action::Ctx;

/// A client for buckets of a region; without one, of the caller's own. Buckets are addressed by path, as their names may have
/// dots, and no certificate covers those.
pub fn client(cx: &Ctx, region: Option<String>) -> Client {
    let mut config = Builder::from(&cx.sdk)
        .retry_partition(retry::partition(&cx.target))
        .retry_classifier(retry::WhenBusy)
        .force_path_style(true);
    if let Some(region) = region {
        config = config.region(Region::new(region));
    }
    Client::from_conf(config.build())
}

/// The region that GetBucketLocation names: us-east-1 has no name there, and `EU` is what eu-west-1 was called once
/// (GetBucketLocation, `LocationConstraint`).
pub fn region(location: Option<BucketLocationConstraint>) -> String {
    match location.as_ref().map_or("", BucketLocationConstraint::as_str) {
        "" => "us-east-1",
        "EU" => "eu-west-1",
        region => region,
    }
    .to_owned()
}
