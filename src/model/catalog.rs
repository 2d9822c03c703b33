use indexmap::IndexMap;
use schemars::Schema;
use serde::Serialize;

use super::{Runbook, Step, Tier};

/// What runbooks can be made of, as data: made from the table of actions, read by the checker, the schema and the help.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Catalog {
    /// The actions, by name, in the order of the table.
    pub actions: IndexMap<String, ActionSpec>,
    /// Where sets come from, by name.
    pub sources: IndexMap<String, SourceSpec>,
    /// The kinds of resources, by name.
    pub kinds: IndexMap<String, KindSpec>,
}

impl Catalog {
    /// The permissions that carrying out a step takes, without those for kinds of members that its set cannot have.
    pub fn permissions(&self, runbook: &Runbook, step: &Step) -> Vec<&'static str> {
        self.needed(runbook, step, |action| action.permissions)
    }

    /// The permissions that only taking a step back takes, as [`Catalog::permissions`].
    pub fn undo_permissions(&self, runbook: &Runbook, step: &Step) -> Vec<&'static str> {
        self.needed(runbook, step, |action| action.undo_permissions)
    }

    fn needed(
        &self,
        runbook: &Runbook,
        step: &Step,
        of: impl Fn(&ActionSpec) -> &'static [&'static str],
    ) -> Vec<&'static str> {
        let Some(action) = self.actions.get(step.uses.as_str()) else { return Vec::new() };
        let set = step.on.as_ref().and_then(|set| runbook.sets.get(set));
        let kind = set.and_then(|set| self.sources.get(set.from.as_str())).map(|source| source.kind);
        let concerns = |permission: &&str| {
            let mut only = action.only_on.iter().filter(|(_, permissions)| permissions.contains(permission)).peekable();
            only.peek().is_none() || kind.is_none_or(|kind| only.any(|(only, _)| *only == kind))
        };
        of(action).iter().copied().filter(concerns).collect()
    }
}

/// Whether a permission is the caller's to have, whatever account the work is in: only the management account and delegated
/// administrators may speak to Organizations and Identity Center, and a role is entered by whoever does not have it yet. All else is done by the
/// role that was entered.
pub fn is_of_caller(permission: &str) -> bool {
    ["identitystore:", "organizations:", "sso:", "sts:"].iter().any(|service| permission.starts_with(service))
}

/// An action, as a runbook sees it.
#[derive(Debug, Clone, Serialize)]
pub struct ActionSpec {
    /// `ec2.stop-instances`.
    pub name: &'static str,
    /// What must be approved.
    pub tier: Tier,
    /// The kinds of members it works on. `account` alone means that the step has no `on`.
    pub kinds: &'static [&'static str],
    /// The first line: what it does, in the imperative.
    pub title: &'static str,
    /// What it changes, what AWS does then, traps and sources. Markdown.
    pub description: &'static str,
    /// How it is taken back, and what is not.
    pub undo: &'static str,
    /// The IAM permissions that discover, apply and verify need.
    pub permissions: &'static [&'static str],
    /// The IAM permissions that only a rollback needs.
    pub undo_permissions: &'static [&'static str],
    /// The permissions, of both lists, that only members of one kind need: the kind and its permissions.
    pub only_on: &'static [(&'static str, &'static [&'static str])],
    /// The JSON Schema of `with`.
    pub params: Schema,
    /// A step that uses it, in YAML.
    pub example: &'static str,
}

/// Where a set comes from, as a runbook sees it.
#[derive(Debug, Clone, Serialize)]
pub struct SourceSpec {
    /// `ec2.instances`.
    pub name: &'static str,
    /// The kind of its members.
    pub kind: &'static str,
    /// One line.
    pub title: &'static str,
    /// The IAM permissions it needs.
    pub permissions: &'static [&'static str],
    /// The JSON Schema of `with`.
    pub params: Schema,
}

/// Whether a kind lives in every region, or once per account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// One lane per region.
    Regional,
    /// One lane per account: [`super::Region::global`].
    Global,
}

/// A kind of resource: what its fields are called in predicates.
#[derive(Debug, Clone, Serialize)]
pub struct KindSpec {
    /// `ec2.instance`.
    pub name: &'static str,
    /// Where it lives.
    pub scope: Scope,
    /// Its fields.
    pub fields: &'static [FieldSpec],
}

/// A field of a kind.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct FieldSpec {
    /// Its name in predicates: `launched`.
    pub name: &'static str,
    /// Its type.
    pub field_type: FieldType,
    /// What it holds.
    pub help: &'static str,
}

/// The types of fields. A field is always present; where AWS has no value it holds the empty text, zero, `false`, an empty
/// list or map, or (for times) 1970-01-01, so that a predicate never fails half-way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum FieldType {
    /// CEL `string`.
    Text,
    /// CEL `int`.
    Integer,
    /// CEL `bool`.
    Bool,
    /// CEL `timestamp`; in JSON an RFC 3339 text.
    Timestamp,
    /// CEL `list(string)`.
    TextList,
    /// CEL `map(string, string)`.
    TextMap,
}
