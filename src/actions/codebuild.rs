//! AWS CodeBuild: what its actions and sources share.

pub mod fleets;
pub mod projects;
pub mod shrink_fleets;
pub mod stop_builds;

use std::collections::BTreeMap;

use aws_sdk_codebuild::Client;
use aws_sdk_codebuild::config::Builder;
use aws_sdk_codebuild::types::{Fleet, Project, Tag};
use futures::future::try_join_all;

use crate::cloud::retry;
use crate::engine::action::Ctx;
use crate::model::ActionError;

/// How many names or ids one call asks for.
const ASKED_AT_ONCE: usize = 100;

/// The client of a lane.
fn client(cx: &Ctx) -> Client {
    let config = Builder::from(&cx.sdk).retry_partition(retry::partition(&cx.target)).retry_classifier(retry::WhenBusy);
    Client::from_conf(config.build())
}

/// The projects with these names; one that is gone is passed over.
async fn projects(client: &Client, names: &[String]) -> Result<Vec<Project>, ActionError> {
    let portions = names.chunks(ASKED_AT_ONCE).map(|names| async move {
        let answer = client.batch_get_projects().set_names(Some(names.to_vec())).send().await?;
        Ok::<_, ActionError>(answer.projects.unwrap_or_default())
    });
    Ok(try_join_all(portions).await?.into_iter().flatten().collect())
}

/// The fleets with these names or ARNs; one that is gone is passed over.
async fn fleets(client: &Client, names: &[String]) -> Result<Vec<Fleet>, ActionError> {
    let portions = names.chunks(ASKED_AT_ONCE).map(|names| async move {
        let answer = client.batch_get_fleets().set_names(Some(names.to_vec())).send().await?;
        Ok::<_, ActionError>(answer.fleets.unwrap_or_default())
    });
    Ok(try_join_all(portions).await?.into_iter().flatten().collect())
}

fn tags(tags: &[Tag]) -> BTreeMap<&str, &str> {
    tags.iter().filter_map(|tag| Some((tag.key()?, tag.value().unwrap_or_default()))).collect()
}
