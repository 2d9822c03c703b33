//! `lightsail.instances`: the Lightsail instances of a region.

use aws_sdk_lightsail::types::{Instance, InstanceHardware};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use crate::actions::field::{field, resource, time};
use crate::engine::action::{Ctx, Source, Wanted};
use crate::model::{ActionError, FieldType, KindSpec, Resource, Scope};

/// Lists instances.
pub struct Instances;

/// The source has no parameters.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {}

/// `lightsail.instance`.
pub static KIND: KindSpec = KindSpec {
    name: "lightsail.instance",
    scope: Scope::Regional,
    fields: &[
        field("name", FieldType::Text, "its name"),
        field("created", FieldType::Timestamp, "when it was created"),
        field("state", FieldType::Text, "pending, running, stopping, stopped"),
        field("blueprint", FieldType::Text, "what it runs: ubuntu_22_04"),
        field("bundle", FieldType::Text, "how big it is: 2xlarge_3_0"),
        field("cpus", FieldType::Integer, "its vCPUs"),
        field("public_ip", FieldType::Text, "its public IPv4 address; empty while it is stopped"),
        field("zone", FieldType::Text, "its Availability Zone"),
        field("tags", FieldType::TextMap, "its tags"),
    ],
};

impl Source for Instances {
    type Params = Params;

    const NAME: &'static str = "lightsail.instances";
    const KIND: &'static KindSpec = &KIND;
    const TITLE: &'static str = "All Lightsail instances of a region; a region without Lightsail has none";
    const PERMISSIONS: &'static [&'static str] = &["lightsail:GetInstances", "lightsail:GetRegions"];

    async fn list(&self, cx: &Ctx, _: &Params, _: &Wanted<'_>) -> Result<Vec<Resource>, ActionError> {
        if !super::is_offered(cx).await? {
            return Ok(Vec::new());
        }
        let instances = super::instances(&super::client(cx)).await?;
        Ok(instances.iter().filter_map(|instance| member(cx, instance)).collect())
    }
}

fn member(cx: &Ctx, instance: &Instance) -> Option<Resource> {
    let name = instance.name()?;
    let fields = json!({
        "name": name,
        "created": time(instance.created_at()),
        "state": super::state(instance),
        "blueprint": instance.blueprint_id().unwrap_or_default(),
        "bundle": instance.bundle_id().unwrap_or_default(),
        "cpus": instance.hardware().and_then(InstanceHardware::cpu_count).unwrap_or_default(),
        "public_ip": instance.public_ip_address().unwrap_or_default(),
        "zone": instance.location().and_then(|place| place.availability_zone()).unwrap_or_default(),
        "tags": super::tags(instance.tags()),
    });
    resource(cx, KIND.name, name, fields)
}
