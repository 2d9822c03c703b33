//! From a runbook's name and what was given to a runbook that can be planned.

use std::path::Path;

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::check;
use super::error::Failure;
use super::screen::Screen;
use crate::bounded::{self, ACCOUNTS, RUNBOOK};
use crate::engine::table::Table;
use crate::model::{Accounts, Input, Runbook};
use crate::report::text::shown;
use crate::runbook;

/// A checked runbook with its inputs filled in.
#[derive(Debug)]
pub struct Prepared {
    /// The runbook, every `${{ … }}` replaced.
    pub runbook: Runbook,
    /// The inputs, typed.
    pub inputs: Map<String, Value>,
}

/// Loads, checks and fills in a runbook; asks for missing inputs where somebody can answer.
pub async fn prepare(
    name: &str,
    given: &[(String, String)],
    table: &Table,
    now: Timestamp,
    screen: &Screen,
) -> Result<Prepared, Failure> {
    let runbook = load(name, table, screen)?;
    let mut all = given.to_vec();
    if screen.is_attended() {
        for (name, input) in runbook::inputs::missing(&runbook, given) {
            all.push((name.to_owned(), ask(name, input, now).await?));
        }
    }
    let inputs = runbook::inputs::read(&runbook, &all, now).map_err(|errors| Failure::usages(errors.0))?;
    let mut runbook = runbook::resolve(&runbook, &inputs).map_err(Failure::usage)?;
    if let Accounts::File(path) = &runbook.targets.accounts {
        runbook.targets.accounts = accounts(path)?;
    }
    Ok(Prepared { runbook, inputs })
}

/// Reads the accounts that a file names: the plan holds them, and not the file.
fn accounts(path: &str) -> Result<Accounts, Failure> {
    let file = shown(path);
    let text = bounded::text(Path::new(path), &ACCOUNTS).map_err(|error| {
        let failure = Failure::unreadable("the file", path, &error);
        let message = format!("targets.accounts: {}", failure.message());
        failure.about(message)
    })?;
    match Accounts::in_file(&text) {
        Ok(Accounts::Listed(items)) if items.is_empty() => {
            Err(Failure::usage(format!("targets.accounts: the file `{file}` names no account")))
        }
        Ok(accounts) => Ok(accounts),
        Err((line, error)) => {
            let message =
                format!("targets.accounts: {file}, line {line}: `{}` is not {}", shown(&error.text), error.expected);
            Err(Failure::usage(message)
                .hint("a line holds an account id, self, organization, a unit or an access key id"))
        }
    }
}

/// Reads and checks a runbook: a file, or one that is shipped. All its mistakes are shown.
pub fn load(name: &str, table: &Table, screen: &Screen) -> Result<Runbook, Failure> {
    let shipped = runbook::shipped().iter().find(|(shipped, _)| *shipped == name);
    let text = match shipped {
        Some((_, text)) => (*text).to_owned(),
        None => read(name)?,
    };
    match runbook::load(name, &text, &table.catalog()) {
        Ok((runbook, warnings)) => {
            for warning in warnings {
                screen.remark(&check::render(&warning));
            }
            Ok(runbook)
        }
        Err(mistakes) => {
            let message = mistakes.to_string();
            for mistake in mistakes.errors.iter().chain(&mistakes.warnings) {
                screen.remark(&check::render(mistake));
            }
            Err(Failure::usage(format!("`{}`: {message}", shown(name))))
        }
    }
}

fn read(name: &str) -> Result<String, Failure> {
    bounded::text(Path::new(name), &RUNBOOK).map_err(|error| {
        let failure = Failure::unreadable("the runbook", name, &error);
        if !error.is_absent() {
            return failure;
        }
        let names: Vec<_> = runbook::shipped().iter().map(|(name, _)| *name).collect();
        failure.hint(format!("{}; or give the path of a file", runbook::did_you_mean(name, names)))
    })
}

/// Asks for an input until the answer is of its type.
async fn ask(name: &str, input: &Input, now: Timestamp) -> Result<String, Failure> {
    let prompt = match (&*input.help, &input.example) {
        ("", None) => name.to_owned(),
        ("", Some(example)) => format!("{name} (such as {})", shown(example)),
        (help, None) => format!("{} ({name})", shown(help)),
        (help, Some(example)) => format!("{} ({name}, such as {})", shown(help), shown(example)),
    };
    let (name, input) = (name.to_owned(), input.clone());
    let read = move || {
        dialoguer::Input::<String>::new()
            .with_prompt(prompt)
            .validate_with(|text: &String| runbook::inputs::parse(&name, &input, text, now).map(drop))
            .interact_text_on(&console::Term::stderr())
    };
    let answer =
        tokio::task::spawn_blocking(read).await.map_err(|_| Failure::failed("the question could not be asked"))?;
    answer.map_err(|error| Failure::usage(format!("no answer: {error}")))
}
