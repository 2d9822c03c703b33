//! Every check of a posture, over captures of a guarded account: as it is they all pass, and each fragment fails its own.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use base64::Engine as _;
use jiff::{SignedDuration, Timestamp};
use quell::capture::{self, Recorder, Wanted};
use quell::cloud::{CloudSessions, Options};
use quell::engine::ports::{Clock, TokioClock};
use quell::evidence::item::VERSION;
use quell::evidence::{Header, Store};
use quell::model::{AccountId, Accounts, Region, Regions, Role, RunId, Targets};
use quell::posture::{CHECKS, Facts, Judged, Status, judge, needs};
use quell::sim::Sim;
use quell::sim::ec2::region_settings::MetadataDefaults;
use quell::sim::iam::{self, KeyUse, LoginProfile};
use quell::sim::organizations::{Policy, PolicyType};
use quell::sim::s3::PublicAccessBlock;
use quell::sim::scenario::Scenario;
use quell::sim::world::{OptIn, RegionState, Secret, World};
use serde_json::Value;

use crate::binary::{self, code, json};
use crate::site::{Hosted, stderr};

/// An organisation whose guardrails were set up by calls, as an administrator makes them.
const GUARDED: &str = include_str!("posture/guarded.yaml");

/// What a capture of the guarded organisation is judged in.
struct Guarded {
    world: World,
    begins: Timestamp,
    responder: quell::sim::scenario::Credentials,
    account: AccountId,
}

impl Guarded {
    fn build() -> Self {
        let built = Scenario::load(GUARDED).unwrap().build(1, "2026-03-03T18:00:00Z".parse().unwrap()).unwrap();
        let account = built.accounts["development"].clone();
        let mut guarded = Self {
            begins: built.begins,
            responder: built.credentials["responder"].clone(),
            account,
            world: built.world,
        };
        guarded.finish();
        guarded
    }

    /// What no call makes: the builder goes, root gets its device, policies bound the members.
    fn finish(&mut self) {
        let iam = &mut self.world.account_mut(&self.account).iam;
        iam.users.clear();
        iam.access_keys.clear();
        iam.root.password = Some(self.begins);
        iam.root.credentials.mfa.insert("arn:aws:iam::430987654321:mfa/root".to_owned(), self.begins);
        for state in self.world.account_mut(&self.account).regions.values_mut() {
            state
                .ec2
                .instances
                .values_mut()
                .for_each(|instance| "required".clone_into(&mut instance.metadata.http_tokens));
        }
        let closed = r#"{"Version":"2012-10-17","Statement":{"Effect":"Deny","NotAction":["iam:*","sts:*"],"Resource":"*",
            "Condition":{"StringNotEquals":{"aws:RequestedRegion":["us-east-1","eu-central-1","eu-south-1"]}}}}"#;
        let stay = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":["organizations:LeaveOrganization"],
            "Resource":"*"}]}"#;
        let organization = self.world.organization.as_mut().unwrap();
        for (id, content) in [("p-closed123", closed), ("p-stay1234", stay)] {
            let policy = Policy {
                name: id.to_owned(),
                description: String::new(),
                kind: PolicyType::ServiceControl,
                content: content.to_owned(),
                aws_managed: false,
                tags: BTreeMap::default(),
            };
            organization.policies.insert(id.to_owned(), policy);
            organization.attachments.entry(organization.root.clone()).or_default().insert(id.to_owned());
        }
    }

    /// What a capture of it says.
    async fn judged(self, folder: &Path) -> Vec<Judged> {
        let account = self.account.clone();
        let id = Box::pin(self.captured(folder, needs())).await;
        let store = Store::open(folder).unwrap();
        let facts = Facts::read(&store, &store.capture(&id).unwrap()).unwrap();
        judge(&facts).into_iter().filter(|judged| judged.account == account).collect()
    }

    /// Captures this much of it into a store.
    async fn captured(self, folder: &Path, only: BTreeSet<&'static str>) -> RunId {
        let Self { world, begins, responder, .. } = self;
        let clock = TokioClock::starting_at(begins);
        let time = clock;
        let sim = Sim::new(world, move || time.now());
        sim.set_latency(Duration::ZERO);
        let store = Store::make(folder).unwrap();
        let id = RunId::new("20260303-152000-a1b2c3").unwrap();
        let header = Header {
            quell_capture: VERSION,
            id: id.clone(),
            began: begins,
            by: "test".to_owned(),
            quell: "0".to_owned(),
            accounts: Vec::new(),
        };
        let recorder = Arc::new(Recorder::new(store.clone(), store.begin(&header).unwrap(), Arc::new(clock)));
        let key = Credentials::new(
            responder.access_key_id.as_str(),
            responder.secret_access_key.0.clone(),
            None,
            None,
            "scenario",
        );
        let options = Options {
            profile: None,
            region: Some("us-east-1".into()),
            http: Some(sim.http_client()),
            credentials: Some(SharedCredentialsProvider::new(key)),
            endpoint_url: None,
            evidence: None,
            clock: Arc::new(clock),
            case: id.clone(),
            now: begins,
        };
        let sessions = CloudSessions::seen_by(options, Some(recorder.clone())).await.unwrap();
        let role = Role { name: "ir/IRResponder".to_owned(), external_id: None, source_identity: None };
        let accounts = Accounts::Listed(vec!["organization".to_owned()]);
        let targets = Targets { accounts, regions: Regions::Enabled, role: Some(role) };
        let wanted = Wanted { targets, history: None, now: begins, only: Some(only), done: BTreeSet::new() };
        capture::capture(&sessions, &recorder, &wanted, &|_| {}).await.unwrap();
        let recorded = recorder.end().unwrap();
        assert!(recorded.gaps.is_empty(), "{:#?}", recorded.gaps);
        id
    }
}

