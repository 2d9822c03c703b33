//! What the organisation's service control policies forbid its members.

use serde_json::Value;

use super::check::{Check, Read, Severity};
use super::facts::{Facts, Missing, View};
use crate::evidence::resources::at;

pub(super) const ORGANIZATION: &str = "organizations:DescribeOrganization";
const LISTED: &str = "organizations:ListPolicies";
const POLICY: &str = "organizations:DescribePolicy";
const TARGETS: &str = "organizations:ListTargetsForPolicy";

/// Regions that nobody uses are closed to everybody.
pub(super) const REGION_DENY: Check = Check {
    id: "organizations.region-deny",
    title: "A service control policy denies regions that are not in use",
    severity: Severity::Medium,
    why: "Miners launch in every region that is open; nobody looks at the ones that are not in use.",
    fix: "aws organizations create-policy --type SERVICE_CONTROL_POLICY with a Deny of NotAction (the services without regions) \
          under StringNotEquals aws:RequestedRegion, and aws organizations attach-policy --target-id ROOT.",
    needs: &[ORGANIZATION, LISTED, POLICY, TARGETS],
    read: |view| {
        bounded(view, "closes no region to this account", |statement| {
            let conditions = statement["Condition"].as_object().into_iter().flatten();
            let mut keys = conditions.flat_map(|(_, keys)| keys.as_object().into_iter().flatten());
            keys.any(|(key, _)| key.eq_ignore_ascii_case("aws:RequestedRegion"))
        })
    },
};

/// Accounts stay where they are.
pub(super) const LEAVING: Check = Check {
    id: "organizations.leave-organization",
    title: "A service control policy denies leaving the organisation",
    severity: Severity::High,
    why: "An account that leaves takes every guardrail off, and nobody can enter it from the management account any more.",
    fix: "aws organizations create-policy --type SERVICE_CONTROL_POLICY with a Deny of organizations:LeaveOrganization, and \
          aws organizations attach-policy --target-id ROOT.",
    needs: &[ORGANIZATION, LISTED, POLICY, TARGETS],
    read: |view| {
        bounded(view, "lets this account leave", |statement| {
            statement.get("Condition").is_none() && texts(&statement["Action"]).iter().any(|action| is_leaving(action))
        })
    },
};

/// Whether a capture tells of an organisation.
pub(super) fn is_in_one(view: &View<'_>) -> Result<bool, Missing> {
    if view.facts().is_absent(ORGANIZATION) {
        return Ok(false);
    }
    view.facts().of_organization(ORGANIZATION).map(|_| true)
}

/// Fails unless a policy that holds for the account has a denial of the wanted sort.
fn bounded(view: &View<'_>, what: &str, is_wanted: impl Fn(&Value) -> bool) -> Read {
    let mut read = Read::default();
    match is_in_one(view) {
        Ok(true) => {}
        Ok(false) => {
            read.fail("account", "is in no organisation, so that no policy bounds it");
            return read;
        }
        Err(missing) => {
            read.lack(missing);
            return read;
        }
    }
    let facts = view.facts();
    let policies = read.known(facts.of_organization(POLICY)).unwrap_or_default();
    if !read.lacks.is_empty() {
        return read;
    }
    let mut perhaps = None;
    for policy in policies.iter().map(|answer| &answer.said["Policy"]) {
        let summary = &policy["PolicySummary"];
        let document = policy["Content"].as_str().and_then(|text| serde_json::from_str::<Value>(text).ok());
        let statements = document.map(|document| match document["Statement"].clone() {
            Value::Array(statements) => statements,
            statement => vec![statement],
        });
        let denies = statements.iter().flatten().any(|statement| statement["Effect"] == "Deny" && is_wanted(statement));
        if summary["Type"] != "SERVICE_CONTROL_POLICY" || !denies {
            continue;
        }
        match reach(facts, summary["Id"].as_str().unwrap_or_default(), view.account().as_str()) {
            Ok(Reach::Account) => return Read::default(),
            Ok(Reach::Unit(unit)) => {
                let name = summary["Name"].as_str().unwrap_or_default();
                let why =
                    format!("policy {name} is attached to {unit}; whether the account is below it was not captured");
                perhaps = Some(Missing { region: None, why });
            }
            Ok(Reach::Nothing) => {}
            Err(missing) => perhaps = Some(missing),
        }
    }
    match perhaps {
        Some(missing) => read.lack(missing),
        None => read.fail("organisation", what),
    }
    read
}

/// How far a policy reaches, as to one account.
enum Reach {
    /// It is attached to the account or to the root.
    Account,
    /// It is attached to a unit.
    Unit(String),
    /// It is attached to nothing of that.
    Nothing,
}

fn reach(facts: &Facts, policy: &str, account: &str) -> Result<Reach, Missing> {
    let answers = facts.of_organization(TARGETS)?;
    let mut unit = None;
    for target in
        answers.iter().filter(|answer| answer.names(policy)).flat_map(|answer| at(&answer.said, &["Targets", "*"]))
    {
        let id = target["TargetId"].as_str().unwrap_or_default();
        match target["Type"].as_str() {
            Some("ROOT") => return Ok(Reach::Account),
            Some("ACCOUNT") if id == account => return Ok(Reach::Account),
            Some("ORGANIZATIONAL_UNIT") => unit = Some(id.to_owned()),
            _ => {}
        }
    }
    Ok(unit.map_or(Reach::Nothing, Reach::Unit))
}

/// A text, or a list of texts.
fn texts(value: &Value) -> Vec<&str> {
    match value {
        Value::Array(texts) => texts.iter().filter_map(Value::as_str).collect(),
        one => one.as_str().into_iter().collect(),
    }
}

/// Whether a pattern of actions, with a star at its end or none, takes in leaving the organisation.
fn is_leaving(action: &str) -> bool {
    const LEAVE: &str = "organizations:leaveorganization";
    let action = action.to_ascii_lowercase();
    action.strip_suffix('*').map_or(action == LEAVE, |beginning| LEAVE.starts_with(beginning))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_of_leaving() {
        assert!(
            ["organizations:LeaveOrganization", "organizations:*", "organizations:Leave*", "*"]
                .into_iter()
                .all(is_leaving)
        );
        assert!(!["organizations:DescribeOrganization", "organizations:List*", "ec2:*"].into_iter().any(is_leaving));
    }
}
