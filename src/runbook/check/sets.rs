//! `sets`.

use indexmap::IndexMap;

use super::fields::{self, Fields};
use super::{Scope, params};
use crate::model::{ActionName, SetName, SetSpec, SourceSpec};
use crate::runbook::diagnostic::Mistakes;
use crate::runbook::load::{Data, Node};
use crate::runbook::predicate::{Fault, Predicate};
use crate::runbook::suggest::did_you_mean;

/// Reads the sets, and tells the scope where each comes from.
pub(super) fn read(node: &Node, scope: &mut Scope<'_>, mistakes: &mut Mistakes) -> IndexMap<SetName, SetSpec> {
    let mut sets = IndexMap::new();
    for (key, node) in fields::entries(node, "`sets`", mistakes).unwrap_or_default() {
        let name = SetName::new(&key.text);
        if let Err(error) = &name {
            mistakes.error(&key.at, error.to_string(), "not a name");
        }
        let (source, set) = set(node, scope, mistakes);
        scope.sets.insert(key.text.clone(), source);
        if let (Ok(name), Some(set)) = (name, set) {
            sets.insert(name, set);
        }
    }
    sets
}

fn set<'a>(node: &Node, scope: &Scope<'a>, mistakes: &mut Mistakes) -> (Option<&'a SourceSpec>, Option<SetSpec>) {
    let Some(fields) = Fields::read(node, "a set", &["from", "with", "where", "finding"], mistakes) else {
        return (None, None);
    };
    let from = fields.required("from", mistakes);
    let name = from.and_then(|node| fields::text(node, "the source of a set", mistakes));
    let source = name.as_deref().and_then(|name| scope.catalog.sources.get(name));
    if let (Some(node), Some(name), None) = (from, &name, source) {
        let help = if scope.catalog.actions.contains_key(name) {
            format!("`{name}` is an action: it belongs behind `uses` in a step")
        } else {
            did_you_mean(name, scope.catalog.sources.keys().map(String::as_str))
        };
        mistakes.error(&node.at, format!("there is no source `{name}`"), "unknown source").help(help);
    }
    let with = fields.get("with");
    if let (Some(source), Some(from)) = (source, from) {
        params::check(source.name, &source.params, with, &from.at, scope, mistakes);
    }
    let predicate = fields.get("where").and_then(|node| predicate(node, source, scope, mistakes));
    let finding = fields.get("finding").and_then(|node| fields::text(node, "a finding", mistakes));
    let from = name.and_then(|name| ActionName::new(name).ok());
    let with = with.map(Node::json_map).unwrap_or_default();
    (source, from.map(|from| SetSpec { from, with, predicate, finding }))
}

fn predicate(node: &Node, source: Option<&SourceSpec>, scope: &Scope<'_>, mistakes: &mut Mistakes) -> Option<String> {
    let text = fields::text(node, "a predicate", mistakes)?;
    let kind = scope.catalog.kinds.get(source?.kind)?;
    match Predicate::typed(&text, kind, &scope.inputs) {
        Ok(predicate) if predicate.is_never() => {
            let help = "drop the part that is always false";
            mistakes.error(&node.at, "this set can never have a member", "never true").help(help);
        }
        Ok(_) => {}
        Err(faults) => {
            for Fault { at, message, label, help } in faults {
                let mistake = mistakes.error(&node.inside(&at), message, label);
                if let Some(help) = help {
                    mistake.help(help);
                }
            }
        }
    }
    Some(text)
}

/// Warns of sets that no step works on, and that are no finding either.
pub(super) fn used(sets: &Node, steps: &Node, mistakes: &mut Mistakes) {
    let (Data::Mapping(sets), Data::List(steps)) = (&sets.data, &steps.data) else { return };
    let named = |step: &'_ Node| -> Vec<String> {
        let Data::Mapping(entries) = &step.data else { return Vec::new() };
        let nodes = entries.iter().filter(|(key, _)| ["on", "accounts_of"].contains(&key.text.as_str()));
        let texts = nodes.flat_map(|(_, node)| match &node.data {
            Data::List(items) => items.iter().filter_map(Node::text).collect(),
            _ => Vec::from_iter(node.text()),
        });
        texts.map(str::to_owned).collect()
    };
    let used: Vec<_> = steps.iter().flat_map(named).collect();
    let is_finding =
        |set: &Node| matches!(&set.data, Data::Mapping(fields) if fields.iter().any(|(key, _)| key.text == "finding"));
    for (key, set) in sets {
        if !used.contains(&key.text) && !is_finding(set) {
            let help = "drop it, name it behind `on` in a step, or say under `finding` why it is to be listed";
            mistakes.warning(&key.at, format!("no step works on the set `{}`", key.text), "unused").help(help);
        }
    }
}
