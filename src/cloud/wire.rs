//! What every request passes: guard → budget → turn → count → time limit → connection, and on the way back the throttle
//! answers, after which it goes the same way again.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::{RuntimeComponents, RuntimeComponentsBuilder};
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::config_bag::ConfigBag;
use http_body_util::BodyExt as _;
use jiff::Timestamp;
use tokio::time::{Duration, Instant, sleep, timeout};

use super::account_session::AssumedRole;
use super::budget::{Budgets, Drawn};
use super::call::Call;
use super::in_flight::{InFlight, OnItsWay};
use super::pages::Pages;
use super::storm::Storm;
use super::time::{FAR, SdkTime};
use super::{classify, read_only, retry};
use crate::engine::ports::{Access, Traffic};

/// How long one attempt may take, from the moment it leaves: waiting for the budget does not count.
pub(super) const ATTEMPT: Duration = Duration::from_secs(15);

/// A request that was sent and not answered in time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no answer to {call} within {seconds} s")]
pub(super) struct NoAnswer {
    /// `ec2:DescribeInstances`.
    pub call: String,
    /// How long quell waited.
    pub seconds: u64,
}

/// An answer that cannot be AWS's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
enum NotAws {
    /// A page for people: of a proxy, or of a network that wants a person to sign in.
    #[error("{0} was answered with a web page: does this network want somebody to sign in?")]
    WebPage(String),
    /// Nothing.
    #[error("{0} was answered with nothing")]
    Nothing(String),
}

/// The codes of a request that was signed for another time, each also used for what no clock has a part in.
const MISTIMED: [&str; 8] = [
    "AccessDeniedException",
    "AuthFailure",
    "InvalidSignatureException",
    "RequestExpired",
    "RequestInTheFuture",
    "RequestTimeTooSkewed",
    "SignatureDoesNotMatch",
    "UnrecognizedClientException",
];

/// What all sessions of a process share.
#[derive(Debug, Default)]
pub(super) struct Wire {
    budgets: Budgets,
    in_flight: InFlight,
    requests: AtomicU64,
    throttled: AtomicU64,
    retries: AtomicU64,
    pages: Pages,
    /// What signs go by, which learns from the dates of answers.
    time: Option<SdkTime>,
    /// When each account and region last answered.
    heard: Mutex<HashMap<(Arc<str>, String), Instant>>,
}

impl Wire {
    /// One whose answers set the time right that signs go by.
    pub fn setting(time: SdkTime) -> Self {
        Self { time: Some(time), ..Self::default() }
    }

    /// What went over it so far.
    pub fn traffic(&self) -> Traffic {
        Traffic {
            requests: self.requests.load(Ordering::Relaxed),
            throttled: self.throttled.load(Ordering::Relaxed),
            retries: self.retries.load(Ordering::Relaxed),
        }
    }

