//! The engine over a toy world: order, batches, drift, dead regions, crashes, the way back.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use quell::engine::planner;
use quell::engine::ports::{Approver, Boxed, Reply};
use quell::engine::rollback;
use quell::engine::run::Run;
use quell::engine::state::{Progress, State};
use quell::engine::survey::{self, Purpose};
use quell::journal::{self, Journal};
use quell::model::{
    Answer, ChangeId, CoverageStatus, ErrorKind, EventKind, Newcomers, Outcome, Plan, RunId, RunOutcome, Runbook,
    Summary, Tier, Verdict,
};
use serde_json::Map;
use tokio::sync::watch;
use tokio::time::{Duration, Instant};

use crate::toy::{Always, Seen, Shared, caller, engine, lane, now, world};

fn runbook() -> Runbook {
    serde_json::from_value(serde_json::json!({
        "quell": 1, "name": "toy", "title": "Switch all machines off",
        "sets": {"machines": {"from": "toy.machines", "where": "on"}},
        "steps": [
            {"id": "evidence", "uses": "toy.take-evidence", "on": "machines"},
            {"id": "off", "uses": "toy.switch-off", "on": "machines", "needs": ["evidence"]},
        ],
        "until": {"clean_sweeps": 1, "every": "1s", "at_most": 3, "newcomers": "contain"},
    }))
    .unwrap()
}

fn run_id(name: &str) -> RunId {
    RunId::new(name).unwrap()
}

async fn planned(world: &Shared) -> Plan {
    let run = run_id("toy-run");
    engine(world).plan(&runbook(), &Map::new(), &run, now(), &mut |_| {}).await.unwrap().plan
}

