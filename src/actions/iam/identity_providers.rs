//! `iam.identity-providers`: whom roles may let in by federation.

use std::collections::BTreeMap;

use aws_sdk_iam::Client;
use aws_sdk_iam::types::EntityType;
use futures::future::{try_join, try_join_all};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::if_any;
use crate::actions::baseline::{self, Baseline, Of, differs};
use crate::actions::creator::Creators;
use crate::actions::field::{field, resource, time};
use crate::actions::principal::decoded;
use crate::actions::trust::outsiders;
use crate::engine::action::{Ctx, Source, Wanted};
use crate::model::{ActionError, FieldType, KindSpec, Resource, Scope};

/// Lists SAML and OpenID Connect providers.
pub struct IdentityProviders;

/// What to compare with.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// A file with what `aws iam list-saml-providers` and `aws iam list-open-id-connect-providers` printed before the incident. Then only what is not in it, or differs, is a member.
    #[serde(default)]
    pub baseline: Option<String>,
}

/// `iam.identity-provider`; a member's id is its ARN.
pub static KIND: KindSpec = KindSpec {
    name: "iam.identity-provider",
    scope: Scope::Global,
    fields: &[
        field("name", FieldType::Text, "its name: of an OpenID Connect provider its address without https://"),
        field("arn", FieldType::Text, "its ARN"),
        field("type", FieldType::Text, "saml or oidc"),
        field("created", FieldType::Timestamp, "when it was created"),
        field("clients", FieldType::TextList, "the audiences of an OpenID Connect provider"),
        field("trusted_by", FieldType::TextList, "the ARNs of the roles whose trust policies name it"),
        field("tags", FieldType::TextMap, "its tags"),
        field(
            "changed_by",
            FieldType::Text,
            "who created it or replaced its document last, by ARN, where the event history says so",
        ),
        field("differs", FieldType::TextList, "with a baseline: new"),
    ],
};

impl Source for IdentityProviders {
    type Params = Params;

    const NAME: &'static str = "iam.identity-providers";
    const KIND: &'static KindSpec = &KIND;
    const TITLE: &'static str = "The SAML and OpenID Connect providers of an account";
    const PERMISSIONS: &'static [&'static str] = &[
        "iam:ListSAMLProviders",
        "iam:ListOpenIDConnectProviders",
        "iam:GetSAMLProvider",
        "iam:GetOpenIDConnectProvider",
        "iam:GetAccountAuthorizationDetails",
        "cloudtrail:LookupEvents",
    ];

    async fn list(&self, cx: &Ctx, params: &Params, wanted: &Wanted<'_>) -> Result<Vec<Resource>, ActionError> {
        let client = super::client(cx);
        let baseline = Baseline::of(params.baseline.as_deref(), Of::Provider, cx).await?;
        let events = [
            ("CreateSAMLProvider", "name"),
            ("UpdateSAMLProvider", "sAMLProviderArn"),
            ("CreateOpenIDConnectProvider", "url"),
        ];
        let changed_by = Creators::wanted(cx, wanted, "changed_by", &events).await?;
        let (arns, roles) = try_join(Box::pin(arns(&client)), Box::pin(trusting(&client, cx))).await?;
        let found = try_join_all(arns.iter().map(|arn| provider(&client, arn))).await?;
        let none = Vec::new();
        let member = |(arn, found): (&String, Option<Provider>)| {
            let Provider { saved, created } = found?;
            let differs = differs(baseline.as_ref(), Of::Provider, arn, baseline::provider)?;
            let (speaks, clients) = match &saved.speaks {
                Speaks::Saml { .. } => ("saml", &[][..]),
                Speaks::Oidc { clients, .. } => ("oidc", clients.as_slice()),
            };
            let fields = json!({
                "name": name(arn),
                "arn": arn,
                "type": speaks,
                "created": created,
                "clients": clients,
                "trusted_by": roles.get(arn).unwrap_or(&none),
                "tags": saved.tags,
                "changed_by": changed_by.of(name(arn)),
                "differs": differs,
            });
            resource(cx, KIND.name, arn, fields)
        };
        Ok(arns.iter().zip(found).filter_map(member).collect())
    }
}

