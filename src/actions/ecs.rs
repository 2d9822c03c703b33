//! Amazon ECS: what its action and sources share.

pub mod services;
pub mod stop;
pub mod tasks;

use std::collections::{BTreeMap, HashMap};

use aws_sdk_ecs::Client;
use aws_sdk_ecs::config::Builder;
use aws_sdk_ecs::types::{DesiredStatus, Service, ServiceField, Tag, Task, TaskField};
use futures::future::try_join_all;

use crate::cloud::retry;
use crate::engine::action::Ctx;
use crate::model::{ActionError, ErrorKind, ResourceId};

/// How many services one call describes.
const SERVICES: usize = 10;
/// How many tasks one call describes.
const TASKS: usize = 100;
/// The largest page of a list.
const PAGE: i32 = 100;

fn client(cx: &Ctx) -> Client {
    let config = Builder::from(&cx.sdk).retry_partition(retry::partition(&cx.target)).retry_classifier(retry::WhenBusy);
    Client::from_conf(config.build())
}

/// The ARNs of the clusters of a region.
async fn clusters(client: &Client) -> Result<Vec<String>, ActionError> {
    let mut pages = client.list_clusters().max_results(PAGE).into_paginator().items().send();
    let mut arns = Vec::new();
    while let Some(arn) = pages.next().await {
        arns.push(arn?);
    }
    Ok(arns)
}

/// The services of a cluster.
async fn services_of(client: &Client, cluster: &str) -> Result<Vec<Service>, ActionError> {
    let mut pages = client.list_services().cluster(cluster).max_results(PAGE).into_paginator().items().send();
    let mut arns = Vec::new();
    while let Some(arn) = pages.next().await {
        arns.push(arn?);
    }
    described_services(client, cluster, &arns).await
}

/// Services by name or ARN; one that is gone is passed over.
async fn described_services(client: &Client, cluster: &str, names: &[String]) -> Result<Vec<Service>, ActionError> {
    let portions = names.chunks(SERVICES).map(|names| async move {
        let request = client.describe_services().cluster(cluster).set_services(Some(names.to_vec()));
        Ok::<_, ActionError>(request.include(ServiceField::Tags).send().await?.services.unwrap_or_default())
    });
    let all = try_join_all(portions).await?.into_iter().flatten();
    Ok(all.filter(|service| service.status() != Some("INACTIVE")).collect())
}

/// The ARNs of the tasks of a cluster, or of one of its services, that are meant to run.
async fn running(client: &Client, cluster: &str, service: Option<&str>) -> Result<Vec<String>, ActionError> {
    let request = client.list_tasks().cluster(cluster).set_service_name(service.map(str::to_owned));
    let mut pages = request.desired_status(DesiredStatus::Running).max_results(PAGE).into_paginator().items().send();
    let mut arns = Vec::new();
    while let Some(arn) = pages.next().await {
        arns.push(arn?);
    }
    Ok(arns)
}

/// Tasks by id or ARN; one that is gone is passed over.
async fn described_tasks(client: &Client, cluster: &str, ids: &[String]) -> Result<Vec<Task>, ActionError> {
    let portions = ids.chunks(TASKS).map(|ids| async move {
        let request = client.describe_tasks().cluster(cluster).set_tasks(Some(ids.to_vec()));
        Ok::<_, ActionError>(request.include(TaskField::Tags).send().await?.tasks.unwrap_or_default())
    });
    Ok(try_join_all(portions).await?.into_iter().flatten().collect())
}

/// What is in a cluster; nothing once the cluster is gone.
fn unless_gone<T: Default>(answer: Result<T, ActionError>) -> Result<T, ActionError> {
    match answer {
        Err(error) if error.kind == ErrorKind::NotFound => Ok(T::default()),
        other => other,
    }
}

fn tags(tags: &[Tag]) -> BTreeMap<String, String> {
    let tag = |tag: &Tag| Some((tag.key()?.to_owned(), tag.value().unwrap_or_default().to_owned()));
    tags.iter().filter_map(tag).collect()
}

/// The last part of a name: what stands behind the last slash of an ARN.
fn short(arn: &str) -> &str {
    arn.rsplit('/').next().unwrap_or(arn)
}

/// The service that a task belongs to.
fn service_of(task: &Task) -> Option<&str> {
    task.group()?.strip_prefix("service:")
}

/// What a member is. Its id is an ARN that names the cluster; for services and tasks from before 2021, whose own ARN does
/// not, the sources put it in.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Place<'a> {
    /// `service` or `task`.
    kind: &'a str,
    cluster: &'a str,
    name: &'a str,
}

impl<'a> Place<'a> {
    fn of(id: &'a ResourceId) -> Option<Self> {
        let mut parts = id.as_str().splitn(6, ':').nth(5)?.split('/');
        let (kind, cluster, name) = (parts.next()?, parts.next()?, parts.next()?);
        Some(Self { kind, cluster, name })
    }

    /// Members of one kind, by cluster.
    fn by_cluster(ids: impl Iterator<Item = &'a ResourceId>, kind: &str) -> HashMap<&'a str, Vec<String>> {
        let mut clusters: HashMap<&str, Vec<String>> = HashMap::new();
        for place in ids.filter_map(Self::of).filter(|place| place.kind == kind) {
            clusters.entry(place.cluster).or_default().push(place.name.to_owned());
        }
        clusters
    }
}

/// The id of a service or task: its ARN, with the cluster in it.
fn id(kind: &str, cluster: &str, name: &str) -> String {
    format!("{}/{name}", cluster.replacen(":cluster/", &format!(":{kind}/"), 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_names_the_cluster_also_where_the_arn_does_not() {
        let id = ResourceId::new(id(
            "service",
            "arn:aws:ecs:eu-west-1:111122223333:cluster/batch",
            short("arn:aws:ecs:eu-west-1:111122223333:service/web"),
        ))
        .unwrap();
        assert_eq!(id.as_str(), "arn:aws:ecs:eu-west-1:111122223333:service/batch/web");
        assert_eq!(Place::of(&id), Some(Place { kind: "service", cluster: "batch", name: "web" }));
    }
}
