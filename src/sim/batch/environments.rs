//! Compute environments.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Batch, Changing, check_state, name, part, read, refuse};
use crate::sim::autoscaling::AutoScaling;
use crate::sim::autoscaling::group::Group;
use crate::sim::call::{Call, Refusal};
use crate::sim::ec2::Ec2;
use crate::sim::ec2::launch_templates::{LaunchTemplate, TemplateReference, Version};
use crate::sim::ec2::run::RunInstances;

/// Where jobs run.
#[derive(Debug, Clone, Serialize)]
pub struct Environment {
    /// Its name.
    pub name: String,
    /// Its ARN.
    pub arn: String,
    /// The ECS cluster that Batch makes for it.
    pub cluster: String,
    /// `MANAGED` or `UNMANAGED`.
    pub kind: String,
    /// `ENABLED` or `DISABLED`.
    pub state: String,
    /// What a managed one has.
    pub resources: Option<Resources>,
    /// The role of Batch.
    pub service_role: Option<String>,
    /// Tags.
    pub tags: BTreeMap<String, String>,
    #[serde(skip)]
    changing: Changing,
}

/// The machines of a managed environment.
#[derive(Debug, Clone, Serialize)]
pub struct Resources {
    /// `EC2`, `SPOT`, `FARGATE` or `FARGATE_SPOT`.
    pub kind: String,
    /// The vCPUs that are kept without any job.
    pub min: u32,
    /// The most vCPUs.
    pub max: u32,
    /// What it launches.
    pub instance_types: Vec<String>,
    /// Where.
    pub subnets: Vec<String>,
    /// The security groups of its machines.
    pub groups: Vec<String>,
    /// The instance profile of its machines.
    pub instance_role: Option<String>,
    /// Its Auto Scaling group, by name; empty on Fargate.
    pub scaling_group: String,
}

impl Resources {
    /// Whether there are machines to be seen.
    pub fn is_on_ec2(&self) -> bool {
        !self.kind.starts_with("FARGATE")
    }

    /// The type of its machines: the first that it may take.
    pub fn instance_type(&self) -> String {
        match self.instance_types.first().map_or("optimal", String::as_str) {
            "optimal" => "m5.4xlarge".to_owned(),
            family if !family.contains('.') => format!("{family}.4xlarge"),
            exact => exact.to_owned(),
        }
    }

    /// The vCPUs of one machine, by the size in its type.
    pub fn vcpus_of_one(&self) -> u32 {
        let kind = self.instance_type();
        match kind.rsplit('.').next().unwrap_or_default() {
            "large" | "medium" | "small" | "micro" | "nano" => 2,
            "xlarge" => 4,
            size => size.strip_suffix("xlarge").and_then(|times| times.parse().ok()).map_or(96, |times: u32| 4 * times),
        }
    }
}

impl Environment {
    /// Whether jobs can be placed in it.
    pub fn takes_jobs(&self, now: Timestamp) -> bool {
        self.state == "ENABLED" && self.is_valid(now)
    }

    /// Whether nothing is being changed.
    pub fn is_valid(&self, now: Timestamp) -> bool {
        self.changing.status(now) == "VALID"
    }
}

