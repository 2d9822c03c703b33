//! Attributes of an instance, its metadata options, console output and screenshot.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use super::Ec2;
use super::ids::{GROUP, INSTANCE};
use super::instances::{BlockDevice, Instance, State};
use super::shape::{date, value};
use crate::sim::call::{Body, Call, Refusal, Reply};
use crate::sim::wire::xml::Xml;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct DescribeInstanceAttribute {
    instance_id: String,
    attribute: String,
    _dry_run: Option<bool>,
}

/// DescribeInstanceAttribute.
pub fn describe(ec2: &Ec2, call: &Call) -> Reply {
    let params: DescribeInstanceAttribute = call.params.read()?;
    let i = INSTANCE.get(&ec2.instances, &params.instance_id)?;
    let shown = match params.attribute.as_str() {
        "disableApiTermination" => value("disableApiTermination", i.disable_api_termination),
        "disableApiStop" => value("disableApiStop", i.disable_api_stop),
        "instanceInitiatedShutdownBehavior" => value("instanceInitiatedShutdownBehavior", &i.shutdown_behavior),
        "instanceType" => value("instanceType", &i.instance_type),
        "ebsOptimized" => value("ebsOptimized", i.ebs_optimized),
        "enaSupport" => value("enaSupport", true),
        "rootDeviceName" => value("rootDeviceName", &i.root_device_name),
        "sourceDestCheck" => value("sourceDestCheck", i.source_dest_check),
        "userData" => match &i.user_data {
            Some(data) => value("userData", data),
            None => Xml::node("userData", Vec::new()),
        },
        "kernel" => Xml::node("kernel", Vec::new()),
        "ramdisk" => Xml::node("ramdisk", Vec::new()),
        "sriovNetSupport" => Xml::node("sriovNetSupport", Vec::new()),
        "productCodes" => Xml::node("productCodes", Vec::new()),
        "enclaveOptions" => Xml::node("enclaveOptions", vec![Xml::text("enabled", false)]),
        "groupSet" => Xml::list("groupSet", "item", ec2.groups_of(&i.id).into_iter().map(|id| ec2.group_xml(id))),
        "blockDeviceMapping" => Xml::list("blockDeviceMapping", "item", i.block_devices.iter().map(BlockDevice::xml)),
        other => {
            return Err(invalid(format!("Value ({other}) for parameter attribute is invalid. Unknown attribute.")));
        }
    };
    Ok(Body::Xml(vec![Xml::text("instanceId", &i.id), shown]))
}

#[derive(Debug, Deserialize)]
struct Flag {
    #[serde(rename = "Value")]
    value: bool,
}

