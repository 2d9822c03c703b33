//! `sagemaker.workloads`: what computes in SageMaker AI.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_sagemaker::Client;
use aws_sdk_sagemaker::types::{
    AppDetails, AppStatus, AutoMlJobStatus, HyperParameterTuningJobStatus, ProcessingJobStatus, TrainingJobStatus,
    TransformJobStatus,
};
use aws_smithy_types::DateTime;
use futures::future::try_join_all;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::{App, Owner, PAGE, Type};
use crate::actions::field::{field, resource, time};
use crate::engine::action::{Ctx, Source, Wanted};
use crate::model::{ActionError, FieldType, KindSpec, Resource, Scope};

/// Lists what computes.
pub struct Workloads;

/// What is listed.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// The types that are asked for; all of them when none is named. Each has a list of its own at AWS, and one that may not
    /// be read hides all others: types that are named in sets of their own are found all the same.
    #[serde(default)]
    pub types: BTreeSet<Type>,
}

impl Params {
    fn ask_for(&self, kind: Type) -> bool {
        self.types.is_empty() || self.types.contains(&kind)
    }
}

/// `sagemaker.workload`; a member's id is its type and its name.
pub static KIND: KindSpec = KindSpec {
    name: "sagemaker.workload",
    scope: Scope::Regional,
    fields: &[
        field("name", FieldType::Text, "its name"),
        field(
            "type",
            FieldType::Text,
            "notebook-instance, training-job, processing-job, transform-job, tuning-job, automl-job, endpoint or app",
        ),
        field("created", FieldType::Timestamp, "when it was created"),
        field("modified", FieldType::Timestamp, "when it last changed; of an app, when it was created"),
        field("state", FieldType::Text, "InService, InProgress, Creating, …"),
        field(
            "instance_type",
            FieldType::Text,
            "ml.…, of notebook instances and apps; the lists of the others do not tell",
        ),
        field("owner", FieldType::Text, "the user profile or space of an app"),
        field(
            "parent",
            FieldType::Text,
            "the ARN of the tuning or AutoML job that started a training, processing or transform job",
        ),
        field("tags", FieldType::TextMap, "its tags"),
    ],
};

/// A workload as its list shows it.
struct Listed {
    kind: Type,
    id: String,
    name: String,
    arn: Option<String>,
    created: String,
    modified: String,
    state: String,
    instance_type: String,
    owner: String,
}

impl Source for Workloads {
    type Params = Params;

    const NAME: &'static str = "sagemaker.workloads";
    const KIND: &'static KindSpec = &KIND;
    const TITLE: &'static str =
        "What computes in SageMaker AI: notebook instances, running jobs, endpoints, apps of Studio";
    const PERMISSIONS: &'static [&'static str] = &[
        "sagemaker:DescribeProcessingJob",
        "sagemaker:DescribeTrainingJob",
        "sagemaker:DescribeTransformJob",
        "sagemaker:ListApps",
        "sagemaker:ListAutoMLJobs",
        "sagemaker:ListEndpoints",
        "sagemaker:ListHyperParameterTuningJobs",
        "sagemaker:ListNotebookInstances",
        "sagemaker:ListProcessingJobs",
        "sagemaker:ListTags",
        "sagemaker:ListTrainingJobs",
        "sagemaker:ListTransformJobs",
    ];

    async fn list(&self, cx: &Ctx, params: &Params, wanted: &Wanted<'_>) -> Result<Vec<Resource>, ActionError> {
        let client = &super::client(cx);
        let (jobs, children, others, apps) = futures::try_join!(
            parents(client, params),
            children(client, params),
            others(client, params),
            apps(client, params)
        )?;
        let all: Vec<Listed> = jobs.into_iter().chain(children).chain(others).chain(apps).collect();
        let (parent, tags) = (wanted.fields.contains(&"parent"), wanted.fields.contains(&"tags"));
        let more = all.iter().map(async |listed| {
            let arn = listed.arn.clone().or_else(|| arn_of_app(cx, &listed.id)).filter(|_| tags);
            Ok::<_, ActionError>((
                if parent { super::stop::parent(client, listed.kind, &listed.name).await? } else { None },
                match arn {
                    Some(arn) => tags_of(client, &arn).await?,
                    None => BTreeMap::new(),
                },
            ))
        });
        let more = try_join_all(more).await?;
        Ok(all.iter().zip(more).filter_map(|(listed, (parent, tags))| member(cx, listed, parent, &tags)).collect())
    }
}