/// How the document says that a check ends.
fn result(judged: &Value, id: &str) -> Value {
    let checks = judged["checks"].as_array().unwrap();
    checks.iter().find(|check| check["check"] == id).unwrap()["result"].clone()
}

/// The checks that end in a way.
fn with_status(judged: &[Judged], status: Status) -> BTreeSet<&'static str> {
    judged.iter().filter(|judged| judged.status() == status).map(|judged| judged.check.id).collect()
}

/// A change for the worse: the check that it is about, what else it fails, and the change.
type Fragment = (&'static str, &'static [&'static str], fn(&mut World, &AccountId, Timestamp));

fn add_user(world: &mut World, account: &AccountId, now: Timestamp) {
    iam::create_user(world, account, "/", "mara", now).unwrap();
}

fn add_password(world: &mut World, account: &AccountId, now: Timestamp) {
    add_user(world, account, now);
    let user = world.account_mut(account).iam.users.get_mut("mara").unwrap();
    let password = Secret("correct horse".to_owned());
    user.login_profile = Some(LoginProfile { password, created: now, changed: now, reset_required: false });
}

fn add_key(world: &mut World, account: &AccountId, made: SignedDuration, used: Option<SignedDuration>, now: Timestamp) {
    add_user(world, account, now);
    let (id, _) = iam::add_access_key(world, account, Some("mara"), now - made).unwrap();
    let key = world.account_mut(account).iam.access_keys.get_mut(&id).unwrap();
    let used = used.map(|ago| KeyUse { at: now - ago, service: "ec2".to_owned(), region: "us-east-1".to_owned() });
    key.last_used = used;
}

const DAY: SignedDuration = SignedDuration::from_hours(24);

fn central<'w>(world: &'w mut World, account: &AccountId) -> &'w mut RegionState {
    world.region_mut(account, &Region::new("eu-central-1").unwrap())
}

/// The organisation's trail, in the management account.
fn trail(world: &mut World) -> &mut quell::sim::cloudtrail::trails::Trail {
    let management = AccountId::new(&world.organization.as_ref().unwrap().management).unwrap();
    let home = world.region_mut(&management, &Region::new("us-east-1").unwrap());
    home.cloudtrail.trails.get_mut("everything").unwrap()
}

fn detach(world: &mut World, policy: &str) {
    let organization = world.organization.as_mut().unwrap();
    for attached in organization.attachments.values_mut() {
        attached.remove(policy);
    }
}

const BOTH_TRAILS: &[&str] = &["cloudtrail.organization-trail"];

