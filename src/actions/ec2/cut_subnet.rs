//! `ec2.cut-subnet`

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_ec2::Client;
use aws_sdk_ec2::types::{Filter, NetworkAcl, NetworkInterface, ResourceType, RuleAction, TagSpecification};
use futures::future::try_join_all;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{FILTER_VALUES, PAGE, filter};
use crate::actions::network::{self, Users};
use crate::engine::action::{Action, Ctx, Decision, Found, Item, Proposal, View};
use crate::model::{ActionError, Effect, ErrorKind, Finding, Resource, ResourceId, Tier, Undo};

/// The tag by which the network ACL of a subnet is found again; its value is the subnet's id.
const CUTS: &str = "quell:cuts";

/// Cuts subnets off from everything outside.
pub struct CutSubnet;

/// The action has no parameters.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {}

/// A subnet and what stands before it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Prior {
    /// Its network ACL. `None` for a subnet that another account shares: only its owner sees the ACL.
    pub acl: Option<String>,
    /// Whether that ACL lets nothing through in either direction.
    pub closed: bool,
    /// What else lives there, beside the members of the set.
    pub others: Users,
}

impl Action for CutSubnet {
    type Params = Params;
    type Prior = Prior;

    const NAME: &'static str = "ec2.cut-subnet";
    const TIER: Tier = Tier::Disruptive;
    const KINDS: &'static [&'static str] = &["ec2.instance", "ec2.subnet"];
    const TITLE: &'static str = "Cut subnets off with a network ACL that denies everything";
    const DESCRIPTION: &'static str = "Puts a network ACL without any allowing rule before the subnets, or before those that \
        the instances are in. A network ACL keeps no state: connections that are open break at once, which a change of \
        security groups does not achieve. It meets *everything* in the subnet, so the plan says what else lives there; a NAT \
        gateway there takes the internet from all subnets that route through it. Traffic inside the subnet is not \
        filtered, nor are the DNS resolver of the VPC, the metadata service, the time service and DHCP: isolate the \
        machines as well, and switch their metadata service off.\n\n\
        AWS pages: *Control subnet traffic with network access control lists*, *ReplaceNetworkAclAssociation*, *Security \
        group connection tracking*.";
    const UNDO: &'static str =
        "Puts the saved network ACL back before the subnet, and deletes the one that quell made.";
    const PERMISSIONS: &'static [&'static str] = &[
        "ec2:CreateNetworkAcl",
        "ec2:CreateTags",
        "ec2:DescribeNetworkAcls",
        "ec2:DescribeNetworkInterfaces",
        "ec2:ReplaceNetworkAclAssociation",
    ];
    const UNDO_PERMISSIONS: &'static [&'static str] = &["ec2:DeleteNetworkAcl"];
    const EXAMPLE: &'static str = "{ id: cut, uses: ec2.cut-subnet, on: rogue, needs: [evidence] }";

    async fn discover(&self, cx: &Ctx, _: &Params, members: &[Resource]) -> Result<Vec<Found<Prior>>, ActionError> {
        let client = super::client(cx);
        let places = places(&client, members).await?;
        let subnets: BTreeSet<&str> = places.iter().map(|(_, subnet)| subnet.as_str()).collect();
        let (acls, others) = super::both(standing(&client, &subnets), others(&client, &subnets, members)).await?;
        let found = |(member, subnet): &(ResourceId, String)| {
            let acl = acls.get(subnet);
            let prior = Prior {
                acl: acl.map(|(acl, _)| acl.clone()),
                closed: acl.is_some_and(|(_, closed)| *closed),
                others: others.get(subnet).cloned().unwrap_or_default(),
            };
            Some(Found { member: member.clone(), resource: ResourceId::new(subnet).ok()?, prior })
        };
        Ok(places.iter().filter_map(found).collect())
    }

    fn plan(&self, _: &View, _: &Params, found: &Found<Prior>) -> Decision {
        let Prior { acl, closed, others } = &found.prior;
        let Some(acl) = acl else {
            return Decision::Skip("another account owns and shares it: only that account can cut it off".to_owned());
        };
        if *closed {
            return Decision::Already;
        }
        let undo = Undo::by(format!("put {acl} back before it")).losing("connections that were open");
        let proposal = Proposal::new(format!("cut {} off", found.resource), acl, "a network ACL denies all", undo)
            .noting("connections that are open break at once; traffic inside the subnet, DNS and metadata go on");
        Decision::Change(if others.is_empty() {
            proposal
        } else {
            proposal.noting(format!("it also cuts off {others}"))
        })
    }

    fn drift(&self, approved: &Prior, now: &Prior) -> Option<String> {
        let another = now.acl.as_ref().filter(|_| approved.acl != now.acl && !now.closed)?;
        Some(format!("{another} stands before it by now"))
    }

    async fn look_again(
        &self,
        cx: &Ctx,
        params: &Params,
        _: &[Resource],
        approved: &[Item<Prior>],
    ) -> Result<Vec<Found<Prior>>, ActionError> {
        // A machine that is gone by now does not take its subnet with it.
        let subnet = |item: &Item<Prior>| Resource {
            kind: crate::model::Kind::new("ec2.subnet"),
            id: item.resource.clone(),
            target: cx.target.clone(),
            fields: serde_json::Map::new(),
        };
        let subnets: Vec<Resource> = approved.iter().map(subnet).collect();
        self.discover(cx, params, &subnets).await
    }

    async fn preflight(&self, cx: &Ctx, _: &Params, items: &[Item<Prior>]) -> Vec<Finding> {
        let client = super::client(cx);
        let asked = async {
            let Some(item) = items.first() else { return Ok(Vec::new()) };
            let Some(acl) = acl_of(&client, item.resource.as_str()).await? else { return Ok(Vec::new()) };
            let create = creation(&client, cx, &acl.vpc, item.resource.as_str()).dry_run(true).send();
            let replace = client.replace_network_acl_association().association_id(acl.association);
            let replace = replace.network_acl_id(acl.id).dry_run(true).send();
            let (create, replace) = futures::join!(create, replace);
            let create = super::asked(cx, "ec2:CreateNetworkAcl", create);
            let replace = super::asked(cx, "ec2:ReplaceNetworkAclAssociation", replace);
            Ok::<_, ActionError>(create.into_iter().chain(replace).collect())
        };
        // What cannot be looked at here is said by the look itself.
        asked.await.unwrap_or_default()
    }

    async fn apply(&self, cx: &Ctx, _: &Params, items: &[Item<Prior>]) -> Result<Vec<Effect>, ActionError> {
        let client = super::client(cx);
        let mut effects = Vec::with_capacity(items.len());
        for item in items {
            let subnet = item.resource.as_str();
            let now = acl_of(&client, subnet).await?.ok_or_else(|| {
                ActionError::new(ErrorKind::NotFound, format!("no network ACL is to be seen before {subnet}"))
            })?;
            let closed = if now.closed { now.id } else { close(&client, cx, subnet, now).await? };
            effects.push(json!({ "acl": closed }));
        }
        Ok(effects)
    }

    fn made(&self, found: &Found<Prior>) -> Effect {
        json!({ "acl": found.prior.acl })
    }

    async fn undo(&self, cx: &Ctx, _: &Params, item: &Item<Prior>, effect: &Effect) -> Result<(), ActionError> {
        let client = super::client(cx);
        let subnet = item.resource.as_str();
        let (Some(now), Some(saved)) = (acl_of(&client, subnet).await?, &item.prior.acl) else { return Ok(()) };
        let made = ours(&client, vec![filter(&format!("tag:{CUTS}"), [subnet])]).await?;
        let mut made: BTreeSet<String> = made.into_iter().map(|acl| acl.id).collect();
        made.extend(effect.get("acl").and_then(Value::as_str).map(str::to_owned));
        made.remove(saved);
        if now.id != *saved {
            if !made.contains(&now.id) {
                let message = format!("{} stands before it, which quell did not put there: left as it is", now.id);
                return Err(ActionError::new(ErrorKind::WrongState, message));
            }
            replace(&client, now.association, saved).await?;
        }
        for acl in made {
            let answer = client.delete_network_acl().network_acl_id(acl).send().await.map_err(ActionError::from);
            match answer {
                // Somebody uses it elsewhere.
                Err(error) if error.is("DependencyViolation") => {}
                answer => super::unless_gone(answer.map(drop))?,
            }
        }
        Ok(())
    }
}