async fn carry_out(world: &Shared, state: &Path, name: &str, plan: Plan, seen: &mut Seen) -> Summary {
    let run = run_id(name);
    let journal = Journal::create(state, &run).unwrap();
    let (_stop, stopped) = watch::channel(false);
    let ports = (Always::yes() as _, seen as _, stopped);
    Run::start(engine(world), journal, run, plan.into(), ports).unwrap().execute().await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn everything_is_done_and_proven() {
    let (world, state) = (world(&["eu-west-1", "eu-west-3"], 5), tempfile::tempdir().unwrap());
    let plan = planned(&world).await;
    assert_eq!(plan.changes.len(), 20);
    assert_eq!(plan.tiers(), [Tier::Reversible, Tier::Disruptive]);
    assert_eq!(world.lock().unwrap().writes, 0, "planning writes nothing");
    let mut seen = Seen::default();
    let summary = carry_out(&world, state.path(), "r1", plan, &mut seen).await;
    assert_eq!(summary.outcome, RunOutcome::Contained);
    assert_eq!((summary.changes.done, summary.changes.unproven), (20, 0));
    assert!(world.lock().unwrap().machines.values().all(|machine| !machine.on && machine.evidence.is_some()));
    let recorded = journal::read(state.path(), &run_id("r1")).unwrap();
    assert_eq!(recorded.events, seen.events, "what is shown is what is recorded");
}

#[tokio::test(start_paused = true)]
async fn each_machine_goes_on_by_itself_and_calls_are_shared() {
    let (world, state) = (world(&["eu-west-1"], 6), tempfile::tempdir().unwrap());
    let plan = planned(&world).await;
    let begun = Instant::now();
    let mut seen = Seen::default();
    carry_out(&world, state.path(), "r1", plan, &mut seen).await;
    let world = world.lock().unwrap();
    assert!(world.switched.iter().all(|(_, batch)| *batch == 6), "one request for all: {:?}", world.switched);
    // Look, take evidence and look ahead meanwhile, switch; then prove and sweep: no request waits for anything but the one before.
    let apply = seen.events.iter().find_map(|event| match event.kind {
        EventKind::PhaseEnded { phase: quell::model::Phase::Apply, seconds } => Some(seconds),
        _ => None,
    });
    assert!((apply.unwrap() - 3.0 * 0.08).abs() < 0.005, "{apply:?}, {:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_member_that_cannot_be_judged_keeps_no_other_from_being_contained() {
    let (world, state) = (world(&["eu-west-1", "eu-west-2"], 3), tempfile::tempdir().unwrap());
    let mut runbook = runbook();
    let set = runbook.sets.values_mut().next().unwrap();
    set.predicate = Some("on && (id == 'eu-west-1-1' ? size(id) * 922337203685477580 > 0 : true)".to_owned());
    let run = run_id("toy-run");
    let plan = engine(&world).plan(&runbook, &Map::new(), &run, now(), &mut |_| {}).await.unwrap().plan;
    assert_eq!(plan.changes.len(), 10);
    let finding = plan.findings.iter().find(|finding| finding.message.contains("eu-west-1-1")).unwrap();
    assert!(finding.message.contains("cannot be told: a number or a time is out of its range"), "{}", finding.message);
    let summary = carry_out(&world, state.path(), "r1", plan, &mut Seen::default()).await;
    assert_eq!(summary.outcome, RunOutcome::CoverageIncomplete, "what was not judged is not clean");
    let world = world.lock().unwrap();
    let on: Vec<_> = world.machines.iter().filter(|(_, machine)| machine.on).map(|((_, name), _)| name).collect();
    assert_eq!(on, ["eu-west-1-1"]);
}

#[tokio::test(start_paused = true)]
async fn a_panic_ends_the_run_without_its_words_and_the_journal_goes_on() {
    let (world, state) = (world(&["eu-west-1", "eu-west-2"], 2), tempfile::tempdir().unwrap());
    let plan = planned(&world).await;
    world.lock().unwrap().panics = Some("secret-in-hand".to_owned());
    let run = run_id("r1");
    let journal = Journal::create(state.path(), &run).unwrap();
    let (_stop, stopped) = watch::channel(false);
    let mut seen = Seen::default();
    let ports = (Always::yes() as _, &mut seen as _, stopped);
    let failed = Run::start(engine(&world), journal, run.clone(), plan.into(), ports).unwrap().execute().await;
    assert_eq!(failed.unwrap_err().to_string(), "quell itself failed");
    let text = std::fs::read_to_string(state.path().join("runs/r1/journal.jsonl")).unwrap();
    assert!(!text.contains("secret-in-hand"));

    world.lock().unwrap().panics = None;
    let (journal, recorded) = Journal::open(state.path(), &run).unwrap();
    let (_stop, stopped) = watch::channel(false);
    let mut seen = Seen::default();
    let ports = (Always::yes() as _, &mut seen as _, stopped);
    let resumed = Run::resume(engine(&world), journal, &recorded.events, caller(), ports).unwrap();
    assert_eq!(resumed.execute().await.unwrap().outcome, RunOutcome::Contained);
    assert!(world.lock().unwrap().machines.values().all(|machine| !machine.on && machine.evidence.is_some()));
}

#[tokio::test(start_paused = true)]
async fn a_bad_one_does_not_hold_its_batch() {
    let (world, state) = (world(&["eu-west-1"], 7), tempfile::tempdir().unwrap());
    world.lock().unwrap().broken.insert("eu-west-1-3".into(), ErrorKind::WrongState);
    let plan = planned(&world).await;
    let summary = carry_out(&world, state.path(), "r1", plan, &mut Seen::default()).await;
    assert_eq!(summary.outcome, RunOutcome::Incomplete);
    assert_eq!((summary.changes.done, summary.changes.failed), (13, 1));
    let world = world.lock().unwrap();
    let on: Vec<_> = world.machines.iter().filter(|(_, machine)| machine.on).map(|((_, name), _)| name).collect();
    assert_eq!(on, ["eu-west-1-3"]);
}

#[tokio::test(start_paused = true)]
async fn what_is_refused_for_what_it_did_itself_is_done() {
    let (world, state) = (world(&["eu-west-1"], 7), tempfile::tempdir().unwrap());
    world.lock().unwrap().repeated.insert("eu-west-1-3".into());
    let plan = planned(&world).await;
    let summary = carry_out(&world, state.path(), "r1", plan, &mut Seen::default()).await;
    assert_eq!((summary.outcome, summary.changes.done), (RunOutcome::Contained, 14));
}

#[tokio::test(start_paused = true)]
async fn without_evidence_the_same_machine_stays_on_and_others_go_on() {
    let (world, state) = (world(&["eu-west-1"], 3), tempfile::tempdir().unwrap());
    world.lock().unwrap().broken.insert("evidence of eu-west-1-1".into(), ErrorKind::Quota);
    let plan = planned(&world).await;
    let summary = carry_out(&world, state.path(), "r1", plan, &mut Seen::default()).await;
    assert_eq!((summary.changes.done, summary.changes.failed, summary.changes.skipped), (4, 1, 1));
    assert!(world.lock().unwrap().machines[&(lane("eu-west-1"), "eu-west-1-1".into())].on);
}

/// A run over two regions in one of which evidence cannot be looked at while it is planned, and perhaps later.
async fn blind(kind: ErrorKind, goes_on: bool) -> (Plan, Summary, usize) {
    let (world, state) = (world(&["eu-west-1", "eu-west-3"], 2), tempfile::tempdir().unwrap());
    let look = "a look at evidence in eu-west-3".to_owned();
    world.lock().unwrap().broken.insert(look.clone(), kind);
    let plan = planned(&world).await;
    if !goes_on {
        world.lock().unwrap().broken.remove(&look);
    }
    let summary = carry_out(&world, state.path(), "r1", plan.clone(), &mut Seen::default()).await;
    let on = world.lock().unwrap().machines.values().filter(|machine| machine.on).count();
    (plan, summary, on)
}

#[tokio::test(start_paused = true)]
async fn what_needs_a_look_that_failed_is_left_alone_and_named() {
    for kind in [ErrorKind::Denied, ErrorKind::NotFound, ErrorKind::Other] {
        let (plan, summary, on) = blind(kind, true).await;
        assert_eq!((plan.changes.len(), plan.skipped.len()), (4, 2), "{kind:?}");
        let why = "`off` waits for `evidence`, which could not be looked at: evidence is not to be seen";
        assert!(plan.skipped.iter().all(|skip| skip.target == lane("eu-west-3") && skip.reason == why), "{plan:#?}");
        assert!(!plan.coverage.is_complete(), "{kind:?}");
        assert_eq!((summary.outcome, summary.changes.done, on), (RunOutcome::CoverageIncomplete, 4, 2), "{kind:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_sweep_can_look_at_again_is_contained() {
    let (plan, summary, on) = blind(ErrorKind::Unreachable, false).await;
    assert_eq!((plan.changes.len(), plan.skipped.len()), (4, 2));
    assert_eq!((summary.outcome, summary.changes.done, on), (RunOutcome::Contained, 8, 0));
}

#[tokio::test(start_paused = true)]
async fn a_dead_region_delays_no_other_and_is_not_clean() {
    let (world, state) =
        (world(&["eu-west-1", "eu-west-2", "eu-west-3", "eu-north-1"], 2), tempfile::tempdir().unwrap());
    world.lock().unwrap().dead.insert(lane("eu-west-3").region);
    let plan = planned(&world).await;
    assert_eq!(plan.coverage.status(&lane("eu-west-3"), "toy"), CoverageStatus::Unreachable);
    assert_eq!(plan.changes.len(), 12);
    let mut seen = Seen::default();
    let summary = carry_out(&world, state.path(), "r1", plan, &mut seen).await;
    assert_eq!(summary.outcome, RunOutcome::CoverageIncomplete);
    assert_eq!(summary.outcome.exit_code(), 5);
    assert_eq!((summary.changes.done, summary.coverage.unreachable), (12, 1));
    assert!(summary.seconds.apply < 0.4, "{:?}", summary.seconds);
}

#[tokio::test(start_paused = true)]
async fn what_drifted_is_left_alone() {
    let (world, state) = (world(&["eu-west-1"], 4), tempfile::tempdir().unwrap());
    let plan = planned(&world).await;
    let key = |n: u8| (lane("eu-west-1"), format!("eu-west-1-{n}"));
    world.lock().unwrap().machines.remove(&key(0));
    world.lock().unwrap().machines.get_mut(&key(1)).unwrap().on = false;
    world.lock().unwrap().machines.get_mut(&key(3)).unwrap().owner = "anna".into();
    let mut seen = Seen::default();
    carry_out(&world, state.path(), "r1", plan, &mut seen).await;
    let folded = State::fold_all(&seen.events).unwrap();
    let outcome = |n: u8| {
        let off =
            folded.changes().iter().find(|t| t.change.step.as_str() == "off" && t.change.member.as_str() == key(n).1);
        off.unwrap().progress.clone()
    };
    assert!(matches!(outcome(0), Progress::Ended(Outcome::Skipped { .. })), "its evidence drifted: {:?}", outcome(0));
    assert_eq!(outcome(1), Progress::Ended(Outcome::Already));
    assert!(matches!(outcome(2), Progress::Ended(Outcome::Done { .. })));
    assert!(matches!(outcome(3), Progress::Ended(Outcome::Drifted { .. })), "nobody approved that: {:?}", outcome(3));
    assert!(world.lock().unwrap().machines[&key(3)].on);
}

#[tokio::test(start_paused = true)]
async fn a_look_ahead_that_is_old_is_taken_anew() {
    let (world, state) = (world(&["eu-west-1"], 2), tempfile::tempdir().unwrap());
    world.lock().unwrap().evidence_takes = Duration::from_secs(3);
    let plan = planned(&world).await;
    let key = (lane("eu-west-1"), "eu-west-1-0".to_owned());
    let somebody = Arc::clone(&world);
    let changed = key.clone();
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_secs(1)).await;
        somebody.lock().unwrap().machines.get_mut(&changed).unwrap().owner = "anna".into();
    });
    let summary = carry_out(&world, state.path(), "r1", plan, &mut Seen::default()).await;
    assert_eq!((summary.changes.done, summary.changes.drifted), (3, 1));
    assert!(world.lock().unwrap().machines[&key].on, "nobody approved to switch off anna's machine");
}

/// Says yes after a while, in which somebody else takes a machine over.
struct Slow(Shared);

impl Approver for Slow {
    fn ask<'a>(&'a self, _: &'a Plan, _: Tier) -> Boxed<'a, Reply> {
        Box::pin(async {
            tokio::time::sleep(Duration::from_secs(3)).await;
            self.0.lock().unwrap().machines.get_mut(&(lane("eu-west-1"), "eu-west-1-0".into())).unwrap().owner =
                "anna".into();
            Reply { answer: Answer::Approved, by: "a test".into(), through: "test".into() }
        })
    }
}

#[tokio::test(start_paused = true)]
async fn the_look_of_the_survey_counts_while_it_is_fresh() {
    let run_with = async |world: &Shared, approver: Arc<dyn Approver>| {
        let (state, run) = (tempfile::tempdir().unwrap(), run_id("r1"));
        let planned = engine(world).plan(&runbook(), &Map::new(), &run, now(), &mut |_| {}).await.unwrap();
        let journal = Journal::create(state.path(), &run).unwrap();
        let (_stop, stopped) = watch::channel(false);
        let mut seen = Seen::default();
        let run = Run::start(engine(world), journal, run, planned, (approver, &mut seen, stopped));
        run.unwrap().execute().await.unwrap()
    };
    let at_once = run_with(&world(&["eu-west-1"], 2), Always::yes()).await;
    assert!((at_once.seconds.apply - 2.0 * 0.08).abs() < 0.005, "{:?}", at_once.seconds);
    let world = world(&["eu-west-1"], 2);
    let late = run_with(&world, Arc::new(Slow(Arc::clone(&world)))).await;
    assert!((late.seconds.apply - 3.0 * 0.08).abs() < 0.005, "{:?}", late.seconds);
    assert_eq!((late.changes.done, late.changes.drifted), (3, 1));
}

/// Carries a plan out while an intruder switches a machine on again as soon as it is off.
#[tokio::test(start_paused = true)]
async fn what_somebody_takes_back_before_the_first_look_is_made_again() {
    let (world, state) = (world(&["eu-west-1"], 2), tempfile::tempdir().unwrap());
    let mut plan = planned(&world).await;
    plan.runbook.until.clean_sweeps = 2;
    plan.runbook.until.at_most = 6;
    let (intruder, key) = (Arc::clone(&world), (lane("eu-west-1"), "eu-west-1-0".to_owned()));
    let again = key.clone();
    tokio::spawn(async move {
        while intruder.lock().unwrap().machines[&again].on {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        intruder.lock().unwrap().machines.get_mut(&again).unwrap().on = true;
    });
    let mut seen = Seen::default();
    let summary = carry_out(&world, state.path(), "r1", plan, &mut seen).await;
    let unproven = |event: &&quell::model::Event| {
        matches!(&event.kind, EventKind::ChangeProven { verdict: Verdict::Unproven { .. }, .. })
    };
    assert_eq!(seen.events.iter().filter(unproven).count(), 1, "the first look found it on");
    assert_eq!((summary.outcome, summary.changes.unproven), (RunOutcome::Contained, 0));
    assert!(!world.lock().unwrap().machines[&key].on);
}

#[tokio::test(start_paused = true)]
async fn sets_that_ask_for_the_same_ask_once() {
    let world = world(&["eu-west-1"], 3);
    let mut runbook = runbook();
    let machines = runbook.sets[0].clone();
    runbook.sets.insert(quell::model::SetName::new("again").unwrap(), machines);
    let planned = engine(&world).plan(&runbook, &Map::new(), &run_id("r1"), now(), &mut |_| {}).await.unwrap();
    assert_eq!(world.lock().unwrap().listed, 1);
    assert_eq!(planned.plan.sets.iter().map(|(_, count)| *count).collect::<Vec<_>>(), [3, 3]);
}

/// Carries a plan out while an intruder switches a machine on again after the first sweep.
async fn with_an_intruder(newcomers: Newcomers) -> (Summary, Vec<quell::model::Event>, bool) {
    let (world, state) = (world(&["eu-west-1"], 2), tempfile::tempdir().unwrap());
    let mut plan = planned(&world).await;
    plan.runbook.until.clean_sweeps = 2;
    plan.runbook.until.at_most = 6;
    plan.runbook.until.newcomers = newcomers;
    let (intruder, key) = (Arc::clone(&world), (lane("eu-west-1"), "eu-west-1-0".to_owned()));
    let again = key.clone();
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_secs(1)).await;
        intruder.lock().unwrap().machines.get_mut(&again).unwrap().on = true;
    });
    let mut seen = Seen::default();
    let summary = carry_out(&world, state.path(), "r1", plan, &mut seen).await;
    let on = world.lock().unwrap().machines[&key].on;
    let first = seen.events.iter().position(|event| matches!(event.kind, EventKind::SweepEnded { .. })).unwrap();
    let proven =
        |event: &&quell::model::Event| matches!(&event.kind, EventKind::ChangeProven { verdict: Verdict::Proven, .. });
    assert_eq!(seen.events[..first].iter().filter(proven).count(), 4, "all was proven once");
    (summary, seen.events, on)
}

