//! The runbook language: reading, checking, filling in.
//!
//! A file is read into a tree that knows its places (`load`), checked as a whole into a [`Runbook`] (`check`), and filled
//! in with the person's inputs ([`inputs::read`], [`resolve`]). What is left is plain data for the engine.

mod check;
mod diagnostic;
pub mod graph;
pub mod inputs;
mod load;
pub mod predicate;
mod resolve;
mod schema;
mod suggest;
mod template;
#[cfg(test)]
mod toy;

pub use diagnostic::{Diagnostic, Diagnostics};
pub use resolve::{ResolveError, resolve};
pub use schema::schema;
pub use suggest::did_you_mean;
pub use template::input_of;

use crate::model::{Catalog, Runbook};
use diagnostic::Mistakes;

/// Reads and checks a runbook. `name` is what its file is called in diagnostics. Returns the runbook and what is odd about
/// it, or else everything that is wrong with it.
pub fn load(name: &str, text: &str, catalog: &Catalog) -> Result<(Runbook, Vec<Diagnostic>), Diagnostics> {
    let mut mistakes = Mistakes::default();
    let tree = load::tree(text, &mut mistakes);
    let runbook = tree.and_then(|tree| check::runbook(&tree, catalog, &mut mistakes));
    let found = mistakes.bind(name, text);
    match runbook {
        Some(runbook) if found.errors.is_empty() => Ok((runbook, found.warnings)),
        _ => Err(found),
    }
}

/// The runbooks that come with quell: their names and their texts.
pub fn shipped() -> &'static [(&'static str, &'static str)] {
    &[
        ("cryptojack", include_str!("../runbooks/cryptojack.yaml")),
        ("leaked-key", include_str!("../runbooks/leaked-key.yaml")),
        ("quarantine-account", include_str!("../runbooks/quarantine-account.yaml")),
        ("preserve-evidence", include_str!("../runbooks/preserve-evidence.yaml")),
        ("rogue-instances", include_str!("../runbooks/rogue-instances.yaml")),
        ("harden", include_str!("../runbooks/harden.yaml")),
    ]
}
