//! RunInstances.

use jiff::Timestamp;
use serde::Deserialize;

use super::Ec2;
use super::instances::{self, Instance};
use super::launch::LaunchSpec;
use super::launch_templates::TemplateReference;
use super::profiles::ProfileReference;
use super::region_settings::AskedMetadata;
use super::shape::maybe;
use super::spot::{self, SpotType};
use super::tags::{self, TagSpecification};
use super::volumes::EbsBlock;
use crate::sim::call::{Body, Call, Refusal, Reply};
use crate::sim::wire::xml::Xml;

/// What RunInstances is asked for; a launch template's data has the same form.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase", deny_unknown_fields)]
pub struct RunInstances {
    min_count: Option<u32>,
    max_count: Option<u32>,
    pub(super) image_id: Option<String>,
    instance_type: Option<String>,
    key_name: Option<String>,
    #[serde(rename = "SecurityGroupId")]
    security_group_ids: Vec<String>,
    #[serde(rename = "SecurityGroup")]
    security_groups: Vec<String>,
    subnet_id: Option<String>,
    private_ip_address: Option<String>,
    user_data: Option<String>,
    placement: Option<Placement>,
    iam_instance_profile: Option<ProfileReference>,
    #[serde(rename = "BlockDeviceMapping")]
    block_devices: Vec<BlockDeviceMapping>,
    #[serde(rename = "NetworkInterface")]
    network_interfaces: Vec<NetworkInterfaceSpecification>,
    #[serde(rename = "TagSpecification")]
    tag_specifications: Vec<TagSpecification>,
    client_token: Option<String>,
    disable_api_termination: Option<bool>,
    disable_api_stop: Option<bool>,
    instance_initiated_shutdown_behavior: Option<String>,
    ebs_optimized: Option<bool>,
    monitoring: Option<Enabled>,
    instance_market_options: Option<MarketOptions>,
    metadata_options: Option<AskedMetadata>,
    hibernation_options: Option<Configured>,
    launch_template: Option<TemplateReference>,
    credit_specification: Option<CreditSpecification>,
    _dry_run: Option<bool>,
}

