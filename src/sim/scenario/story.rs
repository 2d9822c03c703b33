//! The form of a scenario file.

use std::collections::BTreeMap;
use std::net::IpAddr;

use indexmap::IndexMap;
use jiff::SignedDuration;
use serde::Deserialize;
use serde_json::Value;

use super::Part;
use super::moment::Moment;
use crate::model::{AccountId, Region, Span};
use crate::sim::adversary::Begins;
use crate::sim::world::Settings;

/// A scenario: who there is, what each has, and what happened.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Story {
    /// The version of the form: 1.
    pub scenario: u32,
    /// Its name.
    pub name: String,
    /// One line.
    pub title: String,
    /// What the clock shows when the drill begins. The story's day is the last on which that time has come.
    pub begins: Moment,
    /// The regions that there are; all of AWS's when missing.
    #[serde(default)]
    pub regions: Vec<Region>,
    /// How long things take, where it is not as usual.
    #[serde(default)]
    pub settings: Timing,
    /// The accounts, by the name that the rest of the file calls them.
    pub accounts: IndexMap<String, AccountStory>,
    /// The organisation.
    pub organization: Option<OrganizationStory>,
    /// Calls that were made on the way there, each through the simulated AWS at its time.
    #[serde(default)]
    pub deeds: Vec<DeedStory>,
    /// The intruder, if it fights back.
    pub adversary: Option<AdversaryStory>,
    /// Whose credentials are handed out, by role in the drill: `responder`, `attacker`.
    pub credentials: BTreeMap<String, KeyOf>,
    /// What the drill knows of the truth.
    pub facts: FactsStory,
}

/// [`Settings`] in the spelling of a scenario (`40s`).
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Timing {
    start: Option<Span>,
    stop: Option<Span>,
    terminate: Option<Span>,
    snapshot_per_gib: Option<Span>,
    image: Option<Span>,
    iam_propagation: Option<Span>,
    organizations_propagation: Option<Span>,
    event_history: Option<bool>,
    empty_first_pages: Option<bool>,
}

impl Timing {
    /// The usual times, with these in their place.
    pub fn settings(self) -> Settings {
        let usual = Settings::default();
        let or = |span: Option<Span>, usual: SignedDuration| span.map_or(usual, |span| span.0);
        Settings {
            start: or(self.start, usual.start),
            stop: or(self.stop, usual.stop),
            terminate: or(self.terminate, usual.terminate),
            snapshot_per_gib: or(self.snapshot_per_gib, usual.snapshot_per_gib),
            image: or(self.image, usual.image),
            iam_propagation: or(self.iam_propagation, usual.iam_propagation),
            organizations_propagation: or(self.organizations_propagation, usual.organizations_propagation),
            event_history: self.event_history.unwrap_or(usual.event_history),
            empty_first_pages: self.empty_first_pages.unwrap_or(usual.empty_first_pages),
        }
    }
}

/// An account.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccountStory {
    /// Its number; of several alike, that of the first.
    pub id: AccountId,
    /// How many there are alike: `NAME-1`, `NAME-2`, … with consecutive numbers.
    pub count: Option<u32>,
    /// The opt-in regions that it has enabled.
    #[serde(default)]
    pub opted_in: Vec<Region>,
    /// Its users.
    #[serde(default)]
    pub users: Vec<UserStory>,
    /// Its roles.
    #[serde(default)]
    pub roles: Vec<RoleStory>,
    /// Images that were copied to every region in which machines of the account were launched from them.
    #[serde(default)]
    pub images: BTreeMap<String, ImageStory>,
    /// Its machines.
    #[serde(default)]
    pub machines: Vec<MachinesStory>,
}

/// A user.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UserStory {
    /// The name.
    pub name: String,
    /// The path: `/` when missing.
    #[serde(default = "slash")]
    pub path: String,
    /// When it was made.
    pub created: Moment,
    /// When its password was set, if it has one.
    pub password: Option<Moment>,
    /// When it last signed in to the console.
    pub signed_in: Option<SignIn>,
    /// Names of AWS's managed policies.
    #[serde(default)]
    pub managed: Vec<String>,
    /// Inline policies, by name.
    #[serde(default)]
    pub inline: BTreeMap<String, Value>,
    /// Access keys, by the name that the rest of the file calls them.
    #[serde(default)]
    pub keys: IndexMap<String, KeyStory>,
    /// What the event history says that was done to it on the way there.
    #[serde(default)]
    pub events: Vec<EventStory>,
}

fn slash() -> String {
    "/".to_owned()
}

/// A sign-in to the console.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignIn {
    /// When.
    pub at: Moment,
    /// The address that it came from, where it is not the usual one.
    pub address: Option<IpAddr>,
}

/// An access key.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyStory {
    /// When it was made.
    pub created: Moment,
}

/// A role.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RoleStory {
    /// The name.
    pub name: String,
    /// The path: `/` when missing.
    #[serde(default = "slash")]
    pub path: String,
    /// When it was made.
    pub created: Moment,
    /// The trust policy. `${account.NAME}` stands for an account's number.
    pub trust: Value,
    /// The longest session.
    pub max_session: Option<Span>,
    /// Names of AWS's managed policies.
    #[serde(default)]
    pub managed: Vec<String>,
    /// Inline policies, by name.
    #[serde(default)]
    pub inline: BTreeMap<String, Value>,
}

/// A key of a user: `account/user/key`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct KeyOf {
    /// The account.
    pub account: String,
    /// The user.
    pub user: String,
    /// The key.
    pub key: String,
}

