//! A draft of the case in which AWS Support is asked for credit: Markdown, of what is known and nothing else.
//!
//! What a person must add stands as `{{ … }}`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use indexmap::IndexMap;
use jiff::Timestamp;

use super::cost::{dollars, hours, remarks};
use super::record::Record;
use super::text::{counted, shown};
use crate::cost::{Costs, Machine};
use crate::evidence::Captured;
use crate::model::{Outcome, StepId, Tier, Verdict};
use crate::story::{Confidence, Fact, Phase, Story};

/// How many events are listed; the timeline has all.
const EVENTS: usize = 40;

/// What a case is made of.
#[derive(Debug, Clone, Copy)]
pub struct Case<'a> {
    /// What it cost.
    pub costs: &'a Costs,
    /// The run that responded.
    pub run: Option<&'a Record>,
    /// What happened.
    pub story: Option<&'a Story>,
    /// The evidence.
    pub captures: &'a [Captured],
}

/// The draft.
pub fn markdown(case: &Case) -> String {
    let mut text = String::new();
    summary(&mut text, case.costs);
    events(&mut text, case.story);
    resources(&mut text, case.costs);
    response(&mut text, case.run);
    evidence(&mut text, case);
    prevention(&mut text, case.run);
    text
}

fn summary(text: &mut String, costs: &Costs) {
    let machines = &costs.machines;
    let accounts: BTreeSet<&str> = machines.iter().map(|machine| machine.account.as_str()).collect();
    let regions: BTreeSet<&str> = machines.iter().map(|machine| machine.region.as_str()).collect();
    let (from, to) = window(costs);
    let all: f64 = machines.iter().map(|machine| machine.hours(from, costs.until)).sum();
    let still = machines.iter().filter(|machine| machine.runs_at(costs.until)).count();
    let accounts = accounts.into_iter().map(code).collect::<Vec<_>>().join(", ");
    // Writing to a string cannot fail.
    let _ = write!(
        text,
        "# Request for credit: unauthorised use of EC2\n\n\
         To AWS Support, category *Account and billing*. Every figure below is an estimate at on-demand prices, not a bill.\n\n\
         - Accounts: {accounts}\n\
         - Window (UTC): {} to {}{}\n\
         - Unauthorised machines: {} in {}, {all:.1} machine hours\n\
         - Estimated cost of these: **{}**\n\
         - AWS's own notice of this, if there was one: {{{{ case or notice id, date }}}}\n\
         - Contact: {{{{ name, role, phone, time zone }}}}\n\n",
        clock(from),
        clock(to),
        if still > 0 { format!(" ({} still running then)", counted(still, "machine")) } else { String::new() },
        counted(machines.len(), "EC2 instance"),
        counted(regions.len(), "region"),
        dollars(costs.so_far),
    );
}

/// From the first launch to the last stop, or to what is known last.
fn window(costs: &Costs) -> (Timestamp, Timestamp) {
    let runs = || costs.machines.iter().flat_map(|machine| &machine.runs);
    let from = runs().map(|run| run.from).min().unwrap_or(costs.until);
    (from, runs().map(|run| run.to.unwrap_or(costs.until)).max().unwrap_or(costs.until))
}

fn events(text: &mut String, story: Option<&Story>) {
    text.push_str("## What happened\n\n");
    let Some(story) = story else {
        text.push_str(
            "{{ how somebody got in, and when it was noticed: no captures were at hand that would tell }}\n\n",
        );
        return;
    };
    let told = [Phase::Entry, Phase::Preparation, Phase::Persistence];
    let facts: Vec<&Fact> =
        story.facts.iter().filter(|fact| fact.phase.is_some_and(|phase| told.contains(&phase))).collect();
    let _ = writeln!(text, "How it was noticed, and by whom: {{{{ … }}}}\n");
    if !facts.is_empty() {
        text.push_str("| time (UTC) | what | how sure | source | evidence |\n|---|---|---|---|---|\n");
    }
    for fact in facts.iter().take(EVENTS) {
        let sure = match fact.confidence {
            Confidence::Recorded => "recorded",
            Confidence::Dated => "dated by AWS",
            Confidence::Inferred => "inferred",
        };
        let evidence = fact.evidence.as_ref().map(|digest| code(digest.as_str())).unwrap_or_default();
        let _ = writeln!(
            text,
            "| {} | {} | {sure} | {} | {evidence} |",
            clock(fact.time),
            code(&fact.message),
            code(&fact.api)
        );
    }
    if facts.len() > EVENTS {
        let _ = writeln!(text, "\nAnd {}: `quell timeline` lists them.", counted(facts.len() - EVENTS, "more event"));
    }
    text.push('\n');
}

