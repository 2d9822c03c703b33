//! IAM and service control policies: read, evaluated, built, measured. Knows nothing of runbooks, runs or AWS's answers.
//!
//! The source for the decision is the IAM User Guide, "Policy evaluation logic"; for the language, "IAM JSON policy
//! elements reference".

mod build;
mod case;
mod condition;
mod context;
mod document;
mod evaluate;
mod explain;
mod pattern;
mod principal;
mod statement;
mod truth;

pub use build::{
    DENY_ALL, allow_all, deny_all, deny_all_except_roles, deny_all_of_users, deny_outsiders, revoke_older_sessions,
    size_without_white_space, until,
};
pub use case::{BadCase, Case};
pub use context::{Context, Others};
pub use document::{Document, Effect, Kind, Malformed, Statement};
pub use evaluate::{Layer, Layers, Request, Trust, Verdict, evaluate, trust};
pub use explain::{Explanation, Told, explain};
pub use truth::Truth;
