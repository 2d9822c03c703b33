//! `codebuild.stop-builds`

mod webhook;

use std::collections::{BTreeSet, HashMap};

use aws_sdk_codebuild::Client;
use aws_sdk_codebuild::types::{Build, BuildBatchFilter, Project, StatusType};
use futures::future::try_join_all;
use jiff::{SignedDuration, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::ASKED_AT_ONCE;
use crate::actions::field::time;
use crate::engine::action::{Action, Ctx, Decision, Found, Item, Proposal, View};
use crate::model::{ActionError, Effect, ErrorKind, Resource, ResourceId, Tier, Undo, Verdict};
use webhook::Webhook;

/// How long a build may be in a queue (8 hours) and then run (36 hours) at most, and some more.
const LONGEST_BUILD: SignedDuration = SignedDuration::from_hours(48);

/// Stops the builds of projects, and what would start others.
pub struct StopBuilds;

/// What becomes of the webhooks.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// What is done about the webhook by which pushes start builds.
    #[serde(default)]
    pub webhooks: Webhooks,
}

/// What is done about a webhook.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Webhooks {
    /// It stays, with a filter that no push passes.
    #[default]
    Filter,
    /// It is deleted: its secret and its address are lost.
    Delete,
}

/// A project before its builds are stopped.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Prior {
    /// When it was made, which tells it from a later project of the same name.
    pub created: String,
    /// What starts builds when somebody pushes.
    pub webhook: Option<Webhook>,
    /// Its batches in progress, which start builds.
    pub batches: BTreeSet<String>,
    /// Its builds in progress.
    pub builds: BTreeSet<String>,
}

impl Prior {
    /// The webhook that starts builds; none where it is held already.
    fn open_webhook(&self) -> Option<&Webhook> {
        self.webhook.as_ref().filter(|webhook| !webhook.is_held())
    }

    /// What goes on, in words.
    fn going_on(&self) -> Option<String> {
        let count = |count: usize, one: &str, many: &str| match count {
            0 => None,
            1 => Some(format!("1 {one}")),
            count => Some(format!("{count} {many}")),
        };
        let words = [
            self.open_webhook().map(|_| "a webhook".to_owned()),
            count(self.batches.len(), "batch", "batches"),
            count(self.builds.len(), "build", "builds"),
        ];
        let words: Vec<String> = words.into_iter().flatten().collect();
        (!words.is_empty()).then(|| words.join(", "))
    }
}

impl Action for StopBuilds {
    type Params = Params;
    type Prior = Prior;

