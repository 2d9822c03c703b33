//! What happened at the time of the incident and is not of it: machines that the run saw and did not take for the intruder's.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::model::Target;
use crate::report::record::Record;
use crate::story::{Act, Fact, Phase, Story};

/// The service whose machines these are, as the ledger names it.
const EC2: &str = "ec2";

/// Takes machines out of the incident, with their volumes, of which nothing but the time says that they are of it, and which a
/// run that looked there left alone. The story says how many they are.
pub fn leave_alone(story: &mut Story, record: &Record) {
    let known = ids_of_run(record);
    if !known.iter().any(|id| id.starts_with("i-")) {
        return;
    }
    let mut machines = 0;
    for fact in story.facts.iter_mut().filter(|fact| is_by_time_alone(fact) && was_looked_at(fact, record)) {
        if !known.contains(fact.subject.id.as_str()) {
            fact.phase = None;
            machines += usize::from(fact.act == Act::MachineLaunched);
        }
    }
    if machines > 0 {
        let launched = if machines == 1 { "1 machine was".to_owned() } else { format!("{machines} machines were") };
        story.remarks.push(format!("{launched} launched in that time and left alone by the run, so not told here"));
    }
}

fn is_by_time_alone(fact: &Fact) -> bool {
    let is_of_machine = matches!(fact.act, Act::MachineLaunched | Act::VolumeMade | Act::InterfaceAttached);
    is_of_machine && fact.phase == Some(Phase::Launch) && fact.by.is_none()
}

/// Whether the run saw the machines of a fact's region: of one that did not answer nothing is left out.
fn was_looked_at(fact: &Fact, record: &Record) -> bool {
    record.coverage.status(&Target::new(fact.account.clone(), fact.region.clone()), EC2).is_known()
}

/// Every id that the plan names: what it changes, for whom, and what it found there.
fn ids_of_run(record: &Record) -> BTreeSet<&str> {
    let mut ids = BTreeSet::new();
    for change in &record.plan.changes {
        ids.extend([change.resource.as_str(), change.member.as_str()]);
        texts(&change.prior, &mut ids);
    }
    ids
}

fn texts<'a>(value: &'a Value, into: &mut BTreeSet<&'a str>) {
    match value {
        Value::String(text) => {
            into.insert(text);
        }
        Value::Array(items) => items.iter().for_each(|item| texts(item, into)),
        Value::Object(fields) => fields.values().for_each(|value| texts(value, into)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::example;
    use crate::story::{By, Confidence, Precision, Subject, Window};

    fn launch(id: &str, region: &str, by: Option<&str>) -> Fact {
        Fact {
            time: example::plan().created,
            precision: Precision::Second,
            confidence: Confidence::Dated,
            phase: Some(Phase::Launch),
            act: Act::MachineLaunched,
            message: String::new(),
            api: "ec2:DescribeInstances".to_owned(),
            field: "launchTime".to_owned(),
            account: example::account(),
            region: region.parse().unwrap(),
            by: by.map(|arn| By { principal: arn.to_owned(), key: None, address: None, mfa: false }),
            subject: Subject::new("ec2 instance", id),
            evidence: None,
            notes: Vec::new(),
        }
    }

    #[test]
    fn only_what_was_seen_and_not_taken_is_left_out() {
        let since = example::plan().created;
        let facts = vec![
            launch("i-0a", "eu-west-1", None),
            launch("i-0f", "eu-west-1", None),
            launch("i-0f", "eu-west-1", Some("arn:aws:iam::111122223333:user/mallory")),
            launch("i-0f", "eu-west-3", None),
            launch("i-0f", "sa-east-1", None),
        ];
        let window = Window { from: since, since, until: since };
        let mut story = Story { window, facts, findings: Vec::new(), remarks: Vec::new() };
        leave_alone(&mut story, &Record::of(&example::run()).unwrap());
        let left: Vec<bool> = story.facts.iter().map(|fact| fact.phase.is_none()).collect();
        assert_eq!(left, [false, true, false, false, false]);
        assert_eq!(story.remarks, ["1 machine was launched in that time and left alone by the run, so not told here"]);
    }
}
