//! `apprunner.services`: the App Runner services of a region.

use std::collections::BTreeMap;

use aws_sdk_apprunner::Client;
use aws_sdk_apprunner::types::{Service, ServiceSummary};
use futures::future::{try_join, try_join_all};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use crate::actions::field::{field, resource, time};
use crate::engine::action::{Ctx, Source, Wanted};
use crate::model::{ActionError, FieldType, KindSpec, Resource, Scope};

/// Lists services.
pub struct Services;

/// The source has no parameters.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {}

/// The fields that only a request for each service tells.
const DETAILS: [&str; 4] = ["source", "cpu", "memory", "role"];

/// `apprunner.service`.
pub static KIND: KindSpec = KindSpec {
    name: "apprunner.service",
    scope: Scope::Regional,
    fields: &[
        field("arn", FieldType::Text, "its ARN"),
        field("name", FieldType::Text, "its name"),
        field("created", FieldType::Timestamp, "when it was created"),
        field("modified", FieldType::Timestamp, "when it was last changed"),
        field("state", FieldType::Text, "RUNNING, PAUSED, OPERATION_IN_PROGRESS, CREATE_FAILED, …"),
        field("url", FieldType::Text, "where it answers"),
        field("source", FieldType::Text, "the image or the repository that it runs"),
        field("cpu", FieldType::Text, "the size of an instance: 4096 for 4 vCPU"),
        field("memory", FieldType::Text, "the memory of an instance in MiB: 12288"),
        field("role", FieldType::Text, "the ARN of the role that its instances have"),
        field("tags", FieldType::TextMap, "its tags"),
    ],
};

impl Source for Services {
    type Params = Params;

    const NAME: &'static str = "apprunner.services";
    const KIND: &'static KindSpec = &KIND;
    const TITLE: &'static str = "All App Runner services of a region";
    const PERMISSIONS: &'static [&'static str] =
        &["apprunner:DescribeService", "apprunner:ListServices", "apprunner:ListTagsForResource"];

    async fn list(&self, cx: &Ctx, _: &Params, wanted: &Wanted<'_>) -> Result<Vec<Resource>, ActionError> {
        let client = super::client(cx);
        let services = super::all(cx).await?;
        let members = services.iter().map(|service| async {
            let arn = service.service_arn().unwrap_or_default();
            let (details, tags) = try_join(details(&client, arn, wanted), tags(&client, arn, wanted)).await?;
            Ok::<_, ActionError>(member(cx, service, details.as_ref(), &tags))
        });
        Ok(try_join_all(members).await?.into_iter().flatten().collect())
    }
}

async fn details(client: &Client, arn: &str, wanted: &Wanted<'_>) -> Result<Option<Service>, ActionError> {
    if !wanted.fields.iter().any(|field| DETAILS.contains(field)) {
        return Ok(None);
    }
    Ok(client.describe_service().service_arn(arn).send().await?.service)
}

async fn tags(client: &Client, arn: &str, wanted: &Wanted<'_>) -> Result<BTreeMap<String, String>, ActionError> {
    if !wanted.fields.contains(&"tags") {
        return Ok(BTreeMap::new());
    }
    let answer = client.list_tags_for_resource().resource_arn(arn).send().await?;
    let tags = answer.tags().iter();
    Ok(tags.filter_map(|tag| Some((tag.key()?.to_owned(), tag.value().unwrap_or_default().to_owned()))).collect())
}

fn member(
    cx: &Ctx,
    service: &ServiceSummary,
    details: Option<&Service>,
    tags: &BTreeMap<String, String>,
) -> Option<Resource> {
    let arn = service.service_arn()?;
    let source = details.and_then(|details| details.source_configuration());
    let image = source.and_then(|source| Some(source.image_repository()?.image_identifier()));
    let repository = source.and_then(|source| Some(source.code_repository()?.repository_url()));
    let instance = details.and_then(|details| details.instance_configuration());
    let fields = json!({
        "arn": arn,
        "name": service.service_name().unwrap_or_default(),
        "created": time(service.created_at()),
        "modified": time(service.updated_at()),
        "state": service.status().map_or("", |status| status.as_str()),
        "url": service.service_url().unwrap_or_default(),
        "source": image.or(repository).unwrap_or_default(),
        "cpu": instance.and_then(|instance| instance.cpu()).unwrap_or_default(),
        "memory": instance.and_then(|instance| instance.memory()).unwrap_or_default(),
        "role": instance.and_then(|instance| instance.instance_role_arn()).unwrap_or_default(),
        "tags": tags,
    });
    resource(cx, KIND.name, arn, fields)
}
