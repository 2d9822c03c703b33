//! Organizations: asked by the caller's own session, because only the management account and its delegates may.

pub mod deny_all;

use aws_sdk_organizations::Client;
use aws_sdk_organizations::config::Builder;

use crate::cloud::retry;
use crate::engine::action::Ctx;

/// The client of the caller's organisation.
fn client(cx: &Ctx) -> Client {
    let config =
        Builder::from(&cx.home).retry_partition(retry::partition(&cx.target)).retry_classifier(retry::WhenBusy);
    Client::from_conf(config.build())
}
