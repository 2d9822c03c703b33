//! What an account held before the incident, from a file: what is not in it is new, what differs was changed.
//!
//! The file holds what AWS's own command prints, `aws iam get-account-authorization-details`; for identity providers also
//! `aws iam list-saml-providers` and `aws iam list-open-id-connect-providers`. Outputs of several commands and accounts may
//! follow one another in one file.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use aws_sdk_iam::types::{AttachedPolicy, ManagedPolicyDetail, PolicyDetail, RoleDetail, UserDetail};
use serde_json::Value;

use super::principal::decoded;
use crate::bounded::{self, BASELINE};
use crate::engine::action::Ctx;
use crate::model::{ActionError, ErrorKind};

/// Policies that quell puts on users and roles itself: no change that an intruder made.
const OWN: [&str; 3] = ["AWSRevokeOlderSessions", "QuellDenyAll", "QuellRevokeSessions"];

/// The content of the file.
#[derive(Debug, Default)]
pub(super) struct Baseline {
    held: BTreeMap<String, Held>,
    /// The lists that it has.
    lists: BTreeSet<&'static str>,
}

/// What a user, a role or a policy is made of, as far as it gives rights.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Held {
    trust: Value,
    inline: BTreeMap<String, Value>,
    attached: BTreeSet<String>,
    boundary: Option<String>,
    groups: BTreeSet<String>,
    document: Value,
}

/// What is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Of {
    /// All of a user or role.
    Identity,
    /// The trust policy of a role.
    Trust,
    /// The version of a policy that is in force.
    Policy,
    /// Whether it was there.
    Provider,
}

impl Of {
    /// The list that has to be in the file.
    fn lists(self) -> &'static [&'static str] {
        match self {
            Self::Identity | Self::Trust => &["UserDetailList", "RoleDetailList"],
            Self::Policy => &["Policies"],
            Self::Provider => &["SAMLProviderList", "OpenIDConnectProviderList"],
        }
    }

    fn command(self) -> &'static str {
        match self {
            Self::Provider => "aws iam list-saml-providers and aws iam list-open-id-connect-providers",
            _ => "aws iam get-account-authorization-details",
        }
    }
}

impl Baseline {
    /// Reads the file; `None` where none is named. An error where it says nothing of the account.
    pub async fn of(file: Option<&str>, what: Of, cx: &Ctx) -> Result<Option<Self>, ActionError> {
        let Some(file) = file.filter(|file| !file.is_empty()) else { return Ok(None) };
        let wrong = |why: String| ActionError::new(ErrorKind::Other, format!("the baseline {file} {why}"));
        let path = PathBuf::from(file);
        let read = tokio::task::spawn_blocking(move || bounded::text(&path, &BASELINE)).await;
        let text = read
            .map_err(|error| wrong(format!("cannot be read: {error}")))?
            .map_err(|error| wrong(format!("cannot be read: {error}")))?;
        let baseline =
            Self::parse(&text).map_err(|error| wrong(format!("is not JSON as AWS's commands print it: {error}")))?;
        let account = cx.target.account.as_str();
        let knows_account = baseline.held.keys().any(|arn| arn.split(':').nth(4) == Some(account));
        let knows_list = what.lists().iter().all(|list| baseline.lists.contains(list));
        // An account may well have had no providers; then the lists are there and empty.
        if !knows_list || (!knows_account && what != Of::Provider) {
            return Err(wrong(format!("says nothing of account {account}: add there what {} prints", what.command())));
        }
        Ok(Some(baseline))
    }

    fn parse(text: &str) -> Result<Self, serde_json::Error> {
        let mut baseline = Self::default();
        for output in serde_json::Deserializer::from_str(text).into_iter::<Value>() {
            let output = output?;
            for (list, read) in [
                ("UserDetailList", identity as fn(&Value) -> Held),
                ("RoleDetailList", identity),
                ("Policies", policy),
                ("SAMLProviderList", |_| Held::default()),
                ("OpenIDConnectProviderList", |_| Held::default()),
            ] {
                let Some(Value::Array(entries)) = output.get(list) else { continue };
                baseline.lists.insert(list);
                let entries = entries.iter().filter_map(|entry| Some((text_of(entry, "Arn")?, read(entry))));
                baseline.held.extend(entries);
            }
        }
        Ok(baseline)
    }

