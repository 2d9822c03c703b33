//! The story of an incident, for people, for programs, and for tools that read timelines.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::style::Colour;
use super::text::{counted, cut, shown};
use crate::story::facts::short;
use crate::story::{Act, Confidence, Fact, Finding, Phase, Point, Precision, Story, Verdict};

/// The phases, in the order in which they are told.
pub(super) const PHASES: [Phase; 6] =
    [Phase::Entry, Phase::Preparation, Phase::Persistence, Phase::Launch, Phase::Discovery, Phase::Response];
/// How many lines of a phase are shown; JSON and CSV have all.
const LINES: usize = 24;
/// How many points of a kind are shown per principal.
const POINTS: usize = 12;
/// The widest that a cell is shown.
const WIDEST: usize = 110;

/// The story as a document.
pub fn document(story: &Story) -> Value {
    json!(story)
}

/// The story for a terminal.
pub fn text(story: &Story, colour: Colour) -> String {
    let mut text = String::new();
    let window = &story.window;
    let of_incident = story.facts.iter().filter(|fact| fact.phase.is_some()).count();
    // Writing to a string cannot fail.
    let _ = writeln!(
        text,
        "Incident  from {} to {} (UTC); looked at from {}",
        clock(window.since),
        clock(window.until),
        clock(window.from)
    );
    let _ = writeln!(text, "Events    {}, {of_incident} of them of the incident", story.facts.len());
    for remark in &story.remarks {
        let _ = writeln!(text, "{} {}", colour.yellow("!"), shown(remark));
    }
    for phase in PHASES {
        let facts: Vec<&Fact> = story.facts.iter().filter(|fact| fact.phase == Some(phase)).collect();
        if !facts.is_empty() {
            let _ = writeln!(text, "\n{}", colour.bold(heading(phase)));
            text.push_str(&self::phase(&facts));
        }
    }
    let _ = writeln!(text, "\n{}", colour.bold("Verdicts"));
    let (told, rest): (Vec<&Finding>, Vec<&Finding>) =
        story.findings.iter().partition(|finding| finding.verdict != Verdict::NoSign || !finding.looks_like.is_empty());
    for finding in told {
        text.push_str(&self::finding(finding, colour));
    }
    if !rest.is_empty() {
        let names: Vec<String> = rest.iter().map(|finding| name(finding)).collect();
        let _ = writeln!(text, "  {}  {}", colour.green("no sign"), names.join(", "));
    }
    text
}

/// The heading over a phase.
pub(super) fn heading(phase: Phase) -> &'static str {
    match phase {
        Phase::Entry => "Entry",
        Phase::Preparation => "Preparation",
        Phase::Persistence => "Persistence",
        Phase::Launch => "Launch",
        Phase::Discovery => "Discovery",
        Phase::Response => "Response",
    }
}

/// The events of a phase as lines.
fn phase(facts: &[&Fact]) -> String {
    let groups = groups(facts);
    let mut text = String::new();
    for group in groups.iter().take(LINES) {
        let first = group[0];
        let _ = writeln!(
            text,
            "  {:<20}  {:<8}  {:<16}  {}",
            when(first),
            first.confidence.as_str(),
            cut(&who(first), 16),
            cut(&what(group), WIDEST)
        );
    }
    if groups.len() > LINES {
        let _ = writeln!(text, "  and {}, in --output json and --csv", counted(groups.len() - LINES, "more line"));
    }
    text
}

/// The events of a phase, those together that are alike and come by the hundred, in the order of the first of each.
pub(super) fn groups<'a>(facts: &[&'a Fact]) -> Vec<Vec<&'a Fact>> {
    let alike = |a: &&Fact, b: &&Fact| {
        (a.act, a.confidence, a.precision == b.precision, who(a)) == (b.act, b.confidence, true, who(b))
    };
    let mut sorted: Vec<&Fact> = facts.to_vec();
    // Machines, their volumes and the records of both would alternate otherwise.
    sorted.sort_by_key(|fact| (folds(fact.act).then_some((fact.act, fact.confidence)), fact.time));
    let mut groups: Vec<Vec<&Fact>> = Vec::new();
    for fact in sorted {
        match groups.last_mut() {
            Some(group) if folds(fact.act) && alike(&group[0], &fact) => group.push(fact),
            _ => groups.push(vec![fact]),
        }
    }
    groups.sort_by_key(|group| group[0].time);
    groups
}

/// When, as exactly as it is known.
pub(super) fn when(fact: &Fact) -> String {
    match fact.precision {
        Precision::Between { after } => format!("{} … {}", clock(after), clock(fact.time)),
        Precision::QuarterHour => format!("{} ±15m", clock(fact.time)),
        Precision::Second | Precision::Day => clock(fact.time),
    }
}

/// Whether events of a kind come by the hundred.
fn folds(act: Act) -> bool {
    matches!(
        act,
        Act::MachineLaunched
            | Act::VolumeMade
            | Act::ImageMade
            | Act::SnapshotMade
            | Act::Read
            | Act::Called
            | Act::Responded
    )
}

/// What a group of events was, in words that are not fit for a terminal yet.
pub(super) fn what(group: &[&Fact]) -> String {
    let [first, .., last] = group else { return group[0].message.clone() };
    let regions: BTreeSet<&str> = group.iter().map(|fact| fact.region.as_str()).collect();
    let noun = match first.act {
        Act::MachineLaunched => "machine launched",
        Act::VolumeMade => "volume made",
        Act::ImageMade => "image made or copied",
        Act::SnapshotMade => "snapshot begun",
        Act::Read => "look around",
        Act::Responded => "change",
        _ => "call",
    };
    let noun = match noun.split_once(' ') {
        Some((thing, rest)) => format!("{thing}s {rest}"),
        None => format!("{noun}s"),
    };
    let place = if regions.len() == 1 { first.region.to_string() } else { counted(regions.len(), "region") };
    format!("{} {noun} in {}, until {}", group.len(), place, clock(last.time))
}

