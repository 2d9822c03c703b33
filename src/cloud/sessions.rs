//! Sessions in accounts and regions.

use std::collections::HashMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use aws_config::BehaviorVersion;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use aws_smithy_async::rt::sleep::TokioSleep;
use aws_smithy_runtime::client::identity::IdentityCache;
use aws_smithy_runtime::client::retries::RetryPartition;
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use aws_smithy_runtime_api::client::identity::SharedIdentityCache;
use aws_smithy_runtime_api::client::stalled_stream_protection::StalledStreamProtectionConfig;
use aws_smithy_types::timeout::TimeoutConfig;
use aws_types::SdkConfig;
use aws_types::app_name::AppName;
use aws_types::service_config::ServiceConfigKey;
use futures::future::join;
use jiff::Timestamp;
use tokio::sync::OnceCell;
use tokio::time::{Duration, Instant};

use super::account_session::AssumedRole;
#[cfg(feature = "iam")]
use super::preflight;
use super::time::SdkTime;
use super::wire::{self, Wire};
use super::witness::{self, Witness};
use super::{regions, retry};
use crate::engine::action::{Ctx, FRESH, View};
use crate::engine::ports::{Access, Account, Boxed, Lane, Sessions, SharedClock, Traffic};
use crate::model::{
    AccountId, Accounts, ActionError, Caller, ErrorKind, Finding, InvalidId, Region, Regions, Role, RunId, Target,
    Targets, is_of_caller,
};
use crate::runbook::did_you_mean;

/// How long a connection may take to come about.
const CONNECT: Duration = Duration::from_millis(3_100);
/// How long credentials may take to load: `sts:AssumeRole` may wait for its budget.
const LOAD_CREDENTIALS: Duration = Duration::from_secs(90);

/// What sessions are made from.
#[derive(Debug)]
pub struct Options {
    /// The profile of `~/.aws/config`; none takes `AWS_PROFILE` or the default.
    pub profile: Option<String>,
    /// The caller's region; none takes the configured one, else the partition's home.
    pub region: Option<String>,
    /// What connects. None connects by HTTPS; a drill gives the simulated AWS.
    pub http: Option<SharedHttpClient>,
    /// The caller's credentials. None takes the SDK's default chain: environment, profile, SSO, container, instance.
    pub credentials: Option<SharedCredentialsProvider>,
    /// An endpoint in the place of AWS's.
    pub endpoint_url: Option<String>,
    /// The run's clock.
    pub clock: SharedClock,
    /// The run, whose id names the sessions in CloudTrail.
    pub case: RunId,
    /// The `now` of the plan.
    pub now: Timestamp,
    /// The folder of the evidence store, for what is captured in the run; none where nothing is kept.
    pub evidence: Option<PathBuf>,
}

/// Sessions over the AWS SDK.
pub struct CloudSessions {
    base: SdkConfig,
    http: SharedHttpClient,
    wire: Arc<Wire>,
    /// Who sees the answers.
    witness: Option<Arc<dyn Witness>>,
    evidence: Option<PathBuf>,
    own: Credentials,
    endpoint: Option<String>,
    clock: SharedClock,
    case: RunId,
    now: Timestamp,
    caller: OnceCell<Caller>,
    /// The regions of the caller's own account, if they were asked for ahead, and when.
    own_regions: Mutex<Option<(Instant, regions::Listed)>>,
    role: Mutex<Option<Role>>,
    entered: Mutex<HashMap<AccountId, Entered>>,
}

/// Credentials with the cache that keeps them.
#[derive(Debug, Clone)]
struct Credentials {
    provider: SharedCredentialsProvider,
    cache: SharedIdentityCache,
    /// The role that they are of, if quell assumed it.
    role: Option<Arc<AssumedRole>>,
}

impl Credentials {
    fn new(provider: SharedCredentialsProvider) -> Self {
        Self { provider, cache: IdentityCache::lazy().load_timeout(LOAD_CREDENTIALS).build(), role: None }
    }

