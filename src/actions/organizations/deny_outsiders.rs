//! `organizations.deny-outsiders`

use aws_sdk_organizations::types::PolicyType;
use futures::future::try_join_all;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::actions::organization_policy::{Standing, Wished, limits};
use crate::engine::action::{Action, Ctx, Decision, Found, Item, Proposal, View};
use crate::model::{AccountId, ActionError, AttachedPolicy, Digest, Effect, PolicyHolder, Resource, Tier, Undo};
use crate::policy::deny_outsiders;

/// Keeps everybody from outside the organisation out of an account's resources, by a resource control policy.
pub struct DenyOutsiders;

/// From what, and who may stay.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// What outsiders must not do, by whole services or single actions. By default assume roles, and use Amazon S3, AWS KMS,
    /// Amazon SQS and AWS Secrets Manager.
    #[serde(default = "usual")]
    pub actions: Vec<String>,
    /// Account numbers outside the organisation that may go on: a vendor's.
    #[serde(default)]
    pub keep: Vec<String>,
    /// The name of the policy; by default one made from its content.
    #[serde(default)]
    pub name: Option<String>,
}

/// Not `sts:*`: whoever comes from an identity provider has no organisation yet, and would be denied as well.
fn usual() -> Vec<String> {
    ["sts:AssumeRole", "s3:*", "kms:*", "sqs:*", "secretsmanager:*"].map(str::to_owned).to_vec()
}

impl Params {
    fn wished(&self, organization: &str) -> Wished {
        let document = deny_outsiders(&self.actions, organization, &self.keep);
        let made = || format!("quell-deny-outsiders-{}", Digest::of(&document).short());
        let name = self.name.clone().unwrap_or_else(made);
        let about = "keeps everybody from outside the organisation out";
        Wished { kind: PolicyType::ResourceControlPolicy, name, document, about }
    }
}

/// The account in its organisation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Prior {
    /// `o-…`
    pub organization: String,
    /// Whether it is the management account, whose resources no RCP binds.
    pub management: bool,
    /// The policies there.
    pub standing: Standing,
}

impl Action for DenyOutsiders {
    type Params = Params;
    type Prior = Prior;

