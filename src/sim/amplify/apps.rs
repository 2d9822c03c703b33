//! Apps, branches and incoming webhooks.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use super::{Amplify, App, Branch, Webhook, app, branch, missing, part, read, refuse};
use crate::sim::call::{Call, Refusal};
use crate::sim::pages::epoch;

/// How many apps an account may have in a region.
const QUOTA: usize = 25;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Create {
    name: String,
    #[serde(default)]
    repository: String,
    #[serde(default)]
    build_spec: String,
    #[serde(default)]
    enable_auto_branch_creation: bool,
    #[serde(default)]
    tags: BTreeMap<String, String>,
    #[serde(rename = "iamServiceRoleArn")]
    _iam_service_role_arn: Option<String>,
    #[serde(rename = "accessToken")]
    _access_token: Option<String>,
}

pub(super) fn create(state: &mut Amplify, call: &Call, id: &str) -> Result<Value, Refusal> {
    let asked: Create = read(call)?;
    if state.apps.len() >= QUOTA {
        return Err(Refusal::new(429, "LimitExceededException", "You have reached the maximum number of apps."));
    }
    let made = App {
        id: id.to_owned(),
        name: asked.name,
        arn: format!("arn:aws:amplify:{}:{}:apps/{id}", call.region, call.account),
        created: call.now,
        repository: asked.repository,
        build_spec: asked.build_spec,
        auto_creation: asked.enable_auto_branch_creation,
        branches: BTreeMap::new(),
        webhooks: BTreeMap::new(),
        tags: asked.tags,
    };
    let shown = shown(&made);
    state.apps.insert(id.to_owned(), made);
    Ok(json!({ "app": shown }))
}

