//! `organizations.deny-all`

use aws_sdk_organizations::types::PolicyType;
use futures::future::try_join_all;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::actions::organization_policy::{Standing, Wished, accounts_below, is_unit, limits};
use crate::engine::action::{Action, Ctx, Decision, Found, Item, Proposal, View};
use crate::model::{
    AccountId, ActionError, AttachedPolicy, ByHand, Digest, Effect, ErrorKind, PolicyHolder, Resource, ResourceId,
    Tier, Undo, Verdict,
};
use crate::policy::{deny_all_except_roles, deny_all_of_users, until};

/// Denies everything in an account, by a service control policy.
pub struct DenyAll;

/// Whom the policy binds, and whom it spares.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// The roles that keep working, at least one: `role/ir/IRResponder` (in every account), or ARNs; `*` is a wildcard.
    pub exempt: Vec<String>,
    /// The unit whose accounts are closed, all at once, in the place of the step's account: `ou-ab12-11111111`.
    #[serde(default)]
    pub unit: Option<String>,
    /// Ids of IAM Identity Center users (`identitystore:userId`): only these are denied, whichever permission set they use.
    #[serde(default)]
    pub users: Vec<String>,
    /// When the deny ends by itself; without it, it holds until it is taken back. Takes a time, or an input of type timestamp.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub expires: Option<Timestamp>,
    /// The name of the policy; by default one made from its content.
    #[serde(default)]
    pub name: Option<String>,
}

impl Params {
    fn wished(&self, partition: &str) -> Wished {
        let arn = |role: &String| match role.as_str() {
            arn if arn.starts_with("arn:") => arn.to_owned(),
            role => format!("arn:{partition}:iam::*:role/{}", role.strip_prefix("role/").unwrap_or(role)),
        };
        let exempt: Vec<String> = self.exempt.iter().map(arn).collect();
        let (what, document) = match self.users.as_slice() {
            [] => ("all", deny_all_except_roles(&exempt)),
            users => ("users", deny_all_of_users(users, &exempt)),
        };
        let document = match self.expires {
            // Whole seconds: IAM's dates.
            Some(end) => until(&document, Timestamp::from_second(end.as_second()).unwrap_or(end)),
            None => document,
        };
        let name = self.name.clone().unwrap_or_else(|| format!("quell-deny-{what}-{}", Digest::of(&document).short()));
        let about = "denies everything except to responder roles";
        Wished { kind: PolicyType::ServiceControlPolicy, name, document, about }
    }

    /// Where the policy is attached.
    fn target<'a>(&'a self, account: &'a str) -> &'a str {
        self.unit.as_deref().unwrap_or(account)
    }

    /// What is denied, and in what.
    fn summary(&self, target: &str) -> String {
        let place = if self.unit.is_some() { "every account of unit" } else { "account" };
        match self.users.as_slice() {
            [] => format!("deny everything in {place} {target}"),
            [user] => format!("deny everything in {place} {target} to the Identity Center user {user}"),
            users => format!("deny everything in {place} {target} to {} Identity Center users", users.len()),
        }
    }
}

/// The account or unit in its organisation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Prior {
    /// Whether it is the management account, which no SCP binds.
    pub management: bool,
    /// The policies there.
    pub standing: Standing,
    /// Of a unit, the accounts below it; `None` where there is no such unit.
    #[serde(default)]
    pub accounts: Option<Vec<String>>,
    /// A user of the account, and the calls that a simulation as that user still lets through; asked only when the policy is
    /// attached to the account and closes it to everybody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub simulated: Option<(String, Vec<String>)>,
}

impl Action for DenyAll {
    type Params = Params;
    type Prior = Prior;

