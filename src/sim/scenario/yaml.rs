//! YAML as JSON's data model, which serde then reads.

use saphyr::{LoadableYamlNode, Scalar, Yaml};
use serde_json::{Map, Number, Value};

/// Reads a text that holds one document.
///
/// # Errors
/// The words of what is wrong, with line and column where the text is no YAML.
pub fn read(text: &str) -> Result<Value, String> {
    let documents = Yaml::load_from_str(text).map_err(|error| error.to_string())?;
    match &documents[..] {
        [document] => value(document),
        documents => Err(format!("one document is expected, there are {}", documents.len())),
    }
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
}
