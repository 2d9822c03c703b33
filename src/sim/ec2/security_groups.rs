//! Security groups, and what a rule is.

use serde::{Deserialize, Serialize};

use super::Ec2;
use super::ids::{GROUP, VPC};
use super::listing::{Listed, Look, describe, many, one};
use super::shape::{maybe, paged, tag_set};
use super::tags::{self, TagSpecification, Tags};
use crate::sim::call::{Body, Call, Refusal, Reply};
use crate::sim::wire::xml::Xml;

/// A security group.
#[derive(Debug, Clone, Serialize)]
pub struct SecurityGroup {
    /// `sg-…`.
    pub id: String,
    /// Unique in its VPC.
    pub name: String,
    /// In words.
    pub description: String,
    /// Its VPC.
    pub vpc_id: String,
    /// What it allows.
    pub rules: Vec<Rule>,
    /// Tags.
    pub tags: Tags,
}

/// Which way traffic goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// In.
    Ingress,
    /// Out.
    Egress,
}

/// The other end of allowed traffic.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Peer {
    /// Addresses such as `0.0.0.0/0`.
    Ipv4(String),
    /// Addresses such as `::/0`.
    Ipv6(String),
    /// Members of a group.
    Group(String),
    /// A prefix list.
    PrefixList(String),
}

/// What a group allows.
#[derive(Debug, Clone, Serialize)]
pub struct Rule {
    /// `sgr-…`.
    pub id: String,
    /// In or out.
    pub direction: Direction,
    /// `tcp`, `-1` for all.
    pub protocol: String,
    /// First port; -1 for all.
    pub from_port: i32,
    /// Last port; -1 for all.
    pub to_port: i32,
    /// From or to whom.
    pub peer: Peer,
    /// In words.
    pub description: Option<String>,
    /// Tags.
    pub tags: Tags,
}

impl Rule {
    /// All traffic, in this direction, from or to `peer`.
    pub fn all(id: String, direction: Direction, peer: Peer) -> Self {
        let protocol = "-1".to_owned();
        Self { id, direction, protocol, from_port: -1, to_port: -1, peer, description: None, tags: Tags::new() }
    }

    pub(super) fn allows_the_same(&self, other: &Self) -> bool {
        let key = |r: &Self| (r.direction, r.protocol.clone(), r.from_port, r.to_port, r.peer.clone());
        key(self) == key(other)
    }

    /// As DescribeSecurityGroups shows it: one permission each.
    fn permission(&self, account: &str) -> Vec<Xml> {
        let described = || maybe("description", self.description.as_ref());
        let list = |name, children: Option<Vec<Xml>>| {
            Xml::list(
                name,
                "item",
                children.map(|mut c| {
                    c.extend(described());
                    c
                }),
            )
        };
        let (mut v4, mut v6, mut group, mut prefix) = (None, None, None, None);
        match &self.peer {
            Peer::Ipv4(cidr) => v4 = Some(vec![Xml::text("cidrIp", cidr)]),
            Peer::Ipv6(cidr) => v6 = Some(vec![Xml::text("cidrIpv6", cidr)]),
            Peer::Group(id) => group = Some(vec![Xml::text("userId", account), Xml::text("groupId", id)]),
            Peer::PrefixList(id) => prefix = Some(vec![Xml::text("prefixListId", id)]),
        }
        let mut xml = vec![Xml::text("ipProtocol", &self.protocol)];
        if self.protocol != "-1" {
            xml.extend([Xml::text("fromPort", self.from_port), Xml::text("toPort", self.to_port)]);
        }
        xml.extend([
            list("groups", group),
            list("ipRanges", v4),
            list("ipv6Ranges", v6),
            list("prefixListIds", prefix),
        ]);
        xml
    }

    /// As DescribeSecurityGroupRules and the answers of Authorize and Revoke show it.
    pub(super) fn shown(&self, group: &str, account: &str) -> Vec<Xml> {
        let mut xml = vec![
            Xml::text("securityGroupRuleId", &self.id),
            Xml::text("groupId", group),
            Xml::text("groupOwnerId", account),
            Xml::text("isEgress", self.direction == Direction::Egress),
            Xml::text("ipProtocol", &self.protocol),
            Xml::text("fromPort", self.from_port),
            Xml::text("toPort", self.to_port),
            tag_set(&self.tags),
        ];
        xml.push(match &self.peer {
            Peer::Ipv4(cidr) => Xml::text("cidrIpv4", cidr),
            Peer::Ipv6(cidr) => Xml::text("cidrIpv6", cidr),
            Peer::PrefixList(id) => Xml::text("prefixListId", id),
            Peer::Group(id) => {
                Xml::node("referencedGroupInfo", vec![Xml::text("groupId", id), Xml::text("userId", account)])
            }
        });
        xml.extend(maybe("description", self.description.as_ref()));
        xml
    }
}