/// A network ACL before a subnet.
struct Acl {
    id: String,
    vpc: String,
    association: String,
    closed: bool,
}

/// The members and the subnets that they are, or are in.
async fn places(client: &Client, members: &[Resource]) -> Result<Vec<(ResourceId, String)>, ActionError> {
    let (instances, subnets): (Vec<&Resource>, Vec<&Resource>) =
        members.iter().partition(|member| member.id.as_str().starts_with("i-"));
    let ids: Vec<&str> = instances.iter().map(|member| member.id.as_str()).collect();
    let interfaces = ids
        .chunks(FILTER_VALUES)
        .map(|ids| network::interfaces(client, filter("attachment.instance-id", ids.iter().copied())));
    let interfaces = try_join_all(interfaces).await?.into_iter().flatten();
    let place = |interface: NetworkInterface| {
        let instance = ResourceId::new(network::instance(&interface)?).ok()?;
        Some((instance, interface.subnet_id?))
    };
    let of_instances: BTreeSet<_> = interfaces.filter_map(place).collect();
    let subnets = subnets.into_iter().map(|member| (member.id.clone(), member.id.to_string()));
    Ok(of_instances.into_iter().chain(subnets).collect())
}

/// The network ACLs before subnets, and whether they let nothing through.
async fn standing(client: &Client, subnets: &BTreeSet<&str>) -> Result<BTreeMap<String, (String, bool)>, ActionError> {
    let subnets: Vec<&str> = subnets.iter().copied().collect();
    let portions = subnets
        .chunks(FILTER_VALUES)
        .map(|ids| described(client, vec![filter("association.subnet-id", ids.iter().copied())]));
    let acls = try_join_all(portions).await?.into_iter().flatten();
    let before = |acl: NetworkAcl| {
        let (id, closed) = (acl.network_acl_id.clone().unwrap_or_default(), is_closed(&acl));
        let associations = acl.associations.unwrap_or_default().into_iter();
        associations.filter_map(move |association| Some((association.subnet_id?, (id.clone(), closed))))
    };
    Ok(acls.flat_map(before).collect())
}

