//! `lambda.close-policy`

pub(super) mod statement;

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_lambda::Client;
use aws_sdk_lambda::types::FunctionUrlAuthType;
use futures::future::try_join_all;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{if_any, qualifier};
use crate::engine::action::{Action, Ctx, Decision, Found, Item, Proposal, View};
use crate::model::{ActionError, Effect, Resource, ResourceId, Tier, Undo, Verdict};

/// Takes outsiders out of the policies of functions, and closes their URLs.
pub struct ClosePolicy;

/// Who may stay.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// Outsiders that stay, as `lambda.functions` names them in `foreign`: accounts and principals by ARN, organisations by
    /// id. `everybody` leaves public functions public, their URLs too.
    #[serde(default)]
    pub keep: Vec<String>,
}

/// What is open.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Prior {
    /// Statements that let outsiders in, by version or alias and by their id.
    pub statements: BTreeMap<String, BTreeMap<String, Value>>,
    /// URLs that ask nobody who he is, by alias.
    pub urls: BTreeMap<String, String>,
}

impl Prior {
    /// The statements and URLs, named.
    fn names(&self) -> BTreeSet<String> {
        let of = |qualifier: &str| if qualifier.is_empty() { String::new() } else { format!(" of {qualifier}") };
        let statements = self.statements.iter().flat_map(|(qualifier, statements)| {
            statements.keys().map(move |id| format!("statement {id}{}", of(qualifier)))
        });
        statements.chain(self.urls.keys().map(|qualifier| format!("the URL{}", of(qualifier)))).collect()
    }

    fn outsiders(&self, account: &str) -> Vec<String> {
        let statements = self.statements.values().flat_map(BTreeMap::values);
        let names: BTreeSet<String> =
            statements.filter_map(|statement| statement::outsider(statement, account)).collect();
        names.into_iter().collect()
    }
}

impl Action for ClosePolicy {
    type Params = Params;
    type Prior = Prior;

