//! `lambda.stop`

use std::collections::BTreeMap;

use aws_sdk_lambda::Client;
use aws_sdk_lambda::types::EventSourceMappingConfiguration;
use futures::future::try_join_all;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::time::{Duration, sleep};

use super::{if_any, name_in, qualifier_in};
use crate::engine::action::{Action, Ctx, Decision, Found, Item, Proposal, View};
use crate::model::{ActionError, Effect, ErrorKind, Resource, ResourceId, Tier, Undo, Verdict};

/// How long a mapping may take until it can be changed.
const SETTLED_WITHIN: Duration = Duration::from_mins(3);
/// How often it is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Has functions run nothing.
pub struct Stop;

/// The action has no parameters.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {}

/// A function before it is stopped.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Prior {
    /// Its reserved concurrency, if it has any.
    pub reserved: Option<i32>,
    /// Its provisioned concurrency, by version or alias.
    pub provisioned: BTreeMap<String, i32>,
    /// Its event source mappings: id, and `Enabled`, `Disabling`, `Disabled`, …
    pub mappings: BTreeMap<String, String>,
}

impl Prior {
    /// The mappings that have the function work, or are about to.
    fn working(&self) -> impl Iterator<Item = &String> {
        self.mappings.iter().filter(|(_, state)| works(state)).map(|(id, _)| id)
    }

    fn described(&self) -> String {
        let reserved = match self.reserved {
            None => "no reserved concurrency".to_owned(),
            Some(count) => format!("reserved concurrency {count}"),
        };
        match self.working().count() {
            0 => reserved,
            1 => format!("{reserved}, an event source"),
            count => format!("{reserved}, {count} event sources"),
        }
    }
}

/// What was done to a function.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Done {
    /// The mappings that were disabled.
    disabled: Vec<String>,
}

impl Action for Stop {
    type Params = Params;
    type Prior = Prior;

