//! Networks that are cut off and opened again: subnets, and the way of a whole region to the internet.

use aws_sdk_ec2::types::{Filter, InternetGatewayExclusionMode, RuleAction};
use quell::engine::action::Decision;
use quell::engine::ports::Access;
use quell::model::{Resource, Target, Verdict};
use serde_json::{Value, json};

use super::drive::Drive;
use super::lab::Lab;
use super::stage::{Scene, Stage};

pub const STAGES: &[Stage] = &[
    Stage {
        action: "ec2.cut-subnet",
        on: "the subnets of machines",
        set_up: |lab| Box::pin(async move { machines(lab, json!({})) }),
    },
    Stage { action: "ec2.cut-subnet", on: "subnets", set_up: |lab| Box::pin(async move { every(lab, "ec2.subnets") }) },
    Stage {
        action: "ec2.block-public-access",
        on: "the region of machines",
        set_up: |lab| Box::pin(async move { machines(lab, json!({ "mode": "block-ingress" })) }),
    },
    Stage {
        action: "ec2.block-public-access",
        on: "VPCs",
        set_up: |lab| Box::pin(async move { every(lab, "ec2.vpcs") }),
    },
];

fn machines(lab: &Lab, with: Value) -> Scene {
    Scene::in_region(lab, super::ec2::ROGUE).with(with)
}

fn every(lab: &Lab, source: &str) -> Scene {
    Scene::in_region(lab, format!("{{ from: {source} }}"))
}

async fn ec2(lab: &Lab, target: &Target) -> aws_sdk_ec2::Client {
    aws_sdk_ec2::Client::new(&lab.enter(target, Access::Write).await.sdk)
}

/// The network ACL before a subnet, and whether it lets anything through.
async fn standing(ec2: &aws_sdk_ec2::Client, subnet: &str) -> (String, bool) {
    let of_subnet = Filter::builder().name("association.subnet-id").values(subnet).build();
    let answer = ec2.describe_network_acls().filters(of_subnet).send().await.unwrap();
    let acl = &answer.network_acls()[0];
    let open = acl.entries().iter().any(|entry| entry.rule_action() == Some(&RuleAction::Allow));
    (acl.network_acl_id().unwrap().to_owned(), open)
}

async fn acls(ec2: &aws_sdk_ec2::Client) -> usize {
    ec2.describe_network_acls().send().await.unwrap().network_acls().len()
}

fn subnet_of(machine: &Resource) -> String {
    machine.fields["subnet"].as_str().unwrap().to_owned()
}

#[tokio::test(start_paused = true)]
async fn a_subnet_is_cut_off_and_gets_its_old_network_acl_back() {
    let lab = Lab::new().await;
    let (target, rogue) = lab.rogue().await;
    let (ec2, subnet) = (ec2(&lab, &target).await, subnet_of(&rogue[0]));
    let (before, count) = (standing(&ec2, &subnet).await, acls(&ec2).await);
    assert!(before.1);

    let drive = Drive::new(&lab, "ec2.cut-subnet", json!({}), &target, &rogue);
    let items = drive.items().await;
    drive.apply(&items).await;
    let (cut, open) = standing(&ec2, &subnet).await;
    assert!(cut != before.0 && !open);
    drive.undo(&items, &vec![json!(null); items.len()]).await;
    assert_eq!(standing(&ec2, &subnet).await, before);
    assert_eq!(acls(&ec2).await, count, "nothing is left behind");

    drive.there_and_back().await;
    let subnets = lab.list("ec2.subnets", json!({}), &target).await;
    let by_subnet = Drive::new(&lab, "ec2.cut-subnet", json!({}), &target, &subnets);
    by_subnet.there_and_back().await;
    assert_eq!(acls(&ec2).await, count);
}

#[tokio::test(start_paused = true)]
async fn the_plan_names_what_else_lives_in_the_subnet() {
    let lab = Lab::new().await;
    let (target, rogue) = lab.rogue().await;
    let everybody = lab.list("ec2.instances", json!({}), &target).await;
    let rogue = &rogue[..1];
    let beside = |machine: &&Resource| machine.id != rogue[0].id && subnet_of(machine) == subnet_of(&rogue[0]);
    let beside: Vec<&str> = everybody.iter().filter(beside).map(|machine| machine.id.as_str()).collect();
    let drive = Drive::new(&lab, "ec2.cut-subnet", json!({}), &target, rogue);
    let Decision::Change(proposal) = drive.decide(&drive.look().await[0]).await else { panic!("no change") };
    let said = proposal.notes.iter().find(|note| note.starts_with("it also cuts off"));
    assert_eq!(said.is_some(), !beside.is_empty(), "{beside:?}");
    for id in beside.iter().take(8) {
        assert!(said.unwrap().contains(id), "{said:?}");
    }

    // A machine that moves in beside it is named too.
    let client = ec2(&lab, &target).await;
    let images = client.describe_images().owners("amazon").send().await.unwrap();
    let run = client.run_instances().image_id(images.images()[0].image_id().unwrap()).min_count(1).max_count(1);
    let made = run.subnet_id(subnet_of(&rogue[0])).send().await.unwrap();
    let neighbour = made.instances()[0].instance_id().unwrap();
    let others = &drive.look().await[0].prior["others"];
    let named = others["instances"].as_array().unwrap();
    assert!(named.iter().any(|id| id == neighbour) || named.len() == 8, "{others}");
    assert_eq!(others["kinds"]["instance"], beside.len() + 1);
}

