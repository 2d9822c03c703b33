//! The door for the AWS SDK in the same process: an HTTP client that has no network behind it.

use std::io;
use std::time::SystemTime;

use aws_smithy_async::time::{SharedTimeSource, TimeSource};
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use bytes::Bytes;
use futures::stream;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Body, Frame};

use super::faults::CutOff;
use super::{Sim, Transport};

/// Carries requests of the SDK to a [`Sim`].
#[derive(Debug, Clone)]
pub struct Connector {
    sim: Sim,
    settings: HttpConnectorSettings,
}

impl Sim {
    /// The HTTP client to configure the SDK with.
    pub fn http_client(&self) -> SharedHttpClient {
        SharedHttpClient::new(Connector { sim: self.clone(), settings: HttpConnectorSettings::default() })
    }

    /// The time to configure the SDK with, so that it signs at the time by which signatures are judged.
    pub fn time_source(&self) -> SharedTimeSource {
        SharedTimeSource::new(self.clone())
    }
}

impl TimeSource for Sim {
    fn now(&self) -> SystemTime {
        self.clock_time().try_into().unwrap_or(SystemTime::UNIX_EPOCH)
    }
}

impl HttpClient for Connector {
    fn http_connector(&self, settings: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(Self { sim: self.sim.clone(), settings: settings.clone() })
    }
}

impl HttpConnector for Connector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let (sim, timeout) = (self.sim.clone(), self.settings.read_timeout());
        HttpConnectorFuture::new(async move {
            let exchange = exchange(&sim, request);
            match timeout {
                None => exchange.await,
                Some(limit) => tokio::time::timeout(limit, exchange)
                    .await
                    .unwrap_or_else(|elapsed| Err(ConnectorError::timeout(elapsed.into()))),
            }
        })
    }
}

async fn exchange(sim: &Sim, request: HttpRequest) -> Result<HttpResponse, ConnectorError> {
    let request = request.try_into_http1x().map_err(|error| ConnectorError::user(error.into()))?;
    let (parts, body) = request.into_parts();
    let body: Bytes = body.collect().await.map_err(ConnectorError::user)?.to_bytes();
    let response = sim.request(http::Request::from_parts(parts, body)).await?;
    let is_cut_off = response.extensions().get::<CutOff>().is_some();
    let body = |bytes| if is_cut_off { SdkBody::from_body_1_x(cut_off(bytes)) } else { SdkBody::from(bytes) };
    HttpResponse::try_from(response.map(body)).map_err(|error| ConnectorError::user(error.into()))
}

/// A body that breaks off after these bytes.
pub(super) fn cut_off(bytes: Bytes) -> impl Body<Data = Bytes, Error = io::Error> + Send + Sync {
    let broken = io::Error::new(io::ErrorKind::UnexpectedEof, "the connection broke in the middle of the answer");
    StreamBody::new(stream::iter([Ok(Frame::data(bytes)), Err(broken)]))
}

impl From<Transport> for ConnectorError {
    fn from(failure: Transport) -> Self {
        match failure {
            Transport::NoAnswer => Self::timeout(failure.into()),
            Transport::Refused | Transport::Tls => Self::io(failure.into()).never_connected(),
            Transport::Reset => Self::io(failure.into()),
        }
    }
}
