//! Reading a policy document.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::Truth;
use super::condition::Condition;
use super::pattern::Variables;
use crate::bounded::POLICY;

/// The largest text that is read. AWS's own largest policy document (the delegation policy of Organizations) has 40,000
/// characters; depth is bounded by the reader of JSON.
const MOST_BYTES: usize = POLICY.bytes;

/// Where a document is used, which decides what its statements must and must not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Attached to a user, group or role; also boundaries and session policies: no `Principal`.
    Identity,
    /// A service control policy: as [`Kind::Identity`].
    ServiceControl,
    /// A resource control policy: its `Principal` is everybody.
    ResourceControl,
    /// The trust policy of a role: a `Principal`, no `Resource`.
    Trust,
    /// The policy of a resource: a `Principal`.
    Resource,
}

/// Why a text is not a policy document.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {cause}")]
pub struct Malformed {
    /// Which policy, and which statement of it.
    pub place: String,
    /// What is wrong, and what would be right.
    pub cause: String,
}

/// A policy document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// The policy's name: shown when it decides something.
    pub name: String,
    /// Its statements, which copies share.
    pub statements: Arc<[Statement]>,
}

/// A statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// Its `Sid`.
    pub sid: Option<String>,
    /// Whether it allows or denies.
    pub effect: Effect,
    pub(super) principals: Option<Matched<(String, String)>>,
    pub(super) actions: Matched<String>,
    pub(super) resources: Option<Matched<String>>,
    pub(super) conditions: Vec<Condition>,
    pub(super) variables: Variables,
}

/// `Effect`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// `Allow`.
    Allow,
    /// `Deny`.
    Deny,
}

/// An element, or its `Not…` form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Matched<T> {
    /// `Action`.
    Any(Vec<T>),
    /// `NotAction`.
    AllBut(Vec<T>),
}

impl<T> Matched<T> {
    /// Whether the element covers what `test` recognises.
    pub(super) fn covers(&self, test: impl FnMut(&T) -> Truth) -> Truth {
        match self {
            Self::Any(items) => Truth::any(items.iter().map(test)),
            Self::AllBut(items) => !Truth::any(items.iter().map(test)),
        }
    }
}

impl Document {
    /// Reads the text of a policy. An element, an operator or a form that AWS does not have is an error: to overlook a part
    /// of a policy would be to misjudge it.
    pub fn parse(name: impl Into<String>, text: &str, kind: Kind) -> Result<Self, Malformed> {
        let document = Self::parse_as_far_as_known(name, text, kind)?;
        for (index, statement) in document.statements.iter().enumerate() {
            if let Some(operator) = statement.conditions.iter().find_map(Condition::unknown_operator) {
                let place = format!("policy {}, statement {}", document.name, index + 1);
                return Err(Malformed { place, cause: format!("the condition operator `{operator}` is not known") });
            }
        }
        Ok(document)
    }

    /// The same, but takes condition operators that are not known: whether their statement applies is left open.
    pub fn parse_as_far_as_known(name: impl Into<String>, text: &str, kind: Kind) -> Result<Self, Malformed> {
        let name = name.into();
        let at = |cause: String| Malformed { place: format!("policy {name}"), cause };
        if text.len() > MOST_BYTES {
            return Err(at(format!("{} bytes are more than any policy has ({MOST_BYTES})", text.len())));
        }
        let json: Value = serde_json::from_str(text).map_err(|error| at(format!("not JSON: {error}")))?;
        let Value::Object(document) = json else { return Err(at("a policy is a JSON object".to_owned())) };
        only(&document, &["Version", "Id", "Statement"]).map_err(at)?;
        let variables = match document.get("Version").map(Value::as_str) {
            Some(Some("2012-10-17")) => Variables::Replaced,
            None | Some(Some("2008-10-17")) => Variables::None,
            Some(_) => return Err(at("`Version` must be \"2012-10-17\" or \"2008-10-17\"".to_owned())),
        };
        let statements = match document.get("Statement") {
            Some(Value::Array(statements)) if !statements.is_empty() => statements.iter().collect(),
            Some(statement @ Value::Object(_)) => vec![statement],
            _ => return Err(at("`Statement` must be a statement or a list of them".to_owned())),
        };
        let mut read = Vec::with_capacity(statements.len());
        for (index, statement) in statements.into_iter().enumerate() {
            let place = || format!("policy {name}, statement {}", index + 1);
            let statement = Statement::parse(statement, kind, variables);
            read.push(statement.map_err(|cause| Malformed { place: place(), cause })?);
        }
        Ok(Self { name, statements: read.into() })
    }
}