#[tokio::test(start_paused = true)]
async fn what_somebody_takes_back_is_made_again() {
    let (summary, events, on) = with_an_intruder(Newcomers::Contain).await;
    assert_eq!(
        (summary.outcome, summary.changes.done, summary.changes.unproven, on),
        (RunOutcome::Contained, 4, 0, false)
    );
    let reverted = events.iter().filter(|event| matches!(event.kind, EventKind::ChangeReverted { .. })).count();
    let sweeps = events.iter().filter(|event| matches!(event.kind, EventKind::SweepEnded { .. })).count();
    assert_eq!((reverted, sweeps), (1, 4), "two clean sweeps after the one that was not");
    assert_eq!(State::fold_all(&events).unwrap().outcome(), RunOutcome::Contained);
}

#[tokio::test(start_paused = true)]
async fn what_somebody_takes_back_is_not_proven_any_more() {
    let (summary, _, on) = with_an_intruder(Newcomers::Report).await;
    assert_eq!((summary.outcome, summary.changes.unproven, on), (RunOutcome::Incomplete, 1, true));
}

#[tokio::test(start_paused = true)]
async fn newcomers_are_contained() {
    let (world, state) = (world(&["eu-west-1"], 2), tempfile::tempdir().unwrap());
    let plan = planned(&world).await;
    let machine = crate::toy::Machine::running();
    world.lock().unwrap().machines.insert((lane("eu-west-1"), "late".into()), machine);
    let mut seen = Seen::default();
    let summary = carry_out(&world, state.path(), "r1", plan, &mut seen).await;
    assert_eq!((summary.outcome, summary.changes.done), (RunOutcome::Contained, 6));
    assert!(world.lock().unwrap().machines.values().all(|machine| !machine.on));
}

