//! `iam.users`: the users of an account.

use std::collections::HashMap;

use aws_sdk_iam::Client;
use aws_sdk_iam::types::{EntityType, Tag, User};
use futures::future::try_join;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use crate::actions::field::{field, resource, time};
use crate::engine::action::{Ctx, Source, Wanted};
use crate::model::{ActionError, FieldType, KindSpec, Resource, Scope};

/// Lists users.
pub struct Users;

/// The source has no parameters.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {}

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
    ],
};

impl Source for Users {
    type Params = Params;

    const NAME: &'static str = "iam.users";
    const KIND: &'static KindSpec = &KIND;
    const TITLE: &'static str = "All users of an account";
    const PERMISSIONS: &'static [&'static str] = &["iam:ListUsers", "iam:GetAccountAuthorizationDetails"];

    async fn list(&self, cx: &Ctx, _: &Params, _: &Wanted<'_>) -> Result<Vec<Resource>, ActionError> {
        let client = super::client(cx);
        let (users, tags) = try_join(Box::pin(users(&client)), Box::pin(tags(&client))).await?;
        let none = Vec::new();
        let members = users.iter().map(|user| member(cx, user, tags.get(user.arn()).unwrap_or(&none)));
        Ok(members.flatten().collect())
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

/// The tags by ARN: a list of users does not show them.
async fn tags(client: &Client) -> Result<HashMap<String, Vec<Tag>>, ActionError> {
    let mut pages = client.get_account_authorization_details().filter(EntityType::User).into_paginator().send();
    let mut tags = HashMap::new();
    while let Some(page) = pages.next().await {
        let users = page?.user_detail_list.unwrap_or_default();
        tags.extend(users.into_iter().filter_map(|user| Some((user.arn?, user.tags.unwrap_or_default()))));
    }
    Ok(tags)
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
    });
    resource(cx, KIND.name, user.arn(), fields)
}
