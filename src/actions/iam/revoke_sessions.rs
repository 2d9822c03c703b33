//! `iam.revoke-sessions`

use futures::future::try_join_all;
use jiff::{SignedDuration, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::actions::principal::Principal;
use crate::engine::action::{Action, Ctx, Decision, Found, Item, Proposal, View};
use crate::model::{ActionError, AttachedPolicy, Effect, PolicyHolder, Resource, Tier, Undo};
use crate::policy::{DENY_ALL, revoke_older_sessions};

/// How far in the future the limit lies, as in AWS's console: until then the policy has reached every region.
const PROPAGATION: SignedDuration = SignedDuration::from_secs(30);
/// The name that AWS's console gives the policy of a role.
const OF_ROLE: &str = "AWSRevokeOlderSessions";
/// The policy of a user.
const OF_USER: &str = "QuellRevokeSessions";

/// Revokes the sessions of users or roles.
pub struct RevokeSessions;

/// The action has no parameters.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {}

/// The inline policy that is there already.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Prior {
    /// Its text.
    pub inline: Option<String>,
    /// Why the principal is in the set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub because: Option<String>,
    /// Whether it belongs to another account.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub elsewhere: bool,
}

impl Action for RevokeSessions {
    type Params = Params;
    type Prior = Prior;

    const NAME: &'static str = "iam.revoke-sessions";
    const TIER: Tier = Tier::Disruptive;
    const KINDS: &'static [&'static str] = &["iam.user", "iam.role", "iam.principal"];
    const TITLE: &'static str = "Revoke the sessions of users or roles";
    const DESCRIPTION: &'static str = "For a role: the inline policy AWSRevokeOlderSessions, as AWS's console puts it, which \
        denies everything to sessions issued until 30 s from now. It hits everybody who uses the role; they assume it again \
        afterwards, and so does an intruder whose way in is still open. For a user a limit in time would spare the \
        long-term keys, so the user is denied everything. Service-linked roles and roles of IAM Identity Center cannot be \
        changed and are skipped.\n\n\
        AWS pages: *Revoking IAM role temporary security credentials*, \
        *Disabling permissions for temporary security credentials*.";
    const UNDO: &'static str = "Removes the policy, or puts the text back that it had. Sessions revoked meanwhile are valid \
        again until they expire.";
    const PERMISSIONS: &'static [&'static str] =
        &["iam:GetUserPolicy", "iam:GetRolePolicy", "iam:PutUserPolicy", "iam:PutRolePolicy"];
    const UNDO_PERMISSIONS: &'static [&'static str] = &["iam:DeleteUserPolicy", "iam:DeleteRolePolicy"];
    const ONLY_ON: &'static [(&'static str, &'static [&'static str])] = &[
        ("iam.user", &["iam:GetUserPolicy", "iam:PutUserPolicy", "iam:DeleteUserPolicy"]),
        ("iam.role", &["iam:GetRolePolicy", "iam:PutRolePolicy", "iam:DeleteRolePolicy"]),
        (
            "iam.principal",
            &[
                "iam:GetUserPolicy",
                "iam:GetRolePolicy",
                "iam:PutUserPolicy",
                "iam:PutRolePolicy",
                "iam:DeleteUserPolicy",
                "iam:DeleteRolePolicy",
            ],
        ),
    ];
    const EXAMPLE: &'static str = "{ id: revoke, uses: iam.revoke-sessions, on: intruder, needs: [keys] }";

    async fn discover(&self, cx: &Ctx, _: &Params, members: &[Resource]) -> Result<Vec<Found<Prior>>, ActionError> {
        let client = super::client(cx);
        let found = members.iter().map(|member| {
            let client = &client;
            async move {
                let principal = Principal::of(&member.id)?;
                let elsewhere = Principal::is_elsewhere(&member.id, cx);
                let inline = if elsewhere { None } else { principal.inline(client, policy_name(principal)).await? };
                let prior = Prior { inline, because: Principal::because(member), elsewhere };
                Ok::<_, ActionError>(Found { member: member.id.clone(), resource: member.id.clone(), prior })
            }
        });
        try_join_all(found).await
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
        if found.prior.inline.as_deref().is_some_and(|text| revokes(principal, text, view.now)) {
            return Decision::Already;
        }
        if principal.is_caller(arn, view) {
            return Decision::Refuse(format!(
                "{arn} is whom quell works as, and its own session would be revoked: use another principal"
            ));
        }
        let text = document(principal, view.now);
        let document = serde_json::from_str(&text).expect("a document of quell's own");
        let policy = AttachedPolicy { document, holder: PolicyHolder::Principal(arn.to_string()) };
        let undo = Undo::by("remove the policy, or restore its text");
        let after = format!("{} denies them", policy_name(principal));
        let proposal = Proposal::new(format!("revoke the sessions of {arn}"), "sessions are valid", after, undo);
        let mut proposal = proposal.attaching(policy).noting(match principal {
            Principal::Role(_) => "hits everybody who uses the role; they have to assume it again",
            Principal::User(_) => "denies the user everything, also with long-term keys",
        });
        proposal.notes.extend(found.prior.because.clone());
        Decision::Change(proposal)
    }

    fn drift(&self, approved: &Prior, now: &Prior) -> Option<String> {
        (approved.inline != now.inline).then(|| "its policy is not the approved one any more".to_owned())
    }

    async fn apply(&self, cx: &Ctx, _: &Params, items: &[Item<Prior>]) -> Result<Vec<Effect>, ActionError> {
        let client = super::client(cx);
        let mut effects = Vec::with_capacity(items.len());
        for item in items {
            let principal = Principal::of(&item.resource)?;
            let text = document(principal, cx.clock.now());
            principal.put_inline(&client, policy_name(principal), &text).await?;
            effects.push(json!({ "policy": policy_name(principal) }));
        }
        Ok(effects)
    }

    async fn undo(&self, cx: &Ctx, _: &Params, item: &Item<Prior>, _: &Effect) -> Result<(), ActionError> {
        let client = super::client(cx);
        let principal = Principal::of(&item.resource)?;
        match &item.prior.inline {
            Some(text) => super::if_any(principal.put_inline(&client, policy_name(principal), text).await).map(drop),
            None => principal.delete_inline(&client, policy_name(principal)).await,
        }
    }
}