fn resources(text: &mut String, costs: &Costs) {
    let (from, until) = (window(costs).0, costs.until);
    let mut groups: BTreeMap<(&str, &str, &str, &str), Vec<&Machine>> = BTreeMap::new();
    for machine in &costs.machines {
        let key = (machine.account.as_str(), machine.region.as_str(), machine.instance_type.as_str());
        groups.entry((key.0, key.1, key.2, machine.platform.as_str())).or_default().push(machine);
    }
    text.push_str("## Resources\n\n| account | region | type | platform | machines | hours | USD |\n|---|---|---|---|--:|--:|--:|\n");
    for ((account, region, instance_type, platform), machines) in &groups {
        let sum = |of: fn(&Machine, Timestamp, Timestamp) -> f64| -> f64 {
            machines.iter().map(|machine| of(machine, from, until)).sum()
        };
        let price = if machines.iter().any(|machine| machine.price.is_none()) {
            "price not known".to_owned()
        } else {
            format!("{:.2}", sum(Machine::dollars))
        };
        let _ = writeln!(
            text,
            "| {} | {} | {} | {platform} | {} | {:.2} | {price} |",
            code(account),
            code(region),
            code(instance_type),
            machines.len(),
            sum(Machine::hours)
        );
    }
    let _ = writeln!(text, "\nPrices: {}.", costs.source);
    for remark in remarks(costs) {
        let _ = writeln!(text, "- {}", escaped(&remark));
    }
    if !costs.billed.is_empty() {
        text.push_str("\nCost Explorer, all machines of the account, before taxes and credits:\n\n");
        text.push_str("| account | day | billed, USD | estimated, USD | of it the incident |\n|---|---|--:|--:|--:|\n");
        for day in &costs.billed {
            let preliminary = if day.preliminary { " (preliminary)" } else { "" };
            let _ = writeln!(
                text,
                "| {} | {}{preliminary} | {:.2} | {:.2} | {:.2} |",
                code(day.account.as_str()),
                day.day,
                day.billed,
                day.estimated,
                day.of_incident
            );
        }
    }
    text.push_str(
        "\n<details><summary>The machines</summary>\n\n| machine | region | from | to |\n|---|---|---|---|\n",
    );
    for machine in &costs.machines {
        for run in &machine.runs {
            let to = run.to.map_or("still running".to_owned(), clock);
            let (id, region) = (code(&machine.id), code(machine.region.as_str()));
            let _ = writeln!(text, "| {id} | {region} | {} | {to} |", clock(run.from));
        }
    }
    text.push_str("\n</details>\n\n");
}

/// What became of a step.
#[derive(Default)]
struct Step<'a> {
    action: &'a str,
    from: Option<Timestamp>,
    to: Option<Timestamp>,
    good: usize,
    proven: usize,
    all: usize,
}

fn response(text: &mut String, run: Option<&Record>) {
    text.push_str("## What we did\n\n");
    let Some(record) = run else {
        text.push_str("{{ what was done, with times }}\n\n");
        return;
    };
    text.push_str("| step | action | from (UTC) | to | done | proven |\n|---|---|---|---|--:|--:|\n");
    for (name, step) in steps(record) {
        let at = |time: Option<Timestamp>| time.map_or("not begun".to_owned(), clock);
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {} of {} | {} |",
            code(name.as_str()),
            code(step.action),
            at(step.from),
            at(step.to),
            step.good,
            step.all,
            step.proven
        );
    }
    let unknown = record.coverage.counts();
    let _ = writeln!(
        text,
        "\nAfterwards {}; in them {} found that nobody had planned for. Places that could not be looked at: {}.\n",
        counted(record.sweeps as usize, "sweep") + if record.sweeps == 1 { " was made" } else { " were made" },
        if record.newcomers == 1 { "1 thing was".to_owned() } else { format!("{} things were", record.newcomers) },
        unknown.denied + unknown.unreachable + unknown.unknown,
    );
}

