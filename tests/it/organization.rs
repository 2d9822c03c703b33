//! Forty accounts: three are contained, one cannot be entered, and all others are seen to be clean.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use quell::actions;
use quell::cloud::{CloudSessions, Options};
use quell::engine::action::Wanted;
use quell::engine::ports::{Access, Account, Sessions as _, TokioClock};
use quell::model::{Accounts, ActionError, ErrorKind, Region, Role, RunId, Target, Targets};
use quell::sim::Sim;
use quell::sim::faults::Fault;
use quell::sim::scenario::{Built, Scenario};
use serde_json::{Map, Value};

use crate::binary::{changed, code, json, quell};
use crate::site::stderr;

const APPROVED: [&str; 4] = ["--approve", "reversible,disruptive", "--output", "json"];

#[test]
fn three_accounts_are_contained_the_others_proven_clean_and_the_one_that_was_not_seen_is_named() {
    let home = tempfile::tempdir().unwrap();
    let drill = ["drill", "organization", "--runbook", "cryptojack"];
    let output = quell(home.path()).args(drill).args(APPROVED).output().unwrap();
    let ended = json(&output);
    assert_eq!((code(&output), ended["outcome"].as_str()), (5, Some("coverage-incomplete")), "{}", stderr(&output));
    let accounts = &ended["accounts"];
    let count = |state: &str| accounts[state].as_u64().unwrap();
    assert_eq!((count("contained"), count("clean"), count("denied")), (3, 36, 1), "{accounts}");
    assert_eq!((count("open"), count("unreachable"), count("unknown")), (0, 0, 0), "{accounts}");

    // Only one account denied access, also to the sweeps after the locks: the responder was never locked out.
    let not_seen = ended["not_seen"].as_array().unwrap();
    let denying: BTreeSet<&str> = not_seen.iter().map(|cell| cell["account"].as_str().unwrap()).collect();
    assert_eq!(denying.len(), 1, "{denying:?}");
    assert!(not_seen.iter().all(|cell| cell["status"] == "denied"), "{not_seen:?}");
    assert!(ended["sweeps"]["made"].as_u64() >= Some(2), "{}", ended["sweeps"]);

    let score = &ended["drill"];
    assert_eq!((score["rogue"].as_u64(), score["stopped"].as_u64()), (Some(25), Some(25)), "{score}");
    assert_eq!((score["keys_inactive"].as_u64(), score["legitimate_touched"].as_u64()), (Some(2), Some(0)), "{score}");
    assert_eq!((ended["changes"]["unproven"].as_u64(), ended["throttled"].as_u64()), (Some(0), Some(0)), "{ended:#}");
}

#[test]
fn a_runbook_that_would_lock_the_responder_out_is_refused_before_anything_happens() {
    for exempt in ["[]", "[role/ir/SomebodyElse]"] {
        let home = tempfile::tempdir().unwrap();
        let new = format!("with: {{ exempt: {exempt} }}");
        let runbook =
            changed(home.path(), "runbooks/cryptojack.yaml", &[("with: { exempt: [role/ir/IRResponder] }", &new)]);
        let drill =
            quell(home.path()).args(["drill", "organization", "--runbook"]).arg(runbook).args(APPROVED).output();
        let drill = drill.unwrap();
        assert_eq!(code(&drill), 4, "{}", stderr(&drill));
        let said = stderr(&drill);
        assert!(said.contains("nothing was changed") && said.contains("exempt"), "{said}");
        // Every change is in a journal before it is made, and there is no journal.
        let runs = json(&quell(home.path()).args(["runs", "--output", "json"]).output().unwrap());
        assert_eq!(runs["runs"], Value::Array(Vec::new()));
    }
}

