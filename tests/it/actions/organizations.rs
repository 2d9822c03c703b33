//! Accounts closed by their organisation.

use aws_sdk_organizations::types::PolicyType;
use quell::engine::action::Decision;
use quell::engine::ports::{Access, Sessions as _};
use quell::sim::organizations;
use serde_json::{Value, json};
use tokio::time::{Duration, sleep};

use super::drive::Drive;
use super::lab::Lab;
use super::stage::{Scene, Stage};

pub const STAGES: &[Stage] = &[
    Stage { action: "organizations.deny-all", on: "an account", set_up: |lab| Box::pin(async move { closed(lab) }) },
    Stage { action: "organizations.deny-all", on: "a unit", set_up: |lab| Box::pin(async move { whole_unit(lab) }) },
    Stage {
        action: "organizations.deny-all",
        on: "a user of Identity Center",
        set_up: |lab| Box::pin(async move { user(lab) }),
    },
    Stage { action: "organizations.deny-outsiders", on: "an account", set_up: |lab| Box::pin(outsiders(lab)) },
    Stage { action: "organizations.move-account", on: "an account", set_up: |lab| Box::pin(async move { moved(lab) }) },
];

fn closed(lab: &Lab) -> Scene {
    Scene::account(lab).with(json!({ "exempt": ["role/ir/IRResponder"] }))
}

fn whole_unit(lab: &Lab) -> Scene {
    let unit = unit(lab, None);
    lab.sim.change(|world| {
        let members = &mut world.organization.as_mut().unwrap().members;
        members.get_mut(&lab.facts.breached_account).unwrap().parent.clone_from(&unit);
    });
    Scene::account(lab).with(json!({ "exempt": ["role/ir/IRResponder"], "unit": unit }))
}

fn user(lab: &Lab) -> Scene {
    Scene::account(lab).with(json!({ "exempt": ["role/ir/IRResponder"], "users": ["9067a1b2c3-4d5e"] }))
}

async fn outsiders(lab: &Lab) -> Scene {
    switch_on_resource_control(lab).await;
    // The lockout guard does not know of which organisation the caller is.
    let caller = lab.sessions.caller().await.unwrap().account;
    Scene::account(lab).with(json!({ "keep": [caller] }))
}

/// Resource control policies are switched off until somebody switches them on.
async fn switch_on_resource_control(lab: &Lab) {
    let home = lab.enter(&lab.global(), Access::Write).await.home;
    let client = aws_sdk_organizations::Client::new(&home);
    let root = client.list_roots().send().await.unwrap().roots.unwrap().remove(0).id.unwrap();
    let request = client.enable_policy_type().root_id(root);
    request.policy_type(PolicyType::ResourceControlPolicy).send().await.unwrap();
}

