//! The rules of security groups: listed, authorized, revoked.

use serde::Deserialize;

use super::Ec2;
use super::ids::{GROUP, RULE};
use super::listing::{Listed, Look, describe, one};
use super::security_groups::{Direction, Peer, Rule};
use super::shape::paged;
use super::tags::{self, TagSpecification, Tags};
use crate::sim::call::{Body, Call, Refusal, Reply};
use crate::sim::wire::xml::Xml;

struct RuleOfGroup {
    group: String,
    rule: Rule,
}

impl Listed for RuleOfGroup {
    const FILTERS: &'static [(&'static str, Look<Self>)] =
        &[("group-id", |_, r| one(&r.group)), ("security-group-rule-id", |_, r| one(&r.rule.id))];

    fn id(&self) -> &str {
        &self.rule.id
    }

    fn tags(&self) -> &Tags {
        &self.rule.tags
    }
}

describe!(DescribeSecurityGroupRules { ids: Vec<String> = "SecurityGroupRuleId" });

/// DescribeSecurityGroupRules.
pub fn describe(ec2: &Ec2, call: &Call) -> Reply {
    let params: DescribeSecurityGroupRules = call.params.read()?;
    let mut rules = std::collections::BTreeMap::new();
    for group in ec2.security_groups.values() {
        for rule in &group.rules {
            rules.insert(rule.id.clone(), RuleOfGroup { group: group.id.clone(), rule: rule.clone() });
        }
    }
    let (page, next) = params.listing().of(ec2, RULE.select(&rules, &params.ids)?)?;
    let items = page.into_iter().map(|r| r.rule.shown(&r.group, &ec2.account));
    Ok(Body::Xml(paged(vec![Xml::list("securityGroupRuleSet", "item", items)], next)))
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase", deny_unknown_fields)]
struct IpPermission {
    ip_protocol: String,
    from_port: Option<i32>,
    to_port: Option<i32>,
    ip_ranges: Vec<PeerParameter>,
    ipv6_ranges: Vec<PeerParameter>,
    groups: Vec<PeerParameter>,
    prefix_list_ids: Vec<PeerParameter>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase", deny_unknown_fields)]
struct PeerParameter {
    cidr_ip: Option<String>,
    cidr_ipv6: Option<String>,
    group_id: Option<String>,
    group_name: Option<String>,
    prefix_list_id: Option<String>,
    description: Option<String>,
    _user_id: Option<String>,
    _vpc_id: Option<String>,
    _vpc_peering_connection_id: Option<String>,
    _peering_status: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct RuleChange {
    group_id: Option<String>,
    group_name: Option<String>,
    #[serde(default)]
    ip_permissions: Vec<IpPermission>,
    ip_protocol: Option<String>,
    from_port: Option<i32>,
    to_port: Option<i32>,
    cidr_ip: Option<String>,
    #[serde(default, rename = "SecurityGroupRuleId")]
    rule_ids: Vec<String>,
    #[serde(default, rename = "TagSpecification")]
    tag_specifications: Vec<TagSpecification>,
    _dry_run: Option<bool>,
}

impl RuleChange {
    /// The rules spoken of, one per peer, without ids.
    fn rules(&self, ec2: &Ec2, direction: Direction) -> Result<Vec<Rule>, Refusal> {
        let mut permissions = self.ip_permissions.clone();
        if let Some(protocol) = &self.ip_protocol {
            let range = PeerParameter { cidr_ip: self.cidr_ip.clone(), ..PeerParameter::default() };
            permissions.push(IpPermission {
                ip_protocol: protocol.clone(),
                from_port: self.from_port,
                to_port: self.to_port,
                ip_ranges: vec![range],
                ..IpPermission::default()
            });
        }
        let mut rules = Vec::new();
        for permission in permissions {
            let protocol = match permission.ip_protocol.as_str() {
                "6" => "tcp",
                "17" => "udp",
                "1" => "icmp",
                "all" => "-1",
                other => other,
            };
            let ports = if protocol == "-1" {
                (-1, -1)
            } else {
                (permission.from_port.unwrap_or(-1), permission.to_port.unwrap_or(-1))
            };
            let peers =
                [&permission.ip_ranges, &permission.ipv6_ranges, &permission.groups, &permission.prefix_list_ids];
            for peer in peers.into_iter().flatten() {
                let found = peer.peer(ec2)?;
                rules.push(Rule {
                    protocol: protocol.to_owned(),
                    from_port: ports.0,
                    to_port: ports.1,
                    description: peer.description.clone(),
                    tags: tags::specified(&self.tag_specifications, RULE.name)?,
                    ..Rule::all(String::new(), direction, found)
                });
            }
        }
        Ok(rules)
    }
}

impl PeerParameter {
    fn peer(&self, ec2: &Ec2) -> Result<Peer, Refusal> {
        if let Some(cidr) = &self.cidr_ip {
            return check_cidr(cidr).map(|()| Peer::Ipv4(cidr.clone()));
        }
        if let Some(cidr) = &self.cidr_ipv6 {
            return check_cidr(cidr).map(|()| Peer::Ipv6(cidr.clone()));
        }
        if let Some(list) = &self.prefix_list_id {
            return Ok(Peer::PrefixList(list.clone()));
        }
        ec2.group_of(self.group_id.clone(), self.group_name.clone()).map(Peer::Group)
    }
}

fn check_cidr(cidr: &str) -> Result<(), Refusal> {
    let valid = cidr.split_once('/').is_some_and(|(address, bits)| {
        let most = if address.contains(':') { 128 } else { 32 };
        address.parse::<std::net::IpAddr>().is_ok() && bits.parse::<u8>().is_ok_and(|bits| bits <= most)
    });
    if valid {
        return Ok(());
    }
    Err(Refusal::new(400, "InvalidParameterValue", format!("CIDR block {cidr} is malformed")))
}

/// AuthorizeSecurityGroupIngress and -Egress: a rule that is there already is refused.
pub fn authorize(ec2: &mut Ec2, call: &Call, direction: Direction) -> Reply {
    let params: RuleChange = call.params.read()?;
    let id = ec2.group_of(params.group_id.clone(), params.group_name.clone())?;
    let mut rules = params.rules(ec2, direction)?;
    if rules.is_empty() {
        return Err(Refusal::new(400, "MissingParameter", "The request must contain the parameter ipPermissions"));
    }
    let group = GROUP.get(&ec2.security_groups, &id)?;
    if let Some(there) = rules.iter().find(|rule| group.rules.iter().any(|held| held.allows_the_same(rule))) {
        let message = format!(
            "the specified rule \"peer: {:?}, {}, from port: {}, to port: {}\" already exists",
            there.peer, there.protocol, there.from_port, there.to_port
        );
        return Err(Refusal::new(400, "InvalidPermission.Duplicate", message));
    }
    for rule in &mut rules {
        rule.id = ec2.ids.next(RULE.prefix);
    }
    let items: Vec<Vec<Xml>> = rules.iter().map(|rule| rule.shown(&id, &ec2.account)).collect();
    GROUP.get_mut(&mut ec2.security_groups, &id)?.rules.extend(rules);
    Ok(Body::Xml(vec![Xml::text("return", true), Xml::list("securityGroupRuleSet", "item", items)]))
}

/// RevokeSecurityGroupIngress and -Egress: a rule that is not there is refused.
pub fn revoke(ec2: &mut Ec2, call: &Call, direction: Direction) -> Reply {
    let params: RuleChange = call.params.read()?;
    let id = ec2.group_of(params.group_id.clone(), params.group_name.clone())?;
    let rules = params.rules(ec2, direction)?;
    let account = ec2.account.clone();
    let group = GROUP.get_mut(&mut ec2.security_groups, &id)?;
    if let Some(missing) = params.rule_ids.iter().find(|id| !group.in_direction(direction).any(|held| held.id == **id))
    {
        return Err(RULE.not_found(&[missing]));
    }
    if rules.iter().any(|rule| !group.rules.iter().any(|held| held.allows_the_same(rule))) {
        let message = "The specified rule does not exist in this security group.";
        return Err(Refusal::new(400, "InvalidPermission.NotFound", message));
    }
    if rules.is_empty() && params.rule_ids.is_empty() {
        return Err(Refusal::new(400, "MissingParameter", "The request must contain the parameter ipPermissions"));
    }
    let named = |held: &Rule| params.rule_ids.contains(&held.id) || rules.iter().any(|rule| held.allows_the_same(rule));
    let (revoked, kept): (Vec<Rule>, Vec<Rule>) = std::mem::take(&mut group.rules).into_iter().partition(named);
    group.rules = kept;
    let items = revoked.iter().map(|rule| {
        let mut xml = rule.shown(&id, &account);
        if let Peer::Group(referenced) = &rule.peer {
            xml.push(Xml::text("referencedGroupId", referenced));
        }
        xml
    });
    Ok(Body::Xml(vec![Xml::text("return", true), Xml::list("revokedSecurityGroupRuleSet", "item", items)]))
}
