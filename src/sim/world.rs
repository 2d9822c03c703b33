//! The whole simulated AWS, as data.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::call::Principal;
use super::documents::Documents;
use super::{
    amplify, apprunner, autoscaling, batch, cloudtrail, codebuild, config, costs, ec2, ecs, emr, glue, guardduty, iam,
    identity_center, lambda, lightsail, organizations, rolesanywhere, s3, sagemaker,
};
use crate::model::{AccountId, Region};

/// The whole simulated AWS. Serialises to stable JSON, without secrets: the answer of `GET /_sim/world`.
#[derive(Debug, Clone, Serialize)]
pub struct World {
    /// `aws`.
    pub partition: String,
    /// The accounts.
    pub accounts: BTreeMap<AccountId, Account>,
    /// The organisation, if there is one.
    pub organization: Option<organizations::Organization>,
    /// IAM Identity Center, if the organisation has switched it on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub identity_center: Option<identity_center::IdentityCenter>,
    /// Codes of MFA devices that were used, with the device: none is taken twice.
    #[serde(skip)]
    pub used_codes: std::collections::BTreeSet<(String, String)>,
    /// Temporary credentials, by access key id (`ASIA…`). Looking around makes some, so they are no part of a dump.
    #[serde(skip)]
    pub sessions: BTreeMap<String, Session>,
    /// How long timed things take.
    pub settings: Settings,
    /// Where ids and secrets come from.
    #[serde(skip)]
    pub rng: Rng,
    /// Policies that were read before.
    #[serde(skip)]
    pub documents: Documents,
}

/// An account.
#[derive(Debug, Clone, Serialize)]
pub struct Account {
    /// Its number.
    pub id: AccountId,
    /// Its name.
    pub name: String,
    /// Users, roles, policies, long-term keys.
    pub iam: iam::Iam,
    /// Buckets.
    pub s3: s3::S3,
    /// What watches its costs.
    pub costs: costs::Costs,
    /// Every region of the partition, enabled or not.
    pub regions: BTreeMap<Region, RegionState>,
}

/// What an account has in one region.
#[derive(Debug, Clone, Serialize)]
pub struct RegionState {
    /// Whether the account can work there.
    pub opt_in: OptIn,
    /// Instances, volumes, snapshots, networks.
    pub ec2: ec2::Ec2,
    /// Auto Scaling groups.
    pub autoscaling: autoscaling::AutoScaling,
    /// Batch queues, compute environments and jobs.
    pub batch: batch::Batch,
    /// Amplify apps.
    pub amplify: amplify::Amplify,
    /// App Runner services.
    pub apprunner: apprunner::AppRunner,
    /// CodeBuild projects, builds and fleets.
    pub codebuild: codebuild::CodeBuild,
    /// Glue's jobs, triggers and sessions.
    pub glue: glue::Glue,
    /// Clusters, services and tasks of Amazon ECS.
    pub ecs: ecs::Ecs,
    /// Trust anchors and profiles of IAM Roles Anywhere.
    pub rolesanywhere: rolesanywhere::RolesAnywhere,
    /// Functions of AWS Lambda.
    pub lambda: lambda::Lambda,
    /// What computes in Amazon SageMaker AI.
    pub sagemaker: sagemaker::SageMaker,
    /// EMR clusters.
    pub emr: emr::Emr,
    /// Lightsail instances and container services.
    pub lightsail: lightsail::Lightsail,
    /// Trails and event history.
    pub cloudtrail: cloudtrail::CloudTrail,
    /// The recorder of AWS Config.
    pub config: config::Config,
    /// The detector of Amazon GuardDuty.
    pub guardduty: guardduty::GuardDuty,
}

/// Whether a region is enabled, as `ec2:DescribeRegions` spells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OptIn {
    /// A default region: always enabled.
    OptInNotRequired,
    /// Enabled by the account.
    OptedIn,
    /// Disabled.
    NotOptedIn,
}

impl OptIn {
    /// As on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OptInNotRequired => "opt-in-not-required",
            Self::OptedIn => "opted-in",
            Self::NotOptedIn => "not-opted-in",
        }
    }

    /// Whether requests are answered.
    pub fn is_enabled(self) -> bool {
        self != Self::NotOptedIn
    }
}

