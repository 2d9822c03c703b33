//! Instances: what they are, DescribeInstances, DescribeInstanceStatus.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Ec2;
use super::ids::INSTANCE;
use super::listing::{Listed, Look, describe, many, one, some};
use super::shape::{date, maybe, paged, tag_set};
use super::tags::Tags;
use crate::sim::call::{Body, Call, Reply};
use crate::sim::wire::xml::Xml;

/// A virtual machine.
#[derive(Debug, Clone, Serialize)]
pub struct Instance {
    /// `i-…`.
    pub id: String,
    /// `r-…`: what was launched by one call shares it.
    pub reservation_id: String,
    /// Who launched it on the owner's behalf: Auto Scaling's account, for example.
    pub requester_id: Option<String>,
    /// The service that manages it: `eks.amazonaws.com`. Nobody else may change it, and lists may leave it out.
    pub operator: Option<String>,
    /// Its place among those launched by the same call.
    pub launch_index: u32,
    /// `ami-…`.
    pub image_id: String,
    /// `c5.4xlarge`.
    pub instance_type: String,
    /// The key pair it was launched with.
    pub key_name: Option<String>,
    /// When it was last started.
    pub launch_time: Timestamp,
    /// When it was first launched.
    pub first_launched: Timestamp,
    /// `windows`, or nothing.
    pub platform: Option<String>,
    /// `Windows`, `Linux/UNIX`, …
    pub platform_details: String,
    /// `RunInstances:0002`: how it is billed.
    pub usage_operation: String,
    /// `x86_64`.
    pub architecture: String,
    /// `eu-west-3a`.
    pub availability_zone: String,
    /// Its subnet.
    pub subnet_id: String,
    /// Its VPC.
    pub vpc_id: String,
    /// Address in the subnet.
    pub private_ip: String,
    /// The auto-assigned public address, which a stop takes away. An Elastic IP is among the addresses instead.
    pub public_ip: Option<String>,
    /// Whether a start gives it a public address again.
    pub assigns_public_ip: bool,
    /// Its volumes, the root device first.
    pub block_devices: Vec<BlockDevice>,
    /// `ebs` or `instance-store`.
    pub root_device_type: String,
    /// `/dev/sda1`.
    pub root_device_name: String,
    /// Set for Spot: its request.
    pub spot_request_id: Option<String>,
    /// Access to the instance metadata.
    pub metadata: MetadataOptions,
    /// The token of the call that launched it.
    pub client_token: String,
    /// Tags.
    pub tags: Tags,
    /// Whether it has dedicated bandwidth to its volumes.
    pub ebs_optimized: bool,
    /// What it does now.
    pub state: State,
    /// Why: code and message.
    pub state_reason: Option<(String, String)>,
    /// `User initiated (2026-11-23 13:30:18 GMT)`.
    pub transition_reason: String,
    /// Termination protection.
    pub disable_api_termination: bool,
    /// Stop protection.
    pub disable_api_stop: bool,
    /// `stop` or `terminate`.
    pub shutdown_behavior: String,
    /// In base64. Not shown with the world: it may hold secrets.
    #[serde(skip)]
    pub user_data: Option<String>,
    /// Whether hibernation was enabled at launch.
    pub hibernation: bool,
    /// Whether its operating system does not manage to hibernate.
    pub hibernation_fails: bool,
    /// Whether detailed monitoring is on.
    pub monitoring: bool,
    /// Whether traffic that is not its own is dropped.
    pub source_dest_check: bool,
    /// `default`, `dedicated`.
    pub tenancy: String,
    /// What GetConsoleOutput answers.
    #[serde(skip)]
    pub console: String,
}

/// A volume as an instance sees it.
#[derive(Debug, Clone, Serialize)]
pub struct BlockDevice {
    /// `/dev/sda1`.
    pub device_name: String,
    /// `vol-…`.
    pub volume_id: String,
    /// Since when.
    pub attached: Timestamp,
    /// Whether terminating the instance deletes it.
    pub delete_on_termination: bool,
}

