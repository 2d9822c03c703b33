//! Long lists in parts.

use serde::Deserialize;

use crate::sim::call::{Body, Refusal};
use crate::sim::wire::xml::Xml;

/// The parameters of every paged operation.
#[derive(Debug, Default)]
pub(super) struct Paging {
    pub(super) marker: Option<String>,
    pub(super) max_items: Option<usize>,
}

/// The parameters of a list of everything.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct Everything {
    pub(super) path_prefix: Option<String>,
    marker: Option<String>,
    max_items: Option<usize>,
}

impl Everything {
    pub(super) fn paging(&self) -> Paging {
        Paging { marker: self.marker.clone(), max_items: self.max_items }
    }

    pub(super) fn admits(&self, path: &str) -> bool {
        self.path_prefix.as_deref().is_none_or(|prefix| path.starts_with(prefix))
    }
}

impl Paging {
    /// One part of `items`, which come in the order of their keys. The marker holds the last key of the part before, so
    /// that what is added or deleted between two parts moves nothing.
    pub(super) fn part<T>(&self, items: impl IntoIterator<Item = (String, T)>) -> Result<Part<T>, Refusal> {
        let most = self.max_items.unwrap_or(100);
        if !(1..=1000).contains(&most) {
            return Err(Refusal::new(400, "ValidationError", format!("MaxItems must be from 1 to 1000, not {most}")));
        }
        let after = self.marker.as_deref().map(decode).transpose()?;
        let mut rest = items.into_iter().filter(|(key, _)| after.as_ref().is_none_or(|after| key > after));
        let mut part = Part { items: Vec::new(), next: None };
        let mut last = String::new();
        for (key, item) in rest.by_ref().take(most) {
            last = key;
            part.items.push(item);
        }
        part.next = rest.next().map(|_| hex::encode(last));
        Ok(part)
    }
}

fn decode(marker: &str) -> Result<String, Refusal> {
    let text = hex::decode(marker).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    text.ok_or_else(|| Refusal::new(400, "ValidationError", format!("Invalid Marker: {marker}")))
}

/// A part of a list.
pub(super) struct Part<T> {
    pub(super) items: Vec<T>,
    pub(super) next: Option<String>,
}

impl<T> Part<T> {
    /// `IsTruncated` and `Marker`.
    pub(super) fn ending(&self) -> Vec<Xml> {
        let mut ending = vec![Xml::text("IsTruncated", self.next.is_some())];
        ending.extend(self.next.as_ref().map(|marker| Xml::text("Marker", marker)));
        ending
    }

    /// The answer: a list of structures.
    pub(super) fn structures(self, name: &'static str, write: impl FnMut(T) -> Vec<Xml>) -> Body {
        let ending = self.ending();
        let list = Xml::list(name, "member", self.items.into_iter().map(write));
        Body::Xml([vec![list], ending].concat())
    }
}

impl Part<String> {
    /// The answer: a list of texts.
    pub(super) fn texts(self, name: &'static str) -> Body {
        let ending = self.ending();
        let items = self.items.into_iter().map(|text| Xml::text("member", text)).collect();
        Body::Xml([vec![Xml::node(name, items)], ending].concat())
    }
}
