//! The one place where text from outside is made fit for a terminal.
//!
//! An intruder chooses the names and tags of what he launches. A tag that holds an escape sequence could repaint the plan
//! that is being approved; one that holds a bidirectional mark could make `i-1` read as something else.

use std::fmt::Write as _;

/// So many characters of a text are shown. An intruder may choose it as long as he likes; what is longer is in the journal
/// and in JSON.
pub const MOST_SHOWN: usize = 2_000;

/// The text on one line, with every character that is not plainly visible written as `\u{…}`, and cut when it is very long.
pub fn shown(text: &str) -> String {
    let mut shown = String::with_capacity(text.len().min(MOST_SHOWN));
    for (number, c) in text.chars().enumerate() {
        if number == MOST_SHOWN {
            let _ = write!(shown, "… ({} bytes)", text.len());
            break;
        }
        if is_visible(c) {
            shown.push(c);
        } else {
            // Writing to a string cannot fail.
            let _ = write!(shown, "{}", c.escape_unicode());
        }
    }
    shown
}

/// A text of several lines, each of them as [`shown`].
pub fn shown_lines(text: &str) -> String {
    text.lines().map(shown).collect::<Vec<_>>().join("\n")
}

/// JSON with every character that is not plainly visible written as `\u…`: the same document, and fit for a terminal.
pub fn escaped_json(json: &str) -> String {
    let mut escaped = String::with_capacity(json.len());
    for c in json.chars() {
        // Line ends stand between what is in the document, and never in it.
        if is_visible(c) || c == '\n' {
            escaped.push(c);
        } else {
            for unit in c.encode_utf16(&mut [0; 2]) {
                let _ = write!(escaped, "\\u{unit:04x}");
            }
        }
    }
    escaped
}

/// As [`shown`], cut to `width` columns with an ellipsis.
pub fn cut(text: &str, width: usize) -> String {
    console::truncate_str(&shown(text), width, "…").into_owned()
}

/// `1 region`, `17 regions`.
pub fn counted(count: usize, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}

/// A length of time in seconds, as a person reads it: `0.4 s`, `12 s`, `3 min 20 s`.
pub fn seconds(seconds: f64) -> String {
    if seconds < 10.0 {
        return format!("{seconds:.1} s");
    }
    let whole = seconds.round();
    if whole < 120.0 {
        return format!("{whole:.0} s");
    }
    format!("{:.0} min {:.0} s", (whole / 60.0).floor(), whole % 60.0)
}

/// Whether a character shows as itself and changes nothing else on the line. Refused are controls (C0, C1, DEL), line and
/// paragraph separators, bidirectional marks, zero-width characters, tags, variation selectors and what is not assigned to
/// text.
pub fn is_visible(c: char) -> bool {
    !c.is_control()
        && !matches!(c,
            '\u{ad}'
            | '\u{34f}'
            | '\u{61c}'
            | '\u{115f}'..='\u{1160}'
            | '\u{17b4}'..='\u{17b5}'
            | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{3164}'
            | '\u{e000}'..='\u{f8ff}'
            | '\u{fe00}'..='\u{fe0f}'
            | '\u{feff}'
            | '\u{ffa0}'
            | '\u{fff0}'..='\u{fffb}'
            | '\u{e0000}'..='\u{10ffff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escape_sequences_do_not_reach_the_terminal() {
        assert_eq!(shown("\u{1b}[2Jowned"), "\\u{1b}[2Jowned");
        assert_eq!(shown("\u{9b}31m"), "\\u{9b}31m");
        assert_eq!(shown("a\r\nb\tc\u{7f}\u{8}"), "a\\u{d}\\u{a}b\\u{9}c\\u{7f}\\u{8}");
    }

    #[test]
    fn marks_that_turn_or_hide_text_are_spelled_out() {
        assert_eq!(shown("i-1\u{202e}2-i"), "i-1\\u{202e}2-i");
        assert_eq!(shown("\u{2066}x\u{2069}\u{200b}\u{feff}"), "\\u{2066}x\\u{2069}\\u{200b}\\u{feff}");
        assert_eq!(shown("\u{e0041}"), "\\u{e0041}");
    }

    #[test]
    fn a_megabyte_is_not_shown() {
        let text = shown(&"\u{202e}".repeat(1 << 20));
        assert!(
            text.ends_with("\\u{202e}… (3145728 bytes)") && text.chars().count() < 9 * MOST_SHOWN,
            "{}",
            text.len()
        );
        assert_eq!(shown(&"x".repeat(MOST_SHOWN)), "x".repeat(MOST_SHOWN));
    }

    #[test]
    fn json_stays_the_same_document() {
        let value = serde_json::json!({ "a\u{9b}": "\u{1b}[2J\u{202e}\u{e0041}\u{85}\u{2028}\n", "b": ["é生"] });
        for text in [value.to_string(), format!("{value:#}")] {
            let escaped = escaped_json(&text);
            assert!(escaped.chars().all(|c| is_visible(c) || c == '\n'), "{escaped}");
            assert_eq!(serde_json::from_str::<serde_json::Value>(&escaped).unwrap(), value);
        }
    }

    #[test]
    fn names_in_any_script_stay_readable() {
        for name in ["büro-søk", "生産", "сервер", "prod 1 (eu)"] {
            assert_eq!(shown(name), name);
        }
    }

    #[test]
    fn cutting_counts_columns() {
        assert_eq!(cut("生産サーバー", 5), "生産…");
        assert_eq!(cut("short", 10), "short");
    }

    #[test]
    fn figures_are_for_people() {
        assert_eq!(counted(1, "region"), "1 region");
        assert_eq!(counted(0, "region"), "0 regions");
        assert_eq!(seconds(0.42), "0.4 s");
        assert_eq!(seconds(61.0), "61 s");
        assert_eq!(seconds(200.0), "3 min 20 s");
    }
}
