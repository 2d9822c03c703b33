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

/// So many mistakes of a file are told. Who makes more has the wrong file.
const MOST: usize = 100;

/// The longest line that is shown with a caret under it, in bytes.
const LONGEST_LINE: usize = 500;

/// All mistakes of one file, by place; of very many the first that were found.
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

    /// The same with nothing in it, nor in the lines around it, that is not plainly visible. Its texts pass `shown`; what
    /// stands in the file keeps its place, so that the caret still does. `None` where those lines are too long to be shown.
    pub fn fit_for_a_terminal(&self, shown: fn(&str) -> String, is_visible: fn(char) -> bool) -> Option<Self> {
        let text = self.source.inner();
        let start = self.before().rmatch_indices('\n').nth(1).map_or(0, |(newline, _)| newline + 1);
        let mut around = text[start..].split_inclusive('\n').take(text[self.at.clone()].matches('\n').count() + 4);
        if around.any(|line| line.len() > LONGEST_LINE) {
            return None;
        }
        let mut fit = String::with_capacity(text.len());
        for c in text.chars() {
            match c {
                c if c == '\n' || is_visible(c) => fit.push(c),
                '\t' | '\r' => fit.push(' '),
                // As many bytes as it has: other places do not move.
                c => fit.push_str(["?", "??", "\u{fffd}", "\u{fffd}?"][c.len_utf8() - 1]),
            }
        }
        Some(Self {
            severity: self.severity,
            message: shown(&self.message),
            label: shown(&self.label),
            help: self.help.as_deref().map(shown),
            at: self.at.clone(),
            source: NamedSource::new(shown(self.source.name()), Arc::from(fit)).with_language("yaml"),
        })
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
pub(super) struct Mistakes {
    found: Vec<Mistake>,
    /// One that was too many to be told.
    untold: Option<Mistake>,
}

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
        let mistake = Mistake { severity, at: at.clone(), message, label, help: None };
        if self.found.len() < MOST {
            self.found.push(mistake);
            let last = self.found.len() - 1;
            return &mut self.found[last];
        }
        // An error is never lost behind warnings: a runbook that has one must not be used.
        let worst = self.untold.as_ref().map_or(severity, |untold| untold.severity.max(severity));
        self.untold.insert(Mistake { severity: worst, ..mistake })
    }

    /// Whether nothing was found.
    pub(super) fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// Binds the mistakes to the file, sorted by place.
    pub(super) fn bind(mut self, name: &str, text: &str) -> Diagnostics {
        self.found.sort_by_key(|mistake| mistake.at.start);
        self.found.extend(self.untold.take().map(|untold| Mistake {
            severity: untold.severity,
            at: 0..0,
            message: format!("there are more mistakes than the {MOST} that are told"),
            label: "in this file".to_owned(),
            help: Some("correct these first".to_owned()),
        }));
        let source = NamedSource::new(name, Arc::from(text)).with_language("yaml");
        let all = self.found.into_iter().map(|m| Diagnostic {
            severity: m.severity,
            message: m.message,
            label: m.label,
            help: m.help,
            // Of an escaped character only its beginning is known.
            at: text.floor_char_boundary(m.at.start)..text.ceil_char_boundary(m.at.end.max(m.at.start).min(text.len())),
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

    #[test]
    fn a_place_is_never_inside_of_a_character() {
        let mut mistakes = Mistakes::default();
        mistakes.error(&(1..3), "wrong", "here");
        mistakes.error(&(2..90), "wrong", "here");
        let found = mistakes.bind("a.yaml", "a生b");
        assert_eq!(found.errors.iter().map(|d| d.at.clone()).collect::<Vec<_>>(), [1..4, 1..5]);
    }

    #[test]
    fn of_very_many_mistakes_no_error_is_lost() {
        let mut mistakes = Mistakes::default();
        for _ in 0..MOST + 50 {
            mistakes.warning(&(0..1), "odd", "here").help("do this");
        }
        mistakes.error(&(0..1), "wrong", "here").help("do that");
        mistakes.warning(&(0..1), "odd", "here").help("do this");
        let found = mistakes.bind("a.yaml", "a");
        assert_eq!((found.warnings.len(), found.errors.len()), (MOST, 1));
        assert!(found.errors[0].message.contains("more mistakes than the 100"));
    }
}
