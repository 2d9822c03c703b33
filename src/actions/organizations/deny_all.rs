//! `organizations.deny-all`

use aws_sdk_organizations::Client;
use aws_sdk_organizations::types::{PolicySummary, PolicyType, PolicyTypeStatus, Tag};
use futures::future::try_join_all;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::engine::action::{Action, Ctx, Decision, Found, Item, Proposal, View};
use crate::model::{
    AccountId, ActionError, AttachedPolicy, Digest, Effect, ErrorKind, PolicyHolder, Resource, ResourceId, Tier, Undo,
};
use crate::policy::deny_all_except_roles;

/// How many characters an SCP may have; through the API white space counts.
const DOCUMENT_LIMIT: usize = 10_240;
/// How many SCPs may be attached to one account.
const ATTACHMENT_LIMIT: usize = 10;

/// Denies everything in an account, by a service control policy.
pub struct DenyAll;

/// Whom the policy spares.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// The roles that keep working, at least one: `role/ir/IRResponder` (in every account), or ARNs; `*` is a wildcard.
    pub exempt: Vec<String>,
    /// The name of the policy; by default one made from its content.
    #[serde(default)]
    pub name: Option<String>,
}

impl Params {
    /// The document; the same parameters always give the same text.
    fn document(&self, partition: &str) -> String {
        let arn = |role: &String| match role.as_str() {
            arn if arn.starts_with("arn:") => arn.to_owned(),
            role => format!("arn:{partition}:iam::*:role/{}", role.strip_prefix("role/").unwrap_or(role)),
        };
        deny_all_except_roles(&self.exempt.iter().map(arn).collect::<Vec<_>>())
    }

    fn policy_name(&self, document: &str) -> String {
        let made = || format!("quell-deny-all-{}", Digest::of(document).short());
        self.name.clone().unwrap_or_else(made)
    }
}

/// The account in its organisation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Prior {
    /// Whether it is the management account, which no SCP binds.
    pub management: bool,
    /// Whether the organisation has SCPs switched on.
    pub scp_enabled: bool,
    /// How many SCPs are attached to the account itself.
    pub attachments: usize,
    /// The policy of the name that would be used, if there is one.
    pub policy: Option<Policy>,
}

