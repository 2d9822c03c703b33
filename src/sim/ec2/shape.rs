//! How EC2 writes values.

use jiff::Timestamp;

use super::tags::Tags;
use crate::sim::wire::xml::Xml;

/// A date as EC2 writes it: UTC, milliseconds.
pub fn date(at: Timestamp) -> String {
    format!("{at:.3}")
}

/// An element that is there only when there is something to say.
pub fn maybe(name: &'static str, value: Option<impl ToString>) -> Option<Xml> {
    value.map(|value| Xml::text(name, value))
}

/// `<name><value>…</value></name>`.
pub fn value(name: &'static str, value: impl ToString) -> Xml {
    Xml::node(name, vec![Xml::text("value", value)])
}

/// `<tagSet>`.
pub fn tag_set(tags: &Tags) -> Xml {
    Xml::list("tagSet", "item", tags.iter().map(|(key, value)| vec![Xml::text("key", key), Xml::text("value", value)]))
}

/// Adds `<nextToken>` to a page that is not the last.
pub fn paged(mut children: Vec<Xml>, next: Option<String>) -> Vec<Xml> {
    children.extend(maybe("nextToken", next));
    children
}