/// Access to the instance metadata.
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq, Eq)]
#[serde(default, deny_unknown_fields, rename_all(deserialize = "PascalCase"))]
pub struct MetadataOptions {
    /// `optional` or `required` (IMDSv2).
    pub http_tokens: String,
    /// 1 to 64.
    pub http_put_response_hop_limit: u8,
    /// `enabled` or `disabled`.
    pub http_endpoint: String,
    /// `enabled` or `disabled`.
    pub http_protocol_ipv6: String,
    /// `enabled` or `disabled`.
    pub instance_metadata_tags: String,
}

impl Default for MetadataOptions {
    fn default() -> Self {
        Self {
            http_tokens: "optional".to_owned(),
            http_put_response_hop_limit: 1,
            http_endpoint: "enabled".to_owned(),
            http_protocol_ipv6: "disabled".to_owned(),
            instance_metadata_tags: "disabled".to_owned(),
        }
    }
}

impl MetadataOptions {
    /// The children of `<metadataOptions>`.
    pub fn xml(&self) -> Vec<Xml> {
        vec![
            Xml::text("state", "applied"),
            Xml::text("httpTokens", &self.http_tokens),
            Xml::text("httpPutResponseHopLimit", self.http_put_response_hop_limit),
            Xml::text("httpEndpoint", &self.http_endpoint),
            Xml::text("httpProtocolIpv6", &self.http_protocol_ipv6),
            Xml::text("instanceMetadataTags", &self.instance_metadata_tags),
        ]
    }
}

/// What an instance does now. What takes time says when it will be over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(tag = "name", rename_all = "kebab-case")]
pub enum State {
    /// Being launched or started.
    Pending {
        /// When it will run.
        until: Timestamp,
    },
    /// Up.
    Running,
    /// Being terminated.
    ShuttingDown {
        /// When it will be gone.
        until: Timestamp,
    },
    /// Gone; shown for an hour.
    Terminated {
        /// Since when.
        since: Timestamp,
    },
    /// Being stopped.
    Stopping {
        /// When it will be stopped.
        until: Timestamp,
    },
    /// Down.
    Stopped,
}

impl State {
    /// As on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pending { .. } => "pending",
            Self::Running => "running",
            Self::ShuttingDown { .. } => "shutting-down",
            Self::Terminated { .. } => "terminated",
            Self::Stopping { .. } => "stopping",
            Self::Stopped => "stopped",
        }
    }

    /// The number that goes with the name.
    pub fn code(self) -> u8 {
        match self {
            Self::Pending { .. } => 0,
            Self::Running => 16,
            Self::ShuttingDown { .. } => 32,
            Self::Terminated { .. } => 48,
            Self::Stopping { .. } => 64,
            Self::Stopped => 80,
        }
    }

    /// Whether it is gone, or about to be.
    pub fn is_ending(self) -> bool {
        matches!(self, Self::ShuttingDown { .. } | Self::Terminated { .. })
    }

    /// The element that carries code and name.
    pub fn xml(self, element: &'static str) -> Xml {
        Xml::node(element, vec![Xml::text("code", self.code()), Xml::text("name", self.name())])
    }
}

impl Instance {
    /// Number of virtual processors, by the size of its type.
    pub fn vcpus(&self) -> u32 {
        vcpus(&self.instance_type)
    }

    /// Name in the VPC's DNS.
    pub fn private_dns(&self, region: &str) -> String {
        let name = format!("ip-{}", self.private_ip.replace('.', "-"));
        if region == "us-east-1" { format!("{name}.ec2.internal") } else { format!("{name}.{region}.compute.internal") }
    }
}

/// Number of virtual processors of a type, by its size. `nano`, `micro`, `small`, `medium`, `large` have up to two.
pub fn vcpus(instance_type: &str) -> u32 {
    let size = instance_type.split_once('.').map_or("", |(_, size)| size);
    match size {
        "xlarge" => 4,
        "metal" => 96,
        _ => size.strip_suffix("xlarge").and_then(|times| times.parse::<u32>().ok()).map_or(2, |times| times * 4),
    }
}

/// The public name of an address.
pub fn public_dns(region: &str, ip: &str) -> String {
    let name = format!("ec2-{}", ip.replace('.', "-"));
    if region == "us-east-1" {
        format!("{name}.compute-1.amazonaws.com")
    } else {
        format!("{name}.{region}.compute.amazonaws.com")
    }
}

