//! The door for any other client: HTTP on the loopback interface.
//!
//! Whatever host a client thinks it speaks to, the signature says which service is meant. Beside AWS's protocols the
//! listener answers `GET /_sim/world` and `GET /_sim/log`, and takes `POST /_sim/faults`: a [`FaultPlan`], which replaces the
//! one before. `POST /_sim/clock` with `{"forward": "5m"}` moves the time on: what takes its time has taken it, while requests
//! go on being signed by the time of the day.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::connector::cut_off;
use super::faults::{CutOff, FaultPlan};
use super::{Sim, Transport};
use crate::model::Span;

/// What is asked of the clock.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Clock {
    /// How far it is to be moved on.
    forward: Span,
}

/// The largest body that is taken.
const MOST_BYTES: usize = 64 << 20;

/// A listener that is bound, and not yet serving.
#[derive(Debug)]
pub struct Listener {
    sim: Sim,
    socket: TcpListener,
}

impl Listener {
    /// Binds a port of 127.0.0.1; 0 lets the system choose one.
    pub async fn bind(sim: Sim, port: u16) -> io::Result<Self> {
        let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
        Ok(Self { sim, socket })
    }

    /// Where it listens.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Serves until `stop` resolves; requests that are in the air then are cut off.
    pub async fn serve(self, stop: impl Future<Output = ()>) -> io::Result<()> {
        let mut connections = JoinSet::new();
        tokio::pin!(stop);
        loop {
            tokio::select! {
                () = &mut stop => return Ok(()),
                Some(_) = connections.join_next() => {}
                accepted = self.socket.accept() => {
                    let (stream, _) = accepted?;
                    connections.spawn(serve_connection(self.sim.clone(), stream));
                }
            }
        }
    }
}

async fn serve_connection(sim: Sim, stream: TcpStream) {
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request| {
        let sim = sim.clone();
        async move { respond(&sim, request).await }
    });
    let served = http1::Builder::new().preserve_header_case(true).serve_connection(TokioIo::new(stream), service).await;
    if let Err(error) = served {
        tracing::debug!(%error, "a connection to the simulated AWS ended");
    }
}

/// An error here makes hyper drop the connection, which is how a client sees each [`Transport`] failure.
async fn respond(sim: &Sim, request: Request<Incoming>) -> Result<Response<Answer>, Transport> {
    let (parts, body) = request.into_parts();
    let body = match Limited::new(body, MOST_BYTES).collect().await {
        Ok(body) => body.to_bytes(),
        Err(error) if error.is::<LengthLimitError>() => {
            let error = format!("a request has at most {MOST_BYTES} bytes");
            return Ok(json(StatusCode::PAYLOAD_TOO_LARGE, &serde_json::json!({ "error": error })).map(whole));
        }
        Err(_) => return Err(Transport::Reset),
    };
    let request = Request::from_parts(parts, body);
    let response = match request.uri().path().strip_prefix("/_sim/") {
        Some(topic) => look_behind(sim, topic, &request),
        None => sim.request(request).await?,
    };
    let is_cut_off = response.extensions().get::<CutOff>().is_some();
    Ok(response.map(|bytes| if is_cut_off { cut_off(bytes).boxed() } else { whole(bytes) }))
}

/// The body of an answer, which may break off.
type Answer = BoxBody<Bytes, io::Error>;

fn whole(bytes: Bytes) -> Answer {
    Full::new(bytes).map_err(|never| match never {}).boxed()
}

fn look_behind(sim: &Sim, topic: &str, request: &Request<Bytes>) -> Response<Bytes> {
    match (request.method(), topic) {
        (&Method::GET, "world") => json(StatusCode::OK, &sim.world()),
        (&Method::GET, "log") => json(StatusCode::OK, &sim.log()),
        (&Method::POST, "faults") => {
            match std::str::from_utf8(request.body()).map(|text| FaultPlan::load(text, "body")) {
                Ok(Ok(plan)) => {
                    sim.set_fault_plan(plan.clone());
                    json(StatusCode::OK, &serde_json::json!({ "seed": plan.seed, "rules": plan.rules }))
                }
                Ok(Err(error)) => wrong(StatusCode::BAD_REQUEST, &error.to_string()),
                Err(_) => wrong(StatusCode::BAD_REQUEST, "the body is not text"),
            }
        }
        (&Method::POST, "clock") => match serde_json::from_slice::<Clock>(request.body()) {
            Ok(Clock { forward }) => {
                sim.move_on(forward.0);
                json(StatusCode::OK, &serde_json::json!({ "now": sim.now().to_string() }))
            }
            Err(error) => {
                wrong(StatusCode::BAD_REQUEST, &format!("the body is not like {{\"forward\": \"5m\"}}: {error}"))
            }
        },
        _ => {
            let there_are = "there are GET /_sim/world, GET /_sim/log, POST /_sim/faults and POST /_sim/clock";
            wrong(StatusCode::NOT_FOUND, there_are)
        }
    }
}

fn wrong(status: StatusCode, error: &str) -> Response<Bytes> {
    json(status, &serde_json::json!({ "error": error }))
}

fn json(status: StatusCode, value: &impl serde::Serialize) -> Response<Bytes> {
    let (status, body) = match serde_json::to_vec_pretty(value) {
        Ok(body) => (status, body),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string().into_bytes()),
    };
    let mut response = Response::new(Bytes::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(http::header::CONTENT_TYPE, http::HeaderValue::from_static("application/json"));
    response
}