fn moved(lab: &Lab) -> Scene {
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
            let kind = organizations::PolicyType::ServiceControl;
            let policy = organizations::Policy { name, description, kind, content, aws_managed: false, tags };
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

#[tokio::test(start_paused = true)]
async fn a_whole_unit_is_closed_by_one_call_and_opened_again() {
    let lab = Lab::new().await;
    let unit = unit(&lab, None);
    lab.sim.change(|world| {
        let members = &mut world.organization.as_mut().unwrap().members;
        members.get_mut(&lab.facts.breached_account).unwrap().parent.clone_from(&unit);
    });
    let with = json!({ "exempt": ["role/ir/IRResponder"], "unit": unit });
    let drive = Drive::new(&lab, "organizations.deny-all", with, &lab.global(), &[lab.account()]);
    drive.there_and_back().await;
    drive.back_without_effects().await;
    let items = drive.items().await;
    assert_eq!(items[0].resource.as_str(), unit);
    drive.apply(&items).await;
    sleep(Duration::from_mins(1)).await;
    assert!(!lab.gets_in(&lab.attacker).await, "the policy of the unit binds its account");

    let nowhere = json!({ "exempt": ["role/ir/IRResponder"], "unit": "ou-none-00000000" });
    let drive = Drive::new(&lab, "organizations.deny-all", nowhere, &lab.global(), &[lab.account()]);
    let decision = drive.decide(&drive.look().await[0]).await;
    assert!(matches!(&decision, Decision::Refuse(why) if why.contains("has no unit")), "{decision:?}");
}

#[tokio::test(start_paused = true)]
async fn outsiders_no_longer_enter_a_role_that_trusts_them() {
    let lab = Lab::new().await;
    let outside = quell::model::AccountId::new("999988887777").unwrap();
    let now = lab.sim.now();
    let thief = lab.sim.change(|world| {
        world.add_account(outside.clone(), "thieves");
        let user = quell::sim::iam::create_user(world, &outside, "/", "thief", now).unwrap();
        user.policies.managed.insert(super::ADMINISTRATOR.to_owned());
        let (id, secret) = quell::sim::iam::add_access_key(world, &outside, Some("thief"), now).unwrap();
        aws_credential_types::Credentials::new(id.as_str(), secret.0.clone(), None, None, "thief")
    });
    lab.add_role("backup", "arn:aws:iam::999988887777:root");
    let enters = async || {
        let request = lab.sts(&thief, "us-east-1").assume_role().role_arn(lab.role_arn("backup"));
        request.role_session_name("x").send().await.is_ok()
    };
    assert!(enters().await, "the trust policy lets the outsider in");

    let off = Drive::new(&lab, "organizations.deny-outsiders", json!({}), &lab.global(), &[lab.account()]);
    let decision = off.decide(&off.look().await[0]).await;
    assert!(matches!(&decision, Decision::Refuse(why) if why.contains("switched off")), "{decision:?}");

    switch_on_resource_control(&lab).await;
    let drive = Drive::new(&lab, "organizations.deny-outsiders", json!({}), &lab.global(), &[lab.account()]);
    drive.there_and_back().await;
    drive.back_without_effects().await;
    let items = drive.items().await;
    drive.apply(&items).await;
    sleep(Duration::from_mins(1)).await;
    assert!(!enters().await, "whatever the trust policy says");
    let verdict = async |action: &str| {
        let cx = lab.enter(&lab.global(), Access::Read).await;
        let (of, role) = (cx.view.caller.arn.clone(), lab.role_arn("backup"));
        let known =
            quell::cloud::policies::of_request(&cx, &lab.role_arn("ir/IRResponder"), action, &role).await.unwrap();
        assert_eq!(known.unread, [""; 0]);
        let context = quell::policy::Context::of("arn:aws:iam::999988887777:user/thief");
        let context = context.with("aws:PrincipalOrgID", "o-elsewhere").with("aws:PrincipalAccount", "999988887777");
        let context = context.with("aws:PrincipalIsAWSService", "false");
        let principal = if action.starts_with("sts:") { "arn:aws:iam::999988887777:user/thief".to_owned() } else { of };
        let request = quell::policy::Request { principal, action: action.to_owned(), resource: role, context };
        let layers = quell::policy::Layers { scps: Vec::new(), ..known.layers };
        quell::policy::explain(&request, &layers).because.join("; ")
    };
    let because = verdict("sts:AssumeRole").await;
    assert!(because.contains("IRDenyOutsiders"), "what is read of the organisation explains it: {because}");
    let because = verdict("iam:GetRole").await;
    assert!(!because.contains("resource control policy"), "IAM is none of the services that they bind: {because}");
    lab.enter(&lab.global(), Access::Write).await;

    let kept = json!({ "keep": ["999988887777"] });
    drive.undo(&items, &[Value::Null]).await;
    let drive = Drive::new(&lab, "organizations.deny-outsiders", kept, &lab.global(), &[lab.account()]);
    let items = drive.items().await;
    drive.apply(&items).await;
    sleep(Duration::from_mins(1)).await;
    assert!(enters().await, "whom the runbook keeps stays");
}

#[tokio::test(start_paused = true)]
async fn a_deny_ends_by_itself_only_where_it_was_told_to() {
    let lab = Lab::new().await;
    let exempt = json!(["role/ir/IRResponder"]);
    let lets_in = async || lab.sts(&lab.attacker, "us-east-1").get_session_token().send().await.is_ok();
    let end = lab.sim.now() + jiff::SignedDuration::from_hours(2);
    let ending = json!({ "exempt": exempt, "expires": end.to_string() });
    for (with, after) in [(ending, true), (json!({ "exempt": exempt }), false)] {
        let drive = Drive::new(&lab, "organizations.deny-all", with, &lab.global(), &[lab.account()]);
        let items = drive.items().await;
        drive.apply(&items).await;
        sleep(Duration::from_mins(5)).await;
        assert!(!lets_in().await, "it denies at once");
        sleep(Duration::from_hours(2)).await;
        assert_eq!(lets_in().await, after, "two hours later");
        drive.undo(&items, &[Value::Null]).await;
        sleep(Duration::from_mins(5)).await;
        assert!(lets_in().await, "taken back");
    }
}

#[tokio::test(start_paused = true)]
async fn a_full_target_says_what_to_do() {
    let lab = Lab::new().await;
    let account = lab.facts.breached_account.to_string();
    let drive = Drive::new(
        &lab,
        "organizations.deny-all",
        json!({ "exempt": ["role/ir/IRResponder"] }),
        &lab.global(),
        &[lab.account()],
    );
    let items = drive.items().await;
    lab.sim.change(|world| {
        let organization = world.organization.as_mut().unwrap();
        for number in 0..9 {
            let filler = organization.policies[organizations::FULL_ACCESS].clone();
            organization.policies.insert(format!("p-{number}"), filler);
            organization.attach(&account, &format!("p-{number}"));
        }
    });
    let cx = lab.enter(&lab.global(), Access::Write).await;
    let error = drive.action.apply(&cx, &drive.with, &items).await.unwrap_err();
    assert_eq!(error.kind, quell::model::ErrorKind::Quota);
    for said in ["MAX_POLICY_TYPE_ATTACHMENT_LIMIT_EXCEEDED", "detach one", "with.unit"] {
        assert!(error.message.contains(said), "{error}");
    }
}
