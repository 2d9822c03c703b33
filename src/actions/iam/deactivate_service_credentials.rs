//! `iam.deactivate-service-credentials`

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

/// Deactivates the service-specific credentials of users.
pub struct DeactivateServiceCredentials;

/// The action has no parameters.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {}

impl Action for DeactivateServiceCredentials {
    type Params = Params;
    type Prior = Prior;

    const NAME: &'static str = "iam.deactivate-service-credentials";
    const TIER: Tier = Tier::Reversible;
    const KINDS: &'static [&'static str] = &["iam.user", "iam.principal"];
    const TITLE: &'static str = "Deactivate the service-specific credentials of users";
    const DESCRIPTION: &'static str = "Sets every service-specific credential of a user to `Inactive`: the \
        long-term API keys of Amazon Bedrock, with which models are used at the owner's cost, and the passwords for \
        CodeCommit and Amazon Keyspaces. They are in no credential report, and outlive the access keys of their user.\n\n\
        AWS pages: *UpdateServiceSpecificCredential*, *Service-specific credentials for IAM users*, \
        *API keys for Amazon Bedrock*.";
    const UNDO: &'static str = "Sets to `Active` what was active.";
    const PERMISSIONS: &'static [&'static str] =
        &["iam:ListServiceSpecificCredentials", "iam:UpdateServiceSpecificCredential"];
    const UNDO_PERMISSIONS: &'static [&'static str] = &[];
    const EXAMPLE: &'static str = "{ id: services, uses: iam.deactivate-service-credentials, on: intruder }";

    async fn discover(&self, cx: &Ctx, _: &Params, members: &[Resource]) -> Result<Vec<Found<Prior>>, ActionError> {
        let client = super::client(cx);
        let found = try_join_all(members.iter().map(|member| of_user(&client, &member.id))).await?;
        Ok(found.into_iter().flatten().collect())
    }

    fn plan(&self, view: &View, _: &Params, found: &Found<Prior>) -> Decision {
        credential::deactivate(view, found, "credential")
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
    let (mut found, mut marker) = (Vec::new(), None);
    loop {
        let request = client.list_service_specific_credentials().user_name(name).set_marker(marker);
        let Some(page) = if_any(request.send().await.map_err(ActionError::from))? else { break };
        for held in page.service_specific_credentials() {
            let (status, created) = (held.status().as_str().to_owned(), time(Some(held.create_date())));
            let prior = Prior { status, created, service: Some(held.service_name().to_owned()) };
            found.extend(credential::found(user, held.service_specific_credential_id(), prior));
        }
        marker = page.marker.filter(|_| page.is_truncated);
        if marker.is_none() {
            break;
        }
    }
    Ok(found)
}

async fn set(client: &Client, item: &Item<Prior>, status: StatusType) -> Result<(), ActionError> {
    let request = client.update_service_specific_credential().user_name(credential::owner(item)?);
    request.service_specific_credential_id(item.resource.as_str()).status(status).send().await?;
    Ok(())
}
