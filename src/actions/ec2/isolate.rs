//! `ec2.isolate`

mod groups;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use aws_sdk_ec2::Client;
use aws_sdk_ec2::types::{NetworkInterface, SecurityGroup};
use futures::future::try_join_all;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::time::{Duration, sleep};

use groups::{Groups, Purpose, UNSEEN, when_seen};

use super::filter;
use crate::actions::network;
use crate::engine::action::{Action, Ctx, Decision, Found, Item, Proposal, View};
use crate::model::{ActionError, Effect, Finding, Resource, RunId, Tier, Undo, Verdict};

/// For how long an interface stays open before it is closed: until its connections are not tracked any more.
const OPEN_FOR: Duration = Duration::from_secs(5);

/// Cuts instances off the network.
#[derive(Default)]
pub struct Isolate {
    groups: Groups,
}

/// How to go about it.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// What becomes of connections that are open.
    #[serde(default)]
    pub connections: Connections,
}

/// What becomes of connections that are open.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Connections {
    /// Those that security groups track stay up until they idle out.
    #[default]
    Keep,
    /// They are broken, at the price of a few seconds in which everybody reaches the machine.
    Cut,
}

impl Connections {
    fn note(self) -> &'static str {
        match self {
            Self::Keep => {
                "connections that are tracked stay up until they idle out (TCP: up to 5 days) or the machine stops; \
                 `connections: cut` and ec2.cut-subnet break them"
            }
            Self::Cut => {
                "everybody reaches the machine for a few seconds before it is closed, so that its connections are not \
                 tracked any more; those by NAT gateways and load balancers are always tracked, and stay up"
            }
        }
    }
}

/// The network interfaces of an instance.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Prior {
    /// By id.
    pub interfaces: BTreeMap<String, Interface>,
    /// The isolation groups of the case that exist, by VPC.
    pub isolation: BTreeMap<String, Isolation>,
}

/// A network interface.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Interface {
    /// Its VPC.
    pub vpc: String,
    /// Its security groups.
    pub groups: Vec<String>,
    /// Whether a service made it: AWS lets nobody else change it.
    pub managed: bool,
}

/// An isolation group.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Isolation {
    /// `sg-…`
    pub group: String,
    /// Whether it lets something through.
    pub open: bool,
}

impl Prior {
    /// The interfaces that can be changed and are not isolated.
    fn open(&self) -> Vec<(&String, &Interface)> {
        let isolated = |interface: &Interface| {
            let isolation = self.isolation.get(&interface.vpc);
            isolation.is_some_and(|isolation| !isolation.open && interface.groups == [isolation.group.clone()])
        };
        self.interfaces.iter().filter(|(_, interface)| !interface.managed && !isolated(interface)).collect()
    }
}

impl Action for Isolate {
    type Params = Params;
    type Prior = Prior;

