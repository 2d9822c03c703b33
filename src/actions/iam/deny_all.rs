//! `iam.deny-all`

use aws_sdk_iam::Client;
use futures::future::try_join_all;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::actions::principal::Principal;
use crate::actions::simulated;
use crate::engine::action::{Action, Ctx, Decision, Found, Item, Proposal, View};
use crate::model::{
    ActionError, AttachedPolicy, Effect, ErrorKind, PolicyHolder, Resource, ResourceId, Tier, Undo, Verdict,
};
use crate::policy::DENY_ALL;

/// The inline policy, where no managed policy can be attached any more.
const INLINE: &str = "QuellDenyAll";
/// How many managed policies may be attached unless the quota was raised.
const ATTACHMENTS: usize = 10;

/// Denies users or roles everything.
pub struct DenyAll;

/// The action has no parameters.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {}

/// The policies of a user or role that the action may change.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Prior {
    /// Whether AWSDenyAll is attached.
    pub attached: bool,
    /// The text of an inline policy of quell's name.
    pub inline: Option<String>,
    /// The permissions boundary.
    pub boundary: Option<String>,
    /// The managed policies attached.
    #[serde(default)]
    pub managed: Vec<String>,
    /// Why the principal is in the set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub because: Option<String>,
    /// Calls that a simulation as the principal still lets through although it is denied; asked only when it is.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub let_through: Vec<String>,
    /// Whether it belongs to another account.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub elsewhere: bool,
}

impl Prior {
    fn is_denied(&self, partition: &str) -> bool {
        let boundary = self.boundary.as_deref() == Some(managed(partition).as_str());
        self.attached || boundary || self.inline.as_deref().is_some_and(denies_all)
    }

    /// The policy with which AWS marks a user whose key it saw in public.
    fn quarantine(&self) -> Option<&str> {
        let names = self.managed.iter().filter_map(|arn| arn.rsplit('/').next());
        names.into_iter().find(|name| name.starts_with("AWSCompromisedKeyQuarantine"))
    }

    /// Whether an intruder, or anybody, used up the policies that may be attached.
    fn is_full(&self) -> bool {
        self.managed.len() >= ATTACHMENTS
    }

    /// The policy that makes room for the deny, when nothing else is left.
    fn removable(&self) -> Option<&String> {
        self.managed.iter().filter(|arn| !arn.contains("AWSCompromisedKeyQuarantine")).min()
    }
}

impl Action for DenyAll {
    type Params = Params;
    type Prior = Prior;