/// The ARN of an app, which its list leaves out.
fn arn_of_app(cx: &Ctx, id: &str) -> Option<String> {
    let App { domain, owner, kind, name } = App::of(id.strip_prefix("app/")?)?;
    let (Owner::User(owner) | Owner::Space(owner)) = owner;
    let partition = cx.view.caller.arn.split(':').nth(1)?;
    let (region, account) = (&cx.target.region, &cx.target.account);
    Some(format!("arn:{partition}:sagemaker:{region}:{account}:app/{domain}/{owner}/{}/{name}", kind.to_lowercase()))
}

fn member(cx: &Ctx, listed: &Listed, parent: Option<String>, tags: &BTreeMap<String, String>) -> Option<Resource> {
    let fields = json!({
        "name": listed.name,
        "type": listed.kind.as_str(),
        "created": listed.created,
        "modified": listed.modified,
        "state": listed.state,
        "instance_type": listed.instance_type,
        "owner": listed.owner,
        "parent": parent.unwrap_or_default(),
        "tags": tags,
    });
    resource(cx, KIND.name, &listed.id, fields)
}

/// The tags of a workload; none when it is gone.
pub(super) async fn tags_of(client: &Client, arn: &str) -> Result<BTreeMap<String, String>, ActionError> {
    let mut pages = client.list_tags().resource_arn(arn).max_results(PAGE).into_paginator().items().send();
    let mut tags = BTreeMap::new();
    while let Some(tag) = pages.next().await {
        let Some(tag) = super::if_any(tag.map_err(ActionError::from))? else { break };
        tags.insert(tag.key.unwrap_or_default(), tag.value.unwrap_or_default());
    }
    Ok(tags)
}

fn listed(
    kind: Type,
    (name, arn): (Option<&str>, Option<&str>),
    state: Option<&str>,
    (created, modified): (Option<&DateTime>, Option<&DateTime>),
) -> Listed {
    let name = name.unwrap_or_default().to_owned();
    Listed {
        kind,
        id: kind.id(&name),
        name,
        arn: arn.map(str::to_owned),
        created: time(created),
        modified: time(modified.or(created)),
        state: state.unwrap_or_default().to_owned(),
        instance_type: String::new(),
        owner: String::new(),
    }
}

/// All items of a list, where it is asked for.
macro_rules! all {
    ($asked:expr, $request:expr, $item:ident => $listed:expr) => {{
        let mut found = Vec::new();
        if $asked {
            let mut pages = $request.max_results(PAGE).into_paginator().items().send();
            while let Some(item) = pages.next().await {
                let $item = item?;
                found.push($listed);
            }
        }
        found
    }};
}

/// Running jobs that start others.
async fn parents(client: &Client, params: &Params) -> Result<Vec<Listed>, ActionError> {
    let running = HyperParameterTuningJobStatus::InProgress;
    let tuning = async {
        Ok::<_, ActionError>(all!(params.ask_for(Type::TuningJob),
            client.list_hyper_parameter_tuning_jobs().status_equals(running), job => listed(
            Type::TuningJob,
            (job.hyper_parameter_tuning_job_name(), job.hyper_parameter_tuning_job_arn()),
            job.hyper_parameter_tuning_job_status().map(aws_sdk_sagemaker::types::HyperParameterTuningJobStatus::as_str),
            (job.creation_time(), job.last_modified_time()),
        )))
    };
    let automl = async {
        Ok::<_, ActionError>(all!(params.ask_for(Type::AutomlJob),
            client.list_auto_ml_jobs().status_equals(AutoMlJobStatus::InProgress), job => listed(
            Type::AutomlJob,
            (job.auto_ml_job_name(), job.auto_ml_job_arn()),
            job.auto_ml_job_status().map(aws_sdk_sagemaker::types::AutoMlJobStatus::as_str),
            (job.creation_time(), job.last_modified_time()),
        )))
    };
    let (tuning, automl) = futures::try_join!(tuning, automl)?;
    Ok(tuning.into_iter().chain(automl).collect())
}

