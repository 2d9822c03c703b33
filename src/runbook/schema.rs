//! The JSON Schema of runbook files, for editors.

use schemars::Schema;
use serde_json::{Map, Value, json};

use crate::model::{Catalog, Runbook};

/// The JSON Schema of runbook files: the model's own, with the names of actions and sources, and `with` as the chosen
/// action or source demands it.
pub fn schema(catalog: &Catalog) -> Value {
    let mut schema = schemars::schema_for!(Runbook).to_value();
    schema["title"] = json!("quell runbook");
    schema["properties"]["quell"] = json!({ "description": "The version of the format.", "const": 1 });
    if let Some(role) = schema.pointer_mut("/$defs/Role") {
        let mapping = role.take();
        *role = json!({ "anyOf": [
            { "type": "string", "description": "The role's path and name, as in `ir/IRResponder`." },
            mapping,
        ] });
    }
    let actions = catalog.actions.values().map(|action| Choice {
        name: action.name,
        title: action.title,
        params: &action.params,
    });
    choose(&mut schema, "Step", "uses", actions);
    let sources = catalog.sources.values().map(|source| Choice {
        name: source.name,
        title: source.title,
        params: &source.params,
    });
    choose(&mut schema, "SetSpec", "from", sources);
    schema
}

struct Choice<'a> {
    name: &'static str,
    title: &'static str,
    params: &'a Schema,
}

/// Lets `key` of a definition be one of the choices only, and `with` what the choice demands.
fn choose<'a>(schema: &mut Value, definition: &str, key: &str, choices: impl Iterator<Item = Choice<'a>>) {
    let mut names = Vec::new();
    let mut rules = Vec::new();
    for choice in choices {
        names.push(json!({ "const": choice.name, "description": choice.title }));
        let mut params = choice.params.as_value().clone();
        let required = params.get("required").and_then(Value::as_array).is_some_and(|required| !required.is_empty());
        adopt(schema, &mut params, choice.name);
        fillable(&mut params);
        let mut then = json!({ "properties": { "with": params } });
        if required {
            then["required"] = json!(["with"]);
        }
        rules.push(json!({
            "if": { "properties": { key: { "const": choice.name } }, "required": [key] },
            "then": then,
        }));
    }
    if let Some(definition) = schema.pointer_mut(&format!("/$defs/{definition}")) {
        definition["properties"][key] = json!({ "oneOf": names });
        definition["allOf"] = Value::Array(rules);
    }
}

/// Moves the definitions of an action's parameters to the whole schema's, under names of their own.
fn adopt(schema: &mut Value, params: &mut Value, owner: &str) {
    let Some(params) = params.as_object_mut() else { return };
    params.remove("$schema");
    params.remove("title");
    let Some(Value::Object(definitions)) = params.remove("$defs") else { return };
    let renamed = |name: &str| format!("{owner}.{name}");
    for value in params.values_mut() {
        redirect(value, owner);
    }
    for (name, mut definition) in definitions {
        redirect(&mut definition, owner);
        fillable(&mut definition);
        schema["$defs"][renamed(&name)] = definition;
    }
}

fn redirect(value: &mut Value, owner: &str) {
    match value {
        Value::Object(map) => {
            if let Some(Value::String(reference)) = map.get_mut("$ref")
                && let Some(name) = reference.strip_prefix("#/$defs/")
            {
                *reference = format!("#/$defs/{owner}.{name}");
            }
            map.values_mut().for_each(|value| redirect(value, owner));
        }
        Value::Array(items) => items.iter_mut().for_each(|item| redirect(item, owner)),
        _ => {}
    }
}

/// Lets every property that is not a text be a template as well.
fn fillable(schema: &mut Value) {
    let Some(Value::Object(properties)) = schema.get_mut("properties") else { return };
    for property in properties.values_mut() {
        fillable(property);
        if property.get("type") == Some(&json!("string")) {
            continue;
        }
        let mut either = Map::new();
        if let Some(description) = property.get("description") {
            either.insert("description".to_owned(), description.clone());
        }
        let template = json!({ "type": "string", "pattern": r"^\$\{\{ *inputs\.[A-Za-z0-9_]+ *\}\}$" });
        either.insert("anyOf".to_owned(), json!([property.take(), template]));
        *property = Value::Object(either);
    }
}
