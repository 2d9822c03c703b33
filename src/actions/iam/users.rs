//! `iam.users`: the users of an account.

use std::collections::HashMap;

use aws_sdk_iam::Client;
use aws_sdk_iam::types::{EntityType, Tag, User, UserDetail};
use futures::future::try_join;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use crate::actions::baseline::{self, Baseline, Of, differs};
use crate::actions::creator::Creators;
use crate::actions::field::{field, resource, time};
use crate::engine::action::{Ctx, Source, Wanted};
use crate::model::{ActionError, FieldType, KindSpec, Resource, Scope};

/// Lists users.
pub struct Users;

/// What to compare with.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// A file with what `aws iam get-account-authorization-details` printed before the incident. Then only what is not in it, or differs, is a member.
    #[serde(default)]
    pub baseline: Option<String>,
}

/// `iam.user`; a member's id is its ARN.
pub static KIND: KindSpec = KindSpec {
    name: "iam.user",
    scope: Scope::Global,
    fields: &[
        field("name", FieldType::Text, "its name"),
        field("arn", FieldType::Text, "its ARN"),
        field("path", FieldType::Text, "its path, with slashes at both ends"),
        field("created", FieldType::Timestamp, "when it was created"),
        field("password_last_used", FieldType::Timestamp, "its last sign-in to the console"),
        field("tags", FieldType::TextMap, "its tags"),
        field("creator", FieldType::Text, "who created it, by ARN, where the event history says so"),
        field(
            "differs",
            FieldType::TextList,
            "with a baseline: new, or the parts that differ from it: inline policies, attached policies, boundary, groups",
        ),
    ],
};

impl Source for Users {
    type Params = Params;

    const NAME: &'static str = "iam.users";
    const KIND: &'static KindSpec = &KIND;
    const TITLE: &'static str = "All users of an account";
    const PERMISSIONS: &'static [&'static str] =
        &["iam:ListUsers", "iam:GetAccountAuthorizationDetails", "cloudtrail:LookupEvents"];

    async fn list(&self, cx: &Ctx, params: &Params, wanted: &Wanted<'_>) -> Result<Vec<Resource>, ActionError> {
        let client = super::client(cx);
        let baseline = Baseline::of(params.baseline.as_deref(), Of::Identity, cx).await?;
        let creators = Creators::wanted(cx, wanted, "creator", &[("CreateUser", "userName")]).await?;
        let (users, details) = try_join(Box::pin(users(&client)), Box::pin(details(&client))).await?;
        let members = users.iter().filter_map(|user| {
            let detail = details.get(user.arn());
            let now = || detail.map(baseline::user).unwrap_or_default();
            let differs = differs(baseline.as_ref(), Of::Identity, user.arn(), now)?;
            let mut member = member(cx, user, detail.map_or(&[][..], UserDetail::tags))?;
            member.fields.insert("creator".to_owned(), json!(creators.of(user.user_name())));
            member.fields.insert("differs".to_owned(), json!(differs));
            Some(member)
        });
        Ok(members.collect())
    }
}

async fn users(client: &Client) -> Result<Vec<User>, ActionError> {
    let mut pages = client.list_users().into_paginator().items().send();
    let mut users = Vec::new();
    while let Some(user) = pages.next().await {
        users.push(user?);
    }
    Ok(users)
}

/// By ARN what a list of users does not show: tags and policies.
async fn details(client: &Client) -> Result<HashMap<String, UserDetail>, ActionError> {
    let mut pages = client.get_account_authorization_details().filter(EntityType::User).into_paginator().send();
    let mut details = HashMap::new();
    while let Some(page) = pages.next().await {
        let users = page?.user_detail_list.unwrap_or_default();
        details.extend(users.into_iter().filter_map(|user| Some((user.arn.clone()?, user))));
    }
    Ok(details)
}

/// A user as a member of a set.
pub(super) fn member(cx: &Ctx, user: &User, tags: &[Tag]) -> Option<Resource> {
    let fields = json!({
        "name": user.user_name(),
        "arn": user.arn(),
        "path": user.path(),
        "created": time(Some(user.create_date())),
        "password_last_used": time(user.password_last_used()),
        "tags": super::tags(tags),
        "creator": "",
        "differs": [],
    });
    resource(cx, KIND.name, user.arn(), fields)
}
