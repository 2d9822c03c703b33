//! What the person gives: texts from the command line and defaults, as typed values.

use jiff::{Timestamp, civil, tz::TimeZone};
use serde_json::{Map, Value};

use super::suggest::did_you_mean;
use crate::model::{AccessKeyId, Accounts, Input, InputType, Runbook, Span};

/// All that is wrong with the given inputs.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
pub struct InputErrors(pub Vec<InputError>);

/// What is wrong with one input.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InputError {
    /// The runbook does not have it.
    #[error("the runbook has no input `{name}`: {help}")]
    Unknown {
        /// What was given.
        name: String,
        /// What was probably meant.
        help: String,
    },
    /// It was given more than once.
    #[error("the input `{name}` is given twice; give it once")]
    Twice {
        /// Which.
        name: String,
    },
    /// It has no default and was not given.
    #[error("the input `{name}` is missing; give it by --input {name}={example}")]
    Missing {
        /// Which.
        name: String,
        /// What one looks like.
        example: String,
    },
    /// It is not of its type.
    #[error("the input `{name}` is {expected}, and `{given}` is not; such as --input {name}={example}{}", hint.unwrap_or_default())]
    Wrong {
        /// Which.
        name: String,
        /// What was given, shortened where it could be a secret.
        given: String,
        /// What is expected, with its article.
        expected: &'static str,
        /// What one looks like.
        example: String,
        /// What else to know.
        hint: Option<&'static str>,
    },
}

/// Reads what was given and fills in the defaults. Every input of the runbook has a value then, of its type: texts, whole
/// numbers, truth values, lists of texts; times are RFC 3339 texts in UTC, `now` being the given one.
pub fn read(runbook: &Runbook, given: &[(String, String)], now: Timestamp) -> Result<Map<String, Value>, InputErrors> {
    let mut errors = Vec::new();
    let mut values = Map::new();
    for (index, (name, _)) in given.iter().enumerate() {
        if !runbook.inputs.contains_key(name) {
            let help = did_you_mean(name, runbook.inputs.keys().map(String::as_str));
            errors.push(InputError::Unknown { name: name.clone(), help });
        } else if given[..index].iter().any(|(before, _)| before == name) {
            errors.push(InputError::Twice { name: name.clone() });
        }
    }
    for (name, input) in &runbook.inputs {
        let value = match given.iter().find(|(known, _)| known == name) {
            Some((_, text)) => parse(name, input, text, now),
            None => default(name, input, now),
        };
        match value {
            Ok(value) => drop(values.insert(name.clone(), value)),
            Err(error) => errors.push(error),
        }
    }
    if errors.is_empty() { Ok(values) } else { Err(InputErrors(errors)) }
}

/// The inputs that have no default and were not given, for a terminal to ask.
pub fn missing<'r>(runbook: &'r Runbook, given: &[(String, String)]) -> Vec<(&'r str, &'r Input)> {
    let without = runbook
        .inputs
        .iter()
        .filter(|(name, input)| input.default.is_none() && !given.iter().any(|(known, _)| known == *name));
    without.map(|(name, input)| (name.as_str(), input)).collect()
}

/// Reads one answer.
pub fn parse(name: &str, input: &Input, text: &str, now: Timestamp) -> Result<Value, InputError> {
    typed(input.input_type, text, now).ok_or_else(|| InputError::Wrong {
        name: name.to_owned(),
        given: shown(input.input_type, text),
        expected: expected(input.input_type),
        example: example_of(input),
        hint: (input.input_type == InputType::AccessKeyId && text.len() == 40)
            .then_some(" (this looks like a secret access key: quell never needs it, and it must be changed now)"),
    })
}

/// The input's default. An input without one is missing.
fn default(name: &str, input: &Input, now: Timestamp) -> Result<Value, InputError> {
    let missing = || InputError::Missing { name: name.to_owned(), example: example_of(input) };
    let default = input.default.as_ref().ok_or_else(missing)?;
    value(input.input_type, default, now).ok_or_else(|| InputError::Wrong {
        name: name.to_owned(),
        given: shown(input.input_type, &default.to_string()),
        expected: expected(input.input_type),
        example: example_of(input),
        hint: None,
    })
}

