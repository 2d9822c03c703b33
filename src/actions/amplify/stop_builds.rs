//! `amplify.stop-builds`

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_amplify::Client;
use aws_sdk_amplify::config::Builder;
use aws_sdk_amplify::config::retry::RetryConfig;
use aws_sdk_amplify::types::{App, Branch, JobStatus, Webhook};
use futures::future::{try_join, try_join_all};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::time::{Duration, sleep};

use super::PAGE;
use crate::engine::action::{Action, Ctx, Decision, Found, Item, Proposal, View};
use crate::model::{ActionError, Effect, ErrorKind, Resource, ResourceId, Tier, Undo, Verdict};

/// How often the request for a webhook is sent.
const ATTEMPTS: u32 = 4;

/// Stops the builds of apps, and what starts others.
pub struct StopBuilds;

/// The action has no parameters.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {}

/// An app before its builds are stopped.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Prior {
    /// Whether a new branch of its repository is built by itself.
    pub auto_branches: bool,
    /// The branches of which a push starts a build.
    pub auto_builds: BTreeSet<String>,
    /// The addresses that start a build for whoever knows them: branch and description, by id.
    pub webhooks: BTreeMap<String, Hook>,
    /// The builds in progress: branch and number.
    pub jobs: BTreeSet<(String, String)>,
    /// Those on their way to a stop.
    pub stopping: BTreeSet<(String, String)>,
}

/// An incoming webhook.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Hook {
    /// The branch that it builds.
    pub branch: String,
    /// What it is for.
    pub description: String,
}

impl Prior {
    /// What goes on, in words.
    fn going_on(&self) -> Option<String> {
        let count = |count: usize, one: &str, many: &str| match count {
            0 => None,
            1 => Some(format!("1 {one}")),
            count => Some(format!("{count} {many}")),
        };
        let words = [
            self.auto_branches.then(|| "new branches are built".to_owned()),
            count(self.auto_builds.len(), "branch builds by itself", "branches build by themselves"),
            count(self.webhooks.len(), "incoming webhook", "incoming webhooks"),
            count(self.jobs.len(), "build", "builds"),
        ];
        let words: Vec<String> = words.into_iter().flatten().collect();
        (!words.is_empty()).then(|| words.join(", "))
    }
}

impl Action for StopBuilds {
    type Params = Params;
    type Prior = Prior;

