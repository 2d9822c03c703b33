//! Amazon EMR: clusters, which replace the machines that they lose.
//!
//! A cluster is `STARTING`, then `RUNNING` while it has steps (there is no program behind them that could end by itself) or
//! `WAITING`. Its core and task groups launch again what ends or is stopped; without its master it ends, with errors.
//!
//! For scenarios: call RunJobFlow, or fill [`Emr`].

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::call::{Body, Call, Permission, Refusal, Reply};
use super::ec2;
use super::wire::params::Params;
use super::world::World;
use cluster::{Cluster, Group, State};

pub mod cluster;

/// How many clusters one page shows.
const PAGE: usize = 50;
/// How many clusters TerminateJobFlows takes.
const AT_ONCE: usize = 10;

/// What an account has in one region.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Emr {
    /// Clusters, by id. Those that have ended stay.
    pub clusters: BTreeMap<String, Cluster>,
}

impl Emr {
    /// Lets time do its work.
    pub fn settle(&mut self, ec2: &mut ec2::Ec2, now: Timestamp) {
        self.clusters.values_mut().for_each(|cluster| cluster.settle(ec2, now));
    }
}

/// What the call needs to be allowed. ("Actions, resources, and condition keys for Amazon EMR".)
pub fn permissions(world: &World, call: &Call) -> Result<Vec<Permission>, Refusal> {
    let Params::Json(params) = &call.params else { return Err(call.unknown()) };
    let emr = &world.region(&call.account, &call.region).emr;
    let action = format!("elasticmapreduce:{}", call.operation);
    let on = |id: &str| {
        let permission = Permission::new(&action, arn(call, id));
        let tags = emr.clusters.get(id).into_iter().flat_map(|cluster| &cluster.tags);
        tags.fold(permission, |permission, (key, value)| {
            permission
                .with(format!("aws:ResourceTag/{key}"), value)
                .with(format!("elasticmapreduce:ResourceTag/{key}"), value)
        })
    };
    match call.operation.as_str() {
        "ListClusters" => Ok(vec![Permission::new(action, "*")]),
        "RunJobFlow" => {
            let roles = [
                (&params["ServiceRole"], "elasticmapreduce.amazonaws.com"),
                (&params["JobFlowRole"], "ec2.amazonaws.com"),
            ];
            let given = roles.into_iter().filter_map(|(role, service)| Some((role.as_str()?, service)));
            let passed = given.map(|(role, service)| {
                let name = role.rsplit('/').next().unwrap_or_default();
                let role = format!("arn:aws:iam::{}:role/{name}", call.account);
                Permission::new("iam:PassRole", role).with("iam:PassedToService", service)
            });
            let tagged = params["Tags"].as_array().filter(|tags| !tags.is_empty()).map(|tags| {
                let tagging = Permission::new("elasticmapreduce:AddTags", arn(call, "*"));
                tags.iter().fold(tagging, |permission, tag| {
                    let value = tag["Value"].as_str().unwrap_or_default();
                    permission.with(format!("aws:RequestTag/{}", tag["Key"].as_str().unwrap_or_default()), value)
                })
            });
            Ok([Permission::new(&action, "*")].into_iter().chain(passed).chain(tagged).collect())
        }
        "DescribeCluster" | "ListInstanceGroups" => Ok(vec![on(params["ClusterId"].as_str().unwrap_or_default())]),
        "SetTerminationProtection" | "TerminateJobFlows" => {
            let ids = params["JobFlowIds"].as_array().into_iter().flatten();
            Ok(ids.filter_map(Value::as_str).map(on).collect())
        }
        _ => Err(call.unknown()),
    }
}

