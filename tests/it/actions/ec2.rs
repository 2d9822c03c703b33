//! Machines, their volumes, their network and what launches them.

use aws_sdk_ec2::types::{InstanceMarketOptionsRequest, MarketType, SpotInstanceType, SpotMarketOptions};
use quell::engine::action::Item;
use quell::engine::ports::Access;
use quell::model::{ErrorKind, RunOutcome, Target, Verdict};
use quell::sim::ec2::Ec2;
use serde_json::{Value, json};

use super::autoscaling::miners;
use super::drive::Drive;
use super::lab::Lab;
use super::stage::{Scene, Stage};

/// The intruder's machines of the scenario.
pub const ROGUE: &str = "{ from: ec2.instances, where: '!tags.exists(k, k == \"owner\")' }";
/// Those that were launched as Spot.
const SPOT: &str = "{ from: ec2.instances, where: lifecycle == \"spot\" }";

/// An account to which evidence is handed.
const FORENSICS: &str = "999900001111";

pub const STAGES: &[Stage] = &[
    Stage { action: "ec2.protect", on: "machines", set_up: |lab| Box::pin(machines(lab, json!({}))) },
    Stage { action: "ec2.protect", on: "a Spot machine", set_up: |lab| Box::pin(spot_machine(lab)) },
    Stage { action: "ec2.tag", on: "machines", set_up: |lab| Box::pin(machines(lab, json!({}))) },
    Stage { action: "ec2.suspend-launchers", on: "the machines of a group", set_up: |lab| Box::pin(of_group(lab)) },
    Stage { action: "ec2.snapshot-volumes", on: "machines", set_up: |lab| Box::pin(machines(lab, json!({}))) },
    Stage { action: "ec2.copy-snapshots", on: "saved machines", set_up: |lab| Box::pin(copied(lab)) },
    Stage { action: "ec2.lock-snapshots", on: "saved machines", set_up: |lab| Box::pin(saved(lab)) },
    Stage { action: "ec2.share-snapshots", on: "saved machines", set_up: |lab| Box::pin(shared(lab)) },
    Stage { action: "ec2.hibernate-instances", on: "machines", set_up: |lab| Box::pin(sleepers(lab)) },
    Stage { action: "ec2.isolate", on: "machines", set_up: |lab| Box::pin(machines(lab, json!({}))) },
    Stage {
        action: "ec2.isolate",
        on: "machines and their connections",
        set_up: |lab| Box::pin(machines(lab, json!({ "connections": "cut" }))),
    },
    Stage { action: "ec2.detach-profile", on: "a machine", set_up: |lab| Box::pin(with_profile(lab)) },
    Stage { action: "ec2.stop-instances", on: "machines", set_up: |lab| Box::pin(machines(lab, json!({}))) },
    Stage { action: "ec2.stop-instances", on: "a Spot machine", set_up: |lab| Box::pin(spot_machine(lab)) },
    Stage { action: "ec2.cancel-spot-requests", on: "a one-time request", set_up: |lab| Box::pin(one_time(lab)) },
    Stage { action: "ec2.cancel-spot-requests", on: "a stopped machine", set_up: |lab| Box::pin(stopped_spot(lab)) },
    Stage { action: "ec2.disable-imds", on: "machines", set_up: |lab| Box::pin(machines(lab, json!({}))) },
    Stage { action: "ec2.terminate-instances", on: "saved machines", set_up: |lab| Box::pin(saved(lab)) },
    Stage {
        action: "ec2.terminate-instances",
        on: "machines",
        set_up: |lab| Box::pin(machines(lab, json!({ "evidence": "waived" }))),
    },
];

/// Two of the intruder's machines: enough for a batch.
async fn machines(lab: &Lab, with: Value) -> Scene {
    let (_, rogue) = lab.rogue().await;
    let ids: Vec<&str> = rogue.iter().take(2).map(|machine| machine.id.as_str()).collect();
    Scene::in_region(lab, format!("{{ from: ec2.instances, where: 'id in {ids:?}' }}")).with(with)
}

