//! `targets` and `break_glass`.

use super::fields::{self, Fields};
use super::{Filled, Scope};
use crate::model::{AccessKeyId, Accounts, InputType, Region, Regions, Role, Targets};
use crate::runbook::diagnostic::Mistakes;
use crate::runbook::load::{Data, Node};
use crate::runbook::suggest::did_you_mean;

pub(super) fn read(node: &Node, scope: &Scope<'_>, mistakes: &mut Mistakes) -> Option<Targets> {
    let fields = Fields::read(node, "`targets`", &["accounts", "regions", "role"], mistakes)?;
    let accounts = match fields.get("accounts") {
        Some(node) => accounts(node, scope, mistakes),
        None => Some(Accounts::default()),
    };
    let regions = match fields.get("regions") {
        Some(node) => regions(node, scope, mistakes),
        None => Some(Regions::default()),
    };
    let role_node = fields.get("role");
    let role = role_node.and_then(|node| role(node, scope, mistakes));
    if role_node.is_none() && !matches!(accounts, Some(Accounts::Own) | None) {
        let at = fields.get("accounts").map_or_else(|| node.at.clone(), |node| node.at.clone());
        let help = "add `role: path/NAME`, the role to assume in the accounts that are not the caller's own";
        mistakes.warning(&at, "other accounts cannot be entered without a role", "no `role` beside this").help(help);
    }
    Some(Targets { accounts: accounts?, regions: regions?, role })
}

/// The roles that must never be locked out.
pub(super) fn roles(node: &Node, scope: &Scope<'_>, mistakes: &mut Mistakes) -> Vec<String> {
    let mut roles = Vec::new();
    for item in fields::items(node, "`break_glass`", mistakes).unwrap_or_default() {
        let Some(text) = text(item, "a role", TEXTS_AND_LISTS, scope, mistakes) else { continue };
        let is_arn = text.starts_with("arn:") && text.contains(":role/");
        if !(is_arn || text.starts_with("role/") || text.starts_with("${{")) {
            let message = format!("`{text}` is not a role");
            let help = format!("write `role/{text}`, or the role's ARN");
            mistakes.error(&item.at, message, "not a role").help(help);
        }
        roles.push(text);
    }
    roles
}

fn accounts(node: &Node, scope: &Scope<'_>, mistakes: &mut Mistakes) -> Option<Accounts> {
    match &node.data {
        Data::List(items) => {
            let ids = items.iter().map(|item| {
                // 012345678901 is a number to YAML; here its digits are what counts.
                if let Data::Scalar { text, value: serde_json::Value::Number(_), .. } = &item.data {
                    return account(item, text, mistakes);
                }
                let types = &[InputType::AccountId, InputType::AccessKeyId, InputType::String, InputType::StringList];
                let id = text(item, "an account", types, scope, mistakes)?;
                if id.contains("${{") { Some(id) } else { account(item, &id, mistakes) }
            });
            let ids: Vec<_> = ids.collect();
            nonempty(node, items.len(), "accounts", mistakes);
            Some(Accounts::Listed(ids.into_iter().collect::<Option<_>>()?))
        }
        Data::Mapping(_) => {
            let fields = Fields::read(node, "`accounts`", &["of_key", "ou", "file"], mistakes)?;
            match (fields.get("of_key"), fields.get("ou"), fields.get("file")) {
                (Some(key), None, None) => {
                    let types = &[InputType::AccessKeyId, InputType::String];
                    let id = text(key, "an access key id", types, scope, mistakes)?;
                    if !id.contains("${{")
                        && let Err(error) = AccessKeyId::new(&id)
                    {
                        mistakes.error(&key.at, error.to_string(), "not an access key id");
                    }
                    Some(Accounts::OfKey(id))
                }
                (None, Some(ou), None) => {
                    let id = text(ou, "an organisational unit", &[InputType::String], scope, mistakes)?;
                    if !id.contains("${{") && !id.starts_with("ou-") && !id.starts_with("r-") {
                        let message = format!("`{id}` is not the id of an organisational unit");
                        mistakes
                            .error(&ou.at, message, "not an id")
                            .help("such as ou-ab12-11111111, or a root: r-ab12");
                    }
                    Some(Accounts::Ou(id))
                }
                (None, None, Some(file)) => {
                    Some(Accounts::File(text(file, "the path of a file", &[InputType::String], scope, mistakes)?))
                }
                (None, None, None) => {
                    mistakes.error(&node.at, "`accounts` needs `of_key`, `ou` or `file`", "none is here");
                    None
                }
                _ => {
                    let message = "`of_key`, `ou` and `file` exclude each other";
                    mistakes
                        .error(&node.at, message, "more than one")
                        .help("a list holds keys, units and ids together");
                    None
                }
            }
        }
        Data::Scalar { text, .. } => match text.as_str() {
            "self" => Some(Accounts::Own),
            "organization" => Some(Accounts::Organization),
            other => {
                let message = format!("`{other}` is not a choice of accounts");
                let help = format!(
                    "{}; or [ids], {{ ou: ou-… }}, {{ of_key: AKIA… }}, {{ file: PATH }}",
                    did_you_mean(other, ["self", "organization"])
                );
                mistakes.error(&node.at, message, "unknown").help(help);
                None
            }
        },
    }
}

