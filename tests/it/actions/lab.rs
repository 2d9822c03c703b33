//! A small breached organisation, and the responder's sessions in it.

use std::sync::Arc;

use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use jiff::Timestamp;
use quell::actions;
use quell::approval::Flags;
use quell::cloud::{CloudSessions, Options};
use quell::engine::Engine;
use quell::engine::action::{Ctx, Wanted};
use quell::engine::ports::{Access, Clock as _, Lane, Reporter, Sessions as _, TokioClock};
use quell::engine::run::Run;
use quell::engine::table::Table;
use quell::journal::Journal;
use quell::model::{
    Accounts, Event, Finding, Kind, Plan, Regions, Resource, ResourceId, Role, RunId, Severity, Summary, Target,
    Targets, Tier,
};
use quell::sim::Sim;
use quell::sim::scenario::{Facts, Scenario};
use quell::sim::world::World;
use serde_json::{Map, Value, json};
use tempfile::TempDir;
use tokio::sync::watch;

/// Who may take a role: the account itself.
pub const TRUST: &str = r#"{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole",
    "Principal": {"AWS": "arn:aws:iam::430987654321:root"}}]}"#;

/// A small breached organisation, and the responder's sessions in it.
pub struct Lab {
    pub sim: Sim,
    pub clock: TokioClock,
    pub sessions: Arc<CloudSessions>,
    pub facts: Facts,
    /// The intruder's long-term key.
    pub attacker: Credentials,
    /// The responder's.
    responder: Credentials,
    pub table: Table,
    /// What the run captures.
    pub evidence: TempDir,
}

/// Nobody to whom a run is reported.
struct Nobody;

impl Reporter for Nobody {
    fn event(&mut self, _: &Event) {}
}

/// The accounts and the role that a runbook for the breached account names.
pub fn breached(facts: &Facts) -> Targets {
    Targets {
        accounts: Accounts::OfKey(facts.leaked_key.to_string()),
        regions: Regions::Enabled,
        role: Some(Role { name: "ir/IRResponder".into(), external_id: None, source_identity: None }),
    }
}

/// The case of every run in a lab.
pub fn case() -> RunId {
    RunId::new("case-1").unwrap()
}

impl Lab {
    pub async fn new() -> Self {
        let scenario = Scenario::named("cryptojack-small").unwrap();
        let built = scenario.build(1, "2026-03-03T18:00:00Z".parse().unwrap()).unwrap();
        let clock = TokioClock::starting_at(built.begins);
        let keys = |name: &str| {
            let keys = &built.credentials[name];
            Credentials::new(keys.access_key_id.as_str(), keys.secret_access_key.0.clone(), None, None, "scenario")
        };
        let people = (keys("attacker"), keys("responder"));
        Self::over(built.world, (clock, built.begins), built.facts, people, quell::sim::Sim::http_client).await
    }

    /// A world of this lab at the time it had, with sessions and a table of its own: a process of its own, which works on a
    /// plan made at `now`. `door` is what its requests pass.
    pub async fn again(
        &self,
        (world, at): (World, Timestamp),
        now: Timestamp,
        door: impl FnOnce(&Sim) -> SharedHttpClient,
    ) -> Self {
        let people = (self.attacker.clone(), self.responder.clone());
        Self::over(world, (TokioClock::starting_at(at), now), self.facts.clone(), people, door).await
    }

    async fn over(
        world: World,
        (clock, now): (TokioClock, Timestamp),
        facts: Facts,
        (attacker, responder): (Credentials, Credentials),
        door: impl FnOnce(&Sim) -> SharedHttpClient,
    ) -> Self {
        let sim = Sim::new(world, move || clock.now());
        let evidence = tempfile::tempdir().unwrap();
        let options = Options {
            profile: None,
            region: Some("us-east-1".into()),
            http: Some(door(&sim)),
            credentials: Some(SharedCredentialsProvider::new(responder.clone())),
            endpoint_url: None,
            evidence: Some(evidence.path().to_owned()),
            clock: Arc::new(clock),
            case: case(),
            now,
        };
        let sessions = Arc::new(CloudSessions::new(options).await.unwrap());
        sessions.assume(breached(&facts).role.as_ref());
        Self { sim, clock, sessions, facts, attacker, responder, table: actions::table(), evidence }
    }

    pub fn engine(&self) -> Engine {
        Engine { sessions: self.sessions.clone(), table: self.table.clone(), clock: Arc::new(self.clock) }
    }

    /// The regional lanes of the breached account.
    pub async fn regions(&self, targets: &Targets) -> Vec<Lane> {
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
            .list(&cx, &object(with), &Wanted { fields: vec!["image_owner", "created", "creator"], known: Vec::new() })
            .await
            .unwrap()
            .members
    }

    /// What a plan of these sets and steps is refused for. `accounts` is where.
    pub async fn refusals(&self, accounts: &str, rest: &str) -> Vec<String> {
        let plan = self.plan(accounts, rest).await;
        let refused = plan.findings.into_iter().filter(|finding| finding.severity == Severity::Refusal);
        refused.map(|finding: Finding| finding.message).collect()
    }

    /// The plan of these sets and steps.
    pub async fn plan(&self, accounts: &str, rest: &str) -> Plan {
        let text = format!(
            "quell: 1\nname: guarded\ntitle: Guarded\ntargets: {{ accounts: {accounts}, role: ir/IRResponder }}\n\
             break_glass: [role/BreakGlass]\n{rest}"
        );
        let (runbook, _) = quell::runbook::load("guarded", &text, &self.table.catalog()).unwrap();
        self.engine().plan(&runbook, &Map::new(), &case(), self.sim.now(), &mut |_| ()).await.unwrap().plan
    }

    /// Carries a plan out with every approval.
    pub async fn carry_out(&self, plan: Plan) -> Summary {
        let state = tempfile::tempdir().unwrap();
        let journal = Journal::create(state.path(), &case()).unwrap();
        let (_never, stop) = watch::channel(false);
        let (approver, mut nobody) = (Arc::new(Flags::new(Tier::ALL, "test")), Nobody);
        let run = Run::start(self.engine(), journal, case(), plan.into(), (approver, &mut nobody, stop)).unwrap();
        run.execute().await.unwrap()
    }

    /// The user whose key leaked.
    pub async fn intruder(&self) -> Vec<Resource> {
        self.list("iam.owner-of-key", json!({ "key": self.facts.leaked_key }), &self.global()).await
    }

    /// The account, as the member of a step without a set.
    pub fn account(&self) -> Resource {
        let id = ResourceId::new(self.facts.breached_account.as_str()).unwrap();
        Resource { kind: Kind::new("account"), id, target: self.global(), fields: Map::new() }
    }

    /// Where the first of the intruder's machines is.
    pub fn region(&self) -> Target {
        let first = &self.facts.machines["rogue"][0];
        Target::new(first.account.clone(), first.region.clone())
    }

    /// The intruder's machines in that region.
    pub async fn rogue(&self) -> (Target, Vec<Resource>) {
        let target = self.region();
        let rogue: Vec<&str> = self.facts.machines["rogue"].iter().map(|machine| machine.id.as_str()).collect();
        let mut members = self.list("ec2.instances", json!({}), &target).await;
        members.retain(|member| rogue.contains(&member.id.as_str()));
        assert!(!members.is_empty());
        (target, members)
    }
}

pub fn object(value: Value) -> Map<String, Value> {
    value.as_object().cloned().expect("an object")
}
