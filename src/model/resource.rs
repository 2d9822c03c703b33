use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{ResourceId, Target};

/// A kind of resource, `service.noun`: `ec2.instance`, `iam.user`, `account`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Kind(pub String);

impl Kind {
    /// The kind with this name.
    pub fn new(name: &str) -> Self {
        Self(name.to_owned())
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// A member of a set: something in an account and region that steps can work on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Resource {
    /// What it is.
    pub kind: Kind,
    /// What AWS calls it.
    pub id: ResourceId,
    /// Where it is.
    pub target: Target,
    /// The fields of its kind, under the names that predicates use.
    pub fields: Map<String, Value>,
}