/// A policy of the organisation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Policy {
    /// `p-…`
    pub id: String,
    /// Whether its content is the one wished.
    pub same: bool,
    /// Whether it is attached to the account.
    pub attached: bool,
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
        out. It does not bind the management account, service-linked roles, services, or principals of other accounts; \
        what runs goes on running: compute needs its own steps. Every workload of the account that calls AWS stops \
        working.\n\n\
        AWS pages: *Service control policies (SCPs)*, *SCP syntax*, *Quotas and service limits for AWS Organizations*.";
    const UNDO: &'static str =
        "Detaches the policy, and deletes it when the run made it and it is attached nowhere else.";
    const PERMISSIONS: &'static [&'static str] = &[
        "organizations:DescribeOrganization",
        "organizations:ListRoots",
        "organizations:ListPolicies",
        "organizations:ListPoliciesForTarget",
        "organizations:DescribePolicy",
        "organizations:CreatePolicy",
        "organizations:TagResource",
        "organizations:AttachPolicy",
    ];
    const UNDO_PERMISSIONS: &'static [&'static str] = &["organizations:DetachPolicy", "organizations:DeletePolicy"];
    const EXAMPLE: &'static str = "{ id: lock, uses: organizations.deny-all, with: { exempt: [role/ir/IRResponder] } }";

    async fn discover(
        &self,
        cx: &Ctx,
        params: &Params,
        members: &[Resource],
    ) -> Result<Vec<Found<Prior>>, ActionError> {
        let client = super::client(cx);
        let found = members.iter().map(|member| found(&client, cx, params, &member.id));
        try_join_all(found).await
    }

    fn plan(&self, view: &View, params: &Params, found: &Found<Prior>) -> Decision {
        let (account, prior) = (&found.resource, &found.prior);
        if params.exempt.iter().all(|role| role.trim().is_empty()) {
            return Decision::Refuse("no role is exempt: nobody could work in the account; set with.exempt".to_owned());
        }
        if prior.management {
            return Decision::Refuse(format!("{account} is the management account: no SCP binds it; use iam.deny-all"));
        }
        if !prior.scp_enabled {
            let why = "the organisation has service control policies switched off: enable the policy type on its root";
            return Decision::Refuse(why.to_owned());
        }
        let document = params.document(view.caller.partition());
        let size = document.chars().count();
        if size > DOCUMENT_LIMIT {
            return Decision::Refuse(format!("the policy has {size} characters, and AWS takes {DOCUMENT_LIMIT}"));
        }
        let name = params.policy_name(&document);
        match &prior.policy {
            Some(policy) if !policy.same => {
                return Decision::Refuse(format!(
                    "a policy {name} with another content exists: give another with.name"
                ));
            }
            Some(policy) if policy.attached => return Decision::Already,
            _ => {}
        }
        if prior.attachments >= ATTACHMENT_LIMIT {
            return Decision::Skip(format!("{ATTACHMENT_LIMIT} SCPs are attached to {account}: detach one by hand"));
        }
        let Ok(holder) = AccountId::new(account.as_str()) else {
            return Decision::Skip(format!("`{account}` is not an account"));
        };
        let document = serde_json::from_str(&document).expect("a document of quell's own");
        let policy = AttachedPolicy { document, holder: PolicyHolder::Account(holder) };
        let undo = Undo::by("detach the policy");
        let after = format!("{name} attached, exempt: {}", params.exempt.join(", "));
        let proposal = Proposal::new(format!("deny everything in account {account}"), "no deny", after, undo);
        let note = "every workload of the account that calls AWS stops working; what runs goes on running";
        Decision::Change(proposal.noting(note).attaching(policy))
    }

    fn drift(&self, approved: &Prior, now: &Prior) -> Option<String> {
        // The policy itself may have come about meanwhile, for another account of the same step.
        let other = now.policy.as_ref().is_some_and(|policy| !policy.same);
        if other || approved.management != now.management || approved.scp_enabled != now.scp_enabled {
            return Some("the organisation is not as it was approved".to_owned());
        }
        None
    }

    async fn apply(&self, cx: &Ctx, params: &Params, items: &[Item<Prior>]) -> Result<Vec<Effect>, ActionError> {
        let client = super::client(cx);
        let mut effects = Vec::with_capacity(items.len());
        for item in items {
            let policy = match &item.prior.policy {
                Some(policy) => policy.id.clone(),
                None => create(&client, cx, params).await?,
            };
            let request = client.attach_policy().policy_id(&policy).target_id(item.resource.as_str());
            match request.send().await.map_err(ActionError::from) {
                Err(error) if !error.is("DuplicatePolicyAttachmentException") => return Err(error),
                _ => effects.push(json!({ "policy": policy })),
            }
        }
        Ok(effects)
    }

    async fn undo(&self, cx: &Ctx, params: &Params, item: &Item<Prior>, effect: &Effect) -> Result<(), ActionError> {
        if item.prior.policy.as_ref().is_some_and(|policy| policy.attached) {
            return Ok(());
        }
        let client = super::client(cx);
        let policy = match effect.get("policy").and_then(Value::as_str) {
            Some(policy) => policy.to_owned(),
            None => match by_name(&client, &params.policy_name(&params.document(cx.view.caller.partition()))).await? {
                Some(policy) => policy.id.unwrap_or_default(),
                None => return Ok(()),
            },
        };
        let detach = client.detach_policy().policy_id(&policy).target_id(item.resource.as_str());
        match detach.send().await.map_err(ActionError::from) {
            Err(error) if error.kind != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        if item.prior.policy.is_some() {
            return Ok(());
        }
        match client.delete_policy().policy_id(&policy).send().await.map_err(ActionError::from) {
            // Attached to another account still: that account's rollback deletes it.
            Err(error) if error.is("PolicyInUseException") || error.kind == ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
            Ok(_) => Ok(()),
        }
    }
}

async fn found(client: &Client, cx: &Ctx, params: &Params, account: &ResourceId) -> Result<Found<Prior>, ActionError> {
    let document = params.document(cx.view.caller.partition());
    let name = params.policy_name(&document);
    let management = async {
        let organization = client.describe_organization().send().await.map_err(ActionError::from)?.organization;
        Ok(organization.is_some_and(|organization| organization.master_account_id() == Some(account.as_str())))
    };
    let (management, scp_enabled, attached, named) = futures::try_join!(
        Box::pin(management),
        Box::pin(scp_enabled(client)),
        Box::pin(attached(client, account.as_str())),
        Box::pin(by_name(client, &name)),
    )?;
    let policy = match named.and_then(|policy| policy.id) {
        None => None,
        Some(id) => {
            let same = has_content(client, &id, &document).await?;
            let attached = attached.iter().any(|policy| policy.id() == Some(&id));
            Some(Policy { id, same, attached })
        }
    };
    let prior = Prior { management, scp_enabled, attachments: attached.len(), policy };
    Ok(Found { member: account.clone(), resource: account.clone(), prior })
}

async fn scp_enabled(client: &Client) -> Result<bool, ActionError> {
    let mut pages = client.list_roots().into_paginator().send();
    while let Some(page) = pages.next().await {
        let enabled = |policy: &aws_sdk_organizations::types::PolicyTypeSummary| {
            policy.r#type() == Some(&PolicyType::ServiceControlPolicy)
                && policy.status() == Some(&PolicyTypeStatus::Enabled)
        };
        if page?.roots().iter().flat_map(aws_sdk_organizations::types::Root::policy_types).any(enabled) {
            return Ok(true);
        }
    }
    Ok(false)
}