/// The environment of that name or ARN.
pub(super) fn named<'a>(batch: &'a mut Batch, environment: &str) -> Result<&'a mut Environment, Refusal> {
    let missing = || refuse(format!("{environment} does not exist"));
    batch.environments.get_mut(name(environment)).ok_or_else(missing)
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Create {
    compute_environment_name: String,
    #[serde(rename = "type")]
    kind: String,
    state: Option<String>,
    compute_resources: Option<Compute>,
    service_role: Option<String>,
    #[serde(default)]
    tags: BTreeMap<String, String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Compute {
    #[serde(rename = "type")]
    kind: String,
    #[serde(rename = "allocationStrategy")]
    _allocation_strategy: Option<String>,
    #[serde(rename = "minvCpus")]
    min: Option<u32>,
    #[serde(rename = "maxvCpus")]
    max: u32,
    #[serde(rename = "desiredvCpus")]
    desired: Option<u32>,
    #[serde(default)]
    instance_types: Vec<String>,
    image_id: Option<String>,
    subnets: Vec<String>,
    #[serde(default)]
    security_group_ids: Vec<String>,
    instance_role: Option<String>,
    #[serde(default)]
    tags: BTreeMap<String, String>,
}

/// CreateComputeEnvironment.
pub(super) fn create(
    batch: &mut Batch,
    scaling: &mut AutoScaling,
    ec2: &mut Ec2,
    call: &Call,
    uuid: &str,
) -> Result<Value, Refusal> {
    let params: Create = read(call)?;
    let name = params.compute_environment_name;
    if batch.environments.contains_key(&name) {
        return Err(refuse(format!("Object already exists: {name}")));
    }
    let state = params.state.unwrap_or_else(|| "ENABLED".to_owned());
    check_state(&state)?;
    let resources = match (params.kind.as_str(), params.compute_resources) {
        ("MANAGED", Some(compute)) => Some(resources(compute, ec2, scaling, call, &name, uuid)?),
        ("UNMANAGED", None) => None,
        _ => {
            return Err(refuse(
                "computeResources must be provided for a MANAGED compute environment, and for no other",
            ));
        }
    };
    let environment = Environment {
        arn: super::arn(call, "compute-environment", &name),
        cluster: format!("arn:aws:ecs:{}:{}:cluster/{name}_Batch_{uuid}", call.region, call.account),
        name: name.clone(),
        kind: params.kind,
        state,
        resources,
        service_role: params.service_role,
        tags: params.tags,
        changing: Changing::begun("CREATING", call.now),
    };
    let answer = json!({ "computeEnvironmentName": name, "computeEnvironmentArn": environment.arn });
    batch.environments.insert(name, environment);
    Ok(answer)
}

fn resources(
    compute: Compute,
    ec2: &mut Ec2,
    scaling: &mut AutoScaling,
    call: &Call,
    name: &str,
    uuid: &str,
) -> Result<Resources, Refusal> {
    let mut resources = Resources {
        min: compute.min.unwrap_or_default(),
        max: compute.max,
        instance_types: compute.instance_types,
        subnets: compute.subnets,
        groups: compute.security_group_ids,
        instance_role: compute.instance_role,
        scaling_group: String::new(),
        kind: compute.kind,
    };
    if let Some(unknown) = resources.subnets.iter().find(|id| !ec2.subnets.contains_key(*id)) {
        return Err(refuse(format!("The subnet ID '{unknown}' does not exist")));
    }
    if resources.subnets.is_empty() || resources.max == 0 || resources.min > resources.max {
        return Err(refuse("At least one subnet, and 0 <= minvCpus <= maxvCpus with maxvCpus > 0, must be provided"));
    }
    match resources.kind.as_str() {
        "FARGATE" | "FARGATE_SPOT" => {
            if compute.min.is_some() || compute.desired.is_some() || !resources.instance_types.is_empty() {
                return Err(refuse(
                    "minvCpus, desiredvCpus and instanceTypes are not applicable to jobs running on Fargate resources",
                ));
            }
            return Ok(resources);
        }
        "EC2" | "SPOT" if resources.instance_types.is_empty() || resources.instance_role.is_none() => {
            return Err(refuse("instanceTypes and instanceRole must be provided for EC2"));
        }
        "EC2" | "SPOT" => {}
        other => return Err(refuse(format!("{other} is not a type of compute resources"))),
    }
    let amazon = ec2.images.values().find(|image| image.owner_alias.as_deref() == Some("amazon"));
    let image = compute.image_id.or_else(|| amazon.map(|image| image.id.clone())).unwrap_or_default();
    let data = RunInstances::by_service(image, resources.instance_type(), resources.groups.clone());
    let template = LaunchTemplate {
        id: ec2.ids.next("lt-"),
        name: format!("Batch-lt-{uuid}"),
        created: call.now,
        created_by: service_role(call),
        versions: BTreeMap::from([(
            1,
            Version { created: call.now, created_by: service_role(call), description: None, data },
        )]),
        default_version: 1,
        tags: BTreeMap::new(),
    };
    let reference = TemplateReference { launch_template_id: Some(template.id.clone()), ..TemplateReference::default() };
    ec2.launch_templates.insert(template.id.clone(), template);
    let group = format!("{name}-asg-{uuid}");
    let id = ec2.ids.next("");
    let (region, account) = (&call.region, &call.account);
    let mut tags: BTreeMap<_, _> = compute.tags.into_iter().map(|(key, value)| (key, (value, true))).collect();
    tags.insert("AWSBatchServiceTag".to_owned(), ("batch".to_owned(), true));
    let made = Group {
        name: group.clone(),
        arn: format!("arn:aws:autoscaling:{region}:{account}:autoScalingGroup:{id}:autoScalingGroupName/{group}"),
        min: 0,
        max: resources.max.div_ceil(resources.vcpus_of_one()),
        desired: 0,
        created: call.now,
        template: reference,
        subnets: resources.subnets.clone(),
        members: BTreeMap::new(),
        suspended: BTreeSet::new(),
        deletion_protection: "none".to_owned(),
        tags,
    };
    scaling.groups.insert(group.clone(), made);
    resources.scaling_group = group;
    Ok(resources)
}

/// Who makes what Batch makes.
fn service_role(call: &Call) -> String {
    format!("arn:aws:sts::{}:assumed-role/AWSServiceRoleForBatch/aws-batch", call.account)
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Describe {
    #[serde(default)]
    compute_environments: Vec<String>,
    max_results: Option<usize>,
    next_token: Option<String>,
}

/// DescribeComputeEnvironments.
pub(super) fn describe(batch: &Batch, scaling: &AutoScaling, call: &Call) -> Result<Value, Refusal> {
    let params: Describe = read(call)?;
    let names: Vec<&str> = params.compute_environments.iter().map(|named| name(named)).collect();
    let wanted = batch.environments.values().filter(|e| names.is_empty() || names.contains(&e.name.as_str()));
    let shown = wanted.map(|environment| (environment.name.clone(), shown(environment, scaling, call.now)));
    part("computeEnvironments", shown, params.max_results, params.next_token.as_deref())
}

fn shown(environment: &Environment, scaling: &AutoScaling, now: Timestamp) -> Value {
    let mut json = json!({
        "computeEnvironmentName": environment.name,
        "computeEnvironmentArn": environment.arn,
        "ecsClusterArn": environment.cluster,
        "tags": environment.tags,
        "type": environment.kind,
        "state": environment.state,
        "status": environment.changing.status(now),
        "statusReason": "ComputeEnvironment Healthy",
        "containerOrchestrationType": "ECS",
    });
    if let Some(role) = &environment.service_role {
        json["serviceRole"] = json!(role);
    }
    if let Some(resources) = &environment.resources {
        let mut compute = json!({
            "type": resources.kind,
            "maxvCpus": resources.max,
            "subnets": resources.subnets,
            "securityGroupIds": resources.groups,
        });
        if resources.is_on_ec2() {
            let machines = scaling.groups.get(&resources.scaling_group).map_or(0, |group| group.desired);
            compute["minvCpus"] = json!(resources.min);
            compute["desiredvCpus"] = json!(machines * resources.vcpus_of_one());
            compute["instanceTypes"] = json!(resources.instance_types);
            compute["instanceRole"] = json!(resources.instance_role);
        }
        json["computeResources"] = compute;
    }
    json
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Update {
    compute_environment: String,
    state: Option<String>,
    compute_resources: Option<UpdateCompute>,
    service_role: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct UpdateCompute {
    #[serde(rename = "minvCpus")]
    min: Option<u32>,
    #[serde(rename = "maxvCpus")]
    max: Option<u32>,
}

/// UpdateComputeEnvironment.
pub(super) fn update(batch: &mut Batch, call: &Call) -> Result<Value, Refusal> {
    let params: Update = read(call)?;
    let environment = named(batch, &params.compute_environment)?;
    environment.changing.check(call.now)?;
    if let Some(UpdateCompute { min, max }) = params.compute_resources {
        let resources = environment.resources.as_mut();
        let resources = resources.ok_or_else(|| refuse("An UNMANAGED compute environment has no computeResources"))?;
        if min.is_some() && !resources.is_on_ec2() {
            return Err(refuse("minvCpus is not applicable to jobs running on Fargate resources"));
        }
        let (min, max) = (min.unwrap_or(resources.min), max.unwrap_or(resources.max));
        if min > max || max == 0 {
            return Err(refuse("minvCpus must not be greater than maxvCpus, and maxvCpus not 0"));
        }
        (resources.min, resources.max) = (min, max);
    }
    if let Some(state) = params.state {
        check_state(&state)?;
        environment.state = state;
    }
    environment.service_role = params.service_role.or(environment.service_role.take());
    environment.changing = Changing::begun("UPDATING", call.now);
    Ok(json!({ "computeEnvironmentName": environment.name, "computeEnvironmentArn": environment.arn }))
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Delete {
    compute_environment: String,
}

/// DeleteComputeEnvironment: it must be disabled, and no queue may name it.
pub(super) fn delete(
    batch: &mut Batch,
    scaling: &mut AutoScaling,
    ec2: &mut Ec2,
    call: &Call,
) -> Result<Value, Refusal> {
    let params: Delete = read(call)?;
    let named = name(&params.compute_environment).to_owned();
    if batch.queues.values().any(|queue| queue.order.iter().any(|(_, environment)| *environment == named)) {
        return Err(refuse("Cannot delete, found existing JobQueue relationship"));
    }
    let environment = self::named(batch, &named)?;
    environment.changing.check(call.now)?;
    if environment.state != "DISABLED" {
        return Err(refuse("Cannot delete, environment must be DISABLED"));
    }
    let group = environment.resources.as_ref().map(|resources| resources.scaling_group.clone());
    if let Some(group) = group.and_then(|group| scaling.groups.remove(&group)) {
        for id in group.members.keys() {
            ec2.terminate_instance(id, call.now, "Client.UserInitiatedShutdown", "User initiated shutdown");
        }
        ec2.launch_templates.retain(|id, _| group.template.launch_template_id.as_ref() != Some(id));
    }
    batch.environments.remove(&named);
    Ok(json!({}))
}
