//! quell contains a breached AWS organisation, account or identity by a declarative runbook.
//!
//! # The map
//!
//! | module | holds | may know |
//! |---|---|---|
//! | [`bounded`] | reading files and lines, never without a bound | nothing |
//! | [`model`] | plain data: runbook, plan, change, event | nothing |
//! | [`runbook`] | reading, checking, filling in runbooks | bounded, model |
//! | [`policy`] | IAM and SCP documents: read, evaluate | bounded |
//! | [`chained`] | lines bound to each other by hashes | nothing |
//! | [`journal`] | the hash-chained record of a run | bounded, chained, model |
//! | [`evidence`] | what AWS answered, kept under its hash | bounded, chained, model |
//! | [`story`] | what happened, told from evidence: timeline, verdicts | bounded, chained, model, policy, evidence |
//! | [`cost`] | what machines cost: prices, burn, what was saved | model, evidence, story |
//! | [`posture`] | checks over what a capture says | model, evidence |
//! | [`engine`] | survey, planner, state, run, lanes | the above |
//! | [`approval`] | terminal, command line | engine |
//! | [`report`] | terminal, JSON lines | engine, evidence, story, cost, posture |
//! | `cloud` | sessions, regions, read-only guard, budgets | engine |
//! | `capture` | what is asked for a capture, a file per service | cloud, evidence |
//! | `actions` | the table, a file per action | cloud, capture, evidence |
//! | `bucket` | evidence in S3, under Object Lock | cloud, evidence |
//! | [`sim`] | the simulated AWS | bounded, model, policy |
//! | `cli` | a file per command; the only one that joins all | everything |
//!
//! Imports go downwards in this table only; a test checks it.

#[cfg(feature = "aws")]
pub mod actions;
pub mod approval;
pub mod bounded;
#[cfg(feature = "s3")]
pub mod bucket;
#[cfg(feature = "aws")]
pub mod capture;
pub mod chained;
#[cfg(feature = "aws")]
pub mod cli;
#[cfg(feature = "aws")]
pub mod cloud;
pub mod cost;
pub mod engine;
pub mod evidence;
pub mod journal;
pub mod model;
pub mod policy;
pub mod posture;
pub mod report;
pub mod runbook;
pub mod sim;
pub mod story;
