//! Whose credentials are the intruder's: those that are said to have leaked, and what hangs together with them.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};

use super::Known;
use super::fact::{Act, By, Confidence, Fact};
use super::facts::short;
use super::principals::{Credential, Principals};
use super::suspects::{self, Deed, Suspect};
use super::window::Window;

/// A recorded call and the date that it left are at most so far apart.
const SAME: SignedDuration = SignedDuration::from_mins(1);

/// Where the credentials of the incident come from.
#[derive(Debug, Default)]
pub struct Origins {
    /// Credentials that came into being in the incident.
    made: BTreeMap<Credential, Making>,
    /// The intruder's, each with the reason.
    theirs: BTreeMap<Credential, String>,
    named: Vec<Credential>,
}

/// How a credential came into being.
#[derive(Debug, Clone)]
pub struct Making {
    /// When.
    pub at: Timestamp,
    /// The ARN of whom it belongs to.
    pub owner: String,
    /// Who made it.
    pub maker: Maker,
    /// The fact that tells it, by its place.
    pub fact: usize,
}

/// Who made a credential.
#[derive(Debug, Clone)]
pub enum Maker {
    /// The event history has it.
    Recorded(By),
    /// These could have.
    OneOf(Vec<Suspect>),
}

impl Origins {
    /// The origins of what facts tell.
    pub fn of(facts: &[Fact], principals: &Principals, known: &Known, window: &Window) -> Self {
        let named: Vec<_> = known.leaked_keys.iter().map(|key| Credential::Key(key.to_string())).collect();
        let mut origins = Self { made: making(facts, principals, window), named, ..Self::default() };
        for credential in &origins.named {
            origins.theirs.insert(credential.clone(), "it is said to have leaked".to_owned());
        }
        // Temporary credentials stand for those that they came from.
        let is_named = |by: &&By| by.key.as_ref().is_some_and(|key| origins.is_named(&Credential::Key(key.clone())));
        let sessions = facts.iter().filter_map(|fact| fact.by.as_ref()).filter(|by| is_session(by)).filter(is_named);
        let behind: Vec<Credential> = sessions.map(|by| credential(by, principals)).collect();
        for credential in behind {
            origins.theirs.insert(credential.clone(), "one of its sessions is said to be in other hands".to_owned());
            origins.named.push(credential);
        }
        origins.spread(facts, principals);
        origins
    }

    /// What is made with a credential of the intruder is the intruder's. Who made a credential of the intruder is the intruder,
    /// or made it in good faith: that it is the intruder takes the same user, or that all use of it came from the maker's
    /// address.
    fn spread(&mut self, facts: &[Fact], principals: &Principals) {
        loop {
            let mut more = Vec::new();
            for (made, making) in &self.made {
                let Maker::Recorded(by) = &making.maker else { continue };
                let maker = credential(by, principals);
                match (self.theirs.contains_key(made), self.theirs.contains_key(&maker)) {
                    (false, true) => more.push((made.clone(), format!("it was made with {}", maker.words()))),
                    (true, false) if by.principal == making.owner => {
                        more.push((maker, format!("{} was made with it, for the same user", made.words())));
                    }
                    (true, false) if only_from_there(facts, principals, made, by) => {
                        more.push((
                            maker,
                            format!("{} was made with it, and all its use came from the same address", made.words()),
                        ));
                    }
                    _ => {}
                }
            }
            if more.is_empty() {
                return;
            }
            self.theirs.extend(more);
        }
    }

    /// Why a credential is taken for the intruder's; none when it is not.
    pub fn why(&self, credential: &Credential) -> Option<&str> {
        self.theirs.get(credential).map(String::as_str)
    }

    /// Whether a responder said that it leaked.
    pub fn is_named(&self, credential: &Credential) -> bool {
        self.named.contains(credential)
    }

    /// How a credential came into being in the incident; none when it was there before.
    pub fn making(&self, credential: &Credential) -> Option<&Making> {
        self.made.get(credential)
    }

    /// The credentials of a principal that came into being in the incident.
    pub fn made_for(&self, arn: &str) -> impl Iterator<Item = (&Credential, &Making)> {
        self.made.iter().filter(move |(_, making)| making.owner == arn)
    }

    /// Every credential that came into being in the incident.
    pub fn made(&self) -> impl Iterator<Item = (&Credential, &Making)> {
        self.made.iter()
    }

