//! VPCs, subnets, addresses.

use std::collections::BTreeMap;

use serde::Serialize;

use super::Ec2;
use super::ids::{ADDRESS, SUBNET, VPC};
use super::listing::{Listed, Look, describe, one, some};
use super::network_acls::{Entry, NetworkAcl};
use super::security_groups::{Direction, Peer, Rule, SecurityGroup};
use super::shape::{maybe, paged, tag_set};
use super::tags::Tags;
use crate::sim::call::{Body, Call, Refusal, Reply};
use crate::sim::wire::xml::Xml;

/// A VPC.
#[derive(Debug, Clone, Serialize)]
pub struct Vpc {
    /// `vpc-…`.
    pub id: String,
    /// IPv4 addresses.
    pub cidr: String,
    /// IPv6 addresses, if it has any.
    pub ipv6_cidr: Option<String>,
    /// Whether it is the region's own.
    pub is_default: bool,
    /// Tags.
    pub tags: Tags,
}

/// A subnet.
#[derive(Debug, Clone, Serialize)]
pub struct Subnet {
    /// `subnet-…`.
    pub id: String,
    /// Its VPC.
    pub vpc_id: String,
    /// `172.31.16.0/20`.
    pub cidr: String,
    /// `eu-west-3a`.
    pub availability_zone: String,
    /// Whether launches that name no subnet come here.
    pub default_for_az: bool,
    /// Whether machines launched here get a public address.
    pub map_public_ip_on_launch: bool,
    /// Tags.
    pub tags: Tags,
}

/// An Elastic IP address.
#[derive(Debug, Clone, Serialize)]
pub struct Address {
    /// `eipalloc-…`.
    pub id: String,
    /// The address.
    pub public_ip: String,
    /// The instance that has it.
    pub instance_id: Option<String>,
    /// `eipassoc-…`.
    pub association_id: Option<String>,
    /// Tags.
    pub tags: Tags,
}

impl Listed for Vpc {
    const FILTERS: &'static [(&'static str, Look<Self>)] = &[
        ("cidr", |_, v| one(&v.cidr)),
        ("cidr-block-association.cidr-block", |_, v| one(&v.cidr)),
        ("is-default", |_, v| one(v.is_default)),
        ("isDefault", |_, v| one(v.is_default)),
        ("owner-id", |ec2, _| one(&ec2.account)),
        ("state", |_, _| one("available")),
        ("vpc-id", |_, v| one(&v.id)),
    ];

    fn id(&self) -> &str {
        &self.id
    }

    fn tags(&self) -> &Tags {
        &self.tags
    }
}

impl Listed for Subnet {
    const FILTERS: &'static [(&'static str, Look<Self>)] = &[
        ("availability-zone", |_, s| one(&s.availability_zone)),
        ("availabilityZone", |_, s| one(&s.availability_zone)),
        ("cidr-block", |_, s| one(&s.cidr)),
        ("default-for-az", |_, s| one(s.default_for_az)),
        ("map-public-ip-on-launch", |_, s| one(s.map_public_ip_on_launch)),
        ("owner-id", |ec2, _| one(&ec2.account)),
        ("state", |_, _| one("available")),
        ("subnet-id", |_, s| one(&s.id)),
        ("vpc-id", |_, s| one(&s.vpc_id)),
    ];

    fn id(&self) -> &str {
        &self.id
    }

    fn tags(&self) -> &Tags {
        &self.tags
    }
}

impl Listed for Address {
    const FILTERS: &'static [(&'static str, Look<Self>)] = &[
        ("allocation-id", |_, a| one(&a.id)),
        ("association-id", |_, a| some(a.association_id.as_ref())),
        ("instance-id", |_, a| some(a.instance_id.as_ref())),
        ("public-ip", |_, a| one(&a.public_ip)),
    ];

    fn id(&self) -> &str {
        &self.id
    }

    fn tags(&self) -> &Tags {
        &self.tags
    }
}

describe!(DescribeVpcs { ids: Vec<String> = "VpcId" });