    const NAME: &'static str = "lambda.close-policy";
    const TIER: Tier = Tier::Disruptive;
    const KINDS: &'static [&'static str] = &["lambda.function"];
    const TITLE: &'static str =
        "Take other accounts, organisations and everybody out of functions' policies, and close their URLs";
    const DESCRIPTION: &'static str = "Removes the statements that let everybody, an organisation, another account, or a service \
        on behalf of another account call a function: in the policy of the function and in those of its versions and aliases, \
        which are policies of their own. A function URL that asks nobody who he is (`AuthType` `NONE`) is set to `AWS_IAM`. \
        `keep` names outsiders that stay. The statements are kept in the plan and the journal.\n\n\
        It closes a way in that outlives every key: whoever calls the URL of a backdoor needs no credentials at all. The \
        function itself goes on: `lambda.stop` has it run nothing.\n\n\
        AWS pages: *Using resource-based policies for Lambda*, *Control access to Lambda function URLs*, *AddPermission*. \
        Fact A6.";
    const UNDO: &'static str = "Adds the statements again under their ids, and sets the URLs to `NONE`. What somebody changed \
        since is left alone. AWS refuses a statement whose principal is gone.";
    const PERMISSIONS: &'static [&'static str] = &[
        "lambda:GetFunctionUrlConfig",
        "lambda:GetPolicy",
        "lambda:ListAliases",
        "lambda:ListVersionsByFunction",
        "lambda:RemovePermission",
        "lambda:UpdateFunctionUrlConfig",
    ];
    const UNDO_PERMISSIONS: &'static [&'static str] = &["lambda:AddPermission"];
    const EXAMPLE: &'static str = "{ id: backdoors, uses: lambda.close-policy, on: functions }";

    async fn discover(
        &self,
        cx: &Ctx,
        params: &Params,
        members: &[Resource],
    ) -> Result<Vec<Found<Prior>>, ActionError> {
        let client = super::client(cx);
        let found = members.iter().map(|member| found(&client, cx.target.account.as_str(), params, &member.id));
        Ok(try_join_all(found).await?.into_iter().flatten().collect())
    }

    fn plan(&self, _: &View, _: &Params, found: &Found<Prior>) -> Decision {
        let prior = &found.prior;
        if *prior == Prior::default() {
            return Decision::Already;
        }
        let before = match (prior.outsiders("").join(", "), prior.urls.len()) {
            (names, 0) => format!("lets in {names}"),
            (names, _) if names.is_empty() => "has an open URL".to_owned(),
            (names, _) => format!("lets in {names}, and has an open URL"),
        };
        let undo = Undo::by("add the statements again, and open the URLs");
        let summary = format!("take outsiders out of the policy of the function {}", found.resource);
        let closed = prior.names().into_iter().collect::<Vec<_>>().join(", ");
        let proposal = Proposal::new(summary, before, "lets in its own account and its services", undo);
        Decision::Change(proposal.noting(format!("closes {closed}")))
    }

    /// What was closed by somebody else meanwhile was approved to be closed.
    fn drift(&self, approved: &Prior, now: &Prior) -> Option<String> {
        let newcomer = now.names().difference(&approved.names()).next().cloned()?;
        Some(format!("{newcomer} has come since that was approved"))
    }

    async fn apply(&self, cx: &Ctx, _: &Params, items: &[Item<Prior>]) -> Result<Vec<Effect>, ActionError> {
        let client = super::client(cx);
        for Item { resource, prior, .. } in items {
            for (of, statements) in &prior.statements {
                for id in statements.keys() {
                    let request = client.remove_permission().function_name(resource.as_str()).statement_id(id);
                    if_any(request.set_qualifier(qualifier(of)).send().await.map_err(ActionError::from))?;
                }
            }
            for of in prior.urls.keys() {
                set_auth(&client, resource, of, FunctionUrlAuthType::AwsIam).await?;
            }
        }
        Ok(vec![Value::Null; items.len()])
    }

    fn restored(&self, prior: &Prior, now: &Prior) -> Verdict {
        match prior.names().difference(&now.names()).next() {
            None => Verdict::Proven,
            Some(missing) => Verdict::Unproven { why: format!("{missing} is not back") },
        }
    }

    async fn undo(&self, cx: &Ctx, _: &Params, item: &Item<Prior>, _: &Effect) -> Result<(), ActionError> {
        let client = super::client(cx);
        for (of, statements) in &item.prior.statements {
            let now = ids(&client, &item.resource, of).await?;
            for statement in statements.iter().filter(|(id, _)| !now.contains(*id)).map(|(_, statement)| statement) {
                let request = statement::asked_for(client.add_permission(), statement);
                let request = request.function_name(item.resource.as_str()).set_qualifier(qualifier(of));
                if_any(request.send().await.map_err(ActionError::from))?;
            }
        }
        for of in item.prior.urls.keys() {
            set_auth(&client, &item.resource, of, FunctionUrlAuthType::None).await?;
        }
        Ok(())
    }
}

/// Sets how a URL asks who somebody is; one that is gone stays so.
async fn set_auth(client: &Client, name: &ResourceId, of: &str, auth: FunctionUrlAuthType) -> Result<(), ActionError> {
    let request = client.update_function_url_config().function_name(name.as_str()).set_qualifier(qualifier(of));
    if_any(request.auth_type(auth).send().await.map_err(ActionError::from)).map(drop)
}

/// The statements of a policy.
async fn statements(client: &Client, name: &ResourceId, of: &str) -> Result<Vec<Value>, ActionError> {
    let answer = client.get_policy().function_name(name.as_str()).set_qualifier(qualifier(of)).send().await;
    let policy = if_any(answer.map_err(ActionError::from))?.and_then(|answer| answer.policy);
    Ok(policy.map(|policy| statement::all(&policy)).unwrap_or_default())
}

async fn ids(client: &Client, name: &ResourceId, of: &str) -> Result<BTreeSet<String>, ActionError> {
    let statements = statements(client, name, of).await?;
    Ok(statements.iter().filter_map(|statement| statement["Sid"].as_str()).map(str::to_owned).collect())
}

