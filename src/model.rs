//! Plain data: what a runbook, a plan, a change and an event *are*. No I/O, no async, no clock.
//!
//! One word for one thing, in code, help text and documents alike; `ls src/model` is the glossary.

mod action_error;
mod approval;
mod caller;
mod catalog;
mod change;
mod coverage;
mod event;
#[cfg(test)]
pub(crate) mod example;
mod id;
mod plan;
mod plan_file;
mod platform;
mod resource;
mod runbook;
mod span;
mod summary;
mod tally;
mod target;
mod tier;

pub use action_error::{ActionError, ErrorKind};
pub use approval::{Answer, Approval};
pub use caller::Caller;
pub use catalog::{ActionSpec, Catalog, FieldSpec, FieldType, KindSpec, Scope, SourceSpec, is_of_caller};
pub use change::{AttachedPolicy, Change, Effect, PolicyHolder, Undo};
pub use coverage::{Coverage, CoverageCounts, CoverageEntry, CoverageStatus};
pub use event::{Event, EventKind, Outcome, Phase, Verdict};
pub use id::{
    AccessKeyId, AccountId, ActionName, ChangeId, Digest, InvalidId, Region, ResourceId, RunId, SetName, StepId,
};
pub use plan::{Already, Finding, LeftByHand, Listed, Plan, Severity, Skip};
pub use plan_file::{NoPlan, PlanFile};
pub use platform::Platform;
pub use resource::{Kind, Resource};
pub use runbook::{
    Accounts, ByHand, Edge, Input, InputType, Newcomers, OnFailure, Regions, Role, Runbook, SetSpec, Step, Targets,
    Until,
};
pub use span::Span;
pub use summary::{ChangeCounts, PhaseSeconds, RunOutcome, Summary};
pub use tally::Tally;
pub use target::Target;
pub use tier::Tier;