impl Ec2 {
    /// Whether lists leave out what belongs to this instance unless they are asked to include it.
    pub(super) fn hides(&self, instance: Option<&str>) -> bool {
        let instance = instance.and_then(|id| self.instances.get(id));
        self.hides_managed_resources && instance.is_some_and(|instance| instance.operator.is_some())
    }
}

impl Listed for Instance {
    const FILTERS: &'static [(&'static str, Look<Self>)] = &[
        ("architecture", |_, i| one(&i.architecture)),
        ("availability-zone", |_, i| one(&i.availability_zone)),
        ("block-device-mapping.attach-time", |_, i| many(i.block_devices.iter().map(|d| date(d.attached)))),
        ("block-device-mapping.delete-on-termination", |_, i| {
            many(i.block_devices.iter().map(|d| d.delete_on_termination))
        }),
        ("block-device-mapping.device-name", |_, i| many(i.block_devices.iter().map(|d| &d.device_name))),
        ("block-device-mapping.status", |_, i| many(i.block_devices.iter().map(|_| "attached"))),
        ("block-device-mapping.volume-id", |_, i| many(i.block_devices.iter().map(|d| &d.volume_id))),
        ("client-token", |_, i| one(&i.client_token)),
        ("dns-name", |ec2, i| ec2.public_ip(i).map(|ip| public_dns(&ec2.region, &ip)).into_iter().collect()),
        ("ebs-optimized", |_, i| one(i.ebs_optimized)),
        ("hypervisor", |_, _| one("xen")),
        ("iam-instance-profile.arn", |ec2, i| some(ec2.profile_of(&i.id).map(|a| &a.profile.arn))),
        ("iam-instance-profile.id", |ec2, i| some(ec2.profile_of(&i.id).map(|a| &a.profile.id))),
        ("image-id", |_, i| one(&i.image_id)),
        ("instance-id", |_, i| one(&i.id)),
        ("instance-lifecycle", |_, i| some(i.spot_request_id.as_ref().map(|_| "spot").as_ref())),
        ("instance-state-code", |_, i| one(i.state.code())),
        ("instance-state-name", |_, i| one(i.state.name())),
        ("instance-type", |_, i| one(&i.instance_type)),
        ("instance.group-id", |ec2, i| many(ec2.groups_of(&i.id))),
        ("instance.group-name", |ec2, i| many(ec2.groups_of(&i.id).iter().map(|id| ec2.group_name(id)))),
        ("ip-address", |ec2, i| some(ec2.public_ip(i).as_ref())),
        ("key-name", |_, i| some(i.key_name.as_ref())),
        ("launch-index", |_, i| one(i.launch_index)),
        ("launch-time", |_, i| one(date(i.launch_time))),
        ("metadata-options.http-endpoint", |_, i| one(&i.metadata.http_endpoint)),
        ("metadata-options.http-tokens", |_, i| one(&i.metadata.http_tokens)),
        ("monitoring-state", |_, i| one(if i.monitoring { "enabled" } else { "disabled" })),
        ("network-interface.group-id", |ec2, i| many(ec2.groups_of(&i.id))),
        ("network-interface.network-interface-id", |ec2, i| many(ec2.enis_of(&i.id).map(|eni| &eni.id))),
        ("network-interface.subnet-id", |ec2, i| many(ec2.enis_of(&i.id).map(|eni| &eni.subnet_id))),
        ("network-interface.vpc-id", |ec2, i| many(ec2.enis_of(&i.id).map(|eni| &eni.vpc_id))),
        ("operator.managed", |_, i| one(i.operator.is_some())),
        ("operator.principal", |_, i| some(i.operator.as_ref())),
        ("owner-id", |ec2, _| one(&ec2.account)),
        ("platform", |_, i| some(i.platform.as_ref())),
        ("platform-details", |_, i| one(&i.platform_details)),
        ("private-dns-name", |ec2, i| one(i.private_dns(&ec2.region))),
        ("private-ip-address", |_, i| one(&i.private_ip)),
        ("reason", |_, i| one(&i.transition_reason)),
        ("requester-id", |_, i| some(i.requester_id.as_ref())),
        ("reservation-id", |_, i| one(&i.reservation_id)),
        ("root-device-name", |_, i| one(&i.root_device_name)),
        ("root-device-type", |_, i| one(&i.root_device_type)),
        ("source-dest-check", |_, i| one(i.source_dest_check)),
        ("spot-instance-request-id", |_, i| some(i.spot_request_id.as_ref())),
        ("state-reason-code", |_, i| some(i.state_reason.as_ref().map(|(code, _)| code))),
        ("state-reason-message", |_, i| some(i.state_reason.as_ref().map(|(_, message)| message))),
        ("subnet-id", |_, i| one(&i.subnet_id)),
        ("tenancy", |_, i| one(&i.tenancy)),
        ("usage-operation", |_, i| one(&i.usage_operation)),
        ("usage-operation-update-time", |_, i| one(date(i.first_launched))),
        ("virtualization-type", |_, _| one("hvm")),
        ("vpc-id", |_, i| one(&i.vpc_id)),
    ];

    fn id(&self) -> &str {
        &self.id
    }

    fn tags(&self) -> &Tags {
        &self.tags
    }
}

