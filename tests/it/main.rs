//! The only integration-test binary: one link of the AWS SDK instead of many.

mod check;
mod engine;
#[cfg(feature = "aws")]
mod runbooks;
mod toy;
mod sim_core;
