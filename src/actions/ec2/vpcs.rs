//! `ec2.vpcs`: the VPCs of a region.

use aws_sdk_ec2::types::Vpc;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::PAGE;
use crate::actions::field::{field, resource};
use crate::engine::action::{Ctx, Source, Wanted};
use crate::model::{ActionError, FieldType, KindSpec, Resource, Scope};

/// Lists VPCs.
pub struct Vpcs;

/// The source has no parameters.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {}

/// `ec2.vpc`.
pub static KIND: KindSpec = KindSpec {
    name: "ec2.vpc",
    scope: Scope::Regional,
    fields: &[
        field("id", FieldType::Text, "vpc-…"),
        field("cidr", FieldType::Text, "its first block of IPv4 addresses: 172.31.0.0/16"),
        field("default", FieldType::Bool, "whether AWS made it for the region"),
        field("owner", FieldType::Text, "the account that owns it: another one when it is shared"),
        field("tags", FieldType::TextMap, "its tags"),
    ],
};

impl Source for Vpcs {
    type Params = Params;

    const NAME: &'static str = "ec2.vpcs";
    const KIND: &'static KindSpec = &KIND;
    const TITLE: &'static str = "All VPCs of a region";
    const PERMISSIONS: &'static [&'static str] = &["ec2:DescribeVpcs"];

    async fn list(&self, cx: &Ctx, _: &Params, _: &Wanted<'_>) -> Result<Vec<Resource>, ActionError> {
        let client = super::client(cx);
        let mut items = client.describe_vpcs().max_results(PAGE).into_paginator().items().send();
        let mut vpcs = Vec::new();
        while let Some(vpc) = items.next().await {
            vpcs.extend(member(cx, &vpc?));
        }
        Ok(vpcs)
    }
}

fn member(cx: &Ctx, vpc: &Vpc) -> Option<Resource> {
    let id = vpc.vpc_id()?;
    let fields = json!({
        "id": id,
        "cidr": vpc.cidr_block().unwrap_or_default(),
        "default": vpc.is_default().unwrap_or_default(),
        "owner": vpc.owner_id().unwrap_or_default(),
        "tags": super::tags(vpc.tags()),
    });
    resource(cx, KIND.name, id, fields)
}
