//! IAM: who there is, what each may do, with which credentials, and when they were last used.

use aws_sdk_iam::Client;
use aws_sdk_iam::config::Builder;
use aws_sdk_iam::operation::list_access_keys::ListAccessKeysOutput;
use aws_sdk_iam::operation::list_users::ListUsersOutput;
use aws_sdk_iam::types::ReportStateType;
use futures::stream::{self, StreamExt as _};
use tokio::time::{Duration, sleep};

use super::questions::Questions;
use crate::cloud::retry;
use crate::engine::action::Ctx;

/// How many questions about single users are open at once.
const SIDE_BY_SIDE: usize = 8;
/// How often it is asked whether the credential report is ready.
const LOOKS: usize = 20;

/// Asks.
pub(super) async fn ask(cx: &Ctx, questions: &Questions) {
    let config = Builder::from(&cx.sdk).retry_partition(retry::partition(&cx.target)).retry_classifier(retry::WhenBusy);
    let client = &Client::from_conf(config.build());
    futures::join!(
        async {
            questions
                .all(
                    "iam:GetAccountAuthorizationDetails",
                    client.get_account_authorization_details().max_items(1_000).into_paginator().send(),
                )
                .await;
        },
        report(client, questions),
        users(client, questions),
        settings(client, questions),
    );
}

/// The credential report, made anew unless there is one that is at most four hours old (fact F4).
async fn report(client: &Client, questions: &Questions) {
    for _ in 0..LOOKS {
        let state = questions.one("iam:GenerateCredentialReport", client.generate_credential_report().send()).await;
        match state.and_then(|state| state.state) {
            Some(ReportStateType::Complete) => break,
            Some(_) => sleep(Duration::from_millis(500)).await,
            None => return,
        }
    }
    questions.one("iam:GetCredentialReport", client.get_credential_report().send()).await;
}

async fn users(client: &Client, questions: &Questions) {
    let pages = questions.all("iam:ListUsers", client.list_users().max_items(1_000).into_paginator().send()).await;
    let names =
        pages.iter().flat_map(ListUsersOutput::users).map(|user| user.user_name().to_owned()).collect::<Vec<_>>();
    stream::iter(names).for_each_concurrent(SIDE_BY_SIDE, |name| user(client, questions, name)).await;
}

/// The credentials of a user. Keys beyond two, service-specific credentials and SSH keys are not in the credential report.
async fn user(client: &Client, questions: &Questions, name: String) {
    let (keys, ..) = futures::join!(
        questions.all("iam:ListAccessKeys", client.list_access_keys().user_name(&name).into_paginator().send()),
        questions.all("iam:ListMFADevices", client.list_mfa_devices().user_name(&name).into_paginator().send()),
        questions.one("iam:GetLoginProfile", client.get_login_profile().user_name(&name).send()),
        questions.one(
            "iam:ListServiceSpecificCredentials",
            client.list_service_specific_credentials().user_name(&name).send()
        ),
        questions.all("iam:ListSSHPublicKeys", client.list_ssh_public_keys().user_name(&name).into_paginator().send()),
        questions.all(
            "iam:ListSigningCertificates",
            client.list_signing_certificates().user_name(&name).into_paginator().send()
        ),
    );
    let ids = keys.iter().flat_map(ListAccessKeysOutput::access_key_metadata).filter_map(|key| key.access_key_id());
    for id in ids {
        questions.one("iam:GetAccessKeyLastUsed", client.get_access_key_last_used().access_key_id(id).send()).await;
    }
}

async fn settings(client: &Client, questions: &Questions) {
    futures::join!(
        questions.one("iam:GetAccountSummary", client.get_account_summary().send()),
        questions.one("iam:GetAccountPasswordPolicy", client.get_account_password_policy().send()),
        questions.all("iam:ListAccountAliases", client.list_account_aliases().into_paginator().send()),
        questions.one("iam:ListSAMLProviders", client.list_saml_providers().send()),
        questions.one("iam:ListOpenIDConnectProviders", client.list_open_id_connect_providers().send()),
    );
}
