//! What a drill was worth, read from the simulated world before and after.
//!
//! It looks at the world as the JSON that `GET /_sim/world` answers: the same that anybody outside can check.

mod footholds;

use jiff::Timestamp;
use serde_json::Value;

use crate::model::{Platform, Span};
use crate::report::drill::{Facts, Machine, Owner};
use crate::sim::costs::explorer;
use crate::sim::scenario;
use crate::sim::world::World;

/// The groups of machines that are the intruder's.
const ROGUE: &str = "rogue";

/// What became of the machines and keys.
pub fn facts(truth: &scenario::Facts, before: &Value, after: &Value, latency: Span) -> Facts {
    let machines = truth.machines.iter().flat_map(|(group, machines)| {
        let owner = if group == ROGUE { Owner::Intruder } else { Owner::Company };
        machines.iter().map(move |machine| judged(machine, owner, before, after))
    });
    Facts {
        machines: machines.collect(),
        keys: keys(truth, after),
        other_touched: 0,
        charged: 0.0,
        latency: latency.std().as_secs_f64(),
        longest_chain: None,
        intruder: None,
        footholds: footholds::left(truth, after),
    }
}

/// What the intruder's machines have cost by a time, as the simulated AWS charges it.
pub fn charged(truth: &scenario::Facts, world: &World, until: Timestamp) -> f64 {
    explorer::spent(world, truth.machines.get(ROGUE).map_or(&[][..], Vec::as_slice), until)
}

fn judged(machine: &scenario::Machine, owner: Owner, before: &Value, after: &Value) -> Machine {
    let region_before = &before["accounts"][machine.account.as_str()]["regions"][machine.region.as_str()]["ec2"];
    let region_after = &after["accounts"][machine.account.as_str()]["regions"][machine.region.as_str()]["ec2"];
    let (was, is) = (&region_before["instances"][&machine.id], &region_after["instances"][&machine.id]);
    let windows = was["platform"].as_str().is_some_and(|platform| platform.eq_ignore_ascii_case("windows"));
    Machine {
        id: machine.id.clone(),
        region: machine.region.clone(),
        instance_type: was["instance_type"].as_str().unwrap_or("unknown").to_owned(),
        platform: if windows { Platform::Windows } else { Platform::Linux },
        owner,
        ran_before: runs(was),
        runs_after: runs(is),
        changed: belongings(region_before, &machine.id) != belongings(region_after, &machine.id),
    }
}

fn runs(instance: &Value) -> bool {
    matches!(instance["state"]["name"].as_str(), Some("running" | "pending"))
}

/// Everything in the region that names the machine: itself, its volumes, its network interfaces, snapshots of it.
fn belongings<'a>(region: &'a Value, id: &str) -> Vec<(&'a str, &'a Value)> {
    let kinds = region.as_object().into_iter().flatten();
    let items = kinds.filter_map(|(_, items)| items.as_object()).flatten();
    items.filter(|(_, item)| names(item, id)).map(|(name, item)| (name.as_str(), item)).collect()
}

fn names(item: &Value, id: &str) -> bool {
    match item {
        Value::String(text) => text == id,
        Value::Array(items) => items.iter().any(|item| names(item, id)),
        Value::Object(fields) => fields.values().any(|field| names(field, id)),
        _ => false,
    }
}

/// The keys of the user that was taken over: how many there are, and how many cannot be used.
fn keys(truth: &scenario::Facts, after: &Value) -> (usize, usize) {
    let keys = &after["accounts"][truth.breached_account.as_str()]["iam"]["access_keys"];
    let keys = keys.as_object().into_iter().flatten().map(|(_, key)| key);
    let theirs: Vec<&Value> = keys.filter(|key| key["user"] == truth.compromised_user.as_str()).collect();
    let inactive =
        theirs.iter().filter(|key| key["status"].as_str().is_some_and(|s| s.eq_ignore_ascii_case("inactive")));
    (theirs.len(), inactive.count())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn belongings_are_all_that_names_the_machine() {
        let region = json!({
            "instances": { "i-1": { "id": "i-1" }, "i-2": { "id": "i-2" } },
            "volumes": { "vol-1": { "attachments": [{ "instance": "i-1" }] }, "vol-2": {} },
            "quota": 3,
        });
        let names: Vec<_> = belongings(&region, "i-1").into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["i-1", "vol-1"]);
    }
}
