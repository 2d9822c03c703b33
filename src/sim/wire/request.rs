//! What a request asks for: the operation and its parameters, out of the protocol of its service.

use bytes::Bytes;
use http::{HeaderMap, Method, Request};
use percent_encoding::percent_decode_str;
use serde_json::{Map, Value};

use super::params::{Form, Params};
use super::protocol::Protocol;
use super::{amplify, chunked, guardduty, rest, rolesanywhere};
use crate::sim::call::{RawRequest, Refusal};

/// What a request asks for.
#[derive(Debug, Clone)]
pub struct Asked {
    /// `StopInstances`.
    pub operation: String,
    /// The parameters.
    pub params: Params,
    /// The request, with an `aws-chunked` body unwrapped.
    pub http: RawRequest,
}

/// Reads a request in `protocol`.
pub fn read(protocol: Protocol, request: &Request<Bytes>) -> Result<Asked, Refusal> {
    let mut http = raw(request);
    let (operation, params) = match protocol {
        Protocol::Ec2 | Protocol::Query => form(&http)?,
        Protocol::Json => json(&http)?,
        Protocol::RestJson => rest_json(&http)?,
        Protocol::RestXml => {
            if let Some(bucket) = bucket_of_host(request) {
                http.path = format!("/{bucket}{}", http.path);
            }
            if chunked::is_chunked(&http.headers) {
                let (body, trailers) = chunked::unwrap(&http.body)
                    .map_err(|cause| Refusal::new(400, "IncompleteBody", format!("the body is cut: {cause}")))?;
                http.body = body;
                add_trailers(&mut http.headers, trailers);
            }
            let params = Params::Form(Form::parse(http.query.as_bytes()));
            (s3_operation(&http), params)
        }
    };
    Ok(Asked { operation, params, http })
}

/// The protocol of a request that says nothing of its service, by its looks.
pub fn guess(request: &Request<Bytes>) -> Protocol {
    let text = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if !text("x-amz-target").is_empty() {
        Protocol::Json
    } else if text("content-type").starts_with("application/x-www-form-urlencoded") {
        let ec2 = form_urlencoded::parse(request.body()).any(|(key, value)| key == "Version" && value == "2016-11-15");
        if ec2 { Protocol::Ec2 } else { Protocol::Query }
    } else if text("content-type").starts_with("application/json") {
        Protocol::RestJson
    } else {
        Protocol::RestXml
    }
}

fn raw(request: &Request<Bytes>) -> RawRequest {
    RawRequest {
        method: request.method().clone(),
        path: request.uri().path().to_owned(),
        query: request.uri().query().unwrap_or_default().to_owned(),
        headers: request.headers().clone(),
        body: request.body().clone(),
    }
}

/// The bucket that the host names: `case.s3.eu-west-3.amazonaws.com`, or `case.localhost`. None for an address by path.
fn bucket_of_host(request: &Request<Bytes>) -> Option<&str> {
    let header = request.headers().get(http::header::HOST).and_then(|host| host.to_str().ok());
    let authority = request.uri().host().or(header)?;
    let host = authority.split(':').next()?;
    if let Some(bucket) = host.strip_suffix(".localhost") {
        return Some(bucket);
    }
    let service = host.strip_suffix(".amazonaws.com")?;
    let end = [".s3.", ".s3-"].into_iter().filter_map(|mark| service.rfind(mark)).max();
    service.strip_suffix(".s3").or_else(|| service.get(..end?))
}

fn add_trailers(headers: &mut HeaderMap, trailers: Vec<(String, String)>) {
    for (name, value) in trailers {
        if let (Ok(name), Ok(value)) = (name.parse::<http::HeaderName>(), value.parse()) {
            headers.insert(name, value);
        }
    }
}

fn form(http: &RawRequest) -> Result<(String, Params), Refusal> {
    let source = if http.method == Method::GET { http.query.as_bytes() } else { &http.body[..] };
    let operation =
        form_urlencoded::parse(source).find(|(key, _)| key == "Action").map(|(_, value)| value.into_owned());
    let missing = || Refusal::new(400, "MissingAction", "The request must contain the parameter Action");
    Ok((operation.ok_or_else(missing)?, Params::Form(Form::parse(source))))
}

fn json(http: &RawRequest) -> Result<(String, Params), Refusal> {
    let target = http.headers.get("x-amz-target").and_then(|target| target.to_str().ok()).unwrap_or_default();
    let missing = || Refusal::new(400, "UnknownOperationException", format!("`{target}` names no operation"));
    let (_, operation) = target.rsplit_once('.').ok_or_else(missing)?;
    Ok((operation.to_owned(), Params::Json(document(&http.body)?)))
}

