//! Amazon EC2: the state of one account in one region, and its operations.
//!
//! For scenarios: [`Ec2::new`] founds a region (default VPC, a subnet in each zone, Amazon's images);
//! [`Ec2::register_image`], [`Ec2::add_key_pair`], [`Ec2::launch`] with a [`launch::LaunchSpec`], [`Ec2::add_network_interface`],
//! [`Ec2::add_address`], [`Ec2::take_snapshot`] and [`Ec2::open_spot_request`] fill it. A region that no scenario founded is
//! founded by the first call that reaches it. [`Ec2::settle`] lets time do its work.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;

use self::security_groups::Direction;
use super::call::{Call, Permission, Refusal, Reply};
use super::world::{Settings, World};
use crate::model::{AccountId, Digest, Region};

pub mod attributes;
pub mod block_public_access;
pub mod capacity_reservations;
mod client_tokens;
pub mod connections;
pub mod fleets;
pub mod ids;
pub mod image_sharing;
pub mod images;
pub mod instances;
pub mod key_pairs;
pub mod launch;
pub mod launch_templates;
pub mod listing;
pub mod locks;
pub mod network_acls;
pub mod network_interfaces;
mod permissions;
pub mod power;
pub mod profiles;
pub mod region_settings;
pub mod regions;
pub mod run;
pub mod security_group_rules;
pub mod security_groups;
pub mod shape;
pub mod snapshots;
pub mod spot;
pub mod spot_fleets;
pub mod tags;
pub mod volumes;
pub mod vpcs;

/// What an account has in one region.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Ec2 {
    /// Its number. Empty until the region is founded.
    pub account: String,
    /// Its name.
    pub region: String,
    /// Instances.
    pub instances: BTreeMap<String, instances::Instance>,
    /// Volumes.
    pub volumes: BTreeMap<String, volumes::Volume>,
    /// Snapshots.
    pub snapshots: BTreeMap<String, snapshots::Snapshot>,
    /// Volume, begin and end of snapshots that are gone, for AWS's limits.
    #[serde(skip)]
    pub deleted_snapshots: Vec<(String, Timestamp, Timestamp)>,
    /// Security groups.
    pub security_groups: BTreeMap<String, security_groups::SecurityGroup>,
    /// Network interfaces.
    pub network_interfaces: BTreeMap<String, network_interfaces::NetworkInterface>,
    /// Network ACLs.
    pub network_acls: BTreeMap<String, network_acls::NetworkAcl>,
    /// Whether the VPCs' way to the internet is blocked.
    pub block_public_access: block_public_access::BlockPublicAccess,
    /// What that does not hold for.
    pub public_access_exclusions: BTreeMap<String, block_public_access::Exclusion>,
    /// VPCs.
    pub vpcs: BTreeMap<String, vpcs::Vpc>,
    /// Subnets.
    pub subnets: BTreeMap<String, vpcs::Subnet>,
    /// Elastic IP addresses.
    pub addresses: BTreeMap<String, vpcs::Address>,
    /// Capacity reservations.
    pub capacity_reservations: BTreeMap<String, capacity_reservations::CapacityReservation>,
    /// Images: the account's own, and Amazon's.
    pub images: BTreeMap<String, images::Image>,
    /// Key pairs.
    pub key_pairs: BTreeMap<String, key_pairs::KeyPair>,
    /// Which instance has which profile.
    pub profile_associations: BTreeMap<String, profiles::Association>,
    /// Spot requests.
    pub spot_requests: BTreeMap<String, spot::SpotRequest>,
    /// Fleets of both kinds.
    pub fleets: BTreeMap<String, fleets::Fleet>,
    /// Launch templates.
    pub launch_templates: BTreeMap<String, launch_templates::LaunchTemplate>,
    /// Whether new volumes are encrypted unless they say otherwise.
    pub ebs_encryption_by_default: bool,
    /// What else is set for the region.
    pub region_settings: region_settings::RegionSettings,
    /// Whether what services manage is left out of lists.
    pub hides_managed_resources: bool,
    /// By operation and client token: what was asked, and the ids of what was made.
    #[serde(skip)]
    pub client_tokens: BTreeMap<String, (String, Vec<String>)>,
    /// How long timed things take.
    #[serde(skip)]
    pub settings: Settings,
    /// Where ids come from.
    #[serde(skip)]
    pub ids: ids::Ids,
}