/// Temporary credentials, and for whom they stand.
#[derive(Debug, Clone, Serialize)]
pub struct Session {
    /// The secret access key.
    #[serde(skip)]
    pub secret: Secret,
    /// The session token.
    #[serde(skip)]
    pub token: Secret,
    /// The account in which it works.
    pub account: AccountId,
    /// The access key that it was asked for with.
    pub asked_with: String,
    /// The name of the role that was assumed.
    pub role: Option<String>,
    /// The name of the user for whom it was made (`GetSessionToken`).
    pub user: Option<String>,
    /// The session's name.
    pub name: String,
    /// The session policy.
    pub policy: Option<String>,
    /// Whether an MFA device was used for it.
    pub mfa: bool,
    /// What all that is done with it carries, and what sessions that it starts carry on.
    pub source_identity: Option<String>,
    /// When it was made.
    pub issued: Timestamp,
    /// When it ends.
    pub expires: Timestamp,
    /// Who it is.
    pub principal: Principal,
}

/// A text that is not shown.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Secret(pub String);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}

/// How long timed things take.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// From `pending` to `running`.
    pub start: SignedDuration,
    /// From `stopping` to `stopped`.
    pub stop: SignedDuration,
    /// From `shutting-down` to `terminated`.
    pub terminate: SignedDuration,
    /// From `pending` to `completed`, for each GiB of a snapshot.
    pub snapshot_per_gib: SignedDuration,
    /// Until the copy of an image is `available`.
    pub image: SignedDuration,
    /// Until a change of IAM is seen by every service: policies, keys, roles.
    pub iam_propagation: SignedDuration,
    /// Until an attached or detached service control policy is in force.
    pub organizations_propagation: SignedDuration,
    /// Whether calls are written to the event history that `LookupEvents` reads.
    pub event_history: bool,
    /// Whether the lists of Organizations begin with a page that is empty and has a successor, as AWS's may.
    pub empty_first_pages: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            start: SignedDuration::from_secs(15),
            stop: SignedDuration::from_secs(40),
            terminate: SignedDuration::from_secs(30),
            snapshot_per_gib: SignedDuration::from_millis(600),
            image: SignedDuration::from_mins(5),
            iam_propagation: SignedDuration::from_secs(4),
            organizations_propagation: SignedDuration::from_secs(8),
            event_history: true,
            empty_first_pages: false,
        }
    }
}

/// The source of everything that AWS makes up. Seeded: the same scenario, asked in the same order, gives the same ids.
#[derive(Debug, Clone)]
pub struct Rng(fastrand::Rng);

impl Rng {
    /// A source that always begins alike for the same seed.
    pub fn seeded(seed: u64) -> Self {
        Self(fastrand::Rng::with_seed(seed))
    }

    /// So many lower-case hexadecimal digits.
    pub fn hex(&mut self, digits: usize) -> String {
        self.text(b"0123456789abcdef", digits)
    }

    /// So many characters out of `alphabet`.
    pub fn text(&mut self, alphabet: &[u8], length: usize) -> String {
        (0..length).map(|_| char::from(alphabet[self.0.usize(..alphabet.len())])).collect()
    }

    /// A number below `end`, which must not be 0.
    pub fn below(&mut self, end: usize) -> usize {
        self.0.usize(..end)
    }

    /// Any number, to seed another source with.
    pub fn number(&mut self) -> u64 {
        self.0.u64(..)
    }

    /// A number from 0 up to, not including, 1.
    pub fn unit(&mut self) -> f64 {
        self.0.f64()
    }
}

const BASE32: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
const BASE64: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

impl World {
    /// A world without accounts.
    pub fn new(seed: u64) -> Self {
        Self {
            partition: "aws".to_owned(),
            accounts: BTreeMap::new(),
            organization: None,
            identity_center: None,
            used_codes: std::collections::BTreeSet::new(),
            sessions: BTreeMap::new(),
            settings: Settings::default(),
            rng: Rng::seeded(seed),
            documents: Documents::default(),
        }
    }

    /// Lets everything happen that is due by now, in every account and region.
    pub fn settle(&mut self, now: Timestamp) {
        if let Some(center) = &mut self.identity_center {
            center.settle(now);
        }
        for account in self.accounts.values_mut() {
            for region in account.regions.values_mut() {
                region.ec2.settle(now);
                region.batch.settle(&mut region.autoscaling, &mut region.ec2, now);
                region.autoscaling.settle(&mut region.ec2, now);
                region.codebuild.settle(now);
                region.glue.settle(now);
                region.ecs.settle(&region.ec2, &mut self.rng, now);
                region.lambda.settle(now);
                region.sagemaker.settle(&mut self.rng, now);
                region.emr.settle(&mut region.ec2, now);
                region.lightsail.settle(now);
            }
        }
    }

    /// A new resource id: the prefix (`i-`, `vol-`) and 17 hexadecimal digits.
    pub fn id(&mut self, prefix: &str) -> String {
        let digits = self.rng.hex(17);
        format!("{prefix}{digits}")
    }

    /// A new unique id as IAM and STS make them: the prefix (`AKIA`, `AIDA`, `AROA`, `ASIA`) and 16 further characters.
    pub fn unique_id(&mut self, prefix: &str) -> String {
        let rest = self.rng.text(BASE32, 16);
        format!("{prefix}{rest}")
    }

