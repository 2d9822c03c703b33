//! Client tokens: the same call, sent again, makes nothing twice.

use super::Ec2;
use crate::sim::call::{Call, Refusal};

impl Ec2 {
    /// The ids of what the same call with the same token made before. Refused when the token came with other parameters.
    pub(super) fn made_before(&self, token: Option<&str>, call: &Call) -> Result<Option<&[String]>, Refusal> {
        let Some((asked, made)) = token.and_then(|token| self.client_tokens.get(&key(token, call))) else {
            return Ok(None);
        };
        if *asked == parameters(call) {
            return Ok(Some(made));
        }
        let message =
            "Arguments on this idempotent request are inconsistent with arguments used in previous request(s).";
        Err(Refusal::new(400, "IdempotentParameterMismatch", message))
    }

    /// Remembers what a call with this token has made.
    pub(super) fn remember_made(&mut self, token: Option<&str>, call: &Call, made: &[String]) {
        if let Some(token) = token.filter(|token| !token.is_empty()) {
            self.client_tokens.insert(key(token, call), (parameters(call), made.to_vec()));
        }
    }
}

/// A token belongs to its operation.
fn key(token: &str, call: &Call) -> String {
    format!("{} {token}", call.operation)
}

fn parameters(call: &Call) -> String {
    format!("{:?}", call.params)
}