/// Carries the call out.
pub fn handle(world: &mut World, call: &Call) -> Reply {
    ec2::prepare(world, call);
    let id = format!("j-{}", world.rng.text(b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ", 13));
    let state = world.region_mut(&call.account, &call.region);
    let (emr, ec2) = (&mut state.emr, &mut state.ec2);
    let json = match call.operation.as_str() {
        "RunJobFlow" => run(emr, ec2, call, id),
        "ListClusters" => list(emr, call),
        "DescribeCluster" => describe(emr, call),
        "ListInstanceGroups" => groups(emr, call),
        "SetTerminationProtection" => protect(emr, ec2, call),
        "TerminateJobFlows" => terminate(emr, call),
        _ => Err(call.unknown()),
    }?;
    state.emr.settle(&mut state.ec2, call.now);
    Ok(Body::Json(json))
}

fn arn(call: &Call, id: &str) -> String {
    format!("arn:aws:elasticmapreduce:{}:{}:cluster/{id}", call.region, call.account)
}

fn invalid(message: impl Into<String>) -> Refusal {
    Refusal::new(400, "ValidationException", message)
}

fn read<T: DeserializeOwned>(call: &Call) -> Result<T, Refusal> {
    call.params.read().map_err(|refusal| invalid(refusal.message))
}

fn named<'a>(emr: &'a mut Emr, id: &str) -> Result<&'a mut Cluster, Refusal> {
    let unknown = || Refusal::new(400, "InvalidRequestException", format!("Cluster id '{id}' is not valid."));
    emr.clusters.get_mut(id).ok_or_else(unknown)
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Run {
    name: String,
    log_uri: Option<String>,
    release_label: String,
    instances: Instances,
    #[serde(default)]
    steps: Vec<Value>,
    #[serde(rename = "Applications")]
    _applications: Option<Value>,
    service_role: String,
    job_flow_role: String,
    #[serde(rename = "VisibleToAllUsers")]
    _visible_to_all_users: Option<bool>,
    #[serde(default)]
    tags: Vec<Tag>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Instances {
    instance_groups: Vec<GroupOf>,
    #[serde(default)]
    keep_job_flow_alive_when_no_steps: bool,
    #[serde(default)]
    termination_protected: bool,
    #[serde(rename = "Ec2SubnetId")]
    subnet: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct GroupOf {
    #[serde(rename = "Name")]
    _name: Option<String>,
    #[serde(rename = "Market")]
    _market: Option<String>,
    instance_role: String,
    instance_type: String,
    instance_count: u32,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Tag {
    key: String,
    #[serde(default)]
    value: String,
}

/// RunJobFlow. A cluster that is not kept alive and has no steps would end at once: that is refused here.
fn run(emr: &mut Emr, ec2: &ec2::Ec2, call: &Call, id: String) -> Result<Value, Refusal> {
    let params: Run = read(call)?;
    let instances = params.instances;
    if let Some(unknown) = instances.subnet.as_ref().filter(|id| !ec2.subnets.contains_key(*id)) {
        return Err(invalid(format!("The subnet {unknown} was not found.")));
    }
    let masters = instances.instance_groups.iter().filter(|group| group.instance_role == "MASTER");
    if masters.map(|group| group.instance_count).sum::<u32>() != 1 {
        return Err(invalid("A cluster has one MASTER instance"));
    }
    if !instances.keep_job_flow_alive_when_no_steps && params.steps.is_empty() {
        return Err(invalid("A cluster that is not kept alive needs steps"));
    }
    let groups = instances.instance_groups.into_iter().enumerate().map(|(nth, group)| Group {
        id: format!("ig-{}{nth}", &id[2..]),
        role: group.instance_role,
        instance_type: group.instance_type,
        count: group.instance_count,
        machines: Vec::new(),
    });
    let cluster = Cluster {
        arn: arn(call, &id),
        id: id.clone(),
        name: params.name,
        created: call.now,
        state: State::starting(call.now),
        steps: params.steps.len(),
        protected: instances.termination_protected,
        groups: groups.collect(),
        subnet: instances.subnet,
        log_uri: params.log_uri,
        release: params.release_label,
        service_role: params.service_role,
        profile: params.job_flow_role,
        tags: params.tags.into_iter().map(|tag| (tag.key, tag.value)).collect(),
    };
    let answer = json!({ "JobFlowId": id, "ClusterArn": cluster.arn });
    emr.clusters.insert(id, cluster);
    Ok(answer)
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct List {
    created_after: Option<f64>,
    created_before: Option<f64>,
    #[serde(default)]
    cluster_states: Vec<String>,
    marker: Option<String>,
}

/// ListClusters.
fn list(emr: &Emr, call: &Call) -> Result<Value, Refusal> {
    let List { created_after, created_before, cluster_states, marker } = read(call)?;
    let marker = marker.unwrap_or_default();
    let mut rest = emr.clusters.values().filter(|cluster| {
        let created = cluster.created.as_duration().as_secs_f64();
        cluster.id > marker
            && (cluster_states.is_empty() || cluster_states.iter().any(|state| state == cluster.shown_state()))
            && created_after.is_none_or(|after| created > after)
            && created_before.is_none_or(|before| created < before)
    });
    let page: Vec<&Cluster> = rest.by_ref().take(PAGE).collect();
    let shown = page.iter().map(|cluster| {
        json!({
            "Id": cluster.id,
            "Name": cluster.name,
            "Status": cluster.status(),
            "NormalizedInstanceHours": 0,
            "ClusterArn": cluster.arn,
        })
    });
    let mut answer = json!({ "Clusters": shown.collect::<Vec<_>>() });
    if rest.next().is_some() {
        answer["Marker"] = json!(page.last().map(|cluster| &cluster.id));
    }
    Ok(answer)
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct One {
    cluster_id: String,
}

/// DescribeCluster.
fn describe(emr: &mut Emr, call: &Call) -> Result<Value, Refusal> {
    let One { cluster_id } = read(call)?;
    Ok(json!({ "Cluster": named(emr, &cluster_id)?.shown() }))
}

/// ListInstanceGroups.
fn groups(emr: &mut Emr, call: &Call) -> Result<Value, Refusal> {
    let One { cluster_id } = read(call)?;
    let groups = named(emr, &cluster_id)?.groups.iter().map(|group| {
        json!({
            "Id": group.id,
            "Market": "ON_DEMAND",
            "InstanceGroupType": group.role,
            "InstanceType": group.instance_type,
            "RequestedInstanceCount": group.count,
            "RunningInstanceCount": group.machines.len(),
        })
    });
    Ok(json!({ "InstanceGroups": groups.collect::<Vec<_>>() }))
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Protect {
    job_flow_ids: Vec<String>,
    termination_protected: bool,
}

/// SetTerminationProtection: of the cluster, and of its machines in EC2.
fn protect(emr: &mut Emr, ec2: &mut ec2::Ec2, call: &Call) -> Result<Value, Refusal> {
    let Protect { job_flow_ids, termination_protected } = read(call)?;
    for id in job_flow_ids {
        let cluster = named(emr, &id)?;
        if cluster.has_ended() {
            return Err(invalid(format!("The cluster {id} has ended")));
        }
        cluster.protected = termination_protected;
        for machine in cluster.groups.iter().flat_map(|group| &group.machines) {
            if let Some(instance) = ec2.instances.get_mut(machine) {
                instance.disable_api_termination = termination_protected;
            }
        }
    }
    Ok(json!({}))
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Terminate {
    job_flow_ids: Vec<String>,
}

/// TerminateJobFlows: those that are protected make the call fail; the others end all the same.
fn terminate(emr: &mut Emr, call: &Call) -> Result<Value, Refusal> {
    let Terminate { job_flow_ids } = read(call)?;
    if job_flow_ids.len() > AT_ONCE {
        return Err(invalid(format!("At most {AT_ONCE} clusters are terminated at once")));
    }
    for id in &job_flow_ids {
        named(emr, id)?;
    }
    let mut protected = false;
    for id in &job_flow_ids {
        let cluster = named(emr, id)?;
        protected |= cluster.protected && !cluster.has_ended();
        if !cluster.protected {
            cluster.terminate(call.now, "USER_REQUEST");
        }
    }
    if protected {
        Err(invalid("Could not shut down one or more job flows since they are termination protected."))
    } else {
        Ok(json!({}))
    }
}
