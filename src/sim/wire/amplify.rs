//! The operations of Amplify, by method and path.

use http::Method;
use percent_encoding::percent_decode_str;
use serde_json::{Map, Value};

use crate::sim::call::RawRequest;

/// The operation of a request to Amplify, and the parameters that its path and its query hold. None for other paths.
pub(super) fn read(http: &RawRequest) -> Option<(&'static str, Map<String, Value>)> {
    let path = http.path.trim_matches('/');
    let parts: Vec<String> =
        path.split('/').map(|part| percent_decode_str(part).decode_utf8_lossy().into_owned()).collect();
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    let (operation, named): (_, &[(&str, &str)]) = match (&http.method, &parts[..]) {
        (&Method::GET, ["apps"]) => ("ListApps", &[]),
        (&Method::POST, ["apps"]) => ("CreateApp", &[]),
        (&Method::GET, ["apps", app]) => ("GetApp", &[("appId", *app)]),
        (&Method::POST, ["apps", app]) => ("UpdateApp", &[("appId", *app)]),
        (&Method::DELETE, ["apps", app]) => ("DeleteApp", &[("appId", *app)]),
        (&Method::GET, ["apps", app, "branches"]) => ("ListBranches", &[("appId", *app)]),
        (&Method::POST, ["apps", app, "branches"]) => ("CreateBranch", &[("appId", *app)]),
        (&Method::GET, ["apps", app, "webhooks"]) => ("ListWebhooks", &[("appId", *app)]),
        (&Method::POST, ["apps", app, "webhooks"]) => ("CreateWebhook", &[("appId", *app)]),
        (&Method::DELETE, ["webhooks", id]) => ("DeleteWebhook", &[("webhookId", *id)]),
        (method, ["apps", app, "branches", branch]) => {
            let operation = match *method {
                Method::GET => "GetBranch",
                Method::POST => "UpdateBranch",
                _ => "DeleteBranch",
            };
            (operation, &[("appId", *app), ("branchName", *branch)])
        }
        (method, ["apps", app, "branches", branch, "jobs"]) => {
            let operation = if *method == Method::GET { "ListJobs" } else { "StartJob" };
            (operation, &[("appId", *app), ("branchName", *branch)])
        }
        (&Method::GET, ["apps", app, "branches", branch, "jobs", job]) => {
            ("GetJob", &[("appId", *app), ("branchName", *branch), ("jobId", *job)])
        }
        (&Method::DELETE, ["apps", app, "branches", branch, "jobs", job, "stop"]) => {
            ("StopJob", &[("appId", *app), ("branchName", *branch), ("jobId", *job)])
        }
        _ => return None,
    };
    let mut parameters: Map<String, Value> =
        named.iter().map(|(name, value)| ((*name).to_owned(), Value::from(*value))).collect();
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
        let asked = |method: Method, path: &str, query: &str| {
            let http = RawRequest { method, path: path.into(), query: query.into(), ..RawRequest::default() };
            read(&http).map(|(operation, parameters)| (operation, Value::Object(parameters).to_string()))
        };
        let stop = asked(Method::DELETE, "/apps/d1/branches/feature%2Fx/jobs/3/stop", "").unwrap();
        assert_eq!(stop, ("StopJob", r#"{"appId":"d1","branchName":"feature/x","jobId":"3"}"#.to_owned()));
        assert_eq!(asked(Method::GET, "/apps", "maxResults=2").unwrap(), ("ListApps", r#"{"maxResults":"2"}"#.into()));
        assert_eq!(asked(Method::POST, "/listRegions", ""), None);
    }
}
