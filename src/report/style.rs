//! Colour, and whether there is any.

use std::fmt::Display;

/// Whether to colour. The `console` crate respects `NO_COLOR`, `CLICOLOR` and `CLICOLOR_FORCE`, and looks at the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Colour {
    /// With ANSI colours.
    Ansi,
    /// Without.
    Plain,
}

impl Colour {
    /// What standard output can show.
    pub fn of_stdout() -> Self {
        Self::when(console::colors_enabled())
    }

    /// What standard error can show.
    pub fn of_stderr() -> Self {
        Self::when(console::colors_enabled_stderr())
    }

    fn when(enabled: bool) -> Self {
        if enabled { Self::Ansi } else { Self::Plain }
    }

    /// A heading.
    pub fn bold(self, text: impl Display) -> String {
        self.paint(text, console::Style::new().bold())
    }

    /// What matters less.
    pub fn dim(self, text: impl Display) -> String {
        self.paint(text, console::Style::new().dim())
    }

    /// Good.
    pub fn green(self, text: impl Display) -> String {
        self.paint(text, console::Style::new().green())
    }

    /// Look at this.
    pub fn yellow(self, text: impl Display) -> String {
        self.paint(text, console::Style::new().yellow())
    }

    /// Bad.
    pub fn red(self, text: impl Display) -> String {
        self.paint(text, console::Style::new().red())
    }

    fn paint(self, text: impl Display, style: console::Style) -> String {
        match self {
            Self::Ansi => style.force_styling(true).apply_to(text).to_string(),
            Self::Plain => text.to_string(),
        }
    }
}

/// A table without lines: columns two spaces apart, never wider than its content.
pub fn table() -> comfy_table::Table {
    let mut table = comfy_table::Table::new();
    table.load_style(comfy_table::presets::NOTHING);
    table.force_no_tty();
    table
}

/// The table as text, indented by two spaces, without blanks at the ends of lines.
pub fn laid_out(table: &comfy_table::Table) -> String {
    let mut text = String::new();
    for line in table.lines() {
        text.push_str("  ");
        text.push_str(line.trim());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_text_has_no_escape_sequences() {
        assert_eq!(Colour::Plain.red("stop"), "stop");
        assert_eq!(Colour::Ansi.red("stop"), "\u{1b}[31mstop\u{1b}[0m");
    }
}
