//! The kinds of workloads: what they are called, and the words for where they are in their lives.

use jiff::SignedDuration;

use super::text;
use crate::sim::call::Call;

/// What becomes of a workload that is ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// It can be started again.
    Rests,
    /// It stays, as a record of what was.
    IsOver,
    /// It is gone.
    IsGone,
}

/// A kind.
#[derive(Debug, PartialEq, Eq)]
pub struct Kind {
    /// As operations have it: `TrainingJob`.
    pub noun: &'static str,
    /// As ARNs have it: `training-job`.
    pub in_arn: &'static str,
    /// The member of a list's answer.
    pub listed: &'static str,
    /// Its states: while it starts, works, is ended, and has ended.
    pub states: [&'static str; 4],
    /// What becomes of it.
    pub end: End,
    /// How long it takes to start.
    pub starts: SignedDuration,
    /// How long it takes to end.
    pub ends: SignedDuration,
}

const JOB: [&str; 4] = ["InProgress", "InProgress", "Stopping", "Stopped"];

const fn job(noun: &'static str, in_arn: &'static str, listed: &'static str) -> Kind {
    let (starts, ends) = (SignedDuration::ZERO, SignedDuration::from_secs(60));
    Kind { noun, in_arn, listed, states: JOB, end: End::IsOver, starts, ends }
}

/// All kinds ("Amazon SageMaker API Reference", the states of each Describe operation).
pub static KINDS: [Kind; 8] = [
    job("HyperParameterTuningJob", "hyper-parameter-tuning-job", "HyperParameterTuningJobSummaries"),
    job("AutoMLJob", "automl-job", "AutoMLJobSummaries"),
    job("TrainingJob", "training-job", "TrainingJobSummaries"),
    job("ProcessingJob", "processing-job", "ProcessingJobSummaries"),
    job("TransformJob", "transform-job", "TransformJobSummaries"),
    Kind {
        noun: "NotebookInstance",
        in_arn: "notebook-instance",
        listed: "NotebookInstances",
        states: ["Pending", "InService", "Stopping", "Stopped"],
        end: End::Rests,
        starts: SignedDuration::from_secs(120),
        ends: SignedDuration::from_secs(60),
    },
    Kind {
        noun: "Endpoint",
        in_arn: "endpoint",
        listed: "Endpoints",
        states: ["Creating", "InService", "Deleting", "Deleting"],
        end: End::IsGone,
        starts: SignedDuration::from_secs(180),
        ends: SignedDuration::from_secs(20),
    },
    Kind {
        noun: "App",
        in_arn: "app",
        listed: "Apps",
        states: ["Pending", "InService", "Deleting", "Deleted"],
        end: End::IsOver,
        starts: SignedDuration::from_secs(60),
        ends: SignedDuration::from_secs(60),
    },
];

impl Kind {
    /// The kind with this noun.
    pub fn of(noun: &str) -> Option<&'static Self> {
        KINDS.iter().find(|kind| kind.noun == noun)
    }

    /// Whether there is such an operation.
    pub(super) fn does(&self, verb: &str) -> bool {
        match (self.noun, verb) {
            (_, "Create" | "Describe") => true,
            ("NotebookInstance", "Start" | "Stop") | ("Endpoint" | "App", "Delete") => true,
            ("NotebookInstance" | "Endpoint" | "App", _) => false,
            (_, verb) => verb == "Stop",
        }
    }

    /// What a call names: the part of its ARN behind the account.
    pub(super) fn id(&self, call: &Call) -> String {
        if self.noun == "App" {
            let owner = [text(call, "UserProfileName"), text(call, "SpaceName")].concat();
            let (domain, kind) = (text(call, "DomainId"), text(call, "AppType").to_lowercase());
            return format!("app/{domain}/{owner}/{kind}/{}", text(call, "AppName"));
        }
        format!("{}/{}", self.in_arn, text(call, &format!("{}Name", self.noun)).to_lowercase())
    }
}
