//! Who sees what AWS answers, as it came: for evidence.

use std::sync::Arc;

use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::{RuntimeComponents, RuntimeComponentsBuilder};
use aws_smithy_types::config_bag::ConfigBag;
use aws_types::SdkConfig;
use jiff::Timestamp;
use serde_json::{Map, Value};
use tokio::time::timeout;

use super::call::Call;
use super::rest;
use super::wire::{ATTEMPT, date, whole};
use crate::engine::action::Ctx;

/// A question and AWS's answer to it.
#[derive(Debug, Clone)]
pub struct Exchange {
    /// `ec2:DescribeInstances`.
    pub api: String,
    /// What was asked for, page tokens included.
    pub parameters: Map<String, Value>,
    /// The account.
    pub account: String,
    /// The region of the signature.
    pub region: String,
    /// AWS's id of the request.
    pub request: Option<String>,
    /// When AWS answered, by its own clock.
    pub at: Option<Timestamp>,
    /// The answer.
    pub body: Vec<u8>,
}

/// Sees every answer that is a success. What STS answers is never shown: it holds credentials.
pub trait Witness: Send + Sync + std::fmt::Debug {
    /// Sees one.
    fn saw(&self, exchange: Exchange);
}

/// The same session, before a witness.
pub fn seen(cx: &Ctx, witness: &Arc<dyn Witness>) -> Ctx {
    Ctx { sdk: before(&cx.sdk, cx.target.account.as_str(), witness), ..cx.clone() }
}

/// The same configuration, for an account, before a witness.
pub(super) fn before(sdk: &SdkConfig, account: &str, witness: &Arc<dyn Witness>) -> SdkConfig {
    let Some(inner) = sdk.http_client() else { return sdk.clone() };
    sdk.to_builder().http_client(Seen { inner, account: account.into(), witness: witness.clone() }).build()
}

/// An HTTP client whose answers are seen by a witness.
#[derive(Debug, Clone)]
struct Seen {
    inner: SharedHttpClient,
    account: Arc<str>,
    witness: Arc<dyn Witness>,
}

impl HttpClient for Seen {
    fn http_connector(&self, settings: &HttpConnectorSettings, components: &RuntimeComponents) -> SharedHttpConnector {
        let inner = self.inner.http_connector(settings, components);
        SharedHttpConnector::new(SeenConnector { client: self.clone(), inner })
    }

    fn validate_base_client_config(
        &self,
        components: &RuntimeComponentsBuilder,
        config: &ConfigBag,
    ) -> Result<(), BoxError> {
        HttpClient::validate_base_client_config(&self.inner, components, config)
    }

    fn validate_final_config(&self, components: &RuntimeComponents, config: &ConfigBag) -> Result<(), BoxError> {
        HttpClient::validate_final_config(&self.inner, components, config)
    }
}

#[derive(Debug)]
struct SeenConnector {
    client: Seen,
    inner: SharedHttpConnector,
}

impl HttpConnector for SeenConnector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let Seen { account, witness, .. } = self.client.clone();
        let inner = self.inner.clone();
        HttpConnectorFuture::new(async move {
            let call = Call::read(&request);
            let asked = Asked::read(&call, &request);
            let answer = inner.call(request).await?;
            let Some(asked) = asked.filter(|_| answer.status().is_success()) else { return Ok(answer) };
            let slow = || ConnectorError::timeout(format!("{} did not come to its end", call.name()).into());
            let answer = timeout(ATTEMPT, whole(answer)).await.map_err(|_| slow())??;
            witness.saw(asked.answered(&account, &call, &answer, date(&answer)));
            Ok(answer)
        })
    }
}

/// A question, kept until it is answered.
#[derive(Debug)]
pub(super) struct Asked {
    api: String,
    parameters: Map<String, Value>,
}

impl Asked {
    /// Reads a request; none where no witness may see the answer.
    pub fn read(call: &Call, request: &HttpRequest) -> Option<Self> {
        if call.service == "sts" {
            return None;
        }
        let path = request.uri().split_once("://").map_or(request.uri(), |(_, rest)| rest);
        let path = path.split_once('/').map_or("", |(_, path)| path);
        let api = match call.service.as_str() {
            "s3" => format!("s3:{}", rest::s3(request.method(), path)),
            _ => call.name(),
        };
        Some(Self { api, parameters: parameters(call, request, path) })
    }

    /// Puts the answer to it.
    pub fn answered(self, account: &str, call: &Call, answer: &HttpResponse, at: Option<Timestamp>) -> Exchange {
        let headers = answer.headers();
        let request = ["x-amzn-requestid", "x-amz-request-id"].iter().find_map(|name| headers.get(*name));
        let body = answer.body().bytes().unwrap_or_default().to_vec();
        let request = request.map(str::to_owned).or_else(|| in_document(&body));
        let (account, region) = (account.to_owned(), call.region.clone());
        Exchange { api: self.api, parameters: self.parameters, account, region, request, at, body }
    }
}

/// What was asked for: the fields of a form, the members of a document, or path and query.
fn parameters(call: &Call, request: &HttpRequest, path: &str) -> Map<String, Value> {
    if !call.form.is_empty() {
        let fields = call.form.iter().filter(|(name, _)| name != "Action" && name != "Version");
        return fields.map(|(name, value)| (name.clone(), Value::from(value.as_str()))).collect();
    }
    let body = request.body().bytes().unwrap_or_default();
    let mut members: Map<String, Value> = serde_json::from_slice(body).unwrap_or_default();
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    if request.headers().get("x-amz-target").is_none() && !path.is_empty() {
        members.insert("path".to_owned(), Value::from(path));
    }
    let query = form_urlencoded::parse(query.as_bytes()).filter(|(name, _)| name != "x-id");
    members.extend(query.map(|(name, value)| (name.into_owned(), Value::from(value.into_owned()))));
    members
}

/// The id of the request where the document holds it and no header does.
fn in_document(body: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(body).ok()?;
    let text = text.get(..text.len().min(2_000)).unwrap_or(text);
    let id = ["<requestId>", "<RequestId>"].iter().find_map(|tag| text.split_once(tag))?;
    id.1.split('<').next().map(str::to_owned)
}
