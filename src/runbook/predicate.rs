//! The predicates of sets: CEL over the fields of a kind, the runbook's inputs and `now`.
//!
//! A predicate is typed when it is compiled, so that evaluating it does not fail half-way through a breach: fields are always
//! there, a tag that is missing reads as the empty text, and what may fail on some values only (dividing, converting,
//! picking from a list by number) is refused. What is left is a sum or a time that is out of all range: an error for that
//! member alone.
//!
//! Names and tags are values and never source: what an intruder writes into them is compared, and not compiled.

mod typing;

use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, LazyLock};

use cel::common::ast::{Expr, operators};
use cel::{Context, Env, ExecutionError, IdedExpr, Value as Cel};
use indexmap::IndexMap;
use jiff::Timestamp;
use serde_json::{Map, Value};

pub(super) use self::typing::Type;
use self::typing::Typing;
use crate::model::{FieldSpec, FieldType, Input, InputType, KindSpec, Span};

/// The longest predicate, in bytes.
const MAX_LENGTH: usize = 2048;
/// The deepest nesting of brackets and conditions: the parser of CEL goes down the stack with each.
const MAX_NESTING: usize = 16;
/// The most operators: a chain of them is nested as well.
const MAX_OPERATORS: usize = 100;

/// The most sums: of texts, each may double what is there.
const MAX_SUMS: usize = 8;
/// As much is told of an error of CEL's, in characters.
const MAX_ERROR: usize = 200;

/// The standard library, without the syntax for optional values.
static ENV: LazyLock<Arc<Env>> = LazyLock::new(|| {
    let env = Env::stdlib();
    Arc::new(env.with_optional_support(false))
});

/// A predicate that was compiled and typed.
#[derive(Debug, Clone)]
pub struct Predicate {
    expression: IdedExpr,
    /// Those that it reads.
    fields: Vec<&'static FieldSpec>,
    inputs: IndexMap<String, InputType>,
}

/// What is wrong with a predicate, and where in its text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Fault {
    /// The place in the predicate, in bytes.
    pub at: Range<usize>,
    /// What is wrong.
    pub message: String,
    /// What stands under the caret.
    pub label: String,
    /// What was probably meant.
    pub help: Option<String>,
}

impl Predicate {
    /// Compiles a predicate over the fields of `kind`. Fails with everything that is wrong with it.
    pub fn compile(text: &str, kind: &KindSpec, inputs: &IndexMap<String, Input>) -> Result<Self, Vec<Fault>> {
        let types = inputs.iter().map(|(name, input)| (name.clone(), Some(input.input_type))).collect();
        Self::typed(text, kind, &types)
    }

    /// As [`Predicate::compile`]; an input without a type (because its declaration is wrong) fits everywhere.
    pub(super) fn typed(
        text: &str,
        kind: &KindSpec,
        inputs: &IndexMap<String, Option<InputType>>,
    ) -> Result<Self, Vec<Fault>> {
        let whole = |message: String, help: &str| {
            vec![Fault { at: 0..text.len(), message, label: "this predicate".to_owned(), help: Some(help.to_owned()) }]
        };
        if text.len() > MAX_LENGTH {
            let message = format!("the predicate has {} bytes; at most {MAX_LENGTH} are read", text.len());
            return Err(whole(message, "divide the set in two"));
        }
        if nesting(text) > MAX_NESTING {
            let message = format!("the predicate is nested more than {MAX_NESTING} levels deep");
            return Err(whole(message, "write it flatter, or divide the set in two"));
        }
        let signs = text.matches(['+', '-', '*', '/', '%', '=', '<', '>', '!', '.']).count();
        let operators = signs + text.split(|c: char| !c.is_alphanumeric()).filter(|word| *word == "in").count();
        if operators > MAX_OPERATORS {
            let message = format!("the predicate has {operators} operators; at most {MAX_OPERATORS} are read");
            return Err(whole(message, "write it shorter, or divide the set in two"));
        }
        if text.matches('+').count() > MAX_SUMS {
            let message = format!("the predicate has more than {MAX_SUMS} sums");
            return Err(whole(message, "compare without adding, or divide the set in two"));
        }
        if let Some(at) = text.find("${{") {
            return Err(vec![Fault {
                at: at..at + 3,
                message: "a predicate is not filled in".to_owned(),
                label: "a template".to_owned(),
                help: Some("name the input by itself, as in `launched >= inputs.since`".to_owned()),
            }]);
        }
        let (mut expression, source) =
            ENV.parser().parse_with_source_info(text).map_err(|errors| syntax(text, &errors))?;
        let mut typing = Typing::new(text, &source, kind, inputs);
        let result = typing.infer(&mut expression);
        typing.demand(&expression, &result, &Type::Bool, "a predicate says yes or no");
        let faults = typing.faults;
        if !faults.is_empty() {
            return Err(faults);
        }
        let known = inputs.iter().filter_map(|(name, input)| Some((name.clone(), (*input)?)));
        let references = expression.references();
        let fields = kind.fields.iter().filter(|field| references.has_variable(field.name)).collect();
        Ok(Self { fields, inputs: known.collect(), expression })
    }

