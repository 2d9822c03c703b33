//! The only integration-test binary: one link of the AWS SDK instead of many.

#[cfg(all(feature = "cloudtrail", feature = "ec2", feature = "iam", feature = "organizations", feature = "s3"))]
mod sim_core;
#[cfg(all(feature = "ec2", feature = "autoscaling"))]
mod sim_ec2;