/// Who did it, where that is known.
pub(super) fn who(fact: &Fact) -> String {
    fact.by.as_ref().map_or_else(|| "-".to_owned(), |by| short(&by.principal).to_owned())
}

fn clock(time: Timestamp) -> String {
    time.strftime("%Y-%m-%d %H:%M:%S").to_string()
}

/// The name of whom a verdict is about.
pub(super) fn name(finding: &Finding) -> String {
    let role = if finding.principal.contains(":role/") { "role " } else { "" };
    format!("{role}{}", shown(&finding.name))
}

fn finding(finding: &Finding, colour: Colour) -> String {
    let verdict = finding.verdict.words();
    let verdict = match finding.verdict {
        Verdict::Acted => colour.red(verdict),
        Verdict::CredentialsUsed => colour.yellow(verdict),
        Verdict::Framed | Verdict::NoSign => colour.green(verdict),
    };
    let sure =
        if finding.verdict == Verdict::NoSign { String::new() } else { format!(" ({})", finding.confidence.as_str()) };
    let mut text = format!("  {}  {verdict}{sure}\n", colour.bold(name(finding)));
    for (heading, points) in
        [("known", &finding.proven), ("looks like", &finding.looks_like), ("but", &finding.against)]
    {
        for point in points.iter().take(POINTS) {
            let _ = writeln!(text, "    {heading:<10}  {}{}", shown(&point.text), evidence(point));
        }
        if points.len() > POINTS {
            let _ = writeln!(text, "    {heading:<10}  and {}", counted(points.len() - POINTS, "more"));
        }
    }
    text
}

/// The first of the objects that say so, as short as Git has it.
fn evidence(point: &Point) -> String {
    let Some(first) = point.evidence.first() else { return String::new() };
    let more = if point.evidence.len() > 1 { format!(" and {} more", point.evidence.len() - 1) } else { String::new() };
    format!(" [{}{more}]", first.short())
}

/// The columns. The first three are those that Timesketch asks for.
const COLUMNS: [&str; 18] = [
    "message",
    "datetime",
    "timestamp_desc",
    "phase",
    "confidence",
    "precision",
    "account",
    "region",
    "principal",
    "access_key",
    "source_address",
    "act",
    "subject_kind",
    "subject",
    "user",
    "api",
    "field",
    "evidence_sha256",
];

/// All events as CSV (RFC 4180), as Timesketch reads them.
pub fn csv(story: &Story) -> String {
    let mut text = format!("{}\r\n", COLUMNS.join(","));
    for fact in &story.facts {
        let by = fact.by.as_ref();
        let cells: [String; COLUMNS.len()] = [
            fact.message.clone(),
            fact.time.strftime("%Y-%m-%dT%H:%M:%S+00:00").to_string(),
            description(fact),
            fact.phase.map(|phase| phase.as_str().to_owned()).unwrap_or_default(),
            fact.confidence.as_str().to_owned(),
            fact.precision.words(),
            fact.account.to_string(),
            fact.region.to_string(),
            by.map(|by| by.principal.clone()).unwrap_or_default(),
            by.and_then(|by| by.key.clone()).unwrap_or_default(),
            by.and_then(|by| by.address.clone()).unwrap_or_default(),
            fact.act.name(),
            fact.subject.kind.clone(),
            fact.subject.id.clone(),
            fact.subject.user.clone().unwrap_or_default(),
            fact.api.clone(),
            fact.field.clone(),
            fact.evidence.as_ref().map(ToString::to_string).unwrap_or_default(),
        ];
        let cells: Vec<String> = cells.iter().map(|text| cell(text)).collect();
        let _ = write!(text, "{}\r\n", cells.join(","));
    }
    text
}

/// What the time is the time of.
fn description(fact: &Fact) -> String {
    match fact.confidence {
        Confidence::Recorded if fact.act == Act::Responded => "Change by quell".to_owned(),
        Confidence::Recorded => "CloudTrail event time".to_owned(),
        Confidence::Dated => format!("{} ({})", fact.field, fact.api),
        Confidence::Inferred => "Seen by the later of two captures".to_owned(),
    }
}

/// A cell that no spreadsheet takes for a formula (OWASP, "CSV Injection"), without control characters, in quotation marks
/// where it needs them.
fn cell(text: &str) -> String {
    let text = shown(text);
    let text = if text.trim_start().starts_with(['=', '+', '-', '@']) { format!("'{text}") } else { text };
    if text.contains([',', '"']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_cell_begins_a_formula_or_ends_its_line() {
        for (text, expected) in [
            ("plain", "plain"),
            ("=1+1", "'=1+1"),
            ("+1", "'+1"),
            ("-1", "'-1"),
            ("@SUM(A1)", "'@SUM(A1)"),
            (" =1", "' =1"),
            ("a,b", "\"a,b\""),
            ("say \"so\"", "\"say \"\"so\"\"\""),
            ("=HYPERLINK(\"x\",\"y\")", "\"'=HYPERLINK(\"\"x\"\",\"\"y\"\")\""),
            ("\t=1", "\\u{9}=1"),
            ("a\r\nb\u{1b}[2J", "a\\u{d}\\u{a}b\\u{1b}[2J"),
        ] {
            assert_eq!(cell(text), expected);
        }
    }
}
