//! The identity store of IAM Identity Center: who is in which group.

pub mod memberships;
pub mod remove_memberships;
