//! Plans for the engine's unit tests.

use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::model::{
    AccountId, ActionName, Caller, Change, ChangeId, Coverage, Kind, Plan, Region, ResourceId, Runbook, StepId, Target,
    Tier, Undo,
};

/// A runbook with these steps, in JSON.
pub fn runbook(steps: &str) -> Runbook {
    let sets = r#"{"users": {"from": "toy.users"}, "machines": {"from": "toy.machines"}}"#;
    let text = format!(r#"{{"quell": 1, "name": "test", "title": "A test", "sets": {sets}, "steps": {steps}}}"#);
    serde_json::from_str(&text).unwrap()
}

/// A change of `step` to `member`, in one and the same target.
pub fn change(step: &str, member: &str) -> Change {
    let target = Target::new(AccountId::new("111122223333").unwrap(), Region::new("eu-west-3").unwrap());
    let (step, member) = (StepId::new(step).unwrap(), ResourceId::new(member).unwrap());
    Change {
        id: ChangeId::of(&step, &target, &member),
        action: ActionName::new("toy.set").unwrap(),
        tier: Tier::Disruptive,
        kind: Kind::new("toy.machine"),
        resource: member.clone(),
        summary: format!("{step} {member}"),
        before: "on".into(),
        after: "off".into(),
        prior: Value::String("on".into()),
        undo: Undo::by("switch it on"),
        also_for: Vec::new(),
        notes: Vec::new(),
        attaches: None,
        step,
        target,
        member,
    }
}

/// A plan of these changes.
pub fn plan(runbook: Runbook, changes: Vec<Change>) -> Plan {
    Plan {
        created: Timestamp::UNIX_EPOCH,
        caller: Caller {
            arn: "arn:aws:iam::111122223333:user/responder".into(),
            account: AccountId::new("111122223333").unwrap(),
            user_id: "AIDAEXAMPLE".into(),
            access_key: None,
            endpoint: None,
        },
        runbook,
        inputs: Map::new(),
        targets: Vec::new(),
        sets: Vec::new(),
        listed: Vec::new(),
        changes,
        already: Vec::new(),
        skipped: Vec::new(),
        by_hand: Vec::new(),
        findings: Vec::new(),
        coverage: Coverage::default(),
        undoes: None,
        effects: std::collections::BTreeMap::new(),
    }
}
