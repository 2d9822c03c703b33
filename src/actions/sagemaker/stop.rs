//! `sagemaker.stop`

use std::collections::BTreeMap;

use aws_sdk_sagemaker::Client;
use aws_sdk_sagemaker::types::{AppInstanceType, ResourceSpec, Tag};
use futures::future::try_join_all;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::time::{Duration, sleep};

use super::workloads::tags_of;
use super::{App, Type, if_any, named};
use crate::engine::action::{Action, Ctx, Decision, Found, Item, Proposal, View};
use crate::model::{ActionError, Effect, ErrorKind, Resource, ResourceId, Tier, Undo, Verdict};

/// How long a workload may take until it can be stopped, or started again.
const SETTLED_WITHIN: Duration = Duration::from_mins(15);
/// How often it is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// Stops workloads.
pub struct Stop;

/// The action has no parameters.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {}

/// A workload before it is stopped.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Prior {
    /// What it is.
    #[serde(rename = "type")]
    pub kind: Type,
    /// `InService`, `InProgress`, …
    pub state: String,
    /// The running job that would start another in its place.
    pub parent: Option<String>,
    /// What it is made from again.
    pub again: Again,
}

/// What a workload is made from again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Again {
    /// Itself: it is started.
    Itself,
    /// Nothing: it is over.
    Nothing,
    /// An endpoint: its configuration and its tags.
    Endpoint {
        /// The name of the configuration.
        config: String,
        /// Its tags.
        tags: BTreeMap<String, String>,
    },
    /// An app: where and on what it runs, by the names of its request.
    App(BTreeMap<String, String>),
}

/// Where a workload is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// It cannot be stopped yet.
    Starts,
    Works,
    Ends,
    Over,
}

impl Prior {
    fn phase(&self) -> Phase {
        match (self.kind, self.state.as_str()) {
            (_, "Stopping" | "Deleting") => Phase::Ends,
            (_, "Stopped" | "Completed" | "Deleted" | "DeleteFailed") => Phase::Over,
            // What has failed to start computes nothing; an endpoint may still have instances.
            (Type::Endpoint, "Failed") => Phase::Works,
            (_, "Failed") => Phase::Over,
            (Type::App, "Pending") => Phase::Works,
            (_, "Pending" | "Creating" | "Updating" | "SystemUpdating" | "RollingBack" | "InMaintenance") => {
                Phase::Starts
            }
            _ => Phase::Works,
        }
    }

    fn undo(&self) -> Undo {
        match (&self.again, self.kind) {
            (Again::Itself, _) => Undo::by("start it again").losing("its memory, and what is not on its volume"),
            (Again::Endpoint { config, .. }, _) => Undo::by(format!("create it again from {config}"))
                .losing("its scaling policies, and what its instances had in memory"),
            (Again::App(_), _) => Undo::by("create it again").losing("its memory"),
            (Again::Nothing, Type::Endpoint) => {
                Undo::impossible("the endpoint: its configuration is gone, so that it cannot be created again")
            }
            (Again::Nothing, kind) => Undo::impossible(format!("the {kind}: it would have to be created anew")),
        }
    }
}

impl Action for Stop {
    type Params = Params;
    type Prior = Prior;

