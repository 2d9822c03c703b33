//! IAM and service control policies: read, evaluated, built, measured. Knows nothing of the rest of quell.
//!
//! The source for the decision is the IAM User Guide, "Policy evaluation logic"; for the language, "IAM JSON policy
//! elements reference".

mod build;
mod condition;
mod context;
mod document;
mod evaluate;
mod pattern;

pub use build::{
    DENY_ALL, allow_all, deny_all, deny_all_except_roles, revoke_older_sessions, size_without_white_space,
};
pub use context::Context;
pub use document::{Document, Effect, Kind, Malformed, Statement};
pub use evaluate::{Layer, Layers, Request, Trust, Verdict, evaluate, trust};
