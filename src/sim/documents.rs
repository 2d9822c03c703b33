//! Policies that were read before.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::policy::{Document, Kind, Malformed};

/// Policies by their text: every request is decided by the same few, and reading them costs more than deciding.
#[derive(Debug, Clone, Default)]
pub struct Documents(Arc<Mutex<HashMap<Kind, HashMap<String, Document>>>>);

impl Documents {
    /// The policy that a text is, under `name`.
    pub fn read(&self, name: &str, text: &str, kind: Kind) -> Result<Document, Malformed> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = known.entry(kind).or_default();
        if let Some(document) = known.get(text) {
            return Ok(Document { name: name.to_owned(), statements: Arc::clone(&document.statements) });
        }
        let document = Document::parse(name, text, kind)?;
        known.insert(text.to_owned(), document.clone());
        Ok(document)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_read_once_for_each_kind_and_keeps_the_name_it_is_asked_under() {
        let text = r#"{"Version":"2012-10-17","Statement":{"Effect":"Deny","Action":"*","Resource":"*"}}"#;
        let documents = Documents::default();
        let read = |name: &str| documents.read(name, text, Kind::Identity).unwrap();
        let (first, second) = (read("a"), read("b"));
        assert_eq!((first.name.as_str(), second.name.as_str()), ("a", "b"));
        assert!(Arc::ptr_eq(&first.statements, &second.statements));
        assert!(documents.read("a", text, Kind::Trust).is_err(), "no principal");
    }
}
