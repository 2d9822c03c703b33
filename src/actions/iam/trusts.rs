//! `iam.trusts`: roles that let outsiders in.

use aws_sdk_iam::types::{EntityType, RoleDetail};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use crate::actions::baseline::{self, Baseline, Of, differs};
use crate::actions::creator::Creators;
use crate::actions::field::{field, resource, time};
use crate::actions::principal::decoded;
use crate::actions::trust::{Outsiders, outsiders};
use crate::engine::action::{Ctx, Source, Wanted};
use crate::model::{ActionError, FieldType, KindSpec, Resource, Scope};

/// Lists roles whose trust policies name other accounts, identity providers or everybody.
pub struct Trusts;

/// What to compare with.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// A file with what `aws iam get-account-authorization-details` printed before the incident. Then only what is not in it, or differs, is a member.
    #[serde(default)]
    pub baseline: Option<String>,
}

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
        field(
            "changed_by",
            FieldType::Text,
            "who created the role or changed its trust policy last, by ARN, where the event history says so",
        ),
        field("differs", FieldType::TextList, "with a baseline: new, or the parts that differ from it: trust policy"),
    ],
};

impl Source for Trusts {
    type Params = Params;

    const NAME: &'static str = "iam.trusts";
    const KIND: &'static KindSpec = &KIND;
    const TITLE: &'static str = "Roles that let other accounts, identity providers or everybody in";
    const PERMISSIONS: &'static [&'static str] = &["iam:GetAccountAuthorizationDetails", "cloudtrail:LookupEvents"];

    async fn list(&self, cx: &Ctx, params: &Params, wanted: &Wanted<'_>) -> Result<Vec<Resource>, ActionError> {
        let baseline = Baseline::of(params.baseline.as_deref(), Of::Trust, cx).await?;
        let events = [("CreateRole", "roleName"), ("UpdateAssumeRolePolicy", "roleName")];
        let changed_by = Creators::wanted(cx, wanted, "changed_by", &events).await?;
        let request = super::client(cx).get_account_authorization_details().filter(EntityType::Role);
        let mut pages = request.into_paginator().send();
        let mut members = Vec::new();
        while let Some(page) = pages.next().await {
            members.extend(
                page?.role_detail_list().iter().filter_map(|role| member(cx, role, baseline.as_ref(), &changed_by)),
            );
        }
        Ok(members)
    }
}

fn member(cx: &Ctx, role: &RoleDetail, baseline: Option<&Baseline>, changed_by: &Creators) -> Option<Resource> {
    let text = role.assume_role_policy_document().map(decoded).unwrap_or_default();
    let found = outsiders(&text, cx.target.account.as_str());
    if found == Outsiders::default() {
        return None;
    }
    let differs = differs(baseline, Of::Trust, role.arn()?, || baseline::role(role))?;
    let fields = json!({
        "name": role.role_name().unwrap_or_default(),
        "arn": role.arn()?,
        "path": role.path().unwrap_or("/"),
        "created": time(role.create_date()),
        "foreign": found.foreign,
        "federated": found.federated,
        "everybody": found.everybody,
        "last_used": time(role.role_last_used().and_then(|used| used.last_used_date())),
        "changed_by": changed_by.of(role.role_name().unwrap_or_default()),
        "differs": differs,
    });
    resource(cx, KIND.name, role.arn()?, fields)
}
