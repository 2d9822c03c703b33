//! The report of a run: what happened, what was done, what it cost, what is left. One value, made once and shown as HTML,
//! Markdown or JSON.
//!
//! | file | holds |
//! |---|---|
//! | `overview`, `timeline`, `burn`, `principals`, `coverage`, `containment`, `evidence`, `remaining`, `prevention` | a section each: its data, and the blocks that show it |
//! | `left_alone` | what happened at that time and is not of the incident |
//! | `block` | what a section is laid out in |
//! | `charts` | pictures |
//! | `html`, `markdown` | how blocks look |
//!
//! Only `html`, `markdown` and `charts::ink` write text, and each makes it harmless where it does.

mod block;
mod burn;
mod charts;
mod containment;
mod coverage;
mod evidence;
mod html;
mod left_alone;
mod markdown;
mod overview;
mod prevention;
mod principals;
mod remaining;
mod timeline;

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};

use self::block::{Block, Tone};
use self::burn::Burn;
use self::containment::Containment;
use self::coverage::Ledger;
use self::evidence::Kept;
pub use self::left_alone::leave_alone;
use self::overview::{Overview, Sections};
use self::prevention::Prevention;
use self::remaining::Remaining;
use self::timeline::Timeline;
use super::record::Record;
use super::text::escaped_json;
use crate::cost::Costs;
use crate::evidence::{Captured, EvidenceError, Store};
use crate::model::{AccountId, RunId};
use crate::posture::{self, Facts};
use crate::story::{Finding, Story};

/// The version of the form of the JSON document.
const VERSION: u64 = 1;

/// What is said in the place of a section that needs evidence.
const WITHOUT_EVIDENCE: &str = "There is no evidence of it. The command quell capture keeps what AWS answers, also after the \
    fact and up to 90 days back; quell report RUN --evidence DIR then tells it.";

/// All that is known of a run, for people who were not there.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// The version of this form.
    pub quell_report: u64,
    /// The run.
    pub run: RunId,
    /// What the runbook is for.
    pub title: String,
    /// The runbook.
    pub runbook: String,
    /// The version of quell that ran it.
    pub quell: String,
    /// The accounts that were looked at.
    pub accounts: Vec<AccountId>,
    /// Who ran it: an ARN.
    pub by: String,
    /// When the run began.
    pub started: Timestamp,
    /// Ten lines and four figures.
    pub overview: Overview,
    /// What happened; none without evidence.
    pub timeline: Option<Timeline>,
    /// What it cost; none where no machine of an incident is known.
    pub cost: Option<Burn>,
    /// What is known of each principal; none without evidence.
    pub principals: Option<Vec<Finding>>,
    /// What was looked at, and what not.
    pub coverage: Ledger,
    /// Every change, and who approved it.
    pub containment: Containment,
    /// What was kept.
    pub evidence: Kept,
    /// What is left for people.
    pub remaining: Remaining,
    /// What would have prevented it; none without a capture.
    pub prevention: Option<Prevention>,
}

/// Where a report comes from.
#[derive(Debug)]
pub struct Sources<'a> {
    /// The run.
    pub record: &'a Record,
    /// The last hash of its journal.
    pub journal: &'a str,
    /// What it cost; none where no machine of an incident is known.
    pub costs: Option<Costs>,
    /// The evidence, if there is any.
    pub evidence: Option<Evidence<'a>>,
}

/// Captures, and the story that they tell.
#[derive(Debug, Clone, Copy)]
pub struct Evidence<'a> {
    /// Where they are.
    pub store: &'a Store,
    /// The captures, oldest first; at least one.
    pub captures: &'a [Captured],
    /// Their story, with the run that responded.
    pub story: &'a Story,
}

