//! Auto Scaling groups.

use quell::engine::ports::Access;
use quell::model::Target;
use serde_json::json;

use super::drive::Drive;
use super::lab::Lab;
use super::stage::{Scene, Stage};

pub const STAGES: &[Stage] = &[
    Stage { action: "autoscaling.suspend", on: "a group", set_up: |lab| Box::pin(group(lab, "keep")) },
    Stage { action: "autoscaling.suspend", on: "a group (standby)", set_up: |lab| Box::pin(group(lab, "standby")) },
    Stage { action: "autoscaling.suspend", on: "a group (detach)", set_up: |lab| Box::pin(group(lab, "detach")) },
];

async fn group(lab: &Lab, instances: &str) -> Scene {
    miners(lab, &lab.region()).await;
    Scene::in_region(lab, "{ from: autoscaling.groups }").with(json!({ "instances": instances }))
}

/// A group of the intruder's with three machines, in the region of the first rogue machine.
pub async fn miners(lab: &Lab, target: &Target) {
    let sdk = lab.enter(target, Access::Write).await.sdk;
    let (ec2, scaling) = (aws_sdk_ec2::Client::new(&sdk), aws_sdk_autoscaling::Client::new(&sdk));
    let images = ec2.describe_images().owners("amazon").send().await.unwrap();
    let data =
        aws_sdk_ec2::types::RequestLaunchTemplateData::builder().image_id(images.images()[0].image_id().unwrap());
    let template = ec2.create_launch_template().launch_template_name("miners").launch_template_data(data.build());
    template.send().await.unwrap();
    let template = aws_sdk_autoscaling::types::LaunchTemplateSpecification::builder().launch_template_name("miners");
    let group = scaling.create_auto_scaling_group().auto_scaling_group_name("miners").launch_template(template.build());
    let group = group.min_size(2).max_size(5).desired_capacity(3);
    group.availability_zones(format!("{}a", target.region)).send().await.unwrap();
    // What somebody else had suspended stays so.
    scaling
        .suspend_processes()
        .auto_scaling_group_name("miners")
        .scaling_processes("AZRebalance")
        .send()
        .await
        .unwrap();
    tokio::time::sleep(std::time::Duration::from_mins(1)).await;
}

#[tokio::test(start_paused = true)]
async fn a_group_stands_still_and_goes_on_as_it_was() {
    let lab = Lab::new().await;
    let (target, _) = lab.rogue().await;
    miners(&lab, &target).await;
    let groups = lab.list("autoscaling.groups", json!({}), &target).await;
    assert_eq!(groups[0].fields["instances"].as_array().unwrap().len(), 3);
    for instances in ["keep", "standby", "detach"] {
        let drive = Drive::new(&lab, "autoscaling.suspend", json!({ "instances": instances }), &target, &groups);
        drive.there_and_back().await;
        drive.back_without_effects().await;
    }
}
