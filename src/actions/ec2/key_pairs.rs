//! `ec2.key-pairs`: the SSH key pairs of a region.

use aws_sdk_ec2::types::KeyPairInfo;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use crate::actions::field::{field, resource, time};
use crate::engine::action::{Ctx, Source, Wanted};
use crate::model::{ActionError, FieldType, KindSpec, Resource, Scope};

/// Lists key pairs.
pub struct KeyPairs;

/// The source has no parameters.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {}

/// `ec2.key-pair`.
pub static KIND: KindSpec = KindSpec {
    name: "ec2.key-pair",
    scope: Scope::Regional,
    fields: &[
        field("name", FieldType::Text, "its name"),
        field("created", FieldType::Timestamp, "when it was created or imported"),
        field("tags", FieldType::TextMap, "its tags"),
    ],
};

impl Source for KeyPairs {
    type Params = Params;

    const NAME: &'static str = "ec2.key-pairs";
    const KIND: &'static KindSpec = &KIND;
    const TITLE: &'static str = "All key pairs of a region";
    const PERMISSIONS: &'static [&'static str] = &["ec2:DescribeKeyPairs"];

    async fn list(&self, cx: &Ctx, _: &Params, _: &Wanted<'_>) -> Result<Vec<Resource>, ActionError> {
        let answer = super::client(cx).describe_key_pairs().send().await?;
        Ok(answer.key_pairs().iter().filter_map(|pair| member(cx, pair)).collect())
    }
}

fn member(cx: &Ctx, pair: &KeyPairInfo) -> Option<Resource> {
    let name = pair.key_name()?;
    let fields = json!({
        "name": name,
        "created": time(pair.create_time()),
        "tags": super::tags(pair.tags()),
    });
    resource(cx, KIND.name, pair.key_pair_id().unwrap_or(name), fields)
}
