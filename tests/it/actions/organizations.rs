//! Accounts closed by their organisation.

use quell::engine::action::Decision;
use quell::engine::ports::Access;
use quell::sim::organizations;
use serde_json::{Value, json};

use super::drive::Drive;
use super::lab::Lab;
use super::stage::{Scene, Stage};

pub const STAGES: &[Stage] = &[
    Stage { action: "organizations.deny-all", on: "an account", set_up: |lab| Box::pin(closed(lab)) },
    Stage { action: "organizations.move-account", on: "an account", set_up: |lab| Box::pin(moved(lab)) },
];

async fn closed(lab: &Lab) -> Scene {
    Scene::account(lab).with(json!({ "exempt": ["role/ir/IRResponder"] }))
}

async fn moved(lab: &Lab) -> Scene {
    let closed = unit(lab, Some(&quell::policy::deny_all_except_roles(&["arn:aws:iam::*:role/ir/IRResponder"])));
    Scene::account(lab).with(json!({ "to": closed }))
}

/// A new unit, with a policy of this text if there is one.
fn unit(lab: &Lab, deny: Option<&str>) -> String {
    lab.sim.change(|world| {
        let organization = world.organization.as_mut().unwrap();
        let root = organization.root.clone();
        let id = organization.add_unit(&mut world.rng, "quarantine", &root);
        if let Some(content) = deny {
            let (name, content) = (format!("close-{id}"), content.to_owned());
            let (description, tags) = (String::new(), std::collections::BTreeMap::new());
            let policy = organizations::Policy { name, description, content, aws_managed: false, tags };
            organization.policies.insert(format!("p-{id}"), policy);
            organization.attach(&id, &format!("p-{id}"));
        }
        id
    })
}

#[tokio::test(start_paused = true)]
async fn an_scp_is_not_relied_on_where_none_binds() {
    let step =
        "steps: [{ id: lock, uses: organizations.deny-all, with: { exempt: [role/ir/IRResponder, role/BreakGlass] } }]";
    let refused = Lab::new().await.refusals("self", step).await;
    assert_eq!(refused.len(), 1, "{refused:?}");
    assert!(refused[0].contains("management account") && refused[0].contains("iam.deny-all"), "{refused:?}");
}

#[tokio::test(start_paused = true)]
async fn an_account_is_quarantined_and_released() {
    let lab = Lab::new().await;
    let with = json!({ "exempt": ["role/ir/IRResponder"] });
    let drive = Drive::new(&lab, "organizations.deny-all", with, &lab.global(), &[lab.account()]);
    drive.there_and_back().await;
    drive.back_without_effects().await;
}

#[tokio::test(start_paused = true)]
async fn an_account_is_moved_to_a_quarantine_unit_and_back() {
    let lab = Lab::new().await;
    let account = [lab.account()];
    let closed = unit(&lab, Some(&quell::policy::deny_all_except_roles(&["arn:aws:iam::*:role/ir/IRResponder"])));
    let drive = Drive::new(&lab, "organizations.move-account", json!({ "to": closed }), &lab.global(), &account);
    drive.there_and_back().await;
    drive.back_without_effects().await;

    // What somebody moved on meanwhile stays where it is.
    let items = drive.items().await;
    drive.apply(&items).await;
    let open = unit(&lab, None);
    lab.sim.change(|world| {
        let members = &mut world.organization.as_mut().unwrap().members;
        members.get_mut(&lab.facts.breached_account).unwrap().parent = open.clone();
    });
    let cx = lab.enter(&lab.global(), Access::Write).await;
    let error = drive.action.undo(&cx, &drive.with, &items[0], &Value::Null).await.unwrap_err();
    assert!(error.message.contains(&open), "{error}");

    let nowhere = Drive::new(&lab, "organizations.move-account", json!({ "to": open }), &lab.global(), &account);
    let decision = nowhere.decide(&nowhere.look().await[0]).await;
    assert!(matches!(&decision, Decision::Refuse(why) if why.contains("no policy denies")), "{decision:?}");
}
