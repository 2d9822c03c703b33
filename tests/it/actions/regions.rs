//! The settings of a region.

use quell::model::Target;
use serde_json::{Value, json};

use super::drive::Drive;
use super::lab::Lab;
use super::stage::{Scene, Stage};

pub const STAGES: &[Stage] = &[
    Stage { action: "ec2.require-imdsv2", on: "a region", set_up: |lab| Box::pin(std::future::ready(region(lab))) },
    Stage {
        action: "ec2.require-imdsv2",
        on: "a region that has said optional",
        set_up: |lab| Box::pin(std::future::ready(optional(lab))),
    },
    Stage { action: "ec2.encrypt-by-default", on: "a region", set_up: |lab| Box::pin(std::future::ready(region(lab))) },
    Stage {
        action: "ec2.block-snapshot-sharing",
        on: "a region",
        set_up: |lab| Box::pin(std::future::ready(region(lab))),
    },
    Stage {
        action: "ec2.block-snapshot-sharing",
        on: "a region half-blocked",
        set_up: |lab| Box::pin(std::future::ready(half(lab))),
    },
    Stage {
        action: "ec2.block-image-sharing",
        on: "a region",
        set_up: |lab| Box::pin(std::future::ready(region(lab))),
    },
];

fn region(lab: &Lab) -> Scene {
    Scene::in_region(lab, "{ from: ec2.regions }")
}

/// Its own default is given back, and not AWS's.
fn optional(lab: &Lab) -> Scene {
    let target = lab.region();
    lab.sim.change(|world| {
        let set = &mut world.region_mut(&target.account, &target.region).ec2.region_settings;
        set.metadata_defaults.http_tokens = Some("optional".to_owned());
        set.metadata_defaults.http_put_response_hop_limit = Some(2);
    });
    region(lab)
}

fn half(lab: &Lab) -> Scene {
    let target = lab.region();
    lab.sim.change(|world| {
        let set = &mut world.region_mut(&target.account, &target.region).ec2.region_settings;
        "block-new-sharing".clone_into(&mut set.snapshot_block_public_access);
    });
    region(lab)
}

fn settings(lab: &Lab, target: &Target) -> Value {
    let world = json!(lab.sim.world());
    world["accounts"][target.account.as_str()]["regions"][target.region.as_str()]["ec2"]["region_settings"].clone()
}

#[tokio::test(start_paused = true)]
async fn a_region_tells_how_it_is_set_up() {
    let lab = Lab::new().await;
    let target = lab.region();
    let regions = lab.list("ec2.regions", json!({}), &target).await;
    let fields = |name: &str| regions[0].fields[name].as_str().unwrap().to_owned();
    assert_eq!((regions.len(), fields("id")), (1, target.region.to_string()));
    assert_eq!((fields("http_tokens").as_str(), fields("ebs_encryption").as_str()), ("no-preference", "disabled"));
    assert_eq!((fields("snapshot_sharing").as_str(), fields("image_sharing").as_str()), ("unblocked", "unblocked"));
}

/// A hop limit that somebody has set is not lost.
#[tokio::test(start_paused = true)]
async fn other_defaults_of_metadata_stay() {
    let lab = Lab::new().await;
    optional(&lab);
    let target = lab.region();
    let before = settings(&lab, &target);
    let regions = lab.list("ec2.regions", json!({}), &target).await;
    let drive = Drive::new(&lab, "ec2.require-imdsv2", json!({}), &target, &regions);
    let items = drive.items().await;
    drive.apply(&items).await;
    drive.assert_proven(&items).await;
    let after = settings(&lab, &target);
    assert_eq!(after["metadata_defaults"]["http_put_response_hop_limit"], 2);
    assert_eq!(after["metadata_defaults"]["http_tokens"], "required");
    drive.undo(&items, &[Value::Null]).await;
    assert_eq!(settings(&lab, &target), before);
}