    /// The role keeps its credentials itself, and lets them go when AWS does not take them any more.
    fn of(role: Arc<AssumedRole>) -> Self {
        let provider: Arc<dyn ProvideCredentials> = role.clone();
        Self { provider: SharedCredentialsProvider::new(provider), cache: IdentityCache::no_cache(), role: Some(role) }
    }
}

/// An account that was entered through a role.
#[derive(Debug, Clone)]
struct Entered {
    role: Arc<AssumedRole>,
    credentials: Credentials,
}

impl CloudSessions {
    /// Reads the configuration. Nothing is sent yet, unless the default chain has to fetch credentials.
    pub async fn new(options: Options) -> Result<Self, ActionError> {
        Self::seen_by(options, None).await
    }

    /// As [`CloudSessions::new`], with a witness who sees what AWS answers.
    pub async fn seen_by(options: Options, witness: Option<Arc<dyn Witness>>) -> Result<Self, ActionError> {
        let http = options.http.clone().unwrap_or_else(https);
        let time = SdkTime::by(options.clock.clone());
        let mut loader = aws_config::defaults(BehaviorVersion::v2026_01_12())
            .http_client(http.clone())
            .time_source(time.clone())
            // The time source learns from answers: both together would correct twice.
            .disable_clock_skew_correction(true)
            .sleep_impl(TokioSleep::new())
            .retry_config(retry::config())
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
            .timeout_config(TimeoutConfig::builder().connect_timeout(CONNECT).build());
        if let Some(profile) = &options.profile {
            loader = loader.profile_name(profile);
        }
        if let Some(region) = options.region.clone() {
            loader = loader.region(aws_types::region::Region::new(region));
        }
        if let Some(credentials) = options.credentials.clone() {
            loader = loader.credentials_provider(credentials);
        }
        if let Some(url) = &options.endpoint_url {
            loader = loader.endpoint_url(url);
        }
        let loaded = loader.load().await;

        let provider = loaded.credentials_provider().ok_or_else(|| {
            ActionError::new(ErrorKind::Credentials, "no credentials: set AWS_PROFILE or AWS_ACCESS_KEY_ID, or sign in")
        })?;
        let endpoint = options.endpoint_url.clone().or_else(|| endpoint_override(&loaded));
        let mut base = loaded.into_builder();
        base.set_app_name(AppName::new("quell").ok());
        Ok(Self {
            base: base.build(),
            http,
            wire: Arc::new(Wire::setting(time)),
            witness,
            evidence: options.evidence,
            own: Credentials::new(provider),
            endpoint,
            clock: options.clock,
            case: options.case,
            now: options.now,
            caller: OnceCell::new(),
            own_regions: Mutex::default(),
            role: Mutex::default(),
            entered: Mutex::default(),
        })
    }

    /// Finds out who calls and, where `targets` is the caller's own account, asks for its regions at the same time: that
    /// question is the same whoever it is.
    pub async fn caller_with_regions(&self, targets: &Targets) -> Result<Caller, ActionError> {
        if targets.accounts != Accounts::Own {
            return self.who().await.cloned();
        }
        let home = regions::home(regions::partition_of(self.region()));
        let sdk = self.sdk("caller", home, Access::Read, &self.own);
        let begun = Instant::now();
        let (caller, listed) = join(self.who(), regions::of(&sdk, retry::partition_of_caller())).await;
        if let Ok(listed) = listed {
            *self.own_regions.lock().unwrap_or_else(PoisonError::into_inner) = Some((begun, listed));
        }
        caller.cloned()
    }

