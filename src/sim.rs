//! The simulated AWS: one core, `request → response`, with two doors: a connector for the SDK in the same process, and a
//! loopback listener for any other client.
//!
//! Every request passes: latency and faults of the way → authenticate → authorise → faults of the service → budget →
//! `DryRun` → handler → event history. What the simulator does not know it refuses by name, in AWS's own error shape.

pub mod account;
pub mod adversary;
pub mod amplify;
pub mod apprunner;
pub mod authenticate;
pub mod authorize;
pub mod autoscaling;
pub mod batch;
pub mod budget;
pub mod call;
pub mod client;
pub mod cloudtrail;
pub mod codebuild;
pub mod config;
pub mod connector;
pub mod costs;
pub mod documents;
pub mod ec2;
pub mod ecs;
pub mod emr;
pub mod faults;
pub mod glue;
pub mod guardduty;
pub mod iam;
pub mod identity_center;
pub mod identitystore;
pub mod lag;
pub mod lambda;
pub mod lightsail;
pub mod listener;
pub mod log;
pub mod organizations;
pub mod pages;
pub mod rolesanywhere;
pub mod s3;
pub mod sagemaker;
pub mod scenario;
pub mod sso;
pub mod sts;
pub mod time;
pub mod wire;
pub mod world;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;

use crate::model::AccessKeyId;
use authenticate::{Identity, Signature};
use budget::{Budgets, throttled};
use call::{Call, Permission, Refusal, Reply};
use faults::{Fault, FaultKind, FaultPlan, Faults, Route, Struck};
use log::Entry;
use wire::protocol::{Protocol, is_offered};
use wire::request::Asked;
use wire::response::Envelope;
use wire::{request, response};
use world::World;

/// For how long a request without answer is held before its connection breaks.
const SILENCE: Duration = Duration::from_hours(1);

/// A simulated AWS. Copies are the same one.
#[derive(Clone)]
pub struct Sim {
    clock: Arc<dyn Fn() -> Timestamp + Send + Sync>,
    state: Arc<Mutex<State>>,
}

struct State {
    /// How far the time is ahead of the clock.
    ahead: SignedDuration,
    /// Whether the time is moved on where others wait.
    skips: bool,
    world: World,
    budgets: Budgets,
    faults: Faults,
    /// The responder's access key, if somebody said.
    responder: Option<AccessKeyId>,
    log: Vec<Entry>,
}

/// A request that got no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Transport {
    /// Nothing came back for an hour.
    #[error("the simulated AWS gave no answer")]
    NoAnswer,
    /// No connection was made.
    #[error("the simulated AWS refused the connection")]
    Refused,
    /// The TLS handshake failed.
    #[error("the simulated AWS broke off the TLS handshake")]
    Tls,
    /// The connection broke before the answer.
    #[error("the simulated AWS broke the connection")]
    Reset,
}

impl fmt::Debug for Sim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sim")
    }
}

/// A request of which the signature says where it goes. Nothing of it is proven yet.
struct Arrived {
    request: Request<Bytes>,
    protocol: Protocol,
    signature: Option<Signature>,
    asked: Result<Asked, Refusal>,
}

impl Sim {
    /// A simulated AWS that holds `world` and reads the time from `clock`. Waiting is tokio's `sleep`, so on a paused
    /// runtime the clock has to go with tokio's.
    pub fn new(world: World, clock: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        Self { clock: Arc::new(clock), state: Arc::new(Mutex::new(State::of(world))) }
    }

    /// Answers a request.
    ///
    /// # Errors
    /// When the faults that are set leave the request without an answer.
    pub async fn request(&self, request: Request<Bytes>) -> Result<Response<Bytes>, Transport> {
        let arrived = Arrived::new(request);
        if arrived.is_nowhere() {
            self.log_lost(&arrived, "no-endpoint");
            return Err(Transport::Refused);
        }
        let (latency, struck) = self.strike(&arrived);
        match struck.kind {
            Some(FaultKind::NoAnswer) => {
                self.log_lost(&arrived, "no-answer");
                tokio::time::sleep(SILENCE).await;
                return Err(Transport::NoAnswer);
            }
            Some(FaultKind::RefuseConnection) => {
                self.log_lost(&arrived, "refuse-connection");
                return Err(Transport::Refused);
            }
            _ => self.take(latency).await,
        }
        match struck.kind {
            Some(FaultKind::TlsError) => {
                self.log_lost(&arrived, "tls-error");
                return Err(Transport::Tls);
            }
            Some(FaultKind::ResetBefore) => {
                self.log_lost(&arrived, "reset-before");
                return Err(Transport::Reset);
            }
            Some(kind) => {
                if let Some(page) = faults::page(kind) {
                    self.log_lost(&arrived, &kind.name());
                    return Ok(page);
                }
            }
            None => {}
        }
        let response = self.answer(&arrived, &struck);
        match struck.kind {
            Some(FaultKind::Reset) => Err(Transport::Reset),
            Some(FaultKind::LostAnswer) => {
                tokio::time::sleep(SILENCE).await;
                Err(Transport::NoAnswer)
            }
            Some(kind) => Ok(faults::spoil(kind, response)),
            None => Ok(response),
        }
    }

