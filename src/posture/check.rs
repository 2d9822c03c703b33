//! A check, and what came of it.

use serde::{Serialize, Serializer};

use super::facts::{Missing, View};
use crate::model::{AccountId, Region};

/// A check.
#[derive(Debug)]
pub struct Check {
    /// `iam.root-mfa`.
    pub id: &'static str,
    /// What is so where it passes.
    pub title: &'static str,
    /// How much it weighs.
    pub severity: Severity,
    /// Why it matters.
    pub why: &'static str,
    /// What to do where it fails.
    pub fix: &'static str,
    /// The operations that are asked for it.
    pub needs: &'static [&'static str],
    /// Reads them.
    pub(super) read: fn(&View<'_>) -> Read,
}

/// What a check read.
#[derive(Debug, Default)]
pub(super) struct Read {
    pub facts: Vec<Fact>,
    pub lacks: Vec<Lack>,
}

/// How much a check weighs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// A door that intruders use.
    High,
    /// What makes a breach worse, or is noticed late without it.
    Medium,
    /// Good order.
    Low,
}

impl Severity {
    /// As it is shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::High => "high",
            Self::Medium => "medium",
            Self::Low => "low",
        }
    }
}

/// What came of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// All that it needs was captured, and all is well.
    Pass,
    /// Something is not well.
    Fail,
    /// What it needs was not captured.
    NotKnown,
}

impl Status {
    /// As it is shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::NotKnown => "not known",
        }
    }
}

/// Something that made a check fail.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Fact {
    /// Where, if it is in one region.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region: Option<Region>,
    /// `user mara.weiss`, `bucket logs`, `region`.
    pub resource: String,
    /// What is wrong with it.
    pub what: String,
}

/// Something that was not captured.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Lack {
    /// Where, if it is in one region.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region: Option<Region>,
    /// Why it is not known.
    pub why: String,
}

/// A check of one account.
#[derive(Debug, Serialize)]
pub struct Judged {
    /// Which check.
    pub check: &'static Check,
    /// Which account.
    pub account: AccountId,
    /// What made it fail.
    pub facts: Vec<Fact>,
    /// What is not known.
    pub lacks: Vec<Lack>,
}

/// By its id.
impl Serialize for Check {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.id)
    }
}

impl Judged {
    /// What came of it. One thing that is wrong makes it fail, whatever else is not known.
    pub fn status(&self) -> Status {
        match (self.facts.is_empty(), self.lacks.is_empty()) {
            (false, _) => Status::Fail,
            (true, false) => Status::NotKnown,
            (true, true) => Status::Pass,
        }
    }
}

impl Check {
    /// Judges an account.
    pub(super) fn judge(&'static self, view: &View<'_>) -> Judged {
        let Read { mut facts, mut lacks } = (self.read)(view);
        facts.sort();
        facts.dedup();
        lacks.sort();
        lacks.dedup();
        Judged { check: self, account: view.account().clone(), facts, lacks }
    }
}

impl Read {
    /// Something that is wrong with the account as a whole, or with what has no region.
    pub fn fail(&mut self, resource: impl Into<String>, what: impl Into<String>) {
        self.facts.push(Fact { region: None, resource: resource.into(), what: what.into() });
    }

    /// Something that is wrong in a region.
    pub fn fail_in(&mut self, region: &Region, resource: impl Into<String>, what: impl Into<String>) {
        self.facts.push(Fact { region: Some(region.clone()), resource: resource.into(), what: what.into() });
    }

    /// What was captured; what was not is noted.
    pub fn known<T>(&mut self, asked: Result<T, Missing>) -> Option<T> {
        match asked {
            Ok(answer) => Some(answer),
            Err(missing) => {
                self.lack(missing);
                None
            }
        }
    }

    /// Something that is not known.
    pub fn lack(&mut self, Missing { region, why }: Missing) {
        self.lacks.push(Lack { region, why });
    }

    /// The same in every enabled region.
    pub fn in_regions(view: &View<'_>, mut look: impl FnMut(&mut Self, &Region)) -> Self {
        let mut read = Self::default();
        for region in read.known(view.regions()).unwrap_or_default() {
            look(&mut read, &region);
        }
        read
    }
}
