//! Lines of JSON, each bound to all before it by a hash: the form of a journal and of a capture's manifest.
//!
//! The hash of a line is the SHA-256 of the hash before it (of the header line, for the first) and of the text of its
//! content. Whoever changes, drops or inserts a line must rewrite every line behind it, and the last hash, once published,
//! gives that away.

use serde::Serialize;
use sha2::{Digest as _, Sha256};

/// The hash of a text that follows the line with hash `before`; for a header `before` is empty.
pub fn follow(before: &str, text: &str) -> String {
    let mut hash = Sha256::new();
    hash.update(before);
    hash.update(text);
    hex::encode(hash.finalize())
}

/// Something as a line, under the name of what it is, with its hash.
pub fn line(before: &str, name: &str, content: &impl Serialize) -> (String, String) {
    let text = serde_json::to_string(content).expect("what is recorded is always JSON");
    let hash = follow(before, &text);
    (format!("{{\"hash\":\"{hash}\",\"{name}\":{text}}}\n"), hash)
}

/// Takes a line apart into its hash and the text of its content: the hash is over that very text.
pub fn split<'a>(line: &'a str, name: &str) -> Option<(&'a str, &'a str)> {
    let rest = line.strip_prefix("{\"hash\":\"")?;
    let (hash, rest) = rest.split_at_checked(64)?;
    let rest = rest.strip_prefix("\",\"")?.strip_prefix(name)?;
    let text = rest.strip_prefix("\":")?.strip_suffix('}')?;
    Some((hash, text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_taken_apart_as_it_was_made() {
        let (line, hash) = line("before", "note", &serde_json::json!({ "a": "}" }));
        assert_eq!(split(line.trim_end(), "note"), Some((hash.as_str(), r#"{"a":"}"}"#)));
        assert_eq!(split(line.trim_end(), "event"), None);
        assert_eq!(hash, follow("before", r#"{"a":"}"}"#));
    }
}
