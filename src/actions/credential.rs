//! What the actions that deactivate credentials of a user have in common: signing certificates, SSH keys, credentials of
//! single services.

use serde::{Deserialize, Serialize};

use super::principal::Principal;
use crate::engine::action::{Decision, Found, Item, Proposal, View};
use crate::model::{ActionError, ResourceId, Undo};

/// A credential that can be switched off and on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Prior {
    /// `Active`, `Inactive` or `Expired`.
    pub status: String,
    /// When it was made.
    pub created: String,
    /// What it is for, where credentials differ in that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
}

/// A credential of a member as found; `None` for one without an id.
pub(super) fn found(member: &ResourceId, id: &str, prior: Prior) -> Option<Found<Prior>> {
    Some(Found { member: member.clone(), resource: ResourceId::new(id).ok()?, prior })
}

/// What is to be done about a credential: `noun` is what it is called.
pub(super) fn deactivate(view: &View, found: &Found<Prior>, noun: &str) -> Decision {
    if found.prior.status != "Active" {
        return Decision::Already;
    }
    let user = match Principal::of(&found.member) {
        Ok(user) if user.is_caller(&found.member, view) => {
            let why = format!("{} is whom quell works as: use another principal", found.member);
            return Decision::Refuse(why);
        }
        Ok(Principal::User(name)) => name,
        _ => return Decision::Skip(format!("{} is not a user", found.member)),
    };
    let service = found.prior.service.as_ref().map(|service| format!(" for {service}")).unwrap_or_default();
    let summary = format!("deactivate the {noun} {}{service} of {user}", found.resource);
    Decision::Change(Proposal::new(summary, "Active", "Inactive", Undo::by("activate it again")))
}

/// The user's name that a request must carry: without one IAM would take the caller's.
pub(super) fn owner(item: &Item<Prior>) -> Result<&str, ActionError> {
    Principal::of(&item.member)?.user_name(&item.member)
}
