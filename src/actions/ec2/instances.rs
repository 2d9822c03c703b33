//! `ec2.instances`: the instances of a region.

use std::collections::HashMap;

use aws_sdk_ec2::Client;
use aws_sdk_ec2::types::Instance;
use futures::future::try_join_all;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::{FILTER_VALUES, filter};
use crate::actions::field::{field, resource, time};
use crate::engine::action::{Ctx, Source, Wanted};
use crate::model::{ActionError, FieldType, KindSpec, Resource, Scope};

/// Looked up by a request of its own, and only for a predicate that reads it.
const IMAGE_OWNER: &str = "image_owner";

/// Lists instances, terminated ones included as long as AWS shows them (about an hour).
pub struct Instances;

/// The source has no parameters.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {}

/// `ec2.instance`.
pub static KIND: KindSpec = KindSpec {
    name: "ec2.instance",
    scope: Scope::Regional,
    fields: &[
        field("id", FieldType::Text, "i-…"),
        field("region", FieldType::Text, "the region it is in"),
        field("account", FieldType::Text, "the account it is in"),
        field("launched", FieldType::Timestamp, "its last start: a stop and start sets it anew"),
        field("image", FieldType::Text, "the id of its AMI"),
        field(IMAGE_OWNER, FieldType::Text, "the account that owns the AMI; empty when it is not to be seen"),
        field("type", FieldType::Text, "m5.24xlarge"),
        field("platform", FieldType::Text, "windows or linux"),
        field("state", FieldType::Text, "pending, running, stopping, stopped, shutting-down or terminated"),
        field("key_name", FieldType::Text, "the key pair it was launched with"),
        field("vpc", FieldType::Text, "vpc-…"),
        field("subnet", FieldType::Text, "subnet-…"),
        field("az", FieldType::Text, "its availability zone"),
        field("public_ip", FieldType::Text, "its public IPv4 address"),
        field("private_ip", FieldType::Text, "its private IPv4 address"),
        field("lifecycle", FieldType::Text, "spot, scheduled, or empty for on demand"),
        field("profile", FieldType::Text, "the ARN of its instance profile"),
        field("autoscaling_group", FieldType::Text, "the Auto Scaling group that launched it"),
        field("vcpus", FieldType::Integer, "cores times threads"),
        field("tags", FieldType::TextMap, "its tags"),
    ],
};

impl Source for Instances {
    type Params = Params;

    const NAME: &'static str = "ec2.instances";
    const KIND: &'static KindSpec = &KIND;
    const TITLE: &'static str = "All instances of a region, also those that a service manages";
    const PERMISSIONS: &'static [&'static str] = &["ec2:DescribeInstances", "ec2:DescribeImages"];

    async fn list(&self, cx: &Ctx, _: &Params, wanted: &Wanted<'_>) -> Result<Vec<Resource>, ActionError> {
        let client = super::client(cx);
        let instances = super::described(&client, None).await?;
        let owners =
            if wanted.fields.contains(&IMAGE_OWNER) { Some(image_owners(&client, &instances).await?) } else { None };
        Ok(instances.iter().filter_map(|instance| member(cx, instance, owners.as_ref())).collect())
    }
}

/// Who owns the AMIs. One that was deregistered or is private stays unknown.
async fn image_owners(client: &Client, instances: &[Instance]) -> Result<HashMap<String, String>, ActionError> {
    let mut images: Vec<&str> = instances.iter().filter_map(Instance::image_id).collect();
    images.sort_unstable();
    images.dedup();
    let portions = images.chunks(FILTER_VALUES).map(|ids| {
        let ids = filter("image-id", ids.iter().copied());
        client.describe_images().include_deprecated(true).include_disabled(true).filters(ids).send()
    });
    let answers = try_join_all(portions).await?;
    let images = answers.into_iter().flat_map(|answer| answer.images.unwrap_or_default());
    Ok(images.filter_map(|image| Some((image.image_id?, image.owner_id?))).collect())
}

fn member(cx: &Ctx, instance: &Instance, owners: Option<&HashMap<String, String>>) -> Option<Resource> {
    let tags = super::tags(instance.tags());
    let placement = instance.placement();
    let cpu = instance.cpu_options();
    let threads = cpu.and_then(|cpu| Some(cpu.core_count()? * cpu.threads_per_core()?));
    let image = instance.image_id().unwrap_or_default();
    let mut fields = json!({
        "id": super::id(instance),
        "region": cx.target.region.as_str(),
        "account": cx.target.account.as_str(),
        "launched": time(instance.launch_time()),
        "image": image,
        "type": instance.instance_type().map_or("", |kind| kind.as_str()),
        "platform": instance.platform().map_or("linux", |_| "windows"),
        "state": super::state(instance),
        "key_name": instance.key_name().unwrap_or_default(),
        "vpc": instance.vpc_id().unwrap_or_default(),
        "subnet": instance.subnet_id().unwrap_or_default(),
        "az": placement.and_then(|place| place.availability_zone()).unwrap_or_default(),
        "public_ip": instance.public_ip_address().unwrap_or_default(),
        "private_ip": instance.private_ip_address().unwrap_or_default(),
        "lifecycle": instance.instance_lifecycle().map_or("", |lifecycle| lifecycle.as_str()),
        "profile": instance.iam_instance_profile().and_then(|profile| profile.arn()).unwrap_or_default(),
        "autoscaling_group": tags.get("aws:autoscaling:groupName").map_or("", String::as_str),
        "vcpus": threads.unwrap_or_default(),
        "tags": tags,
    });
    if let Some(owners) = owners {
        fields[IMAGE_OWNER] = owners.get(image).map_or("", String::as_str).into();
    }
    resource(cx, KIND.name, super::id(instance), fields)
}