impl Report {
    /// Makes a report.
    ///
    /// # Errors
    /// When an answer is missing from the store or was changed.
    pub fn of(sources: &Sources<'_>) -> Result<Self, EvidenceError> {
        let Sources { record, journal, costs, evidence } = sources;
        let story = evidence.map(|evidence| evidence.story);
        let captures = evidence.map(|evidence| evidence.captures).unwrap_or_default();
        let timeline = story.map(Timeline::of);
        let burn = costs.clone().map(|costs| Burn::of(costs, record));
        let (coverage, kept, remaining) =
            (Ledger::of(record), Kept::of(record, journal, captures), Remaining::of(record));
        let overview = Overview::of(&Sections {
            record,
            story,
            timeline: timeline.as_ref(),
            burn: burn.as_ref(),
            coverage: &coverage,
            kept: &kept,
            remaining: &remaining,
        });
        let accounts: BTreeSet<&AccountId> = record.plan.targets.iter().map(|target| &target.account).collect();
        Ok(Self {
            quell_report: VERSION,
            run: record.run.clone(),
            title: record.plan.runbook.title.clone(),
            runbook: record.plan.runbook.name.clone(),
            quell: record.version.clone(),
            accounts: accounts.into_iter().cloned().collect(),
            by: record.plan.caller.arn.clone(),
            started: record.started,
            overview,
            timeline,
            cost: burn,
            principals: story.map(|story| story.findings.clone()),
            coverage,
            containment: Containment::of(record),
            evidence: kept,
            remaining,
            prevention: prevention(*evidence, record.started)?,
        })
    }

    /// As one page that needs nothing else: no network, no script.
    pub fn html(&self) -> String {
        html::page(self)
    }

    /// As Markdown.
    pub fn markdown(&self) -> String {
        markdown::page(self)
    }

    /// As a JSON document.
    pub fn document(&self) -> Value {
        json!(self)
    }

    /// The JSON document as a file holds it.
    pub fn json(&self) -> String {
        format!("{}\n", escaped_json(&format!("{:#}", self.document())))
    }

    fn sections(&self) -> Vec<Section> {
        let without = || vec![Block::Notice(Tone::Open, WITHOUT_EVIDENCE.to_owned())];
        let free = || vec![Block::text("No machine of an incident is known, and so no cost.")];
        vec![
            ("summary", "Summary", self.overview.blocks()),
            ("timeline", "What happened", self.timeline.as_ref().map_or_else(without, Timeline::blocks)),
            ("cost", "What it cost", self.cost.as_ref().map_or_else(free, Burn::blocks)),
            ("principals", "Whose credentials", self.principals.as_deref().map_or_else(without, principals::blocks)),
            ("coverage", "What was looked at", self.coverage.blocks()),
            ("changes", "Changes", self.containment.blocks()),
            ("evidence", "Evidence", self.evidence.blocks()),
            ("left", "What is left to do", self.remaining.blocks()),
            (
                "prevention",
                "What would have prevented it",
                self.prevention.as_ref().map_or_else(without, Prevention::blocks),
            ),
        ]
    }
}

/// An anchor, a heading, and what is in the section.
type Section = (&'static str, &'static str, Vec<Block>);

/// A story as one page that needs nothing else, without a run that it would be the report of.
pub fn timeline_page(story: &Story) -> String {
    html::story(story)
}

