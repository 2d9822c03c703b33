//! Builds, and batches of them.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::projects::{Project, find};
use super::{CodeBuild, arn, invalid, missing, read, sorted_out};
use crate::sim::call::{Call, Refusal};
use crate::sim::pages::{epoch, part};

/// How many ids a page, or a call, holds.
const PAGE: usize = 100;
/// How many builds of a kind an account may have at once.
const ACCOUNT_LIMIT: usize = 60;
/// How many builds a batch makes, one after the other.
const IN_A_BATCH: usize = 20;
/// Until a build that was stopped has ended.
const STOPS_IN: SignedDuration = SignedDuration::from_secs(5);

/// A build. Mining ends only when it is made to, or by its time limit.
#[derive(Debug, Clone, Serialize)]
pub struct Build {
    /// `project:…`.
    pub id: String,
    /// The project.
    pub project: String,
    /// Its number in the project.
    pub number: usize,
    /// Who started it.
    pub initiator: String,
    /// When.
    pub started: Timestamp,
    /// When its time is up.
    pub until: Timestamp,
    /// When somebody stopped it.
    pub stop_asked: Option<Timestamp>,
    /// When and how it ended: `STOPPED` or `TIMED_OUT`.
    pub ended: Option<(Timestamp, &'static str)>,
    /// The batch that it is part of.
    pub batch: Option<String>,
}

/// A batch: it starts a build when the one before has ended, however that ended.
#[derive(Debug, Clone, Serialize)]
pub struct Batch {
    /// `project:…`.
    pub id: String,
    /// The project.
    pub project: String,
    /// Who started it.
    pub initiator: String,
    /// When.
    pub started: Timestamp,
    /// How many builds it has started.
    pub builds: usize,
    /// When and how it ended: `STOPPED` or `FAILED`.
    pub ended: Option<(Timestamp, &'static str)>,
}

impl Build {
    /// When it will end as things stand.
    pub(super) fn ends(&self) -> Option<Timestamp> {
        let ends = self.stop_asked.map_or(self.until, |asked| asked + STOPS_IN);
        self.ended.is_none().then_some(ends)
    }

    fn status(&self) -> &'static str {
        self.ended.map_or("IN_PROGRESS", |(_, status)| status)
    }
}

impl CodeBuild {
    /// What a push to a branch of a project's repository does: its webhook starts a build, if the filters let it.
    pub fn push(&mut self, project: &str, branch: &str, now: Timestamp) {
        self.settle(now);
        let hook = self.projects.get(project).and_then(|project| project.webhook.as_ref());
        let Some(hook) = hook.filter(|hook| hook.fits(branch)) else { return };
        if hook.build_type == "BUILD_BATCH" {
            let _ = self.start_batch(project, "webhook", now);
        } else {
            let _ = self.start_build(project, "webhook", now, None, None);
        }
    }

    pub(super) fn end_builds(&mut self, at: Timestamp) {
        let mut ended = Vec::new();
        for build in self.builds.iter_mut().filter(|build| build.ends().is_some_and(|ends| ends <= at)) {
            build.ended = Some((at, if build.stop_asked.is_some() { "STOPPED" } else { "TIMED_OUT" }));
            ended.extend(build.batch.clone());
        }
        for id in ended {
            self.go_on(&id, at);
        }
    }

    /// Starts the next build of a batch that has not ended.
    fn go_on(&mut self, id: &str, at: Timestamp) {
        let Some(batch) = self.batches.iter_mut().find(|batch| batch.id == id && batch.ended.is_none()) else { return };
        if batch.builds == IN_A_BATCH {
            batch.ended = Some((at, "FAILED"));
            return;
        }
        batch.builds += 1;
        let (project, initiator) = (batch.project.clone(), batch.initiator.clone());
        let _ = self.start_build(&project, &initiator, at, None, Some(id));
    }

