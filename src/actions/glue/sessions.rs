//! `glue.sessions`: the interactive sessions of a region.

use std::collections::BTreeMap;

use aws_sdk_glue::types::Session;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use crate::actions::field::{field, resource, time};
use crate::engine::action::{Ctx, Source, Wanted};
use crate::model::{ActionError, FieldType, KindSpec, Resource, Scope};

/// Lists sessions.
pub struct Sessions;

/// The source has no parameters.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {}

/// `glue.session`.
pub static KIND: KindSpec = KindSpec {
    name: "glue.session",
    scope: Scope::Regional,
    fields: &[
        field("id", FieldType::Text, "its id, which its maker chose"),
        field("created", FieldType::Timestamp, "when it was created"),
        field("state", FieldType::Text, "PROVISIONING, READY, FAILED, TIMEOUT, STOPPING or STOPPED"),
        field("role", FieldType::Text, "the role as which it runs, by name or ARN"),
        field("type", FieldType::Text, "what it runs: glueetl, gluestreaming or glueray"),
        field("worker_type", FieldType::Text, "the size of its workers: G.1X, G.8X, …"),
        field("workers", FieldType::Integer, "how many workers it has"),
        field("tags", FieldType::TextMap, "its tags"),
    ],
};

impl Source for Sessions {
    type Params = Params;

    const NAME: &'static str = "glue.sessions";
    const KIND: &'static KindSpec = &KIND;
    const TITLE: &'static str = "All interactive Glue sessions of a region";
    const PERMISSIONS: &'static [&'static str] = &["glue:GetTags", "glue:ListSessions"];

    async fn list(&self, cx: &Ctx, _: &Params, wanted: &Wanted<'_>) -> Result<Vec<Resource>, ActionError> {
        let client = super::client(cx);
        let sessions = super::all_sessions(&client).await?;
        let ids = sessions.iter().filter_map(Session::id).collect();
        let tags = super::tags(cx, &client, ("session", ids), wanted).await?;
        Ok(sessions.iter().zip(tags).filter_map(|(session, tags)| member(cx, session, &tags)).collect())
    }
}

fn member(cx: &Ctx, session: &Session, tags: &BTreeMap<String, String>) -> Option<Resource> {
    let id = session.id()?;
    let fields = json!({
        "id": id,
        "created": time(session.created_on()),
        "state": session.status().map_or("", |status| status.as_str()),
        "role": session.role().unwrap_or_default(),
        "type": session.command().and_then(|command| command.name()).unwrap_or_default(),
        "worker_type": session.worker_type().map_or("", |kind| kind.as_str()),
        "workers": session.number_of_workers().unwrap_or_default(),
        "tags": tags,
    });
    resource(cx, KIND.name, id, fields)
}
