use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{AccessKeyId, AccountId, ActionName, InvalidId, SetName, Span, StepId, Tier};

/// A runbook: what to do about a kind of breach. See `quell schema` for the file format.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Runbook {
    /// The version of the format: 1.
    pub quell: u32,
    /// A short name, as a file name would be.
    pub name: String,
    /// What it does, in one line.
    pub title: String,
    /// When to use it, and what to know before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// What the person gives.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub inputs: IndexMap<String, Input>,
    /// Which accounts and regions.
    #[serde(default)]
    pub targets: Targets,
    /// Role ARNs (or `role/path/NAME`, in every account) that must never be locked out, beside the caller.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub break_glass: Vec<String>,
    /// Named queries.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub sets: IndexMap<SetName, SetSpec>,
    /// What to do.
    pub steps: Vec<Step>,
    /// What a person has to do beside: shown in plan and report, never counted as done.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub by_hand: Vec<ByHand>,
    /// When it is over.
    #[serde(default)]
    pub until: Until,
}

/// Work that quell cannot do, for a person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ByHand {
    /// What is to be done, in the imperative.
    pub what: String,
    /// How, in this order.
    pub steps: Vec<String>,
}

impl ByHand {
    /// Work with its steps.
    pub fn new(what: impl Into<String>, steps: &[&str]) -> Self {
        Self { what: what.into(), steps: steps.iter().map(ToString::to_string).collect() }
    }
}

/// A value that the person gives.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// Its type.
    #[serde(rename = "type")]
    pub input_type: InputType,
    /// What it is, for the prompt and the help.
    #[serde(default)]
    pub help: String,
    /// What it is when it is not given. A timestamp may be `now`, `now - 14d`. An empty text means "none".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<Value>,
    /// What one looks like.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub example: Option<String>,
}

/// The types of inputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum InputType {
    /// `AKIA…` or `ASIA…`.
    AccessKeyId,
    /// 12 digits, or `self`: the caller's own account.
    AccountId,
    /// An ARN.
    Arn,
    /// `true` or `false`.
    Bool,
    /// `20s`, `14d`.
    Duration,
    /// A whole number.
    Integer,
    /// Any text.
    String,
    /// Texts; on the command line divided by commas.
    StringList,
    /// RFC 3339 (`2026-11-23T14:43:00Z`), a date, `now`, or `now - 14d`.
    Timestamp,
}

/// Which accounts and regions a runbook works in.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Targets {
    /// Which accounts.
    #[serde(default)]
    pub accounts: Accounts,
    /// Which regions.
    #[serde(default)]
    pub regions: Regions,
    /// The role to assume in every account that is not the caller's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,
}

/// Which accounts: `self`, `organization`, `{ ou: ou-… }`, `{ of_key: AKIA… }`, `{ file: PATH }`, or a list of several.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Accounts {
    /// The caller's own.
    #[default]
    #[serde(rename = "self")]
    Own,
    /// Every active account of the organisation.
    Organization,
    /// The account that an access key belongs to (`sts:GetAccessKeyInfo`).
    OfKey(String),
    /// Every active account below an organisational unit.
    Ou(String),
    /// Those that a file names, an item of a list on each line; what follows a `#` is a remark. The path is seen from where
    /// quell is started.
    File(String),
    /// All of these together. An item is an account id, `self`, `organization`, a unit or root (`ou-…`, `r-…`), or an
    /// access key id, which stands for its account.
    #[serde(untagged)]
    Listed(Vec<String>),
}

impl Accounts {
    /// How the caller's own account is written.
    pub const OWN: &str = "self";
    /// How the whole organisation is written.
    pub const ORGANIZATION: &str = "organization";

    /// Whether `text` names one account: an account id, or `self`.
    pub fn check(text: &str) -> Result<(), InvalidId> {
        if text == Self::OWN { Ok(()) } else { AccountId::new(text).map(drop) }
    }

    /// The items of a list as a file holds them: one on each line, without what follows a `#`. An error comes with the number
    /// of its line.
    pub fn in_file(text: &str) -> Result<Self, (usize, InvalidId)> {
        let mut items = Vec::new();
        for (number, line) in (1..).zip(text.lines()) {
            let item = line.split('#').next().unwrap_or_default().trim();
            if !item.is_empty() {
                Self::item(item).map_err(|error| (number, error))?;
                items.push(item.to_owned());
            }
        }
        Ok(Self::Listed(items))
    }

    /// What one item of a list stands for. An account id stands for itself: a list of one.
    pub fn item(text: &str) -> Result<Self, InvalidId> {
        match text {
            Self::OWN => Ok(Self::Own),
            Self::ORGANIZATION => Ok(Self::Organization),
            unit if unit.starts_with("ou-") || unit.starts_with("r-") => Ok(Self::Ou(unit.to_owned())),
            key if key.starts_with('A') && AccessKeyId::new(key).is_ok() => Ok(Self::OfKey(key.to_owned())),
            id => AccountId::new(id).map(|id| Self::Listed(vec![id.to_string()])),
        }
    }
}