fn account(node: &Node, id: &str, mistakes: &mut Mistakes) -> Option<String> {
    match Accounts::item(id) {
        Ok(_) => Some(id.to_owned()),
        Err(error) => {
            mistakes.error(&node.at, error.to_string(), "not an account id");
            None
        }
    }
}

fn regions(node: &Node, scope: &Scope<'_>, mistakes: &mut Mistakes) -> Option<Regions> {
    let items = match &node.data {
        Data::List(items) => items,
        Data::Scalar { text, .. } if text == "enabled" => return Some(Regions::Enabled),
        _ => {
            let message = "`regions` is `enabled` or a list of names";
            mistakes.error(&node.at, message, node.what()).help("write `enabled`, or [eu-west-3, us-east-1]");
            return None;
        }
    };
    nonempty(node, items.len(), "regions", mistakes);
    let names = items.iter().map(|item| {
        let name = text(item, "a region", TEXTS_AND_LISTS, scope, mistakes)?;
        if name.contains("${{") {
            return Some(name);
        }
        let known = Region::new(&name).is_ok_and(|region| !region.is_global() && region.as_str().contains('-'));
        if !known {
            let message = format!("`{name}` is not a region");
            mistakes.error(&item.at, message, "not a region").help("such as eu-west-3");
        }
        known.then_some(name)
    });
    let names: Vec<_> = names.collect();
    Some(Regions::Listed(names.into_iter().collect::<Option<_>>()?))
}

fn nonempty(node: &Node, length: usize, what: &str, mistakes: &mut Mistakes) {
    if length == 0 {
        mistakes.error(&node.at, format!("the list of {what} is empty"), "nothing would be looked at");
    }
}

/// A role is written as `path/NAME` or as a mapping.
fn role(node: &Node, scope: &Scope<'_>, mistakes: &mut Mistakes) -> Option<Role> {
    let (name_node, external_id, source_identity) = if let Data::Mapping(_) = &node.data {
        let fields = Fields::read(node, "`role`", &["name", "external_id", "source_identity"], mistakes)?;
        let mut told = |key: &str, what: &'static str| {
            fields.get(key).and_then(|node| text(node, what, &[InputType::String], scope, mistakes))
        };
        let (external, identity) =
            (told("external_id", "an external id"), told("source_identity", "a source identity"));
        (fields.required("name", mistakes)?, external, identity)
    } else {
        (node, None, None)
    };
    let name = text(name_node, "a role", &[InputType::String], scope, mistakes)?;
    if name.starts_with("arn:") || name.starts_with('/') || name.starts_with("role/") || name.is_empty() {
        let short = name.rsplit_once("role/").map_or_else(|| name.trim_start_matches('/'), |(_, short)| short);
        let message = format!("`{name}` is not the path and name of a role");
        mistakes
            .error(&name_node.at, message, "not as such")
            .help(format!("write `{short}`: it is looked for in every account"));
        return None;
    }
    Some(Role { name, external_id, source_identity })
}

const TEXTS_AND_LISTS: &[InputType] = &[InputType::Arn, InputType::String, InputType::StringList];

/// A text that may be filled in by inputs of these types.
fn text(node: &Node, what: &str, types: &[InputType], scope: &Scope<'_>, mistakes: &mut Mistakes) -> Option<String> {
    let text = fields::text(node, what, mistakes)?;
    match scope.templates(node, &text, mistakes) {
        Filled::Whole(found) if !types.contains(&found) => {
            let message =
                format!("{what} is needed here, and this input is {}", crate::runbook::inputs::expected(found));
            mistakes.error(&node.at, message, "an input of another type");
            None
        }
        _ => Some(text),
    }
}
