//! Whether a bucket keeps evidence as evidence.

use aws_sdk_s3::types::{BucketVersioningStatus, ObjectLockEnabled};

use super::{Bucket, BucketError, failed};
use crate::model::{ActionError, ErrorKind};

/// Refuses a bucket that keeps no versions, that cannot lock them, or that the public may reach.
///
/// AWS page: *Object Lock considerations*.
///
/// # Errors
/// With everything that it lacks, or when it may not be looked at.
pub async fn check(bucket: &Bucket) -> Result<(), BucketError> {
    let Bucket { client, address, owner } = bucket;
    let (name, owner) = (&address.bucket, owner.as_str());
    let (locks, block, policy) = futures::join!(
        client.get_object_lock_configuration().bucket(name).expected_bucket_owner(owner).send(),
        client.get_public_access_block().bucket(name).expected_bucket_owner(owner).send(),
        client.get_bucket_policy_status().bucket(name).expected_bucket_owner(owner).send(),
    );
    let mut why = Vec::new();
    let locks = unless_absent(locks.map_err(Into::into)).map_err(failed("cannot see whether it has Object Lock"))?;
    let locks = locks.and_then(|locks| locks.object_lock_configuration?.object_lock_enabled);
    // With Object Lock a bucket keeps versions, and cannot stop to.
    if locks != Some(ObjectLockEnabled::Enabled) {
        why.push("it has no Object Lock (enable it; buckets that are there already can have it too)".to_owned());
        match client.get_bucket_versioning().bucket(name).expected_bucket_owner(owner).send().await {
            Ok(versioning) if versioning.status() == Some(&BucketVersioningStatus::Enabled) => {}
            Ok(_) => why.push("it does not keep versions (enable versioning)".to_owned()),
            Err(error) => {
                why.push(format!("whether it keeps versions cannot be seen: {}", ActionError::from(error).message));
            }
        }
    }
    let block =
        unless_absent(block.map_err(Into::into)).map_err(failed("cannot see whether public access is blocked"))?;
    let block = block.and_then(|block| block.public_access_block_configuration);
    let is_blocked = block.is_some_and(|block| {
        let all = [
            block.block_public_acls,
            block.ignore_public_acls,
            block.block_public_policy,
            block.restrict_public_buckets,
        ];
        all.iter().all(|blocked| *blocked == Some(true))
    });
    if !is_blocked {
        why.push("public access is not blocked (all four settings of Block Public Access)".to_owned());
    }
    let policy =
        unless_absent(policy.map_err(Into::into)).map_err(failed("cannot see whether its policy is public"))?;
    if policy.and_then(|status| status.policy_status?.is_public) == Some(true) {
        why.push("its policy lets the public in".to_owned());
    }
    if why.is_empty() { Ok(()) } else { Err(BucketError::Unfit { bucket: name.clone(), why }) }
}

/// What there is, or nothing where AWS says that there is no such thing.
fn unless_absent<T>(answer: Result<T, ActionError>) -> Result<Option<T>, ActionError> {
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(error) if error.kind == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
