//! The types of CEL expressions.

use std::fmt;
use std::ops::Range;

use cel::IdedExpr;
use cel::common::ast::operators as op;
use cel::common::ast::{CallExpr, ComprehensionExpr, EntryExpr, Expr, LiteralValue, SelectExpr, SourceInfo};
use indexmap::IndexMap;

use super::Fault;
use crate::model::{FieldType, InputType, KindSpec};
use crate::runbook::suggest::{did_you_mean, nearest};

/// The type of an expression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::runbook) enum Type {
    Bool,
    Integer,
    Double,
    Text,
    Timestamp,
    Duration,
    List(Box<Type>),
    Map(Box<Type>),
    /// The inputs, by name.
    Inputs,
    /// Not known, because something else is wrong: fits everywhere, so that one slip is one mistake.
    Unknown,
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bool => "a truth value",
            Self::Integer => "an integer",
            Self::Double => "a number with a fraction",
            Self::Text => "a text",
            Self::Timestamp => "a timestamp",
            Self::Duration => "a duration",
            Self::List(_) => "a list",
            Self::Map(_) => "a map",
            Self::Inputs => "the inputs",
            Self::Unknown => "something unknown",
        })
    }
}

impl Type {
    fn fits(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Unknown, _) | (_, Self::Unknown) => true,
            (Self::List(a), Self::List(b)) | (Self::Map(a), Self::Map(b)) => a.fits(b),
            (a, b) => a == b,
        }
    }
}

impl From<FieldType> for Type {
    fn from(field_type: FieldType) -> Self {
        match field_type {
            FieldType::Text => Self::Text,
            FieldType::Integer => Self::Integer,
            FieldType::Bool => Self::Bool,
            FieldType::Timestamp => Self::Timestamp,
            FieldType::TextList => Self::List(Box::new(Self::Text)),
            FieldType::TextMap => Self::Map(Box::new(Self::Text)),
        }
    }
}

impl From<InputType> for Type {
    fn from(input_type: InputType) -> Self {
        match input_type {
            InputType::AccessKeyId | InputType::AccountId | InputType::Arn | InputType::String => Self::Text,
            InputType::Bool => Self::Bool,
            InputType::Duration => Self::Duration,
            InputType::Integer => Self::Integer,
            InputType::StringList => Self::List(Box::new(Self::Text)),
            InputType::Timestamp => Self::Timestamp,
        }
    }
}

/// The functions that predicates may call. What can fail on some values only is not among them.
const FUNCTIONS: &[&str] = &[
    "all",
    "contains",
    "duration",
    "endsWith",
    "exists",
    "exists_one",
    "filter",
    "getDate",
    "getDayOfWeek",
    "getFullYear",
    "getHours",
    "getMinutes",
    "getMonth",
    "has",
    "map",
    "size",
    "startsWith",
    "timestamp",
];

/// So many macros may stand in one another: each goes through a whole list, whose length an intruder may choose.
const MAX_LOOPS: usize = 2;

/// Finds the type of an expression and all that is wrong with it.
pub(super) struct Typing<'a> {
    text: &'a str,
    source: &'a SourceInfo,
    kind: &'a KindSpec,
    inputs: &'a IndexMap<String, Option<InputType>>,
    /// The variables of the macros around the expression, innermost last.
    variables: Vec<(String, Type)>,
    /// How many macros are around it.
    loops: usize,
    pub(super) faults: Vec<Fault>,
}

impl<'a> Typing<'a> {
    pub(super) fn new(
        text: &'a str,
        source: &'a SourceInfo,
        kind: &'a KindSpec,
        inputs: &'a IndexMap<String, Option<InputType>>,
    ) -> Self {
        Self { text, source, kind, inputs, variables: Vec::new(), loops: 0, faults: Vec::new() }
    }

