//! Something that computes, from its start to its end.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::kind::{End, Kind};
use super::{SageMaker, config, invalid, part, refuse, text};
use crate::sim::call::{Call, Refusal};
use crate::sim::time::seconds;

/// How many instances an account may use at once: the quota over all notebook instances, taken for everything ("Amazon
/// SageMaker AI endpoints and quotas").
const INSTANCES: usize = 20;
/// How long a job runs at most unless it says otherwise ("StoppingCondition").
const LONGEST: i64 = 86_400;
/// How long a deleted app is shown.
const SHOWN: SignedDuration = SignedDuration::from_hours(24);

/// A tag, as SageMaker writes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct Tag {
    /// Its key.
    pub key: String,
    /// Its value.
    pub value: String,
}

/// A workload.
#[derive(Debug, Clone, Serialize)]
pub struct Workload {
    /// What it is: the noun of its kind.
    pub kind: &'static str,
    /// Its name.
    pub name: String,
    /// Its ARN.
    pub arn: String,
    /// When it was created. One that is made again is the same but for its times, so they are no part of a dump.
    #[serde(skip)]
    pub created: Timestamp,
    /// When it was last started.
    #[serde(skip)]
    pub started: Timestamp,
    /// When it was asked to end.
    pub ending: Option<Timestamp>,
    /// The job that started it: the part of its ARN behind the account.
    pub parent: Option<String>,
    /// What was asked for.
    pub asked: Value,
    /// Tags.
    pub tags: Vec<Tag>,
}

impl Workload {
    fn of(&self) -> &'static Kind {
        Kind::of(self.kind).expect("the noun of a kind")
    }

    /// The part of its ARN behind the account.
    pub fn id(&self) -> String {
        self.arn.splitn(6, ':').nth(5).unwrap_or_default().to_owned()
    }

    /// Whether nobody has ended it.
    pub fn is_wanted(&self) -> bool {
        self.ending.is_none()
    }

    /// When it ends by itself, for jobs.
    fn longest(&self) -> Option<Timestamp> {
        let limit = self.asked.pointer("/StoppingCondition/MaxRuntimeInSeconds").and_then(Value::as_i64);
        let is_job = matches!(self.kind, "TrainingJob" | "ProcessingJob");
        is_job.then(|| self.started + SignedDuration::from_secs(limit.unwrap_or(LONGEST)))
    }

    /// Its state, in the words of its kind.
    pub fn state(&self, now: Timestamp) -> &'static str {
        let kind = self.of();
        let [starting, working, ending, ended] = kind.states;
        match self.ending {
            Some(asked) if now < asked + kind.ends => ending,
            Some(_) => ended,
            None if now < self.started + kind.starts => starting,
            None if self.longest().is_some_and(|end| now >= end) => ended,
            None => working,
        }
    }

    /// Whether nothing of it computes any more.
    pub fn has_ended(&self, now: Timestamp) -> bool {
        let kind = self.of();
        self.ending.is_some_and(|asked| now >= asked + kind.ends) || self.longest().is_some_and(|end| now >= end)
    }

    pub(super) fn is_forgotten(&self, now: Timestamp) -> bool {
        let kept = match (self.of().end, self.kind) {
            (End::IsGone, _) => SignedDuration::ZERO,
            (_, "App") => SHOWN,
            _ => return false,
        };
        self.ending.is_some_and(|asked| now >= asked + self.of().ends + kept)
    }

    /// Whether it starts training jobs.
    pub(super) fn starts_others(&self, now: Timestamp) -> bool {
        matches!(self.kind, "HyperParameterTuningJob" | "AutoMLJob") && self.is_wanted() && !self.has_ended(now)
    }

    /// How many of them run side by side.
    pub(super) fn side_by_side(&self) -> usize {
        let limit = self.asked.pointer("/HyperParameterTuningJobConfig/ResourceLimits/MaxParallelTrainingJobs");
        limit.and_then(Value::as_u64).and_then(|limit| usize::try_from(limit).ok()).unwrap_or(1)
    }

    /// A training job that it starts.
    pub(super) fn child(&self, parent: &str, name: String, now: Timestamp) -> Self {
        let arn = self.arn.replace(&self.id(), &format!("training-job/{name}"));
        let asked = self.asked.get("TrainingJobDefinition").cloned().unwrap_or_else(|| json!({}));
        Self {
            kind: "TrainingJob",
            name,
            arn,
            created: now,
            started: now,
            ending: None,
            parent: Some(parent.to_owned()),
            asked,
            tags: Vec::new(),
        }
    }

    /// Name, ARN, state and times, under the names of its kind.
    fn summary(&self, now: Timestamp) -> Map<String, Value> {
        let mut shown = Map::new();
        let modified = self.ending.unwrap_or(self.started);
        shown.insert("CreationTime".to_owned(), seconds(self.created));
        if self.kind == "App" {
            for name in ["DomainId", "UserProfileName", "SpaceName", "AppType", "AppName", "ResourceSpec"] {
                shown.extend(self.asked.get(name).map(|value| (name.to_owned(), value.clone())));
            }
            shown.insert("Status".to_owned(), json!(self.state(now)));
            return shown;
        }
        shown.insert(format!("{}Name", self.kind), json!(self.name));
        shown.insert(format!("{}Arn", self.kind), json!(self.arn));
        shown.insert(format!("{}Status", self.kind), json!(self.state(now)));
        shown.insert("LastModifiedTime".to_owned(), seconds(modified));
        match self.kind {
            "NotebookInstance" => {
                shown.extend(self.asked.get("InstanceType").map(|kind| ("InstanceType".to_owned(), kind.clone())));
            }
            "HyperParameterTuningJob" => {
                let none = json!({ "Completed": 0, "InProgress": 0, "RetryableError": 0, "NonRetryableError": 0, "Stopped": 0 });
                shown.insert("Strategy".to_owned(), json!("Bayesian"));
                shown.insert("TrainingJobStatusCounters".to_owned(), none);
                shown
                    .insert("ObjectiveStatusCounters".to_owned(), json!({ "Succeeded": 0, "Pending": 0, "Failed": 0 }));
            }
            "AutoMLJob" => drop(shown.insert("AutoMLJobSecondaryStatus".to_owned(), json!("TrainingModels"))),
            _ => {}
        }
        shown
    }

    fn described(&self, now: Timestamp) -> Value {
        let mut shown = self.asked.as_object().cloned().unwrap_or_default();
        shown.remove("Tags");
        shown.extend(self.summary(now));
        if let Some(parent) = &self.parent {
            let name = if parent.starts_with("automl") { "AutoMLJobArn" } else { "TuningJobArn" };
            shown.insert(name.to_owned(), json!(self.arn.replace(&self.id(), parent)));
        }
        if self.kind == "App" {
            shown.insert("AppArn".to_owned(), json!(self.arn));
        }
        if self.kind == "TrainingJob" {
            shown.insert("SecondaryStatus".to_owned(), json!(if self.is_wanted() { "Training" } else { "Stopped" }));
        }
        Value::Object(shown)
    }
}

