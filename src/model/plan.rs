use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{
    Caller, Change, ChangeId, Coverage, Digest, Effect, ResourceId, RunId, Runbook, SetName, StepId, Target, Tier,
};

/// Everything that a run will do, and nothing else: apply reads this and neither the runbook nor the command line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// When it was made; also the `now` of its inputs and predicates.
    pub created: Timestamp,
    /// Who asked AWS.
    pub caller: Caller,
    /// The runbook, with every `${{ … }}` filled in.
    pub runbook: Runbook,
    /// The inputs as they were understood.
    pub inputs: Map<String, Value>,
    /// The lanes that were surveyed, also those that could not be entered.
    pub targets: Vec<Target>,
    /// How many members each set has.
    pub sets: Vec<(SetName, usize)>,
    /// The members of the sets that are findings: nobody changes them for being here, a person looks at them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub listed: Vec<Listed>,
    /// The changes, in the order of the steps, then by target and resource.
    pub changes: Vec<Change>,
    /// What is so already.
    pub already: Vec<Already>,
    /// What a step would work on, but cannot.
    pub skipped: Vec<Skip>,
    /// What a person has to do, because quell cannot.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub by_hand: Vec<LeftByHand>,
    /// What the approver should know beyond single changes.
    pub findings: Vec<Finding>,
    /// What the survey saw, and what it could not see.
    pub coverage: Coverage,
    /// The run that this plan takes back, if it is a rollback.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undoes: Option<RunId>,
    /// For a rollback: what the changes had made, as far as it is known.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub effects: BTreeMap<ChangeId, Effect>,
}

impl Plan {
    /// The digest that approvals are bound to: over the canonical JSON of the whole plan.
    pub fn digest(&self) -> Digest {
        Digest::of(serde_json::to_vec(self).expect("a plan is always JSON"))
    }

    /// The change with this id.
    pub fn change(&self, id: &ChangeId) -> Option<&Change> {
        self.changes.iter().find(|change| change.id == *id)
    }

    /// The tiers that must be approved, mildest first.
    pub fn tiers(&self) -> Vec<Tier> {
        let mut tiers: Vec<Tier> = self.changes.iter().map(|change| change.tier).filter(|t| *t != Tier::Read).collect();
        tiers.sort_unstable();
        tiers.dedup();
        tiers
    }
}

/// A member of a set that is a finding.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Listed {
    /// The set, whose `finding` says what to make of it.
    pub set: SetName,
    /// Where.
    pub target: Target,
    /// What.
    pub member: ResourceId,
    /// What is known of it.
    pub fields: Map<String, Value>,
}

/// Something that a step would have changed and found as wished.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Already {
    /// The step.
    pub step: StepId,
    /// Where.
    pub target: Target,
    /// For which member of the set.
    pub member: ResourceId,
    /// What.
    pub resource: ResourceId,
}

/// Something that a step would have changed and cannot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Skip {
    /// The step.
    pub step: StepId,
    /// Where.
    pub target: Target,
    /// For which member of the set.
    pub member: ResourceId,
    /// What.
    pub resource: ResourceId,
    /// Why not, and what a person can do instead.
    pub reason: String,
}

/// Work for a person, and what it comes of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftByHand {
    /// The step; `None` where the runbook itself asks for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<StepId>,
    /// Where.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<Target>,
    /// What is to be done, in the imperative.
    pub what: String,
    /// How, in this order.
    pub steps: Vec<String>,
}

/// How much a finding weighs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Hash, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Good to know.
    Note,
    /// Something will probably not work, or could not be checked.
    Warning,
    /// The plan must not be carried out.
    Refusal,
}

/// Something the approver should know: a missing permission, a bound exceeded, a lockout.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Finding {
    /// Its weight.
    pub severity: Severity,
    /// The step it is about, if it is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<StepId>,
    /// Where, if it is about one place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<Target>,
    /// What, and the way out.
    pub message: String,
}