impl Ec2 {
    /// A region as AWS hands it over. Ids follow from account and region, so that they are the same in every run.
    pub fn new(account: &AccountId, region: &Region) -> Self {
        let digest = Digest::of(format!("{account} {region}"));
        let seed = u64::from_str_radix(&digest.as_str()[..16], 16).unwrap_or_default();
        let mut ec2 = Self {
            account: account.to_string(),
            region: region.to_string(),
            ids: ids::Ids::seeded(seed),
            ..Self::default()
        };
        ec2.add_default_vpc();
        let amazon = |image: images::Image| images::Image {
            owner: "801119661308".to_owned(),
            owner_alias: Some("amazon".to_owned()),
            public: true,
            ..image
        };
        let created: Timestamp = "2026-10-14T00:00:00Z".parse().unwrap_or_default();
        ec2.register_image(amazon(images::Image::linux("al2023-ami-2023.9.20261014.0-kernel-6.1-x86_64", created, 8)));
        ec2.register_image(amazon(images::Image::windows(
            "Windows_Server-2022-English-Full-Base-2026.10.14",
            created,
            30,
        )));
        ec2
    }

    /// Lets time do its work.
    pub fn settle(&mut self, now: Timestamp) {
        self.snapshots.values_mut().for_each(|snapshot| snapshot.settle(now));
        self.deleted_snapshots
            .retain(|(_, started, completed)| *completed > now || now.duration_since(*started).as_secs() < 15);
        for image in self.images.values_mut().filter(|image| image.state == "pending" && image.ready <= now) {
            "available".clone_into(&mut image.state);
        }
        self.settle_instances(now);
        self.settle_spot(now);
        self.settle_fleets(now);
        // What has just been relaunched may be running by now.
        self.settle_instances(now);
    }

    /// The ARN of a resource.
    pub fn arn(&self, resource_type: &str, id: &str) -> String {
        format!("arn:aws:ec2:{}:{}:{resource_type}/{id}", self.region, self.account)
    }

    /// The instance that has a volume, and the device it is there.
    pub fn device_of(&self, volume: &volumes::Volume) -> Option<(&str, &instances::BlockDevice)> {
        let instance = self.instances.get(volume.attached_to.as_ref()?)?;
        let device = instance.block_devices.iter().find(|device| device.volume_id == volume.id)?;
        Some((&instance.id, device))
    }

    /// The ids of everything that carries tags.
    pub fn tagged(&self) -> Vec<String> {
        let rules = self.security_groups.values().flat_map(|group| group.rules.iter().map(|rule| &rule.id));
        let keys = [
            self.instances.keys().collect::<Vec<_>>(),
            self.volumes.keys().collect(),
            self.snapshots.keys().collect(),
            self.security_groups.keys().collect(),
            self.network_interfaces.keys().collect(),
            self.network_acls.keys().collect(),
            self.vpcs.keys().collect(),
            self.subnets.keys().collect(),
            self.addresses.keys().collect(),
            self.capacity_reservations.keys().collect(),
            self.images.keys().collect(),
            self.key_pairs.keys().collect(),
            self.spot_requests.keys().collect(),
            self.launch_templates.keys().collect(),
        ];
        keys.into_iter().flatten().chain(rules).cloned().collect()
    }

    /// The tags of the resource with this id.
    pub fn tags(&self, id: &str) -> Option<&tags::Tags> {
        match tags::kind(id)?.prefix {
            "i-" => self.instances.get(id).map(|r| &r.tags),
            "vol-" => self.volumes.get(id).map(|r| &r.tags),
            "snap-" => self.snapshots.get(id).map(|r| &r.tags),
            "sg-" => self.security_groups.get(id).map(|r| &r.tags),
            "sgr-" => self.security_groups.values().flat_map(|g| &g.rules).find(|r| r.id == id).map(|r| &r.tags),
            "eni-" => self.network_interfaces.get(id).map(|r| &r.tags),
            "acl-" => self.network_acls.get(id).map(|r| &r.tags),
            "vpc-" => self.vpcs.get(id).map(|r| &r.tags),
            "subnet-" => self.subnets.get(id).map(|r| &r.tags),
            "eipalloc-" => self.addresses.get(id).map(|r| &r.tags),
            "cr-" => self.capacity_reservations.get(id).map(|r| &r.tags),
            "ami-" => self.images.get(id).map(|r| &r.tags),
            "key-" => self.key_pairs.get(id).map(|r| &r.tags),
            "sir-" => self.spot_requests.get(id).map(|r| &r.tags),
            "lt-" => self.launch_templates.get(id).map(|r| &r.tags),
            _ => None,
        }
    }

