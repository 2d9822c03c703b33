//! A client of the simulated AWS that signs its own requests. An intruder uses it: nothing that it does goes another way
//! than everybody's calls.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST};
use http::{Method, Request};
use quick_xml::Reader;
use quick_xml::events::Event;
use serde_json::Value;

use super::Sim;
use super::authenticate::sign::{AccessKey, sign};
use super::faults::CutOff;
use super::wire::protocol::Protocol;
use super::wire::rest;

/// A call to be made.
#[derive(Debug, Clone, Copy)]
pub struct Ask<'a> {
    /// Where.
    pub region: &'a str,
    /// `ec2`: as the signature names the service.
    pub service: &'a str,
    /// `RunInstances`.
    pub operation: &'a str,
    /// Its parameters, by the names of the wire; lists are lists.
    pub with: &'a Value,
}

/// What came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    texts: Vec<(String, String)>,
}

/// Why a call did not succeed: AWS's error code, or that there was no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// `UnauthorizedOperation`; `no-answer`.
    pub code: String,
}

impl Answer {
    /// Every text of this name, wherever it stands in the answer.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.texts.iter().filter(move |(known, _)| known == name).map(|(_, text)| text.as_str())
    }

    /// The first of them.
    pub fn first(&self, name: &str) -> Option<&str> {
        self.texts.iter().find(|(known, _)| known == name).map(|(_, text)| text.as_str())
    }
}

/// Calls the simulated AWS with a key.
///
/// # Errors
/// AWS's refusal.
pub async fn call(sim: &Sim, key: &AccessKey, ask: Ask<'_>) -> Result<Answer, Refused> {
    let mut request = request(ask);
    sign(&mut request, key, (ask.region, ask.service), sim.clock_time()).expect("it states no digest of its own");
    let answer = sim.request(request).await.ok();
    let whole = answer.filter(|response| response.extensions().get::<CutOff>().is_none());
    let response = whole.ok_or_else(|| Refused { code: "no-answer".to_owned() })?;
    let texts = match Protocol::of(ask.service) {
        Some(Protocol::Json | Protocol::RestJson) => json_texts(response.body()),
        _ => xml_texts(response.body()),
    };
    if response.status().is_success() {
        return Ok(Answer { texts });
    }
    let named = |name: &str| texts.iter().find(|(known, _)| known == name).map(|(_, text)| text.clone());
    let code = named("Code").or_else(|| named("__type")).unwrap_or_else(|| response.status().to_string());
    Err(Refused { code })
}

fn request(ask: Ask<'_>) -> Request<Bytes> {
    let host = format!("{}.{}.amazonaws.com", ask.service, ask.region);
    let request = Request::builder().method(Method::POST).uri(format!("https://{host}/")).header(HOST, &host);
    let request = match Protocol::of(ask.service) {
        Some(Protocol::Json) => {
            let target = format!("{}.{}", ask.service, ask.operation);
            let request = request.header(CONTENT_TYPE, "application/x-amz-json-1.1").header("x-amz-target", target);
            request.body(Bytes::from(ask.with.to_string()))
        }
        Some(Protocol::RestJson) => return rest_request(ask, &host),
        _ => request
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded; charset=utf-8")
            .body(Bytes::from(form(ask.operation, ask.with))),
    };
    request.expect("hosts and operations make a request")
}

/// What the path does not hold goes into the body. An operation without a route of its own is a path like `/listRegions`.
fn rest_request(ask: Ask<'_>, host: &str) -> Request<Bytes> {
    let (method, path, body) = rest::route(ask.operation, ask.with).unwrap_or_else(|| {
        let (first, rest) = ask.operation.split_at(1);
        (Method::POST, format!("/{}{rest}", first.to_ascii_lowercase()), ask.with.clone())
    });
    let request = Request::builder().method(method).uri(format!("https://{host}{path}")).header(HOST, host);
    let request = request.header(CONTENT_TYPE, "application/json").body(Bytes::from(body.to_string()));
    request.expect("hosts and paths make a request")
}

/// The parameters as a form: what is nested has its path joined by dots, the items of lists are numbered from 1.
fn form(operation: &str, with: &Value) -> String {
    let mut form = form_urlencoded::Serializer::new(String::new());
    form.append_pair("Action", operation);
    let mut fields = Vec::new();
    flatten("", with, &mut fields);
    form.extend_pairs(fields).finish()
}

fn flatten(path: &str, value: &Value, fields: &mut Vec<(String, String)>) {
    let below = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    match value {
        Value::Null => {}
        Value::Object(members) => members.iter().for_each(|(name, member)| flatten(&below(name), member, fields)),
        Value::Array(items) => {
            for (number, item) in (1..).zip(items) {
                flatten(&below(&number.to_string()), item, fields);
            }
        }
        Value::String(text) => fields.push((path.to_owned(), text.clone())),
        Value::Bool(_) | Value::Number(_) => fields.push((path.to_owned(), value.to_string())),
    }
}

fn json_texts(body: &[u8]) -> Vec<(String, String)> {
    let mut texts = Vec::new();
    if let Ok(document) = serde_json::from_slice::<Value>(body) {
        flatten("", &document, &mut texts);
    }
    let last = |path: &str| path.rsplit('.').find(|name| name.parse::<u32>().is_err()).unwrap_or(path).to_owned();
    texts.into_iter().map(|(path, text)| (last(&path), text)).collect()
}

fn xml_texts(body: &[u8]) -> Vec<(String, String)> {
    let mut reader = Reader::from_str(std::str::from_utf8(body).unwrap_or_default());
    let (mut open, mut texts) = (Vec::new(), Vec::new());
    while let Ok(event) = reader.read_event() {
        match event {
            Event::Start(element) => open.push(element.local_name().as_ref().to_owned()),
            Event::End(_) => drop(open.pop()),
            // What stands in lists of texts is named by the list.
            Event::Text(text) => {
                let name = open.iter().rev().find(|name| !matches!(name.as_str(), "item" | "member"));
                texts.extend(name.map(|name| (name.clone(), text.to_string())));
            }
            Event::Eof => break,
            _ => {}
        }
    }
    texts
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn parameters_become_a_form() {
        let with = json!({ "MinCount": 1, "TagSpecification": [{ "Tag": [{ "Key": "a", "Value": "b c" }] }] });
        assert_eq!(
            form("RunInstances", &with),
            "Action=RunInstances&MinCount=1&TagSpecification.1.Tag.1.Key=a&TagSpecification.1.Tag.1.Value=b+c"
        );
    }

    #[test]
    fn answers_are_read_by_name() {
        let xml =
            b"<R><keySet><item><id>1</id></item><item><id>2</id></item></keySet><names><member>x</member></names></R>";
        let answer = Answer { texts: xml_texts(xml) };
        assert_eq!(answer.all("id").collect::<Vec<_>>(), ["1", "2"]);
        assert_eq!(answer.first("names"), Some("x"));
        let answer = Answer { texts: json_texts(br#"{"tasks": [{"arn": "a"}], "names": ["x"]}"#) };
        assert_eq!((answer.first("arn"), answer.first("names")), (Some("a"), Some("x")));
    }
}
