//! `iam.trusts`: roles that let outsiders in.

use aws_sdk_iam::types::{EntityType, RoleDetail};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use crate::actions::field::{field, resource, time};
use crate::actions::principal::decoded;
use crate::actions::trust::{Outsiders, outsiders};
use crate::engine::action::{Ctx, Source, Wanted};
use crate::model::{ActionError, FieldType, KindSpec, Resource, Scope};

/// Lists roles whose trust policies name other accounts, identity providers or everybody.
pub struct Trusts;

/// The source has no parameters.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {}

/// `iam.trust`; a member's id is the ARN of the role.
pub static KIND: KindSpec = KindSpec {
    name: "iam.trust",
    scope: Scope::Global,
    fields: &[
        field("name", FieldType::Text, "the role's name"),
        field("arn", FieldType::Text, "the role's ARN"),
        field("path", FieldType::Text, "the role's path, with slashes at both ends"),
        field(
            "created",
            FieldType::Timestamp,
            "when the role was created; AWS does not tell when its trust was changed",
        ),
        field(
            "foreign",
            FieldType::TextList,
            "principals of other accounts that it lets in, and ids of those that are gone",
        ),
        field("federated", FieldType::TextList, "identity providers that it lets in"),
        field("everybody", FieldType::Bool, "whether it lets everybody in"),
        field("last_used", FieldType::Timestamp, "when the role was last used, within AWS's tracking period"),
    ],
};

impl Source for Trusts {
    type Params = Params;

    const NAME: &'static str = "iam.trusts";
    const KIND: &'static KindSpec = &KIND;
    const TITLE: &'static str = "Roles that let other accounts, identity providers or everybody in";
    const PERMISSIONS: &'static [&'static str] = &["iam:GetAccountAuthorizationDetails"];

    async fn list(&self, cx: &Ctx, _: &Params, _: &Wanted<'_>) -> Result<Vec<Resource>, ActionError> {
        let request = super::client(cx).get_account_authorization_details().filter(EntityType::Role);
        let mut pages = request.into_paginator().send();
        let mut members = Vec::new();
        while let Some(page) = pages.next().await {
            members.extend(page?.role_detail_list().iter().filter_map(|role| member(cx, role)));
        }
        Ok(members)
    }
}

fn member(cx: &Ctx, role: &RoleDetail) -> Option<Resource> {
    let text = role.assume_role_policy_document().map(decoded).unwrap_or_default();
    let found = outsiders(&text, cx.target.account.as_str());
    if found == Outsiders::default() {
        return None;
    }
    let fields = json!({
        "name": role.role_name().unwrap_or_default(),
        "arn": role.arn()?,
        "path": role.path().unwrap_or("/"),
        "created": time(role.create_date()),
        "foreign": found.foreign,
        "federated": found.federated,
        "everybody": found.everybody,
        "last_used": time(role.role_last_used().and_then(|used| used.last_used_date())),
    });
    resource(cx, KIND.name, role.arn()?, fields)
}
