//! IAM Identity Center: what users and groups are assigned is taken from them, and given back.

use aws_sdk_identitystore::types::MemberId;
use aws_sdk_ssoadmin::types::{PrincipalType, TargetType};
use quell::engine::action::Wanted;
use quell::engine::ports::Access;
use quell::model::{ErrorKind, Resource, RunOutcome, Target};
use serde_json::{Map, json};

use super::run::{Runs, wait};
use crate::actions::{Drive, Lab, Scene, Stage};

pub const STAGES: &[Stage] = &[
    Stage {
        action: "sso.remove-assignments",
        on: "a user",
        set_up: |lab| Box::pin(assigned(lab, PrincipalType::User)),
    },
    Stage {
        action: "sso.remove-assignments",
        on: "a group",
        set_up: |lab| Box::pin(assigned(lab, PrincipalType::Group)),
    },
    Stage { action: "identitystore.remove-memberships", on: "a member", set_up: |lab| Box::pin(member(lab)) },
];

async fn assigned(lab: &Lab, kind: PrincipalType) -> Scene {
    let center = Center::of(lab).await;
    let set = center.permission_set("Admin").await;
    let id = if kind == PrincipalType::User { center.user("eve").await } else { center.group("admins").await };
    center.assign(&set, kind, &id).await;
    Scene::in_account(lab, "{ from: sso.assignments }")
}

async fn member(lab: &Lab) -> Scene {
    let center = Center::of(lab).await;
    let (set, group, eve) =
        (center.permission_set("Admin").await, center.group("admins").await, center.user("eve").await);
    center.join(&group, &eve).await;
    center.assign(&set, PrincipalType::Group, &group).await;
    Scene::in_account(lab, "{ from: identitystore.memberships }")
}

/// The lab's Identity Center, as its administrators see it.
struct Center<'a> {
    lab: &'a Lab,
    admin: aws_sdk_ssoadmin::Client,
    store: aws_sdk_identitystore::Client,
    instance: String,
    store_id: String,
}

impl<'a> Center<'a> {
    async fn of(lab: &'a Lab) -> Self {
        let home = lab.enter(&lab.global(), Access::Write).await.home;
        let center = lab.sim.world().identity_center.unwrap();
        let sdk = home.to_builder().region(aws_config::Region::new(center.region.to_string())).build();
        let (admin, store) = (aws_sdk_ssoadmin::Client::new(&sdk), aws_sdk_identitystore::Client::new(&sdk));
        Self { lab, admin, store, instance: center.instance, store_id: center.store }
    }

    async fn user(&self, name: &str) -> String {
        let made = self.store.create_user().identity_store_id(&self.store_id).user_name(name).send().await;
        made.unwrap().user_id
    }

    async fn group(&self, name: &str) -> String {
        let made = self.store.create_group().identity_store_id(&self.store_id).display_name(name).send().await;
        made.unwrap().group_id
    }

    async fn join(&self, group: &str, user: &str) {
        let request = self.store.create_group_membership().identity_store_id(&self.store_id).group_id(group);
        request.member_id(MemberId::UserId(user.to_owned())).send().await.unwrap();
    }

    async fn permission_set(&self, name: &str) -> String {
        let made = self.admin.create_permission_set().instance_arn(&self.instance).name(name).send().await.unwrap();
        made.permission_set.unwrap().permission_set_arn.unwrap()
    }

    /// Assigns in the breached account, and waits until it is done.
    async fn assign(&self, set: &str, kind: PrincipalType, id: &str) {
        let request = self.admin.create_account_assignment().instance_arn(&self.instance).permission_set_arn(set);
        let request = request.target_type(TargetType::AwsAccount).target_id(self.lab.facts.breached_account.as_str());
        request.principal_type(kind).principal_id(id).send().await.unwrap();
        wait(5).await;
    }