    const NAME: &'static str = "amplify.stop-builds";
    const TIER: Tier = Tier::Disruptive;
    const KINDS: &'static [&'static str] = &["amplify.app"];
    const TITLE: &'static str = "Stop the builds of Amplify apps, and what starts others";
    const DESCRIPTION: &'static str = "First what starts builds, then the builds: new branches of the repository are taken no \
        more, pushes to known ones start nothing, and the incoming webhooks are deleted: whoever knows the address of one \
        starts builds by it without any credentials, whatever the branch says. What was built before stays online. Whoever may call \
        StartJob can still start a build, so take the credentials first.\n\n\
        AWS pages: *Managing the build settings for an app*, *Incoming webhooks*, *UpdateBranch*, *StopJob*.";
    const UNDO: &'static str = "Lets branches build by themselves again as before, and makes the webhooks anew: with other \
        addresses, which those who call them have to be told. A build that was stopped does not go on.";
    const PERMISSIONS: &'static [&'static str] = &[
        "amplify:DeleteWebhook",
        "amplify:ListApps",
        "amplify:ListBranches",
        "amplify:ListJobs",
        "amplify:ListWebhooks",
        "amplify:StopJob",
        "amplify:UpdateApp",
        "amplify:UpdateBranch",
    ];
    const UNDO_PERMISSIONS: &'static [&'static str] = &["amplify:CreateWebhook"];
    const EXAMPLE: &'static str = "{ id: amplify, uses: amplify.stop-builds, on: apps }";

    async fn discover(&self, cx: &Ctx, _: &Params, members: &[Resource]) -> Result<Vec<Found<Prior>>, ActionError> {
        let client = super::client(cx);
        let wanted: BTreeSet<&str> = members.iter().map(|member| member.id.as_str()).collect();
        let apps = super::all_apps(&client).await?;
        let looks = apps.iter().filter(|app| wanted.contains(app.app_id())).map(|app| found(&client, app));
        Ok(try_join_all(looks).await?.into_iter().flatten().collect())
    }

    fn plan(&self, _: &View, _: &Params, found: &Found<Prior>) -> Decision {
        let Some(before) = found.prior.going_on() else { return Decision::Already };
        let undo = Undo::by("let it build by itself again").losing("what its builds have done");
        let undo = match found.prior.webhooks.len() {
            0 => undo,
            _ => undo.losing("the addresses of its incoming webhooks"),
        };
        let summary = format!("stop the builds of {}", found.resource);
        Decision::Change(Proposal::new(summary, before, "nothing builds, and nothing starts a build", undo))
    }

    /// Whatever starts builds of the same app by now is held with what was seen, but for a webhook: it would be lost unseen.
    fn drift(&self, approved: &Prior, now: &Prior) -> Option<String> {
        let known: BTreeSet<&Hook> = approved.webhooks.values().collect();
        let unseen = now.webhooks.values().find(|hook| !known.contains(hook))?;
        Some(format!("it has a webhook for {} by now, which was not approved", unseen.branch))
    }

    async fn apply(&self, cx: &Ctx, _: &Params, items: &[Item<Prior>]) -> Result<Vec<Effect>, ActionError> {
        let client = super::client(cx);
        for Item { resource, prior, .. } in items {
            let app = resource.as_str();
            if prior.auto_branches {
                client.update_app().app_id(app).enable_auto_branch_creation(false).send().await?;
            }
            for branch in &prior.auto_builds {
                let request = client.update_branch().app_id(app).branch_name(branch).enable_auto_build(false);
                unless_gone(request.send().await.map_err(ActionError::from))?;
            }
            for id in prior.webhooks.keys() {
                unless_gone(client.delete_webhook().webhook_id(id).send().await.map_err(ActionError::from))?;
            }
            // Whatever was started until the last of them was gone.
            let branches = all_branches(&client, app).await?;
            let (jobs, _) = jobs(&client, app, &branches).await?;
            for (branch, job) in jobs {
                stop(&client, app, &branch, &job).await?;
            }
        }
        Ok(vec![Value::Null; items.len()])
    }

    fn verify(&self, _: &View, _: &Params, found: &Found<Prior>) -> Verdict {
        match found.prior.going_on() {
            Some(what) => Verdict::Unproven { why: format!("there is still {what}") },
            None if !found.prior.stopping.is_empty() => {
                Verdict::Pending { why: "its builds are CANCELLING".to_owned() }
            }
            None => Verdict::Proven,
        }
    }

    fn restored(&self, prior: &Prior, now: &Prior) -> Verdict {
        let hooks = |prior: &Prior| prior.webhooks.values().cloned().collect::<Vec<_>>();
        let sorted = |mut hooks: Vec<Hook>| {
            hooks.sort();
            hooks
        };
        let same = prior.auto_branches == now.auto_branches
            && prior.auto_builds == now.auto_builds
            && sorted(hooks(prior)) == sorted(hooks(now));
        if same { Verdict::Proven } else { Verdict::Unproven { why: "it does not build as it did before".to_owned() } }
    }

    async fn undo(&self, cx: &Ctx, _: &Params, item: &Item<Prior>, _: &Effect) -> Result<(), ActionError> {
        let client = super::client(cx);
        let app = item.resource.as_str();
        let apps = super::all_apps(&client).await?;
        if !apps.iter().any(|known| known.app_id() == app) {
            return Ok(());
        }
        if item.prior.auto_branches {
            client.update_app().app_id(app).enable_auto_branch_creation(true).send().await?;
        }
        for branch in &item.prior.auto_builds {
            let request = client.update_branch().app_id(app).branch_name(branch).enable_auto_build(true);
            unless_gone(request.send().await.map_err(ActionError::from))?;
        }
        make_missing(&client, app, &item.prior.webhooks).await
    }
}

/// Makes the webhooks of which none of their kind is there. Each request is sent once, and after an unknown outcome looked
/// for: AWS takes a repeat for another webhook.
async fn make_missing(client: &Client, app: &str, wanted: &BTreeMap<String, Hook>) -> Result<(), ActionError> {
    let once = || Builder::new().retry_config(RetryConfig::disabled());
    let mut wait = Duration::from_secs(1);
    'look: for attempt in 1.. {
        let mut there: Vec<Hook> = webhooks(client, app).await?.into_values().collect();
        for hook in wanted.values() {
            if let Some(place) = there.iter().position(|known| known == hook) {
                there.swap_remove(place);
                continue;
            }
            let request = client.create_webhook().app_id(app).branch_name(&hook.branch);
            let described = Some(hook.description.clone()).filter(|text| !text.is_empty());
            let answer = request.set_description(described).customize().config_override(once()).send().await;
            match answer.map_err(ActionError::from) {
                Err(ActionError { kind: ErrorKind::Throttled | ErrorKind::Unreachable, .. }) if attempt < ATTEMPTS => {
                    sleep(wait).await;
                    wait *= 2;
                    continue 'look;
                }
                answer => unless_gone(answer)?,
            }
        }
        break;
    }
    Ok(())
}

async fn found(client: &Client, app: &App) -> Result<Option<Found<Prior>>, ActionError> {
    let id = app.app_id();
    let look = async {
        let (branches, webhooks) = try_join(all_branches(client, id), webhooks(client, id)).await?;
        let (jobs, stopping) = jobs(client, id, &branches).await?;
        let auto = branches.iter().filter(|branch| branch.enable_auto_build());
        Ok::<_, ActionError>(Prior {
            auto_branches: app.enable_auto_branch_creation().unwrap_or_default(),
            auto_builds: auto.map(|branch| branch.branch_name().to_owned()).collect(),
            webhooks,
            jobs,
            stopping,
        })
    };
    let prior = match look.await {
        Err(ActionError { kind: ErrorKind::NotFound, .. }) => return Ok(None),
        look => look?,
    };
    let Ok(resource) = ResourceId::new(id) else { return Ok(None) };
    Ok(Some(Found { member: resource.clone(), resource, prior }))
}

