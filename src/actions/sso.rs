//! IAM Identity Center's administration: assignments to accounts.

pub mod assignments;
pub mod remove_assignments;
