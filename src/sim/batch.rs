//! AWS Batch: queues of jobs, and compute environments that launch machines for them and replace those that are lost.
//!
//! A job is `RUNNABLE` until an enabled environment of its queue has room for it, then `STARTING`, `RUNNING`, and it runs
//! until it is terminated or its time is over: there is no program behind it that could end by itself. A managed environment
//! on EC2 keeps its machines in an Auto Scaling group of its own, whose size follows the jobs.
//!
//! For scenarios: call the operations, or fill [`Batch`].

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::call::{Body, Call, Permission, Refusal, Reply};
use super::ec2;
use super::wire::params::Params;
use super::world::World;

mod environments;
mod jobs;
mod queues;
mod scheduler;

/// How long a queue or an environment is `CREATING` or `UPDATING`.
const CHANGE_TAKES: SignedDuration = SignedDuration::from_secs(3);

/// What an account has in one region.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Batch {
    /// Compute environments, by name.
    pub environments: BTreeMap<String, environments::Environment>,
    /// Job queues, by name.
    pub queues: BTreeMap<String, queues::Queue>,
    /// Job definitions, by name and revision: `miner:1`.
    pub definitions: BTreeMap<String, jobs::Definition>,
    /// Jobs, by id. Those that have ended stay.
    pub jobs: BTreeMap<String, jobs::Job>,
}

