//! Filling a runbook in.

use serde_json::{Map, Value};

use super::template;
use crate::model::{AccessKeyId, Accounts, Region, Regions, Runbook};

/// A runbook that these inputs do not fit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {why}")]
pub struct ResolveError {
    /// Where in the runbook: `targets.accounts`, ``step `keys` ``.
    pub place: String,
    /// What is wrong there.
    pub why: String,
}

/// Returns the runbook with every template filled in; `inputs` is what [`super::inputs::read`] returned. A template that is the whole text keeps the input's type, and the template of a list inside a list puts its
/// members there; inside a longer text it is written in. The result is what its types promise: accounts, keys and regions
/// are checked again, now that they are known.
pub fn resolve(runbook: &Runbook, inputs: &Map<String, Value>) -> Result<Runbook, ResolveError> {
    let fill = Fill { inputs };

    let mut resolved = runbook.clone();
    resolved.targets.accounts = fill.accounts(&runbook.targets.accounts)?;
    resolved.targets.regions = fill.regions(&runbook.targets.regions)?;
    if let Some(role) = &mut resolved.targets.role {
        role.name = fill.text("targets.role", &role.name)?;
        if let Some(external_id) = &mut role.external_id {
            *external_id = fill.text("targets.role", external_id)?;
        }
        if let Some(source_identity) = &mut role.source_identity {
            *source_identity = fill.text("targets.role", source_identity)?;
        }
    }
    resolved.break_glass = fill.texts("break_glass", &runbook.break_glass)?;
    for (name, set) in &mut resolved.sets {
        set.with = fill.map(&format!("set `{name}`"), &set.with)?;
    }
    for work in &mut resolved.by_hand {
        work.what = fill.text("by_hand", &work.what)?;
        work.steps = fill.texts("by_hand", &work.steps)?;
    }
    for step in &mut resolved.steps {
        step.with = fill.map(&format!("step `{}`", step.id), &step.with)?;
    }
    Ok(resolved)
}

struct Fill<'a> {
    inputs: &'a Map<String, Value>,
}

impl Fill<'_> {
    fn accounts(&self, accounts: &Accounts) -> Result<Accounts, ResolveError> {
        let place = "targets.accounts";
        Ok(match accounts {
            Accounts::Own => Accounts::Own,
            Accounts::Organization => Accounts::Organization,
            Accounts::OfKey(key) => {
                let key = self.text(place, key)?;
                Accounts::OfKey(checked(place, key, |key| AccessKeyId::new(key).map(drop))?)
            }
            Accounts::Ou(ou) => Accounts::Ou(self.text(place, ou)?),
            Accounts::File(path) => Accounts::File(self.text(place, path)?),
            Accounts::Listed(ids) => {
                let ids = self.texts(place, ids)?.into_iter();
                let checked = ids.map(|id| checked(place, id, |id| Accounts::item(id).map(drop)));
                let ids: Vec<_> = checked.collect::<Result<_, _>>()?;
                if ids.is_empty() {
                    let why = "the list is empty: nothing would be looked at".to_owned();
                    return Err(ResolveError { place: place.to_owned(), why });
                }
                Accounts::Listed(ids)
            }
        })
    }

    fn regions(&self, regions: &Regions) -> Result<Regions, ResolveError> {
        let place = "targets.regions";
        let Regions::Listed(names) = regions else { return Ok(regions.clone()) };
        let names = self.texts(place, names)?.into_iter();
        let checked = names.map(|name| checked(place, name, |name| Region::new(name).map(drop)));
        Ok(Regions::Listed(checked.collect::<Result<_, _>>()?))
    }

    fn text(&self, place: &str, text: &str) -> Result<String, ResolveError> {
        match self.value(place, &Value::from(text))? {
            Value::String(text) => Ok(text),
            other => Err(ResolveError { place: place.to_owned(), why: format!("{other} is not a text") }),
        }
    }

    fn texts(&self, place: &str, texts: &[String]) -> Result<Vec<String>, ResolveError> {
        let filled = self.value(place, &texts.iter().map(|text| Value::from(text.as_str())).collect())?;
        serde_json::from_value(filled).map_err(|error| ResolveError { place: place.to_owned(), why: error.to_string() })
    }

    fn map(&self, place: &str, map: &Map<String, Value>) -> Result<Map<String, Value>, ResolveError> {
        map.iter().map(|(key, value)| Ok((key.clone(), self.value(place, value)?))).collect()
    }

    fn value(&self, place: &str, value: &Value) -> Result<Value, ResolveError> {
        Ok(match value {
            Value::String(text) => {
                template::fill(text, self.inputs).map_err(|why| ResolveError { place: place.to_owned(), why })?
            }
            Value::Object(map) => Value::Object(self.map(place, map)?),
            Value::Array(items) => {
                let mut filled = Vec::new();
                for item in items {
                    match self.value(place, item)? {
                        Value::Array(members) if item.is_string() => filled.extend(members),
                        one => filled.push(one),
                    }
                }
                Value::Array(filled)
            }
            other => other.clone(),
        })
    }
}