    /// The fields that it reads.
    pub fn fields(&self) -> Vec<&'static str> {
        self.fields.iter().map(|field| field.name).collect()
    }

    /// Whether no member, whatever its fields, can satisfy the predicate: `… && false`.
    pub(super) fn is_never(&self) -> bool {
        never(&self.expression)
    }

    /// Whether the predicate holds for a member with these fields. Fails on a value that is not of its field's type, and on
    /// numbers and times that leave their range.
    pub fn matches(
        &self,
        fields: &Map<String, Value>,
        inputs: &Map<String, Value>,
        now: Timestamp,
    ) -> Result<bool, String> {
        let mut context = Context::with_env(ENV.clone());
        for field in &self.fields {
            let value = field_value(field.field_type, fields.get(field.name))
                .ok_or_else(|| format!("the field `{}` does not hold what its type says", field.name))?;
            context.add_variable_from_value(field.name, value);
        }
        let mut given = HashMap::new();
        for (name, input_type) in &self.inputs {
            let Some(value) = inputs.get(name) else { continue };
            let value = input_value(*input_type, value)
                .ok_or_else(|| format!("the input `{name}` does not hold what its type says"))?;
            given.insert(name.clone(), value);
        }
        context.add_variable_from_value("inputs", given);
        context.add_variable_from_value("now", time(now).ok_or("the time is out of range")?);
        match Cel::resolve(&self.expression, &context) {
            Ok(Cel::Bool(holds)) => Ok(holds),
            Ok(_) => Err("the predicate gave neither true nor false".to_owned()),
            Err(ExecutionError::Overflow(what, ..)) => {
                Err(format!("a number or a time is out of its range (`{what}`)"))
            }
            // It may quote what an intruder wrote.
            Err(error) => Err(error.to_string().chars().take(MAX_ERROR).collect()),
        }
    }
}

fn never(expression: &IdedExpr) -> bool {
    match &expression.expr {
        Expr::Call(call) if call.func_name == operators::LOGICAL_AND => call.args.iter().any(never),
        Expr::Call(call) if call.func_name == operators::LOGICAL_OR => call.args.iter().all(never),
        _ if expression.references().variables().is_empty() => {
            matches!(Cel::resolve(expression, &Context::with_env(ENV.clone())), Ok(Cel::Bool(false)))
        }
        _ => false,
    }
}

