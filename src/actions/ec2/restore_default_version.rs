//! `ec2.restore-default-version`

use std::collections::BTreeMap;

use aws_sdk_ec2::Client;
use aws_sdk_ec2::types::LaunchTemplateVersion;
use futures::future::try_join_all;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::actions::field::time;
use crate::engine::action::{Action, Ctx, Decision, Found, Item, Proposal, View};
use crate::model::{ActionError, Effect, ErrorKind, Finding, Resource, ResourceId, Tier, Undo};

/// The largest page.
const PAGE: i32 = 200;

/// Makes the version of a launch template the default again that was there before the incident.
pub struct RestoreDefaultVersion;

/// Before when.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// When the incident began: the newest version that was made before becomes the default.
    #[schemars(with = "String")]
    pub before: Timestamp,
}

/// A launch template.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Prior {
    /// Its default version.
    pub default: i64,
    /// When each version was made.
    pub versions: BTreeMap<i64, Timestamp>,
}

impl Prior {
    /// The version that is to be the default.
    fn wanted(&self, params: &Params) -> Option<i64> {
        self.versions.iter().rev().find(|(_, made)| **made < params.before).map(|(number, _)| *number)
    }
}

impl Action for RestoreDefaultVersion {
    type Params = Params;
    type Prior = Prior;

    const NAME: &'static str = "ec2.restore-default-version";
    const TIER: Tier = Tier::Reversible;
    const KINDS: &'static [&'static str] = &["ec2.launch-template"];
    const TITLE: &'static str = "Make the version of launch templates the default again that was there before a time";
    const DESCRIPTION: &'static str = "A launch template with a new default version launches the intruder's image, user data \
        and profile wherever somebody launches `$Default`: in Auto Scaling groups and fleets of your own, long after the \
        machines of the incident are gone. This makes the newest version the default that was made before the incident. The \
        newer versions stay, as evidence and for the way back. What launches `$Latest` or a numbered version is not changed \
        by it: look at those groups and fleets. A template without a version from before is skipped; it is the \
        intruder's own.\n\n\
        AWS pages: *Manage launch template versions*, *ModifyLaunchTemplate*.";
    const UNDO: &'static str = "Makes the version the default that was. A template whose default version somebody changed since \
        is left alone.";
    const PERMISSIONS: &'static [&'static str] = &["ec2:DescribeLaunchTemplateVersions", "ec2:ModifyLaunchTemplate"];
    const UNDO_PERMISSIONS: &'static [&'static str] = &[];
    const EXAMPLE: &'static str =
        "{ id: templates, uses: ec2.restore-default-version, on: changed, with: { before: 2026-11-23T14:00:00Z } }";

    async fn discover(&self, cx: &Ctx, _: &Params, members: &[Resource]) -> Result<Vec<Found<Prior>>, ActionError> {
        let client = super::client(cx);
        let found = try_join_all(members.iter().map(|member| found(&client, &member.id))).await?;
        Ok(found.into_iter().flatten().collect())
    }

    fn plan(&self, _: &View, params: &Params, found: &Found<Prior>) -> Decision {
        let Prior { default, versions } = &found.prior;
        let made = |number: i64| versions.get(&number).map(|made| format!(" of {made}")).unwrap_or_default();
        if versions.get(default).is_some_and(|made| *made < params.before) {
            return Decision::Already;
        }
        let Some(wanted) = found.prior.wanted(params) else {
            return Decision::Skip(format!(
                "it has no version from before {}: delete it when nothing of yours launches from it",
                params.before
            ));
        };
        let undo = Undo::by(format!("make version {default} the default"));
        let summary = format!("make version {wanted} of {} the default again", found.resource);
        let before = format!("version {default}{}", made(*default));
        let proposal = Proposal::new(summary, before, format!("version {wanted}{}", made(wanted)), undo);
        Decision::Change(proposal.noting("groups and fleets that launch $Latest or a numbered version go on with that"))
    }

    async fn preflight(&self, cx: &Ctx, _: &Params, items: &[Item<Prior>]) -> Vec<Finding> {
        let Some(item) = items.first() else { return Vec::new() };
        let request = super::client(cx).modify_launch_template().launch_template_id(item.resource.as_str());
        let answer = request.default_version(item.prior.default.to_string()).dry_run(true).send().await;
        super::asked(cx, "ec2:ModifyLaunchTemplate", answer).into_iter().collect()
    }

    async fn apply(&self, cx: &Ctx, params: &Params, items: &[Item<Prior>]) -> Result<Vec<Effect>, ActionError> {
        let client = super::client(cx);
        for item in items {
            if let Some(wanted) = item.prior.wanted(params) {
                set(&client, &item.resource, wanted).await?;
            }
        }
        Ok(vec![Value::Null; items.len()])
    }

    async fn undo(&self, cx: &Ctx, params: &Params, item: &Item<Prior>, _: &Effect) -> Result<(), ActionError> {
        let client = super::client(cx);
        let Some(now) = found(&client, &item.resource).await?.map(|found| found.prior.default) else { return Ok(()) };
        let saved = item.prior.default;
        match item.prior.wanted(params) {
            _ if now == saved => Ok(()),
            Some(wanted) if now == wanted => set(&client, &item.resource, saved).await,
            _ => {
                let message = format!("somebody made version {now} of {} the default since: it is left", item.resource);
                Err(ActionError::new(ErrorKind::WrongState, message))
            }
        }
    }
}