    /// The same, to be changed.
    pub fn tags_mut(&mut self, id: &str) -> Option<&mut tags::Tags> {
        match tags::kind(id)?.prefix {
            "i-" => self.instances.get_mut(id).map(|r| &mut r.tags),
            "vol-" => self.volumes.get_mut(id).map(|r| &mut r.tags),
            "snap-" => self.snapshots.get_mut(id).map(|r| &mut r.tags),
            "sg-" => self.security_groups.get_mut(id).map(|r| &mut r.tags),
            "sgr-" => {
                let mut rules = self.security_groups.values_mut().flat_map(|g| &mut g.rules);
                rules.find(|r| r.id == id).map(|r| &mut r.tags)
            }
            "eni-" => self.network_interfaces.get_mut(id).map(|r| &mut r.tags),
            "acl-" => self.network_acls.get_mut(id).map(|r| &mut r.tags),
            "vpc-" => self.vpcs.get_mut(id).map(|r| &mut r.tags),
            "subnet-" => self.subnets.get_mut(id).map(|r| &mut r.tags),
            "eipalloc-" => self.addresses.get_mut(id).map(|r| &mut r.tags),
            "cr-" => self.capacity_reservations.get_mut(id).map(|r| &mut r.tags),
            "ami-" => self.images.get_mut(id).map(|r| &mut r.tags),
            "key-" => self.key_pairs.get_mut(id).map(|r| &mut r.tags),
            "sir-" => self.spot_requests.get_mut(id).map(|r| &mut r.tags),
            "lt-" => self.launch_templates.get_mut(id).map(|r| &mut r.tags),
            _ => None,
        }
    }
}

/// What the call needs to be allowed.
pub fn permissions(world: &World, call: &Call) -> Result<Vec<Permission>, Refusal> {
    if OPERATIONS.contains(&call.operation.as_str()) { permissions::of(world, call) } else { Err(call.unknown()) }
}

pub use permissions::check_named;

