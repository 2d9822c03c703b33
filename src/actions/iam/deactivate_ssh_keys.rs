//! `iam.deactivate-ssh-keys`

use aws_sdk_iam::Client;
use aws_sdk_iam::types::StatusType;
use futures::future::try_join_all;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::if_any;
use crate::actions::credential::{self, Prior};
use crate::actions::field::time;
use crate::actions::principal::Principal;
use crate::engine::action::{Action, Ctx, Decision, Found, Item, View};
use crate::model::{ActionError, Effect, Resource, ResourceId, Tier};

/// Deactivates the SSH keys of users.
pub struct DeactivateSshKeys;

/// The action has no parameters.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {}

impl Action for DeactivateSshKeys {
    type Params = Params;
    type Prior = Prior;

    const NAME: &'static str = "iam.deactivate-ssh-keys";
    const TIER: Tier = Tier::Reversible;
    const KINDS: &'static [&'static str] = &["iam.user", "iam.principal"];
    const TITLE: &'static str = "Deactivate the SSH keys of users";
    const DESCRIPTION: &'static str = "Sets every SSH public key of a user to `Inactive`. With such a key a user \
        reads and writes CodeCommit repositories, whatever happens to the access keys. It is not a key pair of EC2.\n\n\
        AWS pages: *UpdateSSHPublicKey*, *Use IAM with CodeCommit*.";
    const UNDO: &'static str = "Sets to `Active` what was active.";
    const PERMISSIONS: &'static [&'static str] = &["iam:ListSSHPublicKeys", "iam:UpdateSSHPublicKey"];
    const UNDO_PERMISSIONS: &'static [&'static str] = &[];
    const EXAMPLE: &'static str = "{ id: ssh, uses: iam.deactivate-ssh-keys, on: intruder }";

    async fn discover(&self, cx: &Ctx, _: &Params, members: &[Resource]) -> Result<Vec<Found<Prior>>, ActionError> {
        let client = super::client(cx);
        let found = try_join_all(members.iter().map(|member| of_user(&client, &member.id))).await?;
        Ok(found.into_iter().flatten().collect())
    }

    fn plan(&self, view: &View, _: &Params, found: &Found<Prior>) -> Decision {
        credential::deactivate(view, found, "SSH key")
    }

    async fn apply(&self, cx: &Ctx, _: &Params, items: &[Item<Prior>]) -> Result<Vec<Effect>, ActionError> {
        let client = super::client(cx);
        for item in items {
            set(&client, item, StatusType::Inactive).await?;
        }
        Ok(vec![Value::Null; items.len()])
    }

    async fn undo(&self, cx: &Ctx, _: &Params, item: &Item<Prior>, _: &Effect) -> Result<(), ActionError> {
        if item.prior.status != "Active" {
            return Ok(());
        }
        if_any(set(&super::client(cx), item, StatusType::Active).await).map(drop)
    }
}

/// Those of a user; a role has none.
async fn of_user(client: &Client, user: &ResourceId) -> Result<Vec<Found<Prior>>, ActionError> {
    let Principal::User(name) = Principal::of(user)? else { return Ok(Vec::new()) };
    let mut pages = client.list_ssh_public_keys().user_name(name).into_paginator().items().send();
    let mut found = Vec::new();
    while let Some(next) = pages.next().await {
        let Some(held) = if_any(next.map_err(ActionError::from))? else { break };
        let (status, created) = (held.status().as_str().to_owned(), time(Some(held.upload_date())));
        found.extend(credential::found(user, held.ssh_public_key_id(), Prior { status, created, service: None }));
    }
    Ok(found)
}

async fn set(client: &Client, item: &Item<Prior>, status: StatusType) -> Result<(), ActionError> {
    let request = client.update_ssh_public_key().user_name(credential::owner(item)?);
    request.ssh_public_key_id(item.resource.as_str()).status(status).send().await?;
    Ok(())
}