    const NAME: &'static str = "codebuild.stop-builds";
    const TIER: Tier = Tier::Disruptive;
    const KINDS: &'static [&'static str] = &["codebuild.project"];
    const TITLE: &'static str = "Stop the builds of projects, and what starts others";
    const DESCRIPTION: &'static str = "First what starts builds, then the builds: the webhook is given a filter that no push \
        passes, with its old filters kept; batches are stopped before their builds, as a batch starts the next build when \
        one ends. `webhooks: delete` takes the webhook away at the repository's host as well.\n\n\
        Nothing in CodeBuild forbids a new build: a project's limit of concurrent builds is one at least, and every \
        setting of a project can be overridden by whoever starts the build. What calls StartBuild, be it a person, a schedule \
        or a pipeline, is held only by taking its credentials; they come first.\n\n\
        AWS pages: *UpdateWebhook*, *DeleteWebhook*, *StopBuildBatch*, *StopBuild*, *Quotas for AWS CodeBuild*.";
    const UNDO: &'static str = "Gives the webhook its old filters; one that was deleted is made anew, with another secret and \
        another address, which a repository's host that is not connected to CodeBuild has to be told. A build that was \
        stopped does not go on.";
    const PERMISSIONS: &'static [&'static str] = &[
        "codebuild:BatchGetBuilds",
        "codebuild:BatchGetProjects",
        "codebuild:DeleteWebhook",
        "codebuild:ListBuildBatchesForProject",
        "codebuild:ListBuildsForProject",
        "codebuild:StopBuild",
        "codebuild:StopBuildBatch",
        "codebuild:UpdateWebhook",
    ];
    const UNDO_PERMISSIONS: &'static [&'static str] = &["codebuild:CreateWebhook"];
    const EXAMPLE: &'static str = "{ id: builds, uses: codebuild.stop-builds, on: projects }";

    async fn discover(&self, cx: &Ctx, _: &Params, members: &[Resource]) -> Result<Vec<Found<Prior>>, ActionError> {
        let client = super::client(cx);
        let names: Vec<String> = members.iter().map(|member| member.id.to_string()).collect();
        let projects = super::projects(&client, &names).await?;
        let projects: HashMap<&str, &Project> = projects.iter().filter_map(|one| Some((one.name()?, one))).collect();
        let there = members.iter().filter_map(|member| Some((&member.id, *projects.get(member.id.as_str())?)));
        let looks = there.map(|(id, project)| found(cx, &client, id, project));
        Ok(try_join_all(looks).await?.into_iter().flatten().collect())
    }

    fn plan(&self, _: &View, params: &Params, found: &Found<Prior>) -> Decision {
        let Some(before) = found.prior.going_on() else { return Decision::Already };
        let webhook = found.prior.open_webhook();
        let undo =
            Undo::by(if webhook.is_some() { "let its webhook start builds again" } else { "nothing to restore" });
        let undo = undo.losing("what its builds have done");
        let undo = match (webhook, params.webhooks) {
            (Some(_), Webhooks::Delete) => undo.losing("the webhook's secret and address"),
            _ => undo,
        };
        let summary = format!("stop the builds of {}", found.resource);
        let proposal = Proposal::new(summary, before, "nothing builds, and no push starts a build", undo);
        Decision::Change(match (webhook, params.webhooks) {
            (Some(_), Webhooks::Filter) => proposal.noting("its webhook stays, with a filter that no push passes"),
            (Some(_), Webhooks::Delete) => proposal.noting("its webhook is deleted, at the repository's host as well"),
            (None, _) => proposal,
        })
    }

    /// Further builds of the same project are stopped with those that were seen. Another webhook would be lost unseen.
    fn drift(&self, approved: &Prior, now: &Prior) -> Option<String> {
        if approved.created != now.created {
            return Some("it is another project of the same name".to_owned());
        }
        let other = now.open_webhook().is_some() && now.webhook != approved.webhook;
        other.then(|| "its webhook is not the approved one any more".to_owned())
    }

    async fn apply(&self, cx: &Ctx, params: &Params, items: &[Item<Prior>]) -> Result<Vec<Effect>, ActionError> {
        let client = super::client(cx);
        let mut effects = Vec::with_capacity(items.len());
        for Item { resource, prior, .. } in items {
            let name = resource.as_str();
            if prior.open_webhook().is_some() {
                webhook::close(&client, name, params.webhooks).await?;
            }
            for id in batches(&client, name).await? {
                unless_gone(client.stop_build_batch().id(id).send().await.map_err(ActionError::from))?;
            }
            // Whatever was started until the last batch was stopped.
            for id in builds(cx, &client, name).await? {
                unless_gone(client.stop_build().id(id).send().await.map_err(ActionError::from))?;
            }
            effects.push(json!({ "webhook": prior.open_webhook().is_some() }));
        }
        Ok(effects)
    }

    /// A build that was told to stop shows as in progress for a moment.
    fn verify(&self, _: &View, _: &Params, found: &Found<Prior>) -> Verdict {
        match found.prior.going_on() {
            None => Verdict::Proven,
            Some(what) if found.prior.open_webhook().is_some() => {
                Verdict::Unproven { why: format!("there is still {what}") }
            }
            Some(what) => Verdict::Pending { why: format!("there is still {what}") },
        }
    }

    fn restored(&self, prior: &Prior, now: &Prior) -> Verdict {
        let as_before = prior.open_webhook().is_none() || prior.open_webhook() == now.open_webhook();
        if as_before {
            Verdict::Proven
        } else {
            Verdict::Unproven { why: "its webhook is not as it was before".to_owned() }
        }
    }

    async fn undo(&self, cx: &Ctx, _: &Params, item: &Item<Prior>, _: &Effect) -> Result<(), ActionError> {
        let Some(before) = item.prior.open_webhook() else { return Ok(()) };
        let client = super::client(cx);
        let projects = super::projects(&client, &[item.resource.to_string()]).await?;
        let same = projects.first().filter(|project| time(project.created()) == item.prior.created);
        let Some(project) = same else { return Ok(()) };
        before.restore(&client, item.resource.as_str(), project.webhook()).await
    }
}

async fn found(
    cx: &Ctx,
    client: &Client,
    id: &ResourceId,
    project: &Project,
) -> Result<Option<Found<Prior>>, ActionError> {
    let looks = futures::future::try_join(batches(client, id.as_str()), builds(cx, client, id.as_str())).await;
    let (batches, builds) = match looks {
        Err(error) if error.kind == ErrorKind::NotFound => return Ok(None),
        looks => looks?,
    };
    let webhook = project.webhook().map(Webhook::of);
    let prior = Prior { created: time(project.created()), webhook, batches, builds };
    Ok(Some(Found { member: id.clone(), resource: id.clone(), prior }))
}

