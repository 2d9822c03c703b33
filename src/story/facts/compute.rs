//! Machines: when they were launched, started again and stopped.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::{Seen, dated, text, time};
use crate::story::fact::{Act, Fact, Subject};

/// A restart moves `LaunchTime`; less than this is the launch itself, whose parts are dated one after the other.
pub const LAUNCH: SignedDuration = SignedDuration::from_mins(2);

/// When the first network interface of each machine was attached, which no restart moves.
pub struct Attachments(BTreeMap<String, Timestamp>);

impl Attachments {
    /// Of all records.
    pub fn of(seen: &[Seen]) -> Self {
        let mut attached = BTreeMap::new();
        for seen in seen {
            let state = &seen.record.state;
            match seen.record.kind {
                "ec2 network interface" if text(state, "/attachment/deviceIndex") == "0" => {
                    let at = state.pointer("/attachment/attachTime").and_then(time);
                    attached.extend(at.map(|at| (text(state, "/attachment/instanceId").to_owned(), at)));
                }
                "ec2 instance" => attached.extend(own(state).map(|at| (seen.record.id.clone(), at))),
                _ => {}
            }
        }
        Self(attached)
    }

    /// When that of a machine was, as far as it is known.
    pub fn at(&self, instance: &str) -> Option<Timestamp> {
        self.0.get(instance).copied()
    }
}

fn own(state: &Value) -> Option<Timestamp> {
    let interfaces = state.get("networkInterfaceSet")?.as_array()?;
    let first = interfaces.iter().find(|interface| text(interface, "/attachment/deviceIndex") == "0")?;
    time(first.pointer("/attachment/attachTime")?)
}

/// The facts of a machine.
pub(super) fn machine(seen: &Seen, attachments: &Attachments) -> Vec<Fact> {
    let (record, state) = (&seen.record, &seen.record.state);
    let image = text(state, "/imageId");
    let mut subject = Subject::new(record.kind, record.id.clone());
    subject.image = (!image.is_empty()).then(|| image.to_owned());
    let what = format!("{} {}", text(state, "/instanceType"), record.id);
    let launch_time = state.get("launchTime").and_then(time);
    let attached = attachments.at(&record.id);
    let mut facts = Vec::new();
    let restarted =
        launch_time.zip(attached).is_some_and(|(launch, attached)| launch.duration_since(attached) > LAUNCH);
    if let Some(at) = attached.filter(|_| restarted) {
        let field = "networkInterfaceSet/attachment/attachTime";
        let mut fact = dated(seen, (Act::MachineLaunched, field, at), subject.clone(), format!("{what} launched"));
        fact.notes.push("by its first network interface: a restart moved LaunchTime");
        facts.push(fact);
    }
    if let Some(at) = launch_time {
        let (act, words) =
            if restarted { (Act::MachineRestarted, "started again") } else { (Act::MachineLaunched, "launched") };
        let mut fact = dated(seen, (act, "launchTime", at), subject.clone(), format!("{what} {words}"));
        if attached.is_none() {
            fact.notes.push("without its network interface it is not known whether a restart moved LaunchTime");
        }
        facts.push(fact);
    }
    let reason = text(state, "/reason");
    if let Some(at) = stopped(state) {
        let message = format!("{what} {}: {reason}", text(state, "/instanceState/name"));
        facts.push(dated(seen, (Act::MachineStopped, "reason", at), subject, message));
    }
    facts
}

/// When a machine was stopped or terminated: `User initiated (2026-03-03 15:20:00 GMT)`.
pub fn stopped(instance: &Value) -> Option<Timestamp> {
    let (_, rest) = text(instance, "/reason").split_once('(')?;
    let (at, _) = rest.split_once(" GMT)")?;
    format!("{}Z", at.replacen(' ', "T", 1)).parse().ok()
}