/// Every operation that there is.
pub const OPERATIONS: &[&str] = &[
    "AssociateIamInstanceProfile",
    "AuthorizeSecurityGroupEgress",
    "AuthorizeSecurityGroupIngress",
    "CancelCapacityReservation",
    "CancelSpotFleetRequests",
    "CancelSpotInstanceRequests",
    "CopyImage",
    "CopySnapshot",
    "CreateCapacityReservation",
    "CreateFleet",
    "CreateKeyPair",
    "CreateLaunchTemplate",
    "CreateLaunchTemplateVersion",
    "CreateNetworkAcl",
    "CreateNetworkAclEntry",
    "CreateSecurityGroup",
    "CreateSnapshot",
    "CreateSnapshots",
    "CreateTags",
    "CreateVolume",
    "CreateVpcBlockPublicAccessExclusion",
    "DeleteFleets",
    "DeleteKeyPair",
    "DeleteNetworkAcl",
    "DeleteNetworkAclEntry",
    "DeleteSecurityGroup",
    "DeleteSnapshot",
    "DeleteTags",
    "DeleteVolume",
    "DeleteVpcBlockPublicAccessExclusion",
    "DeregisterImage",
    "DescribeAccountAttributes",
    "DescribeAddresses",
    "DescribeAvailabilityZones",
    "DescribeCapacityReservations",
    "DescribeFleets",
    "DescribeIamInstanceProfileAssociations",
    "DescribeImageAttribute",
    "DescribeImages",
    "DescribeInstanceAttribute",
    "DescribeInstanceStatus",
    "DescribeInstances",
    "DescribeKeyPairs",
    "DescribeLaunchTemplateVersions",
    "DescribeLaunchTemplates",
    "DescribeLockedSnapshots",
    "DescribeNetworkAcls",
    "DescribeNetworkInterfaceAttribute",
    "DescribeNetworkInterfaces",
    "DescribeRegions",
    "DescribeSecurityGroupRules",
    "DescribeSecurityGroups",
    "DescribeSnapshotAttribute",
    "DescribeSnapshots",
    "DescribeSpotFleetRequests",
    "DescribeSpotInstanceRequests",
    "DescribeSubnets",
    "DescribeTags",
    "DescribeVolumes",
    "DescribeVpcBlockPublicAccessExclusions",
    "DescribeVpcBlockPublicAccessOptions",
    "DescribeVpcs",
    "DisableEbsEncryptionByDefault",
    "DisableImageBlockPublicAccess",
    "DisableSnapshotBlockPublicAccess",
    "DisassociateIamInstanceProfile",
    "EnableEbsEncryptionByDefault",
    "EnableImageBlockPublicAccess",
    "EnableSnapshotBlockPublicAccess",
    "GetConsoleOutput",
    "GetConsoleScreenshot",
    "GetEbsEncryptionByDefault",
    "GetImageBlockPublicAccessState",
    "GetInstanceMetadataDefaults",
    "GetManagedResourceVisibility",
    "GetSnapshotBlockPublicAccessState",
    "ImportKeyPair",
    "LockSnapshot",
    "ModifyFleet",
    "ModifyImageAttribute",
    "ModifyInstanceAttribute",
    "ModifyInstanceMetadataDefaults",
    "ModifyInstanceMetadataOptions",
    "ModifyLaunchTemplate",
    "ModifyNetworkInterfaceAttribute",
    "ModifySnapshotAttribute",
    "ModifySpotFleetRequest",
    "ModifyVpcBlockPublicAccessOptions",
    "RebootInstances",
    "ReplaceIamInstanceProfileAssociation",
    "ReplaceNetworkAclAssociation",
    "RequestSpotFleet",
    "RequestSpotInstances",
    "RevokeSecurityGroupEgress",
    "RevokeSecurityGroupIngress",
    "RunInstances",
    "StartInstances",
    "StopInstances",
    "TerminateInstances",
    "UnlockSnapshot",
];

/// Carries the call out. Fleets and Auto Scaling groups notice at once what happened to their instances.
pub fn handle(world: &mut World, call: &Call) -> Reply {
    prepare(world, call);
    let reply = carry_out(world, call);
    let state = world.region_mut(&call.account, &call.region);
    state.ec2.settle_fleets(call.now);
    state.autoscaling.settle(&mut state.ec2, call.now);
    state.emr.settle(&mut state.ec2, call.now);
    reply
}

