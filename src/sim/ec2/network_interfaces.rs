//! Network interfaces.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Ec2;
use super::connections::Connections;
use super::ids::{ENI, GROUP};
use super::instances::{Instance, public_dns};
use super::listing::{Listed, Look, describe, many, one, some};
use super::shape::{date, maybe, paged, value};
use super::tags::Tags;
use crate::sim::call::{Body, Call, Refusal, Reply};
use crate::sim::wire::xml::Xml;

/// A network interface.
#[derive(Debug, Clone, Default, Serialize)]
pub struct NetworkInterface {
    /// `eni-…`.
    pub id: String,
    /// Its subnet.
    pub subnet_id: String,
    /// Its VPC.
    pub vpc_id: String,
    /// `eu-west-3a`.
    pub availability_zone: String,
    /// In words.
    pub description: String,
    /// Address in the subnet.
    pub private_ip: String,
    /// Hardware address.
    pub mac: String,
    /// Its security groups.
    pub groups: Vec<String>,
    /// What its connections are like.
    pub connections: Connections,
    /// What it is attached to.
    pub attachment: Option<Attachment>,
    /// The service that made it; the owner cannot change it then.
    pub requester_id: Option<String>,
    /// Whether foreign traffic is let through.
    pub ignores_source_dest: bool,
    /// Tags.
    pub tags: Tags,
}

/// What an interface is attached to.
#[derive(Debug, Clone, Serialize)]
pub struct Attachment {
    /// `eni-attach-…`.
    pub id: String,
    /// The instance. None for what a service holds.
    pub instance_id: Option<String>,
    /// Since when; a stop of the instance does not change it.
    pub attached: Timestamp,
    /// Whether terminating the instance deletes it.
    pub delete_on_termination: bool,
    /// 0 for the first.
    pub device_index: u32,
}

impl Attachment {
    fn xml(&self) -> Vec<Xml> {
        vec![
            Xml::text("attachmentId", &self.id),
            Xml::text("deviceIndex", self.device_index),
            Xml::text("networkCardIndex", 0),
            Xml::text("status", "attached"),
            Xml::text("attachTime", date(self.attached)),
            Xml::text("deleteOnTermination", self.delete_on_termination),
        ]
    }
}

impl NetworkInterface {
    fn status(&self) -> &'static str {
        if self.attachment.is_some() { "in-use" } else { "available" }
    }

    fn instance(&self) -> Option<&String> {
        self.attachment.as_ref().and_then(|attachment| attachment.instance_id.as_ref())
    }

    fn private_dns(&self, region: &str) -> String {
        let name = format!("ip-{}", self.private_ip.replace('.', "-"));
        if region == "us-east-1" { format!("{name}.ec2.internal") } else { format!("{name}.{region}.compute.internal") }
    }

    fn common(&self, ec2: &Ec2) -> Vec<Xml> {
        let first = self.attachment.as_ref().is_none_or(|attachment| attachment.device_index == 0);
        let instance = self.instance().filter(|_| first).and_then(|id| ec2.instances.get(id));
        let association = instance.and_then(|i| ec2.public_ip(i)).map(|ip| {
            let dns = public_dns(&ec2.region, &ip);
            let own = ec2.addresses.values().any(|address| address.public_ip == ip);
            let owner = if own { ec2.account.as_str() } else { "amazon" };
            Xml::node(
                "association",
                vec![Xml::text("ipOwnerId", owner), Xml::text("publicDnsName", dns), Xml::text("publicIp", ip)],
            )
        });
        let mut address = vec![
            Xml::text("privateIpAddress", &self.private_ip),
            Xml::text("privateDnsName", self.private_dns(&ec2.region)),
            Xml::text("primary", true),
        ];
        address.extend(association.clone());
        let mut xml = vec![
            Xml::text("networkInterfaceId", &self.id),
            Xml::text("subnetId", &self.subnet_id),
            Xml::text("vpcId", &self.vpc_id),
            Xml::text("description", &self.description),
            Xml::text("ownerId", &ec2.account),
            Xml::text("status", self.status()),
            Xml::text("macAddress", &self.mac),
            Xml::text("privateIpAddress", &self.private_ip),
            Xml::text("privateDnsName", self.private_dns(&ec2.region)),
            Xml::text("sourceDestCheck", !self.ignores_source_dest),
            Xml::text("interfaceType", "interface"),
            Xml::list("groupSet", "item", self.groups.iter().map(|id| ec2.group_xml(id))),
            Xml::list("privateIpAddressesSet", "item", [address]),
            Xml::node("ipv6AddressesSet", Vec::new()),
        ];
        xml.extend(association);
        xml
    }

    /// As DescribeInstances shows it.
    pub fn in_instance(&self, ec2: &Ec2) -> Vec<Xml> {
        let mut xml = self.common(ec2);
        xml.extend(self.attachment.as_ref().map(|attachment| Xml::node("attachment", attachment.xml())));
        xml
    }
}