async fn all_branches(client: &Client, app: &str) -> Result<Vec<Branch>, ActionError> {
    let mut pages = client.list_branches().app_id(app).max_results(PAGE).into_paginator().send();
    let mut branches = Vec::new();
    while let Some(page) = pages.next().await {
        branches.extend(page?.branches);
    }
    Ok(branches)
}

async fn webhooks(client: &Client, app: &str) -> Result<BTreeMap<String, Hook>, ActionError> {
    let mut webhooks: Vec<Webhook> = Vec::new();
    let mut token = None;
    loop {
        let answer = client.list_webhooks().app_id(app).max_results(PAGE).set_next_token(token).send().await?;
        token = answer.next_token().map(str::to_owned);
        webhooks.extend(answer.webhooks);
        if token.is_none() {
            break;
        }
    }
    let hook = |webhook: &Webhook| Hook {
        branch: webhook.branch_name().to_owned(),
        description: webhook.description().to_owned(),
    };
    Ok(webhooks.iter().map(|webhook| (webhook.webhook_id().to_owned(), hook(webhook))).collect())
}

/// Builds by branch and number: those in progress, and those on their way to a stop. A branch builds one at a time, so that
/// the newest page tells all.
type Jobs = BTreeSet<(String, String)>;

async fn jobs(client: &Client, app: &str, branches: &[Branch]) -> Result<(Jobs, Jobs), ActionError> {
    let of_branches = branches.iter().map(|branch| async move {
        let name = branch.branch_name();
        let answer = client.list_jobs().app_id(app).branch_name(name).max_results(PAGE).send().await?;
        let of_branch = answer.job_summaries.into_iter().map(|job| (name.to_owned(), job));
        Ok::<_, ActionError>(of_branch.collect::<Vec<_>>())
    });
    let (mut in_progress, mut stopping) = (Jobs::new(), Jobs::new());
    for (branch, job) in try_join_all(of_branches).await?.into_iter().flatten() {
        let id = (branch, job.job_id().to_owned());
        match job.status() {
            JobStatus::Succeed | JobStatus::Failed | JobStatus::Cancelled => {}
            JobStatus::Cancelling => drop(stopping.insert(id)),
            _ => drop(in_progress.insert(id)),
        }
    }
    Ok((in_progress, stopping))
}

/// Stops a build. AWS refuses where it has ended meanwhile; that counts only while it goes on.
async fn stop(client: &Client, app: &str, branch: &str, job: &str) -> Result<(), ActionError> {
    let answer = client.stop_job().app_id(app).branch_name(branch).job_id(job).send().await.map_err(ActionError::from);
    let Err(error) = answer else { return Ok(()) };
    if error.kind == ErrorKind::NotFound {
        return Ok(());
    }
    let branches = all_branches(client, app).await?;
    let (still, _) = jobs(client, app, &branches).await?;
    if still.contains(&(branch.to_owned(), job.to_owned())) { Err(error) } else { Ok(()) }
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

    fn found(prior: Prior) -> Found<Prior> {
        let id = ResourceId::new("d1").unwrap();
        Found { member: id.clone(), resource: id, prior }
    }

    fn hook(branch: &str) -> Hook {
        Hook { branch: branch.into(), description: String::new() }
    }

    #[test]
    fn an_app_that_nothing_builds_is_fine_and_lost_addresses_are_said() {
        let plan = |prior| StopBuilds.plan(&view(), &Params {}, &found(prior));
        assert_eq!(plan(Prior::default()), Decision::Already);
        let jobs = [("main".to_owned(), "3".to_owned())].into();
        let webhooks = [("w1".to_owned(), hook("main"))].into();
        let open = Prior { auto_builds: ["main".to_owned()].into(), webhooks, jobs, ..Prior::default() };
        let Decision::Change(proposal) = plan(open) else { panic!("no change") };
        assert_eq!(proposal.before, "1 branch builds by itself, 1 incoming webhook, 1 build");
        assert!(proposal.undo.loses.iter().any(|lost| lost.contains("addresses")), "{:?}", proposal.undo);
    }

    #[test]
    fn an_unseen_webhook_voids_the_approval_and_one_made_anew_does_not() {
        let with =
            |id: &str, branch: &str| Prior { webhooks: [(id.to_owned(), hook(branch))].into(), ..Prior::default() };
        assert_eq!(StopBuilds.drift(&with("w1", "main"), &with("w2", "main")), None);
        assert!(StopBuilds.drift(&Prior::default(), &with("w1", "main")).is_some());
        assert!(matches!(StopBuilds.restored(&with("w1", "main"), &with("w2", "main")), Verdict::Proven));
    }
}
