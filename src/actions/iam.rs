//! IAM: what its actions and sources share.

pub mod close_trust;
pub mod deactivate_access_keys;
pub mod deactivate_mfa_devices;
pub mod deactivate_service_credentials;
pub mod deactivate_signing_certificates;
pub mod deactivate_ssh_keys;
pub mod delete_root_credentials;
pub mod deny_all;
pub mod identity_providers;
pub mod owner_of_key;
pub mod policy_versions;
pub mod remove_identity_providers;
pub mod remove_login_profile;
pub mod restore_policy_version;
pub mod revoke_sessions;
pub mod roles;
pub mod root_credentials;
#[cfg(feature = "cloudtrail")]
pub mod sessions_of_key;
pub mod trusts;
pub mod users;

use std::collections::BTreeMap;

use aws_sdk_iam::Client;
use aws_sdk_iam::config::Builder;
use aws_sdk_iam::types::Tag;

use crate::cloud::retry;
use crate::engine::action::Ctx;
use crate::model::{ActionError, ErrorKind};

/// The client of an account.
pub(super) fn client(cx: &Ctx) -> Client {
    let config = Builder::from(&cx.sdk).retry_partition(retry::partition(&cx.target)).retry_classifier(retry::WhenBusy);
    Client::from_conf(config.build())
}

fn tags(tags: &[Tag]) -> BTreeMap<String, String> {
    tags.iter().map(|tag| (tag.key().to_owned(), tag.value().to_owned())).collect()
}

/// `None` for what does not exist.
pub(super) fn if_any<T>(result: Result<T, ActionError>) -> Result<Option<T>, ActionError> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
