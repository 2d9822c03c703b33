//! `inputs`.

use indexmap::IndexMap;
use jiff::Timestamp;

use super::fields::{self, Fields};
use crate::model::{Input, InputType};
use crate::runbook::diagnostic::Mistakes;
use crate::runbook::inputs;
use crate::runbook::load::Node;

const TYPES: &[(&str, InputType)] = &[
    ("access-key-id", InputType::AccessKeyId),
    ("account-id", InputType::AccountId),
    ("arn", InputType::Arn),
    ("bool", InputType::Bool),
    ("duration", InputType::Duration),
    ("integer", InputType::Integer),
    ("string", InputType::String),
    ("string-list", InputType::StringList),
    ("timestamp", InputType::Timestamp),
];

/// Reads the inputs; `None` stands for one whose declaration is wrong.
pub(super) fn read(node: &Node, mistakes: &mut Mistakes) -> IndexMap<String, Option<Input>> {
    let mut inputs = IndexMap::new();
    for (key, node) in fields::entries(node, "`inputs`", mistakes).unwrap_or_default() {
        let good = key.text.starts_with(|c: char| c.is_ascii_alphabetic())
            && key.text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        if !good {
            let message = format!("`{}` cannot be the name of an input", key.text);
            // With a `-`, CEL would read `inputs.a-b` as a difference.
            let help = format!("use letters, digits and `_`, as in `{}`", key.text.replace(['-', ' ', '.'], "_"));
            mistakes.error(&key.at, message, "not a name").help(help);
        }
        inputs.insert(key.text.clone(), input(node, mistakes));
    }
    inputs
}

fn input(node: &Node, mistakes: &mut Mistakes) -> Option<Input> {
    let fields = Fields::read(node, "an input", &["type", "help", "default", "example"], mistakes)?;
    let input_type = fields.required("type", mistakes).and_then(|node| fields::one_of(node, "a type", TYPES, mistakes));
    let help = fields.get("help").and_then(|node| fields::text(node, "a help", mistakes)).unwrap_or_default();
    let example = fields.get("example").and_then(|node| fields::text(node, "an example", mistakes));
    let input_type = input_type?;
    if let Some(node) = fields.get("default") {
        check(input_type, node, "default", mistakes);
    }
    if let (Some(node), Some(_)) = (fields.get("example"), &example) {
        check(input_type, node, "example", mistakes);
    }
    Some(Input { input_type, help, default: fields.get("default").map(Node::json), example })
}

/// Reports a default, or an example, that the input itself would refuse.
fn check(input_type: InputType, node: &Node, what: &str, mistakes: &mut Mistakes) {
    if inputs::value(input_type, &node.json(), Timestamp::UNIX_EPOCH).is_none() {
        let message = format!("this {what} is not {}", inputs::expected(input_type));
        let help = format!("such as {}", inputs::example(input_type));
        mistakes.error(&node.at, message, node.what()).help(help);
    }
}
