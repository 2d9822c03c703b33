//! Which roles a user or role may assume, as far as policies say: the widest reading of them.
//!
//! Conditions of statements that allow are taken as met, and statements that deny under a condition as not applying, because
//! an intruder brings what a condition asks for (an external id, a session name). Boundaries and service control policies are
//! left aside. So the answer has too many roles rather than too few.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_iam::Client;
use aws_sdk_iam::types::{AttachedPolicy, ManagedPolicyDetail, PolicyDetail};
use serde_json::Value;

use super::principal::decoded;
use crate::model::ActionError;
use crate::policy::{Context, Document, Kind, Layers, Request, Trust, evaluate, trust};

/// Users and roles of an account with their policies.
#[derive(Debug, Default)]
pub(super) struct Identities {
    /// Identity policies by the ARN of the user or role.
    policies: BTreeMap<String, Vec<String>>,
    /// Trust policies by the role's ARN.
    trusts: BTreeMap<String, String>,
}

impl Identities {
    /// Reads them all (`iam:GetAccountAuthorizationDetails`).
    pub async fn of(client: &Client) -> Result<Self, ActionError> {
        let mut pages = client.get_account_authorization_details().into_paginator().send();
        let (mut users, mut groups, mut roles) = (Vec::new(), BTreeMap::new(), Vec::new());
        let mut managed: BTreeMap<String, String> = BTreeMap::new();
        while let Some(page) = pages.next().await {
            let page = page?;
            managed.extend(page.policies().iter().filter_map(in_force));
            users.extend(page.user_detail_list.unwrap_or_default());
            roles.extend(page.role_detail_list.unwrap_or_default());
            let named = page.group_detail_list.unwrap_or_default().into_iter();
            groups.extend(named.map(|group| (group.group_name().unwrap_or_default().to_owned(), group)));
        }
        let attached = |policies: &[AttachedPolicy]| {
            let texts = policies.iter().filter_map(|policy| managed.get(policy.policy_arn()?));
            texts.cloned().collect::<Vec<_>>()
        };
        let inline = |policies: &[PolicyDetail]| {
            policies.iter().filter_map(PolicyDetail::policy_document).map(decoded).collect::<Vec<_>>()
        };
        let mut all = Self::default();
        for user in users {
            let mut texts = [inline(user.user_policy_list()), attached(user.attached_managed_policies())].concat();
            for group in user.group_list().iter().filter_map(|name| groups.get(name)) {
                texts.extend(inline(group.group_policy_list()));
                texts.extend(attached(group.attached_managed_policies()));
            }
            all.policies.insert(user.arn.unwrap_or_default(), texts);
        }
        for role in roles {
            let texts = [inline(role.role_policy_list()), attached(role.attached_managed_policies())].concat();
            let arn = role.arn().unwrap_or_default().to_owned();
            let text = role.assume_role_policy_document().map(decoded).unwrap_or_default();
            all.trusts.insert(arn.clone(), text);
            all.policies.insert(arn, texts);
        }
        Ok(all)
    }

    /// The ARN of the user of this name.
    pub fn user(&self, name: &str) -> Option<&str> {
        let is_user = |arn: &&String| arn.contains(":user/") && arn.rsplit('/').next() == Some(name);
        self.policies.keys().find(is_user).map(String::as_str)
    }

    /// The roles that `start` may assume, directly or from role to role, each with the principal that may.
    pub fn reachable(&self, start: &str) -> BTreeMap<String, String> {
        let mut reached = BTreeMap::new();
        let (mut open, mut known) = (vec![start.to_owned()], BTreeSet::from([start.to_owned()]));
        while let Some(principal) = open.pop() {
            for role in self.trusts.keys().filter(|role| self.may(&principal, role)) {
                if known.insert(role.clone()) {
                    reached.insert(role.clone(), principal.clone());
                    open.push(role.clone());
                }
            }
        }
        reached
    }

    fn may(&self, principal: &str, role: &str) -> bool {
        let request = Request {
            principal: principal.to_owned(),
            action: "sts:AssumeRole".to_owned(),
            resource: role.to_owned(),
            context: Context::default().with("aws:PrincipalArn", principal),
        };
        // A trust policy that cannot be read is not known to shut anybody out.
        let trusted = self.trusts.get(role).map(|text| widest(role, text, Kind::Trust));
        let trusted = match trusted {
            None => return false,
            Some(None) => Trust::Account,
            Some(Some(document)) => trust(&document, &request),
        };
        let texts = self.policies.get(principal).into_iter().flatten();
        let identity: Vec<Document> = texts.filter_map(|text| widest(principal, text, Kind::Identity)).collect();
        let layers = Layers { identity, ..Layers::default() };
        match trusted {
            Trust::Principal => true,
            Trust::Account => evaluate(&request, &layers).is_allowed(),
            Trust::None | Trust::Denied => false,
        }
    }
}

/// A managed policy's text in force, by its ARN.
fn in_force(policy: &ManagedPolicyDetail) -> Option<(String, String)> {
    let versions = policy.policy_version_list().iter();
    let text = versions.filter(|version| version.is_default_version()).find_map(|version| version.document())?;
    Some((policy.arn()?.to_owned(), decoded(text)))
}

/// The policy without conditions: see the head of this file. None when nobody can read it.
fn widest(name: &str, text: &str, kind: Kind) -> Option<Document> {
    let mut json: Value = serde_json::from_str(text).ok()?;
    let statements = match json.get_mut("Statement")?.take() {
        Value::Array(statements) => statements,
        one => vec![one],
    };
    let kept = statements.into_iter().filter_map(|mut statement| {
        let conditional = statement.as_object_mut()?.remove("Condition").is_some();
        let denies = statement.get("Effect").and_then(Value::as_str) == Some("Deny");
        (!(conditional && denies)).then_some(statement)
    });
    json["Statement"] = Value::Array(kept.collect());
    Document::parse(name, &json.to_string(), kind).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVE: &str = "arn:aws:iam::111122223333:user/eve";

    fn role(name: &str) -> String {
        format!("arn:aws:iam::111122223333:role/{name}")
    }

    fn trusting(principal: &str, condition: &str) -> String {
        format!(
            r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow","Action":"sts:AssumeRole","Principal":{{"AWS":"{principal}"}}{condition}}}]}}"#
        )
    }

    fn allowing(resource: &str) -> String {
        format!(
            r#"{{"Version":"2012-10-17","Statement":{{"Effect":"Allow","Action":"sts:*","Resource":"{resource}"}}}}"#
        )
    }

    #[test]
    fn roles_are_reached_by_trust_and_policy_and_from_role_to_role() {
        let account = "arn:aws:iam::111122223333:root";
        let external = r#","Condition":{"StringEquals":{"sts:ExternalId":"x"}}"#;
        let mut all = Identities::default();
        all.policies.insert(EVE.to_owned(), vec![allowing(&role("open"))]);
        all.policies.insert(role("open"), Vec::new());
        for (name, text) in [
            ("open", trusting(account, external)),
            ("not-allowed", trusting(account, "")),
            ("names-eve", trusting(EVE, "")),
            ("names-open", trusting(&role("open"), "")),
            ("foreign", trusting("444455556666", "")),
        ] {
            all.trusts.insert(role(name), text);
        }
        let reached: Vec<String> = all.reachable(EVE).into_keys().collect();
        assert_eq!(reached, [role("names-eve"), role("names-open"), role("open")]);
    }
}
