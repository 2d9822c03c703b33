//! How long a run has to take at the least: its longest chain of requests that wait for one another.

use std::collections::HashMap;

use super::record::{Fate, Record};
use crate::model::{Outcome, Span, StepId};

/// The action whose last change a chain leads to.
const STOP: &str = "ec2.stop-instances";

/// How many requests one after the other lead from the approval to stopped machines, at the least: along the longest path of
/// steps that need one another and end in one that stops instances, the sum of the fewest requests that any change of each
/// step took.
///
/// A change's requests are counted by its time, from its intent to its outcome, divided by `latency` and rounded down. On the
/// virtual clock nothing but waiting takes time, and the quickest change of a step waits for nothing but its own requests: the
/// count is exact. On the real clock quell's own work adds to it. What changes wait for beyond that (other changes, budgets)
/// is not in it: being slow does not make the chain longer. `None` when nothing was stopped, or requests take no time.
pub fn longest(record: &Record, latency: Span) -> Option<u64> {
    let latency = u64::try_from(latency.std().as_millis()).ok().filter(|latency| *latency > 0)?;
    let mut quickest: HashMap<&StepId, u64> = HashMap::new();
    for (change, milliseconds) in record.fates().filter_map(|(change, fate)| Some((change, took(fate)?))) {
        let requests = milliseconds / latency;
        quickest.entry(&change.step).and_modify(|fewest| *fewest = requests.min(*fewest)).or_insert(requests);
    }
    let stops = record.plan.runbook.steps.iter().filter(|step| step.uses.as_str() == STOP);
    stops.filter(|step| quickest.contains_key(&step.id)).map(|step| up_to(record, &quickest, &step.id)).max()
}

/// The requests of the longest path that ends with `step`. A step that changed nothing has none, and does not cut a path.
fn up_to(record: &Record, quickest: &HashMap<&StepId, u64>, step: &StepId) -> u64 {
    let needs = record.plan.runbook.step(step).into_iter().flat_map(|step| &step.needs);
    let before = needs.map(|need| up_to(record, quickest, need)).max().unwrap_or_default();
    before + quickest.get(step).copied().unwrap_or_default()
}

/// How many milliseconds a change that was made took.
fn took(fate: &Fate) -> Option<u64> {
    let Some(Outcome::Done { .. }) = fate.outcome else { return None };
    u64::try_from(fate.ended?.duration_since(fate.started?).as_millis()).ok()
}

#[cfg(test)]
mod tests {
    use jiff::{SignedDuration, Timestamp};
    use serde_json::{Value, json};

    use super::*;
    use crate::model::{ChangeId, ResourceId, Step, example};

    /// The example's run, with steps of these needs and changes that took these milliseconds.
    fn record(needs: &[(&str, &[&str])], took: &[(&str, &[i64])]) -> Record {
        let mut record = Record::of(&example::run()).unwrap();
        let uses = |id: &str| if id == "stop" { "ec2.stop-instances" } else { "ec2.tag" };
        let step = |(id, needs): &(&str, &[&str])| {
            let step = json!({ "id": id, "uses": uses(id), "on": "rogue", "needs": needs });
            serde_json::from_value::<Step>(step).unwrap()
        };
        record.plan.runbook.steps = needs.iter().map(step).collect();
        let template = record.plan.changes[0].clone();
        record.plan.changes.clear();
        record.changes.clear();
        for (step, all) in took {
            for milliseconds in *all {
                let mut change = template.clone();
                change.step = StepId::new(*step).unwrap();
                change.resource = ResourceId::new(format!("i-{milliseconds}")).unwrap();
                change.id = ChangeId::of(&change.step, &change.target, &change.resource);
                let started = Timestamp::from_second(1_000).unwrap();
                let fate = Fate {
                    started: Some(started),
                    ended: Some(started + SignedDuration::from_millis(*milliseconds)),
                    outcome: Some(Outcome::Done { effect: Value::Null }),
                    verdict: None,
                };
                record.changes.insert(change.id.clone(), fate);
                record.plan.changes.push(change);
            }
        }
        record
    }

    fn latency() -> Span {
        "80ms".parse().unwrap()
    }

    #[test]
    fn the_quickest_change_of_each_step_counts_however_slow_the_others_are() {
        let needs: &[(&str, &[&str])] = &[("evidence", &[]), ("stop", &["evidence"])];
        let quick = record(needs, &[("evidence", &[162, 163]), ("stop", &[161])]);
        let slow = record(needs, &[("evidence", &[162, 900]), ("stop", &[161, 5_000])]);
        assert_eq!(longest(&quick, latency()), Some(4));
        assert_eq!(longest(&slow, latency()), Some(4));
    }

    #[test]
    fn the_longest_path_to_a_stop_counts_and_nothing_beside_it() {
        let needs: &[(&str, &[&str])] = &[
            ("lock", &[]),
            ("mark", &["lock"]),
            ("evidence", &["mark"]),
            ("protect", &[]),
            ("stop", &["evidence", "protect"]),
            ("isolate", &["stop"]),
        ];
        // `mark` changed nothing: the path goes through it all the same.
        let took: &[(&str, &[i64])] =
            &[("lock", &[240]), ("evidence", &[160]), ("protect", &[320]), ("stop", &[160]), ("isolate", &[800])];
        assert_eq!(longest(&record(needs, took), latency()), Some(7));
    }

    #[test]
    fn without_a_stop_or_a_latency_there_is_no_chain() {
        let needs: &[(&str, &[&str])] = &[("evidence", &[]), ("stop", &["evidence"])];
        assert_eq!(longest(&record(needs, &[("evidence", &[160])]), latency()), None);
        assert_eq!(longest(&record(needs, &[("stop", &[160])]), "0ms".parse().unwrap()), None);
    }
}