    const NAME: &'static str = "iam.deny-all";
    const TIER: Tier = Tier::Disruptive;
    const KINDS: &'static [&'static str] = &["iam.user", "iam.role", "iam.principal"];
    const TITLE: &'static str = "Deny users or roles everything";
    const DESCRIPTION: &'static str = "Attaches the managed policy AWSDenyAll: an explicit deny that also binds the sessions \
        of a user or role that exist already. When the quota of attached policies is full (an intruder may have filled it) \
        it puts an inline policy, and when that is full too it sets AWSDenyAll as permissions boundary; where the boundary \
        may not be set, one attached policy is noted and detached to make room. The effect says which way was taken. \
        AWSCompromisedKeyQuarantine, which AWS attaches to a user whose key it saw in public, is named as an indicator: it \
        denies a part only and ends no session, so it never counts as a deny, and it is left where it is. It takes seconds \
        to reach every region: proven is what a call simulated as the principal says. Service-linked roles and roles of IAM Identity \
        Center cannot be changed and are skipped.\n\n\
        AWS pages: *Disabling permissions for temporary security credentials*, *IAM and AWS STS quotas*, \
        *Permissions boundaries for IAM entities*.";
    const UNDO: &'static str =
        "Detaches or deletes what was added, and restores the boundary, the text or the policy that was there.";
    const PERMISSIONS: &'static [&'static str] = &[
        "iam:GetUser",
        "iam:GetRole",
        "iam:ListAttachedUserPolicies",
        "iam:ListAttachedRolePolicies",
        "iam:GetUserPolicy",
        "iam:GetRolePolicy",
        simulated::PERMISSION,
        "iam:AttachUserPolicy",
        "iam:AttachRolePolicy",
        "iam:PutUserPolicy",
        "iam:PutRolePolicy",
        "iam:PutUserPermissionsBoundary",
        "iam:PutRolePermissionsBoundary",
    ];
    const UNDO_PERMISSIONS: &'static [&'static str] = &[
        "iam:DetachUserPolicy",
        "iam:DetachRolePolicy",
        "iam:DeleteUserPolicy",
        "iam:DeleteRolePolicy",
        "iam:DeleteUserPermissionsBoundary",
        "iam:DeleteRolePermissionsBoundary",
    ];
    const ONLY_ON: &'static [(&'static str, &'static [&'static str])] = &[
        (
            "iam.user",
            &[
                "iam:GetUser",
                "iam:ListAttachedUserPolicies",
                "iam:GetUserPolicy",
                "iam:AttachUserPolicy",
                "iam:PutUserPolicy",
                "iam:PutUserPermissionsBoundary",
                "iam:DetachUserPolicy",
                "iam:DeleteUserPolicy",
                "iam:DeleteUserPermissionsBoundary",
            ],
        ),
        (
            "iam.role",
            &[
                "iam:GetRole",
                "iam:ListAttachedRolePolicies",
                "iam:GetRolePolicy",
                "iam:AttachRolePolicy",
                "iam:PutRolePolicy",
                "iam:PutRolePermissionsBoundary",
                "iam:DetachRolePolicy",
                "iam:DeleteRolePolicy",
                "iam:DeleteRolePermissionsBoundary",
            ],
        ),
        (
            "iam.principal",
            &[
                "iam:GetUser",
                "iam:GetRole",
                "iam:ListAttachedUserPolicies",
                "iam:ListAttachedRolePolicies",
                "iam:GetUserPolicy",
                "iam:GetRolePolicy",
                "iam:AttachUserPolicy",
                "iam:AttachRolePolicy",
                "iam:PutUserPolicy",
                "iam:PutRolePolicy",
                "iam:PutUserPermissionsBoundary",
                "iam:PutRolePermissionsBoundary",
                "iam:DetachUserPolicy",
                "iam:DetachRolePolicy",
                "iam:DeleteUserPolicy",
                "iam:DeleteRolePolicy",
                "iam:DeleteUserPermissionsBoundary",
                "iam:DeleteRolePermissionsBoundary",
            ],
        ),
    ];
    const EXAMPLE: &'static str = "{ id: deny, uses: iam.deny-all, on: intruder, needs: [keys] }";

    async fn discover(&self, cx: &Ctx, _: &Params, members: &[Resource]) -> Result<Vec<Found<Prior>>, ActionError> {
        let found = try_join_all(members.iter().map(|member| found(cx, member))).await?;
        Ok(found.into_iter().flatten().collect())
    }

    fn plan(&self, view: &View, _: &Params, found: &Found<Prior>) -> Decision {
        let arn = &found.resource;
        let principal = match Principal::of(arn) {
            Ok(principal) => principal,
            Err(error) => return Decision::Skip(error.message),
        };
        if found.prior.elsewhere {
            return Decision::Skip(Principal::elsewhere(arn));
        }
        if let Some(why) = Principal::untouchable(arn) {
            return Decision::Skip(why.to_owned());
        }
        if found.prior.is_denied(view.caller.partition()) {
            return Decision::Already;
        }
        if principal.is_caller(arn, view) {
            return Decision::Refuse(format!(
                "{arn} is whom quell works as, and the deny would lock it out: use another principal, such as the responder role"
            ));
        }
        let document = serde_json::from_str(DENY_ALL).expect("a document of quell's own");
        let policy = AttachedPolicy { document, holder: PolicyHolder::Principal(arn.to_string()) };
        let undo = Undo::by("detach the deny, restore what was there");
        let proposal = Proposal::new(format!("deny {arn} everything"), "its own policies", "AWSDenyAll", undo);
        let mut proposal = proposal.noting("binds its running sessions too").attaching(policy);
        if let Some(name) = found.prior.quarantine() {
            proposal.notes.push(format!(
                "AWS attached {name}: it saw a key of this user in public. That denies a part only and ends no session; it \
                 does not count as containment, and stays attached"
            ));
        }
        proposal.notes.extend(found.prior.because.clone());
        Decision::Change(proposal)
    }

    /// Attached is one thing; that a call as the principal is refused is another.
    fn verify(&self, view: &View, params: &Params, found: &Found<Prior>) -> Verdict {
        match self.plan(view, params, found) {
            Decision::Already => simulated::verdict(found.resource.as_str(), &found.prior.let_through),
            Decision::Change(proposal) => Verdict::Unproven { why: format!("still {}", proposal.before) },
            Decision::Skip(why) | Decision::Refuse(why) => Verdict::Unproven { why },
            Decision::ByHand(work) => Verdict::Unproven { why: work.what },
            Decision::Unseen(error) => Verdict::Unproven { why: error.to_string() },
        }
    }

    /// What else is attached does not matter to a deny: an intruder who attaches a policy meanwhile does not stop it.
    fn drift(&self, approved: &Prior, now: &Prior) -> Option<String> {
        let of = |prior: &Prior| (prior.attached, prior.inline.clone(), prior.boundary.clone());
        (of(approved) != of(now)).then(|| "its state is not the approved one any more".to_owned())
    }

    async fn apply(&self, cx: &Ctx, _: &Params, items: &[Item<Prior>]) -> Result<Vec<Effect>, ActionError> {
        let client = super::client(cx);
        let managed = managed(cx.view.caller.partition());
        let mut effects = Vec::with_capacity(items.len());
        for item in items {
            effects.push(deny(&client, Principal::of(&item.resource)?, &managed, &item.prior).await?);
        }
        Ok(effects)
    }

    async fn undo(&self, cx: &Ctx, _: &Params, item: &Item<Prior>, _: &Effect) -> Result<(), ActionError> {
        // By what is there now, not by what was reported: a run that was cut off has reported nothing.
        let Some(now) = state(cx, &item.resource).await? else { return Ok(()) };
        let (client, before) = (super::client(cx), &item.prior);
        let principal = Principal::of(&item.resource)?;
        let managed = managed(cx.view.caller.partition());
        if now.attached && !before.attached {
            principal.detach(&client, &managed).await?;
        }
        if now.boundary != before.boundary && now.boundary.as_ref() == Some(&managed) {
            principal.set_boundary(&client, before.boundary.as_deref()).await?;
        }
        if now.inline != before.inline && now.inline.as_deref().is_some_and(denies_all) {
            match &before.inline {
                Some(text) => principal.put_inline(&client, INLINE, text).await?,
                None => principal.delete_inline(&client, INLINE).await?,
            }
        }
        // Last, because room for it is only there again when the deny has gone.
        if let Some(removed) = before.removable().filter(|arn| before.is_full() && !now.managed.contains(arn)) {
            principal.attach(&client, removed).await?;
        }
        Ok(())
    }
}

