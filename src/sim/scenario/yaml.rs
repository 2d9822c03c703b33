//! YAML as JSON's data model, which serde then reads.

use std::collections::HashMap;

use saphyr::{LoadableYamlNode, Scalar, Yaml};
use saphyr_parser::{Event, Parser};
use serde_json::{Map, Number, Value};

use crate::bounded::SCENARIO;

/// The deepest nesting that is read.
const MAX_DEPTH: usize = 64;
/// The most values that are read, those counted that an alias stands for. A few lines of aliases of aliases would fill any
/// memory.
const MAX_VALUES: usize = 500_000;
/// So many bytes of a text count as a value more.
const A_VALUE: usize = 256;

/// Reads a text that holds one document.
///
/// # Errors
/// The words of what is wrong, with line and column where the text is no YAML.
pub fn read(text: &str) -> Result<Value, String> {
    within_bounds(text)?;
    let documents = Yaml::load_from_str(text).map_err(|error| error.to_string())?;
    match &documents[..] {
        [document] => value(document),
        documents => Err(format!("one document is expected, there are {}", documents.len())),
    }
}

/// Goes through a text without keeping any of it, so that one that would be too much is not built first.
fn within_bounds(text: &str) -> Result<(), String> {
    if text.len() > SCENARIO.bytes {
        return Err(format!("{} bytes; a scenario has at most {}: {}", text.len(), SCENARIO.bytes, SCENARIO.way_out));
    }
    // How many values each anchor stands for, and those whose end is to come: the anchor, and how many were before it.
    let mut anchors: HashMap<usize, usize> = HashMap::new();
    let mut open: Vec<(usize, usize)> = Vec::new();
    let mut values = 0_usize;
    let mut parser = Parser::new_from_str(text);
    while let Some(event) = parser.next_event() {
        let (event, span) = event.map_err(|error| error.to_string())?;
        match event {
            Event::Alias(anchor) => values += anchors.get(&anchor).copied().unwrap_or(1),
            Event::Scalar(text, _, anchor, _) => {
                let weight = 1 + text.len() / A_VALUE;
                values += weight;
                anchors.insert(anchor, weight);
            }
            Event::SequenceStart(anchor, _) | Event::MappingStart(anchor, _) => {
                open.push((anchor, values));
                values += 1;
            }
            Event::SequenceEnd | Event::MappingEnd => {
                if let Some((anchor, before)) = open.pop() {
                    anchors.insert(anchor, values - before);
                }
            }
            _ => {}
        }
        let line = span.start.line();
        if open.len() > MAX_DEPTH {
            return Err(format!("line {line}: nested more than {MAX_DEPTH} levels deep; write it flatter"));
        }
        if values > MAX_VALUES {
            return Err(format!(
                "line {line}: more than {MAX_VALUES} values, those counted that aliases stand for; {}",
                SCENARIO.way_out
            ));
        }
    }
    Ok(())
}

fn value(yaml: &Yaml<'_>) -> Result<Value, String> {
    match yaml {
        Yaml::Value(scalar) => Ok(match scalar {
            Scalar::Null => Value::Null,
            Scalar::Boolean(truth) => Value::Bool(*truth),
            Scalar::Integer(number) => Value::from(*number),
            Scalar::FloatingPoint(number) => Number::from_f64(**number).map_or(Value::Null, Value::Number),
            Scalar::String(text) => Value::from(text.as_ref()),
        }),
        Yaml::Sequence(items) => items.iter().map(value).collect(),
        Yaml::Mapping(members) => {
            let mut object = Map::new();
            for (key, member) in members {
                let key = key.as_str().ok_or_else(|| format!("{key:?} is no text, so it cannot be a key"))?;
                object.insert(key.to_owned(), value(member)?);
            }
            Ok(Value::Object(object))
        }
        other => Err(format!("{other:?} has no place in a scenario")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn documents_become_values() {
        let text = "name: x\nregions: [us-east-1, eu-west-3]\ntags: { owner: data }\ncount: 3\nid: \"012345678901\"\n";
        let expected = json!({
            "name": "x",
            "regions": ["us-east-1", "eu-west-3"],
            "tags": { "owner": "data" },
            "count": 3,
            "id": "012345678901",
        });
        assert_eq!(read(text).unwrap(), expected);
        assert!(read("a: [").is_err());
        assert!(read("a: 1\n---\nb: 2\n").unwrap_err().contains("there are 2"));
    }

    #[test]
    fn what_would_fill_the_memory_or_the_stack_is_refused() {
        let line = |level: usize| format!("a{level}: &a{level} [*a{0}, *a{0}]", level - 1);
        let laughs = ["a0: &a0 [x, x]".to_owned()].into_iter().chain((1..40).map(line)).collect::<Vec<_>>().join("\n");
        assert!(
            read(&laughs).unwrap_err().starts_with("line 17: more than 500000 values"),
            "{}",
            read(&laughs).unwrap_err()
        );
        let heavy = format!("a: &a {}\nb: [{}]\n", "x".repeat(1 << 20), ["*a"; 1_000].join(", "));
        assert!(read(&heavy).unwrap_err().contains("more than 500000 values"));
        let deep = |open: &str, levels: usize| read(&open.repeat(levels)).unwrap_err();
        assert!(deep("- ", 100).starts_with("line 1: nested more than 64 levels"), "{}", deep("- ", 100));
        for open in ["[", "- ", "{a: "] {
            assert!(deep(open, 100_000).len() < 200, "{}", deep(open, 100_000));
        }
        assert!(read(&" ".repeat(9 << 20)).unwrap_err().contains("at most 8388608"));
        assert!(read("a: &a { b: 1 }\nc: *a\n").is_ok());
    }
}