    const NAME: &'static str = "ec2.isolate";
    const TIER: Tier = Tier::Disruptive;
    const KINDS: &'static [&'static str] = &["ec2.instance"];
    const TITLE: &'static str = "Cut instances off the network";
    const DESCRIPTION: &'static str = "Puts every network interface of an instance into one isolation group per VPC that \
        lets nothing in or out, IPv4 and IPv6. Connections that security groups track (most) stay up until they idle out, \
        which for TCP may take 5 days. A stop breaks them, and so does `ec2.cut-subnet`. `connections: cut` does it for \
        single machines: connections that a group allows to and from everywhere are not tracked, so each interface is put \
        into a group that lets everything through first, and then into the isolation group. Everybody reaches the machine \
        for those seconds, and what AWS always tracks (connections by NAT gateways, Network Load Balancers, endpoints, \
        egress-only internet gateways, and ICMP) stays up. When the second move fails, the interface goes back to its \
        old groups. DNS by the VPC's resolver and the metadata service are not filtered. Interfaces that belong to a \
        service are left as they are.\n\n\
        AWS pages: *Security group connection tracking*, *Control traffic to your AWS resources using security groups*.";
    const UNDO: &'static str = "Puts the saved groups back, and deletes the groups that quell made when nothing uses them. \
        Connections that were broken do not come back.";
    const PERMISSIONS: &'static [&'static str] = &[
        "ec2:AuthorizeSecurityGroupIngress",
        "ec2:DescribeNetworkInterfaces",
        "ec2:DescribeSecurityGroups",
        "ec2:CreateSecurityGroup",
        "ec2:CreateTags",
        "ec2:RevokeSecurityGroupEgress",
        "ec2:RevokeSecurityGroupIngress",
        "ec2:ModifyNetworkInterfaceAttribute",
    ];
    const UNDO_PERMISSIONS: &'static [&'static str] = &["ec2:DeleteSecurityGroup"];
    const EXAMPLE: &'static str = "{ id: isolate, uses: ec2.isolate, on: rogue, needs: [evidence] }";

    async fn discover(&self, cx: &Ctx, _: &Params, members: &[Resource]) -> Result<Vec<Found<Prior>>, ActionError> {
        let client = super::client(cx);
        let name = Purpose::Isolation.name(&cx.view.case);
        let interfaces = try_join_all(super::portions(members).map(|ids| of_instances(&client, ids)));
        let (interfaces, groups) = super::both(interfaces, groups::named(&client, &name, None)).await?;
        let isolation: BTreeMap<String, Isolation> = groups.iter().filter_map(isolation).collect();
        let mut by_instance: HashMap<String, BTreeMap<String, Interface>> = HashMap::new();
        for (instance, id, interface) in interfaces.into_iter().flatten().filter_map(interface) {
            by_instance.entry(instance).or_default().insert(id, interface);
        }
        let found = members.iter().map(|member| {
            let interfaces = by_instance.remove(member.id.as_str()).unwrap_or_default();
            let vpcs = |vpc: &String| interfaces.values().any(|interface| interface.vpc == *vpc);
            let isolation =
                isolation.iter().filter(|(vpc, _)| vpcs(vpc)).map(|(v, i)| (v.clone(), i.clone())).collect();
            let prior = Prior { interfaces, isolation };
            Found { member: member.id.clone(), resource: member.id.clone(), prior }
        });
        Ok(found.collect())
    }

    fn plan(&self, view: &View, params: &Params, found: &Found<Prior>) -> Decision {
        let prior = &found.prior;
        if prior.interfaces.values().all(|interface| interface.managed) {
            return Decision::Skip("it has no network interface that could be changed".to_owned());
        }
        let open = prior.open();
        if open.is_empty() {
            return Decision::Already;
        }
        let mut groups: Vec<&str> = open.iter().flat_map(|(_, eni)| &eni.groups).map(String::as_str).collect();
        groups.sort_unstable();
        groups.dedup();
        let undo = Undo::by("put the saved security groups back").losing("connections that were open");
        let summary = format!("isolate {} ({} interfaces)", found.resource, open.len());
        let after = Purpose::Isolation.name(&view.case);
        let proposal = Proposal::new(summary, groups.join(", "), after, undo).noting(params.connections.note());
        let managed = prior.interfaces.values().filter(|interface| interface.managed).count();
        Decision::Change(match managed {
            0 => proposal,
            _ => proposal.noting(format!("{managed} interfaces belong to a service and stay as they are")),
        })
    }

    fn drift(&self, approved: &Prior, now: &Prior) -> Option<String> {
        let changed = now.open().into_iter().find(|(id, interface)| {
            approved.interfaces.get(*id).is_none_or(|before| before.groups != interface.groups)
        });
        changed.map(|(id, _)| format!("the security groups of {id} are not the approved ones any more"))
    }

    async fn preflight(&self, cx: &Ctx, _: &Params, items: &[Item<Prior>]) -> Vec<Finding> {
        let client = super::client(cx);
        let interface = items.iter().find_map(|item| item.prior.open().first().map(|(id, eni)| (*id, *eni)));
        let Some((id, interface)) = interface else { return Vec::new() };
        let create = Purpose::Isolation.creation(&client, &cx.view.case, &interface.vpc).dry_run(true);
        let modify = client.modify_network_interface_attribute().network_interface_id(id);
        let modify = modify.set_groups(Some(interface.groups.clone())).dry_run(true);
        let (create, modify) = futures::join!(create.send(), modify.send());
        let create = super::asked(cx, "ec2:CreateSecurityGroup", create);
        let modify = super::asked(cx, "ec2:ModifyNetworkInterfaceAttribute", modify);
        create.into_iter().chain(modify).collect()
    }

    async fn apply(&self, cx: &Ctx, params: &Params, items: &[Item<Prior>]) -> Result<Vec<Effect>, ActionError> {
        let client = super::client(cx);
        let mut effects = Vec::with_capacity(items.len());
        for item in items {
            let open = item.prior.open();
            let moves = open.iter().map(|(id, interface)| self.close(cx, &client, item, (id, interface), params));
            let groups: BTreeMap<String, String> = try_join_all(moves).await?.into_iter().collect();
            effects.push(json!({ "groups": groups }));
        }
        Ok(effects)
    }

    fn made(&self, found: &Found<Prior>) -> Effect {
        let groups: BTreeMap<&str, &str> =
            found.prior.isolation.iter().map(|(vpc, isolation)| (vpc.as_str(), isolation.group.as_str())).collect();
        json!({ "groups": groups })
    }

    /// A machine without an interface, because somebody terminated it, reaches nobody.
    fn verify(&self, _: &View, _: &Params, found: &Found<Prior>) -> Verdict {
        let open = found.prior.open();
        let managed = !found.prior.interfaces.is_empty() && found.prior.interfaces.values().all(|eni| eni.managed);
        match open.first() {
            Some((id, _)) => Verdict::Unproven { why: format!("{id} has other security groups") },
            None if managed => Verdict::Unproven { why: "all its interfaces belong to a service".to_owned() },
            None => Verdict::Proven,
        }
    }

    async fn undo(&self, cx: &Ctx, _: &Params, item: &Item<Prior>, effect: &Effect) -> Result<(), ActionError> {
        let client = super::client(cx);
        let groups = isolation_groups(&client, &cx.view.case, item, effect).await?;
        let saved = item.prior.interfaces.iter().filter(|(_, interface)| !interface.managed);
        let moves = saved.map(|(id, interface)| {
            let moved = put(&client, id, interface.groups.clone());
            async move { super::unless_gone(moved.await) }
        });
        try_join_all(moves).await?;
        for group in groups {
            self.groups.delete(&client, &group).await?;
        }
        Ok(())
    }
}