const FRAGMENTS: &[Fragment] = &[
    ("iam.root-mfa", &[], |world, account, _| world.account_mut(account).iam.root.credentials.mfa.clear()),
    ("iam.root-keys", &[], |world, account, now| drop(iam::add_access_key(world, account, None, now).unwrap())),
    ("iam.human-mfa", &["iam.identity-provider"], add_password),
    ("iam.identity-provider", &[], |world, account, now| {
        add_password(world, account, now);
        let user = world.account_mut(account).iam.users.get_mut("mara").unwrap();
        user.credentials.mfa.insert("arn:aws:iam::430987654321:mfa/mara".to_owned(), now);
    }),
    ("iam.password-policy", &[], |world, account, _| world.account_mut(account).iam.password_policy = None),
    ("iam.password-policy", &[], |world, account, _| {
        world.account_mut(account).iam.password_policy.as_mut().unwrap().minimum_password_length = 8;
    }),
    ("iam.long-term-keys", &[], |world, account, now| add_key(world, account, DAY, Some(DAY), now)),
    ("iam.unused-keys", &["iam.long-term-keys", "iam.old-keys"], |world, account, now| {
        add_key(world, account, DAY * 120, None, now);
    }),
    ("iam.old-keys", &["iam.long-term-keys"], |world, account, now| {
        add_key(world, account, DAY * 120, Some(DAY), now);
    }),
    ("ec2.keys-on-machines", &[], |world, account, _| {
        let script = "#!/bin/sh\nexport AWS_ACCESS_KEY_ID=AKIAIOSFODNN7EXAMPLE\n";
        let data = base64::engine::general_purpose::STANDARD.encode(script);
        central(world, account).ec2.instances.values_mut().next().unwrap().user_data = Some(data);
    }),
    ("cloudtrail.multi-region-trail", BOTH_TRAILS, |world, _, _| trail(world).log_validation = false),
    ("cloudtrail.multi-region-trail", BOTH_TRAILS, |world, _, now| trail(world).stopped = Some(now)),
    ("cloudtrail.multi-region-trail", BOTH_TRAILS, |world, _, _| trail(world).organization = false),
    ("cloudtrail.organization-trail", &[], |world, account, _| {
        let own = trail(world).clone();
        trail(world).organization = false;
        let arn = own.arn.replace("210987654321", account.as_str());
        let own = quell::sim::cloudtrail::trails::Trail { arn, organization: false, ..own };
        let home = world.region_mut(account, &Region::new("us-east-1").unwrap());
        home.cloudtrail.trails.insert("everything".to_owned(), own);
    }),
    ("guardduty.detectors", &[], |world, account, _| central(world, account).guardduty.detector = None),
    ("guardduty.detectors", &[], |world, account, _| {
        central(world, account).guardduty.detector.as_mut().unwrap().enabled = false;
    }),
    ("ec2.imdsv2-default", &[], |world, account, _| {
        central(world, account).ec2.region_settings.metadata_defaults = MetadataDefaults::default();
    }),
    ("ec2.imdsv2-instances", &[], |world, account, _| {
        let instance = central(world, account).ec2.instances.values_mut().next().unwrap();
        "optional".clone_into(&mut instance.metadata.http_tokens);
    }),
    ("ec2.snapshot-sharing", &[], |world, account, _| {
        "block-new-sharing".clone_into(&mut central(world, account).ec2.region_settings.snapshot_block_public_access);
    }),
    ("ec2.image-sharing", &[], |world, account, _| {
        "unblocked".clone_into(&mut central(world, account).ec2.region_settings.image_block_public_access);
    }),
    ("ec2.image-sharing", &[], |world, account, _| {
        let images = central(world, account).ec2.images.values_mut();
        images.filter(|image| image.owner == account.as_str()).for_each(|image| image.public = true);
    }),
    ("ec2.ebs-encryption", &[], |world, account, _| central(world, account).ec2.ebs_encryption_by_default = false),
    ("s3.public-buckets", &["s3.block-public-access"], |world, account, _| {
        let policy = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":"*","Action":"s3:GetObject",
            "Resource":"arn:aws:s3:::dev-data/*"}}"#;
        let access = &mut world.account_mut(account).s3.buckets.get_mut("dev-data").unwrap().access;
        (access.block, access.policy) = (None, Some(policy.to_owned()));
    }),
    ("s3.public-buckets", &["s3.block-public-access"], |world, account, _| {
        let access = &mut world.account_mut(account).s3.buckets.get_mut("dev-data").unwrap().access;
        (access.block, access.acl) = (None, "public-read".to_owned());
    }),
    ("s3.block-public-access", &[], |world, account, _| {
        let access = &mut world.account_mut(account).s3.buckets.get_mut("dev-data").unwrap().access;
        access.block = Some(PublicAccessBlock { block_public_acls: false, ..PublicAccessBlock::WHOLE });
    }),
    ("organizations.region-deny", &[], |world, _, _| detach(world, "p-closed123")),
    ("organizations.leave-organization", &[], |world, _, _| detach(world, "p-stay1234")),
    (
        "account.unused-regions",
        &[
            "ec2.ebs-encryption",
            "ec2.image-sharing",
            "ec2.imdsv2-default",
            "ec2.snapshot-sharing",
            "guardduty.detectors",
        ],
        |world, account, _| world.region_mut(account, &Region::new("eu-south-1").unwrap()).opt_in = OptIn::OptedIn,
    ),
    ("budgets.budget", &[], |world, account, _| world.account_mut(account).costs.budgets.clear()),
    ("ce.anomaly-monitor", &[], |world, account, _| world.account_mut(account).costs.anomaly_monitors.clear()),
];