/// The batches of a project that are in progress.
async fn batches(client: &Client, project: &str) -> Result<BTreeSet<String>, ActionError> {
    let in_progress = BuildBatchFilter::builder().status(StatusType::InProgress).build();
    let request = client.list_build_batches_for_project().project_name(project).filter(in_progress);
    let mut pages = request.into_paginator().send();
    let mut ids = BTreeSet::new();
    while let Some(page) = pages.next().await {
        ids.extend(page?.ids.unwrap_or_default());
    }
    Ok(ids)
}

/// The builds of a project that are in progress. AWS lists all builds of a year, the newest first: the look ends where a
/// whole page is older than any build can last.
async fn builds(cx: &Ctx, client: &Client, project: &str) -> Result<BTreeSet<String>, ActionError> {
    let mut pages = client.list_builds_for_project().project_name(project).into_paginator().send();
    let oldest = cx.clock.now() - LONGEST_BUILD;
    let mut in_progress = BTreeSet::new();
    while let Some(page) = pages.next().await {
        let ids = page?.ids.unwrap_or_default();
        let mut any_recent = false;
        for ids in ids.chunks(ASKED_AT_ONCE) {
            let answer = client.batch_get_builds().set_ids(Some(ids.to_vec())).send().await?;
            for build in answer.builds() {
                any_recent |= !build.build_complete() || started(build).is_none_or(|started| started >= oldest);
                in_progress.extend(build.id().filter(|_| !build.build_complete()).map(str::to_owned));
            }
        }
        if !any_recent {
            break;
        }
    }
    Ok(in_progress)
}

fn started(build: &Build) -> Option<Timestamp> {
    Timestamp::from_second(build.start_time()?.secs()).ok()
}

fn unless_gone<T>(answer: Result<T, ActionError>) -> Result<(), ActionError> {
    match answer {
        Err(error) if error.kind != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::actions::tests::view;

    fn found(webhook: Option<Webhook>, batches: &[&str], builds: &[&str]) -> Found<Prior> {
        let id = ResourceId::new("mine").unwrap();
        let ids = |ids: &[&str]| ids.iter().map(|id| (*id).to_owned()).collect();
        let prior = Prior { created: "c".into(), webhook, batches: ids(batches), builds: ids(builds) };
        Found { member: id.clone(), resource: id, prior }
    }

    #[test]
    fn what_starts_builds_and_what_builds_is_stopped() {
        let plan = |found: &Found<Prior>, webhooks| StopBuilds.plan(&view(), &Params { webhooks }, found);
        assert_eq!(plan(&found(None, &[], &[]), Webhooks::Filter), Decision::Already);
        assert_eq!(plan(&found(Some(Webhook::held()), &[], &[]), Webhooks::Filter), Decision::Already);
        let open = found(Some(Webhook::default()), &["mine:1"], &["mine:2", "mine:3"]);
        let Decision::Change(proposal) = plan(&open, Webhooks::Filter) else { panic!("no change") };
        assert_eq!(proposal.before, "a webhook, 1 batch, 2 builds");
        assert_eq!(proposal.undo.loses, ["what its builds have done"]);
        let Decision::Change(proposal) = plan(&open, Webhooks::Delete) else { panic!("no change") };
        assert!(proposal.undo.loses.iter().any(|lost| lost.contains("secret")), "{:?}", proposal.undo);
    }

    #[test]
    fn a_namesake_or_another_webhook_voids_the_approval_and_a_further_build_does_not() {
        let approved = found(None, &[], &["mine:1"]).prior;
        assert_eq!(StopBuilds.drift(&approved, &found(None, &["mine:2"], &["mine:3"]).prior), None);
        assert!(StopBuilds.drift(&approved, &found(Some(Webhook::default()), &[], &[]).prior).is_some());
        assert!(StopBuilds.drift(&approved, &Prior { created: "d".into(), ..approved.clone() }).is_some());
    }

    #[test]
    fn an_open_webhook_is_no_proof_and_a_build_on_its_way_is_waited_for() {
        let params = Params { webhooks: Webhooks::Filter };
        let verify = |found: &Found<Prior>| StopBuilds.verify(&view(), &params, found);
        assert!(matches!(verify(&found(None, &[], &["mine:1"])), Verdict::Pending { .. }));
        assert!(matches!(verify(&found(Some(Webhook::default()), &[], &[])), Verdict::Unproven { .. }));
        assert_eq!(verify(&found(Some(Webhook::held()), &[], &[])), Verdict::Proven);
    }
}
