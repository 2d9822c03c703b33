//! `by_hand`.

use super::fields::{self, Fields};
use crate::model::ByHand;
use crate::runbook::diagnostic::Mistakes;
use crate::runbook::load::Node;

pub(super) fn read(node: &Node, mistakes: &mut Mistakes) -> Vec<ByHand> {
    let items = fields::items(node, "`by_hand`", mistakes).unwrap_or_default();
    items.iter().filter_map(|item| one(item, mistakes)).collect()
}

fn one(node: &Node, mistakes: &mut Mistakes) -> Option<ByHand> {
    let fields = Fields::read(node, "work by hand", &["what", "steps"], mistakes)?;
    let what = fields.required("what", mistakes).and_then(|node| fields::text(node, "what is to be done", mistakes));
    let node = fields.required("steps", mistakes)?;
    let steps = fields::items(node, "`steps`", mistakes)?;
    if steps.is_empty() {
        let message = "work by hand without a step tells nobody how";
        mistakes.error(&node.at, message, "no step").help("name at least one step");
        return None;
    }
    let steps: Option<Vec<_>> = steps.iter().map(|step| fields::text(step, "a step", mistakes)).collect();
    Some(ByHand { what: what?, steps: steps? })
}