    /// The world as it is now.
    pub fn world(&self) -> World {
        let now = self.now();
        let mut state = self.state();
        state.world.settle(now);
        state.world.clone()
    }

    /// Changes the world from outside: what an intruder or a test does without a request.
    pub fn change<T>(&self, change: impl FnOnce(&mut World) -> T) -> T {
        change(&mut self.state().world)
    }

    /// Every request so far.
    pub fn log(&self) -> Vec<Entry> {
        self.state().log.clone()
    }

    /// The newest of them.
    pub fn last_request(&self) -> Option<Entry> {
        self.state().log.last().cloned()
    }

    /// Sets how long every request takes. 80 ms unless set.
    pub fn set_latency(&self, latency: Duration) {
        self.state().faults.latency = latency;
    }

    /// Replaces what goes wrong.
    pub fn set_faults(&self, rules: Vec<Fault>) {
        self.set_fault_plan(FaultPlan { seed: 0, rules });
    }

    /// Replaces what goes wrong. The windows of time of the plan are counted from now.
    pub fn set_fault_plan(&self, plan: FaultPlan) {
        let now = self.now();
        self.state().faults.set(plan, now);
    }

    /// How often each kind of fault struck since the plan was set.
    pub fn struck(&self) -> BTreeMap<FaultKind, u64> {
        self.state().faults.struck().clone()
    }

    /// Says whose key the responder's is, for rules that are about the one side only.
    pub fn introduce_responder(&self, key: AccessKeyId) {
        self.state().responder = Some(key);
    }

    /// Has every request take its time by moving the time on, instead of having its sender wait.
    pub fn skip_waiting(&self) {
        self.state().skips = true;
    }

    /// The time.
    pub fn now(&self) -> Timestamp {
        self.clock_time() + self.state().ahead
    }

    /// The time of the clock, by which requests are signed and dated: of moving on nobody but the world hears.
    pub fn clock_time(&self) -> Timestamp {
        (self.clock)()
    }

    /// Moves the time on, as if so long had been waited.
    pub fn move_on(&self, by: SignedDuration) {
        self.state().ahead += by;
    }

