//! `iam.policy-versions`: the account's own managed policies, and since when each says what it says.

use aws_sdk_iam::types::{EntityType, ManagedPolicyDetail};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use crate::actions::field::{field, resource, time};
use crate::engine::action::{Ctx, Source, Wanted};
use crate::model::{ActionError, FieldType, KindSpec, Resource, Scope};

/// Lists customer managed policies with the version in force.
pub struct PolicyVersions;

/// The source has no parameters.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {}

/// `iam.policy`; a member's id is its ARN.
pub static KIND: KindSpec = KindSpec {
    name: "iam.policy",
    scope: Scope::Global,
    fields: &[
        field("name", FieldType::Text, "its name"),
        field("arn", FieldType::Text, "its ARN"),
        field("path", FieldType::Text, "its path, with slashes at both ends"),
        field("created", FieldType::Timestamp, "when it was created"),
        field("version", FieldType::Text, "the version in force"),
        field(
            "version_created",
            FieldType::Timestamp,
            "when the version in force was made; AWS does not tell when it was put in force",
        ),
        field("versions", FieldType::Integer, "how many versions there are"),
        field("attached", FieldType::Integer, "to how many users, groups and roles it is attached"),
    ],
};

impl Source for PolicyVersions {
    type Params = Params;

    const NAME: &'static str = "iam.policy-versions";
    const KIND: &'static KindSpec = &KIND;
    const TITLE: &'static str = "The account's own managed policies, with the version in force";
    const PERMISSIONS: &'static [&'static str] = &["iam:GetAccountAuthorizationDetails"];

    async fn list(&self, cx: &Ctx, _: &Params, _: &Wanted<'_>) -> Result<Vec<Resource>, ActionError> {
        let request = super::client(cx).get_account_authorization_details().filter(EntityType::LocalManagedPolicy);
        let mut pages = request.into_paginator().send();
        let mut members = Vec::new();
        while let Some(page) = pages.next().await {
            members.extend(page?.policies().iter().filter_map(|policy| member(cx, policy)));
        }
        Ok(members)
    }
}

fn member(cx: &Ctx, policy: &ManagedPolicyDetail) -> Option<Resource> {
    let in_force = policy.policy_version_list().iter().find(|version| version.is_default_version());
    let fields = json!({
        "name": policy.policy_name().unwrap_or_default(),
        "arn": policy.arn()?,
        "path": policy.path().unwrap_or("/"),
        "created": time(policy.create_date()),
        "version": policy.default_version_id().unwrap_or_default(),
        "version_created": time(in_force.and_then(|version| version.create_date())),
        "versions": policy.policy_version_list().len(),
        "attached": policy.attachment_count().unwrap_or_default(),
    });
    resource(cx, KIND.name, policy.arn()?, fields)
}
