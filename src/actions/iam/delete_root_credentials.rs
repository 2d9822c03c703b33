//! `iam.delete-root-credentials`

use aws_credential_types::Credentials;
use aws_sdk_iam::Client;
use aws_sdk_iam::config::Builder;
use aws_sdk_iam::types::FeatureType;
use aws_sdk_sts::types::PolicyDescriptorType;
use futures::future::try_join_all;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::if_any;
use super::root_credentials::{Summary, summary};
use crate::cloud::retry;
use crate::engine::action::{Action, Ctx, Decision, Found, Item, Proposal, View};
use crate::model::{ActionError, ByHand, Effect, ErrorKind, Resource, Tier, Undo};

/// Deletes what the root user of a member account signs in with, from the management account.
pub struct DeleteRootCredentials;

/// What goes beside access keys and signing certificates.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// Also the password, or the MFA devices. The password goes first: without any device it alone would be enough.
    #[serde(default)]
    pub also: Vec<Also>,
}

/// What the owner of the account may still need.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Also {
    /// The console password.
    Password,
    /// The MFA devices.
    MfaDevices,
}

/// The root user.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Prior {
    /// Whether it has access keys.
    pub keys: bool,
    /// Whether it has signing certificates.
    pub certificates: bool,
    /// Whether it has a password, as far as AWS tells.
    pub password: bool,
    /// Whether it has MFA devices.
    pub mfa: bool,
    /// Why the organisation cannot do it, if so.
    pub by_hand: Option<String>,
}

impl Prior {
    /// What would be deleted.
    fn held(&self, params: &Params) -> Vec<&'static str> {
        let also = |what: Also| params.also.contains(&what);
        let all = [
            (self.keys, "access keys"),
            (self.certificates, "signing certificates"),
            (self.password && also(Also::Password), "password"),
            (self.mfa && also(Also::MfaDevices), "MFA devices"),
        ];
        all.into_iter().filter(|(held, _)| *held).map(|(_, what)| what).collect()
    }
}

impl Action for DeleteRootCredentials {
    type Params = Params;
    type Prior = Prior;