#[tokio::test(start_paused = true)]
async fn what_an_intruder_opens_is_not_proven_and_closed_again() {
    let lab = Lab::new().await;
    let (target, rogue) = lab.rogue().await;
    let (ec2, subnet) = (ec2(&lab, &target).await, subnet_of(&rogue[0]));
    let drive = Drive::new(&lab, "ec2.cut-subnet", json!({}), &target, &rogue[..1]);
    let items = drive.items().await;
    let effects = drive.apply(&items).await;
    let (cut, _) = standing(&ec2, &subnet).await;
    let rule = ec2.create_network_acl_entry().network_acl_id(&cut).rule_number(1).protocol("-1").egress(true);
    rule.rule_action(RuleAction::Allow).cidr_block("0.0.0.0/0").send().await.unwrap();

    let cx = lab.enter(&target, Access::Read).await;
    let verdict = drive.action.verify(&cx.view, &drive.with, &drive.look().await[0]).unwrap();
    assert!(matches!(verdict, Verdict::Unproven { .. }), "{verdict:?}");
    drive.apply(&items).await;
    let (again, open) = standing(&ec2, &subnet).await;
    assert!(again != cut && !open, "what somebody opened is left to them; a closed one stands there");
    drive.undo(&items, &effects).await;
    drive.assert_restored(&items).await;

    // Somebody else's network ACL is not taken away.
    drive.apply(&items).await;
    let vpc = rogue[0].fields["vpc"].as_str().unwrap();
    let theirs = ec2.create_network_acl().vpc_id(vpc).send().await.unwrap();
    let theirs = theirs.network_acl().unwrap().network_acl_id().unwrap().to_owned();
    let of_subnet = Filter::builder().name("association.subnet-id").values(&subnet).build();
    let now = ec2.describe_network_acls().filters(of_subnet).send().await.unwrap();
    let mut associations = now.network_acls()[0].associations().iter();
    let association = associations.find(|association| association.subnet_id() == Some(&subnet)).unwrap();
    let association = association.network_acl_association_id().unwrap();
    ec2.replace_network_acl_association().association_id(association).network_acl_id(&theirs).send().await.unwrap();
    let cx = lab.enter(&target, Access::Write).await;
    let error = drive.action.undo(&cx, &drive.with, &items[0], &json!(null)).await.unwrap_err();
    assert!(error.message.contains(&theirs), "{error}");
}

#[tokio::test(start_paused = true)]
async fn an_open_connection_survives_an_isolation_unless_it_is_cut() {
    for (action, with, survives) in [
        ("ec2.isolate", json!({}), true),
        ("ec2.isolate", json!({ "connections": "cut" }), false),
        ("ec2.cut-subnet", json!({}), false),
    ] {
        let lab = Lab::new().await;
        let (target, rogue) = lab.rogue().await;
        let connected =
            || lab.sim.world().region(&target.account, &target.region).ec2.is_connected(rogue[0].id.as_str());
        assert!(connected());
        let drive = Drive::new(&lab, action, with.clone(), &target, &rogue[..1]);
        let items = drive.items().await;
        let effects = drive.apply(&items).await;
        drive.assert_proven(&items).await;
        assert_eq!(connected(), survives, "{action} {with}");
        drive.undo(&items, &effects).await;
        assert!(connected());
    }
}