impl Isolate {
    /// Moves an interface into the isolation group of its VPC. Returns the VPC and the group.
    async fn close(
        &self,
        cx: &Ctx,
        client: &Client,
        item: &Item<Prior>,
        (id, interface): (&str, &Interface),
        params: &Params,
    ) -> Result<(String, String), ActionError> {
        let known = item.prior.isolation.get(&interface.vpc).filter(|isolation| !isolation.open);
        let closed = match known {
            Some(isolation) => isolation.group.clone(),
            None => self.groups.of(client, cx, &interface.vpc, Purpose::Isolation).await?,
        };
        match params.connections {
            Connections::Keep => match when_seen(|| Box::pin(put(client, id, vec![closed.clone()]))).await {
                // Somebody deleted it before a machine was in it: it is made anew.
                Err(error) if error.is(UNSEEN) => {
                    self.groups.forget(&closed);
                    let closed = self.groups.of(client, cx, &interface.vpc, Purpose::Isolation).await?;
                    when_seen(|| Box::pin(put(client, id, vec![closed.clone()]))).await?;
                    return Ok((interface.vpc.clone(), closed));
                }
                answer => answer?,
            },
            // An earlier attempt may have closed it: then it is not opened again.
            Connections::Cut if is_in(client, id, &closed).await? => {}
            Connections::Cut => {
                let opening = self.groups.of(client, cx, &interface.vpc, Purpose::Opening).await?;
                when_seen(|| Box::pin(put(client, id, vec![opening.clone()]))).await?;
                sleep(OPEN_FOR).await;
                if let Err(error) = put(client, id, vec![closed.clone()]).await {
                    put(client, id, interface.groups.clone()).await?;
                    return Err(error);
                }
            }
        }
        Ok((interface.vpc.clone(), closed))
    }
}

/// Gives an interface these groups in the place of all others.
async fn put(client: &Client, id: &str, groups: Vec<String>) -> Result<(), ActionError> {
    let request = client.modify_network_interface_attribute().network_interface_id(id);
    request.set_groups(Some(groups)).send().await?;
    Ok(())
}

/// Whether an interface is in this group and in no other.
async fn is_in(client: &Client, id: &str, group: &str) -> Result<bool, ActionError> {
    let found = network::interfaces(client, filter("network-interface-id", [id])).await?;
    let groups = found.iter().flat_map(NetworkInterface::groups).map(|group| group.group_id());
    Ok(groups.collect::<Vec<_>>() == [Some(group)])
}

