//! What is known of a content: its `ETag`, and the checksums that came with it.
//!
//! MD5, SHA-256 and CRC-32 are compared with the content. SHA-1, CRC-32C and CRC-64/NVME are kept and answered as they were
//! stated.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use md5::{Digest as _, Md5};
use sha2::Sha256;

use super::header;
use crate::sim::call::{Call, Refusal};

/// The header of each algorithm that S3 has, and how the simulator computes it, where it does.
const ALGORITHMS: [(&str, Option<Compute>); 5] = [
    ("x-amz-checksum-crc32", Some(crc32)),
    ("x-amz-checksum-crc32c", None),
    ("x-amz-checksum-crc64nvme", None),
    ("x-amz-checksum-sha1", None),
    ("x-amz-checksum-sha256", Some(sha256)),
];

type Compute = fn(&[u8]) -> String;

/// Checksums in base64, by the name of their header.
pub type Checksums = BTreeMap<String, String>;

fn crc32(content: &[u8]) -> String {
    STANDARD.encode(crc32fast::hash(content).to_be_bytes())
}

fn sha256(content: &[u8]) -> String {
    STANDARD.encode(Sha256::digest(content))
}

/// The `ETag` of a content that was put in one piece: its MD5, between quotation marks.
pub(super) fn etag(content: &[u8]) -> String {
    format!("\"{}\"", hex::encode(Md5::digest(content)))
}

/// The checksums that are stated for the body of a call, in headers or trailers, once they have been found right.
pub(super) fn stated(call: &Call) -> Result<Checksums, Refusal> {
    let body = &call.http.body;
    if let Some(stated) = header(call, "content-md5") {
        let digest = STANDARD.decode(stated).ok().filter(|digest| digest.len() == 16);
        let invalid = || Refusal::new(400, "InvalidDigest", "The Content-MD5 you specified was invalid.");
        if digest.ok_or_else(invalid)? != Md5::digest(body).as_slice() {
            let message = "The Content-MD5 you specified did not match what we received.";
            return Err(Refusal::new(400, "BadDigest", message));
        }
    }
    let mut checksums = Checksums::new();
    for (name, compute) in ALGORITHMS {
        let Some(stated) = header(call, name) else { continue };
        if compute.is_some_and(|compute| compute(body) != stated) {
            let algorithm = name.trim_start_matches("x-amz-checksum-").to_ascii_uppercase();
            let message = format!("The {algorithm} you specified did not match the calculated checksum.");
            return Err(Refusal::new(400, "BadDigest", message));
        }
        checksums.insert(name.to_owned(), stated.to_owned());
    }
    Ok(checksums)
}

/// Refuses a body without any checksum, where S3 wants one.
pub(super) fn required(call: &Call, purpose: &str) -> Result<(), Refusal> {
    let has_one =
        header(call, "content-md5").is_some() || ALGORITHMS.iter().any(|(name, _)| header(call, name).is_some());
    let message = format!("Content-MD5 OR x-amz-checksum- HTTP header is required for {purpose}");
    if has_one { Ok(()) } else { Err(Refusal::new(400, "InvalidRequest", message)) }
}
