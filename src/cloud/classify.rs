//! What a failed request means: decided by AWS's code as it stood on the wire, never by its text.

use std::error::Error;

use aws_credential_types::provider::error::CredentialsError;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use aws_types::request_id::RequestId;

use super::pages::Endless;
use super::read_only::Refused;
use super::wire::NoAnswer;
use crate::model::{ActionError, ErrorKind};

/// How much of AWS's words is kept: an encoded authorization message alone can be 2,000 characters.
const MESSAGE_LIMIT: usize = 400;

impl<E> From<SdkError<E, HttpResponse>> for ActionError
where
    E: ProvideErrorMetadata + Error + 'static,
{
    fn from(error: SdkError<E, HttpResponse>) -> Self {
        let request_id = error.request_id().map(str::to_owned);
        match &error {
            SdkError::ServiceError(answer) => match answer.err().code() {
                Some(code) => Self {
                    kind: kind(code, answer.raw().status().as_u16()),
                    code: Some(shortened(code)),
                    message: shortened(answer.err().message().unwrap_or("AWS gave no message")),
                    request_id: request_id.or_else(|| answer.err().meta().request_id().map(str::to_owned)),
                },
                None => Self { request_id, ..unreadable(answer.raw()) },
            },
            SdkError::ResponseError(answer) => Self { request_id, ..unreadable(answer.raw()) },
            _ => unsent(&error),
        }
    }
}

/// The meaning of a code. Sources: EC2 "Error codes for the Amazon EC2 API", the "Errors" sections of the IAM, STS,
/// Organizations, Account Management and Glue API references. An unknown code is judged by the status alone.
fn kind(code: &str, status: u16) -> ErrorKind {
    match code {
        "AccessDenied"
        | "AccessDeniedException"
        | "UnauthorizedOperation"
        | "Client.UnauthorizedOperation"
        | "UnauthorizedException"
        | "NotAuthorized"
        | "Forbidden"
        | "AccountNotManagementOrDelegatedAdministratorException" => ErrorKind::Denied,

        "AuthFailure"
        | "InvalidClientTokenId"
        | "UnrecognizedClientException"
        | "UnauthenticatedException"
        | "InvalidAccessKeyId"
        | "SignatureDoesNotMatch"
        | "InvalidSignatureException"
        | "ExpiredToken"
        | "ExpiredTokenException"
        | "TokenRefreshRequired"
        | "RequestExpired"
        | "RequestTimeTooSkewed"
        | "MissingAuthenticationToken"
        | "MissingAuthenticationTokenException"
        | "IncompleteSignature" => ErrorKind::Credentials,

        "RegionDisabledException" | "OptInRequired" => ErrorKind::Disabled,

        "SnapshotCreationPerVolumeRateExceeded" => ErrorKind::Throttled,
        _ if is_throttle(code) => ErrorKind::Throttled,

        "NoSuchEntity"
        // What the SDK calls the empty answer to HeadObject.
        | "NotFound"
        | "NoSuchEntityException"
        | "NotFoundException"
        | "NoSuchBucket"
        | "NoSuchBucketPolicy"
        | "NoSuchKey"
        | "NoSuchPublicAccessBlockConfiguration"
        | "ObjectLockConfigurationNotFoundError"
        | "ServerSideEncryptionConfigurationNotFoundError"
        | "TrailNotFoundException"
        | "ResourceNotFound"
        | "ResourceNotFoundException"
        | "EntityNotFoundException"
        | "AccountNotFoundException"
        | "TargetNotFoundException"
        | "PolicyNotFoundException"
        | "PolicyNotAttachedException"
        | "OrganizationalUnitNotFoundException"
        | "RootNotFoundException"
        | "ClusterNotFoundException"
        | "ServiceNotFoundException"
        | "ParentNotFoundException" => ErrorKind::NotFound,

        "DuplicatePolicyAttachmentException"
        | "DuplicatePolicyException"
        | "EntityAlreadyExists"
        | "InvalidGroup.Duplicate"
        | "InvalidPermission.Duplicate"
        | "Resource.AlreadyAssociated" => ErrorKind::Already,

        "LimitExceeded"
        | "LimitExceededException"
        | "ResourceNumberLimitExceededException"
        | "ConcurrentRunsExceededException"
        | "AccountLimitExceededException"
        | "ServiceQuotaExceededException"
        | "SnapshotLimitExceeded"
        | "ConcurrentSnapshotLimitExceeded"
        | "ResourceLimitExceeded"
        | "TagLimitExceeded"
        | "SecurityGroupLimitExceeded"
        | "SecurityGroupsPerInterfaceLimitExceeded"
        | "ConstraintViolationException" => ErrorKind::Quota,

        "IncorrectInstanceState"
        | "IncorrectState"
        | "IncorrectStateException"
        | "OperationNotPermitted"
        | "UnsupportedOperation"
        | "UnsupportedHibernationConfiguration"
        | "DependencyViolation"
        | "DeleteConflict"
        | "PolicyInUseException"
        | "PolicyTypeNotEnabledException"
        | "AWSOrganizationsNotInUseException"
        | "EntityTemporarilyUnmodifiable"
        | "UnmodifiableEntity"
        | "PolicyNotAttachable"
        | "ConcurrentModification"
        | "ConcurrentModificationException"
        | "PolicyChangesInProgressException"
        | "ConflictException"
        | "ScalingActivityInProgress"
        | "InvalidSnapshot.InUse"
        | "VolumeInUse"
        | "ServiceNotActiveException"
        | "ResourceInUse"
        | "ResourceInUseException"
        | "Blocked"
        | "PendingVerification"
        | "IllegalSessionStateException"
        | "InvalidStateException" => ErrorKind::WrongState,

        "InvalidAction"
        | "UnknownOperationException"
        | "UnsupportedAPIEndpointException"
        | "NotImplemented"
        | "NotImplementedException"
        | "UnknownParameter" => ErrorKind::Unsupported,

        // `InvalidInstanceID.NotFound`, `InvalidVolume.NotFound`, `InvalidNetworkInterfaceID.NotFound`, …
        _ if code.ends_with(".NotFound") || code.ends_with(".Unknown") => ErrorKind::NotFound,
        _ => match status {
            500..=599 => ErrorKind::Unreachable,
            _ => ErrorKind::Other,
        },
    }
}