fn carry_out(world: &mut World, call: &Call) -> Reply {
    match call.operation.as_str() {
        "DescribeRegions" => return regions::describe(world, call),
        "CopyImage" => {
            let params: images::CopyImage = call.params.read()?;
            let regions = regions(world, call, &params.source_region)?;
            let original = images::source(call.account.as_str(), &regions, &params)?.clone();
            return images::copy(&mut world.region_mut(&call.account, &call.region).ec2, original, params, call);
        }
        "CopySnapshot" => {
            let params: snapshots::CopySnapshot = call.params.read()?;
            let regions = regions(world, call, &params.source_region)?;
            let original = snapshots::source(call.account.as_str(), &regions, &params)?.clone();
            return snapshots::copy(&mut world.region_mut(&call.account, &call.region).ec2, original, params, call.now);
        }
        _ => {}
    }
    let ec2 = &mut world.region_mut(&call.account, &call.region).ec2;
    match call.operation.as_str() {
        "AssociateIamInstanceProfile" => profiles::associate(ec2, call),
        "AuthorizeSecurityGroupEgress" => security_group_rules::authorize(ec2, call, Direction::Egress),
        "AuthorizeSecurityGroupIngress" => security_group_rules::authorize(ec2, call, Direction::Ingress),
        "CancelCapacityReservation" => capacity_reservations::cancel(ec2, call),
        "CancelSpotFleetRequests" => spot_fleets::cancel(ec2, call),
        "CancelSpotInstanceRequests" => spot::cancel(ec2, call),
        "CreateCapacityReservation" => capacity_reservations::create(ec2, call),
        "CreateFleet" => fleets::create(ec2, call),
        "CreateKeyPair" => key_pairs::create(ec2, call),
        "CreateLaunchTemplate" => launch_templates::create(ec2, call),
        "CreateLaunchTemplateVersion" => launch_templates::create_version(ec2, call),
        "CreateNetworkAcl" => network_acls::create(ec2, call),
        "CreateNetworkAclEntry" => network_acls::create_entry(ec2, call),
        "CreateSecurityGroup" => security_groups::create(ec2, call),
        "CreateSnapshot" => snapshots::create(ec2, call),
        "CreateSnapshots" => snapshots::create_of_instance(ec2, call),
        "CreateTags" => tags::create(ec2, call),
        "CreateVolume" => volumes::create(ec2, call),
        "CreateVpcBlockPublicAccessExclusion" => block_public_access::create_exclusion(ec2, call),
        "DeleteFleets" => fleets::delete(ec2, call),
        "DeleteKeyPair" => key_pairs::delete(ec2, call),
        "DeleteNetworkAcl" => network_acls::delete(ec2, call),
        "DeleteNetworkAclEntry" => network_acls::delete_entry(ec2, call),
        "DeleteSecurityGroup" => security_groups::delete(ec2, call),
        "DeleteSnapshot" => snapshots::delete(ec2, call),
        "DeleteTags" => tags::delete(ec2, call),
        "DeleteVolume" => volumes::delete(ec2, call),
        "DeleteVpcBlockPublicAccessExclusion" => block_public_access::delete_exclusion(ec2, call),
        "DeregisterImage" => images::deregister(ec2, call),
        "DescribeAccountAttributes" => regions::describe_account_attributes(ec2, call),
        "DescribeAddresses" => vpcs::describe_addresses(ec2, call),
        "DescribeAvailabilityZones" => regions::describe_zones(ec2, call),
        "DescribeCapacityReservations" => capacity_reservations::describe(ec2, call),
        "DescribeFleets" => fleets::describe(ec2, call),
        "DescribeIamInstanceProfileAssociations" => profiles::describe(ec2, call),
        "DescribeImageAttribute" => image_sharing::describe(ec2, call),
        "DescribeImages" => images::describe(ec2, call),
        "DescribeInstanceAttribute" => attributes::describe(ec2, call),
        "DescribeInstanceStatus" => instances::describe_status(ec2, call),
        "DescribeInstances" => instances::describe(ec2, call),
        "DescribeKeyPairs" => key_pairs::describe(ec2, call),
        "DescribeLaunchTemplateVersions" => launch_templates::describe_versions(ec2, call),
        "DescribeLaunchTemplates" => launch_templates::describe(ec2, call),
        "DescribeLockedSnapshots" => locks::describe(ec2, call),
        "DescribeNetworkAcls" => network_acls::describe(ec2, call),
        "DescribeNetworkInterfaceAttribute" => network_interfaces::describe_attribute(ec2, call),
        "DescribeNetworkInterfaces" => network_interfaces::describe(ec2, call),
        "DescribeSecurityGroupRules" => security_group_rules::describe(ec2, call),
        "DescribeSecurityGroups" => security_groups::describe(ec2, call),
        "DescribeSnapshotAttribute" => snapshots::describe_attribute(ec2, call),
        "DescribeSnapshots" => snapshots::describe(ec2, call),
        "DescribeSpotFleetRequests" => spot_fleets::describe(ec2, call),
        "DescribeSpotInstanceRequests" => spot::describe(ec2, call),
        "DescribeSubnets" => vpcs::describe_subnets(ec2, call),
        "DescribeTags" => tags::describe(ec2, call),
        "DescribeVolumes" => volumes::describe(ec2, call),
        "DescribeVpcBlockPublicAccessExclusions" => block_public_access::describe_exclusions(ec2, call),
        "DescribeVpcBlockPublicAccessOptions" => block_public_access::describe_options(ec2, call),
        "DescribeVpcs" => vpcs::describe(ec2, call),
        "DisableEbsEncryptionByDefault" => region_settings::set_ebs_encryption(ec2, call, false),
        "DisableImageBlockPublicAccess" => region_settings::unblock_images(ec2, call),
        "DisableSnapshotBlockPublicAccess" => region_settings::unblock_snapshots(ec2, call),
        "DisassociateIamInstanceProfile" => profiles::disassociate(ec2, call),
        "EnableEbsEncryptionByDefault" => region_settings::set_ebs_encryption(ec2, call, true),
        "EnableImageBlockPublicAccess" => region_settings::block_images(ec2, call),
        "EnableSnapshotBlockPublicAccess" => region_settings::block_snapshots(ec2, call),
        "GetConsoleOutput" => attributes::console_output(ec2, call),
        "GetConsoleScreenshot" => attributes::console_screenshot(ec2, call),
        "GetEbsEncryptionByDefault" => region_settings::ebs_encryption(ec2, call),
        "GetImageBlockPublicAccessState" => region_settings::image_access(ec2, call),
        "GetInstanceMetadataDefaults" => region_settings::metadata_defaults(ec2, call),
        "GetManagedResourceVisibility" => regions::managed_visibility(ec2, call),
        "GetSnapshotBlockPublicAccessState" => region_settings::snapshot_access(ec2, call),
        "ImportKeyPair" => key_pairs::import(ec2, call),
        "LockSnapshot" => locks::lock(ec2, call),
        "ModifyFleet" => fleets::modify(ec2, call),
        "ModifyImageAttribute" => image_sharing::modify(ec2, call),
        "ModifyInstanceAttribute" => attributes::modify(ec2, call),
        "ModifyInstanceMetadataDefaults" => region_settings::modify_metadata_defaults(ec2, call),
        "ModifyInstanceMetadataOptions" => attributes::modify_metadata(ec2, call),
        "ModifyLaunchTemplate" => launch_templates::modify(ec2, call),
        "ModifyNetworkInterfaceAttribute" => network_interfaces::modify_attribute(ec2, call),
        "ModifySnapshotAttribute" => snapshots::modify_attribute(ec2, call),
        "ModifySpotFleetRequest" => spot_fleets::modify(ec2, call),
        "ModifyVpcBlockPublicAccessOptions" => block_public_access::modify_options(ec2, call),
        "RebootInstances" => power::reboot(ec2, call),
        "ReplaceIamInstanceProfileAssociation" => profiles::replace(ec2, call),
        "ReplaceNetworkAclAssociation" => network_acls::replace_association(ec2, call),
        "RequestSpotFleet" => spot_fleets::request(ec2, call),
        "RequestSpotInstances" => spot::request(ec2, call),
        "RevokeSecurityGroupEgress" => security_group_rules::revoke(ec2, call, Direction::Egress),
        "RevokeSecurityGroupIngress" => security_group_rules::revoke(ec2, call, Direction::Ingress),
        "RunInstances" => run::run(ec2, call),
        "StartInstances" => power::start(ec2, call),
        "StopInstances" => power::stop(ec2, call),
        "TerminateInstances" => power::terminate(ec2, call),
        "UnlockSnapshot" => locks::unlock(ec2, call),
        _ => Err(call.unknown()),
    }
}

/// Founds the region of a call if nobody did, and lets time do its work in it.
pub(super) fn prepare(world: &mut World, call: &Call) {
    let settings = world.settings.clone();
    let state = world.region_mut(&call.account, &call.region);
    if state.ec2.account.is_empty() {
        state.ec2 = Ec2::new(&call.account, &call.region);
    }
    state.ec2.settings = settings;
    state.ec2.settle(call.now);
    state.batch.settle(&mut state.autoscaling, &mut state.ec2, call.now);
    state.autoscaling.settle(&mut state.ec2, call.now);
}

/// A region of every account: where something is copied from.
fn regions<'w>(world: &'w World, call: &Call, region: &str) -> Result<Vec<&'w Ec2>, Refusal> {
    let invalid = || Refusal::new(400, "InvalidParameterValue", format!("Invalid source region: {region}"));
    let region = Region::new(region).map_err(|_| invalid())?;
    if !world.account(&call.account).regions.contains_key(&region) {
        return Err(invalid());
    }
    Ok(world.accounts.values().filter_map(|account| account.regions.get(&region)).map(|state| &state.ec2).collect())
}

#[cfg(test)]
mod tests;