async fn attached(client: &Client, account: &str) -> Result<Vec<PolicySummary>, ActionError> {
    let request = client.list_policies_for_target().target_id(account).filter(PolicyType::ServiceControlPolicy);
    let mut pages = request.into_paginator().send();
    let mut policies = Vec::new();
    while let Some(page) = pages.next().await {
        policies.extend(page?.policies.unwrap_or_default());
    }
    Ok(policies)
}

async fn by_name(client: &Client, name: &str) -> Result<Option<PolicySummary>, ActionError> {
    let mut pages = client.list_policies().filter(PolicyType::ServiceControlPolicy).into_paginator().send();
    while let Some(page) = pages.next().await {
        let policies = page?.policies.unwrap_or_default();
        if let Some(policy) = policies.into_iter().find(|policy| policy.name() == Some(name)) {
            return Ok(Some(policy));
        }
    }
    Ok(None)
}

/// Whether a policy says what `document` says, white space apart.
async fn has_content(client: &Client, id: &str, document: &str) -> Result<bool, ActionError> {
    let policy = client.describe_policy().policy_id(id).send().await?.policy;
    let json = |text: &str| serde_json::from_str::<Value>(text).ok();
    Ok(policy.and_then(|policy| policy.content).and_then(|content| json(&content)) == json(document))
}

/// Creates the policy, or finds the one that was created for another account just now.
async fn create(client: &Client, cx: &Ctx, params: &Params) -> Result<String, ActionError> {
    let document = params.document(cx.view.caller.partition());
    let name = params.policy_name(&document);
    let tag = Tag::builder().key("quell:case").value(cx.view.case.as_str()).build();
    let tag = tag.map_err(|error| ActionError::new(ErrorKind::Other, error.to_string()))?;
    let request = client
        .create_policy()
        .name(&name)
        .description(format!("quell {}: denies everything except to responder roles", cx.view.case))
        .content(&document)
        .r#type(PolicyType::ServiceControlPolicy)
        .tags(tag);
    let known = match request.send().await.map_err(ActionError::from) {
        Ok(answer) => answer.policy.and_then(|policy| policy.policy_summary).and_then(|policy| policy.id),
        Err(error) if error.is("DuplicatePolicyException") => match by_name(client, &name).await? {
            Some(PolicySummary { id: Some(id), .. }) if has_content(client, &id, &document).await? => Some(id),
            _ => return Err(error),
        },
        Err(error) => return Err(error),
    };
    known.ok_or_else(|| ActionError::new(ErrorKind::Unsupported, "organizations:CreatePolicy gave no policy id"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::actions::tests::view;

    fn params(exempt: &[&str]) -> Params {
        Params { exempt: exempt.iter().map(ToString::to_string).collect(), name: None }
    }

    fn prior() -> Prior {
        Prior { management: false, scp_enabled: true, attachments: 1, policy: None }
    }

    fn plan(params: &Params, prior: Prior) -> Decision {
        let id = ResourceId::new("444455556666").unwrap();
        DenyAll.plan(&view(), params, &Found { member: id.clone(), resource: id, prior })
    }

    #[test]
    fn the_document_spares_the_exempt_roles_in_every_account() {
        let document = params(&["role/ir/IRResponder", "arn:aws:iam::111122223333:role/x"]).document("aws");
        assert!(document.contains(r#"["arn:aws:iam::*:role/ir/IRResponder","arn:aws:iam::111122223333:role/x"]"#));
        let Decision::Change(proposal) = plan(&params(&["role/ir/IRResponder"]), prior()) else { panic!("no change") };
        let account = AccountId::new("444455556666").unwrap();
        assert_eq!(proposal.attaches.unwrap().holder, PolicyHolder::Account(account));
    }

    #[test]
    fn what_would_lock_out_or_do_nothing_is_refused() {
        let exempt = params(&["role/ir/IRResponder"]);
        assert!(matches!(plan(&params(&[]), prior()), Decision::Refuse(why) if why.contains("with.exempt")));
        assert!(matches!(plan(&exempt, Prior { management: true, ..prior() }), Decision::Refuse(_)));
        assert!(matches!(plan(&exempt, Prior { scp_enabled: false, ..prior() }), Decision::Refuse(_)));
        let other = Policy { id: "p-1".into(), same: false, attached: false };
        assert!(matches!(plan(&exempt, Prior { policy: Some(other), ..prior() }), Decision::Refuse(_)));
        let long = params(&vec!["role/ir/IRResponder"; 400]);
        assert!(matches!(plan(&long, prior()), Decision::Refuse(why) if why.contains("10240")));
    }

    #[test]
    fn attached_is_already_and_a_full_account_is_skipped() {
        let exempt = params(&["role/ir/IRResponder"]);
        let attached = Policy { id: "p-1".into(), same: true, attached: true };
        assert_eq!(plan(&exempt, Prior { policy: Some(attached), ..prior() }), Decision::Already);
        assert!(matches!(plan(&exempt, Prior { attachments: 10, ..prior() }), Decision::Skip(_)));
    }
}