impl Listed for NetworkInterface {
    const FILTERS: &'static [(&'static str, Look<Self>)] = &[
        ("addresses.private-ip-address", |_, e| one(&e.private_ip)),
        ("attachment.attachment-id", |_, e| some(e.attachment.as_ref().map(|a| &a.id))),
        ("attachment.instance-id", |_, e| some(e.instance())),
        ("attachment.status", |_, e| some(e.attachment.as_ref().map(|_| "attached").as_ref())),
        ("availability-zone", |_, e| one(&e.availability_zone)),
        ("description", |_, e| one(&e.description)),
        ("group-id", |_, e| many(&e.groups)),
        ("group-name", |ec2, e| many(e.groups.iter().map(|id| ec2.group_name(id)))),
        ("interface-type", |_, _| one("interface")),
        ("mac-address", |_, e| one(&e.mac)),
        ("network-interface-id", |_, e| one(&e.id)),
        ("owner-id", |ec2, _| one(&ec2.account)),
        ("private-ip-address", |_, e| one(&e.private_ip)),
        ("requester-id", |_, e| some(e.requester_id.as_ref())),
        ("requester-managed", |_, e| one(e.requester_id.is_some())),
        ("source-dest-check", |_, e| one(!e.ignores_source_dest)),
        ("status", |_, e| one(e.status())),
        ("subnet-id", |_, e| one(&e.subnet_id)),
        ("vpc-id", |_, e| one(&e.vpc_id)),
    ];

    fn id(&self) -> &str {
        &self.id
    }

    fn tags(&self) -> &Tags {
        &self.tags
    }
}

describe!(DescribeNetworkInterfaces {
    ids: Vec<String> = "NetworkInterfaceId",
    include_managed_resources: bool = "IncludeManagedResources",
});

