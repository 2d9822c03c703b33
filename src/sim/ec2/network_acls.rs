//! Network ACLs.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Ec2;
use super::ids::{ACL, VPC};
use super::listing::{Listed, Look, describe, many, one};
use super::shape::{maybe, paged, tag_set};
use super::tags::{self, TagSpecification, Tags};
use crate::sim::call::{Body, Call, Refusal, Reply};
use crate::sim::wire::xml::Xml;

/// The number of the last rule, which denies and which nobody can take away.
const LAST: u32 = 32767;

/// A network ACL.
#[derive(Debug, Clone, Serialize)]
pub struct NetworkAcl {
    /// `acl-…`.
    pub id: String,
    /// Its VPC.
    pub vpc_id: String,
    /// Whether it is the VPC's own.
    pub is_default: bool,
    /// Rules, in the order of their numbers.
    pub entries: Vec<Entry>,
    /// The subnets it stands before, by the id of the association.
    pub associations: BTreeMap<String, String>,
    /// Tags.
    pub tags: Tags,
}

/// A rule.
#[derive(Debug, Clone, Serialize)]
pub struct Entry {
    /// 1 to 32766; 32767 is the last one, which denies.
    pub number: u32,
    /// `-1` for all.
    pub protocol: String,
    /// `allow` or `deny`.
    pub action: String,
    /// Whether it is for what goes out.
    pub egress: bool,
    /// IPv4 addresses.
    pub cidr: Option<String>,
    /// IPv6 addresses.
    pub ipv6_cidr: Option<String>,
    /// First and last port.
    pub ports: Option<(u32, u32)>,
}

impl Entry {
    /// For all IPv4 traffic in one direction.
    pub fn all(number: u32, action: &str, egress: bool) -> Self {
        Self {
            number,
            protocol: "-1".to_owned(),
            action: action.to_owned(),
            egress,
            cidr: Some("0.0.0.0/0".to_owned()),
            ipv6_cidr: None,
            ports: None,
        }
    }

    fn xml(&self) -> Vec<Xml> {
        let mut xml = vec![
            Xml::text("ruleNumber", self.number),
            Xml::text("protocol", &self.protocol),
            Xml::text("ruleAction", &self.action),
            Xml::text("egress", self.egress),
        ];
        xml.extend(maybe("cidrBlock", self.cidr.as_ref()));
        xml.extend(maybe("ipv6CidrBlock", self.ipv6_cidr.as_ref()));
        xml.extend(
            self.ports.map(|(from, to)| Xml::node("portRange", vec![Xml::text("from", from), Xml::text("to", to)])),
        );
        xml
    }
}

impl Listed for NetworkAcl {
    const FILTERS: &'static [(&'static str, Look<Self>)] = &[
        ("association.association-id", |_, a| many(a.associations.keys())),
        ("association.network-acl-id", |_, a| one(&a.id)),
        ("association.subnet-id", |_, a| many(a.associations.values())),
        ("default", |_, a| one(a.is_default)),
        ("network-acl-id", |_, a| one(&a.id)),
        ("owner-id", |ec2, _| one(&ec2.account)),
        ("vpc-id", |_, a| one(&a.vpc_id)),
    ];

    fn id(&self) -> &str {
        &self.id
    }

    fn tags(&self) -> &Tags {
        &self.tags
    }
}

fn shown(ec2: &Ec2, a: &NetworkAcl) -> Vec<Xml> {
    let associations = a.associations.iter().map(|(association, subnet)| {
        vec![
            Xml::text("networkAclAssociationId", association),
            Xml::text("networkAclId", &a.id),
            Xml::text("subnetId", subnet),
        ]
    });
    vec![
        Xml::text("networkAclId", &a.id),
        Xml::text("vpcId", &a.vpc_id),
        Xml::text("ownerId", &ec2.account),
        Xml::text("default", a.is_default),
        Xml::list("entrySet", "item", a.entries.iter().map(Entry::xml)),
        Xml::list("associationSet", "item", associations),
        tag_set(&a.tags),
    ]
}

describe!(DescribeNetworkAcls { ids: Vec<String> = "NetworkAclId" });

