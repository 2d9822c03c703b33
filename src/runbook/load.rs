//! YAML, as a tree in which every node knows its place in the file.

use std::ops::Range;

use saphyr::Scalar as Resolved;
use saphyr_parser::{Event, Marker, Parser, Span};
use serde_json::{Map, Value};

use super::diagnostic::Mistakes;
use crate::bounded::RUNBOOK;

/// The largest text that is read.
const MAX_SIZE: usize = RUNBOOK.bytes;
/// The deepest nesting that is read.
const MAX_DEPTH: usize = 32;
/// The most entries that a list or a mapping may have.
const MAX_ENTRIES: usize = 5_000;
/// The longest key, in bytes.
const MAX_KEY: usize = 256;
/// How far ahead a character of a text is looked for in the file: further than any way to write it is long.
const ALIGNED_WITHIN: usize = 256;

/// A node and its place in the file, in bytes.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Node {
    pub(super) at: Range<usize>,
    pub(super) data: Data,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Data {
    /// A scalar: the text as written, and what YAML makes of it.
    Scalar {
        text: String,
        value: Value,
        /// Where each byte of the text stands in the file.
        offsets: Vec<usize>,
    },
    List(Vec<Node>),
    /// Every key is there once; what stood twice was reported.
    Mapping(Vec<(Key, Node)>),
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Key {
    pub(super) at: Range<usize>,
    pub(super) text: String,
}

impl Node {
    /// What it is, with its article.
    pub(super) fn what(&self) -> &'static str {
        match &self.data {
            Data::List(_) => "a list",
            Data::Mapping(_) => "a mapping",
            Data::Scalar { value, .. } => match value {
                Value::Bool(_) => "a truth value",
                Value::Number(number) if number.is_f64() => "a number",
                Value::Number(_) => "a whole number",
                Value::Null => "nothing",
                _ => "a text",
            },
        }
    }

    /// The text, if it is a text.
    pub(super) fn text(&self) -> Option<&str> {
        match &self.data {
            Data::Scalar { value: Value::String(text), .. } => Some(text),
            _ => None,
        }
    }

    /// The place of a part of the node's text (a range of bytes of the text, not of the file). What was folded or escaped
    /// is matched character by character, white space aside; where that fails, the place is the whole node.
    pub(super) fn inside(&self, part: &Range<usize>) -> Range<usize> {
        let Data::Scalar { offsets, .. } = &self.data else { return self.at.clone() };
        let (Some(start), Some(last)) = (offsets.get(part.start), offsets.get(part.end.max(1) - 1)) else {
            // Behind the last character, where something is missing.
            let end = offsets.last().map_or(self.at.end, |last| last + 1);
            return end.min(self.at.end)..end.min(self.at.end);
        };
        *start..(last + 1).max(*start)
    }

    /// The whole as JSON, without places.
    pub(super) fn json(&self) -> Value {
        match &self.data {
            Data::Scalar { value, .. } => value.clone(),
            Data::List(items) => Value::Array(items.iter().map(Self::json).collect()),
            Data::Mapping(entries) => Value::Object(entries.iter().map(|(k, v)| (k.text.clone(), v.json())).collect()),
        }
    }

    /// A mapping as JSON; of anything else nothing.
    pub(super) fn json_map(&self) -> Map<String, Value> {
        match self.json() {
            Value::Object(map) => map,
            _ => Map::new(),
        }
    }
}

/// A collection that is being read.
enum Open {
    List { start: usize, items: Vec<Node> },
    Mapping { start: usize, entries: Vec<(Key, Node)>, key: Option<Node> },
}

impl Open {
    fn is_full(&self) -> bool {
        let entries = match self {
            Self::List { items, .. } => items.len(),
            Self::Mapping { entries, .. } => entries.len(),
        };
        entries >= MAX_ENTRIES
    }
}

