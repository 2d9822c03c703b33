//! What an outgoing request asks for, read from the request itself.

use aws_smithy_runtime_api::client::orchestrator::HttpRequest;

/// A request on its way out, by the names that guard and budget know it by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Call {
    /// The signing name: `ec2`, `iam`, `sts`, `organizations`, …
    pub service: String,
    /// `StopInstances`; for S3, `GET` or another method.
    pub operation: String,
    /// The region of the signature.
    pub region: String,
    /// The parameters of a form, in their order; empty for other protocols.
    pub form: Vec<(String, String)>,
    /// 1, or more when the SDK sends it again.
    pub attempt: u32,
    /// The token of the page that is asked for.
    pub page: Option<String>,
}

impl Call {
    /// Reads a request after it was signed. An unsigned one has no service, and no guard lets it pass.
    pub fn read(request: &HttpRequest) -> Self {
        let headers = request.headers();
        let mut scope = headers
            .get("authorization")
            .and_then(|header| header.split_once("Credential="))
            .and_then(|(_, rest)| rest.split(',').next())
            .map(|credential| credential.rsplit('/').skip(1))
            .into_iter()
            .flatten()
            .map(str::to_owned);
        let service = scope.next().unwrap_or_default();
        let region = scope.next().unwrap_or_default();

        let is_form = headers.get("content-type").is_some_and(|form| form.contains("x-www-form-urlencoded"));
        let body = if is_form { request.body().bytes().unwrap_or_default() } else { &[] };
        let form: Vec<(String, String)> = form_urlencoded::parse(body).into_owned().collect();

        let action = form.iter().find(|(name, _)| name == "Action").map(|(_, value)| value.clone());
        let operation = action
            .or_else(|| Some(headers.get("x-amz-target")?.rsplit('.').next()?.to_owned()))
            .unwrap_or_else(|| rest_operation(&service, request));
        let attempt = headers.get("amz-sdk-request").and_then(attempt).unwrap_or(1);
        let page = super::pages::asked(&form, request);
        Self { service, operation, region, form, attempt, page }
    }

    /// A parameter of the form.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.form.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// How many parameters of the form begin with `prefix`: the length of a list.
    pub fn count(&self, prefix: &str) -> usize {
        self.form.iter().filter(|(key, _)| key.starts_with(prefix)).count()
    }

    /// Whether EC2 is only asked if it would.
    pub fn is_dry_run(&self) -> bool {
        self.service == "ec2" && self.parameter("DryRun") == Some("true")
    }

    /// `ec2:StopInstances`.
    pub fn name(&self) -> String {
        format!("{}:{}", self.service, self.operation)
    }
}

/// What quell reads in Batch, whose paths are the names of the operations in lower case: `POST /v1/describejobqueues`.
const READS_OF_BATCH: [&str; 3] = ["DescribeComputeEnvironments", "DescribeJobQueues", "ListJobs"];

/// The operation of a REST request: for S3 the method, elsewhere the first part of the path (`POST /listRegions`), or the
/// second where the first is a version.
fn rest_operation(service: &str, request: &HttpRequest) -> String {
    if service == "s3" {
        return request.method().to_owned();
    }
    let after_host = request.uri().split_once("://").map_or(request.uri(), |(_, rest)| rest);
    let path = after_host.split_once('/').map_or("", |(_, path)| path);
    if service == "lambda" {
        return super::rest::lambda(request.method(), path);
    }
    if service == "rolesanywhere" {
        return super::rest::rolesanywhere(request.method(), path);
    }
    if service == "guardduty" {
        return super::rest::guardduty(request.method(), path);
    }
    if service == "amplify" {
        return amplify_operation(request.method(), path);
    }
    let mut parts = path.split(['/', '?']);
    let first = parts.next().unwrap_or_default();
    let first = if first == "v1" { parts.next().unwrap_or_default() } else { first };
    if let Some(read) = READS_OF_BATCH.iter().find(|read| service == "batch" && read.eq_ignore_ascii_case(first)) {
        return (*read).to_owned();
    }
    let mut letters = first.chars();
    letters.next().map_or_else(String::new, |letter| letter.to_uppercase().chain(letters).collect())
}

/// The operation of a request to Amplify: what is read by its name, all else by method and path, as no guard lets it pass.
fn amplify_operation(method: &str, path: &str) -> String {
    let path = path.split('?').next().unwrap_or_default().trim_end_matches('/');
    let parts: Vec<&str> = path.split('/').collect();
    let read = match (method, &parts[..]) {
        ("GET", ["apps"]) => "ListApps",
        ("GET", ["apps", _]) => "GetApp",
        ("GET", ["apps", _, "branches"]) => "ListBranches",
        ("GET", ["apps", _, "branches", _]) => "GetBranch",
        ("GET", ["apps", _, "branches", _, "jobs"]) => "ListJobs",
        ("GET", ["apps", _, "webhooks"]) => "ListWebhooks",
        _ => return format!("{method} /{path}"),
    };
    read.to_owned()
}

/// The number in `attempt=2; max=3`.
fn attempt(header: &str) -> Option<u32> {
    header.split(';').find_map(|part| part.trim().strip_prefix("attempt="))?.parse().ok()
}

#[cfg(test)]
pub(super) mod tests {
    use aws_smithy_types::body::SdkBody;

    use super::*;

    /// A signed form request.
    pub(in crate::cloud) fn form(service: &str, body: &str) -> HttpRequest {
        let mut request = HttpRequest::new(SdkBody::from(body));
        request.set_method("POST").unwrap();
        request.set_uri("https://ec2.eu-west-3.amazonaws.com/").unwrap();
        let scope = format!("AWS4-HMAC-SHA256 Credential=AKIAEXAMPLE/20261123/eu-west-3/{service}/aws4_request, S=1");
        request.headers_mut().insert("authorization", scope);
        request.headers_mut().insert("content-type", "application/x-www-form-urlencoded");
        request
    }

    #[test]
    fn a_form_names_its_action_and_its_lists() {
        let mut request = form("ec2", "Action=StopInstances&InstanceId.1=i-1&InstanceId.2=i-2&DryRun=true");
        request.headers_mut().insert("amz-sdk-request", "attempt=2; max=3");
        let call = Call::read(&request);
        assert_eq!((call.name().as_str(), call.region.as_str()), ("ec2:StopInstances", "eu-west-3"));
        assert_eq!((call.count("InstanceId."), call.is_dry_run(), call.attempt), (2, true, 2));
    }

    #[test]
    fn json_and_rest_are_named_by_target_path_and_method() {
        let mut request = form("organizations", "");
        request.headers_mut().insert("content-type", "application/x-amz-json-1.1");
        request.headers_mut().insert("x-amz-target", "AWSOrganizationsV20161128.ListAccounts");
        assert_eq!(Call::read(&request).name(), "organizations:ListAccounts");

        let mut request = form("account", "");
        request.headers_mut().insert("content-type", "application/json");
        request.set_uri("https://account.us-east-1.amazonaws.com/listRegions").unwrap();
        assert_eq!(Call::read(&request).name(), "account:ListRegions");

        let mut request = form("s3", "");
        request.headers_mut().insert("content-type", "text/plain");
        request.set_method("DELETE").unwrap();
        assert_eq!(Call::read(&request).name(), "s3:DELETE");
    }

    #[test]
    fn what_is_not_signed_has_no_service() {
        assert_eq!(Call::read(&HttpRequest::empty()).service, "");
    }
}