impl TryFrom<String> for KeyOf {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match text.split('/').collect::<Vec<_>>()[..] {
            [account, user, key] => Ok(Self { account: account.into(), user: user.into(), key: key.into() }),
            _ => Err(format!("`{text}` is no key (account/user/key)")),
        }
    }
}

/// An entry of the event history, beside those that images and machines leave by themselves.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EventStory {
    /// When.
    pub at: Moment,
    /// The operation of IAM.
    pub name: String,
    /// The key that signed it.
    pub by: KeyOf,
    /// `requestParameters`.
    #[serde(default)]
    pub request: Value,
    /// The key that it made, if it made one: it stands in `responseElements`.
    pub made: Option<String>,
    /// The address that it came from, where it is not the usual one.
    pub address: Option<IpAddr>,
}

/// An image.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImageStory {
    /// Its name.
    pub name: String,
    /// `windows` or none.
    pub platform: Option<String>,
    /// When it was copied to the first region; the others follow, half a minute apart.
    pub copied: Moment,
    /// The key that copied it, if the event history is to show it.
    pub by: Option<KeyOf>,
    /// The address that it was copied from, where it is not the usual one.
    pub address: Option<IpAddr>,
    /// The size of its root volume, in GiB.
    pub gib: u32,
}

/// Machines alike.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MachinesStory {
    /// What the facts call them.
    pub group: String,
    /// How many, over all regions.
    pub count: usize,
    /// Where: every enabled region when missing. Each gets one before any gets a second.
    #[serde(default)]
    pub regions: Vec<Region>,
    /// Their types, in turn by the seed.
    pub types: Vec<String>,
    /// The image, by its name in this file.
    pub image: String,
    /// When the first was launched.
    pub from: Moment,
    /// When the last was launched.
    pub until: Moment,
    /// The key that launched them, if the event history is to show it.
    pub by: Option<KeyOf>,
    /// The address that they were launched from, where it is not the usual one.
    pub address: Option<IpAddr>,
    /// Tags; of several values the seed picks one. `{n}` is the machine's number.
    #[serde(default)]
    pub tags: BTreeMap<String, OneOf>,
    /// What they are locked against.
    #[serde(default)]
    pub protect: Vec<Protection>,
    /// The share of machines with a second volume.
    #[serde(default)]
    pub second_volume: f64,
    /// The size of the second volume, in GiB.
    #[serde(default = "hundred")]
    pub second_gib: u32,
}

fn hundred() -> u32 {
    100
}

/// A value, or several to choose from.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub enum OneOf {
    /// This.
    One(String),
    /// One of these.
    Several(Vec<String>),
}

/// What machines are locked against.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Protection {
    /// `DisableApiStop`.
    Stop,
    /// `DisableApiTermination`.
    Termination,
}

/// A call that was made.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeedStory {
    /// When.
    pub at: Moment,
    /// With which key.
    pub by: KeyOf,
    /// Where.
    pub region: Place,
    /// `ec2:RunInstances`.
    pub call: String,
    /// Its parameters, by the names of the wire; for S3 `Bucket`, `Headers` and `Body`, a text. `${image.NAME}` stands for the id that the image has in the region,
    /// `${subnet}` for a default subnet.
    #[serde(default)]
    pub with: Value,
}

/// Where a call was made.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(from = "String")]
pub enum Place {
    /// In one region.
    In(String),
    /// In every region that the account has enabled: `enabled`.
    Enabled,
}

impl From<String> for Place {
    fn from(text: String) -> Self {
        if text == "enabled" { Self::Enabled } else { Self::In(text) }
    }
}

/// An intruder that fights back.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AdversaryStory {
    /// When it begins.
    pub begins: Begins,
    /// How long it waits between two rounds.
    pub every: Span,
    /// The keys that it holds.
    pub keys: Vec<KeyOf>,
    /// ARNs of the roles that it enters.
    #[serde(default)]
    pub roles: Vec<String>,
}

/// An organisation.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OrganizationStory {
    /// The management account, by its name in this file.
    pub management: String,
    /// When it was founded, and its accounts joined.
    pub founded: Moment,
    /// The accounts that are delegated administrators.
    #[serde(default)]
    pub delegated: Vec<String>,
    /// The region in which it has IAM Identity Center, if it has.
    #[serde(default)]
    pub identity_center: Option<Region>,
    /// Organisational units below the root, with their accounts; the name of accounts alike stands for all of them.
    pub units: IndexMap<String, Vec<String>>,
}

/// What the drill knows of the truth.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FactsStory {
    /// The key that leaked.
    pub leaked_key: KeyOf,
    /// From when on the intruder's machines were launched.
    pub since: Moment,
    /// The user whose key leaked.
    pub compromised_user: String,
    /// The user that the intruder took over beside.
    pub framed_user: Option<String>,
    /// The parts of users where they are others than the two above tell.
    #[serde(default)]
    pub parts: BTreeMap<String, Part>,
    /// The account that was broken into, by its name in this file; the first of several.
    pub breached_account: String,
    /// Where to look for more, as a runbook's input `accounts` is given it: `organization`.
    pub accounts: Option<String>,
}

impl FactsStory {
    /// The part that each user had; who is not named had none.
    pub fn parts(&self) -> BTreeMap<String, Part> {
        let mut parts = BTreeMap::from([(self.compromised_user.clone(), Part::Compromised)]);
        parts.extend(self.framed_user.iter().map(|user| (user.clone(), Part::Framed)));
        parts.extend(self.parts.clone());
        parts
    }
}
