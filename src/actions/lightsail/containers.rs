//! `lightsail.containers`: the Lightsail container services of a region.

use aws_sdk_lightsail::types::ContainerService;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use crate::actions::field::{field, resource, time};
use crate::engine::action::{Ctx, Source, Wanted};
use crate::model::{ActionError, FieldType, KindSpec, Resource, Scope};

/// Lists container services.
pub struct Containers;

/// The source has no parameters.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {}

/// `lightsail.container-service`.
pub static KIND: KindSpec = KindSpec {
    name: "lightsail.container-service",
    scope: Scope::Regional,
    fields: &[
        field("name", FieldType::Text, "its name"),
        field("created", FieldType::Timestamp, "when it was created"),
        field("state", FieldType::Text, "PENDING, READY, DEPLOYING, RUNNING, UPDATING, DISABLED or DELETING"),
        field("power", FieldType::Text, "how big a node is: nano to xlarge"),
        field("scale", FieldType::Integer, "how many nodes it has"),
        field("images", FieldType::TextList, "the images of its deployment"),
        field("url", FieldType::Text, "its address"),
        field("tags", FieldType::TextMap, "its tags"),
    ],
};

impl Source for Containers {
    type Params = Params;

    const NAME: &'static str = "lightsail.containers";
    const KIND: &'static KindSpec = &KIND;
    const TITLE: &'static str = "All Lightsail container services of a region; a region without Lightsail has none";
    const PERMISSIONS: &'static [&'static str] = &["lightsail:GetContainerServices", "lightsail:GetRegions"];

    async fn list(&self, cx: &Ctx, _: &Params, _: &Wanted<'_>) -> Result<Vec<Resource>, ActionError> {
        if !super::is_offered(cx).await? {
            return Ok(Vec::new());
        }
        let services = super::containers(&super::client(cx), None).await?;
        Ok(services.iter().filter_map(|service| member(cx, service)).collect())
    }
}

fn member(cx: &Ctx, service: &ContainerService) -> Option<Resource> {
    let name = service.container_service_name()?;
    let containers = service.current_deployment().and_then(|deployment| deployment.containers());
    let mut images: Vec<&str> = containers.into_iter().flatten().filter_map(|(_, of)| of.image()).collect();
    images.sort_unstable();
    let fields = json!({
        "name": name,
        "created": time(service.created_at()),
        "state": service.state().map_or("", |state| state.as_str()),
        "power": service.power().map_or("", |power| power.as_str()),
        "scale": service.scale().unwrap_or_default(),
        "images": images,
        "url": service.url().unwrap_or_default(),
        "tags": super::tags(service.tags()),
    });
    resource(cx, KIND.name, name, fields)
}
