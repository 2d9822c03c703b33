//! S3: the buckets of an account and how each is set up. No object is read.

use aws_sdk_s3::Client;
use aws_sdk_s3::operation::list_buckets::ListBucketsOutput;
use futures::stream::{self, StreamExt as _};

use super::questions::Questions;
use crate::cloud::s3;
use crate::engine::action::Ctx;

/// How many buckets are asked about at once.
const SIDE_BY_SIDE: usize = 8;

/// Asks.
pub(super) async fn ask(cx: &Ctx, questions: &Questions) {
    let home = s3::client(cx, None);
    let pages = questions.all("s3:ListBuckets", home.list_buckets().into_paginator().send()).await;
    let names = pages.iter().flat_map(ListBucketsOutput::buckets).filter_map(|bucket| bucket.name().map(str::to_owned));
    let names = names.collect::<Vec<_>>();
    stream::iter(names).for_each_concurrent(SIDE_BY_SIDE, |name| bucket(cx, &home, questions, name)).await;
}

async fn bucket(cx: &Ctx, home: &Client, questions: &Questions, name: String) {
    let location = questions.one("s3:GetBucketLocation", home.get_bucket_location().bucket(&name).send()).await;
    let region = location.map(|location| s3::region(location.location_constraint));
    let client = s3::client(cx, region);
    futures::join!(
        questions.one("s3:GetBucketPolicy", client.get_bucket_policy().bucket(&name).send()),
        questions.one("s3:GetBucketPolicyStatus", client.get_bucket_policy_status().bucket(&name).send()),
        questions.one("s3:GetPublicAccessBlock", client.get_public_access_block().bucket(&name).send()),
        questions.one("s3:GetBucketAcl", client.get_bucket_acl().bucket(&name).send()),
        questions.one("s3:GetBucketVersioning", client.get_bucket_versioning().bucket(&name).send()),
        questions.one("s3:GetBucketEncryption", client.get_bucket_encryption().bucket(&name).send()),
        questions.one("s3:GetObjectLockConfiguration", client.get_object_lock_configuration().bucket(&name).send()),
    );
}
