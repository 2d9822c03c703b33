//! `with`, against the JSON Schema of an action's or a source's parameters.
//!
//! Only as much of JSON Schema as schemars writes for plain structs: types, properties, lists, choices, references.

use std::ops::Range;

use schemars::Schema;
use serde_json::{Map, Value};

use super::{Filled, Scope};
use crate::model::InputType;
use crate::runbook::diagnostic::Mistakes;
use crate::runbook::load::{Data, Node};
use crate::runbook::suggest::{did_you_mean, nearest};

/// Checks the parameters of `owner`; `at` is where they are missed if there are none.
pub(super) fn check(
    owner: &str,
    schema: &Schema,
    with: Option<&Node>,
    at: &Range<usize>,
    scope: &Scope<'_>,
    mistakes: &mut Mistakes,
) {
    let params = Params { owner, root: schema.as_value(), scope };
    match with {
        Some(node) if matches!(node.data, Data::Mapping(_)) => params.value(node, params.root, "with", mistakes),
        Some(node) => {
            mistakes.error(&node.at, format!("`with` is a mapping, and this is {}", node.what()), node.what());
        }
        None => params.missing(&[], params.root, at, mistakes),
    }
}

struct Params<'a> {
    owner: &'a str,
    root: &'a Value,
    scope: &'a Scope<'a>,
}