fn checked<E: std::fmt::Display>(
    place: &str,
    text: String,
    check: impl FnOnce(&str) -> Result<(), E>,
) -> Result<String, ResolveError> {
    match check(&text) {
        Ok(()) => Ok(text),
        Err(error) => Err(ResolveError { place: place.to_owned(), why: error.to_string() }),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn runbook() -> Runbook {
        serde_json::from_value(json!({
            "quell": 1, "name": "n", "title": "t",
            "inputs": {
                "key": { "type": "access-key-id" }, "ids": { "type": "string-list" }, "count": { "type": "integer" },
                "since": { "type": "timestamp", "default": "now - 1h" },
            },
            "targets": { "accounts": { "of_key": "${{ inputs.key }}" }, "regions": ["${{ inputs.ids }}", "eu-west-3"] },
            "break_glass": ["role/${{ inputs.count }}/x"],
            "sets": { "s": { "from": "toy.things", "with": { "key": "${{ inputs.key }}" }, "where": "true" } },
            "steps": [{ "id": "a", "uses": "toy.stop", "with": {
                "n": "${{ inputs.count }}", "deep": { "t": ["x-${{ inputs.since }}", "${{ inputs.ids }}"] },
            } }],
        }))
        .unwrap()
    }

    fn resolved(inputs: Value) -> Result<Runbook, ResolveError> {
        resolve(&runbook(), inputs.as_object().unwrap())
    }

    #[test]
    fn no_template_survives() {
        let given = json!({ "key": "AKIAIOSFODNN7EXAMPLE", "ids": ["us-east-1", "us-east-2"], "count": 3, "since": "2026-11-23T13:43:00Z" });
        let resolved = resolved(given).unwrap();
        assert_eq!(resolved.targets.accounts, Accounts::OfKey("AKIAIOSFODNN7EXAMPLE".into()));
        let regions = ["us-east-1", "us-east-2", "eu-west-3"].map(String::from);
        assert_eq!(resolved.targets.regions, Regions::Listed(regions.into()));
        assert_eq!(resolved.break_glass, ["role/3/x"]);
        assert_eq!(
            Value::Object(resolved.steps[0].with.clone()),
            json!({
                "n": 3, "deep": { "t": ["x-2026-11-23T13:43:00Z", "us-east-1", "us-east-2"] },
            })
        );
        assert!(!serde_json::to_string(&resolved).unwrap().contains("${{"));
    }

    #[test]
    fn what_does_not_fit_names_its_place() {
        let error = resolved(json!({ "key": "nokey", "ids": [], "count": 3 })).unwrap_err();
        assert!(error.to_string().starts_with("targets.accounts: `nokey` is not an access key id"), "{error}");
        let error = resolved(json!({ "key": "AKIAIOSFODNN7EXAMPLE", "ids": ["Nowhere!"], "count": 3 })).unwrap_err();
        assert_eq!(error.place, "targets.regions");
        let mut nowhere = runbook();
        nowhere.targets.accounts = Accounts::Listed(vec!["${{ inputs.ids }}".into()]);
        let given = |ids: Value| {
            let given =
                json!({ "key": "AKIAIOSFODNN7EXAMPLE", "ids": ids, "count": 3, "since": "2026-11-23T13:43:00Z" });
            resolve(&nowhere, given.as_object().unwrap())
        };
        assert!(given(json!([])).unwrap_err().to_string().contains("nothing would be looked at"));
        assert!(given(json!(["sandbox"])).unwrap_err().to_string().contains("`sandbox` is not an account id"));
        let error = resolved(json!({ "ids": [], "count": 3 })).unwrap_err();
        assert!(error.why.contains("`key` has no value"), "{error}");
    }
}