/// A name as SageMaker wants them.
pub(super) fn check_name(name: &str) -> Result<(), Refusal> {
    let fits = !name.is_empty() && name.len() <= 63 && !name.starts_with('-') && !name.ends_with('-');
    if fits && name.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '-') {
        return Ok(());
    }
    Err(invalid(format!("'{name}' failed to satisfy constraint: [a-zA-Z0-9](-*[a-zA-Z0-9]){{0,62}}")))
}

fn missing(kind: &Kind, call: &Call) -> Refusal {
    match kind.noun {
        "NotebookInstance" => invalid("RecordNotFound"),
        "Endpoint" => invalid(format!("Could not find endpoint \"{}\".", text(call, "EndpointName"))),
        "App" => refuse("ResourceNotFound", format!("App {} not found.", text(call, "AppName"))),
        _ if call.operation.starts_with("Stop") => refuse("ResourceNotFound", "Requested resource not found."),
        _ => invalid("Requested resource not found."),
    }
}

/// The tags that a call gives.
#[derive(Deserialize)]
struct Tagged {
    #[serde(rename = "Tags", default)]
    tags: Vec<Tag>,
}

/// Create….
pub(super) fn create(sagemaker: &mut SageMaker, kind: &'static Kind, call: &Call) -> Result<Value, Refusal> {
    let Tagged { tags } = super::read(call)?;
    let name = text(call, &format!("{}Name", kind.noun));
    check_name(name)?;
    if kind.noun == "Endpoint" {
        config(sagemaker, call, text(call, "EndpointConfigName"))?;
    }
    let id = kind.id(call);
    let taken = sagemaker.workloads.get(&id).filter(|held| held.kind != "App" || !held.has_ended(call.now));
    if taken.is_some() {
        return Err(match kind.noun {
            "NotebookInstance" | "Endpoint" => {
                invalid(format!("Cannot create already existing {} \"{name}\".", kind.in_arn))
            }
            _ => refuse(
                "ResourceInUse",
                format!("{} names must be unique within an AWS account and region.", kind.in_arn),
            ),
        });
    }
    if sagemaker.instances(call.now) >= INSTANCES {
        let message = format!("The account-level service limit of {INSTANCES} instances is exceeded.");
        return Err(refuse("ResourceLimitExceeded", message));
    }
    let arn = format!("arn:aws:sagemaker:{}:{}:{id}", call.region, call.account);
    let workload = Workload {
        kind: kind.noun,
        name: name.to_owned(),
        arn: arn.clone(),
        created: call.now,
        started: call.now,
        ending: None,
        parent: None,
        asked: call.params.json().clone(),
        tags,
    };
    sagemaker.workloads.insert(id, workload);
    Ok(json!({ format!("{}Arn", kind.noun): arn }))
}

