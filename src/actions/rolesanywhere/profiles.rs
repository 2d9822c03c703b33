//! `rolesanywhere.profiles`: the roles that certificates let into, in a region.

use futures::future::try_join_all;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use crate::actions::field::{field, resource, time};
use crate::engine::action::{Ctx, Source, Wanted};
use crate::model::{ActionError, FieldType, KindSpec, Resource, Scope};

/// Lists profiles.
pub struct Profiles;

/// The source has no parameters.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {}

/// `rolesanywhere.profile`; a member's id is its ARN.
pub static KIND: KindSpec = KindSpec {
    name: "rolesanywhere.profile",
    scope: Scope::Regional,
    fields: &[
        field("arn", FieldType::Text, "its ARN"),
        field("name", FieldType::Text, "its name"),
        field("enabled", FieldType::Bool, "whether it lets in"),
        field("created", FieldType::Timestamp, "when it was created"),
        field("updated", FieldType::Timestamp, "when it was last changed"),
        field("roles", FieldType::TextList, "the ARNs of the roles that it lets into"),
        field("duration", FieldType::Integer, "how long its sessions last, in seconds"),
        field("tags", FieldType::TextMap, "its tags"),
    ],
};

impl Source for Profiles {
    type Params = Params;

    const NAME: &'static str = "rolesanywhere.profiles";
    const KIND: &'static KindSpec = &KIND;
    const TITLE: &'static str = "The profiles of IAM Roles Anywhere in a region";
    const PERMISSIONS: &'static [&'static str] = &["rolesanywhere:ListProfiles", "rolesanywhere:ListTagsForResource"];

    async fn list(&self, cx: &Ctx, _: &Params, wanted: &Wanted<'_>) -> Result<Vec<Resource>, ActionError> {
        let client = super::client(cx);
        let profiles = super::profiles(&client).await?;
        let members = profiles.iter().map(|profile| async {
            let Some(arn) = profile.profile_arn() else { return Ok(None) };
            let tags = super::tags(&client, arn, wanted).await?;
            let fields = json!({
                "arn": arn,
                "name": profile.name().unwrap_or_default(),
                "enabled": profile.enabled().unwrap_or_default(),
                "created": time(profile.created_at()),
                "updated": time(profile.updated_at()),
                "roles": profile.role_arns(),
                "duration": profile.duration_seconds().unwrap_or_default(),
                "tags": tags,
            });
            Ok::<_, ActionError>(resource(cx, KIND.name, arn, fields))
        });
        Ok(try_join_all(members).await?.into_iter().flatten().collect())
    }
}
