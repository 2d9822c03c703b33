//! A tree of XML elements, to be written.

use std::borrow::Cow;

/// An element.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Xml {
    name: Cow<'static, str>,
    attributes: Vec<(&'static str, String)>,
    content: Content,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Content {
    Text(String),
    Children(Vec<Xml>),
}

impl Xml {
    /// `<name>text</name>`.
    pub fn text(name: impl Into<Cow<'static, str>>, text: impl ToString) -> Self {
        Self { name: name.into(), attributes: Vec::new(), content: Content::Text(text.to_string()) }
    }

    /// `<name>children…</name>`.
    pub fn node(name: impl Into<Cow<'static, str>>, children: Vec<Self>) -> Self {
        Self { name: name.into(), attributes: Vec::new(), content: Content::Children(children) }
    }

    /// `<name><item>…</item><item>…</item></name>`: a list of structures, as EC2 (`item`) and IAM (`member`) write it.
    pub fn list(
        name: impl Into<Cow<'static, str>>,
        item: &'static str,
        items: impl IntoIterator<Item = Vec<Self>>,
    ) -> Self {
        Self::node(name, items.into_iter().map(|children| Self::node(item, children)).collect())
    }

    /// The same with an attribute.
    #[must_use]
    pub fn attribute(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.attributes.push((name, value.into()));
        self
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its text, if it has one.
    pub fn as_text(&self) -> Option<&str> {
        match &self.content {
            Content::Text(text) => Some(text),
            Content::Children(_) => None,
        }
    }

    /// Its children.
    pub fn children(&self) -> &[Self] {
        match &self.content {
            Content::Text(_) => &[],
            Content::Children(children) => children,
        }
    }

    /// Writes the element, and all in it, with its texts escaped.
    pub fn write(&self, out: &mut String) {
        out.push('<');
        out.push_str(&self.name);
        for (name, value) in &self.attributes {
            out.extend([" ", name, "=\"", &quick_xml::escape::escape(value.as_str()), "\""]);
        }
        match &self.content {
            Content::Children(children) if children.is_empty() => return out.push_str("/>"),
            Content::Text(text) => {
                out.push('>');
                out.push_str(&quick_xml::escape::escape(text.as_str()));
            }
            Content::Children(children) => {
                out.push('>');
                for child in children {
                    child.write(out);
                }
            }
        }
        out.push_str("</");
        out.push_str(&self.name);
        out.push('>');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_escaped() {
        let mut out = String::new();
        Xml::list("tagSet", "item", [vec![Xml::text("key", "a<b"), Xml::text("value", "&")]]).write(&mut out);
        assert_eq!(out, "<tagSet><item><key>a&lt;b</key><value>&amp;</value></item></tagSet>");
    }
}