/// DescribeVpcs.
pub fn describe(ec2: &Ec2, call: &Call) -> Reply {
    let params: DescribeVpcs = call.params.read()?;
    let (page, next) = params.listing().of(ec2, VPC.select(&ec2.vpcs, &params.ids)?)?;
    let items = page.into_iter().map(|v| {
        let state = |name| Xml::node(name, vec![Xml::text("state", "associated")]);
        let ipv6 = v.ipv6_cidr.iter().map(|cidr| vec![Xml::text("ipv6CidrBlock", cidr), state("ipv6CidrBlockState")]);
        vec![
            Xml::text("vpcId", &v.id),
            Xml::text("ownerId", &ec2.account),
            Xml::text("state", "available"),
            Xml::text("cidrBlock", &v.cidr),
            Xml::list(
                "cidrBlockAssociationSet",
                "item",
                [vec![Xml::text("cidrBlock", &v.cidr), state("cidrBlockState")]],
            ),
            Xml::list("ipv6CidrBlockAssociationSet", "item", ipv6),
            Xml::text("dhcpOptionsId", "default"),
            Xml::text("instanceTenancy", "default"),
            Xml::text("isDefault", v.is_default),
            tag_set(&v.tags),
        ]
    });
    Ok(Body::Xml(paged(vec![Xml::list("vpcSet", "item", items)], next)))
}

describe!(DescribeSubnets { ids: Vec<String> = "SubnetId" });

/// DescribeSubnets.
pub fn describe_subnets(ec2: &Ec2, call: &Call) -> Reply {
    let params: DescribeSubnets = call.params.read()?;
    let (page, next) = params.listing().of(ec2, SUBNET.select(&ec2.subnets, &params.ids)?)?;
    let items = page.into_iter().map(|s| {
        let used = ec2.network_interfaces.values().filter(|eni| eni.subnet_id == s.id).count();
        vec![
            Xml::text("subnetId", &s.id),
            Xml::text("subnetArn", ec2.arn(SUBNET.name, &s.id)),
            Xml::text("state", "available"),
            Xml::text("vpcId", &s.vpc_id),
            Xml::text("ownerId", &ec2.account),
            Xml::text("cidrBlock", &s.cidr),
            Xml::text("availableIpAddressCount", 4091_usize.saturating_sub(used)),
            Xml::text("availabilityZone", &s.availability_zone),
            Xml::text("defaultForAz", s.default_for_az),
            Xml::text("mapPublicIpOnLaunch", s.map_public_ip_on_launch),
            Xml::text("assignIpv6AddressOnCreation", false),
            tag_set(&s.tags),
        ]
    });
    Ok(Body::Xml(paged(vec![Xml::list("subnetSet", "item", items)], next)))
}

#[derive(Debug, serde::Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct DescribeAddresses {
    #[serde(default, rename = "AllocationId")]
    ids: Vec<String>,
    #[serde(default, rename = "PublicIp")]
    public_ips: Vec<String>,
    #[serde(default, rename = "Filter")]
    filters: Vec<super::listing::Filter>,
    _dry_run: Option<bool>,
}

/// DescribeAddresses.
pub fn describe_addresses(ec2: &Ec2, call: &Call) -> Reply {
    let params: DescribeAddresses = call.params.read()?;
    let mut addresses = ADDRESS.select(&ec2.addresses, &params.ids)?;
    if let Some(unknown) = params.public_ips.iter().find(|ip| !addresses.iter().any(|a| a.public_ip == **ip)) {
        return Err(Refusal::new(400, "InvalidAddress.NotFound", format!("Address '{unknown}' not found.")));
    }
    addresses.retain(|a| params.public_ips.is_empty() || params.public_ips.contains(&a.public_ip));
    let items = super::listing::keep(ec2, addresses, &params.filters)?.into_iter().map(|a| {
        let mut xml = vec![
            Xml::text("publicIp", &a.public_ip),
            Xml::text("allocationId", &a.id),
            Xml::text("domain", "vpc"),
            tag_set(&a.tags),
        ];
        xml.extend(maybe("instanceId", a.instance_id.as_ref()));
        xml.extend(maybe("associationId", a.association_id.as_ref()));
        let eni = a.instance_id.as_ref().and_then(|id| ec2.enis_of(id).next());
        if let Some(eni) = eni {
            xml.extend([Xml::text("networkInterfaceId", &eni.id), Xml::text("privateIpAddress", &eni.private_ip)]);
        }
        xml
    });
    Ok(Body::Xml(vec![Xml::list("addressesSet", "item", items)]))
}

