//! The operations of Auto Scaling that change something.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::group::{Activity, Group, PROCESSES};
use super::{AutoScaling, describe};
use crate::sim::call::{Body, Call, Refusal, Reply};
use crate::sim::ec2::Ec2;
use crate::sim::ec2::launch_templates::TemplateReference;
use crate::sim::ec2::shape::date;
use crate::sim::wire::xml::Xml;

const OPERATIONS: [&str; 14] = [
    "AttachInstances",
    "CreateAutoScalingGroup",
    "DeleteAutoScalingGroup",
    "DescribeAutoScalingGroups",
    "DescribeAutoScalingInstances",
    "DescribeLaunchConfigurations",
    "DescribeScalingActivities",
    "DetachInstances",
    "EnterStandby",
    "ExitStandby",
    "ResumeProcesses",
    "SetDesiredCapacity",
    "SuspendProcesses",
    "UpdateAutoScalingGroup",
];

/// Refuses an operation that does not exist.
pub fn known(call: &Call) -> Result<(), Refusal> {
    if OPERATIONS.contains(&call.operation.as_str()) { Ok(()) } else { Err(call.unknown()) }
}

/// The group that a call names.
pub fn group_name(call: &Call) -> Result<String, Refusal> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Named {
        auto_scaling_group_name: String,
    }
    call.params.read::<Named>().map(|named| named.auto_scaling_group_name)
}

/// Whether a call names the launch template that its group is to launch from.
pub fn names_a_template(call: &Call) -> bool {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Naming {
        launch_template: Option<TemplateReference>,
    }
    call.params.read::<Naming>().is_ok_and(|naming| naming.launch_template.is_some())
}

/// One operation.
pub fn carry_out(scaling: &mut AutoScaling, ec2: &mut Ec2, call: &Call) -> Reply {
    match call.operation.as_str() {
        "AttachInstances" => attach(scaling, ec2, call),
        "CreateAutoScalingGroup" => create(scaling, ec2, call),
        "DeleteAutoScalingGroup" => delete(scaling, ec2, call),
        "DescribeAutoScalingGroups" => describe::groups(scaling, ec2, call),
        "DescribeAutoScalingInstances" => describe::instances(scaling, ec2, call),
        "DescribeLaunchConfigurations" => describe::launch_configurations(call),
        "DescribeScalingActivities" => describe::activities(scaling, call),
        "DetachInstances" => leave(scaling, ec2, call, None),
        "EnterStandby" => leave(scaling, ec2, call, Some("Standby")),
        "ExitStandby" => exit_standby(scaling, ec2, call),
        "ResumeProcesses" | "SuspendProcesses" => processes(scaling, call),
        "SetDesiredCapacity" => set_desired(scaling, call),
        "UpdateAutoScalingGroup" => update(scaling, ec2, call),
        _ => Err(call.unknown()),
    }
}

fn invalid(message: impl Into<String>) -> Refusal {
    Refusal::new(400, "ValidationError", message)
}

fn group<'a>(scaling: &'a mut AutoScaling, name: &str) -> Result<&'a mut Group, Refusal> {
    scaling
        .groups
        .get_mut(name)
        .ok_or_else(|| invalid(format!("AutoScalingGroup name not found - AutoScalingGroup {name} not found")))
}