/// Which regions: `enabled` or `[names]`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Regions {
    /// All that the account has enabled; the others are reported as disabled.
    #[default]
    Enabled,
    /// These.
    #[serde(untagged)]
    Listed(Vec<String>),
}

/// The role to assume: a name with its path (`ir/IRResponder`), or a mapping.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Role {
    /// The role's path and name, without a leading slash.
    pub name: String,
    /// The external id that its trust policy demands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_id: Option<String>,
    /// The source identity that every event of its sessions carries, and that they cannot shed: `case` for the id of the run, or
    /// a text such as a ticket's number. The role's trust policy must allow `sts:SetSourceIdentity`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_identity: Option<String>,
}

/// A named query.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SetSpec {
    /// Where its members come from: `ec2.instances`.
    pub from: ActionName,
    /// What the source asks for.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub with: Map<String, Value>,
    /// Which of them: a CEL predicate over the fields of the kind, and `inputs`.
    #[serde(default, rename = "where", skip_serializing_if = "Option::is_none")]
    pub predicate: Option<String>,
    /// What a person should know of its members: the plan and the report list them under this sentence, whether or not a
    /// step works on them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finding: Option<String>,
}

/// One thing to do with every member of a set.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// Its name.
    pub id: StepId,
    /// The action: `ec2.stop-instances`.
    pub uses: ActionName,
    /// The set; without one, the step works on the target accounts themselves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on: Option<SetName>,
    /// Of the target accounts, only those in which one of these sets has a member; all of them when empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub accounts_of: Vec<SetName>,
    /// The action's parameters.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub with: Map<String, Value>,
    /// The steps that come before it: per member when they are on the same set, otherwise whole.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub needs: Vec<StepId>,
    /// More changes than this, and the plan asks again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_most: Option<u32>,
    /// Asks for a higher tier's approval than the action's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<Tier>,
    /// What a failure does to the steps that need this one. By default `hold` for the same member of the same set, and
    /// `continue` across a barrier: one failure never holds other machines.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_failure: Option<OnFailure>,
}

/// What a failed change does to those that need it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OnFailure {
    /// They are skipped.
    Hold,
    /// They go ahead.
    Continue,
}

/// How one step waits for another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Edge {
    /// Each member goes on as soon as its own change is done.
    PerMember,
    /// All changes of the one step end before any of the other begins.
    Barrier,
}

/// When a run is over: after how many sweeps that find nothing new.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Until {
    /// Sweeps in a row that must find no newcomer.
    pub clean_sweeps: u32,
    /// The time between two sweeps.
    pub every: Span,
    /// The number of sweeps after which the run ends anyway.
    pub at_most: u32,
    /// What happens to newcomers.
    pub newcomers: Newcomers,
}

impl Default for Until {
    fn default() -> Self {
        Self { clean_sweeps: 1, every: Span::seconds(20), at_most: 10, newcomers: Newcomers::Report }
    }
}

/// What happens to members that a sweep finds and the plan did not name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Newcomers {
    /// They get the same steps, under the approvals already given, up to each step's `at_most`.
    Contain,
    /// They are asked about as the plan was, and what is approved is contained. An approval given beforehand by `--approve`
    /// answers this question too.
    Ask,
    /// They are named, and the run does not end as contained.
    Report,
}

impl Step {
    /// Whether it works on every target account, whatever is found there.
    pub fn is_on_every_account(&self) -> bool {
        self.on.is_none() && self.accounts_of.is_empty()
    }
}

impl Runbook {
    /// The step with this id.
    pub fn step(&self, id: &StepId) -> Option<&Step> {
        self.steps.iter().find(|step| step.id == *id)
    }

    /// How `step` waits for `need`: per member when both work on the same set, otherwise as a barrier.
    pub fn edge(step: &Step, need: &Step) -> Edge {
        if step.on.is_some() && step.on == need.on { Edge::PerMember } else { Edge::Barrier }
    }

    /// What a failed change of `need` does to `step`.
    pub fn on_failure(step: &Step, need: &Step) -> OnFailure {
        need.on_failure.unwrap_or(match Self::edge(step, need) {
            Edge::PerMember => OnFailure::Hold,
            Edge::Barrier => OnFailure::Continue,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_accounts_has_an_item_on_each_line() {
        let text = "# the shop\n111122223333  # production\n\n  ou-ab12-11111111\norganization\r\n";
        let items = ["111122223333", "ou-ab12-11111111", "organization"].map(String::from);
        assert_eq!(Accounts::in_file(text), Ok(Accounts::Listed(items.into())));
        let (line, error) = Accounts::in_file("self\n\n1111-2222-3333\n").unwrap_err();
        assert_eq!((line, error.text.as_str()), (3, "1111-2222-3333"));
    }
}
