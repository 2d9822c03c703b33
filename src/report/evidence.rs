//! Captures, stores and what differs between captures, for people.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use serde_json::{Value, json};

use super::style::{Colour, laid_out, table};
use super::text::{counted, shown};
use crate::evidence::diff::{Difference, Name};
use crate::evidence::verify::{Verified, Whole};
use crate::evidence::{Captured, Gap};
use crate::model::RunId;

/// How many fields of a resource are shown.
const FIELDS: usize = 12;
/// How much of a value is shown.
const VALUE: usize = 80;

/// How much was captured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Figures {
    /// Answers.
    pub items: u64,
    /// Answers that the store did not hold before.
    pub new: u64,
    /// Their bytes.
    pub new_bytes: u64,
    /// The bytes of all answers.
    pub bytes: u64,
    /// The last hash of the manifest.
    pub head: String,
}

/// What a capture kept.
pub fn captured(id: &RunId, store: &Path, figures: &Figures, gaps: &[Gap]) -> String {
    let Figures { items, new, new_bytes, bytes, head } = figures;
    let mut text = format!("Capture   {id}\nStore     {}\n", shown(&store.display().to_string()));
    // Writing to a string cannot fail.
    let _ = writeln!(text, "Answers   {items} ({}), {new} of them new ({})", size(*bytes), size(*new_bytes));
    let _ = writeln!(text, "Chain     {head}");
    if !gaps.is_empty() {
        let _ = writeln!(text, "\nNot captured: {}", counted(gaps.len(), "thing"));
        // The same is often lacking everywhere: a service that is not used, a permission that nobody gave.
        let mut alike: BTreeMap<(&str, &str), Vec<String>> = BTreeMap::new();
        for gap in gaps {
            let place = format!("{}/{}", gap.account, gap.region);
            alike.entry((&gap.what, &gap.why)).or_default().push(place);
        }
        for ((what, why), places) in alike {
            let more = if places.len() > 1 { format!(" and {} more", places.len() - 1) } else { String::new() };
            let _ = writeln!(text, "  {} in {}{more}: {}", shown(what), places[0], shown(why));
        }
    }
    text
}

/// Bytes, for people.
#[expect(clippy::cast_precision_loss, reason = "a figure to read")]
fn size(bytes: u64) -> String {
    match bytes {
        0..1_000 => format!("{bytes} B"),
        1_000..1_000_000 => format!("{:.1} kB", bytes as f64 / 1e3),
        _ => format!("{:.1} MB", bytes as f64 / 1e6),
    }
}

/// The captures of a store.
pub fn list(captures: &[Captured]) -> String {
    if captures.is_empty() {
        return "No captures yet.\n".to_owned();
    }
    let mut rows = table();
    rows.set_header(["capture", "began", "ended", "answers", "gaps", "chain"]);
    for capture in captures {
        rows.add_row([
            capture.header.id.to_string(),
            format!("{:.0}", capture.header.began),
            capture.ended().map_or_else(|| "open".to_owned(), |ended| format!("{:.0}", ended.at)),
            capture.items().count().to_string(),
            capture.gaps().count().to_string(),
            capture.head[..16].to_owned(),
        ]);
    }
    laid_out(&rows)
}

/// The same as a document.
pub fn list_document(captures: &[Captured]) -> Value {
    let one = |capture: &Captured| {
        json!({
            "capture": capture.header.id, "began": capture.header.began, "by": capture.header.by,
            "ended": capture.ended().map(|ended| ended.at), "answers": capture.items().count(),
            "gaps": capture.gaps().collect::<Vec<_>>(), "head": capture.head,
        })
    };
    json!({ "captures": captures.iter().map(one).collect::<Vec<_>>() })
}

/// What a look at a whole store found.
pub fn verified(verified: &Verified) -> String {
    let mut text = String::new();
    for Whole { id, head, answers, signed } in &verified.captures {
        let signed = signed.as_ref().map_or_else(String::new, |signed| format!("  signed by {}", shown(&signed.by)));
        let _ = writeln!(text, "{id}  {}  {head}{signed}", counted(*answers, "answer"));
    }
    let _ = writeln!(text, "{} read, each of them what its name says", counted(verified.objects, "object"));
    if !verified.unnamed.is_empty() {
        let _ = writeln!(text, "{} that no capture names", counted(verified.unnamed.len(), "object"));
    }
    if verified.wrong.is_empty() {
        text.push_str("Nothing was changed, nothing is missing.\n");
    }
    for wrong in &verified.wrong {
        let _ = writeln!(text, "WRONG: {}", shown(wrong));
    }
    text
}

/// What differs between two captures.
pub fn differences(found: &[Difference], colour: Colour) -> String {
    if found.is_empty() {
        return "Nothing differs.\n".to_owned();
    }
    let mut text = String::new();
    for difference in found {
        let Name { target, kind, id } = difference.name();
        let resource = format!("{kind} {} in {target}", shown(id));
        match difference {
            Difference::Added { .. } => drop(writeln!(text, "{} {resource}", colour.green("+"))),
            Difference::Removed { .. } => drop(writeln!(text, "{} {resource}", colour.red("-"))),
            Difference::Changed { fields, .. } => {
                let _ = writeln!(text, "{} {resource}", colour.yellow("~"));
                for field in fields.iter().take(FIELDS) {
                    let (before, after) = (value(&field.before), value(&field.after));
                    let _ = writeln!(text, "    {}: {before} → {after}", shown(&field.path));
                }
                if fields.len() > FIELDS {
                    let _ = writeln!(text, "    and {}", counted(fields.len() - FIELDS, "more field"));
                }
            }
        }
    }
    text
}

fn value(value: &Value) -> String {
    let text = match value {
        Value::Null => return "nothing".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let text = shown(&text);
    match text.char_indices().nth(VALUE) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}
