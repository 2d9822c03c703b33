//! The commands, a file each.

pub mod actions;
pub mod check;
pub mod policy;
pub mod schema;
