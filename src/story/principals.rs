//! Users, roles and root as captures show them: their credentials, when those were last used, and their policies.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::Value;

use super::Seen;
use super::facts::{report, time};
use crate::model::AccountId;
use crate::policy::{Document, Kind, allow_all};

/// Everybody who is known.
#[derive(Debug, Default)]
pub struct Principals(BTreeMap<String, Principal>);

/// A user, a role, or root.
#[derive(Debug, Clone)]
pub struct Principal {
    /// The ARN.
    pub arn: String,
    /// The name.
    pub name: String,
    /// The account.
    pub account: AccountId,
    /// When it came into being.
    pub created: Option<Timestamp>,
    /// What it acts with. Of a role: its sessions.
    pub credentials: Vec<Held>,
    /// Policies of its own and of its groups.
    pub identity: Vec<Document>,
    /// The permissions boundary.
    pub boundary: Option<Vec<Document>>,
    /// Whether a policy of its could not be read: what it may do is then not known.
    pub unread: bool,
}

/// A credential of a principal.
#[derive(Debug, Clone)]
pub struct Held {
    /// Which.
    pub credential: Credential,
    /// Since when there is it, as it is now: when the key was made, the password set.
    pub since: Option<Timestamp>,
    /// When it was last used.
    pub used: Used,
    /// When AWS said so.
    pub asked: Timestamp,
}

/// A credential.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Credential {
    /// An access key, by its id.
    Key(String),
    /// The password of a user, by its ARN; sessions of the console too.
    Password(String),
    /// Sessions of a role, by its ARN.
    Sessions(String),
}

/// The last use of a credential.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Used {
    /// AWS was not asked, or did not say.
    NotKnown,
    /// Never.
    Never,
    /// Then, for a service.
    At(Timestamp, String),
}

impl Credential {
    /// In words.
    pub fn words(&self) -> String {
        let name = super::facts::short;
        match self {
            Self::Key(id) => format!("access key {id}"),
            Self::Password(user) => format!("the password of {}", name(user)),
            Self::Sessions(role) => format!("sessions of the role {}", name(role)),
        }
    }
}

impl Principal {
    fn new(arn: &str, name: &str, account: &AccountId) -> Self {
        Self {
            arn: arn.to_owned(),
            name: name.to_owned(),
            account: account.clone(),
            created: None,
            credentials: Vec::new(),
            identity: Vec::new(),
            boundary: None,
            unread: false,
        }
    }

    /// Whether it is a role.
    pub fn is_role(&self) -> bool {
        self.arn.contains(":role/")
    }

    fn hold(&mut self, held: Held) {
        self.credentials.retain(|known| known.credential != held.credential);
        self.credentials.push(held);
    }
}

impl Principals {
    /// Everybody in records, oldest first: a later one replaces what an earlier one says, and nobody who is gone is forgotten.
    pub fn of(seen: &[Seen]) -> Self {
        let mut all = Self::default();
        for seen in seen {
            all.meet(seen);
        }
        all.read_policies(seen);
        all.read_credentials(seen);
        all
    }

    /// Everybody.
    pub fn iter(&self) -> impl Iterator<Item = &Principal> {
        self.0.values()
    }

    /// By ARN.
    pub fn get(&self, arn: &str) -> Option<&Principal> {
        self.0.get(arn)
    }

    /// A user by its name.
    pub fn user(&self, account: &AccountId, name: &str) -> Option<&Principal> {
        self.0.values().find(|known| known.account == *account && known.name == name && !known.is_role())
    }

    /// Who has an access key.
    pub fn owner(&self, credential: &Credential) -> Option<&Principal> {
        match credential {
            Credential::Password(arn) | Credential::Sessions(arn) => self.get(arn),
            Credential::Key(_) => {
                self.0.values().find(|known| known.credentials.iter().any(|held| held.credential == *credential))
            }
        }
    }

    fn meet(&mut self, seen: &Seen) {
        let (record, state) = (&seen.record, &seen.record.state);
        if !matches!(record.kind, "iam user" | "iam role" | "iam user, listed") {
            return;
        }
        let (arn, account) = (text(state, "Arn"), &record.target.account);
        let known = self.0.entry(arn.to_owned()).or_insert_with(|| Principal::new(arn, &record.id, account));
        known.created = state.get("CreateDate").and_then(time);
        if record.kind == "iam role" {
            let used = match state.pointer("/RoleLastUsed/LastUsedDate").and_then(time) {
                Some(at) => Used::At(at, String::new()),
                None => Used::Never,
            };
            known.hold(Held {
                credential: Credential::Sessions(arn.to_owned()),
                since: known.created,
                used,
                asked: record.at,
            });
        }
        let partition = arn.split(':').nth(1).unwrap_or("aws");
        let root = format!("arn:{partition}:iam::{account}:root");
        let entry = self.0.entry(root.clone()).or_insert_with(|| Principal::new(&root, "root", account));
        entry.identity = vec![allow_all()];
    }