#[test]
fn a_file_names_the_accounts_to_look_in() {
    let home = tempfile::tempdir().unwrap();
    let text = "quell: 1\nname: look\ntitle: Look\ntargets: { accounts: { file: \"${{ inputs.list }}\" }, role: ir/IRResponder }\n\
                inputs: { list: { type: string } }\nsets: { all: { from: ec2.instances, where: state == \"gone\" } }\n\
                steps: [{ id: stop, uses: ec2.stop-instances, on: all }]\n";
    let runbook = home.path().join("look.yaml");
    std::fs::write(&runbook, text).unwrap();
    let list = home.path().join("accounts.txt");
    let ended = |listed: &str| {
        std::fs::write(&list, listed).unwrap();
        let mut command = quell(home.path());
        command.args(["drill", "organization", "--runbook"]).arg(&runbook).args(APPROVED);
        command.args(["--input", &format!("list={}", list.display())]).output().unwrap()
    };
    let output = ended("self  # where the responder is\n\n613007856343\n");
    let summary = json(&output);
    assert_eq!((code(&output), summary["accounts"]["clean"].as_u64()), (0, Some(2)), "{summary:#}");
    let output = ended("self\nfinance\n");
    assert_eq!(code(&output), 2, "{}", stderr(&output));
    assert!(stderr(&output).contains("line 2: `finance` is not an account id"), "{}", stderr(&output));
    let output = ended("# nobody\n");
    assert_eq!(code(&output), 2, "{}", stderr(&output));
    assert!(stderr(&output).contains("names no account"), "{}", stderr(&output));
}

/// The organisation, without any drill.
struct Stage {
    built: Built,
    sim: Sim,
    sessions: CloudSessions,
}

impl Stage {
    async fn set() -> Self {
        let mut built =
            Scenario::named("organization").unwrap().build(1, "2026-03-03T18:00:00Z".parse().unwrap()).unwrap();
        let clock = TokioClock::starting_at(built.begins);
        let sim = Sim::new(std::mem::replace(&mut built.world, quell::sim::world::World::new(0)), move || {
            quell::engine::ports::Clock::now(&clock)
        });
        sim.set_latency(Duration::ZERO);
        let responder = &built.credentials["responder"];
        let (id, secret) = (responder.access_key_id.as_str(), responder.secret_access_key.0.clone());
        let options = Options {
            profile: None,
            region: Some("us-east-1".into()),
            http: Some(sim.http_client()),
            credentials: Some(SharedCredentialsProvider::new(Credentials::new(id, secret, None, None, "scenario"))),
            endpoint_url: None,
            evidence: None,
            clock: Arc::new(clock),
            case: RunId::new("case-1").unwrap(),
            now: built.begins,
        };
        Self { sessions: CloudSessions::new(options).await.unwrap(), built, sim }
    }

    fn lane(&self, account: &str) -> Target {
        Target::new(self.built.accounts[account].clone(), Region::new("eu-west-1").unwrap())
    }

    /// Lists the machines of a lane.
    async fn look(&self, account: &str) -> Result<usize, ActionError> {
        let cx = self.sessions.enter(&self.lane(account), Access::Read).await?;
        let source = actions::table();
        let source = source.source("ec2.instances").unwrap();
        Ok(source.list(&cx, &Map::new(), &Wanted::default()).await?.members.len())
    }

    /// What goes wrong from now on.
    fn fault(&self, text: &str, times: Option<u32>) {
        let fault: Fault = text.parse().unwrap();
        self.sim.set_faults(vec![Fault { times, ..fault }]);
    }

    /// The accounts that a list stands for, by their names in the scenario.
    async fn accounts(&self, items: &[&str]) -> Vec<(String, bool)> {
        let listed = Accounts::Listed(items.iter().map(ToString::to_string).collect());
        let found = self.sessions.accounts(&Targets { accounts: listed, ..Targets::default() }).await.unwrap();
        found.iter().map(|(id, state): &Account| (self.name(id.as_str()), state.is_ok())).collect()
    }

    fn name(&self, id: &str) -> String {
        self.built.accounts.iter().find(|(_, known)| known.as_str() == id).unwrap().0.clone()
    }

    fn unit(&self, name: &str) -> String {
        let world = self.sim.world();
        let units = &world.organization.as_ref().unwrap().units;
        units.iter().find(|(_, unit)| unit.name == name).unwrap().0.clone()
    }
}