    fn start_build(
        &mut self,
        name: &str,
        initiator: &str,
        now: Timestamp,
        timeout: Option<i64>,
        batch: Option<&str>,
    ) -> Result<&Build, Refusal> {
        let project = self.projects.get(name).ok_or_else(|| missing(format!("Project cannot be found: {name}")))?;
        let in_progress = |of: Option<&str>| {
            let builds = self.builds.iter().filter(|build| build.ended.is_none());
            builds.filter(|build| of.is_none_or(|project| build.project == project)).count()
        };
        let of_project = project.concurrent_build_limit.filter(|limit| in_progress(Some(name)) >= *limit);
        if let Some(limit) = of_project.or(Some(ACCOUNT_LIMIT).filter(|limit| in_progress(None) >= *limit)) {
            let message = format!("Cannot have more than {limit} active builds");
            return Err(Refusal::new(400, "AccountLimitExceededException", message));
        }
        let number = self.builds.iter().filter(|build| build.project == name).count() + 1;
        let build = Build {
            id: format!("{name}:{}", unique(name, number, now)),
            project: name.to_owned(),
            number,
            initiator: initiator.to_owned(),
            started: now,
            until: now + SignedDuration::from_mins(timeout.unwrap_or(project.timeout)),
            stop_asked: None,
            ended: None,
            batch: batch.map(str::to_owned),
        };
        self.builds.push(build);
        Ok(&self.builds[self.builds.len() - 1])
    }

    fn start_batch(&mut self, name: &str, initiator: &str, now: Timestamp) -> Result<&Batch, Refusal> {
        let count = self.batches.iter().filter(|batch| batch.project == name).count();
        let batch = Batch {
            id: format!("{name}:{}", unique("batch", count, now)),
            project: name.to_owned(),
            initiator: initiator.to_owned(),
            started: now,
            builds: 1,
            ended: None,
        };
        self.start_build(name, initiator, now, None, Some(&batch.id))?;
        self.batches.push(batch);
        Ok(&self.batches[self.batches.len() - 1])
    }
}

/// A UUID that no other build of the region has.
fn unique(name: &str, number: usize, now: Timestamp) -> String {
    let digits = hex::encode(Sha256::digest(format!("{name} {number} {now}")));
    [&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..32]].join("-")
}