/// All that makes a provider what it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Saved {
    /// What it speaks, and to whom.
    #[serde(flatten)]
    pub speaks: Speaks,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
}

/// A protocol with its settings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum Speaks {
    /// SAML 2.0.
    Saml {
        /// The metadata document.
        metadata: String,
        /// Whether assertions are encrypted: `Required` or `Allowed`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        encryption: Option<String>,
        /// The ids of the private keys that open them, which AWS gives to nobody.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        private_keys: Vec<String>,
    },
    /// OpenID Connect.
    Oidc {
        /// Its address, without `https://`.
        url: String,
        /// The audiences.
        clients: Vec<String>,
        /// Digests of its server's certificates.
        thumbprints: Vec<String>,
    },
}

/// A provider as found.
pub(super) struct Provider {
    pub saved: Saved,
    pub created: String,
}

/// The name in the ARN of a provider.
pub(super) fn name(arn: &str) -> &str {
    arn.split_once("-provider/").map_or(arn, |(_, name)| name)
}

pub(super) fn is_saml(arn: &str) -> bool {
    arn.contains(":saml-provider/")
}

async fn arns(client: &Client) -> Result<Vec<String>, ActionError> {
    let saml = client.list_saml_providers().send().await?;
    let oidc = client.list_open_id_connect_providers().send().await?;
    let saml = saml.saml_provider_list.into_iter().flatten().filter_map(|provider| provider.arn);
    let oidc = oidc.open_id_connect_provider_list.into_iter().flatten().filter_map(|provider| provider.arn);
    Ok(saml.chain(oidc).collect())
}

/// A provider; `None` when it is gone.
pub(super) async fn provider(client: &Client, arn: &str) -> Result<Option<Provider>, ActionError> {
    if is_saml(arn) {
        let answer = client.get_saml_provider().saml_provider_arn(arn).send().await.map_err(ActionError::from);
        let Some(found) = if_any(answer)? else { return Ok(None) };
        let keys = found.private_key_list.iter().flatten().filter_map(|key| key.key_id.clone());
        let speaks = Speaks::Saml {
            metadata: found.saml_metadata_document.clone().unwrap_or_default(),
            encryption: found.assertion_encryption_mode.as_ref().map(|mode| mode.as_str().to_owned()),
            private_keys: keys.collect(),
        };
        let saved = Saved { speaks, tags: super::tags(found.tags()) };
        return Ok(Some(Provider { saved, created: time(found.create_date()) }));
    }
    let answer = client.get_open_id_connect_provider().open_id_connect_provider_arn(arn).send().await;
    let Some(found) = if_any(answer.map_err(ActionError::from))? else { return Ok(None) };
    let speaks = Speaks::Oidc {
        url: found.url().unwrap_or_default().trim_start_matches("https://").to_owned(),
        clients: found.client_id_list().to_vec(),
        thumbprints: found.thumbprint_list().to_vec(),
    };
    let saved = Saved { speaks, tags: super::tags(found.tags()) };
    Ok(Some(Provider { saved, created: time(found.create_date()) }))
}

/// The roles whose trust policies name each provider.
pub(super) async fn trusting(client: &Client, cx: &Ctx) -> Result<BTreeMap<String, Vec<String>>, ActionError> {
    let mut pages = client.get_account_authorization_details().filter(EntityType::Role).into_paginator().send();
    let mut trusting: BTreeMap<String, Vec<String>> = BTreeMap::new();
    while let Some(page) = pages.next().await {
        for role in page?.role_detail_list() {
            let (Some(arn), Some(text)) = (role.arn(), role.assume_role_policy_document()) else { continue };
            for provider in outsiders(&decoded(text), cx.target.account.as_str()).federated {
                trusting.entry(provider).or_default().push(arn.to_owned());
            }
        }
    }
    Ok(trusting)
}