#[derive(Debug, Deserialize)]
struct Text {
    #[serde(rename = "Value")]
    value: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct DeviceChange {
    device_name: String,
    ebs: Option<EbsChange>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct EbsChange {
    delete_on_termination: Option<bool>,
    _volume_id: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct ModifyInstanceAttribute {
    instance_id: String,
    attribute: Option<String>,
    value: Option<String>,
    disable_api_termination: Option<Flag>,
    disable_api_stop: Option<Flag>,
    ebs_optimized: Option<Flag>,
    source_dest_check: Option<Flag>,
    instance_initiated_shutdown_behavior: Option<Text>,
    instance_type: Option<Text>,
    user_data: Option<Text>,
    #[serde(default, rename = "GroupId")]
    groups: Vec<String>,
    #[serde(default, rename = "BlockDeviceMapping")]
    block_devices: Vec<DeviceChange>,
    _dry_run: Option<bool>,
}

/// The one attribute that a call changes.
enum Change {
    DisableApiTermination(bool),
    DisableApiStop(bool),
    EbsOptimized(bool),
    SourceDestCheck(bool),
    ShutdownBehavior(String),
    InstanceType(String),
    UserData(String),
    Groups(Vec<String>),
    BlockDevices(Vec<DeviceChange>),
}

impl ModifyInstanceAttribute {
    fn change(self) -> Result<Change, Refusal> {
        let named = match (self.attribute, self.value) {
            (Some(attribute), Some(value)) => Some(Change::named(&attribute, value)?),
            // `Attribute=blockDeviceMapping` may stand next to the mapping itself.
            _ => None,
        };
        let mut changes: Vec<Change> = [
            named,
            self.disable_api_termination.map(|flag| Change::DisableApiTermination(flag.value)),
            self.disable_api_stop.map(|flag| Change::DisableApiStop(flag.value)),
            self.ebs_optimized.map(|flag| Change::EbsOptimized(flag.value)),
            self.source_dest_check.map(|flag| Change::SourceDestCheck(flag.value)),
            self.instance_initiated_shutdown_behavior.map(|text| Change::ShutdownBehavior(text.value)),
            self.instance_type.map(|text| Change::InstanceType(text.value)),
            self.user_data.map(|text| Change::UserData(text.value)),
            (!self.groups.is_empty()).then_some(Change::Groups(self.groups)),
            (!self.block_devices.is_empty()).then_some(Change::BlockDevices(self.block_devices)),
        ]
        .into_iter()
        .flatten()
        .collect();
        match (changes.pop(), changes.is_empty()) {
            (Some(change), true) => Ok(change),
            (Some(_), false) => {
                let message =
                    "Fields for multiple attribute types specified; only one attribute can be modified per call";
                Err(Refusal::new(400, "InvalidParameterCombination", message))
            }
            (None, _) => Err(Refusal::new(400, "InvalidParameterCombination", "No attributes specified.")),
        }
    }
}

impl Change {
    fn named(attribute: &str, value: String) -> Result<Self, Refusal> {
        let flag =
            || value.parse::<bool>().map_err(|_| invalid(format!("Value ({value}) for parameter value is invalid.")));
        Ok(match attribute {
            "disableApiTermination" => Self::DisableApiTermination(flag()?),
            "disableApiStop" => Self::DisableApiStop(flag()?),
            "ebsOptimized" => Self::EbsOptimized(flag()?),
            "sourceDestCheck" => Self::SourceDestCheck(flag()?),
            "instanceInitiatedShutdownBehavior" => Self::ShutdownBehavior(value),
            "instanceType" => Self::InstanceType(value),
            "userData" => Self::UserData(value),
            other => return Err(invalid(format!("Value ({other}) for parameter attribute is invalid."))),
        })
    }

    fn needs_stopped(&self) -> bool {
        matches!(self, Self::UserData(_) | Self::InstanceType(_) | Self::EbsOptimized(_))
    }
}

fn invalid(message: impl Into<String>) -> Refusal {
    Refusal::new(400, "InvalidParameterValue", message)
}

fn wrong_state(instance: &Instance) -> Refusal {
    let message = format!(
        "The instance '{}' is in the state '{}', which does not allow this.",
        instance.id,
        instance.state.name()
    );
    Refusal::new(400, "IncorrectInstanceState", message)
}

/// ModifyInstanceAttribute: one attribute in a call.
pub fn modify(ec2: &mut Ec2, call: &Call) -> Reply {
    let params: ModifyInstanceAttribute = call.params.read()?;
    let id = params.instance_id.clone();
    let instance = INSTANCE.get(&ec2.instances, &id)?;
    let change = params.change()?;
    if instance.state.is_ending() || (change.needs_stopped() && instance.state != State::Stopped) {
        return Err(wrong_state(instance));
    }
    if let Change::Groups(groups) = change {
        return set_groups(ec2, &id, groups);
    }
    let instance = INSTANCE.get_mut(&mut ec2.instances, &id)?;
    let spot = instance.spot_request_id.is_some();
    let unsupported = |message: String| Err(Refusal::new(400, "UnsupportedOperation", message));
    match change {
        Change::DisableApiTermination(true) if spot => {
            return unsupported(format!("The Spot Instance '{id}' cannot have termination protection."));
        }
        Change::DisableApiStop(true) if spot || instance.root_device_type != "ebs" => {
            return unsupported(format!("The instance '{id}' cannot have stop protection."));
        }
        Change::DisableApiTermination(on) => instance.disable_api_termination = on,
        Change::DisableApiStop(on) => instance.disable_api_stop = on,
        Change::EbsOptimized(on) => instance.ebs_optimized = on,
        Change::SourceDestCheck(on) => instance.source_dest_check = on,
        Change::ShutdownBehavior(behavior) if ["stop", "terminate"].contains(&behavior.as_str()) => {
            instance.shutdown_behavior = behavior;
        }
        Change::ShutdownBehavior(behavior) => {
            return Err(invalid(format!(
                "Value ({behavior}) for parameter instanceInitiatedShutdownBehavior is invalid."
            )));
        }
        Change::InstanceType(instance_type) => instance.instance_type = instance_type,
        Change::UserData(data) => instance.user_data = Some(data),
        Change::Groups(_) => {}
        Change::BlockDevices(devices) => set_devices(instance, &devices)?,
    }
    Ok(Body::ec2_true())
}

fn set_groups(ec2: &mut Ec2, id: &str, groups: Vec<String>) -> Reply {
    GROUP.check_all(&ec2.security_groups, &groups)?;
    let enis: Vec<String> = ec2.enis_of(id).map(|eni| eni.id.clone()).collect();
    let [eni] = enis.as_slice() else {
        let message = format!(
            "There are multiple interfaces attached to instance '{id}'. Please specify an interface ID for the operation instead."
        );
        return Err(Refusal::new(400, "InvalidInstanceID", message));
    };
    ec2.regroup(eni, groups);
    Ok(Body::ec2_true())
}

fn set_devices(instance: &mut Instance, changes: &[DeviceChange]) -> Result<(), Refusal> {
    let known = |change: &DeviceChange| instance.block_devices.iter().any(|d| d.device_name == change.device_name);
    if let Some(unknown) = changes.iter().find(|change| !known(change)) {
        let message = format!("No device is currently mapped at {}", unknown.device_name);
        return Err(Refusal::new(400, "InvalidInstanceAttributeValue", message));
    }
    for device in &mut instance.block_devices {
        let change = changes.iter().find(|change| change.device_name == device.device_name);
        if let Some(delete) = change.and_then(|change| change.ebs.as_ref()).and_then(|ebs| ebs.delete_on_termination) {
            device.delete_on_termination = delete;
        }
    }
    Ok(())
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct ModifyInstanceMetadataOptions {
    instance_id: String,
    http_tokens: Option<String>,
    http_put_response_hop_limit: Option<u8>,
    http_endpoint: Option<String>,
    http_protocol_ipv6: Option<String>,
    instance_metadata_tags: Option<String>,
    _dry_run: Option<bool>,
}

/// ModifyInstanceMetadataOptions: what is not named stays.
pub fn modify_metadata(ec2: &mut Ec2, call: &Call) -> Reply {
    let params: ModifyInstanceMetadataOptions = call.params.read()?;
    let instance = INSTANCE.get_mut(&mut ec2.instances, &params.instance_id)?;
    if instance.state.is_ending() {
        return Err(wrong_state(instance));
    }
    let switches = [&params.http_endpoint, &params.http_protocol_ipv6, &params.instance_metadata_tags];
    if let Some(wrong) = switches.into_iter().flatten().find(|text| !["enabled", "disabled"].contains(&text.as_str())) {
        return Err(invalid(format!("Value ({wrong}) is invalid; it must be enabled or disabled.")));
    }
    if let Some(wrong) = params.http_tokens.as_ref().filter(|text| !["optional", "required"].contains(&text.as_str())) {
        return Err(invalid(format!("Value ({wrong}) for parameter HttpTokens is invalid.")));
    }
    let options = &mut instance.metadata;
    let set = |target: &mut String, new: Option<String>| {
        if let Some(new) = new {
            *target = new;
        }
    };
    set(&mut options.http_tokens, params.http_tokens);
    set(&mut options.http_endpoint, params.http_endpoint);
    set(&mut options.http_protocol_ipv6, params.http_protocol_ipv6);
    set(&mut options.instance_metadata_tags, params.instance_metadata_tags);
    if let Some(limit) = params.http_put_response_hop_limit {
        options.http_put_response_hop_limit = limit;
    }
    Ok(Body::Xml(vec![
        Xml::text("instanceId", &instance.id),
        Xml::node("instanceMetadataOptions", instance.metadata.xml()),
    ]))
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct GetConsole {
    instance_id: String,
    _latest: Option<bool>,
    _wake_up: Option<bool>,
    _dry_run: Option<bool>,
}

/// GetConsoleOutput. Its time is that of the output, which is written while a machine starts.
pub fn console_output(ec2: &Ec2, call: &Call) -> Reply {
    let params: GetConsole = call.params.read()?;
    let instance = INSTANCE.get(&ec2.instances, &params.instance_id)?;
    Ok(Body::Xml(vec![
        Xml::text("instanceId", &instance.id),
        Xml::text("timestamp", date(instance.launch_time)),
        Xml::text("output", STANDARD.encode(&instance.console)),
    ]))
}

/// The smallest picture that is a JPEG: start of image, end of image.
const EMPTY_JPEG: [u8; 4] = [0xff, 0xd8, 0xff, 0xd9];

/// GetConsoleScreenshot: of running instances only.
pub fn console_screenshot(ec2: &Ec2, call: &Call) -> Reply {
    let params: GetConsole = call.params.read()?;
    let instance = INSTANCE.get(&ec2.instances, &params.instance_id)?;
    if instance.state != State::Running {
        return Err(wrong_state(instance));
    }
    Ok(Body::Xml(vec![Xml::text("instanceId", &instance.id), Xml::text("imageData", STANDARD.encode(EMPTY_JPEG))]))
}