/// The operations of Batch, whose paths are their names in lower case: `/v1/describejobqueues`.
const OF_BATCH: [&str; 15] = [
    "CancelJob",
    "CreateComputeEnvironment",
    "CreateJobQueue",
    "DeleteComputeEnvironment",
    "DeleteJobQueue",
    "DescribeComputeEnvironments",
    "DescribeJobDefinitions",
    "DescribeJobQueues",
    "DescribeJobs",
    "ListJobs",
    "RegisterJobDefinition",
    "SubmitJob",
    "TerminateJob",
    "UpdateComputeEnvironment",
    "UpdateJobQueue",
];

/// The operations of Account Management and of Batch are paths: `/listRegions`. What is sent to a function of Lambda's when it
/// is invoked is no parameter.
fn rest_json(http: &RawRequest) -> Result<(String, Params), Refusal> {
    if let Some((operation, mut params)) =
        amplify::read(http).or_else(|| rolesanywhere::read(http)).or_else(|| guardduty::read(http))
    {
        if let Value::Object(body) = document(&http.body)? {
            params.extend(body);
        }
        return Ok((operation.to_owned(), Params::Json(Value::Object(params))));
    }
    if let Some((operation, mut params)) = rest::read(http) {
        match document(&http.body) {
            Ok(Value::Object(body)) if operation != "Invoke" => params.extend(body),
            Err(refusal) if operation != "Invoke" => return Err(refusal),
            _ => {}
        }
        return Ok((operation.to_owned(), Params::Json(Value::Object(params))));
    }
    let path = http.path.trim_matches('/');
    if let Some(path) = path.strip_prefix("v1/") {
        let known = OF_BATCH.iter().find(|name| name.eq_ignore_ascii_case(path));
        return Ok(((*known.unwrap_or(&path)).to_owned(), Params::Json(document(&http.body)?)));
    }
    let mut letters = path.chars();
    let first = letters.next().map(|letter| letter.to_ascii_uppercase());
    Ok((first.into_iter().chain(letters).collect(), Params::Json(document(&http.body)?)))
}

fn document(body: &Bytes) -> Result<Value, Refusal> {
    if body.is_empty() {
        return Ok(Value::Object(Map::new()));
    }
    serde_json::from_slice(body).map_err(|error| Refusal::new(400, "SerializationException", error.to_string()))
}

/// The bucket and the key that a path names, decoded.
pub fn bucket_and_key(path: &str) -> (Option<String>, Option<String>) {
    let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    let path = path.strip_prefix('/').unwrap_or(path);
    let (bucket, key) = path.split_once('/').unwrap_or((path, ""));
    let some = |text: &str| (!text.is_empty()).then(|| decoded(text));
    (some(bucket), some(key))
}

/// The subresources of S3's REST interface, and the ending that they give to the operation's name.
const BUCKET_RESOURCES: [(&str, &str); 21] = [
    ("acl", "BucketAcl"),
    ("accelerate", "BucketAccelerateConfiguration"),
    ("cors", "BucketCors"),
    ("encryption", "BucketEncryption"),
    ("lifecycle", "BucketLifecycleConfiguration"),
    ("location", "BucketLocation"),
    ("logging", "BucketLogging"),
    ("notification", "BucketNotificationConfiguration"),
    ("object-lock", "ObjectLockConfiguration"),
    ("ownershipControls", "BucketOwnershipControls"),
    ("policy", "BucketPolicy"),
    ("policyStatus", "BucketPolicyStatus"),
    ("publicAccessBlock", "PublicAccessBlock"),
    ("replication", "BucketReplication"),
    ("requestPayment", "BucketRequestPayment"),
    ("tagging", "BucketTagging"),
    ("versioning", "BucketVersioning"),
    ("website", "BucketWebsite"),
    ("inventory", "BucketInventoryConfiguration"),
    ("metrics", "BucketMetricsConfiguration"),
    ("analytics", "BucketAnalyticsConfiguration"),
];

const OBJECT_RESOURCES: [(&str, &str); 6] = [
    ("acl", "ObjectAcl"),
    ("attributes", "ObjectAttributes"),
    ("legal-hold", "ObjectLegalHold"),
    ("retention", "ObjectRetention"),
    ("tagging", "ObjectTagging"),
    ("torrent", "ObjectTorrent"),
];

