//! What happened: every event of the incident, and who was at work where.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::Serialize;

use super::block::{Block, Cell, Picture, Table, Tone, clock};
use super::charts::{Chart, lanes};
use crate::model::{AccountId, Digest, Region};
use crate::report::text::counted;
use crate::report::timeline::{PHASES, groups, heading, what, when, who};
use crate::story::facts::short;
use crate::story::{Act, Confidence, Fact, Phase, Story};

/// How many events are shown; JSON has all.
const MOST: usize = 3_000;
/// The lane of what nobody is known to have done.
const NOBODY: &str = "not known who";

/// What happened.
#[derive(Debug, Clone, Serialize)]
pub struct Timeline {
    /// From when on the evidence was looked at.
    pub from: Timestamp,
    /// Up to the last answer.
    pub until: Timestamp,
    /// The first event of the intruder.
    pub began: Option<Timestamp>,
    /// What bears on the whole of it.
    pub remarks: Vec<String>,
    /// The events in few lines: those that are alike stand together.
    pub lines: Vec<Line>,
    /// Every event of the incident but those of the response, which are the changes.
    pub events: Vec<Event>,
    /// Who was at work when.
    pub principals: Vec<Lane>,
    /// Where something happened when.
    pub regions: Vec<Lane>,
}

/// Events that are alike.
#[derive(Debug, Clone, Serialize)]
pub struct Line {
    /// When the first was.
    pub time: Timestamp,
    /// The part of the incident.
    pub phase: Phase,
    /// The same, as exactly as it is known.
    pub when: String,
    /// How sure they are.
    pub confidence: &'static str,
    /// Who, where that is known.
    pub who: String,
    /// What.
    pub what: String,
}

/// An event.
#[derive(Debug, Clone, Serialize)]
pub struct Event {
    /// When.
    pub time: Timestamp,
    /// The same, as exactly as it is known.
    pub when: String,
    /// The part of the incident.
    pub phase: Phase,
    /// How sure it is.
    pub confidence: &'static str,
    /// Who, where that is known.
    pub who: String,
    /// The account.
    pub account: AccountId,
    /// The region, or global.
    pub region: Region,
    /// What.
    pub what: String,
    /// The object of the evidence store that says so.
    pub evidence: Option<Digest>,
}

/// What one principal did, or what happened in one region.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Lane {
    /// Whose it is.
    pub name: String,
    /// What happened, oldest first; events of a phase in one second are one.
    pub marks: Vec<Mark>,
}

/// Events of a phase in one second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Mark {
    /// When.
    pub at: Timestamp,
    /// The part of the incident.
    pub phase: Phase,
    /// How many.
    pub events: usize,
}

impl Timeline {
    /// From a story.
    pub fn of(story: &Story) -> Self {
        // The changes tell the response, and AWS's records of it say the same again.
        let is_told = |fact: &Fact, phase: Phase| phase != Phase::Response || fact.act == Act::Responded;
        let facts: Vec<(&Fact, Phase)> = story
            .facts
            .iter()
            .filter_map(|fact| Some((fact, fact.phase?)))
            .filter(|(fact, phase)| is_told(fact, *phase))
            .collect();
        let of_intruder = || facts.iter().filter(|(_, phase)| *phase != Phase::Response);
        let mut lines: Vec<Line> = PHASES.into_iter().flat_map(|phase| lines(phase, &facts)).collect();
        lines.sort_by_key(|line| line.time);
        let lanes = told_once(&facts);
        let principal = |fact: &Fact| fact.by.as_ref().map_or(NOBODY, |by| short(&by.principal)).to_owned();
        Self {
            from: story.window.from,
            until: story.window.until,
            began: of_intruder().map(|(fact, _)| fact.time).min(),
            remarks: story.remarks.clone(),
            lines,
            events: of_intruder().map(|(fact, phase)| Event::of(fact, *phase)).collect(),
            principals: lanes_by(&lanes, principal),
            regions: lanes_by(&lanes, |fact| fact.region.to_string()),
        }
    }

    /// How it is shown.
    pub fn blocks(&self) -> Vec<Block> {
        let mut blocks = vec![Block::text(
            "Time runs from left to right, in UTC. Long silences are left out, and marked. A lane that is empty says that nothing \
             is known of it, and not that nothing happened.",
        )];
        blocks.extend(self.remarks.iter().map(|remark| Block::Notice(Tone::Open, capital(remark))));
        blocks.extend([
            Block::Heading("By principal".to_owned()),
            picture("Who was at work when", "principal", &self.principals),
            Block::Heading("By region".to_owned()),
            picture("What happened where", "region", &self.regions),
            Block::Heading("Events".to_owned()),
            self.table(),
            self.every_event(),
        ]);
        blocks
    }

    fn table(&self) -> Block {
        let row = |line: &Line| {
            vec![
                Cell::text(line.when.clone()),
                Cell::text(heading(line.phase)),
                Cell::text(line.what.clone()),
                Cell::text(line.who.clone()),
                Cell::text(line.confidence),
            ]
        };
        Block::Table(Table {
            caption: "The events of the incident; those that are alike stand on one line".to_owned(),
            head: vec!["Time (UTC)", "Phase", "What", "With whose credentials", "How sure"],
            rows: self.lines.iter().map(row).collect(),
        })
    }