impl RunInstances {
    /// What a service asks for on the owner's behalf.
    pub fn by_service(image_id: String, instance_type: String, security_group_ids: Vec<String>) -> Self {
        Self { image_id: Some(image_id), instance_type: Some(instance_type), security_group_ids, ..Self::default() }
    }
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase", deny_unknown_fields)]
struct Placement {
    availability_zone: Option<String>,
    tenancy: Option<String>,
    _group_name: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Enabled {
    enabled: bool,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Configured {
    configured: bool,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct CreditSpecification {
    #[serde(rename = "CpuCredits")]
    _cpu_credits: String,
}

/// A block device as RunInstances and images describe it.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase", deny_unknown_fields)]
pub struct BlockDeviceMapping {
    /// `/dev/sda1`.
    pub device_name: String,
    /// The volume to make.
    pub ebs: Option<EbsBlock>,
    /// `ephemeral0`: an instance store.
    pub virtual_name: Option<String>,
    /// Takes a device of the image away.
    pub no_device: Option<String>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase", deny_unknown_fields)]
struct NetworkInterfaceSpecification {
    _device_index: Option<u32>,
    subnet_id: Option<String>,
    #[serde(rename = "SecurityGroupId")]
    groups: Vec<String>,
    associate_public_ip_address: Option<bool>,
    private_ip_address: Option<String>,
    _delete_on_termination: Option<bool>,
    _description: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct MarketOptions {
    market_type: String,
    #[serde(default)]
    spot_options: SpotOptions,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase", deny_unknown_fields)]
struct SpotOptions {
    max_price: Option<String>,
    spot_instance_type: Option<SpotType>,
    instance_interruption_behavior: Option<String>,
    _valid_until: Option<String>,
}

fn missing(parameter: &str) -> Refusal {
    Refusal::new(400, "MissingParameter", format!("The request must contain the parameter {parameter}"))
}

pub(super) fn invalid(message: impl Into<String>) -> Refusal {
    Refusal::new(400, "InvalidParameterValue", message)
}

impl RunInstances {
    /// What is not given is taken from the template.
    pub(super) fn over(self, template: Self) -> Self {
        fn first<T>(own: Vec<T>, other: Vec<T>) -> Vec<T> {
            if own.is_empty() { other } else { own }
        }
        Self {
            image_id: self.image_id.or(template.image_id),
            instance_type: self.instance_type.or(template.instance_type),
            key_name: self.key_name.or(template.key_name),
            security_group_ids: first(self.security_group_ids, template.security_group_ids),
            security_groups: first(self.security_groups, template.security_groups),
            user_data: self.user_data.or(template.user_data),
            placement: self.placement.or(template.placement),
            iam_instance_profile: self.iam_instance_profile.or(template.iam_instance_profile),
            block_devices: first(self.block_devices, template.block_devices),
            network_interfaces: first(self.network_interfaces, template.network_interfaces),
            tag_specifications: first(self.tag_specifications, template.tag_specifications),
            disable_api_termination: self.disable_api_termination.or(template.disable_api_termination),
            disable_api_stop: self.disable_api_stop.or(template.disable_api_stop),
            instance_initiated_shutdown_behavior: self
                .instance_initiated_shutdown_behavior
                .or(template.instance_initiated_shutdown_behavior),
            ebs_optimized: self.ebs_optimized.or(template.ebs_optimized),
            monitoring: self.monitoring.or(template.monitoring),
            instance_market_options: self.instance_market_options.or(template.instance_market_options),
            metadata_options: self.metadata_options.or(template.metadata_options),
            hibernation_options: self.hibernation_options.or(template.hibernation_options),
            credit_specification: self.credit_specification.or(template.credit_specification),
            ..self
        }
    }

    /// The children of `<launchTemplateData>`.
    pub fn template_xml(&self) -> Vec<Xml> {
        let mut xml = Vec::new();
        xml.extend(maybe("imageId", self.image_id.as_ref()));
        xml.extend(maybe("instanceType", self.instance_type.as_ref()));
        xml.extend(maybe("keyName", self.key_name.as_ref()));
        xml.extend(maybe("userData", self.user_data.as_ref()));
        let groups = self.security_group_ids.iter().map(|id| Xml::text("item", id)).collect();
        xml.push(Xml::node("securityGroupIdSet", groups));
        xml
    }

    /// The same as a machine to be launched.
    pub fn spec(self, ec2: &Ec2, now: Timestamp) -> Result<LaunchSpec, Refusal> {
        let params = match &self.launch_template {
            None => self,
            Some(reference) => {
                let template = ec2.template_data(reference)?;
                self.over(template)
            }
        };
        tags::only_for(
            &params.tag_specifications,
            &["instance", "volume", "network-interface", "spot-instances-request"],
        )?;
        let interface = params.network_interfaces.first();
        if params.network_interfaces.len() > 1 {
            return Err(invalid("The simulated AWS launches instances with one network interface"));
        }
        if interface.is_some() && (params.subnet_id.is_some() || !params.security_group_ids.is_empty()) {
            let message = "Network interfaces and an instance-level subnet ID or security groups may not be specified on the same request";
            return Err(Refusal::new(400, "InvalidParameterCombination", message));
        }
        let mut groups = params.security_group_ids.clone();
        for name in &params.security_groups {
            groups.push(ec2.group_named(name, None)?.id.clone());
        }
        groups.extend(interface.iter().flat_map(|interface| interface.groups.clone()));
        if let Some(behavior) = &params.instance_initiated_shutdown_behavior
            && !["stop", "terminate"].contains(&behavior.as_str())
        {
            return Err(invalid(format!(
                "Value ({behavior}) for parameter instanceInitiatedShutdownBehavior is invalid."
            )));
        }
        Ok(LaunchSpec {
            launched: now,
            image_id: params.image_id.ok_or_else(|| missing("ImageId"))?,
            instance_type: params.instance_type.unwrap_or_default(),
            subnet_id: params.subnet_id.or_else(|| interface.and_then(|i| i.subnet_id.clone())),
            availability_zone: params.placement.as_ref().and_then(|p| p.availability_zone.clone()),
            groups,
            key_name: params.key_name,
            profile: params.iam_instance_profile,
            block_devices: params.block_devices,
            tags: tags::specified(&params.tag_specifications, "instance")?,
            volume_tags: tags::specified(&params.tag_specifications, "volume")?,
            user_data: params.user_data,
            client_token: params.client_token.unwrap_or_default(),
            disable_api_termination: params.disable_api_termination.unwrap_or_default(),
            disable_api_stop: params.disable_api_stop.unwrap_or_default(),
            shutdown_behavior: params.instance_initiated_shutdown_behavior,
            metadata: ec2.region_settings.metadata_defaults.applied(params.metadata_options.unwrap_or_default()),
            public_ip: interface.and_then(|i| i.associate_public_ip_address),
            private_ip: params.private_ip_address.or_else(|| interface.and_then(|i| i.private_ip_address.clone())),
            spot_request_id: None,
            requester_id: None,
            ebs_optimized: params.ebs_optimized.unwrap_or_default(),
            monitoring: params.monitoring.is_some_and(|m| m.enabled),
            hibernation: params.hibernation_options.is_some_and(|h| h.configured),
            tenancy: params.placement.and_then(|p| p.tenancy),
        })
    }
}

/// RunInstances. The same client token with the same parameters answers with what was launched the first time.
pub fn run(ec2: &mut Ec2, call: &Call) -> Reply {
    let params: RunInstances = call.params.read()?;
    let min = params.min_count.ok_or_else(|| missing("MinCount"))?;
    let max = params.max_count.ok_or_else(|| missing("MaxCount"))?;
    if min == 0 || min > max {
        return Err(invalid(format!(
            "Value ({min}) for parameter minCount is invalid. It must be from 1 to maxCount ({max})."
        )));
    }
    let token = params.client_token.clone();
    if let Some(made) = ec2.made_before(token.as_deref(), call)? {
        let launched: Vec<&Instance> = ec2.instances.values().filter(|i| made.contains(&i.reservation_id)).collect();
        return Ok(Body::Xml(instances::reservation(ec2, &launched)));
    }
    let market = params.instance_market_options.clone();
    let mut spec = params.spec(ec2, call.now)?;
    if let Some(market) = &market {
        spot::check_market(&market.market_type, spec.disable_api_stop, spec.disable_api_termination)?;
    }
    ec2.check_launch(&spec)?;
    let reservation = ec2.ids.next("r-");
    for index in 0..max {
        if let Some(market) = &market {
            let options = &market.spot_options;
            let persistent = options.spot_instance_type.unwrap_or_default();
            spec.spot_request_id = Some(ec2.open_spot_request(
                &spec,
                persistent,
                options.max_price.clone(),
                options.instance_interruption_behavior.clone(),
            ));
        }
        ec2.launch_into(&spec, &reservation, index)?;
    }
    ec2.remember_made(token.as_deref(), call, std::slice::from_ref(&reservation));
    let launched: Vec<&Instance> = ec2.instances.values().filter(|i| i.reservation_id == reservation).collect();
    Ok(Body::Xml(instances::reservation(ec2, &launched)))
}
