//! `ec2.addresses`: the Elastic IP addresses of a region.

use aws_sdk_ec2::types::Address;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use crate::actions::field::{field, resource};
use crate::engine::action::{Ctx, Source, Wanted};
use crate::model::{ActionError, FieldType, KindSpec, Resource, Scope};

/// Lists Elastic IP addresses, used or not.
pub struct Addresses;

/// The source has no parameters.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {}

/// `ec2.address`.
pub static KIND: KindSpec = KindSpec {
    name: "ec2.address",
    scope: Scope::Regional,
    fields: &[
        field("id", FieldType::Text, "eipalloc-…"),
        field("ip", FieldType::Text, "the address"),
        field("instance", FieldType::Text, "the instance that has it; empty when nothing has"),
        field("interface", FieldType::Text, "the network interface that has it"),
        field("service", FieldType::Text, "the service that manages it, if one does: nat, alb, …"),
        field("tags", FieldType::TextMap, "its tags"),
    ],
};

impl Source for Addresses {
    type Params = Params;

    const NAME: &'static str = "ec2.addresses";
    const KIND: &'static KindSpec = &KIND;
    const TITLE: &'static str = "All Elastic IP addresses of a region; AWS does not tell since when there is one";
    const PERMISSIONS: &'static [&'static str] = &["ec2:DescribeAddresses"];

    async fn list(&self, cx: &Ctx, _: &Params, _: &Wanted<'_>) -> Result<Vec<Resource>, ActionError> {
        let answer = super::client(cx).describe_addresses().send().await?;
        Ok(answer.addresses().iter().filter_map(|address| member(cx, address)).collect())
    }
}

fn member(cx: &Ctx, address: &Address) -> Option<Resource> {
    let ip = address.public_ip()?;
    let id = address.allocation_id().unwrap_or(ip);
    let fields = json!({
        "id": id,
        "ip": ip,
        "instance": address.instance_id().unwrap_or_default(),
        "interface": address.network_interface_id().unwrap_or_default(),
        "service": address.service_managed().map_or("", |service| service.as_str()),
        "tags": super::tags(address.tags()),
    });
    resource(cx, KIND.name, id, fields)
}