describe!(DescribeInstances {
    ids: Vec<String> = "InstanceId",
    include_managed_resources: bool = "IncludeManagedResources",
});

/// DescribeInstances.
pub fn describe(ec2: &Ec2, call: &Call) -> Reply {
    let params: DescribeInstances = call.params.read()?;
    let listing = params.listing();
    listing.refuse_ids_with_pages(&params.ids, "instancesSet")?;
    let mut instances = INSTANCE.select(&ec2.instances, &params.ids)?;
    instances.retain(|instance| params.include_managed_resources || !ec2.hides(Some(&instance.id)));
    let (page, next) = listing.of(ec2, instances)?;
    let mut reservations: BTreeMap<&str, Vec<&Instance>> = BTreeMap::new();
    for instance in page {
        reservations.entry(&instance.reservation_id).or_default().push(instance);
    }
    let reservations = reservations.values().map(|instances| reservation(ec2, instances));
    Ok(Body::Xml(paged(vec![Xml::list("reservationSet", "item", reservations)], next)))
}

/// The children of a reservation, also the answer of RunInstances.
pub fn reservation(ec2: &Ec2, instances: &[&Instance]) -> Vec<Xml> {
    let mut xml = vec![Xml::text("ownerId", &ec2.account), Xml::node("groupSet", Vec::new())];
    if let Some(first) = instances.first() {
        xml.push(Xml::text("reservationId", &first.reservation_id));
        xml.extend(maybe("requesterId", first.requester_id.as_ref()));
    }
    xml.push(Xml::list("instancesSet", "item", instances.iter().map(|instance| shown(ec2, instance))));
    xml
}

