//! The credentials of a role that was assumed in another account.

use std::fmt;

use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, future};
use jiff::SignedDuration;
use tokio::sync::Mutex;
use tokio::time::{Duration, Instant};

use super::time::timestamp;
use crate::engine::ports::SharedClock;
use crate::model::{ActionError, ErrorKind, Role};

/// Credentials are renewed when less than this is left of them: a request that is waiting for its budget must not expire.
const RENEW: SignedDuration = SignedDuration::from_mins(5);

/// How long a refusal stands: all who want to enter an account at the same time get the same answer, and whoever looks
/// again later asks again.
const STANDS: Duration = Duration::from_secs(5);

/// A role in an account, assumed when it is needed and again in time.
pub(super) struct AssumedRole {
    /// STS as the caller, in the caller's region.
    pub sts: aws_sdk_sts::Client,
    /// Its ARN.
    pub arn: String,
    /// What CloudTrail will show beside it.
    pub session_name: String,
    /// What its trust policy may demand.
    pub external_id: Option<String>,
    /// What every event of its sessions carries.
    pub source_identity: Option<String>,
    /// The run's clock.
    pub clock: SharedClock,
    held: Mutex<Held>,
}

/// What the last attempt gave.
#[derive(Default)]
enum Held {
    #[default]
    Nothing,
    Credentials(Credentials),
    /// Refused, and when.
    Refused(ActionError, Instant),
}

impl AssumedRole {
    /// The role `role` of an account, not assumed yet.
    pub fn new(
        sts: aws_sdk_sts::Client,
        partition: &str,
        account: &str,
        role: &Role,
        session_name: String,
        clock: SharedClock,
    ) -> Self {
        let arn = format!("arn:{partition}:iam::{account}:role/{}", role.name.trim_start_matches('/'));
        // The session's name holds the run's id.
        let source_identity = role.source_identity.as_ref().map(|text| match text.as_str() {
            "case" => session_name.trim_start_matches("quell-").to_owned(),
            text => text.to_owned(),
        });
        let external_id = role.external_id.clone();
        Self { sts, arn, session_name, external_id, source_identity, clock, held: Mutex::default() }
    }

    /// Credentials that are good for a while.
    pub async fn credentials(&self) -> Result<Credentials, ActionError> {
        let mut held = self.held.lock().await;
        let fresh = |credentials: &Credentials| {
            let expiry = credentials.expiry().map(timestamp);
            expiry.is_none_or(|expiry| expiry.duration_since(self.clock.now()) > RENEW)
        };
        match &*held {
            Held::Credentials(credentials) if fresh(credentials) => return Ok(credentials.clone()),
            Held::Refused(error, at) if at.elapsed() < STANDS => return Err(error.clone()),
            _ => {}
        }
        let answer = self.assume().await;
        *held = match &answer {
            Ok(credentials) => Held::Credentials(credentials.clone()),
            Err(error) if error.kind == ErrorKind::Denied => Held::Refused(error.clone(), Instant::now()),
            Err(_) => Held::Nothing,
        };
        answer
    }

    /// Lets go of credentials that AWS does not take any more, by their session token: the next request gets new ones.
    pub async fn forget(&self, token: &str) {
        let mut held = self.held.lock().await;
        if matches!(&*held, Held::Credentials(credentials) if credentials.session_token() == Some(token)) {
            *held = Held::Nothing;
        }
    }

    async fn assume(&self) -> Result<Credentials, ActionError> {
        let request = self.sts.assume_role().role_arn(&self.arn).role_session_name(&self.session_name);
        let request = request.set_source_identity(self.source_identity.clone());
        let answer = request.set_external_id(self.external_id.clone()).send().await.map_err(|error| {
            let error = ActionError::from(error);
            ActionError { message: format!("{} could not be assumed: {}", self.arn, error.message), ..error }
        })?;
        let given = answer.credentials.ok_or_else(|| {
            ActionError::new(ErrorKind::Unsupported, format!("sts:AssumeRole of {} gave no credentials", self.arn))
        })?;
        let expiry = given.expiration.try_into().ok();
        let (key, secret, token) = (given.access_key_id, given.secret_access_key, given.session_token);
        Ok(Credentials::new(key, secret, Some(token), expiry, "sts:AssumeRole"))
    }
}

impl ProvideCredentials for AssumedRole {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(async { self.credentials().await.map_err(CredentialsError::provider_error) })
    }
}

impl fmt::Debug for AssumedRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("AssumedRole").field(&self.arn).finish()
    }
}
