//! The parameters of a request, read once into the typed structure of its operation.
//!
//! Forms carry texts only: `MinCount=3&DryRun=true&Filter.1.Value.2=x`. A number or a flag that is read as the wrong type
//! would silently become its default, so every operation declares a structure, and a text that does not fit is an error.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::value::{MapDeserializer, SeqDeserializer};
use serde::de::{self, DeserializeOwned, IntoDeserializer, Visitor};
use serde_json::Value;

use crate::sim::call::Refusal;

/// The parameters of a call, not yet typed.
#[derive(Debug, Clone)]
pub enum Params {
    /// Of the query protocols (EC2, IAM, STS, Auto Scaling).
    Form(Form),
    /// Of the JSON protocols.
    Json(Value),
}

impl Params {
    /// The document of a call of a JSON service; `null` for a form.
    pub fn json(&self) -> &Value {
        match self {
            Self::Json(json) => json,
            Self::Form(_) => &Value::Null,
        }
    }

    /// Reads them as the operation's structure. A missing parameter, a text of the wrong form and (where the structure
    /// denies unknown fields) a parameter that the simulator does not know are refused.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, Refusal> {
        let read = match self {
            Self::Form(form) => T::deserialize(form.clone()).map_err(|error| error.0),
            Self::Json(json) => T::deserialize(json).map_err(|error| error.to_string()),
        };
        read.map_err(|message| {
            let code = match &message {
                m if m.starts_with("missing field") => "MissingParameter",
                m if m.starts_with("unknown field") => "UnknownParameter",
                _ => "InvalidParameterValue",
            };
            Refusal::new(400, code, message)
        })
    }
}

/// The deepest tree that is made of a form; AWS's own parameters are half as deep. What is left of a longer path is one name,
/// which no operation knows.
const MAX_DEPTH: usize = 24;

/// A form, as a tree: `Filter.1.Value.2` is four levels deep.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Form {
    /// A value.
    Text(String),
    /// What stands behind the next dot. Lists are numbered from 1; IAM and STS put `member` in between.
    Tree(BTreeMap<String, Form>),
}

impl Default for Form {
    fn default() -> Self {
        Self::Tree(BTreeMap::new())
    }
}

impl Form {
    /// Parses `application/x-www-form-urlencoded`, leaving out `Action` and `Version`.
    pub fn parse(body: &[u8]) -> Self {
        let mut root = Self::default();
        for (key, value) in form_urlencoded::parse(body) {
            if key != "Action" && key != "Version" {
                root.insert(key.splitn(MAX_DEPTH, '.'), value.into_owned());
            }
        }
        root
    }

    /// A document as a form: members and items become what stands behind a dot.
    pub fn of(value: &Value) -> Self {
        match value {
            Value::Object(members) => {
                Self::Tree(members.iter().map(|(name, member)| (name.clone(), Self::of(member))).collect())
            }
            Value::Array(items) => {
                Self::Tree((1..).zip(items).map(|(n, item)| (n.to_string(), Self::of(item))).collect())
            }
            Value::String(text) => Self::Text(text.clone()),
            other => Self::Text(other.to_string()),
        }
    }

    fn insert<'p>(&mut self, path: impl Iterator<Item = &'p str>, value: String) {
        let mut place = self;
        for name in path {
            // What stands beside a value cannot stand below it.
            let Self::Tree(tree) = place else { return };
            place = tree.entry(name.to_owned()).or_default();
        }
        *place = Self::Text(value);
    }

    /// The items of a list, in the order of their numbers.
    fn items(self) -> Result<Vec<Self>, FormError> {
        match self {
            // `EmptyList=` is how some clients send a list without items.
            Self::Text(text) if text.is_empty() => Ok(Vec::new()),
            Self::Text(text) => Err(FormError(format!("`{text}` is not a list"))),
            Self::Tree(mut tree) => {
                if let (1, Some(member)) = (tree.len(), tree.remove("member")) {
                    return member.items();
                }
                let mut items = Vec::with_capacity(tree.len());
                for (number, item) in tree {
                    let number: u32 =
                        number.parse().map_err(|_| FormError(format!("`{number}` is not the number of an item")))?;
                    items.push((number, item));
                }
                items.sort_by_key(|(number, _)| *number);
                Ok(items.into_iter().map(|(_, item)| item).collect())
            }
        }
    }

    fn text(self) -> Result<String, FormError> {
        match self {
            Self::Text(text) => Ok(text),
            Self::Tree(_) => Err(FormError("a single value is expected".to_owned())),
        }
    }
}