/// The posture by the last capture before the run, when the accounts were as the intruder found them; otherwise by the first.
fn prevention(evidence: Option<Evidence<'_>>, started: Timestamp) -> Result<Option<Prevention>, EvidenceError> {
    let Some(Evidence { store, captures, .. }) = evidence else { return Ok(None) };
    let before = captures.iter().rev().find(|captured| captured.header.began <= started).or(captures.first());
    let Some(captured) = before else { return Ok(None) };
    let judged = posture::judge(&Facts::read(store, captured)?);
    Ok(Some(Prevention::of(&captured.header.id, &judged)))
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;
    use crate::model::{ActionError, Event, EventKind, LeftByHand, Outcome, example};
    use crate::report::text::is_visible;
    use crate::story::{Act, By, Confidence, Fact, Phase, Point, Precision, Subject, Verdict, Window};

    /// All that somebody who chooses a name may try.
    const HOSTILE: &str =
        "\"'><script>alert(1)</script><img src=x onerror=alert(1)>\u{202e}\u{1b}[2J\r\n# | [x](https://example.com) `";

    fn story(text: &str) -> Story {
        let since = example::plan().created - SignedDuration::from_mins(30);
        let fact = |phase: Phase, minutes: i64| Fact {
            time: since + SignedDuration::from_mins(minutes),
            precision: Precision::Second,
            confidence: Confidence::Recorded,
            phase: Some(phase),
            act: Act::Called,
            message: text.to_owned(),
            api: "cloudtrail:LookupEvents".to_owned(),
            field: "EventTime".to_owned(),
            account: example::account(),
            region: "eu-west-1".parse().unwrap(),
            by: Some(By { principal: text.to_owned(), key: None, address: None, mfa: false }),
            subject: Subject::new("ec2 instance", text),
            evidence: None,
            notes: Vec::new(),
        };
        let phases = [Phase::Entry, Phase::Preparation, Phase::Persistence, Phase::Launch, Phase::Discovery];
        let point = Point { text: text.to_owned(), evidence: std::collections::BTreeSet::new() };
        Story {
            window: Window { from: since, since, until: since },
            facts: phases.into_iter().zip(0..).map(|(phase, minutes)| fact(phase, minutes)).collect(),
            findings: vec![Finding {
                principal: text.to_owned(),
                name: text.to_owned(),
                verdict: Verdict::Framed,
                confidence: Confidence::Recorded,
                proven: vec![point.clone()],
                looks_like: vec![point.clone()],
                against: vec![point],
            }],
            remarks: vec![text.to_owned()],
        }
    }

    /// A report in which every text that is not quell's own is this one.
    fn report(text: &str) -> Report {
        let mut events: Vec<Event> = example::run();
        for event in &mut events {
            match &mut event.kind {
                EventKind::RunStarted { plan, version, .. } => {
                    version.push_str(text);
                    text.clone_into(&mut plan.caller.arn);
                    text.clone_into(&mut plan.runbook.title);
                    text.clone_into(&mut plan.runbook.name);
                    text.clone_into(&mut plan.skipped[0].reason);
                    text.clone_into(&mut plan.findings[0].message);
                    plan.by_hand.push(LeftByHand {
                        step: None,
                        target: None,
                        what: text.to_owned(),
                        steps: vec![text.to_owned()],
                    });
                    for change in &mut plan.changes {
                        for part in [&mut change.summary, &mut change.before, &mut change.after] {
                            text.clone_into(part);
                        }
                        change.undo.loses.push(text.to_owned());
                    }
                }
                EventKind::ApprovalAnswered { approval } => text.clone_into(&mut approval.by),
                EventKind::ChangeEnded { outcome: Outcome::Failed { error }, .. } => {
                    *error = ActionError { message: text.to_owned(), ..error.clone() };
                }
                _ => {}
            }
        }
        let record = Record::of(&events).unwrap();
        let story = story(text);
        let mut report = Report::of(&Sources { record: &record, journal: "0f", costs: None, evidence: None }).unwrap();
        report.timeline = Some(Timeline::of(&story));
        report.principals = Some(story.findings.clone());
        report
    }

    #[test]
    fn no_text_from_outside_is_markup() {
        let report = report(HOSTILE);
        let (html, markdown) = (report.html(), report.markdown());
        for text in [&html, &markdown] {
            assert!(text.contains("alert(1)"), "it is told");
            assert!(!text.contains("<script") && !text.contains("<img"));
            let bad = text.chars().find(|c| *c != '\n' && !is_visible(*c));
            assert_eq!(bad, None);
        }
        assert!(
            html.contains("&lt;script&gt;alert(1)&lt;/script&gt;") && html.contains("\\u{202e}\\u{1b}[2J\\u{d}\\u{a}#")
        );
        assert!(!markdown.contains("](https://"), "no link");
        let html = html.replace("&lt;", "").replace("&gt;", "").replace("&quot;", "").replace("&amp;", "");
        assert!(!html.contains("\"'>"), "no quotation mark ends an attribute");
        for line in markdown.lines().filter(|line| line.starts_with("| ")) {
            assert!(!line.contains(" | [x]"), "no cell is added: {line}");
        }
        assert_eq!(serde_json::from_str::<Value>(&report.json()).unwrap(), report.document());
        assert!(report.json().chars().all(|c| c == '\n' || is_visible(c)));
    }

    #[test]
    fn a_megabyte_stays_outside() {
        let text = "x".repeat(1 << 20);
        let report = report(&text);
        assert!(report.html().len() < 400_000 && report.markdown().len() < 200_000, "{}", report.html().len());
        assert!(report.json().len() > 1 << 20, "JSON has all of it");
    }

    #[test]
    fn all_forms_have_the_same_sections() {
        let report = report("text");
        let (html, markdown) = (report.html(), report.markdown());
        for (id, heading, _) in report.sections() {
            assert!(html.contains(&format!("<h2 id=\"{id}-heading\">{heading}</h2>")), "{heading}");
            assert!(markdown.contains(&format!("\n## {heading}\n")), "{heading}");
        }
    }
}
