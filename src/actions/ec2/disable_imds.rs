//! `ec2.disable-imds`

use aws_sdk_ec2::Client;
use aws_sdk_ec2::types::{Instance, InstanceMetadataEndpointState as Endpoint, InstanceMetadataOptionsState};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::engine::action::{Action, Ctx, Decision, Found, Item, Proposal, View};
use crate::model::{ActionError, Effect, Finding, Resource, ResourceId, Tier, Undo, Verdict};

/// Switches the metadata service of instances off.
pub struct DisableImds;

/// The action has no parameters.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {}

/// The metadata service of an instance.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Prior {
    /// The instance's state.
    pub state: String,
    /// Whether the service answers.
    pub enabled: bool,
    /// Whether a change of it is under way.
    pub pending: bool,
}

impl Action for DisableImds {
    type Params = Params;
    type Prior = Prior;

    const NAME: &'static str = "ec2.disable-imds";
    const TIER: Tier = Tier::Disruptive;
    const KINDS: &'static [&'static str] = &["ec2.instance"];
    const TITLE: &'static str = "Switch the metadata service of instances off";
    const DESCRIPTION: &'static str = "Switches the HTTP endpoint of the instance metadata service off, so that whoever is on \
        the machine gets no fresh credentials of its role, no user data and no identity document. Neither security groups \
        nor network ACLs filter that service. Credentials that were handed out before stay valid for hours: revoke the \
        role's sessions as well. Agents on the machine (Systems Manager, CloudWatch) lose their credentials too.\n\n\
        AWS pages: *Configure the instance metadata options*, *ModifyInstanceMetadataOptions*.";
    const UNDO: &'static str = "Switches it on again. Its other options (tokens, hop limit, tags) are not touched.";
    const PERMISSIONS: &'static [&'static str] = &["ec2:DescribeInstances", "ec2:ModifyInstanceMetadataOptions"];
    const UNDO_PERMISSIONS: &'static [&'static str] = &[];
    const EXAMPLE: &'static str = "{ id: imds, uses: ec2.disable-imds, on: rogue }";

    async fn discover(&self, cx: &Ctx, _: &Params, members: &[Resource]) -> Result<Vec<Found<Prior>>, ActionError> {
        let instances = super::instances(&super::client(cx), members).await?;
        Ok(instances.iter().filter_map(found).collect())
    }

    fn plan(&self, _: &View, _: &Params, found: &Found<Prior>) -> Decision {
        let Prior { state, enabled, .. } = &found.prior;
        if super::is_terminated(state) {
            return Decision::Skip(format!("it is {state}: nothing asks its metadata service any more"));
        }
        if !enabled {
            return Decision::Already;
        }
        let undo = Undo::by("switch it on again");
        let summary = format!("switch the metadata service of {} off", found.resource);
        let proposal = Proposal::new(summary, "enabled", "disabled", undo);
        Decision::Change(proposal.noting("credentials that it has handed out stay valid for hours: revoke the role"))
    }

    fn drift(&self, approved: &Prior, now: &Prior) -> Option<String> {
        let gone = super::is_terminated(&now.state) && !super::is_terminated(&approved.state);
        gone.then(|| format!("it is {}", now.state))
    }

    async fn preflight(&self, cx: &Ctx, _: &Params, items: &[Item<Prior>]) -> Vec<Finding> {
        let Some(item) = items.first() else { return Vec::new() };
        let request = super::client(cx).modify_instance_metadata_options().instance_id(item.resource.as_str());
        let answer = request.http_endpoint(Endpoint::Disabled).dry_run(true).send().await;
        super::asked(cx, "ec2:ModifyInstanceMetadataOptions", answer).into_iter().collect()
    }

    async fn apply(&self, cx: &Ctx, _: &Params, items: &[Item<Prior>]) -> Result<Vec<Effect>, ActionError> {
        let client = super::client(cx);
        for item in items {
            switch(&client, item.resource.as_str(), Endpoint::Disabled).await?;
        }
        Ok(vec![Value::Null; items.len()])
    }

    fn verify(&self, _: &View, _: &Params, found: &Found<Prior>) -> Verdict {
        match &found.prior {
            Prior { state, .. } if super::is_terminated(state) => Verdict::Proven,
            Prior { enabled: true, .. } => Verdict::Unproven { why: "it still answers".to_owned() },
            Prior { pending: true, .. } => Verdict::Pending { why: "AWS is switching it off".to_owned() },
            Prior { .. } => Verdict::Proven,
        }
    }

    fn restored(&self, prior: &Prior, now: &Prior) -> Verdict {
        match now {
            _ if now.enabled != prior.enabled => Verdict::Unproven { why: "it is not as it was before".to_owned() },
            Prior { pending: true, .. } => Verdict::Pending { why: "AWS is switching it on".to_owned() },
            Prior { .. } => Verdict::Proven,
        }
    }

    async fn undo(&self, cx: &Ctx, _: &Params, item: &Item<Prior>, _: &Effect) -> Result<(), ActionError> {
        if !item.prior.enabled {
            return Ok(());
        }
        super::unless_gone(switch(&super::client(cx), item.resource.as_str(), Endpoint::Enabled).await)
    }
}

async fn switch(client: &Client, id: &str, endpoint: Endpoint) -> Result<(), ActionError> {
    client.modify_instance_metadata_options().instance_id(id).http_endpoint(endpoint).send().await?;
    Ok(())
}

fn found(instance: &Instance) -> Option<Found<Prior>> {
    let resource = ResourceId::new(super::id(instance)).ok()?;
    let options = instance.metadata_options();
    let prior = Prior {
        state: super::state(instance),
        enabled: options.and_then(|options| options.http_endpoint()) != Some(&Endpoint::Disabled),
        pending: options.and_then(|options| options.state()) == Some(&InstanceMetadataOptionsState::Pending),
    };
    Some(Found { member: resource.clone(), resource, prior })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::actions::tests::view;

    fn found(state: &str, enabled: bool, pending: bool) -> Found<Prior> {
        let id = ResourceId::new("i-1").unwrap();
        Found { member: id.clone(), resource: id, prior: Prior { state: state.into(), enabled, pending } }
    }

    #[test]
    fn what_answers_is_switched_off_and_seen_to_be_off() {
        let plan = |found| DisableImds.plan(&view(), &Params {}, &found);
        assert!(matches!(plan(found("stopped", true, false)), Decision::Change(_)));
        assert_eq!(plan(found("running", false, false)), Decision::Already);
        assert!(matches!(plan(found("terminated", true, false)), Decision::Skip(_)));
        let verify = |found| DisableImds.verify(&view(), &Params {}, &found);
        assert!(matches!(verify(found("running", true, false)), Verdict::Unproven { .. }));
        assert!(matches!(verify(found("running", false, true)), Verdict::Pending { .. }));
        assert_eq!(verify(found("running", false, false)), Verdict::Proven);
    }
}
