//! Every action over the simulated AWS, through the real SDK: applied twice, proven, taken back twice.
//!
//! One file per service. What an action is tried on is made by its [`Stage`]: a new action gets one or more lines in the
//! `STAGES` of its service's file, and a new service its `STAGES` in [`stages`], behind the feature of its actions.
//! `conformance.rs` drives every stage through the engine, and fails for an action that has none. What is particular to one
//! action is a test in the service's file, mostly by hand of a [`Drive`].

mod account;
mod autoscaling;
mod drive;
mod ec2;
mod iam;
mod lab;
mod leftovers;
mod network;
mod organizations;
mod regions;
mod stage;

use quell::engine::ports::{Access, Sessions as _};
use quell::model::{ErrorKind, Region, Role, Targets};
use serde_json::json;

pub use drive::Drive;
pub use iam::{ADMINISTRATOR, allowing, metadata};
pub use lab::{Lab, case};
pub use stage::{Scene, Stage};

use lab::breached;

/// The stages of all actions.
pub fn stages() -> Vec<Stage> {
    [
        autoscaling::STAGES,
        #[cfg(all(feature = "batch", feature = "cloudtrail"))]
        crate::services::batch::STAGES,
        ec2::STAGES,
        #[cfg(feature = "emr")]
        crate::services::emr::STAGES,
        #[cfg(feature = "amplify")]
        crate::services::amplify::STAGES,
        #[cfg(feature = "apprunner")]
        crate::services::apprunner::STAGES,
        #[cfg(feature = "codebuild")]
        crate::services::codebuild::STAGES,
        #[cfg(feature = "glue")]
        crate::services::glue::STAGES,
        #[cfg(all(feature = "ssoadmin", feature = "identitystore"))]
        crate::services::identity_center::STAGES,
        #[cfg(feature = "rolesanywhere")]
        crate::services::rolesanywhere::STAGES,
        #[cfg(feature = "ecs")]
        crate::services::ecs::STAGES,
        #[cfg(feature = "lambda")]
        crate::services::lambda::STAGES,
        iam::STAGES,
        leftovers::STAGES,
        #[cfg(feature = "lightsail")]
        crate::services::lightsail::STAGES,
        network::STAGES,
        organizations::STAGES,
        regions::STAGES,
        #[cfg(feature = "sagemaker")]
        crate::services::sagemaker::STAGES,
    ]
    .concat()
}

#[tokio::test(start_paused = true)]
async fn lanes_name_every_region_and_what_is_switched_off() {
    let lab = Lab::new().await;
    let lanes = lab.regions(&breached(&lab.facts)).await;
    let state = |region: &str| {
        let region = Region::new(region).unwrap();
        lanes.iter().find(|(target, _)| target.region == region).map(|(_, state)| state.as_ref().map_err(|e| e.kind))
    };
    assert_eq!(state("eu-west-1"), Some(Ok(&())));
    assert_eq!(state("eu-south-1"), Some(Ok(&())));
    assert_eq!(state("ap-east-1"), Some(Err(ErrorKind::Disabled)));
}

#[tokio::test(start_paused = true)]
async fn an_account_without_the_role_is_denied_everywhere() {
    let lab = Lab::new().await;
    let role = Some(Role { name: "NoSuchRole".into(), external_id: None, source_identity: None });
    let lanes = lab.regions(&Targets { role, ..breached(&lab.facts) }).await;
    assert_eq!(lab.sessions.enter(&lab.global(), Access::Read).await.err().unwrap().kind, ErrorKind::Denied);
    assert!(lanes.len() > 1);
    assert!(lanes.iter().all(|(_, state)| state.as_ref().is_err_and(|error| error.kind == ErrorKind::Denied)));
}

#[tokio::test(start_paused = true)]
async fn a_reading_session_cannot_write() {
    let lab = Lab::new().await;
    let intruder = lab.intruder().await;
    let drive = Drive::new(&lab, "iam.deactivate-access-keys", json!({}), &lab.global(), &intruder);
    let items = drive.items().await;
    let cx = lab.enter(&lab.global(), Access::Read).await;
    let before = lab.sim.log().len();
    let error = drive.action.apply(&cx, &drive.with, &items[..1]).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Refused);
    assert!(error.message.contains("iam:UpdateAccessKey"), "{error}");
    assert_eq!(lab.sim.log().len(), before, "nothing was sent");
}
