//! A small made-up run for tests: two rogue machines, one hostile name, one failure, one silent region.

use serde_json::{Map, json};

use super::*;

pub(crate) fn account() -> AccountId {
    AccountId::new("111122223333").unwrap()
}

pub(crate) fn target(region: &str) -> Target {
    Target::new(account(), Region::new(region).unwrap())
}

pub(crate) fn event(seq: u64, kind: EventKind) -> Event {
    let at = format!("2026-11-23T14:{:02}:{:02}Z", 50 + seq / 60, seq % 60).parse().unwrap();
    Event { seq, at, kind }
}

fn change(step: &str, action: &str, tier: Tier, region: &str, kind: &str, member: &str, resource: &str) -> Change {
    let step = StepId::new(step).unwrap();
    let target = target(region);
    let resource = ResourceId::new(resource).unwrap();
    Change {
        id: ChangeId::of(&step, &target, &resource),
        step,
        action: ActionName::new(action).unwrap(),
        tier,
        target,
        kind: Kind::new(kind),
        member: ResourceId::new(member).unwrap(),
        also_for: Vec::new(),
        resource: resource.clone(),
        summary: format!("work on {resource}"),
        before: "before".into(),
        after: "after".into(),
        prior: json!({}),
        undo: Undo::by("the opposite"),
        notes: Vec::new(),
        attaches: None,
    }
}

fn changes() -> Vec<Change> {
    use Tier::{Disruptive, Reversible};
    let mut key = change(
        "keys",
        "iam.deactivate-access-keys",
        Reversible,
        "global",
        "iam.user",
        "mallory",
        "AKIAIOSFODNN7EXAMPLE",
    );
    key.summary = "deactivate AKIAIOSFODNN7EXAMPLE of mallory".into();
    key.before = "Active".into();
    key.after = "Inactive".into();
    let mut changes = vec![key];
    for (region, id) in [("eu-west-1", "i-0a"), ("us-east-1", "i-0b")] {
        let name = if id == "i-0a" { "good\u{1b}[2K\u{202e}" } else { "miner" };
        let mut evidence = change("evidence", "ec2.snapshot-volumes", Reversible, region, "ec2.instance", id, id);
        evidence.summary = format!("snapshot the volumes of {id} ({name})");
        evidence.undo = Undo::by("delete the snapshots");
        changes.push(evidence);
    }
    for (region, id) in [("eu-west-1", "i-0a"), ("us-east-1", "i-0b")] {
        let mut stop = change("stop", "ec2.stop-instances", Disruptive, region, "ec2.instance", id, id);
        stop.summary = format!("stop {id} (m5.24xlarge, windows)");
        stop.before = "running".into();
        stop.after = "stopped".into();
        stop.undo = Undo::by("start it").losing("the memory");
        stop.notes = vec!["tracked connections stay up until the stop".into()];
        changes.push(stop);
    }
    changes
}

pub(crate) fn plan() -> Plan {
    let mut coverage = Coverage::default();
    coverage.note(target("global"), "iam", CoverageStatus::Acted, None);
    coverage.note(target("eu-west-1"), "ec2", CoverageStatus::Acted, None);
    coverage.note(target("us-east-1"), "ec2", CoverageStatus::Acted, None);
    coverage.note(target("eu-west-3"), "ec2", CoverageStatus::Unreachable, Some("no answer within 3 s".into()));
    coverage.note(target("ap-east-1"), "ec2", CoverageStatus::Disabled, None);
    let runbook = serde_json::from_value(json!({
        "quell": 1, "name": "cryptojack", "title": "Stop a cryptojacking and keep the evidence",
        "steps": [
            { "id": "keys", "uses": "iam.deactivate-access-keys", "on": "intruder" },
            { "id": "evidence", "uses": "ec2.snapshot-volumes", "on": "rogue" },
            { "id": "stop", "uses": "ec2.stop-instances", "on": "rogue", "needs": ["evidence"] },
        ],
    }));
    Plan {
        created: "2026-11-23T14:50:00Z".parse().unwrap(),
        caller: Caller {
            arn: "arn:aws:sts::111122223333:assumed-role/IRResponder/anna".into(),
            account: account(),
            user_id: "AROAEXAMPLE:anna".into(),
            access_key: Some("ASIAIOSFODNN7EXAMPLE".into()),
            endpoint: None,
        },
        runbook: runbook.unwrap(),
        inputs: Map::from_iter([("leaked_key".to_owned(), json!("AKIAIOSFODNN7EXAMPLE"))]),
        targets: ["global", "ap-east-1", "eu-west-1", "eu-west-3", "us-east-1"].map(target).to_vec(),
        sets: vec![(SetName::new("intruder").unwrap(), 1), (SetName::new("rogue").unwrap(), 3)],
        listed: Vec::new(),
        changes: changes(),
        already: Vec::new(),
        skipped: vec![Skip {
            step: StepId::new("stop").unwrap(),
            target: target("us-east-1"),
            member: ResourceId::new("i-0c").unwrap(),
            resource: ResourceId::new("i-0c").unwrap(),
            reason: "a one-time Spot instance cannot be stopped, only terminated".into(),
        }],
        by_hand: Vec::new(),
        findings: vec![Finding {
            severity: Severity::Warning,
            step: Some(StepId::new("evidence").unwrap()),
            target: None,
            message: "iam:SimulatePrincipalPolicy is not allowed, so permissions could not be checked beforehand"
                .into(),
        }],
        coverage,
        undoes: None,
        effects: std::collections::BTreeMap::new(),
    }
}