/// What lives in subnets beside the members.
async fn others(
    client: &Client,
    subnets: &BTreeSet<&str>,
    members: &[Resource],
) -> Result<BTreeMap<String, Users>, ActionError> {
    let subnets: Vec<&str> = subnets.iter().copied().collect();
    let portions =
        subnets.chunks(FILTER_VALUES).map(|ids| network::interfaces(client, filter("subnet-id", ids.iter().copied())));
    let known: BTreeSet<&str> = members.iter().map(|member| member.id.as_str()).collect();
    let mut others: BTreeMap<String, Users> = BTreeMap::new();
    for interface in try_join_all(portions).await?.into_iter().flatten() {
        let is_member = network::instance(&interface).is_some_and(|id| known.contains(id));
        if let Some(subnet) = interface.subnet_id().filter(|_| !is_member) {
            others.entry(subnet.to_owned()).or_default().add(&interface);
        }
    }
    Ok(others)
}

/// The network ACL before a subnet.
async fn acl_of(client: &Client, subnet: &str) -> Result<Option<Acl>, ActionError> {
    let acls = described(client, vec![filter("association.subnet-id", [subnet])]).await?;
    let before = |acl: &NetworkAcl| {
        let association = acl.associations().iter().find(|association| association.subnet_id() == Some(subnet))?;
        Some(Acl {
            id: acl.network_acl_id()?.to_owned(),
            vpc: acl.vpc_id()?.to_owned(),
            association: association.network_acl_association_id()?.to_owned(),
            closed: is_closed(acl),
        })
    };
    Ok(acls.iter().find_map(before))
}

/// A network ACL that quell made.
struct Made {
    id: String,
    closed: bool,
}

async fn ours(client: &Client, filters: Vec<Filter>) -> Result<Vec<Made>, ActionError> {
    let acls = described(client, filters).await?.into_iter().filter(|acl| acl.is_default != Some(true));
    let made = |acl: NetworkAcl| Some(Made { closed: is_closed(&acl), id: acl.network_acl_id? });
    Ok(acls.filter_map(made).collect())
}

