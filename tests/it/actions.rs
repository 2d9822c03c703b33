//! Every action over the simulated AWS, through the real SDK: applied twice, proven, taken back twice.

use std::sync::Arc;

use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_sdk_ec2::types::{InstanceMarketOptionsRequest, MarketType, SpotInstanceType, SpotMarketOptions};
use quell::actions;
use quell::cloud::{CloudSessions, Options};
use quell::engine::Engine;
use quell::engine::action::{Ctx, Decision, Found, Item, Wanted};
use quell::engine::ports::{Access, Clock, Lane, Sessions, TokioClock};
use quell::engine::table::{DynAction, Table};
use quell::model::{
    Accounts, ChangeId, Effect, ErrorKind, Kind, Region, Regions, Resource, ResourceId, Role, RunId, Severity, StepId,
    Target, Targets, Verdict,
};
use quell::sim::Sim;
use quell::sim::organizations;
use quell::sim::scenario::{Facts, Scenario};
use serde_json::{Map, Value, json};

/// Who may take a role: the account itself.
const TRUST: &str = r#"{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole",
    "Principal": {"AWS": "arn:aws:iam::430987654321:root"}}]}"#;

/// A small breached organisation, and the responder's sessions in it.
pub struct Lab {
    pub sim: Sim,
    sessions: CloudSessions,
    pub facts: Facts,
    /// The intruder's long-term key.
    pub attacker: Credentials,
    pub table: Table,
}

/// The accounts and the role that a runbook for the breached account names.
fn breached(facts: &Facts) -> Targets {
    Targets {
        accounts: Accounts::OfKey(facts.leaked_key.to_string()),
        regions: Regions::Enabled,
        role: Some(Role { name: "ir/IRResponder".into(), external_id: None }),
    }
}

impl Lab {
    pub async fn new() -> Self {
        let scenario = Scenario::named("cryptojack-small").unwrap();
        let built = scenario.build(1, "2026-03-03T18:00:00Z".parse().unwrap()).unwrap();
        let clock = TokioClock::starting_at(built.begins);
        let sim = Sim::new(built.world, move || clock.now());
        let keys = |name: &str| {
            let keys = &built.credentials[name];
            Credentials::new(keys.access_key_id.as_str(), keys.secret_access_key.0.clone(), None, None, "scenario")
        };
        let (attacker, keys) = (keys("attacker"), keys("responder"));
        let options = Options {
            profile: None,
            region: Some("us-east-1".into()),
            http: Some(sim.http_client()),
            credentials: Some(SharedCredentialsProvider::new(keys)),
            endpoint_url: None,
            clock: Arc::new(clock),
            case: RunId::new("case-1").unwrap(),
            now: built.begins,
        };
        let sessions = CloudSessions::new(options).await.unwrap();
        sessions.accounts(&breached(&built.facts)).await.unwrap();
        Self { sim, sessions, facts: built.facts, attacker, table: actions::table() }
    }

    /// The regional lanes of the breached account.
    async fn regions(&self, targets: &Targets) -> Vec<Lane> {
        let accounts = self.sessions.accounts(targets).await.unwrap();
        self.sessions.regions(&accounts[0].0, &targets.regions).await.unwrap()
    }

    pub fn global(&self) -> Target {
        Target::global(self.facts.breached_account.clone())
    }

    pub async fn enter(&self, target: &Target, access: Access) -> Ctx {
        self.sessions.enter(target, access).await.unwrap()
    }

    pub async fn list(&self, source: &str, with: Value, target: &Target) -> Vec<Resource> {
        let cx = self.enter(target, Access::Read).await;
        self.table
            .source(source)
            .unwrap()
            .list(&cx, &object(with), &Wanted { fields: vec!["image_owner"], known: Vec::new() })
            .await
            .unwrap()
    }