    /// Takes a role in the place of the caller's own credentials, and works as it from then on: for a role that demands MFA,
    /// with the serial number of a device and its code, which AWS takes once. The session lasts an hour, and so do the sessions
    /// in other accounts that are made from it.
    pub async fn work_as(&mut self, role: &str, device: Option<(&str, &str)>) -> Result<(), ActionError> {
        let sts = sts(&self.sdk("caller", self.region(), Access::Read, &self.own), retry::partition_of_caller());
        let name: String = format!("quell-{}", self.case).chars().take(64).collect();
        let (serial, code) = device.unzip();
        let request = sts.assume_role().role_arn(role).role_session_name(name);
        let request = request.set_serial_number(serial.map(str::to_owned)).set_token_code(code.map(str::to_owned));
        let answer = request.send().await.map_err(|error| {
            let error = ActionError::from(error);
            ActionError { message: format!("{role} could not be assumed: {}", error.message), ..error }
        })?;
        let given = answer.credentials.ok_or_else(|| {
            ActionError::new(ErrorKind::Unsupported, format!("sts:AssumeRole of {role} gave no credentials"))
        })?;
        let (key, secret, token) = (given.access_key_id, given.secret_access_key, given.session_token);
        let expiry = given.expiration.try_into().ok();
        let session = aws_credential_types::Credentials::new(key, secret, Some(token), expiry, "sts:AssumeRole");
        self.own = Credentials::new(SharedCredentialsProvider::new(session));
        Ok(())
    }

    /// The endpoint that replaces AWS's, if one is configured. Known before anything is sent.
    pub fn endpoint(&self) -> Option<&str> {
        self.endpoint.as_deref()
    }

    async fn identify(&self) -> Result<Caller, ActionError> {
        let sts = sts(&self.sdk("caller", self.region(), Access::Read, &self.own), retry::partition_of_caller());
        let answer = sts.get_caller_identity().send().await?;
        let text = |value: Option<String>| {
            value.ok_or_else(|| ActionError::new(ErrorKind::Unsupported, "sts:GetCallerIdentity did not say who calls"))
        };
        let keys = self.own.provider.provide_credentials().await.ok();
        let account = AccountId::new(text(answer.account)?)
            .map_err(|error| ActionError::new(ErrorKind::Unsupported, error.to_string()))?;
        Ok(Caller {
            arn: text(answer.arn)?,
            account,
            user_id: text(answer.user_id)?,
            access_key: keys.map(|keys| keys.access_key_id().to_owned()),
            endpoint: self.endpoint.clone(),
        })
    }

    /// The caller's region, as configured.
    fn region(&self) -> &str {
        self.base.region().map_or("us-east-1", |region| region.as_ref())
    }

    async fn who(&self) -> Result<&Caller, ActionError> {
        self.caller.get_or_try_init(|| self.identify()).await
    }

    /// A configuration for one account and region.
    fn sdk(&self, account: &str, region: &str, access: Access, credentials: &Credentials) -> SdkConfig {
        let (inner, wire, role) = (self.http.clone(), self.wire.clone(), credentials.role.clone());
        let client = wire::Client { inner, wire, account: account.into(), access, role };
        let sdk = self
            .base
            .to_builder()
            .region(aws_types::region::Region::new(region.to_owned()))
            .credentials_provider(credentials.provider.clone())
            .identity_cache(credentials.cache.clone())
            .http_client(client)
            .build();
        match &self.witness {
            Some(witness) => witness::before(&sdk, account, witness),
            None => sdk,
        }
    }

    /// The caller's own session, in the partition's home region.
    fn home(&self, caller: &Caller, access: Access) -> SdkConfig {
        self.sdk(caller.account.as_str(), regions::home(caller.partition()), access, &self.own)
    }

    /// The credentials that work in an account: the caller's own, or those of the role.
    async fn credentials(&self, caller: &Caller, account: &AccountId) -> Result<Credentials, ActionError> {
        if *account == caller.account {
            return Ok(self.own.clone());
        }
        let entered = self.entered(caller, account)?;
        entered.role.credentials().await?;
        Ok(entered.credentials)
    }