    const NAME: &'static str = "organizations.deny-all";
    const TIER: Tier = Tier::Disruptive;
    const KINDS: &'static [&'static str] = &["account"];
    const TITLE: &'static str = "Deny everything in the account, except to responder roles";
    const DESCRIPTION: &'static str = "Attaches a service control policy to the account that denies everything to everybody, \
        the root user included, except the exempt roles. An intruder in the account can neither detach it nor wait it \
        out. It takes seconds until it is in force: proven is what a call simulated as a user of the account says. It does not bind the management account, service-linked roles, services, or principals of other accounts; \
        what runs goes on running: compute needs its own steps. Every workload of the account that calls AWS stops \
        working.\n\n\
        With `unit` the policy is attached to an organisational unit and closes all its accounts by one call, in such a step \
        name one account (`targets.accounts: self`). With `users` only these users of IAM Identity Center are denied, \
        wherever the policy is attached. Afterwards, in this order: remove their account assignments and group memberships, \
        disable them at the identity provider, end their portal sessions in the console (no API does that), and disable the \
        users last, because the portal sessions of a disabled user cannot be ended.\n\n\
        With `expires` the deny ends by itself at that time (a condition on `aws:CurrentTime`); otherwise it holds until a \
        person takes it back.\n\n\
        AWS pages: *Service control policies (SCPs)*, *SCP syntax*, *Quotas and service limits for AWS Organizations*, \
        *Revoke active IAM role sessions created by permission sets*.";
    const UNDO: &'static str =
        "Detaches the policy, and deletes it when the run made it and it is attached nowhere else.";
    const PERMISSIONS: &'static [&'static str] = &[
        "organizations:DescribeOrganization",
        "organizations:ListRoots",
        "organizations:ListPolicies",
        "organizations:ListPoliciesForTarget",
        "organizations:ListAccountsForParent",
        "organizations:ListOrganizationalUnitsForParent",
        "organizations:DescribePolicy",
        "organizations:CreatePolicy",
        "organizations:TagResource",
        "organizations:AttachPolicy",
        "iam:ListUsers",
        "iam:SimulatePrincipalPolicy",
    ];
    const UNDO_PERMISSIONS: &'static [&'static str] = &["organizations:DetachPolicy", "organizations:DeletePolicy"];
    const EXAMPLE: &'static str = "{ id: lock, uses: organizations.deny-all, with: { exempt: [role/ir/IRResponder] } }";

    async fn discover(
        &self,
        cx: &Ctx,
        params: &Params,
        members: &[Resource],
    ) -> Result<Vec<Found<Prior>>, ActionError> {
        let found = members.iter().map(|member| found(cx, params, &member.id));
        try_join_all(found).await
    }

    fn plan(&self, view: &View, params: &Params, found: &Found<Prior>) -> Decision {
        let (target, prior) = (&found.resource, &found.prior);
        if params.exempt.iter().all(|role| role.trim().is_empty()) {
            return Decision::Refuse("no role is exempt: nobody could work in the account; set with.exempt".to_owned());
        }
        if let Some(end) = params.expires.filter(|end| *end <= view.now) {
            return Decision::Refuse(format!("the deny would end at {end}, which is past: set another with.expires"));
        }
        if prior.management {
            return Decision::Refuse(format!("{target} is the management account: no SCP binds it; use iam.deny-all"));
        }
        if let (Some(unit), None) = (&params.unit, &prior.accounts) {
            return Decision::Refuse(format!("the organisation has no unit `{unit}`: with.unit is a unit's id, ou-…"));
        }
        if !prior.standing.enabled {
            let why = "the organisation has service control policies switched off: enable the policy type on its root";
            return Decision::Refuse(why.to_owned());
        }
        let wished = params.wished(view.caller.partition());
        let (longest, attachments) = limits(&wished.kind);
        let size = wished.document.chars().count();
        if size > longest {
            return Decision::Refuse(format!("the policy has {size} characters, and AWS takes {longest}"));
        }
        match &prior.standing.policy {
            Some(policy) if !policy.same => {
                return Decision::Refuse(format!(
                    "a policy {} with another content exists: give another with.name",
                    wished.name
                ));
            }
            Some(policy) if policy.attached => return Decision::Already,
            _ => {}
        }
        if prior.standing.attachments >= attachments {
            return Decision::Skip(format!(
                "{attachments} SCPs are attached to {target}: detach one by hand, or attach to its unit (with.unit)"
            ));
        }
        // Of a unit the account that is the caller's own matters most, then any: a role is exempt in all of them alike.
        let accounts = prior.accounts.iter().flatten();
        let own = accounts.clone().find(|account| account.as_str() == view.caller.account.as_str());
        let judged = own.or(prior.accounts.iter().flatten().next()).map_or(found.member.as_str(), String::as_str);
        let Ok(holder) = AccountId::new(judged) else {
            return Decision::Skip(format!("`{judged}` is not an account"));
        };
        let document = serde_json::from_str(&wished.document).expect("a document of quell's own");
        let policy = AttachedPolicy { document, holder: PolicyHolder::Account(holder) };
        let after = format!("{} attached, exempt: {}", wished.name, params.exempt.join(", "));
        let mut proposal =
            Proposal::new(params.summary(target.as_str()), "no deny", after, Undo::by("detach the policy"));
        if let Some(end) = params.expires {
            proposal = proposal.noting(format!("ends by itself at {end}: whoever is not locked out by then is back"));
        }
        if let Some(accounts) = &prior.accounts {
            proposal = proposal.noting(format!("closes {} accounts: {}", accounts.len(), accounts.join(", ")));
        }
        let note = if params.users.is_empty() {
            "every workload of the account that calls AWS stops working; what runs goes on running"
        } else {
            "keep it for 12 hours at least, as long as a session may last; then their assignments must be gone"
        };
        if !params.users.is_empty() {
            proposal = proposal.leaving(ByHand::new(
                format!("end what the Identity Center users {} still hold", params.users.join(", ")),
                &[
                    "Remove their account assignments and group memberships (sso-admin, identitystore).",
                    "Disable them at the identity provider, if they come from one.",
                    "End their portal sessions: IAM Identity Center console, Users, Active sessions. No API does that.",
                    "Disable the users last: the portal sessions of a disabled user cannot be ended.",
                    "Take this policy back after 12 hours at the earliest.",
                ],
            ));
        }
        Decision::Change(proposal.noting(note).attaching(policy))
    }

    fn verify(&self, view: &View, params: &Params, found: &Found<Prior>) -> Verdict {
        match (self.plan(view, params, found), &found.prior.simulated) {
            (Decision::Already, Some((user, through))) if !through.is_empty() => {
                let why = format!("a simulated call as {user} is still allowed: {}", through.join(", "));
                Verdict::Pending { why }
            }
            (Decision::Already, _) => Verdict::Proven,
            (Decision::Change(proposal), _) => Verdict::Unproven { why: format!("still {}", proposal.before) },
            (Decision::Skip(why) | Decision::Refuse(why), _) => Verdict::Unproven { why },
            (Decision::ByHand(work), _) => Verdict::Unproven { why: work.what },
            (Decision::Unseen(error), _) => Verdict::Unproven { why: error.to_string() },
        }
    }

    fn drift(&self, approved: &Prior, now: &Prior) -> Option<String> {
        // The policy itself may have come about meanwhile, for another account of the same step.
        let other = now.standing.policy.as_ref().is_some_and(|policy| !policy.same);
        let same = approved.management == now.management && approved.standing.enabled == now.standing.enabled;
        if other || !same || approved.accounts != now.accounts {
            return Some("the organisation is not as it was approved".to_owned());
        }
        None
    }

    async fn apply(&self, cx: &Ctx, params: &Params, items: &[Item<Prior>]) -> Result<Vec<Effect>, ActionError> {
        let (client, wished) = (super::client(cx), params.wished(cx.view.caller.partition()));
        let mut effects = Vec::with_capacity(items.len());
        for item in items {
            let known = item.prior.standing.policy.as_ref();
            let policy = wished.attach(&client, cx, known, item.resource.as_str()).await?;
            effects.push(json!({ "policy": policy }));
        }
        Ok(effects)
    }

    async fn undo(&self, cx: &Ctx, params: &Params, item: &Item<Prior>, effect: &Effect) -> Result<(), ActionError> {
        let (client, wished) = (super::client(cx), params.wished(cx.view.caller.partition()));
        let id = effect.get("policy").and_then(Value::as_str);
        wished.take_back(&client, id, item.prior.standing.policy.as_ref(), item.resource.as_str()).await
    }
}