/// Whether a code says that requests come too fast.
pub(super) fn is_throttle(code: &str) -> bool {
    matches!(
        code,
        "Throttling"
            | "ThrottlingException"
            | "ThrottledException"
            | "RequestThrottled"
            | "RequestThrottledException"
            | "TooManyRequestsException"
            | "RequestLimitExceeded"
            | "Client.RequestLimitExceeded"
            | "EC2ThrottledException"
            | "BandwidthLimitExceeded"
            | "PriorRequestNotComplete"
            | "SlowDown"
    )
}

/// Whether a code says that credentials are not taken any more. EC2 says the same of a clock that is off.
pub(super) fn is_spent(code: &str) -> bool {
    matches!(
        code,
        "ExpiredToken"
            | "ExpiredTokenException"
            | "RequestExpired"
            | "TokenRefreshRequired"
            | "InvalidClientTokenId"
            | "UnrecognizedClientException"
            | "InvalidAccessKeyId"
            | "AuthFailure"
    )
}

/// The code of an answer that is an error, from its body: `<Code>` in XML, `__type` or a header in JSON.
pub(super) fn code_in(answer: &HttpResponse) -> Option<String> {
    if !answer.status().is_client_error() && !answer.status().is_server_error() {
        return None;
    }
    let bare = |code: &str| code.split(':').next().unwrap_or(code).rsplit('#').next().unwrap_or(code).to_owned();
    if let Some(code) = answer.headers().get("x-amzn-errortype") {
        return Some(bare(code));
    }
    let body = std::str::from_utf8(answer.body().bytes()?).ok()?;
    if let Some((_, rest)) = body.split_once("<Code>") {
        return Some(rest.split('<').next()?.trim().to_owned());
    }
    let json: serde_json::Value = serde_json::from_str(body).ok()?;
    json.get("__type").or_else(|| json.get("code"))?.as_str().map(bare)
}

/// An answer without a code: a page instead of an API's answer, or something that does not parse. The body stays out of
/// the message: it can be a whole page, and says nothing to the person on call.
fn unreadable(answer: &HttpResponse) -> ActionError {
    let status = answer.status().as_u16();
    let body = answer.body().bytes().unwrap_or_default();
    let html = answer.headers().get("content-type").is_some_and(|form| form.contains("html"))
        || body.trim_ascii_start().starts_with(b"<!") && !body.trim_ascii_start().starts_with(b"<!--");
    // What stands between quell and AWS sends pages, too: of a gateway nobody knows what it let through.
    let is_of_gateway = matches!(status, 200..=299 | 502 | 503 | 504);
    let unknown_here = (html && !is_of_gateway) || status == 404 || status == 501;
    let kind = if unknown_here { ErrorKind::Unsupported } else { ErrorKind::Unreachable };
    let what = if html { "a web page" } else { "something that is not an answer of this API" };
    ActionError::new(kind, format!("the endpoint answered with {what} (HTTP {status})"))
}

