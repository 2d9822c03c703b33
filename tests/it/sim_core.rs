//! The simulated AWS, asked by AWS's own SDK: signatures, error codes, `DryRun`, budgets, roles, regions, faults.

use std::net::SocketAddr;
use std::time::Duration;

use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_sdk_ec2::error::ProvideErrorMetadata;
use aws_smithy_async::rt::sleep::{SharedAsyncSleep, TokioSleep};
use aws_smithy_types::retry::RetryConfig;
use aws_smithy_types::timeout::TimeoutConfig;
use aws_types::SdkConfig;
use quell::engine::ports::{Clock, TokioClock};
use quell::model::Region;
use quell::sim::Sim;
use quell::sim::iam::KeyStatus;
use quell::sim::listener::Listener;
use quell::sim::scenario::{Built, Scenario};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A small drill, and what is true in it.
struct Drill {
    sim: Sim,
    built: Built,
}

impl Drill {
    fn begin() -> Self {
        let scenario = Scenario::named("cryptojack-small").unwrap();
        let built = scenario.build(1, "2026-03-03T18:00:00Z".parse().unwrap()).unwrap();
        let clock = TokioClock::starting_at(built.begins);
        Self { sim: Sim::new(built.world.clone(), move || clock.now()), built }
    }

    fn credentials(&self, who: &str) -> Credentials {
        let credentials = &self.built.credentials[who];
        keys(credentials.access_key_id.as_str(), &credentials.secret_access_key.0, None)
    }

    fn sdk(&self, who: &str, region: &str) -> SdkConfig {
        self.sdk_with(self.credentials(who), region)
    }

    fn sdk_with(&self, credentials: Credentials, region: &str) -> SdkConfig {
        SdkConfig::builder()
            .behavior_version(aws_sdk_ec2::config::BehaviorVersion::latest())
            .http_client(self.sim.http_client())
            .time_source(self.sim.time_source())
            .sleep_impl(SharedAsyncSleep::new(TokioSleep::new()))
            .credentials_provider(SharedCredentialsProvider::new(credentials))
            .region(aws_types::region::Region::new(region.to_owned()))
            .retry_config(RetryConfig::disabled())
            .build()
    }

    fn ec2(&self, who: &str, region: &str) -> aws_sdk_ec2::Client {
        aws_sdk_ec2::Client::new(&self.sdk(who, region))
    }

    /// A rogue machine: region and id.
    fn rogue(&self) -> (String, String) {
        let machine = &self.built.facts.machines["rogue"][0];
        (machine.region.to_string(), machine.id.clone())
    }
}

fn keys(id: &str, secret: &str, token: Option<&str>) -> Credentials {
    Credentials::new(id, secret, token.map(str::to_owned), None, "test")
}

fn code<T, E: ProvideErrorMetadata>(result: Result<T, E>) -> String {
    match result {
        Ok(_) => "ok".to_owned(),
        Err(error) => error.code().unwrap_or("no code").to_owned(),
    }
}

#[tokio::test(start_paused = true)]
async fn an_inactive_key_is_refused_with_each_services_own_code() {
    let drill = Drill::begin();
    let key = drill.built.credentials["attacker"].access_key_id.clone();
    drill.sim.change(|world| {
        let account = world.account_mut(&drill.built.facts.breached_account);
        account.iam.access_keys.get_mut(&key).unwrap().status = KeyStatus::Inactive;
    });
    let sdk = drill.sdk("attacker", "us-east-1");
    assert_eq!(code(aws_sdk_ec2::Client::new(&sdk).describe_instances().send().await), "AuthFailure");
    assert_eq!(code(aws_sdk_iam::Client::new(&sdk).list_users().send().await), "InvalidClientTokenId");
    assert_eq!(code(aws_sdk_sts::Client::new(&sdk).get_caller_identity().send().await), "InvalidClientTokenId");
    assert_eq!(code(aws_sdk_s3::Client::new(&sdk).list_buckets().send().await), "InvalidAccessKeyId");
    let organizations = aws_sdk_organizations::Client::new(&sdk);
    assert_eq!(code(organizations.list_roots().send().await), "UnrecognizedClientException");
}