    const NAME: &'static str = "sagemaker.stop";
    const TIER: Tier = Tier::Disruptive;
    const KINDS: &'static [&'static str] = &["sagemaker.workload"];
    const TITLE: &'static str = "Stop what computes in SageMaker AI";
    const DESCRIPTION: &'static str = "Stops notebook instances and jobs, and deletes endpoints and the apps of Studio, which \
        cannot be stopped: the configuration of an endpoint stays, so that it can be created again. What is still being \
        created is waited for. Tuning and AutoML jobs start training jobs until they are stopped themselves, which ends those \
        too; a job that such a job started is left to that job, and the plan names it. A notebook instance keeps what is on \
        its volume. Scaling policies of an endpoint go with it.\n\n\
        HyperPod clusters, pipelines, monitoring schedules and warm pools are not touched.\n\n\
        AWS pages: *StopTrainingJob*, *StopHyperParameterTuningJob*, *StopNotebookInstance*, *DeleteEndpoint*, *DeleteApp*. \
        Fact B12.";
    const UNDO: &'static str = "Starts notebook instances, and creates endpoints and apps again. Jobs do not come back: whoever \
        needs one creates it anew; a training job with checkpoints goes on from there.";
    const PERMISSIONS: &'static [&'static str] = &[
        "sagemaker:DeleteApp",
        "sagemaker:DeleteEndpoint",
        "sagemaker:DescribeApp",
        "sagemaker:DescribeAutoMLJob",
        "sagemaker:DescribeEndpoint",
        "sagemaker:DescribeEndpointConfig",
        "sagemaker:DescribeHyperParameterTuningJob",
        "sagemaker:DescribeNotebookInstance",
        "sagemaker:DescribeProcessingJob",
        "sagemaker:DescribeTrainingJob",
        "sagemaker:DescribeTransformJob",
        "sagemaker:ListTags",
        "sagemaker:StopAutoMLJob",
        "sagemaker:StopHyperParameterTuningJob",
        "sagemaker:StopNotebookInstance",
        "sagemaker:StopProcessingJob",
        "sagemaker:StopTrainingJob",
        "sagemaker:StopTransformJob",
    ];
    const UNDO_PERMISSIONS: &'static [&'static str] =
        &["sagemaker:AddTags", "sagemaker:CreateApp", "sagemaker:CreateEndpoint", "sagemaker:StartNotebookInstance"];
    const EXAMPLE: &'static str = "{ id: training, uses: sagemaker.stop, on: workloads }";

    async fn discover(&self, cx: &Ctx, _: &Params, members: &[Resource]) -> Result<Vec<Found<Prior>>, ActionError> {
        let client = super::client(cx);
        let found = try_join_all(members.iter().map(|member| found(&client, &member.id))).await?;
        Ok(found.into_iter().flatten().collect())
    }

    fn plan(&self, _: &View, _: &Params, found: &Found<Prior>) -> Decision {
        let prior = &found.prior;
        match (prior.phase(), &prior.parent) {
            (Phase::Ends | Phase::Over, _) => Decision::Already,
            (_, Some(parent)) => {
                Decision::Skip(format!("{parent} started it, and would start another at once: stop that"))
            }
            (_, None) => {
                let (verb, after) = match prior.kind {
                    Type::Endpoint | Type::App => ("delete", "deleted"),
                    _ => ("stop", "stopped"),
                };
                let summary = format!("{verb} the SageMaker {}", found.resource.as_str().replacen('/', " ", 1));
                Decision::Change(Proposal::new(summary, &prior.state, after, prior.undo()))
            }
        }
    }

    /// What works otherwise than before is stopped all the same.
    fn drift(&self, _: &Prior, _: &Prior) -> Option<String> {
        None
    }

    async fn apply(&self, cx: &Ctx, _: &Params, items: &[Item<Prior>]) -> Result<Vec<Effect>, ActionError> {
        let client = super::client(cx);
        for item in items {
            if until(&client, &item.resource, |phase| phase != Phase::Starts).await? == Some(Phase::Works) {
                end(&client, &item.resource).await?;
            }
        }
        Ok(vec![Value::Null; items.len()])
    }

    fn verify(&self, _: &View, _: &Params, found: &Found<Prior>) -> Verdict {
        let why = format!("it is {}", found.prior.state);
        match found.prior.phase() {
            Phase::Over => Verdict::Proven,
            Phase::Ends => Verdict::Pending { why },
            Phase::Starts | Phase::Works => Verdict::Unproven { why },
        }
    }

    fn restored(&self, _: &Prior, now: &Prior) -> Verdict {
        match now.phase() {
            Phase::Works => Verdict::Proven,
            Phase::Starts => Verdict::Pending { why: format!("it is {}", now.state) },
            Phase::Ends | Phase::Over => Verdict::Unproven { why: format!("it is {}", now.state) },
        }
    }

    async fn undo(&self, cx: &Ctx, _: &Params, item: &Item<Prior>, _: &Effect) -> Result<(), ActionError> {
        let client = super::client(cx);
        let Some((_, name)) = named(&item.resource) else { return Ok(()) };
        if item.prior.again == Again::Nothing {
            let message = format!("{} is over: create it anew if it is needed", item.resource);
            return Err(ActionError::new(ErrorKind::WrongState, message));
        }
        let now = until(&client, &item.resource, |phase| phase != Phase::Ends).await?;
        match (&item.prior.again, now) {
            (Again::Itself, Some(Phase::Over)) => {
                client.start_notebook_instance().notebook_instance_name(name).send().await?;
            }
            (Again::Endpoint { config, tags }, None) => {
                let tags = tags.iter().map(|(key, value)| Tag::builder().key(key).value(value).build()).collect();
                let request = client.create_endpoint().endpoint_name(name).endpoint_config_name(config);
                request.set_tags(Some(tags)).send().await?;
            }
            (Again::App(spec), None | Some(Phase::Over)) => create_app(&client, name, spec).await?,
            _ => {}
        }
        Ok(())
    }
}

