//! `amplify.apps`: the Amplify apps of a region.

use std::collections::BTreeMap;

use aws_sdk_amplify::types::App;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use crate::actions::field::{field, resource, time};
use crate::engine::action::{Ctx, Source, Wanted};
use crate::model::{ActionError, FieldType, KindSpec, Resource, Scope};

/// Lists apps.
pub struct Apps;

/// The source has no parameters.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {}

/// `amplify.app`.
pub static KIND: KindSpec = KindSpec {
    name: "amplify.app",
    scope: Scope::Regional,
    fields: &[
        field("id", FieldType::Text, "its id: d…"),
        field("name", FieldType::Text, "its name"),
        field("created", FieldType::Timestamp, "when it was created"),
        field("modified", FieldType::Timestamp, "when it was last changed"),
        field("repository", FieldType::Text, "the address of its repository"),
        field("platform", FieldType::Text, "WEB, WEB_COMPUTE or WEB_DYNAMIC"),
        field("role", FieldType::Text, "the ARN of the role as which it builds"),
        field("auto_branches", FieldType::Bool, "whether a new branch of the repository is built by itself"),
        field("tags", FieldType::TextMap, "its tags"),
    ],
};

impl Source for Apps {
    type Params = Params;

    const NAME: &'static str = "amplify.apps";
    const KIND: &'static KindSpec = &KIND;
    const TITLE: &'static str = "All Amplify apps of a region";
    const PERMISSIONS: &'static [&'static str] = &["amplify:ListApps"];

    async fn list(&self, cx: &Ctx, _: &Params, _: &Wanted<'_>) -> Result<Vec<Resource>, ActionError> {
        Ok(super::all_apps(&super::client(cx)).await?.iter().filter_map(|app| member(cx, app)).collect())
    }
}

fn member(cx: &Ctx, app: &App) -> Option<Resource> {
    let tags: BTreeMap<&String, &String> = app.tags().into_iter().flatten().collect();
    let fields = json!({
        "id": app.app_id(),
        "name": app.name(),
        "created": time(Some(app.create_time())),
        "modified": time(Some(app.update_time())),
        "repository": app.repository(),
        "platform": app.platform().as_str(),
        "role": app.iam_service_role_arn().unwrap_or_default(),
        "auto_branches": app.enable_auto_branch_creation().unwrap_or_default(),
        "tags": tags,
    });
    resource(cx, KIND.name, app.app_id(), fields)
}
