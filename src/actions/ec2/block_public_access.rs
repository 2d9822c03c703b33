//! `ec2.block-public-access`

use std::collections::BTreeMap;

use aws_sdk_ec2::Client;
use aws_sdk_ec2::types::{
    InternetGatewayBlockMode, ManagedBy, NetworkInterface, VpcBlockPublicAccessExclusionState as ExclusionState,
    VpcBlockPublicAccessState,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::time::{Duration, sleep};

use super::{LOOK_EVERY, filter};
use crate::actions::network::{self, Users};
use crate::engine::action::{Action, Ctx, Decision, Found, Item, Proposal, View};
use crate::model::{ActionError, Effect, ErrorKind, Finding, Resource, ResourceId, Tier, Undo, Verdict};

/// The setting is one of the region.
const SETTING: &str = "vpc-block-public-access";
/// How long it may take until a changed mode is to be seen. For the first seconds AWS shows the old one.
const SEEN_WITHIN: Duration = Duration::from_mins(1);

/// Blocks the way between a region's VPCs and the internet.
pub struct BlockPublicAccess;

/// What to block.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// The traffic to block.
    #[serde(default)]
    pub mode: Block,
}

/// The traffic to block.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Block {
    /// All traffic through internet gateways, in both directions.
    #[default]
    BlockBidirectional,
    /// What comes from the internet; NAT gateways and egress-only internet gateways go on.
    BlockIngress,
}

impl Block {
    fn mode(self) -> InternetGatewayBlockMode {
        match self {
            Self::BlockBidirectional => InternetGatewayBlockMode::BlockBidirectional,
            Self::BlockIngress => InternetGatewayBlockMode::BlockIngress,
        }
    }

    /// Whether a mode blocks as much.
    fn is_met_by(self, mode: &str) -> bool {
        mode == InternetGatewayBlockMode::BlockBidirectional.as_str() || mode == self.mode().as_str()
    }
}

/// The setting of the region.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Prior {
    /// `off`, `block-bidirectional` or `block-ingress`.
    pub mode: String,
    /// Whether AWS is still putting it in force.
    pub updating: bool,
    /// Whether a declarative policy of the organisation sets it.
    pub by_organisation: bool,
    /// What it does not hold for: an ARN and what is let through, by id.
    pub exclusions: BTreeMap<String, String>,
    /// What has a public address.
    pub reachable: Users,
}

impl Action for BlockPublicAccess {
    type Params = Params;
    type Prior = Prior;

