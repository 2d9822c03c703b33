//! `quell check`.

use std::io::{self, Write};
use std::path::PathBuf;

use miette::{GraphicalReportHandler, GraphicalTheme, Severity};
use serde_json::{Value, json};

use crate::bounded::{self, RUNBOOK};
use crate::model::{Catalog, Runbook};
use crate::report::text::{escaped_json, is_visible, shown};
use crate::runbook::{self, Diagnostic, graph};

/// Find every mistake in runbooks that can be found without AWS
///
/// Shows each mistake with file, line and caret, and with what was probably meant; all mistakes of a file at once. Ends with
/// exit code 0 when the files can be used, and with 2 when one of them cannot.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// The runbook files
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
}

/// Checks the files for a person: what is right goes to `out`, what is wrong to `err`.
pub fn text(args: &Args, catalog: &Catalog, out: &mut dyn Write, err: &mut dyn Write) -> io::Result<u8> {
    let mut wrong = 0;
    for file in &args.files {
        let checked = check(file, catalog);
        for diagnostic in checked.errors.iter().chain(&checked.warnings) {
            writeln!(err, "{}", render(diagnostic))?;
        }
        if let Some(reason) = &checked.unreadable {
            writeln!(err, "error: {} cannot be read: {}", shown(&checked.file), shown(reason))?;
        }
        match &checked.runbook {
            Some(runbook) => describe(&checked.file, runbook, out)?,
            None => wrong += 1,
        }
        if !checked.errors.is_empty() {
            writeln!(err, "{}: {}", shown(&checked.file), mistakes(checked.errors.len()))?;
        }
    }
    Ok(if wrong == 0 { 0 } else { 2 })
}

/// Checks the files for a machine: one document with what was found in each.
pub fn json(args: &Args, catalog: &Catalog, out: &mut dyn Write) -> io::Result<u8> {
    let checked: Vec<_> = args.files.iter().map(|file| check(file, catalog)).collect();
    let files: Vec<_> = checked.iter().map(Checked::json).collect();
    writeln!(out, "{}", escaped_json(&format!("{:#}", json!({ "files": files }))))?;
    Ok(if checked.iter().all(|checked| checked.runbook.is_some()) { 0 } else { 2 })
}

/// What was found in one file.
struct Checked {
    file: String,
    runbook: Option<Runbook>,
    unreadable: Option<String>,
    errors: Vec<Diagnostic>,
    warnings: Vec<Diagnostic>,
}

fn check(path: &std::path::Path, catalog: &Catalog) -> Checked {
    let mut checked = Checked {
        file: path.display().to_string(),
        runbook: None,
        unreadable: None,
        errors: Vec::new(),
        warnings: Vec::new(),
    };
    match bounded::text(path, &RUNBOOK) {
        Err(error) => checked.unreadable = Some(error.to_string()),
        Ok(text) => match runbook::load(&checked.file, &text, catalog) {
            Ok((runbook, warnings)) => (checked.runbook, checked.warnings) = (Some(runbook), warnings),
            Err(found) => (checked.errors, checked.warnings) = (found.errors, found.warnings),
        },
    }
    checked
}

impl Checked {
    fn json(&self) -> Value {
        let found = |diagnostics: &[Diagnostic]| -> Value { diagnostics.iter().map(diagnostic_json).collect() };
        json!({
            "file": self.file,
            "ok": self.runbook.is_some(),
            "unreadable": self.unreadable,
            "errors": found(&self.errors),
            "warnings": found(&self.warnings),
            "waits": self.runbook.as_ref().map(graph::explain),
        })
    }
}

fn diagnostic_json(diagnostic: &Diagnostic) -> Value {
    json!({
        "line": diagnostic.line(),
        "column": diagnostic.column(),
        "message": diagnostic.message,
        "label": diagnostic.label,
        "help": diagnostic.help,
    })
}

/// A mistake with its line and a caret, in colour where standard error has it.
pub fn render(diagnostic: &Diagnostic) -> String {
    let theme =
        if console::colors_enabled_stderr() { GraphicalTheme::unicode() } else { GraphicalTheme::unicode_nocolor() };
    let mut text = String::new();
    let handler = GraphicalReportHandler::new_themed(theme).with_width(110).with_links(false);
    match diagnostic.fit_for_a_terminal(shown, is_visible) {
        Some(fit) if handler.render_report(&mut text, &fit).is_ok() => text,
        // The lines around it are too long to be shown.
        _ => {
            let place = format!("{}:{}:{}", diagnostic.file(), diagnostic.line(), diagnostic.column());
            let help = diagnostic.help.as_ref().map(|help| format!("\n  help: {}", shown(help))).unwrap_or_default();
            format!("{}: {}: {}{help}", shown(&place), level(diagnostic), shown(&diagnostic.message))
        }
    }
}

fn level(diagnostic: &Diagnostic) -> &'static str {
    match diagnostic.severity {
        Severity::Error => "error",
        _ => "warning",
    }
}

fn mistakes(number: usize) -> String {
    match number {
        1 => "one mistake".to_owned(),
        more => format!("{more} mistakes"),
    }
}

/// Says that a file is right, what it asks for, and how its steps wait for one another.
fn describe(file: &str, runbook: &Runbook, out: &mut dyn Write) -> io::Result<()> {
    let steps = runbook.steps.len();
    let file = shown(file);
    writeln!(out, "{file}: {} is right, with {steps} step{}", shown(&runbook.name), if steps == 1 { "" } else { "s" })?;
    for (name, input) in &runbook.inputs {
        let default = input.default.as_ref().map_or_else(String::new, |default| format!(" [{default}]"));
        writeln!(out, "  --input {}=…{}  {}", shown(name), shown(&default), shown(&input.help))?;
    }
    for wait in graph::explain(runbook) {
        writeln!(out, "  {}", shown(&wait.to_string()))?;
    }
    Ok(())
}
