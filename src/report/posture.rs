//! What a posture says, for people and for programs.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{Value, json};

use super::style::{Colour, laid_out, table};
use super::text::{counted, shown};
use crate::model::RunId;
use crate::posture::{Fact, Judged, Lack, Severity, Status};

/// How many findings of a check are shown.
const SHOWN: usize = 8;

/// A table of all checks, then what failed and how to fix it.
pub fn text(capture: &RunId, judged: &[Judged], colour: Colour) -> String {
    let mut rows = table();
    rows.set_header(["account", "check", "severity", "result", "what"]);
    for one in judged {
        let (facts, lacks) = (one.facts.len(), one.lacks.len());
        let result = match one.status() {
            Status::Pass => colour.green("pass"),
            Status::Fail => colour.red("FAIL"),
            Status::NotKnown => colour.yellow("not known"),
        };
        let what = match one.status() {
            Status::Pass => one.check.title.to_owned(),
            Status::Fail => counted(facts, "finding"),
            Status::NotKnown => counted(lacks, "gap"),
        };
        let severity = one.check.severity.as_str().to_owned();
        rows.add_row([one.account.to_string(), one.check.id.to_owned(), severity, result, what]);
    }
    let mut text = format!("Capture {capture}\n\n{}", laid_out(&rows));
    let failed =
        |severity| judged.iter().filter(move |one| one.status() == Status::Fail && one.check.severity == severity);
    for one in [Severity::High, Severity::Medium, Severity::Low].into_iter().flat_map(failed) {
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "\n{} {} in {}: {}",
            colour.red("FAIL"),
            colour.bold(one.check.id),
            one.account,
            one.check.title
        );
        for line in findings(&one.facts) {
            let _ = writeln!(text, "  - {line}");
        }
        lacking(&mut text, &one.lacks);
        let _ = writeln!(text, "  Why: {}\n  Fix: {}", one.check.why, one.check.fix);
    }
    for one in judged.iter().filter(|one| one.status() == Status::NotKnown) {
        let _ = writeln!(
            text,
            "\n{} {} in {}: {}",
            colour.yellow("NOT KNOWN"),
            colour.bold(one.check.id),
            one.account,
            one.check.title
        );
        lacking(&mut text, &one.lacks);
    }
    let count = |status| judged.iter().filter(|one| one.status() == status).count();
    let (passed, wrong, open) = (count(Status::Pass), count(Status::Fail), count(Status::NotKnown));
    let _ = writeln!(text, "\n{passed} pass, {wrong} fail, {open} not known");
    text
}

/// The findings, those alike in several regions on one line.
fn findings(facts: &[Fact]) -> Vec<String> {
    let mut alike: BTreeMap<(&str, &str), Vec<&str>> = BTreeMap::new();
    for fact in facts {
        let places = alike.entry((&fact.resource, &fact.what)).or_default();
        places.extend(fact.region.as_ref().map(crate::model::Region::as_str));
    }
    let all = alike.len();
    let mut lines: Vec<String> = alike
        .into_iter()
        .take(SHOWN)
        .map(|((resource, what), places)| {
            let what = format!("{} {}", shown(resource), shown(what));
            if places.is_empty() { what } else { format!("{what} ({})", places.join(", ")) }
        })
        .collect();
    if all > SHOWN {
        lines.push(format!("and {} more; --output json has all", all - SHOWN));
    }
    lines
}

fn lacking(text: &mut String, lacks: &[Lack]) {
    let mut alike: BTreeMap<&str, usize> = BTreeMap::new();
    for lack in lacks {
        *alike.entry(&lack.why).or_default() += 1;
    }
    for (why, places) in alike.into_iter().take(SHOWN) {
        let more = if places > 1 { format!(" ({places} regions)") } else { String::new() };
        let _ = writeln!(text, "  ? {}{more}", shown(why));
    }
}

/// The same as a document.
pub fn document(capture: &RunId, judged: &[Judged]) -> Value {
    let one = |one: &Judged| {
        json!({
            "check": one.check.id, "account": one.account, "title": one.check.title, "severity": one.check.severity,
            "result": one.status(), "findings": one.facts, "not_known": one.lacks, "why": one.check.why,
            "fix": one.check.fix,
        })
    };
    let count = |status| judged.iter().filter(|one| one.status() == status).count();
    json!({
        "capture": capture, "pass": count(Status::Pass), "fail": count(Status::Fail),
        "not_known": count(Status::NotKnown), "checks": judged.iter().map(one).collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::posture::{Facts, judge};

    #[test]
    fn what_is_not_known_is_said_and_counted() {
        let account = "111122223333".parse().unwrap();
        let judged = judge(&Facts::nothing(account, "2026-03-03T15:00:00Z".parse().unwrap()));
        let capture = RunId::new("20260303-150000-a1b2c3").unwrap();
        let text = text(&capture, &judged, Colour::Plain);
        assert!(text.contains("NOT KNOWN iam.root-mfa in 111122223333"), "{text}");
        assert!(text.ends_with(&format!("0 pass, 0 fail, {} not known\n", judged.len())), "{text}");
        assert_eq!(document(&capture, &judged)["checks"][0]["result"], "not-known");
    }

    #[test]
    fn findings_alike_stand_on_one_line() {
        let fact = |region: &str| Fact {
            region: region.parse().ok(),
            resource: "region".to_owned(),
            what: "has no detector".to_owned(),
        };
        assert_eq!(
            findings(&[fact("eu-west-1"), fact("eu-west-3")]),
            ["region has no detector (eu-west-1, eu-west-3)"]
        );
    }
}
