use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use miette::{LabeledSpan, NamedSource, Severity, SourceCode};

/// A mistake in a runbook, or something odd about it: where, what, why, and what was probably meant.
#[derive(Debug, Clone)]
pub struct Diagnostic {
    /// Whether the runbook cannot be used, or can but should be looked at.
    pub severity: Severity,
    /// What is wrong.
    pub message: String,
    /// What stands under the caret.
    pub label: String,
    /// What was probably meant, or what would be right.
    pub help: Option<String>,
    /// The place in the file, in bytes.
    pub at: Range<usize>,
    source: NamedSource<Arc<str>>,
}

/// All mistakes of one file, by place.
#[derive(Debug, Clone, Default, thiserror::Error)]
#[error("{}", count(errors.len()))]
pub struct Diagnostics {
    /// What makes the runbook unusable; never empty.
    pub errors: Vec<Diagnostic>,
    /// What is merely odd.
    pub warnings: Vec<Diagnostic>,
}

fn count(errors: usize) -> String {
    match errors {
        1 => "the runbook has one mistake".to_owned(),
        more => format!("the runbook has {more} mistakes"),
    }
}

impl Diagnostic {
    /// The name of the file.
    pub fn file(&self) -> &str {
        self.source.name()
    }

    /// The line, counted from 1.
    pub fn line(&self) -> usize {
        self.before().matches('\n').count() + 1
    }

    /// The column in characters, counted from 1.
    pub fn column(&self) -> usize {
        let before = self.before();
        before[before.rfind('\n').map_or(0, |newline| newline + 1)..].chars().count() + 1
    }

    fn before(&self) -> &str {
        &self.source.inner()[..self.at.start]
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Diagnostic {}

impl miette::Diagnostic for Diagnostic {
    fn severity(&self) -> Option<Severity> {
        Some(self.severity)
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.help.as_ref().map(|help| Box::new(help) as Box<dyn fmt::Display>)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        Some(&self.source)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let label = LabeledSpan::new_with_span(Some(self.label.clone()), self.at.clone());
        Some(Box::new(std::iter::once(label)))
    }
}

/// The mistakes found so far, before they are bound to their file.
#[derive(Debug, Default)]
pub(super) struct Mistakes(Vec<Mistake>);

#[derive(Debug)]
pub(super) struct Mistake {
    severity: Severity,
    at: Range<usize>,
    message: String,
    label: String,
    help: Option<String>,
}

impl Mistake {
    /// Adds what was probably meant.
    pub(super) fn help(&mut self, help: impl Into<String>) {
        self.help = Some(help.into());
    }
}

impl Mistakes {
    /// Notes what makes the runbook unusable.
    pub(super) fn error(
        &mut self,
        at: &Range<usize>,
        message: impl Into<String>,
        label: impl Into<String>,
    ) -> &mut Mistake {
        self.note(Severity::Error, at, message.into(), label.into())
    }

    /// Notes what is merely odd.
    pub(super) fn warning(
        &mut self,
        at: &Range<usize>,
        message: impl Into<String>,
        label: impl Into<String>,
    ) -> &mut Mistake {
        self.note(Severity::Warning, at, message.into(), label.into())
    }

    fn note(&mut self, severity: Severity, at: &Range<usize>, message: String, label: String) -> &mut Mistake {
        self.0.push(Mistake { severity, at: at.clone(), message, label, help: None });
        let last = self.0.len() - 1;
        &mut self.0[last]
    }

    /// Whether nothing was found.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Binds the mistakes to the file, sorted by place.
    pub(super) fn bind(mut self, name: &str, text: &str) -> Diagnostics {
        self.0.sort_by_key(|mistake| mistake.at.start);
        let source = NamedSource::new(name, Arc::from(text)).with_language("yaml");
        let all = self.0.into_iter().map(|m| Diagnostic {
            severity: m.severity,
            message: m.message,
            label: m.label,
            help: m.help,
            at: m.at.start.min(text.len())..m.at.end.min(text.len()),
            source: source.clone(),
        });
        let (errors, warnings) = all.partition(|diagnostic| diagnostic.severity == Severity::Error);
        Diagnostics { errors, warnings }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mistakes_are_sorted_by_place_and_know_their_line() {
        let mut mistakes = Mistakes::default();
        mistakes.error(&(5..7), "second", "here");
        mistakes.warning(&(0..1), "odd", "here");
        mistakes.error(&(2..3), "first", "here").help("do this");
        let found = mistakes.bind("a.yaml", "ab\ncdé\nfgh");
        let messages: Vec<_> = found.errors.iter().map(|d| (d.message.as_str(), d.line(), d.column())).collect();
        assert_eq!(messages, [("first", 1, 3), ("second", 2, 3)]);
        assert_eq!(found.warnings.len(), 1);
        assert_eq!(found.to_string(), "the runbook has 2 mistakes");
    }
}