    const NAME: &'static str = "lambda.stop";
    const TIER: Tier = Tier::Disruptive;
    const KINDS: &'static [&'static str] = &["lambda.function"];
    const TITLE: &'static str = "Have Lambda functions run nothing";
    const DESCRIPTION: &'static str = "Disables what has a function work, its event source mappings, and reserves no \
        concurrency for it: 0 throttles every call, whoever makes it, whatever policies say, of all versions and aliases. AWS \
        refuses that while concurrency is provisioned, so provisioned concurrency is removed before. What runs at that moment \
        runs on until its timeout, 15 minutes at most. What calls it from outside of Lambda (schedules, topics, buckets, load \
        balancers) goes on and is throttled; asynchronous calls are tried again for up to 6 hours, so that they may run after \
        the way back. Nothing is deleted: code and logs are evidence.\n\n\
        AWS pages: *Configuring reserved concurrency for a function*, *PutFunctionConcurrency*, *UpdateEventSourceMapping*. \
        Fact B12.";
    const UNDO: &'static str = "Sets the reserved and the provisioned concurrency to what they were, and enables the mappings \
        that were enabled; a stream goes on where it stopped, as far as it keeps its records. A concurrency that somebody set \
        since is left alone.";
    const PERMISSIONS: &'static [&'static str] = &[
        "lambda:DeleteProvisionedConcurrencyConfig",
        "lambda:GetEventSourceMapping",
        "lambda:GetFunctionConcurrency",
        "lambda:ListEventSourceMappings",
        "lambda:ListProvisionedConcurrencyConfigs",
        "lambda:ListVersionsByFunction",
        "lambda:PutFunctionConcurrency",
        "lambda:UpdateEventSourceMapping",
    ];
    const UNDO_PERMISSIONS: &'static [&'static str] =
        &["lambda:DeleteFunctionConcurrency", "lambda:PutProvisionedConcurrencyConfig"];
    const EXAMPLE: &'static str = "{ id: functions, uses: lambda.stop, on: functions }";

    async fn discover(&self, cx: &Ctx, _: &Params, members: &[Resource]) -> Result<Vec<Found<Prior>>, ActionError> {
        if members.is_empty() {
            return Ok(Vec::new());
        }
        let client = super::client(cx);
        let mappings = super::mappings(&client).await?;
        let found = try_join_all(members.iter().map(|member| found(&client, &member.id, &mappings))).await?;
        Ok(found.into_iter().flatten().collect())
    }

    fn plan(&self, _: &View, _: &Params, found: &Found<Prior>) -> Decision {
        let prior = &found.prior;
        if prior.reserved == Some(0) && prior.working().next().is_none() {
            return Decision::Already;
        }
        let undo = Undo::by("set its concurrency back, and enable its event sources");
        let summary = format!("have the Lambda function {} run nothing", found.resource);
        let proposal = Proposal::new(summary, prior.described(), "throttled to nothing, no event sources", undo)
            .noting("what runs at that moment runs on until its timeout");
        Decision::Change(match prior.provisioned.len() {
            0 => proposal,
            _ => proposal.noting("its provisioned concurrency is removed first"),
        })
    }

    /// A function that came to work more since is stopped all the same.
    fn drift(&self, _: &Prior, _: &Prior) -> Option<String> {
        None
    }

    async fn apply(&self, cx: &Ctx, _: &Params, items: &[Item<Prior>]) -> Result<Vec<Effect>, ActionError> {
        let client = super::client(cx);
        let mut effects = Vec::with_capacity(items.len());
        for Item { resource, prior, .. } in items {
            let name = resource.as_str();
            let disabled: Vec<String> = prior.working().cloned().collect();
            try_join_all(disabled.iter().map(|id| enable(&client, id, false))).await?;
            for of in prior.provisioned.keys() {
                let request = client.delete_provisioned_concurrency_config().function_name(name).qualifier(of);
                if_any(request.send().await.map_err(ActionError::from))?;
            }
            let request = client.put_function_concurrency().function_name(name);
            request.reserved_concurrent_executions(0).send().await?;
            effects.push(json!(Done { disabled }));
        }
        Ok(effects)
    }

    fn verify(&self, _: &View, _: &Params, found: &Found<Prior>) -> Verdict {
        let prior = &found.prior;
        let works = |state: &String| works(state) && !is_in_between(state);
        if prior.reserved != Some(0) || prior.mappings.values().any(works) {
            return Verdict::Unproven { why: prior.described() };
        }
        match prior.mappings.values().find(|state| *state == "Disabling" || is_in_between(state)) {
            Some(state) => Verdict::Pending { why: format!("an event source is {state}") },
            None => Verdict::Proven,
        }
    }

    fn restored(&self, prior: &Prior, now: &Prior) -> Verdict {
        let mappings = || prior.working().filter_map(|id| now.mappings.get(id));
        let missing = mappings().any(|state| !works(state));
        if prior.reserved != now.reserved || prior.provisioned != now.provisioned || missing {
            return Verdict::Unproven { why: format!("it has {}", now.described()) };
        }
        match mappings().find(|state| is_in_between(state)) {
            Some(state) => Verdict::Pending { why: format!("an event source is {state}") },
            None => Verdict::Proven,
        }
    }

    async fn undo(&self, cx: &Ctx, _: &Params, item: &Item<Prior>, effect: &Effect) -> Result<(), ActionError> {
        let client = super::client(cx);
        let (name, then) = (item.resource.as_str(), &item.prior);
        let mappings = super::mappings(&client).await?;
        let Some(now) = found(&client, &item.resource, &mappings).await? else { return Ok(()) };
        if now.prior.reserved == Some(0) {
            match then.reserved {
                Some(count) => {
                    let request = client.put_function_concurrency().function_name(name);
                    request.reserved_concurrent_executions(count).send().await.map(drop)?;
                }
                None => client.delete_function_concurrency().function_name(name).send().await.map(drop)?,
            }
        }
        for (of, count) in then.provisioned.iter().filter(|(of, _)| !now.prior.provisioned.contains_key(*of)) {
            let request = client.put_provisioned_concurrency_config().function_name(name).qualifier(of);
            request.provisioned_concurrent_executions(*count).send().await?;
        }
        let done: Option<Done> = serde_json::from_value(effect.clone()).ok();
        let disabled = done.map_or_else(|| then.working().cloned().collect(), |done| done.disabled);
        let disabled = disabled.iter().filter(|id| now.prior.mappings.contains_key(*id));
        try_join_all(disabled.map(|id| enable(&client, id, true))).await?;
        Ok(())
    }
}

/// Whether a mapping in this state has its function work, or is about to.
fn works(state: &str) -> bool {
    !matches!(state, "Disabled" | "Disabling" | "Deleting")
}

/// Whether a mapping in this state is about to be enabled or disabled, and does not tell which.
fn is_in_between(state: &str) -> bool {
    matches!(state, "Creating" | "Updating")
}