    /// When a region last answered an account's request.
    pub fn heard(&self, account: &str, region: &str) -> Option<Instant> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).get(&(account.into(), region.to_owned())).copied()
    }

    /// Waits until a request may leave. What was drawn from a budget is good for that moment only: requests that waited for a
    /// place would leave together when places come free, faster than the budget allows. Who has to wait for one draws again.
    async fn turn(&self, account: &Arc<str>, call: &Call) -> (Drawn, OnItsWay<'_>) {
        let drawn = self.budgets.draw(account, call).await;
        if let Some(place) = self.in_flight.try_enter(&call.region) {
            return (drawn, place);
        }
        let place = self.in_flight.enter(&call.region).await;
        (self.budgets.draw(account, call).await, place)
    }

    /// Sends a request, and goes on sending it while AWS says "too fast", as long as there is hope: see [`Storm`].
    async fn send(
        &self,
        account: &Arc<str>,
        access: Access,
        inner: SharedHttpConnector,
        mut request: HttpRequest,
    ) -> Result<HttpResponse, ConnectorError> {
        let call = Call::read(&request);
        read_only::check(access, &call).map_err(|refused| ConnectorError::user(refused.into()))?;
        if call.attempt > 1 {
            self.retries.fetch_add(1, Ordering::Relaxed);
        }
        let mut storm = Storm::default();
        loop {
            let again = request.try_clone();
            let (answer, drawn) = self.attempt(account, &call, &inner, request).await?;
            if !classify::code_in(&answer).as_deref().is_some_and(classify::is_throttle) {
                drawn.passed();
                return Ok(answer);
            }
            self.throttled.fetch_add(1, Ordering::Relaxed);
            drawn.throttled();
            match again.zip(storm.pause(drawn.storms_since())) {
                Some((again, pause)) => {
                    sleep(pause).await;
                    self.retries.fetch_add(1, Ordering::Relaxed);
                    request = again;
                }
                None => return Ok(answer),
            }
        }
    }

    /// Sends one attempt. Gives the answer, and the budgets that it drew from.
    async fn attempt(
        &self,
        account: &Arc<str>,
        call: &Call,
        inner: &SharedHttpConnector,
        request: HttpRequest,
    ) -> Result<(HttpResponse, Drawn), ConnectorError> {
        let (drawn, on_its_way) = self.turn(account, call).await;
        self.requests.fetch_add(1, Ordering::Relaxed);

        let signed_at = request.headers().get("x-amz-date").and_then(amz_time);
        let exchange = async {
            let answer = inner.call(request).await?;
            if is_stream(call, &answer) { Ok(answer) } else { whole(answer).await }
        };
        let mut answer = timeout(ATTEMPT, exchange).await.map_err(|_| {
            ConnectorError::timeout(NoAnswer { call: call.name(), seconds: ATTEMPT.as_secs() }.into())
        })??;
        drop(on_its_way);
        let place = (account.clone(), call.region.clone());
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).insert(place, Instant::now());

        let date = date(&answer);
        if let (Some(time), Some(date)) = (&self.time, date) {
            time.learn(date);
        }
        let code = classify::code_in(&answer);
        if code.as_deref().is_some_and(|code| MISTIMED.contains(&code)) && is_far(signed_at, date) {
            // The time was learned from this answer just now: the same request is right when it is signed again.
            retry::ask_again(&mut answer);
        }
        check(call, &answer)?;
        self.pages.follow(account, call, &answer).map_err(|endless| ConnectorError::user(endless.into()))?;
        Ok((answer, drawn))
    }
}

/// Refuses an answer that cannot be AWS's, though its status is that of a success: what is not read for its content would
/// count as done, and an empty list as clean. Whether the request was carried out is unknown then.
fn check(call: &Call, answer: &HttpResponse) -> Result<(), ConnectorError> {
    if call.service == "s3" || !answer.status().is_success() {
        return Ok(());
    }
    let Some(body) = answer.body().bytes() else { return Ok(()) };
    let wrong = if is_web_page(body) {
        NotAws::WebPage(call.name())
    } else if body.is_empty() && read_only::reads(call) {
        NotAws::Nothing(call.name())
    } else {
        return Ok(());
    };
    Err(ConnectorError::io(wrong.into()))
}

/// Whether a body is a page for people, by how it begins: emulators call AWS's own answers HTML as well.
fn is_web_page(body: &[u8]) -> bool {
    let body = body.trim_ascii_start();
    let begins = |with: &[u8]| body.get(..with.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(with));
    begins(b"<!doctype html") || begins(b"<html")
}

/// Whether an answer's time is minutes away from that of the request's signature.
fn is_far(signed_at: Option<Timestamp>, date: Option<Timestamp>) -> bool {
    date.zip(signed_at).is_some_and(|(date, signed)| date.duration_since(signed).abs() > FAR)
}

/// When an answer was sent, by the clock of who sent it.
pub(super) fn date(answer: &HttpResponse) -> Option<Timestamp> {
    let date = answer.headers().get("date")?;
    jiff::fmt::rfc2822::parse(date).ok().map(|date| date.timestamp())
}

fn amz_time(text: &str) -> Option<Timestamp> {
    let time = jiff::civil::DateTime::strptime("%Y%m%dT%H%M%SZ", text).ok()?;
    jiff::tz::TimeZone::UTC.to_timestamp(time).ok()
}

