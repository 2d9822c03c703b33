//! `ec2.subnets`: the subnets of a region.

use aws_sdk_ec2::types::Subnet;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::PAGE;
use crate::actions::field::{field, resource};
use crate::engine::action::{Ctx, Source, Wanted};
use crate::model::{ActionError, FieldType, KindSpec, Resource, Scope};

/// Lists subnets.
pub struct Subnets;

/// The source has no parameters.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {}

/// `ec2.subnet`.
pub static KIND: KindSpec = KindSpec {
    name: "ec2.subnet",
    scope: Scope::Regional,
    fields: &[
        field("id", FieldType::Text, "subnet-…"),
        field("vpc", FieldType::Text, "vpc-…"),
        field("az", FieldType::Text, "its availability zone"),
        field("cidr", FieldType::Text, "its IPv4 addresses: 172.31.16.0/20"),
        field("owner", FieldType::Text, "the account that owns it: another one when it is shared"),
        field("public", FieldType::Bool, "whether machines launched into it get a public address"),
        field("tags", FieldType::TextMap, "its tags"),
    ],
};

impl Source for Subnets {
    type Params = Params;

    const NAME: &'static str = "ec2.subnets";
    const KIND: &'static KindSpec = &KIND;
    const TITLE: &'static str = "All subnets of a region";
    const PERMISSIONS: &'static [&'static str] = &["ec2:DescribeSubnets"];

    async fn list(&self, cx: &Ctx, _: &Params, _: &Wanted<'_>) -> Result<Vec<Resource>, ActionError> {
        let client = super::client(cx);
        let mut items = client.describe_subnets().max_results(PAGE).into_paginator().items().send();
        let mut subnets = Vec::new();
        while let Some(subnet) = items.next().await {
            subnets.extend(member(cx, &subnet?));
        }
        Ok(subnets)
    }
}

fn member(cx: &Ctx, subnet: &Subnet) -> Option<Resource> {
    let id = subnet.subnet_id()?;
    let fields = json!({
        "id": id,
        "vpc": subnet.vpc_id().unwrap_or_default(),
        "az": subnet.availability_zone().unwrap_or_default(),
        "cidr": subnet.cidr_block().unwrap_or_default(),
        "owner": subnet.owner_id().unwrap_or_default(),
        "public": subnet.map_public_ip_on_launch().unwrap_or_default(),
        "tags": super::tags(subnet.tags()),
    });
    resource(cx, KIND.name, id, fields)
}
