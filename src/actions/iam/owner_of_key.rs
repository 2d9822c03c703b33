//! `iam.owner-of-key`: the user that an access key belongs to.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Map;

use super::users;
use crate::actions::principal::Principal;
use crate::engine::action::{Ctx, Source, View, Wanted};
use crate::model::{AccessKeyId, ActionError, ErrorKind, Kind, KindSpec, Resource, ResourceId};

/// Finds the owner of an access key.
pub struct OwnerOfKey;

/// Which key.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// The key: `AKIA…`.
    pub key: AccessKeyId,
}

impl Source for OwnerOfKey {
    type Params = Params;

    const NAME: &'static str = "iam.owner-of-key";
    const KIND: &'static KindSpec = &users::KIND;
    const TITLE: &'static str = "The user that an access key belongs to";
    const PERMISSIONS: &'static [&'static str] = &["iam:GetAccessKeyLastUsed", "iam:GetUser"];

    async fn list(&self, cx: &Ctx, params: &Params, wanted: &Wanted<'_>) -> Result<Vec<Resource>, ActionError> {
        let (key, account) = (&params.key, &cx.target.account);
        if key.as_str().starts_with("ASIA") {
            let message = format!(
                "{key} is temporary and has no owner that IAM could name: look for it in CloudTrail \
                 (`aws cloudtrail lookup-events --lookup-attributes AttributeKey=AccessKeyId,AttributeValue={key}`), \
                 and revoke the sessions of the role or user that it leads to"
            );
            return Err(ActionError::new(ErrorKind::NotFound, message));
        }
        let client = super::client(cx);
        let answer = client.get_access_key_last_used().access_key_id(key.as_str()).send().await;
        let owner = match answer.map_err(ActionError::from) {
            Ok(answer) => answer.user_name,
            // AWS answers AccessDenied for a key of another account, and for one that does not exist any more.
            Err(error) if matches!(error.kind, ErrorKind::NotFound | ErrorKind::Denied) => {
                let message = format!("{} ({})", nobody(key, account), error.message);
                return Err(ActionError { kind: ErrorKind::NotFound, message, ..error });
            }
            Err(error) => return Err(error),
        };
        let owner = owner.filter(|owner| !owner.is_empty());
        let owner = owner.ok_or_else(|| ActionError::new(ErrorKind::NotFound, nobody(key, account)))?;
        let is_owner = |id: &ResourceId| Principal::of(id).is_ok_and(|known| known == Principal::User(&owner));
        if let Some(known) = wanted.only_whether_it_is_there(is_owner) {
            let member = Resource {
                kind: Kind::new(users::KIND.name),
                id: known,
                target: cx.target.clone(),
                fields: Map::new(),
            };
            return Ok(vec![member]);
        }
        let user = client.get_user().user_name(&owner).send().await?.user;
        let members = user.iter().filter_map(|user| users::member(cx, user, user.tags()));
        Ok(members.collect())
    }

    fn refuse(&self, view: &View, params: &Params, members: &[Resource]) -> Option<String> {
        let key = &params.key;
        if view.caller.access_key.as_deref() == Some(key.as_str()) {
            return Some(format!("the leaked key {key} is the caller's own: use another principal"));
        }
        let owner =
            members.iter().find(|member| Principal::of(&member.id).is_ok_and(|of| of.is_caller(&member.id, view)))?;
        let who = &owner.id;
        Some(format!(
            "the caller, {who}, is the owner of the leaked key {key}: use a principal that the intruder does not hold"
        ))
    }
}

fn nobody(key: &AccessKeyId, account: &crate::model::AccountId) -> String {
    format!(
        "no user of account {account} owns the key {key}. It may be the root user's (look at the credential report, row \
         <root_account>), deleted, or another account's (`aws sts get-access-key-info --access-key-id {key}` names it: \
         then set targets.accounts)"
    )
}