fn shown(app: &App) -> Value {
    json!({
        "appId": app.id,
        "appArn": app.arn,
        "name": app.name,
        "description": "",
        "repository": app.repository,
        "platform": "WEB",
        "createTime": epoch(app.created),
        "updateTime": epoch(app.created),
        "environmentVariables": {},
        "defaultDomain": format!("{}.amplifyapp.com", app.id),
        "enableBranchAutoBuild": false,
        "enableBasicAuth": false,
        "enableAutoBranchCreation": app.auto_creation,
        "buildSpec": app.build_spec,
        "tags": app.tags,
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct OfApp {
    app_id: String,
}

pub(super) fn get(state: &mut Amplify, call: &Call) -> Result<Value, Refusal> {
    let OfApp { app_id } = read(call)?;
    Ok(json!({ "app": shown(app(state, &app_id)?) }))
}

pub(super) fn list(state: &Amplify, call: &Call) -> Result<Value, Refusal> {
    part(call, "apps", state.apps.values().map(shown).collect())
}

pub(super) fn delete(state: &mut Amplify, call: &Call) -> Result<Value, Refusal> {
    let OfApp { app_id } = read(call)?;
    let gone = state.apps.remove(&app_id).ok_or_else(|| missing("The app"))?;
    Ok(json!({ "app": shown(&gone) }))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Update {
    app_id: String,
    enable_auto_branch_creation: Option<bool>,
}

pub(super) fn update(state: &mut Amplify, call: &Call) -> Result<Value, Refusal> {
    let asked: Update = read(call)?;
    let app = app(state, &asked.app_id)?;
    app.auto_creation = asked.enable_auto_branch_creation.unwrap_or(app.auto_creation);
    Ok(json!({ "app": shown(app) }))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct CreateBranch {
    app_id: String,
    branch_name: String,
    enable_auto_build: Option<bool>,
}

pub(super) fn create_branch(state: &mut Amplify, call: &Call) -> Result<Value, Refusal> {
    let asked: CreateBranch = read(call)?;
    let app = app(state, &asked.app_id)?;
    if app.branches.contains_key(&asked.branch_name) {
        return Err(refuse(format!("The branch {} already exists.", asked.branch_name)));
    }
    let made = Branch {
        name: asked.branch_name.clone(),
        created: call.now,
        auto_build: asked.enable_auto_build.unwrap_or(true),
        jobs: Vec::new(),
    };
    let shown = shown_branch(&app.arn, &made);
    app.branches.insert(asked.branch_name, made);
    Ok(json!({ "branch": shown }))
}

fn shown_branch(app: &str, branch: &Branch) -> Value {
    json!({
        "branchArn": format!("{app}/branches/{}", branch.name),
        "branchName": branch.name,
        "description": "",
        "stage": "NONE",
        "displayName": branch.name,
        "enableNotification": false,
        "createTime": epoch(branch.created),
        "updateTime": epoch(branch.created),
        "environmentVariables": {},
        "enableAutoBuild": branch.auto_build,
        "customDomains": [],
        "framework": "",
        "activeJobId": branch.jobs.last().map_or("", |job| job.id.as_str()),
        "totalNumberOfJobs": branch.jobs.len().to_string(),
        "enableBasicAuth": false,
        "ttl": "5",
        "enablePullRequestPreview": false,
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct OfBranch {
    app_id: String,
    branch_name: String,
    enable_auto_build: Option<bool>,
}

pub(super) fn get_branch(state: &mut Amplify, call: &Call) -> Result<Value, Refusal> {
    let asked: OfBranch = read(call)?;
    let arn = app(state, &asked.app_id)?.arn.clone();
    Ok(json!({ "branch": shown_branch(&arn, branch(state, &asked.app_id, &asked.branch_name)?) }))
}

pub(super) fn update_branch(state: &mut Amplify, call: &Call) -> Result<Value, Refusal> {
    let asked: OfBranch = read(call)?;
    let arn = app(state, &asked.app_id)?.arn.clone();
    let branch = branch(state, &asked.app_id, &asked.branch_name)?;
    branch.auto_build = asked.enable_auto_build.unwrap_or(branch.auto_build);
    Ok(json!({ "branch": shown_branch(&arn, branch) }))
}

pub(super) fn list_branches(state: &mut Amplify, call: &Call) -> Result<Value, Refusal> {
    let OfApp { app_id } = read(call)?;
    let app = app(state, &app_id)?;
    part(call, "branches", app.branches.values().map(|branch| shown_branch(&app.arn, branch)).collect())
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct CreateWebhook {
    app_id: String,
    branch_name: String,
    #[serde(default)]
    description: String,
}

pub(super) fn create_webhook(state: &mut Amplify, call: &Call, id: &str) -> Result<Value, Refusal> {
    let asked: CreateWebhook = read(call)?;
    branch(state, &asked.app_id, &asked.branch_name)?;
    let app = app(state, &asked.app_id)?;
    let made = Webhook { branch: asked.branch_name, description: asked.description, created: call.now };
    let shown = shown_webhook(&app.arn, id, &made);
    app.webhooks.insert(id.to_owned(), made);
    Ok(json!({ "webhook": shown }))
}

fn shown_webhook(app: &str, id: &str, webhook: &Webhook) -> Value {
    json!({
        "webhookArn": format!("{app}/webhooks/{id}"),
        "webhookId": id,
        "webhookUrl": format!("https://webhooks.amplify.amazonaws.com/prod/webhooks?id={id}"),
        "branchName": webhook.branch,
        "description": webhook.description,
        "createTime": epoch(webhook.created),
        "updateTime": epoch(webhook.created),
    })
}

pub(super) fn list_webhooks(state: &mut Amplify, call: &Call) -> Result<Value, Refusal> {
    let OfApp { app_id } = read(call)?;
    let app = app(state, &app_id)?;
    part(call, "webhooks", app.webhooks.iter().map(|(id, webhook)| shown_webhook(&app.arn, id, webhook)).collect())
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct OfWebhook {
    webhook_id: String,
}

pub(super) fn delete_webhook(state: &mut Amplify, call: &Call) -> Result<Value, Refusal> {
    let OfWebhook { webhook_id } = read(call)?;
    for app in state.apps.values_mut() {
        if let Some(gone) = app.webhooks.remove(&webhook_id) {
            return Ok(json!({ "webhook": shown_webhook(&app.arn, &webhook_id, &gone) }));
        }
    }
    Err(missing("The webhook"))
}
