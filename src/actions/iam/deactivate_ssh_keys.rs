//! `iam.deactivate-ssh-keys`

use aws_sdk_iam::Client;
use aws_sdk_iam::types::StatusType;

use crate::actions::credential::{Credential, Held, Prior};
use crate::actions::field::time;
use crate::model::ActionError;

/// The SSH keys of users.
pub struct SshKeys;

impl Credential for SshKeys {
    const NAME: &'static str = "iam.deactivate-ssh-keys";
    const TITLE: &'static str = "Deactivate the SSH keys of users";
    const DESCRIPTION: &'static str = "Sets every SSH public key of a user to `Inactive`. With such a key a user \
        reads and writes CodeCommit repositories, whatever happens to the access keys. It is not a key pair of EC2.\n\n\
        AWS pages: *UpdateSSHPublicKey*, *Use IAM with CodeCommit*.";
    const PERMISSIONS: &'static [&'static str] = &["iam:ListSSHPublicKeys", "iam:UpdateSSHPublicKey"];
    const EXAMPLE: &'static str = "{ id: ssh, uses: iam.deactivate-ssh-keys, on: intruder }";
    const NOUN: &'static str = "SSH key";

    async fn of_user(client: &Client, user: &str) -> Result<Vec<Held>, ActionError> {
        let mut pages = client.list_ssh_public_keys().user_name(user).into_paginator().items().send();
        let mut held = Vec::new();
        while let Some(one) = pages.next().await {
            let one = one?;
            let (status, created) = (one.status().as_str().to_owned(), time(Some(one.upload_date())));
            held.push(Held { id: one.ssh_public_key_id, prior: Prior { status, created, service: None } });
        }
        Ok(held)
    }

    async fn set(client: &Client, user: &str, id: &str, status: StatusType) -> Result<(), ActionError> {
        client.update_ssh_public_key().user_name(user).ssh_public_key_id(id).status(status).send().await?;
        Ok(())
    }
}
