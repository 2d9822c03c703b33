//! AWS Amplify: apps, their branches, the builds of those, and what starts builds.
//!
//! A push to a repository and a call of an incoming webhook come from outside AWS: [`Amplify::push`] and [`Amplify::called`]
//! are what they do.

mod apps;
mod jobs;

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::call::{Body, Call, Permission, Refusal, Reply};
use super::wire::params::Params;
use super::world::World;

/// From `RUNNING` to `CANCELLED` when somebody stops a build.
const STOPS_IN: SignedDuration = SignedDuration::from_secs(5);
/// How long a build may take.
const LONGEST_BUILD: SignedDuration = SignedDuration::from_mins(30);

/// What an account has in one region.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Amplify {
    /// Apps, by id.
    pub apps: BTreeMap<String, App>,
}

/// An app.
#[derive(Debug, Clone, Serialize)]
pub struct App {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its ARN.
    pub arn: String,
    /// When it was made.
    pub created: Timestamp,
    /// Where its source comes from.
    pub repository: String,
    /// How it is built.
    pub build_spec: String,
    /// Whether a new branch of the repository becomes one of the app.
    pub auto_creation: bool,
    /// Branches, by name.
    pub branches: BTreeMap<String, Branch>,
    /// What starts a build for whoever knows its address: ids and branches.
    pub webhooks: BTreeMap<String, Webhook>,
    /// Tags.
    pub tags: BTreeMap<String, String>,
}

/// A branch.
#[derive(Debug, Clone, Serialize)]
pub struct Branch {
    /// Its name.
    pub name: String,
    /// When it was made.
    pub created: Timestamp,
    /// Whether a push starts a build.
    pub auto_build: bool,
    /// Builds, the oldest first.
    pub jobs: Vec<Job>,
}

/// A build. Mining ends only when it is made to, or by its time limit.
#[derive(Debug, Clone, Serialize)]
pub struct Job {
    /// Its number.
    pub id: String,
    /// `RELEASE`, `WEB_HOOK`, …
    pub kind: String,
    /// When it was started.
    pub started: Timestamp,
    /// When somebody stopped it.
    pub stop_asked: Option<Timestamp>,
}

/// What starts a build for whoever knows its address.
#[derive(Debug, Clone, Serialize)]
pub struct Webhook {
    /// The branch that it builds.
    pub branch: String,
    /// What it is for.
    pub description: String,
    /// When it was made.
    pub created: Timestamp,
}

impl Job {
    /// Its state, as on the wire.
    pub fn state(&self, now: Timestamp) -> &'static str {
        match self.stop_asked {
            Some(asked) if now >= asked + STOPS_IN => "CANCELLED",
            Some(_) => "CANCELLING",
            None if now >= self.started + LONGEST_BUILD => "FAILED",
            None => "RUNNING",
        }
    }
}

impl Amplify {
    /// What a push to a branch of an app's repository does.
    pub fn push(&mut self, app: &str, branch: &str, now: Timestamp) {
        let branch = self.apps.get_mut(app).and_then(|app| app.branches.get_mut(branch));
        if let Some(branch) = branch.filter(|branch| branch.auto_build) {
            branch.start("RELEASE", now);
        }
    }

    /// What a call of an incoming webhook does.
    pub fn called(&mut self, webhook: &str, now: Timestamp) {
        for app in self.apps.values_mut() {
            let branch = app.webhooks.get(webhook).map(|hook| hook.branch.clone());
            if let Some(branch) = branch.and_then(|branch| app.branches.get_mut(&branch)) {
                branch.start("WEB_HOOK", now);
            }
        }
    }
}

