//! Standard output, standard error and the terminal: what may be written where.
//!
//! Results go to standard output, everything else (progress, questions, logs, errors) to standard error.

use std::fmt::Write as _;
use std::io::{IsTerminal, Write};
use std::path::PathBuf;

use clap::ValueEnum;
use serde_json::Value;
use tracing::Level;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use super::error::{Failure, FailureKind};
use super::{Global, LogFormat};
use crate::engine::ports::Reporter;
use crate::model::{Event, Phase};
use crate::report::json_lines::JsonLines;
use crate::report::live::Live;
use crate::report::plain::Plain;
use crate::report::style::Colour;
use crate::report::terminal::Terminal;
use crate::report::text::{escaped_json, shown, shown_lines};

/// The form of results.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Output {
    /// For people.
    #[default]
    Text,
    /// One JSON document at the end.
    Json,
    /// One JSON document per line: a run's events as they happen.
    Jsonl,
}

/// Where a command writes, and where runs live.
#[derive(Debug)]
pub struct Screen {
    /// The form of results.
    pub output: Output,
    state: Option<PathBuf>,
    live: Live,
    out: std::io::Stdout,
    colour: Colour,
    attended: bool,
}

impl Screen {
    /// Opens the screen and begins to log.
    pub fn open(global: &Global) -> Self {
        let screen = Self {
            output: global.output,
            state: global.state.clone(),
            live: Live::stderr(),
            out: std::io::stdout(),
            colour: Colour::of_stdout(),
            attended: std::io::stdin().is_terminal() && std::io::stderr().is_terminal(),
        };

        screen.log(global);
        screen
    }

    fn log(&self, global: &Global) {
        // The SDK calls it an error that a connection which broke cannot be closed.
        let default = match global.verbose {
            0 => "warn,aws=error,aws_smithy_runtime::client::http::connection_poisoning=off",
            1 => "info,quell=debug,aws=error,aws_smithy_runtime::client::http::connection_poisoning=off",
            2 => "debug",
            _ => "trace",
        };
        let filter = EnvFilter::try_from_env("QUELL_LOG").unwrap_or_else(|_| EnvFilter::new(default));
        let logs = tracing_subscriber::fmt()
            .with_env_filter(filter)
            // Colour is added to what was made fit for a terminal, and not the other way round.
            .with_ansi(false)
            .with_writer(Logs { live: self.live.clone(), form: global.log_format });
        // At its most talkative the SDK logs whole answers, and those of STS hold credentials.
        let discreet = filter_fn(|of| of.target().starts_with("quell") || *of.level() <= Level::DEBUG);
        // A second call, as in tests, keeps the first subscriber.
        let _ = match global.log_format {
            LogFormat::Text => logs.compact().finish().with(discreet).try_init(),
            LogFormat::Json => logs.json().finish().with(discreet).try_init(),
        };
    }

    /// The folder in which runs live.
    pub fn state(&self) -> Result<PathBuf, Failure> {
        use etcetera::BaseStrategy as _;
        if let Some(state) = &self.state {
            return Ok(state.clone());
        }
        let folders = etcetera::choose_base_strategy()
            .map_err(|error| Failure::usage(format!("no home folder: {error}")).hint("name one with --state DIR"))?;
        Ok(folders.state_dir().unwrap_or_else(|| folders.data_dir()).join("quell"))
    }

