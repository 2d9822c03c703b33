//! The only integration-test binary: one link of the AWS SDK instead of many.

#[cfg(all(feature = "account", feature = "ec2", feature = "iam", feature = "organizations"))]
mod actions;
mod architecture;
#[cfg(all(feature = "cloudtrail", feature = "ec2", feature = "iam", feature = "organizations", feature = "s3"))]
mod sim_core;
