//! The page on the checks: docs/posture.md.

use std::fmt::Write as _;

use super::CHECKS;

/// The page, made from the table.
pub fn page() -> String {
    let mut page = String::from(
        "# What `quell posture` checks\n\n\
         Each check reads what a capture holds, and nothing else. It passes only if all that it needs was captured; otherwise it is\n\
         `not known`. This page is made from the table in `src/posture.rs`; a test compares them.\n\n\
         | Check | Passes when | Severity |\n|---|---|---|\n",
    );
    // Writing to a string cannot fail.
    for check in CHECKS {
        let anchor = check.id.replace('.', "");
        let _ = writeln!(page, "| [`{}`](#{anchor}) | {} | {} |", check.id, check.title, check.severity.as_str());
    }
    for check in CHECKS {
        let needs: Vec<String> = check.needs.iter().map(|api| format!("`{api}`")).collect();
        let _ = write!(
            page,
            "\n## {}\n\n{}.\n\n**Why.** {}\n\n**How to fix it.** {}\n\nAsks {}.\n",
            check.id,
            check.title,
            check.why,
            check.fix,
            needs.join(", ")
        );
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `QUELL_BLESS=1 cargo test --lib posture::page` writes it anew.
    #[test]
    fn the_page_is_that_of_the_table() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/posture.md");
        if std::env::var_os("QUELL_BLESS").is_some() {
            std::fs::write(path, page()).unwrap();
        }
        assert_eq!(std::fs::read_to_string(path).unwrap_or_default(), page());
    }
}
