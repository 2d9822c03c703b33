//! `aws-chunked` bodies: the SDKs send uploads in signed or unsigned chunks, with a checksum in a trailer.
//! (S3 API Reference, "Signature calculations: transferring payload in multiple chunks".)

use bytes::Bytes;
use http::HeaderMap;

/// The content of a body sent as `aws-chunked`, and the trailers behind it.
///
/// # Errors
/// The words of what is wrong with the framing.
pub fn unwrap(body: &Bytes) -> Result<(Bytes, Vec<(String, String)>), String> {
    let mut rest = &body[..];
    let mut content = Vec::with_capacity(body.len());
    loop {
        let header = take_line(&mut rest).ok_or("a chunk has no header")?;
        let size = header.split(';').next().unwrap_or_default().trim();
        let size = usize::from_str_radix(size, 16).map_err(|_| format!("`{size}` is not the size of a chunk"))?;
        if size == 0 {
            break;
        }
        let chunk = rest.get(..size).ok_or("a chunk is shorter than its header says")?;
        content.extend_from_slice(chunk);
        rest = rest[size..].strip_prefix(b"\r\n").ok_or("a chunk does not end in a line break")?;
    }
    let mut trailers = Vec::new();
    while let Some(line) = take_line(&mut rest) {
        if let Some((name, value)) = line.split_once(':') {
            trailers.push((name.trim().to_ascii_lowercase(), value.trim().to_owned()));
        }
    }
    Ok((Bytes::from(content), trailers))
}

/// Whether the headers announce such a body.
pub fn is_chunked(headers: &HeaderMap) -> bool {
    let streaming = headers.get("x-amz-content-sha256").is_some_and(|hash| hash.as_bytes().starts_with(b"STREAMING-"));
    let encoding = headers.get("content-encoding").and_then(|encoding| encoding.to_str().ok());
    streaming || encoding.is_some_and(|encoding| encoding.contains("aws-chunked"))
}

fn take_line(rest: &mut &[u8]) -> Option<String> {
    let end = rest.windows(2).position(|pair| pair == b"\r\n")?;
    let line = String::from_utf8_lossy(&rest[..end]).into_owned();
    *rest = &rest[end + 2..];
    Some(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_are_joined_and_trailers_kept() {
        let body =
            Bytes::from("5;chunk-signature=ab\r\nhello\r\n6\r\n world\r\n0\r\nx-amz-checksum-crc32:DUoRhQ==\r\n\r\n");
        let (content, trailers) = unwrap(&body).unwrap();
        assert_eq!(content, "hello world");
        assert_eq!(trailers, [("x-amz-checksum-crc32".to_owned(), "DUoRhQ==".to_owned())]);
    }

    #[test]
    fn a_cut_chunk_is_an_error() {
        assert!(unwrap(&Bytes::from("ff\r\nshort\r\n0\r\n\r\n")).is_err());
    }
}