    /// Returns the expression's type. An expression that looks a key up in a map of texts is rewritten so that a key that
    /// is missing gives the empty text.
    pub(super) fn infer(&mut self, expression: &mut IdedExpr) -> Type {
        let at = self.place(expression);
        match &mut expression.expr {
            Expr::Literal(literal) => self.literal(at, literal),
            Expr::Ident(name) => self.name(at, name),
            Expr::List(list) => {
                let types: Vec<_> = list.elements.iter_mut().map(|element| self.infer(element)).collect();
                let first = types.first().cloned().unwrap_or(Type::Unknown);
                if types.iter().any(|other| !other.fits(&first)) {
                    self.fault(at, "the members of this list are of different types", "a list", None);
                }
                Type::List(Box::new(first))
            }
            Expr::Map(map) => {
                for entry in &mut map.entries {
                    if let EntryExpr::MapEntry(entry) = &mut entry.expr {
                        self.infer(&mut entry.key);
                        self.infer(&mut entry.value);
                    }
                }
                Type::Map(Box::new(Type::Unknown))
            }
            Expr::Select(select) => {
                let found = self.select(at, select);
                if !select.test && matches!(&found, (Type::Map(_), _)) {
                    let key = LiteralValue::String(select.field.clone().into());
                    let key = IdedExpr { id: expression.id, expr: Expr::Literal(key) };
                    let map = std::mem::take(&mut *select.operand);
                    expression.expr = lookup(expression.id, map, key);
                }
                found.1
            }
            Expr::Call(call) if call.func_name == op::INDEX && call.args.len() == 2 => {
                let found = self.index(at, call);
                if matches!(&found, (Type::Map(_), _)) {
                    let (key, map) = (call.args.pop().unwrap_or_default(), call.args.pop().unwrap_or_default());
                    expression.expr = lookup(expression.id, map, key);
                }
                found.1
            }
            Expr::Call(call) => self.call(at, call),
            Expr::Comprehension(comprehension) => self.comprehension(comprehension),
            Expr::Struct(_) | Expr::Unspecified => {
                self.fault(at, "a predicate cannot build messages", "this", None);
                Type::Unknown
            }
        }
    }

    /// Notes a fault unless the type is the wanted one.
    pub(super) fn demand(&mut self, expression: &IdedExpr, found: &Type, wanted: &Type, why: &str) {
        if !found.fits(wanted) {
            let at = self.place(expression);
            self.fault(at, &format!("{why}, and this is {found}"), &found.to_string(), None);
        }
    }

    fn fault(&mut self, at: Range<usize>, message: &str, label: &str, help: Option<String>) {
        let fault = Fault { at, message: message.to_owned(), label: label.to_owned(), help };
        // A macro's variable stands in more than one place of what it expands to.
        if !self.faults.contains(&fault) {
            self.faults.push(fault);
        }
    }

    fn literal(&mut self, at: Range<usize>, literal: &LiteralValue) -> Type {
        match literal {
            LiteralValue::Boolean(_) => Type::Bool,
            LiteralValue::Int(_) => Type::Integer,
            LiteralValue::Double(_) => Type::Double,
            LiteralValue::String(_) => Type::Text,
            LiteralValue::UInt(_) | LiteralValue::Bytes(_) | LiteralValue::Null => {
                let help = "fields are texts, integers, truth values, timestamps, lists and maps".to_owned();
                self.fault(at, "no field is of this type", "this literal", Some(help));
                Type::Unknown
            }
        }
    }

    fn name(&mut self, at: Range<usize>, name: &str) -> Type {
        if let Some((_, found)) = self.variables.iter().rev().find(|(variable, _)| variable == name) {
            return found.clone();
        }
        if let Some(field) = self.kind.fields.iter().find(|field| field.name == name) {
            return field.field_type.into();
        }
        match name {
            "inputs" => return Type::Inputs,
            "now" => return Type::Timestamp,
            _ => {}
        }
        let help = if self.inputs.contains_key(name) {
            format!("did you mean `inputs.{name}`?")
        } else {
            did_you_mean(name, self.kind.fields.iter().map(|field| field.name).chain(["inputs", "now"]))
        };
        let message = format!("the kind {} has no field `{name}`", self.kind.name);
        self.fault(at, &message, "unknown field", Some(help));
        Type::Unknown
    }

    /// The types of the operand and of its member.
    fn select(&mut self, at: Range<usize>, select: &mut SelectExpr) -> (Type, Type) {
        let operand = self.infer(&mut select.operand);
        let name = select.field.as_str();
        let member = match &operand {
            Type::Inputs => {
                if !self.inputs.contains_key(name) {
                    let help = did_you_mean(name, self.inputs.keys().map(String::as_str));
                    self.fault(at, &format!("there is no input `{name}`"), "unknown input", Some(help));
                }
                self.inputs.get(name).copied().flatten().map_or(Type::Unknown, Type::from)
            }
            Type::Map(value) => (**value).clone(),
            Type::Unknown => Type::Unknown,
            other => {
                self.fault(at, &format!("{other} has no member `{name}`"), "only maps have members", None);
                Type::Unknown
            }
        };
        (operand, if select.test { Type::Bool } else { member })
    }