/// Machines whose evidence is complete.
async fn saved(lab: &Lab) -> Scene {
    let (target, rogue) = lab.rogue().await;
    let evidence = Drive::new(lab, "ec2.snapshot-volumes", json!({}), &target, &rogue);
    evidence.apply(&evidence.items().await).await;
    machines(lab, json!({})).await
}

async fn copied(lab: &Lab) -> Scene {
    saved(lab).await.with(json!({ "key": "alias/forensics" }))
}

async fn shared(lab: &Lab) -> Scene {
    saved(lab).await.with(json!({ "accounts": [FORENSICS] }))
}

/// Machines that can hibernate.
async fn sleepers(lab: &Lab) -> Scene {
    let scene = machines(lab, json!({})).await;
    of_region(lab, &lab.region(), |ec2| ec2.instances.values_mut().for_each(|machine| machine.hibernation = true));
    scene
}

/// Changes what there is in a region, behind everybody's back.
fn of_region(lab: &Lab, target: &Target, change: impl FnOnce(&mut Ec2)) {
    lab.sim.change(|world| {
        change(&mut world.accounts.get_mut(&target.account).unwrap().regions.get_mut(&target.region).unwrap().ec2);
    });
}

async fn of_group(lab: &Lab) -> Scene {
    miners(lab, &lab.region()).await;
    Scene::in_region(lab, "{ from: ec2.instances, where: autoscaling_group == \"miners\" }")
}

async fn with_profile(lab: &Lab) -> Scene {
    let (target, rogue) = lab.rogue().await;
    attach_profile(lab, &target, rogue[0].id.as_str()).await;
    Scene::in_region(lab, format!("{{ from: ec2.instances, where: id == \"{}\" }}", rogue[0].id))
}

async fn spot_machine(lab: &Lab) -> Scene {
    spot(lab, &lab.region(), SpotInstanceType::Persistent).await;
    Scene::in_region(lab, SPOT)
}

async fn one_time(lab: &Lab) -> Scene {
    spot(lab, &lab.region(), SpotInstanceType::OneTime).await;
    Scene::in_region(lab, "{ from: ec2.spot-requests }")
}

async fn stopped_spot(lab: &Lab) -> Scene {
    let id = spot(lab, &lab.region(), SpotInstanceType::Persistent).await;
    let ec2 = aws_sdk_ec2::Client::new(&lab.enter(&lab.region(), Access::Write).await.sdk);
    ec2.stop_instances().instance_ids(id).send().await.unwrap();
    tokio::time::sleep(std::time::Duration::from_mins(2)).await;
    Scene::in_region(lab, SPOT)
}

