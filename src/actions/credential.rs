//! Credentials of users that IAM can switch off and on again: one action for each kind of them.

use std::future::Future;

use aws_sdk_iam::Client;
use aws_sdk_iam::types::StatusType;
use futures::future::try_join_all;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::iam::{client, if_any};
use super::principal::Principal;
use crate::engine::action::{Action, Ctx, Decision, Found, Item, Proposal, View};
use crate::model::{ActionError, Effect, Resource, ResourceId, Tier, Undo};

/// A kind of credentials: how it is described, listed and switched.
pub(super) trait Credential: Send + Sync + 'static {
    /// As [`Action::NAME`].
    const NAME: &'static str;
    /// As [`Action::TITLE`].
    const TITLE: &'static str;
    /// As [`Action::DESCRIPTION`].
    const DESCRIPTION: &'static str;
    /// As [`Action::UNDO`].
    const UNDO: &'static str = "Sets to `Active` what was active.";
    /// What lists them, and what switches them.
    const PERMISSIONS: &'static [&'static str];
    /// As [`Action::EXAMPLE`].
    const EXAMPLE: &'static str;
    /// What stands before the id of one, where the id does not say it.
    const NOUN: &'static str;
    /// What the approver should know.
    const NOTE: Option<&'static str> = None;

    /// Those of a user.
    fn of_user(client: &Client, user: &str) -> impl Future<Output = Result<Vec<Held>, ActionError>> + Send;

    /// Switches one. Always with the user's name: without one IAM would take the caller's.
    fn set(
        client: &Client,
        user: &str,
        id: &str,
        status: StatusType,
    ) -> impl Future<Output = Result<(), ActionError>> + Send;
}

/// A credential that a user holds.
pub(super) struct Held {
    pub id: String,
    pub prior: Prior,
}

/// The state of a credential.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Prior {
    /// `Active`, `Inactive` or `Expired`.
    pub status: String,
    /// When it was made.
    pub created: String,
    /// What it is for, where credentials differ in that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
}

/// The action has no parameters.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {}

/// Deactivates all credentials of a kind.
pub(super) struct Deactivate<C>(pub C);

impl<C: Credential> Action for Deactivate<C> {
    type Params = Params;
    type Prior = Prior;

    const NAME: &'static str = C::NAME;
    const TIER: Tier = Tier::Reversible;
    const KINDS: &'static [&'static str] = &["iam.user", "iam.principal"];
    const TITLE: &'static str = C::TITLE;
    const DESCRIPTION: &'static str = C::DESCRIPTION;
    const UNDO: &'static str = C::UNDO;
    const PERMISSIONS: &'static [&'static str] = C::PERMISSIONS;
    const UNDO_PERMISSIONS: &'static [&'static str] = &[];
    const EXAMPLE: &'static str = C::EXAMPLE;

    async fn discover(&self, cx: &Ctx, _: &Params, members: &[Resource]) -> Result<Vec<Found<Prior>>, ActionError> {
        let client = client(cx);
        let found = try_join_all(members.iter().map(|member| found::<C>(&client, &member.id))).await?;
        Ok(found.into_iter().flatten().collect())
    }

    fn plan(&self, view: &View, _: &Params, found: &Found<Prior>) -> Decision {
        if found.prior.status != "Active" {
            return Decision::Already;
        }
        let id = &found.resource;
        if view.caller.access_key.as_deref() == Some(id.as_str()) {
            return Decision::Refuse(format!("{id} is the key that quell itself works with: use another principal"));
        }
        let user = match Principal::of(&found.member) {
            Ok(user) if user.is_caller(&found.member, view) => {
                let why = format!("{id} belongs to {}, as whom quell works: use another principal", found.member);
                return Decision::Refuse(why);
            }
            Ok(Principal::User(name)) => name,
            _ => return Decision::Skip(format!("{} is not a user", found.member)),
        };
        let service = found.prior.service.as_ref().map(|service| format!(" for {service}")).unwrap_or_default();
        let noun = if C::NOUN.is_empty() { String::new() } else { format!("the {} ", C::NOUN) };
        let summary = format!("deactivate {noun}{id}{service} of {user}");
        let proposal = Proposal::new(summary, "Active", "Inactive", Undo::by("activate it again"));
        Decision::Change(C::NOTE.into_iter().fold(proposal, Proposal::noting))
    }

    async fn apply(&self, cx: &Ctx, _: &Params, items: &[Item<Prior>]) -> Result<Vec<Effect>, ActionError> {
        let client = client(cx);
        for item in items {
            set::<C>(&client, item, StatusType::Inactive).await?;
        }
        Ok(vec![Value::Null; items.len()])
    }

    async fn undo(&self, cx: &Ctx, _: &Params, item: &Item<Prior>, _: &Effect) -> Result<(), ActionError> {
        if item.prior.status != "Active" {
            return Ok(());
        }
        if_any(set::<C>(&client(cx), item, StatusType::Active).await).map(drop)
    }
}

/// Those of a member; a role, or a user that is gone, has none.
async fn found<C: Credential>(client: &Client, member: &ResourceId) -> Result<Vec<Found<Prior>>, ActionError> {
    let Principal::User(name) = Principal::of(member)? else { return Ok(Vec::new()) };
    let held = if_any(C::of_user(client, name).await)?.unwrap_or_default();
    let found = |held: Held| {
        let resource = ResourceId::new(held.id).ok()?;
        Some(Found { member: member.clone(), resource, prior: held.prior })
    };
    Ok(held.into_iter().filter_map(found).collect())
}

async fn set<C: Credential>(client: &Client, item: &Item<Prior>, status: StatusType) -> Result<(), ActionError> {
    let user = Principal::of(&item.member)?.user_name(&item.member)?;
    C::set(client, user, item.resource.as_str(), status).await
}