    /// Who is assigned in the breached account, and who is in a group.
    fn now(&self) -> (Vec<String>, Vec<(String, String)>) {
        let center = self.lab.sim.world().identity_center.unwrap();
        let name = |id: &str| center.users.get(id).or(center.groups.get(id)).map_or("?", |named| named.name.as_str());
        let mut assigned: Vec<_> = center.assignments.iter().map(|of| name(&of.principal_id).to_owned()).collect();
        let memberships = center.memberships.values();
        let mut members: Vec<_> =
            memberships.map(|of| (name(&of.group).to_owned(), name(&of.user).to_owned())).collect();
        assigned.sort();
        members.sort();
        (assigned, members)
    }
}

fn pair(group: &str, user: &str) -> (String, String) {
    (group.to_owned(), user.to_owned())
}

#[tokio::test(start_paused = true)]
async fn a_user_loses_what_lets_it_in_and_others_keep_it() {
    let runs = Runs::new().await;
    let center = Center::of(&runs.lab).await;
    let (admin, reader) = (center.permission_set("Admin").await, center.permission_set("Reader").await);
    let (eve, anna) = (center.user("eve").await, center.user("anna").await);
    let (admins, apps) = (center.group("admins").await, center.group("apps").await);
    for (group, user) in [(&admins, &eve), (&admins, &anna), (&apps, &eve)] {
        center.join(group, user).await;
    }
    center.assign(&admin, PrincipalType::Group, &admins).await;
    center.assign(&reader, PrincipalType::User, &eve).await;
    center.assign(&reader, PrincipalType::User, &anna).await;
    let before = center.now();
    let summary = runs
        .contain(
            "enabled",
            "sets:\n  assignments: { from: sso.assignments, with: { users: [eve] }, where: principal_type == \"USER\" }\n\
             \x20 memberships: { from: identitystore.memberships, with: { users: [eve] }, where: 'permission_sets.exists(p, p == \"Admin\")' }\n\
             steps:\n  - { id: assignments, uses: sso.remove-assignments, on: assignments }\n\
             \x20 - { id: memberships, uses: identitystore.remove-memberships, on: memberships }",
        )
        .await;
    assert_eq!(summary.outcome, RunOutcome::Contained, "{summary:#?}");
    let seen = &summary.coverage;
    assert_eq!((seen.acted, seen.denied, seen.unreachable, seen.unknown), (2, 0, 0, 0), "{seen:?}");
    let (assigned, members) = center.now();
    assert_eq!(assigned, ["admins", "anna"]);
    assert_eq!(members, [pair("admins", "anna"), pair("apps", "eve")]);

    let log = runs.lab.sim.log();
    let asked = |service: &str, operation: &str| {
        let of = log.iter().filter(|entry| entry.service == service && entry.operation == operation);
        of.map(|entry| (entry.region.clone(), entry.account.clone().unwrap().to_string()))
            .collect::<std::collections::BTreeSet<_>>()
    };
    let management = "210987654321".to_owned();
    assert_eq!(asked("sso", "ListInstances"), [("us-east-1".to_owned(), management.clone())].into());
    assert_eq!(asked("sso", "DeleteAccountAssignment"), [("eu-central-1".to_owned(), management.clone())].into());
    assert_eq!(asked("identitystore", "DeleteGroupMembership"), [("eu-central-1".to_owned(), management)].into());

    let back = runs.take_back().await;
    assert_eq!(back.outcome, RunOutcome::RolledBack, "{back:#?}");
    assert_eq!(center.now(), before);
}

