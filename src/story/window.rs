//! When the incident was, and what of it is which phase.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use super::Known;
use super::fact::{Act, By, Fact, Phase};
use super::facts::short;
use super::origins::Origins;
use super::principals::Credential;

/// So long before the given time is looked at too: it is when something was noticed, and not when it began.
const LEAD: SignedDuration = SignedDuration::from_hours(1);
/// Where nobody says since when: so long before the last capture.
const DAY: SignedDuration = SignedDuration::from_hours(24);

/// When the incident was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Window {
    /// From when on is looked.
    pub from: Timestamp,
    /// Since when it is known to have gone on.
    pub since: Timestamp,
    /// Up to the last answer.
    pub until: Timestamp,
}

impl Window {
    /// The window of what is known; `captured` is when the last capture began, `until` when its last answer came.
    pub fn of(known: &Known, captured: Timestamp, until: Option<Timestamp>) -> Self {
        let since = known.since.unwrap_or_else(|| captured - DAY);
        Self { from: since - LEAD, since, until: until.unwrap_or(captured).max(since) }
    }

    /// Whether a time is in it.
    pub fn holds(&self, time: Timestamp) -> bool {
        (self.from..=self.until).contains(&time)
    }
}

/// The regions in which machines were launched in the incident and none before: the common sign of mining. A machine that is
/// gone does not count, so that this says "unusual", and not "never".
pub fn new_regions(facts: &[Fact], window: &Window) -> BTreeSet<(String, String)> {
    let place = |fact: &Fact| (fact.account.to_string(), fact.region.to_string());
    let launches = || facts.iter().filter(|fact| fact.act == Act::MachineLaunched);
    let before: BTreeSet<_> = launches().filter(|fact| fact.time < window.from).map(place).collect();
    launches().filter(|fact| window.holds(fact.time)).map(place).filter(|place| !before.contains(place)).collect()
}

/// With which other keys machines were launched where the account had none. It may well be in order, so it is asked and not
/// judged.
pub fn unusual(facts: &[Fact], window: &Window, origins: &Origins) -> Vec<String> {
    let new_regions = new_regions(facts, window);
    let mut by_key: BTreeMap<(String, String), BTreeSet<String>> = BTreeMap::new();
    let launches = facts.iter().filter(|fact| fact.act == Act::MachineLaunched && window.holds(fact.time));
    for fact in launches.filter(|fact| !origins.is_of_intruder(fact)) {
        if let Some(By { principal, key: Some(key), .. }) = &fact.by
            && new_regions.contains(&(fact.account.to_string(), fact.region.to_string()))
        {
            by_key.entry((key.clone(), principal.clone())).or_default().insert(fact.region.to_string());
        }
    }
    let remark = |((key, principal), regions): ((String, String), BTreeSet<String>)| {
        let regions = regions.into_iter().collect::<Vec<_>>().join(", ");
        let who = short(&principal);
        format!(
            "with {key} of {who} machines were launched where the account had none ({regions}); if that was the intruder, say --leaked-key {key}"
        )
    };
    by_key.into_iter().map(remark).collect()
}

/// Gives every fact of the incident its phase.
pub fn into_phases(facts: &mut [Fact], window: &Window, origins: &Origins) {
    let new_regions = new_regions(facts, window);
    let is_rogue = |fact: &Fact| {
        fact.act == Act::MachineLaunched
            && window.holds(fact.time)
            && (new_regions.contains(&(fact.account.to_string(), fact.region.to_string()))
                || origins.is_of_intruder(fact))
    };
    let images: BTreeSet<String> =
        facts.iter().filter(|fact| is_rogue(fact)).filter_map(|fact| fact.subject.image.clone()).collect();
    // Machines of which the history has that somebody else launched them.
    let recorded = facts.iter().filter(|fact| fact.act == Act::MachineLaunched && fact.by.is_some());
    let others: BTreeSet<String> =
        recorded.filter(|fact| !is_rogue(fact)).map(|fact| fact.subject.id.clone()).collect();
    for fact in facts.iter_mut().filter(|fact| fact.phase.is_none()) {
        fact.phase = phase(fact, window, origins, (&images, &others));
    }
}

fn phase(
    fact: &Fact,
    window: &Window,
    origins: &Origins,
    (images, others): (&BTreeSet<String>, &BTreeSet<String>),
) -> Option<Phase> {
    // What the incident's machines came from was prepared, however long before.
    if fact.act == Act::ImageMade && images.contains(&fact.subject.id) {
        return Some(Phase::Preparation);
    }
    if !window.holds(fact.time) {
        return None;
    }
    Some(match fact.act {
        Act::KeyUsed if !origins.is_named(&Credential::Key(fact.subject.id.clone())) => return None,
        Act::PasswordUsed if !origins.is_doubtful(fact) => return None,
        Act::KeyUsed | Act::PasswordUsed => Phase::Entry,
        Act::ImageMade | Act::SnapshotMade | Act::TemplateMade | Act::KeyPairMade | Act::BucketMade => {
            Phase::Preparation
        }
        Act::UserMade
        | Act::RoleMade
        | Act::GroupMade
        | Act::PolicyMade
        | Act::PolicyChanged
        | Act::TrustChanged
        | Act::KeyMade
        | Act::PasswordSet
        | Act::MfaChanged => Phase::Persistence,
        Act::MachineLaunched if others.contains(&fact.subject.id) => return None,
        Act::MachineLaunched | Act::MachineRestarted | Act::LauncherMade | Act::VolumeMade | Act::InterfaceAttached => {
            Phase::Launch
        }
        Act::Read if origins.is_of_intruder(fact) => Phase::Discovery,
        Act::Called if origins.is_of_intruder(fact) => Phase::Launch,
        Act::Found | Act::UsageJumped => Phase::Launch,
        Act::Responded => Phase::Response,
        Act::Read
        | Act::Called
        | Act::RoleUsed
        | Act::MachineStopped
        | Act::AccountJoined
        | Act::Appeared
        | Act::Disappeared
        | Act::Changed => return None,
    })
}
