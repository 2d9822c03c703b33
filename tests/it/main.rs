//! The only integration-test binary.

#[cfg(all(feature = "ec2", feature = "autoscaling"))]
mod sim_ec2;