#[tokio::test(start_paused = true)]
async fn a_wrong_secret_is_refused() {
    let drill = Drill::begin();
    let key = drill.built.credentials["attacker"].access_key_id.as_str().to_owned();
    let sdk = drill.sdk_with(keys(&key, "another", None), "us-east-1");
    assert_eq!(code(aws_sdk_ec2::Client::new(&sdk).describe_instances().send().await), "AuthFailure");
    assert_eq!(code(aws_sdk_iam::Client::new(&sdk).list_users().send().await), "SignatureDoesNotMatch");
}

#[tokio::test(start_paused = true)]
async fn an_operation_that_is_not_simulated_is_refused_by_name() {
    let drill = Drill::begin();
    let error = drill.ec2("attacker", "us-east-1").describe_carrier_gateways().send().await.unwrap_err();
    assert_eq!(error.code(), Some("InvalidAction"));
    assert!(error.message().unwrap().contains("ec2:DescribeCarrierGateways"));
    let organizations = aws_sdk_organizations::Client::new(&drill.sdk("attacker", "us-east-1"));
    let error = organizations.list_handshakes_for_account().send().await.unwrap_err();
    assert_eq!(error.code(), Some("UnknownOperationException"));
    assert!(error.message().unwrap().contains("organizations:ListHandshakesForAccount"));
}

