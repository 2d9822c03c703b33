//! `iam.deactivate-signing-certificates`

use aws_sdk_iam::Client;
use aws_sdk_iam::types::StatusType;

use crate::actions::credential::{Credential, Held, Prior};
use crate::actions::field::time;
use crate::model::ActionError;

/// The signing certificates of users.
pub struct SigningCertificates;

impl Credential for SigningCertificates {
    const NAME: &'static str = "iam.deactivate-signing-certificates";
    const TITLE: &'static str = "Deactivate the signing certificates of users";
    const DESCRIPTION: &'static str = "Sets every X.509 signing certificate of a user to `Inactive`. Such a \
        certificate signs calls to old SOAP interfaces; an intruder may upload one, for it looks like nothing that anybody \
        watches. The credential report has columns for them.\n\n\
        AWS pages: *UpdateSigningCertificate*, *Manage user signing certificates*.";
    const PERMISSIONS: &'static [&'static str] = &["iam:ListSigningCertificates", "iam:UpdateSigningCertificate"];
    const EXAMPLE: &'static str = "{ id: certificates, uses: iam.deactivate-signing-certificates, on: intruder }";
    const NOUN: &'static str = "signing certificate";

    async fn of_user(client: &Client, user: &str) -> Result<Vec<Held>, ActionError> {
        let mut pages = client.list_signing_certificates().user_name(user).into_paginator().items().send();
        let mut held = Vec::new();
        while let Some(one) = pages.next().await {
            let one = one?;
            let (status, created) = (one.status().as_str().to_owned(), time(one.upload_date()));
            held.push(Held { id: one.certificate_id, prior: Prior { status, created, service: None } });
        }
        Ok(held)
    }

    async fn set(client: &Client, user: &str, id: &str, status: StatusType) -> Result<(), ActionError> {
        client.update_signing_certificate().user_name(user).certificate_id(id).status(status).send().await?;
        Ok(())
    }
}
