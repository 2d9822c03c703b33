//! `iam.deactivate-service-credentials`

use aws_sdk_iam::Client;
use aws_sdk_iam::types::StatusType;

use crate::actions::credential::{Credential, Held, Prior};
use crate::actions::field::time;
use crate::model::ActionError;

/// The service-specific credentials of users.
pub struct ServiceCredentials;

impl Credential for ServiceCredentials {
    const NAME: &'static str = "iam.deactivate-service-credentials";
    const TITLE: &'static str = "Deactivate the service-specific credentials of users";
    const DESCRIPTION: &'static str = "Sets every service-specific credential of a user to `Inactive`: the \
        long-term API keys of Amazon Bedrock, with which models are used at the owner's cost, and the passwords for \
        CodeCommit and Amazon Keyspaces. They are in no credential report, and outlive the access keys of their user.\n\n\
        AWS pages: *UpdateServiceSpecificCredential*, *Service-specific credentials for IAM users*, \
        *API keys for Amazon Bedrock*.";
    const PERMISSIONS: &'static [&'static str] =
        &["iam:ListServiceSpecificCredentials", "iam:UpdateServiceSpecificCredential"];
    const EXAMPLE: &'static str = "{ id: services, uses: iam.deactivate-service-credentials, on: intruder }";
    const NOUN: &'static str = "credential";

    async fn of_user(client: &Client, user: &str) -> Result<Vec<Held>, ActionError> {
        let (mut held, mut marker) = (Vec::new(), None);
        loop {
            let page = client.list_service_specific_credentials().user_name(user).set_marker(marker).send().await?;
            for one in page.service_specific_credentials() {
                let (status, created) = (one.status().as_str().to_owned(), time(Some(one.create_date())));
                let prior = Prior { status, created, service: Some(one.service_name().to_owned()) };
                held.push(Held { id: one.service_specific_credential_id().to_owned(), prior });
            }
            marker = page.marker.filter(|_| page.is_truncated);
            if marker.is_none() {
                return Ok(held);
            }
        }
    }

    async fn set(client: &Client, user: &str, id: &str, status: StatusType) -> Result<(), ActionError> {
        let request = client.update_service_specific_credential().user_name(user).service_specific_credential_id(id);
        request.status(status).send().await?;
        Ok(())
    }
}