/// Who started something, as CodeBuild tells it: the user's name, or role and session.
fn initiator(call: &Call) -> String {
    let who = call.principal.arn.splitn(6, ':').nth(5).unwrap_or_default();
    who.strip_prefix("user/").unwrap_or_else(|| who.strip_prefix("assumed-role/").unwrap_or(who)).to_owned()
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Start {
    project_name: String,
    timeout_in_minutes_override: Option<i64>,
    #[serde(rename = "buildspecOverride")]
    _buildspec_override: Option<String>,
    #[serde(rename = "computeTypeOverride")]
    _compute_type_override: Option<String>,
    #[serde(rename = "imageOverride")]
    _image_override: Option<String>,
}

pub(super) fn start(codebuild: &mut CodeBuild, call: &Call) -> Result<Value, Refusal> {
    let asked: Start = read(call)?;
    let project = find(codebuild, &asked.project_name, call)?.clone();
    let timeout = asked.timeout_in_minutes_override;
    let build = codebuild.start_build(&project.name, &initiator(call), call.now, timeout, None)?;
    Ok(json!({ "build": shown(build, &project, call) }))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct OfProject {
    project_name: String,
}

pub(super) fn start_batch(codebuild: &mut CodeBuild, call: &Call) -> Result<Value, Refusal> {
    let OfProject { project_name } = read(call)?;
    find(codebuild, &project_name, call)?;
    let batch = codebuild.start_batch(&project_name, &initiator(call), call.now)?;
    Ok(json!({ "buildBatch": shown_batch(batch, call) }))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct List {
    project_name: Option<String>,
    sort_order: Option<String>,
    next_token: Option<String>,
    max_results: Option<usize>,
    filter: Option<Filter>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Filter {
    status: Option<String>,
}

/// The newest first, unless they are asked for in ascending order.
fn ids(mut ids: Vec<&String>, asked: &List) -> Result<Value, Refusal> {
    if asked.sort_order.as_deref() != Some("ASCENDING") {
        ids.reverse();
    }
    let (ids, next) = part(ids, asked.next_token.as_deref(), asked.max_results.unwrap_or(PAGE).min(PAGE))?;
    Ok(json!({ "ids": ids, "nextToken": next }))
}

pub(super) fn list(codebuild: &mut CodeBuild, call: &Call) -> Result<Value, Refusal> {
    let asked: List = read(call)?;
    if let Some(project) = &asked.project_name {
        find(codebuild, project, call)?;
    }
    let of = |project: &String| asked.project_name.as_ref().is_none_or(|name| name == project);
    ids(codebuild.builds.iter().filter(|build| of(&build.project)).map(|build| &build.id).collect(), &asked)
}

pub(super) fn list_batches(codebuild: &mut CodeBuild, call: &Call) -> Result<Value, Refusal> {
    let asked: List = read(call)?;
    if let Some(project) = &asked.project_name {
        find(codebuild, project, call)?;
    }
    let status = asked.filter.as_ref().and_then(|filter| filter.status.as_deref());
    let of = |project: &String| asked.project_name.as_ref().is_none_or(|name| name == project);
    let wanted = |batch: &&Batch| of(&batch.project) && status.is_none_or(|status| status_of(batch) == status);
    ids(codebuild.batches.iter().filter(wanted).map(|batch| &batch.id).collect(), &asked)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Ids {
    ids: Vec<String>,
}

fn wanted_ids(call: &Call) -> Result<Vec<String>, Refusal> {
    let Ids { ids } = read(call)?;
    if ids.is_empty() || ids.len() > PAGE {
        return Err(invalid(format!("Invalid build ids: from 1 to {PAGE} are expected")));
    }
    Ok(ids)
}

pub(super) fn get(codebuild: &CodeBuild, call: &Call) -> Result<Value, Refusal> {
    let found = wanted_ids(call)?.into_iter().map(|id| {
        let build = codebuild.builds.iter().find(|build| build.id == id);
        let build = build.and_then(|build| Some(shown(build, codebuild.projects.get(&build.project)?, call)));
        (id, build)
    });
    Ok(sorted_out(found.collect(), "builds", "buildsNotFound"))
}

pub(super) fn get_batches(codebuild: &CodeBuild, call: &Call) -> Result<Value, Refusal> {
    let found = wanted_ids(call)?.into_iter().map(|id| {
        let batch = codebuild.batches.iter().find(|batch| batch.id == id);
        (id, batch.map(|batch| shown_batch(batch, call)))
    });
    Ok(sorted_out(found.collect(), "buildBatches", "buildBatchesNotFound"))
}

fn shown(build: &Build, project: &Project, call: &Call) -> Value {
    let mut shown = json!({
        "id": build.id,
        "arn": arn(call, "build", &build.id),
        "projectName": build.project,
        "buildNumber": build.number,
        "startTime": epoch(build.started),
        "currentPhase": if build.ended.is_some() { "COMPLETED" } else { "BUILD" },
        "buildStatus": build.status(),
        "buildComplete": build.ended.is_some(),
        "initiator": build.initiator,
        "environment": project.environment,
        "source": project.source,
        "serviceRole": project.service_role,
    });
    if let Some((at, _)) = build.ended {
        shown["endTime"] = epoch(at);
    }
    if let Some(batch) = &build.batch {
        shown["buildBatchArn"] = json!(arn(call, "build-batch", batch));
    }
    shown
}

fn status_of(batch: &Batch) -> &'static str {
    batch.ended.map_or("IN_PROGRESS", |(_, status)| status)
}

fn shown_batch(batch: &Batch, call: &Call) -> Value {
    json!({
        "id": batch.id,
        "arn": arn(call, "build-batch", &batch.id),
        "projectName": batch.project,
        "startTime": epoch(batch.started),
        "buildBatchStatus": status_of(batch),
        "complete": batch.ended.is_some(),
        "initiator": batch.initiator,
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Id {
    id: String,
}

/// StopBuild: one that has ended stays as it is.
pub(super) fn stop(codebuild: &mut CodeBuild, call: &Call) -> Result<Value, Refusal> {
    let Id { id } = read(call)?;
    let build = codebuild.builds.iter_mut().find(|build| build.id == id);
    let build = build.ok_or_else(|| missing(format!("Build {} does not exist", arn(call, "build", &id))))?;
    build.stop_asked = build.stop_asked.or(Some(call.now)).filter(|_| build.ended.is_none()).or(build.stop_asked);
    let (build, project) = (build.clone(), build.project.clone());
    let project = find(codebuild, &project, call)?;
    Ok(json!({ "build": shown(&build, project, call) }))
}

/// StopBuildBatch: with its builds.
pub(super) fn stop_batch(codebuild: &mut CodeBuild, call: &Call) -> Result<Value, Refusal> {
    let Id { id } = read(call)?;
    let batch = codebuild.batches.iter_mut().find(|batch| batch.id == id);
    let batch = batch.ok_or_else(|| missing(format!("Build batch {id} does not exist")))?;
    batch.ended = batch.ended.or(Some((call.now, "STOPPED")));
    let shown = shown_batch(batch, call);
    let of_batch = |build: &&mut Build| build.batch.as_deref() == Some(&id) && build.ends().is_some();
    for build in codebuild.builds.iter_mut().filter(of_batch) {
        build.stop_asked = build.stop_asked.or(Some(call.now));
    }
    Ok(json!({ "buildBatch": shown }))
}
