//! Projects, and their webhooks.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{CodeBuild, arn, invalid, missing, read, sorted_out};
use crate::sim::call::{Call, Refusal};
use crate::sim::pages::{epoch, part};

/// How many names a page, or a call, holds.
const PAGE: usize = 100;

/// A project.
#[derive(Debug, Clone, Serialize)]
pub struct Project {
    /// Its name.
    pub name: String,
    /// Its ARN.
    pub arn: String,
    /// When it was made.
    pub created: Timestamp,
    /// Where its source comes from: `type` and `location`.
    pub source: Value,
    /// Where its results go.
    pub artifacts: Value,
    /// What it builds in: `type`, `image`, `computeType`, `fleet`.
    pub environment: Value,
    /// As whom it builds.
    pub service_role: String,
    /// Minutes until a build is ended.
    pub timeout: i64,
    /// How many builds there may be at once; none for as many as the account may have.
    pub concurrent_build_limit: Option<usize>,
    /// What starts builds when somebody pushes.
    pub webhook: Option<Webhook>,
    /// Tags.
    pub tags: BTreeMap<String, String>,
}

/// What starts builds when somebody pushes.
#[derive(Debug, Clone, Serialize)]
pub struct Webhook {
    /// Where the repository's host sends its events.
    pub payload_url: String,
    /// Which events start a build: any group whose filters all fit. Without groups every event does.
    pub filter_groups: Vec<Vec<Filter>>,
    /// Which branches do, as older webhooks say it.
    pub branch_filter: Option<String>,
    /// `BUILD` or `BUILD_BATCH`.
    pub build_type: String,
}

/// One condition on an event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Filter {
    /// `EVENT`, `HEAD_REF`, …
    pub r#type: String,
    /// The events by name, or a regular expression.
    pub pattern: String,
    /// Whether the pattern must not fit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exclude_matched_pattern: Option<bool>,
}

impl Webhook {
    /// Whether a push to a branch starts a build. Of regular expressions only those are known that are a plain name, with
    /// `^` and `$` or without.
    pub fn fits(&self, branch: &str) -> bool {
        let head = format!("refs/heads/{branch}");
        let fits = |filter: &Filter| {
            let plain = filter.pattern.trim_start_matches('^').trim_end_matches('$');
            let fits = match filter.r#type.as_str() {
                "EVENT" => filter.pattern.split(',').any(|event| event.trim() == "PUSH"),
                "HEAD_REF" if filter.pattern.starts_with('^') => head == plain,
                "HEAD_REF" => head.contains(plain),
                _ => false,
            };
            fits != filter.exclude_matched_pattern.unwrap_or_default()
        };
        let by_branch = self.branch_filter.as_ref().is_none_or(|filter| filter.is_empty() || branch.contains(filter));
        by_branch && (self.filter_groups.is_empty() || self.filter_groups.iter().any(|group| group.iter().all(fits)))
    }
}

