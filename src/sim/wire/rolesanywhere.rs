//! The operations of IAM Roles Anywhere, by method and path.

use http::Method;
use percent_encoding::percent_decode_str;
use serde_json::{Map, Value};

use crate::sim::call::RawRequest;

/// The operation of a request to Roles Anywhere, and the parameters that its path and its query hold. None for other paths.
pub(super) fn read(http: &RawRequest) -> Option<(&'static str, Map<String, Value>)> {
    let decoded = |part: &str| percent_decode_str(part).decode_utf8_lossy().into_owned();
    let parts: Vec<String> = http.path.trim_matches('/').split('/').map(decoded).collect();
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    let (operation, named) = match (&http.method, &parts[..]) {
        (&Method::GET, ["trustanchors"]) => ("ListTrustAnchors", None),
        (&Method::POST, ["trustanchors"]) => ("CreateTrustAnchor", None),
        (&Method::GET, ["trustanchor", id]) => ("GetTrustAnchor", Some(("trustAnchorId", *id))),
        (&Method::DELETE, ["trustanchor", id]) => ("DeleteTrustAnchor", Some(("trustAnchorId", *id))),
        (&Method::POST, ["trustanchor", id, "enable"]) => ("EnableTrustAnchor", Some(("trustAnchorId", *id))),
        (&Method::POST, ["trustanchor", id, "disable"]) => ("DisableTrustAnchor", Some(("trustAnchorId", *id))),
        (&Method::GET, ["profiles"]) => ("ListProfiles", None),
        (&Method::POST, ["profiles"]) => ("CreateProfile", None),
        (&Method::GET, ["profile", id]) => ("GetProfile", Some(("profileId", *id))),
        (&Method::DELETE, ["profile", id]) => ("DeleteProfile", Some(("profileId", *id))),
        (&Method::POST, ["profile", id, "enable"]) => ("EnableProfile", Some(("profileId", *id))),
        (&Method::POST, ["profile", id, "disable"]) => ("DisableProfile", Some(("profileId", *id))),
        (&Method::GET, ["ListTagsForResource"]) => ("ListTagsForResource", None),
        _ => return None,
    };
    let named = named.map(|(name, value)| (name.to_owned(), Value::from(value)));
    let mut parameters: Map<String, Value> = named.into_iter().collect();
    for (name, value) in form_urlencoded::parse(http.query.as_bytes()) {
        let number = value.parse::<u32>().ok().filter(|_| name == "pageSize");
        parameters.insert(name.into_owned(), number.map_or_else(|| Value::from(value.as_ref()), Value::from));
    }
    Some((operation, parameters))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_name_operations_and_parameters() {
        let asked = |method: Method, path: &str, query: &str| {
            let http = RawRequest { method, path: path.to_owned(), query: query.to_owned(), ..RawRequest::default() };
            read(&http).map(|(operation, params)| (operation, Value::Object(params)))
        };
        let (operation, params) = asked(Method::POST, "/trustanchor/a-1/disable", "").unwrap();
        assert_eq!((operation, &params["trustAnchorId"]), ("DisableTrustAnchor", &Value::from("a-1")));
        let (operation, params) = asked(Method::GET, "/profiles", "pageSize=2").unwrap();
        assert_eq!((operation, &params["pageSize"]), ("ListProfiles", &Value::from(2)));
        assert_eq!(asked(Method::PATCH, "/profile/a-1", ""), None);
    }
}