fn policy_name(principal: Principal<'_>) -> &'static str {
    match principal {
        Principal::User(_) => OF_USER,
        Principal::Role(_) => OF_ROLE,
    }
}

fn document(principal: Principal<'_>, now: Timestamp) -> String {
    match principal {
        Principal::User(_) => DENY_ALL.to_owned(),
        Principal::Role(_) => revoke_older_sessions(now.saturating_add(PROPAGATION).unwrap_or(now)),
    }
}

/// Whether a policy revokes what was issued until `now`.
fn revokes(principal: Principal<'_>, text: &str, now: Timestamp) -> bool {
    let Ok(policy) = serde_json::from_str::<Value>(text) else { return false };
    match principal {
        Principal::User(_) => serde_json::from_str::<Value>(DENY_ALL).is_ok_and(|deny| deny == policy),
        Principal::Role(_) => {
            let limit = policy.pointer("/Statement/0/Condition/DateLessThan/aws:TokenIssueTime");
            let limit = limit.and_then(Value::as_str).and_then(|limit| limit.parse::<Timestamp>().ok());
            limit.is_some_and(|limit| limit >= now)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::actions::tests::view;
    use crate::model::ResourceId;

    fn plan(arn: &str, inline: Option<String>) -> Decision {
        let id = ResourceId::new(arn).unwrap();
        RevokeSessions.plan(
            &view(),
            &Params {},
            &Found { member: id.clone(), resource: id, prior: Prior { inline, because: None, elsewhere: false } },
        )
    }

    #[test]
    fn an_older_limit_is_renewed_and_a_newer_one_holds() {
        let role = "arn:aws:iam::111122223333:role/app";
        let hour = SignedDuration::from_hours(1);
        let limit = |limit| Some(revoke_older_sessions(limit));
        assert!(matches!(plan(role, None), Decision::Change(_)));
        assert!(matches!(plan(role, limit(view().now - hour)), Decision::Change(_)));
        assert_eq!(plan(role, limit(view().now + PROPAGATION)), Decision::Already);
    }

    #[test]
    fn a_user_is_denied_without_a_limit() {
        let user = "arn:aws:iam::111122223333:user/eve";
        let Decision::Change(proposal) = plan(user, None) else { panic!("no change") };
        let deny: Value = serde_json::from_str(DENY_ALL).unwrap();
        assert_eq!(proposal.attaches.unwrap().document, deny);
        assert_eq!(plan(user, Some(DENY_ALL.to_owned())), Decision::Already);
    }

    #[test]
    fn the_caller_is_refused() {
        assert!(matches!(plan("arn:aws:iam::111122223333:role/IRResponder", None), Decision::Refuse(_)));
    }
}
