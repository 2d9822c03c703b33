//! Reading nodes as the simple types that a runbook is made of.

use std::ops::Range;

use serde_json::Value;

use crate::runbook::diagnostic::Mistakes;
use crate::runbook::load::{Data, Key, Node};
use crate::runbook::suggest::{did_you_mean, nearest};

/// A mapping whose keys are known.
pub(super) struct Fields<'n> {
    what: &'static str,
    start: Range<usize>,
    /// What the unknown keys were probably meant to be; these are not missing as well.
    meant: Vec<String>,
    entries: &'n [(Key, Node)],
}

impl<'n> Fields<'n> {
    /// Reads a mapping and reports the keys that do not belong there.
    pub(super) fn read(node: &'n Node, what: &'static str, known: &[&str], mistakes: &mut Mistakes) -> Option<Self> {
        let entries = entries(node, what, mistakes)?;
        let mut meant = Vec::new();
        for (key, _) in entries {
            if !known.contains(&key.text.as_str()) {
                meant.extend(nearest(&key.text, known.iter().copied()).map(str::to_owned));
                let help = did_you_mean(&key.text, known.iter().copied());
                mistakes.error(&key.at, format!("{what} has no `{}`", key.text), "unknown key").help(help);
            }
        }
        let start = entries.first().map_or_else(|| node.at.clone(), |(key, _)| key.at.clone());
        Some(Self { what, start, meant, entries })
    }

    /// The value of a key, unless it is missing or empty.
    pub(super) fn get(&self, key: &str) -> Option<&'n Node> {
        let found = self.entries.iter().find(|(known, _)| known.text == key);
        found.map(|(_, node)| node).filter(|node| !matches!(node.data, Data::Scalar { value: Value::Null, .. }))
    }

    /// As [`Fields::get`], and reports a missing one.
    pub(super) fn required(&self, key: &str, mistakes: &mut Mistakes) -> Option<&'n Node> {
        let found = self.get(key);
        if found.is_none() && !self.meant.iter().any(|meant| meant == key) {
            mistakes.error(&self.start, format!("{} needs `{key}`", self.what), format!("`{key}` is missing here"));
        }
        found
    }
}

/// The entries of a mapping whose keys are names of the author's.
pub(super) fn entries<'n>(node: &'n Node, what: &str, mistakes: &mut Mistakes) -> Option<&'n [(Key, Node)]> {
    if let Data::Mapping(entries) = &node.data {
        return Some(entries);
    }
    wrong(node, &format!("{what} is a mapping of keys and values"), mistakes);
    None
}

/// The items of a list.
pub(super) fn items<'n>(node: &'n Node, what: &str, mistakes: &mut Mistakes) -> Option<&'n [Node]> {
    if let Data::List(items) = &node.data {
        return Some(items);
    }
    wrong(node, &format!("{what} is a list"), mistakes).help("write [a, b], or a line with `- ` for each");
    None
}

/// A text. A plain number is not one: YAML would drop its leading zeros.
pub(super) fn text(node: &Node, what: &str, mistakes: &mut Mistakes) -> Option<String> {
    if let Some(text) = node.text() {
        return Some(text.to_owned());
    }
    let mistake = wrong(node, &format!("{what} is a text"), mistakes);
    if let Data::Scalar { text, .. } = &node.data {
        mistake.help(format!("put it in quotes: \"{text}\""));
    }
    None
}

/// A whole number that is not negative.
pub(super) fn number(node: &Node, what: &str, mistakes: &mut Mistakes) -> Option<u32> {
    let number = match &node.data {
        Data::Scalar { value: Value::Number(number), .. } => number.as_u64().and_then(|n| u32::try_from(n).ok()),
        _ => None,
    };
    if number.is_none() {
        wrong(node, &format!("{what} is a whole number"), mistakes);
    }
    number
}

/// One of some words.
pub(super) fn one_of<T: Copy>(node: &Node, what: &str, words: &[(&str, T)], mistakes: &mut Mistakes) -> Option<T> {
    let written = match &node.data {
        Data::Scalar { text, .. } => text.as_str(),
        _ => "",
    };
    let found = words.iter().find(|(word, _)| *word == written);
    if found.is_none() {
        let all: Vec<_> = words.iter().map(|(word, _)| format!("`{word}`")).collect();
        let help = did_you_mean(written, words.iter().map(|(word, _)| *word));
        wrong(node, &format!("{what} is one of {}", all.join(", ")), mistakes).help(help);
    }
    found.map(|(_, value)| *value)
}

/// Parses a text by a type's own rule; the type's error names what it expected.
pub(super) fn parsed<T>(node: &Node, what: &str, mistakes: &mut Mistakes) -> Option<T>
where
    T: std::str::FromStr<Err: std::fmt::Display>,
{
    let text = text(node, what, mistakes)?;
    match text.parse() {
        Ok(value) => Some(value),
        Err(error) => {
            mistakes.error(&node.at, error.to_string(), format!("not {what}"));
            None
        }
    }
}

fn wrong<'m>(node: &Node, expected: &str, mistakes: &'m mut Mistakes) -> &'m mut crate::runbook::diagnostic::Mistake {
    mistakes.error(&node.at, format!("{expected}, and this is {}", node.what()), node.what())
}
