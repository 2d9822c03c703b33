//! The only integration-test binary: one link of the AWS SDK instead of many.

#[cfg(feature = "aws")]
mod actions;
#[cfg(feature = "aws")]
mod architecture;
#[cfg(all(feature = "ec2", feature = "iam", feature = "organizations"))]
mod bad_input;
#[cfg(feature = "aws")]
mod binary;
#[cfg(feature = "aws")]
mod check;
#[cfg(all(feature = "ec2", feature = "iam"))]
mod drift;
#[cfg(feature = "aws")]
mod drill;
mod engine;
#[cfg(all(unix, feature = "ec2", feature = "iam"))]
mod interrupt;
#[cfg(feature = "aws")]
mod independent;
#[cfg(feature = "aws")]
mod one_region;
#[cfg(feature = "aws")]
mod python;
mod runbooks;
#[cfg(all(feature = "ec2", feature = "iam"))]
mod secrets;
#[cfg(all(feature = "cloudtrail", feature = "ec2", feature = "iam", feature = "organizations", feature = "s3"))]
mod sim_core;
#[cfg(all(feature = "ec2", feature = "autoscaling"))]
mod sim_ec2;
#[cfg(all(feature = "ec2", feature = "iam", feature = "organizations"))]
mod site;
#[cfg(all(feature = "iam", feature = "organizations"))]
mod sim_iam;
mod toy;
