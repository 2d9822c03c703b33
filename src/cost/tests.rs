//! Costs of made-up runs and captures.

use serde_json::{Map, Value, json};

use super::machine::tests::at;
use super::*;
use crate::evidence::resources::Record;
use crate::model::{ActionName, Change, ChangeId, Digest, EventKind, Outcome, RunId, StepId, example};

/// A run that stops what `plan` has as to be stopped, at the times given.
fn run(priors: &[(&str, &str, Value)], more: Vec<(&str, EventKind)>) -> Vec<Event> {
    let mut plan = example::plan();
    plan.created = at("12:00:00");
    plan.changes = priors.iter().map(|(region, id, prior)| stop(&plan.changes[0], region, id, prior.clone())).collect();
    let digest = plan.digest();
    let run = RunId::new("20260303-120000-abcdef").unwrap();
    let begun = EventKind::RunStarted { run, version: "0".to_owned(), plan: Box::new(plan), digest };
    let events = std::iter::once(("12:00:00", begun)).chain(more);
    (0..).zip(events).map(|(seq, (time, kind))| Event { seq, at: at(time), kind }).collect()
}

fn stop(like: &Change, region: &str, id: &str, prior: Value) -> Change {
    let step = StepId::new("stop").unwrap();
    let (target, resource) = (example::target(region), crate::model::ResourceId::new(id).unwrap());
    Change {
        id: ChangeId::of(&step, &target, &resource),
        step,
        action: ActionName::new("ec2.stop-instances").unwrap(),
        target,
        member: resource.clone(),
        resource,
        prior,
        ..like.clone()
    }
}

fn id(region: &str, id: &str) -> ChangeId {
    stop(&example::plan().changes[0], region, id, Value::Null).id
}

fn done(region: &str, instance: &str) -> EventKind {
    EventKind::ChangeEnded { change: id(region, instance), outcome: Outcome::Done { effect: Value::Null } }
}

fn prior(launched: &str) -> Value {
    let launched = at(launched).to_string();
    json!({ "instance_type": "c5.18xlarge", "platform": "linux", "launched": launched, "attached": launched })
}

fn instance(id: &str, more: Value) -> Seen {
    let mut state =
        json!({ "instanceId": id, "instanceType": "c5.18xlarge", "launchTime": at("10:00:00").to_string() });
    for (name, value) in more.as_object().into_iter().flatten() {
        state[name] = value.clone();
    }
    seen("ec2 instance", id, state)
}

fn seen(kind: &'static str, id: &str, state: Value) -> Seen {
    let target = example::target("us-east-1");
    let record = Record { kind, id: id.to_owned(), target, at: at("14:00:00"), state };
    Seen { record, api: String::new(), parameters: Map::new(), sha256: Digest::of("") }
}

fn near(amount: f64, expected: f64) {
    assert!((amount - expected).abs() < 1e-6, "{amount}, and not {expected}");
}

#[test]
fn a_journal_alone_tells_what_it_cost_and_what_was_saved() {
    let more = vec![("12:30:00", done("us-east-1", "i-1")), ("13:00:00", EventKind::StopRequested)];
    let events = run(&[("us-east-1", "i-1", prior("10:00:00")), ("sa-east-1", "i-2", prior("11:00:00"))], more);
    let costs = of(&[], None, &events, &Asked::default()).unwrap();
    near(costs.so_far, 2.5 * 3.06 + 2.0 * 4.716);
    near(costs.burn_now, 4.716);
    near(costs.avoided[0].dollars, 24.0 * 3.06);
    assert_eq!((costs.until, costs.curve[0].at), (at("13:00:00"), at("10:00:00")));
    let later = of(&[], None, &events, &Asked { until: Some(at("15:00:00")), ..Asked::default() }).unwrap();
    near(later.so_far, 2.5 * 3.06 + 4.0 * 4.716);
}

#[test]
fn what_was_not_stopped_was_not_saved() {
    let failed =
        EventKind::ChangeEnded { change: id("us-east-1", "i-1"), outcome: Outcome::Skipped { why: String::new() } };
    let costs =
        of(&[], None, &run(&[("us-east-1", "i-1", prior("10:00:00"))], vec![("13:00:00", failed)]), &Asked::default());
    let costs = costs.unwrap();
    assert!(costs.avoided.is_empty());
    near(costs.so_far, 3.0 * 3.06);
}

#[test]
fn a_machine_without_a_price_is_counted_and_named_and_another_regions_price_is_marked() {
    let mut windows = prior("10:00:00");
    (windows["instance_type"], windows["platform"]) = (json!("c6g.large"), json!("windows"));
    let events = run(&[("us-east-1", "i-1", windows), ("nowhere-1", "i-2", prior("11:00:00"))], Vec::new());
    let costs = of(&[], None, &events, &Asked::default()).unwrap();
    assert_eq!(costs.unpriced, [("c6g.large (windows)".to_owned(), 1)]);
    near(costs.so_far, 3.06);
    near(costs.estimated, costs.so_far);
    assert_eq!(costs.curve.last().unwrap().machines, 2);
}

