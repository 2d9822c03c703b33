//! What quell makes of answers that are late, spoilt, or not AWS's: never a list that counts as whole and is not, never a
//! wait without end, and no account lost because a session ended before its time.

use std::sync::Arc;

use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use quell::actions;
use quell::cloud::{CloudSessions, Options};
use quell::engine::action::{Ctx, Wanted};
use quell::engine::ports::{Access, Clock as _, Sessions as _, TokioClock};
use quell::model::{ActionError, ErrorKind, Region, Role, RunId, Target};
use quell::sim::Sim;
use quell::sim::faults::{FaultKind, FaultPlan};
use quell::sim::scenario::{Built, Scenario};
use serde_json::Map;
use tokio::time::{Duration, Instant};

/// The responder's sessions in a small drill, who enters the breached account through a role.
struct Stage {
    sessions: CloudSessions,
    built: Built,
    sim: Sim,
}

impl Stage {
    async fn set() -> Self {
        let scenario = Scenario::named("cryptojack-small").unwrap();
        let built = scenario.build(1, "2026-03-03T18:00:00Z".parse().unwrap()).unwrap();
        let clock = Arc::new(TokioClock::starting_at(built.begins));
        let time = Arc::clone(&clock);
        let sim = Sim::new(built.world.clone(), move || time.now());
        let responder = &built.credentials["responder"];
        sim.introduce_responder(responder.access_key_id.clone());
        let keys = responder.access_key_id.as_str();
        let keys = Credentials::new(keys, &responder.secret_access_key.0, None, None, "test");
        let options = Options {
            profile: None,
            region: Some("us-east-1".into()),
            http: Some(sim.http_client()),
            credentials: Some(SharedCredentialsProvider::new(keys)),
            endpoint_url: None,
            evidence: None,
            clock,
            case: RunId::new("20260303-faults").unwrap(),
            now: built.begins,
        };
        let sessions = CloudSessions::new(options).await.unwrap();
        sessions.assume(Some(&Role { name: "ir/IRResponder".into(), external_id: None, source_identity: None }));
        Self { sessions, built, sim }
    }

    /// What goes wrong from now on.
    fn fault(&self, rule: &str) {
        self.sim.set_fault_plan(FaultPlan::load(&format!("[{rule}]"), "test").unwrap());
    }

    async fn cx(&self, access: Access) -> Result<Ctx, ActionError> {
        let machine = &self.built.facts.machines["rogue"][0];
        let region = Region::new(machine.region.as_str()).unwrap();
        self.sessions.enter(&Target::new(machine.account.clone(), region), access).await
    }

    /// Lists what a set holds in a region of the breached account.
    async fn look(&self, set: &str) -> Result<usize, ActionError> {
        let cx = self.cx(Access::Read).await?;
        let table = actions::table();
        Ok(table.source(set).unwrap().list(&cx, &Map::new(), &Wanted::default()).await?.members.len())
    }

    fn struck(&self, kind: FaultKind) -> u64 {
        self.sim.struck().get(&kind).copied().unwrap_or_default()
    }
}

#[tokio::test(start_paused = true)]
async fn a_list_whose_page_repeats_does_not_count_as_whole() {
    let stage = Stage::set().await;
    assert!(stage.look("ec2.instances").await.unwrap() > 0);
    for (set, service) in [("ec2.instances", "ec2"), ("ecs.services", "ecs"), ("lambda.functions", "lambda")] {
        stage.fault(&format!("{service}=repeat-page"));
        let error = stage.look(set).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Unsupported, "{error}");
        assert!(error.message.contains("does not go on"), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_list_without_end_is_given_up() {
    let stage = Stage::set().await;
    stage.fault("ec2=empty-page");
    let begun = Instant::now();
    let error = stage.look("ec2.instances").await.unwrap_err();
    assert!(error.message.contains("has not ended after"), "{error}");
    assert!(begun.elapsed() < Duration::from_mins(1), "{:?}", begun.elapsed());
    stage.fault("{ kind: empty-page, service: ec2, times: 3 }");
    assert!(stage.look("ec2.instances").await.unwrap() > 0, "some empty pages are nothing to be afraid of");
}

#[tokio::test(start_paused = true)]
async fn nothing_is_no_empty_list_and_a_web_page_no_success() {
    let stage = Stage::set().await;
    for fault in ["empty-answer", "garbage", "half-answer", "html-200"] {
        for set in ["ec2.instances", "ecs.services", "lambda.functions"] {
            stage.fault(&format!("'*={fault}'"));
            let looked = stage.look(set).await;
            stage.fault("");
            assert_eq!(looked.unwrap_err().kind, ErrorKind::Unreachable, "{set} {fault}");
        }
    }
    stage.fault("iam:UpdateAccessKey=html-200");
    let cx = stage.cx(Access::Write).await.unwrap();
    let facts = &stage.built.facts;
    let request = aws_sdk_iam::Client::new(&cx.sdk).update_access_key().access_key_id(facts.leaked_key.as_str());
    let request = request.user_name(&facts.compromised_user).status(aws_sdk_iam::types::StatusType::Inactive);
    let error = ActionError::from(request.send().await.unwrap_err());
    assert_eq!(error.kind, ErrorKind::Unreachable);
    assert!(error.message.contains("sign in"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_session_that_ends_before_its_time_is_renewed() {
    let stage = Stage::set().await;
    for fault in ["expire-sessions", "revoke-credentials"] {
        for set in ["ec2.instances", "ecs.services", "lambda.functions"] {
            stage.look(set).await.unwrap();
            tokio::time::sleep(Duration::from_secs(10)).await;
            let entered = &stage.built.facts.breached_account;
            stage.fault(&format!("{{ kind: {fault}, account: '{entered}' }}"));
            stage.look(set).await.unwrap_or_else(|error| panic!("{fault} {set}: {error}"));
            assert_eq!(stage.sim.struck().values().sum::<u64>(), 1, "{fault} {set}: once, then a new session");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_is_off_is_gone_by() {
    let stage = Stage::set().await;
    for rule in ["clock-ahead:20m", "clock-behind:20m"] {
        stage.fault(&format!("'*={rule}'"));
        stage.look("ec2.instances").await.unwrap_or_else(|error| panic!("{rule}: {error}"));
        let kind = if rule.contains("ahead") { FaultKind::ClockAhead } else { FaultKind::ClockBehind };
        assert!(stage.struck(kind) > 1);
    }
}

#[tokio::test(start_paused = true)]
async fn every_request_has_its_end_whatever_becomes_of_it() {
    let stage = Stage::set().await;
    for kind in FaultKind::ALL {
        let with = match kind {
            FaultKind::Latency => ", delay: 1h",
            FaultKind::StaleReads | FaultKind::NotFoundAfterCreate => ", by: 10s",
            FaultKind::ClockAhead | FaultKind::ClockBehind => ", by: 1h",
            _ => "",
        };
        stage.fault(&format!("{{ kind: {kind}, service: ec2{with} }}"));
        let begun = Instant::now();
        let looked = stage.look("ec2.instances").await;
        let took = begun.elapsed();
        assert!(took < Duration::from_mins(4), "{kind}: {took:?} {looked:?}");
        assert!(looked.as_ref().is_ok_and(|found| *found > 0) || looked.is_err(), "{kind}: an empty list that is not");
    }
}