/// Why a form does not fit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FormError(String);

impl fmt::Display for FormError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for FormError {}

impl de::Error for FormError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self(message.to_string())
    }
}

impl IntoDeserializer<'_, FormError> for Form {
    type Deserializer = Self;
    fn into_deserializer(self) -> Self {
        self
    }
}

macro_rules! parsed {
    ($($method:ident $visit:ident $type:ty, $what:literal;)*) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, FormError> {
            let text = self.text()?;
            let value: $type = text.parse().map_err(|_| FormError(format!("`{text}` is not {}", $what)))?;
            visitor.$visit(value)
        })*
    };
}

impl<'de> de::Deserializer<'de> for Form {
    type Error = FormError;

    parsed! {
        deserialize_i8 visit_i8 i8, "a small number";
        deserialize_i16 visit_i16 i16, "a number";
        deserialize_i32 visit_i32 i32, "a number";
        deserialize_i64 visit_i64 i64, "a number";
        deserialize_u8 visit_u8 u8, "a small number";
        deserialize_u16 visit_u16 u16, "a number";
        deserialize_u32 visit_u32 u32, "a number";
        deserialize_u64 visit_u64 u64, "a number";
        deserialize_f32 visit_f32 f32, "a number";
        deserialize_f64 visit_f64 f64, "a number";
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, FormError> {
        let text = self.text()?;
        match text.to_ascii_lowercase().as_str() {
            "true" | "1" => visitor.visit_bool(true),
            "false" | "0" => visitor.visit_bool(false),
            _ => Err(FormError(format!("`{text}` is neither true nor false"))),
        }
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, FormError> {
        match self {
            Self::Text(text) => visitor.visit_string(text),
            Self::Tree(tree) => visitor.visit_map(MapDeserializer::new(tree.into_iter())),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, FormError> {
        visitor.visit_some(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, FormError> {
        visitor.visit_seq(SeqDeserializer::new(self.items()?.into_iter()))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, FormError> {
        visitor.visit_enum(self.text()?.into_deserializer())
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, FormError> {
        visitor.visit_newtype_struct(self)
    }

    serde::forward_to_deserialize_any! {
        char str string bytes byte_buf unit unit_struct tuple tuple_struct map struct identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(rename_all = "PascalCase", deny_unknown_fields)]
    struct RunInstances {
        min_count: u32,
        #[serde(default)]
        dry_run: bool,
        #[serde(default, rename = "Filter")]
        filters: Vec<Filter>,
    }

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(rename_all = "PascalCase")]
    struct Filter {
        name: String,
        #[serde(rename = "Value")]
        values: Vec<String>,
    }

    fn read(form: &str) -> Result<RunInstances, Refusal> {
        Params::Form(Form::parse(form.as_bytes())).read()
    }

    #[test]
    fn texts_become_numbers_flags_and_lists() {
        let body = "Action=RunInstances&Version=2016-11-15&MinCount=3&DryRun=true\
                    &Filter.1.Name=tag%3Aowner&Filter.1.Value.1=a&Filter.1.Value.10=c&Filter.1.Value.2=b";
        let values = ["a", "b", "c"].map(str::to_owned).to_vec();
        let filters = vec![Filter { name: "tag:owner".into(), values }];
        assert_eq!(read(body).unwrap(), RunInstances { min_count: 3, dry_run: true, filters });
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        assert_eq!(read("MinCount=three").unwrap_err().code, "InvalidParameterValue");
        assert_eq!(read("DryRun=true").unwrap_err().code, "MissingParameter");
        assert_eq!(read("MinCount=1&Hibernate=true").unwrap_err().code, "UnknownParameter");
    }

    #[test]
    fn a_path_of_a_million_names_is_no_deep_tree() {
        let body = format!("MinCount=1&{}=x", "a.".repeat(1_000_000));
        assert_eq!(read(&body).unwrap_err().code, "UnknownParameter");
    }

    #[test]
    fn lists_may_have_member_in_between() {
        #[derive(Debug, Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Tags {
            tags: Vec<String>,
        }
        let tags: Tags = Params::Form(Form::parse(b"Tags.member.1=x&Tags.member.2=y")).read().unwrap();
        assert_eq!(tags.tags, ["x", "y"]);
    }
}
