//! What EC2's operations need to be allowed, as the service authorization reference has it.

use std::fmt;

use serde::Deserialize;
use serde::de::{MapAccess, Visitor};

use super::tags::{self, TagSpecification};
use super::{Ec2, fleets, ids, snapshots};
use crate::sim::call::{Call, Permission, Refusal};
use crate::sim::log::is_read_only;
use crate::sim::world::World;

/// One id or several: `InstanceId=i-1`, or `InstanceId.1=i-1&InstanceId.2=i-2`.
#[derive(Debug, Default)]
struct Named(Vec<String>);

impl<'de> Deserialize<'de> for Named {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OneOrMany;
        impl<'de> Visitor<'de> for OneOrMany {
            type Value = Named;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an id, or a list of ids")
            }
            fn visit_str<E>(self, id: &str) -> Result<Named, E> {
                Ok(Named(vec![id.to_owned()]))
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Named, A::Error> {
                let mut ids = Vec::new();
                while let Some((_, id)) = map.next_entry::<String, String>()? {
                    ids.push(id);
                }
                Ok(Named(ids))
            }
        }
        deserializer.deserialize_any(OneOrMany)
    }
}

/// The parameters that name resources, whatever the operation. Those that an operation does not have stay empty.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Resources {
    instance_id: Named,
    resource_id: Named,
    volume_id: Named,
    snapshot_id: Named,
    source_snapshot_id: Named,
    group_id: Named,
    network_interface_id: Named,
    network_acl_id: Named,
    image_id: Named,
    source_image_id: Named,
    vpc_id: Named,
    subnet_id: Named,
    security_group_id: Named,
    association_id: Named,
    spot_instance_request_id: Named,
    spot_fleet_request_id: Named,
    fleet_id: Named,
    capacity_reservation_id: Named,
    exclusion_id: Named,
    spot_fleet_request_config: Option<FleetConfig>,
    group_name: Named,
    launch_template_id: Named,
    instance_specification: Option<Inner>,
    launch_specification: Option<Inner>,
    iam_instance_profile: Option<super::profiles::ProfileReference>,
    #[serde(rename = "TagSpecification", alias = "TagSpecifications")]
    tag_specifications: Vec<TagSpecification>,
    dry_run: Option<bool>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Inner {
    instance_id: Option<String>,
    image_id: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct FleetConfig {
    iam_fleet_role: Option<String>,
}

impl Resources {
    /// What is named by the id of something in this region. The sources of copies are elsewhere.
    fn named(&self) -> Vec<(&'static ids::Kind, &str)> {
        let lists = [
            (&ids::INSTANCE, &self.instance_id),
            (&ids::VOLUME, &self.volume_id),
            (&ids::SNAPSHOT, &self.snapshot_id),
            (&ids::GROUP, &self.group_id),
            (&ids::GROUP, &self.security_group_id),
            (&ids::ENI, &self.network_interface_id),
            (&ids::ACL, &self.network_acl_id),
            (&ids::IMAGE, &self.image_id),
            (&ids::VPC, &self.vpc_id),
            (&ids::SUBNET, &self.subnet_id),
            (&ids::SPOT, &self.spot_instance_request_id),
            (&ids::LAUNCH_TEMPLATE, &self.launch_template_id),
            (&ids::CAPACITY_RESERVATION, &self.capacity_reservation_id),
        ];
        let listed = lists.into_iter().flat_map(|(kind, ids)| ids.0.iter().map(move |id| (kind, id.as_str())));
        let instance = self.instance_specification.iter().filter_map(|inner| inner.instance_id.as_deref());
        let image = self.launch_specification.iter().filter_map(|inner| inner.image_id.as_deref());
        listed.chain(instance.map(|id| (&ids::INSTANCE, id))).chain(image.map(|id| (&ids::IMAGE, id))).collect()
    }
}

/// Refuses ids that are malformed, or that name nothing. To authorise a call that changes something EC2 has to look up
/// what it is about, so that even a dry run finds them. What only reads is authorised without.
pub fn check_named(world: &World, call: &Call) -> Result<(), Refusal> {
    if is_read_only(&call.operation) {
        return Ok(());
    }
    let ec2 = &world.region(&call.account, &call.region).ec2;
    let resources: Resources = call.params.read()?;
    let tagged = resources.resource_id.0.iter().filter_map(|id| Some((tags::kind(id)?, id.as_str())));
    for (kind, id) in resources.named().into_iter().chain(tagged) {
        kind.check(id)?;
        ec2.tags(id).ok_or_else(|| kind.not_found(&[id]))?;
    }
    Ok(())
}

/// Operations without a `DryRun` parameter.
const WITHOUT_DRY_RUN: [&str; 5] = [
    "AssociateIamInstanceProfile",
    "DescribeIamInstanceProfileAssociations",
    "DisassociateIamInstanceProfile",
    "ModifySpotFleetRequest",
    "ReplaceIamInstanceProfileAssociation",
];

/// What the call needs to be allowed. The operation is known to exist.
pub fn of(world: &World, call: &Call) -> Result<Vec<Permission>, Refusal> {
    let ec2 = &world.region(&call.account, &call.region).ec2;
    let named: Resources = call.params.read()?;
    let operation = call.operation.as_str();
    if WITHOUT_DRY_RUN.contains(&operation) && named.dry_run.is_some() {
        return Err(Refusal::new(400, "UnknownParameter", "The parameter DryRun is not recognized"));
    }
    let action = format!("ec2:{operation}");
    let scope = Scope { ec2, call };
    let mut needed: Vec<Permission> = match operation {
        "StartInstances"
        | "StopInstances"
        | "RebootInstances"
        | "TerminateInstances"
        | "ModifyInstanceAttribute"
        | "ModifyInstanceMetadataOptions"
        | "GetConsoleOutput"
        | "GetConsoleScreenshot"
        | "AssociateIamInstanceProfile" => scope.existing(&action, &named.instance_id.0),
        "DisassociateIamInstanceProfile" | "ReplaceIamInstanceProfileAssociation" => {
            let associations = named.association_id.0.iter().filter_map(|id| ec2.profile_associations.get(id));
            scope.existing(&action, &associations.map(|a| a.instance_id.clone()).collect::<Vec<_>>())
        }
        "CreateTags" | "DeleteTags" => scope.existing(&action, &named.resource_id.0),
        "DeleteVolume" => scope.existing(&action, &named.volume_id.0),
        "CreateVolume" => scope.made(&action, "volume"),
        "CreateSnapshot" => [scope.existing(&action, &named.volume_id.0), scope.made(&action, "snapshot")].concat(),
        "CreateSnapshots" => {
            let instance = named.instance_specification.and_then(|inner| inner.instance_id).unwrap_or_default();
            let volumes = scope.existing(&action, &snapshots::volumes_of(ec2, &instance));
            [scope.existing(&action, &[instance]), volumes, scope.made(&action, "snapshot")].concat()
        }
        "CopySnapshot" => scope.made(&action, "snapshot"),
        "DeleteSnapshot" | "ModifySnapshotAttribute" | "LockSnapshot" | "UnlockSnapshot" => {
            scope.existing(&action, &named.snapshot_id.0)
        }
        "CreateSecurityGroup" => {
            [scope.made(&action, "security-group"), scope.existing(&action, &named.vpc_id.0)].concat()
        }
        "DeleteSecurityGroup"
        | "AuthorizeSecurityGroupIngress"
        | "AuthorizeSecurityGroupEgress"
        | "RevokeSecurityGroupIngress"
        | "RevokeSecurityGroupEgress" => scope.existing(&action, &scope.groups(&named)),
        "ModifyNetworkInterfaceAttribute" => [
            scope.existing(&action, &named.network_interface_id.0),
            scope.existing(&action, &named.security_group_id.0),
        ]
        .concat(),
        "CreateNetworkAcl" => [scope.made(&action, "network-acl"), scope.existing(&action, &named.vpc_id.0)].concat(),
        "CreateNetworkAclEntry" | "DeleteNetworkAcl" | "DeleteNetworkAclEntry" | "ReplaceNetworkAclAssociation" => {
            scope.existing(&action, &named.network_acl_id.0)
        }
        "CreateVpcBlockPublicAccessExclusion" => [
            scope.made(&action, "vpc-block-public-access-exclusion"),
            scope.existing(&action, &named.vpc_id.0),
            scope.existing(&action, &named.subnet_id.0),
        ]
        .concat(),
        "DeleteVpcBlockPublicAccessExclusion" => {
            scope.named(&action, "vpc-block-public-access-exclusion", &named.exclusion_id.0)
        }
        "CopyImage" => scope.made(&action, "image"),
        "CreateCapacityReservation" => scope.made(&action, "capacity-reservation"),
        "CancelCapacityReservation" => scope.existing(&action, &named.capacity_reservation_id.0),
        "DeregisterImage" | "ModifyImageAttribute" => scope.existing(&action, &named.image_id.0),
        "CreateKeyPair" | "ImportKeyPair" => scope.made(&action, "key-pair"),
        "DeleteKeyPair" => scope.made(&action, "key-pair"),
        "CreateLaunchTemplate" => scope.made(&action, "launch-template"),
        "CreateLaunchTemplateVersion" | "ModifyLaunchTemplate" => scope.existing(&action, &named.launch_template_id.0),
        "RequestSpotInstances" => {
            let images: Vec<String> = named.launch_specification.and_then(|inner| inner.image_id).into_iter().collect();
            [scope.made(&action, "spot-instances-request"), scope.existing(&action, &images)].concat()
        }
        "CreateFleet" => {
            // The fleet launches as the caller.
            let launch = "ec2:RunInstances";
            let images: Vec<String> = fleets::image_of(ec2, call).into_iter().collect();
            let made = ["instance", "volume", "network-interface"].map(|made| scope.made(launch, made)).concat();
            [scope.made(&action, "fleet"), made, scope.existing(launch, &images)].concat()
        }
        "ModifyFleet" | "DeleteFleets" => scope.named(&action, "fleet", &named.fleet_id.0),
        "RequestSpotFleet" => scope.made(&action, "spot-fleet-request"),
        "ModifySpotFleetRequest" | "CancelSpotFleetRequests" => {
            scope.named(&action, "spot-fleet-request", &named.spot_fleet_request_id.0)
        }
        "CancelSpotInstanceRequests" => scope.existing(&action, &named.spot_instance_request_id.0),
        "RunInstances" => [
            scope.made(&action, "instance"),
            scope.made(&action, "volume"),
            scope.made(&action, "network-interface"),
            scope.existing(&action, &named.image_id.0),
            scope.named_or_any(&action, "subnet", &named.subnet_id.0),
            scope.named_or_any(&action, "security-group", &named.security_group_id.0),
        ]
        .concat(),
        _ => vec![Permission::new(action.clone(), "*")],
    };
    // An id that is missing or unknown names no resource: the call itself says so, to those who may make it.
    if needed.is_empty() {
        needed.push(Permission::new(action.clone(), "*"));
    }
    for specification in &named.tag_specifications {
        let arn = scope.arn(&specification.resource_type, "*");
        let mut permission = Permission::new("ec2:CreateTags", arn).with("ec2:CreateAction", operation);
        for tag in &specification.tags {
            permission = permission.with(format!("aws:RequestTag/{}", tag.key), tag.value.clone().unwrap_or_default());
        }
        needed.push(permission);
    }
    if let Some(role) = named.spot_fleet_request_config.and_then(|config| config.iam_fleet_role) {
        needed.push(Permission::new("iam:PassRole", role).with("iam:PassedToService", "spotfleet.amazonaws.com"));
    }
    if let Some(profile) = &named.iam_instance_profile {
        // The role of a profile has its name, as the console makes them.
        let name = profile.arn.as_deref().and_then(|arn| arn.rsplit('/').next()).or(profile.name.as_deref());
        let arn = format!("arn:aws:iam::{}:role/{}", call.account, name.unwrap_or_default());
        needed.push(Permission::new("iam:PassRole", arn).with("iam:PassedToService", "ec2.amazonaws.com"));
    }
    Ok(needed)
}

struct Scope<'w> {
    ec2: &'w Ec2,
    call: &'w Call,
}