    const NAME: &'static str = "organizations.deny-outsiders";
    const TIER: Tier = Tier::Disruptive;
    const KINDS: &'static [&'static str] = &["account"];
    const TITLE: &'static str = "Keep everybody from outside the organisation out of the account's resources";
    const DESCRIPTION: &'static str = "Attaches a resource control policy to the account. Whatever trust policies, bucket policies \
        and key policies say, and whatever an intruder writes into them, principals of accounts outside the organisation \
        can no longer assume the account's roles or use its buckets, keys, queues and secrets. A policy on principals (SCP) \
        does not stop them, for they belong to other accounts. Services of AWS that act for themselves are spared, and so are \
        service-linked roles and the resources of the management account. Sessions that outsiders started live on until \
        they are revoked. Vendors that work in the account are locked out unless `keep` names them. Who comes from an identity \
        provider is not stopped: see iam.remove-identity-providers.\n\n\
        The organisation must have resource control policies switched on; quell does not switch them on.\n\n\
        AWS pages: *Resource control policies (RCPs)*, *RCP syntax*, *Quotas and service limits for AWS Organizations*.";
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
    const EXAMPLE: &'static str =
        "{ id: outsiders, uses: organizations.deny-outsiders, with: { keep: [\"111122223333\"] } }";

    async fn discover(
        &self,
        cx: &Ctx,
        params: &Params,
        members: &[Resource],
    ) -> Result<Vec<Found<Prior>>, ActionError> {
        let client = super::client(cx);
        let organization = client.describe_organization().send().await?.organization;
        let id = organization.as_ref().and_then(|organization| organization.id()).unwrap_or_default().to_owned();
        let management = organization.as_ref().and_then(|organization| organization.master_account_id());
        let wished = params.wished(&id);
        let found = members.iter().map(|member| async {
            let standing = wished.standing(&client, member.id.as_str()).await?;
            let prior =
                Prior { organization: id.clone(), management: management == Some(member.id.as_str()), standing };
            Ok(Found { member: member.id.clone(), resource: member.id.clone(), prior })
        });
        try_join_all(found).await
    }

    fn plan(&self, _: &View, params: &Params, found: &Found<Prior>) -> Decision {
        let (account, prior) = (&found.resource, &found.prior);
        if let Some(action) = params.actions.iter().find(|action| !action.contains(':')) {
            return Decision::Refuse(format!("`{action}` in with.actions: an RCP names services, such as s3:*"));
        }
        if prior.management {
            return Decision::Refuse(format!("{account} is the management account: no RCP binds its resources"));
        }
        if !prior.standing.enabled {
            let why = "the organisation has resource control policies switched off: enable the policy type on its root";
            return Decision::Refuse(why.to_owned());
        }
        let wished = params.wished(&prior.organization);
        let (longest, attachments) = limits(&wished.kind);
        let size = wished.document.chars().count();
        if size > longest {
            return Decision::Refuse(format!("the policy has {size} characters, and AWS takes {longest}"));
        }
        match &prior.standing.policy {
            Some(policy) if !policy.same => {
                let why = format!("a policy {} with another content exists: give another with.name", wished.name);
                return Decision::Refuse(why);
            }
            Some(policy) if policy.attached => return Decision::Already,
            _ => {}
        }
        if prior.standing.attachments >= attachments {
            return Decision::Skip(format!("{attachments} RCPs are attached to {account}: detach one by hand"));
        }
        let Ok(holder) = AccountId::new(account.as_str()) else {
            return Decision::Skip(format!("`{account}` is not an account"));
        };
        let document = serde_json::from_str(&wished.document).expect("a document of quell's own");
        let policy = AttachedPolicy { document, holder: PolicyHolder::Resources(holder) };
        let kept = if params.keep.is_empty() { String::new() } else { format!(", except {}", params.keep.join(", ")) };
        let proposal = Proposal::new(
            format!("keep everybody outside the organisation out of account {account}{kept}"),
            "outsiders as its policies let them",
            format!("{} attached", wished.name),
            Undo::by("detach the policy"),
        );
        let proposal = proposal
            .noting("vendors and partners of other organisations lose their access unless with.keep names them");
        Decision::Change(
            proposal.noting("sessions that outsiders started live on until they are revoked").attaching(policy),
        )
    }

    fn drift(&self, approved: &Prior, now: &Prior) -> Option<String> {
        // The policy itself may have come about meanwhile, for another account of the same step.
        let other = now.standing.policy.as_ref().is_some_and(|policy| !policy.same);
        let same = approved.management == now.management
            && approved.organization == now.organization
            && approved.standing.enabled == now.standing.enabled;
        (other || !same).then(|| "the organisation is not as it was approved".to_owned())
    }

    async fn apply(&self, cx: &Ctx, params: &Params, items: &[Item<Prior>]) -> Result<Vec<Effect>, ActionError> {
        let client = super::client(cx);
        let mut effects = Vec::with_capacity(items.len());
        for item in items {
            let wished = params.wished(&item.prior.organization);
            let known = item.prior.standing.policy.as_ref();
            let policy = wished.attach(&client, cx, known, item.resource.as_str()).await?;
            effects.push(json!({ "policy": policy }));
        }
        Ok(effects)
    }

    async fn undo(&self, cx: &Ctx, params: &Params, item: &Item<Prior>, effect: &Effect) -> Result<(), ActionError> {
        let wished = params.wished(&item.prior.organization);
        let id = effect.get("policy").and_then(Value::as_str);
        let before = item.prior.standing.policy.as_ref();
        wished.take_back(&super::client(cx), id, before, item.resource.as_str()).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::actions::tests::view;
    use crate::model::ResourceId;

    fn params() -> Params {
        Params { actions: usual(), keep: vec!["999988887777".into()], name: None }
    }

    fn plan(params: &Params, management: bool, enabled: bool) -> Decision {
        let id = ResourceId::new("444455556666").unwrap();
        let standing = Standing { enabled, attachments: 1, policy: None };
        let prior = Prior { organization: "o-example".into(), management, standing };
        DenyOutsiders.plan(&view(), params, &Found { member: id.clone(), resource: id, prior })
    }

    #[test]
    fn outsiders_are_who_is_neither_of_the_organisation_nor_kept() {
        let Decision::Change(proposal) = plan(&params(), false, true) else { panic!("no change") };
        assert!(proposal.summary.ends_with("except 999988887777"), "{}", proposal.summary);
        let policy = proposal.attaches.unwrap();
        assert!(matches!(policy.holder, PolicyHolder::Resources(_)));
        let outside = &policy.document["Statement"][0]["Condition"]["StringNotEqualsIfExists"];
        let expected = json!({ "aws:PrincipalOrgID": "o-example", "aws:PrincipalAccount": ["999988887777"] });
        assert_eq!(*outside, expected);
    }

    #[test]
    fn what_would_do_nothing_or_be_no_rcp_is_refused() {
        assert!(matches!(plan(&params(), true, true), Decision::Refuse(why) if why.contains("management")));
        assert!(matches!(plan(&params(), false, false), Decision::Refuse(why) if why.contains("switched off")));
        let all = Params { actions: vec!["*".into()], ..params() };
        assert!(matches!(plan(&all, false, true), Decision::Refuse(why) if why.contains("with.actions")));
    }
}