/// What the call needs to be allowed. ("Actions, resources, and condition keys for AWS Amplify".)
pub fn permissions(_: &World, call: &Call) -> Result<Vec<Permission>, Refusal> {
    let Params::Json(params) = &call.params else { return Err(call.unknown()) };
    let text = |name: &str| params[name].as_str().unwrap_or_default();
    let (app, branch) = (text("appId"), text("branchName"));
    let resource = match call.operation.as_str() {
        "CreateApp" | "ListApps" => "apps/*".to_owned(),
        "CreateBranch" | "CreateWebhook" | "DeleteApp" | "GetApp" | "ListBranches" | "ListWebhooks" | "UpdateApp" => {
            format!("apps/{app}")
        }
        "GetBranch" | "UpdateBranch" => format!("apps/{app}/branches/{branch}"),
        "GetJob" | "ListJobs" | "StartJob" | "StopJob" => format!("apps/{app}/branches/{branch}/jobs/*"),
        "DeleteWebhook" => format!("webhooks/{}", text("webhookId")),
        _ => return Err(call.unknown()),
    };
    let arn = format!("arn:aws:amplify:{}:{}:{resource}", call.region, call.account);
    let mut needed = vec![Permission::new(format!("amplify:{}", call.operation), arn)];
    if let Some(role) = params["iamServiceRoleArn"].as_str() {
        needed.push(Permission::new("iam:PassRole", role).with("iam:PassedToService", "amplify.amazonaws.com"));
    }
    Ok(needed)
}

/// Carries the call out.
pub fn handle(world: &mut World, call: &Call) -> Reply {
    let id = format!("d{}", world.rng.hex(13));
    let uuid = world.uuid();
    let state = &mut world.region_mut(&call.account, &call.region).amplify;
    let answer = match call.operation.as_str() {
        "CreateApp" => apps::create(state, call, &id),
        "CreateBranch" => apps::create_branch(state, call),
        "CreateWebhook" => apps::create_webhook(state, call, &uuid),
        "DeleteApp" => apps::delete(state, call),
        "DeleteWebhook" => apps::delete_webhook(state, call),
        "GetApp" => apps::get(state, call),
        "GetBranch" => apps::get_branch(state, call),
        "GetJob" => jobs::get(state, call),
        "ListApps" => apps::list(state, call),
        "ListBranches" => apps::list_branches(state, call),
        "ListJobs" => jobs::list(state, call),
        "ListWebhooks" => apps::list_webhooks(state, call),
        "StartJob" => jobs::start(state, call),
        "StopJob" => jobs::stop(state, call),
        "UpdateApp" => apps::update(state, call),
        "UpdateBranch" => apps::update_branch(state, call),
        _ => Err(call.unknown()),
    };
    answer.map(Body::Json)
}

fn read<T: DeserializeOwned>(call: &Call) -> Result<T, Refusal> {
    call.params.read().map_err(|refusal| Refusal { code: "BadRequestException".to_owned(), ..refusal })
}

fn refuse(message: impl Into<String>) -> Refusal {
    Refusal::new(400, "BadRequestException", message)
}

fn missing(what: &str) -> Refusal {
    Refusal::new(404, "NotFoundException", format!("{what} was not found."))
}

fn app<'a>(state: &'a mut Amplify, id: &str) -> Result<&'a mut App, Refusal> {
    state.apps.get_mut(id).ok_or_else(|| missing(&format!("App {id}")))
}

fn branch<'a>(state: &'a mut Amplify, id: &str, name: &str) -> Result<&'a mut Branch, Refusal> {
    app(state, id)?.branches.get_mut(name).ok_or_else(|| missing(&format!("Branch {name}")))
}

/// Part of a list that comes by `nextToken` and `maxResults`, which the query holds as texts.
#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase")]
struct Page {
    next_token: Option<String>,
    max_results: Option<String>,
}

fn part(call: &Call, name: &str, items: Vec<Value>) -> Result<Value, Refusal> {
    let page: Page = read(call)?;
    let most = page.max_results.as_deref().map_or(Ok(50), str::parse::<usize>);
    let most = most.ok().filter(|most| (1..=100).contains(most)).ok_or_else(|| refuse("maxResults is not valid"))?;
    let (items, next) = super::pages::part(items, page.next_token.as_deref(), most)
        .map_err(|refusal| Refusal { code: "BadRequestException".to_owned(), ..refusal })?;
    let mut answer = serde_json::json!({ name: items });
    if let Some(next) = next {
        answer["nextToken"] = Value::from(next);
    }
    Ok(answer)
}