/// Denies by the first way that is open, and says which.
async fn deny(client: &Client, principal: Principal<'_>, managed: &str, prior: &Prior) -> Result<Effect, ActionError> {
    let full = |error: &ActionError| error.kind == ErrorKind::Quota;
    match principal.attach(client, managed).await {
        Err(error) if full(&error) => {}
        other => return other.map(|()| json!({ "way": "attached policy" })),
    }
    match principal.put_inline(client, INLINE, DENY_ALL).await {
        Err(error) if full(&error) => {}
        other => return other.map(|()| json!({ "way": "inline policy" })),
    }
    let refused = match principal.set_boundary(client, Some(managed)).await {
        Err(error) if matches!(error.kind, ErrorKind::Denied | ErrorKind::WrongState | ErrorKind::Quota) => error,
        other => return other.map(|()| json!({ "way": "permissions boundary" })),
    };
    let Some(removed) = prior.removable() else { return Err(refused) };
    principal.detach(client, removed).await?;
    principal.attach(client, managed).await?;
    Ok(json!({ "way": "attached policy", "removed": removed }))
}

/// AWS's own policy.
fn managed(partition: &str) -> String {
    format!("arn:{partition}:iam::aws:policy/AWSDenyAll")
}

fn denies_all(text: &str) -> bool {
    let json = |text| serde_json::from_str::<serde_json::Value>(text).ok();
    json(text).is_some() && json(text) == json(DENY_ALL)
}