/// Whether an answer stays a stream: what S3 sends may be large.
fn is_stream(call: &Call, answer: &HttpResponse) -> bool {
    call.service == "s3" && answer.status().is_success()
}

/// Reads an answer to its end, so that the time limit covers all of it.
pub(super) async fn whole(mut answer: HttpResponse) -> Result<HttpResponse, ConnectorError> {
    let body = std::mem::replace(answer.body_mut(), SdkBody::taken());
    let bytes = body.collect().await.map_err(ConnectorError::io)?.to_bytes();
    *answer.body_mut() = SdkBody::from(bytes);
    Ok(answer)
}

/// The HTTP client of the sessions in one account.
#[derive(Debug, Clone)]
pub(super) struct Client {
    /// What connects: HTTPS, or a simulated AWS.
    pub inner: SharedHttpClient,
    /// What it shares with the other accounts.
    pub wire: Arc<Wire>,
    /// The account whose budgets it draws from.
    pub account: Arc<str>,
    /// What it may send.
    pub access: Access,
    /// The role whose credentials it signs with, if it is one that quell assumed.
    pub role: Option<Arc<AssumedRole>>,
}

impl HttpClient for Client {
    fn http_connector(&self, settings: &HttpConnectorSettings, components: &RuntimeComponents) -> SharedHttpConnector {
        let inner = self.inner.http_connector(settings, components);
        SharedHttpConnector::new(Connector { client: self.clone(), inner })
    }

    /// Asks nothing of what connects: the SDK's own client would load and parse the TLS roots and throw them away, for every
    /// service client that is made. The first request finds out the same, once.
    fn validate_base_client_config(&self, _: &RuntimeComponentsBuilder, _: &ConfigBag) -> Result<(), BoxError> {
        Ok(())
    }

    fn validate_final_config(&self, components: &RuntimeComponents, config: &ConfigBag) -> Result<(), BoxError> {
        HttpClient::validate_final_config(&self.inner, components, config)
    }
}

#[derive(Debug)]
struct Connector {
    client: Client,
    inner: SharedHttpConnector,
}