/// Describe….
pub(super) fn describe(sagemaker: &SageMaker, kind: &'static Kind, call: &Call) -> Result<Value, Refusal> {
    let workload = sagemaker.workloads.get(&kind.id(call));
    workload.map(|workload| workload.described(call.now)).ok_or_else(|| missing(kind, call))
}

/// List…s.
pub(super) fn list(sagemaker: &SageMaker, kind: &'static Kind, call: &Call) -> Result<Value, Refusal> {
    let known = ["MaxResults", "NextToken", "StatusEquals", "NameContains"];
    let asked = call.params.json().as_object().into_iter().flatten();
    if let Some((unknown, _)) = asked.into_iter().find(|(name, _)| !known.contains(&name.as_str())) {
        return Err(refuse("UnknownParameter", format!("unknown field `{unknown}`")));
    }
    let (state, contains) = (text(call, "StatusEquals"), text(call, "NameContains"));
    let wanted = |workload: &&Workload| {
        workload.kind == kind.noun
            && (state.is_empty() || workload.state(call.now) == state)
            && workload.name.contains(contains)
    };
    let all = sagemaker.workloads.values().filter(wanted).map(|workload| Value::Object(workload.summary(call.now)));
    part(kind.listed, all.collect(), call)
}

/// Stop…, or Delete… for what cannot be stopped. What it has started is ended with it.
pub(super) fn end(sagemaker: &mut SageMaker, kind: &'static Kind, call: &Call) -> Result<Value, Refusal> {
    let id = kind.id(call);
    let workload = sagemaker.workloads.get_mut(&id).ok_or_else(|| missing(kind, call))?;
    let state = workload.state(call.now);
    let [_, working, ..] = kind.states;
    if state != working && !(kind.noun == "App" && state == "Pending") {
        return Err(match kind.end {
            End::Rests => {
                invalid(format!("Status ({state}) not in ([InService, Failed]). Unable to transition to (Stopping)"))
            }
            End::IsGone => invalid(format!("Cannot delete the endpoint while it is {state}.")),
            End::IsOver if kind.noun == "App" => refuse("ResourceInUse", format!("The app is {state}.")),
            End::IsOver => invalid(format!("The request was rejected because the job is in status {state}.")),
        });
    }
    workload.ending = Some(call.now);
    for child in sagemaker.workloads.values_mut().filter(|child| child.parent.as_ref() == Some(&id)) {
        child.ending.get_or_insert(call.now);
    }
    Ok(json!({}))
}

/// Start…, for what rests.
pub(super) fn start(sagemaker: &mut SageMaker, kind: &'static Kind, call: &Call) -> Result<Value, Refusal> {
    let full = sagemaker.instances(call.now) >= INSTANCES;
    let workload = sagemaker.workloads.get_mut(&kind.id(call)).ok_or_else(|| missing(kind, call))?;
    let state = workload.state(call.now);
    if state != "Stopped" {
        return Err(invalid(format!("Status ({state}) not in ([Stopped, Failed]). Unable to transition to (Pending)")));
    }
    if full {
        let message = format!("The account-level service limit of {INSTANCES} instances is exceeded.");
        return Err(refuse("ResourceLimitExceeded", message));
    }
    workload.started = call.now;
    workload.ending = None;
    Ok(json!({}))
}
