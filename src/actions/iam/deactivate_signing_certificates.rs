//! `iam.deactivate-signing-certificates`

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

/// Deactivates the signing certificates of users.
pub struct DeactivateSigningCertificates;

/// The action has no parameters.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {}

impl Action for DeactivateSigningCertificates {
    type Params = Params;
    type Prior = Prior;

    const NAME: &'static str = "iam.deactivate-signing-certificates";
    const TIER: Tier = Tier::Reversible;
    const KINDS: &'static [&'static str] = &["iam.user", "iam.principal"];
    const TITLE: &'static str = "Deactivate the signing certificates of users";
    const DESCRIPTION: &'static str = "Sets every X.509 signing certificate of a user to `Inactive`. Such a \
        certificate signs calls to old SOAP interfaces; an intruder may upload one, for it looks like nothing that anybody \
        watches. The credential report has columns for them.\n\n\
        AWS pages: *UpdateSigningCertificate*, *Manage user signing certificates*.";
    const UNDO: &'static str = "Sets to `Active` what was active.";
    const PERMISSIONS: &'static [&'static str] = &["iam:ListSigningCertificates", "iam:UpdateSigningCertificate"];
    const UNDO_PERMISSIONS: &'static [&'static str] = &[];
    const EXAMPLE: &'static str = "{ id: certificates, uses: iam.deactivate-signing-certificates, on: intruder }";

    async fn discover(&self, cx: &Ctx, _: &Params, members: &[Resource]) -> Result<Vec<Found<Prior>>, ActionError> {
        let client = super::client(cx);
        let found = try_join_all(members.iter().map(|member| of_user(&client, &member.id))).await?;
        Ok(found.into_iter().flatten().collect())
    }

    fn plan(&self, view: &View, _: &Params, found: &Found<Prior>) -> Decision {
        credential::deactivate(view, found, "signing certificate")
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
    let mut pages = client.list_signing_certificates().user_name(name).into_paginator().items().send();
    let mut found = Vec::new();
    while let Some(next) = pages.next().await {
        let Some(held) = if_any(next.map_err(ActionError::from))? else { break };
        let (status, created) = (held.status().as_str().to_owned(), time(held.upload_date()));
        found.extend(credential::found(user, held.certificate_id(), Prior { status, created, service: None }));
    }
    Ok(found)
}

async fn set(client: &Client, item: &Item<Prior>, status: StatusType) -> Result<(), ActionError> {
    let request = client.update_signing_certificate().user_name(credential::owner(item)?);
    request.certificate_id(item.resource.as_str()).status(status).send().await?;
    Ok(())
}
