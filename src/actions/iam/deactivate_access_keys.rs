//! `iam.deactivate-access-keys`

use aws_sdk_iam::Client;
use aws_sdk_iam::types::StatusType;
use futures::future::try_join_all;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::if_any;
use crate::actions::field::time;
use crate::actions::principal::Principal;
use crate::engine::action::{Action, Ctx, Decision, Found, Item, Proposal, View};
use crate::model::{ActionError, Effect, ErrorKind, Resource, ResourceId, Tier, Undo};

/// Deactivates all access keys of users.
pub struct DeactivateAccessKeys;

/// The action has no parameters.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {}

/// An access key.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Prior {
    /// `Active`, `Inactive` or `Expired`.
    pub status: String,
    /// When it was created.
    pub created: String,
}

impl Action for DeactivateAccessKeys {
    type Params = Params;
    type Prior = Prior;

    const NAME: &'static str = "iam.deactivate-access-keys";
    const TIER: Tier = Tier::Reversible;
    const KINDS: &'static [&'static str] = &["iam.user", "iam.principal"];
    const TITLE: &'static str = "Deactivate all access keys of users";
    const DESCRIPTION: &'static str = "Sets every access key of a user to `Inactive`: the one that leaked, and those that the \
        intruder may have made. Sessions that were started with a key live on: deny or revoke them as well. Nothing is \
        deleted, because the record of when a key was last used goes with it. The caller's own key, and the keys of the \
        caller's own user, are refused.\n\n\
        AWS pages: *UpdateAccessKey*, *Disabling permissions for temporary security credentials*.";
    const UNDO: &'static str = "Sets to `Active` what was active. AWS advises never to do so with a key that leaked.";
    const PERMISSIONS: &'static [&'static str] = &["iam:ListAccessKeys", "iam:UpdateAccessKey"];
    const UNDO_PERMISSIONS: &'static [&'static str] = &[];
    const EXAMPLE: &'static str = "{ id: keys, uses: iam.deactivate-access-keys, on: intruder }";

    async fn discover(&self, cx: &Ctx, _: &Params, members: &[Resource]) -> Result<Vec<Found<Prior>>, ActionError> {
        let client = super::client(cx);
        let keys = try_join_all(members.iter().map(|member| keys(&client, &member.id))).await?;
        Ok(keys.into_iter().flatten().collect())
    }

    fn plan(&self, view: &View, _: &Params, found: &Found<Prior>) -> Decision {
        if found.prior.status != "Active" {
            return Decision::Already;
        }
        let key = &found.resource;
        if view.caller.access_key.as_deref() == Some(key.as_str()) {
            return Decision::Refuse(format!("{key} is the key that quell itself works with: use another principal"));
        }
        let user = match Principal::of(&found.member) {
            Ok(user) if user.is_caller(&found.member, view) => {
                let why = format!("{key} belongs to {}, as whom quell works: use another principal", found.member);
                return Decision::Refuse(why);
            }
            Ok(Principal::User(name)) => name,
            _ => return Decision::Skip(format!("{} is not a user", found.member)),
        };
        let undo = Undo::by("activate the key again");
        let proposal = Proposal::new(format!("deactivate {key} of {user}"), "Active", "Inactive", undo);
        Decision::Change(proposal.noting("sessions started with the key live on until they are denied or revoked"))
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

async fn keys(client: &Client, user: &ResourceId) -> Result<Vec<Found<Prior>>, ActionError> {
    // A role has no keys.
    let Principal::User(name) = Principal::of(user)? else { return Ok(Vec::new()) };
    let mut pages = client.list_access_keys().user_name(name).into_paginator().items().send();
    let mut found = Vec::new();
    while let Some(key) = pages.next().await {
        let Some(key) = if_any(key.map_err(ActionError::from))? else { break };
        let Some(id) = key.access_key_id().and_then(|id| ResourceId::new(id).ok()) else { continue };
        let status = key.status().map_or("", StatusType::as_str).to_owned();
        let prior = Prior { status, created: time(key.create_date()) };
        found.push(Found { member: user.clone(), resource: id, prior });
    }
    Ok(found)
}

/// Always with the user's name: without one IAM would take the caller's.
async fn set(client: &Client, item: &Item<Prior>, status: StatusType) -> Result<(), ActionError> {
    let Principal::User(name) = Principal::of(&item.member)? else {
        return Err(ActionError::new(ErrorKind::Other, format!("{} is not a user", item.member)));
    };
    let request = client.update_access_key().user_name(name).access_key_id(item.resource.as_str());
    request.status(status).send().await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::actions::tests::view;

    fn plan(user: &str, key: &str, status: &str) -> Decision {
        let member = ResourceId::new(format!("arn:aws:iam::111122223333:user/{user}")).unwrap();
        let prior = Prior { status: status.into(), created: String::new() };
        let found = Found { member, resource: ResourceId::new(key).unwrap(), prior };
        DeactivateAccessKeys.plan(&view(), &Params {}, &found)
    }

    #[test]
    fn active_keys_are_deactivated_and_others_are_fine() {
        let Decision::Change(proposal) = plan("ops/eve", "AKIAEXAMPLE", "Active") else { panic!("no change") };
        assert_eq!(proposal.summary, "deactivate AKIAEXAMPLE of eve");
        assert_eq!(plan("eve", "AKIAEXAMPLE", "Inactive"), Decision::Already);
        assert_eq!(plan("eve", "AKIAEXAMPLE", "Expired"), Decision::Already);
    }

    #[test]
    fn the_callers_own_key_is_refused() {
        assert!(matches!(plan("eve", "ASIAEXAMPLERESPONDER", "Active"), Decision::Refuse(_)));
    }
}
