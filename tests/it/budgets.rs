//! How quick a run is, on the virtual clock: bounded by what has to wait for what, and by AWS's documented budgets.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use jiff::{SignedDuration, Timestamp};
use quell::approval::Flags;
use quell::cloud::{CloudSessions, Options};
use quell::engine::Engine;
use quell::engine::ports::{Clock, Reporter, TokioClock};
use quell::engine::run::Run;
use quell::journal::{self, Journal};
use quell::model::{Event, EventKind, Phase, RunId, RunOutcome, Summary, Tier};
use quell::report::chain;
use quell::report::record::Record;
use quell::sim::Sim;
use quell::sim::log::Entry;
use quell::sim::scenario::Scenario;
use quell::{actions, runbook};
use tokio::sync::watch;

const LATENCY: Duration = Duration::from_millis(80);

/// What a run did.
struct Done {
    summary: Summary,
    events: Vec<Event>,
    log: Vec<Entry>,
}

impl Done {
    /// When a phase began and ended, first.
    fn phase(&self, wanted: Phase) -> (Timestamp, Timestamp) {
        let at = |is: &dyn Fn(&EventKind) -> bool| self.events.iter().find(|event| is(&event.kind)).unwrap().at;
        let began = at(&|kind| matches!(kind, EventKind::PhaseStarted { phase } if *phase == wanted));
        (began, at(&|kind| matches!(kind, EventKind::PhaseEnded { phase, .. } if *phase == wanted)))
    }
}

struct Silent;

impl Reporter for Silent {
    fn event(&mut self, _: &Event) {}
}

/// Carries out a shipped runbook in a scenario whose machines stop at once.
async fn carry_out(scenario: &str, name: &str) -> Done {
    let built = Scenario::load(scenario).unwrap().build(1, "2026-03-03T18:00:00Z".parse().unwrap()).unwrap();
    let clock = TokioClock::starting_at(built.begins);
    let sim = Sim::new(built.world, move || clock.now());
    sim.set_latency(LATENCY);
    sim.change(|world| world.settings.stop = SignedDuration::ZERO);
    let responder = &built.credentials["responder"];
    let (id, secret) = (responder.access_key_id.as_str(), responder.secret_access_key.0.clone());
    let case = RunId::new("case-1").unwrap();
    let options = Options {
        profile: None,
        region: Some("us-east-1".into()),
        http: Some(sim.http_client()),
        credentials: Some(SharedCredentialsProvider::new(Credentials::new(id, secret, None, None, "scenario"))),
        endpoint_url: None,
        evidence: None,
        clock: Arc::new(clock),
        case: case.clone(),
        now: built.begins,
    };
    let sessions = CloudSessions::new(options).await.unwrap();
    let engine = Engine { sessions: Arc::new(sessions), table: actions::table(), clock: Arc::new(clock) };

    let (_, text) = runbook::shipped().iter().find(|(shipped, _)| *shipped == name).unwrap();
    let (unfilled, _) = runbook::load(name, text, &engine.table.catalog()).unwrap();
    let leaked = ("leaked_key".to_owned(), built.facts.leaked_key.to_string());
    let given: Vec<_> = unfilled.inputs.contains_key("leaked_key").then_some(leaked).into_iter().collect();
    let inputs = runbook::inputs::read(&unfilled, &given, built.begins).unwrap();
    let filled = runbook::resolve(&unfilled, &inputs).unwrap();

    let planned = engine.plan(&filled, &inputs, &case, built.begins, &mut |_| {}).await.unwrap();
    let state = tempfile::tempdir().unwrap();
    let journal = Journal::create(state.path(), &case).unwrap();
    let (_never, stop) = watch::channel(false);
    let approver = Arc::new(Flags::new([Tier::Reversible, Tier::Disruptive], "test"));
    let mut silent = Silent;
    let run = Run::start(engine, journal, case.clone(), planned, (approver, &mut silent, stop));
    let summary = run.unwrap().execute().await.unwrap();
    let events = journal::read(state.path(), &case).unwrap().events;
    Done { summary, events, log: sim.log() }
}