    const NAME: &'static str = "ec2.block-public-access";
    const TIER: Tier = Tier::Disruptive;
    const KINDS: &'static [&'static str] = &["ec2.instance", "ec2.vpc"];
    const TITLE: &'static str = "Block all traffic between a region's VPCs and the internet";
    const DESCRIPTION: &'static str = "Switches VPC Block Public Access on, once for each region that holds a member of the \
        set: nothing passes the internet gateways and egress-only internet gateways of *all* VPCs of the account there any \
        more, load balancers and NAT gateways included. `mode: block-ingress` lets NAT gateways and egress-only internet \
        gateways go on. Transit gateways, VPN, Direct Connect, peering and the DNS resolver are not affected. It takes \
        minutes until it is in force. Exclusions are holes in it: the plan lists them, and one that is added after the \
        approval voids it. Where a declarative policy of the organisation sets the mode, nobody in the account can change \
        it.\n\n\
        AWS pages: *Block public access to VPCs and subnets*, *ModifyVpcBlockPublicAccessOptions*, *Declarative policies*.";
    const UNDO: &'static str = "Sets the saved mode again. Connections that were open do not come back.";
    const PERMISSIONS: &'static [&'static str] = &[
        "ec2:DescribeNetworkInterfaces",
        "ec2:DescribeVpcBlockPublicAccessExclusions",
        "ec2:DescribeVpcBlockPublicAccessOptions",
        "ec2:ModifyVpcBlockPublicAccessOptions",
    ];
    const UNDO_PERMISSIONS: &'static [&'static str] = &[];
    const EXAMPLE: &'static str = "{ id: internet, uses: ec2.block-public-access, on: rogue }";

    async fn discover(&self, cx: &Ctx, _: &Params, members: &[Resource]) -> Result<Vec<Found<Prior>>, ActionError> {
        let client = super::client(cx);
        let state = super::both(setting(&client), exclusions(&client));
        let (((mode, updating, by_organisation), exclusions), reachable) =
            super::both(state, reachable(&client)).await?;
        let prior = Prior { mode, updating, by_organisation, exclusions, reachable };
        let found = |member: &Resource| {
            let resource = ResourceId::new(SETTING).ok()?;
            Some(Found { member: member.id.clone(), resource, prior: prior.clone() })
        };
        Ok(members.iter().filter_map(found).collect())
    }

    fn plan(&self, _: &View, params: &Params, found: &Found<Prior>) -> Decision {
        let Prior { mode, by_organisation, exclusions, reachable, .. } = &found.prior;
        if params.mode.is_met_by(mode) {
            return Decision::Already;
        }
        if *by_organisation {
            let way_out = "change that policy in the management account, or cut the subnets with ec2.cut-subnet";
            return Decision::Skip(format!("a declarative policy of the organisation sets it to {mode}: {way_out}"));
        }
        let wanted = params.mode.mode();
        let summary = format!("block the VPCs of the region off from the internet ({})", wanted.as_str());
        let undo = Undo::by(format!("set it to {mode} again")).losing("connections that were open");
        let mut proposal = Proposal::new(summary, mode, wanted.as_str(), undo)
            .noting("it holds for all VPCs of the region, and takes minutes until it is in force");
        if !reachable.is_empty() {
            proposal = proposal.noting(format!("with public addresses there: {reachable}"));
        }
        for (id, hole) in exclusions {
            proposal = proposal.noting(format!("a hole in it: {id} lets through {hole}"));
        }
        Decision::Change(proposal)
    }

    fn drift(&self, approved: &Prior, now: &Prior) -> Option<String> {
        if approved.mode != now.mode {
            return Some(format!("its mode is {} by now", now.mode));
        }
        let added = now.exclusions.iter().find(|(id, _)| !approved.exclusions.contains_key(*id));
        added.map(|(id, hole)| format!("{id} lets through {hole} since that was approved"))
    }

    async fn preflight(&self, cx: &Ctx, params: &Params, items: &[Item<Prior>]) -> Vec<Finding> {
        if items.is_empty() {
            return Vec::new();
        }
        let request = super::client(cx).modify_vpc_block_public_access_options();
        let answer = request.internet_gateway_block_mode(params.mode.mode()).dry_run(true).send().await;
        super::asked(cx, "ec2:ModifyVpcBlockPublicAccessOptions", answer).into_iter().collect()
    }

    async fn apply(&self, cx: &Ctx, params: &Params, items: &[Item<Prior>]) -> Result<Vec<Effect>, ActionError> {
        set(&super::client(cx), params.mode.mode()).await?;
        Ok(vec![Value::Null; items.len()])
    }

    fn verify(&self, _: &View, params: &Params, found: &Found<Prior>) -> Verdict {
        match &found.prior {
            Prior { mode, .. } if !params.mode.is_met_by(mode) => Verdict::Unproven { why: format!("it is {mode}") },
            Prior { updating: true, .. } => Verdict::Pending { why: "AWS is putting it in force".to_owned() },
            Prior { .. } => Verdict::Proven,
        }
    }

    fn restored(&self, prior: &Prior, now: &Prior) -> Verdict {
        match now {
            _ if now.mode != prior.mode => Verdict::Unproven { why: format!("it is {}", now.mode) },
            Prior { updating: true, .. } => Verdict::Pending { why: "AWS is putting it in force".to_owned() },
            Prior { .. } => Verdict::Proven,
        }
    }

    async fn undo(&self, cx: &Ctx, _: &Params, item: &Item<Prior>, _: &Effect) -> Result<(), ActionError> {
        // Set in any case: a mode that AWS has just accepted is not shown yet.
        set(&super::client(cx), InternetGatewayBlockMode::from(item.prior.mode.as_str())).await
    }
}

/// Sets the mode, and waits until it is to be seen.
async fn set(client: &Client, mode: InternetGatewayBlockMode) -> Result<(), ActionError> {
    client.modify_vpc_block_public_access_options().internet_gateway_block_mode(mode.clone()).send().await?;
    let mut waited = Duration::ZERO;
    while setting(client).await?.0 != mode.as_str() {
        if waited >= SEEN_WITHIN {
            let message = format!("AWS accepted {} and does not show it after a minute", mode.as_str());
            return Err(ActionError::new(ErrorKind::WrongState, message));
        }
        sleep(LOOK_EVERY).await;
        waited += LOOK_EVERY;
    }
    Ok(())
}

/// The mode, whether it is being changed, and whether the organisation sets it.
async fn setting(client: &Client) -> Result<(String, bool, bool), ActionError> {
    let answer = client.describe_vpc_block_public_access_options().send().await?;
    let options = answer.vpc_block_public_access_options();
    let mode = options.and_then(|options| options.internet_gateway_block_mode());
    let mode = mode.unwrap_or(&InternetGatewayBlockMode::Off).as_str().to_owned();
    let state = options.and_then(|options| options.state());
    let by = options.and_then(|options| options.managed_by());
    Ok((mode, state == Some(&VpcBlockPublicAccessState::UpdateInProgress), by == Some(&ManagedBy::DeclarativePolicy)))
}