#[tokio::test(start_paused = true)]
async fn what_several_looks_found_is_one_change() {
    let world = world(&["eu-west-1"], 2);
    let (engine, runbook, case) = (engine(&world), runbook(), run_id("r1"));
    let mut unwatched = |_| {};
    let surveyed = survey::survey(&engine, &runbook, &Map::new(), (&case, now()), &Purpose::Plan, &mut unwatched).await;
    let mut surveyed = surveyed.unwrap();
    for lanes in surveyed.found.values_mut() {
        lanes.extend(lanes.clone());
    }
    let plan = planner::plan(&engine.table, &runbook, &Map::new(), &surveyed);
    let ids: BTreeSet<&ChangeId> = plan.changes.iter().map(|change| &change.id).collect();
    assert_eq!((plan.changes.len(), ids.len()), (4, 4));
    assert!(plan.changes.iter().all(|change| change.also_for.is_empty()), "a member stands for itself once");
}

#[tokio::test(start_paused = true)]
async fn a_sweep_that_cannot_ask_where_to_look_is_no_clean_one() {
    for (unknown, outcome) in [(1, RunOutcome::Contained), (99, RunOutcome::Incomplete)] {
        let (world, state) = (world(&["eu-west-1"], 2), tempfile::tempdir().unwrap());
        let plan = planned(&world).await;
        world.lock().unwrap().machines.insert((lane("eu-west-1"), "late".into()), crate::toy::Machine::running());
        world.lock().unwrap().accounts_unknown = unknown;
        let mut seen = Seen::default();
        let summary = carry_out(&world, state.path(), "r1", plan, &mut seen).await;
        assert_eq!(summary.outcome, outcome, "{unknown} questions unanswered");
        let late = world.lock().unwrap().machines[&(lane("eu-west-1"), "late".to_owned())].on;
        assert_eq!(late, outcome != RunOutcome::Contained, "found by the first sweep that saw anything");
        assert!(seen.events.iter().any(|event| matches!(event.kind, EventKind::RunEnded { .. })));
    }
}

