//! `rolesanywhere.disable`

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::engine::action::{Action, Ctx, Decision, Found, Item, Proposal, View};
use crate::model::{ActionError, Effect, ErrorKind, Resource, ResourceId, Tier, Undo};

/// Switches trust anchors and profiles off.
pub struct Disable;

/// The action has no parameters.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {}

/// A trust anchor or a profile.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Prior {
    /// Its name.
    pub name: String,
    /// Whether it lets anybody in; `None` where it is gone.
    pub enabled: Option<bool>,
    /// The roles of a profile.
    #[serde(default)]
    pub roles: Vec<String>,
}

impl Action for Disable {
    type Params = Params;
    type Prior = Prior;

    const NAME: &'static str = "rolesanywhere.disable";
    const TIER: Tier = Tier::Disruptive;
    const KINDS: &'static [&'static str] = &["rolesanywhere.trust-anchor", "rolesanywhere.profile"];
    const TITLE: &'static str = "Switch off trust anchors and profiles of IAM Roles Anywhere";
    const DESCRIPTION: &'static str = "Switches a trust anchor off, so that no certificate of its authority gets a session any \
        more, or a profile, so that nobody gets a session of its roles by it. Whoever holds such a certificate comes in from \
        anywhere, without a key that IAM would list. Nothing is deleted. Every workload outside of AWS that comes in by it \
        stops getting credentials.\n\n\
        Sessions that were given go on until they end by themselves, after up to 12 hours: revoke those of the roles \
        (iam.revoke-sessions), afterwards. AWS answers one request a second about the trust anchors of a region, and one \
        about its profiles.\n\n\
        AWS pages: *DisableTrustAnchor*, *DisableProfile*, *Quotas for IAM Roles Anywhere*, *Revoke IAM role temporary \
        security credentials*.";
    const UNDO: &'static str = "Switches on again what was on.";
    const PERMISSIONS: &'static [&'static str] = &[
        "rolesanywhere:ListTrustAnchors",
        "rolesanywhere:DisableTrustAnchor",
        "rolesanywhere:ListProfiles",
        "rolesanywhere:DisableProfile",
    ];
    const UNDO_PERMISSIONS: &'static [&'static str] =
        &["rolesanywhere:EnableTrustAnchor", "rolesanywhere:EnableProfile"];
    const ONLY_ON: &'static [(&'static str, &'static [&'static str])] = &[
        (
            "rolesanywhere.trust-anchor",
            &["rolesanywhere:ListTrustAnchors", "rolesanywhere:DisableTrustAnchor", "rolesanywhere:EnableTrustAnchor"],
        ),
        (
            "rolesanywhere.profile",
            &["rolesanywhere:ListProfiles", "rolesanywhere:DisableProfile", "rolesanywhere:EnableProfile"],
        ),
    ];
    const EXAMPLE: &'static str = "{ id: anchors, uses: rolesanywhere.disable, on: anchors }";

    async fn discover(&self, cx: &Ctx, _: &Params, members: &[Resource]) -> Result<Vec<Found<Prior>>, ActionError> {
        let client = super::client(cx);
        let mut known: BTreeMap<String, Prior> = BTreeMap::new();
        if members.iter().any(|member| !is_profile(&member.id)) {
            let anchors = super::trust_anchors(&client).await?.into_iter();
            known.extend(anchors.filter_map(|anchor| {
                let (name, enabled) = (anchor.name.unwrap_or_default(), anchor.enabled);
                Some((anchor.trust_anchor_arn?, Prior { name, enabled, roles: Vec::new() }))
            }));
        }
        if members.iter().any(|member| is_profile(&member.id)) {
            let profiles = super::profiles(&client).await?.into_iter();
            known.extend(profiles.filter_map(|profile| {
                let (name, enabled) = (profile.name.unwrap_or_default(), profile.enabled);
                Some((profile.profile_arn?, Prior { name, enabled, roles: profile.role_arns.unwrap_or_default() }))
            }));
        }
        let found = members.iter().map(|member| {
            let gone = Prior { name: String::new(), enabled: None, roles: Vec::new() };
            let prior = known.get(member.id.as_str()).cloned().unwrap_or(gone);
            Found { member: member.id.clone(), resource: member.id.clone(), prior }
        });
        Ok(found.collect())
    }

    fn plan(&self, _: &View, _: &Params, found: &Found<Prior>) -> Decision {
        let Prior { name, enabled: Some(true), roles } = &found.prior else { return Decision::Already };
        let kind = if is_profile(&found.resource) { "profile" } else { "trust anchor" };
        let summary = format!("switch off the Roles Anywhere {kind} {name}");
        let proposal = Proposal::new(summary, "enabled", "disabled", Undo::by("switch it on again"));
        let proposal = match roles.as_slice() {
            [] => proposal,
            roles => proposal.noting(format!("it lets into {}", roles.join(", "))),
        };
        Decision::Change(proposal.noting("sessions that it gave go on for up to 12 hours: revoke those of the roles"))
    }

    /// What else is changed of it meanwhile does not void the approval, nor that it is gone.
    fn drift(&self, approved: &Prior, now: &Prior) -> Option<String> {
        let is = |prior: &Prior| match prior.enabled {
            Some(true) => "enabled",
            Some(false) => "disabled",
            None => "gone",
        };
        (approved.enabled != now.enabled).then(|| format!("it is {}", is(now)))
    }

    async fn apply(&self, cx: &Ctx, _: &Params, items: &[Item<Prior>]) -> Result<Vec<Effect>, ActionError> {
        for item in items {
            match switch(cx, &item.resource, false).await {
                Err(error) if error.kind != ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(vec![Value::Null; items.len()])
    }

    async fn undo(&self, cx: &Ctx, _: &Params, item: &Item<Prior>, _: &Effect) -> Result<(), ActionError> {
        if item.prior.enabled != Some(true) {
            return Ok(());
        }
        switch(cx, &item.resource, true).await
    }
}

fn is_profile(arn: &ResourceId) -> bool {
    arn.as_str().contains(":profile/")
}

/// Switches it on or off. AWS does not mind what it is already.
async fn switch(cx: &Ctx, arn: &ResourceId, on: bool) -> Result<(), ActionError> {
    let client = super::client(cx);
    let id = arn.as_str().rsplit('/').next().unwrap_or_default();
    match (is_profile(arn), on) {
        (true, true) => drop(client.enable_profile().profile_id(id).send().await?),
        (true, false) => drop(client.disable_profile().profile_id(id).send().await?),
        (false, true) => drop(client.enable_trust_anchor().trust_anchor_id(id).send().await?),
        (false, false) => drop(client.disable_trust_anchor().trust_anchor_id(id).send().await?),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::actions::tests::view;

    fn plan(kind: &str, enabled: Option<bool>) -> Decision {
        let id = ResourceId::new(format!("arn:aws:rolesanywhere:us-east-1:111122223333:{kind}/1")).unwrap();
        let prior = Prior { name: "mine".into(), enabled, roles: vec!["arn:aws:iam::111122223333:role/x".into()] };
        Disable.plan(&view(), &Params {}, &Found { member: id.clone(), resource: id, prior })
    }

    #[test]
    fn what_is_on_goes_off_and_what_is_off_or_gone_stays() {
        let Decision::Change(proposal) = plan("profile", Some(true)) else { panic!("no change") };
        assert_eq!(proposal.summary, "switch off the Roles Anywhere profile mine");
        assert!(proposal.notes[0].contains("role/x"), "{:?}", proposal.notes);
        let Decision::Change(proposal) = plan("trust-anchor", Some(true)) else { panic!("no change") };
        assert_eq!(proposal.summary, "switch off the Roles Anywhere trust anchor mine");
        assert_eq!(plan("profile", Some(false)), Decision::Already);
        assert_eq!(plan("trust-anchor", None), Decision::Already);
    }
}
