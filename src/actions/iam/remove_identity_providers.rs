//! `iam.remove-identity-providers`

use aws_sdk_iam::types::{AssertionEncryptionModeType, Tag};
use futures::future::{try_join, try_join_all};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::identity_providers::{Saved, Speaks, is_saml, name, provider, trusting};
use super::if_any;
use crate::actions::principal::Principal;
use crate::engine::action::{Action, Ctx, Decision, Found, Item, Proposal, View};
use crate::model::{ActionError, Effect, ErrorKind, Resource, ResourceId, Tier, Undo};

/// Removes SAML and OpenID Connect providers.
pub struct RemoveIdentityProviders;

/// The action has no parameters.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {}

/// A provider.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Prior {
    /// All that it takes to make it again; `None` where it is gone.
    pub saved: Option<Saved>,
    /// The roles whose trust policies name it.
    pub trusted_by: Vec<String>,
}

impl Action for RemoveIdentityProviders {
    type Params = Params;
    type Prior = Prior;

    const NAME: &'static str = "iam.remove-identity-providers";
    const TIER: Tier = Tier::Disruptive;
    const KINDS: &'static [&'static str] = &["iam.identity-provider"];
    const TITLE: &'static str = "Remove SAML and OpenID Connect providers, saved whole";
    const DESCRIPTION: &'static str = "Deletes an identity provider that an intruder made or took over. From then on nobody can \
        enter any role by it: neither the roles whose trust policies name it, which are listed in the plan, nor those that \
        would name it later. The trust policies stay as they are. The metadata document, audiences, thumbprints and tags are \
        kept in the plan and the journal. Sessions that were started live on: revoke those of the roles that trust it, \
        afterwards. A provider with private keys for encrypted assertions is skipped, because AWS gives those keys to nobody: \
        take it out of the roles' trust policies instead (iam.close-trust).\n\n\
        AWS pages: *DeleteSAMLProvider*, *DeleteOpenIDConnectProvider*, *Identity providers and federation*.";
    const UNDO: &'static str = "Makes it again, under the same ARN, so that trust policies mean it again. It has a new creation \
        date, and a SAML provider a new UUID. One that somebody made anew since is left alone.";
    const PERMISSIONS: &'static [&'static str] = &[
        "iam:GetSAMLProvider",
        "iam:GetOpenIDConnectProvider",
        "iam:GetAccountAuthorizationDetails",
        "iam:DeleteSAMLProvider",
        "iam:DeleteOpenIDConnectProvider",
    ];
    const UNDO_PERMISSIONS: &'static [&'static str] = &[
        "iam:CreateSAMLProvider",
        "iam:CreateOpenIDConnectProvider",
        "iam:TagSAMLProvider",
        "iam:TagOpenIDConnectProvider",
    ];
    const EXAMPLE: &'static str = "{ id: providers, uses: iam.remove-identity-providers, on: providers }";

    async fn discover(&self, cx: &Ctx, _: &Params, members: &[Resource]) -> Result<Vec<Found<Prior>>, ActionError> {
        let client = super::client(cx);
        let found = try_join_all(members.iter().map(|member| provider(&client, member.id.as_str())));
        let (found, roles) = try_join(Box::pin(found), Box::pin(trusting(&client, cx))).await?;
        let found = members.iter().zip(found).map(|(member, found)| {
            let trusted_by = roles.get(member.id.as_str()).cloned().unwrap_or_default();
            let prior = Prior { saved: found.map(|found| found.saved), trusted_by };
            Found { member: member.id.clone(), resource: member.id.clone(), prior }
        });
        Ok(found.collect())
    }

    fn plan(&self, view: &View, _: &Params, found: &Found<Prior>) -> Decision {
        let Some(saved) = &found.prior.saved else { return Decision::Already };
        let arn = &found.resource;
        let roles = &found.prior.trusted_by;
        let own = |role: &&String| {
            let id = ResourceId::new(role.as_str());
            id.is_ok_and(|id| Principal::of(&id).is_ok_and(|principal| principal.is_caller(&id, view)))
        };
        if let Some(role) = roles.iter().find(own) {
            return Decision::Refuse(format!("{arn} lets into {role}, as which quell works: use another principal"));
        }
        if let Speaks::Saml { private_keys, .. } = &saved.speaks
            && !private_keys.is_empty()
        {
            let why = "it has private keys, which AWS gives to nobody, so it could not be made again: take it out of the \
                       trust policies of its roles (iam.close-trust)";
            return Decision::Skip(why.to_owned());
        }
        let trusted = match roles.len() {
            0 => "no role trusts it".to_owned(),
            _ => format!("trusted by {}", roles.join(", ")),
        };
        let kind = if is_saml(arn.as_str()) { "SAML" } else { "OpenID Connect" };
        let summary = format!("remove the {kind} provider {}", name(arn.as_str()));
        let undo = Undo::by("make it again from what is saved");
        let proposal = Proposal::new(summary, "lets in whom it names", "gone", undo).noting(trusted);
        Decision::Change(proposal.noting("sessions that were started by it live on until they are revoked"))
    }

    /// Whom it is trusted by is another step's.
    fn drift(&self, approved: &Prior, now: &Prior) -> Option<String> {
        (approved.saved != now.saved).then(|| "its settings are not the approved ones any more".to_owned())
    }

    async fn apply(&self, cx: &Ctx, _: &Params, items: &[Item<Prior>]) -> Result<Vec<Effect>, ActionError> {
        let client = super::client(cx);
        for item in items {
            let arn = item.resource.as_str();
            let answer = if is_saml(arn) {
                let request = client.delete_saml_provider().saml_provider_arn(arn);
                request.send().await.map(drop).map_err(ActionError::from)
            } else {
                let request = client.delete_open_id_connect_provider().open_id_connect_provider_arn(arn);
                request.send().await.map(drop).map_err(ActionError::from)
            };
            if_any(answer)?;
        }
        Ok(vec![Value::Null; items.len()])
    }

    async fn undo(&self, cx: &Ctx, _: &Params, item: &Item<Prior>, _: &Effect) -> Result<(), ActionError> {
        let Some(saved) = &item.prior.saved else { return Ok(()) };
        let (client, arn) = (super::client(cx), item.resource.as_str());
        match provider(&client, arn).await? {
            Some(now) if now.saved == *saved => return Ok(()),
            Some(_) => {
                let message = format!("{arn} was made again by somebody, with other settings: it is left as it is");
                return Err(ActionError::new(ErrorKind::WrongState, message));
            }
            None => {}
        }
        let tags = saved.tags.iter().map(|(key, value)| Tag::builder().key(key).value(value).build());
        let tags = tags.collect::<Result<Vec<Tag>, _>>();
        let tags = tags.map_err(|error| ActionError::new(ErrorKind::Other, error.to_string()))?;
        let tags = Some(tags).filter(|tags| !tags.is_empty());
        match &saved.speaks {
            Speaks::Saml { metadata, encryption, .. } => {
                let mode = encryption.as_deref().map(AssertionEncryptionModeType::from);
                let request = client.create_saml_provider().name(name(arn)).saml_metadata_document(metadata);
                request.set_assertion_encryption_mode(mode).set_tags(tags).send().await?;
            }
            Speaks::Oidc { url, clients, thumbprints } => {
                let request = client.create_open_id_connect_provider().url(format!("https://{url}"));
                let request = request.set_client_id_list(Some(clients.clone())).set_tags(tags);
                request.set_thumbprint_list(Some(thumbprints.clone())).send().await?;
            }
        }
        Ok(())
    }
}