    /// The types of the operand and of what is looked up in it.
    fn index(&mut self, at: Range<usize>, call: &mut CallExpr) -> (Type, Type) {
        let operand = self.infer(&mut call.args[0]);
        let key = self.infer(&mut call.args[1]);
        let member = match &operand {
            Type::Map(value) => {
                self.demand(&call.args[1], &key, &Type::Text, "the keys of a map are texts");
                (**value).clone()
            }
            Type::List(_) => {
                let help = "ask for any of them: list.exists(x, x == …), or: … in list".to_owned();
                self.fault(at, "a member with this number may not be there", "picked by number", Some(help));
                Type::Unknown
            }
            Type::Unknown => Type::Unknown,
            Type::Inputs => {
                self.fault(at, "an input is named by a dot", "here", Some("write inputs.NAME".to_owned()));
                Type::Unknown
            }
            other => {
                self.fault(at, &format!("{other} has no members"), "only maps have members", None);
                Type::Unknown
            }
        };
        (operand, member)
    }

    fn call(&mut self, at: Range<usize>, call: &mut CallExpr) -> Type {
        let target = call.target.as_mut().map(|target| self.infer(target));
        let types: Vec<_> = call.args.iter_mut().map(|argument| self.infer(argument)).collect();
        match (call.func_name.as_str(), target, types.as_slice()) {
            (op::LOGICAL_AND, None, [_, _]) => self.truths(call, &types, "`&&` joins truth values"),
            (op::LOGICAL_OR, None, [_, _]) => self.truths(call, &types, "`||` joins truth values"),
            (op::LOGICAL_NOT | op::NOT_STRICTLY_FALSE, None, [_]) => {
                self.truths(call, &types, "`!` turns a truth value round")
            }
            (op::CONDITIONAL, None, [condition, yes, no]) => {
                self.demand(&call.args[0], condition, &Type::Bool, "what stands before `?` is a truth value");
                if !yes.fits(no) {
                    self.fault(at, &format!("one branch is {yes}, the other {no}"), "these differ", None);
                }
                yes.clone()
            }
            (op::EQUALS | op::NOT_EQUALS, None, [left, right]) => {
                if !left.fits(right) {
                    self.incomparable(at, left, right);
                }
                Type::Bool
            }
            (op::LESS | op::LESS_EQUALS | op::GREATER | op::GREATER_EQUALS, None, [left, right]) => {
                let ordered = !matches!(left, Type::Bool | Type::List(_) | Type::Map(_) | Type::Inputs);
                if !left.fits(right) {
                    self.incomparable(at, left, right);
                } else if !ordered {
                    self.fault(at, &format!("{left} is neither less nor more than another"), "this comparison", None);
                }
                Type::Bool
            }
            (op::IN, None, [member, Type::List(members)]) => {
                if !member.fits(members) {
                    self.fault(at, &format!("{member} is never in a list of another type"), "this", None);
                }
                Type::Bool
            }
            (op::IN, None, [member, Type::Map(_)]) => {
                self.demand(&call.args[0], member, &Type::Text, "the keys of a map are texts");
                Type::Bool
            }
            (op::IN, None, [_, Type::Unknown]) => Type::Bool,
            (op::IN, None, [_, other]) => {
                let message = format!("`in` looks in a list or a map, and this is {other}");
                let at = self.place(&call.args[1]);
                self.fault(at, &message, &other.to_string(), None);
                Type::Bool
            }
            (op::ADD, None, [Type::List(_), Type::List(_)]) if !is_gathered(&call.args[0]) => {
                let help = "ask each list by itself, and join the questions by ||".to_owned();
                self.fault(at, "lists are not added", "this sum", Some(help));
                Type::Unknown
            }
            (op::ADD, None, [left, right]) => self.sum(at, left, right),
            (op::SUBSTRACT, None, [left, right]) => self.difference(at, left, right),
            (op::MULTIPLY, None, [left, right]) => self.product(at, left, right),
            (op::NEGATE, None, [number]) => {
                if !matches!(number, Type::Integer | Type::Double | Type::Unknown) {
                    self.fault(at, &format!("{number} has no negative"), "this", None);
                }
                number.clone()
            }
            (op::DIVIDE | op::MODULO, None, [..]) => {
                let help = "multiply on the other side of the comparison instead".to_owned();
                self.fault(at, "a predicate does not divide, since it must never fail", "a division", Some(help));
                Type::Unknown
            }
            ("size", Some(measured), []) => self.size(at, &measured),
            ("size", None, [measured]) => self.size(at, measured),
            (name @ ("startsWith" | "endsWith" | "contains"), Some(target), [argument]) => {
                let called = call.target.as_deref().cloned().unwrap_or_default();
                self.demand(&called, &target, &Type::Text, &format!("`{name}` is asked of a text"));
                self.demand(&call.args[0], argument, &Type::Text, &format!("`{name}` takes a text"));
                Type::Bool
            }
            ("timestamp", None, [_]) => self.written(call, Type::Timestamp),
            ("duration", None, [_]) => self.written(call, Type::Duration),
            (
                name @ ("getFullYear" | "getMonth" | "getDate" | "getDayOfWeek" | "getHours" | "getMinutes"),
                Some(target),
                [],
            ) => {
                let called = call.target.as_deref().cloned().unwrap_or_default();
                self.demand(&called, &target, &Type::Timestamp, &format!("`{name}` is asked of a timestamp"));
                Type::Integer
            }
            (name, ..) => {
                let known = FUNCTIONS.contains(&name);
                let message = if known {
                    format!("`{name}` is not called like this")
                } else {
                    format!("there is no function `{name}`")
                };
                let help = match nearest(name, FUNCTIONS.iter().copied()) {
                    Some(meant) if !known => format!("did you mean `{meant}`?"),
                    _ => format!("the functions are {}", FUNCTIONS.join(", ")),
                };
                self.fault(at, &message, "this call", Some(help));
                Type::Unknown
            }
        }
    }