/// Reads one YAML document. Aliases are refused: a runbook should say what it does where it does it, and they are how a
/// small file becomes a huge one.
pub(super) fn tree(text: &str, mistakes: &mut Mistakes) -> Option<Node> {
    if text.len() > MAX_SIZE {
        let message = format!("the file has {} bytes; a runbook has at most {MAX_SIZE}", text.len());
        mistakes.error(&(0..0), message, "too large");
        return None;
    }
    let places = Places::new(text);
    let mut open: Vec<Open> = Vec::new();
    let mut root = None;
    let mut parser = Parser::new_from_str(text);
    while let Some(event) = parser.next_event() {
        let (event, span) = match event {
            Ok(event) => event,
            Err(error) => {
                let at = places.byte(error.marker()).min(text.len());
                let help = "check the indentation, the brackets and the quotes of this line and the one before";
                mistakes.error(&(at..at), format!("this is not YAML: {}", error.info()), "here").help(help);
                return None;
            }
        };
        let at = places.range(span);
        let done = match event {
            Event::Alias(_) => {
                let help = "write the value out where it is used";
                mistakes.error(&at, "YAML aliases are not allowed in a runbook", "an alias").help(help);
                return None;
            }
            Event::DocumentStart(_) if root.is_some() => {
                mistakes.error(&at, "a runbook file holds one document", "a second document begins here");
                return None;
            }
            Event::SequenceStart(..) | Event::MappingStart(..) if open.len() == MAX_DEPTH => {
                mistakes.error(&at, "the file is nested too deeply", format!("more than {MAX_DEPTH} levels"));
                return None;
            }
            Event::SequenceStart(..) => {
                open.push(Open::List { start: at.start, items: Vec::new() });
                continue;
            }
            Event::MappingStart(..) => {
                open.push(Open::Mapping { start: at.start, entries: Vec::new(), key: None });
                continue;
            }
            Event::Scalar(written, style, _, tag) => {
                let value = Resolved::parse_from_cow_and_metadata(written.clone(), style, tag.as_ref());
                let value = value.map_or_else(|| Value::String(written.to_string()), json);
                let offsets = align(&written, text, &at);
                Node { at, data: Data::Scalar { text: written.into_owned(), value, offsets } }
            }
            Event::SequenceEnd | Event::MappingEnd => match open.pop() {
                Some(Open::List { start, items }) => Node { at: places.trim(start..at.end), data: Data::List(items) },
                Some(Open::Mapping { start, entries, .. }) => {
                    Node { at: places.trim(start..at.end), data: Data::Mapping(entries) }
                }
                None => continue,
            },
            _ => continue,
        };
        if open.last().is_some_and(Open::is_full) {
            let help = "divide the runbook in two";
            mistakes.error(&done.at, format!("there are more than {MAX_ENTRIES} entries"), "one too many").help(help);
            return None;
        }
        match open.last_mut() {
            None => root = Some(done),
            Some(Open::List { items, .. }) => items.push(done),
            Some(Open::Mapping { entries, key, .. }) => match key.take() {
                None => *key = Some(done),
                Some(name) => add(entries, name, done, mistakes),
            },
        }
    }
    let empty = root.as_ref().is_none_or(|node| matches!(&node.data, Data::Scalar { value: Value::Null, .. }));
    if empty {
        mistakes.error(&(0..0), "the file is empty", "a runbook should begin here").help("begin with `quell: 1`");
        return None;
    }
    root
}

fn add(entries: &mut Vec<(Key, Node)>, key: Node, value: Node, mistakes: &mut Mistakes) {
    let Data::Scalar { text, .. } = key.data else {
        mistakes
            .error(&key.at, format!("{} cannot be a key", key.what()), "here should be a name")
            .help("a text that begins with `{` needs quotes, as in \"${{ inputs.name }}\"");
        return;
    };
    if text.len() > MAX_KEY {
        let message = format!("a key of {} bytes; the longest that is read has {MAX_KEY}", text.len());
        mistakes.error(&(key.at.start..key.at.start), message, "here").help("give it a shorter name");
        return;
    }
    if entries.iter().any(|(known, _)| known.text == text) {
        let help = "keep one of the two";
        mistakes.error(&key.at, format!("`{text}` is there twice"), "the second one").help(help);
        return;
    }
    entries.push((Key { at: key.at, text }, value));
}

fn json(scalar: Resolved<'_>) -> Value {
    match scalar {
        Resolved::Null => Value::Null,
        Resolved::Boolean(flag) => flag.into(),
        Resolved::Integer(number) => number.into(),
        Resolved::FloatingPoint(number) => number.into_inner().into(),
        Resolved::String(text) => text.into_owned().into(),
    }
}

/// Finds, for each byte of a scalar's text, where it stands in the file.
fn align(text: &str, file: &str, at: &Range<usize>) -> Vec<usize> {
    let mut offsets = Vec::with_capacity(text.len());
    let mut next = at.start;
    for c in text.chars() {
        let within = file.floor_char_boundary(at.end.min(next + ALIGNED_WITHIN));
        let found = if c.is_whitespace() { None } else { file[next..within].find(c).map(|found| next + found) };
        let start = found.unwrap_or(next);
        offsets.extend((0..c.len_utf8()).map(|byte| start + byte));
        next = match found {
            Some(found) => found + c.len_utf8(),
            // White space was folded; it stands as one character, if it stands at all.
            None => {
                file[next..at.end].chars().next().filter(|c| c.is_whitespace()).map_or(next, |c| next + c.len_utf8())
            }
        };
    }
    offsets
}

/// Turns the parser's lines and columns, which count characters, into bytes.
struct Places<'t> {
    text: &'t str,
    /// Where each line begins: its byte, and the number of its first character.
    lines: Vec<(usize, usize)>,
    /// Where each character begins. Empty where every character is a byte.
    chars: Vec<usize>,
}

impl<'t> Places<'t> {
    fn new(text: &'t str) -> Self {
        let newlines = text.char_indices().enumerate().filter(|(_, (_, c))| *c == '\n');
        let lines = newlines.map(|(number, (byte, _))| (byte + 1, number + 1));
        let chars = if text.is_ascii() { Vec::new() } else { text.char_indices().map(|(byte, _)| byte).collect() };
        Self { text, lines: std::iter::once((0, 0)).chain(lines).collect(), chars }
    }

