//! Amazon EMR: what its actions and sources share.

pub mod clusters;
pub mod terminate;

use aws_sdk_emr::Client;
use aws_sdk_emr::config::Builder;
use aws_sdk_emr::types::Cluster;
use futures::future::try_join_all;

use crate::cloud::retry;
use crate::engine::action::Ctx;
use crate::model::ActionError;

/// How many clusters are looked at at once, and how many one call terminates.
const AT_ONCE: usize = 10;

/// The client of a lane.
fn client(cx: &Ctx) -> Client {
    let config = Builder::from(&cx.sdk).retry_partition(retry::partition(&cx.target)).retry_classifier(retry::WhenBusy);
    Client::from_conf(config.build())
}

/// The clusters with these ids. EMR shows what has ended for two months.
async fn described(client: &Client, ids: &[String]) -> Result<Vec<Cluster>, ActionError> {
    let mut clusters = Vec::new();
    for portion in ids.chunks(AT_ONCE) {
        let requests = portion.iter().map(|id| client.describe_cluster().cluster_id(id).send());
        clusters.extend(try_join_all(requests).await?.into_iter().filter_map(|answer| answer.cluster));
    }
    Ok(clusters)
}

/// `RUNNING`, `TERMINATED`, …
fn state(cluster: &Cluster) -> String {
    let state = cluster.status().and_then(|status| status.state());
    state.map(|state| state.as_str().to_owned()).unwrap_or_default()
}
