//! What is known of each principal, with what speaks for it and against it.

use super::block::{Block, Cell, Entry, Tone};
use crate::report::text::counted;
use crate::report::timeline::name;
use crate::story::{Finding, Point, Verdict};

/// How the verdicts are shown.
pub fn blocks(findings: &[Finding]) -> Vec<Block> {
    let mut blocks = vec![Block::text(
        "A verdict is about credentials: they act, and people are accused. Each comes with what is known, what only looks like \
         it, and what speaks against it.",
    )];
    let (told, rest): (Vec<&Finding>, Vec<&Finding>) = findings.iter().partition(|finding| is_told(finding));
    blocks.extend(told.into_iter().map(entry));
    if !rest.is_empty() {
        let names: Vec<String> = rest.iter().map(|finding| name(finding)).collect();
        let heading = format!("No sign: {}", counted(rest.len(), "principal"));
        let what = format!("Nothing in the evidence points at them: {}.", names.join(", "));
        blocks.push(Block::Folded(heading, vec![Block::Text(what)]));
    }
    blocks
}

/// Whether there is something to say.
pub fn is_told(finding: &Finding) -> bool {
    finding.verdict != Verdict::NoSign || !finding.looks_like.is_empty()
}

fn entry(finding: &Finding) -> Block {
    let sure = match finding.verdict {
        Verdict::NoSign => String::new(),
        _ => format!(" ({})", finding.confidence.as_str()),
    };
    let tone = match finding.verdict {
        Verdict::Acted => Tone::Bad,
        Verdict::CredentialsUsed => Tone::Open,
        Verdict::Framed | Verdict::NoSign => Tone::Good,
    };
    let mut blocks = vec![Block::Terms(vec![("ARN".to_owned(), Cell::code(finding.principal.clone()))])];
    for (heading, points) in [
        ("What is known", &finding.proven),
        ("What only looks like it", &finding.looks_like),
        ("What speaks against it", &finding.against),
    ] {
        if !points.is_empty() {
            let list = Block::List(points.iter().map(point).collect());
            blocks.push(Block::Entry(Entry { heading: heading.to_owned(), mark: None, blocks: vec![list] }));
        }
    }
    let mark = Some((tone, format!("{}{sure}", finding.verdict.words())));
    Block::Entry(Entry { heading: name(finding), mark, blocks })
}

/// A reason, with the first of the objects that say so.
fn point(point: &Point) -> Cell {
    let Some(first) = point.evidence.first() else { return Cell::text(point.text.clone()) };
    let more = match point.evidence.len() {
        1 => String::new(),
        all => format!(" and {} more", all - 1),
    };
    Cell::Text(format!("{} [evidence {}{more}]", point.text, first.short()))
}
