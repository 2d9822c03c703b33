//! When a request is sent again: standard mode, three attempts, pinned here so that no environment changes it.

use aws_smithy_runtime::client::retries::RetryPartition;
use aws_smithy_runtime_api::client::interceptors::context::InterceptorContext;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::retries::classifiers::{ClassifyRetry, RetryAction, RetryClassifierPriority};
use aws_smithy_types::retry::{ErrorKind, RetryConfig};

use super::classify;
use crate::model::Target;

/// The retries of every client.
pub(super) fn config() -> RetryConfig {
    RetryConfig::standard().with_max_attempts(3)
}

/// The retry tokens of a lane, which all its clients share, however often they are made: the SDK knows a partition by its
/// name. The SDK's own default would share them among all accounts of the process, so that one throttled account could
/// starve the others. They are per region too: one that answers nothing must not use up what the account's others have.
pub fn partition(target: &Target) -> RetryPartition {
    RetryPartition::new(format!("quell {target}"))
}

/// The retry tokens of the question who is calling, whose account nobody knows yet.
pub(super) fn partition_of_caller() -> RetryPartition {
    RetryPartition::new("quell caller")
}

/// Marks an answer after which the same request may well succeed.
const AGAIN: &str = "x-quell-again";

/// Marks an answer as one after which the request is to be sent again.
pub(super) fn ask_again(answer: &mut HttpResponse) {
    answer.headers_mut().insert(AGAIN, "true");
}

/// Sends again what the SDK does not: answers that say "somebody else is changing this right now", and those after which
/// credentials or the clock have been set right.
#[derive(Debug, Clone, Copy)]
pub struct WhenBusy;

impl ClassifyRetry for WhenBusy {
    fn classify_retry(&self, context: &InterceptorContext) -> RetryAction {
        let code = context.response().and_then(classify::code_in);
        if context.response().is_some_and(|answer| answer.headers().get(AGAIN).is_some()) {
            return RetryAction::retryable_error(ErrorKind::TransientError);
        }
        match code.as_deref() {
            Some(
                "ConcurrentModification"
                | "ConcurrentModificationException"
                | "PolicyChangesInProgressException"
                | "ScalingActivityInProgress"
                | "EntityTemporarilyUnmodifiable",
            ) => RetryAction::retryable_error(ErrorKind::ThrottlingError),
            _ => RetryAction::NoActionIndicated,
        }
    }

    fn name(&self) -> &'static str {
        "when busy"
    }

    fn priority(&self) -> RetryClassifierPriority {
        RetryClassifierPriority::run_after(RetryClassifierPriority::transient_error_classifier())
    }
}