/// Says yes so many times, then no.
struct YesThenNo(std::sync::Mutex<Vec<Tier>>, usize);

impl Approver for YesThenNo {
    fn ask<'a>(&'a self, _: &'a Plan, tier: Tier) -> Boxed<'a, Reply> {
        let mut asked = self.0.lock().unwrap();
        asked.push(tier);
        let answer = if asked.len() > self.1 { Answer::Refused } else { Answer::Approved };
        Box::pin(async move { Reply { answer, by: "a test".into(), through: "test".into() } })
    }
}

/// Carries a plan out while a machine turns up that it does not name.
async fn with_a_newcomer(newcomers: Newcomers, at_most: Option<u32>, approver: Arc<YesThenNo>) -> (Summary, bool) {
    let (world, state) = (world(&["eu-west-1"], 2), tempfile::tempdir().unwrap());
    let mut plan = planned(&world).await;
    plan.runbook.until.newcomers = newcomers;
    plan.runbook.steps[1].at_most = at_most;
    let late = (lane("eu-west-1"), "late".to_owned());
    world.lock().unwrap().machines.insert(late.clone(), crate::toy::Machine::running());
    let (run, mut seen) = (run_id("r1"), Seen::default());
    let journal = Journal::create(state.path(), &run).unwrap();
    let (_stop, stopped) = watch::channel(false);
    let run = Run::start(engine(&world), journal, run, plan.into(), (approver, &mut seen, stopped));
    let summary = run.unwrap().execute().await.unwrap();
    let on = world.lock().unwrap().machines[&late].on;
    (summary, on)
}