    fn entered(&self, caller: &Caller, account: &AccountId) -> Result<Entered, ActionError> {
        let role = self.role.lock().unwrap_or_else(PoisonError::into_inner).clone().ok_or_else(|| {
            let message = format!(
                "account {account} is not the caller's own ({}), and the runbook names no role to assume there: \
                 set targets.role",
                caller.account
            );
            ActionError::new(ErrorKind::Denied, message)
        })?;
        let mut entered = self.entered.lock().unwrap_or_else(PoisonError::into_inner);
        let known = entered.entry(account.clone()).or_insert_with(|| {
            let region = self.base.region().map_or(regions::home(caller.partition()), |region| region.as_ref());
            // Attempts to enter one account must not use up what the others may need.
            let partition = retry::partition(&Target::global(account.clone()));
            let sts = sts(&self.sdk(caller.account.as_str(), region, Access::Read, &self.own), partition);
            let name: String = format!("quell-{}", self.case).chars().take(64).collect();
            let clock = self.clock.clone();
            let role = AssumedRole::new(sts, caller.partition(), account.as_str(), &role, name, clock);
            let role = Arc::new(role);
            Entered { credentials: Credentials::of(role.clone()), role }
        });
        Ok(known.clone())
    }

    async fn context(&self, target: &Target, access: Access) -> Result<Ctx, ActionError> {
        let caller = self.who().await?;
        let credentials = self.credentials(caller, &target.account).await?;
        let home_region = regions::home(caller.partition());
        let region = if target.region.is_global() { home_region } else { target.region.as_str() };
        Ok(Ctx {
            target: target.clone(),
            view: View { case: self.case.clone(), caller: caller.clone(), now: self.now },
            sdk: self.sdk(target.account.as_str(), region, access, &credentials),
            home: self.home(caller, access),
            clock: self.clock.clone(),
            evidence: self.evidence.clone(),
        })
    }

    async fn accounts_of(&self, targets: &Targets) -> Result<Vec<Account>, ActionError> {
        self.assume(targets.role.as_ref());
        well_formed(&targets.regions)?;
        let Accounts::Listed(items) = &targets.accounts else { return self.chosen(&targets.accounts).await };
        let mut accounts: Vec<Account> = Vec::new();
        for item in items {
            for (account, state) in self.chosen(&Accounts::item(item).map_err(no_account)?).await? {
                match accounts.iter_mut().find(|(known, _)| *known == account) {
                    // What the organisation says of an account weighs more than that somebody named it.
                    Some((_, known)) if state.is_err() => *known = state,
                    Some(_) => {}
                    None => accounts.push((account, state)),
                }
            }
        }
        Ok(accounts)
    }

    /// The accounts of one choice; a list holds account ids only.
    async fn chosen(&self, accounts: &Accounts) -> Result<Vec<Account>, ActionError> {
        match accounts {
            Accounts::Own => Ok(vec![(self.who().await?.account.clone(), Ok(()))]),
            Accounts::Listed(ids) => {
                ids.iter().map(|id| Ok((AccountId::new(id).map_err(no_account)?, Ok(())))).collect()
            }
            Accounts::OfKey(key) => {
                // Every region knows every key, and the answer is the same for every caller.
                let sts =
                    sts(&self.sdk("caller", self.region(), Access::Read, &self.own), retry::partition_of_caller());
                let answer = sts.get_access_key_info().access_key_id(key).send().await;
                let answer = match answer.map_err(ActionError::from) {
                    Err(error) if error.kind == ErrorKind::NotFound || error.is("ValidationError") => {
                        return Err(ActionError { kind: ErrorKind::NotFound, message: nobodys(key), ..error });
                    }
                    other => other?,
                };
                let account = answer.account.as_deref().and_then(|account| AccountId::new(account).ok());
                let account = account.ok_or_else(|| ActionError::new(ErrorKind::NotFound, nobodys(key)))?;
                Ok(vec![(account, Ok(()))])
            }
            Accounts::Organization => self.organization(None).await,
            Accounts::Ou(unit) => self.organization(Some(unit)).await,
            Accounts::File(path) => {
                let message =
                    format!("targets.accounts: the file {path} was not read before the accounts were asked for");
                Err(ActionError::new(ErrorKind::Other, message))
            }
        }
    }

    /// The accounts of the caller's organisation, or of one of its units and all below it.
    async fn organization(&self, unit: Option<&str>) -> Result<Vec<Account>, ActionError> {
        let caller = self.who().await?;
        organization(&self.home(caller, Access::Read), &Target::global(caller.account.clone()), unit).await
    }

