//! What is done to an account as a whole.

pub mod capture;
