//! A dated fact.

use jiff::Timestamp;
use serde::Serialize;

use crate::model::{AccountId, Digest, Region};

/// Something that happened, with what says so.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Fact {
    /// When; of a span its end. UTC, as all times of AWS.
    pub time: Timestamp,
    /// How exact the time is.
    pub precision: Precision,
    /// How sure it is.
    pub confidence: Confidence,
    /// The part of the incident; none for what was before it or has nothing to do with it.
    pub phase: Option<Phase>,
    /// What was done.
    pub act: Act,
    /// The same in words.
    pub message: String,
    /// The operation that told it: `iam:ListAccessKeys`.
    pub api: String,
    /// The member of the answer: `CreateDate`.
    pub field: String,
    /// The account.
    pub account: AccountId,
    /// The region, or global.
    pub region: Region,
    /// Who did it, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<By>,
    /// What it was done to.
    pub subject: Subject,
    /// The object of the evidence store; none for what quell itself did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub evidence: Option<Digest>,
    /// What has to be known to read it right.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<&'static str>,
}

/// Who did something: whose credentials were used, which is not the same as which person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct By {
    /// The ARN of the user, the role or root.
    pub principal: String,
    /// The access key, if one was used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// The address that it came from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// Whether a second factor was shown.
    pub mfa: bool,
}

/// What something was done to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Subject {
    /// `iam access key`.
    pub kind: String,
    /// Its id.
    pub id: String,
    /// The user whom a credential or a policy was given to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The image that a machine was launched from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
}

/// How sure a fact is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Confidence {
    /// It differs between two captures.
    Inferred,
    /// A date that AWS sets stands on the resource.
    Dated,
    /// CloudTrail's event history, or quell's own journal, has it.
    Recorded,
}

/// How exact a time is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "precision")]
pub enum Precision {
    /// To the second.
    Second,
    /// AWS shows it up to 15 minutes late.
    QuarterHour,
    /// To the day.
    Day,
    /// Some time after this, and before the fact's time.
    Between {
        /// The time of the earlier capture.
        after: Timestamp,
    },
}

/// The parts of an incident.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// Credentials in other hands are used, somebody signs in.
    Entry,
    /// What the later is made with: images, templates, key pairs.
    Preparation,
    /// What lets somebody come back: keys, passwords, users, policies.
    Persistence,
    /// What the incident is for: machines.
    Launch,
    /// Somebody looks around.
    Discovery,
    /// What was done against it.
    Response,
}

/// What was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Act {
    /// A user came into being.
    UserMade,
    /// A role did.
    RoleMade,
    /// A group did.
    GroupMade,
    /// A managed policy did, or a version of it.
    PolicyMade,
    /// A policy was attached to a principal, or changed there.
    PolicyChanged,
    /// A role's trust policy was changed.
    TrustChanged,
    /// An access key came into being.
    KeyMade,
    /// An access key was last used.
    KeyUsed,
    /// A password was set.
    PasswordSet,
    /// A password was used: somebody signed in.
    PasswordUsed,
    /// A second factor was added or removed.
    MfaChanged,
    /// A role was last used.
    RoleUsed,
    /// A machine was launched.
    MachineLaunched,
    /// A machine was started again.
    MachineRestarted,
    /// A machine was stopped or terminated.
    MachineStopped,
    /// An image came into being.
    ImageMade,
    /// A snapshot did.
    SnapshotMade,
    /// A volume did.
    VolumeMade,
    /// A launch template did.
    TemplateMade,
    /// A key pair did.
    KeyPairMade,
    /// Something that launches machines did: a Spot request, a fleet, an Auto Scaling group.
    LauncherMade,
    /// A network interface was attached.
    InterfaceAttached,
    /// A bucket came into being, or its policy was changed.
    BucketMade,
    /// Much more of a type of machine was used than on the days before.
    UsageJumped,
    /// `GuardDuty` noticed something.
    Found,
    /// An account joined the organisation.
    AccountJoined,
    /// Something was looked at.
    Read,
    /// Another call.
    Called,
    /// A resource is new between two captures.
    Appeared,
    /// A resource is gone between two captures.
    Disappeared,
    /// A resource differs between two captures.
    Changed,
    /// quell did something.
    Responded,
}

impl Act {
    /// As in JSON: `key-made`.
    pub fn name(self) -> String {
        serde_json::to_value(self).ok().and_then(|name| name.as_str().map(str::to_owned)).unwrap_or_default()
    }
}

impl Precision {
    /// In words.
    pub fn words(self) -> String {
        match self {
            Self::Second => "to the second".to_owned(),
            Self::QuarterHour => "shown up to 15 minutes late".to_owned(),
            Self::Day => "to the day".to_owned(),
            Self::Between { after } => format!("after {after:.0}"),
        }
    }
}

impl Confidence {
    /// As in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Inferred => "inferred",
            Self::Dated => "dated",
            Self::Recorded => "recorded",
        }
    }
}

impl Phase {
    /// As in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Entry => "entry",
            Self::Preparation => "preparation",
            Self::Persistence => "persistence",
            Self::Launch => "launch",
            Self::Discovery => "discovery",
            Self::Response => "response",
        }
    }
}