    async fn regions_of(&self, account: &AccountId, wanted: &Regions) -> Result<Vec<Lane>, ActionError> {
        let caller = self.who().await?;
        let global = Target::global(account.clone());
        let regions = match self.context(&global, Access::Read).await {
            Err(error) => assumed(caller, wanted, |_| Err(error.clone())),
            Ok(cx) => match (self.listed(&cx, &global).await, wanted) {
                (Ok(listed), Regions::Enabled) => listed,
                (Ok(listed), Regions::Listed(names)) => chosen(account, &listed, names)?,
                (Err(error), _) => assumed(caller, wanted, |opt_in| if opt_in { Err(unsure(&error)) } else { Ok(()) }),
            },
        };
        Ok(regions.into_iter().map(|(region, state)| (Target::new(account.clone(), region), state)).collect())
    }

    /// The regions of an account. The answer to a question that was asked ahead is taken once, while it is fresh.
    async fn listed(&self, cx: &Ctx, global: &Target) -> Result<regions::Listed, ActionError> {
        let ahead = self.own_regions.lock().unwrap_or_else(PoisonError::into_inner).take();
        match ahead.filter(|(at, _)| at.elapsed() <= FRESH && global.account == cx.view.caller.account) {
            Some((_, listed)) => Ok(listed),
            None => regions::of(&cx.sdk, retry::partition(global)).await,
        }
    }

    #[cfg(feature = "iam")]
    async fn simulate(&self, target: &Target, permissions: &[&'static str]) -> Vec<Finding> {
        // An account that cannot be entered is the survey's to report.
        let Ok(cx) = self.context(&Target::global(target.account.clone()), Access::Read).await else {
            return Vec::new();
        };
        let caller = &cx.view.caller;
        let own = Target::global(caller.account.clone());
        let Some(role) = self.assumed_role(&target.account) else {
            let arn = preflight::principal(&cx.home, &own, caller).await;
            return preflight::lacking(&cx.home, &own, &arn, permissions).await;
        };
        let (of_caller, of_role): (Vec<_>, Vec<_>) = permissions.iter().partition(|name| is_of_caller(name));
        let here = preflight::lacking(&cx.sdk, target, &role, &of_role);
        let at_home = async {
            if of_caller.is_empty() {
                return Vec::new();
            }
            let arn = preflight::principal(&cx.home, &own, caller).await;
            preflight::lacking(&cx.home, &own, &arn, &of_caller).await
        };
        let (here, at_home) = futures::join!(here, at_home);
        here.into_iter().chain(at_home).collect()
    }

    #[cfg(not(feature = "iam"))]
    async fn simulate(&self, _: &Target, _: &[&'static str]) -> Vec<Finding> {
        Vec::new()
    }

    #[cfg(feature = "iam")]
    fn assumed_role(&self, account: &AccountId) -> Option<String> {
        let entered = self.entered.lock().unwrap_or_else(PoisonError::into_inner);
        entered.get(account).map(|entered| entered.role.arn.clone())
    }
}

impl Sessions for CloudSessions {
    fn assume(&self, role: Option<&Role>) {
        let mut known = self.role.lock().unwrap_or_else(PoisonError::into_inner);
        if known.as_ref() != role {
            *known = role.cloned();
            self.entered.lock().unwrap_or_else(PoisonError::into_inner).clear();
        }
    }

    fn caller(&self) -> Boxed<'_, Result<Caller, ActionError>> {
        Box::pin(async { self.who().await.cloned() })
    }

    fn accounts<'a>(&'a self, targets: &'a Targets) -> Boxed<'a, Result<Vec<Account>, ActionError>> {
        Box::pin(self.accounts_of(targets))
    }

    fn regions<'a>(&'a self, account: &'a AccountId, wanted: &'a Regions) -> Boxed<'a, Result<Vec<Lane>, ActionError>> {
        Box::pin(self.regions_of(account, wanted))
    }

    fn enter<'a>(&'a self, target: &'a Target, access: Access) -> Boxed<'a, Result<Ctx, ActionError>> {
        Box::pin(self.context(target, access))
    }

    fn lacking<'a>(&'a self, target: &'a Target, permissions: &'a [&'static str]) -> Boxed<'a, Vec<Finding>> {
        Box::pin(self.simulate(target, permissions))
    }

    fn heard(&self, target: &Target) -> Option<Instant> {
        let caller = self.caller.get()?;
        if !target.region.is_global() {
            return self.wire.heard(target.account.as_str(), target.region.as_str());
        }
        // What an account has only once may be asked through the caller's own: Organizations.
        let home = regions::home(caller.partition());
        let heard = |account: &AccountId| self.wire.heard(account.as_str(), home);
        heard(&target.account).max(heard(&caller.account))
    }

    fn traffic(&self) -> Traffic {
        self.wire.traffic()
    }
}