/// The whole run: one stop fails, the rest is done and proven, one region never answered.
pub(crate) fn run() -> Vec<Event> {
    let plan = plan();
    let digest = plan.digest();
    let run = RunId::new("20261123-145000-cryptojack").unwrap();
    let approve = |tier| EventKind::ApprovalAnswered {
        approval: Approval {
            plan: digest.clone(),
            tier,
            answer: Answer::Approved,
            by: "anna".into(),
            through: "--approve".into(),
            at: plan.created,
        },
    };
    let mut kinds = vec![
        EventKind::RunStarted {
            run: run.clone(),
            version: "0.1.0".into(),
            plan: Box::new(plan.clone()),
            digest: digest.clone(),
        },
        EventKind::PhaseStarted { phase: Phase::Approval },
        EventKind::ApprovalAsked { tier: Tier::Reversible, changes: 3 },
        approve(Tier::Reversible),
        EventKind::ApprovalAsked { tier: Tier::Disruptive, changes: 2 },
        approve(Tier::Disruptive),
        EventKind::PhaseEnded { phase: Phase::Approval, seconds: 2.0 },
        EventKind::PhaseStarted { phase: Phase::Apply },
    ];
    for change in &plan.changes {
        kinds.push(EventKind::ChangeStarted { change: change.id.clone() });
        let outcome = match (change.step.as_str(), change.resource.as_str()) {
            ("evidence", id) => Outcome::Done { effect: json!({ "snapshots": [id.replace("i-", "snap-")] }) },
            ("stop", "i-0b") => Outcome::Failed {
                error: ActionError {
                    kind: ErrorKind::Denied,
                    code: Some("UnauthorizedOperation".into()),
                    message: "You are not authorized to perform this operation.".into(),
                    request_id: None,
                },
            },
            _ => Outcome::Done { effect: json!(null) },
        };
        kinds.push(EventKind::ChangeEnded { change: change.id.clone(), outcome });
    }
    kinds.push(EventKind::PhaseEnded { phase: Phase::Apply, seconds: 6.5 });
    kinds.push(EventKind::PhaseStarted { phase: Phase::Prove });
    for change in &plan.changes[..4] {
        kinds.push(EventKind::ChangeProven { change: change.id.clone(), verdict: Verdict::Proven });
    }
    kinds.push(EventKind::SweepEnded {
        sweep: 1,
        newcomers: 0,
        reverted: 0,
        coverage: plan.coverage.clone(),
        missed: None,
    });
    kinds.push(EventKind::PhaseEnded { phase: Phase::Prove, seconds: 1.0 });
    let outcome = RunOutcome::CoverageIncomplete;
    let summary = Summary {
        outcome,
        run,
        runbook: "cryptojack".into(),
        started: plan.created,
        changes: ChangeCounts { planned: 5, done: 4, failed: 1, ..ChangeCounts::default() },
        coverage: plan.coverage.counts(),
        requests: 41,
        throttled: 0,
        retries: 1,
        seconds: PhaseSeconds {
            survey: 1.5,
            approval: 2.0,
            apply: 6.5,
            prove: 1.0,
            total: 11.0,
            ..PhaseSeconds::default()
        },
    };
    kinds.push(EventKind::RunEnded { outcome, summary: Box::new(summary) });
    kinds.into_iter().enumerate().map(|(seq, kind)| event(seq as u64, kind)).collect()
}

#[test]
fn dump_seeds() {
    let run = run();
    let lines: Vec<String> = run.iter().map(|event| serde_json::to_string(event).unwrap()).collect();
    std::fs::create_dir_all("fuzz/corpus/journal").unwrap();
    std::fs::create_dir_all("fuzz/corpus/plan").unwrap();
    std::fs::write("fuzz/corpus/journal/run", lines.join("\n") + "\n").unwrap();
    std::fs::write("fuzz/corpus/journal/cut-off", lines[..9].join("\n") + "\n").unwrap();
    let file = PlanFile::new(RunId::new("20261123-145000-abcdef").unwrap(), Vec::new(), plan());
    std::fs::write("fuzz/corpus/plan/file.json", serde_json::to_string(&file).unwrap()).unwrap();
    std::fs::write("fuzz/corpus/plan/plan.json", serde_json::to_string(&plan()).unwrap()).unwrap();
}
