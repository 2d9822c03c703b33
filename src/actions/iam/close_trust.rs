//! `iam.close-trust`

use futures::future::try_join_all;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::if_any;
use crate::actions::principal::{Principal, decoded};
use crate::actions::trust::closed;
use crate::engine::action::{Action, Ctx, Decision, Found, Item, Proposal, View};
use crate::model::{ActionError, AttachedPolicy, Effect, ErrorKind, PolicyHolder, Resource, ResourceId, Tier, Undo};

/// Takes outsiders out of the trust policies of roles.
pub struct CloseTrust;

/// Who may stay.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// Outsiders that stay, as the policy names them: account numbers, ARNs of principals or identity providers.
    #[serde(default)]
    pub keep: Vec<String>,
}

/// A trust policy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Prior {
    /// Its text.
    pub trust: String,
}

impl Action for CloseTrust {
    type Params = Params;
    type Prior = Prior;

    const NAME: &'static str = "iam.close-trust";
    const TIER: Tier = Tier::Disruptive;
    const KINDS: &'static [&'static str] = &["iam.trust", "iam.role", "iam.principal"];
    const TITLE: &'static str = "Take other accounts, identity providers and everybody out of roles' trust policies";
    const DESCRIPTION: &'static str = "Replaces the trust policy by one that lets in services and principals of the role's own \
        account as before, and of the outsiders those that `keep` names. Where nobody is left, a statement that denies takes \
        their place. The old text is kept in the plan and the journal. Sessions that were started live on: revoke them as \
        well, afterwards, because whoever is still let in starts new ones. Service-linked roles and roles of IAM Identity \
        Center cannot be changed and are skipped.\n\n\
        AWS pages: *UpdateAssumeRolePolicy*, *AWS JSON policy elements: Principal*.";
    const UNDO: &'static str = "Puts the old text back. AWS refuses it when a principal in it is gone, whose ARN it then shows \
        as an id (AIDA…, AROA…). A policy that somebody changed since is left alone.";
    const PERMISSIONS: &'static [&'static str] = &["iam:GetRole", "iam:UpdateAssumeRolePolicy"];
    const UNDO_PERMISSIONS: &'static [&'static str] = &[];
    const EXAMPLE: &'static str = "{ id: trust, uses: iam.close-trust, on: backdoors }";

    async fn discover(&self, cx: &Ctx, _: &Params, members: &[Resource]) -> Result<Vec<Found<Prior>>, ActionError> {
        let found = try_join_all(members.iter().map(|member| found(cx, &member.id))).await?;
        Ok(found.into_iter().flatten().collect())
    }

    fn plan(&self, view: &View, params: &Params, found: &Found<Prior>) -> Decision {
        let arn = &found.resource;
        let Ok(principal) = Principal::of(arn) else { return Decision::Skip(format!("{arn} is not a role")) };
        if let Some(why) = Principal::untouchable(arn) {
            return Decision::Skip(why.to_owned());
        }
        let document = narrowed(arn, &found.prior, params);
        if same(&found.prior.trust, &document) {
            return Decision::Already;
        }
        if principal.is_caller(arn, view) {
            return Decision::Refuse(format!("{arn} is whom quell works as: use another principal"));
        }
        let policy = AttachedPolicy { document, holder: PolicyHolder::Principal(arn.to_string()) };
        let undo = Undo::by("put the old trust policy back");
        let summary = format!("take outsiders out of the trust policy of {arn}");
        let proposal = Proposal::new(summary, "lets outsiders in", "lets in its own account and services", undo);
        Decision::Change(proposal.attaching(policy).noting("sessions that were started live on until they are revoked"))
    }

    async fn apply(&self, cx: &Ctx, params: &Params, items: &[Item<Prior>]) -> Result<Vec<Effect>, ActionError> {
        for item in items {
            let document = narrowed(&item.resource, &item.prior, params);
            if !same(&item.prior.trust, &document) {
                put(cx, &item.resource, &document.to_string()).await?;
            }
        }
        Ok(vec![Value::Null; items.len()])
    }

    async fn undo(&self, cx: &Ctx, params: &Params, item: &Item<Prior>, _: &Effect) -> Result<(), ActionError> {
        let Some(now) = found(cx, &item.resource).await? else { return Ok(()) };
        if now.prior == item.prior {
            return Ok(());
        }
        if !same(&now.prior.trust, &narrowed(&item.resource, &item.prior, params)) {
            let message = format!("the trust policy of {} was changed since: it is left as it is", item.resource);
            return Err(ActionError::new(ErrorKind::WrongState, message));
        }
        put(cx, &item.resource, &item.prior.trust).await
    }
}

fn narrowed(role: &ResourceId, prior: &Prior, params: &Params) -> Value {
    closed(&prior.trust, role.as_str().split(':').nth(4).unwrap_or_default(), &params.keep)
}

/// Whether a text already lets in only whom the narrowed document does.
fn same(text: &str, document: &Value) -> bool {
    let listed = |value: &Value| match value {
        Value::Array(items) => items.clone(),
        one => vec![one.clone()],
    };
    let principals = |document: &Value| {
        let statements = listed(&document["Statement"]);
        let of = |statement: &Value| {
            let names: Vec<(String, Vec<Value>)> = match &statement["Principal"] {
                Value::Object(kinds) => kinds.iter().map(|(kind, names)| (kind.clone(), listed(names))).collect(),
                one => vec![("AWS".to_owned(), listed(one))],
            };
            (statement["Effect"].clone(), names)
        };
        statements.iter().map(of).collect::<Vec<_>>()
    };
    serde_json::from_str::<Value>(text).is_ok_and(|now| principals(&now) == principals(document))
}

async fn found(cx: &Ctx, role: &ResourceId) -> Result<Option<Found<Prior>>, ActionError> {
    let Principal::Role(name) = Principal::of(role)? else { return Ok(None) };
    let answer = super::client(cx).get_role().role_name(name).send().await;
    let role_now = if_any(answer.map_err(ActionError::from))?.and_then(|answer| answer.role);
    let trust = role_now.and_then(|role| role.assume_role_policy_document).map(|text| decoded(&text));
    let found = |trust| Found { member: role.clone(), resource: role.clone(), prior: Prior { trust } };
    Ok(trust.map(found))
}

async fn put(cx: &Ctx, role: &ResourceId, document: &str) -> Result<(), ActionError> {
    let Principal::Role(name) = Principal::of(role)? else { return Ok(()) };
    super::client(cx).update_assume_role_policy().role_name(name).policy_document(document).send().await?;
    Ok(())
}
