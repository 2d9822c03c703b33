//! `organizations.move-account`

use aws_sdk_organizations::Client;
use aws_sdk_organizations::types::{ParentType, PolicyType};
use futures::future::try_join_all;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::engine::action::{Action, Ctx, Decision, Found, Item, Proposal, View};
use crate::model::{AccountId, ActionError, AttachedPolicy, Effect, ErrorKind, PolicyHolder, Resource, Tier, Undo};

/// The policy that allows everything, which AWS owns.
const FULL_ACCESS: &str = "p-FullAWSAccess";

/// Moves an account into an organisational unit whose policies close it.
pub struct MoveAccount;

/// Where to.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// The id of the quarantine unit: `ou-ab12-11111111`.
    pub to: String,
}

/// The account in its organisation, and the unit that it is to be moved to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Prior {
    /// The management account.
    pub management: String,
    /// The root or unit that the account is in.
    pub parent: String,
    /// The unit, if there is one of that id.
    pub unit: Option<Unit>,
}

/// What binds the accounts of a unit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Unit {
    /// Its name.
    pub name: String,
    /// The unit and those above it, the root included, on which `FullAWSAccess` is not attached.
    pub selective: Vec<String>,
    /// The texts of all other service control policies of the unit and those above it.
    pub denies: Vec<String>,
}

impl Unit {
    /// All statements that bind the accounts of the unit, as one policy. A name that two of them share is left out: within
    /// one policy it would be a mistake.
    fn document(&self) -> Result<Value, String> {
        let mut statements: Vec<Value> = Vec::new();
        for text in &self.denies {
            let policy: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
            match policy["Statement"].clone() {
                Value::Array(several) => statements.extend(several),
                one => statements.push(one),
            }
        }
        for nth in 1..statements.len() {
            let (before, rest) = statements.split_at_mut(nth);
            let taken = before.iter().any(|statement| statement["Sid"] == rest[0]["Sid"]);
            if let Some(statement) = rest[0].as_object_mut().filter(|_| taken) {
                statement.remove("Sid");
            }
        }
        Ok(json!({ "Version": "2012-10-17", "Statement": statements }))
    }
}

impl Action for MoveAccount {
    type Params = Params;
    type Prior = Prior;