    /// A new secret access key: 40 characters.
    pub fn secret(&mut self) -> String {
        self.rng.text(BASE64, 40)
    }

    /// A UUID.
    pub fn uuid(&mut self) -> String {
        let digits = self.rng.hex(32);
        let parts = [&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]];
        parts.join("-")
    }

    /// Adds an account that has every region of the partition, the opt-in ones disabled.
    pub fn add_account(&mut self, id: AccountId, name: impl Into<String>) -> &mut Account {
        let regions = regions().map(|(region, opt_in)| (region, RegionState::new(opt_in))).collect();
        let account = Account {
            id: id.clone(),
            name: name.into(),
            iam: iam::Iam::default(),
            s3: s3::S3::default(),
            costs: costs::Costs::default(),
            regions,
        };
        self.accounts.entry(id).insert_entry(account).into_mut()
    }

    /// An account that is known to be there: that of a call, for example.
    ///
    /// # Panics
    /// When there is no such account.
    pub fn account(&self, account: &AccountId) -> &Account {
        &self.accounts[account]
    }

    /// As [`World::account`], to change.
    pub fn account_mut(&mut self, account: &AccountId) -> &mut Account {
        self.accounts.get_mut(account).expect("the account of an authenticated call")
    }

    /// A region of an account that are known to be there: those of a call, for example.
    ///
    /// # Panics
    /// When there is no such account or region.
    pub fn region(&self, account: &AccountId, region: &Region) -> &RegionState {
        &self.account(account).regions[region]
    }

    /// As [`World::region`], to change.
    pub fn region_mut(&mut self, account: &AccountId, region: &Region) -> &mut RegionState {
        self.account_mut(account).regions.get_mut(region).expect("the region of an authenticated call")
    }
}

impl RegionState {
    /// An empty region.
    pub fn new(opt_in: OptIn) -> Self {
        Self {
            opt_in,
            ec2: ec2::Ec2::default(),
            autoscaling: autoscaling::AutoScaling::default(),
            batch: batch::Batch::default(),
            amplify: amplify::Amplify::default(),
            apprunner: apprunner::AppRunner::default(),
            codebuild: codebuild::CodeBuild::default(),
            glue: glue::Glue::default(),
            ecs: ecs::Ecs::default(),
            rolesanywhere: rolesanywhere::RolesAnywhere::default(),
            lambda: lambda::Lambda::default(),
            sagemaker: sagemaker::SageMaker::default(),
            emr: emr::Emr::default(),
            lightsail: lightsail::Lightsail::default(),
            cloudtrail: cloudtrail::CloudTrail::default(),
            config: config::Config::default(),
            guardduty: guardduty::GuardDuty::default(),
        }
    }
}

/// Regions that are disabled until an account enables them (the same source).
pub const OPT_IN_REGIONS: [&str; 17] = [
    "af-south-1",
    "ap-east-1",
    "ap-east-2",
    "ap-south-2",
    "ap-southeast-3",
    "ap-southeast-4",
    "ap-southeast-5",
    "ap-southeast-6",
    "ap-southeast-7",
    "ca-west-1",
    "eu-central-2",
    "eu-south-1",
    "eu-south-2",
    "il-central-1",
    "me-central-1",
    "me-south-1",
    "mx-central-1",
];

/// Every region of the partition, as a new account has it.
pub fn regions() -> impl Iterator<Item = (Region, OptIn)> {
    let default = Region::DEFAULT.into_iter().map(|name| (name, OptIn::OptInNotRequired));
    let opt_in = OPT_IN_REGIONS.into_iter().map(|name| (name, OptIn::NotOptedIn));
    default.chain(opt_in).map(|(name, opt_in)| (Region::new(name).expect("a name of the table"), opt_in))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_ids() {
        let (mut one, mut other) = (World::new(7), World::new(7));
        assert_eq!(one.id("i-"), other.id("i-"));
        assert_ne!(one.id("i-"), World::new(8).id("i-"));
        assert_eq!(one.unique_id("AKIA").len(), 20);
        assert_eq!(one.uuid().len(), 36);
    }

    #[test]
    fn a_new_account_has_seventeen_enabled_regions_of_thirty_four() {
        let mut world = World::new(1);
        let account = world.add_account(AccountId::new("111122223333").unwrap(), "development");
        assert_eq!(account.regions.len(), 34);
        assert_eq!(account.regions.values().filter(|region| region.opt_in.is_enabled()).count(), 17);
    }

    #[test]
    fn secrets_are_not_shown() {
        assert_eq!(format!("{:?}", Secret("wJalr".into())), "***");
    }
}
