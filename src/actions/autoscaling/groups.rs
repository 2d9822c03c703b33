//! `autoscaling.groups`: the Auto Scaling groups of a region.

use aws_sdk_autoscaling::types::AutoScalingGroup;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;
use std::collections::BTreeMap;

use crate::actions::field::{field, resource, time};
use crate::engine::action::{Ctx, Source, Wanted};
use crate::model::{ActionError, FieldType, KindSpec, Resource, Scope};

/// Lists groups.
pub struct Groups;

/// The source has no parameters.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {}

/// `autoscaling.group`.
pub static KIND: KindSpec = KindSpec {
    name: "autoscaling.group",
    scope: Scope::Regional,
    fields: &[
        field("name", FieldType::Text, "its name"),
        field("created", FieldType::Timestamp, "when it was created"),
        field("min", FieldType::Integer, "the fewest instances"),
        field("max", FieldType::Integer, "the most instances"),
        field("desired", FieldType::Integer, "how many there are to be"),
        field("instances", FieldType::TextList, "the ids of its instances: id in instances"),
        field("template", FieldType::Text, "the name of its launch template or launch configuration"),
        field("subnets", FieldType::TextList, "where it launches: subnet-…"),
        field("deletion_protection", FieldType::Text, "none, prevent-force-deletion or prevent-all-deletion"),
        field("tags", FieldType::TextMap, "its tags"),
    ],
};

impl Source for Groups {
    type Params = Params;

    const NAME: &'static str = "autoscaling.groups";
    const KIND: &'static KindSpec = &KIND;
    const TITLE: &'static str = "All Auto Scaling groups of a region";
    const PERMISSIONS: &'static [&'static str] = &["autoscaling:DescribeAutoScalingGroups"];

    async fn list(&self, cx: &Ctx, _: &Params, _: &Wanted<'_>) -> Result<Vec<Resource>, ActionError> {
        let groups = super::pages(&super::client(cx), None).await?;
        Ok(groups.iter().filter_map(|group| member(cx, group)).collect())
    }
}

fn member(cx: &Ctx, group: &AutoScalingGroup) -> Option<Resource> {
    let mixed = group.mixed_instances_policy().and_then(|policy| policy.launch_template());
    let template = group.launch_template().or(mixed.and_then(|mixed| mixed.launch_template_specification()));
    let template = template.and_then(|template| template.launch_template_name());
    let subnets = group.vpc_zone_identifier().unwrap_or_default();
    let tag = |tag: &aws_sdk_autoscaling::types::TagDescription| {
        Some((tag.key()?.to_owned(), tag.value().unwrap_or_default().to_owned()))
    };
    let tags: BTreeMap<String, String> = group.tags().iter().filter_map(tag).collect();
    let fields = json!({
        "name": super::name(group),
        "created": time(group.created_time()),
        "min": group.min_size().unwrap_or_default(),
        "max": group.max_size().unwrap_or_default(),
        "desired": group.desired_capacity().unwrap_or_default(),
        "instances": group.instances().iter().filter_map(|member| member.instance_id()).collect::<Vec<_>>(),
        "template": template.or(group.launch_configuration_name()).unwrap_or_default(),
        "subnets": subnets.split(',').filter(|subnet| !subnet.is_empty()).collect::<Vec<_>>(),
        "deletion_protection": group.deletion_protection().map_or("none", |protection| protection.as_str()),
        "tags": tags,
    });
    resource(cx, KIND.name, super::name(group), fields)
}
