//! AWS CodeBuild: projects, what starts their builds, the builds, and fleets of reserved machines.
//!
//! A push to a repository comes from outside AWS: [`CodeBuild::push`] is what it does.

pub mod builds;
pub mod fleets;
pub mod projects;

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::call::{Body, Call, Permission, Refusal, Reply};
use super::wire::params::Params;
use super::world::World;

/// What an account has in one region.
#[derive(Debug, Clone, Default, Serialize)]
pub struct CodeBuild {
    /// Projects, by name.
    pub projects: BTreeMap<String, projects::Project>,
    /// Builds, the oldest first.
    pub builds: Vec<builds::Build>,
    /// Batches of builds, the oldest first.
    pub batches: Vec<builds::Batch>,
    /// Fleets, by name.
    pub fleets: BTreeMap<String, fleets::Fleet>,
}

/// The resources that a call names.
enum Named {
    Nothing,
    /// By the parameter that holds the name of a project.
    Project(&'static str),
    /// By the parameter that holds one id of a build or a batch, or a list of them: they begin with the project's name.
    Builds(&'static str),
    Projects,
    /// By the parameter that holds a fleet's name or ARN, or a list of them.
    Fleets(&'static str),
}

fn named(operation: &str) -> Option<Named> {
    Some(match operation {
        "ListBuilds" | "ListBuildBatches" | "ListFleets" | "ListProjects" => Named::Nothing,
        "CreateProject" | "DeleteProject" | "UpdateProject" => Named::Project("name"),
        "CreateWebhook"
        | "DeleteWebhook"
        | "ListBuildBatchesForProject"
        | "ListBuildsForProject"
        | "StartBuild"
        | "StartBuildBatch"
        | "UpdateWebhook" => Named::Project("projectName"),
        "BatchGetBuildBatches" | "BatchGetBuilds" => Named::Builds("ids"),
        "StopBuild" | "StopBuildBatch" => Named::Builds("id"),
        "BatchGetProjects" => Named::Projects,
        "BatchGetFleets" => Named::Fleets("names"),
        "CreateFleet" => Named::Fleets("name"),
        "DeleteFleet" | "UpdateFleet" => Named::Fleets("arn"),
        _ => return None,
    })
}

/// What the call needs to be allowed. What is done about builds is allowed on their project; whoever makes a project passes
/// it the role as which it builds.
pub fn permissions(_: &World, call: &Call) -> Result<Vec<Permission>, Refusal> {
    let named = named(&call.operation).ok_or_else(|| call.unknown())?;
    let texts = |name: &str| -> Vec<String> {
        let Params::Json(json) = &call.params else { return Vec::new() };
        match &json[name] {
            Value::Array(texts) => texts.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
            value => value.as_str().map(str::to_owned).into_iter().collect(),
        }
    };
    let project = |id: &String| arn(call, "project", id.split(':').next().unwrap_or_default());
    let resources: Vec<String> = match named {
        Named::Nothing => vec!["*".to_owned()],
        Named::Project(parameter) => texts(parameter).iter().map(project).collect(),
        Named::Builds(parameter) => texts(parameter).iter().map(project).collect(),
        Named::Projects => texts("names").iter().map(project).collect(),
        Named::Fleets(parameter) => {
            let fleet = |name: &String| if name.starts_with("arn:") { name.clone() } else { arn(call, "fleet", name) };
            texts(parameter).iter().map(fleet).collect()
        }
    };
    let action = format!("codebuild:{}", call.operation);
    let mut needed: Vec<Permission> = Vec::new();
    for resource in resources {
        if needed.iter().all(|known| known.resource != resource) {
            needed.push(Permission::new(&action, resource));
        }
    }
    if needed.is_empty() {
        needed.push(Permission::new(action, "*"));
    }
    let passed =
        texts("serviceRole").pop().filter(|_| matches!(call.operation.as_str(), "CreateProject" | "UpdateProject"));
    if let Some(role) = passed {
        needed.push(Permission::new("iam:PassRole", role).with("iam:PassedToService", "codebuild.amazonaws.com"));
    }
    Ok(needed)
}

fn arn(call: &Call, kind: &str, name: &str) -> String {
    format!("arn:aws:codebuild:{}:{}:{kind}/{name}", call.region, call.account)
}

/// Carries the call out.
pub fn handle(world: &mut World, call: &Call) -> Reply {
    let id = world.uuid();
    let codebuild = &mut world.region_mut(&call.account, &call.region).codebuild;
    codebuild.settle(call.now);
    let answer = match call.operation.as_str() {
        "BatchGetBuildBatches" => builds::get_batches(codebuild, call),
        "BatchGetBuilds" => builds::get(codebuild, call),
        "BatchGetFleets" => fleets::get(codebuild, call),
        "BatchGetProjects" => projects::get(codebuild, call),
        "CreateFleet" => fleets::create(codebuild, call, &id),
        "CreateProject" => projects::create(codebuild, call),
        "CreateWebhook" => projects::create_webhook(codebuild, call, &id),
        "DeleteFleet" => fleets::delete(codebuild, call),
        "DeleteProject" => projects::delete(codebuild, call),
        "DeleteWebhook" => projects::delete_webhook(codebuild, call),
        "ListBuildBatches" | "ListBuildBatchesForProject" => builds::list_batches(codebuild, call),
        "ListBuilds" | "ListBuildsForProject" => builds::list(codebuild, call),
        "ListFleets" => fleets::list(codebuild, call),
        "ListProjects" => projects::list(codebuild, call),
        "StartBuild" => builds::start(codebuild, call),
        "StartBuildBatch" => builds::start_batch(codebuild, call),
        "StopBuild" => builds::stop(codebuild, call),
        "StopBuildBatch" => builds::stop_batch(codebuild, call),
        "UpdateFleet" => fleets::update(codebuild, call),
        "UpdateWebhook" => projects::update_webhook(codebuild, call),
        _ => Err(call.unknown()),
    };
    answer.map(Body::Json)
}

impl CodeBuild {
    /// Lets time do its work, in its order: builds end, and batches start others.
    pub fn settle(&mut self, now: Timestamp) {
        while let Some(at) = self.builds.iter().filter_map(builds::Build::ends).min().filter(|at| *at <= now) {
            self.end_builds(at);
        }
    }
}

fn read<T: DeserializeOwned>(call: &Call) -> Result<T, Refusal> {
    call.params.read().map_err(|refusal| Refusal { code: "InvalidInputException".to_owned(), ..refusal })
}

fn invalid(message: impl Into<String>) -> Refusal {
    Refusal::new(400, "InvalidInputException", message)
}

fn missing(message: impl Into<String>) -> Refusal {
    Refusal::new(400, "ResourceNotFoundException", message)
}

/// Names or ids as their own list, and what was not found.
fn sorted_out<T: Serialize>(found: Vec<(String, Option<T>)>, list: &str, not_found: &str) -> Value {
    let absent: Vec<&String> = found.iter().filter(|(_, one)| one.is_none()).map(|(name, _)| name).collect();
    let present: Vec<&T> = found.iter().filter_map(|(_, one)| one.as_ref()).collect();
    json!({ list: present, not_found: absent })
}
