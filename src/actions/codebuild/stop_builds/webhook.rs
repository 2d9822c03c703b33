//! A project's webhook: closed, and opened again as it was.

use aws_sdk_codebuild::Client;
use aws_sdk_codebuild::types::{self, WebhookBuildType, WebhookFilter, WebhookFilterType};
use serde::{Deserialize, Serialize};

use super::{Webhooks, unless_gone};
use crate::model::ActionError;

/// A branch that nobody has: `^` and `$` around a name that git does not allow.
const NO_BRANCH: &str = "^refs/heads/held by quell$";

/// Which pushes start builds.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Webhook {
    /// Groups of filters: any group whose filters all fit.
    pub filter_groups: Vec<Vec<Filter>>,
    /// Which branches, as older webhooks say it.
    pub branch_filter: Option<String>,
    /// `BUILD` or `BUILD_BATCH`.
    pub build_type: Option<String>,
    /// Whether the repository's host was told by hand.
    pub manual: bool,
}

/// One condition on an event.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Filter {
    /// `EVENT`, `HEAD_REF`, …
    pub kind: String,
    /// What must fit.
    pub pattern: String,
    /// Whether it must not.
    pub exclude: bool,
}

impl Filter {
    fn of(filter: &WebhookFilter) -> Self {
        Self {
            kind: filter.r#type().as_str().to_owned(),
            pattern: filter.pattern().to_owned(),
            exclude: filter.exclude_matched_pattern().unwrap_or_default(),
        }
    }

    fn sdk(&self) -> Result<WebhookFilter, ActionError> {
        let filter =
            WebhookFilter::builder().r#type(WebhookFilterType::from(self.kind.as_str())).pattern(&self.pattern);
        let filter = filter.set_exclude_matched_pattern(self.exclude.then_some(true)).build();
        filter.map_err(|error| ActionError::new(crate::model::ErrorKind::Other, error.to_string()))
    }
}

impl Webhook {
    /// The webhook as AWS shows it.
    pub(super) fn of(webhook: &types::Webhook) -> Self {
        let groups = webhook.filter_groups().iter().map(|group| group.iter().map(Filter::of).collect());
        Self {
            filter_groups: groups.collect(),
            branch_filter: webhook.branch_filter().map(str::to_owned),
            build_type: webhook.build_type().map(|kind| kind.as_str().to_owned()),
            manual: webhook.manual_creation().unwrap_or_default(),
        }
    }

    /// One whose only filter lets no push pass.
    pub(super) fn held() -> Self {
        let filter = |kind: &str, pattern: &str| Filter { kind: kind.into(), pattern: pattern.into(), exclude: false };
        let group = vec![filter("EVENT", "PUSH"), filter("HEAD_REF", NO_BRANCH)];
        Self { filter_groups: vec![group], ..Self::default() }
    }

    /// Whether no push passes.
    pub(super) fn is_held(&self) -> bool {
        self.filter_groups == Self::held().filter_groups
    }

    fn groups(&self) -> Result<Option<Vec<Vec<WebhookFilter>>>, ActionError> {
        let groups = self.filter_groups.iter().map(|group| group.iter().map(Filter::sdk).collect());
        let groups: Vec<Vec<WebhookFilter>> = groups.collect::<Result<_, _>>()?;
        Ok((!groups.is_empty()).then_some(groups))
    }

    /// Brings it back: by its old filters where it is held, made anew where it is gone. One that somebody else has opened
    /// meanwhile is left as it is.
    pub(super) async fn restore(
        &self,
        client: &Client,
        project: &str,
        now: Option<&types::Webhook>,
    ) -> Result<(), ActionError> {
        let groups = self.groups()?;
        // Filters by branch stand in the place of groups; an empty one lets every branch pass.
        let branch = groups.is_none().then(|| self.branch_filter.clone().unwrap_or_default());
        match now.map(Self::of) {
            Some(now) if !now.is_held() => Ok(()),
            Some(_) => {
                let request = client.update_webhook().project_name(project).set_filter_groups(groups);
                request.set_branch_filter(branch).send().await?;
                Ok(())
            }
            None => {
                let request = client.create_webhook().project_name(project).set_filter_groups(groups);
                let kind = self.build_type.as_deref().map(WebhookBuildType::from);
                let request =
                    request.set_branch_filter(branch.filter(|branch| !branch.is_empty())).set_build_type(kind);
                request.set_manual_creation(self.manual.then_some(true)).send().await?;
                Ok(())
            }
        }
    }
}

/// Lets no push start a build any more.
pub(super) async fn close(client: &Client, project: &str, how: Webhooks) -> Result<(), ActionError> {
    match how {
        Webhooks::Filter => {
            let groups = Webhook::held().groups()?;
            let request = client.update_webhook().project_name(project).set_filter_groups(groups);
            unless_gone(request.send().await.map_err(ActionError::from))
        }
        Webhooks::Delete => {
            unless_gone(client.delete_webhook().project_name(project).send().await.map_err(ActionError::from))
        }
    }
}