/// Gives a machine an instance profile.
async fn attach_profile(lab: &Lab, target: &Target, machine: &str) {
    let iam = aws_sdk_iam::Client::new(&lab.enter(&lab.global(), Access::Write).await.sdk);
    let made = iam.create_instance_profile().instance_profile_name("miner").send().await.unwrap();
    let profile = aws_sdk_ec2::types::IamInstanceProfileSpecification::builder();
    let profile = profile.arn(made.instance_profile().unwrap().arn()).build();
    let ec2 = aws_sdk_ec2::Client::new(&lab.enter(target, Access::Write).await.sdk);
    let attach = ec2.associate_iam_instance_profile().instance_id(machine);
    attach.iam_instance_profile(profile).send().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn machines_are_protected_tagged_isolated_and_stopped_and_all_of_it_goes_back() {
    let lab = Lab::new().await;
    let (target, rogue) = lab.rogue().await;
    for action in ["ec2.protect", "ec2.tag", "ec2.isolate", "ec2.stop-instances"] {
        let drive = Drive::new(&lab, action, json!({}), &target, &rogue);
        drive.there_and_back().await;
        drive.back_without_effects().await;
    }
    let isolate = Drive::new(&lab, "ec2.isolate", json!({}), &target, &rogue);
    assert!(isolate.look().await.iter().all(|found| found.prior["isolation"] == json!({})), "no group is left behind");
}

#[tokio::test(start_paused = true)]
async fn an_isolation_group_that_somebody_deletes_is_made_anew() {
    let lab = Lab::new().await;
    let (target, rogue) = lab.rogue().await;
    let drive = Drive::new(&lab, "ec2.isolate", json!({}), &target, &rogue);
    let items = drive.items().await;
    drive.apply(&items).await;
    lab.sim.change(|world| {
        let ec2 = &mut world.accounts.get_mut(&target.account).unwrap().regions.get_mut(&target.region).unwrap().ec2;
        let ours = |name: &str| name.starts_with("quell-isolation-");
        for interface in ec2.network_interfaces.values_mut() {
            let other =
                ec2.security_groups.values().find(|group| group.vpc_id == interface.vpc_id && !ours(&group.name));
            interface.groups = vec![other.unwrap().id.clone()];
        }
        ec2.security_groups.retain(|_, group| !ours(&group.name));
    });
    drive.apply(&items).await;
    drive.assert_proven(&items).await;
}

#[tokio::test(start_paused = true)]
async fn a_profile_goes_and_comes_back() {
    let lab = Lab::new().await;
    let (target, rogue) = lab.rogue().await;
    attach_profile(&lab, &target, rogue[0].id.as_str()).await;
    let drive = Drive::new(&lab, "ec2.detach-profile", json!({}), &target, &rogue);
    drive.there_and_back().await;
    drive.back_without_effects().await;
}

#[tokio::test(start_paused = true)]
async fn every_volume_gets_one_snapshot_however_often_it_is_asked_for() {
    let lab = Lab::new().await;
    let (target, rogue) = lab.rogue().await;
    let drive = Drive::new(&lab, "ec2.snapshot-volumes", json!({}), &target, &rogue);
    let items = drive.items().await;
    let effects = drive.apply(&items).await;
    drive.assert_proven(&items).await;
    assert_eq!(drive.items().await, [], "nothing is left to do");
    for (item, effect) in items.iter().zip(&effects) {
        let volumes = item.prior["volumes"].as_array().unwrap().len();
        assert_eq!(effect["snapshots"].as_array().unwrap().len(), volumes);
    }
    drive.undo(&items, &effects).await;
    drive.assert_proven(&items).await;
}

#[tokio::test(start_paused = true)]
async fn a_machine_that_somebody_terminates_leaves_its_volumes_as_evidence() {
    let lab = Lab::new().await;
    let (target, mut rogue) = lab.rogue().await;
    rogue.truncate(1);
    let protect = Drive::new(&lab, "ec2.protect", json!({}), &target, &rogue);
    protect.apply(&protect.items().await).await;
    let evidence = Drive::new(&lab, "ec2.snapshot-volumes", json!({}), &target, &rogue);
    let approved = evidence.items().await;

    // Whoever lifts the protection of the machine does not think of its volumes.
    let cx = lab.enter(&target, Access::Write).await;
    let (ec2, id) = (aws_sdk_ec2::Client::new(&cx.sdk), rogue[0].id.as_str());
    let unprotected = aws_sdk_ec2::types::AttributeBooleanValue::builder().value(false).build();
    let request = ec2.modify_instance_attribute().instance_id(id).disable_api_termination(unprotected);
    request.send().await.unwrap();
    ec2.terminate_instances().instance_ids(id).send().await.unwrap();
    tokio::time::sleep(std::time::Duration::from_mins(2)).await;

    let now = evidence.action.look_again(&cx, &evidence.with, &rogue, &approved).await.unwrap();
    assert_eq!(now[0].prior["state"], "terminated");
    assert_eq!(now[0].prior["volumes"], approved[0].prior["volumes"]);
    assert_eq!(evidence.action.drift(&approved[0].prior, &now[0].prior).unwrap(), None);
    let effects = evidence.apply(&[Item { prior: now[0].prior.clone(), ..approved[0].clone() }]).await;
    let volumes = approved[0].prior["volumes"].as_array().unwrap().len();
    assert_eq!(effects[0]["snapshots"].as_array().unwrap().len(), volumes);
}

#[tokio::test(start_paused = true)]
async fn volumes_and_key_pairs_are_listed() {
    let lab = Lab::new().await;
    let (target, rogue) = lab.rogue().await;
    let volumes = lab.list("ec2.volumes", json!({}), &target).await;
    let of_rogue = volumes.iter().filter(|volume| volume.fields["instance"] == rogue[0].id.as_str());
    assert!(of_rogue.count() >= 1);
    lab.list("ec2.key-pairs", json!({}), &target).await;
}

#[tokio::test(start_paused = true)]
async fn what_launches_machines_is_suspended_and_goes_on() {
    let lab = Lab::new().await;
    let (target, _) = lab.rogue().await;
    miners(&lab, &target).await;
    let members = lab.list("ec2.instances", json!({}), &target).await;
    let drive = Drive::new(&lab, "ec2.suspend-launchers", json!({}), &target, &members);
    assert_eq!(drive.look().await.len(), 3, "each machine of the group leads to it, and no other does");
    drive.there_and_back().await;
    drive.back_without_effects().await;
}

#[tokio::test(start_paused = true)]
async fn the_metadata_service_goes_off_and_on() {
    let lab = Lab::new().await;
    let (target, rogue) = lab.rogue().await;
    let drive = Drive::new(&lab, "ec2.disable-imds", json!({}), &target, &rogue);
    drive.there_and_back().await;
    drive.back_without_effects().await;
}

/// A Spot instance of the intruder's.
async fn spot(lab: &Lab, target: &Target, kind: SpotInstanceType) -> String {
    let ec2 = aws_sdk_ec2::Client::new(&lab.enter(target, Access::Write).await.sdk);
    let images = ec2.describe_images().owners("amazon").send().await.unwrap();
    let options = SpotMarketOptions::builder().spot_instance_type(kind).build();
    let market = InstanceMarketOptionsRequest::builder().market_type(MarketType::Spot).spot_options(options).build();
    let run = ec2.run_instances().image_id(images.images()[0].image_id().unwrap()).instance_market_options(market);
    let launched = run.min_count(1).max_count(1).send().await.unwrap();
    tokio::time::sleep(std::time::Duration::from_mins(1)).await;
    launched.instances()[0].instance_id().unwrap().to_owned()
}

#[tokio::test(start_paused = true)]
async fn a_spot_request_is_cancelled_after_its_instance_was_stopped_and_not_before() {
    let lab = Lab::new().await;
    let (target, _) = lab.rogue().await;
    let lasting = spot(&lab, &target, SpotInstanceType::Persistent).await;
    let once = spot(&lab, &target, SpotInstanceType::OneTime).await;
    let requests = lab.list("ec2.spot-requests", json!({}), &target).await;
    let of = |id: &str| requests.iter().filter(|request| request.fields["instance"] == id).cloned().collect::<Vec<_>>();
    let mut machines = lab.list("ec2.instances", json!({}), &target).await;
    machines.retain(|machine| machine.id.as_str() == lasting);

    let by_request = Drive::new(&lab, "ec2.cancel-spot-requests", json!({}), &target, &of(&lasting));
    let by_machine = Drive::new(&lab, "ec2.cancel-spot-requests", json!({}), &target, &machines);
    let items = by_machine.items().await;
    assert_eq!(items[0].resource, by_request.items().await[0].resource, "found from either side");
    let cx = lab.enter(&target, Access::Write).await;
    let error = by_machine.action.apply(&cx, &by_machine.with, &items).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::WrongState);
    assert!(error.message.contains("stop it first"), "{error}");

    // Still stopping when its turn comes: that is waited for.
    aws_sdk_ec2::Client::new(&cx.sdk).stop_instances().instance_ids(&lasting).send().await.unwrap();
    let items = by_machine.items().await;
    by_machine.apply(&items).await;
    by_machine.assert_proven(&items).await;
    assert_eq!(by_machine.items().await, [], "nothing is left to cancel");
    let error = by_machine.action.undo(&cx, &by_machine.with, &items[0], &Value::Null).await.unwrap_err();
    assert!(error.message.contains("cancelled for good"), "{error}");

    let one_time = Drive::new(&lab, "ec2.cancel-spot-requests", json!({}), &target, &of(&once));
    let items = one_time.items().await;
    one_time.apply(&items).await;
    one_time.apply(&items).await;
    one_time.assert_proven(&items).await;
}

