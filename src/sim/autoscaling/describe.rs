//! What Auto Scaling shows of groups, instances and activities.

use serde::Deserialize;

use super::AutoScaling;
use super::group::Group;
use super::operations::shown;
use crate::sim::call::{Body, Call, Reply};
use crate::sim::ec2::Ec2;
use crate::sim::ec2::listing::cut;
use crate::sim::ec2::shape::{date, maybe};
use crate::sim::wire::xml::Xml;

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

/// DescribeAutoScalingGroups.
pub(super) fn groups(scaling: &AutoScaling, ec2: &Ec2, call: &Call) -> Reply {
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
            Xml::text("DeletionProtection", &g.deletion_protection),
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

/// DescribeAutoScalingInstances.
pub(super) fn instances(scaling: &AutoScaling, ec2: &Ec2, call: &Call) -> Reply {
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
pub(super) fn activities(scaling: &AutoScaling, call: &Call) -> Reply {
    let params: DescribeActivities = call.params.read()?;
    let wanted = scaling.activities.iter().rev().filter(|activity| {
        params.auto_scaling_group_name.as_ref().is_none_or(|name| activity.group == *name)
            && (params.activity_ids.is_empty() || params.activity_ids.contains(&activity.id))
    });
    let items = wanted.take(params.max_records.unwrap_or(100)).map(shown);
    Ok(Body::Xml(vec![Xml::list("Activities", "member", items)]))
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct DescribeLaunchConfigurations {
    #[serde(default, rename = "LaunchConfigurationNames")]
    _names: Vec<String>,
    _max_records: Option<u32>,
    _next_token: Option<String>,
}

/// DescribeLaunchConfigurations: there are none, as accounts made since October 2024 cannot make any (Amazon EC2 Auto Scaling
/// User Guide, "Auto Scaling launch configurations").
pub(super) fn launch_configurations(call: &Call) -> Reply {
    let _: DescribeLaunchConfigurations = call.params.read()?;
    Ok(Body::Xml(vec![Xml::node("LaunchConfigurations", Vec::new())]))
}
