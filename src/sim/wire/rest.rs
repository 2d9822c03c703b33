//! Operations that are a method and a path with parameters in it: those of Lambda.

use http::Method;
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use serde_json::{Map, Value};

use crate::sim::call::RawRequest;

/// Method, path, operation, and the status of its success. What stands in braces is a parameter, and never empty.
type Route = (Method, &'static str, &'static str, u16);

/// "AWS Lambda API Reference", request syntax and response syntax of each operation.
const LAMBDA: [Route; 34] = [
    (Method::POST, "2015-03-31/functions", "CreateFunction", 201),
    (Method::GET, "2015-03-31/functions", "ListFunctions", 200),
    (Method::GET, "2015-03-31/functions/{FunctionName}", "GetFunction", 200),
    (Method::DELETE, "2015-03-31/functions/{FunctionName}", "DeleteFunction", 204),
    (Method::GET, "2015-03-31/functions/{FunctionName}/configuration", "GetFunctionConfiguration", 200),
    (Method::PUT, "2015-03-31/functions/{FunctionName}/configuration", "UpdateFunctionConfiguration", 200),
    (Method::POST, "2015-03-31/functions/{FunctionName}/invocations", "Invoke", 200),
    (Method::POST, "2015-03-31/functions/{FunctionName}/policy", "AddPermission", 201),
    (Method::GET, "2015-03-31/functions/{FunctionName}/policy", "GetPolicy", 200),
    (Method::DELETE, "2015-03-31/functions/{FunctionName}/policy/{StatementId}", "RemovePermission", 204),
    (Method::POST, "2015-03-31/functions/{FunctionName}/versions", "PublishVersion", 201),
    (Method::GET, "2015-03-31/functions/{FunctionName}/versions", "ListVersionsByFunction", 200),
    (Method::POST, "2015-03-31/functions/{FunctionName}/aliases", "CreateAlias", 201),
    (Method::GET, "2015-03-31/functions/{FunctionName}/aliases", "ListAliases", 200),
    (Method::PUT, "2017-10-31/functions/{FunctionName}/concurrency", "PutFunctionConcurrency", 200),
    (Method::DELETE, "2017-10-31/functions/{FunctionName}/concurrency", "DeleteFunctionConcurrency", 204),
    (Method::GET, "2019-09-30/functions/{FunctionName}/concurrency", "GetFunctionConcurrency", 200),
    (
        Method::PUT,
        "2019-09-30/functions/{FunctionName}/provisioned-concurrency",
        "PutProvisionedConcurrencyConfig",
        202,
    ),
    (
        Method::GET,
        "2019-09-30/functions/{FunctionName}/provisioned-concurrency",
        "ListProvisionedConcurrencyConfigs",
        200,
    ),
    (
        Method::DELETE,
        "2019-09-30/functions/{FunctionName}/provisioned-concurrency",
        "DeleteProvisionedConcurrencyConfig",
        204,
    ),
    (Method::POST, "2021-10-31/functions/{FunctionName}/url", "CreateFunctionUrlConfig", 201),
    (Method::PUT, "2021-10-31/functions/{FunctionName}/url", "UpdateFunctionUrlConfig", 200),
    (Method::GET, "2021-10-31/functions/{FunctionName}/url", "GetFunctionUrlConfig", 200),
    (Method::DELETE, "2021-10-31/functions/{FunctionName}/url", "DeleteFunctionUrlConfig", 204),
    (Method::GET, "2021-10-31/functions/{FunctionName}/urls", "ListFunctionUrlConfigs", 200),
    (Method::POST, "2015-03-31/event-source-mappings", "CreateEventSourceMapping", 202),
    (Method::GET, "2015-03-31/event-source-mappings", "ListEventSourceMappings", 200),
    (Method::GET, "2015-03-31/event-source-mappings/{UUID}", "GetEventSourceMapping", 200),
    (Method::PUT, "2015-03-31/event-source-mappings/{UUID}", "UpdateEventSourceMapping", 202),
    (Method::DELETE, "2015-03-31/event-source-mappings/{UUID}", "DeleteEventSourceMapping", 202),
    (Method::GET, "2017-03-31/tags/{Resource}", "ListTags", 200),
    (Method::POST, "2017-03-31/tags/{Resource}", "TagResource", 204),
    (Method::DELETE, "2017-03-31/tags/{Resource}", "UntagResource", 204),
    (Method::GET, "2016-08-19/account-settings", "GetAccountSettings", 200),
];