async fn found(cx: &Ctx, params: &Params, account: &ResourceId) -> Result<Found<Prior>, ActionError> {
    let client = super::client(cx);
    let wished = params.wished(cx.view.caller.partition());
    let target = params.target(account.as_str());
    let resource = ResourceId::new(target).map_err(|error| ActionError::new(ErrorKind::Other, error.to_string()))?;
    let accounts = match &params.unit {
        None => None,
        Some(unit) => match below(&client, unit).await? {
            Some(accounts) => Some(accounts),
            None => {
                let standing = Standing { enabled: true, attachments: 0, policy: None };
                let prior = Prior { management: false, standing, accounts: None, simulated: None };
                return Ok(Found { member: account.clone(), resource, prior });
            }
        },
    };
    let management = async {
        let organization = client.describe_organization().send().await.map_err(ActionError::from)?.organization;
        Ok(organization.is_some_and(|organization| organization.master_account_id() == Some(target)))
    };
    let (management, standing) = futures::try_join!(Box::pin(management), Box::pin(wished.standing(&client, target)))?;
    let is_closed = standing.policy.as_ref().is_some_and(|policy| policy.attached);
    let to_everybody = params.unit.is_none() && params.users.is_empty();
    let simulated = if is_closed && to_everybody { as_somebody(cx).await } else { None };
    Ok(Found { member: account.clone(), resource, prior: Prior { management, standing, accounts, simulated } })
}