#[tokio::test(start_paused = true)]
async fn assignments_and_memberships_tell_what_they_lead_to() {
    let lab = Lab::new().await;
    let center = Center::of(&lab).await;
    let (set, group, eve) =
        (center.permission_set("Admin").await, center.group("admins").await, center.user("eve").await);
    let other = center.group("others").await;
    center.join(&group, &eve).await;
    center.join(&other, &eve).await;
    center.assign(&set, PrincipalType::Group, &group).await;
    let cx = lab.enter(&lab.global(), Access::Read).await;
    let all = vec!["principal", "permission_set", "users", "group", "user", "created", "permission_sets"];
    let list = async |source: &str, with: serde_json::Value| {
        let wanted = Wanted { fields: all.clone(), known: Vec::new() };
        let with = with.as_object().unwrap().clone();
        lab.table.source(source).unwrap().list(&cx, &with, &wanted).await.unwrap().members
    };
    let assignments = list("sso.assignments", json!({})).await;
    assert_eq!(assignments.len(), 1);
    let fields = &assignments[0].fields;
    assert_eq!((&fields["principal"], &fields["permission_set"]), (&json!("admins"), &json!("Admin")));
    assert_eq!(fields["users"], json!([eve]));
    let of_eve = list("sso.assignments", json!({ "users": [eve] })).await;
    assert_eq!(of_eve.len(), 1, "by the group");
    let memberships = list("identitystore.memberships", json!({})).await;
    assert_eq!(memberships.len(), 1, "groups that lead nowhere do not count");
    let fields = &memberships[0].fields;
    assert_eq!((&fields["group"], &fields["user"]), (&json!("admins"), &json!("eve")));
    assert_eq!(fields["permission_sets"], json!(["Admin"]));
    assert_ne!(fields["created"], json!("1970-01-01T00:00:00Z"));
    assert_eq!(list("identitystore.memberships", json!({ "all_groups": true })).await.len(), 2);
    assert_eq!(list("identitystore.memberships", json!({ "users": ["eve"], "all_groups": true })).await.len(), 2);
    let with = json!({ "users": ["nobody"] }).as_object().unwrap().clone();
    let error = lab.table.source("sso.assignments").unwrap().list(&cx, &with, &Wanted::default()).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::NotFound);
    assert!(error.message.contains("no user `nobody`"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn where_no_instance_is_shown_another_account_is_not_called_clean() {
    let lab = Lab::new().await;
    lab.sim.change(|world| world.identity_center = None);
    let source = lab.table.source("sso.assignments").unwrap();
    let cx = lab.enter(&lab.global(), Access::Read).await;
    let error = source.list(&cx, &Map::new(), &Wanted::default()).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unsupported, "{error}");
    let own = Target::global(cx.view.caller.account.clone());
    let cx = lab.enter(&own, Access::Read).await;
    assert_eq!(source.list(&cx, &Map::new(), &Wanted::default()).await.unwrap().members, []);
}

#[tokio::test(start_paused = true)]
async fn who_is_no_administrator_is_told_who_is() {
    let lab = Lab::new().await;
    let breached = lab.facts.breached_account.clone();
    lab.sim.change(|world| world.identity_center.as_mut().unwrap().owner = breached);
    let cx = lab.enter(&lab.global(), Access::Read).await;
    let source = lab.table.source("sso.assignments").unwrap();
    let error = source.list(&cx, &Map::new(), &Wanted::default()).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Denied);
    assert!(error.message.contains("delegated administrator"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn assignments_of_one_permission_set_follow_one_another() {
    let runs = Runs::new().await;
    let center = Center::of(&runs.lab).await;
    let set = center.permission_set("Admin").await;
    for number in 0..12 {
        let user = center.user(&format!("user-{number}")).await;
        center.assign(&set, PrincipalType::User, &user).await;
    }
    let summary = runs
        .contain(
            "enabled",
            "sets: { assignments: { from: sso.assignments } }\n\
             steps: [{ id: assignments, uses: sso.remove-assignments, on: assignments }]",
        )
        .await;
    assert_eq!((summary.outcome, summary.changes.done), (RunOutcome::Contained, 12), "{summary:#?}");
    assert_eq!(center.now().0, [""; 0]);
    let log = runs.lab.sim.log();
    assert!(log.iter().any(|entry| entry.outcome == "ConflictException"), "AWS makes them wait");
}

#[tokio::test(start_paused = true)]
async fn an_assignment_of_a_deleted_user_goes_and_what_aws_cannot_make_again_is_told() {
    let lab = Lab::new().await;
    let center = Center::of(&lab).await;
    let (set, eve) = (center.permission_set("Admin").await, center.user("eve").await);
    center.assign(&set, PrincipalType::User, &eve).await;
    center.store.delete_user().identity_store_id(&center.store_id).user_id(&eve).send().await.unwrap();
    let members = lab.list("sso.assignments", json!({}), &lab.global()).await;
    let drive = Drive::new(&lab, "sso.remove-assignments", json!({}), &lab.global(), &members);
    let items = drive.items().await;
    drive.apply(&items).await;
    drive.assert_proven(&items).await;
    let cx = lab.enter(&lab.global(), Access::Write).await;
    let error = drive.action.undo(&cx, &drive.with, &items[0], &json!(null)).await.unwrap_err();
    assert!(error.message.contains("could not make the assignment again: The USER"), "{error}");
}

/// The caller as a session of the permission set `Admin` in the breached account.
#[tokio::test(start_paused = true)]
async fn what_lets_the_caller_in_is_known() {
    let lab = Lab::new().await;
    let center = Center::of(&lab).await;
    let (set, group, eve) =
        (center.permission_set("Admin").await, center.group("admins").await, center.user("eve").await);
    let anna = center.user("anna").await;
    center.join(&group, &eve).await;
    center.assign(&set, PrincipalType::Group, &group).await;
    center.assign(&set, PrincipalType::User, &anna).await;
    let mut cx = lab.enter(&lab.global(), Access::Read).await;
    let account = lab.facts.breached_account.clone();
    let mut own = async |user: &str, source: &str, action: &str| {
        cx.view.caller.arn =
            format!("arn:aws:sts::{account}:assumed-role/AWSReservedSSO_Admin_0123456789abcdef/{user}");
        cx.view.caller.account = account.clone();
        let members: Vec<Resource> = lab.list(source, json!({}), &lab.global()).await;
        let found = lab.table.action(action).unwrap().discover(&cx, &Map::new(), &members).await.unwrap();
        found
            .iter()
            .filter(|found| found.prior["own"] == json!(true))
            .map(|found| found.resource.to_string())
            .collect::<Vec<_>>()
    };
    let by_group = format!("{set}/GROUP/{group}");
    assert_eq!(own("eve", "sso.assignments", "sso.remove-assignments").await, [by_group]);
    assert_eq!(own("anna", "sso.assignments", "sso.remove-assignments").await, [format!("{set}/USER/{anna}")]);
    assert_eq!(own("bob", "sso.assignments", "sso.remove-assignments").await, [""; 0]);
    let membership = format!("{group}/{eve}");
    assert_eq!(own("eve", "identitystore.memberships", "identitystore.remove-memberships").await, [membership]);
}

#[tokio::test(start_paused = true)]
async fn an_undo_waits_for_a_deletion_that_is_still_under_way() {
    let lab = Lab::new().await;
    let center = Center::of(&lab).await;
    let (set, eve) = (center.permission_set("Admin").await, center.user("eve").await);
    center.assign(&set, PrincipalType::User, &eve).await;
    let members = lab.list("sso.assignments", json!({}), &lab.global()).await;
    let drive = Drive::new(&lab, "sso.remove-assignments", json!({}), &lab.global(), &members);
    let items = drive.items().await;
    let request = center.admin.delete_account_assignment().instance_arn(&center.instance).permission_set_arn(&set);
    let request = request.target_type(TargetType::AwsAccount).target_id(lab.facts.breached_account.as_str());
    request.principal_type(PrincipalType::User).principal_id(&eve).send().await.unwrap();
    let cx = lab.enter(&lab.global(), Access::Write).await;
    drive.action.undo(&cx, &drive.with, &items[0], &json!(null)).await.unwrap();
    wait(30).await;
    assert_eq!(center.now().0, ["eve"]);
}
