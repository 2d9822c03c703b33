//! Who signed a request: AWS Signature Version 4, checked as AWS checks it.
//! (IAM User Guide, "Create a signed AWS API request".)

pub mod sign;

use std::fmt::Write as _;

use bytes::Bytes;
use hmac::{Hmac, KeyInit, Mac};
use http::Request;
use http::header::{AUTHORIZATION, HOST};
use jiff::{SignedDuration, Timestamp, civil};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use sha2::{Digest, Sha256};

use super::call::{Principal, Refusal};
use super::iam::KeyStatus;
use super::wire::protocol::{Protocol, is_global};
use super::world::World;
use crate::model::{AccessKeyId, AccountId, Region};

/// How far a request's time may be from the server's.
const SKEW: SignedDuration = SignedDuration::from_mins(15);

/// RFC 3986's unreserved characters stay, all others are encoded.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The signature that a request carries. It is not yet known to be right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature {
    /// The id of the access key.
    pub access_key: String,
    /// The region of the scope.
    pub region: String,
    /// The service of the scope.
    pub service: String,
    day: String,
    signed_headers: Vec<String>,
    digest: String,
}

/// Who it is, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The account.
    pub account: AccountId,
    /// The region in which the call is handled: that of the scope, but us-east-1 for services without regions.
    pub region: Region,
    /// The principal.
    pub principal: Principal,
}

/// Why a request is not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Denial {
    /// Nobody has this access key, or it is inactive, or its session token is another's.
    UnknownKey,
    /// The session is over.
    Expired,
    /// The signature was made with another secret, or for another request.
    Mismatch,
    /// The request's time is too far from the server's.
    Skewed,
    /// The account has not enabled the region.
    RegionDisabled,
    /// The body is not the one whose digest was signed.
    OtherBody,
}

impl Signature {
    /// The signature in the `Authorization` header. `None` when the request is not signed.
    pub fn of(request: &Request<Bytes>) -> Option<Self> {
        let header = request.headers().get(AUTHORIZATION)?.to_str().ok()?;
        let fields = header.strip_prefix("AWS4-HMAC-SHA256")?;
        let field = |name: &str| {
            fields.split(',').find_map(|field| field.trim().strip_prefix(name)?.strip_prefix('=')).map(str::to_owned)
        };
        let credential = field("Credential")?;
        let mut scope = credential.split('/');
        let [access_key, day, region, service] = [scope.next()?, scope.next()?, scope.next()?, scope.next()?];
        Some(Self {
            access_key: access_key.to_owned(),
            region: region.to_owned(),
            service: service.to_owned(),
            day: day.to_owned(),
            signed_headers: field("SignedHeaders")?.split(';').map(str::to_owned).collect(),
            digest: field("Signature")?,
        })
    }

    /// Who signed `request` with it, by what is true `now` and the time by which requests are signed.
    pub fn verify(
        &self,
        world: &World,
        request: &Request<Bytes>,
        (now, signing): (Timestamp, Timestamp),
    ) -> Result<Identity, Denial> {
        let key = Key::find(world, &self.access_key, header(request, "x-amz-security-token"), now)?;
        let amz_date = header(request, "x-amz-date").ok_or(Denial::Mismatch)?;
        if self.expected(&key.secret, amz_date, request)? != self.digest {
            return Err(Denial::Mismatch);
        }
        let signed_at = amz_time(amz_date).ok_or(Denial::Mismatch)?;
        if signing.duration_since(signed_at).abs() > SKEW {
            return Err(Denial::Skewed);
        }
        if key.expires.is_some_and(|expires| expires <= now) {
            return Err(Denial::Expired);
        }
        let region = if is_global(&self.service) { "us-east-1" } else { &self.region };
        let region = Region::new(region).map_err(|_| Denial::RegionDisabled)?;
        let state = world.account(&key.account).regions.get(&region);
        if !state.is_some_and(|state| state.opt_in.is_enabled()) {
            return Err(Denial::RegionDisabled);
        }
        Ok(Identity { account: key.account, region, principal: key.principal })
    }