    const NAME: &'static str = "organizations.move-account";
    const TIER: Tier = Tier::Disruptive;
    const KINDS: &'static [&'static str] = &["account"];
    const TITLE: &'static str = "Move the account to a quarantine unit, whose policies close it";
    const DESCRIPTION: &'static str = "Moves the account to an organisational unit to which service control policies are \
        already attached: one call, which no attachment quota limits. Only the management account may move accounts; a \
        delegated administrator attaches a policy by `organizations.deny-all` instead, which has fewer side effects.\n\n\
        The account loses every policy that it inherited where it was: SCPs, RCPs, tag, backup and declarative policies. \
        Stack sets that are managed by the service may delete their stacks when an account leaves their unit, perhaps \
        even the responders' role; Control Tower reports the account as drifted. SCPs do not bind the management \
        account, service-linked roles, or principals of other accounts.\n\n\
        The plan is refused when nothing would be denied in the unit, when its policies would lock out the responders, \
        and when somewhere above it `FullAWSAccess` was replaced by a list, whose effect is not evaluated here.\n\n\
        AWS pages: *Moving accounts to an organizational unit*, *SCP evaluation*, *Managing StackSets with AWS \
        Organizations*.";
    const UNDO: &'static str = "Moves the account back to where it was, unless somebody has moved it on meanwhile.";
    const PERMISSIONS: &'static [&'static str] = &[
        "organizations:DescribeOrganization",
        "organizations:DescribeOrganizationalUnit",
        "organizations:DescribePolicy",
        "organizations:ListParents",
        "organizations:ListPoliciesForTarget",
        "organizations:MoveAccount",
    ];
    const UNDO_PERMISSIONS: &'static [&'static str] = &[];
    const EXAMPLE: &'static str = "{ id: lock, uses: organizations.move-account, with: { to: ou-ab12-11111111 } }";

    async fn discover(
        &self,
        cx: &Ctx,
        params: &Params,
        members: &[Resource],
    ) -> Result<Vec<Found<Prior>>, ActionError> {
        let client = super::client(cx);
        let management = client.describe_organization().send().await?.organization;
        let management = management.and_then(|organization| organization.master_account_id).unwrap_or_default();
        let unit = unit(&client, &params.to).await?;
        let found = members.iter().map(|member| async {
            let (parent, _) = parent(&client, member.id.as_str()).await?;
            let prior = Prior { management: management.clone(), parent, unit: unit.clone() };
            Ok(Found { member: member.id.clone(), resource: member.id.clone(), prior })
        });
        try_join_all(found).await
    }

    fn plan(&self, view: &View, params: &Params, found: &Found<Prior>) -> Decision {
        let (account, prior, to) = (&found.resource, &found.prior, &params.to);
        if account.as_str() == prior.management {
            return Decision::Refuse(format!("{account} is the management account: no SCP binds it; use iam.deny-all"));
        }
        if view.caller.account.as_str() != prior.management {
            let why = "only the management account may move accounts; use organizations.deny-all";
            return Decision::Refuse(format!("the caller is of account {}: {why}", view.caller.account));
        }
        let Some(unit) = &prior.unit else {
            return Decision::Refuse(format!("the organisation has no unit `{to}`: with.to is a unit's id, ou-…"));
        };
        if !unit.selective.is_empty() {
            let places = unit.selective.join(", ");
            return Decision::Refuse(format!(
                "FullAWSAccess is not attached to {places}: whom the lists there lock out is not known"
            ));
        }
        if unit.denies.is_empty() {
            return Decision::Refuse(format!("no policy denies anything in `{}` ({to}): attach one first", unit.name));
        }
        if prior.parent == *to {
            return Decision::Already;
        }
        let document = match unit.document() {
            Ok(document) => document,
            Err(why) => return Decision::Refuse(format!("a policy of `{}` ({to}) cannot be read: {why}", unit.name)),
        };
        let Ok(holder) = AccountId::new(account.as_str()) else {
            return Decision::Skip(format!("`{account}` is not an account"));
        };
        let summary = format!("move account {account} to `{}` ({to})", unit.name);
        let undo = Undo::by(format!("move it back to {}", prior.parent));
        let undo = undo.losing("stacks that a service-managed stack set deletes when the account leaves its unit");
        let proposal = Proposal::new(summary, format!("in {}", prior.parent), format!("in {to}"), undo)
            .noting("every policy inherited where the account was is gone: SCPs, RCPs, tag, backup and declarative policies")
            .noting("service-managed stack sets may delete their stacks, perhaps the responders' role; Control Tower drifts")
            .attaching(AttachedPolicy { document, holder: PolicyHolder::Account(holder) });
        Decision::Change(proposal)
    }

    async fn apply(&self, cx: &Ctx, params: &Params, items: &[Item<Prior>]) -> Result<Vec<Effect>, ActionError> {
        let client = super::client(cx);
        for item in items.iter().filter(|item| item.prior.parent != params.to) {
            move_to(&client, item.resource.as_str(), &item.prior.parent, &params.to).await?;
        }
        Ok(items.iter().map(|_| Effect::Null).collect())
    }

    async fn undo(&self, cx: &Ctx, params: &Params, item: &Item<Prior>, _: &Effect) -> Result<(), ActionError> {
        let client = super::client(cx);
        let account = item.resource.as_str();
        match parent(&client, account).await?.0 {
            now if now == item.prior.parent => Ok(()),
            now if now == params.to => move_to(&client, account, &now, &item.prior.parent).await,
            now => Err(ActionError::new(
                ErrorKind::WrongState,
                format!("account {account} is in {now} by now, where quell did not move it: it stays there"),
            )),
        }
    }
}

/// Moves an account; that it is there already is no error.
async fn move_to(client: &Client, account: &str, from: &str, to: &str) -> Result<(), ActionError> {
    let request = client.move_account().account_id(account).source_parent_id(from).destination_parent_id(to);
    match request.send().await.map_err(ActionError::from) {
        Err(error) if error.is("DuplicateAccountException") => Ok(()),
        // An attempt whose answer was lost has moved it.
        Err(error) if error.is("SourceParentNotFoundException") && parent(client, account).await?.0 == to => Ok(()),
        Err(error) => Err(error),
        Ok(_) => Ok(()),
    }
}

/// The root or unit that an account or unit is in, and which of both it is.
async fn parent(client: &Client, child: &str) -> Result<(String, ParentType), ActionError> {
    let mut pages = client.list_parents().child_id(child).into_paginator().send();
    while let Some(page) = pages.next().await {
        // Every child has exactly one parent; a page may still be empty.
        for parent in page?.parents.unwrap_or_default() {
            if let (Some(id), Some(kind)) = (parent.id, parent.r#type) {
                return Ok((id, kind));
            }
        }
    }
    Err(ActionError::new(ErrorKind::Unsupported, format!("organizations:ListParents named no parent of {child}")))
}

