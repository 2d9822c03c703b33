//! `quell schema`.

use std::io::{self, Write};

use crate::model::Catalog;
use crate::runbook;

/// Print the JSON Schema of runbook files
///
/// Editors use it to complete and to check a runbook while it is typed. For the YAML language server, write it to a file and
/// begin the runbook with `# yaml-language-server: $schema=FILE`.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {}

/// Prints the schema.
pub fn run(Args {}: &Args, catalog: &Catalog, out: &mut dyn Write) -> io::Result<u8> {
    writeln!(out, "{:#}", runbook::schema(catalog))?;
    Ok(0)
}