#[tokio::test(start_paused = true)]
async fn dry_run_says_whether_it_would_be_allowed_and_does_nothing() {
    let drill = Drill::begin();
    let (region, id) = drill.rogue();
    let attempt = |who: &str| drill.ec2(who, &region).stop_instances().instance_ids(&id).dry_run(true).send();
    assert_eq!(code(attempt("attacker").await), "DryRunOperation");
    let identity =
        aws_sdk_sts::Client::new(&drill.sdk("attacker", &region)).get_caller_identity().send().await.unwrap();
    assert_eq!(identity.account(), Some(drill.built.facts.breached_account.as_str()));
    let states = drill.ec2("attacker", &region).describe_instances().instance_ids(&id).send().await.unwrap();
    let state = states.reservations()[0].instances()[0].state().unwrap().name().unwrap().as_str().to_owned();
    assert_eq!(state, "running");
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_finds_ids_that_are_wrong_once_the_call_is_allowed() {
    let drill = Drill::begin();
    let (region, id) = drill.rogue();
    let attempt = |who: &str, ids: [&str; 2]| {
        let ids = ids.map(str::to_owned).to_vec();
        drill.ec2(who, &region).create_tags().set_resources(Some(ids)).tags(tag()).dry_run(true).send()
    };
    assert_eq!(code(attempt("attacker", [&id, &id]).await), "DryRunOperation");
    assert_eq!(code(attempt("attacker", [&id, "i-00000000000000000"]).await), "InvalidInstanceID.NotFound");
    assert_eq!(code(attempt("attacker", [&id, "sg-group"]).await), "InvalidGroupId.Malformed");
    assert_eq!(code(attempt("responder", [&id, "i-00000000000000000"]).await), "UnauthorizedOperation");
    let unknown = drill.ec2("attacker", &region).stop_instances().instance_ids("i-00000000000000000");
    assert_eq!(code(unknown.dry_run(true).send().await), "InvalidInstanceID.NotFound");
}

fn tag() -> aws_sdk_ec2::types::Tag {
    aws_sdk_ec2::types::Tag::builder().key("case").value("7").build()
}

#[tokio::test(start_paused = true)]
async fn dry_run_without_permission_is_unauthorized() {
    let drill = Drill::begin();
    let ec2 = drill.ec2("responder", "us-east-1");
    let refused = ec2.create_security_group().group_name("x").description("x").dry_run(true).send().await;
    assert_eq!(code(refused), "UnauthorizedOperation");
}

#[tokio::test(start_paused = true)]
async fn too_many_calls_are_throttled_and_time_heals_it() {
    let drill = Drill::begin();
    drill.sim.set_latency(Duration::ZERO);
    let (region, id) = drill.rogue();
    let ec2 = drill.ec2("attacker", &region);
    let attempt = || ec2.stop_instances().instance_ids(&id).dry_run(true).send();
    let mut codes = Vec::new();
    for _ in 0..51 {
        codes.push(code(attempt().await));
    }
    assert_eq!(codes.iter().filter(|code| *code == "DryRunOperation").count(), 50);
    assert_eq!(codes.last().unwrap(), "RequestLimitExceeded");
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(code(attempt().await), "DryRunOperation");
}

#[tokio::test(start_paused = true)]
async fn assuming_a_role_switches_account_and_principal() {
    let drill = Drill::begin();
    let breached = drill.built.facts.breached_account.clone();
    let role = format!("arn:aws:iam::{breached}:role/ir/IRResponder");
    let sts = aws_sdk_sts::Client::new(&drill.sdk("responder", "us-east-1"));
    let assumed = sts.assume_role().role_arn(&role).role_session_name("case-7").send().await.unwrap();
    let given = assumed.credentials().unwrap();
    let credentials = keys(given.access_key_id(), given.secret_access_key(), Some(given.session_token()));
    let inside = aws_sdk_sts::Client::new(&drill.sdk_with(credentials.clone(), "us-east-1"));
    let identity = inside.get_caller_identity().send().await.unwrap();
    assert_eq!(identity.account(), Some(breached.as_str()));
    let arn = format!("arn:aws:sts::{breached}:assumed-role/IRResponder/case-7");
    assert_eq!(identity.arn(), Some(arn.as_str()));
    let events = drill.sim.world();
    let history = &events.region(&breached, &Region::new("us-east-1").unwrap()).cloudtrail.events;
    assert!(history.iter().any(|event| event.name == "AssumeRole"));
    tokio::time::sleep(Duration::from_secs(3601)).await;
    assert_eq!(code(inside.get_caller_identity().send().await), "ExpiredToken");
    let ec2 = aws_sdk_ec2::Client::new(&drill.sdk_with(credentials, "us-east-1"));
    assert_eq!(code(ec2.describe_instances().send().await), "RequestExpired");
}

#[tokio::test(start_paused = true)]
async fn a_role_that_is_missing_or_trusts_others_cannot_be_assumed() {
    let drill = Drill::begin();
    let breached = &drill.built.facts.breached_account;
    let sts = aws_sdk_sts::Client::new(&drill.sdk("responder", "us-east-1"));
    for name in ["ir/Nobody", "IRResponder"] {
        let role = format!("arn:aws:iam::{breached}:role/{name}");
        assert_eq!(code(sts.assume_role().role_arn(role).role_session_name("x").send().await), "AccessDenied");
    }
    let sts = aws_sdk_sts::Client::new(&drill.sdk("attacker", "us-east-1"));
    let role = format!("arn:aws:iam::{breached}:role/ir/IRResponder");
    assert_eq!(code(sts.assume_role().role_arn(role).role_session_name("x").send().await), "AccessDenied");
}

#[tokio::test(start_paused = true)]
async fn a_call_sees_only_the_region_it_is_signed_for() {
    let drill = Drill::begin();
    let mut seen = Vec::new();
    for region in ["us-east-1", "eu-central-1", "eu-west-1", "eu-south-1"] {
        let page = drill.ec2("attacker", region).describe_instances().max_results(1000).send().await.unwrap();
        seen.extend(
            page.reservations()
                .iter()
                .flat_map(aws_sdk_ec2::types::Reservation::instances)
                .map(|i| i.instance_id().unwrap().to_owned()),
        );
    }
    let expected = drill.built.facts.machines["rogue"].len() + drill.built.facts.machines["legitimate"].len();
    assert_eq!(seen.len(), expected);
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), expected);
}

#[tokio::test(start_paused = true)]
async fn a_region_that_is_not_enabled_lets_nobody_in() {
    let drill = Drill::begin();
    let sdk = drill.sdk("attacker", "ap-east-1");
    assert_eq!(code(aws_sdk_ec2::Client::new(&sdk).describe_instances().send().await), "AuthFailure");
    assert_eq!(code(aws_sdk_sts::Client::new(&sdk).get_caller_identity().send().await), "RegionDisabledException");
}

#[tokio::test(start_paused = true)]
async fn a_silent_region_answers_nothing_and_holds_up_no_other() {
    let drill = Drill::begin();
    drill.sim.set_faults(vec!["eu-west-1=no-answer".parse().unwrap()]);
    let timeout = TimeoutConfig::builder().operation_timeout(Duration::from_secs(15)).build();
    let sdk = drill.sdk("attacker", "eu-west-1").into_builder().timeout_config(timeout).build();
    let silent = aws_sdk_ec2::Client::new(&sdk).describe_instances().send().await.unwrap_err();
    assert!(silent.code().is_none(), "{silent:?}");
    assert_eq!(code(drill.ec2("attacker", "us-east-1").describe_instances().send().await), "ok");
    assert!(drill.sim.log().iter().any(|entry| entry.outcome == "no-answer" && entry.region == "eu-west-1"));
}