impl Statement {
    fn parse(json: &Value, kind: Kind, variables: Variables) -> Result<Self, String> {
        const ELEMENTS: [&str; 9] = [
            "Sid",
            "Effect",
            "Principal",
            "NotPrincipal",
            "Action",
            "NotAction",
            "Resource",
            "NotResource",
            "Condition",
        ];
        let Value::Object(statement) = json else { return Err("a statement is a JSON object".to_owned()) };
        only(statement, &ELEMENTS)?;
        let sid = match statement.get("Sid") {
            None => None,
            Some(Value::String(sid)) => Some(sid.clone()),
            Some(_) => return Err("`Sid` must be a text".to_owned()),
        };
        let effect = match statement.get("Effect").and_then(Value::as_str) {
            Some("Allow") => Effect::Allow,
            Some("Deny") => Effect::Deny,
            _ => return Err("`Effect` must be \"Allow\" or \"Deny\"".to_owned()),
        };
        let actions = matched(statement, "Action", "NotAction", texts)?.ok_or("`Action` or `NotAction` is missing")?;
        let (Matched::Any(names) | Matched::AllBut(names)) = &actions;
        if let Some(name) = names.iter().find(|name| *name != "*" && !name.contains(':')) {
            return Err(format!("the action `{name}` has no service: write it as `service:Action`"));
        }
        let resources = matched(statement, "Resource", "NotResource", texts)?;
        let principals = matched(statement, "Principal", "NotPrincipal", principals)?;
        let needs_principal = matches!(kind, Kind::Trust | Kind::Resource);
        let has_principal = needs_principal || kind == Kind::ResourceControl;
        match (has_principal, &principals) {
            (_, None) if needs_principal => return Err("`Principal` is missing".to_owned()),
            (false, Some(_)) => return Err("`Principal` has no place in this kind of policy".to_owned()),
            _ => {}
        }
        match (kind == Kind::Trust, &resources) {
            (true, Some(_)) => return Err("`Resource` has no place in a trust policy".to_owned()),
            // The policy of a resource may leave it out: it means the resource that it is attached to.
            (false, None) if kind != Kind::Resource => return Err("`Resource` or `NotResource` is missing".to_owned()),
            _ => {}
        }
        let conditions = conditions(statement.get("Condition"), variables)?;
        Ok(Self { sid, effect, principals, actions, resources, conditions, variables })
    }
}

fn only(object: &Map<String, Value>, known: &[&str]) -> Result<(), String> {
    match object.keys().find(|key| !known.contains(&key.as_str())) {
        None => Ok(()),
        Some(key) => Err(format!("the element `{key}` is not known; there are {}", known.join(", "))),
    }
}

fn matched<T>(
    statement: &Map<String, Value>,
    plain: &str,
    not: &str,
    read: fn(&Value) -> Option<Vec<T>>,
) -> Result<Option<Matched<T>>, String> {
    let items =
        |name: &str, value: &Value| read(value).ok_or_else(|| format!("`{name}` must be a text or a list of texts"));
    match (statement.get(plain), statement.get(not)) {
        (None, None) => Ok(None),
        (Some(value), None) => Ok(Some(Matched::Any(items(plain, value)?))),
        (None, Some(value)) => Ok(Some(Matched::AllBut(items(not, value)?))),
        (Some(_), Some(_)) => Err(format!("`{plain}` and `{not}` exclude each other")),
    }
}

