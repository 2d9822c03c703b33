//! The root user, and what its organisation may do about it (IAM User Guide, "Centrally manage root access for member
//! accounts").

use jiff::Timestamp;
use serde::Serialize;

use super::Credentials;
use crate::sim::call::{Body, Call, Refusal, Reply};
use crate::sim::organizations::Organization;
use crate::sim::wire::xml::Xml;
use crate::sim::world::World;

/// That the management account may delete the credentials of the members' root users.
pub(super) const CREDENTIALS: &str = "RootCredentialsManagement";
/// That it may enter the members as their root users, for single tasks.
pub(super) const SESSIONS: &str = "RootSessions";

/// What the root user signs in with; its access keys are among those of the account.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Root {
    /// When its password was set, if it has one.
    pub password: Option<Timestamp>,
    /// Certificates and MFA devices.
    pub credentials: Credentials,
}

/// Whether a call that names no user is about the root user.
pub(super) fn is_meant(call: &Call, user_name: Option<&String>) -> bool {
    user_name.is_none() && call.principal.arn.ends_with(":root")
}

/// Whether an account may enter the others of its organisation as their root users.
pub fn may_enter_roots(world: &World, call: &Call) -> bool {
    let features = |organization: &Organization| {
        organization.is_management(&call.account) && organization.features.contains(SESSIONS)
    };
    world.organization.as_ref().is_some_and(features)
}

/// Only the management account, here: no member is a delegated administrator of IAM.
fn of_management<'a>(world: &'a mut World, call: &Call) -> Result<&'a mut Organization, Refusal> {
    let none = || Refusal::new(404, "OrganizationNotFoundException", "The account is not in an organization.");
    let organization = world.organization.as_mut().filter(|of| of.members.contains_key(&call.account));
    let organization = organization.ok_or_else(none)?;
    if organization.is_management(&call.account) {
        return Ok(organization);
    }
    let code = "AccountNotManagementOrDelegatedAdministratorException";
    Err(Refusal::new(400, code, "The account is neither the management account nor a delegated administrator."))
}

fn shown(organization: &Organization) -> Body {
    let features = organization.features.iter().map(|feature| Xml::text("member", feature));
    Body::Xml(vec![Xml::text("OrganizationId", &organization.id), Xml::node("EnabledFeatures", features.collect())])
}

pub(super) fn features(world: &mut World, call: &Call) -> Reply {
    of_management(world, call).map(|organization| shown(organization))
}

pub(super) fn enable(world: &mut World, call: &Call, feature: &str) -> Reply {
    let organization = of_management(world, call)?;
    organization.features.insert(feature.to_owned());
    Ok(shown(organization))
}