    /// Whether a password that was used came into being in the incident, or is the intruder's.
    pub fn is_doubtful(&self, fact: &Fact) -> bool {
        let of_user = |credential: &Credential, owner: &str| {
            matches!(credential, Credential::Password(_)) && fact.subject.user.as_deref() == Some(short(owner))
        };
        self.made.iter().any(|(credential, making)| of_user(credential, &making.owner))
            || self
                .theirs
                .keys()
                .any(|credential| matches!(credential, Credential::Password(arn) if of_user(credential, arn)))
    }

    /// Whether a fact is recorded to be done with a credential of the intruder.
    pub fn is_of_intruder(&self, fact: &Fact) -> bool {
        let Some(by) = &fact.by else { return false };
        match &by.key {
            Some(key) if !is_session(by) => self.theirs.contains_key(&Credential::Key(key.clone())),
            _ => [Credential::Password(by.principal.clone()), Credential::Sessions(by.principal.clone())]
                .iter()
                .any(|credential| self.theirs.contains_key(credential)),
        }
    }
}

/// Whether a call was signed with temporary credentials.
fn is_session(by: &By) -> bool {
    by.key.as_ref().is_none_or(|key| !key.starts_with("AKIA"))
}

/// The credential behind a call. Temporary ones of a user come from its password, as far as the event tells.
pub fn credential(by: &By, principals: &Principals) -> Credential {
    let known = by.key.as_ref().map(|key| Credential::Key(key.clone()));
    match known {
        Some(key) if !is_session(by) || principals.owner(&key).is_some() => key,
        _ if by.principal.contains(":role/") => Credential::Sessions(by.principal.clone()),
        _ => Credential::Password(by.principal.clone()),
    }
}

/// Whether a credential was used, and from nowhere but the address that it was made from.
fn only_from_there(facts: &[Fact], principals: &Principals, made: &Credential, maker: &By) -> bool {
    let uses = facts.iter().filter_map(|fact| fact.by.as_ref()).filter(|by| credential(by, principals) == *made);
    let addresses: BTreeSet<Option<&str>> = uses.map(|by| by.address.as_deref()).collect();
    maker.address.is_some() && addresses == BTreeSet::from([maker.address.as_deref()])
}

/// The credentials that came into being in the window. What the history has goes before what a date says of the same.
fn making(facts: &[Fact], principals: &Principals, window: &Window) -> BTreeMap<Credential, Making> {
    let mut made: BTreeMap<Credential, Making> = BTreeMap::new();
    let in_window = facts.iter().enumerate().filter(|(_, fact)| window.holds(fact.time));
    for (place, fact) in in_window.filter(|(_, fact)| matches!(fact.act, Act::KeyMade | Act::PasswordSet)) {
        let Some(user) = fact.subject.user.as_deref() else { continue };
        let Some(owner) = principals.user(&fact.account, user) else { continue };
        let credential = match fact.act {
            Act::KeyMade => Credential::Key(fact.subject.id.clone()),
            _ => Credential::Password(owner.arn.clone()),
        };
        let maker = match &fact.by {
            Some(by) => Maker::Recorded(by.clone()),
            None => {
                let action = if fact.act == Act::KeyMade { "iam:CreateAccessKey" } else { "iam:UpdateLoginProfile" };
                let deed = Deed { action, resource: &owner.arn, at: fact.time };
                let mut suspects = suspects::of(deed, principals, &credential);
                suspects.extend(suspects::with_old_password(owner, deed.at).filter(|_| fact.act == Act::PasswordSet));
                Maker::OneOf(suspects)
            }
        };
        let recorded = fact.confidence == Confidence::Recorded;
        match made.get(&credential) {
            Some(Making { maker: Maker::Recorded(_), at, .. }) if *at > fact.time => {}
            // The date on the credential is that of the recorded call.
            Some(Making { maker: Maker::Recorded(_), at, .. }) if !recorded && fact.time <= *at + SAME => {}
            _ => {
                made.insert(credential, Making { at: fact.time, owner: owner.arn.clone(), maker, fact: place });
            }
        }
    }
    made
}

impl Maker {
    /// In words.
    pub fn words(&self) -> String {
        match self {
            Self::Recorded(by) => {
                let with = by.key.as_ref().map(|key| format!(" with {key}")).unwrap_or_default();
                format!("by {}{with}, as recorded", short(&by.principal))
            }
            Self::OneOf(suspects) if suspects.is_empty() => "by nobody who is known here".to_owned(),
            Self::OneOf(suspects) => {
                let mut who: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
                for suspect in suspects {
                    who.entry(short(&suspect.arn)).or_default().push(&suspect.why);
                }
                let who: Vec<String> = who.iter().map(|(who, why)| format!("{who} ({})", why.join(", "))).collect();
                format!("it could have been {}", who.join("; "))
            }
        }
    }
}