    fn every_event(&self) -> Block {
        let row = |event: &Event| {
            vec![
                Cell::text(event.when.clone()),
                Cell::text(heading(event.phase)),
                Cell::text(event.what.clone()),
                Cell::text(format!("{} {}", event.account, event.region)),
                Cell::text(event.who.clone()),
                Cell::text(event.confidence),
                event.evidence.as_ref().map_or_else(|| Cell::text("–"), |digest| Cell::code(digest.short())),
            ]
        };
        let mut blocks = vec![Block::Table(Table {
            caption:
                "Every event but those of the response, which are under Changes, with the object of the evidence store"
                    .to_owned(),
            head: vec!["Time (UTC)", "Phase", "What", "Where", "With whose credentials", "How sure", "Evidence"],
            rows: self.events.iter().take(MOST).map(row).collect(),
        })];
        if self.events.len() > MOST {
            let more = counted(self.events.len() - MOST, "more event");
            blocks.push(Block::Notice(Tone::Open, format!("And {more}: the report as JSON has all of them.")));
        }
        Block::Folded(format!("All {}, one by one", counted(self.events.len(), "event")), blocks)
    }
}

impl Event {
    fn of(fact: &Fact, phase: Phase) -> Self {
        Self {
            time: fact.time,
            when: when(fact),
            phase,
            confidence: fact.confidence.as_str(),
            who: who(fact),
            account: fact.account.clone(),
            region: fact.region.clone(),
            what: fact.message.clone(),
            evidence: fact.evidence.clone(),
        }
    }
}

/// The events without those that say again what others say: what is recorded already, and the volumes of machines. So none
/// shows in two lanes.
fn told_once<'a>(facts: &[(&'a Fact, Phase)]) -> Vec<(&'a Fact, Phase)> {
    let recorded = facts.iter().filter(|(fact, _)| fact.confidence == Confidence::Recorded);
    let recorded: BTreeSet<(Act, &str)> = recorded.map(|(fact, _)| (fact.act, fact.subject.id.as_str())).collect();
    let is_new = |fact: &Fact| {
        let is_part = matches!(fact.act, Act::VolumeMade | Act::InterfaceAttached);
        !is_part
            && (fact.confidence == Confidence::Recorded || !recorded.contains(&(fact.act, fact.subject.id.as_str())))
    };
    facts.iter().filter(|(fact, _)| is_new(fact)).copied().collect()
}

/// The lines of a phase.
fn lines(phase: Phase, facts: &[(&Fact, Phase)]) -> Vec<Line> {
    let facts: Vec<&Fact> = facts.iter().filter(|(_, of)| *of == phase).map(|(fact, _)| *fact).collect();
    let line = |group: &Vec<&Fact>| Line {
        time: group[0].time,
        phase,
        when: when(group[0]),
        confidence: group[0].confidence.as_str(),
        who: who(group[0]),
        what: what(group),
    };
    groups(&facts).iter().map(line).collect()
}

/// The lanes, those first in which something happened first.
fn lanes_by(facts: &[(&Fact, Phase)], name: impl Fn(&Fact) -> String) -> Vec<Lane> {
    let mut lanes: BTreeMap<String, BTreeMap<(i64, Phase), usize>> = BTreeMap::new();
    for (fact, phase) in facts {
        *lanes.entry(name(fact)).or_default().entry((fact.time.as_second(), *phase)).or_default() += 1;
    }
    let mark = |((second, phase), events): ((i64, Phase), usize)| {
        Timestamp::from_second(second).ok().map(|at| Mark { at, phase, events })
    };
    let lane =
        |(name, marks): (String, BTreeMap<_, _>)| Lane { name, marks: marks.into_iter().filter_map(mark).collect() };
    let mut lanes: Vec<Lane> = lanes.into_iter().map(lane).collect();
    lanes.sort_by_key(|lane| lane.marks.first().map(|mark| mark.at));
    lanes
}

fn picture(title: &str, whose: &'static str, lanes: &[Lane]) -> Block {
    let rows = lanes.iter().flat_map(|lane| {
        PHASES.into_iter().filter_map(|phase| {
            let marks = || lane.marks.iter().filter(move |mark| mark.phase == phase);
            let (first, last) = (marks().next()?, marks().next_back()?);
            Some(vec![
                Cell::text(lane.name.clone()),
                Cell::text(heading(phase)),
                Cell::Time(first.at),
                Cell::Time(last.at),
                Cell::count(marks().map(|mark| mark.events).sum()),
            ])
        })
    });
    let first = lanes.iter().flat_map(|lane| &lane.marks).map(|mark| mark.at);
    let (from, until) = (first.clone().min(), first.max());
    let span = from.zip(until).map(|(from, until)| format!(", from {} to {} UTC", clock(from), clock(until)));
    Block::Picture(Picture {
        chart: Chart {
            title: title.to_owned(),
            description: format!("{title}: {}{}.", counted(lanes.len(), "lane"), span.unwrap_or_default()),
            drawn: super::charts::both(|width| lanes::draw(lanes, width)),
        },
        legend: PHASES.into_iter().map(|phase| (lanes::symbol(phase), heading(phase))).collect(),
        table: Table {
            caption: format!("{title}: first and last event of each phase, and how many"),
            head: vec![
                if whose == "region" { "Region" } else { "Principal" },
                "Phase",
                "First (UTC)",
                "Last (UTC)",
                "Events",
            ],
            rows: rows.collect(),
        },
    })
}

/// As a sentence begins and ends.
pub fn capital(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|first| first.to_uppercase().to_string()).unwrap_or_default();
    let end = if text.ends_with(['.', '!', '?']) { "" } else { "." };
    format!("{first}{}{end}", letters.as_str())
}