    async fn take(&self, latency: Duration) {
        if self.state().skips {
            self.move_on(SignedDuration::try_from(latency).unwrap_or(SignedDuration::MAX));
        } else {
            tokio::time::sleep(latency).await;
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn strike(&self, arrived: &Arrived) -> (Duration, Struck) {
        let now = self.now();
        let mut state = self.state();
        let route = if state.faults.are_set() { arrived.route(&state) } else { None };
        let struck = route.map(|route| state.faults.strike(&route, now)).unwrap_or_default();
        (state.faults.latency + struck.delay, struck)
    }

    fn log_lost(&self, arrived: &Arrived, outcome: &str) {
        let now = self.now();
        let mut state = self.state();
        let entry = arrived.entry(&state.world, now, outcome);
        state.log.push(entry);
    }

    fn answer(&self, arrived: &Arrived, struck: &Struck) -> Response<Bytes> {
        let now = self.now();
        // What the service takes for the time.
        let clock = self.clock_time();
        let shown = clock.saturating_add(struck.skew).unwrap_or(clock);
        let mut state = self.state();
        if let Some(host) = lambda::url::host(&arrived.request) {
            return lambda::url::visit(&mut state.world, host, now);
        }
        let request_id = state.world.uuid();
        let (reply, entry) = match state.authenticate(arrived, (now, shown), &request_id, struck) {
            Err(refusal) => {
                let entry = arrived.entry(&state.world, now, &refusal.code);
                (Err(refusal), entry)
            }
            Ok(call) => {
                state.note_use(&call);
                let reply = state.carry_out(&call, struck);
                let entry = Entry::of(&call, &reply);
                (reply, entry)
            }
        };
        state.log.push(entry);
        let service = arrived.signature.as_ref().map_or("", |signature| signature.service.as_str());
        let operation = arrived.operation();
        let envelope = Envelope { protocol: arrived.protocol, service, operation, request_id: &request_id, now: shown };
        let mut response = response::write(envelope, &reply);
        if arrived.request.method() == http::Method::HEAD {
            // Not even the code of an error: clients go by the status.
            response.body_mut().clear();
        }
        response
    }
}

impl State {
    fn of(world: World) -> Self {
        let (budgets, faults) = (Budgets::default(), Faults::default());
        Self { ahead: SignedDuration::ZERO, skips: false, world, budgets, faults, responder: None, log: Vec::new() }
    }

    /// The call that a request is, once its signature has been found right: by the time that the service shows.
    fn authenticate(
        &self,
        arrived: &Arrived,
        (now, shown): (Timestamp, Timestamp),
        request_id: &str,
        struck: &Struck,
    ) -> Result<Call, Refusal> {
        let signature = arrived.signature.as_ref().ok_or_else(|| authenticate::unsigned(arrived.protocol))?;
        let identity = signature.verify(&self.world, &arrived.request, (now, shown));
        let identity = struck.denial().map_or(identity, Err);
        let Identity { account, region, principal } =
            identity.map_err(|denial| denial.refusal(&signature.service, arrived.protocol))?;
        let Asked { operation, params, http } = arrived.asked.clone()?;
        Ok(Call {
            now,
            account,
            region,
            service: signature.service.clone(),
            operation,
            principal,
            access_key: signature.access_key.clone(),
            params,
            request_id: request_id.to_owned(),
            http,
        })
    }

    /// Remembers when the key, and the role behind it, were last used.
    fn note_use(&mut self, call: &Call) {
        let role = self.world.sessions.get(&call.access_key).and_then(|session| session.role.clone());
        let iam = &mut self.world.account_mut(&call.account).iam;
        match (role, AccessKeyId::new(&call.access_key)) {
            (Some(role), _) => iam.note_role_use(&role, call.region.as_str(), call.now),
            (None, Ok(key)) => iam.note_use(&key, &call.service, call.region.as_str(), call.now),
            (None, Err(_)) => {}
        }
    }

    /// Authorises, charges, carries out and records a call. What the simulator does not know is in no event history.
    fn carry_out(&mut self, call: &Call, struck: &Struck) -> Reply {
        let service = Service::of(call)?;
        ec2::prepare(&mut self.world, call);
        let usable = sts::check_use(&self.world, call);
        let permissions = usable.and_then(|()| (service.permissions)(&self.world, call));
        let reply = match &permissions {
            Ok(permissions) => self.decide(&service, call, permissions, struck),
            Err(refusal) => Err(refusal.clone()),
        };
        if !reply.as_ref().is_err_and(Refusal::is_of_unknown_operation) {
            log::record(&mut self.world, call, permissions.as_deref().unwrap_or_default(), &reply);
        }
        reply
    }

    fn decide(&mut self, service: &Service, call: &Call, permissions: &[Permission], struck: &Struck) -> Reply {
        authorize::authorize(&self.world, call, permissions)?;
        struck.kind.map_or(Ok(()), |kind| service_fault(kind, call))?;
        self.budgets.charge_call(call)?;
        if is_dry_run(call) {
            ec2::check_named(&self.world, call)?;
            let message = "Request would have succeeded, but DryRun flag is set.";
            return Err(Refusal::new(412, "DryRunOperation", message));
        }
        self.budgets.charge_instances(call)?;
        self.faults.carry_out(&mut self.world, call, struck, service.handle)
    }
}

/// The two functions that every service file offers.
struct Service {
    permissions: fn(&World, &Call) -> Result<Vec<Permission>, Refusal>,
    handle: fn(&mut World, &Call) -> Reply,
}

impl Service {
    fn of(call: &Call) -> Result<Self, Refusal> {
        Ok(match call.service.as_str() {
            "account" => Self { permissions: account::permissions, handle: account::handle },
            "amplify" => Self { permissions: amplify::permissions, handle: amplify::handle },
            "apprunner" => Self { permissions: apprunner::permissions, handle: apprunner::handle },
            "autoscaling" => Self { permissions: autoscaling::permissions, handle: autoscaling::handle },
            "batch" => Self { permissions: batch::permissions, handle: batch::handle },
            "budgets" => Self { permissions: costs::budgets::permissions, handle: costs::budgets::handle },
            "ce" => Self { permissions: costs::explorer::permissions, handle: costs::explorer::handle },
            "cloudtrail" => Self { permissions: cloudtrail::permissions, handle: cloudtrail::handle },
            "codebuild" => Self { permissions: codebuild::permissions, handle: codebuild::handle },
            "config" => Self { permissions: config::permissions, handle: config::handle },
            "ec2" => Self { permissions: ec2::permissions, handle: ec2::handle },
            "elasticmapreduce" => Self { permissions: emr::permissions, handle: emr::handle },
            "glue" => Self { permissions: glue::permissions, handle: glue::handle },
            "guardduty" => Self { permissions: guardduty::permissions, handle: guardduty::handle },
            "ecs" => Self { permissions: ecs::permissions, handle: ecs::handle },
            "iam" => Self { permissions: iam::permissions, handle: iam::handle },
            "identitystore" => Self { permissions: identitystore::permissions, handle: identitystore::handle },
            "lambda" => Self { permissions: lambda::permissions, handle: lambda::handle },
            "lightsail" => Self { permissions: lightsail::permissions, handle: lightsail::handle },
            "organizations" => Self { permissions: organizations::permissions, handle: organizations::handle },
            "rolesanywhere" => Self { permissions: rolesanywhere::permissions, handle: rolesanywhere::handle },
            "s3" => Self { permissions: s3::permissions, handle: s3::handle },
            "sagemaker" => Self { permissions: sagemaker::permissions, handle: sagemaker::handle },
            "sso" => Self { permissions: sso::permissions, handle: sso::handle },
            "sts" => Self { permissions: sts::permissions, handle: sts::handle },
            _ => return Err(call.unknown()),
        })
    }
}

fn is_dry_run(call: &Call) -> bool {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Asked {
        #[serde(default)]
        dry_run: bool,
    }
    call.service == "ec2" && call.params.read::<Asked>().is_ok_and(|asked| asked.dry_run)
}

fn service_fault(kind: FaultKind, call: &Call) -> Result<(), Refusal> {
    match kind {
        FaultKind::Http500 => Err(Refusal::new(500, "InternalError", "An internal error has occurred")),
        FaultKind::Http503 => Err(Refusal::new(503, "ServiceUnavailable", "Service Unavailable")),
        FaultKind::Throttle => Err(throttled(&call.service)),
        FaultKind::Deny => Err(call.denied("a fault of the simulated AWS")),
        // What happens on the way, and what answers are made of.
        _ => Ok(()),
    }
}

impl Arrived {
    fn new(request: Request<Bytes>) -> Self {
        let signature = Signature::of(&request);
        let protocol = signature.as_ref().and_then(|signature| Protocol::of(&signature.service));
        let protocol = protocol.unwrap_or_else(|| request::guess(&request));
        let asked = request::read(protocol, &request);
        Self { request, protocol, signature, asked }
    }

    /// Whether it was sent to an endpoint that does not exist.
    fn is_nowhere(&self) -> bool {
        self.signature.as_ref().is_some_and(|of| !is_offered(&of.service, &of.region))
    }

    fn operation(&self) -> &str {
        self.asked.as_ref().map_or("", |asked| asked.operation.as_str())
    }

    fn route(&self, state: &State) -> Option<Route> {
        let signature = self.signature.as_ref()?;
        let world = &state.world;
        let key = signature.access_key.as_str();
        Some(Route {
            service: signature.service.clone(),
            operation: self.operation().to_owned(),
            region: signature.region.clone(),
            account: authenticate::account_of(world, key),
            principal: authenticate::principal_of(world, key),
            issued: world.sessions.get(key).map(|session| session.issued),
            is_responder: state.responder.as_ref().is_none_or(|own| authenticate::came_of(world, key, own.as_str())),
        })
    }

    fn entry(&self, world: &World, time: Timestamp, outcome: &str) -> Entry {
        let signature = self.signature.as_ref();
        Entry {
            time,
            account: signature.and_then(|signature| authenticate::account_of(world, &signature.access_key)),
            region: signature.map(|signature| signature.region.clone()).unwrap_or_default(),
            service: signature.map(|signature| signature.service.clone()).unwrap_or_default(),
            operation: self.operation().to_owned(),
            principal: None,
            access_key: signature.map(|signature| signature.access_key.clone()),
            outcome: outcome.to_owned(),
        }
    }
}