fn check_sizes(min: u32, max: u32, desired: u32) -> Result<(), Refusal> {
    if min <= desired && desired <= max {
        return Ok(());
    }
    Err(invalid(format!("Desired capacity:{desired} must be between the specified min size:{min} and max size:{max}")))
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Tag {
    key: String,
    #[serde(default)]
    value: String,
    #[serde(default)]
    propagate_at_launch: bool,
    _resource_id: Option<String>,
    _resource_type: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Create {
    auto_scaling_group_name: String,
    min_size: u32,
    max_size: u32,
    desired_capacity: Option<u32>,
    launch_template: TemplateReference,
    #[serde(rename = "VPCZoneIdentifier")]
    subnets: Option<String>,
    #[serde(default)]
    availability_zones: Vec<String>,
    #[serde(default)]
    tags: Vec<Tag>,
    _health_check_type: Option<String>,
    _health_check_grace_period: Option<u32>,
    _default_cooldown: Option<u32>,
    deletion_protection: Option<String>,
}

fn subnets_of(ec2: &Ec2, subnets: Option<&str>, zones: &[String]) -> Result<Vec<String>, Refusal> {
    let subnets: Vec<String> = match subnets {
        Some(list) => list.split(',').map(|id| id.trim().to_owned()).collect(),
        None => ec2
            .subnets
            .values()
            .filter(|s| s.default_for_az && zones.contains(&s.availability_zone))
            .map(|s| s.id.clone())
            .collect(),
    };
    match subnets.iter().find(|id| !ec2.subnets.contains_key(*id)) {
        Some(unknown) => Err(invalid(format!("The subnet ID '{unknown}' does not exist"))),
        None if subnets.is_empty() => Err(invalid("At least one Availability Zone or VPC Subnet is required.")),
        None => Ok(subnets),
    }
}

fn create(scaling: &mut AutoScaling, ec2: &mut Ec2, call: &Call) -> Reply {
    let params: Create = call.params.read()?;
    let name = params.auto_scaling_group_name;
    if scaling.groups.contains_key(&name) {
        let message =
            format!("AutoScalingGroup by this name already exists - A group with the name {name} already exists");
        return Err(Refusal::new(400, "AlreadyExists", message));
    }
    let desired = params.desired_capacity.unwrap_or(params.min_size);
    check_sizes(params.min_size, params.max_size, desired)?;
    ec2.template(&params.launch_template)?;
    let subnets = subnets_of(ec2, params.subnets.as_deref(), &params.availability_zones)?;
    let id = ec2.ids.next("");
    let group = Group {
        arn: format!(
            "arn:aws:autoscaling:{}:{}:autoScalingGroup:{id}:autoScalingGroupName/{name}",
            call.region, call.account
        ),
        name: name.clone(),
        min: params.min_size,
        max: params.max_size,
        desired,
        created: call.now,
        template: params.launch_template,
        subnets,
        members: BTreeMap::new(),
        suspended: std::collections::BTreeSet::new(),
        deletion_protection: protection(params.deletion_protection)?.unwrap_or_else(|| "none".to_owned()),
        tags: params.tags.into_iter().map(|tag| (tag.key, (tag.value, tag.propagate_at_launch))).collect(),
    };
    scaling.groups.insert(name, group);
    Ok(Body::empty())
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Update {
    auto_scaling_group_name: String,
    min_size: Option<u32>,
    max_size: Option<u32>,
    desired_capacity: Option<u32>,
    launch_template: Option<TemplateReference>,
    #[serde(rename = "VPCZoneIdentifier")]
    subnets: Option<String>,
    deletion_protection: Option<String>,
}

/// A kind of deletion protection that there is.
fn protection(named: Option<String>) -> Result<Option<String>, Refusal> {
    match named {
        Some(other) if !["none", "prevent-force-deletion", "prevent-all-deletion"].contains(&other.as_str()) => {
            Err(invalid(format!("{other} is not a valid deletion protection")))
        }
        named => Ok(named),
    }
}

fn update(scaling: &mut AutoScaling, ec2: &Ec2, call: &Call) -> Reply {
    let params: Update = call.params.read()?;
    let group = group(scaling, &params.auto_scaling_group_name)?;
    let (min, max) = (params.min_size.unwrap_or(group.min), params.max_size.unwrap_or(group.max));
    if min > max {
        return Err(invalid(format!("Max bound, {max}, must be greater than or equal to min bound, {min}")));
    }
    let desired = params.desired_capacity.unwrap_or_else(|| group.desired.clamp(min, max));
    check_sizes(min, max, desired)?;
    if let Some(template) = params.launch_template {
        ec2.template(&template)?;
        group.template = template;
    }
    if let Some(subnets) = &params.subnets {
        group.subnets = subnets_of(ec2, Some(subnets), &[])?;
    }
    if let Some(protection) = protection(params.deletion_protection)? {
        group.deletion_protection = protection;
    }
    (group.min, group.max, group.desired) = (min, max, desired);
    Ok(Body::empty())
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct SetDesiredCapacity {
    auto_scaling_group_name: String,
    desired_capacity: u32,
    #[serde(default)]
    honor_cooldown: bool,
}

/// How long a group rests after an activity, where that is asked for.
const COOLDOWN: i64 = 300;

fn set_desired(scaling: &mut AutoScaling, call: &Call) -> Reply {
    let params: SetDesiredCapacity = call.params.read()?;
    let name = &params.auto_scaling_group_name;
    let last = scaling.activities.iter().rev().find(|activity| activity.group == *name).map(|activity| activity.at);
    let resting = last.is_some_and(|at| call.now.duration_since(at).as_secs() < COOLDOWN);
    if params.honor_cooldown && resting {
        let message = format!("Scaling activity is in progress and blocks this action: {name} is in its cooldown");
        return Err(Refusal::new(400, "ScalingActivityInProgress", message));
    }
    let group = group(scaling, name)?;
    check_sizes(group.min, group.max, params.desired_capacity)?;
    group.desired = params.desired_capacity;
    Ok(Body::empty())
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Processes {
    auto_scaling_group_name: String,
    #[serde(default)]
    scaling_processes: Vec<String>,
}

/// SuspendProcesses and ResumeProcesses: those named, or all.
fn processes(scaling: &mut AutoScaling, call: &Call) -> Reply {
    let params: Processes = call.params.read()?;
    if let Some(unknown) = params.scaling_processes.iter().find(|name| !PROCESSES.contains(&name.as_str())) {
        return Err(invalid(format!("{unknown} is not a valid scaling process")));
    }
    let group = group(scaling, &params.auto_scaling_group_name)?;
    let all = || PROCESSES.map(str::to_owned).to_vec();
    let named = if params.scaling_processes.is_empty() { all() } else { params.scaling_processes };
    if call.operation == "SuspendProcesses" {
        group.suspended.extend(named);
    } else {
        group.suspended.retain(|process| !named.contains(process));
    }
    Ok(Body::empty())
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Leave {
    auto_scaling_group_name: String,
    #[serde(default)]
    instance_ids: Vec<String>,
    should_decrement_desired_capacity: bool,
}

fn check_members(group: &Group, ids: &[String], state: &str) -> Result<(), Refusal> {
    if ids.len() > 20 {
        return Err(invalid("At most 20 instances are named in one call"));
    }
    match ids.iter().find(|id| group.members.get(*id).is_none_or(|held| held != state)) {
        None => Ok(()),
        Some(id) => Err(invalid(format!(
            "The instance {id} is not part of Auto Scaling group {} in state {state}.",
            group.name
        ))),
    }
}

/// DetachInstances and EnterStandby: the instances go on; without a decrement the group launches others.
fn leave(scaling: &mut AutoScaling, ec2: &mut Ec2, call: &Call, becomes: Option<&str>) -> Reply {
    let params: Leave = call.params.read()?;
    let group = group(scaling, &params.auto_scaling_group_name)?;
    check_members(group, &params.instance_ids, "InService")?;
    if params.should_decrement_desired_capacity {
        let left = group.desired.saturating_sub(u32::try_from(params.instance_ids.len()).unwrap_or(u32::MAX));
        if left < group.min {
            return Err(invalid(format!(
                "Group {} would shrink to {left}, below its min size {}",
                group.name, group.min
            )));
        }
        group.desired = left;
    }
    let mut done = Vec::new();
    for id in params.instance_ids {
        let what = match becomes {
            Some(state) => {
                group.members.insert(id.clone(), state.to_owned());
                format!("Moving EC2 instance to {state}: {id}")
            }
            None => {
                group.members.remove(&id);
                format!("Detaching EC2 instance: {id}")
            }
        };
        done.push(group.activity(ec2, what, "an instance was taken out in response to a user request", call.now));
    }
    Ok(answer(scaling, done))
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Join {
    auto_scaling_group_name: String,
    #[serde(default)]
    instance_ids: Vec<String>,
}

fn exit_standby(scaling: &mut AutoScaling, ec2: &mut Ec2, call: &Call) -> Reply {
    let params: Join = call.params.read()?;
    let group = group(scaling, &params.auto_scaling_group_name)?;
    check_members(group, &params.instance_ids, "Standby")?;
    let desired = group.desired + u32::try_from(params.instance_ids.len()).unwrap_or(u32::MAX);
    check_sizes(group.min, group.max, desired)?;
    group.desired = desired;
    let mut done = Vec::new();
    for id in params.instance_ids {
        let what = format!("Moving EC2 instance out of Standby: {id}");
        group.members.insert(id, "InService".to_owned());
        done.push(group.activity(
            ec2,
            what,
            "an instance was put into service in response to a user request",
            call.now,
        ));
    }
    Ok(answer(scaling, done))
}

fn attach(scaling: &mut AutoScaling, ec2: &Ec2, call: &Call) -> Reply {
    let params: Join = call.params.read()?;
    let taken = |id: &String| scaling.groups.values().any(|group| group.members.contains_key(id));
    let running = |id: &String| ec2.instances.get(id).is_some_and(|i| i.state.name() == "running");
    if let Some(wrong) = params.instance_ids.iter().find(|id| taken(id) || !running(id)) {
        return Err(invalid(format!("Instance {wrong} is not running, or is already part of a group")));
    }
    let group = group(scaling, &params.auto_scaling_group_name)?;
    let desired = group.desired + u32::try_from(params.instance_ids.len()).unwrap_or(u32::MAX);
    check_sizes(group.min, group.max, desired)?;
    group.desired = desired;
    group.members.extend(params.instance_ids.into_iter().map(|id| (id, "InService".to_owned())));
    Ok(Body::empty())
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Delete {
    auto_scaling_group_name: String,
    #[serde(default)]
    force_delete: bool,
}

fn delete(scaling: &mut AutoScaling, ec2: &mut Ec2, call: &Call) -> Reply {
    let params: Delete = call.params.read()?;
    group(scaling, &params.auto_scaling_group_name)?;
    let group = &scaling.groups[&params.auto_scaling_group_name];
    let protected = match group.deletion_protection.as_str() {
        "prevent-all-deletion" => true,
        "prevent-force-deletion" => params.force_delete,
        _ => false,
    };
    if protected {
        let message = format!("The deletion protection of {} is {}.", group.name, group.deletion_protection);
        return Err(invalid(message));
    }
    if !group.members.is_empty() && !params.force_delete {
        let message = "You cannot delete an AutoScalingGroup while there are instances or pending Spot instance request(s) still in the group.";
        return Err(Refusal::new(400, "ResourceInUse", message));
    }
    if !params.force_delete && group.is_busy(ec2, &scaling.activities) {
        let message =
            "You cannot delete an AutoScalingGroup while there are scaling activities in progress for that group.";
        return Err(Refusal::new(400, "ScalingActivityInProgress", message));
    }
    for id in group.members.keys() {
        ec2.terminate_instance(id, call.now, "Client.UserInitiatedShutdown", "User initiated shutdown");
    }
    scaling.groups.remove(&params.auto_scaling_group_name);
    Ok(Body::empty())
}

fn answer(scaling: &mut AutoScaling, done: Vec<Activity>) -> Body {
    let body = Body::Xml(vec![Xml::list("Activities", "member", done.iter().map(shown))]);
    scaling.activities.extend(done);
    body
}

pub(super) fn shown(activity: &Activity) -> Vec<Xml> {
    vec![
        Xml::text("ActivityId", &activity.id),
        Xml::text("AutoScalingGroupName", &activity.group),
        Xml::text("AutoScalingGroupARN", &activity.arn),
        Xml::text("Description", &activity.description),
        Xml::text("Cause", &activity.cause),
        Xml::text("StartTime", date(activity.at)),
        Xml::text("EndTime", date(activity.at)),
        Xml::text("StatusCode", "Successful"),
        Xml::text("Progress", 100),
    ]
}