async fn found(cx: &Ctx, member: &Resource) -> Result<Option<Found<Prior>>, ActionError> {
    let elsewhere = Principal::is_elsewhere(&member.id, cx);
    let state = if elsewhere { Some(Prior::default()) } else { state(cx, &member.id).await? };
    let because = Principal::because(member);
    let found = |prior| {
        let prior = Prior { because, elsewhere, ..prior };
        Found { member: member.id.clone(), resource: member.id.clone(), prior }
    };
    Ok(state.map(found))
}

/// None for a user or role that is gone.
async fn state(cx: &Ctx, arn: &ResourceId) -> Result<Option<Prior>, ActionError> {
    let client = super::client(cx);
    let principal = Principal::of(arn)?;
    let (policies, inline) = futures::join!(principal.policies(&client), principal.inline(&client, INLINE));
    let Some(policies) = policies? else { return Ok(None) };
    let attached = policies.attached.contains(&managed(cx.view.caller.partition()));
    let (inline, boundary, managed) = (inline?, policies.boundary, policies.attached);
    let mut prior = Prior { attached, inline, boundary, managed, ..Prior::default() };
    if prior.is_denied(cx.view.caller.partition()) {
        prior.let_through = simulated::let_through(cx, arn.as_str()).await;
    }
    Ok(Some(prior))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::actions::tests::view;

    fn plan(arn: &str, prior: Prior) -> Decision {
        let id = ResourceId::new(arn).unwrap();
        DenyAll.plan(&view(), &Params {}, &Found { member: id.clone(), resource: id, prior })
    }

    fn free() -> Prior {
        Prior::default()
    }

    #[test]
    fn awss_quarantine_is_an_indicator_and_no_deny() {
        let quarantine = "arn:aws:iam::aws:policy/AWSCompromisedKeyQuarantineV3".to_owned();
        let eve = "arn:aws:iam::111122223333:user/eve";
        let prior = Prior { managed: vec![quarantine], ..free() };
        assert_eq!(prior.removable(), None, "it is left where it is");
        let Decision::Change(proposal) = plan(eve, prior) else { panic!("it counted as a deny") };
        assert!(proposal.notes.iter().any(|note| note.contains("AWSCompromisedKeyQuarantineV3")), "{proposal:?}");
    }

    #[test]
    fn each_of_the_three_ways_counts_as_denied() {
        let eve = "arn:aws:iam::111122223333:user/eve";
        let Decision::Change(proposal) = plan(eve, free()) else { panic!("no change") };
        assert_eq!(proposal.attaches.unwrap().holder, PolicyHolder::Principal(eve.into()));
        let boundary = Some("arn:aws:iam::aws:policy/AWSDenyAll".to_owned());
        assert_eq!(plan(eve, Prior { attached: true, ..free() }), Decision::Already);
        assert_eq!(plan(eve, Prior { inline: Some(DENY_ALL.into()), ..free() }), Decision::Already);
        assert_eq!(plan(eve, Prior { boundary, ..free() }), Decision::Already);
        assert!(matches!(plan(eve, Prior { inline: Some("{}".into()), ..free() }), Decision::Change(_)));
    }

    #[test]
    fn the_caller_is_refused_and_what_cannot_be_changed_is_skipped() {
        assert!(matches!(plan("arn:aws:iam::111122223333:role/ir/IRResponder", free()), Decision::Refuse(_)));
        for role in
            ["aws-service-role/x.amazonaws.com/AWSServiceRoleForX", "aws-reserved/sso.amazonaws.com/AWSReservedSSO_x"]
        {
            assert!(matches!(plan(&format!("arn:aws:iam::111122223333:role/{role}"), free()), Decision::Skip(_)));
        }
    }
}