    /// In what something differs; `None` where it does not.
    fn differs(&self, arn: &str, what: Of, now: &Held) -> Option<Vec<&'static str>> {
        let Some(before) = self.held.get(arn) else { return Some(vec!["new"]) };
        let parts = [
            ("trust policy", what != Of::Policy && before.trust != now.trust),
            ("inline policies", what == Of::Identity && before.inline != now.inline),
            ("attached policies", what == Of::Identity && before.attached != now.attached),
            ("boundary", what == Of::Identity && before.boundary != now.boundary),
            ("groups", what == Of::Identity && before.groups != now.groups),
            ("version in force", what == Of::Policy && before.document != now.document),
        ];
        let differing: Vec<_> = parts.into_iter().filter(|(_, differs)| *differs).map(|(part, _)| part).collect();
        (!differing.is_empty()).then_some(differing)
    }
}

/// In what something differs from a baseline, for the field `differs`; nothing without a baseline. `None` for what is as it
/// was, which then is no member of the set.
pub(super) fn differs(
    baseline: Option<&Baseline>,
    what: Of,
    arn: &str,
    now: impl FnOnce() -> Held,
) -> Option<Vec<&'static str>> {
    match baseline {
        None => Some(Vec::new()),
        Some(baseline) => baseline.differs(arn, what, &now()),
    }
}

fn text_of(entry: &Value, name: &str) -> Option<String> {
    entry.get(name)?.as_str().map(str::to_owned)
}

/// A document: the `aws` CLI prints it decoded, others print it as it is on the wire.
fn document(value: &Value) -> Value {
    match value {
        Value::String(text) => serde_json::from_str(&decoded(text)).unwrap_or_default(),
        other => other.clone(),
    }
}

fn items<'a>(entry: &'a Value, name: &str) -> impl Iterator<Item = &'a Value> {
    entry.get(name).and_then(Value::as_array).into_iter().flatten()
}

/// A user or a role of the file.
fn identity(entry: &Value) -> Held {
    let inline = items(entry, "UserPolicyList").chain(items(entry, "RolePolicyList"));
    let inline =
        inline.filter_map(|policy| Some((text_of(policy, "PolicyName")?, document(&policy["PolicyDocument"]))));
    let attached = items(entry, "AttachedManagedPolicies").filter_map(|policy| text_of(policy, "PolicyArn"));
    Held {
        trust: document(&entry["AssumeRolePolicyDocument"]),
        inline: inline.filter(|(name, _)| !OWN.contains(&name.as_str())).collect(),
        attached: attached.collect(),
        boundary: entry.get("PermissionsBoundary").and_then(|held| text_of(held, "PermissionsBoundaryArn")),
        groups: items(entry, "GroupList").filter_map(Value::as_str).map(str::to_owned).collect(),
        document: Value::Null,
    }
}

/// A managed policy of the file.
fn policy(entry: &Value) -> Held {
    let in_force = items(entry, "PolicyVersionList").find(|version| version["IsDefaultVersion"] == true);
    Held { document: in_force.map(|version| document(&version["Document"])).unwrap_or_default(), ..Held::default() }
}

fn inline_now(policies: &[PolicyDetail]) -> BTreeMap<String, Value> {
    let read = |policy: &PolicyDetail| {
        let name = policy.policy_name()?;
        let document = document(&Value::from(policy.policy_document()?));
        (!OWN.contains(&name)).then(|| (name.to_owned(), document))
    };
    policies.iter().filter_map(read).collect()
}

fn attached_now(policies: &[AttachedPolicy]) -> BTreeSet<String> {
    policies.iter().filter_map(|policy| policy.policy_arn().map(str::to_owned)).collect()
}

