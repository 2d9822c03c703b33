use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{ActionName, ChangeId, Kind, ResourceId, StepId, Target, Tier};

/// One step on one resource: the unit that is shown, approved, journalled, carried out, proven and undone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// Derived from step, target and resource: see [`ChangeId::of`].
    pub id: ChangeId,
    /// The step it belongs to.
    pub step: StepId,
    /// What carries it out.
    pub action: ActionName,
    /// What must be approved.
    pub tier: Tier,
    /// Where.
    pub target: Target,
    /// The kind of `member`.
    pub kind: Kind,
    /// The member of the step's set for which it is made. Steps on the same set follow one another per member.
    pub member: ResourceId,
    /// Further members for which it is made, when one thing belongs to several: the other machines of a group.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub also_for: Vec<ResourceId>,
    /// What is changed: the member itself, or something that belongs to it (a user's key).
    pub resource: ResourceId,
    /// One line in the imperative: "stop i-0abc (m5.24xlarge, windows)".
    pub summary: String,
    /// The state before, in a few words.
    pub before: String,
    /// The state after, in a few words.
    pub after: String,
    /// All that `undo` needs, as it was found. The action's own type.
    pub prior: Value,
    /// The way back.
    pub undo: Undo,
    /// What the approver should know: "tracked connections stay up until the stop".
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// A policy that this change attaches, for the lockout guard to evaluate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attaches: Option<AttachedPolicy>,
}

impl Change {
    /// Every member for which it is made.
    pub fn members(&self) -> impl Iterator<Item = &ResourceId> {
        std::iter::once(&self.member).chain(&self.also_for)
    }
}

/// The way back from a change, as the plan states it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Undo {
    /// How a rollback takes it back; `None` when it cannot.
    pub how: Option<String>,
    /// What is lost for good all the same: "the memory", "the public IPv4 address".
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub loses: Vec<String>,
}

impl Undo {
    /// Can be taken back without a trace.
    pub fn by(how: impl Into<String>) -> Self {
        Self { how: Some(how.into()), loses: Vec::new() }
    }

    /// Cannot be taken back.
    pub fn impossible(loses: impl Into<String>) -> Self {
        Self { how: None, loses: vec![loses.into()] }
    }

    /// Adds something that the way back does not bring back.
    #[must_use]
    pub fn losing(mut self, what: impl Into<String>) -> Self {
        self.loses.push(what.into());
        self
    }
}

/// A policy document that a change puts in force.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AttachedPolicy {
    /// The document, as it will be sent.
    pub document: Value,
    /// Whom it will bind.
    pub holder: PolicyHolder,
}

/// Whom a policy binds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PolicyHolder {
    /// Every principal of the account: an SCP.
    Account(super::AccountId),
    /// One user or role, by ARN: an identity policy or a boundary.
    Principal(String),
    /// Whoever reaches for a resource of the account: an RCP.
    Resources(super::AccountId),
    /// Whoever would assume a role, by the role's ARN: its trust policy, in the place of the old one.
    Trust(String),
}

/// What a change made, as far as undo, evidence and report need it: ids of snapshots, of a policy, of a group.
/// The action's own shape; `null` when there is nothing to remember.
pub type Effect = Value;