/// Running jobs that others may have started.
async fn children(client: &Client, params: &Params) -> Result<Vec<Listed>, ActionError> {
    let training = async {
        Ok::<_, ActionError>(all!(params.ask_for(Type::TrainingJob),
            client.list_training_jobs().status_equals(TrainingJobStatus::InProgress), job => listed(
            Type::TrainingJob,
            (job.training_job_name(), job.training_job_arn()),
            job.training_job_status().map(aws_sdk_sagemaker::types::TrainingJobStatus::as_str),
            (job.creation_time(), job.last_modified_time()),
        )))
    };
    let processing = async {
        Ok::<_, ActionError>(all!(params.ask_for(Type::ProcessingJob),
            client.list_processing_jobs().status_equals(ProcessingJobStatus::InProgress), job => listed(
            Type::ProcessingJob,
            (job.processing_job_name(), job.processing_job_arn()),
            job.processing_job_status().map(aws_sdk_sagemaker::types::ProcessingJobStatus::as_str),
            (job.creation_time(), job.last_modified_time()),
        )))
    };
    let transform = async {
        Ok::<_, ActionError>(all!(params.ask_for(Type::TransformJob),
            client.list_transform_jobs().status_equals(TransformJobStatus::InProgress), job => listed(
            Type::TransformJob,
            (job.transform_job_name(), job.transform_job_arn()),
            job.transform_job_status().map(aws_sdk_sagemaker::types::TransformJobStatus::as_str),
            (job.creation_time(), job.last_modified_time()),
        )))
    };
    let (training, processing, transform) = futures::try_join!(training, processing, transform)?;
    Ok(training.into_iter().chain(processing).chain(transform).collect())
}

/// Notebook instances and endpoints, whatever their state.
async fn others(client: &Client, params: &Params) -> Result<Vec<Listed>, ActionError> {
    let notebooks = async {
        Ok::<_, ActionError>(
            all!(params.ask_for(Type::NotebookInstance), client.list_notebook_instances(), notebook => Listed {
                instance_type: notebook.instance_type().map_or("", |kind| kind.as_str()).to_owned(),
                ..listed(
                    Type::NotebookInstance,
                    (notebook.notebook_instance_name(), notebook.notebook_instance_arn()),
                    notebook.notebook_instance_status().map(aws_sdk_sagemaker::types::NotebookInstanceStatus::as_str),
                    (notebook.creation_time(), notebook.last_modified_time()),
                )
            }),
        )
    };
    let endpoints = async {
        Ok::<_, ActionError>(all!(params.ask_for(Type::Endpoint), client.list_endpoints(), endpoint => listed(
            Type::Endpoint,
            (endpoint.endpoint_name(), endpoint.endpoint_arn()),
            endpoint.endpoint_status().map(aws_sdk_sagemaker::types::EndpointStatus::as_str),
            (endpoint.creation_time(), endpoint.last_modified_time()),
        )))
    };
    let (notebooks, endpoints) = futures::try_join!(notebooks, endpoints)?;
    Ok(notebooks.into_iter().chain(endpoints).collect())
}

/// Apps that were not deleted.
async fn apps(client: &Client, params: &Params) -> Result<Vec<Listed>, ActionError> {
    let apps = all!(params.ask_for(Type::App), client.list_apps(), app => app);
    Ok(apps.iter().filter(|app| app.status() != Some(&AppStatus::Deleted)).filter_map(app).collect())
}

fn app(app: &AppDetails) -> Option<Listed> {
    let owner = match (app.space_name(), app.user_profile_name()) {
        (Some(space), _) => Owner::Space(space),
        (None, user) => Owner::User(user?),
    };
    let kind = app.app_type()?.as_str();
    let id = App { domain: app.domain_id()?, owner, kind, name: app.app_name()? }.id();
    let (Owner::User(owner) | Owner::Space(owner)) = owner;
    let instance_type = app.resource_spec().and_then(|spec| spec.instance_type());
    Some(Listed {
        id,
        instance_type: instance_type.map_or("", |kind| kind.as_str()).to_owned(),
        owner: owner.to_owned(),
        ..listed(
            Type::App,
            (app.app_name(), None),
            app.status().map(aws_sdk_sagemaker::types::AppStatus::as_str),
            (app.creation_time(), None),
        )
    })
}
