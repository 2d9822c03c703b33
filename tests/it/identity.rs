//! Footholds in IAM, over the simulated AWS: what a key has led to, and what else lets somebody in.

use aws_config::BehaviorVersion;
use aws_credential_types::Credentials;
use aws_sdk_sts::types::Credentials as Session;
use jiff::Timestamp;
use quell::engine::action::Decision;
use quell::engine::ports::Access;
use quell::model::{CoverageStatus, Region, Resource};
use quell::sim::iam;
use serde_json::{Map, Value, json};
use tokio::time::{Duration, sleep};

use crate::actions::{ADMINISTRATOR, Drive, Lab};

/// The longest that IAM takes to make a change known.
const KNOWN: Duration = Duration::from_mins(1);

impl Lab {
    /// The intruder's way to STS in a region.
    pub fn sts(&self, keys: &Credentials, region: &'static str) -> aws_sdk_sts::Client {
        let config = aws_sdk_sts::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(aws_sdk_sts::config::Region::new(region))
            .credentials_provider(keys.clone())
            .http_client(self.sim.http_client());
        aws_sdk_sts::Client::from_conf(config.build())
    }

    /// Whether somebody may list users.
    pub async fn gets_in(&self, keys: &Credentials) -> bool {
        let config = aws_sdk_iam::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(aws_sdk_iam::config::Region::new("us-east-1"))
            .credentials_provider(keys.clone())
            .http_client(self.sim.http_client());
        aws_sdk_iam::Client::from_conf(config.build()).list_users().send().await.is_ok()
    }

    /// Whether somebody may list machines.
    async fn looks_around(&self, keys: &Credentials) -> bool {
        let config = aws_sdk_ec2::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(aws_sdk_ec2::config::Region::new("eu-central-1"))
            .credentials_provider(keys.clone())
            .time_source(self.sim.time_source())
            .http_client(self.sim.http_client());
        aws_sdk_ec2::Client::from_conf(config.build()).describe_instances().send().await.is_ok()
    }

    /// Denies the responder's role an action.
    fn deny_responder(&self, action: &str) {
        let deny = json!({ "Version": "2012-10-17", "Statement": [
            { "Effect": "Deny", "Action": action, "Resource": "*" },
        ] });
        self.sim.change(|world| {
            let role = world.account_mut(&self.facts.breached_account).iam.roles.get_mut("IRResponder").unwrap();
            role.policies.inline.insert("Less".to_owned(), deny.to_string());
        });
    }

    /// The intruder goes from the account to a role, and from there to another.
    async fn enter_roles(&self) -> (Credentials, Credentials) {
        self.add_role("build", &format!("arn:aws:iam::{}:root", self.facts.breached_account));
        self.add_role("release", &self.role_arn("build"));
        self.add_role("backup", "arn:aws:iam::999988887777:root");
        let assume = async |keys: &Credentials, region, role: &str| {
            let request = self.sts(keys, region).assume_role().role_arn(self.role_arn(role)).role_session_name("ci");
            credentials(request.send().await.unwrap().credentials().unwrap())
        };
        let build = assume(&self.attacker, "eu-west-1", "build").await;
        let release = assume(&build, "us-east-1", "release").await;
        (build, release)
    }

    async fn sessions_of_key(&self) -> Vec<Resource> {
        self.list("iam.sessions-of-key", json!({ "key": self.facts.leaked_key }), &self.global()).await
    }
}

fn credentials(session: &Session) -> Credentials {
    let token = Some(session.session_token().to_owned());
    Credentials::new(session.access_key_id(), session.secret_access_key(), token, None, "stolen")
}

fn names(members: &[Resource]) -> Vec<&str> {
    members.iter().map(|member| member.fields["name"].as_str().unwrap()).collect()
}

fn named<'a>(members: &'a [Resource], name: &str) -> &'a Resource {
    members.iter().find(|member| member.fields["name"] == name).expect(name)
}

/// The roles among members.
fn roles(members: &[Resource]) -> Vec<Resource> {
    members.iter().filter(|member| member.fields["type"] == "role").cloned().collect()
}