/// What a user of the account could still do.
#[cfg(feature = "iam")]
async fn as_somebody(cx: &Ctx) -> Option<(String, Vec<String>)> {
    crate::actions::simulated::let_through_by_organization(cx).await
}

#[cfg(not(feature = "iam"))]
async fn as_somebody(_: &Ctx) -> Option<(String, Vec<String>)> {
    None
}

/// The accounts below a unit; `None` where there is no such unit.
async fn below(client: &aws_sdk_organizations::Client, unit: &str) -> Result<Option<Vec<String>>, ActionError> {
    if !is_unit(unit) {
        return Ok(None);
    }
    match accounts_below(client, unit).await {
        Ok(accounts) => Ok(Some(accounts)),
        Err(error) if error.kind == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::actions::organization_policy::Policy;
    use crate::actions::tests::view;

    fn params(exempt: &[&str]) -> Params {
        let exempt = exempt.iter().map(ToString::to_string).collect();
        Params { exempt, unit: None, users: Vec::new(), expires: None, name: None }
    }

    fn prior() -> Prior {
        let standing = Standing { enabled: true, attachments: 1, policy: None };
        Prior { management: false, standing, accounts: None, simulated: None }
    }

    fn with(change: impl FnOnce(&mut Prior)) -> Prior {
        let mut prior = prior();
        change(&mut prior);
        prior
    }

    fn plan(params: &Params, prior: Prior) -> Decision {
        let id = ResourceId::new("444455556666").unwrap();
        DenyAll.plan(&view(), params, &Found { member: id.clone(), resource: id, prior })
    }

    #[test]
    fn the_document_spares_the_exempt_roles_in_every_account() {
        let document = params(&["role/ir/IRResponder", "arn:aws:iam::111122223333:role/x"]).wished("aws").document;
        assert!(document.contains(r#"["arn:aws:iam::*:role/ir/IRResponder","arn:aws:iam::111122223333:role/x"]"#));
        let Decision::Change(proposal) = plan(&params(&["role/ir/IRResponder"]), prior()) else { panic!("no change") };
        let account = AccountId::new("444455556666").unwrap();
        assert_eq!(proposal.attaches.unwrap().holder, PolicyHolder::Account(account));
    }

    #[test]
    fn what_would_lock_out_or_do_nothing_is_refused() {
        let exempt = params(&["role/ir/IRResponder"]);
        assert!(matches!(plan(&params(&[]), prior()), Decision::Refuse(why) if why.contains("with.exempt")));
        assert!(matches!(plan(&exempt, with(|prior| prior.management = true)), Decision::Refuse(_)));
        assert!(matches!(plan(&exempt, with(|prior| prior.standing.enabled = false)), Decision::Refuse(_)));
        let other = Policy { id: "p-1".into(), same: false, attached: false };
        assert!(matches!(plan(&exempt, with(|prior| prior.standing.policy = Some(other))), Decision::Refuse(_)));
        let long = params(&vec!["role/ir/IRResponder"; 400]);
        assert!(matches!(plan(&long, prior()), Decision::Refuse(why) if why.contains("10240")));
    }

    #[test]
    fn attached_is_already_and_a_full_account_is_skipped() {
        let exempt = params(&["role/ir/IRResponder"]);
        let attached = Policy { id: "p-1".into(), same: true, attached: true };
        assert_eq!(plan(&exempt, with(|prior| prior.standing.policy = Some(attached))), Decision::Already);
        assert!(matches!(plan(&exempt, with(|prior| prior.standing.attachments = 10)), Decision::Skip(_)));
    }

    #[test]
    fn a_unit_is_judged_for_the_callers_own_account_and_a_missing_one_is_refused() {
        let unit = Params { unit: Some("ou-ab12-11111111".into()), ..params(&["role/ir/IRResponder"]) };
        let own = view().caller.account;
        let accounts = vec!["444455556666".to_owned(), own.to_string()];
        let Decision::Change(proposal) = plan(&unit, with(|prior| prior.accounts = Some(accounts))) else {
            panic!("no change")
        };
        assert_eq!(proposal.attaches.unwrap().holder, PolicyHolder::Account(own));
        assert!(proposal.notes[0].contains("closes 2 accounts"), "{:?}", proposal.notes);
        assert!(matches!(plan(&unit, prior()), Decision::Refuse(why) if why.contains("has no unit")));
    }

    #[test]
    fn it_ends_by_itself_only_where_the_runbook_says_so() {
        let exempt = params(&["role/ir/IRResponder"]);
        assert!(!exempt.wished("aws").document.contains("CurrentTime"));
        let at = |end: &str| Params { expires: Some(end.parse().unwrap()), ..params(&["role/ir/IRResponder"]) };
        let Decision::Change(proposal) = plan(&at("2026-11-24T03:00:00Z"), prior()) else { panic!("no change") };
        let condition = &proposal.attaches.unwrap().document["Statement"][0]["Condition"];
        assert_eq!(condition["DateLessThan"]["aws:CurrentTime"], "2026-11-24T03:00:00Z");
        assert!(condition["ArnNotLike"].is_object(), "the exempt stay exempt");
        assert!(proposal.notes.iter().any(|note| note.contains("ends by itself")), "{:?}", proposal.notes);
        assert!(matches!(plan(&at("2026-11-23T14:43:00Z"), prior()), Decision::Refuse(why) if why.contains("is past")));
    }

    #[test]
    fn users_of_identity_center_are_denied_alone() {
        let users = Params { users: vec!["9067-1".into()], ..params(&["role/ir/IRResponder"]) };
        let document: Value = serde_json::from_str(&users.wished("aws").document).unwrap();
        let condition = &document["Statement"][0]["Condition"];
        assert_eq!(condition["StringEquals"]["identitystore:userId"], json!(["9067-1"]));
        assert_eq!(condition["ArnNotLike"]["aws:PrincipalArn"], json!(["arn:aws:iam::*:role/ir/IRResponder"]));
        let Decision::Change(proposal) = plan(&users, prior()) else { panic!("no change") };
        assert!(proposal.summary.contains("the Identity Center user 9067-1"), "{}", proposal.summary);
        assert!(proposal.by_hand[0].steps[2].contains("portal sessions"), "{:?}", proposal.by_hand);
    }
}
