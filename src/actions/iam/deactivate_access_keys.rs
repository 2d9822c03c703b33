//! `iam.deactivate-access-keys`

use aws_sdk_iam::Client;
use aws_sdk_iam::types::StatusType;

use crate::actions::credential::{Credential, Held, Prior};
use crate::actions::field::time;
use crate::model::ActionError;

/// The access keys of users.
pub struct AccessKeys;

impl Credential for AccessKeys {
    const NAME: &'static str = "iam.deactivate-access-keys";
    const TITLE: &'static str = "Deactivate all access keys of users";
    const DESCRIPTION: &'static str = "Sets every access key of a user to `Inactive`: the one that leaked, and those that the \
        intruder may have made. Sessions that were started with a key live on: deny or revoke them as well. Nothing is \
        deleted, because the record of when a key was last used goes with it. The caller's own key, and the keys of the \
        caller's own user, are refused.\n\n\
        AWS pages: *UpdateAccessKey*, *Disabling permissions for temporary security credentials*.";
    const UNDO: &'static str = "Sets to `Active` what was active. AWS advises never to do so with a key that leaked.";
    const PERMISSIONS: &'static [&'static str] = &["iam:ListAccessKeys", "iam:UpdateAccessKey"];
    const EXAMPLE: &'static str = "{ id: keys, uses: iam.deactivate-access-keys, on: intruder }";
    const NOUN: &'static str = "";
    const NOTE: Option<&'static str> = Some("sessions started with the key live on until they are denied or revoked");

    async fn of_user(client: &Client, user: &str) -> Result<Vec<Held>, ActionError> {
        let mut pages = client.list_access_keys().user_name(user).into_paginator().items().send();
        let mut held = Vec::new();
        while let Some(key) = pages.next().await {
            let key = key?;
            let status = key.status().map_or("", StatusType::as_str).to_owned();
            let prior = Prior { status, created: time(key.create_date()), service: None };
            held.extend(key.access_key_id.map(|id| Held { id, prior }));
        }
        Ok(held)
    }

    async fn set(client: &Client, user: &str, id: &str, status: StatusType) -> Result<(), ActionError> {
        client.update_access_key().user_name(user).access_key_id(id).status(status).send().await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::actions::credential::{Deactivate, Params};
    use crate::actions::tests::view;
    use crate::engine::action::{Action as _, Decision, Found};
    use crate::model::ResourceId;

    fn plan(user: &str, key: &str, status: &str) -> Decision {
        let member = ResourceId::new(format!("arn:aws:iam::111122223333:user/{user}")).unwrap();
        let prior = Prior { status: status.into(), created: String::new(), service: None };
        let found = Found { member, resource: ResourceId::new(key).unwrap(), prior };
        Deactivate(AccessKeys).plan(&view(), &Params {}, &found)
    }

    #[test]
    fn active_keys_are_deactivated_and_others_are_fine() {
        let Decision::Change(proposal) = plan("ops/eve", "AKIAEXAMPLE", "Active") else { panic!("no change") };
        assert_eq!(proposal.summary, "deactivate AKIAEXAMPLE of eve");
        assert_eq!(plan("eve", "AKIAEXAMPLE", "Inactive"), Decision::Already);
        assert_eq!(plan("eve", "AKIAEXAMPLE", "Expired"), Decision::Already);
    }

    #[test]
    fn the_callers_own_key_is_refused() {
        assert!(matches!(plan("eve", "ASIAEXAMPLERESPONDER", "Active"), Decision::Refuse(_)));
    }
}
