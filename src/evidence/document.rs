//! An answer of AWS as JSON, whatever protocol it came by.
//!
//! XML becomes JSON by these rules, which lose nothing but the order of differently named siblings:
//! - An element with children is an object, one with text a string, an empty one `null`.
//! - An element whose children all bear one name is a list if that name is `item` or `member`, if it is the parent's name in
//!   the singular, or if there are several.
//! - The root and a lone `…Result` below it stand for the whole answer and are left out, as are the id of the request and what
//!   only carries it.

use quick_xml::Reader;
use quick_xml::events::Event;
use serde_json::{Map, Value};

/// How deep an answer may go. AWS's deepest known ones have some 15 levels.
const DEEPEST: usize = 64;

/// Why an answer cannot be kept as JSON.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the answer is neither JSON nor XML: {0}")]
pub struct Unreadable(String);

/// Reads the body of an answer.
///
/// # Errors
/// When it is neither JSON nor XML, or goes too deep.
pub fn read(body: &[u8]) -> Result<Value, Unreadable> {
    let text = std::str::from_utf8(body).map_err(|_| Unreadable("it is no text".to_owned()))?;
    let text = text.trim_start();
    if text.is_empty() {
        return Ok(Value::Null);
    }
    if text.starts_with('<') {
        return xml(text);
    }
    // serde_json itself goes 128 levels deep.
    serde_json::from_str(text).map_err(|error| Unreadable(error.to_string()))
}

/// An element that is being read.
struct Open {
    name: String,
    text: String,
    children: Vec<(String, Value)>,
}

impl Open {
    fn named(name: &str) -> Self {
        Self { name: name.to_owned(), text: String::new(), children: Vec::new() }
    }

    fn close(self) -> (String, Value) {
        let Self { name, text, children } = self;
        let value = match children.first() {
            None if text.is_empty() => Value::Null,
            None => Value::String(text),
            Some((first, _)) if is_list(&name, first, &children) => {
                Value::Array(children.into_iter().map(|(_, child)| child).collect())
            }
            Some(_) => Value::Object(members(children)),
        };
        (name, value)
    }
}

fn is_list(name: &str, first: &str, children: &[(String, Value)]) -> bool {
    let alike = children.iter().all(|(child, _)| child == first);
    let is_plural = name.strip_prefix(first).is_some_and(|rest| matches!(rest, "s" | "es" | "Set" | "List"));
    alike && (matches!(first, "item" | "member") || is_plural || children.len() > 1)
}

/// What is repeated among other siblings becomes a list of its own.
fn members(children: Vec<(String, Value)>) -> Map<String, Value> {
    let mut members = Map::new();
    let mut repeated: Vec<String> = Vec::new();
    for (name, child) in children {
        match members.get_mut(&name) {
            None => {
                members.insert(name, child);
            }
            Some(Value::Array(list)) if repeated.contains(&name) => list.push(child),
            Some(first) => {
                *first = Value::Array(vec![first.take(), child]);
                repeated.push(name);
            }
        }
    }
    members
}

fn xml(text: &str) -> Result<Value, Unreadable> {
    let wrong = |error: &dyn std::fmt::Display| Unreadable(error.to_string());
    let mut reader = Reader::from_str(text);
    let mut open: Vec<Open> = Vec::new();
    let mut root = None;
    loop {
        match reader.read_event().map_err(|error| wrong(&error))? {
            Event::Start(element) => {
                if open.len() == DEEPEST {
                    return Err(Unreadable(format!("it goes deeper than {DEEPEST} levels")));
                }
                open.push(Open::named(element.local_name().as_ref()));
            }
            Event::Empty(element) => {
                let name = element.local_name().as_ref().to_owned();
                match open.last_mut() {
                    Some(parent) => parent.children.push((name, Value::Null)),
                    None => root = Some(Value::Null),
                }
            }
            Event::Text(part) => {
                if let Some(element) = open.last_mut() {
                    element.text.push_str(&part);
                }
            }
            Event::CData(part) => {
                if let Some(element) = open.last_mut() {
                    element.text.push_str(&part);
                }
            }
            Event::GeneralRef(reference) => {
                let name: &str = &reference;
                let meant =
                    quick_xml::escape::unescape(&format!("&{name};")).map_err(|error| wrong(&error))?.into_owned();
                if let Some(element) = open.last_mut() {
                    element.text.push_str(&meant);
                }
            }
            Event::End(_) => {
                let Some(mut done) = open.pop() else {
                    return Err(Unreadable("an element ends that never began".into()));
                };
                if !done.children.is_empty() {
                    done.text.clear();
                }
                let (name, value) = done.close();
                match open.last_mut() {
                    Some(parent) => parent.children.push((name, value)),
                    None => root = Some(value),
                }
            }
            Event::Eof if open.is_empty() => break,
            Event::Eof => return Err(Unreadable("it ends in the middle".to_owned())),
            Event::Decl(_) | Event::PI(_) | Event::DocType(_) | Event::Comment(_) => {}
        }
    }
    root.map(whole).ok_or_else(|| Unreadable("it holds no element".to_owned()))
}