impl fmt::Debug for CloudSessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CloudSessions").field("case", &self.case).finish_non_exhaustive()
    }
}

fn sts(sdk: &SdkConfig, partition: RetryPartition) -> aws_sdk_sts::Client {
    aws_sdk_sts::Client::from_conf(
        aws_sdk_sts::config::Builder::from(sdk).retry_partition(partition).retry_classifier(retry::WhenBusy).build(),
    )
}

/// HTTPS with connections that are kept.
fn https() -> SharedHttpClient {
    use aws_smithy_http_client::{Builder, tls};
    Builder::new().tls_provider(tls::Provider::Rustls(tls::rustls_provider::CryptoMode::Ring)).build_https()
}

/// What stands in the place of AWS's endpoints: for all services, or for one of those that quell uses.
fn endpoint_override(sdk: &SdkConfig) -> Option<String> {
    const SERVICES: [(&str, &str); 8] = [
        ("Account", "AWS_ENDPOINT_URL_ACCOUNT"),
        ("Auto Scaling", "AWS_ENDPOINT_URL_AUTO_SCALING"),
        ("CloudTrail", "AWS_ENDPOINT_URL_CLOUDTRAIL"),
        ("EC2", "AWS_ENDPOINT_URL_EC2"),
        ("IAM", "AWS_ENDPOINT_URL_IAM"),
        ("Organizations", "AWS_ENDPOINT_URL_ORGANIZATIONS"),
        ("S3", "AWS_ENDPOINT_URL_S3"),
        ("STS", "AWS_ENDPOINT_URL_STS"),
    ];
    let of_service = |(service_id, _): &(&'static str, &'static str)| {
        let (_, env) = SERVICES.iter().find(|(id, _)| id == service_id)?;
        let key = ServiceConfigKey::builder().service_id(service_id).env("AWS_ENDPOINT_URL").profile("endpoint_url");
        let url = sdk.service_config()?.load_config(key.build().ok()?)?;
        Some(format!("{url} ({env})"))
    };
    sdk.endpoint_url().map(str::to_owned).or_else(|| SERVICES.iter().find_map(of_service))
}

fn no_account(error: InvalidId) -> ActionError {
    ActionError::new(ErrorKind::Other, format!("targets.accounts: {error}"))
}

fn nobodys(key: &str) -> String {
    format!(
        "AWS knows no account that the access key {key} belongs to: compare it with where it was seen, digit by digit"
    )
}

/// Refuses a name that cannot be a region's before anything is asked: a region left out silently is one not contained.
fn well_formed(regions: &Regions) -> Result<(), ActionError> {
    let Regions::Listed(names) = regions else { return Ok(()) };
    let is_region = |name: &&String| Region::new(name).is_ok_and(|region| !region.is_global());
    match names.iter().find(|name| !is_region(name)) {
        None => Ok(()),
        Some(name) => {
            let message = format!("targets.regions: `{name}` is not a region, such as eu-west-3");
            Err(ActionError::new(ErrorKind::NotFound, message))
        }
    }
}

