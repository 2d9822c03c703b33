//! `${{ inputs.name }}` inside texts.

use std::ops::Range;

use serde_json::{Map, Value};

/// A part of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Piece<'t> {
    /// To be kept as it stands.
    Text(&'t str),
    /// To be filled in with this input. `at` is its place in the text, in bytes.
    Input { name: &'t str, at: Range<usize> },
}

/// A template that is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Malformed {
    pub(super) at: Range<usize>,
    pub(super) why: String,
}

/// Divides a text into what is kept and what is filled in.
pub(super) fn pieces(text: &str) -> Result<Vec<Piece<'_>>, Malformed> {
    let mut pieces = Vec::new();
    let mut done = 0;
    while let Some(open) = text[done..].find("${{").map(|found| done + found) {
        let Some(close) = text[open..].find("}}").map(|found| open + found) else {
            return Err(Malformed { at: open..text.len(), why: "`${{` without `}}`".to_owned() });
        };
        let at = open..close + 2;
        let inside = text[open + 3..close].trim();
        let Some(name) = inside.strip_prefix("inputs.").filter(|name| is_name(name)) else {
            let why = format!("`{inside}` is not `inputs.NAME`, and nothing else can be filled in");
            return Err(Malformed { at, why });
        };
        if open > done {
            pieces.push(Piece::Text(&text[done..open]));
        }
        done = at.end;
        pieces.push(Piece::Input { name, at });
    }
    if done < text.len() || pieces.is_empty() {
        pieces.push(Piece::Text(&text[done..]));
    }
    Ok(pieces)
}

/// The name of the input that fills in the whole text, if one does.
pub fn input_of(text: &str) -> Option<&str> {
    match pieces(text).ok()?.as_slice() {
        [Piece::Input { name, .. }] => Some(name),
        _ => None,
    }
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

/// Fills a text in. A template that is the whole text keeps the input's type; inside a longer text it is written in.
pub(super) fn fill(text: &str, inputs: &Map<String, Value>) -> Result<Value, String> {
    let pieces = pieces(text).map_err(|malformed| malformed.why)?;
    let value = |name: &str| inputs.get(name).ok_or_else(|| format!("the input `{name}` has no value"));
    if let [Piece::Input { name, .. }] = pieces.as_slice() {
        return value(name).cloned();
    }
    let mut filled = String::new();
    for piece in pieces {
        match piece {
            Piece::Text(text) => filled.push_str(text),
            Piece::Input { name, .. } => match value(name)? {
                Value::String(text) => filled.push_str(text),
                Value::Array(_) => return Err(format!("the list `{name}` cannot stand inside a longer text")),
                other => filled.push_str(&other.to_string()),
            },
        }
    }
    Ok(Value::String(filled))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_whole_template_keeps_its_type() {
        let Value::Object(inputs) = json!({ "count": 3, "key": "AKIA", "all": ["a"] }) else { unreachable!() };
        assert_eq!(fill("${{ inputs.count }}", &inputs), Ok(json!(3)));
        assert_eq!(fill("case-${{inputs.count}}-${{ inputs.key }}!", &inputs), Ok(json!("case-3-AKIA!")));
        assert_eq!(fill("${{ inputs.all }}", &inputs), Ok(json!(["a"])));
        assert!(fill("x${{ inputs.all }}", &inputs).is_err());
        assert_eq!(fill("", &inputs), Ok(json!("")));
    }

    #[test]
    fn a_value_is_not_read_as_a_template_again() {
        let Value::Object(inputs) = json!({ "a": "${{ inputs.b }}", "b": "no" }) else { unreachable!() };
        assert_eq!(fill("<${{ inputs.a }}>", &inputs), Ok(json!("<${{ inputs.b }}>")));
    }

    #[test]
    fn malformed_templates_say_what_is_wrong() {
        assert_eq!(pieces("a ${{ inputs.x").unwrap_err().at, 2..14);
        assert!(pieces("${{ env.HOME }}").unwrap_err().why.contains("`env.HOME`"));
    }
}
