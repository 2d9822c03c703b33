//! The operations of GuardDuty, by method and path.

use http::Method;
use percent_encoding::percent_decode_str;
use serde_json::{Map, Value};

use crate::sim::call::RawRequest;

/// The operation of a request to GuardDuty, and the parameters that its path and its query hold. None for other paths.
pub(super) fn read(http: &RawRequest) -> Option<(&'static str, Map<String, Value>)> {
    let decoded = |part: &str| percent_decode_str(part).decode_utf8_lossy().into_owned();
    let parts: Vec<String> = http.path.trim_matches('/').split('/').map(decoded).collect();
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    let (operation, detector) = match (&http.method, &parts[..]) {
        (&Method::GET, ["detector"]) => ("ListDetectors", None),
        (&Method::POST, ["detector"]) => ("CreateDetector", None),
        (&Method::GET, ["detector", id]) => ("GetDetector", Some(*id)),
        (&Method::POST, ["detector", id]) => ("UpdateDetector", Some(*id)),
        (&Method::DELETE, ["detector", id]) => ("DeleteDetector", Some(*id)),
        (&Method::POST, ["detector", id, "findings"]) => ("ListFindings", Some(*id)),
        (&Method::POST, ["detector", id, "findings", "get"]) => ("GetFindings", Some(*id)),
        (&Method::POST, ["detector", id, "findings", "create"]) => ("CreateSampleFindings", Some(*id)),
        _ => return None,
    };
    let mut parameters: Map<String, Value> =
        detector.map(|id| ("detectorId".to_owned(), Value::from(id))).into_iter().collect();
    for (name, value) in form_urlencoded::parse(http.query.as_bytes()) {
        parameters.insert(name.into_owned(), Value::from(value.as_ref()));
    }
    Some((operation, parameters))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_name_operations_and_parameters() {
        let asked = |method: Method, path: &str| {
            let http = RawRequest { method, path: path.to_owned(), ..RawRequest::default() };
            read(&http).map(|(operation, params)| (operation, Value::Object(params)))
        };
        let (operation, params) = asked(Method::POST, "/detector/12ab/findings/get").unwrap();
        assert_eq!((operation, &params["detectorId"]), ("GetFindings", &Value::from("12ab")));
        assert_eq!(asked(Method::GET, "/detector").unwrap().0, "ListDetectors");
        assert_eq!(asked(Method::PATCH, "/detector"), None);
    }
}