/// What the setting does not hold for.
async fn exclusions(client: &Client) -> Result<BTreeMap<String, String>, ActionError> {
    let mut exclusions = BTreeMap::new();
    let mut next = None;
    loop {
        let page = client.describe_vpc_block_public_access_exclusions().set_next_token(next).send().await?;
        for exclusion in page.vpc_block_public_access_exclusions.unwrap_or_default() {
            let gone = [ExclusionState::DeleteComplete, ExclusionState::CreateFailed, ExclusionState::DisableComplete];
            if exclusion.state.is_some_and(|state| gone.contains(&state)) {
                continue;
            }
            let mode = exclusion.internet_gateway_exclusion_mode.map_or_else(String::new, |mode| mode.to_string());
            let arn = exclusion.resource_arn.unwrap_or_default();
            let what = arn.rsplit('/').next().unwrap_or_default();
            exclusions.insert(exclusion.exclusion_id.unwrap_or_default(), format!("{what} ({mode})"));
        }
        next = page.next_token.filter(|token| !token.is_empty());
        if next.is_none() {
            return Ok(exclusions);
        }
    }
}

/// What has a public address: those with IPv4 ones, and those with any of IPv6.
async fn reachable(client: &Client) -> Result<Users, ActionError> {
    let is_public = |interface: &NetworkInterface| {
        let ipv4 = interface.association().is_some_and(|association| association.public_ip().is_some());
        ipv4 || !interface.ipv6_addresses().is_empty()
    };
    let interfaces = network::interfaces(client, filter("status", ["in-use"])).await?;
    let mut users = Users::default();
    interfaces.iter().filter(|interface| is_public(interface)).for_each(|interface| users.add(interface));
    Ok(users)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::actions::tests::view;

    fn found(mode: &str, by_organisation: bool, holes: &[&str]) -> Found<Prior> {
        let exclusions = holes.iter().map(|id| ((*id).to_owned(), "vpc-1 (allow-egress)".to_owned())).collect();
        let (reachable, updating) = (Users::default(), false);
        let prior = Prior { mode: mode.into(), updating, by_organisation, exclusions, reachable };
        Found { member: ResourceId::new("i-1").unwrap(), resource: ResourceId::new(SETTING).unwrap(), prior }
    }

    fn plan(mode: Block, found: &Found<Prior>) -> Decision {
        BlockPublicAccess.plan(&view(), &Params { mode }, found)
    }

    #[test]
    fn a_stricter_mode_is_kept_and_a_milder_one_is_not() {
        let (ingress, all) = (found("block-ingress", false, &[]), found("block-bidirectional", false, &[]));
        assert_eq!(plan(Block::BlockIngress, &all), Decision::Already);
        assert_eq!(plan(Block::BlockIngress, &ingress), Decision::Already);
        assert!(matches!(plan(Block::BlockBidirectional, &ingress), Decision::Change(_)));
    }

    #[test]
    fn holes_are_listed_and_a_new_one_voids_the_approval() {
        let open = found("off", false, &["vpcbpa-exclude-1"]);
        let Decision::Change(proposal) = plan(Block::BlockBidirectional, &open) else { panic!("no change") };
        assert_eq!(proposal.notes[1], "a hole in it: vpcbpa-exclude-1 lets through vpc-1 (allow-egress)");
        let another = found("off", false, &["vpcbpa-exclude-1", "vpcbpa-exclude-2"]).prior;
        assert_eq!(BlockPublicAccess.drift(&another, &open.prior), None);
        assert!(BlockPublicAccess.drift(&open.prior, &another).is_some());
    }

    #[test]
    fn what_the_organisation_sets_is_left_to_it() {
        let decision = plan(Block::BlockBidirectional, &found("off", true, &[]));
        assert!(matches!(decision, Decision::Skip(why) if why.contains("management account")));
    }

    #[test]
    fn it_is_proven_when_aws_has_put_it_in_force() {
        let mut now = found("block-bidirectional", false, &[]);
        let verdict = |now: &Found<Prior>| BlockPublicAccess.verify(&view(), &Params { mode: Block::default() }, now);
        assert_eq!(verdict(&now), Verdict::Proven);
        now.prior.updating = true;
        assert!(matches!(verdict(&now), Verdict::Pending { .. }));
        now.prior.mode = "block-ingress".into();
        assert!(matches!(verdict(&now), Verdict::Unproven { .. }));
    }
}