/// Puts a closed network ACL before a subnet: the one of an attempt that was cut off, or a new one. Returns its id.
async fn close(client: &Client, cx: &Ctx, subnet: &str, now: Acl) -> Result<String, ActionError> {
    let tags = [(CUTS, subnet), ("quell:case", cx.view.case.as_str())];
    let filters = tags.iter().map(|(key, value)| filter(&format!("tag:{key}"), [*value])).collect();
    // One that somebody has opened since is left to them.
    let made = ours(client, filters).await?.into_iter().find(|acl| acl.closed);
    let closed = match made {
        Some(made) => made.id,
        None => {
            let answer = creation(client, cx, &now.vpc, subnet).send().await?;
            answer.network_acl.and_then(|acl| acl.network_acl_id).unwrap_or_default()
        }
    };
    replace(client, now.association, &closed).await?;
    Ok(closed)
}

type Creation = aws_sdk_ec2::operation::create_network_acl::builders::CreateNetworkAclFluentBuilder;

/// A new network ACL denies everything by itself.
fn creation(client: &Client, cx: &Ctx, vpc: &str, subnet: &str) -> Creation {
    let tags = [("Name", "quell: lets nothing through"), (CUTS, subnet), ("quell:case", cx.view.case.as_str())];
    let tags = tags.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
    let tags = TagSpecification::builder()
        .resource_type(ResourceType::NetworkAcl)
        .set_tags(Some(super::tag_list(&tags)))
        .build();
    client.create_network_acl().vpc_id(vpc).tag_specifications(tags)
}

async fn replace(client: &Client, association: String, acl: &str) -> Result<(), ActionError> {
    client.replace_network_acl_association().association_id(association).network_acl_id(acl).send().await?;
    Ok(())
}

async fn described(client: &Client, filters: Vec<Filter>) -> Result<Vec<NetworkAcl>, ActionError> {
    let request = client.describe_network_acls().set_filters(Some(filters)).max_results(PAGE);
    let mut items = request.into_paginator().items().send();
    let mut acls = Vec::new();
    while let Some(acl) = items.next().await {
        acls.push(acl?);
    }
    Ok(acls)
}

fn is_closed(acl: &NetworkAcl) -> bool {
    acl.entries().iter().all(|entry| entry.rule_action() == Some(&RuleAction::Deny))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::actions::tests::view;

    fn prior(acl: Option<&str>, closed: bool) -> Prior {
        Prior { acl: acl.map(str::to_owned), closed, others: Users::default() }
    }

    fn plan(prior: Prior) -> Decision {
        let member = ResourceId::new("i-1").unwrap();
        let resource = ResourceId::new("subnet-1").unwrap();
        CutSubnet.plan(&view(), &Params {}, &Found { member, resource, prior })
    }

    #[test]
    fn a_subnet_is_cut_while_anything_is_let_through() {
        assert_eq!(plan(prior(Some("acl-1"), true)), Decision::Already);
        let Decision::Change(proposal) = plan(prior(Some("acl-1"), false)) else { panic!("no change") };
        assert_eq!((proposal.before.as_str(), proposal.notes.len()), ("acl-1", 1));
        assert!(matches!(plan(prior(None, false)), Decision::Skip(_)), "a shared subnet");
    }

    #[test]
    fn another_network_acl_is_drift_unless_it_is_closed() {
        let approved = prior(Some("acl-1"), false);
        assert_eq!(CutSubnet.drift(&approved, &prior(Some("acl-2"), true)), None);
        assert!(CutSubnet.drift(&approved, &prior(Some("acl-2"), false)).is_some());
    }

    #[test]
    fn one_allowing_rule_is_an_open_door() {
        let entry =
            |action: &RuleAction| aws_sdk_ec2::types::NetworkAclEntry::builder().rule_action(action.clone()).build();
        let acl = |actions: &[RuleAction]| {
            NetworkAcl::builder().set_entries(Some(actions.iter().map(entry).collect())).build()
        };
        assert!(is_closed(&acl(&[RuleAction::Deny, RuleAction::Deny])));
        assert!(!is_closed(&acl(&[RuleAction::Deny, RuleAction::Allow])));
    }
}
