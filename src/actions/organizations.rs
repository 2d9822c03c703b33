//! Organizations: asked by the caller's own session, because only the management account and its delegates may.

pub mod deny_all;
pub mod deny_outsiders;
pub mod move_account;

use aws_sdk_organizations::Client;
use aws_sdk_organizations::config::Builder;

use crate::cloud::retry;
use crate::engine::action::Ctx;
use crate::model::Target;

/// The client of the caller's organisation.
pub(super) fn client(cx: &Ctx) -> Client {
    let caller = Target::global(cx.view.caller.account.clone());
    let config = Builder::from(&cx.home).retry_partition(retry::partition(&caller)).retry_classifier(retry::WhenBusy);
    Client::from_conf(config.build())
}
