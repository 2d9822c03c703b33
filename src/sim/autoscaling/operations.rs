//! The operations of Auto Scaling.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::AutoScaling;
use super::group::{Activity, Group, PROCESSES};
use crate::sim::call::{Body, Call, Refusal, Reply};
use crate::sim::ec2::Ec2;
use crate::sim::ec2::launch_templates::TemplateReference;
use crate::sim::ec2::listing::cut;
use crate::sim::ec2::shape::{date, maybe};
use crate::sim::wire::xml::Xml;

const OPERATIONS: [&str; 13] = [
    "AttachInstances",
    "CreateAutoScalingGroup",
    "DeleteAutoScalingGroup",
    "DescribeAutoScalingGroups",
    "DescribeAutoScalingInstances",
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

/// One operation.
pub fn carry_out(scaling: &mut AutoScaling, ec2: &mut Ec2, call: &Call) -> Reply {
    match call.operation.as_str() {
        "AttachInstances" => attach(scaling, ec2, call),
        "CreateAutoScalingGroup" => create(scaling, ec2, call),
        "DeleteAutoScalingGroup" => delete(scaling, ec2, call),
        "DescribeAutoScalingGroups" => describe_groups(scaling, ec2, call),
        "DescribeAutoScalingInstances" => describe_instances(scaling, ec2, call),
        "DescribeScalingActivities" => describe_activities(scaling, call),
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
    (group.min, group.max, group.desired) = (min, max, desired);
    Ok(Body::empty())
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct SetDesiredCapacity {
    auto_scaling_group_name: String,
    desired_capacity: u32,
    _honor_cooldown: Option<bool>,
}

fn set_desired(scaling: &mut AutoScaling, call: &Call) -> Reply {
    let params: SetDesiredCapacity = call.params.read()?;
    let group = group(scaling, &params.auto_scaling_group_name)?;
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
    let group = group(scaling, &params.auto_scaling_group_name)?;
    if !group.members.is_empty() && !params.force_delete {
        let message = "You cannot delete an AutoScalingGroup while there are instances or pending Spot instance request(s) still in the group.";
        return Err(Refusal::new(400, "ResourceInUse", message));
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

fn shown(activity: &Activity) -> Vec<Xml> {
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

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct DescribeGroups {
    #[serde(default)]
    auto_scaling_group_names: Vec<String>,
    max_records: Option<u32>,
    next_token: Option<String>,
    _include_instances: Option<bool>,
}

fn template_xml(group: &Group, ec2: &Ec2) -> Option<Xml> {
    let template = ec2.template(&group.template).ok()?;
    Some(Xml::node(
        "LaunchTemplate",
        vec![
            Xml::text("LaunchTemplateId", &template.id),
            Xml::text("LaunchTemplateName", &template.name),
            Xml::text("Version", group.template.version.as_deref().unwrap_or("$Default")),
        ],
    ))
}

fn member(group: &Group, ec2: &Ec2, id: &str, state: &str) -> Vec<Xml> {
    let instance = ec2.instances.get(id);
    let healthy = instance.is_some_and(|i| matches!(i.state.name(), "pending" | "running"));
    let mut xml = vec![
        Xml::text("InstanceId", id),
        Xml::text("LifecycleState", state),
        Xml::text("HealthStatus", if healthy { "Healthy" } else { "Unhealthy" }),
        Xml::text("ProtectedFromScaleIn", false),
    ];
    xml.extend(maybe("InstanceType", instance.map(|i| &i.instance_type)));
    xml.extend(maybe("AvailabilityZone", instance.map(|i| &i.availability_zone)));
    xml.extend(template_xml(group, ec2));
    xml
}

fn describe_groups(scaling: &AutoScaling, ec2: &Ec2, call: &Call) -> Reply {
    let params: DescribeGroups = call.params.read()?;
    let names = &params.auto_scaling_group_names;
    let groups = scaling.groups.values().filter(|group| names.is_empty() || names.contains(&group.name)).collect();
    let (page, next) = cut(groups, params.max_records, params.next_token.as_deref(), |group: &Group| &group.name)?;
    let items = page.into_iter().map(|g| {
        let zones =
            g.subnets.iter().filter_map(|id| ec2.subnets.get(id)).map(|s| Xml::text("member", &s.availability_zone));
        let suspended = g
            .suspended
            .iter()
            .map(|process| vec![Xml::text("ProcessName", process), Xml::text("SuspensionReason", "User suspended")]);
        let tags = g.tags.iter().map(|(key, (value, propagate))| {
            vec![
                Xml::text("ResourceId", &g.name),
                Xml::text("ResourceType", "auto-scaling-group"),
                Xml::text("Key", key),
                Xml::text("Value", value),
                Xml::text("PropagateAtLaunch", propagate),
            ]
        });
        let mut xml = vec![
            Xml::text("AutoScalingGroupName", &g.name),
            Xml::text("AutoScalingGroupARN", &g.arn),
            Xml::text("MinSize", g.min),
            Xml::text("MaxSize", g.max),
            Xml::text("DesiredCapacity", g.desired),
            Xml::text("DefaultCooldown", 300),
            Xml::text("HealthCheckType", "EC2"),
            Xml::text("HealthCheckGracePeriod", 0),
            Xml::text("CreatedTime", date(g.created)),
            Xml::text("VPCZoneIdentifier", g.subnets.join(",")),
            Xml::node("AvailabilityZones", zones.collect()),
            Xml::list("Instances", "member", g.members.iter().map(|(id, state)| member(g, ec2, id, state))),
            Xml::list("SuspendedProcesses", "member", suspended),
            Xml::list("Tags", "member", tags),
        ];
        xml.extend(template_xml(g, ec2));
        xml
    });
    let mut xml = vec![Xml::list("AutoScalingGroups", "member", items)];
    xml.extend(maybe("NextToken", next));
    Ok(Body::Xml(xml))
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct DescribeInstances {
    #[serde(default)]
    instance_ids: Vec<String>,
    max_records: Option<u32>,
    next_token: Option<String>,
}

fn describe_instances(scaling: &AutoScaling, ec2: &Ec2, call: &Call) -> Reply {
    let params: DescribeInstances = call.params.read()?;
    let mut members: Vec<(&String, &String, &Group)> =
        scaling.groups.values().flat_map(|g| g.members.iter().map(move |(id, state)| (id, state, g))).collect();
    members.retain(|(id, ..)| params.instance_ids.is_empty() || params.instance_ids.contains(id));
    members.sort_by_key(|(id, ..)| *id);
    let (page, next) = cut(members.iter().collect(), params.max_records, params.next_token.as_deref(), |(id, ..)| id)?;
    let items = page.into_iter().map(|(id, state, group)| {
        let mut xml = member(group, ec2, id, state);
        xml.push(Xml::text("AutoScalingGroupName", &group.name));
        xml
    });
    let mut xml = vec![Xml::list("AutoScalingInstances", "member", items)];
    xml.extend(maybe("NextToken", next));
    Ok(Body::Xml(xml))
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct DescribeActivities {
    auto_scaling_group_name: Option<String>,
    #[serde(default)]
    activity_ids: Vec<String>,
    _include_deleted_groups: Option<bool>,
    max_records: Option<usize>,
}

/// DescribeScalingActivities: newest first.
fn describe_activities(scaling: &AutoScaling, call: &Call) -> Reply {
    let params: DescribeActivities = call.params.read()?;
    let wanted = scaling.activities.iter().rev().filter(|activity| {
        params.auto_scaling_group_name.as_ref().is_none_or(|name| activity.group == *name)
            && (params.activity_ids.is_empty() || params.activity_ids.contains(&activity.id))
    });
    let items = wanted.take(params.max_records.unwrap_or(100)).map(shown);
    Ok(Body::Xml(vec![Xml::list("Activities", "member", items)]))
}