#[tokio::test(start_paused = true)]
async fn a_key_is_followed_through_keys_and_sessions_in_every_region() {
    let lab = Lab::new().await;
    let (build, release) = lab.enter_roles().await;
    lab.sts(&lab.attacker, "eu-central-1").get_session_token().send().await.unwrap();

    let members = lab.sessions_of_key().await;
    assert_eq!(names(&members), ["build", "release", "jonas.brandt", "mara.weiss"]);
    assert_eq!(named(&members, "build").fields["keys"], json!([build.access_key_id()]));
    assert_eq!(named(&members, "release").fields["keys"], json!([release.access_key_id()]));
    assert_eq!(named(&members, "mara.weiss").fields["how"], json!(["key", "session"]));
    assert_eq!(named(&members, "jonas.brandt").fields["how"], json!(["password"]));
    assert!(members.iter().all(|member| member.fields["seen"] == true));
    let because = named(&members, "release").fields["because"].as_str().unwrap();
    assert!(because.contains("AssumeRole") && because.contains(build.access_key_id()), "{because}");

    let since = json!({ "key": lab.facts.leaked_key, "since": lab.sim.now().to_string() });
    assert_eq!(lab.list("iam.sessions-of-key", since, &lab.global()).await, []);
    let session = json!({ "key": build.access_key_id() });
    let of_session = lab.list("iam.sessions-of-key", session, &lab.global()).await;
    assert_eq!(names(&of_session), ["build", "release"], "the key of a session leads to its role");
}

#[tokio::test(start_paused = true)]
async fn sessions_of_roles_end_although_the_key_that_started_them_lives() {
    let lab = Lab::new().await;
    let (build, release) = lab.enter_roles().await;
    let members = roles(&lab.sessions_of_key().await);
    let drive = Drive::new(&lab, "iam.revoke-sessions", json!({}), &lab.global(), &members);
    drive.there_and_back().await;
    assert!(lab.gets_in(&build).await && lab.gets_in(&release).await);

    let items = drive.items().await;
    drive.apply(&items).await;
    sleep(KNOWN).await;
    assert!(!lab.gets_in(&build).await && !lab.gets_in(&release).await);
    assert!(lab.gets_in(&lab.attacker).await, "the key itself is another step's");
}

/// The notes of the changes that revoking sessions of these members would be.
async fn notes(lab: &Lab, members: &[Resource]) -> Vec<String> {
    let cx = lab.enter(&lab.global(), Access::Read).await;
    let action = lab.table.action("iam.revoke-sessions").unwrap();
    let found = action.discover(&cx, &Map::new(), members).await.unwrap();
    let decisions = found.iter().map(|found| action.plan(&cx.view, &Map::new(), found).unwrap());
    let notes = decisions.filter_map(|decision| match decision {
        Decision::Change(proposal) => Some(proposal.notes.join("; ")),
        _ => None,
    });
    notes.collect()
}

