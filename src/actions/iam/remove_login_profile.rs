//! `iam.remove-login-profile`

use aws_sdk_iam::Client;
use futures::future::try_join_all;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::if_any;
use crate::actions::field::time;
use crate::actions::principal::Principal;
use crate::engine::action::{Action, Ctx, Decision, Found, Item, Proposal, View};
use crate::model::{ActionError, Effect, ErrorKind, Resource, ResourceId, Tier, Undo};

/// Removes the console passwords of users.
pub struct RemoveLoginProfile;

/// The action has no parameters.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {}

/// A console password.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Prior {
    /// When it was created; `None` where the user has none.
    pub created: Option<String>,
}

impl Action for RemoveLoginProfile {
    type Params = Params;
    type Prior = Prior;

    const NAME: &'static str = "iam.remove-login-profile";
    const TIER: Tier = Tier::Disruptive;
    const KINDS: &'static [&'static str] = &["iam.user"];
    const TITLE: &'static str = "Remove the console passwords of users";
    const DESCRIPTION: &'static str = "Deletes the login profile, so that the user cannot sign in to the console. A console \
        session that is open goes on: deny the user as well.\n\nAWS pages: *DeleteLoginProfile*, \
        *Disabling permissions for temporary security credentials*.";
    const UNDO: &'static str =
        "Not possible: AWS does not give passwords out. The owner gets a new one from an administrator.";
    const PERMISSIONS: &'static [&'static str] = &["iam:GetLoginProfile", "iam:DeleteLoginProfile"];
    const UNDO_PERMISSIONS: &'static [&'static str] = &[];
    const EXAMPLE: &'static str = "{ id: password, uses: iam.remove-login-profile, on: intruder }";

    async fn discover(&self, cx: &Ctx, _: &Params, members: &[Resource]) -> Result<Vec<Found<Prior>>, ActionError> {
        let client = super::client(cx);
        try_join_all(members.iter().map(|member| found(&client, &member.id))).await
    }

    fn plan(&self, view: &View, _: &Params, found: &Found<Prior>) -> Decision {
        let Some(created) = &found.prior.created else { return Decision::Already };
        let arn = &found.resource;
        if Principal::of(arn).is_ok_and(|principal| principal.is_caller(arn, view)) {
            return Decision::Refuse(format!(
                "{arn} is whom quell works as: use another principal, such as the responder role"
            ));
        }
        let undo = Undo::impossible("the password: an administrator has to set a new one");
        let before = format!("a password of {created}");
        Decision::Change(Proposal::new(format!("remove the console password of {arn}"), before, "no password", undo))
    }

    async fn apply(&self, cx: &Ctx, _: &Params, items: &[Item<Prior>]) -> Result<Vec<Effect>, ActionError> {
        let client = super::client(cx);
        for item in items {
            let answer = client.delete_login_profile().user_name(name(&item.resource)?).send().await;
            if_any(answer.map_err(ActionError::from))?;
        }
        Ok(vec![Value::Null; items.len()])
    }

    async fn undo(&self, cx: &Ctx, _: &Params, item: &Item<Prior>, _: &Effect) -> Result<(), ActionError> {
        let now = found(&super::client(cx), &item.resource).await?;
        if item.prior.created.is_none() || now.prior.created.is_some() {
            return Ok(());
        }
        let message = format!("the password of {} is lost: set a new one (iam:CreateLoginProfile)", item.resource);
        Err(ActionError::new(ErrorKind::WrongState, message))
    }
}

fn name(arn: &ResourceId) -> Result<&str, ActionError> {
    match Principal::of(arn)? {
        Principal::User(name) => Ok(name),
        Principal::Role(_) => Err(ActionError::new(ErrorKind::Other, format!("{arn} is not a user"))),
    }
}

async fn found(client: &Client, arn: &ResourceId) -> Result<Found<Prior>, ActionError> {
    let answer = client.get_login_profile().user_name(name(arn)?).send().await;
    let profile = if_any(answer.map_err(ActionError::from))?.and_then(|answer| answer.login_profile);
    let created = profile.map(|profile| time(Some(profile.create_date())));
    Ok(Found { member: arn.clone(), resource: arn.clone(), prior: Prior { created } })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::actions::tests::view;

    #[test]
    fn a_password_is_lost_for_good_and_the_plan_says_so() {
        let id = ResourceId::new("arn:aws:iam::111122223333:user/eve").unwrap();
        let found = |created| Found { member: id.clone(), resource: id.clone(), prior: Prior { created } };
        let with = RemoveLoginProfile.plan(&view(), &Params {}, &found(Some("2026-11-23T14:44:00Z".into())));
        assert!(matches!(with, Decision::Change(proposal) if proposal.undo.how.is_none()));
        assert_eq!(RemoveLoginProfile.plan(&view(), &Params {}, &found(None)), Decision::Already);
    }
}
