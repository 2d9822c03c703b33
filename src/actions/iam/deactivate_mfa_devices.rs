//! `iam.deactivate-mfa-devices`

use aws_sdk_iam::Client;
use futures::future::try_join_all;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::if_any;
use crate::actions::field::time;
use crate::actions::principal::Principal;
use crate::engine::action::{Action, Ctx, Decision, Found, Item, Proposal, View};
use crate::model::{ActionError, Effect, ErrorKind, Resource, ResourceId, Tier, Undo};

/// Deactivates MFA devices that were registered since a time.
pub struct DeactivateMfaDevices;

/// Since when.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// Devices that were enabled before stay: they are the owner's.
    #[schemars(with = "String")]
    pub since: Timestamp,
}

/// An MFA device.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Prior {
    /// When it was enabled for the user.
    pub enabled: Timestamp,
}

impl Action for DeactivateMfaDevices {
    type Params = Params;
    type Prior = Prior;

    const NAME: &'static str = "iam.deactivate-mfa-devices";
    const TIER: Tier = Tier::Disruptive;
    const KINDS: &'static [&'static str] = &["iam.user", "iam.principal"];
    const TITLE: &'static str = "Deactivate MFA devices that were registered since a time";
    const DESCRIPTION: &'static str = "Takes from a user the MFA devices that were enabled since the incident began. A device \
        of the intruder keeps the intruder in, where policies ask for MFA, and the owner out. Devices that are older stay. \
        Remove the password and deny the user first: without any device a password alone is enough, unless a policy asks \
        for more.\n\nAWS pages: *DeactivateMFADevice*, *Deactivate an MFA device*.";
    const UNDO: &'static str = "Not possible: whoever holds the device has to enrol it again.";
    const PERMISSIONS: &'static [&'static str] = &["iam:ListMFADevices", "iam:DeactivateMFADevice"];
    const UNDO_PERMISSIONS: &'static [&'static str] = &[];
    const EXAMPLE: &'static str =
        "{ id: mfa, uses: iam.deactivate-mfa-devices, on: intruder, with: { since: 2026-11-23T14:00:00Z } }";

    async fn discover(&self, cx: &Ctx, _: &Params, members: &[Resource]) -> Result<Vec<Found<Prior>>, ActionError> {
        let client = super::client(cx);
        let found = try_join_all(members.iter().map(|member| devices(&client, &member.id))).await?;
        Ok(found.into_iter().flatten().collect())
    }

    fn plan(&self, view: &View, params: &Params, found: &Found<Prior>) -> Decision {
        if found.prior.enabled < params.since {
            return Decision::Already;
        }
        let (user, device) = (&found.member, &found.resource);
        if Principal::of(user).is_ok_and(|principal| principal.is_caller(user, view)) {
            return Decision::Refuse(format!("{user} is whom quell works as: use another principal"));
        }
        let undo = Undo::impossible("the device: its holder has to enrol it again");
        let before = format!("enabled {}", found.prior.enabled);
        Decision::Change(Proposal::new(
            format!("deactivate the MFA device {device} of {user}"),
            before,
            "not enabled",
            undo,
        ))
    }

    async fn apply(&self, cx: &Ctx, _: &Params, items: &[Item<Prior>]) -> Result<Vec<Effect>, ActionError> {
        let client = super::client(cx);
        for item in items {
            let user = Principal::of(&item.member)?.user_name(&item.member)?;
            let request = client.deactivate_mfa_device().user_name(user).serial_number(item.resource.as_str());
            if_any(request.send().await.map_err(ActionError::from))?;
        }
        Ok(vec![Value::Null; items.len()])
    }

    async fn undo(&self, cx: &Ctx, _: &Params, item: &Item<Prior>, _: &Effect) -> Result<(), ActionError> {
        let now = devices(&super::client(cx), &item.member).await?;
        if now.iter().any(|found| found.resource == item.resource) {
            return Ok(());
        }
        let message = format!("{} is not enabled any more: its holder has to enrol it again", item.resource);
        Err(ActionError::new(ErrorKind::WrongState, message))
    }
}

/// The devices of a user; a role has none.
async fn devices(client: &Client, user: &ResourceId) -> Result<Vec<Found<Prior>>, ActionError> {
    let Principal::User(name) = Principal::of(user)? else { return Ok(Vec::new()) };
    let mut pages = client.list_mfa_devices().user_name(name).into_paginator().items().send();
    let mut found = Vec::new();
    while let Some(device) = pages.next().await {
        let Some(device) = if_any(device.map_err(ActionError::from))? else { break };
        let Ok(resource) = ResourceId::new(device.serial_number()) else { continue };
        let enabled = time(Some(device.enable_date())).parse().unwrap_or(Timestamp::UNIX_EPOCH);
        found.push(Found { member: user.clone(), resource, prior: Prior { enabled } });
    }
    Ok(found)
}
