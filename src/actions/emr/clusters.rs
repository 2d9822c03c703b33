//! `emr.clusters`: the EMR clusters of a region.

use std::collections::{BTreeMap, HashMap};

use aws_sdk_emr::types::{Cluster, ClusterState, ClusterSummary, Ec2InstanceAttributes};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use crate::actions::field::{field, resource, time};
use crate::engine::action::{Ctx, Source, Wanted};
use crate::model::{ActionError, FieldType, KindSpec, Resource, Scope};

/// The states of clusters that have not ended.
const LIVE: [ClusterState; 5] = [
    ClusterState::Starting,
    ClusterState::Bootstrapping,
    ClusterState::Running,
    ClusterState::Waiting,
    ClusterState::Terminating,
];
/// The fields that take a request per cluster.
const OF_ONE: [&str; 4] = ["tags", "protected", "release", "profile"];

/// Lists clusters that have not ended.
pub struct Clusters;

/// The source has no parameters.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {}

/// `emr.cluster`.
pub static KIND: KindSpec = KindSpec {
    name: "emr.cluster",
    scope: Scope::Regional,
    fields: &[
        field("id", FieldType::Text, "j-…"),
        field("name", FieldType::Text, "its name"),
        field("created", FieldType::Timestamp, "when it was created"),
        field("state", FieldType::Text, "STARTING, BOOTSTRAPPING, RUNNING, WAITING or TERMINATING"),
        field("hours", FieldType::Integer, "the instance hours it has used, normalised to an m1.small"),
        field("protected", FieldType::Bool, "whether it has termination protection"),
        field("release", FieldType::Text, "emr-7.3.0"),
        field("profile", FieldType::Text, "the instance profile of its machines"),
        field("tags", FieldType::TextMap, "its tags"),
    ],
};

impl Source for Clusters {
    type Params = Params;

    const NAME: &'static str = "emr.clusters";
    const KIND: &'static KindSpec = &KIND;
    const TITLE: &'static str = "All EMR clusters of a region that have not ended";
    const PERMISSIONS: &'static [&'static str] = &["elasticmapreduce:DescribeCluster", "elasticmapreduce:ListClusters"];

    async fn list(&self, cx: &Ctx, _: &Params, wanted: &Wanted<'_>) -> Result<Vec<Resource>, ActionError> {
        let client = super::client(cx);
        let request = client.list_clusters().set_cluster_states(Some(LIVE.to_vec()));
        let mut items = request.into_paginator().items().send();
        let mut clusters: Vec<ClusterSummary> = Vec::new();
        while let Some(cluster) = items.next().await {
            clusters.push(cluster?);
        }
        let mut described = HashMap::new();
        if wanted.fields.iter().any(|field| OF_ONE.contains(field)) {
            let ids: Vec<String> = clusters.iter().filter_map(|cluster| cluster.id().map(str::to_owned)).collect();
            let each = super::described(&client, &ids).await?.into_iter();
            described.extend(each.filter_map(|cluster| Some((cluster.id()?.to_owned(), cluster))));
        }
        let member = |cluster: &ClusterSummary| member(cx, cluster, described.get(cluster.id()?));
        Ok(clusters.iter().filter_map(member).collect())
    }
}

fn member(cx: &Ctx, cluster: &ClusterSummary, described: Option<&Cluster>) -> Option<Resource> {
    let id = cluster.id()?;
    let status = cluster.status();
    let created = status.and_then(|status| status.timeline()).and_then(|timeline| timeline.creation_date_time());
    let tags = described.map(Cluster::tags).unwrap_or_default().iter();
    let tags: BTreeMap<&str, &str> =
        tags.filter_map(|tag| Some((tag.key()?, tag.value().unwrap_or_default()))).collect();
    let profile = described.and_then(|cluster| cluster.ec2_instance_attributes());
    let fields = json!({
        "id": id,
        "name": cluster.name().unwrap_or_default(),
        "created": time(created),
        "state": status.and_then(|status| status.state()).map_or("", |state| state.as_str()),
        "hours": cluster.normalized_instance_hours().unwrap_or_default(),
        "protected": described.and_then(Cluster::termination_protected).unwrap_or_default(),
        "release": described.and_then(|cluster| cluster.release_label()).unwrap_or_default(),
        "profile": profile.and_then(Ec2InstanceAttributes::iam_instance_profile).unwrap_or_default(),
        "tags": tags,
    });
    resource(cx, KIND.name, id, fields)
}