/// DescribeNetworkAcls.
pub fn describe(ec2: &Ec2, call: &Call) -> Reply {
    let params: DescribeNetworkAcls = call.params.read()?;
    let (page, next) = params.listing().of(ec2, ACL.select(&ec2.network_acls, &params.ids)?)?;
    let items = page.into_iter().map(|acl| shown(ec2, acl));
    Ok(Body::Xml(paged(vec![Xml::list("networkAclSet", "item", items)], next)))
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct CreateNetworkAcl {
    vpc_id: String,
    client_token: Option<String>,
    #[serde(default, rename = "TagSpecification")]
    tag_specifications: Vec<TagSpecification>,
    _dry_run: Option<bool>,
}

/// CreateNetworkAcl: a new one denies everything. The same client token makes it once.
pub fn create(ec2: &mut Ec2, call: &Call) -> Reply {
    let params: CreateNetworkAcl = call.params.read()?;
    VPC.get(&ec2.vpcs, &params.vpc_id)?;
    let token = params.client_token.as_deref();
    let id = match ec2.made_before(token, call)? {
        Some(made) => made.concat(),
        None => {
            let acl = NetworkAcl {
                id: ec2.ids.next(ACL.prefix),
                vpc_id: params.vpc_id,
                is_default: false,
                entries: vec![Entry::all(LAST, "deny", true), Entry::all(LAST, "deny", false)],
                associations: BTreeMap::new(),
                tags: tags::specified(&params.tag_specifications, "network-acl")?,
            };
            let id = acl.id.clone();
            ec2.network_acls.insert(id.clone(), acl);
            id
        }
    };
    let acl = Xml::node("networkAcl", shown(ec2, ACL.get(&ec2.network_acls, &id)?));
    ec2.remember_made(token, call, &[id]);
    Ok(Body::Xml(vec![acl, Xml::text("clientToken", token.unwrap_or_default())]))
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct CreateNetworkAclEntry {
    network_acl_id: String,
    rule_number: u32,
    protocol: String,
    rule_action: String,
    egress: bool,
    cidr_block: Option<String>,
    ipv6_cidr_block: Option<String>,
    port_range: Option<PortRange>,
    _dry_run: Option<bool>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct PortRange {
    from: u32,
    to: u32,
}

/// CreateNetworkAclEntry.
pub fn create_entry(ec2: &mut Ec2, call: &Call) -> Reply {
    let params: CreateNetworkAclEntry = call.params.read()?;
    let acl = ACL.get_mut(&mut ec2.network_acls, &params.network_acl_id)?;
    if !(1..=32766).contains(&params.rule_number) || !["allow", "deny"].contains(&params.rule_action.as_str()) {
        let message = format!(
            "Rule {} ({}) is invalid: numbers go from 1 to 32766, actions are allow and deny.",
            params.rule_number, params.rule_action
        );
        return Err(Refusal::new(400, "InvalidParameterValue", message));
    }
    if acl.entries.iter().any(|entry| entry.number == params.rule_number && entry.egress == params.egress) {
        let message = format!("The network acl entry identified by {} already exists.", params.rule_number);
        return Err(Refusal::new(400, "NetworkAclEntryAlreadyExists", message));
    }
    acl.entries.push(Entry {
        number: params.rule_number,
        protocol: params.protocol,
        action: params.rule_action,
        egress: params.egress,
        cidr: params.cidr_block,
        ipv6_cidr: params.ipv6_cidr_block,
        ports: params.port_range.map(|range| (range.from, range.to)),
    });
    acl.entries.sort_by_key(|entry| (entry.egress, entry.number));
    Ok(Body::ec2_true())
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct DeleteNetworkAclEntry {
    network_acl_id: String,
    rule_number: u32,
    egress: bool,
    _dry_run: Option<bool>,
}

/// DeleteNetworkAclEntry. The last rule, which denies, stays.
pub fn delete_entry(ec2: &mut Ec2, call: &Call) -> Reply {
    let params: DeleteNetworkAclEntry = call.params.read()?;
    let acl = ACL.get_mut(&mut ec2.network_acls, &params.network_acl_id)?;
    let is_it = |entry: &Entry| entry.number == params.rule_number && entry.egress == params.egress;
    if params.rule_number == LAST || !acl.entries.iter().any(is_it) {
        let message = format!("The network acl entry identified by {} does not exist.", params.rule_number);
        return Err(Refusal::new(400, "InvalidNetworkAclEntry.NotFound", message));
    }
    acl.entries.retain(|entry| !is_it(entry));
    Ok(Body::ec2_true())
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct DeleteNetworkAcl {
    network_acl_id: String,
    _dry_run: Option<bool>,
}

/// DeleteNetworkAcl: not the VPC's own, and none that stands before a subnet.
pub fn delete(ec2: &mut Ec2, call: &Call) -> Reply {
    let params: DeleteNetworkAcl = call.params.read()?;
    let acl = ACL.get(&ec2.network_acls, &params.network_acl_id)?;
    if acl.is_default {
        let message = format!("cannot delete default network ACL {}", acl.id);
        return Err(Refusal::new(400, "InvalidParameterValue", message));
    }
    if !acl.associations.is_empty() {
        let message = format!("The networkAcl '{}' has dependencies and cannot be deleted.", acl.id);
        return Err(Refusal::new(400, "DependencyViolation", message));
    }
    ec2.network_acls.remove(&params.network_acl_id);
    Ok(Body::ec2_true())
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct ReplaceNetworkAclAssociation {
    association_id: String,
    network_acl_id: String,
    _dry_run: Option<bool>,
}

/// ReplaceNetworkAclAssociation: the association gets a new id.
pub fn replace_association(ec2: &mut Ec2, call: &Call) -> Reply {
    let params: ReplaceNetworkAclAssociation = call.params.read()?;
    ACL.get(&ec2.network_acls, &params.network_acl_id)?;
    let subnet = ec2.network_acls.values_mut().find_map(|acl| acl.associations.remove(&params.association_id));
    let Some(subnet) = subnet else {
        let message = format!("The association ID '{}' does not exist", params.association_id);
        return Err(Refusal::new(400, "InvalidAssociationID.NotFound", message));
    };
    let id = ec2.ids.next("aclassoc-");
    ACL.get_mut(&mut ec2.network_acls, &params.network_acl_id)?.associations.insert(id.clone(), subnet);
    Ok(Body::Xml(vec![Xml::text("newAssociationId", id)]))
}