/// A request that got no answer: kept back by the guard, without credentials, or lost on the way.
fn unsent(error: &(dyn Error + 'static)) -> ActionError {
    let chain = || std::iter::successors(Some(error), |&error| error.source());
    if let Some(inner) = chain().find_map(|error| error.downcast_ref::<ActionError>()) {
        return inner.clone();
    }
    if let Some(refused) = chain().find_map(|error| error.downcast_ref::<Refused>()) {
        return ActionError::new(ErrorKind::Refused, refused.to_string());
    }
    if let Some(endless) = chain().find_map(|error| error.downcast_ref::<Endless>()) {
        return ActionError::new(ErrorKind::Unsupported, endless.to_string());
    }
    if let Some(silence) = chain().find_map(|error| error.downcast_ref::<NoAnswer>()) {
        return ActionError::new(ErrorKind::Unreachable, silence.to_string());
    }
    let root = chain().last().map(ToString::to_string).unwrap_or_default();
    if chain().any(<dyn Error>::is::<CredentialsError>) {
        // The default chain tells every provider that it tried, one to a line: too much for whoever is in a hurry.
        let first = root.lines().next().unwrap_or_default();
        let first = first.strip_suffix(". Attempted:").unwrap_or(first);
        return ActionError::new(ErrorKind::Credentials, shortened(&format!("no usable credentials: {first}")));
    }
    ActionError::new(ErrorKind::Unreachable, shortened(&format!("no answer: {root}")))
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(MESSAGE_LIMIT) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use aws_smithy_runtime_api::client::result::ConnectorError;
    use aws_smithy_runtime_api::http::{Response, StatusCode};
    use aws_smithy_types::body::SdkBody;
    use aws_smithy_types::error::ErrorMetadata;

    use super::*;

    #[derive(Debug)]
    struct Failed(ErrorMetadata);

    impl std::fmt::Display for Failed {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("failed")
        }
    }
    impl Error for Failed {}
    impl ProvideErrorMetadata for Failed {
        fn meta(&self) -> &ErrorMetadata {
            &self.0
        }
    }

    fn answered(status: u16, code: Option<&str>, body: &'static str) -> ActionError {
        let mut metadata = ErrorMetadata::builder().message("words");
        if let Some(code) = code {
            metadata = metadata.code(code);
        }
        let mut response = Response::new(StatusCode::try_from(status).unwrap(), SdkBody::from(body));
        response.headers_mut().insert("x-amzn-requestid", "r-1");
        SdkError::service_error(Failed(metadata.build()), response).into()
    }

    #[test]
    fn codes_decide_and_the_request_id_is_kept() {
        let denied = answered(403, Some("UnauthorizedOperation"), "");
        assert_eq!((denied.kind, denied.request_id.as_deref()), (ErrorKind::Denied, Some("r-1")));
        assert_eq!(answered(400, Some("InvalidVolume.NotFound"), "").kind, ErrorKind::NotFound);
        assert_eq!(answered(409, Some("LimitExceeded"), "").kind, ErrorKind::Quota);
        assert_eq!(answered(503, Some("RequestLimitExceeded"), "").kind, ErrorKind::Throttled);
        assert_eq!(answered(403, Some("RegionDisabledException"), "").kind, ErrorKind::Disabled);
        assert_eq!(answered(500, Some("PolicyEvaluation"), "").kind, ErrorKind::Unreachable);
        assert_eq!(answered(400, Some("NeverHeardOf"), "").kind, ErrorKind::Other);
    }

    #[test]
    fn a_web_page_is_not_shown() {
        let error = answered(500, None, "<!doctype html><title>500 Internal Server Error</title>");
        assert_eq!(error.kind, ErrorKind::Unsupported);
        assert_eq!(error.to_string(), "the endpoint answered with a web page (HTTP 500) (request r-1)");
    }

    #[test]
    fn what_a_gateway_let_through_is_unknown() {
        for status in [200, 502, 503, 504] {
            assert_eq!(answered(status, None, "<!DOCTYPE html><title>x</title>").kind, ErrorKind::Unreachable);
        }
    }

    #[test]
    fn what_the_guard_kept_back_was_refused_and_silence_is_unreachable() {
        let refused = ConnectorError::user(Box::new(Refused { call: "ec2:StopInstances".into() }));
        let error = ActionError::from(SdkError::<Failed, HttpResponse>::dispatch_failure(refused));
        assert_eq!(error.kind, ErrorKind::Refused);
        assert!(error.message.contains("ec2:StopInstances"));
        let silence = ConnectorError::timeout(Box::new(NoAnswer { call: "ec2:DescribeInstances".into(), seconds: 15 }));
        let error = ActionError::from(SdkError::<Failed, HttpResponse>::dispatch_failure(silence));
        assert_eq!(error.kind, ErrorKind::Unreachable);
    }

    #[test]
    fn missing_credentials_are_told_from_a_failed_connection() {
        let missing = ConnectorError::other(Box::new(CredentialsError::not_loaded("nothing in the chain")), None);
        let error = ActionError::from(SdkError::<Failed, HttpResponse>::dispatch_failure(missing));
        assert_eq!(error.kind, ErrorKind::Credentials);
        assert!(error.message.starts_with("no usable credentials: "), "{error}");
    }
}