#[tokio::test(start_paused = true)]
async fn a_guarded_account_passes_every_check() {
    let folder = tempfile::tempdir().unwrap();
    let judged = Guarded::build().judged(folder.path()).await;
    assert_eq!(judged.len(), CHECKS.len());
    let not_passed: Vec<_> = judged.iter().filter(|judged| judged.status() != Status::Pass).collect();
    assert!(not_passed.is_empty(), "{not_passed:#?}");
}

#[tokio::test(start_paused = true)]
async fn every_check_fails_by_what_it_is_about_and_by_nothing_else() {
    for (id, also, change) in FRAGMENTS {
        let mut guarded = Guarded::build();
        change(&mut guarded.world, &guarded.account, guarded.begins);
        let folder = tempfile::tempdir().unwrap();
        let judged = guarded.judged(folder.path()).await;
        let expected: BTreeSet<&str> = also.iter().chain([id]).copied().collect();
        assert_eq!(with_status(&judged, Status::Fail), expected, "{id}: {judged:#?}");
        assert_eq!(with_status(&judged, Status::NotKnown), BTreeSet::new(), "{id}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_not_captured_is_not_known_and_no_check_is_passed_for_it() {
    let home = tempfile::tempdir().unwrap();
    let store = home.path().join("evidence");
    let buckets = CHECKS.iter().find(|check| check.id == "s3.public-buckets").unwrap();
    let id = Guarded::build().captured(&store, buckets.needs.iter().copied().collect()).await;
    let mut command = binary::quell(home.path());
    let output =
        command.args(["posture", "--capture", id.as_str(), "--output", "json", "--store"]).arg(&store).output();
    let output = output.unwrap();
    assert_eq!(code(&output), 5, "{}", stderr(&output));
    let judged = json(&output);
    assert_eq!(result(&judged, "s3.public-buckets"), "pass");
    assert_eq!(result(&judged, "budgets.budget"), "not-known");
}

#[test]
fn every_check_has_a_fragment_that_fails_it() {
    let failed: BTreeSet<&str> = FRAGMENTS.iter().map(|(id, ..)| *id).collect();
    assert_eq!(failed, CHECKS.iter().map(|check| check.id).collect());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_breached_account_fails_and_a_capture_says_the_same_again() {
    let site = Hosted::open().await;
    site.catch_up();
    let account = site.facts.breached_account.clone();
    let run = |arguments: &[&str]| {
        let mut command = site.quell(arguments);
        tokio::task::block_in_place(|| command.output().unwrap())
    };
    let live =
        ["posture", "--trust-endpoint", "--accounts", account.as_str(), "--role", "ir/IRResponder", "--output", "json"];
    let output = run(&live);
    assert_eq!(code(&output), 3, "{}", stderr(&output));
    let judged = json(&output);
    assert_eq!(result(&judged, "iam.human-mfa"), "fail", "mara and jonas have passwords alone");
    assert_eq!(result(&judged, "cloudtrail.multi-region-trail"), "fail");
    assert_eq!(result(&judged, "iam.root-keys"), "pass");
    // The organisation was not asked, since the caller's own account was not to be captured.
    assert_eq!(result(&judged, "organizations.leave-organization"), "not-known");
    let again = run(&["posture", "--capture", judged["capture"].as_str().unwrap(), "--output", "json"]);
    assert_eq!((code(&again), json(&again)), (3, judged));
}