#[tokio::test(start_paused = true)]
async fn a_machine_that_cannot_be_closed_is_not_left_open() {
    let lab = Lab::new().await;
    let (target, rogue) = lab.rogue().await;
    let drive = Drive::new(&lab, "ec2.isolate", json!({ "connections": "cut" }), &target, &rogue[..1]);
    let items = drive.items().await;
    let before = drive.look().await[0].prior["interfaces"].clone();

    // The isolation group goes while the machine is open.
    let vanishes = async {
        tokio::time::sleep(std::time::Duration::from_secs(3)).await;
        lab.sim.change(|world| {
            let ec2 = &mut world.region_mut(&target.account, &target.region).ec2;
            ec2.security_groups.retain(|_, group| !group.name.starts_with("quell-isolation-"));
        });
    };
    let cx = lab.enter(&target, Access::Write).await;
    let (applied, ()) = futures::join!(drive.action.apply(&cx, &drive.with, &items), vanishes);
    assert!(applied.is_err());
    assert_eq!(drive.look().await[0].prior["interfaces"], before, "it is in its own groups again");
}

#[tokio::test(start_paused = true)]
async fn what_is_closed_already_is_not_opened_again() {
    let lab = Lab::new().await;
    let (target, rogue) = lab.rogue().await;
    let drive = Drive::new(&lab, "ec2.isolate", json!({ "connections": "cut" }), &target, &rogue[..1]);
    let items = drive.items().await;
    drive.apply(&items).await;
    let moves = || lab.sim.log().iter().filter(|entry| entry.operation == "ModifyNetworkInterfaceAttribute").count();
    let count = moves();
    drive.apply(&items).await;
    assert_eq!(moves(), count);
}

#[tokio::test(start_paused = true)]
async fn a_region_is_blocked_off_from_the_internet_once_for_all_its_machines_and_opened_again() {
    let lab = Lab::new().await;
    let (target, rogue) = lab.rogue().await;
    let vpcs = lab.list("ec2.vpcs", json!({}), &target).await;
    assert_eq!(vpcs[0].fields["default"], true);
    for mode in ["block-ingress", "block-bidirectional"] {
        let drive = Drive::new(&lab, "ec2.block-public-access", json!({ "mode": mode }), &target, &vpcs);
        drive.there_and_back().await;
        drive.back_without_effects().await;
    }
    let drive = Drive::new(&lab, "ec2.block-public-access", json!({}), &target, &rogue);
    let found = drive.look().await;
    assert!(found.iter().all(|each| each.resource == found[0].resource), "one setting for all machines");
    let Decision::Change(proposal) = drive.decide(&found[0]).await else { panic!("no change") };
    let reachable = proposal.notes.iter().find(|note| note.starts_with("with public addresses there: "));
    assert!(reachable.is_some_and(|note| note.contains("instance")), "{:?}", proposal.notes);

    let items = drive.items().await;
    drive.apply(&items[..1]).await;
    let cx = lab.enter(&target, Access::Read).await;
    let verdict = drive.action.verify(&cx.view, &drive.with, &drive.look().await[0]).unwrap();
    assert!(matches!(verdict, Verdict::Pending { .. }), "it takes minutes: {verdict:?}");
    tokio::time::sleep(std::time::Duration::from_mins(3)).await;
    let verdict = drive.action.verify(&cx.view, &drive.with, &drive.look().await[0]).unwrap();
    assert_eq!(verdict, Verdict::Proven);
}

#[tokio::test(start_paused = true)]
async fn exclusions_are_holes_and_the_organisation_has_the_last_word() {
    let lab = Lab::new().await;
    let (target, rogue) = lab.rogue().await;
    let client = ec2(&lab, &target).await;
    let drive = Drive::new(&lab, "ec2.block-public-access", json!({}), &target, &rogue[..1]);
    let approved = drive.look().await;
    let exclusion = client.create_vpc_block_public_access_exclusion().vpc_id(rogue[0].fields["vpc"].as_str().unwrap());
    exclusion.internet_gateway_exclusion_mode(InternetGatewayExclusionMode::AllowBidirectional).send().await.unwrap();

    let now = drive.look().await;
    let Decision::Change(proposal) = drive.decide(&now[0]).await else { panic!("no change") };
    assert!(proposal.notes.iter().any(|note| note.starts_with("a hole in it: vpcbpa-exclude-")), "{proposal:?}");
    let drift = drive.action.drift(&approved[0].prior, &now[0].prior).unwrap();
    assert!(drift.is_some_and(|why| why.contains("allow-bidirectional")));

    lab.sim.change(|world| {
        let region = world.region_mut(&target.account, &target.region);
        region.ec2.block_public_access.by_organisation = true;
    });
    let decision = drive.decide(&drive.look().await[0]).await;
    assert!(matches!(&decision, Decision::Skip(why) if why.contains("declarative policy")), "{decision:?}");
    let request = client.modify_vpc_block_public_access_options();
    let mode = aws_sdk_ec2::types::InternetGatewayBlockMode::BlockBidirectional;
    assert!(request.internet_gateway_block_mode(mode).send().await.is_err());
}