#[tokio::test(start_paused = true)]
async fn a_machine_is_terminated_when_its_evidence_is_complete_and_nothing_would_replace_it() {
    let lab = Lab::new().await;
    let (target, mut rogue) = lab.rogue().await;
    rogue.truncate(1);
    let drive = Drive::new(&lab, "ec2.terminate-instances", json!({}), &target, &rogue);
    let items = drive.items().await;
    let cx = lab.enter(&target, Access::Write).await;
    let error = drive.action.apply(&cx, &drive.with, &items).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::WrongState);
    assert!(error.message.contains("ec2.snapshot-volumes comes first"), "{error}");

    let protect = Drive::new(&lab, "ec2.protect", json!({}), &target, &rogue);
    protect.apply(&protect.items().await).await;
    let evidence = Drive::new(&lab, "ec2.snapshot-volumes", json!({}), &target, &rogue);
    evidence.apply(&evidence.items().await).await;
    let volumes = items[0].prior["deleted_with_it"].as_object().unwrap().len();
    let items = drive.items().await;
    drive.apply(&items).await;
    drive.apply(&items).await;
    drive.assert_proven(&items).await;
    tokio::time::sleep(std::time::Duration::from_mins(5)).await;
    let kept = lab.list("ec2.volumes", json!({}), &target).await;
    let kept = kept.iter().filter(|volume| volume.fields["state"] == "available").count();
    assert_eq!(kept, volumes, "they outlive the machine");
    let error = drive.action.undo(&cx, &drive.with, &items[0], &Value::Null).await.unwrap_err();
    assert!(error.message.contains("is terminated"), "{error}");

    let lasting = spot(&lab, &target, SpotInstanceType::Persistent).await;
    miners(&lab, &target).await;
    let mut replaced = lab.list("ec2.instances", json!({}), &target).await;
    replaced.retain(|machine| machine.id.as_str() == lasting || machine.fields["autoscaling_group"] == "miners");
    let drive = Drive::new(&lab, "ec2.terminate-instances", json!({ "evidence": "waived" }), &target, &replaced);
    let items = drive.items().await;
    assert_eq!(items.len(), 4);
    for item in &items {
        let error = drive.action.apply(&cx, &drive.with, std::slice::from_ref(item)).await.unwrap_err();
        assert!(error.message.contains("would be replaced"), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_machine_that_hibernates_keeps_its_memory_and_goes_on_from_it() {
    let lab = Lab::new().await;
    sleepers(&lab).await;
    let (target, rogue) = lab.rogue().await;
    let drive = Drive::new(&lab, "ec2.hibernate-instances", json!({}), &target, &rogue);
    drive.there_and_back().await;
    drive.back_without_effects().await;
}

#[tokio::test(start_paused = true)]
async fn a_machine_that_is_shut_down_instead_of_hibernating_holds_what_needs_its_memory() {
    let lab = Lab::new().await;
    sleepers(&lab).await;
    let (target, rogue) = lab.rogue().await;
    let (sleeper, other) = (rogue[0].id.as_str(), rogue[1].id.as_str());
    of_region(&lab, &target, |ec2| ec2.instances.get_mut(other).unwrap().hibernation_fails = true);
    let steps = "[{ id: memory, uses: ec2.hibernate-instances, on: both },\
                  { id: tag, uses: ec2.tag, on: both, needs: [memory], with: { tags: { done: 'yes' } } }]";
    let rest = format!(
        "sets: {{ both: {{ from: ec2.instances, where: 'id in [\"{sleeper}\", \"{other}\"]' }} }}\nsteps: {steps}\n\
         until: {{ clean_sweeps: 1, every: 10s, at_most: 2, newcomers: report }}\n"
    );
    let plan = lab.plan(&format!("[\"{}\"]", target.account), &rest).await;
    let ended = lab.carry_out(plan).await;
    assert_eq!(ended.outcome, RunOutcome::Incomplete);
    of_region(&lab, &target, |ec2| {
        let is_done = |id: &str| ec2.instances[id].tags.contains_key("done");
        assert_eq!((is_done(sleeper), is_done(other)), (true, false));
    });
}

#[tokio::test(start_paused = true)]
async fn evidence_is_copied_under_a_key_shared_and_locked_and_stays() {
    let lab = Lab::new().await;
    saved(&lab).await;
    let (target, mut rogue) = lab.rogue().await;
    rogue.truncate(1);
    // As where EBS encrypts by default, with the key that nobody can share.
    of_region(&lab, &target, |ec2| ec2.snapshots.values_mut().for_each(|snapshot| snapshot.encrypted = true));
    let share = Drive::new(&lab, "ec2.share-snapshots", json!({ "accounts": [FORENSICS] }), &target, &rogue);
    let cx = lab.enter(&target, Access::Write).await;
    let error = share.action.apply(&cx, &share.with, &share.items().await).await.unwrap_err();
    assert!(error.message.contains("ec2.copy-snapshots"), "{error}");

    let copy = Drive::new(&lab, "ec2.copy-snapshots", json!({ "key": "alias/forensics" }), &target, &rogue);
    let items = copy.items().await;
    let effects = copy.apply(&items).await;
    copy.assert_proven(&items).await;
    assert_eq!(copy.items().await, [], "nothing is left to copy");
    let copies: Vec<String> = serde_json::from_value(effects[0]["copies"].clone()).unwrap();
    assert_eq!(copies.len(), items[0].prior["volumes"].as_array().unwrap().len());

    share.there_and_back().await;
    let lock = Drive::new(&lab, "ec2.lock-snapshots", json!({}), &target, &rogue);
    share.apply(&share.items().await).await;
    lock.apply(&lock.items().await).await;
    copy.undo(&items, &effects).await;
    of_region(&lab, &target, |ec2| {
        for copy in &copies {
            let copy = &ec2.snapshots[copy];
            assert_eq!(copy.kms_key_id.as_deref(), Some("alias/forensics"));
            assert!(copy.shared_with.contains(FORENSICS) && copy.lock.is_some());
            let of = &ec2.snapshots[&copy.tags["quell:copy-of"]];
            assert_eq!(copy.tags["quell:volume"], of.volume_id, "AWS's own volume id of a copy means nothing");
            assert!(of.shared_with.is_empty(), "the copy is what is shared");
        }
    });
}

#[tokio::test(start_paused = true)]
async fn a_copy_that_fails_afterwards_is_no_copy() {
    let lab = Lab::new().await;
    saved(&lab).await;
    let (target, mut rogue) = lab.rogue().await;
    rogue.truncate(1);
    let copy = Drive::new(&lab, "ec2.copy-snapshots", json!({ "key": "alias/forensics" }), &target, &rogue);
    let items = copy.items().await;
    copy.apply(&items).await;
    tokio::time::sleep(std::time::Duration::from_hours(1)).await;
    of_region(&lab, &target, |ec2| {
        let copies = ec2.snapshots.values_mut().filter(|snapshot| snapshot.tags.contains_key("quell:copy-of"));
        copies.for_each(|copy| "error".clone_into(&mut copy.state));
    });
    let cx = lab.enter(&target, Access::Read).await;
    let found = copy.look().await;
    let verdict = copy.action.verify(&cx.view, &copy.with, &found[0]).unwrap();
    assert!(matches!(verdict, Verdict::Unproven { why } if why.contains("failed")));
}