    const NAME: &'static str = "iam.delete-root-credentials";
    const TIER: Tier = Tier::Destructive;
    const KINDS: &'static [&'static str] = &["iam.root"];
    const TITLE: &'static str = "Delete the access keys of a member's root user, from the management account";
    const DESCRIPTION: &'static str = "Root keys cannot be switched off by anybody else. Where the organisation has central \
        root access (RootCredentialsManagement and RootSessions), its management account enters the member as its root user \
        for this one task (sts:AssumeRoot with the policy IAMDeleteRootUserCredentials, 15 minutes) and deletes the access \
        keys and signing certificates; with `also` the password and the MFA devices as well. Temporary credentials that root \
        made of its keys live up to an hour more, and only a service control policy binds them.\n\n\
        The account's service control policies bind this session too, so it goes before organizations.deny-all. The root user \
        of the management account, and of accounts without central root access, is work for a person, and the plan gives the \
        steps.\n\n\
        AWS pages: *Centrally manage root access for member accounts*, *Perform a privileged task on a member account*, \
        *AssumeRoot*.";
    const UNDO: &'static str = "Not possible: deleted credentials are made anew by the root user.";
    const PERMISSIONS: &'static [&'static str] =
        &["iam:GetAccountSummary", "iam:ListOrganizationsFeatures", "sts:AssumeRoot"];
    const UNDO_PERMISSIONS: &'static [&'static str] = &[];
    const EXAMPLE: &'static str =
        "{ id: root, uses: iam.delete-root-credentials, on: root, with: { also: [password, mfa-devices] } }";

    async fn discover(&self, cx: &Ctx, _: &Params, members: &[Resource]) -> Result<Vec<Found<Prior>>, ActionError> {
        let found = members.iter().map(|member| async {
            let Summary { keys, certificates, password, mfa } = summary(&super::client(cx)).await?;
            let prior = Prior { keys, certificates, password, mfa, by_hand: by_hand(cx).await? };
            Ok(Found { member: member.id.clone(), resource: member.id.clone(), prior })
        });
        try_join_all(found).await
    }

    fn plan(&self, _: &View, params: &Params, found: &Found<Prior>) -> Decision {
        let held = found.prior.held(params);
        if held.is_empty() {
            return Decision::Already;
        }
        let account = found.resource.as_str().split(':').nth(4).unwrap_or_default();
        let what = held.join(", ");
        if let Some(why) = &found.prior.by_hand {
            let deleted = "Under Security credentials deactivate and delete the access keys and certificates.";
            return Decision::ByHand(ByHand::new(
                format!("delete the {what} of the root user of {account}, because {why}"),
                &[
                    "Reset the password by the account's e-mail address, if somebody else may know it.",
                    "Sign in to the console as root.",
                    deleted,
                    "Remove MFA devices that are not yours, and add one.",
                    "Check the e-mail address, the phone number and the alternate contacts of the account.",
                    "Without access to that address ask AWS Support.",
                ],
            ));
        }
        let undo = Undo::impossible(format!("the {what} of root"));
        let summary = format!("delete the {what} of the root user of {account}");
        let proposal =
            Proposal::new(summary, format!("root has {what}"), format!("root has no {}", held.join(", no ")), undo);
        let note = "temporary credentials that root made of its keys live up to an hour more: only an SCP binds them";
        Decision::Change(proposal.noting(note))
    }

    /// What a step before it needs not to touch, this one does not either.
    fn drift(&self, approved: &Prior, now: &Prior) -> Option<String> {
        let more = (now.keys && !approved.keys) || (now.certificates && !approved.certificates);
        (more || now.by_hand != approved.by_hand).then(|| "root has more than was approved to be deleted".to_owned())
    }

    async fn apply(&self, cx: &Ctx, params: &Params, items: &[Item<Prior>]) -> Result<Vec<Effect>, ActionError> {
        let mut effects = Vec::with_capacity(items.len());
        for item in items {
            if item.prior.held(params).is_empty() {
                effects.push(Effect::Null);
                continue;
            }
            let root = enter(cx).await?;
            effects.push(json!({ "deleted": delete(&root, params).await? }));
        }
        Ok(effects)
    }

    async fn undo(&self, cx: &Ctx, params: &Params, item: &Item<Prior>, _: &Effect) -> Result<(), ActionError> {
        let Summary { keys, certificates, password, mfa } = summary(&super::client(cx)).await?;
        let now = Prior { keys, certificates, password, mfa, by_hand: None };
        if now.held(params) == item.prior.held(params) {
            return Ok(());
        }
        let message = format!("what {} had is deleted for good: its owner makes new ones", item.resource);
        Err(ActionError::new(ErrorKind::WrongState, message))
    }
}

/// Why the organisation cannot do it. Asked as the caller, because only the management account and its delegates may.
async fn by_hand(cx: &Ctx) -> Result<Option<String>, ActionError> {
    if cx.target.account == cx.view.caller.account {
        return Ok(Some("nobody enters the root user of the account that quell works from".to_owned()));
    }
    let caller = crate::model::Target::global(cx.view.caller.account.clone());
    let config = Builder::from(&cx.home).retry_partition(retry::partition(&caller)).retry_classifier(retry::WhenBusy);
    let answer = Client::from_conf(config.build()).list_organizations_features().send().await;
    match answer.map_err(ActionError::from) {
        Ok(answer) => {
            let enabled: Vec<&str> = answer.enabled_features().iter().map(FeatureType::as_str).collect();
            let missing =
                ["RootCredentialsManagement", "RootSessions"].into_iter().find(|name| !enabled.contains(name));
            Ok(missing.map(|missing| format!("the organisation has not enabled {missing}")))
        }
        // An account outside every organisation, a member, an organisation for bills only: each has its own code.
        Err(error) if error.kind != ErrorKind::Throttled && error.kind != ErrorKind::Unreachable => {
            Ok(Some(format!("central root access is not to be had: {error}")))
        }
        Err(error) => Err(error),
    }
}

