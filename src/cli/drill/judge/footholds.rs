//! What is left to an intruder in the accounts that it broke into: what launches machines, and the machines that run.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{ROGUE, runs};
use crate::model::AccountId;
use crate::sim::scenario;

/// Every launcher that goes on and the number of machines that run, by account and region.
pub fn left(truth: &scenario::Facts, after: &Value) -> Vec<String> {
    let companys: BTreeSet<&str> = truth
        .machines
        .iter()
        .filter(|(group, _)| *group != ROGUE)
        .flat_map(|(_, machines)| machines)
        .map(|machine| machine.id.as_str())
        .collect();
    let breached = truth.machines.get(ROGUE).into_iter().flatten().map(|machine| &machine.account);
    let breached: BTreeSet<&AccountId> = breached.chain([&truth.breached_account]).collect();
    let mut left = Vec::new();
    for account in breached {
        for (region, state) in after["accounts"][account.as_str()]["regions"].as_object().into_iter().flatten() {
            left.extend(launchers(state).map(|launcher| format!("{launcher} in {region} of {account}")));
            let of_intruder = |id: &str, it: &Value| runs(it) && !companys.contains(id) && !is_cut_off(state, id);
            let running = items(&state["ec2"]["instances"]).filter(|(id, it)| of_intruder(id, it));
            match running.count() {
                0 => {}
                1 => left.push(format!("1 machine runs and is not cut off in {region} of {account}")),
                count => left.push(format!("{count} machines run and are not cut off in {region} of {account}")),
            }
        }
    }
    left
}

/// Whether a machine has no security group with any rule.
fn is_cut_off(state: &Value, instance: &str) -> bool {
    let interfaces = items(&state["ec2"]["network_interfaces"]);
    let of_it = interfaces.filter(|(_, interface)| interface["attachment"]["instance_id"] == instance);
    let mut groups = of_it.flat_map(|(_, interface)| interface["groups"].as_array().into_iter().flatten());
    groups.all(|group| {
        let rules = &state["ec2"]["security_groups"][group.as_str().unwrap_or_default()]["rules"];
        rules.as_array().is_some_and(Vec::is_empty)
    })
}

fn items(kind: &Value) -> impl Iterator<Item = (&String, &Value)> {
    kind.as_object().into_iter().flatten()
}

/// What launches machines in a region by itself.
fn launchers(state: &Value) -> impl Iterator<Item = String> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let groups = items(&state["autoscaling"]["groups"]).filter(|(_, group)| {
        let suspended = group["suspended"].as_array().into_iter().flatten().any(|process| process == "Launch");
        !suspended && group["desired"].as_u64() > Some(0)
    });
    let fleets = items(&state["ec2"]["fleets"]).filter(|(_, fleet)| {
        fleet["state"] == "active" && fleet["kind"] == "maintain" && fleet["total"].as_u64() > Some(0)
    });
    let requests = items(&state["ec2"]["spot_requests"]).filter(|(_, request)| {
        request["state"] == "open" || (request["state"] == "active" && request["spot_type"] == "persistent")
    });
    let clusters = || items(&state["ecs"]["clusters"]);
    let services = clusters().flat_map(|(cluster, it)| items(&it["services"]).map(move |of_it| (cluster, of_it)));
    let services = services.filter(|(_, (_, it))| it["status"] == "ACTIVE" && it["desired"].as_u64() != Some(0));
    let tasks = clusters().flat_map(|(cluster, it)| items(&it["tasks"]).map(move |of_it| (cluster, of_it)));
    let alone = tasks.filter(|(_, (_, it))| it["service"].is_null() && it["ending"].is_null());
    let functions = items(&state["lambda"]["functions"]).filter(|(_, it)| it["reserved"].as_u64() != Some(0));
    let training = items(&state["sagemaker"]["workloads"]);
    let training = training.filter(|(_, it)| it["ending"].is_null() && it["parent"].is_null());
    let found: BTreeSet<String> = groups
        .map(|(name, _)| format!("Auto Scaling group {name}"))
        .chain(fleets.map(|(id, fleet)| format!("{} {id}", text(&fleet["dialect"]))))
        .chain(requests.map(|(id, _)| format!("Spot request {id}")))
        .chain(services.map(|(cluster, (name, _))| format!("ECS service {cluster}/{name}")))
        .chain(alone.map(|(cluster, _)| format!("ECS tasks of cluster {cluster}")))
        .chain(functions.map(|(name, _)| format!("Lambda function {name}")))
        .chain(training.map(|(id, _)| format!("SageMaker AI {id}")))
        .collect();
    found.into_iter()
}
