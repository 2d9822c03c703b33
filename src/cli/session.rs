//! The way to AWS for a command: credentials, the question about a foreign endpoint, who is calling.

use std::sync::Arc;

use jiff::Timestamp;

use super::error::Failure;
use super::options::{AwsOptions, confirm};
use super::screen::Screen;
use crate::cloud::{CloudSessions, Options, Witness};
use crate::engine::Engine;
use crate::engine::ports::{Sessions as _, SharedClock, WallClock};
use crate::model::{ActionError, Caller, ErrorKind, RunId, Targets};
use crate::report::text::shown;

/// An engine on the real AWS, or on what an endpoint override points to, and who calls. `now` is the `now` of the plan that
/// is worked on: a run that is taken up or back later is seen as it was meant. If a runbook is to be planned next, its targets
/// let the first question of its survey be asked at the same time.
pub async fn open(
    options: &AwsOptions,
    run: (&RunId, Timestamp),
    next: Option<&Targets>,
    screen: &Screen,
) -> Result<(Engine, Caller), Failure> {
    open_before(None, options, run, next, screen).await
}

/// As [`open()`], before a witness who sees what AWS answers.
pub async fn open_before(
    witness: Option<Arc<dyn Witness>>,
    options: &AwsOptions,
    (case, now): (&RunId, Timestamp),
    next: Option<&Targets>,
    screen: &Screen,
) -> Result<(Engine, Caller), Failure> {
    let clock: SharedClock = Arc::new(WallClock);
    let options_of_aws = Options {
        profile: options.profile.clone(),
        region: options.region.clone(),
        http: None,
        credentials: None,
        endpoint_url: None,
        evidence: screen.state().ok().map(|state| state.join("evidence")),
        now,
        clock: Arc::clone(&clock),
        case: case.clone(),
    };
    let mut sessions = CloudSessions::seen_by(options_of_aws, witness).await?;
    // Before anything is sent: even a signed question tells an endpoint who is asking.
    if let Some(endpoint) = sessions.endpoint() {
        trust(endpoint, options, screen).await?;
    }
    if let Some(role) = &options.work_as {
        let code = match &options.mfa {
            Some(serial) => Some(code(serial, options, screen).await?),
            None => None,
        };
        sessions.work_as(role, options.mfa.as_deref().zip(code.as_deref())).await?;
    }
    let caller = match next {
        Some(targets) => sessions.caller_with_regions(targets).await,
        None => sessions.caller().await,
    };
    let caller = caller.map_err(|error| of_profile(options, error))?;
    screen.remark(&format!("caller {}", shown(&caller.arn)));
    if caller.is_root() {
        return Err(Failure::refused(format!("the caller is the root user of account {}", caller.account))
            .hint("no policy can bound root, and no guard could; use the responder role (--profile)"));
    }
    Ok((Engine { sessions: Arc::new(sessions), table: crate::actions::table(), clock }, caller))
}

/// Names the profile that was asked for where no credentials came from it: the SDK's chain does not.
fn of_profile(options: &AwsOptions, error: ActionError) -> Failure {
    let profile = options.profile.clone().or_else(|| std::env::var("AWS_PROFILE").ok());
    match profile {
        Some(profile) if error.kind == ErrorKind::Credentials && error.code.is_none() => {
            let message = format!("profile `{}`: {}", shown(&profile), error.message);
            Failure::from(ActionError { message, ..error })
                .hint("`aws configure list-profiles` names the profiles that there are")
        }
        _ => error.into(),
    }
}

/// The code of an MFA device: given, or asked for.
async fn code(serial: &str, options: &AwsOptions, screen: &Screen) -> Result<String, Failure> {
    if let Some(code) = &options.mfa_code {
        return Ok(code.clone());
    }
    if !screen.is_attended() {
        let failure =
            Failure::usage(format!("the MFA device {} has a code, and nobody can be asked for it", shown(serial)));
        return Err(failure.hint("give it by --mfa-code or QUELL_MFA_CODE"));
    }
    let prompt = format!("Code of {}", shown(serial));
    let read = move || {
        let is_code = |code: &String| code.len() == 6 && code.bytes().all(|digit| digit.is_ascii_digit());
        dialoguer::Input::<String>::new()
            .with_prompt(prompt)
            .validate_with(|code: &String| if is_code(code) { Ok(()) } else { Err("a code has six digits") })
            .interact_text_on(&console::Term::stderr())
    };
    let answer =
        tokio::task::spawn_blocking(read).await.map_err(|_| Failure::failed("the code could not be asked for"))?;
    answer.map_err(|error| Failure::usage(format!("no code: {error}")))
}

/// Shows an endpoint that is not AWS's, and asks whether it is meant.
async fn trust(endpoint: &str, options: &AwsOptions, screen: &Screen) -> Result<(), Failure> {
    let endpoint = shown(endpoint);
    screen.remark(&format!("endpoint {endpoint} (configured in the place of AWS's)"));
    if options.trust_endpoint {
        return Ok(());
    }
    let refused = || {
        Failure::refused(format!("requests would go to {endpoint}, which is not AWS"))
            .hint("--trust-endpoint accepts it; or unset AWS_ENDPOINT_URL and endpoint_url of the profile")
    };
    if !screen.is_attended() {
        return Err(refused());
    }
    if confirm(format!("Send requests to {endpoint} instead of AWS?")).await? { Ok(()) } else { Err(refused()) }
}