#[test]
fn a_launch_that_is_not_known_makes_it_the_least() {
    let events = run(
        &[("us-east-1", "i-1", json!({ "instance_type": "c5.18xlarge" }))],
        vec![("13:00:00", EventKind::StopRequested)],
    );
    let costs = of(&[], None, &events, &Asked::default()).unwrap();
    near(costs.so_far, 3.06);
    assert!(costs.notes[0].starts_with("1 of 1 machines may have run before"), "{:?}", costs.notes);
}

#[test]
fn a_restart_that_moved_the_launch_time_is_said() {
    let mut moved = prior("11:00:00");
    moved["attached"] = json!("2026-02-01T10:00:00Z");
    let costs = of(&[], None, &run(&[("us-east-1", "i-1", moved)], Vec::new()), &Asked::default()).unwrap();
    near(costs.so_far, 3.06);
    assert!(costs.notes[0].contains("stopped and started again"), "{:?}", costs.notes);
}

#[test]
fn what_is_started_again_and_stopped_again_is_saved_once() {
    let change = id("us-east-1", "i-1");
    let more = vec![
        ("12:30:00", done("us-east-1", "i-1")),
        ("12:45:00", EventKind::ChangeReverted { change, why: String::new() }),
        ("13:00:00", done("us-east-1", "i-1")),
        ("14:00:00", EventKind::StopRequested),
    ];
    let costs = of(&[], None, &run(&[("us-east-1", "i-1", prior("10:00:00"))], more), &Asked::default()).unwrap();
    near(costs.so_far, 2.75 * 3.06);
    near(costs.avoided[0].per_hour, 3.06);
}

#[test]
fn the_time_of_a_stop_is_that_of_aws_where_a_capture_has_it() {
    let stopped = instance(
        "i-1",
        json!({ "reason": "User initiated (2026-03-03 12:29:30 GMT)", "instanceState": { "name": "stopped" } }),
    );
    let events = run(&[("us-east-1", "i-1", prior("10:00:00"))], vec![("12:30:00", done("us-east-1", "i-1"))]);
    let costs = of(&[stopped], None, &events, &Asked::default()).unwrap();
    near(costs.so_far, (2.5 - 30.0 / 3_600.0) * 3.06);
    assert_eq!(costs.avoided[0].at, at("12:29:30"));
}

#[test]
fn captures_of_machines_that_nobody_ties_to_an_incident_cost_nothing_here() {
    assert_eq!(of(&[instance("i-9", json!({}))], None, &[], &Asked::default()), None);
}

#[test]
fn what_stays_is_counted_apart() {
    let volume = |id: &str, of: &str| {
        seen("ec2 volume", id, json!({ "volumeType": "gp3", "size": "100", "attachmentSet": [{ "instanceId": of }] }))
    };
    let snapshot = seen("ec2 snapshot", "snap-1", json!({ "volumeId": "vol-1", "volumeSize": "100" }));
    let records = [
        instance("i-1", json!({ "ipAddress": "192.0.2.1" })),
        volume("vol-1", "i-1"),
        volume("vol-2", "i-2"),
        snapshot,
    ];
    let costs =
        of(&records, None, &run(&[("us-east-1", "i-1", prior("10:00:00"))], Vec::new()), &Asked::default()).unwrap();
    let kept: Vec<_> =
        costs.storage.iter().map(|kept| (kept.what.as_str(), kept.count, kept.per_month.unwrap())).collect();
    assert_eq!(kept, [("gp3 volumes", 1, 8.0), ("public IPv4 addresses", 1, 3.65), ("snapshots", 1, 5.0)]);
}

#[test]
fn what_was_billed_stands_beside_what_is_estimated() {
    let day = |date: &str, amount: &str, preliminary: bool| {
        let metrics = json!({ "UsageQuantity": { "Amount": "24" }, "UnblendedCost": { "Amount": amount } });
        let group = json!({ "Keys": ["EC2", "BoxUsage:c5.18xlarge"], "Metrics": metrics });
        json!({ "TimePeriod": { "Start": date }, "Groups": [group], "Estimated": preliminary })
    };
    let state = json!({ "ResultsByTime": [day("2026-03-01", "9", false), day("2026-03-02", "1.5", false), day("2026-03-03", "10", true)] });
    let mut billed = seen("answer", "ce:GetCostAndUsage", state);
    billed.api = "ce:GetCostAndUsage".to_owned();
    let records = [billed, instance("i-1", json!({})), instance("i-2", json!({}))];
    let events = run(&[("us-east-1", "i-1", prior("10:00:00"))], vec![("14:00:00", EventKind::StopRequested)]);
    let costs = of(&records, None, &events, &Asked::default()).unwrap();
    let days: Vec<_> = costs.billed.iter().map(|day| (day.day.day(), day.billed, day.preliminary)).collect();
    assert_eq!(days, [(2, 1.5, false), (3, 10.0, true)], "from the day before on");
    near(costs.billed[1].estimated, 2.0 * 4.0 * 3.06);
    near(costs.billed[1].of_incident, 4.0 * 3.06);
}
