//! Which step waits for which.

use serde::Serialize;

use crate::model::{Edge, Runbook, Step, StepId};

/// One `needs` of a runbook, explained.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Wait {
    /// The step that waits.
    pub step: StepId,
    /// The step it waits for.
    pub need: StepId,
    /// How.
    pub edge: Edge,
}

impl std::fmt::Display for Wait {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { step, need, edge } = self;
        match edge {
            Edge::PerMember => write!(f, "{step} follows {need} member by member"),
            Edge::Barrier => write!(f, "{step} waits until all of {need} is done"),
        }
    }
}

/// Says of every `needs` whether each member goes on by itself, or all wait for all.
pub fn explain(runbook: &Runbook) -> Vec<Wait> {
    let waits = runbook.steps.iter().flat_map(|step| {
        let needs = step.needs.iter().filter_map(|need| runbook.step(need));
        needs.map(|need| Wait { step: step.id.clone(), need: need.id.clone(), edge: Runbook::edge(step, need) })
    });
    waits.collect()
}

/// The steps in an order in which each comes after all it needs; among equals, as in the file. Steps that wait for one
/// another for ever (which `check` refuses) are left out.
pub fn order(runbook: &Runbook) -> Vec<&Step> {
    let mut done: Vec<&Step> = Vec::new();
    loop {
        let ready = |step: &&Step| {
            let is_done = |id: &StepId| done.iter().any(|step| step.id == *id);
            !is_done(&step.id) && step.needs.iter().all(is_done)
        };
        match runbook.steps.iter().find(ready) {
            Some(step) => done.push(step),
            None => return done,
        }
    }
}

/// The circles in a graph of names, each as `a, b, a` and each once.
pub(super) fn cycles<'n>(edges: &[(&'n str, Vec<&'n str>)]) -> Vec<Vec<&'n str>> {
    let mut found = Vec::new();
    let mut finished: Vec<&str> = Vec::new();
    for (start, _) in edges {
        let mut path = Vec::new();
        walk(start, edges, &mut path, &mut finished, &mut found);
    }
    found
}

fn walk<'n>(
    node: &'n str,
    edges: &[(&'n str, Vec<&'n str>)],
    path: &mut Vec<&'n str>,
    finished: &mut Vec<&'n str>,
    found: &mut Vec<Vec<&'n str>>,
) {
    if let Some(start) = path.iter().position(|known| *known == node) {
        found.push(path[start..].iter().copied().chain([node]).collect());
        return;
    }
    if finished.contains(&node) {
        return;
    }
    path.push(node);
    let needs = edges.iter().find(|(name, _)| *name == node).map_or(&[][..], |(_, needs)| needs);
    for need in needs {
        walk(need, edges, path, finished, found);
    }
    path.pop();
    finished.push(node);
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_circle_is_found_once() {
        let edges = [("a", vec!["b"]), ("b", vec!["c", "x"]), ("c", vec!["a"]), ("d", vec!["d", "a"])];
        assert_eq!(cycles(&edges), [vec!["a", "b", "c", "a"], vec!["d", "d"]]);
        assert!(cycles(&[("a", vec!["b", "c"]), ("b", vec!["c"]), ("c", vec![])]).is_empty());
    }

    #[test]
    fn needs_are_explained_and_ordered() {
        let runbook: Runbook = serde_json::from_value(json!({
            "quell": 1, "name": "n", "title": "t",
            "sets": { "s": { "from": "toy.things" } },
            "steps": [
                { "id": "c", "uses": "toy.stop", "on": "s", "needs": ["b", "a"] },
                { "id": "b", "uses": "toy.stop", "on": "s", "needs": ["a"] },
                { "id": "a", "uses": "toy.lock" },
            ],
        }))
        .unwrap();
        let said: Vec<_> = explain(&runbook).iter().map(ToString::to_string).collect();
        assert_eq!(
            said,
            ["c follows b member by member", "c waits until all of a is done", "b waits until all of a is done"]
        );
        assert_eq!(order(&runbook).iter().map(|step| step.id.as_str()).collect::<Vec<_>>(), ["a", "b", "c"]);
    }
}