fn texts(value: &Value) -> Option<Vec<String>> {
    match value {
        Value::String(text) => Some(vec![text.clone()]),
        Value::Array(items) if !items.is_empty() => items.iter().map(|item| item.as_str().map(str::to_owned)).collect(),
        _ => None,
    }
}

/// `"*"`, or `{"AWS": […], "Service": "ec2.amazonaws.com"}`, as pairs of type and name.
fn principals(value: &Value) -> Option<Vec<(String, String)>> {
    let Value::Object(types) = value else {
        return (value == "*").then(|| vec![("AWS".to_owned(), "*".to_owned())]);
    };
    let mut pairs = Vec::new();
    for (kind, names) in types {
        if !matches!(kind.as_str(), "AWS" | "Service" | "Federated" | "CanonicalUser") {
            return None;
        }
        pairs.extend(texts(names)?.into_iter().map(|name| (kind.clone(), name)));
    }
    Some(pairs)
}

fn conditions(value: Option<&Value>, variables: Variables) -> Result<Vec<Condition>, String> {
    let operators = match value {
        None => return Ok(Vec::new()),
        Some(Value::Object(operators)) => operators,
        Some(_) => return Err("`Condition` must be an object of operators".to_owned()),
    };
    let mut conditions = Vec::new();
    for (operator, keys) in operators {
        let Value::Object(keys) = keys else { return Err(format!("`{operator}` must be an object of condition keys")) };
        for (key, values) in keys {
            let values = scalars(values).ok_or_else(|| format!("`{key}` must be a text or a list of texts"))?;
            conditions.push(Condition::new(operator, key, values, variables));
        }
    }
    Ok(conditions)
}

/// The values of a condition may be written as JSON's own numbers and flags.
fn scalars(value: &Value) -> Option<Vec<String>> {
    match value {
        Value::Array(items) => items.iter().map(scalar).collect(),
        one => scalar(one).map(|text| vec![text]),
    }
}

fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Bool(flag) => Some(flag.to_string()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> String {
        Document::parse("p", text, Kind::Identity).expect_err(text).to_string()
    }

    #[test]
    fn one_statement_and_single_texts_are_lists_of_one() {
        let text = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"s3:*","Resource":"*"}}"#;
        let document = Document::parse("p", text, Kind::Identity).unwrap();
        assert_eq!(document.statements.len(), 1);
        assert_eq!(document.statements[0].actions, Matched::Any(vec!["s3:*".to_owned()]));
    }

    #[test]
    fn what_aws_would_not_take_is_refused_with_its_place() {
        let statement = |inner: &str| refused(&format!(r#"{{"Version":"2012-10-17","Statement":[{{{inner}}}]}}"#));
        assert!(refused("[]").contains("a policy is a JSON object"));
        assert!(refused(r#"{"Version":"2027-01-01","Statement":[]}"#).contains("`Version`"));
        assert!(refused(r#"{"Statement":[]}"#).contains("`Statement`"));
        assert!(statement(r#""Effect":"Permit","Action":"*","Resource":"*""#).contains("statement 1: `Effect`"));
        assert!(statement(r#""Effect":"Deny","Resource":"*""#).contains("`Action` or `NotAction` is missing"));
        assert!(statement(r#""Effect":"Deny","Action":"*""#).contains("`Resource` or `NotResource` is missing"));
        assert!(statement(r#""Effect":"Deny","Action":"stop","Resource":"*""#).contains("no service"));
        assert!(statement(r#""Effect":"Deny","Action":"*","NotAction":"*","Resource":"*""#).contains("exclude"));
        assert!(statement(r#""Effect":"Deny","Action":"*","Resource":"*","Principal":"*""#).contains("no place"));
        let condition = r#""Effect":"Deny","Action":"*","Resource":"*","Condition":{"ArnUnlike":{"k":"v"}}"#;
        assert!(statement(condition).contains("`ArnUnlike` is not known"));
    }

    #[test]
    fn size_and_depth_are_bounded() {
        assert!(refused(&" ".repeat(MOST_BYTES + 1)).contains("more than any policy"));
        assert!(refused(&"[".repeat(10_000)).contains("not JSON"));
    }
}