    fn expected(&self, secret: &str, amz_date: &str, request: &Request<Bytes>) -> Result<String, Denial> {
        let canonical = self.canonical_request(request)?;
        let scope = format!("{}/{}/{}/aws4_request", self.day, self.region, self.service);
        let digest = hex::encode(Sha256::digest(canonical));
        let text = format!("AWS4-HMAC-SHA256\n{amz_date}\n{scope}\n{digest}");
        let day = mac(format!("AWS4{secret}").as_bytes(), &self.day);
        let service = mac(&mac(&day, &self.region), &self.service);
        Ok(hex::encode(mac(&mac(&service, "aws4_request"), &text)))
    }

    fn canonical_request(&self, request: &Request<Bytes>) -> Result<String, Denial> {
        let mut headers = String::new();
        for name in &self.signed_headers {
            let value = header_value(request, name).ok_or(Denial::Mismatch)?;
            let _ = writeln!(headers, "{name}:{value}");
        }
        let path = self.canonical_path(request.uri().path());
        let query = canonical_query(request.uri().query().unwrap_or_default());
        let names = self.signed_headers.join(";");
        Ok(format!("{}\n{path}\n{query}\n{headers}\n{names}\n{}", request.method(), payload_digest(request)?))
    }

    /// S3 signs the path as it is sent; the other services sign it encoded once more.
    fn canonical_path(&self, path: &str) -> String {
        let encoded = |part: &str| utf8_percent_encode(part, ENCODED).to_string();
        let part = |part: &str| match self.service.as_str() {
            "s3" => encoded(&percent_decode_str(part).decode_utf8_lossy()),
            _ => encoded(part),
        };
        path.split('/').map(part).collect::<Vec<_>>().join("/")
    }
}

/// An access key, long-term or temporary, with what it stands for.
struct Key {
    secret: String,
    account: AccountId,
    principal: Principal,
    expires: Option<Timestamp>,
}

impl Key {
    fn find(world: &World, id: &str, token: Option<&str>, now: Timestamp) -> Result<Self, Denial> {
        if let Some(session) = world.sessions.get(id) {
            if token != Some(session.token.0.as_str()) {
                return Err(Denial::UnknownKey);
            }
            return Ok(Self {
                secret: session.secret.0.clone(),
                account: session.account.clone(),
                principal: session.principal.clone(),
                expires: Some(session.expires),
            });
        }
        let id = AccessKeyId::new(id).map_err(|_| Denial::UnknownKey)?;
        let held = world.accounts.values().find_map(|account| Some((account, account.iam.effective_key(&id, now)?)));
        let (account, key) = held.ok_or(Denial::UnknownKey)?;
        if token.is_some() || key.status != KeyStatus::Active {
            return Err(Denial::UnknownKey);
        }
        let principal = account.iam.as_seen(now).principal(&world.partition, &account.id, key.user.as_deref());
        let principal = principal.ok_or(Denial::UnknownKey)?;
        Ok(Self { secret: key.secret.0.clone(), account: account.id.clone(), principal, expires: None })
    }
}