impl Ec2 {
    /// What AWS puts into every region: a VPC with a subnet in each zone, a group, an ACL.
    pub(super) fn add_default_vpc(&mut self) {
        let vpc = Vpc {
            id: self.ids.next(VPC.prefix),
            cidr: "172.31.0.0/16".to_owned(),
            ipv6_cidr: None,
            is_default: true,
            tags: Tags::new(),
        };
        let group = self.ids.next("sg-");
        let own = Rule::all(self.ids.next("sgr-"), Direction::Ingress, Peer::Group(group.clone()));
        let out = Rule::all(self.ids.next("sgr-"), Direction::Egress, Peer::Ipv4("0.0.0.0/0".to_owned()));
        self.security_groups.insert(
            group.clone(),
            SecurityGroup {
                id: group,
                name: "default".to_owned(),
                description: "default VPC security group".to_owned(),
                vpc_id: vpc.id.clone(),
                rules: vec![own, out],
                tags: Tags::new(),
            },
        );
        let mut associations = BTreeMap::new();
        let zones: Vec<String> = self.zones().collect();
        for (number, availability_zone) in zones.into_iter().enumerate() {
            let subnet = Subnet {
                id: self.ids.next(SUBNET.prefix),
                vpc_id: vpc.id.clone(),
                cidr: format!("172.31.{}.0/20", number * 16),
                availability_zone,
                default_for_az: true,
                map_public_ip_on_launch: true,
                tags: Tags::new(),
            };
            associations.insert(self.ids.next("aclassoc-"), subnet.id.clone());
            self.subnets.insert(subnet.id.clone(), subnet);
        }
        let acl = NetworkAcl {
            id: self.ids.next("acl-"),
            vpc_id: vpc.id.clone(),
            is_default: true,
            entries: [false, true]
                .into_iter()
                .flat_map(|egress| [Entry::all(100, "allow", egress), Entry::all(32767, "deny", egress)])
                .collect(),
            associations,
            tags: Tags::new(),
        };
        self.network_acls.insert(acl.id.clone(), acl);
        self.vpcs.insert(vpc.id.clone(), vpc);
    }

    /// The region's own VPC.
    pub fn default_vpc(&self) -> Option<&Vpc> {
        self.vpcs.values().find(|vpc| vpc.is_default)
    }

    /// An address in the subnet that nobody has.
    pub(super) fn free_private_ip(&mut self, subnet: &Subnet) -> String {
        let base: Vec<u32> = subnet.cidr.split(['.', '/']).filter_map(|part| part.parse().ok()).collect();
        let (first, second, third) = match base.as_slice() {
            [first, second, third, ..] => (*first, *second, *third),
            _ => (172, 31, 0),
        };
        loop {
            let ip = format!("{first}.{second}.{}.{}", third + self.ids.below(16), 4 + self.ids.below(250));
            if !self.network_interfaces.values().any(|eni| eni.private_ip == ip) {
                return ip;
            }
        }
    }

    /// A public address, from a block that documentation uses (RFC 5737) widened to many.
    pub(super) fn new_public_ip(&mut self) -> String {
        format!("203.0.{}.{}", self.ids.below(256), 1 + self.ids.below(254))
    }

    /// Gives an instance an Elastic IP, as a scenario may want; returns the allocation's id.
    pub fn add_address(&mut self, instance: Option<&str>) -> String {
        let address = Address {
            id: self.ids.next(ADDRESS.prefix),
            public_ip: self.new_public_ip(),
            instance_id: instance.map(str::to_owned),
            association_id: instance.map(|_| self.ids.next("eipassoc-")),
            tags: Tags::new(),
        };
        let id = address.id.clone();
        self.addresses.insert(id.clone(), address);
        id
    }
}
