//! AWS through its real SDK: sessions in accounts and regions, and everything that every request passes on its way out.
//!
//! A request goes guard → budget → turn → count → time limit → HTTPS (`wire`); an answer that is an error becomes a
//! [`crate::model::ActionError`] in one place (`classify`).

mod account_session;
mod budget;
mod call;
mod classify;
mod in_flight;
mod limits;
mod pages;
#[cfg(all(feature = "iam", feature = "organizations"))]
pub mod policies;
#[cfg(feature = "iam")]
mod preflight;
mod read_only;
pub(crate) mod regions;
mod rest;
pub mod retry;
#[cfg(feature = "s3")]
pub mod s3;
mod sessions;
mod storm;
mod time;
mod wire;
mod witness;

pub use sessions::{CloudSessions, Options};
pub use witness::{Exchange, Witness, seen};