    fn truths(&mut self, call: &CallExpr, types: &[Type], why: &str) -> Type {
        for (argument, found) in call.args.iter().zip(types) {
            self.demand(argument, found, &Type::Bool, why);
        }
        Type::Bool
    }

    fn incomparable(&mut self, at: Range<usize>, left: &Type, right: &Type) {
        let help = match (left, right) {
            (Type::Timestamp, Type::Text) | (Type::Text, Type::Timestamp) => {
                Some("write timestamp(\"2026-11-23T14:43:00Z\")".to_owned())
            }
            (Type::Timestamp, Type::Duration) | (Type::Duration, Type::Timestamp) => {
                Some("compare with `now - duration(…)`".to_owned())
            }
            (Type::Duration, Type::Text) | (Type::Text, Type::Duration) => Some("write duration(\"72h\")".to_owned()),
            _ => None,
        };
        self.fault(at, &format!("{left} cannot be compared with {right}"), "these types differ", help);
    }

    fn sum(&mut self, at: Range<usize>, left: &Type, right: &Type) -> Type {
        match (left, right) {
            (Type::Unknown, other) | (other, Type::Unknown) => other.clone(),
            (Type::Timestamp, Type::Duration) | (Type::Duration, Type::Timestamp) => Type::Timestamp,
            (Type::Integer | Type::Double | Type::Text | Type::Duration | Type::List(_), _) if left.fits(right) => {
                // A list that a macro begins empty takes the type of what is added.
                if matches!(left, Type::List(member) if **member == Type::Unknown) {
                    right.clone()
                } else {
                    left.clone()
                }
            }
            _ => {
                self.fault(at, &format!("{left} and {right} cannot be added"), "this sum", None);
                Type::Unknown
            }
        }
    }

    fn difference(&mut self, at: Range<usize>, left: &Type, right: &Type) -> Type {
        match (left, right) {
            (Type::Unknown, _) | (_, Type::Unknown) => Type::Unknown,
            (Type::Timestamp, Type::Duration) => Type::Timestamp,
            (Type::Timestamp, Type::Timestamp) => Type::Duration,
            (Type::Integer | Type::Double | Type::Duration, _) if left == right => left.clone(),
            _ => {
                let help =
                    matches!(left, Type::Timestamp).then(|| "a duration is written duration(\"72h\")".to_owned());
                self.fault(at, &format!("{right} cannot be subtracted from {left}"), "this difference", help);
                Type::Unknown
            }
        }
    }

    fn product(&mut self, at: Range<usize>, left: &Type, right: &Type) -> Type {
        match (left, right) {
            (Type::Unknown, _) | (_, Type::Unknown) => Type::Unknown,
            (Type::Integer | Type::Double, _) if left == right => left.clone(),
            _ => {
                self.fault(at, &format!("{left} and {right} cannot be multiplied"), "this product", None);
                Type::Unknown
            }
        }
    }

    fn size(&mut self, at: Range<usize>, measured: &Type) -> Type {
        if !matches!(measured, Type::Text | Type::List(_) | Type::Map(_) | Type::Unknown) {
            self.fault(at, &format!("{measured} has no size"), "only texts, lists and maps have one", None);
        }
        Type::Integer
    }