/// IAM as the root user of the account, for this one task.
async fn enter(cx: &Ctx) -> Result<Client, ActionError> {
    let config = aws_sdk_sts::config::Builder::from(&cx.home)
        .retry_partition(retry::partition(&cx.target))
        .retry_classifier(retry::WhenBusy);
    let task = format!("arn:{}:iam::aws:policy/root-task/IAMDeleteRootUserCredentials", cx.view.caller.partition());
    let request = aws_sdk_sts::Client::from_conf(config.build()).assume_root();
    let request = request.target_principal(cx.target.account.as_str()).duration_seconds(900);
    let answer = request.task_policy_arn(PolicyDescriptorType::builder().arn(task).build()).send().await?;
    let given = answer.credentials.ok_or_else(|| {
        ActionError::new(ErrorKind::Unsupported, format!("sts:AssumeRoot of {} gave no credentials", cx.target.account))
    })?;
    let (key, secret, token) = (given.access_key_id, given.secret_access_key, given.session_token);
    let credentials = Credentials::new(key, secret, Some(token), given.expiration.try_into().ok(), "sts:AssumeRoot");
    let config = Builder::from(&cx.sdk).credentials_provider(credentials);
    let config = config.retry_partition(retry::partition(&cx.target)).retry_classifier(retry::WhenBusy);
    Ok(Client::from_conf(config.build()))
}

/// Deletes what is there, and names it. Without a user's name each call is about whoever makes it.
async fn delete(root: &Client, params: &Params) -> Result<Vec<String>, ActionError> {
    let mut deleted = Vec::new();
    for key in root.list_access_keys().send().await?.access_key_metadata {
        let Some(id) = key.access_key_id else { continue };
        if_any(root.delete_access_key().access_key_id(&id).send().await.map_err(ActionError::from))?;
        deleted.push(id);
    }
    for certificate in root.list_signing_certificates().send().await?.certificates {
        let id = certificate.certificate_id;
        if_any(root.delete_signing_certificate().certificate_id(&id).send().await.map_err(ActionError::from))?;
        deleted.push(id);
    }
    if params.also.contains(&Also::Password)
        && if_any(root.delete_login_profile().send().await.map_err(ActionError::from))?.is_some()
    {
        deleted.push("password".to_owned());
    }
    if params.also.contains(&Also::MfaDevices) {
        for device in root.list_mfa_devices().send().await?.mfa_devices {
            let serial = device.serial_number;
            if_any(root.deactivate_mfa_device().serial_number(&serial).send().await.map_err(ActionError::from))?;
            deleted.push(serial);
        }
    }
    Ok(deleted)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::actions::tests::view;
    use crate::model::ResourceId;

    fn plan(prior: Prior, also: Vec<Also>) -> Decision {
        let root = ResourceId::new("arn:aws:iam::444455556666:root").unwrap();
        let found = Found { member: root.clone(), resource: root, prior };
        DeleteRootCredentials.plan(&view(), &Params { also }, &found)
    }

    fn prior(by_hand: Option<&str>) -> Prior {
        let by_hand = by_hand.map(str::to_owned);
        Prior { keys: true, certificates: false, password: true, mfa: false, by_hand }
    }

    #[test]
    fn only_what_is_asked_for_goes_and_nothing_comes_back() {
        let Decision::Change(proposal) = plan(prior(None), Vec::new()) else { panic!("no change") };
        assert_eq!(proposal.summary, "delete the access keys of the root user of 444455556666");
        assert_eq!(proposal.undo.how, None);
        let Decision::Change(proposal) = plan(prior(None), vec![Also::Password]) else { panic!("no change") };
        assert_eq!(proposal.before, "root has access keys, password");
        assert_eq!(plan(Prior { keys: false, ..prior(None) }, Vec::new()), Decision::Already);
    }

    #[test]
    fn where_the_organisation_cannot_a_person_is_given_the_steps() {
        let Decision::ByHand(work) = plan(prior(Some("it is not enabled")), Vec::new()) else { panic!("not by hand") };
        assert!(work.what.contains("access keys") && work.what.contains("it is not enabled"), "{}", work.what);
        assert!(work.steps.iter().any(|step| step.contains("Security credentials")), "{:?}", work.steps);
    }
}