/// The isolation groups that the run put an instance into: those it reported, and those that the interfaces are in now. As a
/// run that was cut off reports nothing, also those that it made for the case and may have put nothing into yet.
async fn isolation_groups(
    client: &Client,
    case: &RunId,
    item: &Item<Prior>,
    effect: &Effect,
) -> Result<BTreeSet<String>, ActionError> {
    let reported = match effect.get("groups").and_then(Value::as_object) {
        Some(groups) => groups.values().filter_map(Value::as_str).map(str::to_owned).collect(),
        None => {
            let vpcs: BTreeSet<&String> = item.prior.interfaces.values().map(|interface| &interface.vpc).collect();
            let name = Purpose::Isolation.name(case);
            let made = try_join_all(vpcs.into_iter().map(|vpc| groups::named(client, &name, Some(vpc)))).await?;
            made.into_iter().flatten().filter_map(|group| group.group_id).collect::<Vec<_>>()
        }
    };
    let seen = of_instances(client, vec![item.resource.to_string()]).await?;
    let seen = seen.iter().flat_map(NetworkInterface::groups);
    let seen = seen.filter(|group| group.group_name().is_some_and(groups::is_ours));
    let seen = seen.filter_map(|group| group.group_id()).map(str::to_owned);
    let before: BTreeSet<&String> = item.prior.interfaces.values().flat_map(|interface| &interface.groups).collect();
    Ok(reported.into_iter().chain(seen).filter(|group| !before.contains(group)).collect())
}

fn isolation(group: &SecurityGroup) -> Option<(String, Isolation)> {
    let open = !group.ip_permissions().is_empty() || !group.ip_permissions_egress().is_empty();
    Some((group.vpc_id()?.to_owned(), Isolation { group: group.group_id()?.to_owned(), open }))
}

async fn of_instances(client: &Client, ids: Vec<String>) -> Result<Vec<NetworkInterface>, ActionError> {
    network::interfaces(client, filter("attachment.instance-id", ids)).await
}

/// The instance it belongs to, its id, and what counts of it.
fn interface(interface: NetworkInterface) -> Option<(String, String, Interface)> {
    let instance = network::instance(&interface)?.to_owned();
    let mut groups: Vec<String> = interface.groups().iter().filter_map(|g| g.group_id()).map(str::to_owned).collect();
    groups.sort_unstable();
    let managed = interface.requester_managed().unwrap_or_default();
    let vpc = interface.vpc_id().unwrap_or_default().to_owned();
    Some((instance, interface.network_interface_id?, Interface { vpc, groups, managed }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::actions::tests::view;
    use crate::model::ResourceId;

    fn prior(groups: &[&str], managed: bool, isolation: Option<bool>) -> Prior {
        let groups = groups.iter().map(ToString::to_string).collect();
        let interface = Interface { vpc: "vpc-1".into(), groups, managed };
        let isolation = isolation.map(|open| ("vpc-1".to_owned(), Isolation { group: "sg-q".into(), open }));
        Prior {
            interfaces: BTreeMap::from([("eni-1".to_owned(), interface)]),
            isolation: isolation.into_iter().collect(),
        }
    }

    fn plan(prior: Prior) -> Decision {
        let id = ResourceId::new("i-1").unwrap();
        Isolate::default().plan(
            &view(),
            &Params { connections: Connections::Keep },
            &Found { member: id.clone(), resource: id, prior },
        )
    }

    #[test]
    fn isolated_is_only_who_is_in_a_group_without_rules() {
        assert_eq!(plan(prior(&["sg-q"], false, Some(false))), Decision::Already);
        assert!(matches!(plan(prior(&["sg-q"], false, Some(true))), Decision::Change(_)));
        assert!(matches!(plan(prior(&["sg-1", "sg-q"], false, Some(false))), Decision::Change(_)));
        let Decision::Change(proposal) = plan(prior(&["sg-1"], false, None)) else { panic!("no change") };
        assert_eq!(proposal.before, "sg-1");
    }

    #[test]
    fn what_a_service_owns_is_not_touched() {
        assert!(matches!(plan(prior(&["sg-1"], true, None)), Decision::Skip(_)));
    }

    #[test]
    fn a_group_made_meanwhile_is_no_drift_and_other_groups_are() {
        let isolate = Isolate::default();
        assert_eq!(isolate.drift(&prior(&["sg-1"], false, None), &prior(&["sg-1"], false, Some(false))), None);
        assert!(isolate.drift(&prior(&["sg-1"], false, None), &prior(&["sg-2"], false, None)).is_some());
    }
}
