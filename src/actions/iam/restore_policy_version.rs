//! `iam.restore-policy-version`

use std::collections::BTreeMap;

use aws_sdk_iam::Client;
use futures::future::{try_join, try_join_all};
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::if_any;
use crate::actions::field::time;
use crate::actions::principal::Principal;
use crate::engine::action::{Action, Ctx, Decision, Found, Item, Proposal, View};
use crate::model::{ActionError, Effect, ErrorKind, Resource, ResourceId, Tier, Undo};

/// Puts the version of a managed policy in force that was there before the incident.
pub struct RestorePolicyVersion;

/// Before when.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// When the incident began: the newest version that was made before comes back.
    #[schemars(with = "String")]
    pub before: Timestamp,
}

/// A policy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Prior {
    /// The version in force.
    pub version: String,
    /// When each version was made.
    pub versions: BTreeMap<String, Timestamp>,
    /// `user/anna`, `role/deploy`, `group/developers`.
    pub attached_to: Vec<String>,
}

impl Prior {
    /// Whether the version in force is older than the incident.
    fn is_from_before(&self, params: &Params) -> bool {
        self.versions.get(&self.version).is_some_and(|made| *made < params.before)
    }

    /// The version to put in force.
    fn wanted(&self, params: &Params) -> Option<(&str, Timestamp)> {
        let older = self.versions.iter().filter(|(_, made)| **made < params.before);
        older.max_by_key(|(id, made)| (**made, number(id))).map(|(id, made)| (id.as_str(), *made))
    }
}

impl Action for RestorePolicyVersion {
    type Params = Params;
    type Prior = Prior;

    const NAME: &'static str = "iam.restore-policy-version";
    const TIER: Tier = Tier::Disruptive;
    const KINDS: &'static [&'static str] = &["iam.policy"];
    const TITLE: &'static str = "Put the version of managed policies back in force that was there before a time";
    const DESCRIPTION: &'static str = "A new default version widens a policy for everybody to whom it is attached, without a \
        single attachment that anybody would see. This puts the newest version in force that was made before the incident. The \
        newer versions stay, as evidence and for the way back; who may call SetDefaultPolicyVersion can put them in force \
        again, so deny the intruder first. Where an older version was put back in force, no date tells so: the event history \
        does (SetDefaultPolicyVersion). A policy that has no version from before is skipped: it is the intruder's own, or the \
        older versions were deleted.\n\n\
        AWS pages: *SetDefaultPolicyVersion*, *Versioning IAM policies*.";
    const UNDO: &'static str = "Puts the version back in force that was. A policy whose version in force somebody changed since \
        is left alone.";
    const PERMISSIONS: &'static [&'static str] =
        &["iam:GetPolicy", "iam:ListPolicyVersions", "iam:ListEntitiesForPolicy", "iam:SetDefaultPolicyVersion"];
    const UNDO_PERMISSIONS: &'static [&'static str] = &[];
    const EXAMPLE: &'static str =
        "{ id: versions, uses: iam.restore-policy-version, on: widened, with: { before: 2026-11-23T14:00:00Z } }";

    async fn discover(&self, cx: &Ctx, _: &Params, members: &[Resource]) -> Result<Vec<Found<Prior>>, ActionError> {
        let client = super::client(cx);
        let found = try_join_all(members.iter().map(|member| found(&client, &member.id))).await?;
        Ok(found.into_iter().flatten().collect())
    }

    fn plan(&self, view: &View, params: &Params, found: &Found<Prior>) -> Decision {
        let Found { resource: arn, prior, .. } = found;
        if prior.is_from_before(params) {
            return Decision::Already;
        }
        let Some((wanted, made)) = prior.wanted(params) else {
            return Decision::Skip(format!(
                "it has no version from before {}: it was made in the incident, or its older versions were deleted; take it \
                 off those it is attached to, or deny them",
                params.before
            ));
        };
        let account = arn.as_str().split(':').nth(4).unwrap_or_default();
        let own = |holder: &&String| {
            let id = ResourceId::new(format!("arn:aws:iam::{account}:{holder}"));
            id.is_ok_and(|id| Principal::of(&id).is_ok_and(|principal| principal.is_caller(&id, view)))
        };
        if let Some(holder) = prior.attached_to.iter().find(own) {
            let why = format!("{arn} is attached to {holder}, as which quell works: use another principal");
            return Decision::Refuse(why);
        }
        let since = prior.versions.get(&prior.version).map(|made| format!(" of {made}")).unwrap_or_default();
        let undo = Undo::by(format!("put {} back in force", prior.version));
        let summary = format!("put {wanted} of {arn} back in force");
        let before = format!("{}{since} is in force", prior.version);
        let proposal = Proposal::new(summary, before, format!("{wanted} of {made} is in force"), undo);
        let attached = match prior.attached_to.len() {
            0 => "attached to nobody".to_owned(),
            _ => format!("attached to {}", prior.attached_to.join(", ")),
        };
        Decision::Change(proposal.noting(attached))
    }

    /// To whom it is attached is another step's.
    fn drift(&self, approved: &Prior, now: &Prior) -> Option<String> {
        let differs = approved.version != now.version || approved.versions != now.versions;
        differs.then(|| "its versions are not the approved ones any more".to_owned())
    }

    async fn apply(&self, cx: &Ctx, params: &Params, items: &[Item<Prior>]) -> Result<Vec<Effect>, ActionError> {
        let client = super::client(cx);
        for item in items {
            if let Some((wanted, _)) = item.prior.wanted(params) {
                set(&client, &item.resource, wanted).await?;
            }
        }
        Ok(vec![Value::Null; items.len()])
    }

    async fn undo(&self, cx: &Ctx, params: &Params, item: &Item<Prior>, _: &Effect) -> Result<(), ActionError> {
        let client = super::client(cx);
        let Some(now) = found(&client, &item.resource).await? else { return Ok(()) };
        if now.prior.version == item.prior.version {
            return Ok(());
        }
        if item.prior.wanted(params).is_none_or(|(wanted, _)| wanted != now.prior.version) {
            let message = format!("somebody put {} of {} in force since: it is left", now.prior.version, item.resource);
            return Err(ActionError::new(ErrorKind::WrongState, message));
        }
        set(&client, &item.resource, &item.prior.version).await
    }
}

