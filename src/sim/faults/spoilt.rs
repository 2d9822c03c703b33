//! Answers that are none of the service's: cut off, empty, garbage, web pages.

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderValue, Response, StatusCode};

use super::FaultKind;

/// Marks an answer whose body ends before its `Content-Length`: the connection breaks there.
#[derive(Debug, Clone, Copy)]
pub struct CutOff;

const PORTAL: &str = "<!DOCTYPE html>\n<html><head><title>Welcome</title></head><body>\
    <form action=\"/login\">Please sign in to use this network.</form></body></html>\n";

/// The answer of something on the way that does not let a request through.
pub fn page(kind: FaultKind) -> Option<Response<Bytes>> {
    match kind {
        FaultKind::Html200 => Some(web_page(StatusCode::OK, PORTAL.to_owned())),
        FaultKind::Html503 => Some(of_gateway(StatusCode::SERVICE_UNAVAILABLE)),
        FaultKind::Http502 => Some(of_gateway(StatusCode::BAD_GATEWAY)),
        _ => None,
    }
}

/// What comes back in the place of the answer to a request that was carried out.
pub fn spoil(kind: FaultKind, mut response: Response<Bytes>) -> Response<Bytes> {
    match kind {
        FaultKind::HalfAnswer => {
            let whole = response.body().len();
            let half = response.body().slice(..whole / 2);
            *response.body_mut() = half;
            response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(whole.max(16)));
            response.extensions_mut().insert(CutOff);
            response
        }
        FaultKind::EmptyAnswer => {
            response.body_mut().clear();
            response
        }
        FaultKind::Garbage => {
            // Of the same length, and no UTF-8.
            *response.body_mut() = (0x80..=0xff_u8).cycle().take(response.body().len().max(16)).collect();
            response
        }
        FaultKind::Http504 => of_gateway(StatusCode::GATEWAY_TIMEOUT),
        _ => response,
    }
}

fn of_gateway(status: StatusCode) -> Response<Bytes> {
    let title = status.to_string();
    web_page(status, format!("<html>\n<head><title>{title}</title></head>\n<body><h1>{title}</h1></body>\n</html>\n"))
}

fn web_page(status: StatusCode, body: String) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    response
}
