//! The simulated AWS: one core, `request → response`, with two doors: a connector for the SDK in the same process, and a
//! loopback listener for any other client.
//!
//! Every request passes: authenticate → authorise → `DryRun` → budget → latency and faults → handler → event history.
//! What the simulator does not know it refuses by name, in AWS's own error shape.

pub mod authorize;
pub mod autoscaling;
pub mod call;
pub mod cloudtrail;
pub mod ec2;
pub mod iam;
pub mod lag;
pub mod organizations;
pub mod s3;
pub mod wire;
pub mod world;