impl HttpConnector for Connector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let Client { wire, account, access, role, .. } = self.client.clone();
        let inner = self.inner.clone();
        HttpConnectorFuture::new(async move {
            let token = request.headers().get("x-amz-security-token").map(str::to_owned);
            let mut answer = wire.send(&account, access, inner, request).await?;
            if let (Some(role), Some(token)) = (role, token)
                && classify::code_in(&answer).is_some_and(|code| classify::is_spent(&code))
            {
                // Ended before its time, or revoked: a new one may be good.
                role.forget(&token).await;
                retry::ask_again(&mut answer);
            }
            Ok(answer)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::call::tests::form;
    use super::*;
    use aws_smithy_runtime_api::http::StatusCode;

    /// Answers everything with one status and body; with none, not at all.
    #[derive(Debug)]
    struct Fixed(Option<(u16, &'static str)>);

    impl HttpConnector for Fixed {
        fn call(&self, _: HttpRequest) -> HttpConnectorFuture {
            let answer = self.0;
            HttpConnectorFuture::new(async move {
                match answer {
                    Some((status, body)) => {
                        Ok(HttpResponse::new(StatusCode::try_from(status).unwrap(), SdkBody::from(body)))
                    }
                    None => std::future::pending().await,
                }
            })
        }
    }

    async fn send(wire: &Wire, access: Access, answer: Option<(u16, &'static str)>) -> Result<u16, ConnectorError> {
        let request = form("ec2", "Action=StopInstances&InstanceId.1=i-1");
        let inner = SharedHttpConnector::new(Fixed(answer));
        wire.send(&"111122223333".into(), access, inner, request).await.map(|answer| answer.status().as_u16())
    }

    #[tokio::test(start_paused = true)]
    async fn what_the_guard_refuses_is_not_even_counted() {
        let wire = Wire::default();
        assert!(send(&wire, Access::Read, Some((200, ""))).await.unwrap_err().is_user());
        assert_eq!(wire.traffic(), Traffic::default());
    }

    #[tokio::test(start_paused = true)]
    async fn silence_ends_after_the_time_of_one_attempt() {
        let (wire, start) = (Wire::default(), Instant::now());
        assert!(send(&wire, Access::Write, None).await.unwrap_err().is_timeout());
        assert_eq!(start.elapsed().as_secs(), 15);
    }

    #[tokio::test(start_paused = true)]
    async fn waiting_for_the_budget_is_not_held_against_an_attempt() {
        let (wire, start) = (Wire::default(), Instant::now());
        for _ in 0..150 {
            assert_eq!(send(&wire, Access::Write, Some((200, ""))).await.unwrap(), 200);
        }
        assert!(start.elapsed() > ATTEMPT);
        assert_eq!(wire.traffic(), Traffic { requests: 150, throttled: 0, retries: 0 });
    }

    /// Says "too fast" for so long after it was made, then answers.
    #[derive(Debug)]
    struct Busy(Instant, Duration);

    impl HttpConnector for Busy {
        fn call(&self, _: HttpRequest) -> HttpConnectorFuture {
            let too_fast = "<Response><Errors><Error><Code>RequestLimitExceeded</Code></Error></Errors></Response>";
            let (status, body) = if self.0.elapsed() < self.1 { (503, too_fast) } else { (200, "") };
            HttpConnectorFuture::ready(Ok(HttpResponse::new(
                StatusCode::try_from(status).unwrap(),
                SdkBody::from(body),
            )))
        }
    }

    async fn send_while_busy(wire: &Wire, seconds: u64) -> u16 {
        let inner = SharedHttpConnector::new(Busy(Instant::now(), Duration::from_secs(seconds)));
        let request = form("ec2", "Action=StopInstances&InstanceId.1=i-1");
        let answer = wire.send(&"111122223333".into(), Access::Write, inner, request).await;
        answer.unwrap().status().as_u16()
    }

    #[tokio::test(start_paused = true)]
    async fn a_throttled_request_is_sent_again_until_it_passes() {
        let (wire, start) = (Wire::default(), Instant::now());
        assert_eq!(send_while_busy(&wire, 20).await, 200);
        assert!((20..30).contains(&start.elapsed().as_secs()), "{:?}", start.elapsed());
        let Traffic { requests, throttled, retries } = wire.traffic();
        assert_eq!((throttled, retries), (requests - 1, requests - 1));
        assert!((3..60).contains(&throttled), "slower and slower: {throttled}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_storm_without_an_end_is_given_up_after_a_minute_and_then_at_once() {
        let (wire, start) = (Wire::default(), Instant::now());
        assert_eq!(send_while_busy(&wire, 3600).await, 503);
        assert!((60..75).contains(&start.elapsed().as_secs()), "{:?}", start.elapsed());
        let (start, before) = (Instant::now(), wire.traffic().throttled);
        assert_eq!(send_while_busy(&wire, 3600).await, 503);
        assert_eq!(wire.traffic().throttled, before + 1);
        assert!(start.elapsed().as_secs() < 15, "but for the turn in its bucket: {:?}", start.elapsed());
        assert_eq!(send_while_busy(&wire, 0).await, 200);
        assert_eq!(send_while_busy(&wire, 20).await, 200, "another storm is waited for again");
    }

    /// Refuses to be made part of a client.
    #[derive(Debug)]
    struct Costly;

    impl HttpClient for Costly {
        fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
            SharedHttpConnector::new(Fixed(None))
        }

        fn validate_base_client_config(&self, _: &RuntimeComponentsBuilder, _: &ConfigBag) -> Result<(), BoxError> {
            panic!("asked while a client is made")
        }
    }

    #[test]
    fn a_client_is_made_without_asking_what_connects() {
        let inner = SharedHttpClient::new(Costly);
        let http =
            Client { inner, wire: Arc::default(), account: "111122223333".into(), access: Access::Read, role: None };
        let behavior = aws_config::BehaviorVersion::v2026_01_12();
        let config = aws_sdk_sts::Config::builder().behavior_version(behavior).http_client(http).build();
        assert!(aws_sdk_sts::Client::from_conf(config).config().region().is_none());
    }
}