/// Where a workload is, once that is as wished; none when it is gone.
async fn until(client: &Client, id: &ResourceId, wished: impl Fn(Phase) -> bool) -> Result<Option<Phase>, ActionError> {
    let mut waited = Duration::ZERO;
    loop {
        let now = found(client, id).await?.map(|found| found.prior);
        match &now {
            Some(now) if !wished(now.phase()) && waited < SETTLED_WITHIN => {
                sleep(LOOK_EVERY).await;
                waited += LOOK_EVERY;
            }
            Some(now) if !wished(now.phase()) => {
                let message = format!("{id} is {} since {} s: try again", now.state, waited.as_secs());
                return Err(ActionError::new(ErrorKind::WrongState, message));
            }
            now => return Ok(now.as_ref().map(Prior::phase)),
        }
    }
}

/// The ARN of the job that started a job.
pub(super) async fn parent(client: &Client, kind: Type, name: &str) -> Result<Option<String>, ActionError> {
    Ok(match kind {
        Type::TrainingJob => {
            let job = client.describe_training_job().training_job_name(name).send().await;
            let job = if_any(job.map_err(ActionError::from))?;
            job.and_then(|job| job.tuning_job_arn.or(job.auto_ml_job_arn))
        }
        Type::ProcessingJob => {
            let job = client.describe_processing_job().processing_job_name(name).send().await;
            if_any(job.map_err(ActionError::from))?.and_then(|job| job.auto_ml_job_arn)
        }
        Type::TransformJob => {
            let job = client.describe_transform_job().transform_job_name(name).send().await;
            if_any(job.map_err(ActionError::from))?.and_then(|job| job.auto_ml_job_arn)
        }
        _ => None,
    })
}

/// A job's parent while that runs: one that is over starts nothing.
async fn running(client: &Client, parent: Option<String>) -> Result<Option<String>, ActionError> {
    let Some(arn) = parent else { return Ok(None) };
    let Some((kind, name)) = arn.rsplit(':').next().and_then(|resource| resource.split_once('/')) else {
        return Ok(None);
    };
    let kind = if kind == Type::TuningJob.in_arn() { Type::TuningJob } else { Type::AutomlJob };
    let state = state(client, kind, name).await?;
    Ok((state.as_deref() == Some("InProgress")).then_some(arn))
}