/// The unit of an id, with the policies that bind its accounts.
async fn unit(client: &Client, id: &str) -> Result<Option<Unit>, ActionError> {
    if !id.starts_with("ou-") {
        return Ok(None);
    }
    let described = client.describe_organizational_unit().organizational_unit_id(id).send().await;
    let name = match described.map_err(ActionError::from) {
        Err(error) if error.kind == ErrorKind::NotFound => return Ok(None),
        described => described?.organizational_unit.and_then(|unit| unit.name).unwrap_or_default(),
    };
    let mut unit = Unit { name, selective: Vec::new(), denies: Vec::new() };
    let mut place = id.to_owned();
    loop {
        let mut is_selective = true;
        let request = client.list_policies_for_target().target_id(&place).filter(PolicyType::ServiceControlPolicy);
        let mut pages = request.into_paginator().send();
        while let Some(page) = pages.next().await {
            for policy in page?.policies.unwrap_or_default().into_iter().filter_map(|policy| policy.id) {
                if policy == FULL_ACCESS {
                    is_selective = false;
                } else {
                    let content = client.describe_policy().policy_id(&policy).send().await?.policy;
                    unit.denies.extend(content.and_then(|policy| policy.content));
                }
            }
        }
        if is_selective {
            unit.selective.push(place.clone());
        }
        if place.starts_with("r-") {
            return Ok(Some(unit));
        }
        place = parent(client, &place).await?.0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::actions::tests::view;
    use crate::model::ResourceId;

    const DENY: &str =
        r#"{"Version":"2012-10-17","Statement":{"Sid":"No","Effect":"Deny","Action":"*","Resource":"*"}}"#;

    fn prior() -> Prior {
        let unit = Unit { name: "quarantine".into(), selective: Vec::new(), denies: vec![DENY.into(), DENY.into()] };
        let management = view().caller.account.to_string();
        Prior { management, parent: "r-ab12".into(), unit: Some(unit) }
    }

    fn plan(account: &str, prior: Prior) -> Decision {
        let id = ResourceId::new(account).unwrap();
        let found = Found { member: id.clone(), resource: id, prior };
        MoveAccount.plan(&view(), &Params { to: "ou-ab12-11111111".into() }, &found)
    }

    fn refused(account: &str, prior: Prior) -> String {
        match plan(account, prior) {
            Decision::Refuse(why) => why,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_plan_names_the_side_effects_and_all_that_will_bind_the_account() {
        let Decision::Change(proposal) = plan("444455556666", prior()) else { panic!("no change") };
        assert!(proposal.notes.iter().any(|note| note.contains("stack sets")));
        assert!(proposal.notes.iter().any(|note| note.contains("inherited")));
        let statements = proposal.attaches.unwrap().document["Statement"].as_array().unwrap().clone();
        assert_eq!((statements.len(), &statements[0]["Sid"], statements[1].get("Sid")), (2, &json!("No"), None));
    }

    #[test]
    fn a_move_that_denies_nothing_or_whose_effect_is_unknown_is_refused() {
        let with = |change: fn(&mut Unit)| {
            let mut prior = prior();
            change(prior.unit.as_mut().unwrap());
            prior
        };
        assert!(refused("444455556666", with(|unit| unit.denies.clear())).contains("no policy denies"));
        assert!(refused("444455556666", with(|unit| unit.selective.push("r-ab12".into()))).contains("is not known"));
        assert!(refused("444455556666", with(|unit| unit.denies[0].clear())).contains("cannot be read"));
        assert!(refused("444455556666", Prior { unit: None, ..prior() }).contains("has no unit"));
    }

    #[test]
    fn the_management_account_stays_and_only_it_may_move_others() {
        let management = prior().management;
        assert!(refused(&management, prior()).contains("no SCP binds it"));
        let delegated = Prior { management: "999988887777".into(), ..prior() };
        assert!(refused("444455556666", delegated).contains("only the management account"));
    }

    #[test]
    fn an_account_that_is_there_is_left_alone() {
        assert_eq!(plan("444455556666", Prior { parent: "ou-ab12-11111111".into(), ..prior() }), Decision::Already);
    }
}