impl Denial {
    /// As the service says it. The codes differ by service, and so do the statuses.
    pub fn refusal(self, service: &str, protocol: Protocol) -> Refusal {
        let invalid = "The security token included in the request is invalid.";
        let unknown_to_ec2 = "AWS was not able to validate the provided access credentials";
        let mismatch = "The request signature we calculated does not match the signature you provided. Check your AWS \
                        Secret Access Key and signing method.";
        let (status, code, message) = match (protocol, self) {
            (Protocol::RestXml, Self::OtherBody) => {
                (400, "XAmzContentSHA256Mismatch", "The digest in x-amz-content-sha256 is not that of the body.")
            }
            (_, Self::RegionDisabled) if service == "sts" => {
                (403, "RegionDisabledException", "STS is not activated in this region for this account.")
            }
            (Protocol::Ec2, Self::Expired | Self::Skewed) => (400, "RequestExpired", "Request has expired."),
            (Protocol::Ec2, _) => (401, "AuthFailure", unknown_to_ec2),
            (Protocol::Query, Self::UnknownKey | Self::RegionDisabled) => (403, "InvalidClientTokenId", invalid),
            (Protocol::Query, Self::Expired) => {
                (403, "ExpiredToken", "The security token included in the request is expired")
            }
            (Protocol::Query, Self::Skewed) => (403, "SignatureDoesNotMatch", "Signature expired or not yet current."),
            (Protocol::Query | Protocol::RestXml, Self::Mismatch | Self::OtherBody) => {
                (403, "SignatureDoesNotMatch", mismatch)
            }
            (Protocol::RestXml, Self::UnknownKey | Self::RegionDisabled) => {
                (403, "InvalidAccessKeyId", "The AWS Access Key Id you provided does not exist in our records.")
            }
            (Protocol::RestXml, Self::Expired) => (400, "ExpiredToken", "The provided token has expired."),
            (Protocol::RestXml, Self::Skewed) => (
                403,
                "RequestTimeTooSkewed",
                "The difference between the request time and the server's time is too large.",
            ),
            (_, Self::UnknownKey | Self::RegionDisabled) => (400, "UnrecognizedClientException", invalid),
            (_, Self::Expired) => {
                (400, "ExpiredTokenException", "The security token included in the request is expired")
            }
            (_, Self::Skewed) => (400, "InvalidSignatureException", "Signature expired or not yet current."),
            (_, Self::Mismatch | Self::OtherBody) => (400, "InvalidSignatureException", mismatch),
        };
        Refusal::new(status, code, message)
    }
}

/// The account of an access key, whether or not the key is good.
pub fn account_of(world: &World, access_key: &str) -> Option<AccountId> {
    if let Some(session) = world.sessions.get(access_key) {
        return Some(session.account.clone());
    }
    let held = world.accounts.values().find(|account| account.iam.access_keys.contains_key(access_key));
    held.map(|account| account.id.clone())
}

/// The ARN of who an access key stands for, whether or not the key is good.
pub fn principal_of(world: &World, access_key: &str) -> Option<String> {
    if let Some(session) = world.sessions.get(access_key) {
        return Some(session.principal.arn.clone());
    }
    let account = world.accounts.values().find(|account| account.iam.access_keys.contains_key(access_key))?;
    let user = account.iam.access_keys.get(access_key)?.user.as_deref();
    Some(account.iam.principal(&world.partition, &account.id, user)?.arn)
}

/// Whether an access key is `own`, or was got with it, from session to session.
pub fn came_of(world: &World, access_key: &str, own: &str) -> bool {
    let before = |key: &&str| world.sessions.get(*key).map(|session| session.asked_with.as_str());
    std::iter::successors(Some(access_key), before).any(|key| key == own)
}

/// The refusal of a request without a signature.
pub fn unsigned(protocol: Protocol) -> Refusal {
    match protocol {
        Protocol::Ec2 => Refusal::new(400, "MissingParameter", "The request must contain the parameter AWSAccessKeyId"),
        Protocol::Query => Refusal::new(403, "MissingAuthenticationToken", "Request is missing Authentication Token"),
        Protocol::RestXml => Refusal::new(403, "AccessDenied", "Access Denied"),
        _ => Refusal::new(400, "MissingAuthenticationTokenException", "Missing Authentication Token"),
    }
}

fn mac(key: &[u8], text: &str) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

fn header<'a>(request: &'a Request<Bytes>, name: &str) -> Option<&'a str> {
    request.headers().get(name)?.to_str().ok()
}

/// A header as it is signed: values joined, white space folded. A request that was not yet sent has its host in its URI.
fn header_value(request: &Request<Bytes>, name: &str) -> Option<String> {
    let values: Vec<String> = request
        .headers()
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .map(|value| value.split_ascii_whitespace().collect::<Vec<_>>().join(" "))
        .collect();
    if values.is_empty() && name == HOST.as_str() {
        let uri = request.uri();
        let default =
            matches!((uri.scheme_str(), uri.port_u16()), (Some("http"), Some(80)) | (Some("https"), Some(443)));
        return if default { uri.host().map(str::to_owned) } else { uri.authority().map(ToString::to_string) };
    }
    (!values.is_empty()).then(|| values.join(","))
}

