//! The only integration-test binary: one link of the AWS SDK instead of many.

mod architecture;
