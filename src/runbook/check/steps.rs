//! `steps`.

use std::ops::Range;

use super::fields::{self, Fields};
use super::{Scope, params};
use crate::model::{ActionName, ActionSpec, OnFailure, SetName, Step, StepId, Tier};
use crate::runbook::diagnostic::Mistakes;
use crate::runbook::graph;
use crate::runbook::load::{Data, Node};
use crate::runbook::suggest::did_you_mean;

const KEYS: &[&str] = &["id", "uses", "on", "accounts_of", "with", "needs", "at_most", "approval", "on_failure"];
const ON_FAILURE: &[(&str, OnFailure)] = &[("hold", OnFailure::Hold), ("continue", OnFailure::Continue)];
const TIERS: &[(&str, Tier)] = &[
    ("read", Tier::Read),
    ("reversible", Tier::Reversible),
    ("disruptive", Tier::Disruptive),
    ("destructive", Tier::Destructive),
];

pub(super) fn read(node: &Node, scope: &Scope<'_>, mistakes: &mut Mistakes) -> Vec<Step> {
    let Some(items) = fields::items(node, "`steps`", mistakes) else { return Vec::new() };
    if items.is_empty() {
        mistakes.error(&node.at, "a runbook without steps does nothing", "an empty list");
    }
    let ids: Vec<_> = items.iter().map(id_of).collect();
    for (index, id) in ids.iter().enumerate() {
        let Some((id, at)) = id else { continue };
        if ids[..index].iter().flatten().any(|(before, _)| before == id) {
            let help = "every step has an id of its own";
            mistakes.error(at, format!("there are two steps `{id}`"), "the second one").help(help);
        }
    }
    let known: Vec<_> = ids.iter().flatten().map(|(id, _)| *id).collect();
    let steps = items.iter().filter_map(|item| step(item, &known, scope, mistakes)).collect();
    cycles(items, mistakes);
    steps
}

fn step(node: &Node, ids: &[&str], scope: &Scope<'_>, mistakes: &mut Mistakes) -> Option<Step> {
    let fields = Fields::read(node, "a step", KEYS, mistakes)?;
    let id_node = fields.required("id", mistakes);
    let id = id_node.and_then(|node| fields::parsed::<StepId>(node, "a step id", mistakes));
    let uses = fields.required("uses", mistakes);
    let uses_name = uses.and_then(|node| fields::text(node, "an action", mistakes));
    let action = uses_name.as_deref().and_then(|name| scope.catalog.actions.get(name));
    if let (Some(node), Some(name), None) = (uses, &uses_name, action) {
        let help = if scope.catalog.sources.contains_key(name) {
            format!("`{name}` is a source: it belongs behind `from` in a set")
        } else {
            did_you_mean(name, scope.catalog.actions.keys().map(String::as_str))
        };
        mistakes.error(&node.at, format!("there is no action `{name}`"), "unknown action").help(help);
    }
    let on = on(&fields, uses, action, scope, mistakes);
    let accounts_of = fields.get("accounts_of").map(|node| accounts_of(node, action, scope, mistakes));
    let with = fields.get("with");
    if let (Some(action), Some(uses)) = (action, uses) {
        params::check(action.name, &action.params, with, &uses.at, scope, mistakes);
    }
    let needs = fields.get("needs").map(|needs| self::needs(needs, id_of(node), ids, mistakes)).unwrap_or_default();
    let at_most = fields.get("at_most").and_then(|node| {
        let number = fields::number(node, "`at_most`", mistakes)?;
        if number == 0 {
            let help = "at least 1; to leave a step out, drop it";
            mistakes.error(&node.at, "a step with at most 0 changes never does anything", "never").help(help);
        }
        Some(number)
    });
    let approval = fields.get("approval").and_then(|node| {
        let tier = fields::one_of(node, "`approval`", TIERS, mistakes)?;
        if let Some(action) = action.filter(|action| tier < action.tier) {
            let message = format!("`{}` is {} and cannot be approved as {tier}", action.name, action.tier);
            mistakes
                .error(&node.at, message, "a milder tier")
                .help("`approval` only asks for more than the action does");
        }
        Some(tier)
    });
    let on_failure =
        fields.get("on_failure").and_then(|node| fields::one_of(node, "`on_failure`", ON_FAILURE, mistakes));
    Some(Step {
        id: id?,
        uses: ActionName::new(uses_name?).ok()?,
        on,
        accounts_of: accounts_of.unwrap_or_default(),
        with: with.map(Node::json_map).unwrap_or_default(),
        needs,
        at_most,
        approval,
        on_failure,
    })
}