fn shown(ec2: &Ec2, i: &Instance) -> Vec<Xml> {
    let ending = i.state.is_ending();
    let public_ip = ec2.public_ip(i);
    let mut xml = vec![
        Xml::text("instanceId", &i.id),
        Xml::text("imageId", &i.image_id),
        i.state.xml("instanceState"),
        Xml::text("privateDnsName", if ending { String::new() } else { i.private_dns(&ec2.region) }),
        Xml::text("dnsName", public_ip.as_ref().map(|ip| public_dns(&ec2.region, ip)).unwrap_or_default()),
        Xml::text("reason", &i.transition_reason),
        Xml::text("amiLaunchIndex", i.launch_index),
        Xml::text("instanceType", &i.instance_type),
        Xml::text("launchTime", date(i.launch_time)),
        Xml::node(
            "placement",
            vec![
                Xml::text("availabilityZone", &i.availability_zone),
                Xml::text("groupName", ""),
                Xml::text("tenancy", &i.tenancy),
            ],
        ),
        Xml::node("monitoring", vec![Xml::text("state", if i.monitoring { "enabled" } else { "disabled" })]),
        Xml::text("architecture", &i.architecture),
        Xml::text("rootDeviceType", &i.root_device_type),
        Xml::text("rootDeviceName", &i.root_device_name),
        Xml::text("virtualizationType", "hvm"),
        Xml::text("clientToken", &i.client_token),
        Xml::text("hypervisor", "xen"),
        Xml::text("ebsOptimized", i.ebs_optimized),
        Xml::text("enaSupport", true),
        Xml::node("cpuOptions", vec![Xml::text("coreCount", (i.vcpus() / 2).max(1)), Xml::text("threadsPerCore", 2)]),
        Xml::node("hibernationOptions", vec![Xml::text("configured", i.hibernation)]),
        Xml::node("metadataOptions", i.metadata.xml()),
        Xml::node("enclaveOptions", vec![Xml::text("enabled", false)]),
        Xml::node("maintenanceOptions", vec![Xml::text("autoRecovery", "default")]),
        Xml::text("platformDetails", &i.platform_details),
        Xml::text("usageOperation", &i.usage_operation),
        Xml::text("usageOperationUpdateTime", date(i.first_launched)),
        tag_set(&i.tags),
        Xml::list("blockDeviceMapping", "item", i.block_devices.iter().map(BlockDevice::xml)),
        Xml::list("groupSet", "item", ec2.groups_of(&i.id).into_iter().map(|id| ec2.group_xml(id))),
        Xml::list("networkInterfaceSet", "item", ec2.enis_of(&i.id).map(|eni| eni.in_instance(ec2))),
    ];
    xml.extend(maybe("keyName", i.key_name.as_ref()));
    xml.extend(maybe("platform", i.platform.as_ref()));
    if !ending {
        xml.extend([
            Xml::text("subnetId", &i.subnet_id),
            Xml::text("vpcId", &i.vpc_id),
            Xml::text("privateIpAddress", &i.private_ip),
            Xml::text("sourceDestCheck", i.source_dest_check),
        ]);
        xml.extend(maybe("ipAddress", public_ip));
    }
    let mut operator = vec![Xml::text("managed", i.operator.is_some())];
    operator.extend(maybe("principal", i.operator.as_ref()));
    xml.push(Xml::node("operator", operator));
    if let Some(request) = &i.spot_request_id {
        xml.extend([Xml::text("instanceLifecycle", "spot"), Xml::text("spotInstanceRequestId", request)]);
    }
    if let Some((code, message)) = &i.state_reason {
        xml.push(Xml::node("stateReason", vec![Xml::text("code", code), Xml::text("message", message)]));
    }
    if let Some(association) = ec2.profile_of(&i.id) {
        xml.push(association.profile.xml());
    }
    xml
}

impl BlockDevice {
    /// As DescribeInstances and DescribeInstanceAttribute show it.
    pub fn xml(&self) -> Vec<Xml> {
        vec![
            Xml::text("deviceName", &self.device_name),
            Xml::node(
                "ebs",
                vec![
                    Xml::text("volumeId", &self.volume_id),
                    Xml::text("status", "attached"),
                    Xml::text("attachTime", date(self.attached)),
                    Xml::text("deleteOnTermination", self.delete_on_termination),
                ],
            ),
        ]
    }
}

describe!(DescribeInstanceStatus {
    ids: Vec<String> = "InstanceId",
    include_all_instances: bool = "IncludeAllInstances",
    include_managed_resources: bool = "IncludeManagedResources",
});

/// DescribeInstanceStatus: running instances, or all with `IncludeAllInstances`.
pub fn describe_status(ec2: &Ec2, call: &Call) -> Reply {
    let params: DescribeInstanceStatus = call.params.read()?;
    let listing = params.listing();
    listing.refuse_ids_with_pages(&params.ids, "instancesSet")?;
    let mut instances = INSTANCE.select(&ec2.instances, &params.ids)?;
    instances.retain(|i| params.include_all_instances || i.state == State::Running);
    instances.retain(|i| params.include_managed_resources || !ec2.hides(Some(&i.id)));
    let (page, next) = listing.of(ec2, instances)?;
    let items = page.into_iter().map(|i| {
        let status = if i.state == State::Running { "ok" } else { "not-applicable" };
        let check = |element: &'static str| Xml::node(element, vec![Xml::text("status", status)]);
        vec![
            Xml::text("instanceId", &i.id),
            Xml::text("availabilityZone", &i.availability_zone),
            i.state.xml("instanceState"),
            check("instanceStatus"),
            check("systemStatus"),
            check("attachedEbsStatus"),
        ]
    });
    Ok(Body::Xml(paged(vec![Xml::list("instanceStatusSet", "item", items)], next)))
}
