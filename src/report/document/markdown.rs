//! A report as Markdown: CommonMark with the tables of GitHub.

use std::fmt::Write as _;

use super::Report;
use super::block::{Block, Cell, Entry, Table, Tone, clock};
use crate::report::text::shown;

/// The whole report.
pub fn page(report: &Report) -> String {
    let accounts: Vec<&str> = report.accounts.iter().map(crate::model::AccountId::as_str).collect();
    // Writing to a string cannot fail.
    let mut page = format!("# {}\n\n", escaped(&report.title));
    let _ = writeln!(
        page,
        "Run {} of {} by {}, begun {} UTC, in account {}. All times are UTC.",
        code(report.run.as_str()),
        code(&report.runbook),
        code(&report.by),
        clock(report.started),
        accounts.join(", ")
    );
    for (_, heading, blocks) in report.sections() {
        let _ = write!(page, "\n## {heading}\n\n");
        self::blocks(&mut page, &blocks, 3);
    }
    let _ = write!(page, "\n---\n\nMade by quell {} from the journal of the run.\n", escaped(&report.quell));
    page
}

/// Blocks one after the other; what follows a heading stands under it.
fn blocks(page: &mut String, blocks: &[Block], level: usize) {
    let mut under = level;
    for block in blocks {
        if matches!(block, Block::Heading(_)) {
            self::block(page, block, level);
            under = level + 1;
        } else {
            self::block(page, block, under);
        }
    }
}

fn block(page: &mut String, block: &Block, level: usize) {
    let _ = match block {
        Block::Heading(text) => write!(page, "{} {}\n\n", "#".repeat(level.min(6)), escaped(text)),
        Block::Text(text) => write!(page, "{}\n\n", escaped(text)),
        Block::Notice(tone, text) => write!(page, "> **{}** {}\n\n", word(*tone), escaped(text)),
        Block::Figures(figures) => {
            for figure in figures {
                let _ = writeln!(
                    page,
                    "- {}: **{}** ({})",
                    escaped(&figure.label),
                    escaped(&figure.value),
                    escaped(&figure.note)
                );
            }
            writeln!(page)
        }
        Block::Terms(terms) => {
            for (term, said) in terms {
                let _ = writeln!(page, "- **{}**: {}", escaped(term), cell(said));
            }
            writeln!(page)
        }
        Block::List(points) => {
            for point in points {
                let _ = writeln!(page, "- {}", cell(point));
            }
            writeln!(page)
        }
        Block::Table(table) => self::table(page, table),
        Block::Picture(picture) => {
            let _ = write!(page, "{}\n\n", escaped(&picture.chart.description));
            self::table(page, &picture.table)
        }
        Block::Folded(summary, blocks) => {
            let _ = write!(page, "{} {}\n\n", "#".repeat(level.min(6)), escaped(summary));
            self::blocks(page, blocks, level + 1);
            Ok(())
        }
        Block::Entry(Entry { heading, mark, blocks }) => {
            let mark = mark.as_ref().map(|(_, word)| format!(": {}", escaped(word))).unwrap_or_default();
            let _ = write!(page, "{} {}{mark}\n\n", "#".repeat(level.min(6)), escaped(heading));
            self::blocks(page, blocks, level + 1);
            Ok(())
        }
    };
}

fn table(page: &mut String, table: &Table) -> std::fmt::Result {
    let figures =
        |column: usize| table.rows.first().is_some_and(|row| matches!(row.get(column), Some(Cell::Number(_))));
    let rule = (0..table.head.len()).map(|column| if figures(column) { "---:" } else { "---" });
    write!(page, "*{}*\n\n", escaped(&table.caption))?;
    writeln!(page, "| {} |", table.head.join(" | "))?;
    writeln!(page, "| {} |", rule.collect::<Vec<_>>().join(" | "))?;
    for row in &table.rows {
        writeln!(page, "| {} |", row.iter().map(cell).collect::<Vec<_>>().join(" | "))?;
    }
    writeln!(page)
}

fn cell(cell: &Cell) -> String {
    match cell {
        Cell::Text(text) | Cell::Number(text) => escaped(text),
        Cell::Code(text) => code(text),
        Cell::Time(time) => clock(*time),
        Cell::Mark(_, word) => escaped(word),
    }
}

/// What a tone is in words.
fn word(tone: Tone) -> &'static str {
    match tone {
        Tone::Good => "Good.",
        Tone::Open => "To be looked at.",
        Tone::Bad => "Not good.",
        Tone::Plain => "Note.",
    }
}

/// A name that a machine made, as code where it can be.
fn code(text: &str) -> String {
    if text.is_empty() || text.contains(['`', '|', '<', '\\', '\n']) || text != shown(text) {
        return escaped(text);
    }
    format!("`{text}`")
}

/// A text that Markdown shows as it is: no markup, no HTML, no link, on one line.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len() + 8);
    let shown = shown(text);
    let mut before = ' ';
    for (at, c) in shown.char_indices() {
        // Some readers of Markdown know no backslash before it, and would take a tag for one.
        if c == '<' {
            escaped.push_str("&lt;");
            before = c;
            continue;
        }
        let is_markup = match c {
            '\\' | '`' | '*' | '[' | ']' | '>' | '|' | '~' | '&' | '#' | '@' | '!' => true,
            // Within a word it means nothing, and ids are full of them.
            '_' => !(before.is_alphanumeric() && shown[at + 1..].starts_with(char::is_alphanumeric)),
            // GitHub makes links of addresses.
            ':' => shown[at..].starts_with("://"),
            '.' => before.eq_ignore_ascii_case(&'w'),
            // A list, or a rule, where it begins a line.
            '-' | '+' | '=' => at == 0,
            _ => false,
        };
        if is_markup {
            escaped.push('\\');
        }
        escaped.push(c);
        before = c;
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_taken_for_markup() {
        for (text, expected) in [
            ("plain, i-0a_b (c5.9xlarge) 2026-03-03", "plain, i-0a_b (c5.9xlarge) 2026-03-03"),
            ("<script>alert(1)</script>", "&lt;script\\>alert(1)&lt;/script\\>"),
            ("a | b", "a \\| b"),
            ("[x](https://example.com)", "\\[x\\](https\\://example.com)"),
            ("www.example.com", "www\\.example.com"),
            ("a\r\n# b\u{202e}", "a\\\\u{d}\\\\u{a}\\# b\\\\u{202e}"),
            ("_x_ *y* `z` &amp;", "\\_x\\_ \\*y\\* \\`z\\` \\&amp;"),
        ] {
            assert_eq!(escaped(text), expected);
        }
    }

    #[test]
    fn code_is_code_only_where_it_cannot_end() {
        assert_eq!(code("i-0a"), "`i-0a`");
        assert_eq!(code("a`b|c"), "a\\`b\\|c");
        assert_eq!(code("a\nb"), "a\\\\u{a}b");
    }
}