impl SecurityGroup {
    pub(super) fn in_direction(&self, direction: Direction) -> impl Iterator<Item = &Rule> {
        self.rules.iter().filter(move |rule| rule.direction == direction)
    }

    fn cidrs(&self, direction: Direction) -> Vec<String> {
        many(self.in_direction(direction).filter_map(|rule| match &rule.peer {
            Peer::Ipv4(cidr) => Some(cidr),
            _ => None,
        }))
    }
}

impl Listed for SecurityGroup {
    const FILTERS: &'static [(&'static str, Look<Self>)] = &[
        ("description", |_, g| one(&g.description)),
        ("egress.ip-permission.cidr", |_, g| g.cidrs(Direction::Egress)),
        ("egress.ip-permission.protocol", |_, g| many(g.in_direction(Direction::Egress).map(|r| &r.protocol))),
        ("group-id", |_, g| one(&g.id)),
        ("group-name", |_, g| one(&g.name)),
        ("ip-permission.cidr", |_, g| g.cidrs(Direction::Ingress)),
        ("ip-permission.from-port", |_, g| many(g.in_direction(Direction::Ingress).map(|r| r.from_port))),
        ("ip-permission.protocol", |_, g| many(g.in_direction(Direction::Ingress).map(|r| &r.protocol))),
        ("ip-permission.to-port", |_, g| many(g.in_direction(Direction::Ingress).map(|r| r.to_port))),
        ("owner-id", |ec2, _| one(&ec2.account)),
        ("vpc-id", |_, g| one(&g.vpc_id)),
    ];

    fn id(&self) -> &str {
        &self.id
    }

    fn tags(&self) -> &Tags {
        &self.tags
    }
}

describe!(DescribeSecurityGroups { ids: Vec<String> = "GroupId", names: Vec<String> = "GroupName" });

