//! The condition keys of a request.

use std::collections::BTreeMap;

use super::principal::{Species, Who};

/// The condition keys of a request with their values. Names of keys are not case-sensitive.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Context {
    keys: BTreeMap<String, Vec<String>>,
    others: Others,
}

/// What is known of the keys that a context does not name.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Others {
    /// The request does not have them.
    #[default]
    Absent,
    /// The request may have them, with any value.
    Unknown,
}

impl Context {
    /// A context without keys.
    pub fn new(others: Others) -> Self {
        Self { keys: BTreeMap::new(), others }
    }

    /// Adds a value to a key.
    pub fn add(&mut self, key: &str, value: impl Into<String>) {
        self.keys.entry(key.to_ascii_lowercase()).or_default().push(value.into());
    }

    /// Says that the request does not have a key, unless it was given a value.
    pub fn lacks(&mut self, key: &str) {
        self.keys.entry(key.to_ascii_lowercase()).or_default();
    }

    /// The same with one more value.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl Into<String>) -> Self {
        self.add(key, value);
        self
    }

    /// The values of a key; none when the request does not have it. `None` when that is not known.
    pub fn get(&self, key: &str) -> Option<&[String]> {
        match (self.keys.get(&key.to_ascii_lowercase()), self.others) {
            (Some(values), _) => Some(values),
            (None, Others::Absent) => Some(&[]),
            (None, Others::Unknown) => None,
        }
    }

    /// What is known of the keys that it does not name.
    pub(super) fn others(&self) -> Others {
        self.others
    }

    /// What is known of a request by `principal` (as in [`Request`](super::Request)) alone: nothing but what follows from it.
    pub fn of(principal: &str) -> Self {
        let mut context = Self::new(Others::Unknown);
        context.complete(&Who::read(principal), "*");
        context
    }

    /// Adds the keys that follow from who asks and for what, where they are not named.
    pub(super) fn complete(&mut self, who: &Who, resource: &str) {
        for (key, value) in follows(who, resource) {
            let key = key.to_ascii_lowercase();
            self.keys.entry(key).or_insert_with(|| value.into_iter().map(str::to_owned).collect());
        }
    }
}

/// Condition keys that follow from who asks and for what.
fn follows<'a>(who: &Who<'a>, resource: &'a str) -> Vec<(&'static str, Option<&'a str>)> {
    let mut follows = vec![("aws:PrincipalAccount", who.account)];
    let kind = match who.species {
        Species::Root => Some("Account"),
        Species::User(_) => Some("User"),
        Species::Role(_) | Species::RoleSession(_) => Some("AssumedRole"),
        Species::FederatedUser => Some("FederatedUser"),
        Species::Service | Species::Other => None,
    };
    if let Some(kind) = kind {
        let name = if let Species::User(name) = who.species { Some(name) } else { None };
        follows.extend([
            ("aws:PrincipalType", Some(kind)),
            ("aws:username", name),
            ("aws:PrincipalIsAWSService", Some("false")),
        ]);
    }
    match who.species {
        Species::Root | Species::User(_) | Species::Role(_) | Species::FederatedUser => {
            follows.push(("aws:PrincipalArn", Some(who.name)));
        }
        Species::Service => {
            follows.extend([("aws:PrincipalIsAWSService", Some("true")), ("aws:PrincipalArn", None)]);
            follows.extend([("aws:PrincipalServiceName", Some(who.name)), ("aws:username", None)]);
        }
        // A session's ARN does not tell the path of its role.
        Species::RoleSession(_) | Species::Other => {}
    }
    if let Some(account) = Who::read(resource).account {
        follows.push(("aws:ResourceAccount", Some(account)));
    }
    follows
}
