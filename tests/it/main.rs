//! The only integration-test binary: one link of the AWS SDK instead of many.

mod check;
mod engine;
mod architecture;
#[cfg(all(feature = "cloudtrail", feature = "ec2", feature = "iam", feature = "organizations", feature = "s3"))]
#[cfg(feature = "aws")]
mod runbooks;
mod toy;
mod sim_core;
mod toy;
//! The only integration-test binary.
#[cfg(all(feature = "ec2", feature = "autoscaling"))]
mod sim_ec2;
