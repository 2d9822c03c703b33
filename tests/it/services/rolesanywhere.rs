//! IAM Roles Anywhere: trust anchors and profiles that an intruder made let nobody in any more.

use aws_sdk_rolesanywhere::Client;
use aws_sdk_rolesanywhere::types::{Source, SourceData, Tag, TrustAnchorType};
use quell::engine::ports::Access;
use quell::model::RunOutcome;
use serde_json::json;

use super::run::{Runs, wait};
use crate::actions::{Drive, Lab, Scene, Stage};

pub const STAGES: &[Stage] = &[
    Stage { action: "rolesanywhere.disable", on: "a trust anchor", set_up: |lab| Box::pin(one_anchor(lab)) },
    Stage { action: "rolesanywhere.disable", on: "a profile", set_up: |lab| Box::pin(one_profile(lab)) },
];

async fn one_anchor(lab: &Lab) -> Scene {
    anchor(&Client::new(&lab.enter(&lab.region(), Access::Write).await.sdk), "mine", true, None).await;
    Scene::in_region(lab, "{ from: rolesanywhere.trust-anchors }")
}

async fn one_profile(lab: &Lab) -> Scene {
    profile(&Client::new(&lab.enter(&lab.region(), Access::Write).await.sdk), "mine").await;
    Scene::in_region(lab, "{ from: rolesanywhere.profiles }")
}

/// AWS takes one request a second.
async fn anchor(client: &Client, name: &str, enabled: bool, owner: Option<&str>) -> String {
    let data = SourceData::X509CertificateData("-----BEGIN CERTIFICATE-----".to_owned());
    let source = Source::builder().source_type(TrustAnchorType::CertificateBundle).source_data(data).build();
    let tags = owner.map(|owner| vec![Tag::builder().key("owner").value(owner).build().unwrap()]);
    let made = client.create_trust_anchor().name(name).source(source).enabled(enabled).set_tags(tags).send().await;
    wait(1).await;
    made.unwrap().trust_anchor.unwrap().trust_anchor_id.unwrap()
}

async fn profile(client: &Client, name: &str) -> String {
    let role = "arn:aws:iam::430987654321:role/build";
    let made = client.create_profile().name(name).role_arns(role).enabled(true).send().await;
    wait(1).await;
    made.unwrap().profile.unwrap().profile_id.unwrap()
}

/// What is on in the region of the intruder's first machine.
fn enabled(lab: &Lab) -> Vec<String> {
    let target = lab.region();
    let state = lab.sim.world().region(&target.account, &target.region).rolesanywhere.clone();
    let all = state.trust_anchors.into_values().chain(state.profiles.into_values());
    let mut names: Vec<_> = all.filter(|item| item.enabled).map(|item| item.name).collect();
    names.sort();
    names
}

#[tokio::test(start_paused = true)]
async fn anchors_and_profiles_go_off_and_on_and_what_was_off_stays_off() {
    let runs = Runs::new().await;
    let client = Client::new(&runs.sdk().await);
    anchor(&client, "mine", true, None).await;
    anchor(&client, "asleep", false, None).await;
    anchor(&client, "datacentre", true, Some("platform")).await;
    profile(&client, "way-in").await;
    assert_eq!(enabled(&runs.lab), ["datacentre", "mine", "way-in"]);
    let summary = runs
        .contain(
            "enabled",
            "sets:\n  anchors: { from: rolesanywhere.trust-anchors, where: '!tags.exists(k, k == \"owner\") && source_type == \"CERTIFICATE_BUNDLE\"' }\n\
             \x20 profiles: { from: rolesanywhere.profiles, where: 'roles.exists(r, r.endsWith(\"role/build\")) && duration == 3600' }\n\
             steps:\n  - { id: anchors, uses: rolesanywhere.disable, on: anchors }\n\
             \x20 - { id: profiles, uses: rolesanywhere.disable, on: profiles }",
        )
        .await;
    assert_eq!((summary.outcome, summary.changes.done), (RunOutcome::Contained, 2), "{summary:#?}");
    assert_eq!(summary.throttled, 0, "one request a second is kept");
    let seen = &summary.coverage;
    assert_eq!((seen.acted, seen.denied, seen.unreachable, seen.unknown), (1, 0, 0, 0), "{seen:?}");
    assert_eq!(enabled(&runs.lab), ["datacentre"]);

    let back = runs.take_back().await;
    assert_eq!(back.outcome, RunOutcome::RolledBack, "{back:#?}");
    assert_eq!(enabled(&runs.lab), ["datacentre", "mine", "way-in"]);
}

#[tokio::test(start_paused = true)]
async fn one_that_somebody_deleted_is_off() {
    let lab = Lab::new().await;
    let target = lab.region();
    let client = Client::new(&lab.enter(&target, Access::Write).await.sdk);
    let id = anchor(&client, "mine", true, None).await;
    let members = lab.list("rolesanywhere.trust-anchors", json!({}), &target).await;
    let drive = Drive::new(&lab, "rolesanywhere.disable", json!({}), &target, &members);
    let items = drive.items().await;
    client.delete_trust_anchor().trust_anchor_id(&id).send().await.unwrap();
    drive.apply(&items).await;
    drive.assert_proven(&items).await;
}