#[tokio::test(start_paused = true)]
async fn the_last_stop_comes_soon_after_the_longest_chain_of_requests() {
    let done = carry_out(include_str!("../../scenarios/cryptojack-small.yaml"), "cryptojack").await;
    assert_eq!(done.summary.outcome, RunOutcome::Contained, "{:#?}", done.summary);
    let record = Record::of(&done.events).unwrap();
    let requests = chain::longest(&record, "80ms".parse().unwrap()).unwrap();
    assert_eq!(requests, 2, "CreateSnapshots and StopInstances: the survey has just looked");

    let approved = record.approvals.iter().map(|approval| approval.at).max().unwrap();
    let stops = done.log.iter().filter(|entry| entry.operation == "StopInstances" && entry.time > approved);
    let accepted = stops.map(|entry| entry.time).max().unwrap() + SignedDuration::try_from(LATENCY).unwrap();
    let least = LATENCY.as_secs_f64() * f64::from(u32::try_from(requests).unwrap());
    let took = accepted.duration_since(approved).as_secs_f64();
    assert!(took <= 1.5 * least, "{took} s, and the chain alone takes {least} s");
}

/// "Request throttling for the Amazon EC2 API": capacity and refill per second, of what this run asks for.
fn documented(operation: &str) -> (f64, f64) {
    match operation {
        "CreateTags" => (100.0, 10.0),
        "CreateSnapshots" | "ModifyNetworkInterfaceAttribute" => (100.0, 5.0),
        "ModifyInstanceAttribute" | "StopInstances" | "CreateSecurityGroup" | "RevokeSecurityGroupEgress" => {
            (50.0, 5.0)
        }
        read if read.starts_with("Describe") => (100.0, 20.0),
        other => panic!("no rate is noted here for {other}"),
    }
}

/// The instances that StopInstances may name at once, and how many more per second.
const STOPPED: (f64, f64) = (1000.0, 20.0);

/// How long the requests of a span of time must take at the least, in seconds, by the scarcest of EC2's buckets.
fn demanded(log: &[Entry], (from, to): (Timestamp, Timestamp), stopped: usize) -> (String, f64) {
    let mut counts: BTreeMap<&str, u32> = BTreeMap::new();
    for entry in log.iter().filter(|entry| entry.service == "ec2" && entry.time >= from && entry.time <= to) {
        *counts.entry(&entry.operation).or_default() += 1;
    }
    let calls = counts.into_iter().map(|(operation, count)| {
        let (capacity, refill) = documented(operation);
        (format!("{count} {operation}"), (f64::from(count) - capacity) / refill)
    });
    let stopped = f64::from(u32::try_from(stopped).unwrap());
    let instances = ("stopped instances".to_owned(), (stopped - STOPPED.0) / STOPPED.1);
    calls.chain([instances]).max_by(|(_, one), (_, other)| one.total_cmp(other)).unwrap()
}

#[tokio::test(start_paused = true)]
async fn three_hundred_machines_in_a_region_take_what_the_scarcest_budget_demands_and_no_throttle_answer() {
    let done = carry_out(include_str!("../../scenarios/one-region.yaml"), "rogue-instances").await;
    assert_eq!(done.summary.outcome, RunOutcome::Contained, "{:#?}", done.summary);
    let stopped = Record::of(&done.events).unwrap();
    let stopped = stopped.fates().filter(|(change, _)| change.action.as_str() == "ec2.stop-instances").count();
    assert_eq!(stopped, 300);

    let refused: Vec<&Entry> =
        done.log.iter().filter(|entry| !matches!(entry.outcome.as_str(), "ok" | "DryRunOperation")).collect();
    assert_eq!((done.summary.throttled, refused), (0, Vec::new()));

    let (scarcest, least) = demanded(&done.log, done.phase(Phase::Apply), stopped);
    let took = done.summary.seconds.apply;
    assert!(least > 30.0, "nothing was scarce: {scarcest} demand {least} s");
    assert!(took <= 1.15 * least, "{took} s, and {scarcest} demand {least} s");
}