#[tokio::test(start_paused = true)]
async fn newcomers_are_asked_about_where_the_runbook_says_so() {
    let two_yes = || Arc::new(YesThenNo(std::sync::Mutex::default(), 2));
    let refused = two_yes();
    let (summary, on) = with_a_newcomer(Newcomers::Ask, None, Arc::clone(&refused)).await;
    let asked = [Tier::Reversible, Tier::Disruptive, Tier::Reversible, Tier::Disruptive];
    assert_eq!(*refused.0.lock().unwrap(), asked);
    assert_eq!(
        (summary.outcome, summary.changes.done, summary.changes.skipped, on),
        (RunOutcome::Incomplete, 4, 2, true)
    );

    let approved = Arc::new(YesThenNo(std::sync::Mutex::default(), 4));
    let (summary, on) = with_a_newcomer(Newcomers::Ask, None, approved).await;
    assert_eq!((summary.outcome, summary.changes.done, on), (RunOutcome::Contained, 6, false));

    let (summary, on) = with_a_newcomer(Newcomers::Contain, None, two_yes()).await;
    assert_eq!((summary.outcome, on), (RunOutcome::Contained, false), "nobody is asked again");
    let (summary, on) = with_a_newcomer(Newcomers::Report, None, two_yes()).await;
    assert_eq!((summary.outcome, on), (RunOutcome::Incomplete, true));
}