    /// A time or a length of time that is written down: only a literal can be read beforehand.
    fn written(&mut self, call: &CallExpr, found: Type) -> Type {
        let argument = &call.args[0];
        let at = self.place(argument);
        let Expr::Literal(LiteralValue::String(text)) = &argument.expr else {
            let message = format!("`{}` takes a text in quotes", call.func_name);
            self.fault(at, &message, "not a text in quotes", None);
            return found;
        };
        // Asked of CEL itself, so that what passes here passes there.
        let probe = IdedExpr { id: 0, expr: Expr::Call(call.clone()) };
        if cel::Value::resolve(&probe, &cel::Context::with_env(super::ENV.clone())).is_err() {
            let (what, help) = match found {
                Type::Timestamp => ("a time", "write it as \"2026-11-23T14:43:00Z\""),
                _ => ("a length of time", "CEL knows h, m, s and ms: 14 days are \"336h\""),
            };
            let message = format!("`{}` is not {what}", text.inner());
            self.fault(at, &message, "cannot be read", Some(help.to_owned()));
        }
        found
    }

    /// What `exists`, `all`, `exists_one`, `map` and `filter` expand to.
    fn comprehension(&mut self, comprehension: &mut ComprehensionExpr) -> Type {
        let range = self.infer(&mut comprehension.iter_range);
        let member = match &range {
            Type::List(member) => (**member).clone(),
            Type::Map(_) => Type::Text,
            Type::Unknown => Type::Unknown,
            other => {
                let at = self.place(&comprehension.iter_range);
                self.fault(at, &format!("{other} has no members"), "not a list or a map", None);
                Type::Unknown
            }
        };
        self.loops += 1;
        if self.loops > MAX_LOOPS {
            let at = self.place(&comprehension.iter_range);
            let message = format!("`exists`, `all`, `map` and `filter` stand in one another, {MAX_LOOPS} deep at most");
            self.fault(at, &message, "one too deep", Some("divide the set in two".to_owned()));
        }
        let start = self.infer(&mut comprehension.accu_init);
        let outside = self.variables.len();
        self.variables.push((comprehension.accu_var.clone(), start.clone()));
        self.variables.push((comprehension.iter_var.clone(), member));
        self.infer(&mut comprehension.loop_cond);
        let step = self.infer(&mut comprehension.loop_step);
        self.variables.truncate(outside);
        let end = if step.fits(&start) { step } else { start };
        self.variables.push((comprehension.accu_var.clone(), end));
        let result = self.infer(&mut comprehension.result);
        self.variables.truncate(outside);
        self.loops -= 1;
        result
    }

    /// The place of an expression with all its parts, in bytes.
    fn place(&self, expression: &IdedExpr) -> Range<usize> {
        let mut span: Option<(u32, u32)> = None;
        self.extend(expression, &mut span);
        let Some((first, last)) = span else { return 0..self.text.len() };
        let byte = |index: u32| self.text.ceil_char_boundary(index as usize);
        let end = byte(last + 1);
        let end = match &expression.expr {
            // The parser notes the dot of a selection, not the name behind it.
            Expr::Select(select) => {
                let after = &self.text[end..];
                let gap = after.len() - after.trim_start().len();
                if after[gap..].starts_with(&select.field) { end + gap + select.field.len() } else { end }
            }
            _ => end,
        };
        byte(first)..end
    }

    fn extend(&self, expression: &IdedExpr, span: &mut Option<(u32, u32)>) {
        if let Some((start, stop)) = self.source.offset_for(expression.id) {
            let stop = stop.max(start);
            *span = Some(span.map_or((start, stop), |(first, last)| (first.min(start), last.max(stop))));
        }
        match &expression.expr {
            Expr::Call(call) => {
                call.target.iter().for_each(|target| self.extend(target, span));
                call.args.iter().for_each(|argument| self.extend(argument, span));
            }
            Expr::Select(select) => self.extend(&select.operand, span),
            Expr::List(list) => list.elements.iter().for_each(|element| self.extend(element, span)),
            Expr::Comprehension(comprehension) => self.extend(&comprehension.iter_range, span),
            _ => {}
        }
    }
}

/// Whether it is what a macro has gathered so far: a name that nobody can write.
fn is_gathered(expression: &IdedExpr) -> bool {
    matches!(&expression.expr, Expr::Ident(name) if name.starts_with('@') || name.starts_with("__"))
}

/// `key in map ? map[key] : ""`.
fn lookup(id: u64, map: IdedExpr, key: IdedExpr) -> Expr {
    let node = |expr| IdedExpr { id, expr };
    let call = |name: &str, args| Expr::Call(CallExpr { func_name: name.to_owned(), target: None, args });
    let there = node(call(op::IN, vec![key.clone(), map.clone()]));
    let value = node(call(op::INDEX, vec![map, key]));
    let nothing = node(Expr::Literal(LiteralValue::String(String::new().into())));
    call(op::CONDITIONAL, vec![there, value, nothing])
}
