//! Amazon Lightsail: what its actions and sources share.

pub mod containers;
pub mod instances;
pub mod stop;

use std::collections::BTreeMap;

use aws_sdk_lightsail::Client;
use aws_sdk_lightsail::config::{Builder, Region};
use aws_sdk_lightsail::types::{ContainerService, Instance, Tag};

use crate::cloud::retry;
use crate::engine::action::Ctx;
use crate::model::{ActionError, ErrorKind};

/// Where Lightsail's own list of regions is asked for.
const LISTED_IN: &str = "us-east-1";

/// Regions that have Lightsail. In others there is no endpoint that could say that there is nothing: what Lightsail itself
/// says counts there, so that a new region is not missed.
const KNOWN: [&str; 19] = [
    "ap-east-1",
    "ap-northeast-1",
    "ap-northeast-2",
    "ap-south-1",
    "ap-southeast-1",
    "ap-southeast-2",
    "ap-southeast-3",
    "ap-southeast-5",
    "ca-central-1",
    "eu-central-1",
    "eu-north-1",
    "eu-south-2",
    "eu-west-1",
    "eu-west-2",
    "eu-west-3",
    "sa-east-1",
    "us-east-1",
    "us-east-2",
    "us-west-2",
];

/// The client of a lane.
fn client(cx: &Ctx) -> Client {
    let config = Builder::from(&cx.sdk).retry_partition(retry::partition(&cx.target)).retry_classifier(retry::WhenBusy);
    Client::from_conf(config.build())
}

/// Whether Lightsail is offered in the lane's region.
async fn is_offered(cx: &Ctx) -> Result<bool, ActionError> {
    let region = cx.target.region.as_str();
    if KNOWN.contains(&region) {
        return Ok(true);
    }
    let config = Builder::from(&cx.sdk)
        .region(Region::new(LISTED_IN))
        .retry_partition(retry::partition(&cx.target))
        .retry_classifier(retry::WhenBusy);
    let listed = Client::from_conf(config.build()).get_regions().send().await?;
    Ok(listed.regions().iter().filter_map(|listed| listed.name()).any(|name| name.as_str() == region))
}

/// All instances of the region.
async fn instances(client: &Client) -> Result<Vec<Instance>, ActionError> {
    let mut instances = Vec::new();
    let mut token = None;
    loop {
        let page = client.get_instances().set_page_token(token).send().await?;
        instances.extend(page.instances.unwrap_or_default());
        token = page.next_page_token.filter(|token| !token.is_empty());
        if token.is_none() {
            return Ok(instances);
        }
    }
}

/// The instance of this name, unless it is gone.
async fn instance(client: &Client, name: &str) -> Result<Option<Instance>, ActionError> {
    match client.get_instance().instance_name(name).send().await.map_err(ActionError::from) {
        Ok(answer) => Ok(answer.instance),
        Err(error) if error.kind == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// The container services of the region, or the one of this name unless it is gone.
async fn containers(client: &Client, name: Option<&str>) -> Result<Vec<ContainerService>, ActionError> {
    let request = client.get_container_services().set_service_name(name.map(str::to_owned));
    match request.send().await.map_err(ActionError::from) {
        Ok(answer) => Ok(answer.container_services.unwrap_or_default()),
        Err(error) if error.kind == ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// `running`, `stopped`, …
fn state(instance: &Instance) -> &str {
    instance.state().and_then(|state| state.name()).unwrap_or_default()
}

fn tags(tags: &[Tag]) -> BTreeMap<&str, &str> {
    tags.iter().filter_map(|tag| Some((tag.key()?, tag.value().unwrap_or_default()))).collect()
}