    fn read_credentials(&mut self, seen: &[Seen]) {
        for seen in seen {
            let (state, account, asked) = (&seen.record.state, &seen.record.target.account, seen.record.at);
            match seen.api.as_str() {
                "iam:ListAccessKeys" => {
                    let since = state.get("CreateDate").and_then(time);
                    let credential = Credential::Key(seen.record.id.clone());
                    if let Some(user) = self.user_mut(account, text(state, "UserName")) {
                        let known = user.credentials.iter().find(|held| held.credential == credential);
                        let used = known.map_or(Used::NotKnown, |held| held.used.clone());
                        user.hold(Held { credential, since, used, asked });
                    }
                }
                "iam:GetCredentialReport" => {
                    for row in report::rows(state) {
                        self.read_row(account, &row, asked);
                    }
                }
                _ => {}
            }
        }
        // Each key's last use comes after its making, and may be answered before it.
        for seen in seen.iter().filter(|seen| seen.api == "iam:GetAccessKeyLastUsed") {
            let id = seen.parameters.get("AccessKeyId").and_then(Value::as_str).unwrap_or_default();
            let last = seen.record.state.get("AccessKeyLastUsed").cloned().unwrap_or_default();
            let used = match last.get("LastUsedDate").and_then(time) {
                Some(at) => Used::At(at, text(&last, "ServiceName").to_owned()),
                None => Used::Never,
            };
            let credential = Credential::Key(id.to_owned());
            let held = self.0.values_mut().flat_map(|known| &mut known.credentials);
            if let Some(held) = held.into_iter().find(|held| held.credential == credential) {
                (held.used, held.asked) = (used, seen.record.at);
            }
        }
    }

    fn read_row(&mut self, account: &AccountId, row: &report::Row, asked: Timestamp) {
        let name = if row.user() == "<root_account>" { "root" } else { row.user() };
        let Some(known) = self.user_mut(account, name) else { return };
        let used = |column: &str, service: &str| match (row.time(column), row.text(column)) {
            (Some(at), _) => Used::At(at, service.to_owned()),
            (None, "N/A" | "no_information") => Used::Never,
            (None, _) => Used::NotKnown,
        };
        let arn = known.arn.clone();
        if row.text("password_enabled") == "true" || name == "root" {
            let (since, used) = (row.time("password_last_changed"), used("password_last_used", "signin"));
            known.hold(Held { credential: Credential::Password(arn), since, used, asked });
        }
        // Keys of users have records of their own; root's are only here, without their ids.
        for number in ["1", "2"].into_iter().filter(|_| name == "root") {
            let column = |end: &str| format!("access_key_{number}_{end}");
            if row.text(&column("active")) == "true" {
                let service = row.text(&column("last_used_service"));
                known.hold(Held {
                    credential: Credential::Key(format!("{number} of root in {account}")),
                    since: row.time(&column("last_rotated")),
                    used: used(&column("last_used_date"), service),
                    asked,
                });
            }
        }
    }

    fn user_mut(&mut self, account: &AccountId, name: &str) -> Option<&mut Principal> {
        self.0.values_mut().find(|known| known.account == *account && known.name == name && !known.is_role())
    }

    fn read_policies(&mut self, seen: &[Seen]) {
        let of_kind = |kind: &'static str| seen.iter().filter(move |seen| seen.record.kind == kind);
        let managed: BTreeMap<&str, &Value> =
            of_kind("iam policy").map(|seen| (seen.record.id.as_str(), &seen.record.state)).collect();
        let groups: BTreeMap<(&AccountId, &str), &Value> = of_kind("iam group")
            .map(|seen| ((&seen.record.target.account, seen.record.id.as_str()), &seen.record.state))
            .collect();
        for seen in of_kind("iam user").chain(of_kind("iam role")) {
            let state = &seen.record.state;
            let mut reader = Reader { managed: &managed, unread: false };
            let mut identity = reader.documents(state);
            for group in list(state, "GroupList").filter_map(Value::as_str) {
                match groups.get(&(&seen.record.target.account, group)) {
                    Some(group) => identity.extend(reader.documents(group)),
                    None => reader.unread = true,
                }
            }
            let boundary = state.pointer("/PermissionsBoundary/PermissionsBoundaryArn").and_then(Value::as_str);
            let boundary = boundary.map(|arn| reader.managed(arn).into_iter().collect());
            if let Some(known) = self.0.get_mut(text(state, "Arn")) {
                (known.identity, known.boundary, known.unread) = (identity, boundary, reader.unread);
            }
        }
    }
}

/// Reads the documents of policies, and remembers when one could not be read.
struct Reader<'a> {
    managed: &'a BTreeMap<&'a str, &'a Value>,
    unread: bool,
}

impl Reader<'_> {
    /// The documents of a user, a group or a role, without those of its groups.
    fn documents(&mut self, state: &Value) -> Vec<Document> {
        let mut documents = Vec::new();
        for lists in ["UserPolicyList", "GroupPolicyList", "RolePolicyList"] {
            for policy in list(state, lists) {
                documents.extend(self.read(text(policy, "PolicyName"), text(policy, "PolicyDocument")));
            }
        }
        for policy in list(state, "AttachedManagedPolicies") {
            documents.extend(self.managed(text(policy, "PolicyArn")));
        }
        documents
    }

    fn managed(&mut self, arn: &str) -> Option<Document> {
        let versions = self.managed.get(arn).map(|policy| list(policy, "PolicyVersionList"));
        let current = versions.into_iter().flatten().find(|version| text(version, "IsDefaultVersion") == "true");
        let Some(version) = current else {
            self.unread = true;
            return None;
        };
        self.read(arn, text(version, "Document"))
    }

    /// IAM gives documents percent-encoded (RFC 3986).
    fn read(&mut self, name: &str, document: &str) -> Option<Document> {
        let text = percent_encoding::percent_decode_str(document).decode_utf8_lossy();
        let read = Document::parse_as_far_as_known(name, &text, Kind::Identity);
        self.unread |= read.is_err();
        read.ok()
    }
}

fn text<'a>(state: &'a Value, name: &str) -> &'a str {
    state.get(name).and_then(Value::as_str).unwrap_or_default()
}

fn list<'a>(state: &'a Value, name: &str) -> impl Iterator<Item = &'a Value> {
    state.get(name).and_then(Value::as_array).into_iter().flatten()
}
