//! Function URLs: a way in without AWS's API.

use bytes::Bytes;
use http::{Request, Response};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::function::{Function, Listed};
use super::{Lambda, invalid, part, read, refuse};
use crate::sim::call::{Call, Refusal};
use crate::sim::world::{Rng, World};

/// A function URL.
#[derive(Debug, Clone, Serialize)]
pub struct Url {
    /// `https://….lambda-url.….on.aws/`.
    pub url: String,
    /// `AWS_IAM` or `NONE`.
    pub auth: String,
    /// When it was created.
    pub created: Timestamp,
    /// When it was last changed.
    #[serde(skip)]
    pub modified: Timestamp,
}

impl Url {
    fn shown(&self, function: &Function, qualifier: &str) -> Value {
        let time = |time: Timestamp| time.strftime("%Y-%m-%dT%H:%M:%S.000000Z").to_string();
        let arn = if qualifier.is_empty() { function.arn.clone() } else { format!("{}:{qualifier}", function.arn) };
        json!({
            "FunctionUrl": self.url,
            "FunctionArn": arn,
            "AuthType": self.auth,
            "CreationTime": time(self.created),
            "LastModifiedTime": time(self.modified),
            "InvokeMode": "BUFFERED",
        })
    }
}

fn check_auth(auth: &str) -> Result<(), Refusal> {
    match auth {
        "AWS_IAM" | "NONE" => Ok(()),
        _ => Err(invalid(format!("'{auth}' at 'authType' failed to satisfy constraint: [NONE, AWS_IAM]"))),
    }
}

fn missing() -> Refusal {
    refuse(404, "ResourceNotFoundException", "The resource you requested does not exist.")
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Asked {
    function_name: String,
    #[serde(default)]
    qualifier: String,
    auth_type: Option<String>,
    #[serde(rename = "Cors")]
    _cors: Option<Value>,
    #[serde(rename = "InvokeMode")]
    _mode: Option<String>,
}

/// CreateFunctionUrlConfig: one for the unpublished version, and one for each alias.
pub(super) fn create(lambda: &mut Lambda, rng: &mut Rng, call: &Call) -> Result<Value, Refusal> {
    let asked: Asked = read(call)?;
    let auth = asked.auth_type.unwrap_or_default();
    check_auth(&auth)?;
    let function = lambda.function_mut(&asked.function_name)?;
    if !asked.qualifier.is_empty() && !function.aliases.contains_key(&asked.qualifier) {
        return Err(invalid("A function URL is for an alias or the unpublished version."));
    }
    if function.urls.contains_key(&asked.qualifier) {
        return Err(refuse(409, "ResourceConflictException", "FunctionUrlConfig exists for this Lambda function"));
    }
    let host = rng.text(b"abcdefghijklmnopqrstuvwxyz234567", 32);
    let url = Url {
        url: format!("https://{host}.lambda-url.{}.on.aws/", call.region),
        auth,
        created: call.now,
        modified: call.now,
    };
    let shown = url.shown(function, &asked.qualifier);
    function.urls.insert(asked.qualifier, url);
    Ok(shown)
}

/// UpdateFunctionUrlConfig.
pub(super) fn update(lambda: &mut Lambda, call: &Call) -> Result<Value, Refusal> {
    let asked: Asked = read(call)?;
    asked.auth_type.as_deref().map_or(Ok(()), check_auth)?;
    let function = lambda.function_mut(&asked.function_name)?;
    let url = function.urls.get_mut(&asked.qualifier).ok_or_else(missing)?;
    url.auth = asked.auth_type.unwrap_or_else(|| url.auth.clone());
    url.modified = call.now;
    Ok(function.urls[&asked.qualifier].shown(function, &asked.qualifier))
}

/// GetFunctionUrlConfig.
pub(super) fn get(lambda: &Lambda, call: &Call) -> Result<Value, Refusal> {
    let asked: Asked = read(call)?;
    let function = lambda.function(&asked.function_name)?;
    function.urls.get(&asked.qualifier).map(|url| url.shown(function, &asked.qualifier)).ok_or_else(missing)
}

/// DeleteFunctionUrlConfig.
pub(super) fn delete(lambda: &mut Lambda, call: &Call) -> Result<Value, Refusal> {
    let asked: Asked = read(call)?;
    let function = lambda.function_mut(&asked.function_name)?;
    function.urls.remove(&asked.qualifier).map(|_| json!({})).ok_or_else(missing)
}

/// ListFunctionUrlConfigs.
pub(super) fn list(lambda: &Lambda, call: &Call) -> Result<Value, Refusal> {
    let asked: Listed = read(call)?;
    let function = lambda.function(&asked.function_name)?;
    let all = function.urls.iter().map(|(qualifier, url)| url.shown(function, qualifier));
    part("FunctionUrlConfigs", all.collect(), call)
}

/// Whether a request goes to a function URL: its host.
pub fn host(request: &Request<Bytes>) -> Option<&str> {
    let header = request.headers().get(http::header::HOST).and_then(|host| host.to_str().ok());
    request.uri().host().or(header).filter(|host| host.ends_with(".on.aws") && host.contains(".lambda-url."))
}

/// What an unsigned request to a function URL gets. With `NONE` nobody is asked who he is, but the function's policy must let
/// everybody in, by both actions (Lambda Developer Guide, "Control access to Lambda function URLs", since October 2025).
pub fn visit(world: &mut World, host: &str, now: Timestamp) -> Response<Bytes> {
    let regions = world.accounts.values_mut().flat_map(|account| account.regions.values_mut());
    let url = format!("https://{host}/");
    let functions = regions.flat_map(|region| region.lambda.functions.values_mut());
    let found = functions.into_iter().find_map(|function| {
        let qualifier = function.urls.iter().find(|(_, found)| found.url == url)?.0.clone();
        Some((function, qualifier))
    });
    let (status, text) = match found {
        None => (404, r#"{"Message":null}"#),
        Some((function, qualifier)) if !is_open(function, &qualifier) => (403, r#"{"Message":"Forbidden"}"#),
        Some((function, _)) if function.reserved == Some(0) => (
            429,
            r#"{"Reason":"ReservedFunctionConcurrentInvocationLimitExceeded","Type":"User","message":"Rate Exceeded."}"#,
        ),
        Some((function, _)) => {
            function.work(now);
            (200, "null")
        }
    };
    let mut response = Response::new(Bytes::from_static(text.as_bytes()));
    *response.status_mut() = http::StatusCode::from_u16(status).unwrap_or(http::StatusCode::INTERNAL_SERVER_ERROR);
    response
}

fn is_open(function: &Function, qualifier: &str) -> bool {
    let everybody = |statement: &&Value| statement["Principal"] == "*" || statement["Principal"]["AWS"] == "*";
    let statements = function.policies.get(qualifier).map_or(&[][..], Vec::as_slice);
    let lets = |action: &str, key: &str, value: &str| {
        statements.iter().filter(everybody).filter(|statement| statement["Action"] == action).any(|statement| {
            let conditions = statement["Condition"].as_object().into_iter().flatten();
            conditions.flat_map(|(_, keys)| keys.as_object().into_iter().flatten()).all(|(k, v)| k == key && v == value)
        })
    };
    function.urls.get(qualifier).is_some_and(|url| url.auth == "NONE")
        && lets("lambda:InvokeFunctionUrl", "lambda:FunctionUrlAuthType", "NONE")
        && lets("lambda:InvokeFunction", "lambda:InvokedViaFunctionUrl", "true")
}