    /// Standard output, for results.
    pub fn stdout(&self) -> std::io::StdoutLock<'static> {
        self.out.lock()
    }

    /// Writes a result for people.
    pub fn print(&self, text: &str) -> Result<(), Failure> {
        let mut out = self.out.lock();
        out.write_all(text.as_bytes())?;
        Ok(out.flush()?)
    }

    /// Writes a result for machines: indented as `json`, on one line as `jsonl`.
    pub fn document(&self, document: &Value) -> Result<(), Failure> {
        let text = match self.output {
            Output::Jsonl => document.to_string(),
            Output::Text | Output::Json => format!("{document:#}"),
        };
        self.print(&format!("{}\n", escaped_json(&text)))
    }

    /// Writes a remark for the person on standard error, above whatever is drawn there.
    pub fn remark(&self, text: &str) {
        self.live.write(&format!("{}\n", text.trim_end_matches('\n')));
    }

    /// Writes remarks from elsewhere, such as a task.
    pub fn remarks(&self) -> Remarks {
        Remarks(self.live.clone())
    }

    /// Shows why the command ends.
    pub fn failure(&self, failure: &Failure) {
        if failure.kind() == FailureKind::OutputClosed {
            return;
        }
        let colour = Colour::of_stderr();
        let mut text = format!("{} {}\n", colour.red("error:"), shown_lines(failure.message()));
        for hint in failure.hints() {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{} {}", colour.bold("hint:"), shown(hint));
        }
        self.live.write(&text);
    }

    /// Whether somebody can be asked: standard input and standard error are terminals.
    pub fn is_attended(&self) -> bool {
        self.attended
    }

    /// The colours of standard output.
    pub fn colour(&self) -> Colour {
        self.colour
    }

    /// What shows a run: progress on standard error and, as `jsonl`, events on standard output.
    pub fn reporters(&self) -> Reporters {
        let events = (self.output == Output::Jsonl).then(|| JsonLines::new(std::io::stdout()));
        // Events on the same terminal would go through the drawn lines.
        let alone = events.is_none() || !std::io::stdout().is_terminal();
        let progress = if std::io::stderr().is_terminal() && can_be_drawn_on() && alone {
            Shown::Live(Box::new(Terminal::new(self.live.clone(), Colour::of_stderr())))
        } else {
            Shown::Plain(Box::new(Plain::new(std::io::stderr())))
        };
        Reporters { events, progress }
    }
}

/// All that shows a run.
#[derive(Debug)]
pub struct Reporters {
    events: Option<JsonLines<std::io::Stdout>>,
    progress: Shown,
}

#[derive(Debug)]
enum Shown {
    Live(Box<Terminal>),
    Plain(Box<Plain<std::io::Stderr>>),
}

impl Reporters {
    /// Shows what goes on before there is a run.
    pub fn working(&mut self, phase: Phase, detail: &str) {
        if let Shown::Live(terminal) = &mut self.progress {
            terminal.working(phase, detail);
        }
    }

    /// Takes everything off the screen.
    pub fn clear(&mut self) {
        if let Shown::Live(terminal) = &mut self.progress {
            terminal.clear();
        }
    }
}

impl Reporter for Reporters {
    fn event(&mut self, event: &Event) {
        #[cfg(debug_assertions)]
        fail_on_demand(event);
        if let Some(events) = &mut self.events {
            events.event(event);
        }
        match &mut self.progress {
            Shown::Live(terminal) => terminal.event(event),
            Shown::Plain(plain) => plain.event(event),
        }
    }
}

/// Lets a test see what a mistake in quell does in the middle of a run. Not in a release.
#[cfg(debug_assertions)]
fn fail_on_demand(event: &Event) {
    if let Ok(words) = std::env::var("QUELL_TEST_PANIC")
        && matches!(event.kind, crate::model::EventKind::ChangeEnded { .. })
    {
        panic!("{words}");
    }
}

/// A way to write remarks.
#[derive(Debug, Clone)]
pub struct Remarks(Live);

impl Remarks {
    /// Writes one.
    pub fn write(&self, text: &str) {
        self.0.write(&format!("{text}\n"));
    }

    /// Writes the last one: the drawn lines go, and do not come back.
    pub fn end(&self, text: &str) {
        self.0.close();
        self.write(text);
    }
}

/// An entry as it is written: on one line, whatever the SDK and AWS put into it.
fn logged(entry: &str, form: LogFormat) -> String {
    match form {
        LogFormat::Json => escaped_json(entry),
        LogFormat::Text => match shown(entry).split_once(' ') {
            Some((time, rest)) => format!("{} {rest}", Colour::of_stderr().dim(time)),
            None => shown(entry),
        },
    }
}

/// Whether the terminal understands how to go back to a line.
fn can_be_drawn_on() -> bool {
    std::env::var_os("TERM").is_some_and(|term| term != "dumb")
}

/// Logs, above whatever is drawn.
#[derive(Debug, Clone)]
struct Logs {
    live: Live,
    form: LogFormat,
}

impl<'a> MakeWriter<'a> for Logs {
    type Writer = LogLine;

    fn make_writer(&'a self) -> LogLine {
        LogLine { live: self.live.clone(), form: self.form, text: Vec::new() }
    }
}

/// One log entry, written as a whole when it is complete.
#[derive(Debug)]
struct LogLine {
    live: Live,
    form: LogFormat,
    text: Vec<u8>,
}

impl Write for LogLine {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.text.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Drop for LogLine {
    fn drop(&mut self) {
        if !self.text.is_empty() {
            let text = String::from_utf8_lossy(&self.text);
            self.live.write(&logged(text.trim_end_matches('\n'), self.form));
        }
    }
}
