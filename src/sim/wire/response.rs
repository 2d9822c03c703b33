//! Answers, in the envelope of the service's protocol.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, DATE};
use http::{HeaderName, HeaderValue, Response, StatusCode};
use jiff::Timestamp;
use serde_json::{Map, Value};

use super::protocol::Protocol;
use super::rest;
use super::xml::Xml;
use crate::sim::call::{Body, Refusal, Reply};

/// What an answer says about itself.
#[derive(Debug, Clone, Copy)]
pub struct Envelope<'a> {
    /// The protocol.
    pub protocol: Protocol,
    /// The service, which names the XML namespace.
    pub service: &'a str,
    /// The operation, which names the root element.
    pub operation: &'a str,
    /// The request id.
    pub request_id: &'a str,
    /// The server's time, for `Date`.
    pub now: Timestamp,
}

/// Writes the end of a call as HTTP.
pub fn write(envelope: Envelope<'_>, reply: &Reply) -> Response<Bytes> {
    let mut response = match reply {
        Ok(body) => success(envelope, body),
        Err(refusal) => error(envelope, refusal),
    };
    let id = match envelope.protocol {
        Protocol::RestXml => "x-amz-request-id",
        _ => "x-amzn-requestid",
    };
    let headers = response.headers_mut();
    headers.insert(HeaderName::from_static(id), text(envelope.request_id));
    headers.insert(DATE, text(&http_date(envelope.now)));
    response
}

/// A time as HTTP's `Date` has it.
pub fn http_date(time: Timestamp) -> String {
    time.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

fn success(envelope: Envelope<'_>, body: &Body) -> Response<Bytes> {
    match body {
        Body::Xml(children) => answer(200, "text/xml;charset=UTF-8", document(&success_xml(envelope, children))),
        Body::Json(json) => match rest::status(envelope.service, envelope.operation) {
            204 => answer(204, json_type(envelope.protocol), String::new()),
            status => answer(status, json_type(envelope.protocol), json.to_string()),
        },
        Body::Raw(response) => response.clone(),
    }
}

fn success_xml(envelope: Envelope<'_>, children: &[Xml]) -> Xml {
    let (operation, id) = (envelope.operation, envelope.request_id);
    let response = format!("{operation}Response");
    let children = if envelope.protocol == Protocol::Query {
        let result = Xml::node(format!("{operation}Result"), children.to_vec());
        vec![result, Xml::node("ResponseMetadata", vec![Xml::text("RequestId", id)])]
    } else {
        [&[Xml::text("requestId", id)], children].concat()
    };
    Xml::node(response, children).attribute("xmlns", namespace(envelope.service))
}

fn namespace(service: &str) -> &'static str {
    match service {
        "iam" => "https://iam.amazonaws.com/doc/2010-05-08/",
        "sts" => "https://sts.amazonaws.com/doc/2011-06-15/",
        "autoscaling" => "http://autoscaling.amazonaws.com/doc/2011-01-01/",
        "s3" => "http://s3.amazonaws.com/doc/2006-03-01/",
        _ => "http://ec2.amazonaws.com/doc/2016-11-15/",
    }
}

fn error(envelope: Envelope<'_>, refusal: &Refusal) -> Response<Bytes> {
    let Refusal { code, message, status, members } = refusal;
    let id = envelope.request_id;
    let what = vec![Xml::text("Code", code), Xml::text("Message", message)];
    match envelope.protocol {
        Protocol::Ec2 => {
            let errors = Xml::node("Errors", vec![Xml::node("Error", what)]);
            xml(*status, &Xml::node("Response", vec![errors, Xml::text("RequestID", id)]))
        }
        Protocol::Query => {
            let who = if *status < 500 { "Sender" } else { "Receiver" };
            let error = Xml::node("Error", [vec![Xml::text("Type", who)], what].concat());
            let response = Xml::node("ErrorResponse", vec![error, Xml::text("RequestId", id)]);
            xml(*status, &response.attribute("xmlns", namespace(envelope.service)))
        }
        Protocol::RestXml => xml(*status, &Xml::node("Error", [what, vec![Xml::text("RequestId", id)]].concat())),
        Protocol::Json | Protocol::RestJson => {
            let mut body = Map::new();
            body.insert("__type".to_owned(), Value::from(code.as_str()));
            body.insert("message".to_owned(), Value::from(message.as_str()));
            body.insert("Message".to_owned(), Value::from(message.as_str()));
            body.extend(members.iter().map(|(name, value)| ((*name).to_owned(), Value::from(value.as_str()))));
            let body = Value::Object(body).to_string();
            let mut response = answer(*status, json_type(envelope.protocol), body);
            response.headers_mut().insert("x-amzn-errortype", text(code));
            response
        }
    }
}

fn json_type(protocol: Protocol) -> &'static str {
    if protocol == Protocol::Json { "application/x-amz-json-1.1" } else { "application/json" }
}

fn xml(status: u16, root: &Xml) -> Response<Bytes> {
    answer(status, "text/xml;charset=UTF-8", document(root))
}

fn document(root: &Xml) -> String {
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    root.write(&mut out);
    out
}

fn answer(status: u16, content_type: &'static str, body: String) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from(body));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

fn text(value: &str) -> HeaderValue {
    HeaderValue::from_str(value).unwrap_or(HeaderValue::from_static(""))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(protocol: Protocol, service: &str, reply: &Reply) -> Response<Bytes> {
        let now = "2026-03-03T15:00:00Z".parse().unwrap();
        write(Envelope { protocol, service, operation: "StopInstances", request_id: "r-1", now }, reply)
    }

    fn body(response: &Response<Bytes>) -> String {
        String::from_utf8(response.body().to_vec()).unwrap()
    }

    #[test]
    fn ec2_answers_carry_their_request_id() {
        let response = written(Protocol::Ec2, "ec2", &Ok(Body::ec2_true()));
        let expected = "<StopInstancesResponse xmlns=\"http://ec2.amazonaws.com/doc/2016-11-15/\">\
                        <requestId>r-1</requestId><return>true</return></StopInstancesResponse>";
        assert!(body(&response).ends_with(expected), "{}", body(&response));
        assert_eq!(response.headers()[DATE], "Tue, 03 Mar 2026 15:00:00 GMT");
    }

    #[test]
    fn errors_have_the_shape_of_their_protocol() {
        let refused: Reply = Err(Refusal::new(403, "AccessDenied", "no & never"));
        assert!(body(&written(Protocol::Query, "iam", &refused)).contains("<Code>AccessDenied</Code>"));
        assert!(body(&written(Protocol::Ec2, "ec2", &refused)).contains("<Response><Errors><Error>"));
        let json = written(Protocol::Json, "organizations", &refused);
        assert_eq!(json.headers()["x-amzn-errortype"], "AccessDenied");
        assert_eq!(serde_json::from_slice::<Value>(json.body()).unwrap()["message"], "no & never");
        assert_eq!(json.status(), 403);
    }
}