#[tokio::test(start_paused = true)]
async fn the_event_history_knows_who_made_the_second_key() {
    let drill = Drill::begin();
    let cloudtrail = aws_sdk_cloudtrail::Client::new(&drill.sdk("attacker", "us-east-1"));
    let attribute = aws_sdk_cloudtrail::types::LookupAttribute::builder()
        .attribute_key(aws_sdk_cloudtrail::types::LookupAttributeKey::AccessKeyId)
        .attribute_value(drill.built.facts.leaked_key.as_str())
        .build()
        .unwrap();
    let found = cloudtrail.lookup_events().lookup_attributes(attribute).send().await.unwrap();
    let made = found.events().iter().find(|event| event.event_name() == Some("CreateAccessKey")).unwrap();
    let second = drill.built.credentials["attacker"].access_key_id.as_str();
    assert!(made.cloud_trail_event().unwrap().contains(second));
    assert_eq!(made.username(), Some("mara.weiss"));
}

/// What a listener answers to a request that nobody signed.
async fn ask(address: SocketAddr, line: &str, body: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let length = body.len();
    let request = format!("{line} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn the_listener_shows_the_world_and_takes_faults() {
    let drill = Drill::begin();
    drill.sim.set_latency(Duration::ZERO);
    let listener = Listener::bind(drill.sim.clone(), 0).await.unwrap();
    let address = listener.address().unwrap();
    assert!(address.ip().is_loopback());
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let serving = tokio::spawn(listener.serve(async move { stopped.await.unwrap_or(()) }));
    let world = ask(address, "GET /_sim/world", "").await;
    assert!(world.contains("mara.weiss"));
    assert!(!world.contains(&drill.built.credentials["attacker"].secret_access_key.0));
    let faults = r#"[{"kind": "throttle", "region": "us-east-1"}]"#;
    assert!(ask(address, "POST /_sim/faults", faults).await.starts_with("HTTP/1.1 200"));
    assert!(ask(address, "POST /_sim/faults", "[{\"kind\": \"gremlins\"}]").await.contains("unknown variant"));
    let unsigned = ask(address, "GET /?Action=ListUsers", "").await;
    assert!(unsigned.starts_with("HTTP/1.1 403"), "{unsigned}");
    assert_eq!(code(drill.ec2("attacker", "us-east-1").describe_instances().send().await), "RequestLimitExceeded");
    stop.send(()).unwrap();
    serving.await.unwrap().unwrap();
}

#[tokio::test]
async fn the_listener_moves_the_time_on_and_requests_are_signed_by_the_clock_all_the_same() {
    let drill = Drill::begin();
    drill.sim.set_latency(Duration::ZERO);
    let listener = Listener::bind(drill.sim.clone(), 0).await.unwrap();
    let address = listener.address().unwrap();
    let serving = tokio::spawn(listener.serve(std::future::pending()));
    let (region, id) = drill.rogue();
    let ec2 = drill.ec2("attacker", &region);
    let state = async || {
        let found = ec2.describe_instances().instance_ids(&id).send().await.unwrap();
        found.reservations()[0].instances()[0].state().unwrap().name().unwrap().as_str().to_owned()
    };
    let sts = aws_sdk_sts::Client::new(&drill.sdk("attacker", "us-east-1"));
    let session = sts.get_session_token().duration_seconds(900).send().await.unwrap().credentials.unwrap();
    let session = keys(session.access_key_id(), session.secret_access_key(), Some(session.session_token()));
    let session = aws_sdk_ec2::Client::new(&drill.sdk_with(session, &region));
    ec2.stop_instances().instance_ids(&id).send().await.unwrap();
    assert_eq!((state().await.as_str(), code(session.describe_instances().send().await).as_str()), ("stopping", "ok"));

    let soon = ask(address, "POST /_sim/clock", r#"{"forward": "soon"}"#).await;
    assert!(soon.starts_with("HTTP/1.1 400") && soon.contains("not a length of time"), "{soon}");
    let moved = ask(address, "POST /_sim/clock", r#"{"forward": "20m"}"#).await;
    assert!(moved.starts_with("HTTP/1.1 200"), "{moved}");
    assert_eq!(state().await, "stopped", "more than the 15 minutes for which a signature is good");
    assert_eq!(code(session.describe_instances().send().await), "RequestExpired", "the session's own time is over");
    serving.abort();
}

#[tokio::test(start_paused = true)]
async fn an_object_comes_back_as_it_was_put() {
    let drill = Drill::begin();
    let sdk = drill.sdk("attacker", "us-east-1");
    for by_path in [true, false] {
        let config = aws_sdk_s3::config::Builder::from(&sdk).force_path_style(by_path).build();
        let s3 = aws_sdk_s3::Client::from_conf(config);
        let bucket = format!("evidence-430987654321-{by_path}");
        s3.create_bucket().bucket(&bucket).send().await.unwrap();
        let body = || aws_sdk_s3::primitives::ByteStream::from_static(b"console output");
        // The SDK sends a CRC-32 of its own, in the trailer of a chunked body or in a header.
        let put = s3.put_object().bucket(&bucket).key("case/i-1.txt").body(body()).send().await.unwrap();
        assert_eq!(put.e_tag(), Some("\"5743a94edecb24a1f37efb0fe5c1b3d6\""));
        assert_eq!(put.checksum_crc32(), Some("HjZYiQ=="));
        let wrong = s3.put_object().bucket(&bucket).key("x").body(body()).checksum_crc32("AAAAAA==").send().await;
        assert_eq!(code(wrong), "BadDigest");
        let object = s3.get_object().bucket(&bucket).key("case/i-1.txt").send().await.unwrap();
        assert_eq!(object.body.collect().await.unwrap().into_bytes(), "console output");
        let named = aws_sdk_s3::types::ObjectIdentifier::builder().key("case/i-1.txt").build().unwrap();
        let named = aws_sdk_s3::types::Delete::builder().objects(named).build().unwrap();
        let deleted = s3.delete_objects().bucket(&bucket).delete(named).send().await.unwrap();
        assert_eq!(deleted.deleted()[0].key(), Some("case/i-1.txt"));
        assert_eq!(code(s3.head_object().bucket(&bucket).key("case/i-1.txt").send().await), "NotFound");
    }
}

#[tokio::test(start_paused = true)]
async fn a_quarantine_binds_the_account_but_not_the_exempt_role() {
    let drill = Drill::begin();
    drill.sim.change(|world| {
        let organization = world.organization.as_mut().unwrap();
        let content = quell::policy::deny_all_except_roles(&["arn:aws:iam::*:role/ir/IRResponder"]);
        let policy = quell::sim::organizations::Policy {
            name: "Quarantine".to_owned(),
            description: String::new(),
            kind: quell::sim::organizations::PolicyType::ServiceControl,
            content,
            aws_managed: false,
            tags: std::collections::BTreeMap::new(),
        };
        organization.policies.insert("p-quarantine".to_owned(), policy);
        organization.attach(drill.built.facts.breached_account.as_str(), "p-quarantine");
    });
    assert_eq!(code(drill.ec2("attacker", "us-east-1").describe_instances().send().await), "UnauthorizedOperation");
    let sts = aws_sdk_sts::Client::new(&drill.sdk("responder", "us-east-1"));
    let role = format!("arn:aws:iam::{}:role/ir/IRResponder", drill.built.facts.breached_account);
    let assumed = sts.assume_role().role_arn(role).role_session_name("case-7").send().await.unwrap();
    let given = assumed.credentials().unwrap();
    let credentials = keys(given.access_key_id(), given.secret_access_key(), Some(given.session_token()));
    let ec2 = aws_sdk_ec2::Client::new(&drill.sdk_with(credentials, "us-east-1"));
    assert_eq!(code(ec2.describe_instances().send().await), "ok");
}

#[tokio::test(start_paused = true)]
async fn a_denying_fault_is_seen_by_a_dry_run() {
    let drill = Drill::begin();
    drill.sim.set_faults(vec!["ec2:StopInstances=deny".parse().unwrap()]);
    let (region, id) = drill.rogue();
    let attempt = drill.ec2("attacker", &region).stop_instances().instance_ids(id).dry_run(true).send().await;
    assert_eq!(code(attempt), "UnauthorizedOperation");
}