fn canonical_query(query: &str) -> String {
    let encoded = |text: &str| {
        let text = percent_decode_str(text).decode_utf8_lossy();
        utf8_percent_encode(&text, ENCODED).to_string()
    };
    let mut pairs: Vec<(String, String)> = query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(key, value)| (encoded(key), encoded(value)))
        .collect();
    pairs.sort();
    pairs.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join("&")
}

/// The digest of the body that the signature covers. A stated digest must be the body's own, unless it says that the body
/// is not signed or comes in chunks.
fn payload_digest(request: &Request<Bytes>) -> Result<String, Denial> {
    let actual = || hex::encode(Sha256::digest(request.body()));
    match header(request, "x-amz-content-sha256") {
        None => Ok(actual()),
        Some(stated) if stated.len() == 64 && stated != actual() => Err(Denial::OtherBody),
        Some(stated) => Ok(stated.to_owned()),
    }
}

fn amz_time(text: &str) -> Option<Timestamp> {
    let time = civil::DateTime::strptime("%Y%m%dT%H%M%SZ", text).ok()?;
    jiff::tz::TimeZone::UTC.to_timestamp(time).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The worked example of "Signature Version 4 signing process" (IAM's ListUsers).
    fn list_users() -> Request<Bytes> {
        let authorization = "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/iam/aws4_request, \
            SignedHeaders=content-type;host;x-amz-date, \
            Signature=5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7";
        Request::builder()
            .uri("https://iam.amazonaws.com/?Action=ListUsers&Version=2010-05-08")
            .header("content-type", "application/x-www-form-urlencoded; charset=utf-8")
            .header("host", "iam.amazonaws.com")
            .header("x-amz-date", "20150830T123600Z")
            .header("authorization", authorization)
            .body(Bytes::new())
            .unwrap()
    }

    #[test]
    fn the_documented_example_has_the_documented_signature() {
        let request = list_users();
        let signature = Signature::of(&request).unwrap();
        let secret = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
        assert_eq!(signature.expected(secret, "20150830T123600Z", &request).unwrap(), signature.digest);
        assert_ne!(signature.expected("another", "20150830T123600Z", &request).unwrap(), signature.digest);
        assert_eq!((signature.region.as_str(), signature.service.as_str()), ("us-east-1", "iam"));
    }

    #[test]
    fn a_request_without_host_header_is_signed_for_the_host_of_its_uri() {
        let mut request = list_users();
        request.headers_mut().remove("host");
        let signature = Signature::of(&request).unwrap();
        let secret = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
        assert_eq!(signature.expected(secret, "20150830T123600Z", &request).unwrap(), signature.digest);
    }

    #[test]
    fn an_unsigned_request_has_no_signature() {
        let mut request = list_users();
        request.headers_mut().remove("authorization");
        assert_eq!(Signature::of(&request), None);
        assert_eq!(unsigned(Protocol::Query).code, "MissingAuthenticationToken");
    }

    #[test]
    fn an_unknown_key_has_a_code_per_protocol() {
        let code = |service: &str| {
            let refusal = Denial::UnknownKey.refusal(service, Protocol::of(service).unwrap());
            (refusal.status, refusal.code)
        };
        assert_eq!(code("ec2"), (401, "AuthFailure".to_owned()));
        assert_eq!(code("iam"), (403, "InvalidClientTokenId".to_owned()));
        assert_eq!(code("s3"), (403, "InvalidAccessKeyId".to_owned()));
        assert_eq!(code("organizations"), (400, "UnrecognizedClientException".to_owned()));
    }

    #[test]
    fn a_body_other_than_the_signed_one_is_noticed() {
        let mut request = list_users();
        request.headers_mut().insert("x-amz-content-sha256", "0".repeat(64).parse().unwrap());
        assert_eq!(payload_digest(&request), Err(Denial::OtherBody));
    }
}
