//! Amazon SageMaker AI: what its action and source share.

pub mod stop;
pub mod workloads;

use std::fmt;

use aws_sdk_sagemaker::Client;
use aws_sdk_sagemaker::config::Builder;
use aws_sdk_sagemaker::types::AppType;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::cloud::retry;
use crate::engine::action::Ctx;
use crate::model::{ActionError, ErrorKind, ResourceId};

/// The largest page.
const PAGE: i32 = 100;

fn client(cx: &Ctx) -> Client {
    let config = Builder::from(&cx.sdk).retry_partition(retry::partition(&cx.target)).retry_classifier(retry::WhenBusy);
    Client::from_conf(config.build())
}

/// What a workload is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Type {
    /// A notebook instance.
    NotebookInstance,
    /// A training job.
    TrainingJob,
    /// A processing job.
    ProcessingJob,
    /// A batch transform job.
    TransformJob,
    /// A hyperparameter tuning job, which starts training jobs.
    TuningJob,
    /// An AutoML job, which starts jobs of all sorts.
    AutomlJob,
    /// An endpoint.
    Endpoint,
    /// An app of Studio.
    App,
}

/// Types by the words that ids and fields have for them.
const TYPES: [(&str, Type); 8] = [
    ("notebook-instance", Type::NotebookInstance),
    ("training-job", Type::TrainingJob),
    ("processing-job", Type::ProcessingJob),
    ("transform-job", Type::TransformJob),
    ("tuning-job", Type::TuningJob),
    ("automl-job", Type::AutomlJob),
    ("endpoint", Type::Endpoint),
    ("app", Type::App),
];

impl Type {
    fn as_str(self) -> &'static str {
        TYPES.iter().find(|(_, kind)| *kind == self).map_or("", |(name, _)| name)
    }

    /// The word that ARNs have for it.
    fn in_arn(self) -> &'static str {
        if self == Self::TuningJob { "hyper-parameter-tuning-job" } else { self.as_str() }
    }

    /// The id of a workload that has nothing but its name.
    fn id(self, name: &str) -> String {
        format!("{}/{name}", self.as_str())
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.as_str().replace('-', " "))
    }
}

/// Type and name of a member; of an app, what stands behind its type.
fn named(id: &ResourceId) -> Option<(Type, &str)> {
    let (kind, name) = id.as_str().split_once('/')?;
    let (_, kind) = TYPES.iter().find(|(word, _)| *word == kind)?;
    Some((*kind, name))
}

/// An app of Studio: it has a name only within its owner and type.
#[derive(Debug, Clone, PartialEq, Eq)]
struct App<'a> {
    domain: &'a str,
    owner: Owner<'a>,
    kind: &'a str,
    name: &'a str,
}

/// Who owns an app.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Owner<'a> {
    User(&'a str),
    Space(&'a str),
}

impl<'a> App<'a> {
    /// Reads what stands behind `app/` in an id.
    fn of(name: &'a str) -> Option<Self> {
        let mut parts = name.split('/');
        let (domain, kind_of_owner, owner) = (parts.next()?, parts.next()?, parts.next()?);
        let owner = if kind_of_owner == "space" { Owner::Space(owner) } else { Owner::User(owner) };
        Some(Self { domain, owner, kind: parts.next()?, name: parts.next()? })
    }

    /// Its id.
    fn id(&self) -> String {
        let owner = match self.owner {
            Owner::User(name) => format!("user/{name}"),
            Owner::Space(name) => format!("space/{name}"),
        };
        format!("app/{}/{owner}/{}/{}", self.domain, self.kind, self.name)
    }

    fn app_type(&self) -> AppType {
        AppType::from(self.kind)
    }

    fn user(&self) -> Option<String> {
        match self.owner {
            Owner::User(name) => Some(name.to_owned()),
            Owner::Space(_) => None,
        }
    }

    fn space(&self) -> Option<String> {
        match self.owner {
            Owner::Space(name) => Some(name.to_owned()),
            Owner::User(_) => None,
        }
    }
}

/// Nothing where there is nothing of that name: of a name that AWS itself gave, a ValidationException says no more than that.
fn if_any<T>(answer: Result<T, ActionError>) -> Result<Option<T>, ActionError> {
    match answer {
        Err(error) if error.kind == ErrorKind::NotFound || error.is("ValidationException") => Ok(None),
        other => other.map(Some),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_says_what_is_meant() {
        let id = |text: &str| ResourceId::new(text).unwrap();
        assert_eq!(named(&id("tuning-job/search")), Some((Type::TuningJob, "search")));
        assert_eq!(named(&id("arn:aws:x")), None);
        let app = "d-1/space/shared/JupyterLab/default";
        let found = App::of(app).unwrap();
        assert_eq!((found.owner, found.name), (Owner::Space("shared"), "default"));
        assert_eq!(found.id(), format!("app/{app}"));
        assert_eq!(Type::TuningJob.in_arn(), "hyper-parameter-tuning-job");
    }
}