impl Scope<'_> {
    fn arn(&self, resource_type: &str, id: &str) -> String {
        // Images and snapshots carry no account: their ARN is the same for everybody.
        let account = if ["image", "snapshot"].contains(&resource_type) { "" } else { self.call.account.as_str() };
        format!("arn:aws:ec2:{}:{account}:{resource_type}/{id}", self.call.region)
    }

    /// On resources that are there, with their tags.
    fn existing(&self, action: &str, ids: &[String]) -> Vec<Permission> {
        ids.iter().filter_map(|id| Some((id, tags::kind(id)?))).map(|(id, kind)| self.on(action, kind, id)).collect()
    }

    fn on(&self, action: &str, kind: &ids::Kind, id: &str) -> Permission {
        let mut permission =
            Permission::new(action, self.arn(kind.name, id)).with("ec2:Region", self.call.region.as_str());
        for (key, value) in self.ec2.tags(id).into_iter().flatten() {
            permission =
                permission.with(format!("aws:ResourceTag/{key}"), value).with(format!("ec2:ResourceTag/{key}"), value);
        }
        permission
    }

    /// The security groups that a call names: by id, or by a name in the default VPC.
    fn groups(&self, named: &Resources) -> Vec<String> {
        let by_name = named.group_name.0.iter().filter_map(|name| self.ec2.group_named(name, None).ok());
        named.group_id.0.iter().cloned().chain(by_name.map(|group| group.id.clone())).collect()
    }

    /// On what is about to be made.
    fn made(&self, action: &str, resource_type: &str) -> Vec<Permission> {
        vec![Permission::new(action, self.arn(resource_type, "*")).with("ec2:Region", self.call.region.as_str())]
    }

    /// On what is named, whether or not it is there.
    fn named(&self, action: &str, resource_type: &str, ids: &[String]) -> Vec<Permission> {
        let on = |id: &String| {
            Permission::new(action, self.arn(resource_type, id)).with("ec2:Region", self.call.region.as_str())
        };
        ids.iter().map(on).collect()
    }

    /// On those that are named, or on whatever EC2 will pick.
    fn named_or_any(&self, action: &str, resource_type: &str, ids: &[String]) -> Vec<Permission> {
        if ids.is_empty() { self.made(action, resource_type) } else { self.existing(action, ids) }
    }
}
