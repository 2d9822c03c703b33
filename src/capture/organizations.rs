//! Organizations, where the caller may ask: accounts, policies and what they hang on. Each capture asks once, by the caller.

use aws_sdk_organizations::Client;
use aws_sdk_organizations::config::Builder;
use aws_sdk_organizations::operation::list_policies::ListPoliciesOutput;
use aws_sdk_organizations::types::PolicyType;

use super::questions::Questions;
use crate::cloud::retry;
use crate::engine::action::Ctx;

/// Asks, in the lane of the caller's own account alone: the answer is the same from everywhere.
pub(super) async fn ask(cx: &Ctx, questions: &Questions) {
    if cx.target.account != cx.view.caller.account {
        return;
    }
    let config =
        Builder::from(&cx.home).retry_partition(retry::partition(&cx.target)).retry_classifier(retry::WhenBusy);
    let client = Client::from_conf(config.build());
    if questions.one("organizations:DescribeOrganization", client.describe_organization().send()).await.is_none() {
        return;
    }
    let policies = |kind: PolicyType| {
        let client = &client;
        async move {
            let pages = client.list_policies().filter(kind).into_paginator().send();
            let pages = questions.all("organizations:ListPolicies", pages).await;
            for policy in pages.iter().flat_map(ListPoliciesOutput::policies).filter_map(|policy| policy.id()) {
                let (document, targets) =
                    (client.describe_policy().policy_id(policy), client.list_targets_for_policy());
                questions.one("organizations:DescribePolicy", document.send()).await;
                let pages = targets.policy_id(policy).into_paginator().send();
                questions.all("organizations:ListTargetsForPolicy", pages).await;
            }
        }
    };
    futures::join!(
        questions.all("organizations:ListAccounts", client.list_accounts().into_paginator().send()),
        questions.all("organizations:ListRoots", client.list_roots().into_paginator().send()),
        questions.all(
            "organizations:ListDelegatedAdministrators",
            client.list_delegated_administrators().into_paginator().send()
        ),
        policies(PolicyType::ServiceControlPolicy),
        policies(PolicyType::ResourceControlPolicy),
    );
}