/// The state of a workload, other than an endpoint or app; none when it is gone.
async fn state(client: &Client, kind: Type, name: &str) -> Result<Option<String>, ActionError> {
    macro_rules! state {
        ($describe:ident, $name:ident, $status:ident) => {
            if_any(client.$describe().$name(name).send().await.map_err(ActionError::from))?
                .and_then(|answer| answer.$status().map(|status| status.as_str().to_owned()))
        };
    }
    Ok(match kind {
        Type::NotebookInstance => {
            state!(describe_notebook_instance, notebook_instance_name, notebook_instance_status)
        }
        Type::TrainingJob => state!(describe_training_job, training_job_name, training_job_status),
        Type::ProcessingJob => state!(describe_processing_job, processing_job_name, processing_job_status),
        Type::TransformJob => state!(describe_transform_job, transform_job_name, transform_job_status),
        Type::TuningJob => state!(
            describe_hyper_parameter_tuning_job,
            hyper_parameter_tuning_job_name,
            hyper_parameter_tuning_job_status
        ),
        Type::AutomlJob => state!(describe_auto_ml_job, auto_ml_job_name, auto_ml_job_status),
        Type::Endpoint | Type::App => None,
    })
}

async fn found(client: &Client, id: &ResourceId) -> Result<Option<Found<Prior>>, ActionError> {
    let Some((kind, name)) = named(id) else { return Ok(None) };
    let prior = match kind {
        Type::Endpoint => endpoint(client, name).await?,
        Type::App => app(client, name).await?,
        _ => match state(client, kind, name).await? {
            None => None,
            Some(state) => {
                let parent = running(client, parent(client, kind, name).await?).await?;
                let again = if kind == Type::NotebookInstance { Again::Itself } else { Again::Nothing };
                Some(Prior { kind, state, parent, again })
            }
        },
    };
    Ok(prior.map(|prior| Found { member: id.clone(), resource: id.clone(), prior }))
}

async fn endpoint(client: &Client, name: &str) -> Result<Option<Prior>, ActionError> {
    let answer = client.describe_endpoint().endpoint_name(name).send().await;
    let Some(answer) = if_any(answer.map_err(ActionError::from))? else { return Ok(None) };
    let config = answer.endpoint_config_name().unwrap_or_default();
    let there = client.describe_endpoint_config().endpoint_config_name(config).send().await;
    let again = match if_any(there.map_err(ActionError::from))? {
        None => Again::Nothing,
        Some(_) => {
            let tags = tags_of(client, answer.endpoint_arn().unwrap_or_default()).await?;
            // What AWS itself set cannot be set by others.
            let tags = tags.into_iter().filter(|(key, _)| !key.starts_with("aws:")).collect();
            Again::Endpoint { config: config.to_owned(), tags }
        }
    };
    let state = answer.endpoint_status().map_or("", |status| status.as_str()).to_owned();
    Ok(Some(Prior { kind: Type::Endpoint, state, parent: None, again }))
}

/// The parts of where and on what an app runs, by the names of its request.
const SPEC: [&str; 5] = ["instance", "image", "image-version", "image-alias", "lifecycle-config"];

async fn app(client: &Client, name: &str) -> Result<Option<Prior>, ActionError> {
    let Some(app) = App::of(name) else { return Ok(None) };
    let request = client.describe_app().domain_id(app.domain).app_type(app.app_type()).app_name(app.name);
    let answer = request.set_user_profile_name(app.user()).set_space_name(app.space()).send().await;
    let Some(answer) = if_any(answer.map_err(ActionError::from))? else { return Ok(None) };
    let spec = answer.resource_spec().map(|spec| {
        let instance = spec.instance_type().map(aws_sdk_sagemaker::types::AppInstanceType::as_str);
        let image = (spec.sage_maker_image_arn(), spec.sage_maker_image_version_arn());
        [instance, image.0, image.1, spec.sage_maker_image_version_alias(), spec.lifecycle_config_arn()]
    });
    let parts = SPEC.into_iter().zip(spec.into_iter().flatten());
    let parts = parts.filter_map(|(part, value)| Some((part.to_owned(), value?.to_owned())));
    let state = answer.status().map_or("", |status| status.as_str()).to_owned();
    Ok(Some(Prior { kind: Type::App, state, parent: None, again: Again::App(parts.collect()) }))
}