#[tokio::test(start_paused = true)]
async fn a_list_of_accounts_is_all_of_its_items_together_each_account_once() {
    let stage = Stage::set().await;
    let named = |names: &[&str]| -> Vec<(String, bool)> { names.iter().map(|name| (name.to_string(), true)).collect() };
    let (key, acquired) = (stage.built.facts.leaked_key.to_string(), stage.unit("acquired"));
    let finance = stage.built.accounts["finance"].to_string();
    assert_eq!(
        stage.accounts(&[&key, "self", &acquired, &finance, "self", &key]).await,
        named(&["shop-dev", "security", "brightcart", "brightcart-legacy", "finance"])
    );
    assert_eq!(stage.accounts(&[&key, "organization"]).await.len(), 40);
}

#[tokio::test(start_paused = true)]
async fn a_unit_is_all_accounts_below_it_however_deep() {
    let stage = Stage::set().await;
    let (corporate, finance) = (stage.unit("corporate"), stage.built.accounts["finance"].clone());
    stage.sim.change(|world| {
        let organization = world.organization.as_mut().unwrap();
        let below = organization.add_unit(&mut world.rng, "payments", &corporate);
        organization.members.get_mut(&finance).unwrap().parent = below;
    });
    let found = stage.accounts(&[&corporate]).await;
    let names: BTreeSet<&str> = found.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["finance", "legal", "people", "support", "website"].into());
}

#[tokio::test(start_paused = true)]
async fn what_the_organisation_says_of_an_account_is_never_left_out() {
    let stage = Stage::set().await;
    let finance = stage.built.accounts["finance"].clone();
    stage.sim.change(|world| {
        let organization = world.organization.as_mut().unwrap();
        organization.members.get_mut(&finance).unwrap().state = "SUSPENDED".to_owned();
    });
    let found = stage.accounts(&[finance.as_str(), "organization"]).await;
    assert_eq!((found.len(), &found[0]), (40, &("finance".to_owned(), false)));
    assert_eq!(found.iter().filter(|(_, open)| !open).count(), 1);
}

/// How many requests of which every answer is an error of the service use up all of a retry partition's tokens, and more: it has 500, and
/// each of these requests takes five of them for good.
const ENOUGH: usize = 120;

#[tokio::test(start_paused = true)]
async fn a_failing_account_takes_no_repeat_from_another() {
    let stage = Stage::set().await;
    stage.sessions.assume(Some(&Role { name: "ir/IRResponder".into(), external_id: None, source_identity: None }));
    let failing = format!("{}/ec2:DescribeInstances=http-500", stage.built.accounts["shop-dev"]);
    stage.fault(&failing, None);
    for _ in 0..ENOUGH {
        assert_eq!(stage.look("shop-dev").await.unwrap_err().kind, ErrorKind::Unreachable);
    }
    stage.fault("ec2:DescribeInstances=http-500", Some(2));
    assert!(stage.look("shop-dev").await.is_err(), "it has at most one repeat left");
    stage.fault("ec2:DescribeInstances=http-500", Some(2));
    assert_eq!(stage.look("finance").await.unwrap(), 0, "another account has all of its own repeats");
}

#[tokio::test(start_paused = true)]
async fn entering_one_account_takes_no_repeat_from_entering_another() {
    let stage = Stage::set().await;
    stage.sessions.assume(Some(&Role { name: "ir/IRResponder".into(), external_id: None, source_identity: None }));
    stage.fault("sts:AssumeRole=http-500", None);
    for _ in 0..ENOUGH {
        assert!(stage.look("shop-dev").await.is_err());
    }
    stage.fault("sts:AssumeRole=http-500", Some(2));
    assert!(stage.look("shop-dev").await.is_err(), "it has at most one repeat left");
    stage.fault("sts:AssumeRole=http-500", Some(2));
    assert_eq!(stage.look("finance").await.unwrap(), 0, "another account has all of its own repeats");
}