/// The set that the step works on: it must be there, and of a kind that the action knows.
fn on(
    fields: &Fields<'_>,
    uses: Option<&Node>,
    action: Option<&ActionSpec>,
    scope: &Scope<'_>,
    mistakes: &mut Mistakes,
) -> Option<SetName> {
    let kinds = action.map(|action| action.kinds);
    let on_accounts = kinds.is_some_and(|kinds| kinds == ["account"]);
    let Some(node) = fields.get("on") else {
        if let (Some(uses), Some(action), false) = (uses, action, on_accounts) {
            let fitting =
                scope.sets.iter().filter(|(_, source)| source.is_some_and(|s| action.kinds.contains(&s.kind)));
            let fitting: Vec<_> = fitting.map(|(name, _)| format!("`on: {name}`")).collect();
            let help = match fitting.as_slice() {
                [] => format!("define a set of {} and name it behind `on`", or(action.kinds)),
                some => format!("add {}", some.join(" or ")),
            };
            let message = format!("`{}` works on {}, and the step has no `on`", action.name, or(action.kinds));
            mistakes.error(&uses.at, message, "on what?").help(help);
        }
        return None;
    };
    let name = fields::text(node, "the name of a set", mistakes)?;
    if let (Some(action), true) = (action, on_accounts) {
        let message = format!("`{}` works on the target accounts themselves, not on a set", action.name);
        mistakes.error(&node.at, message, "needless").help("drop `on`");
        return None;
    }
    match scope.sets.get(&name) {
        None => {
            let help = did_you_mean(&name, scope.sets.keys().map(String::as_str));
            mistakes.error(&node.at, format!("there is no set `{name}`"), "unknown set").help(help);
        }
        Some(Some(source)) if kinds.is_some_and(|kinds| !kinds.contains(&source.kind)) => {
            let kinds = or(kinds.unwrap_or_default());
            let action = action.map_or("", |action| action.name);
            let message = format!("`{action}` works on {kinds}, and the members of `{name}` are {}", source.kind);
            mistakes.error(&node.at, message, format!("a set of {}", source.kind));
        }
        Some(_) => {}
    }
    SetName::new(&name).ok()
}

/// The sets whose accounts the step works on.
fn accounts_of(node: &Node, action: Option<&ActionSpec>, scope: &Scope<'_>, mistakes: &mut Mistakes) -> Vec<SetName> {
    if let Some(action) = action.filter(|action| action.kinds != ["account"]) {
        let message = format!("`{}` works on {}, not on accounts", action.name, or(action.kinds));
        mistakes.error(&node.at, message, "needless").help("drop `accounts_of`");
        return Vec::new();
    }
    let mut sets = Vec::new();
    for item in fields::items(node, "`accounts_of`", mistakes).unwrap_or_default() {
        let Some(name) = fields::text(item, "the name of a set", mistakes) else { continue };
        if !scope.sets.contains_key(&name) {
            let help = did_you_mean(&name, scope.sets.keys().map(String::as_str));
            mistakes.error(&item.at, format!("there is no set `{name}`"), "unknown set").help(help);
        }
        sets.extend(SetName::new(&name));
    }
    sets
}

fn needs(node: &Node, id: Option<(&str, Range<usize>)>, ids: &[&str], mistakes: &mut Mistakes) -> Vec<StepId> {
    let mut needs = Vec::new();
    for item in fields::items(node, "`needs`", mistakes).unwrap_or_default() {
        let Some(name) = fields::text(item, "the id of a step", mistakes) else { continue };
        let own = id.as_ref().map(|(id, _)| *id);
        if !ids.contains(&name.as_str()) {
            let help = did_you_mean(&name, ids.iter().copied().filter(|id| Some(*id) != own));
            mistakes.error(&item.at, format!("there is no step `{name}`"), "unknown step").help(help);
            continue;
        }
        let Ok(need) = StepId::new(&name) else { continue };
        if needs.contains(&need) {
            mistakes.warning(&item.at, format!("`{name}` is needed twice"), "needless");
            continue;
        }
        needs.push(need);
    }
    needs
}

/// Reports every circle of steps that wait for one another, once, at the `needs` that closes it.
fn cycles(items: &[Node], mistakes: &mut Mistakes) {
    let edges: Vec<(&str, Vec<&str>)> = items
        .iter()
        .filter_map(|item| {
            let (id, _) = id_of(item)?;
            let needs = match field(item, "needs").map(|node| &node.data) {
                Some(Data::List(needs)) => needs.iter().filter_map(Node::text).collect(),
                _ => Vec::new(),
            };
            Some((id, needs))
        })
        .collect();
    for cycle in graph::cycles(&edges) {
        let first = items.iter().find(|item| id_of(item).is_some_and(|(id, _)| id == cycle[0]));
        let Some(needs) = first.and_then(|item| field(item, "needs")) else { continue };
        let path = cycle.join(" → ");
        let message = match cycle.as_slice() {
            [one, _] => format!("the step `{one}` needs itself"),
            _ => format!("these steps wait for one another for ever: {path}"),
        };
        mistakes.error(&needs.at, message, path).help("drop one of these `needs`");
    }
}

fn field<'n>(node: &'n Node, name: &str) -> Option<&'n Node> {
    match &node.data {
        Data::Mapping(entries) => entries.iter().find(|(key, _)| key.text == name).map(|(_, node)| node),
        _ => None,
    }
}

fn id_of(node: &Node) -> Option<(&str, Range<usize>)> {
    let id = field(node, "id")?;
    Some((id.text()?, id.at.clone()))
}

fn or(kinds: &[&str]) -> String {
    kinds.join(" or ")
}
