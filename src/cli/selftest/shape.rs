//! What a simulated AWS looks like, without what differs from one run to the next: new ids, new times, traces of looking.

use std::collections::BTreeSet;

use serde_json::Value;

/// What looking and doing leave behind, and how long things take.
const TRACES: [&str; 5] = ["activities", "events", "last_used", "role_last_used", "settings"];
/// What the way back cannot give its old id.
const REMADE: [&str; 2] = ["aclassoc-", "iip-assoc-"];

/// A world as lines, `path = value`, sorted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shape(Vec<String>);

/// The ids and times that a world had before anything was done: they stand for themselves, all others for their kind.
#[derive(Debug)]
pub struct Known(BTreeSet<String>);

impl Known {
    /// The ids and times of a world, given as its dump.
    pub fn of(world: &Value) -> Self {
        let text = world.to_string();
        let mut known = BTreeSet::new();
        let mut keep = |token: &str| {
            if !REMADE.iter().any(|remade| token.starts_with(remade)) {
                known.insert(token.to_owned());
            }
            String::new()
        };
        rewritten(&text, &mut keep);
        Self(known)
    }

    /// What another state of that world looks like.
    pub fn shape(&self, world: &Value) -> Shape {
        let mut lines = Vec::new();
        self.flatten(String::new(), world, &mut lines);
        lines.sort_unstable();
        Shape(lines)
    }

    fn flatten(&self, path: String, value: &Value, lines: &mut Vec<String>) {
        match value {
            Value::Object(object) => {
                for (key, value) in object.iter().filter(|(key, _)| !TRACES.contains(&key.as_str())) {
                    self.flatten(format!("{path}/{}", self.plain(key)), value, lines);
                }
            }
            Value::Array(items) => {
                for value in items {
                    self.flatten(format!("{path}/-"), value, lines);
                }
            }
            Value::String(text) => lines.push(format!("{path} = {}", self.plain(text))),
            other => lines.push(format!("{path} = {other}")),
        }
    }

    fn plain(&self, text: &str) -> String {
        rewritten(text, &mut |token| match token.rsplit_once('-').filter(|_| !is_time(token)) {
            _ if self.0.contains(token) => token.to_owned(),
            Some((kind, _)) => format!("{kind}-*"),
            None => "*".to_owned(),
        })
    }
}

impl Shape {
    /// The lines that only one of two has, those of the first with `-`, those of the second with `+`.
    pub fn differences(&self, other: &Self, but: impl Fn(&str) -> bool) -> Vec<String> {
        let (mut left, mut right) = (self.0.iter().peekable(), other.0.iter().peekable());
        let mut found = Vec::new();
        loop {
            let order = match (left.peek(), right.peek()) {
                (None, None) => break,
                (Some(_), None) => std::cmp::Ordering::Less,
                (None, Some(_)) => std::cmp::Ordering::Greater,
                (Some(left), Some(right)) => left.cmp(right),
            };
            match order {
                std::cmp::Ordering::Less => found.extend(left.next().map(|line| format!("- {line}"))),
                std::cmp::Ordering::Greater => found.extend(right.next().map(|line| format!("+ {line}"))),
                std::cmp::Ordering::Equal => drop((left.next(), right.next())),
            }
        }
        found.retain(|line| !but(line));
        found
    }
}

/// A text in which every id and every time is replaced.
fn rewritten(text: &str, replace: &mut impl FnMut(&str) -> String) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find(|c: char| c.is_ascii_alphanumeric()) {
        let (between, from) = rest.split_at(start);
        out.push_str(between);
        let length = match from.get(..19) {
            Some(head) if is_time(head) => {
                19 + from[19..].find(|c: char| !c.is_ascii_digit() && c != '.' && c != 'Z').unwrap_or(from.len() - 19)
            }
            _ => from.find(|c: char| !c.is_ascii_alphanumeric() && c != '-').unwrap_or(from.len()),
        };
        let (token, after) = from.split_at(length);
        if is_time(token) || is_id(token) {
            out.push_str(&replace(token));
        } else {
            out.push_str(token);
        }
        rest = after;
    }
    out.push_str(rest);
    out
}

/// `2026-03-03T18:00:00`, and what follows.
fn is_time(token: &str) -> bool {
    let bytes = token.as_bytes();
    bytes.len() >= 19
        && bytes[4] == b'-'
        && matches!(bytes[10], b'T' | b' ')
        && bytes[13] == b':'
        && bytes[..4].iter().all(u8::is_ascii_digit)
}

/// `i-0123456789abcdef0`, `p-ab12cd34`, `AKIAIOSFODNN7EXAMPLE`, a UUID or another long number.
fn is_id(token: &str) -> bool {
    let last = token.rsplit('-').next().unwrap_or(token);
    let digits = last.bytes().any(|b| b.is_ascii_digit());
    // No word has eight letters of these six; a short id has now and then.
    let hex = last.bytes().all(|b| b.is_ascii_hexdigit());
    let random = last.bytes().all(|b| b.is_ascii_digit() || b.is_ascii_lowercase());
    let shortest = if last == token { 16 } else { 8 };
    let unique = token.starts_with('A') && token.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit());
    random && (digits || hex) && last.len() >= shortest || digits && unique && (20..=21).contains(&token.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_one_whether_or_not_chance_gave_it_a_digit_and_a_word_is_none() {
        for id in ["p-ab12cd34", "p-baabcbfe", "i-0123456789abcdef0", "AKIAIOSFODNN7EXAMPLE"] {
            assert!(is_id(id), "{id}");
        }
        for word in ["quell-deny-all", "eu-west-3", "IRResponder", "account", "break-glass", "us-gov-west-1"] {
            assert!(!is_id(word), "{word}");
        }
    }
}