/// Leaves out what stands around the answer itself.
fn whole(root: Value) -> Value {
    let Value::Object(mut members) = root else { return root };
    for envelope in ["requestId", "RequestId", "ResponseMetadata"] {
        members.shift_remove(envelope);
    }
    let lone = members.keys().next().filter(|name| members.len() == 1 && name.ends_with("Result")).cloned();
    match lone.and_then(|name| members.shift_remove(&name)) {
        Some(result) => result,
        None => Value::Object(members),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_answer_of_ec2_becomes_lists_and_texts() {
        let body = br#"<?xml version="1.0" encoding="UTF-8"?>
<DescribeInstancesResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/"><requestId>r-1</requestId>
<reservationSet><item><instancesSet><item><instanceId>i-1</instanceId><reason/><amiLaunchIndex>0</amiLaunchIndex>
<tagSet><item><key>a&amp;b</key><value>x &lt; y</value></item></tagSet></item></instancesSet></item></reservationSet>
</DescribeInstancesResponse>"#;
        let expected = json!({ "reservationSet": [ { "instancesSet": [
            { "instanceId": "i-1", "reason": null, "amiLaunchIndex": "0", "tagSet": [ { "key": "a&b", "value": "x < y" } ] }
        ] } ] });
        assert_eq!(read(body), Ok(expected));
    }

    #[test]
    fn the_result_of_iam_stands_for_the_answer() {
        let body = b"<ListUsersResponse><ListUsersResult><IsTruncated>false</IsTruncated><Users><member><UserName>a</UserName>\
            </member></Users></ListUsersResult><ResponseMetadata><RequestId>r</RequestId></ResponseMetadata></ListUsersResponse>";
        assert_eq!(read(body), Ok(json!({ "IsTruncated": "false", "Users": [ { "UserName": "a" } ] })));
    }

    #[test]
    fn one_bucket_is_a_list_as_two_are() {
        let list =
            |buckets: &str| read(format!("<L><Owner><ID>o</ID></Owner><Buckets>{buckets}</Buckets></L>").as_bytes());
        let bucket = "<Bucket><Name>b</Name></Bucket>";
        assert_eq!(list(bucket), Ok(json!({ "Owner": { "ID": "o" }, "Buckets": [ { "Name": "b" } ] })));
        assert_eq!(list(&bucket.repeat(2)).unwrap()["Buckets"].as_array().map(Vec::len), Some(2));
    }

    #[test]
    fn json_is_taken_as_it_is_and_nothing_is_null() {
        assert_eq!(read(br#" {"a":[1]}"#), Ok(json!({ "a": [1] })));
        assert_eq!(read(b""), Ok(Value::Null));
    }

    #[test]
    fn what_is_torn_or_goes_too_deep_is_refused() {
        assert!(read(b"<a><b>").is_err());
        assert!(read(b"{\"a\":").is_err());
        assert!(read(b"\xff").is_err());
        assert!(read(format!("{}{}", "<a>".repeat(65), "</a>".repeat(65)).as_bytes()).is_err());
    }
}
