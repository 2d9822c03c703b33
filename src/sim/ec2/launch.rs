//! How a machine comes into being.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::Ec2;
use super::ids::{GROUP, IMAGE, SUBNET};
use super::instances::{BlockDevice, Instance, MetadataOptions, State};
use super::network_interfaces::NetworkInterface;
use super::profiles::ProfileReference;
use super::run::{BlockDeviceMapping, invalid};
use super::tags::Tags;
use super::volumes::Volume;
use crate::sim::call::Refusal;

/// A machine to be launched: by RunInstances, a Spot request, an Auto Scaling group, or a scenario.
#[derive(Debug, Clone, Default)]
pub struct LaunchSpec {
    /// When; a scenario gives a time in the past.
    pub launched: Timestamp,
    /// The image, which must exist.
    pub image_id: String,
    /// `m5.large` when empty.
    pub instance_type: String,
    /// The first default subnet when none.
    pub subnet_id: Option<String>,
    /// Picks the default subnet of a zone.
    pub availability_zone: Option<String>,
    /// The VPC's default group when empty.
    pub groups: Vec<String>,
    /// A key pair that exists.
    pub key_name: Option<String>,
    /// ARN or name of its instance profile.
    pub profile: Option<ProfileReference>,
    /// Devices beside or instead of the image's.
    pub block_devices: Vec<BlockDeviceMapping>,
    /// Tags of the instance.
    pub tags: Tags,
    /// Tags of its volumes.
    pub volume_tags: Tags,
    /// In base64.
    pub user_data: Option<String>,
    /// Idempotency token.
    pub client_token: String,
    /// Termination protection.
    pub disable_api_termination: bool,
    /// Stop protection.
    pub disable_api_stop: bool,
    /// `stop` when none.
    pub shutdown_behavior: Option<String>,
    /// Metadata options.
    pub metadata: MetadataOptions,
    /// Whether it gets a public address; the subnet decides when none.
    pub public_ip: Option<bool>,
    /// Address in the subnet; a free one when none.
    pub private_ip: Option<String>,
    /// Its Spot request.
    pub spot_request_id: Option<String>,
    /// Who launches on the owner's behalf.
    pub requester_id: Option<String>,
    /// Dedicated bandwidth to volumes.
    pub ebs_optimized: bool,
    /// Detailed monitoring.
    pub monitoring: bool,
    /// Whether it can hibernate.
    pub hibernation: bool,
    /// `default` when none.
    pub tenancy: Option<String>,
}

impl Ec2 {
    /// Launches one machine in a reservation of its own and returns its id. It is `pending` from `spec.launched` on.
    pub fn launch(&mut self, spec: &LaunchSpec) -> Result<String, Refusal> {
        self.check_launch(spec)?;
        let reservation = self.ids.next("r-");
        self.launch_into(spec, &reservation, 0)
    }

    /// Refuses what cannot be launched, before anything is made.
    pub(super) fn check_launch(&self, spec: &LaunchSpec) -> Result<(), Refusal> {
        let image = IMAGE.get(&self.images, &spec.image_id)?;
        if image.state != "available" {
            let message = format!("The image '{}' is not available: {}", image.id, image.state);
            return Err(Refusal::new(400, "InvalidAMIID.Unavailable", message));
        }
        if !spec.instance_type.is_empty() && !is_instance_type(&spec.instance_type) {
            return Err(invalid(format!("Invalid value '{}' for InstanceType.", spec.instance_type)));
        }
        if let Some(key) = &spec.key_name
            && !self.key_pairs.values().any(|pair| pair.name == *key)
        {
            return Err(Refusal::new(400, "InvalidKeyPair.NotFound", format!("The key pair '{key}' does not exist")));
        }
        let subnet = self.launch_subnet(spec)?;
        GROUP.check_all(&self.security_groups, &spec.groups)?;
        match spec.groups.iter().find(|id| self.security_groups[*id].vpc_id != subnet.vpc_id) {
            None => Ok(()),
            Some(id) => {
                let message = format!("Security group {id} and subnet {} belong to different networks.", subnet.id);
                Err(invalid(message))
            }
        }
    }

    fn launch_subnet(&self, spec: &LaunchSpec) -> Result<&super::vpcs::Subnet, Refusal> {
        if let Some(id) = &spec.subnet_id {
            return SUBNET.get(&self.subnets, id);
        }
        let zone = spec.availability_zone.as_ref();
        let mut defaults = self.subnets.values().filter(|s| s.default_for_az);
        let found = defaults.by_ref().filter(|s| zone.is_none_or(|zone| s.availability_zone == *zone));
        found.min_by_key(|s| s.availability_zone.clone()).ok_or_else(|| match zone {
            Some(zone) => invalid(format!("Invalid availability zone: [{zone}]")),
            None => Refusal::new(400, "MissingInput", "No subnets found for the default VPC. Please specify a subnet."),
        })
    }

