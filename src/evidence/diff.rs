//! What changed between two captures, resource by resource.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use super::item::Item;
use super::resources::{Record, records};
use super::{Captured, EvidenceError, Store};
use crate::model::Target;

/// What became of a resource.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "change", rename_all = "lowercase")]
pub enum Difference {
    /// It is only in the later one.
    Added {
        /// What it is.
        #[serde(flatten)]
        resource: Name,
    },
    /// It is only in the earlier one.
    Removed {
        /// What it was.
        #[serde(flatten)]
        resource: Name,
    },
    /// It differs.
    Changed {
        /// What it is.
        #[serde(flatten)]
        resource: Name,
        /// Where, and how.
        fields: Vec<Field>,
    },
}

/// Which resource.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Name {
    /// Where it is.
    #[serde(flatten)]
    pub target: Target,
    /// `ec2 instance`.
    pub kind: &'static str,
    /// Its id.
    pub id: String,
}

/// A part of a resource that differs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Field {
    /// The way to it: `instanceState/name`.
    pub path: String,
    /// What stood there; null where nothing did.
    pub before: Value,
    /// What stands there now; null where nothing does.
    pub after: Value,
}

/// What two captures say that differs. Events are left out: they are always new.
///
/// # Errors
/// When an answer is missing or was changed.
pub fn diff(store: &Store, earlier: &Captured, later: &Captured) -> Result<Vec<Difference>, EvidenceError> {
    let (before, after) = (states(store, earlier)?, states(store, later)?);
    let mut found = Vec::new();
    for (name, state) in &before {
        match after.get(name) {
            None => found.push(Difference::Removed { resource: name.clone() }),
            Some(now) if now == state => {}
            Some(now) => {
                let mut fields = Vec::new();
                compare(String::new(), state, now, &mut fields);
                found.push(Difference::Changed { resource: name.clone(), fields });
            }
        }
    }
    let new = after.keys().filter(|name| !before.contains_key(*name));
    found.extend(new.map(|name| Difference::Added { resource: name.clone() }));
    found.sort_by(|a, b| a.name().cmp(b.name()));
    Ok(found)
}

impl Difference {
    /// Of which resource.
    pub fn name(&self) -> &Name {
        match self {
            Self::Added { resource } | Self::Removed { resource } | Self::Changed { resource, .. } => resource,
        }
    }
}

fn states(store: &Store, captured: &Captured) -> Result<BTreeMap<Name, Value>, EvidenceError> {
    let mut states = BTreeMap::new();
    let lasting = |item: &&Item| item.api != "cloudtrail:LookupEvents";
    for item in captured.items().filter(lasting) {
        for Record { kind, id, target, state, .. } in records(item, &store.answer(&item.sha256)?) {
            states.insert(Name { target, kind, id }, state);
        }
    }
    Ok(states)
}

fn compare(path: String, before: &Value, after: &Value, fields: &mut Vec<Field>) {
    match (before, after) {
        (Value::Object(old), Value::Object(new)) => {
            let names = old.keys().chain(new.keys().filter(|name| !old.contains_key(*name)));
            for name in names {
                let below = if path.is_empty() { name.clone() } else { format!("{path}/{name}") };
                let of = |members: &serde_json::Map<String, Value>| members.get(name).cloned().unwrap_or_default();
                compare(below, &of(old), &of(new), fields);
            }
        }
        (Value::Array(old), Value::Array(new)) if old.len() == new.len() => {
            for (number, (old, new)) in old.iter().zip(new).enumerate() {
                compare(format!("{path}/{number}"), old, new, fields);
            }
        }
        _ if before == after => {}
        _ => fields.push(Field { path, before: before.clone(), after: after.clone() }),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn fields_are_named_by_their_way() {
        let (before, after) = (
            json!({ "s": { "n": "running", "c": 1 }, "l": [1] }),
            json!({ "s": { "n": "stopped", "c": 1 }, "l": [1, 2], "x": 1 }),
        );
        let mut fields = Vec::new();
        compare(String::new(), &before, &after, &mut fields);
        let paths: Vec<_> = fields.iter().map(|field| field.path.as_str()).collect();
        assert_eq!(paths, ["s/n", "l", "x"]);
    }
}
