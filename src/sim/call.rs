//! A request on its way through the simulator, and how it ends.

use http::{HeaderMap, Method};
use jiff::Timestamp;
use serde::Serialize;

use super::wire::params::Params;
use super::wire::protocol::Protocol;
use super::wire::xml::Xml;
use crate::model::{AccountId, Region};

const UNKNOWN_TO_JSON: &str = "UnknownOperationException";
const UNKNOWN_TO_QUERY: &str = "InvalidAction";

/// A request that was authenticated: what service files handle.
#[derive(Debug, Clone)]
pub struct Call {
    /// When it arrived.
    pub now: Timestamp,
    /// The account of the principal, in which it works.
    pub account: AccountId,
    /// The region that it was signed for.
    pub region: Region,
    /// `ec2`, `iam`, `sts`, `organizations`, …: the service in the signature's scope.
    pub service: String,
    /// `StopInstances`.
    pub operation: String,
    /// Who.
    pub principal: Principal,
    /// The access key that signed it.
    pub access_key: String,
    /// Its parameters: from the form, the JSON body, or the path and query of a REST call.
    pub params: Params,
    /// The id that the answer carries.
    pub request_id: String,
    /// For REST services: the raw request.
    pub http: RawRequest,
}

/// The request as it came.
#[derive(Debug, Clone, Default)]
pub struct RawRequest {
    /// Method.
    pub method: Method,
    /// Path, still percent-encoded.
    pub path: String,
    /// Query, still percent-encoded.
    pub query: String,
    /// Headers.
    pub headers: HeaderMap,
    /// Body (for S3 with `aws-chunked` already unwrapped).
    pub body: bytes::Bytes,
}

impl Call {
    /// The refusal of an operation that the simulator does not know, by its name: `UnknownOperationException` (the JSON
    /// services), `InvalidAction` (the others).
    pub fn unknown(&self) -> Refusal {
        let message = format!("the simulated AWS does not know {}:{}", self.service, self.operation);
        match Protocol::of(&self.service) {
            Some(Protocol::Json | Protocol::RestJson) => Refusal::new(400, UNKNOWN_TO_JSON, message),
            _ => Refusal::new(400, UNKNOWN_TO_QUERY, message),
        }
    }

    /// The refusal of a call that is not allowed, in the service's own words: `UnauthorizedOperation` (EC2),
    /// `AccessDenied` (IAM, STS, Auto Scaling, S3), `AccessDeniedException` (the JSON services).
    pub fn denied(&self, reason: &str) -> Refusal {
        let action = format!("{}:{}", self.service, self.operation);
        let message =
            format!("User: {} is not authorized to perform: {action} because of {reason}", self.principal.arn);
        match Protocol::of(&self.service) {
            Some(Protocol::Ec2) => Refusal::new(
                403,
                "UnauthorizedOperation",
                format!("You are not authorized to perform this operation. {message}"),
            ),
            Some(Protocol::Json) => Refusal::new(400, "AccessDeniedException", message),
            Some(Protocol::RestJson) => Refusal::new(403, "AccessDeniedException", message),
            _ => Refusal::new(403, "AccessDenied", message),
        }
    }
}

/// What a call needs to be allowed, as the service authorization reference states it for the operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Permission {
    /// `ec2:StopInstances`.
    pub action: String,
    /// An ARN, or `*`.
    pub resource: String,
    /// Condition keys of the operation and the resource, with their values: `aws:ResourceTag/owner`, `ec2:InstanceType`.
    pub context: Vec<(String, String)>,
}

impl Permission {
    /// The permission for an action on a resource, without condition keys.
    pub fn new(action: impl Into<String>, resource: impl Into<String>) -> Self {
        Self { action: action.into(), resource: resource.into(), context: Vec::new() }
    }

    /// The same with one more condition key.
    #[must_use]
    pub fn with(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.context.push((key.into(), value.into()));
        self
    }
}

/// Who signed a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Principal {
    /// As `sts:GetCallerIdentity` answers: user, root, or assumed-role session.
    pub arn: String,
    /// What `aws:PrincipalArn` holds: the user, or the session's role.
    pub principal_arn: String,
    /// `AIDA…`, or `AROA…:session`.
    pub user_id: String,
    /// When the temporary credentials were issued: `aws:TokenIssueTime`. None for long-term keys.
    pub issued: Option<Timestamp>,
}

/// What a handler answers.
#[derive(Debug, Clone)]
pub enum Body {
    /// The children of the response element. The wire adds the envelope of the service's protocol, the name of the
    /// operation and the request id.
    Xml(Vec<Xml>),
    /// A JSON document (JSON services, and REST-JSON).
    Json(serde_json::Value),
    /// A REST answer, for S3: status, headers, body.
    Raw(http::Response<bytes::Bytes>),
}

impl Body {
    /// `<return>true</return>`, EC2's answer to what has no other.
    pub fn ec2_true() -> Self {
        Self::Xml(vec![Xml::text("return", "true")])
    }

    /// No children.
    pub fn empty() -> Self {
        Self::Xml(Vec::new())
    }
}

/// An error as AWS shapes it. The wire writes it in the service's protocol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// AWS's code, as on the wire.
    pub code: String,
    /// AWS's words, or words like them.
    pub message: String,
    /// HTTP status.
    pub status: u16,
    /// Further members of the error (JSON protocol): `Reason` of a `ConstraintViolationException`.
    pub members: Vec<(&'static str, String)>,
}

impl Refusal {
    /// An error with this code, message and status.
    pub fn new(status: u16, code: impl Into<String>, message: impl Into<String>) -> Self {
        Self { code: code.into(), message: message.into(), status, members: Vec::new() }
    }

    /// Whether there is no such operation.
    pub fn is_of_unknown_operation(&self) -> bool {
        [UNKNOWN_TO_JSON, UNKNOWN_TO_QUERY].contains(&self.code.as_str())
    }
}

/// How a call ends.
pub type Reply = Result<Body, Refusal>;

/// A call by an administrator of account 111122223333 in us-east-1, for the tests of the service files.
#[cfg(test)]
pub fn test_call(service: &str, operation: &str, form: &str) -> Call {
    let arn = "arn:aws:iam::111122223333:user/admin".to_owned();
    Call {
        now: "2026-03-03T15:00:00Z".parse().expect("a time"),
        account: AccountId::new("111122223333").expect("an account"),
        region: Region::new("us-east-1").expect("a region"),
        service: service.to_owned(),
        operation: operation.to_owned(),
        principal: Principal { arn: arn.clone(), principal_arn: arn, user_id: "AIDAADMIN".to_owned(), issued: None },
        access_key: "AKIAADMIN0000000EXAMPLE".to_owned(),
        params: Params::Form(super::wire::params::Form::parse(form.as_bytes())),
        request_id: "00000000-0000-0000-0000-000000000000".to_owned(),
        http: RawRequest::default(),
    }
}