/// The regions that a runbook names, each with what the account says of it. A name that the account does not know at all
/// is a mistake, not a region that is switched off.
fn chosen(account: &AccountId, listed: &regions::Listed, names: &[String]) -> Result<regions::Listed, ActionError> {
    let region = |name: &String| {
        listed.iter().find(|(known, _)| known.as_str() == name).cloned().ok_or_else(|| {
            let meant = did_you_mean(name, listed.iter().map(|(known, _)| known.as_str()));
            let message = format!("targets.regions: account {account} knows no region `{name}`; {meant}");
            ActionError::new(ErrorKind::NotFound, message)
        })
    };
    names.iter().map(region).collect()
}

/// The regions that an account has or may have, when it does not say. `state` is told whether one is opt-in.
fn assumed(caller: &Caller, wanted: &Regions, state: impl Fn(bool) -> Result<(), ActionError>) -> regions::Listed {
    let named = |name: &str, opt_in| Region::new(name).ok().map(|region| (region, state(opt_in)));
    match wanted {
        Regions::Listed(names) => names.iter().filter_map(|name| named(name, false)).collect(),
        Regions::Enabled if caller.partition() == "aws" => {
            let defaults = Region::DEFAULT.iter().filter_map(|name| named(name, false));
            defaults.chain(regions::OPT_IN.iter().filter_map(|name| named(name, true))).collect()
        }
        Regions::Enabled => named(regions::home(caller.partition()), false).into_iter().collect(),
    }
}

fn unsure(error: &ActionError) -> ActionError {
    ActionError { message: format!("could not tell whether the region is enabled: {}", error.message), ..error.clone() }
}

/// The accounts of the caller's organisation, or of one of its units and all below it.
#[cfg(feature = "organizations")]
async fn organization(home: &SdkConfig, caller: &Target, unit: Option<&str>) -> Result<Vec<Account>, ActionError> {
    let config = aws_sdk_organizations::config::Builder::from(home)
        .retry_partition(retry::partition(caller))
        .retry_classifier(retry::WhenBusy)
        .build();
    let client = aws_sdk_organizations::Client::from_conf(config);
    let mut accounts = Vec::new();
    let Some(unit) = unit else {
        let mut pages = client.list_accounts().into_paginator().send();
        while let Some(page) = pages.next().await {
            accounts.extend(page?.accounts.unwrap_or_default());
        }
        return Ok(accounts.iter().filter_map(member).collect());
    };
    let mut units = vec![unit.to_owned()];
    while let Some(unit) = units.pop() {
        let mut pages = client.list_accounts_for_parent().parent_id(&unit).into_paginator().send();
        while let Some(page) = pages.next().await {
            accounts.extend(page?.accounts.unwrap_or_default());
        }
        let mut below = client.list_organizational_units_for_parent().parent_id(&unit).into_paginator().send();
        while let Some(page) = below.next().await {
            units.extend(page?.organizational_units.unwrap_or_default().into_iter().filter_map(|unit| unit.id));
        }
    }
    Ok(accounts.iter().filter_map(member).collect())
}

#[cfg(not(feature = "organizations"))]
async fn organization(_: &SdkConfig, _: &Target, _: Option<&str>) -> Result<Vec<Account>, ActionError> {
    Err(ActionError::new(ErrorKind::Unsupported, "this quell was built without Organizations: list the accounts"))
}

/// An account, and whether it is active. `State` takes the place of `Status`, which AWS retires in September 2026.
#[cfg(feature = "organizations")]
fn member(account: &aws_sdk_organizations::types::Account) -> Option<Account> {
    let id = AccountId::new(account.id()?).ok()?;
    let status = account.status().map(aws_sdk_organizations::types::AccountStatus::as_str);
    let state = account.state().map(aws_sdk_organizations::types::AccountState::as_str).or(status).unwrap_or("ACTIVE");
    let state = match state {
        "ACTIVE" => Ok(()),
        other => Err(ActionError::new(ErrorKind::WrongState, format!("account {id} is {other}, not ACTIVE"))),
    };
    Some((id, state))
}
