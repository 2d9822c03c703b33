//! What an account can set for a region of EC2 against the next breach: one action for each setting.

use std::future::Future;

use aws_sdk_ec2::Client;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::ec2::client;
use crate::engine::action::{Action, Ctx, Decision, Found, Item, Proposal, View};
use crate::model::{ActionError, Effect, Finding, Resource, ResourceId, Tier, Undo, Verdict};

/// A setting: how it is described, read and set.
pub(super) trait RegionSetting: Send + Sync + 'static {
    /// As [`Action::NAME`].
    const NAME: &'static str;
    /// As [`Action::TIER`].
    const TIER: Tier = Tier::Reversible;
    /// As [`Action::TITLE`].
    const TITLE: &'static str;
    /// As [`Action::DESCRIPTION`].
    const DESCRIPTION: &'static str;
    /// As [`Action::UNDO`].
    const UNDO: &'static str = "Sets what was set before.";
    /// What reads it, and what sets it.
    const PERMISSIONS: &'static [&'static str];
    /// What sets it back, beyond these.
    const UNDO_PERMISSIONS: &'static [&'static str];
    /// As [`Action::EXAMPLE`].
    const EXAMPLE: &'static str;
    /// The id of the setting, among those of a region.
    const SETTING: &'static str;
    /// What it is to be.
    const WANTED: &'static str;
    /// What is done, in the imperative.
    const SUMMARY: &'static str;
    /// What the approver should know.
    const NOTE: &'static str;

    /// What it is.
    fn read(client: &Client) -> impl Future<Output = Result<Set, ActionError>> + Send;

    /// Makes it so: what is wanted, or what was.
    fn set(client: &Client, value: &str) -> impl Future<Output = Result<(), ActionError>> + Send;

    /// Asks whether that would be allowed.
    fn ask(cx: &Ctx, client: &Client) -> impl Future<Output = Option<Finding>> + Send;
}

/// What a setting is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Set {
    /// As AWS spells it.
    pub value: String,
    /// Whether a declarative policy of the organisation sets it; then nobody in the account can.
    pub by_organisation: bool,
}

/// The action has no parameters.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {}

/// Sets a setting in every region of a set.
pub(super) struct SetInRegion<S>(pub S);

impl<S: RegionSetting> Action for SetInRegion<S> {
    type Params = Params;
    type Prior = Set;

    const NAME: &'static str = S::NAME;
    const TIER: Tier = S::TIER;
    const KINDS: &'static [&'static str] = &["ec2.region"];
    const TITLE: &'static str = S::TITLE;
    const DESCRIPTION: &'static str = S::DESCRIPTION;
    const UNDO: &'static str = S::UNDO;
    const PERMISSIONS: &'static [&'static str] = S::PERMISSIONS;
    const UNDO_PERMISSIONS: &'static [&'static str] = S::UNDO_PERMISSIONS;
    const EXAMPLE: &'static str = S::EXAMPLE;

    async fn discover(&self, cx: &Ctx, _: &Params, members: &[Resource]) -> Result<Vec<Found<Set>>, ActionError> {
        if members.is_empty() {
            return Ok(Vec::new());
        }
        let prior = S::read(&client(cx)).await?;
        let found = |member: &Resource| {
            let resource = ResourceId::new(S::SETTING).ok()?;
            Some(Found { member: member.id.clone(), resource, prior: prior.clone() })
        };
        Ok(members.iter().filter_map(found).collect())
    }

    fn plan(&self, _: &View, _: &Params, found: &Found<Set>) -> Decision {
        let Set { value, by_organisation } = &found.prior;
        if value == S::WANTED {
            return Decision::Already;
        }
        if *by_organisation {
            let way_out = "change that policy in the management account";
            return Decision::Skip(format!("a declarative policy of the organisation sets it to {value}: {way_out}"));
        }
        let undo = Undo::by(format!("set it to {value} again"));
        Decision::Change(Proposal::new(S::SUMMARY, value, S::WANTED, undo).noting(S::NOTE))
    }

    fn drift(&self, approved: &Set, now: &Set) -> Option<String> {
        (approved.value != now.value && now.value != S::WANTED).then(|| format!("it is {} by now", now.value))
    }

    async fn preflight(&self, cx: &Ctx, _: &Params, items: &[Item<Set>]) -> Vec<Finding> {
        if items.is_empty() { Vec::new() } else { S::ask(cx, &client(cx)).await.into_iter().collect() }
    }

    async fn apply(&self, cx: &Ctx, _: &Params, items: &[Item<Set>]) -> Result<Vec<Effect>, ActionError> {
        S::set(&client(cx), S::WANTED).await?;
        Ok(vec![Value::Null; items.len()])
    }

    fn verify(&self, _: &View, _: &Params, found: &Found<Set>) -> Verdict {
        is_seen(&found.prior.value, S::WANTED)
    }

    fn restored(&self, prior: &Set, now: &Set) -> Verdict {
        is_seen(&now.value, &prior.value)
    }

    async fn undo(&self, cx: &Ctx, _: &Params, item: &Item<Set>, _: &Effect) -> Result<(), ActionError> {
        S::set(&client(cx), &item.prior.value).await
    }
}

fn is_seen(value: &str, wanted: &str) -> Verdict {
    if value == wanted { Verdict::Proven } else { Verdict::Unproven { why: format!("it is {value}") } }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::actions::ec2::block_image_sharing::BlockImageSharing;
    use crate::actions::ec2::encrypt_by_default::EncryptByDefault;
    use crate::actions::tests::view;

    fn found(value: &str, by_organisation: bool) -> Found<Set> {
        let prior = Set { value: value.to_owned(), by_organisation };
        Found { member: ResourceId::new("eu-west-1").unwrap(), resource: ResourceId::new("setting").unwrap(), prior }
    }

    #[test]
    fn what_is_not_as_wanted_is_set_and_what_the_organisation_sets_is_left_to_it() {
        let plan = |found| SetInRegion(EncryptByDefault).plan(&view(), &Params {}, &found);
        let Decision::Change(proposal) = plan(found("disabled", false)) else { panic!("no change") };
        assert_eq!(proposal.undo.how.as_deref(), Some("set it to disabled again"));
        assert_eq!(plan(found("enabled", true)), Decision::Already);
        assert!(matches!(plan(found("disabled", true)), Decision::Skip(why) if why.contains("management account")));
    }

    #[test]
    fn it_is_proven_when_it_is_seen() {
        let verify = |value| SetInRegion(EncryptByDefault).verify(&view(), &Params {}, &found(value, false));
        assert_eq!(verify("enabled"), Verdict::Proven);
        assert!(matches!(verify("disabled"), Verdict::Unproven { .. }));
        let restored =
            |before, now| SetInRegion(EncryptByDefault).restored(&found(before, false).prior, &found(now, false).prior);
        assert_eq!(restored("disabled", "disabled"), Verdict::Proven);
        assert!(matches!(restored("disabled", "enabled"), Verdict::Unproven { .. }));
    }

    #[test]
    fn what_somebody_else_sets_meanwhile_voids_the_approval() {
        let drift =
            |before, now| SetInRegion(BlockImageSharing).drift(&found(before, false).prior, &found(now, false).prior);
        assert_eq!(drift("unblocked", "unblocked"), None);
        assert_eq!(drift("unblocked", "block-new-sharing"), None, "it is as wanted");
        assert!(drift("unblocked", "something-else").is_some());
    }
}
