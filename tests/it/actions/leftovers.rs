//! What an intruder leaves behind: images, launch templates, addresses, reservations, shared snapshots, fleets.

use aws_sdk_ec2::types::{
    CapacityReservationInstancePlatform, FleetLaunchTemplateConfigRequest, FleetLaunchTemplateSpecificationRequest,
    InstanceMatchCriteria, OperationType, RequestLaunchTemplateData, SnapshotAttributeName,
    TargetCapacitySpecificationRequest,
};
use quell::engine::action::Decision;
use quell::engine::ports::Access;
use quell::model::Target;
use serde_json::json;

use super::drive::Drive;
use super::lab::{Lab, case};
use super::stage::{Scene, Stage};

pub const STAGES: &[Stage] = &[Stage {
    action: "ec2.restore-default-version",
    on: "a template with a new default version",
    set_up: |lab| Box::pin(changed_template(lab)),
}];

/// When the intruder comes, in this file.
const INCIDENT: std::time::Duration = std::time::Duration::from_hours(2);

async fn ec2(lab: &Lab, target: &Target) -> aws_sdk_ec2::Client {
    aws_sdk_ec2::Client::new(&lab.enter(target, Access::Write).await.sdk)
}

/// Template `web` with two versions of before the incident, of which the second counts. Returns its id.
async fn template(ec2: &aws_sdk_ec2::Client) -> String {
    let images = ec2.describe_images().owners("amazon").send().await.unwrap();
    let data = RequestLaunchTemplateData::builder().image_id(images.images()[0].image_id().unwrap()).build();
    let made =
        ec2.create_launch_template().launch_template_name("web").launch_template_data(data).send().await.unwrap();
    let id = made.launch_template().unwrap().launch_template_id().unwrap().to_owned();
    version(ec2, &id, "m5.large").await;
    id
}

/// Makes a version the default that launches this type.
async fn version(ec2: &aws_sdk_ec2::Client, template: &str, instance_type: &str) {
    let data = RequestLaunchTemplateData::builder().instance_type(instance_type.into()).build();
    let made = ec2.create_launch_template_version().launch_template_id(template).source_version("$Latest");
    let made = made.launch_template_data(data).send().await.unwrap();
    let number = made.launch_template_version().unwrap().version_number().unwrap();
    ec2.modify_launch_template().launch_template_id(template).default_version(number.to_string()).send().await.unwrap();
}

/// A template to which an intruder gave a new default version, and the time in between.
async fn changed(lab: &Lab) -> (String, String) {
    let ec2 = ec2(lab, &lab.region()).await;
    let id = template(&ec2).await;
    tokio::time::sleep(INCIDENT).await;
    let before = lab.sim.now().to_string();
    tokio::time::sleep(INCIDENT).await;
    version(&ec2, &id, "c5.24xlarge").await;
    (id, before)
}

async fn changed_template(lab: &Lab) -> Scene {
    let (_, before) = changed(lab).await;
    Scene::in_region(lab, "{ from: ec2.launch-templates, where: name == \"web\" }").with(json!({ "before": before }))
}