#[tokio::test(start_paused = true)]
async fn federated_and_other_sessions_of_a_user_outlive_its_keys_and_end_with_its_deny() {
    let lab = Lab::new().await;
    let everything =
        json!({ "Version": "2012-10-17", "Statement": [{ "Effect": "Allow", "Action": "*", "Resource": "*" }] });
    let sts = lab.sts(&lab.attacker, "us-east-1");
    let federated = sts.get_federation_token().name("night").policy(everything.to_string()).send().await.unwrap();
    let session = sts.get_session_token().send().await.unwrap();
    let sessions = [credentials(federated.credentials().unwrap()), credentials(session.credentials().unwrap())];
    for session in &sessions {
        assert!(lab.looks_around(session).await);
    }
    let members = lab.intruder().await;
    for (action, goes_on) in [("iam.deactivate-access-keys", true), ("iam.deny-all", false)] {
        let drive = Drive::new(&lab, action, json!({}), &lab.global(), &members);
        drive.apply(&drive.items().await).await;
        sleep(KNOWN).await;
        for session in &sessions {
            assert_eq!(lab.looks_around(session).await, goes_on, "{action}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn without_event_history_all_roles_that_may_be_assumed_are_candidates() {
    let lab = Lab::new().await;
    lab.enter_roles().await;
    lab.deny_responder("cloudtrail:LookupEvents");
    let members = lab.sessions_of_key().await;
    assert_eq!(names(&members), ["build", "release"], "backup trusts another account");
    for member in &members {
        assert_eq!((&member.fields["how"], &member.fields["seen"]), (&json!(["candidate"]), &json!(false)));
    }
    let notes = notes(&lab, &members).await;
    assert_eq!(notes.len(), 2);
    assert!(notes.iter().all(|note| note.contains("a candidate: no event history") && note.contains("LookupEvents")));
}

/// Nobody knows who was made with the key: candidates do not make up for that.
#[tokio::test(start_paused = true)]
async fn an_event_history_that_cannot_be_read_stands_in_the_ledger() {
    let lab = Lab::new().await;
    let status = async || {
        let rest = format!(
            "sets: {{ entered: {{ from: iam.sessions-of-key, with: {{ key: {} }} }} }}\n\
             steps:\n  - {{ id: entered, uses: iam.revoke-sessions, on: entered }}\n",
            lab.facts.leaked_key
        );
        let plan = lab.plan(&format!("[\"{}\"]", lab.facts.breached_account), &rest).await;
        let cells: Vec<_> = plan.coverage.entries().filter(|cell| cell.service == "cloudtrail").collect();
        let [cell] = &cells[..] else { panic!("{cells:?}") };
        (cell.status, cell.reason.clone().unwrap_or_default())
    };
    assert_eq!(status().await, (CoverageStatus::Clean, String::new()));
    lab.sim.set_faults(vec!["us-east-1/cloudtrail:LookupEvents=no-answer".parse().unwrap()]);
    let (silent, why) = status().await;
    assert!(silent == CoverageStatus::Unreachable && why.contains("no event history of us-east-1"), "{silent:?} {why}");
    lab.sim.set_faults(Vec::new());
    lab.deny_responder("cloudtrail:LookupEvents");
    let (denied, why) = status().await;
    assert!(denied == CoverageStatus::Denied && why.contains("further regions"), "{denied:?} {why}");
}

#[tokio::test(start_paused = true)]
async fn a_region_that_does_not_answer_is_made_up_for_by_candidates_and_holds_nobody_up() {
    let lab = Lab::new().await;
    let (build, _) = lab.enter_roles().await;
    lab.sim.set_faults(vec!["us-east-1/cloudtrail:LookupEvents=no-answer".parse().unwrap()]);
    let begun = tokio::time::Instant::now();
    let members = lab.sessions_of_key().await;
    assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
    // That the leaked key made the other one stands in us-east-1, so nothing is seen at all.
    assert_eq!(names(&members), ["build", "release"]);
    let of_attacker = json!({ "key": lab.attacker.access_key_id() });
    let members = lab.list("iam.sessions-of-key", of_attacker, &lab.global()).await;
    assert_eq!(named(&members, "build").fields["keys"], json!([build.access_key_id()]));
    let release = named(&members, "release");
    assert_eq!(release.fields["seen"], false);
    assert!(release.fields["because"].as_str().unwrap().contains("us-east-1 (no answer)"));
}

#[tokio::test(start_paused = true)]
async fn a_role_of_another_account_is_named_and_left_to_a_run_there() {
    let lab = Lab::new().await;
    let production = lab.sim.world().accounts.values().find(|account| account.name == "production").unwrap().id.clone();
    let trust = json!({ "Version": "2012-10-17", "Statement": [
        { "Effect": "Allow", "Action": "sts:AssumeRole", "Principal": { "AWS": lab.facts.breached_account } },
    ] });
    let now = lab.sim.now();
    lab.sim.change(|world| {
        iam::create_role(world, &production, "/", "shared", &trust.to_string(), now).unwrap();
    });
    let role = format!("arn:aws:iam::{production}:role/shared");
    let request = lab.sts(&lab.attacker, "us-east-1").assume_role().role_arn(&role).role_session_name("x");
    request.send().await.unwrap();
    // The other account sees who came, but not with which key.
    let region = Region::new("us-east-1").unwrap();
    let world = lab.sim.world();
    let there = world.region(&production, &region).cloudtrail.events.iter().find(|event| event.name == "AssumeRole");
    assert_eq!(there.unwrap().identity.access_key, "");

    let members = roles(&lab.sessions_of_key().await);
    assert_eq!(names(&members), ["shared"]);
    for action in ["iam.revoke-sessions", "iam.deny-all"] {
        let drive = Drive::new(&lab, action, json!({}), &lab.global(), &members);
        let found = drive.look().await;
        let Decision::Skip(why) = drive.decide(&found[0]).await else { panic!("{action} would change it") };
        assert!(why.contains(production.as_str()), "{why}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_caller_whose_own_session_came_of_the_key_is_refused() {
    let lab = Lab::new().await;
    lab.enter_roles().await;
    let mut members = lab.sessions_of_key().await;
    let cx = lab.enter(&lab.global(), Access::Read).await;
    let source = lab.table.source("iam.sessions-of-key").unwrap();
    let with: Map<String, Value> = [("key".to_owned(), json!(lab.facts.leaked_key))].into_iter().collect();
    assert_eq!(source.refuse(&cx.view, &with, &members).unwrap(), None);
    members[0].fields["keys"] = json!([cx.view.caller.access_key]);
    let why = source.refuse(&cx.view, &with, &members).unwrap().expect("a refusal");
    assert!(why.contains("use another principal"), "{why}");
}

/// The intruder's user with as much as quotas and the responder's rights leave, and the way that the deny then takes.
async fn deny_with(lab: &Lab, filled: &[&str]) -> Value {
    let user = lab.facts.compromised_user.clone();
    let account = lab.facts.breached_account.clone();
    let filler = |number| format!("arn:aws:iam::{account}:policy/filler-{number}");
    let now = lab.sim.now();
    lab.sim.change(|world| {
        let text = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"*"}]}"#;
        for number in 0..10 {
            iam::create_policy(world, &account, "/", &format!("filler-{number}"), text, now).unwrap();
        }
        let policies = &mut world.account_mut(&account).iam.users.get_mut(&user).unwrap().policies;
        policies.boundary = Some(filler(0));
        if filled.contains(&"attached") {
            policies.managed = (0..9).map(filler).chain([ADMINISTRATOR.to_owned()]).collect();
        }
        if filled.contains(&"inline") {
            let many: Vec<String> = (0..68).map(|number| format!("s3:Action{number:018}")).collect();
            let text = json!({ "Version": "2012-10-17", "Statement": [
                { "Effect": "Allow", "Action": many, "Resource": "*" },
            ] });
            policies.inline.insert("filler".to_owned(), text.to_string());
        }
    });
    if filled.contains(&"boundary") {
        lab.deny_responder("iam:PutUserPermissionsBoundary");
    }
    let members = lab.intruder().await;
    let drive = Drive::new(lab, "iam.deny-all", json!({}), &lab.global(), &members);
    let policies = || lab.sim.world().account(&account).iam.users[&user].policies.clone();
    let before = policies();
    let items = drive.items().await;
    assert_eq!(items.len(), 1);
    let effects = drive.apply(&items).await;
    drive.assert_proven(&items).await;
    sleep(KNOWN).await;
    assert!(!lab.gets_in(&lab.attacker).await, "{filled:?}: denied by {effects:?}");
    drive.apply(&items).await;
    // A run that was cut off has no effect to tell.
    drive.undo(&items, &[Value::Null]).await;
    drive.undo(&items, &effects).await;
    assert_eq!(policies(), before, "{filled:?}");
    effects[0].clone()
}

#[tokio::test(start_paused = true)]
async fn a_deny_finds_its_way_past_filled_quotas_and_back() {
    let ways: [(&[&str], &str); 4] = [
        (&[], "attached policy"),
        (&["attached"], "inline policy"),
        (&["attached", "inline"], "permissions boundary"),
        (&["attached", "inline", "boundary"], "attached policy"),
    ];
    for (filled, way) in ways {
        let effect = deny_with(&Lab::new().await, filled).await;
        assert_eq!(effect["way"], way, "{filled:?}");
        assert_eq!(effect.get("removed").is_some(), filled.contains(&"boundary"), "{effect}");
    }
}

#[tokio::test(start_paused = true)]
async fn certificates_ssh_keys_and_service_credentials_go_off_and_on() {
    let lab = Lab::new().await;
    let intruder = lab.other_credentials().await;
    let actions = [("signing-certificates", 1), ("ssh-keys", 1), ("service-credentials", 2)];
    for (what, many) in actions {
        let drive = Drive::new(&lab, &format!("iam.deactivate-{what}"), json!({}), &lab.global(), &intruder);
        assert_eq!(drive.items().await.len(), many, "{what}");
        drive.there_and_back().await;
        drive.back_without_effects().await;
    }
    let services = Drive::new(&lab, "iam.deactivate-service-credentials", json!({}), &lab.global(), &intruder);
    let mut summaries = String::new();
    for found in services.look().await {
        let Decision::Change(proposal) = services.decide(&found).await else { panic!("no change") };
        summaries.push_str(&proposal.summary);
    }
    assert!(summaries.contains("for bedrock.amazonaws.com of mara.weiss"), "{summaries}");
}

#[tokio::test(start_paused = true)]
async fn an_mfa_device_of_the_incident_goes_for_good_and_an_older_one_stays() {
    let lab = Lab::new().await;
    let serial = |name: &str| format!("arn:aws:iam::{}:mfa/{name}", lab.facts.breached_account);
    lab.enable_mfa("owner").await;
    sleep(KNOWN).await;
    // EnableDate has whole seconds.
    let since = Timestamp::from_second(lab.sim.now().as_second()).unwrap();
    lab.enable_mfa("intruder").await;
    sleep(KNOWN).await;
    let with = json!({ "since": since.to_string() });
    let drive = Drive::new(&lab, "iam.deactivate-mfa-devices", with, &lab.global(), &lab.intruder().await);
    let items = drive.items().await;
    assert_eq!(items.iter().map(|item| item.resource.as_str()).collect::<Vec<_>>(), [serial("intruder")]);
    let Decision::Change(proposal) = drive.decide(&drive.look().await[0]).await else { panic!("no change") };
    assert_eq!(proposal.undo.how, None, "the plan says that it is lost");
    drive.apply(&items).await;
    drive.apply(&items).await;
    assert_eq!(drive.look().await.iter().map(|found| found.resource.as_str()).collect::<Vec<_>>(), [serial("owner")]);
    let cx = lab.enter(&lab.global(), Access::Write).await;
    let error = drive.action.undo(&cx, &drive.with, &items[0], &Value::Null).await.unwrap_err();
    assert!(error.message.contains("enrol it again"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_backdoor_in_a_trust_policy_is_found_closed_and_put_back() {
    let lab = Lab::new().await;
    lab.add_role("build", &format!("arn:aws:iam::{}:root", lab.facts.breached_account));
    lab.add_role("backup", "arn:aws:iam::999988887777:root");
    lab.add_role("open", "*");
    let members = lab.list("iam.trusts", json!({}), &lab.global()).await;
    assert_eq!(names(&members), ["IRResponder", "backup", "open"], "build trusts its own account");
    assert_eq!(named(&members, "backup").fields["foreign"], json!(["arn:aws:iam::999988887777:root"]));
    assert_eq!(named(&members, "open").fields["everybody"], true);

    let backdoors: Vec<Resource> = members.into_iter().filter(|m| m.fields["name"] != "IRResponder").collect();
    let drive = Drive::new(&lab, "iam.close-trust", json!({}), &lab.global(), &backdoors);
    assert_eq!(drive.items().await.len(), 2);
    drive.there_and_back().await;
    drive.back_without_effects().await;

    let items = drive.items().await;
    drive.apply(&items).await;
    sleep(KNOWN).await;
    let enter = lab.sts(&lab.attacker, "us-east-1").assume_role().role_arn(lab.role_arn("open"));
    assert!(enter.role_session_name("x").send().await.is_err(), "the door is shut");
    assert_eq!(names(&lab.list("iam.trusts", json!({}), &lab.global()).await), ["IRResponder"]);

    let kept = json!({ "keep": ["arn:aws:iam::999988887777:root"] });
    drive.undo(&items, &[Value::Null, Value::Null]).await;
    let drive = Drive::new(&lab, "iam.close-trust", kept, &lab.global(), &backdoors);
    assert_eq!(drive.items().await.len(), 1, "whom the runbook keeps stays");
}