async fn found(
    client: &Client,
    name: &ResourceId,
    mappings: &[EventSourceMappingConfiguration],
) -> Result<Option<Found<Prior>>, ActionError> {
    let answer = client.get_function_concurrency().function_name(name.as_str()).send().await;
    let Some(concurrency) = if_any(answer.map_err(ActionError::from))? else { return Ok(None) };
    let provisioned = provisioned(client, name).await?;
    let mine = mappings.iter().filter(|mapping| mapping.function_arn().map(name_in) == Some(name.as_str()));
    let state = |mapping: &EventSourceMappingConfiguration| {
        Some((mapping.uuid()?.to_owned(), mapping.state().unwrap_or_default().to_owned()))
    };
    let prior = Prior {
        reserved: concurrency.reserved_concurrent_executions(),
        provisioned,
        mappings: mine.filter_map(state).collect(),
    };
    Ok(Some(Found { member: name.clone(), resource: name.clone(), prior }))
}

/// The provisioned concurrency of a function, which only published versions and their aliases can have.
async fn provisioned(client: &Client, name: &ResourceId) -> Result<BTreeMap<String, i32>, ActionError> {
    let mut provisioned = BTreeMap::new();
    let versions = client.list_versions_by_function().function_name(name.as_str()).max_items(2).send().await?;
    if versions.versions().iter().all(|version| version.version() == Some("$LATEST")) {
        return Ok(provisioned);
    }
    let request = client.list_provisioned_concurrency_configs().function_name(name.as_str());
    let mut pages = request.into_paginator().items().send();
    while let Some(config) = pages.next().await {
        let config = config?;
        let of = qualifier_in(config.function_arn().unwrap_or_default()).to_owned();
        provisioned.insert(of, config.requested_provisioned_concurrent_executions().unwrap_or_default());
    }
    Ok(provisioned)
}

/// Enables or disables a mapping, when it is done with what it is doing. One that is gone stays so.
async fn enable(client: &Client, id: &str, enabled: bool) -> Result<(), ActionError> {
    let mut waited = Duration::ZERO;
    loop {
        let answer = client.get_event_source_mapping().uuid(id).send().await;
        let Some(mapping) = if_any(answer.map_err(ActionError::from))? else { return Ok(()) };
        match mapping.state().unwrap_or_default() {
            "Enabled" | "Enabling" if enabled => return Ok(()),
            "Disabled" | "Disabling" if !enabled => return Ok(()),
            "Deleting" => return Ok(()),
            "Enabled" | "Disabled" => break,
            _ if waited < SETTLED_WITHIN => {
                sleep(LOOK_EVERY).await;
                waited += LOOK_EVERY;
            }
            state => {
                let message =
                    format!("the event source mapping {id} is {state} since {} s: try again", waited.as_secs());
                return Err(ActionError::new(ErrorKind::WrongState, message));
            }
        }
    }
    client.update_event_source_mapping().uuid(id).enabled(enabled).send().await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::actions::tests::view;

    fn found(reserved: Option<i32>, mappings: &[(&str, &str)]) -> Found<Prior> {
        let name = ResourceId::new("miner").unwrap();
        let mappings = mappings.iter().map(|(id, state)| ((*id).to_owned(), (*state).to_owned())).collect();
        let prior = Prior { reserved, provisioned: BTreeMap::new(), mappings };
        Found { member: name.clone(), resource: name, prior }
    }

    #[test]
    fn a_function_is_stopped_when_it_has_no_concurrency_and_nothing_that_has_it_work() {
        let plan = |found: &Found<Prior>| Stop.plan(&view(), &Params {}, found);
        for open in [found(None, &[]), found(Some(5), &[]), found(Some(0), &[("a", "Creating")])] {
            assert!(matches!(plan(&open), Decision::Change(_)), "{open:?}");
        }
        assert_eq!(plan(&found(Some(0), &[("a", "Disabled")])), Decision::Already);
        let Decision::Change(proposal) = plan(&found(None, &[("a", "Enabled")])) else { panic!("no change") };
        assert_eq!(proposal.before, "no reserved concurrency, an event source");
    }

    #[test]
    fn it_is_proven_when_its_event_sources_have_stopped() {
        let verify = |found: &Found<Prior>| Stop.verify(&view(), &Params {}, found);
        assert!(matches!(verify(&found(Some(0), &[("a", "Disabling")])), Verdict::Pending { .. }));
        assert!(matches!(verify(&found(Some(0), &[("a", "Updating")])), Verdict::Pending { .. }));
        assert!(matches!(verify(&found(Some(0), &[("a", "Updating"), ("b", "Enabled")])), Verdict::Unproven { .. }));
        assert_eq!(verify(&found(Some(0), &[("a", "Disabled")])), Verdict::Proven);
        assert!(matches!(verify(&found(Some(1), &[])), Verdict::Unproven { .. }));
    }
}
