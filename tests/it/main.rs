//! The only integration-test binary: one link of the AWS SDK instead of many.

#[cfg(feature = "aws")]
mod actions;
#[cfg(feature = "aws")]
mod architecture;
#[cfg(all(feature = "ec2", feature = "iam", feature = "organizations"))]
mod budgets;
#[cfg(feature = "aws")]
mod check;
mod engine;
#[cfg(feature = "aws")]
mod runbooks;
#[cfg(all(feature = "cloudtrail", feature = "ec2", feature = "iam", feature = "organizations", feature = "s3"))]
mod sim_core;
#[cfg(all(feature = "ec2", feature = "autoscaling"))]
mod sim_ec2;
mod toy;
