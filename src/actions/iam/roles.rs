//! `iam.roles`: the roles of an account.

use aws_sdk_iam::types::{EntityType, RoleDetail};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use crate::actions::baseline::{self, Baseline, Of, differs};
use crate::actions::creator::Creators;
use crate::actions::field::{field, resource, time};
use crate::engine::action::{Ctx, Source, Wanted};
use crate::model::{ActionError, FieldType, KindSpec, Resource, Scope};

/// Lists roles.
pub struct Roles;

/// What to compare with.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// A file with what `aws iam get-account-authorization-details` printed before the incident. Then only what is not in it, or differs, is a member.
    #[serde(default)]
    pub baseline: Option<String>,
}

/// `iam.role`; a member's id is its ARN.
pub static KIND: KindSpec = KindSpec {
    name: "iam.role",
    scope: Scope::Global,
    fields: &[
        field("name", FieldType::Text, "its name"),
        field("arn", FieldType::Text, "its ARN"),
        field("path", FieldType::Text, "its path, with slashes at both ends"),
        field("created", FieldType::Timestamp, "when it was created"),
        field("service_linked", FieldType::Bool, "whether a service owns it"),
        field("last_used", FieldType::Timestamp, "when it was last used, within AWS's tracking period"),
        field("tags", FieldType::TextMap, "its tags"),
        field("creator", FieldType::Text, "who created it, by ARN, where the event history says so"),
        field(
            "differs",
            FieldType::TextList,
            "with a baseline: new, or the parts that differ from it: trust policy, inline policies, attached policies, boundary",
        ),
    ],
};

impl Source for Roles {
    type Params = Params;

    const NAME: &'static str = "iam.roles";
    const KIND: &'static KindSpec = &KIND;
    const TITLE: &'static str = "All roles of an account";
    const PERMISSIONS: &'static [&'static str] = &["iam:GetAccountAuthorizationDetails", "cloudtrail:LookupEvents"];

    async fn list(&self, cx: &Ctx, params: &Params, wanted: &Wanted<'_>) -> Result<Vec<Resource>, ActionError> {
        let baseline = Baseline::of(params.baseline.as_deref(), Of::Identity, cx).await?;
        let creators = Creators::wanted(cx, wanted, "creator", &[("CreateRole", "roleName")]).await?;
        // A list of roles (`ListRoles`) shows neither tags nor the last use.
        let request = super::client(cx).get_account_authorization_details().filter(EntityType::Role);
        let mut pages = request.into_paginator().send();
        let mut members = Vec::new();
        while let Some(page) = pages.next().await {
            members.extend(
                page?.role_detail_list().iter().filter_map(|role| member(cx, role, baseline.as_ref(), &creators)),
            );
        }
        Ok(members)
    }
}

fn member(cx: &Ctx, role: &RoleDetail, baseline: Option<&Baseline>, creators: &Creators) -> Option<Resource> {
    let path = role.path().unwrap_or("/");
    let differs = differs(baseline, Of::Identity, role.arn()?, || baseline::role(role))?;
    let fields = json!({
        "name": role.role_name().unwrap_or_default(),
        "arn": role.arn()?,
        "path": path,
        "created": time(role.create_date()),
        "service_linked": path.starts_with("/aws-service-role/"),
        "last_used": time(role.role_last_used().and_then(|used| used.last_used_date())),
        "tags": super::tags(role.tags()),
        "creator": creators.of(role.role_name().unwrap_or_default()),
        "differs": differs,
    });
    resource(cx, KIND.name, role.arn()?, fields)
}