    /// The user whose key leaked.
    pub async fn intruder(&self) -> Vec<Resource> {
        self.list("iam.owner-of-key", json!({ "key": self.facts.leaked_key }), &self.global()).await
    }

    /// The intruder's machines in one region.
    async fn rogue(&self) -> (Target, Vec<Resource>) {
        let first = &self.facts.machines["rogue"][0];
        let target = Target::new(first.account.clone(), first.region.clone());
        let rogue: Vec<&str> = self.facts.machines["rogue"].iter().map(|machine| machine.id.as_str()).collect();
        let mut members = self.list("ec2.instances", json!({}), &target).await;
        members.retain(|member| rogue.contains(&member.id.as_str()));
        assert!(!members.is_empty());
        (target, members)
    }
}

fn object(value: Value) -> Map<String, Value> {
    value.as_object().cloned().expect("an object")
}

/// An action on its way through a run.
pub struct Drive<'a> {
    lab: &'a Lab,
    pub action: &'a dyn DynAction,
    pub with: Map<String, Value>,
    target: Target,
    members: Vec<Resource>,
}

impl<'a> Drive<'a> {
    pub fn new(lab: &'a Lab, action: &str, with: Value, target: &Target, members: &[Resource]) -> Self {
        let action = lab.table.action(action).unwrap();
        // As in all looks but the survey's: what was listed once is not known any more.
        let bare = |member: &Resource| Resource { fields: Map::new(), ..member.clone() };
        Self { lab, action, with: object(with), target: target.clone(), members: members.iter().map(bare).collect() }
    }

    /// What a look finds. Under the read-only guard, as in a survey.
    pub async fn look(&self) -> Vec<Found<Value>> {
        let cx = self.lab.enter(&self.target, Access::Read).await;
        self.action.discover(&cx, &self.with, &self.members).await.unwrap()
    }

    pub async fn decide(&self, found: &Found<Value>) -> Decision {
        let cx = self.lab.enter(&self.target, Access::Read).await;
        self.action.plan(&cx.view, &self.with, found).unwrap()
    }

    /// The changes that a plan would hold, each with what was found.
    pub async fn items(&self) -> Vec<Item<Value>> {
        let step = StepId::new("step").unwrap();
        let mut items = Vec::new();
        for found in self.look().await {
            if let Decision::Change(_) = self.decide(&found).await {
                let change = ChangeId::of(&step, &self.target, &found.resource);
                items.push(Item { change, member: found.member, resource: found.resource, prior: found.prior });
            }
        }
        items
    }

    /// Applies in batches; one that fails is taken apart, as the engine does.
    pub async fn apply(&self, items: &[Item<Value>]) -> Vec<Effect> {
        let cx = self.lab.enter(&self.target, Access::Write).await;
        let mut effects = Vec::new();
        for batch in items.chunks(self.action.batch()) {
            match self.action.apply(&cx, &self.with, batch).await {
                Ok(made) => effects.extend(made),
                Err(error) => {
                    assert!(batch.len() > 1, "{error}");
                    for item in batch {
                        effects.extend(self.action.apply(&cx, &self.with, std::slice::from_ref(item)).await.unwrap());
                    }
                }
            }
        }
        assert_eq!(effects.len(), items.len(), "one effect per change");
        effects
    }

    pub async fn assert_proven(&self, items: &[Item<Value>]) {
        let cx = self.lab.enter(&self.target, Access::Read).await;
        let found = self.look().await;
        for item in items {
            let found = found.iter().find(|found| found.resource == item.resource).expect("it is still there");
            let verdict = self.action.verify(&cx.view, &self.with, found).unwrap();
            assert!(!matches!(verdict, Verdict::Unproven { .. }), "{}: {verdict:?}", item.resource);
        }
    }

    pub async fn undo(&self, items: &[Item<Value>], effects: &[Effect]) {
        let cx = self.lab.enter(&self.target, Access::Write).await;
        for (item, effect) in items.iter().zip(effects).rev() {
            self.action.undo(&cx, &self.with, item, effect).await.unwrap();
        }
    }