#[derive(Deserialize, Serialize)]
struct Tag {
    key: String,
    #[serde(default)]
    value: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Create {
    name: String,
    source: Value,
    artifacts: Value,
    environment: Value,
    service_role: String,
    timeout_in_minutes: Option<i64>,
    concurrent_build_limit: Option<usize>,
    #[serde(default)]
    tags: Vec<Tag>,
    #[serde(rename = "description")]
    _description: Option<String>,
    #[serde(rename = "buildBatchConfig")]
    _build_batch_config: Option<Value>,
}

pub(super) fn create(codebuild: &mut CodeBuild, call: &Call) -> Result<Value, Refusal> {
    let asked: Create = read(call)?;
    if codebuild.projects.contains_key(&asked.name) {
        let message = format!("Project already exists: {}", arn(call, "project", &asked.name));
        return Err(Refusal::new(400, "ResourceAlreadyExistsException", message));
    }
    if !asked.service_role.starts_with("arn:") {
        return Err(invalid("Invalid service role: Service role account ID does not match caller's account"));
    }
    let project = Project {
        arn: arn(call, "project", &asked.name),
        name: asked.name.clone(),
        created: call.now,
        source: asked.source,
        artifacts: asked.artifacts,
        environment: asked.environment,
        service_role: asked.service_role,
        timeout: asked.timeout_in_minutes.unwrap_or(60),
        concurrent_build_limit: asked.concurrent_build_limit,
        webhook: None,
        tags: asked.tags.into_iter().map(|tag| (tag.key, tag.value)).collect(),
    };
    let shown = shown(&project);
    codebuild.projects.insert(asked.name, project);
    Ok(json!({ "project": shown }))
}

fn shown(project: &Project) -> Value {
    let tags: Vec<Value> = project.tags.iter().map(|(key, value)| json!({ "key": key, "value": value })).collect();
    let mut shown = json!({
        "name": project.name,
        "arn": project.arn,
        "source": project.source,
        "artifacts": project.artifacts,
        "environment": project.environment,
        "serviceRole": project.service_role,
        "timeoutInMinutes": project.timeout,
        "queuedTimeoutInMinutes": 480,
        "tags": tags,
        "created": epoch(project.created),
        "lastModified": epoch(project.created),
    });
    if let Some(limit) = project.concurrent_build_limit {
        shown["concurrentBuildLimit"] = json!(limit);
    }
    if let Some(webhook) = &project.webhook {
        shown["webhook"] = shown_webhook(webhook);
    }
    shown
}

fn shown_webhook(webhook: &Webhook) -> Value {
    let mut shown = json!({
        "payloadUrl": webhook.payload_url,
        "filterGroups": webhook.filter_groups,
        "buildType": webhook.build_type,
    });
    if let Some(filter) = &webhook.branch_filter {
        shown["branchFilter"] = json!(filter);
    }
    shown
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Page {
    next_token: Option<String>,
    #[serde(rename = "sortBy")]
    _sort_by: Option<String>,
    #[serde(rename = "sortOrder")]
    _sort_order: Option<String>,
}

pub(super) fn list(codebuild: &CodeBuild, call: &Call) -> Result<Value, Refusal> {
    let page: Page = read(call)?;
    let (projects, next) = part(codebuild.projects.keys().collect(), page.next_token.as_deref(), PAGE)?;
    Ok(json!({ "projects": projects, "nextToken": next }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Names {
    names: Vec<String>,
}

pub(super) fn get(codebuild: &CodeBuild, call: &Call) -> Result<Value, Refusal> {
    let Names { names } = read(call)?;
    if names.is_empty() || names.len() > PAGE {
        return Err(invalid(format!("Invalid project names: from 1 to {PAGE} are expected")));
    }
    let found = names.into_iter().map(|name| (name.clone(), codebuild.projects.get(&name).map(shown)));
    Ok(sorted_out(found.collect(), "projects", "projectsNotFound"))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Named {
    name: String,
}

/// DeleteProject: its builds go with it. No error when there is none of that name.
pub(super) fn delete(codebuild: &mut CodeBuild, call: &Call) -> Result<Value, Refusal> {
    let Named { name } = read(call)?;
    codebuild.projects.remove(&name);
    codebuild.builds.retain(|build| build.project != name);
    codebuild.batches.retain(|batch| batch.project != name);
    Ok(json!({}))
}

pub(super) fn find<'a>(codebuild: &'a mut CodeBuild, name: &str, call: &Call) -> Result<&'a mut Project, Refusal> {
    let unknown = || missing(format!("Project cannot be found: {}", arn(call, "project", name)));
    codebuild.projects.get_mut(name).ok_or_else(unknown)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Hook {
    project_name: String,
    branch_filter: Option<String>,
    filter_groups: Option<Vec<Vec<Filter>>>,
    build_type: Option<String>,
    #[serde(rename = "rotateSecret")]
    _rotate_secret: Option<bool>,
}

/// AWS CodeBuild API Reference, *CreateWebhook*: a group has at least one filter by event.
fn check(groups: &[Vec<Filter>]) -> Result<(), Refusal> {
    let has_event = |group: &Vec<Filter>| group.iter().any(|filter| filter.r#type == "EVENT");
    if groups.iter().all(has_event) {
        return Ok(());
    }
    Err(invalid("A filter group must contain at least one EVENT filter"))
}

pub(super) fn create_webhook(codebuild: &mut CodeBuild, call: &Call, id: &str) -> Result<Value, Refusal> {
    let asked: Hook = read(call)?;
    let groups = asked.filter_groups.unwrap_or_default();
    check(&groups)?;
    let project = find(codebuild, &asked.project_name, call)?;
    if project.webhook.is_some() {
        let message = format!("Webhook already exists: {}", project.arn);
        return Err(Refusal::new(400, "ResourceAlreadyExistsException", message));
    }
    if !matches!(project.source["type"].as_str(), Some("GITHUB" | "GITHUB_ENTERPRISE" | "BITBUCKET" | "GITLAB")) {
        return Err(invalid("Webhook is not supported for this source type"));
    }
    let webhook = Webhook {
        payload_url: format!("https://codebuild.{}.amazonaws.com/webhooks?t={id}", call.region),
        filter_groups: groups,
        branch_filter: asked.branch_filter,
        build_type: asked.build_type.unwrap_or_else(|| "BUILD".to_owned()),
    };
    let mut shown = shown_webhook(&webhook);
    shown["secret"] = json!(format!("secret-{id}"));
    project.webhook = Some(webhook);
    Ok(json!({ "webhook": shown }))
}

/// UpdateWebhook: filters by group replace those by branch, and the other way round.
pub(super) fn update_webhook(codebuild: &mut CodeBuild, call: &Call) -> Result<Value, Refusal> {
    let asked: Hook = read(call)?;
    check(asked.filter_groups.as_deref().unwrap_or_default())?;
    let project = find(codebuild, &asked.project_name, call)?;
    let webhook = project.webhook.as_mut().ok_or_else(|| missing("Webhook cannot be found"))?;
    match (asked.filter_groups, asked.branch_filter) {
        (Some(groups), _) => (webhook.filter_groups, webhook.branch_filter) = (groups, None),
        (None, branch) => {
            (webhook.filter_groups, webhook.branch_filter) = (Vec::new(), branch.filter(|branch| !branch.is_empty()));
        }
    }
    Ok(json!({ "webhook": shown_webhook(webhook) }))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct OfProject {
    project_name: String,
}

pub(super) fn delete_webhook(codebuild: &mut CodeBuild, call: &Call) -> Result<Value, Refusal> {
    let OfProject { project_name } = read(call)?;
    let project = find(codebuild, &project_name, call)?;
    project.webhook.take().ok_or_else(|| missing("Webhook cannot be found"))?;
    Ok(json!({}))
}
