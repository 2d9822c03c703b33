//! What somebody changed between plan and run is left alone, and named.

use std::process::Command;

use quell::model::Region;
use quell::sim::ec2::instances::Instance;
use serde_json::Value;

use crate::binary::{code, json};
use crate::site::{Hosted, stderr};

const MARK: &str = r#"quell: 1
name: mark
title: Protect and tag one region's machines
targets: { accounts: ["430987654321"], role: ir/IRResponder, regions: [eu-central-1] }
sets: { all: { from: ec2.instances } }
steps:
  - { id: protect, uses: ec2.protect, on: all }
  - { id: mark, uses: ec2.tag, on: all, with: { tags: { "ir:state": seen } } }
"#;

fn quell(hosted: &Hosted, arguments: &[&str]) -> Command {
    let mut command = hosted.quell(arguments);
    command.args(["--trust-endpoint", "--output", "json"]);
    command
}

/// Changes a machine behind quell's back.
fn meddle(hosted: &Hosted, id: &str, change: impl FnOnce(&mut Instance)) {
    let region = Region::new("eu-central-1").unwrap();
    hosted.sim.change(|world| {
        change(world.region_mut(&hosted.facts.breached_account, &region).ec2.instances.get_mut(id).unwrap());
    });
}

fn instance(hosted: &Hosted, id: &str) -> Instance {
    let region = Region::new("eu-central-1").unwrap();
    hosted.sim.world().region(&hosted.facts.breached_account, &region).ec2.instances[id].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_changed_after_the_plan_is_neither_overwritten_nor_rolled_back_to_the_plan() {
    let hosted = Hosted::open().await;
    hosted.catch_up();
    std::fs::write(hosted.folder.path().join("mark.yaml"), MARK).unwrap();
    let planned = quell(&hosted, &["plan", "mark.yaml", "-o", "plan.json"]).output().unwrap();
    assert_eq!(code(&planned), 0, "{}", stderr(&planned));

    let machines: Vec<&str> = hosted.facts.machines["rogue"][..2].iter().map(|machine| machine.id.as_str()).collect();
    let (tagged, protected) = (machines[0], machines[1]);
    meddle(&hosted, tagged, |instance| drop(instance.tags.insert("ir:state".into(), "being looked at".into())));
    meddle(&hosted, protected, |instance| instance.disable_api_termination = true);
    let before = hosted.world();

    let approved = ["run", "--plan", "plan.json", "--approve", "reversible"];
    let ran = quell(&hosted, &approved).output().unwrap();
    assert_eq!(code(&ran), 3, "{}", stderr(&ran));
    let summary = json(&ran);
    assert_eq!(summary["changes"]["drifted"], 2, "{summary}");
    assert_eq!(instance(&hosted, tagged).tags["ir:state"], "being looked at");
    let others = summary["changes"]["planned"].as_u64().unwrap() - 2;
    assert_eq!(summary["changes"]["done"], others, "the rest goes on");

    let run = summary["run"].as_str().unwrap();
    let back = quell(&hosted, &["rollback", run, "--approve", "reversible"]).output().unwrap();
    assert_eq!(code(&back), 0, "{}", stderr(&back));
    let differences = crate::binary::differences(&before, &hosted.world());
    let of_machines: Vec<&(String, Value, Value)> =
        differences.iter().filter(|(path, ..)| path.contains("/instances/")).collect();
    assert!(of_machines.is_empty(), "{of_machines:#?}");
}