/// The unpublished version, which has no name here, the published ones, and the aliases.
async fn qualifiers(client: &Client, name: &ResourceId) -> Result<Vec<String>, ActionError> {
    let mut names = vec![String::new()];
    let mut versions = client.list_versions_by_function().function_name(name.as_str()).into_paginator().items().send();
    while let Some(version) = versions.next().await {
        names.extend(version?.version.filter(|version| version != "$LATEST"));
    }
    let mut aliases = client.list_aliases().function_name(name.as_str()).into_paginator().items().send();
    while let Some(alias) = aliases.next().await {
        names.extend(alias?.name);
    }
    Ok(names)
}

/// A URL that asks nobody who he is.
async fn open_url(client: &Client, name: &ResourceId, of: &str) -> Result<Option<String>, ActionError> {
    let answer =
        client.get_function_url_config().function_name(name.as_str()).set_qualifier(qualifier(of)).send().await;
    let url = if_any(answer.map_err(ActionError::from))?;
    Ok(url.filter(|url| *url.auth_type() == FunctionUrlAuthType::None).map(|url| url.function_url))
}

/// What is open of a function; nothing when it is gone.
async fn found(
    client: &Client,
    account: &str,
    params: &Params,
    name: &ResourceId,
) -> Result<Option<Found<Prior>>, ActionError> {
    let Some(qualifiers) = if_any(qualifiers(client, name).await)? else { return Ok(None) };
    let leaves = |statement: &Value| match statement::outsider(statement, account) {
        Some(outsider) => !params.keep.contains(&outsider),
        None => false,
    };
    let mut prior = Prior::default();
    let public = params.keep.iter().any(|kept| kept == statement::EVERYBODY);
    for of in qualifiers {
        let open = statements(client, name, &of).await?.into_iter().filter(leaves);
        let open = open.filter_map(|statement| Some((statement["Sid"].as_str()?.to_owned(), statement)));
        let open: BTreeMap<String, Value> = open.collect();
        // A URL is for an alias or the unpublished version, and no number names an alias.
        let may_have_url = !public && of.parse::<u64>().is_err();
        if may_have_url && let Some(url) = open_url(client, name, &of).await? {
            prior.urls.insert(of.clone(), url);
        }
        if !open.is_empty() {
            prior.statements.insert(of, open);
        }
    }
    Ok(Some(Found { member: name.clone(), resource: name.clone(), prior }))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::actions::tests::view;

    fn prior(ids: &[&str], urls: &[&str]) -> Prior {
        let statement = |id: &str| json!({ "Sid": id, "Effect": "Allow", "Principal": "*" });
        let statements: BTreeMap<String, Value> = ids.iter().map(|id| ((*id).to_owned(), statement(id))).collect();
        let statements = if ids.is_empty() { BTreeMap::new() } else { [("live".to_owned(), statements)].into() };
        Prior { statements, urls: urls.iter().map(|of| ((*of).to_owned(), "https://x".to_owned())).collect() }
    }

    #[test]
    fn what_lets_outsiders_in_is_closed_and_named() {
        let name = ResourceId::new("beacon").unwrap();
        let plan = |prior| {
            let found = Found { member: name.clone(), resource: name.clone(), prior };
            ClosePolicy.plan(&view(), &Params { keep: Vec::new() }, &found)
        };
        assert_eq!(plan(prior(&[], &[])), Decision::Already);
        let Decision::Change(proposal) = plan(prior(&["open"], &[""])) else { panic!("no change") };
        assert_eq!(proposal.before, "lets in everybody, and has an open URL");
        assert_eq!(proposal.notes, ["closes statement open of live, the URL"]);
    }

    #[test]
    fn a_new_way_in_voids_the_approval_and_one_that_is_gone_does_not() {
        let (one, two) = (prior(&["a"], &[]), prior(&["a", "b"], &[]));
        assert_eq!(ClosePolicy.drift(&two, &one), None);
        assert!(ClosePolicy.drift(&one, &two).is_some_and(|why| why.contains("statement b of live")));
        assert!(matches!(ClosePolicy.restored(&two, &one), Verdict::Unproven { .. }));
    }
}
