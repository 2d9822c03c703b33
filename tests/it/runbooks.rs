//! The shipped runbooks, against the table that they are carried out with.

use quell::cli::policy::{Holder, Rollback, policy};
use quell::{actions, runbook};

#[test]
fn the_shipped_runbooks_have_no_mistake_and_nothing_odd() {
    let catalog = actions::table().catalog();
    for (name, text) in runbook::shipped() {
        match runbook::load(name, text, &catalog) {
            Ok((runbook, warnings)) => {
                assert_eq!(runbook.name, *name);
                assert_eq!(warnings.iter().map(ToString::to_string).collect::<Vec<_>>(), Vec::<String>::new());
            }
            Err(found) => panic!("{name}: {:#?}", found.errors),
        }
    }
}

#[test]
fn the_examples_of_the_actions_are_right() {
    let catalog = actions::table().catalog();
    for action in catalog.actions.values() {
        let step = without_needs(action.example.trim());
        let set = step.split_once("on: ").and_then(|(_, rest)| rest.split([',', ' ']).next());
        let sources = catalog.sources.values();
        let source =
            sources.into_iter().find(|source| action.kinds.contains(&source.kind) && !source.name.ends_with("-of-key"));
        let sets = match (set, source) {
            (Some(set), Some(source)) => format!("sets: {{ {set}: {{ from: {} }} }}\n", source.name),
            _ => String::new(),
        };
        let text = format!("quell: 1\nname: example\ntitle: An example\n{sets}steps:\n  - {step}\n");
        match runbook::load(action.name, &text, &catalog) {
            Ok((runbook, _)) => assert_eq!(runbook.steps[0].uses.as_str(), action.name),
            Err(found) => panic!("{text}\n{:#?}", found.errors),
        }
    }
}

/// An example may name a step that comes before it; here it stands alone.
fn without_needs(step: &str) -> String {
    match step.split_once(", needs: [") {
        Some((before, rest)) => format!("{before}{}", rest.split_once(']').map_or("", |(_, after)| after)),
        None => step.to_owned(),
    }
}

#[test]
fn the_policy_of_a_shipped_runbook_never_allows_everything() {
    let catalog = actions::table().catalog();
    for (name, text) in runbook::shipped() {
        let (runbook, _) = runbook::load(name, text, &catalog).unwrap();
        let policy = policy(&runbook, &catalog, Rollback::Included, Holder::Both);
        let statements = policy["Statement"].as_array().unwrap();
        let actions = statements.iter().filter_map(|statement| statement["Action"].as_array()).flatten();
        for action in actions {
            let action = action.as_str().unwrap();
            assert!(action.contains(':') && !action.contains('*'), "{name}: {action}");
        }
    }
}