/// DescribeSecurityGroups.
pub fn describe(ec2: &Ec2, call: &Call) -> Reply {
    let params: DescribeSecurityGroups = call.params.read()?;
    let listing = params.listing();
    listing.refuse_ids_with_pages(&params.ids, "groupIdSet")?;
    for name in &params.names {
        ec2.group_named(name, None)?;
    }
    let mut groups = GROUP.select(&ec2.security_groups, &params.ids)?;
    groups.retain(|group| params.names.is_empty() || params.names.contains(&group.name));
    let (page, next) = listing.of(ec2, groups)?;
    let items = page.into_iter().map(|g| {
        let rules = |direction| g.in_direction(direction).map(|rule| rule.permission(&ec2.account));
        vec![
            Xml::text("ownerId", &ec2.account),
            Xml::text("groupId", &g.id),
            Xml::text("groupName", &g.name),
            Xml::text("groupDescription", &g.description),
            Xml::text("vpcId", &g.vpc_id),
            Xml::text("securityGroupArn", ec2.arn(GROUP.name, &g.id)),
            Xml::list("ipPermissions", "item", rules(Direction::Ingress)),
            Xml::list("ipPermissionsEgress", "item", rules(Direction::Egress)),
            tag_set(&g.tags),
        ]
    });
    Ok(Body::Xml(paged(vec![Xml::list("securityGroupInfo", "item", items)], next)))
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct CreateSecurityGroup {
    group_name: String,
    group_description: String,
    vpc_id: Option<String>,
    #[serde(default, rename = "TagSpecification")]
    tag_specifications: Vec<TagSpecification>,
    _dry_run: Option<bool>,
}

/// CreateSecurityGroup: the new group lets everything out, by IPv6 too where its VPC has that.
pub fn create(ec2: &mut Ec2, call: &Call) -> Reply {
    let params: CreateSecurityGroup = call.params.read()?;
    tags::only_for(&params.tag_specifications, &["security-group"])?;
    let tags = tags::specified(&params.tag_specifications, "security-group")?;
    let vpc = match &params.vpc_id {
        Some(id) => VPC.get(&ec2.vpcs, id)?,
        None => {
            ec2.default_vpc().ok_or_else(|| Refusal::new(400, "VPCIdNotSpecified", "No default VPC for this user"))?
        }
    };
    let (vpc_id, has_ipv6) = (vpc.id.clone(), vpc.ipv6_cidr.is_some());
    let name = params.group_name;
    if name.is_empty() || name.len() > 255 || name.starts_with("sg-") {
        let message = format!(
            "Value ({name}) for parameter GroupName is invalid. Names have 1 to 255 characters and do not begin with sg-."
        );
        return Err(Refusal::new(400, "InvalidParameterValue", message));
    }
    if ec2.security_groups.values().any(|group| group.vpc_id == vpc_id && group.name == name) || name == "default" {
        let message = format!("The security group '{name}' already exists for VPC '{vpc_id}'");
        return Err(Refusal::new(400, "InvalidGroup.Duplicate", message));
    }
    let mut rules = vec![Rule::all(ec2.ids.next("sgr-"), Direction::Egress, Peer::Ipv4("0.0.0.0/0".to_owned()))];
    if has_ipv6 {
        rules.push(Rule::all(ec2.ids.next("sgr-"), Direction::Egress, Peer::Ipv6("::/0".to_owned())));
    }
    let id = ec2.ids.next(GROUP.prefix);
    let body = Body::Xml(vec![
        Xml::text("return", true),
        Xml::text("groupId", &id),
        tag_set(&tags),
        Xml::text("securityGroupArn", ec2.arn(GROUP.name, &id)),
    ]);
    let group = SecurityGroup { id: id.clone(), name, description: params.group_description, vpc_id, rules, tags };
    ec2.security_groups.insert(id, group);
    Ok(body)
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct DeleteSecurityGroup {
    group_id: Option<String>,
    group_name: Option<String>,
    _dry_run: Option<bool>,
}

/// DeleteSecurityGroup: not while an interface or another group refers to it.
pub fn delete(ec2: &mut Ec2, call: &Call) -> Reply {
    let params: DeleteSecurityGroup = call.params.read()?;
    let id = ec2.group_of(params.group_id, params.group_name)?;
    let group = GROUP.get(&ec2.security_groups, &id)?;
    if group.name == "default" {
        let message = format!("the specified group: \"{id}\" name: \"default\" cannot be deleted by a user");
        return Err(Refusal::new(400, "CannotDelete", message));
    }
    let used = ec2.network_interfaces.values().any(|eni| eni.groups.contains(&id));
    let referred = ec2
        .security_groups
        .values()
        .any(|other| other.id != id && other.rules.iter().any(|rule| rule.peer == Peer::Group(id.clone())));
    if used || referred {
        let message = format!("resource {id} has a dependent object");
        return Err(Refusal::new(400, "DependencyViolation", message));
    }
    ec2.security_groups.remove(&id);
    Ok(Body::Xml(vec![Xml::text("return", true), Xml::text("groupId", id)]))
}

impl Ec2 {
    /// The group with this name, in this VPC or (none given) in the default one.
    pub(super) fn group_named(&self, name: &str, vpc: Option<&str>) -> Result<&SecurityGroup, Refusal> {
        let vpc = vpc.or_else(|| self.default_vpc().map(|vpc| vpc.id.as_str()));
        let mut groups = self.security_groups.values();
        groups.find(|group| group.name == name && Some(group.vpc_id.as_str()) == vpc).ok_or_else(|| {
            Refusal::new(
                400,
                "InvalidGroup.NotFound",
                format!("The security group '{name}' does not exist in default VPC"),
            )
        })
    }

    /// The id of the group that is named by id or by name.
    pub(super) fn group_of(&self, id: Option<String>, name: Option<String>) -> Result<String, Refusal> {
        match (id, name) {
            (Some(id), _) => GROUP.get(&self.security_groups, &id).map(|group| group.id.clone()),
            (None, Some(name)) => self.group_named(&name, None).map(|group| group.id.clone()),
            (None, None) => Err(Refusal::new(
                400,
                "MissingParameter",
                "The request must contain the parameter groupName or groupId",
            )),
        }
    }

    /// The id of a VPC's own group.
    pub(super) fn default_group(&self, vpc: &str) -> String {
        self.group_named("default", Some(vpc)).map(|group| group.id.clone()).unwrap_or_default()
    }

    /// A group's name.
    pub(super) fn group_name(&self, id: &str) -> String {
        self.security_groups.get(id).map(|group| group.name.clone()).unwrap_or_default()
    }

    /// The children of a `groupSet`'s item.
    pub(super) fn group_xml(&self, id: &str) -> Vec<Xml> {
        vec![Xml::text("groupId", id), Xml::text("groupName", self.group_name(id))]
    }
}