    fn byte(&self, marker: &Marker) -> usize {
        let Some((start, number)) = self.lines.get(marker.line().saturating_sub(1)) else { return self.text.len() };
        if self.chars.is_empty() {
            return (start + marker.col()).min(self.text.len());
        }
        self.chars.get(number + marker.col()).copied().unwrap_or(self.text.len())
    }

    fn range(&self, span: Span) -> Range<usize> {
        let start = self.byte(&span.start);
        self.trim(start..self.byte(&span.end).max(start))
    }

    /// Without the white space at its end.
    fn trim(&self, range: Range<usize>) -> Range<usize> {
        range.start..range.start + self.text[range].trim_end().len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Node, Vec<String>> {
        let mut mistakes = Mistakes::default();
        let node = tree(text, &mut mistakes);
        let found = mistakes.bind("a.yaml", text).errors;
        let errors: Vec<_> = found.iter().map(|d| format!("{}:{} {}", d.line(), d.column(), d.message)).collect();
        if errors.is_empty() { Ok(node.expect("no mistake and no tree")) } else { Err(errors) }
    }

    #[test]
    fn every_node_knows_its_place() {
        let text = "clé: [un, 'deux']\nnext:\n  a: 1\nend: true\n";
        let Data::Mapping(entries) = read(text).unwrap().data else { panic!("not a mapping") };
        let slice = |range: &Range<usize>| &text[range.clone()];
        assert_eq!(entries.iter().map(|(key, _)| slice(&key.at)).collect::<Vec<_>>(), ["clé", "next", "end"]);
        assert_eq!(
            entries.iter().map(|(_, node)| slice(&node.at)).collect::<Vec<_>>(),
            ["[un, 'deux']", "a: 1", "true"]
        );
    }

    #[test]
    fn numbers_keep_the_text_they_were_written_as() {
        let Data::List(items) = read("[012345678901, '1', 1.5, null]").unwrap().data else { panic!("not a list") };
        assert!(matches!(&items[0].data, Data::Scalar { text, .. } if text == "012345678901"));
        assert_eq!(
            items.iter().map(Node::what).collect::<Vec<_>>(),
            ["a whole number", "a text", "a number", "nothing"]
        );
    }

    #[test]
    fn a_part_of_a_text_has_its_place_however_it_is_written() {
        for written in
            ["ab cd >= ef", "'ab cd >= ef'", "\"ab cd >= ef\"", ">-\n  ab\n  cd >=\n  ef", "|\n  ab cd >= ef\n"]
        {
            let file = format!("é: {written}\n");
            let Data::Mapping(entries) = read(&file).unwrap().data else { panic!("not a mapping") };
            let node = &entries[0].1;
            let text = node.text().unwrap();
            for word in ["ab", "cd", ">=", "ef"] {
                let start = text.find(word).unwrap();
                assert_eq!(&file[node.inside(&(start..start + word.len()))], word, "{written}");
            }
        }
    }

    #[test]
    fn what_cannot_be_read_says_where() {
        assert_eq!(read("a: 1\na: 2\n"), Err(vec!["2:1 `a` is there twice".into()]));
        assert_eq!(read("a: &x [1]\nb: *x\n"), Err(vec!["2:4 YAML aliases are not allowed in a runbook".into()]));
        assert_eq!(read("# nothing\n"), Err(vec!["1:1 the file is empty".into()]));
        assert!(read("a: [1\nb: 2\n").unwrap_err()[0].contains("this is not YAML"));
        assert!(read(&"[".repeat(100_000)).is_err());
        assert_eq!(read(&" ".repeat(MAX_SIZE + 1)).unwrap_err().len(), 1);
        let entries = |number: usize| (0..number).map(|n| format!("k{n}: 1")).collect::<Vec<_>>().join("\n");
        assert!(read(&entries(MAX_ENTRIES)).is_ok());
        assert!(read(&entries(MAX_ENTRIES + 1)).unwrap_err()[0].starts_with("5001:1 there are more than 5000 entries"));
        let long = format!("{}: 1\n", "k".repeat(MAX_KEY + 1));
        assert_eq!(read(&long), Err(vec!["1:1 a key of 257 bytes; the longest that is read has 256".into()]));
    }

    /// Each took minutes when places were counted from the beginning of their line, or characters looked for to its end.
    #[test]
    fn a_megabyte_on_one_line_is_read_at_once() {
        let items = format!("é: [{}]", "1,".repeat(4_000) + &"[".repeat(3) + &" ".repeat(900_000) + "]]]");
        assert!(read(&items).is_ok());
        assert!(read(&format!("a: \"{}\"", "\\x41".repeat(250_000))).is_ok());
        let lists = format!("[{}]", vec!["[0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0]"; 4_900].join(","));
        assert!(read(&lists).is_ok());
    }
}
