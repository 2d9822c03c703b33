//! Who could have done something at a time.
//!
//! Two things are needed: the power, by the policies as captured, and a credential that was there at the time and whose last
//! use does not lie before it. The second is what clears people: a key that was last used on Monday did nothing on Tuesday.

use jiff::{SignedDuration, Timestamp};

use super::facts::LAG;
use super::principals::{Credential, Held, Principal, Principals, Used};
use crate::policy::{Context, Layers, Request, Verdict, evaluate};

/// The longest session of the console: who signed in so long before may act still.
const SESSION: SignedDuration = SignedDuration::from_hours(12);

/// A sign-in and what it was for.
const SHORTLY: SignedDuration = SignedDuration::from_hours(1);

/// Somebody who could have done it.
#[derive(Debug, Clone)]
pub struct Suspect {
    /// The ARN.
    pub arn: String,
    /// With what.
    pub credential: Credential,
    /// Whether its last use says more than that it cannot be excluded: it was used for this service, at this time.
    pub coincides: bool,
    /// In words: why.
    pub why: String,
}

/// Something that was done.
#[derive(Debug, Clone, Copy)]
pub struct Deed<'a> {
    /// `iam:CreateAccessKey`.
    pub action: &'a str,
    /// An ARN.
    pub resource: &'a str,
    /// When, at the latest.
    pub at: Timestamp,
}

/// Everybody with the power and the opportunity; `except` is the credential that the deed made.
pub fn of(deed: Deed<'_>, principals: &Principals, except: &Credential) -> Vec<Suspect> {
    let able = principals.iter().filter(|known| has_power(known, deed));
    able.flat_map(|known| opportunities(known, deed.at, except)).collect()
}

/// Whether the principal's policies, as captured, allow it or may allow it. Who is not known to be unable is able.
pub fn has_power(principal: &Principal, Deed { action, resource, .. }: Deed<'_>) -> bool {
    let request = Request {
        principal: principal.arn.clone(),
        action: action.to_owned(),
        resource: resource.to_owned(),
        context: Context::of(&principal.arn),
    };
    let layers =
        Layers { identity: principal.identity.clone(), boundary: principal.boundary.clone(), ..Layers::default() };
    match evaluate(&request, &layers) {
        Verdict::Allowed | Verdict::Unknown { .. } => true,
        Verdict::ImplicitDeny { .. } => principal.unread,
        Verdict::ExplicitDeny { .. } => false,
    }
}

/// The credentials with which a principal may have acted at a time.
pub fn opportunities(principal: &Principal, at: Timestamp, except: &Credential) -> Vec<Suspect> {
    let others = principal.credentials.iter().filter(|held| held.credential != *except);
    let open = others.filter_map(|held| Some((held, opportunity(held, at)?)));
    open.map(|(held, (coincides, why))| Suspect {
        arn: principal.arn.clone(),
        credential: held.credential.clone(),
        coincides,
        why: format!("{} {why}", held.credential.words()),
    })
    .collect()
}

/// A user who signed in with the old password shortly before it was changed: most likely he changed it himself. A sign-in after
/// the change was with the new one, and may be anybody's.
pub fn with_old_password(user: &Principal, changed: Timestamp) -> Option<Suspect> {
    let credential = Credential::Password(user.arn.clone());
    let held = user.credentials.iter().find(|held| held.credential == credential)?;
    match held.used {
        Used::At(used, _) if used < changed && changed.duration_since(used) <= SHORTLY => Some(Suspect {
            arn: user.arn.clone(),
            credential,
            coincides: true,
            why: format!("signed in at {used:.0}, with the old password"),
        }),
        _ => None,
    }
}

/// Why a credential may have been used at a time; none when it was not.
fn opportunity(held: &Held, at: Timestamp) -> Option<(bool, String)> {
    if held.since.is_some_and(|since| since > at) {
        return None;
    }
    // What AWS said too early does not show the use yet.
    if held.asked.duration_since(at) < LAG {
        return Some((false, "cannot be excluded: it was asked for too soon after".to_owned()));
    }
    let reach = if matches!(held.credential, Credential::Password(_)) { SESSION + LAG } else { LAG };
    match &held.used {
        Used::Never => None,
        Used::NotKnown => Some((false, "cannot be excluded: its last use is not known".to_owned())),
        Used::At(used, _) if *used + reach < at => None,
        // Who captures uses a role, and so hides its earlier uses.
        Used::At(used, _)
            if matches!(held.credential, Credential::Sessions(_)) && held.asked.duration_since(*used) < LAG =>
        {
            Some((false, "cannot be excluded: the capture itself is its last use".to_owned()))
        }
        Used::At(used, service) => {
            let coincides = service == "iam" && used.duration_since(at).abs() <= LAG;
            let service = if service.is_empty() { String::new() } else { format!(" for {service}") };
            Some((coincides, format!("was last used at {used:.0}{service}")))
        }
    }
}
