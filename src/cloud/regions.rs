//! Which regions an account has enabled.

use aws_smithy_runtime::client::retries::RetryPartition;
use aws_types::SdkConfig;

use crate::model::{ActionError, ErrorKind, Region};

/// The regions that an account of the `aws` partition may have switched on.
pub(super) const OPT_IN: [&str; 17] = [
    "af-south-1",
    "ap-east-1",
    "ap-east-2",
    "ap-south-2",
    "ap-southeast-3",
    "ap-southeast-4",
    "ap-southeast-5",
    "ap-southeast-6",
    "ap-southeast-7",
    "ca-west-1",
    "eu-central-2",
    "eu-south-1",
    "eu-south-2",
    "il-central-1",
    "me-central-1",
    "me-south-1",
    "mx-central-1",
];

/// The region where a partition keeps what it has only once: IAM, Organizations.
pub(super) fn home(partition: &str) -> &'static str {
    match partition {
        "aws-cn" => "cn-north-1",
        "aws-us-gov" => "us-gov-west-1",
        "aws-eusc" => "eusc-de-east-1",
        "aws-iso" => "us-iso-east-1",
        "aws-iso-b" => "us-isob-east-1",
        _ => "us-east-1",
    }
}

/// The partition that a region belongs to, by its name.
pub(super) fn partition_of(region: &str) -> &'static str {
    const BY_PREFIX: [(&str, &str); 5] = [
        ("cn-", "aws-cn"),
        ("us-gov-", "aws-us-gov"),
        ("eusc-", "aws-eusc"),
        ("us-isob-", "aws-iso-b"),
        ("us-iso-", "aws-iso"),
    ];
    BY_PREFIX.iter().find(|(prefix, _)| region.starts_with(prefix)).map_or("aws", |(_, partition)| partition)
}

/// A region, and whether the account has it: `Err` says what its state is.
pub(crate) type Listed = Vec<(Region, Result<(), ActionError>)>;

/// Asks the account itself: Account Management first, EC2 when that is not to be had.
pub(crate) async fn of(sdk: &SdkConfig, partition: RetryPartition) -> Result<Listed, ActionError> {
    match by_account(sdk, partition.clone()).await {
        Ok(listed) if !listed.is_empty() => Ok(listed),
        _ => by_ec2(sdk, partition).await,
    }
}

/// What quell says of a region that is switched off.
fn disabled(region: &str, state: &str) -> ActionError {
    ActionError::new(ErrorKind::Disabled, format!("{region} is {state} for the account; what runs there still runs"))
}

#[cfg(feature = "account")]
async fn by_account(sdk: &SdkConfig, partition: RetryPartition) -> Result<Listed, ActionError> {
    use aws_sdk_account::types::RegionOptStatus as Status;

    let config = aws_sdk_account::config::Builder::from(sdk)
        .retry_partition(partition)
        .retry_classifier(super::retry::WhenBusy)
        .build();
    let mut regions =
        aws_sdk_account::Client::from_conf(config).list_regions().max_results(50).into_paginator().items().send();
    let mut listed = Vec::new();
    while let Some(region) = regions.next().await {
        let region = region?;
        let Some(name) = region.region_name().and_then(|name| Region::new(name).ok()) else { continue };
        let status = match region.region_opt_status() {
            Some(Status::Enabled | Status::EnabledByDefault | Status::Disabling) => Ok(()),
            status => Err(disabled(name.as_str(), status.map_or("disabled", Status::as_str))),
        };
        listed.push((name, status));
    }
    Ok(listed)
}

#[cfg(not(feature = "account"))]
async fn by_account(_: &SdkConfig, _: RetryPartition) -> Result<Listed, ActionError> {
    Ok(Vec::new())
}

#[cfg(feature = "ec2")]
async fn by_ec2(sdk: &SdkConfig, partition: RetryPartition) -> Result<Listed, ActionError> {
    let config = aws_sdk_ec2::config::Builder::from(sdk)
        .retry_partition(partition)
        .retry_classifier(super::retry::WhenBusy)
        .build();
    let answer = aws_sdk_ec2::Client::from_conf(config).describe_regions().all_regions(true).send().await?;
    let listed = answer.regions().iter().filter_map(|region| {
        let name = Region::new(region.region_name()?).ok()?;
        let status = match region.opt_in_status() {
            Some(status @ "not-opted-in") => Err(disabled(name.as_str(), status)),
            _ => Ok(()),
        };
        Some((name, status))
    });
    Ok(listed.collect())
}

#[cfg(not(feature = "ec2"))]
async fn by_ec2(_: &SdkConfig, _: RetryPartition) -> Result<Listed, ActionError> {
    Err(ActionError::new(ErrorKind::Unsupported, "this quell was built without EC2 and cannot list regions"))
}
