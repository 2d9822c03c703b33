//! What goes wrong in the simulated AWS by plan, seen through AWS's own SDK.

use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_sdk_ec2::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_async::rt::sleep::{SharedAsyncSleep, TokioSleep};
use aws_smithy_types::retry::RetryConfig;
use aws_types::SdkConfig;
use quell::engine::ports::{Clock, TokioClock};
use quell::sim::Sim;
use quell::sim::faults::{FaultKind, FaultPlan};
use quell::sim::scenario::{Built, Scenario};

/// A small drill.
struct Drill {
    sim: Sim,
    built: Built,
}

impl Drill {
    /// A drill with a plan of faults.
    fn with(rules: &str) -> Self {
        let scenario = Scenario::named("cryptojack-small").unwrap();
        let built = scenario.build(1, "2026-03-03T18:00:00Z".parse().unwrap()).unwrap();
        let clock = TokioClock::starting_at(built.begins);
        let sim = Sim::new(built.world.clone(), move || clock.now());
        sim.introduce_responder(built.credentials["responder"].access_key_id.clone());
        let drill = Self { sim, built };
        drill.set(rules);
        drill
    }

    fn set(&self, rules: &str) {
        self.sim.set_fault_plan(FaultPlan::load(rules, "test").unwrap());
    }

    fn sdk(&self, who: &str, region: &str, attempts: u32) -> SdkConfig {
        let keys = &self.built.credentials[who];
        let keys = Credentials::new(keys.access_key_id.as_str(), &keys.secret_access_key.0, None, None, "test");
        self.sdk_of(keys, region, attempts)
    }

    fn sdk_of(&self, keys: Credentials, region: &str, attempts: u32) -> SdkConfig {
        SdkConfig::builder()
            .behavior_version(aws_sdk_ec2::config::BehaviorVersion::latest())
            .http_client(self.sim.http_client())
            .time_source(self.sim.time_source())
            .sleep_impl(SharedAsyncSleep::new(TokioSleep::new()))
            .credentials_provider(SharedCredentialsProvider::new(keys))
            .region(aws_types::region::Region::new(region.to_owned()))
            .retry_config(RetryConfig::standard().with_max_attempts(attempts))
            .build()
    }

    /// The intruder's client, whose first attempt is the last one.
    fn ec2(&self) -> aws_sdk_ec2::Client {
        aws_sdk_ec2::Client::new(&self.sdk("attacker", &self.rogue().0, 1))
    }

    fn iam(&self) -> aws_sdk_iam::Client {
        aws_sdk_iam::Client::new(&self.sdk("attacker", "us-east-1", 1))
    }

    /// A rogue machine: region and id.
    fn rogue(&self) -> (String, String) {
        let machine = &self.built.facts.machines["rogue"][0];
        (machine.region.to_string(), machine.id.clone())
    }

    /// Tags a rogue machine, and says how that ended; and whether the machine has the tag.
    async fn tag(&self) -> (String, bool) {
        let (region, id) = self.rogue();
        let tag = aws_sdk_ec2::types::Tag::builder().key("case").value("7").build();
        let end = how(self.ec2().create_tags().resources(&id).tags(tag).send().await);
        let world = self.sim.world();
        let region = quell::model::Region::new(&region).unwrap();
        let tags = &world.region(&self.built.facts.breached_account, &region).ec2.instances[&id].tags;
        (end, tags.contains_key("case"))
    }
}