/// DescribeNetworkInterfaces.
pub fn describe(ec2: &Ec2, call: &Call) -> Reply {
    let params: DescribeNetworkInterfaces = call.params.read()?;
    let listing = params.listing();
    listing.refuse_ids_with_pages(&params.ids, "networkInterfaceIdSet")?;
    let mut interfaces = ENI.select(&ec2.network_interfaces, &params.ids)?;
    let instance =
        |eni: &NetworkInterface| eni.attachment.as_ref().and_then(|attachment| attachment.instance_id.clone());
    interfaces.retain(|eni| params.include_managed_resources || !ec2.hides(instance(eni).as_deref()));
    let (page, next) = listing.of(ec2, interfaces)?;
    let items = page.into_iter().map(|eni| {
        let mut xml = eni.common(ec2);
        xml.extend([
            Xml::text("availabilityZone", &eni.availability_zone),
            Xml::text("requesterManaged", eni.requester_id.is_some()),
            super::shape::tag_set(&eni.tags),
        ]);
        xml.extend(maybe("requesterId", eni.requester_id.as_ref()));
        xml.extend(eni.attachment.as_ref().map(|attachment| {
            let mut children = attachment.xml();
            children.push(Xml::text("instanceOwnerId", &ec2.account));
            children.extend(maybe("instanceId", attachment.instance_id.as_ref()));
            Xml::node("attachment", children)
        }));
        xml
    });
    Ok(Body::Xml(paged(vec![Xml::list("networkInterfaceSet", "item", items)], next)))
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct DescribeNetworkInterfaceAttribute {
    network_interface_id: String,
    attribute: Option<String>,
    _dry_run: Option<bool>,
}

/// DescribeNetworkInterfaceAttribute.
pub fn describe_attribute(ec2: &Ec2, call: &Call) -> Reply {
    let params: DescribeNetworkInterfaceAttribute = call.params.read()?;
    let eni = ENI.get(&ec2.network_interfaces, &params.network_interface_id)?;
    let shown = match params.attribute.as_deref() {
        Some("groupSet") => Some(Xml::list("groupSet", "item", eni.groups.iter().map(|id| ec2.group_xml(id)))),
        Some("description") => Some(value("description", &eni.description)),
        Some("sourceDestCheck") => Some(value("sourceDestCheck", !eni.ignores_source_dest)),
        Some("attachment") => eni.attachment.as_ref().map(|attachment| Xml::node("attachment", attachment.xml())),
        other => {
            let message = format!("Value ({}) for parameter attribute is invalid.", other.unwrap_or_default());
            return Err(Refusal::new(400, "InvalidParameterValue", message));
        }
    };
    let mut xml = vec![Xml::text("networkInterfaceId", &eni.id)];
    xml.extend(shown);
    Ok(Body::Xml(xml))
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct ModifyNetworkInterfaceAttribute {
    network_interface_id: String,
    #[serde(default, rename = "SecurityGroupId")]
    groups: Vec<String>,
    description: Option<Value<String>>,
    source_dest_check: Option<Value<bool>>,
    attachment: Option<AttachmentChange>,
    _dry_run: Option<bool>,
}

#[derive(Debug, Deserialize)]
struct Value<T> {
    #[serde(rename = "Value")]
    value: T,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct AttachmentChange {
    attachment_id: String,
    delete_on_termination: bool,
}

/// ModifyNetworkInterfaceAttribute: one attribute in a call, and not of an interface that a service holds.
pub fn modify_attribute(ec2: &mut Ec2, call: &Call) -> Reply {
    let params: ModifyNetworkInterfaceAttribute = call.params.read()?;
    let given = [
        !params.groups.is_empty(),
        params.description.is_some(),
        params.source_dest_check.is_some(),
        params.attachment.is_some(),
    ];
    if given.into_iter().filter(|given| *given).count() != 1 {
        let message = "Exactly one attribute of a network interface is modified by a call";
        return Err(Refusal::new(400, "InvalidParameterCombination", message));
    }
    let eni = ENI.get(&ec2.network_interfaces, &params.network_interface_id)?;
    if let Some(requester) = &eni.requester_id {
        let message = format!(
            "You do not have permission to access the specified resource: {} is managed by {requester}.",
            eni.id
        );
        return Err(Refusal::new(403, "AuthFailure", message));
    }
    GROUP.check_all(&ec2.security_groups, &params.groups)?;
    if let Some(foreign) = params.groups.iter().find(|id| ec2.security_groups[*id].vpc_id != eni.vpc_id) {
        let message =
            format!("You have specified two resources that belong to different networks: {foreign} and {}.", eni.id);
        return Err(Refusal::new(400, "InvalidGroup.NotFound", message));
    }
    if !params.groups.is_empty() {
        ec2.regroup(&params.network_interface_id, params.groups);
    }
    let eni = ENI.get_mut(&mut ec2.network_interfaces, &params.network_interface_id)?;
    if let Some(description) = params.description {
        eni.description = description.value;
    }
    if let Some(check) = params.source_dest_check {
        eni.ignores_source_dest = !check.value;
    }
    if let Some(change) = params.attachment {
        match &mut eni.attachment {
            Some(held) if held.id == change.attachment_id => held.delete_on_termination = change.delete_on_termination,
            _ => {
                let message = format!("The attachment ID '{}' does not exist", change.attachment_id);
                return Err(Refusal::new(400, "InvalidAttachmentID.NotFound", message));
            }
        }
    }
    Ok(Body::ec2_true())
}

impl Ec2 {
    /// The interfaces of an instance, the first one first.
    pub fn enis_of<'a>(&'a self, instance: &str) -> impl Iterator<Item = &'a NetworkInterface> + use<'a> {
        let mut enis: Vec<&NetworkInterface> =
            self.network_interfaces.values().filter(|eni| eni.instance().is_some_and(|id| id == instance)).collect();
        enis.sort_by_key(|eni| eni.attachment.as_ref().map(|attachment| attachment.device_index));
        enis.into_iter()
    }

    /// The groups of an instance's first interface.
    pub fn groups_of<'a>(&'a self, instance: &str) -> Vec<&'a str> {
        self.enis_of(instance).next().map(|eni| eni.groups.iter().map(String::as_str).collect()).unwrap_or_default()
    }

    /// The public address of an instance: its Elastic IP, or the one it was given.
    pub fn public_ip(&self, instance: &Instance) -> Option<String> {
        let own = self.addresses.values().find(|address| address.instance_id.as_ref() == Some(&instance.id));
        own.map(|address| address.public_ip.clone()).or_else(|| instance.public_ip.clone())
    }

    /// Adds an interface to an instance, as a scenario may want; returns its id.
    pub fn add_network_interface(
        &mut self,
        instance: &str,
        groups: Vec<String>,
        now: Timestamp,
    ) -> Result<String, Refusal> {
        let held = super::ids::INSTANCE.get(&self.instances, instance)?;
        let subnet = super::ids::SUBNET.get(&self.subnets, &held.subnet_id)?.clone();
        let device_index = u32::try_from(self.enis_of(instance).count()).unwrap_or(u32::MAX);
        let eni = NetworkInterface {
            id: self.ids.next(ENI.prefix),
            private_ip: self.free_private_ip(&subnet),
            mac: format!(
                "02:00:00:{:02x}:{:02x}:{:02x}",
                self.ids.below(256),
                self.ids.below(256),
                self.ids.below(256)
            ),
            subnet_id: subnet.id,
            vpc_id: subnet.vpc_id,
            availability_zone: subnet.availability_zone,
            groups,
            attachment: Some(Attachment {
                id: self.ids.next("eni-attach-"),
                instance_id: Some(instance.to_owned()),
                attached: now,
                delete_on_termination: false,
                device_index,
            }),
            ..NetworkInterface::default()
        };
        let id = eni.id.clone();
        self.network_interfaces.insert(id.clone(), eni);
        Ok(id)
    }
}