/// The number of `v12`.
fn number(version: &str) -> u32 {
    version.trim_start_matches('v').parse().unwrap_or_default()
}

async fn set(client: &Client, policy: &ResourceId, version: &str) -> Result<(), ActionError> {
    client.set_default_policy_version().policy_arn(policy.as_str()).version_id(version).send().await?;
    Ok(())
}

/// The policy; `None` when it is gone.
async fn found(client: &Client, policy: &ResourceId) -> Result<Option<Found<Prior>>, ActionError> {
    let state = try_join(Box::pin(versions(client, policy.as_str())), Box::pin(holders(client, policy.as_str()))).await;
    let Some(((version, versions), attached_to)) = if_any(state)? else { return Ok(None) };
    let prior = Prior { version, versions, attached_to };
    Ok(Some(Found { member: policy.clone(), resource: policy.clone(), prior }))
}

async fn versions(client: &Client, policy: &str) -> Result<(String, BTreeMap<String, Timestamp>), ActionError> {
    let answer = client.get_policy().policy_arn(policy).send().await?;
    let in_force = answer.policy.and_then(|policy| policy.default_version_id).unwrap_or_default();
    let mut pages = client.list_policy_versions().policy_arn(policy).into_paginator().items().send();
    let mut versions = BTreeMap::new();
    while let Some(version) = pages.next().await {
        let version = version?;
        let made = time(version.create_date()).parse().unwrap_or(Timestamp::UNIX_EPOCH);
        versions.extend(version.version_id.map(|id| (id, made)));
    }
    Ok((in_force, versions))
}

async fn holders(client: &Client, policy: &str) -> Result<Vec<String>, ActionError> {
    let mut pages = client.list_entities_for_policy().policy_arn(policy).into_paginator().send();
    let mut holders = Vec::new();
    while let Some(page) = pages.next().await {
        let page = page?;
        let users = page.policy_users().iter().filter_map(|user| Some(format!("user/{}", user.user_name()?)));
        let roles = page.policy_roles().iter().filter_map(|role| Some(format!("role/{}", role.role_name()?)));
        let groups = page.policy_groups().iter().filter_map(|group| Some(format!("group/{}", group.group_name()?)));
        holders.extend(users.chain(roles).chain(groups));
    }
    Ok(holders)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::actions::tests::view;

    /// A policy whose versions were made at these hours; the last is in force.
    fn found(hours: &[i64], attached_to: &str) -> Found<Prior> {
        let arn = ResourceId::new("arn:aws:iam::111122223333:policy/developers").unwrap();
        let at = |hour: i64| Timestamp::from_second(hour * 3600).unwrap();
        let versions = hours.iter().enumerate().map(|(index, hour)| (format!("v{}", index + 1), at(*hour))).collect();
        let prior = Prior { version: format!("v{}", hours.len()), versions, attached_to: vec![attached_to.to_owned()] };
        Found { member: arn.clone(), resource: arn, prior }
    }

    fn plan(found: &Found<Prior>) -> Decision {
        let params = Params { before: Timestamp::from_second(10 * 3600).unwrap() };
        RestorePolicyVersion.plan(&view(), &params, found)
    }

    #[test]
    fn the_newest_version_from_before_comes_back() {
        let Decision::Change(proposal) = plan(&found(&[1, 2, 11, 12], "group/developers")) else { panic!("no change") };
        assert!(proposal.summary.starts_with("put v2 of "), "{}", proposal.summary);
        assert_eq!(proposal.notes, ["attached to group/developers"]);
        assert_eq!(plan(&found(&[1, 2], "group/developers")), Decision::Already);
    }

    #[test]
    fn a_policy_of_the_incident_has_nothing_to_go_back_to() {
        let Decision::Skip(why) = plan(&found(&[11, 12], "user/eve")) else { panic!("not skipped") };
        assert!(why.contains("no version from before"), "{why}");
    }

    #[test]
    fn the_callers_own_rights_are_not_changed() {
        assert!(matches!(plan(&found(&[1, 11], "role/IRResponder")), Decision::Refuse(_)));
    }
}