#[tokio::test(start_paused = true)]
async fn at_most_counts_newcomers_too() {
    let approver = Arc::new(YesThenNo(std::sync::Mutex::default(), 2));
    let (summary, on) = with_a_newcomer(Newcomers::Contain, Some(2), Arc::clone(&approver)).await;
    let asked = approver.0.lock().unwrap().clone();
    assert_eq!(asked, [Tier::Reversible, Tier::Disruptive, Tier::Destructive], "a third one was not bargained for");
    assert_eq!((summary.outcome, on), (RunOutcome::Refused, true));
}

#[tokio::test(start_paused = true)]
async fn the_last_sweep_begins_when_everything_is_proven() {
    let (world, state) = (world(&["eu-west-1"], 2), tempfile::tempdir().unwrap());
    world.lock().unwrap().on_their_way = 5;
    let plan = planned(&world).await;
    let mut seen = Seen::default();
    let summary = carry_out(&world, state.path(), "r1", plan, &mut seen).await;
    assert_eq!((summary.outcome, summary.changes.unproven), (RunOutcome::Contained, 0));
    let place = |is_it: fn(&EventKind) -> bool| seen.events.iter().rposition(|event| is_it(&event.kind)).unwrap();
    let proven = place(|kind| matches!(kind, EventKind::ChangeProven { .. }));
    let swept = place(|kind| matches!(kind, EventKind::SweepEnded { .. }));
    assert!(proven < swept, "the runbook asks for one clean sweep, and the early one does not count");
}

#[tokio::test(start_paused = true)]
async fn one_no_and_nothing_is_changed() {
    let (world, state) = (world(&["eu-west-1"], 2), tempfile::tempdir().unwrap());
    let plan = planned(&world).await;
    let run = run_id("r1");
    let journal = Journal::create(state.path(), &run).unwrap();
    let (_stop, stopped) = watch::channel(false);
    let (approver, mut seen) = (Always::no(), Seen::default());
    let ports = (Arc::clone(&approver) as _, &mut seen as _, stopped);
    let summary = Run::start(engine(&world), journal, run, plan.into(), ports).unwrap().execute().await.unwrap();
    assert_eq!((summary.outcome, world.lock().unwrap().writes), (RunOutcome::Refused, 0));
    assert_eq!(*approver.1.lock().unwrap(), [Tier::Reversible], "after one no, nothing more is asked");
}

/// Cuts a run off after each of its events in turn, then resumes it: nothing is lost, nothing is done twice (evidence that is
/// taken twice panics in the toy world), and the journal holds.
#[tokio::test(start_paused = true)]
async fn a_run_cut_off_after_any_event_is_resumed() {
    let mut cut = 1;
    loop {
        let (world, state) = (world(&["eu-west-1", "eu-west-3"], 2), tempfile::tempdir().unwrap());
        let before = world.lock().unwrap().machines.clone();
        let plan = planned(&world).await;
        let whole = cut_off_after(&world, state.path(), plan, cut).await;
        if whole {
            assert!(cut > 20, "the run has more events than that");
            return;
        }
        let (journal, recorded) = Journal::open(state.path(), &run_id("r1")).unwrap();
        assert_eq!(recorded.events.len(), cut);
        let (_stop, stopped) = watch::channel(false);
        let mut seen = Seen::default();
        let ports = (Always::yes() as _, &mut seen as _, stopped);
        let run = Run::resume(engine(&world), journal, &recorded.events, caller(), ports).unwrap();
        let summary = run.execute().await.unwrap();
        assert_eq!(summary.outcome, RunOutcome::Contained, "cut off after {cut} events: {summary:?}");
        assert!(world.lock().unwrap().machines.values().all(|machine| !machine.on && machine.evidence.is_some()));
        let resumed = State::fold_all(&journal::read(state.path(), &run_id("r1")).unwrap().events).unwrap();
        let back = rollback::plan(&resumed, caller(), now());
        carry_out(&world, state.path(), "r2", back, &mut Seen::default()).await;
        assert_eq!(world.lock().unwrap().machines, before, "cut off after {cut} events, what came before is known");
        cut += 1;
    }
}