/// A user as it is.
pub(super) fn user(user: &UserDetail) -> Held {
    let boundary = user.permissions_boundary().and_then(|held| held.permissions_boundary_arn());
    Held {
        inline: inline_now(user.user_policy_list()),
        attached: attached_now(user.attached_managed_policies()),
        boundary: boundary.map(str::to_owned),
        groups: user.group_list().iter().cloned().collect(),
        ..Held::default()
    }
}

/// A role as it is.
pub(super) fn role(role: &RoleDetail) -> Held {
    let boundary = role.permissions_boundary().and_then(|held| held.permissions_boundary_arn());
    Held {
        trust: role.assume_role_policy_document().map(|text| document(&Value::from(text))).unwrap_or_default(),
        inline: inline_now(role.role_policy_list()),
        attached: attached_now(role.attached_managed_policies()),
        boundary: boundary.map(str::to_owned),
        ..Held::default()
    }
}

/// A managed policy as it is.
pub(super) fn managed(policy: &ManagedPolicyDetail) -> Held {
    let in_force = policy.policy_version_list().iter().find(|version| version.is_default_version());
    let text = in_force.and_then(|version| version.document());
    Held { document: text.map(|text| document(&Value::from(text))).unwrap_or_default(), ..Held::default() }
}

/// A provider: only whether it was there is compared.
pub(super) fn provider() -> Held {
    Held::default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const ROLE: &str = "arn:aws:iam::111122223333:role/x";

    fn baseline(role: &Value) -> Baseline {
        Baseline::parse(&json!({ "UserDetailList": [], "RoleDetailList": [role] }).to_string()).unwrap()
    }

    #[test]
    fn what_is_not_in_the_file_is_new_and_what_differs_is_named() {
        let trust = json!({ "Version": "2012-10-17", "Statement": [] });
        let before = json!({ "Arn": ROLE, "AssumeRolePolicyDocument": trust, "AttachedManagedPolicies": [
            { "PolicyName": "ReadOnly", "PolicyArn": "arn:aws:iam::aws:policy/ReadOnly" },
        ] });
        let known = baseline(&before);
        let same = identity(&before);
        assert_eq!(known.differs(ROLE, Of::Identity, &same), None);
        assert_eq!(known.differs("arn:aws:iam::111122223333:role/y", Of::Identity, &same), Some(vec!["new"]));
        let more = Held { attached: BTreeSet::new(), trust: json!("other"), ..same };
        assert_eq!(known.differs(ROLE, Of::Identity, &more), Some(vec!["trust policy", "attached policies"]));
        assert_eq!(known.differs(ROLE, Of::Trust, &more), Some(vec!["trust policy"]));
    }

    #[test]
    fn documents_are_the_same_decoded_and_as_on_the_wire() {
        let document = json!({ "Version": "2012-10-17", "Statement": [] });
        let wire = "%7B%22Version%22%3A%222012-10-17%22%2C%22Statement%22%3A%5B%5D%7D";
        let known = baseline(&json!({ "Arn": ROLE, "AssumeRolePolicyDocument": wire }));
        let now = Held { trust: document, ..Held::default() };
        assert_eq!(known.differs(ROLE, Of::Identity, &now), None);
    }

    #[test]
    fn what_quell_puts_on_a_role_is_no_difference_and_outputs_may_follow_one_another() {
        let own = json!({ "Arn": ROLE, "RolePolicyList": [{ "PolicyName": "AWSRevokeOlderSessions", "PolicyDocument": {} }] });
        assert_eq!(identity(&own), Held::default());
        let two = format!("{}\n{}", json!({ "UserDetailList": [] }), json!({ "SAMLProviderList": [{ "Arn": "a" }] }));
        let known = Baseline::parse(&two).unwrap();
        assert_eq!(known.lists, BTreeSet::from(["SAMLProviderList", "UserDetailList"]));
        assert_eq!(known.differs("a", Of::Provider, &Held::default()), None);
    }
}
