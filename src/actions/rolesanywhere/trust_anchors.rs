//! `rolesanywhere.trust-anchors`: the authorities whose certificates let in, in a region.

use futures::future::try_join_all;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use crate::actions::field::{field, resource, time};
use crate::engine::action::{Ctx, Source, Wanted};
use crate::model::{ActionError, FieldType, KindSpec, Resource, Scope};

/// Lists trust anchors.
pub struct TrustAnchors;

/// The source has no parameters.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {}

/// `rolesanywhere.trust-anchor`; a member's id is its ARN.
pub static KIND: KindSpec = KindSpec {
    name: "rolesanywhere.trust-anchor",
    scope: Scope::Regional,
    fields: &[
        field("arn", FieldType::Text, "its ARN"),
        field("name", FieldType::Text, "its name"),
        field("enabled", FieldType::Bool, "whether certificates of it let in"),
        field("created", FieldType::Timestamp, "when it was created"),
        field("updated", FieldType::Timestamp, "when it was last changed"),
        field("source_type", FieldType::Text, "AWS_ACM_PCA, CERTIFICATE_BUNDLE or SELF_SIGNED_REPOSITORY"),
        field(
            "authority",
            FieldType::Text,
            "the ARN of the private authority; empty for a certificate that was uploaded",
        ),
        field("tags", FieldType::TextMap, "its tags"),
    ],
};

impl Source for TrustAnchors {
    type Params = Params;

    const NAME: &'static str = "rolesanywhere.trust-anchors";
    const KIND: &'static KindSpec = &KIND;
    const TITLE: &'static str = "The trust anchors of IAM Roles Anywhere in a region";
    const PERMISSIONS: &'static [&'static str] =
        &["rolesanywhere:ListTrustAnchors", "rolesanywhere:ListTagsForResource"];

    async fn list(&self, cx: &Ctx, _: &Params, wanted: &Wanted<'_>) -> Result<Vec<Resource>, ActionError> {
        let client = super::client(cx);
        let anchors = super::trust_anchors(&client).await?;
        let members = anchors.iter().map(|anchor| async {
            let Some(arn) = anchor.trust_anchor_arn() else { return Ok(None) };
            let tags = super::tags(&client, arn, wanted).await?;
            let source = anchor.source();
            let kind = source.and_then(|source| source.source_type());
            let authority = source.and_then(|source| source.source_data()?.as_acm_pca_arn().ok());
            let fields = json!({
                "arn": arn,
                "name": anchor.name().unwrap_or_default(),
                "enabled": anchor.enabled().unwrap_or_default(),
                "created": time(anchor.created_at()),
                "updated": time(anchor.updated_at()),
                "source_type": kind.map_or("", |kind| kind.as_str()),
                "authority": authority.map_or("", String::as_str),
                "tags": tags,
            });
            Ok::<_, ActionError>(resource(cx, KIND.name, arn, fields))
        });
        Ok(try_join_all(members).await?.into_iter().flatten().collect())
    }
}