    /// Launches one machine of a reservation.
    pub(super) fn launch_into(&mut self, spec: &LaunchSpec, reservation: &str, index: u32) -> Result<String, Refusal> {
        let subnet = self.launch_subnet(spec)?.clone();
        let image = IMAGE.get(&self.images, &spec.image_id)?.clone();
        let id = self.ids.next("i-");
        let instance_type = if spec.instance_type.is_empty() { "m5.large" } else { &spec.instance_type }.to_owned();
        let assigns_public_ip = spec.public_ip.unwrap_or(subnet.map_public_ip_on_launch);
        let private_ip = match &spec.private_ip {
            Some(ip) => ip.clone(),
            None => self.free_private_ip(&subnet),
        };
        let public_ip = assigns_public_ip.then(|| self.new_public_ip());
        let groups =
            if spec.groups.is_empty() { vec![self.default_group(&subnet.vpc_id)] } else { spec.groups.clone() };
        let eni = NetworkInterface {
            id: self.ids.next("eni-"),
            subnet_id: subnet.id.clone(),
            vpc_id: subnet.vpc_id.clone(),
            availability_zone: subnet.availability_zone.clone(),
            private_ip: private_ip.clone(),
            mac: format!(
                "02:{:02x}:{:02x}:{:02x}:{:02x}:{:02x}",
                self.ids.below(256),
                self.ids.below(256),
                self.ids.below(256),
                self.ids.below(256),
                self.ids.below(256)
            ),
            groups,
            attachment: Some(super::network_interfaces::Attachment {
                id: self.ids.next("eni-attach-"),
                instance_id: Some(id.clone()),
                attached: spec.launched,
                delete_on_termination: true,
                device_index: 0,
            }),
            ..NetworkInterface::default()
        };
        self.network_interfaces.insert(eni.id.clone(), eni);
        let block_devices = self.launch_volumes(spec, &image.block_devices, &id, &subnet.availability_zone);
        if let Some(profile) = &spec.profile {
            self.associate_profile(&id, profile, spec.launched);
        }
        if let Some(request) = spec.spot_request_id.as_ref().and_then(|request| self.spot_requests.get_mut(request)) {
            request.fulfil(&id, &subnet.availability_zone, spec.launched);
        }
        let instance = Instance {
            id: id.clone(),
            reservation_id: reservation.to_owned(),
            requester_id: spec.requester_id.clone(),
            operator: None,
            launch_index: index,
            image_id: image.id.clone(),
            instance_type,
            key_name: spec.key_name.clone(),
            launch_time: spec.launched,
            first_launched: spec.launched,
            platform: image.platform.clone(),
            platform_details: image.platform_details.clone(),
            usage_operation: image.usage_operation.clone(),
            architecture: image.architecture.clone(),
            availability_zone: subnet.availability_zone.clone(),
            subnet_id: subnet.id.clone(),
            vpc_id: subnet.vpc_id.clone(),
            private_ip,
            public_ip,
            assigns_public_ip,
            block_devices,
            root_device_type: image.root_device_type.clone(),
            root_device_name: image.root_device_name.clone(),
            spot_request_id: spec.spot_request_id.clone(),
            metadata: spec.metadata.clone(),
            client_token: spec.client_token.clone(),
            tags: spec.tags.clone(),
            ebs_optimized: spec.ebs_optimized,
            state: State::Pending { until: spec.launched + self.settings.start },
            state_reason: None,
            transition_reason: String::new(),
            disable_api_termination: spec.disable_api_termination,
            disable_api_stop: spec.disable_api_stop,
            shutdown_behavior: spec.shutdown_behavior.clone().unwrap_or_else(|| "stop".to_owned()),
            user_data: spec.user_data.clone(),
            hibernation: spec.hibernation,
            hibernation_fails: false,
            monitoring: spec.monitoring,
            source_dest_check: true,
            tenancy: spec.tenancy.clone().unwrap_or_else(|| "default".to_owned()),
            console: format!("[    0.000000] {} starting\n", image.name),
        };
        self.instances.insert(id.clone(), instance);
        Ok(id)
    }

    fn launch_volumes(
        &mut self,
        spec: &LaunchSpec,
        of_image: &[BlockDeviceMapping],
        instance: &str,
        zone: &str,
    ) -> Vec<BlockDevice> {
        let mut devices: Vec<BlockDeviceMapping> = of_image.to_vec();
        for device in &mut devices {
            if let Some(own) = spec.block_devices.iter().find(|own| own.device_name == device.device_name) {
                let of_image = device.ebs.take().unwrap_or_default();
                device.ebs = own.ebs.clone().map(|ebs| ebs.over(of_image));
                device.no_device.clone_from(&own.no_device);
            }
        }
        let known: BTreeSet<String> = of_image.iter().map(|device| device.device_name.clone()).collect();
        devices.extend(spec.block_devices.iter().filter(|device| !known.contains(&device.device_name)).cloned());
        let root = of_image.first().map(|device| device.device_name.clone());
        let mut made = Vec::new();
        for device in devices {
            let (Some(ebs), None) = (device.ebs, device.no_device) else { continue };
            let is_root = root.as_ref() == Some(&device.device_name);
            let block = BlockDevice {
                device_name: device.device_name,
                volume_id: self.ids.next("vol-"),
                attached: spec.launched,
                delete_on_termination: ebs.delete_on_termination.unwrap_or(is_root),
            };
            let encrypted = ebs.encrypted.unwrap_or(self.ebs_encryption_by_default);
            let mut volume = Volume::new(&block.volume_id, &ebs, encrypted, zone, spec.launched);
            volume.attached_to = Some(instance.to_owned());
            volume.tags = spec.volume_tags.clone();
            self.volumes.insert(volume.id.clone(), volume);
            made.push(block);
        }
        made
    }
}

fn is_instance_type(text: &str) -> bool {
    text.split_once('.').is_some_and(|(family, size)| {
        family.len() >= 2
            && family.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
            && ["nano", "micro", "small", "medium", "large", "xlarge", "metal"]
                .iter()
                .any(|end| size.ends_with(end) || size.starts_with("metal"))
    })
}
