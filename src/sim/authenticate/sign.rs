//! Signing a request, as a client of AWS does.

use bytes::Bytes;
use http::header::{AUTHORIZATION, HOST};
use http::{HeaderValue, Request};
use jiff::Timestamp;

use super::{Denial, Signature};
use crate::sim::world::Secret;

/// An access key as its holder has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessKey {
    /// `AKIA…` or `ASIA…`.
    pub id: String,
    /// Its secret.
    pub secret: Secret,
    /// The session token of temporary credentials.
    pub token: Option<Secret>,
}

/// Signs `request`, which must name its host, for a region and a service at `now`.
///
/// # Errors
/// When the host is missing, or the request states a digest that is not that of its body: it could not be accepted.
pub fn sign(
    request: &mut Request<Bytes>,
    key: &AccessKey,
    (region, service): (&str, &str),
    now: Timestamp,
) -> Result<(), Denial> {
    let amz_date = now.strftime("%Y%m%dT%H%M%SZ").to_string();
    let headers = request.headers_mut();
    headers.insert("x-amz-date", header(&amz_date));
    let mut signed_headers = vec![HOST.to_string(), "x-amz-date".to_owned()];
    if let Some(token) = &key.token {
        headers.insert("x-amz-security-token", header(&token.0));
        signed_headers.push("x-amz-security-token".to_owned());
    }
    let mut signature = Signature {
        access_key: key.id.clone(),
        region: region.to_owned(),
        service: service.to_owned(),
        day: amz_date[..8].to_owned(),
        signed_headers,
        digest: String::new(),
    };
    signature.digest = signature.expected(&key.secret.0, &amz_date, request)?;
    request.headers_mut().insert(AUTHORIZATION, header(&signature.header()));
    Ok(())
}

fn header(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).expect("dates, ids and tokens are visible ASCII")
}

impl Signature {
    /// The `Authorization` header of the signature.
    fn header(&self) -> String {
        let Self { access_key, region, service, day, signed_headers, digest } = self;
        format!(
            "AWS4-HMAC-SHA256 Credential={access_key}/{day}/{region}/{service}/aws4_request, SignedHeaders={}, \
             Signature={digest}",
            signed_headers.join(";")
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_signed_is_read_back_as_it_was_signed() {
        let key = AccessKey {
            id: "ASIA1".into(),
            secret: Secret("wJalrXUtnFEMI".into()),
            token: Some(Secret("FwoG".into())),
        };
        let mut request = Request::builder()
            .method("POST")
            .uri("https://ec2.eu-west-3.amazonaws.com/")
            .header("host", "ec2.eu-west-3.amazonaws.com")
            .body(Bytes::from("Action=DescribeInstances"))
            .unwrap();
        sign(&mut request, &key, ("eu-west-3", "ec2"), "2026-03-03T15:20:00Z".parse().unwrap()).unwrap();
        let signature = Signature::of(&request).unwrap();
        assert_eq!((signature.access_key.as_str(), signature.region.as_str()), ("ASIA1", "eu-west-3"));
        let expected = |secret: &str| signature.expected(secret, "20260303T152000Z", &request).unwrap();
        assert_eq!(expected("wJalrXUtnFEMI"), signature.digest);
        assert_ne!(expected("another"), signature.digest);
    }
}
