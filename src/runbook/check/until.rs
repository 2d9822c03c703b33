//! `until`.

use super::fields::{self, Fields};
use crate::model::{Newcomers, Span, Until};
use crate::runbook::diagnostic::Mistakes;
use crate::runbook::load::Node;

const NEWCOMERS: &[(&str, Newcomers)] =
    &[("contain", Newcomers::Contain), ("ask", Newcomers::Ask), ("report", Newcomers::Report)];

pub(super) fn read(node: &Node, mistakes: &mut Mistakes) -> Option<Until> {
    let fields = Fields::read(node, "`until`", &["clean_sweeps", "every", "at_most", "newcomers"], mistakes)?;
    let mut until = Until::default();
    let mut whole = true;
    if let Some(node) = fields.get("clean_sweeps") {
        match fields::number(node, "`clean_sweeps`", mistakes) {
            Some(0) => {
                let message = "a run without a sweep is never proven";
                mistakes.error(&node.at, message, "at least 1").help("after the last change quell looks again");
                whole = false;
            }
            Some(number) => until.clean_sweeps = number,
            None => whole = false,
        }
    }
    if let Some(node) = fields.get("at_most") {
        match fields::number(node, "`at_most`", mistakes) {
            Some(number) if number < until.clean_sweeps => {
                let message = format!("at most {number} sweeps can never be {} clean ones", until.clean_sweeps);
                mistakes.error(&node.at, message, "fewer than `clean_sweeps`");
                whole = false;
            }
            Some(number) => until.at_most = number,
            None => whole = false,
        }
    } else if until.at_most < until.clean_sweeps {
        until.at_most = until.clean_sweeps;
    }
    if let Some(node) = fields.get("every") {
        match fields::parsed::<Span>(node, "a length of time", mistakes) {
            Some(every) if every.std().is_zero() => {
                mistakes.error(&node.at, "sweeps need some time between them", "no time").help("such as 20s");
                whole = false;
            }
            Some(every) if every > Span::seconds(86_400) => {
                mistakes.warning(&node.at, "a sweep less than once a day hardly contains anything", "very long");
                until.every = every;
            }
            Some(every) => until.every = every,
            None => whole = false,
        }
    }
    if let Some(node) = fields.get("newcomers") {
        match fields::one_of(node, "`newcomers`", NEWCOMERS, mistakes) {
            Some(newcomers) => until.newcomers = newcomers,
            None => whole = false,
        }
    }
    whole.then_some(until)
}