/// How a request ended: AWS's code, or at which stage it was lost.
fn how<T, E: ProvideErrorMetadata, R>(result: Result<T, SdkError<E, R>>) -> String {
    match result {
        Ok(_) => "ok".to_owned(),
        Err(SdkError::ServiceError(answer)) => answer.err().code().unwrap_or("no code").to_owned(),
        Err(SdkError::ResponseError(_)) => "unreadable".to_owned(),
        Err(SdkError::DispatchFailure(_)) => "lost".to_owned(),
        Err(SdkError::TimeoutError(_)) => "time-out".to_owned(),
        Err(_) => "not sent".to_owned(),
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_lost_on_the_way_was_carried_out_or_not_as_its_kind_says() {
    for (kind, end, is_done) in [
        ("refuse-connection", "lost", false),
        ("tls-error", "lost", false),
        ("reset-before", "lost", false),
        ("reset", "lost", true),
        ("no-answer", "lost", false),
        ("lost-answer", "lost", true),
        ("half-answer", "unreadable", true),
        // The SDK reads nothing out of this answer, so it does not notice; nor does it with a web page below.
        ("garbage", "ok", true),
        ("http-500", "InternalError", false),
        ("http-502", "no code", false),
        ("http-503", "ServiceUnavailable", false),
        ("http-504", "no code", true),
        ("html-200", "ok", false),
        ("html-503", "no code", false),
        ("throttle", "RequestLimitExceeded", false),
        ("deny", "UnauthorizedOperation", false),
    ] {
        let drill = Drill::with(&format!("- ec2:CreateTags={kind}"));
        assert_eq!(drill.tag().await, (end.to_owned(), is_done), "{kind}");
        let struck = drill.sim.struck();
        assert_eq!(
            struck.into_iter().map(|(kind, count)| (kind.name(), count)).collect::<Vec<_>>(),
            [(kind.to_owned(), 1)]
        );
    }
}

#[tokio::test(start_paused = true)]
async fn each_service_has_its_own_words_for_a_storm() {
    let drill = Drill::with("[\"*=throttle\"]");
    let sdk = drill.sdk("attacker", "us-east-1", 1);
    assert_eq!(how(aws_sdk_ec2::Client::new(&sdk).describe_instances().send().await), "RequestLimitExceeded");
    assert_eq!(how(aws_sdk_iam::Client::new(&sdk).list_users().send().await), "Throttling");
    assert_eq!(how(aws_sdk_s3::Client::new(&sdk).list_buckets().send().await), "SlowDown");
    assert_eq!(how(aws_sdk_lambda::Client::new(&sdk).list_functions().send().await), "TooManyRequestsException");
    assert_eq!(how(aws_sdk_ecs::Client::new(&sdk).list_clusters().send().await), "ThrottlingException");
    let organizations = aws_sdk_organizations::Client::new(&drill.sdk("responder", "us-east-1", 1));
    assert_eq!(how(organizations.list_roots().send().await), "TooManyRequestsException");
}

#[tokio::test(start_paused = true)]
async fn a_read_that_lags_behind_sees_a_write_later() {
    let drill = Drill::with("- ec2=stale-reads:10s");
    let (_, id) = drill.rogue();
    let ec2 = drill.ec2();
    ec2.stop_instances().instance_ids(&id).send().await.unwrap();
    let state = || async {
        let found = ec2.describe_instances().instance_ids(&id).send().await.unwrap();
        found.reservations()[0].instances()[0].state().unwrap().name().unwrap().as_str().to_owned()
    };
    assert_eq!(state().await, "running");
    tokio::time::sleep(Duration::from_secs(11)).await;
    assert_eq!(state().await, "stopping");
}

#[tokio::test(start_paused = true)]
async fn what_was_just_made_is_not_found_with_each_services_own_code() {
    let drill = Drill::with("- '*=not-found-after-create:10s'");
    let ec2 = drill.ec2();
    let made = ec2.create_security_group().group_name("quell").description("none").send().await.unwrap();
    let group = made.group_id().unwrap();
    let ask = || ec2.describe_security_groups().group_ids(group).send();
    assert_eq!(how(ask().await), "InvalidGroup.NotFound");
    let delete = ec2.delete_security_group().group_id(group).send().await;
    assert_eq!(how(delete), "InvalidGroup.NotFound", "a write does not find it either");
    drill.iam().create_user().user_name("new").send().await.unwrap();
    assert_eq!(how(drill.iam().get_user().user_name("new").send().await), "NoSuchEntity");
    let (_, old) = drill.rogue();
    ec2.describe_instances().instance_ids(&old).send().await.unwrap();
    tokio::time::sleep(Duration::from_secs(11)).await;
    assert_eq!(
        (how(ask().await), how(drill.iam().get_user().user_name("new").send().await)),
        ("ok".into(), "ok".into())
    );
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_is_off_refuses_and_its_date_header_shows_it() {
    for rule in ["clock-ahead:20m", "clock-behind:20m"] {
        let drill = Drill::with(&format!("- '*={rule}'"));
        let first = drill.iam().list_users().send().await;
        assert_eq!(how(first), "SignatureDoesNotMatch", "{rule}");
        assert_eq!(how(drill.ec2().describe_instances().send().await), "RequestExpired", "{rule}");
        assert_eq!(drill.sim.struck().values().sum::<u64>(), 2);
        // The SDK learns the time from the refusal.
        let patient = aws_sdk_iam::Client::new(&drill.sdk("attacker", "us-east-1", 2));
        assert_eq!(how(patient.list_users().send().await), "ok", "{rule}");
    }
    let drill = Drill::with("- '*=clock-ahead:4m'");
    assert_eq!(how(drill.iam().list_users().send().await), "ok", "four minutes are within the limit");
}

#[tokio::test(start_paused = true)]
async fn sessions_expire_in_the_middle_and_new_ones_are_good() {
    let drill = Drill::with("- { kind: expire-sessions, from: 30s, who: responder }");
    let breached = &drill.built.facts.breached_account;
    let role = format!("arn:aws:iam::{breached}:role/ir/IRResponder");
    let enter = || async {
        let sts = aws_sdk_sts::Client::new(&drill.sdk("responder", "us-east-1", 1));
        let given = sts.assume_role().role_arn(&role).role_session_name("case").send().await.unwrap();
        let given = given.credentials().unwrap();
        let expiry = SystemTime::try_from(*given.expiration()).unwrap();
        let (key, secret, token) = (given.access_key_id(), given.secret_access_key(), given.session_token());
        drill.sdk_of(Credentials::new(key, secret, Some(token.to_owned()), Some(expiry), "sts"), "us-east-1", 1)
    };
    let old = enter().await;
    assert_eq!(how(aws_sdk_ec2::Client::new(&old).describe_instances().send().await), "ok");
    tokio::time::sleep(Duration::from_secs(31)).await;
    assert_eq!(how(aws_sdk_ec2::Client::new(&old).describe_instances().send().await), "RequestExpired");
    assert_eq!(how(aws_sdk_iam::Client::new(&old).list_users().send().await), "ExpiredToken");
    assert_eq!(how(aws_sdk_ecs::Client::new(&old).list_clusters().send().await), "ExpiredTokenException");
    let new = enter().await;
    assert_eq!(how(aws_sdk_ec2::Client::new(&new).describe_instances().send().await), "ok");
    assert_eq!(how(drill.iam().list_users().send().await), "ok", "the intruder is not disturbed");
    drill.set("- { kind: revoke-credentials }");
    assert_eq!(how(drill.iam().list_users().send().await), "InvalidClientTokenId");
    assert_eq!(how(drill.ec2().describe_instances().send().await), "AuthFailure");
}

#[tokio::test(start_paused = true)]
async fn pages_repeat_come_empty_and_are_refused() {
    let drill = Drill::with("- iam:ListUsers=repeat-page");
    let iam = drill.iam();
    let users = |page: &aws_sdk_iam::operation::list_users::ListUsersOutput| page.users().len();
    let first = iam.list_users().send().await.unwrap();
    let second = iam.list_users().marker(first.marker().unwrap()).send().await.unwrap();
    assert!(first.is_truncated() && users(&first) > 0);
    assert_eq!((second.marker(), users(&second)), (first.marker(), users(&first)));

    drill.set("- { kind: empty-page, times: 2 }");
    let mut pages = iam.list_users().into_paginator().send();
    let mut seen = Vec::new();
    while let Some(page) = pages.next().await {
        seen.push(users(&page.unwrap()));
    }
    assert_eq!(seen, [0, 0, users(&first)]);

    drill.set("- ec2=refuse-token");
    let mut pages = drill.ec2().describe_instances().into_paginator().send();
    assert_eq!(how(pages.next().await.unwrap()), "ok");
    assert_eq!(how(pages.next().await.unwrap()), "InvalidPaginationToken");
}

#[tokio::test(start_paused = true)]
async fn latency_has_a_long_tail() {
    let drill = Drill::with("- { kind: latency, delay: { median: 200ms, p99: 5s, at_most: 10s } }");
    let ec2 = drill.ec2();
    let mut took = Vec::new();
    for _ in 0..200 {
        let begun = tokio::time::Instant::now();
        ec2.describe_regions().send().await.unwrap();
        took.push(begun.elapsed().as_secs_f64());
    }
    took.sort_by(f64::total_cmp);
    assert!((0.2..0.4).contains(&took[100]) && took[199] > 2.0 && took[199] < 10.1, "{} {}", took[100], took[199]);
    assert_eq!(drill.sim.struck()[&FaultKind::Latency], 200);
}
