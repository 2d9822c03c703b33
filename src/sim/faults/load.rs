//! Fault plans from files: every mistake with its line.

use saphyr::{LoadableYamlNode as _, MarkedYaml, Scalar, YamlData};
use saphyr_parser::{Event, Parser};
use serde::Deserialize as _;
use serde_json::{Map, Number, Value};

use super::Fault;
use super::rule::Written;

/// The largest file that is read, in bytes.
const MAX_SIZE: usize = 256 << 10;
/// The deepest nesting that is read.
const MAX_DEPTH: usize = 8;
/// The most rules of a plan.
const MAX_RULES: usize = 1_000;

/// What is to go wrong in a simulated AWS.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct FaultPlan {
    /// What decides which requests a share strikes.
    pub seed: u64,
    /// The rules, in their order.
    pub rules: Vec<Fault>,
}

/// A text that is no fault plan.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name}:{line}: {message}")]
pub struct BadPlan {
    /// The file.
    pub name: String,
    /// The line, counted from 1.
    pub line: usize,
    /// What is wrong there, and what is meant.
    pub message: String,
}

/// What is wrong, and in which line.
type Mistake = (usize, String);

impl FaultPlan {
    /// Reads a plan in YAML or JSON: `seed` and `rules`, or the rules alone. A rule is a mapping, or a text as on the command
    /// line. `name` is that of the file, for messages.
    pub fn load(text: &str, name: &str) -> Result<Self, BadPlan> {
        let bad = |(line, message): Mistake| BadPlan { name: name.to_owned(), line, message };
        bounded(text).map_err(bad)?;
        let documents = MarkedYaml::load_from_str(text)
            .map_err(|error| bad((error.marker().line(), format!("this is not YAML: {}", error.info()))))?;
        match &documents[..] {
            [document] => plan(document).map_err(bad),
            [] => Err(bad((1, "the file is empty; it should hold `rules`".to_owned()))),
            [_, second, ..] => Err(bad((line(second), "a second document begins here; one is expected".to_owned()))),
        }
    }
}

