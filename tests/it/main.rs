//! The only integration-test binary: one link of the AWS SDK instead of many.

mod architecture;
mod check;
mod engine;
#[cfg(feature = "aws")]
mod independent;
#[cfg(feature = "aws")]
mod python;
mod runbooks;
mod sim_core;
mod toy;