async fn create_app(client: &Client, name: &str, parts: &BTreeMap<String, String>) -> Result<(), ActionError> {
    let Some(app) = App::of(name) else { return Ok(()) };
    let [instance, image, version, alias, lifecycle] = SPEC.map(|part| parts.get(part).cloned());
    let spec = ResourceSpec::builder().set_instance_type(instance.map(|kind| AppInstanceType::from(kind.as_str())));
    let spec = spec.set_sage_maker_image_arn(image).set_sage_maker_image_version_arn(version);
    let spec = spec.set_sage_maker_image_version_alias(alias).set_lifecycle_config_arn(lifecycle).build();
    let request = client.create_app().domain_id(app.domain).app_type(app.app_type()).app_name(app.name);
    let request = request.set_user_profile_name(app.user()).set_space_name(app.space());
    request.set_resource_spec((!parts.is_empty()).then_some(spec)).send().await?;
    Ok(())
}

/// Stops what can be stopped, and deletes the others.
async fn end(client: &Client, id: &ResourceId) -> Result<(), ActionError> {
    let Some((kind, name)) = named(id) else { return Ok(()) };
    match kind {
        Type::NotebookInstance => {
            client.stop_notebook_instance().notebook_instance_name(name).send().await?;
        }
        Type::TrainingJob => drop(client.stop_training_job().training_job_name(name).send().await?),
        Type::ProcessingJob => drop(client.stop_processing_job().processing_job_name(name).send().await?),
        Type::TransformJob => drop(client.stop_transform_job().transform_job_name(name).send().await?),
        Type::TuningJob => {
            let request = client.stop_hyper_parameter_tuning_job();
            request.hyper_parameter_tuning_job_name(name).send().await?;
        }
        Type::AutomlJob => drop(client.stop_auto_ml_job().auto_ml_job_name(name).send().await?),
        Type::Endpoint => drop(client.delete_endpoint().endpoint_name(name).send().await?),
        Type::App => {
            let Some(app) = App::of(name) else { return Ok(()) };
            let request = client.delete_app().domain_id(app.domain).app_type(app.app_type()).app_name(app.name);
            request.set_user_profile_name(app.user()).set_space_name(app.space()).send().await?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::actions::tests::view;

    fn plan(kind: Type, state: &str, parent: Option<&str>, again: Again) -> Decision {
        let id = ResourceId::new(kind.id("x")).unwrap();
        let prior = Prior { kind, state: state.into(), parent: parent.map(str::to_owned), again };
        Stop.plan(&view(), &Params {}, &Found { member: id.clone(), resource: id, prior })
    }

    #[test]
    fn what_computes_is_stopped_and_what_does_not_come_back_says_so() {
        let Decision::Change(job) = plan(Type::TrainingJob, "InProgress", None, Again::Nothing) else { panic!() };
        assert_eq!((job.summary.as_str(), job.undo.how), ("stop the SageMaker training-job x", None));
        let config = Again::Endpoint { config: "c".into(), tags: BTreeMap::new() };
        let Decision::Change(endpoint) = plan(Type::Endpoint, "Creating", None, config) else { panic!() };
        assert_eq!((endpoint.after.as_str(), endpoint.undo.how.is_some()), ("deleted", true));
        let orphan = plan(Type::Endpoint, "InService", None, Again::Nothing);
        assert!(matches!(orphan, Decision::Change(proposal) if proposal.undo.how.is_none()));
        for state in ["Stopping", "Stopped"] {
            assert_eq!(plan(Type::NotebookInstance, state, None, Again::Itself), Decision::Already);
        }
    }

    #[test]
    fn a_job_is_left_to_the_job_that_started_it() {
        let decision = plan(Type::TrainingJob, "InProgress", Some("arn:…:tuning"), Again::Nothing);
        assert!(matches!(decision, Decision::Skip(why) if why.contains("would start another")));
    }
}