/// A value as it stands in a runbook, typed. The empty text is the text, key, account or ARN that is not there.
pub(super) fn value(input_type: InputType, value: &Value, now: Timestamp) -> Option<Value> {
    match (input_type, value) {
        (InputType::AccessKeyId | InputType::AccountId | InputType::Arn, Value::String(text)) if text.is_empty() => {
            Some(value.clone())
        }
        (InputType::Bool, Value::Bool(_)) => Some(value.clone()),
        (InputType::Integer, Value::Number(number)) => number.as_i64().map(Value::from),
        (InputType::StringList, Value::Array(items)) => items.iter().all(Value::is_string).then(|| value.clone()),
        (_, Value::String(text)) => typed(input_type, text, now),
        _ => None,
    }
}

fn typed(input_type: InputType, text: &str, now: Timestamp) -> Option<Value> {
    let trimmed = text.trim();
    match input_type {
        InputType::AccessKeyId => AccessKeyId::new(trimmed).ok().map(|id| id.as_str().into()),
        InputType::AccountId => Accounts::check(trimmed).ok().map(|()| trimmed.into()),
        InputType::Arn => (trimmed.starts_with("arn:") && trimmed.split(':').count() >= 6).then(|| trimmed.into()),
        InputType::Bool => trimmed.parse::<bool>().ok().map(Value::from),
        InputType::Duration => trimmed.parse::<Span>().ok().map(|_| trimmed.into()),
        InputType::Integer => trimmed.parse::<i64>().ok().map(Value::from),
        InputType::String => Some(text.into()),
        InputType::StringList => {
            Some(trimmed.split(',').map(str::trim).filter(|item| !item.is_empty()).map(Value::from).collect())
        }
        InputType::Timestamp => time(trimmed, now).map(|time| time.to_string().into()),
    }
}

/// RFC 3339, a date (its midnight in UTC), `now`, `now - 14d` or `now + 1h`.
fn time(text: &str, now: Timestamp) -> Option<Timestamp> {
    if let Some(offset) = text.strip_prefix("now") {
        let offset = offset.trim();
        return match offset.chars().next() {
            None => Some(now),
            Some('-') => now.checked_sub(offset[1..].trim().parse::<Span>().ok()?.0).ok(),
            Some('+') => now.checked_add(offset[1..].trim().parse::<Span>().ok()?.0).ok(),
            Some(_) => None,
        };
    }
    let exact = text.parse::<Timestamp>().ok();
    exact.or_else(|| TimeZone::UTC.to_timestamp(text.parse::<civil::Date>().ok()?.at(0, 0, 0, 0)).ok())
}

/// What a type expects, with its article.
pub(super) fn expected(input_type: InputType) -> &'static str {
    match input_type {
        InputType::AccessKeyId => "an access key id",
        InputType::AccountId => "an account id (12 digits), or `self`",
        InputType::Arn => "an ARN",
        InputType::Bool => "true or false",
        InputType::Duration => "a length of time",
        InputType::Integer => "a whole number",
        InputType::String => "a text",
        InputType::StringList => "a list of texts",
        InputType::Timestamp => "a time (RFC 3339, a date, `now` or `now - 14d`)",
    }
}

/// What one of a type looks like.
pub(super) fn example(input_type: InputType) -> &'static str {
    match input_type {
        InputType::AccessKeyId => "AKIAIOSFODNN7EXAMPLE",
        InputType::AccountId => "111122223333",
        InputType::Arn => "arn:aws:iam::111122223333:role/IRResponder",
        InputType::Bool => "true",
        InputType::Duration => "72h",
        InputType::Integer => "3",
        InputType::String => "text",
        InputType::StringList => "one,two",
        InputType::Timestamp => "2026-11-23T14:43:00Z",
    }
}

