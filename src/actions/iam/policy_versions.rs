//! `iam.policy-versions`: the account's own managed policies, and since when each says what it says.

use aws_sdk_iam::types::{EntityType, ManagedPolicyDetail};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use crate::actions::baseline::{self, Baseline, Of, differs};
use crate::actions::creator::Creators;
use crate::actions::field::{field, resource, time};
use crate::engine::action::{Ctx, Source, Wanted};
use crate::model::{ActionError, FieldType, KindSpec, Resource, Scope};

/// Lists customer managed policies with the version in force.
pub struct PolicyVersions;

/// What to compare with.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// A file with what `aws iam get-account-authorization-details` printed before the incident. Then only what is not in it, or differs, is a member.
    #[serde(default)]
    pub baseline: Option<String>,
}

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
        field(
            "changed_by",
            FieldType::Text,
            "who created it, made a version or put one in force last, by ARN, where the event history says so",
        ),
        field(
            "differs",
            FieldType::TextList,
            "with a baseline: new, or the parts that differ from it: version in force",
        ),
    ],
};

impl Source for PolicyVersions {
    type Params = Params;

    const NAME: &'static str = "iam.policy-versions";
    const KIND: &'static KindSpec = &KIND;
    const TITLE: &'static str = "The account's own managed policies, with the version in force";
    const PERMISSIONS: &'static [&'static str] = &["iam:GetAccountAuthorizationDetails", "cloudtrail:LookupEvents"];

    async fn list(&self, cx: &Ctx, params: &Params, wanted: &Wanted<'_>) -> Result<Vec<Resource>, ActionError> {
        let baseline = Baseline::of(params.baseline.as_deref(), Of::Policy, cx).await?;
        let events = [
            ("CreatePolicy", "policyName"),
            ("CreatePolicyVersion", "policyArn"),
            ("SetDefaultPolicyVersion", "policyArn"),
        ];
        let changed_by = Creators::wanted(cx, wanted, "changed_by", &events).await?;
        let request = super::client(cx).get_account_authorization_details().filter(EntityType::LocalManagedPolicy);
        let mut pages = request.into_paginator().send();
        let mut members = Vec::new();
        while let Some(page) = pages.next().await {
            members.extend(
                page?.policies().iter().filter_map(|policy| member(cx, policy, baseline.as_ref(), &changed_by)),
            );
        }
        Ok(members)
    }
}

fn member(
    cx: &Ctx,
    policy: &ManagedPolicyDetail,
    baseline: Option<&Baseline>,
    changed_by: &Creators,
) -> Option<Resource> {
    let differs = differs(baseline, Of::Policy, policy.arn()?, || baseline::managed(policy))?;
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
        "changed_by": changed_by.of(policy.policy_name().unwrap_or_default()),
        "differs": differs,
    });
    resource(cx, KIND.name, policy.arn()?, fields)
}