/// The operation of a request and what its path and query say. None for a path that no route has.
pub fn read(http: &RawRequest) -> Option<(&'static str, Map<String, Value>)> {
    let path: Vec<&str> = http.path.trim_matches('/').split('/').collect();
    let routes = LAMBDA.iter().filter(|(method, ..)| *method == http.method);
    let (operation, mut params) = routes.into_iter().find_map(|(_, route, operation, _)| {
        let parts: Vec<&str> = route.split('/').collect();
        let mut params = Map::new();
        for (part, given) in parts.iter().zip(&path) {
            match part.strip_prefix('{').and_then(|part| part.strip_suffix('}')) {
                Some(name) => drop(params.insert(name.to_owned(), Value::from(decoded(given)))),
                None if part == given => {}
                None => return None,
            }
        }
        (parts.len() == path.len()).then_some((*operation, params))
    })?;
    for (name, value) in form_urlencoded::parse(http.query.as_bytes()) {
        let number = value.parse::<u32>().ok().filter(|_| name == "MaxItems");
        params.insert(name.into_owned(), number.map_or_else(|| Value::from(value.as_ref()), Value::from));
    }
    Some((operation, params))
}

/// The request of an operation: method, path, and the parameters that are left for the body. None for an operation that has
/// no route here, or whose path lacks a parameter.
pub fn route(operation: &str, with: &Value) -> Option<(Method, String, Value)> {
    let (method, route, ..) = LAMBDA.iter().find(|(_, _, name, _)| *name == operation)?;
    let mut body = with.as_object().cloned().unwrap_or_default();
    let mut path = String::new();
    for part in route.split('/') {
        path.push('/');
        match part.strip_prefix('{').and_then(|part| part.strip_suffix('}')) {
            Some(name) => {
                let given = body.remove(name)?;
                path.extend(utf8_percent_encode(given.as_str()?, NON_ALPHANUMERIC));
            }
            None => path.push_str(part),
        }
    }
    Some((method.clone(), path, Value::Object(body)))
}

/// The status of an operation's success.
pub fn status(service: &str, operation: &str) -> u16 {
    if service == "rolesanywhere" && operation.starts_with("Create") {
        return 201;
    }
    let route = LAMBDA.iter().find(|(_, _, name, _)| service == "lambda" && *name == operation);
    route.map_or(200, |(_, _, _, status)| *status)
}

fn decoded(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn operation(method: Method, path: &str, query: &str) -> Option<(&'static str, Value)> {
        let http = RawRequest { method, path: path.to_owned(), query: query.to_owned(), ..RawRequest::default() };
        read(&http).map(|(operation, params)| (operation, Value::Object(params)))
    }

    #[test]
    fn a_method_and_a_path_are_an_operation() {
        let (name, params) =
            operation(Method::DELETE, "/2015-03-31/functions/arn%3Aaws%3Alambda/policy/open", "Qualifier=live")
                .unwrap();
        assert_eq!(name, "RemovePermission");
        assert_eq!(params["FunctionName"], "arn:aws:lambda");
        assert_eq!((&params["StatementId"], &params["Qualifier"]), (&Value::from("open"), &Value::from("live")));
        assert_eq!(operation(Method::GET, "/2015-03-31/functions/", "MaxItems=5").unwrap().1["MaxItems"], 5);
        assert_eq!(operation(Method::PATCH, "/2015-03-31/functions", ""), None);
        assert_eq!(operation(Method::POST, "/listRegions", ""), None);
        assert_eq!(status("lambda", "AddPermission"), 201);
    }

    #[test]
    fn an_operation_is_a_method_and_a_path() {
        let with = serde_json::json!({ "FunctionName": "a b", "Action": "lambda:InvokeFunction" });
        let (method, path, body) = route("AddPermission", &with).unwrap();
        assert_eq!((method, path.as_str()), (Method::POST, "/2015-03-31/functions/a%20b/policy"));
        assert_eq!(body, serde_json::json!({ "Action": "lambda:InvokeFunction" }));
        assert_eq!(route("AddPermission", &serde_json::json!({})), None);
        assert_eq!(route("RunInstances", &with), None);
    }
}