fn steps(record: &Record) -> IndexMap<&StepId, Step<'_>> {
    let mut steps: IndexMap<&StepId, Step> = IndexMap::new();
    for (change, fate) in record.fates().filter(|(change, _)| change.tier != Tier::Read) {
        let step = steps.entry(&change.step).or_default();
        step.action = change.action.as_str();
        step.all += 1;
        step.from = [step.from, fate.started].into_iter().flatten().min();
        step.to = [step.to, fate.ended].into_iter().flatten().max();
        step.good += usize::from(fate.outcome.as_ref().is_some_and(Outcome::is_good));
        step.proven += usize::from(fate.verdict == Some(Verdict::Proven));
    }
    steps
}

fn evidence(text: &mut String, case: &Case) {
    text.push_str("## Evidence\n\nKept by us, and to be had on request. Each hash stands for all that it names.\n\n");
    if let Some(record) = case.run {
        let _ = writeln!(
            text,
            "- Journal of run {}, begun {}; digest of its plan {}",
            code(record.run.as_str()),
            clock(record.started),
            code(record.digest.as_str())
        );
        let snapshots = record.snapshots();
        if !snapshots.is_empty() {
            let _ = writeln!(text, "- {} of the machines' volumes", counted(snapshots.len(), "snapshot"));
        }
    }
    for captured in case.captures {
        let _ = writeln!(
            text,
            "- Capture {} of {}: {}, last hash of its chain {}",
            code(captured.header.id.as_str()),
            clock(captured.header.began),
            counted(captured.items().count(), "answer") + " of AWS",
            code(&captured.head)
        );
    }
    text.push('\n');
}

fn prevention(text: &mut String, run: Option<&Record>) {
    text.push_str("## So that it does not happen again\n\n");
    let proven = run.map(steps).unwrap_or_default();
    let lasting = proven.iter().filter(|(_, step)| {
        step.proven > 0 && ["iam.", "organizations.", "sso."].iter().any(|service| step.action.starts_with(service))
    });
    for (_, step) in lasting {
        let _ = writeln!(text, "- {}: {} proven", code(step.action), step.proven);
    }
    text.push_str(
        "- {{ which credentials were replaced, and how the key leaked }}\n\
         - {{ MFA for all people, roles instead of keys }}\n\
         - {{ budgets and anomaly alerts, GuardDuty, service control policies: `quell posture` lists what is lacking }}\n",
    );
}

/// In a code span, which Markdown does not read: what comes from AWS may hold anything.
fn code(text: &str) -> String {
    if text.is_empty() {
        return String::new();
    }
    format!("`{}`", shown(text).replace('`', "'").replace('|', "\\|"))
}

/// A sentence in which nothing is mark-up.
fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for c in shown(text).chars() {
        if matches!(c, '\\' | '`' | '*' | '_' | '[' | ']' | '<' | '>' | '|' | '#') {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}

fn clock(time: Timestamp) -> String {
    time.strftime("%Y-%m-%d %H:%M:%S").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cost::{self, Asked};
    use crate::model::example;

    fn case() -> String {
        let events = example::run();
        let record = Record::of(&events).unwrap();
        let costs = cost::of(&[], None, &events, &Asked::default()).unwrap();
        markdown(&Case { costs: &costs, run: Some(&record), story: None, captures: &[] })
    }

    #[test]
    fn a_case_says_what_is_known_and_leaves_the_rest_to_a_person() {
        let text = case();
        for part in ["# Request for credit", "## Resources", "## What we did", "## Evidence", "{{ name, role, phone"] {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert!(text.contains("`111122223333`") && text.contains("`ec2.stop-instances`"), "{text}");
        assert!(text.contains("without a known price"), "{text}");
    }

    #[test]
    fn what_comes_from_aws_is_no_markup() {
        assert_eq!(code("a`b|c\u{1b}"), "`a'b\\|c\\u{1b}`");
        assert_eq!(escaped("<b>[x](y)"), "\\<b\\>\\[x\\](y)");
        assert_eq!(code(""), "");
        assert_eq!(hours(24.0), "24 h");
        assert_eq!(hours(720.0), "30 days");
    }
}