impl<'a> Params<'a> {
    /// Follows a `$ref` into the schema's own definitions.
    fn followed(&self, schema: &'a Value) -> &'a Value {
        let reference = schema.get("$ref").and_then(Value::as_str).and_then(|path| path.strip_prefix('#'));
        reference.and_then(|path| self.root.pointer(path)).unwrap_or(schema)
    }

    fn value(&self, node: &Node, schema: &'a Value, name: &str, mistakes: &mut Mistakes) {
        let schema = self.followed(schema);
        if let Some(text) = node.text() {
            match self.scope.templates(node, text, mistakes) {
                Filled::Unknown => return,
                Filled::Whole(input_type) => return self.filled(node, schema, name, input_type, mistakes),
                Filled::Text => {}
            }
        }
        if let Some(choices) = choices(schema) {
            return self.choice(node, schema, choices, name, mistakes);
        }
        if let Some(words) = schema.get("enum").and_then(Value::as_array) {
            if !words.contains(&node.json()) {
                self.not_a_word(node, words, name, mistakes);
            }
            return;
        }
        if let Some(word) = schema.get("const") {
            if *word != node.json() {
                self.not_a_word(node, std::slice::from_ref(word), name, mistakes);
            }
            return;
        }
        let types = types(schema);
        let found = json_type(&node.json());
        let fits = types.is_empty() || types.contains(&found) || (found == "integer" && types.contains(&"number"));
        if !fits {
            let wanted: Vec<_> = types.iter().filter(|name| **name != "null").map(|name| article(name)).collect();
            let message =
                format!("`{name}` of `{}` is {}, and this is {}", self.owner, wanted.join(" or "), node.what());
            let mistake = mistakes.error(&node.at, message, node.what());
            if let (Data::Scalar { text, .. }, true) = (&node.data, types.contains(&"string")) {
                mistake.help(format!("put it in quotes: \"{text}\""));
            }
            return;
        }
        match &node.data {
            Data::Scalar { value: Value::Number(number), .. } => {
                let limit = schema.get("minimum").and_then(Value::as_f64);
                if let Some(limit) = limit.filter(|limit| number.as_f64().is_some_and(|number| number < *limit)) {
                    let message = format!("`{name}` of `{}` is at least {limit}", self.owner);
                    mistakes.error(&node.at, message, "too small");
                }
            }
            Data::Scalar { .. } => {}
            Data::List(items) => {
                let Some(schema) = schema.get("items") else { return };
                for item in items {
                    self.item(item, schema, name, mistakes);
                }
            }
            Data::Mapping(entries) => {
                let empty = Map::new();
                let properties = schema.get("properties").and_then(Value::as_object).unwrap_or(&empty);
                let others = schema.get("additionalProperties").filter(|others| others.is_object());
                let any = schema.get("additionalProperties") == Some(&Value::Bool(true))
                    || (properties.is_empty() && schema.get("additionalProperties").is_none());
                for (key, value) in entries {
                    match (properties.get(&key.text), others) {
                        (Some(schema), _) | (None, Some(schema)) => self.value(value, schema, &key.text, mistakes),
                        (None, None) if any => {}
                        (None, None) => {
                            let message = format!("`{}` has no parameter `{}`", self.owner, key.text);
                            let help = did_you_mean(&key.text, properties.keys().map(String::as_str));
                            mistakes.error(&key.at, message, "unknown parameter").help(help);
                        }
                    }
                }
                // A misspelt parameter is not missing as well.
                let names = || properties.keys().map(String::as_str);
                let given: Vec<_> =
                    entries.iter().map(|(key, _)| nearest(&key.text, names()).unwrap_or(&key.text)).collect();
                self.missing(&given, schema, &node.at, mistakes);
            }
        }
    }

    /// An item of a list; the template of a list puts all its members there.
    fn item(&self, node: &Node, schema: &'a Value, name: &str, mistakes: &mut Mistakes) {
        if let Some(text) = node.text().filter(|text| text.contains("${{"))
            && self.scope.templates(node, text, &mut Mistakes::default()) == Filled::Whole(InputType::StringList)
        {
            return self.filled(node, schema, name, InputType::String, mistakes);
        }
        self.value(node, schema, name, mistakes);
    }

    /// A value that will be an input's.
    fn filled(&self, node: &Node, schema: &'a Value, name: &str, input_type: InputType, mistakes: &mut Mistakes) {
        let found = match input_type {
            InputType::Bool => "boolean",
            InputType::Integer => "integer",
            InputType::StringList => "array",
            _ => "string",
        };
        if !self.takes(schema, found) {
            let message = format!("`{name}` of `{}` is never {}", self.owner, article(found));
            let label = format!("filled in with {}", crate::runbook::inputs::expected(input_type));
            mistakes.error(&node.at, message, label);
        }
    }

    /// Whether a schema takes a value of a JSON type.
    fn takes(&self, schema: &'a Value, json: &str) -> bool {
        let schema = self.followed(schema);
        if let Some(choices) = choices(schema) {
            return choices.iter().any(|choice| self.takes(choice, json));
        }
        if schema.get("enum").is_some() || schema.get("const").is_some() {
            return json == "string";
        }
        let types = types(schema);
        types.is_empty() || types.contains(&json) || (json == "integer" && types.contains(&"number"))
    }

    fn choice(&self, node: &Node, schema: &Value, choices: &'a [Value], name: &str, mistakes: &mut Mistakes) {
        let words: Option<Vec<Value>> = choices.iter().map(|choice| choice.get("const").cloned()).collect();
        if let Some(words) = words {
            if !words.contains(&node.json()) {
                self.not_a_word(node, &words, name, mistakes);
            }
            return;
        }
        let real: Vec<_> = choices.iter().filter(|choice| types(self.followed(choice)) != ["null"]).collect();
        if let [only] = real.as_slice() {
            return self.value(node, only, name, mistakes);
        }
        let fits = choices.iter().any(|choice| {
            let mut tried = Mistakes::default();
            self.value(node, choice, name, &mut tried);
            tried.is_empty()
        });
        if !fits {
            let message = format!("`{name}` of `{}` does not have any of its forms", self.owner);
            let mistake = mistakes.error(&node.at, message, node.what());
            if let Some(description) = schema.get("description").and_then(Value::as_str) {
                mistake.help(description);
            }
        }
    }

    fn not_a_word(&self, node: &Node, words: &[Value], name: &str, mistakes: &mut Mistakes) {
        let words: Vec<_> = words.iter().filter_map(Value::as_str).collect();
        let given = match &node.data {
            Data::Scalar { text, .. } => text.as_str(),
            _ => "",
        };
        let help = did_you_mean(given, words.iter().copied());
        let message = format!("`{name}` of `{}` is one of {}", self.owner, words.join(", "));
        mistakes.error(&node.at, message, "none of these").help(help);
    }

    fn missing(&self, given: &[&str], schema: &Value, at: &Range<usize>, mistakes: &mut Mistakes) {
        let required = schema.get("required").and_then(Value::as_array);
        for name in required.into_iter().flatten().filter_map(Value::as_str).filter(|name| !given.contains(name)) {
            let message = format!("`{}` needs the parameter `{name}`", self.owner);
            let mistake = mistakes.error(at, message, format!("`{name}` is missing"));
            let help = schema.pointer(&format!("/properties/{name}/description")).and_then(Value::as_str);
            mistake.help(help.map_or_else(|| format!("add `{name}` to `with`"), |help| format!("`{name}`: {help}")));
        }
    }
}

fn choices(schema: &Value) -> Option<&[Value]> {
    let choices = schema.get("anyOf").or_else(|| schema.get("oneOf"))?;
    choices.as_array().map(Vec::as_slice)
}

fn types(schema: &Value) -> Vec<&str> {
    match schema.get("type") {
        Some(Value::String(one)) => vec![one],
        Some(Value::Array(some)) => some.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

fn json_type(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

fn article(json: &str) -> &'static str {
    match json {
        "boolean" => "a truth value",
        "integer" => "a whole number",
        "number" => "a number",
        "array" => "a list",
        "object" => "a mapping",
        _ => "a text",
    }
}