fn example_of(input: &Input) -> String {
    input.example.clone().unwrap_or_else(|| example(input.input_type).to_owned())
}

/// What was given, as it may be shown: a secret key pasted where its id belongs must not reach a screen or a log.
fn shown(input_type: InputType, text: &str) -> String {
    let start: String = text.chars().take(4).collect();
    match input_type {
        InputType::AccessKeyId if start != text => format!("{start}…"),
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn runbook(inputs: Value) -> Runbook {
        let text = json!({ "quell": 1, "name": "n", "title": "t", "steps": [], "inputs": inputs });
        serde_json::from_value(text).unwrap()
    }

    fn now() -> Timestamp {
        "2026-11-23T14:43:00Z".parse().unwrap()
    }

    fn given(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect()
    }

    #[test]
    fn texts_become_values_of_their_type() {
        let runbook = runbook(json!({
            "key": { "type": "access-key-id" }, "account": { "type": "account-id" }, "sure": { "type": "bool" },
            "many": { "type": "integer" }, "long": { "type": "duration" }, "names": { "type": "string-list" },
            "since": { "type": "timestamp", "default": "now - 14d" }, "arn": { "type": "arn", "default": "" },
        }));
        let pairs = given(&[
            ("key", " AKIAIOSFODNN7EXAMPLE "),
            ("account", "000022223333"),
            ("sure", "true"),
            ("many", "-3"),
            ("long", "14d"),
            ("names", "a, b,,c"),
        ]);
        let values = read(&runbook, &pairs, now()).unwrap();
        assert_eq!(
            Value::Object(values),
            json!({
                "key": "AKIAIOSFODNN7EXAMPLE", "account": "000022223333", "sure": true, "many": -3, "long": "14d",
                "names": ["a", "b", "c"], "since": "2026-11-09T14:43:00Z", "arn": "",
            })
        );
    }

    #[test]
    fn times_can_be_written_in_four_ways() {
        for (text, read) in [
            ("2026-11-23T15:43:00+01:00", "2026-11-23T14:43:00Z"),
            ("2026-11-20", "2026-11-20T00:00:00Z"),
            ("now", "2026-11-23T14:43:00Z"),
            ("now-90m", "2026-11-23T13:13:00Z"),
            ("now + 1h", "2026-11-23T15:43:00Z"),
        ] {
            assert_eq!(typed(InputType::Timestamp, text, now()), Some(json!(read)), "{text}");
        }
        for text in ["yesterday", "now - soon", "nowish", "14d", ""] {
            assert_eq!(typed(InputType::Timestamp, text, now()), None, "{text}");
        }
    }

    #[test]
    fn all_that_is_wrong_is_said_at_once() {
        let runbook = runbook(json!({ "since": { "type": "timestamp" }, "key": { "type": "access-key-id" } }));
        let errors = read(&runbook, &given(&[("sinc", "x"), ("since", "soon"), ("since", "now")]), now()).unwrap_err();
        assert_eq!(errors.to_string(), "\
the runbook has no input `sinc`: did you mean `since`?
the input `since` is given twice; give it once
the input `since` is a time (RFC 3339, a date, `now` or `now - 14d`), and `soon` is not; such as --input since=2026-11-23T14:43:00Z
the input `key` is missing; give it by --input key=AKIAIOSFODNN7EXAMPLE");
        assert_eq!(
            missing(&runbook, &given(&[("since", "now")])).iter().map(|(name, _)| *name).collect::<Vec<_>>(),
            ["key"]
        );
    }

    #[test]
    fn a_secret_key_pasted_for_its_id_is_not_shown() {
        let runbook = runbook(json!({ "key": { "type": "access-key-id" } }));
        let secret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
        let error = read(&runbook, &given(&[("key", secret)]), now()).unwrap_err();
        assert!(!format!("{error} {error:?}").contains(&secret[..8]), "{error}");
        assert!(error.to_string().contains("secret access key"));
    }
}
