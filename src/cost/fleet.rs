//! The machines: what captures say of them, and what became of them in a run.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde_json::Value;

use super::machine::{Machine, Since};
use super::prices;
use crate::model::{Change, ChangeId, Event, EventKind, Outcome, Plan, Platform, Target};
use crate::story::facts::compute::{Attachments, LAUNCH, stopped};
use crate::story::facts::{text, time};
use crate::story::{Act, Phase, Seen, Story};

/// The actions that end what a machine costs. What isolates or denies does not: AWS bills what runs.
const ENDING: [&str; 2] = ["ec2.stop-instances", "ec2.terminate-instances"];

/// All machines that are known.
#[derive(Debug, Default)]
pub(super) struct Fleet {
    /// By instance id.
    machines: BTreeMap<String, Machine>,
    /// Those of the incident.
    incident: BTreeSet<String>,
    /// The last time that anything was seen.
    pub(super) last: Option<Timestamp>,
}

impl Fleet {
    /// The machines of captures, of the story that they tell, and of a run.
    pub(super) fn of(seen: &[Seen], story: Option<&Story>, events: &[Event]) -> Self {
        let mut fleet = Self::default();
        let attachments = Attachments::of(seen);
        for seen in seen {
            fleet.saw(seen.record.at);
            if seen.record.kind == "ec2 instance" {
                fleet.captured(seen, attachments.at(&seen.record.id));
            }
        }
        fleet.run(events);
        for machine in fleet.machines.values_mut() {
            machine.price = prices::of(&machine.region, &machine.instance_type, machine.platform);
        }
        let launches = story.iter().flat_map(|story| &story.facts).filter(|fact| fact.phase == Some(Phase::Launch));
        let launched = launches.filter(|fact| matches!(fact.act, Act::MachineLaunched | Act::MachineRestarted));
        fleet.incident.extend(launched.map(|fact| fact.subject.id.clone()));
        fleet
    }

    /// Every machine.
    pub(super) fn all(&self) -> impl Iterator<Item = &Machine> {
        self.machines.values()
    }

    /// The machines of the incident: those that the run stops, and those that the story has as launched in it.
    pub(super) fn of_incident(&self) -> Vec<Machine> {
        self.machines.iter().filter(|(id, _)| self.incident.contains(*id)).map(|(_, machine)| machine.clone()).collect()
    }

    fn saw(&mut self, at: Timestamp) {
        self.last = self.last.max(Some(at));
    }

    fn machine(&mut self, id: &str, target: &Target, (instance_type, platform): (&str, Platform)) -> &mut Machine {
        self.machines.entry(id.to_owned()).or_insert_with(|| Machine {
            id: id.to_owned(),
            account: target.account.clone(),
            region: target.region.clone(),
            instance_type: instance_type.to_owned(),
            platform,
            spot: false,
            runs: Vec::new(),
            since: Since::Unknown,
            price: None,
            seen_running: None,
        })
    }

    /// What a capture says of a machine. `attached`: since when it has its first network interface, which no restart moves.
    fn captured(&mut self, seen: &Seen, attached: Option<Timestamp>) {
        let (record, state) = (&seen.record, &seen.record.state);
        let platform =
            if state.get("platform").is_some_and(Value::is_string) { Platform::Windows } else { Platform::Linux };
        let machine = self.machine(&record.id, &record.target, (text(state, "/instanceType"), platform));
        machine.spot |= text(state, "/instanceLifecycle") == "spot";
        let Some(launched) = state.get("launchTime").and_then(time) else { return };
        machine.ran_from(launched);
        machine.since = known_since(launched, attached, machine);
        match stopped(state) {
            Some(to) => machine.ended(to, None),
            None => machine.seen_running = Some(record.at),
        }
    }

    fn run(&mut self, events: &[Event]) {
        let mut changes: BTreeMap<ChangeId, Change> = BTreeMap::new();
        let mut undoes = false;
        for event in events {
            self.saw(event.at);
            match &event.kind {
                EventKind::RunStarted { plan, .. } => {
                    undoes = plan.undoes.is_some();
                    self.planned(&plan.changes, plan, &mut changes);
                }
                EventKind::PlanExtended { changes: more, .. } => {
                    for change in more.iter().filter(|change| ends(change)) {
                        self.first_seen(change, event.at);
                        changes.insert(change.id.clone(), change.clone());
                    }
                }
                EventKind::ChangeEnded { change, outcome } if outcome.is_good() => {
                    let Some(change) = changes.get(change) else { continue };
                    let Some(machine) = self.machines.get_mut(change.resource.as_str()) else { continue };
                    match outcome {
                        // The way back starts it again.
                        Outcome::Done { .. } if undoes => machine.ran_from(event.at),
                        _ if undoes => {}
                        Outcome::Done { .. } => machine.ended(event.at, Some(change.step.clone())),
                        // Somebody else stopped it, or a process of quell's that was cut off: it is not known which.
                        _ => machine.ended(event.at, None),
                    }
                }
                // Somebody started it again, and it is stopped again.
                EventKind::ChangeReverted { change, .. } => {
                    let machine = changes.get(change).and_then(|known| self.machines.get_mut(known.resource.as_str()));
                    if let Some(machine) = machine {
                        machine.ran_from(event.at);
                    }
                }
                _ => {}
            }
        }
    }

    fn planned(&mut self, planned: &[Change], plan: &Plan, changes: &mut BTreeMap<ChangeId, Change>) {
        for change in planned.iter().filter(|change| ends(change)) {
            if plan.undoes.is_none() {
                self.first_seen(change, plan.created);
            }
            changes.insert(change.id.clone(), change.clone());
        }
    }

    /// A machine as the plan found it.
    fn first_seen(&mut self, change: &Change, at: Timestamp) {
        let prior = &change.prior;
        let platform = if text(prior, "/platform") == "windows" { Platform::Windows } else { Platform::Linux };
        let id = change.resource.as_str();
        self.incident.insert(id.to_owned());
        let machine = self.machine(id, &change.target, (text(prior, "/instance_type"), platform));
        match (prior.get("launched").and_then(time), machine.runs.is_empty()) {
            (Some(launched), _) => {
                machine.ran_from(launched);
                machine.since = known_since(launched, prior.get("attached").and_then(time), machine);
            }
            (None, true) => machine.ran_from(at),
            (None, false) => {}
        }
    }
}

/// What a `LaunchTime` says of the machine's first run.
fn known_since(launched: Timestamp, attached: Option<Timestamp>, machine: &Machine) -> Since {
    let first = machine.runs.first().map_or(launched, |run| run.from);
    match attached {
        Some(attached) if first.duration_since(attached) > LAUNCH => Since::Earlier,
        Some(_) => Since::Launch,
        None => machine.since,
    }
}

fn ends(change: &Change) -> bool {
    ENDING.contains(&change.action.as_str())
}