/// A status that passes by itself: what it is, and until when.
#[derive(Debug, Clone, Copy, Default)]
struct Changing(Option<(&'static str, Timestamp)>);

impl Changing {
    fn begun(status: &'static str, now: Timestamp) -> Self {
        Self(Some((status, now + CHANGE_TAKES)))
    }

    fn status(self, now: Timestamp) -> &'static str {
        self.0.filter(|(_, until)| now < *until).map_or("VALID", |(status, _)| status)
    }

    /// Refuses a second change while the first is under way.
    fn check(self, now: Timestamp) -> Result<(), Refusal> {
        match self.status(now) {
            "VALID" => Ok(()),
            _ => Err(refuse("Cannot update, resource is being modified.")),
        }
    }
}

/// What the call needs to be allowed. ("Actions, resources, and condition keys for AWS Batch".)
pub fn permissions(_: &World, call: &Call) -> Result<Vec<Permission>, Refusal> {
    let Params::Json(params) = &call.params else { return Err(call.unknown()) };
    let text = |name: &str| params[name].as_str().unwrap_or_default();
    let order = || {
        let order = params["computeEnvironmentOrder"].as_array().into_iter().flatten();
        order.map(|entry| arn(call, "compute-environment", entry["computeEnvironment"].as_str().unwrap_or_default()))
    };
    let resources: Vec<String> = match call.operation.as_str() {
        "DescribeComputeEnvironments"
        | "DescribeJobDefinitions"
        | "DescribeJobQueues"
        | "DescribeJobs"
        | "ListJobs" => {
            vec!["*".to_owned()]
        }
        "CreateComputeEnvironment" => vec![arn(call, "compute-environment", text("computeEnvironmentName"))],
        "UpdateComputeEnvironment" | "DeleteComputeEnvironment" => {
            vec![arn(call, "compute-environment", text("computeEnvironment"))]
        }
        "CreateJobQueue" => order().chain([arn(call, "job-queue", text("jobQueueName"))]).collect(),
        "UpdateJobQueue" | "DeleteJobQueue" => order().chain([arn(call, "job-queue", text("jobQueue"))]).collect(),
        "RegisterJobDefinition" => vec![arn(call, "job-definition", text("jobDefinitionName"))],
        "SubmitJob" => {
            vec![arn(call, "job-definition", text("jobDefinition")), arn(call, "job-queue", text("jobQueue"))]
        }
        "CancelJob" | "TerminateJob" => vec![arn(call, "job", text("jobId"))],
        _ => return Err(call.unknown()),
    };
    let action = format!("batch:{}", call.operation);
    let mut needed: Vec<Permission> = resources.iter().map(|arn| Permission::new(&action, arn)).collect();
    if let Some(tags) = params["tags"].as_object().filter(|tags| !tags.is_empty()) {
        let tagging = Permission::new("batch:TagResource", resources.last().map_or("*", String::as_str));
        let with = |permission: Permission, (key, value): (&String, &Value)| {
            permission.with(format!("aws:RequestTag/{key}"), value.as_str().unwrap_or_default())
        };
        needed.push(tags.iter().fold(tagging, with));
    }
    needed.extend(passed(call, params));
    Ok(needed)
}

/// The roles that a call hands to Batch, to EC2 and to containers.
fn passed(call: &Call, params: &Value) -> Vec<Permission> {
    let container = &params["containerProperties"];
    let roles = [
        (&params["serviceRole"], "batch.amazonaws.com"),
        (&params["computeResources"]["instanceRole"], "ec2.amazonaws.com"),
        (&container["jobRoleArn"], "ecs-tasks.amazonaws.com"),
        (&container["executionRoleArn"], "ecs-tasks.amazonaws.com"),
    ];
    let given = roles.into_iter().filter_map(|(role, service)| Some((role.as_str()?, service)));
    given
        .map(|(role, service)| {
            // The role of an instance profile has its name, as the console makes them.
            let name = role.rsplit('/').next().unwrap_or_default();
            let arn = if role.contains(":role/") {
                role.to_owned()
            } else {
                format!("arn:aws:iam::{}:role/{name}", call.account)
            };
            Permission::new("iam:PassRole", arn).with("iam:PassedToService", service)
        })
        .collect()
}

/// Carries the call out.
pub fn handle(world: &mut World, call: &Call) -> Reply {
    ec2::prepare(world, call);
    let uuid = world.uuid();
    let state = world.region_mut(&call.account, &call.region);
    let (batch, scaling, ec2) = (&mut state.batch, &mut state.autoscaling, &mut state.ec2);
    let json = match call.operation.as_str() {
        "CreateComputeEnvironment" => environments::create(batch, scaling, ec2, call, &uuid),
        "DescribeComputeEnvironments" => environments::describe(batch, scaling, call),
        "UpdateComputeEnvironment" => environments::update(batch, call),
        "DeleteComputeEnvironment" => environments::delete(batch, scaling, ec2, call),
        "CreateJobQueue" => queues::create(batch, call),
        "DescribeJobQueues" => queues::describe(batch, call),
        "UpdateJobQueue" => queues::update(batch, call),
        "DeleteJobQueue" => queues::delete(batch, call),
        "RegisterJobDefinition" => jobs::register(batch, call),
        "DescribeJobDefinitions" => jobs::definitions(batch, call),
        "SubmitJob" => jobs::submit(batch, call, uuid),
        "ListJobs" => jobs::list(batch, call),
        "DescribeJobs" => jobs::describe(batch, call),
        "CancelJob" => jobs::cancel(batch, call),
        "TerminateJob" => jobs::terminate(batch, call),
        _ => Err(call.unknown()),
    }?;
    state.batch.settle(&mut state.autoscaling, &mut state.ec2, call.now);
    state.autoscaling.settle(&mut state.ec2, call.now);
    Ok(Body::Json(json))
}

/// Batch has one code for all that a client does wrong.
fn refuse(message: impl Into<String>) -> Refusal {
    Refusal::new(400, "ClientException", message)
}

fn read<T: DeserializeOwned>(call: &Call) -> Result<T, Refusal> {
    call.params.read().map_err(|refusal| refuse(refusal.message))
}

/// The ARN of what a call names by name or by ARN.
fn arn(call: &Call, kind: &str, name: &str) -> String {
    if name.starts_with("arn:") {
        name.to_owned()
    } else {
        format!("arn:aws:batch:{}:{}:{kind}/{name}", call.region, call.account)
    }
}

/// The name in what may be a name or an ARN.
fn name(name_or_arn: &str) -> &str {
    name_or_arn.rsplit('/').next().unwrap_or(name_or_arn)
}

fn check_state(state: &str) -> Result<(), Refusal> {
    match state {
        "ENABLED" | "DISABLED" => Ok(()),
        other => Err(refuse(format!("{other} is neither ENABLED nor DISABLED"))),
    }
}

/// One part of a list, by the names of its items; the token is the last name that was shown.
fn part(
    list: &str,
    items: impl Iterator<Item = (String, Value)>,
    most: Option<usize>,
    token: Option<&str>,
) -> Result<Value, Refusal> {
    let most = most.unwrap_or(100);
    if !(1..=100).contains(&most) {
        return Err(refuse("maxResults must be from 1 to 100"));
    }
    let after = token.map(|token| hex::decode(token).ok().and_then(|bytes| String::from_utf8(bytes).ok()));
    let after = match after {
        Some(None) => return Err(refuse("nextToken is not one that was given")),
        Some(Some(after)) => Some(after),
        None => None,
    };
    let mut rest = items.filter(|(name, _)| after.as_ref().is_none_or(|after| name > after)).peekable();
    let shown: Vec<(String, Value)> = rest.by_ref().take(most).collect();
    let last = shown.last().map(|(name, _)| hex::encode(name));
    let mut answer = json!({ list: shown.into_iter().map(|(_, item)| item).collect::<Vec<_>>() });
    if rest.peek().is_some() {
        answer["nextToken"] = json!(last);
    }
    Ok(answer)
}
