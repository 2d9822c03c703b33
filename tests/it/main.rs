//! The only integration-test binary.

#[cfg(feature = "aws")]
mod independent;
#[cfg(feature = "aws")]
mod python;