/// Runs until so many events are recorded, then drops everything. Returns whether the run ended before.
async fn cut_off_after(world: &Shared, state: &Path, plan: Plan, events: usize) -> bool {
    let run = run_id("r1");
    let journal = Journal::create(state, &run).unwrap();
    let (_stop, stopped) = watch::channel(false);
    let (count, mut counted) = watch::channel(0);
    let mut seen = Seen { count: Some(count), ..Seen::default() };
    let ports = (Always::yes() as _, &mut seen as _, stopped);
    let run = Run::start(engine(world), journal, run, plan.into(), ports).unwrap();
    let whole = tokio::select! {
        biased;
        _ = counted.wait_for(|count| *count >= events) => false,
        summary = run.execute() => { summary.unwrap(); true }
    };
    if !whole {
        shorten(state, events);
    }
    whole
}

/// Events that were written together cannot be told apart by waiting: the journal is cut where the test wants it, as if the
/// machine had lost power right then. The world may know more than the journal; that is the point.
fn shorten(state: &Path, events: usize) {
    let file = state.join("runs/r1/journal.jsonl");
    let text = std::fs::read_to_string(&file).unwrap();
    let lines: Vec<&str> = text.lines().take(events + 1).collect();
    std::fs::write(file, lines.join("\n") + "\n").unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_rollback_restores_everything() {
    let (world, state) = (world(&["eu-west-1", "eu-west-3"], 3), tempfile::tempdir().unwrap());
    let before = world.lock().unwrap().machines.clone();
    let plan = planned(&world).await;
    let mut seen = Seen::default();
    carry_out(&world, state.path(), "r1", plan, &mut seen).await;
    assert_ne!(world.lock().unwrap().machines, before);
    let done = State::fold_all(&seen.events).unwrap();
    let back = rollback::plan(&done, caller(), now());
    assert_eq!(back.changes.len(), 12);
    let mut seen = Seen::default();
    let summary = carry_out(&world, state.path(), "r2", back, &mut seen).await;
    assert_eq!((summary.outcome, summary.changes.unproven), (RunOutcome::RolledBack, 0));
    assert_eq!(world.lock().unwrap().machines, before);
    let undone = State::fold_all(&seen.events).unwrap();
    assert!(undone.changes().iter().all(|tracked| tracked.verdict == Some(Verdict::Proven)));
    let first_off = seen.events.iter().position(|event| is_end(&undone, event, "off")).unwrap();
    let first_evidence = seen.events.iter().position(|event| is_end(&undone, event, "evidence")).unwrap();
    assert!(first_off < first_evidence, "newest first");
}

fn is_end(state: &State, event: &quell::model::Event, step: &str) -> bool {
    matches!(&event.kind, EventKind::ChangeEnded { change, .. }
        if state.change(change).is_some_and(|tracked| tracked.change.step.as_str() == step))
}

#[tokio::test(start_paused = true)]
async fn a_stopped_run_ends_what_is_in_flight_and_can_go_on() {
    let (world, state) = (world(&["eu-west-1"], 3), tempfile::tempdir().unwrap());
    let plan = planned(&world).await;
    let run = run_id("r1");
    let journal = Journal::create(state.path(), &run).unwrap();
    let (stop, stopped) = watch::channel(false);
    let mut seen = Seen::default();
    let ports = (Always::yes() as _, &mut seen as _, stopped);
    let run = Run::start(engine(&world), journal, run, plan.into(), ports).unwrap();
    let press = async {
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        stop.send_replace(true);
    };
    let (summary, ()) = tokio::join!(run.execute(), press);
    let summary = summary.unwrap();
    assert_eq!((summary.outcome, summary.changes.done), (RunOutcome::Interrupted, 3));
    assert!(world.lock().unwrap().machines.values().all(|machine| machine.on && machine.evidence.is_some()));
}