async fn set(client: &Client, template: &ResourceId, version: i64) -> Result<(), ActionError> {
    let request = client.modify_launch_template().launch_template_id(template.as_str());
    request.default_version(version.to_string()).send().await?;
    Ok(())
}

/// The template; `None` when it is gone.
async fn found(client: &Client, template: &ResourceId) -> Result<Option<Found<Prior>>, ActionError> {
    let prior = match versions(client, template.as_str()).await {
        Err(error) if error.kind == ErrorKind::NotFound => return Ok(None),
        prior => prior?,
    };
    Ok(Some(Found { member: template.clone(), resource: template.clone(), prior }))
}

async fn versions(client: &Client, template: &str) -> Result<Prior, ActionError> {
    let request = client.describe_launch_template_versions().include_managed_resources(true).max_results(PAGE);
    let mut items = request.launch_template_id(template).into_paginator().items().send();
    let mut prior = Prior { default: 0, versions: BTreeMap::new() };
    while let Some(version) = items.next().await {
        let version: LaunchTemplateVersion = version?;
        let Some(number) = version.version_number() else { continue };
        let made = time(version.create_time()).parse().unwrap_or(Timestamp::UNIX_EPOCH);
        prior.versions.insert(number, made);
        if version.default_version() == Some(true) {
            prior.default = number;
        }
    }
    Ok(prior)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::actions::tests::view;

    fn plan(default: i64, versions: &[(i64, &str)]) -> Decision {
        let versions = versions.iter().map(|(number, made)| (*number, made.parse().unwrap())).collect();
        let resource = ResourceId::new("lt-1").unwrap();
        let params = Params { before: "2026-11-20T00:00:00Z".parse().unwrap() };
        let found = Found { member: resource.clone(), resource, prior: Prior { default, versions } };
        RestoreDefaultVersion.plan(&view(), &params, &found)
    }

    #[test]
    fn the_newest_version_from_before_comes_back() {
        let versions = [(1, "2026-01-01T00:00:00Z"), (2, "2026-10-01T00:00:00Z"), (3, "2026-11-22T00:00:00Z")];
        let Decision::Change(proposal) = plan(3, &versions) else { panic!("no change") };
        assert_eq!(proposal.summary, "make version 2 of lt-1 the default again");
        assert_eq!(plan(1, &versions), Decision::Already, "an older one may be the default on purpose");
        assert!(matches!(plan(3, &versions[2..]), Decision::Skip(_)), "the intruder's own");
    }
}