    /// Everything is as it was before.
    pub async fn assert_restored(&self, items: &[Item<Value>]) {
        let found = self.look().await;
        for item in items {
            let now = found.iter().find(|found| found.resource == item.resource).expect("it is still there");
            assert_eq!(self.action.drift(&item.prior, &now.prior).unwrap(), None, "{}", item.resource);
            assert!(matches!(self.decide(now).await, Decision::Change(_)), "{} can be changed again", item.resource);
        }
    }

    /// Plan, preflight, apply twice, look, undo twice, look; and once more without an effect, as after a crash.
    pub async fn there_and_back(&self) {
        let items = self.items().await;
        assert!(!items.is_empty(), "nothing to change");
        let cx = self.lab.enter(&self.target, Access::Read).await;
        assert_eq!(self.action.preflight(&cx, &self.with, &items).await.unwrap(), []);

        let effects = self.apply(&items).await;
        self.assert_proven(&items).await;
        self.apply(&items).await;
        self.assert_proven(&items).await;
        self.undo(&items, &effects).await;
        self.assert_restored(&items).await;
        self.undo(&items, &effects).await;
        self.assert_restored(&items).await;
    }

    /// A run that was cut off has no effects to tell: the way back must do without.
    pub async fn back_without_effects(&self) {
        let items = self.items().await;
        self.apply(&items).await;
        self.undo(&items, &vec![Value::Null; items.len()]).await;
        self.assert_restored(&items).await;
    }
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
    let role = Some(Role { name: "NoSuchRole".into(), external_id: None });
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

#[tokio::test(start_paused = true)]
async fn a_key_that_nobody_owns_is_named_with_the_way_out() {
    let lab = Lab::new().await;
    let cx = lab.enter(&lab.global(), Access::Read).await;
    let with = object(json!({ "key": "AKIAIOSFODNN7EXAMPLE" }));
    let error = lab.table.source("iam.owner-of-key").unwrap().list(&cx, &with, &Wanted::default()).await.unwrap_err();
    for word in ["AKIAIOSFODNN7EXAMPLE", lab.facts.breached_account.as_str(), "credential report"] {
        assert!(error.message.contains(word), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_owner_of_the_leaked_key_is_among_the_users() {
    let lab = Lab::new().await;
    let owner = lab.intruder().await;
    assert_eq!(owner[0].fields["name"], lab.facts.compromised_user);
    let users = lab.list("iam.users", json!({}), &lab.global()).await;
    let same = users.iter().find(|user| user.id == owner[0].id).expect("the owner is a user");
    assert_eq!(same.fields, owner[0].fields);
    let roles = lab.list("iam.roles", json!({}), &lab.global()).await;
    assert!(roles.iter().any(|role| role.fields["name"] == "IRResponder" && role.fields["path"] == "/ir/"));
}

#[tokio::test(start_paused = true)]
async fn keys_go_off_and_on() {
    let lab = Lab::new().await;
    let intruder = lab.intruder().await;
    let drive = Drive::new(&lab, "iam.deactivate-access-keys", json!({}), &lab.global(), &intruder);
    assert_eq!(drive.items().await.len(), 2, "the leaked key, and the one that the intruder made");
    drive.there_and_back().await;
    drive.back_without_effects().await;
}

#[tokio::test(start_paused = true)]
async fn denies_and_revocations_of_users_and_roles_go_on_and_off() {
    let lab = Lab::new().await;
    let intruder = lab.intruder().await;
    for action in ["iam.deny-all", "iam.revoke-sessions"] {
        let drive = Drive::new(&lab, action, json!({}), &lab.global(), &intruder);
        drive.there_and_back().await;
        drive.back_without_effects().await;
    }
}

/// What a plan of these sets and steps is refused for. `accounts` is where.
async fn refusals(lab: Lab, accounts: &str, rest: &str) -> Vec<String> {
    let text = format!(
        "quell: 1\nname: guarded\ntitle: Guarded\ntargets: {{ accounts: {accounts}, role: ir/IRResponder }}\n\
         break_glass: [role/BreakGlass]\n{rest}"
    );
    let (runbook, _) = quell::runbook::load("guarded", &text, &lab.table.catalog()).unwrap();
    let clock = Arc::new(TokioClock::starting_at(lab.sim.now()));
    let engine = Engine { sessions: Arc::new(lab.sessions), table: lab.table, clock };
    let (case, now) = (RunId::new("case-1").unwrap(), lab.sim.now());
    let planned = engine.plan(&runbook, &Map::new(), &case, now, &mut |_| ()).await.unwrap();
    let refused = planned.plan.findings.into_iter().filter(|finding| finding.severity == Severity::Refusal);
    refused.map(|finding| finding.message).collect()
}

#[tokio::test(start_paused = true)]
async fn a_plan_that_would_lock_out_whom_quell_works_as_is_refused() {
    for action in ["iam.deny-all", "iam.revoke-sessions"] {
        for (name, path) in [("IRResponder", "role/ir/IRResponder"), ("BreakGlass", "role/emergency/BreakGlass")] {
            let lab = Lab::new().await;
            let iam = aws_sdk_iam::Client::new(&lab.enter(&lab.global(), Access::Write).await.sdk);
            let made = iam.create_role().role_name("BreakGlass").path("/emergency/");
            made.assume_role_policy_document(TRUST).send().await.unwrap();
            tokio::time::sleep(std::time::Duration::from_mins(1)).await;

            let account = format!("[\"{}\"]", lab.facts.breached_account);
            let rest = format!(
                "sets: {{ roles: {{ from: iam.roles, where: name == \"{name}\" }} }}\n\
                 steps: [{{ id: shut, uses: {action}, on: roles }}]"
            );
            let refused = refusals(lab, &account, &rest).await;
            assert_eq!(refused.len(), 1, "{action} {name}: {refused:?}");
            assert!(refused[0].contains(path) && refused[0].contains("would lock out"), "{refused:?}");
            assert!(refused[0].contains("take it out of the set"), "{refused:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_plan_against_the_caller_itself_is_refused() {
    for action in ["iam.deny-all", "iam.revoke-sessions", "iam.deactivate-access-keys"] {
        let rest = format!(
            "sets: {{ people: {{ from: iam.users, where: name == \"noa.lindqvist\" }} }}\n\
             steps: [{{ id: shut, uses: {action}, on: people }}]"
        );
        let refused = refusals(Lab::new().await, "self", &rest).await;
        assert_eq!(refused.len(), 1, "{action}: {refused:?}");
        assert!(refused[0].contains("quell") && refused[0].contains("use another principal"), "{refused:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_scp_is_not_relied_on_where_none_binds() {
    let step =
        "steps: [{ id: lock, uses: organizations.deny-all, with: { exempt: [role/ir/IRResponder, role/BreakGlass] } }]";
    let refused = refusals(Lab::new().await, "self", step).await;
    assert_eq!(refused.len(), 1, "{refused:?}");
    assert!(refused[0].contains("management account") && refused[0].contains("iam.deny-all"), "{refused:?}");
}

#[tokio::test(start_paused = true)]
async fn a_password_goes_and_its_loss_is_said() {
    let lab = Lab::new().await;
    let intruder = lab.intruder().await;
    let drive = Drive::new(&lab, "iam.remove-login-profile", json!({}), &lab.global(), &intruder);
    let items = drive.items().await;
    drive.apply(&items).await;
    drive.apply(&items).await;
    drive.assert_proven(&items).await;
    let cx = lab.enter(&lab.global(), Access::Write).await;
    let error = drive.action.undo(&cx, &drive.with, &items[0], &Value::Null).await.unwrap_err();
    assert!(error.message.contains("set a new one"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn an_account_is_quarantined_and_released() {
    let lab = Lab::new().await;
    let id = ResourceId::new(lab.facts.breached_account.as_str()).unwrap();
    let account = Resource { kind: Kind::new("account"), id, target: lab.global(), fields: Map::new() };
    let with = json!({ "exempt": ["role/ir/IRResponder"] });
    let drive = Drive::new(&lab, "organizations.deny-all", with, &lab.global(), &[account]);
    drive.there_and_back().await;
    drive.back_without_effects().await;
}

#[tokio::test(start_paused = true)]
async fn an_account_is_moved_to_a_quarantine_unit_and_back() {
    let lab = Lab::new().await;
    let unit = |deny: Option<&str>| {
        let mut id = String::new();
        lab.sim.change(|world| {
            let organization = world.organization.as_mut().unwrap();
            let root = organization.root.clone();
            id = organization.add_unit(&mut world.rng, "quarantine", &root);
            if let Some(content) = deny {
                let (name, content) = (format!("close-{id}"), content.to_owned());
                let (description, tags) = (String::new(), std::collections::BTreeMap::new());
                let policy = organizations::Policy { name, description, content, aws_managed: false, tags };
                organization.policies.insert(format!("p-{id}"), policy);
                organization.attach(&id.clone(), &format!("p-{id}"));
            }
        });
        id
    };
    let id = ResourceId::new(lab.facts.breached_account.as_str()).unwrap();
    let account = [Resource { kind: Kind::new("account"), id, target: lab.global(), fields: Map::new() }];
    let closed = unit(Some(&quell::policy::deny_all_except_roles(&["arn:aws:iam::*:role/ir/IRResponder"])));
    let drive = Drive::new(&lab, "organizations.move-account", json!({ "to": closed }), &lab.global(), &account);
    drive.there_and_back().await;
    drive.back_without_effects().await;

    // What somebody moved on meanwhile stays where it is.
    let items = drive.items().await;
    drive.apply(&items).await;
    let open = unit(None);
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
async fn a_profile_goes_and_comes_back() {
    let lab = Lab::new().await;
    let (target, rogue) = lab.rogue().await;
    let iam = aws_sdk_iam::Client::new(&lab.enter(&lab.global(), Access::Write).await.sdk);
    let made = iam.create_instance_profile().instance_profile_name("miner").send().await.unwrap();
    let profile = aws_sdk_ec2::types::IamInstanceProfileSpecification::builder();
    let profile = profile.arn(made.instance_profile().unwrap().arn()).build();
    let ec2 = aws_sdk_ec2::Client::new(&lab.enter(&target, Access::Write).await.sdk);
    let attach = ec2.associate_iam_instance_profile().instance_id(rogue[0].id.as_str());
    attach.iam_instance_profile(profile).send().await.unwrap();

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
async fn volumes_and_key_pairs_are_listed() {
    let lab = Lab::new().await;
    let (target, rogue) = lab.rogue().await;
    let volumes = lab.list("ec2.volumes", json!({}), &target).await;
    let of_rogue = volumes.iter().filter(|volume| volume.fields["instance"] == rogue[0].id.as_str());
    assert!(of_rogue.count() >= 1);
    lab.list("ec2.key-pairs", json!({}), &target).await;
}

/// A group of the intruder's with three machines, in the region of the first rogue machine.
async fn miners(lab: &Lab, target: &Target) {
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

#[tokio::test(start_paused = true)]
async fn what_launches_machines_is_suspended_and_goes_on() {
    let lab = Lab::new().await;
    let (target, _) = lab.rogue().await;
    miners(&lab, &target).await;
    let members = lab.list("ec2.instances", json!({}), &target).await;
    let drive = Drive::new(&lab, "ec2.suspend-launchers", json!({}), &target, &members);
    assert_eq!(drive.items().await.len(), 3, "the machines of the group, and no others");
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