/// Refuses what would be too much to read. Aliases are how a small file becomes a huge one.
fn bounded(text: &str) -> Result<(), Mistake> {
    if text.len() > MAX_SIZE {
        return Err((1, format!("the file has {} bytes; a fault plan has at most {MAX_SIZE}", text.len())));
    }
    let mut parser = Parser::new_from_str(text);
    let mut depth = 0_usize;
    while let Some(event) = parser.next_event() {
        let (event, span) =
            event.map_err(|error| (error.marker().line(), format!("this is not YAML: {}", error.info())))?;
        match event {
            Event::Alias(_) => {
                return Err((span.start.line(), "YAML aliases are not allowed in a fault plan".to_owned()));
            }
            Event::SequenceStart(..) | Event::MappingStart(..) if depth == MAX_DEPTH => {
                return Err((span.start.line(), format!("nested too deeply: more than {MAX_DEPTH} levels")));
            }
            Event::SequenceStart(..) | Event::MappingStart(..) => depth += 1,
            Event::SequenceEnd | Event::MappingEnd => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    Ok(())
}

fn plan(document: &MarkedYaml<'_>) -> Result<FaultPlan, Mistake> {
    let mut plan = FaultPlan::default();
    let YamlData::Mapping(members) = &document.data else {
        plan.rules = rules(document)?;
        return Ok(plan);
    };
    let mut has_rules = false;
    for (key, member) in members {
        match text(key) {
            Some("seed") => {
                let seed = value(member)?;
                plan.seed =
                    seed.as_u64().ok_or_else(|| (line(member), format!("`seed`: {seed} is no whole number")))?;
            }
            Some("rules") => {
                has_rules = true;
                plan.rules = rules(member)?;
            }
            _ => {
                let message = format!("{} has no place here; there are `seed` and `rules`", shown(key));
                return Err((line(key), message));
            }
        }
    }
    if has_rules { Ok(plan) } else { Err((line(document), "the plan lacks its `rules`".to_owned())) }
}

fn rules(node: &MarkedYaml<'_>) -> Result<Vec<Fault>, Mistake> {
    let YamlData::Sequence(items) = &node.data else {
        return Err((line(node), "rules are a list: `- { kind: no-answer, region: eu-west-3 }`".to_owned()));
    };
    if items.len() > MAX_RULES {
        return Err((line(node), format!("there are {} rules; a plan has at most {MAX_RULES}", items.len())));
    }
    items.iter().map(rule).collect()
}

fn rule(node: &MarkedYaml<'_>) -> Result<Fault, Mistake> {
    if let Some(text) = text(node) {
        return text.parse().map_err(|message| (line(node), message));
    }
    let YamlData::Mapping(members) = &node.data else {
        let message = "a rule is a mapping with a `kind`, or a text such as eu-west-3=no-answer";
        return Err((line(node), message.to_owned()));
    };
    let mut whole = Map::new();
    for (key, member) in members {
        let name = text(key).ok_or_else(|| (line(key), format!("{} is no name of a field", shown(key))))?;
        let field = Map::from_iter([(name.to_owned(), value(member)?)]);
        // By itself, so that what is wrong with it is known to be in its line.
        Written::deserialize(Value::Object(field.clone())).map_err(|error| (line(key), words(name, &error)))?;
        whole.extend(field);
    }
    Fault::deserialize(Value::Object(whole)).map_err(|error| (line(node), error.to_string()))
}

/// What is wrong with a field, in words.
fn words(name: &str, error: &serde_json::Error) -> String {
    let error = error.to_string();
    if error.starts_with("unknown field") {
        return error;
    }
    let meant = match name {
        "delay" if error.contains("untagged") => {
            ": a length of time is meant (2s), two with the times in between (1s..3s), or { median: 200ms, p99: 8s }"
        }
        _ => return format!("`{name}`: {error}"),
    };
    format!("`{name}`{meant}")
}

fn line(node: &MarkedYaml<'_>) -> usize {
    node.span.start.line()
}

fn text<'a>(node: &'a MarkedYaml<'_>) -> Option<&'a str> {
    match &node.data {
        YamlData::Value(Scalar::String(text)) => Some(text),
        _ => None,
    }
}

fn shown(node: &MarkedYaml<'_>) -> String {
    value(node).map_or_else(|_| "this".to_owned(), |value| format!("`{value}`"))
}

fn value(node: &MarkedYaml<'_>) -> Result<Value, Mistake> {
    match &node.data {
        YamlData::Value(scalar) => Ok(match scalar {
            Scalar::Null => Value::Null,
            Scalar::Boolean(truth) => Value::Bool(*truth),
            Scalar::Integer(number) => Value::from(*number),
            Scalar::FloatingPoint(number) => Number::from_f64(**number).map_or(Value::Null, Value::Number),
            Scalar::String(text) => Value::from(text.as_ref()),
        }),
        YamlData::Sequence(items) => items.iter().map(value).collect(),
        YamlData::Mapping(members) => {
            let member = |(key, member): (&MarkedYaml<'_>, &MarkedYaml<'_>)| {
                let name = text(key).ok_or_else(|| (line(key), "this is no name of a field".to_owned()))?;
                Ok((name.to_owned(), value(member)?))
            };
            Ok(Value::Object(members.iter().map(member).collect::<Result<_, Mistake>>()?))
        }
        _ => Err((line(node), "this has no place in a fault plan".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::faults::{Delay, FaultKind, Tail, Who};

    fn error(text: &str) -> String {
        FaultPlan::load(text, "faults.yaml").unwrap_err().to_string()
    }

    #[test]
    fn a_plan_is_read_from_yaml_and_json() {
        let text = "\
seed: 7
rules:
  - eu-west-3=no-answer
  - { kind: throttle, service: ec2, rate: 0.8, from: 10s, until: 1m, recovers: 2m, who: responder }
  - kind: latency
    delay: { tail: pareto, median: 200ms, p99: 8s }
";
        let plan = FaultPlan::load(text, "faults.yaml").unwrap();
        assert_eq!((plan.seed, plan.rules.len()), (7, 3));
        assert_eq!(plan.rules[1].who, Some(Who::Responder));
        assert!(matches!(plan.rules[2].delay, Some(Delay::Tailed { tail: Tail::Pareto, .. })));
        let json = serde_json::to_string(&plan.rules).unwrap();
        assert_eq!(FaultPlan::load(&json, "body").unwrap().rules, plan.rules);
        assert_eq!(FaultPlan::load("[]", "body").unwrap(), FaultPlan::default());
    }

    #[test]
    fn a_mistake_is_named_with_its_line_and_what_is_meant() {
        for (text, meant) in [
            ("rules:\n  - kind: throtle\n", "faults.yaml:2: `kind`: unknown variant `throtle`, expected one of"),
            ("rules:\n  - kind: throttle\n    rat: 1\n", "faults.yaml:3: unknown field `rat`, expected one of `kind`"),
            ("rules:\n  - kind: throttle\n    from: soon\n", "faults.yaml:3: `from`: `soon` is not a length of time"),
            ("rules:\n  - kind: latency\n    delay: 3\n", "faults.yaml:3: `delay`: a length of time is meant (2s)"),
            ("rules:\n  - kind: latency\n    delay: 3s..1s\n", "faults.yaml:3: `delay`: 3s..1s: the lesser time"),
            ("rules:\n  - service: ec2\n", "faults.yaml:2: it lacks its `kind`; there are no-answer"),
            ("rules:\n\n  - kind: throttle\n    rate: 2\n", "faults.yaml:3: `2` is not a share from 0 to 1"),
            ("rules:\n  - { kind: deny, from: 2m, until: 10s }\n", "faults.yaml:2: it ends (`until: 10s`) before"),
            ("rules:\n  - { kind: deny, service: ec3 }\n", "faults.yaml:2: `ec3` is not a service"),
            ("rules:\n  - eu-west-33=no-answer\n", "faults.yaml:2: `eu-west-33` is neither a region"),
            ("seeds: 1\nrules: []\n", "faults.yaml:1: `\"seeds\"` has no place here"),
            ("seed: -1\nrules: []\n", "faults.yaml:1: `seed`: -1 is no whole number"),
            ("seed: 1\n", "faults.yaml:1: the plan lacks its `rules`"),
            ("rules:\n  kind: deny\n", "faults.yaml:2: rules are a list"),
            ("rules: [\n", "this is not YAML"),
            ("", "faults.yaml:1: the file is empty"),
            ("[]\n---\n[]\n", "faults.yaml:3: a second document begins here"),
        ] {
            assert!(error(text).contains(meant), "{text}\n{}", error(text));
        }
    }

    #[test]
    fn what_is_too_much_is_refused() {
        let bomb = "a: &a [x, x]\nb: &b [*a, *a]\nrules: [*b]\n";
        assert!(error(bomb).contains("faults.yaml:2: YAML aliases are not allowed"));
        assert!(error(&"[".repeat(20)).contains("nested too deeply"));
        assert!(error(&"# long\n".repeat(100_000)).contains("at most"));
        assert!(error(&"- eu-west-3=deny\n".repeat(1_001)).contains("1001 rules"));
    }

    #[test]
    fn every_kind_can_be_written() {
        for kind in FaultKind::ALL {
            let with = match kind {
                FaultKind::Latency => ", delay: 1s",
                kind if kind.takes_by() => ", by: 10s",
                _ => "",
            };
            let plan = FaultPlan::load(&format!("- {{ kind: {kind}{with} }}"), "faults.yaml").unwrap();
            assert_eq!(plan.rules[0].kind, kind);
        }
    }
}