#[tokio::test(start_paused = true)]
async fn the_default_version_of_a_template_goes_back_and_forth() {
    let lab = Lab::new().await;
    let target = lab.region();
    let (id, before) = changed(&lab).await;
    let members = lab.list("ec2.launch-templates", json!({}), &target).await;
    let member = members.iter().find(|member| member.id.as_str() == id).unwrap();
    assert_eq!(member.fields["default_version"], 3);
    assert!(member.fields["default_created"].as_str() > Some(&before), "{:?}", member.fields);
    assert!(member.fields["created"].as_str() < Some(&before), "{:?}", member.fields);

    let drive = Drive::new(&lab, "ec2.restore-default-version", json!({ "before": before }), &target, &members);
    let Decision::Change(proposal) = drive.decide(&drive.look().await[0]).await else { panic!("no change") };
    assert!(proposal.summary.starts_with("make version 2 of"), "the newest from before: {}", proposal.summary);
    drive.there_and_back().await;
    drive.back_without_effects().await;

    // What somebody made the default since is left to them.
    let items = drive.items().await;
    drive.apply(&items).await;
    let client = ec2(&lab, &target).await;
    client.modify_launch_template().launch_template_id(&id).default_version("1").send().await.unwrap();
    let cx = lab.enter(&target, Access::Write).await;
    let error = drive.action.undo(&cx, &drive.with, &items[0], &json!(null)).await.unwrap_err();
    assert!(error.message.contains("version 1"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn what_is_left_behind_is_listed() {
    let lab = Lab::new().await;
    let target = lab.region();
    let client = ec2(&lab, &target).await;
    template(&client).await;
    let specification = FleetLaunchTemplateSpecificationRequest::builder().launch_template_name("web").build();
    let config = FleetLaunchTemplateConfigRequest::builder().launch_template_specification(specification).build();
    let capacity = TargetCapacitySpecificationRequest::builder().total_target_capacity(0).build();
    let fleet = client.create_fleet().launch_template_configs(config).target_capacity_specification(capacity);
    let fleet = fleet.send().await.unwrap().fleet_id().unwrap().to_owned();
    let reserve = client.create_capacity_reservation().instance_type("p5.48xlarge").instance_count(4);
    let reserve = reserve.instance_platform(CapacityReservationInstancePlatform::LinuxUnix);
    let reserve = reserve.instance_match_criteria(InstanceMatchCriteria::Targeted);
    reserve.availability_zone(format!("{}a", target.region)).send().await.unwrap();
    let volumes = lab.list("ec2.volumes", json!({}), &target).await;
    let snapshot = client.create_snapshot().volume_id(volumes[0].id.as_str()).send().await.unwrap();
    let snapshot = snapshot.snapshot_id().unwrap();
    let share = client.modify_snapshot_attribute().snapshot_id(snapshot).operation_type(OperationType::Add);
    let share = share.attribute(SnapshotAttributeName::CreateVolumePermission);
    share.user_ids("999988887777").send().await.unwrap();
    lab.sim.change(|world| world.region_mut(&target.account, &target.region).ec2.add_address(None));

    let fleets = lab.list("ec2.fleets", json!({}), &target).await;
    assert_eq!((fleets[0].id.as_str(), &fleets[0].fields["type"]), (fleet.as_str(), &json!("maintain")));
    let reserved = lab.list("ec2.capacity-reservations", json!({}), &target).await;
    assert_eq!((&reserved[0].fields["type"], &reserved[0].fields["unused"]), (&json!("p5.48xlarge"), &json!(4)));
    let shared = lab.list("ec2.shared-snapshots", json!({}), &target).await;
    assert_eq!(shared.len(), 1, "those that nobody else may restore are none");
    assert_eq!(shared[0].fields["shared_with"], json!(["999988887777"]));
    let later = json!({ "since": "2027-01-01T00:00:00Z" });
    assert_eq!(lab.list("ec2.shared-snapshots", later, &target).await, []);
    let addresses = lab.list("ec2.addresses", json!({}), &target).await;
    assert!(addresses.iter().any(|address| address.fields["instance"] == ""));
    assert_eq!(lab.list("ec2.spot-fleets", json!({}), &target).await, []);
    let images = lab.list("ec2.images", json!({}), &target).await;
    assert!(images.iter().all(|image| image.fields["state"] == "available" && image.fields["created"] != ""));
}

#[tokio::test(start_paused = true)]
async fn a_set_with_a_finding_is_in_the_plan_without_a_step_and_no_sweep_asks_for_it() {
    let lab = Lab::new().await;
    let target = lab.region();
    template(&ec2(&lab, &target).await).await;
    let text = format!(
        "quell: 1\nname: leftovers\ntitle: Leftovers\n\
         targets: {{ accounts: [\"{}\"], regions: [{}], role: ir/IRResponder }}\n\
         sets:\n\
         \x20 templates: {{ from: ec2.launch-templates, finding: somebody launches them again }}\n\
         \x20 rogue: {{ from: ec2.instances, where: '!tags.exists(k, k == \"owner\")' }}\n\
         steps: [{{ id: mark, uses: ec2.tag, on: rogue }}]\n",
        target.account, target.region
    );
    let (runbook, warnings) = quell::runbook::load("leftovers", &text, &lab.table.catalog()).unwrap();
    assert!(warnings.is_empty(), "{warnings:?}");
    let now = lab.sim.now();
    let planned = lab.engine().plan(&runbook, &serde_json::Map::new(), &case(), now, &mut |_| ()).await.unwrap();
    let plan = planned.plan;
    assert_eq!(plan.listed.len(), 1);
    assert_eq!((plan.listed[0].set.as_str(), &plan.listed[0].fields["name"]), ("templates", &json!("web")));
    let said = quell::report::plan_text::render(
        &plan,
        quell::report::plan_text::Detail::Counts,
        quell::report::style::Colour::Plain,
    );
    assert!(said.contains("templates (1): somebody launches them again"), "{said}");
    assert!(said.contains("name web"), "{said}");
}
