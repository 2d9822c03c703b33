//! Asking, page by page, with a note of what was not answered.

use std::collections::BTreeSet;
use std::error::Error;
use std::sync::Arc;

use aws_smithy_async::future::pagination_stream::PaginationStream;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;

use super::Recorder;
use crate::model::{ActionError, ErrorKind, Target};

/// The questions of one lane.
#[derive(Debug)]
pub(super) struct Questions {
    lane: Target,
    recorder: Arc<Recorder>,
    only: Option<BTreeSet<&'static str>>,
}

impl Questions {
    pub fn new(lane: Target, recorder: Arc<Recorder>, only: Option<BTreeSet<&'static str>>) -> Self {
        Self { lane, recorder, only }
    }

    fn is_wanted(&self, what: &str) -> bool {
        self.only.as_ref().is_none_or(|only| only.contains(what))
    }

    /// Asks once. That something is not there is an answer.
    pub async fn one<T, E>(
        &self,
        what: &str,
        question: impl Future<Output = Result<T, SdkError<E, HttpResponse>>>,
    ) -> Option<T>
    where
        E: ProvideErrorMetadata + Error + 'static,
    {
        if !self.is_wanted(what) {
            return None;
        }
        match question.await {
            Ok(answer) => Some(answer),
            Err(error) => {
                self.lacks(what, &error.into());
                None
            }
        }
    }

    /// Asks page by page, to the end.
    pub async fn all<T, E>(
        &self,
        what: &str,
        mut pages: PaginationStream<Result<T, SdkError<E, HttpResponse>>>,
    ) -> Vec<T>
    where
        E: ProvideErrorMetadata + Error + 'static,
    {
        let mut answers = Vec::new();
        if !self.is_wanted(what) {
            return answers;
        }
        while let Some(page) = pages.next().await {
            match page {
                Ok(page) => answers.push(page),
                Err(error) => {
                    self.lacks(what, &error.into());
                    break;
                }
            }
        }
        answers
    }

    /// Notes that something was not answered, or that the answer is that there is no such thing.
    pub fn lacks(&self, what: &str, error: &ActionError) {
        if is_absent(error) {
            self.recorder.absent(&self.lane, what, error);
        } else {
            self.recorder.lacks(&self.lane, what, error);
        }
    }

    /// Notes that something was captured to its end.
    pub fn done(&self, what: String) {
        self.recorder.done(what);
    }
}

/// Whether AWS says that there is no such thing; an account without an organisation has none.
fn is_absent(error: &ActionError) -> bool {
    error.kind == ErrorKind::NotFound || error.code.as_deref() == Some("AWSOrganizationsNotInUseException")
}