/// The name of the operation that a request to S3 asks for. What has no name here is called by method and query, so that
/// its refusal still says what was asked.
fn s3_operation(http: &RawRequest) -> String {
    let keys: Vec<String> = form_urlencoded::parse(http.query.as_bytes()).map(|(key, _)| key.into_owned()).collect();
    let has = |name: &str| keys.iter().any(|key| key == name);
    let (bucket, key) = bucket_and_key(&http.path);
    let verb = match http.method {
        Method::GET => "Get",
        Method::PUT => "Put",
        Method::DELETE => "Delete",
        Method::HEAD => "Head",
        _ => "Post",
    };
    let resources = if key.is_some() { &OBJECT_RESOURCES[..] } else { &BUCKET_RESOURCES[..] };
    if let Some((_, noun)) = resources.iter().find(|(name, _)| has(name)) {
        return format!("{verb}{noun}");
    }
    match (verb, bucket.is_some(), key.is_some()) {
        ("Get", false, _) => "ListBuckets".to_owned(),
        ("Get", true, false) if has("versions") => "ListObjectVersions".to_owned(),
        ("Get", true, false) if has("uploads") => "ListMultipartUploads".to_owned(),
        ("Get", true, false) if has("list-type") => "ListObjectsV2".to_owned(),
        ("Get", true, false) => "ListObjects".to_owned(),
        ("Put", true, false) => "CreateBucket".to_owned(),
        (verb, true, false) if verb != "Post" => format!("{verb}Bucket"),
        ("Post", true, false) if has("delete") => "DeleteObjects".to_owned(),
        ("Post", true, true) if has("uploads") => "CreateMultipartUpload".to_owned(),
        ("Post", true, true) if has("uploadId") => "CompleteMultipartUpload".to_owned(),
        ("Put", true, true) if has("uploadId") => "UploadPart".to_owned(),
        ("Delete", true, true) if has("uploadId") => "AbortMultipartUpload".to_owned(),
        ("Get", true, true) if has("uploadId") => "ListParts".to_owned(),
        ("Put", true, true) if http.headers.contains_key("x-amz-copy-source") => "CopyObject".to_owned(),
        (verb, true, true) if verb != "Post" => format!("{verb}Object"),
        _ => format!("{} {}?{}", http.method, http.path, http.query),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(method: &str, uri: &str, headers: &[(&str, &str)], body: &str) -> Request<Bytes> {
        let mut request = Request::builder().method(method).uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(Bytes::from(body.to_owned())).unwrap()
    }

    #[test]
    fn every_protocol_names_its_operation() {
        let form = request("POST", "/", &[], "Action=StopInstances&InstanceId.1=i-1");
        assert_eq!(read(Protocol::Ec2, &form).unwrap().operation, "StopInstances");
        let json = request("POST", "/", &[("x-amz-target", "CloudTrail_20131101.LookupEvents")], "{}");
        assert_eq!(read(Protocol::Json, &json).unwrap().operation, "LookupEvents");
        let rest = request("POST", "/listRegions", &[], "");
        assert_eq!(read(Protocol::RestJson, &rest).unwrap().operation, "ListRegions");
        let batch = request("POST", "/v1/describejobqueues", &[], "");
        assert_eq!(read(Protocol::RestJson, &batch).unwrap().operation, "DescribeJobQueues");
    }

    #[test]
    fn s3_operations_are_read_from_method_path_and_query() {
        let operation =
            |method: &str, uri: &str| read(Protocol::RestXml, &request(method, uri, &[], "")).unwrap().operation;
        assert_eq!(operation("GET", "/"), "ListBuckets");
        assert_eq!(operation("PUT", "/case"), "CreateBucket");
        assert_eq!(operation("GET", "/case?list-type=2"), "ListObjectsV2");
        assert_eq!(operation("PUT", "/case/a/b.json?x-id=PutObject"), "PutObject");
        assert_eq!(operation("PUT", "/case/a?retention"), "PutObjectRetention");
        assert_eq!(operation("GET", "/case?object-lock"), "GetObjectLockConfiguration");
    }

    #[test]
    fn a_bucket_is_addressed_by_path_or_by_host() {
        let path = |host: &str| {
            let request = request("PUT", "/a/b.json", &[("host", host)], "");
            read(Protocol::RestXml, &request).unwrap().http.path
        };
        assert_eq!(path("case.s3.eu-west-3.amazonaws.com"), "/case/a/b.json");
        assert_eq!(path("my.s3.case.s3.amazonaws.com"), "/my.s3.case/a/b.json");
        assert_eq!(path("case.localhost:4566"), "/case/a/b.json");
        for by_path in ["s3.eu-west-3.amazonaws.com", "s3.amazonaws.com", "localhost:4566", "127.0.0.1:4566"] {
            assert_eq!(path(by_path), "/a/b.json", "{by_path}");
        }
        let sent_in_process = request("GET", "https://case.s3.us-east-1.amazonaws.com/?list-type=2", &[], "");
        assert_eq!(read(Protocol::RestXml, &sent_in_process).unwrap().operation, "ListObjectsV2");
    }

    #[test]
    fn a_body_without_action_is_refused() {
        assert_eq!(read(Protocol::Query, &request("POST", "/", &[], "")).unwrap_err().code, "MissingAction");
    }
}