/// How deep brackets and conditions nest, at most.
fn nesting(text: &str) -> usize {
    let (mut depth, mut deepest, mut conditions) = (0_usize, 0, 0);
    for c in text.chars() {
        match c {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth = depth.saturating_sub(1),
            '?' => conditions += 1,
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    deepest + conditions
}

/// What the parser of CEL says. Its sentence is kept up to the list of everything it would have taken instead.
fn syntax(text: &str, errors: &cel::ParseErrors) -> Vec<Fault> {
    let fault = |error: &cel::ParseError| {
        let (line, column) = error.pos;
        let line = usize::try_from(line).unwrap_or(1).max(1);
        let column = usize::try_from(column).unwrap_or(1).max(1);
        let start: usize = text.split_inclusive('\n').take(line - 1).map(str::len).sum();
        let byte = text[start..].char_indices().nth(column - 1).map_or(text.len(), |(byte, _)| start + byte);
        let said = error.msg.split(" expecting ").next().unwrap_or(&error.msg).replace("Syntax error: ", "");
        let end = text[byte..].chars().next().map_or(byte, |c| byte + c.len_utf8());
        Fault {
            at: byte..end,
            message: format!("this is not CEL: {said}"),
            label: "here".to_owned(),
            help: Some("join conditions by && and ||, compare by ==, and quote texts".to_owned()),
        }
    };
    // One slip makes the parser stumble several times; the first place is the one that helps.
    errors.errors.iter().take(1).map(fault).collect()
}

fn time(at: Timestamp) -> Option<Cel> {
    let nanoseconds = u32::try_from(at.subsec_nanosecond().max(0)).ok()?;
    Some(Cel::Timestamp(chrono::DateTime::from_timestamp(at.as_second(), nanoseconds)?.fixed_offset()))
}

fn timestamp(value: &Value) -> Option<Cel> {
    time(value.as_str()?.parse().ok()?)
}

fn field_value(field_type: FieldType, value: Option<&Value>) -> Option<Cel> {
    let value = value.filter(|value| !value.is_null());
    Some(match (field_type, value) {
        (FieldType::Text, None) => Cel::from(""),
        (FieldType::Integer, None) => Cel::Int(0),
        (FieldType::Bool, None) => Cel::Bool(false),
        (FieldType::Timestamp, None) => time(Timestamp::UNIX_EPOCH)?,
        (FieldType::TextList, None) => Cel::from(Vec::<Cel>::new()),
        (FieldType::TextMap, None) => Cel::from(HashMap::<String, Cel>::new()),
        (FieldType::Text, Some(value)) => Cel::from(value.as_str()?),
        (FieldType::Integer, Some(value)) => Cel::Int(value.as_i64()?),
        (FieldType::Bool, Some(value)) => Cel::Bool(value.as_bool()?),
        (FieldType::Timestamp, Some(value)) => timestamp(value)?,
        (FieldType::TextList, Some(value)) => list(value)?,
        (FieldType::TextMap, Some(value)) => {
            let entry = |(key, value): (&String, &Value)| Some((key.clone(), Cel::from(value.as_str()?)));
            Cel::from(value.as_object()?.iter().map(entry).collect::<Option<HashMap<_, _>>>()?)
        }
    })
}

fn input_value(input_type: InputType, value: &Value) -> Option<Cel> {
    Some(match input_type {
        InputType::AccessKeyId | InputType::AccountId | InputType::Arn | InputType::String => {
            Cel::from(value.as_str()?)
        }
        InputType::Bool => Cel::Bool(value.as_bool()?),
        InputType::Integer => Cel::Int(value.as_i64()?),
        InputType::Duration => {
            let span: Span = value.as_str()?.parse().ok()?;
            Cel::Duration(chrono::Duration::milliseconds(i64::try_from(span.0.as_millis()).ok()?))
        }
        InputType::StringList => list(value)?,
        InputType::Timestamp => timestamp(value)?,
    })
}

fn list(value: &Value) -> Option<Cel> {
    let texts = value.as_array()?.iter().map(|text| text.as_str().map(Cel::from));
    Some(Cel::from(texts.collect::<Option<Vec<_>>>()?))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::Scope;

    const FIELDS: &[FieldSpec] = &[
        FieldSpec { name: "id", field_type: FieldType::Text, help: "" },
        FieldSpec { name: "type", field_type: FieldType::Text, help: "" },
        FieldSpec { name: "launched", field_type: FieldType::Timestamp, help: "" },
        FieldSpec { name: "vcpus", field_type: FieldType::Integer, help: "" },
        FieldSpec { name: "encrypted", field_type: FieldType::Bool, help: "" },
        FieldSpec { name: "groups", field_type: FieldType::TextList, help: "" },
        FieldSpec { name: "tags", field_type: FieldType::TextMap, help: "" },
    ];

    fn kind() -> KindSpec {
        KindSpec { name: "toy.machine", scope: Scope::Regional, fields: FIELDS }
    }

    fn inputs() -> IndexMap<String, Input> {
        let input = |input_type| Input { input_type, help: String::new(), default: None, example: None };
        IndexMap::from([
            ("since".to_owned(), input(InputType::Timestamp)),
            ("window".to_owned(), input(InputType::Duration)),
            ("images".to_owned(), input(InputType::StringList)),
        ])
    }

    fn holds(text: &str) -> bool {
        let object = |value: Value| value.as_object().cloned().unwrap();
        let fields = object(json!({
            "id": "i-1", "type": "m5.24xlarge", "launched": "2026-11-20T12:00:00Z", "vcpus": 96,
            "groups": ["sg-1", "sg-2"], "tags": { "Name": "miner", "owner é": "x" },
        }));
        let given = object(json!({ "since": "2026-11-09T00:00:00Z", "window": "3d", "images": ["ami-1"] }));
        let predicate = Predicate::compile(text, &kind(), &inputs()).unwrap_or_else(|faults| panic!("{faults:?}"));
        predicate.matches(&fields, &given, "2026-11-23T12:00:00Z".parse().unwrap()).unwrap()
    }

    /// The first fault: the text under the caret, the message, and the help.
    fn fault(text: &str) -> String {
        let faults = Predicate::compile(text, &kind(), &inputs()).unwrap_err();
        let fault = &faults[0];
        format!("{} | {} | {}", &text[fault.at.clone()], fault.message, fault.help.as_deref().unwrap_or("-"))
    }

    #[test]
    fn predicates_are_evaluated() {
        for text in [
            "launched >= inputs.since && !tags.exists(k, k == \"owner\")",
            "type.startsWith(\"m5.\") && id.contains('i-') && type.endsWith('xlarge')",
            "now - launched <= inputs.window && now - duration('96h') < launched",
            "launched > timestamp('2026-11-19T00:00:00Z')",
            "tags[\"Name\"] == 'miner' && tags.Name == 'miner' && 'Name' in tags && has(tags.Name)",
            "tags[\"nothing\"] == '' && tags.nothing == '' && !('nothing' in tags) && !has(tags.nothing)",
            "groups.exists(g, g == 'sg-2') && 'sg-1' in groups && size(groups) == 2 && groups.size() == 2",
            "!(id in inputs.images) && !encrypted && vcpus >= 48 && vcpus + 4 == 100",
            "type in ['m5.24xlarge', 'c5.large'] && tags.all(k, size(tags[k]) > 0)",
            "'owner é' in tags && (vcpus > 100 ? false : true) && groups.filter(g, g == 'sg-1').size() == 1",
            "groups.map(g, g + '!').exists(g, g == 'sg-1!') && launched.getFullYear() == 2026",
        ] {
            assert!(holds(text), "{text}");
        }
        assert!(!holds("launched < inputs.since"));
    }

    #[test]
    fn what_an_intruder_writes_is_never_compiled() {
        let object = |value: Value| value.as_object().cloned().unwrap();
        let hostile =
            ["\") || true || (\"", "' || true", "${{ inputs.since }}", "tags.Name", "\u{1b}[2J\u{202e}\n\0", "a: [*b]"];
        let predicate = |text| Predicate::compile(text, &kind(), &inputs()).unwrap();
        let (owned, same) = (predicate("tags.Name == 'miner' || id == 'miner'"), predicate("tags.Name == id"));
        for text in hostile {
            let fields = object(json!({ "id": text, "tags": { "Name": text, text: text } }));
            assert_eq!(owned.matches(&fields, &Map::new(), Timestamp::UNIX_EPOCH), Ok(false), "{text}");
            assert_eq!(same.matches(&fields, &Map::new(), Timestamp::UNIX_EPOCH), Ok(true), "{text}");
        }
    }

    #[test]
    fn what_could_run_away_is_refused() {
        let nested = "groups.exists(a, groups.exists(b, groups.exists(c, a == b && b == c)))";
        assert!(fault(nested).contains("2 deep at most"), "{}", fault(nested));
        assert!(holds("groups.exists(a, groups.exists(b, a != b)) && groups.all(a, groups.exists(b, a == b))"));
        assert!(fault("(groups + groups).exists(g, g == id)").contains("lists are not added"));
        let doubling = format!("['a']{}.exists(x, x == id)", ".map(a, a + a)".repeat(9));
        assert!(fault(&doubling).contains("more than 8 sums"));
        assert!(fault("id.matches('(a+)+$')").contains("there is no function `matches`"));
    }

    #[test]
    fn what_leaves_its_range_is_an_error_that_quotes_nothing() {
        let predicate = Predicate::compile("vcpus * 2 > 10", &kind(), &inputs()).unwrap();
        let fields = json!({ "vcpus": i64::MAX }).as_object().cloned().unwrap();
        let error = predicate.matches(&fields, &Map::new(), Timestamp::UNIX_EPOCH).unwrap_err();
        assert_eq!(error, "a number or a time is out of its range (`mul`)");
    }

    #[test]
    fn unknown_names_are_found_with_their_place() {
        assert_eq!(
            fault("lauched >= inputs.since"),
            "lauched | the kind toy.machine has no field `lauched` | did you mean `launched`?"
        );
        assert_eq!(
            fault("tags.x == 'é' && launched > inputs.sinc"),
            "inputs.sinc | there is no input `sinc` | did you mean `since`?"
        );
        assert_eq!(
            fault("since < now"),
            "since | the kind toy.machine has no field `since` | did you mean `inputs.since`?"
        );
        assert!(fault("id.startWith('i')").contains("did you mean `startsWith`?"));
        assert!(fault("id.matches('^i')").contains("there is no function `matches`"));
    }

    #[test]
    fn wrong_types_are_found() {
        assert_eq!(
            fault("encrypted || launched >= '2026-11-20'"),
            "launched >= '2026-11-20' | a timestamp cannot be compared with a text | write timestamp(\"2026-11-23T14:43:00Z\")"
        );
        assert_eq!(fault("vcpus"), "vcpus | a predicate says yes or no, and this is an integer | -");
        assert!(fault("vcpus && true").starts_with("vcpus | `&&` joins truth values, and this is an integer"));
        assert!(fault("id == 3").starts_with("id == 3 | a text cannot be compared with an integer"));
        assert!(fault("id.startsWith(3)").contains("`startsWith` takes a text"));
        assert!(fault("vcpus.exists(v, v > 1)").contains("has no members"));
        assert!(fault("tags['a'] > 3").contains("a text cannot be compared with an integer"));
        assert!(fault("groups[0] == 'a'").contains("may not be there"));
        assert!(fault("10 / vcpus > 2").contains("divide"));
        assert!(fault("launched > timestamp('yesterday')").contains("`yesterday` is not a time"));
        assert!(fault("now - launched > duration('14d')").contains("`14d` is not a length of time"));
        assert!(fault("launched - 3 > now").contains("cannot be subtracted"));
    }

    #[test]
    fn every_fault_of_a_predicate_is_found() {
        let faults = Predicate::compile("lauched > now && vcpu > 3 && id == 1", &kind(), &inputs()).unwrap_err();
        assert_eq!(faults.len(), 3);
    }

    #[test]
    fn syntax_errors_have_a_place() {
        assert!(fault("vcpus > > 3").starts_with("> | this is not CEL"), "{}", fault("vcpus > > 3"));
        assert!(fault("vcpus >").contains("this is not CEL"));
        assert!(fault("launched >= ${{ inputs.since }}").starts_with("${{ | a predicate is not filled in"));
    }

    #[test]
    fn a_monstrous_predicate_is_refused_and_overflows_nothing() {
        for part in [
            "(", "[", "!", "-", "id ? ", "id.", "id[", "size(", "f.f(", "{1:", "true && ", "true || ", "1 + ", "1 == ",
            "1 in ", "{} + ",
        ] {
            let long = part.repeat(MAX_LENGTH / part.len());
            assert!(Predicate::compile(&long, &kind(), &inputs()).is_err(), "{part}");
            assert!(Predicate::compile(&format!("{long}id"), &kind(), &inputs()).is_err(), "{part}");
        }
        assert!(Predicate::compile(&"x".repeat(MAX_LENGTH + 1), &kind(), &inputs()).is_err());
    }

    #[test]
    fn what_is_never_true_is_known() {
        let never = |text: &str| Predicate::compile(text, &kind(), &inputs()).unwrap().is_never();
        assert!(never("false") && never("vcpus > 3 && 1 > 2") && never("1 > 2 || 'a' == 'b'"));
        assert!(!never("vcpus > 3 || false") && !never("true"));
    }

    #[test]
    fn a_value_that_is_not_of_its_type_is_an_error_and_not_a_no() {
        let predicate = Predicate::compile("vcpus > 3", &kind(), &inputs()).unwrap();
        let fields = json!({ "vcpus": "many" });
        let now = Timestamp::UNIX_EPOCH;
        assert!(predicate.matches(fields.as_object().unwrap(), &Map::new(), now).is_err());
        assert_eq!(predicate.matches(&Map::new(), &Map::new(), now), Ok(false));
    }
}
