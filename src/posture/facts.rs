//! What a capture says, account by account.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::evidence::resources::at;
use crate::evidence::{Captured, EvidenceError, Gap, Store};
use crate::model::{AccountId, Region};

/// What is asked to learn which regions an account has enabled. A session asks it before anything else.
const REGIONS: [&str; 2] = ["account:ListRegions", "ec2:DescribeRegions"];
/// Gaps that stand for whatever would have been asked there.
const ALL: [&str; 3] = ["the account", "the region", "everything"];

/// An answer of AWS.
#[derive(Debug, Clone)]
pub struct Answer {
    /// `ec2:DescribeInstances`.
    pub api: String,
    /// What was asked for.
    pub parameters: Map<String, Value>,
    /// The account.
    pub account: AccountId,
    /// The region that answered.
    pub region: Region,
    /// What it said.
    pub said: Value,
}

impl Answer {
    /// The texts of the parameters, S3's path among them.
    pub fn names(&self, text: &str) -> bool {
        self.parameters.values().any(|value| value.as_str().is_some_and(|value| value.trim_matches('/') == text))
    }
}

/// What a capture says.
#[derive(Debug)]
pub struct Facts {
    /// When it began: what is "90 days old" is so by then.
    pub at: Timestamp,
    accounts: Vec<AccountId>,
    answers: Vec<Answer>,
    gaps: Vec<Gap>,
    /// The questions to which AWS's answer was that there is no such thing.
    absent: BTreeSet<String>,
    /// Whether it came to its end: only then something that is absent was asked for.
    ended: bool,
}

/// That something is not known, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    /// Where, if in one region.
    pub region: Option<Region>,
    /// Why.
    pub why: String,
}

impl Facts {
    /// Reads a capture out of its store. Events and what machines print are left out: no check reads them.
    ///
    /// # Errors
    /// When an answer is missing or was changed.
    pub fn read(store: &Store, captured: &Captured) -> Result<Self, EvidenceError> {
        let needs = super::needs();
        let mut accounts: BTreeSet<AccountId> = captured.header.accounts.iter().cloned().collect();
        let mut answers = Vec::new();
        for item in captured.items() {
            accounts.insert(item.account.clone());
            if needs.contains(item.api.as_str()) || REGIONS.contains(&item.api.as_str()) {
                answers.push(Answer {
                    api: item.api.clone(),
                    parameters: item.parameters.clone(),
                    account: item.account.clone(),
                    region: item.region.clone(),
                    said: store.answer(&item.sha256)?,
                });
            }
        }
        let gaps: Vec<Gap> = captured.gaps().cloned().collect();
        accounts.extend(gaps.iter().map(|gap| gap.account.clone()));
        let of_caller_alone = |account: &AccountId| {
            let own = answers.iter().filter(|answer| answer.account == *account);
            let mut apis = own.map(|answer| answer.api.split(':').next().unwrap_or_default());
            // A caller who looks into other accounts answers for its organisation, not for its own account.
            apis.all(|service| service == "organizations") && !gaps.iter().any(|gap| gap.account == *account)
        };
        accounts.retain(|account| !of_caller_alone(account));
        let (at, ended) = (captured.header.began, captured.ended().is_some());
        let absent = captured.absent().map(|absent| absent.what.clone()).collect();
        Ok(Self { at, accounts: accounts.into_iter().collect(), answers, gaps, absent, ended })
    }

    /// Of an account of which nothing was captured.
    pub fn nothing(account: AccountId, at: Timestamp) -> Self {
        Self {
            at,
            accounts: vec![account],
            answers: Vec::new(),
            gaps: Vec::new(),
            absent: BTreeSet::new(),
            ended: true,
        }
    }

    /// The accounts, in order.
    pub fn accounts(&self) -> &[AccountId] {
        &self.accounts
    }

    /// What it says of one account.
    pub fn of<'f>(&'f self, account: &'f AccountId) -> View<'f> {
        View { facts: self, account }
    }

    /// Whether AWS's answer to a question was that there is no such thing.
    pub(super) fn is_absent(&self, api: &str) -> bool {
        self.absent.contains(api)
    }

    /// The answers to a question about the organisation, which one account of it gives for all.
    pub(super) fn of_organization(&self, api: &str) -> Result<Vec<&Answer>, Missing> {
        let answers: Vec<&Answer> = self.answers.iter().filter(|answer| answer.api == api).collect();
        let gap = self.gaps.iter().find(|gap| gap.what == api);
        match (answers.is_empty(), gap) {
            (_, Some(gap)) => Err(Missing { region: None, why: format!("{api}: {}", gap.why) }),
            (true, None) => Err(Missing { region: None, why: format!("{api} was not captured") }),
            (false, None) => Ok(answers),
        }
    }
}

/// What a capture says of one account.
#[derive(Debug, Clone, Copy)]
pub struct View<'f> {
    facts: &'f Facts,
    account: &'f AccountId,
}

impl<'f> View<'f> {
    /// The account.
    pub fn account(&self) -> &'f AccountId {
        self.account
    }

    /// All that was captured.
    pub(super) fn facts(&self) -> &'f Facts {
        self.facts
    }

    /// The regions that the account has enabled.
    pub(super) fn regions(&self) -> Result<Vec<Region>, Missing> {
        Ok(self
            .listed_regions()?
            .into_iter()
            .filter(|(_, status)| is_enabled(status))
            .map(|(region, _)| region)
            .collect())
    }

    /// The regions with their states, as AWS spells them.
    pub(super) fn listed_regions(&self) -> Result<Vec<(Region, &'f str)>, Missing> {
        let mut listed = Vec::new();
        for answer in self.answers().filter(|answer| REGIONS.contains(&answer.api.as_str())) {
            let (path, name, status) = match answer.api.as_str() {
                "account:ListRegions" => (["Regions", "*"], "RegionName", "RegionOptStatus"),
                _ => (["regionInfo", "*"], "regionName", "optInStatus"),
            };
            for region in at(&answer.said, &path) {
                let name = region[name].as_str().and_then(|name| Region::new(name).ok());
                listed.extend(name.zip(region[status].as_str()));
            }
        }
        listed.sort();
        listed.dedup_by(|a, b| a.0 == b.0);
        if listed.is_empty() {
            return Err(missing("which regions are enabled was not captured"));
        }
        Ok(listed)
    }

    /// The answers to a question that the account answers once, page by page.
    pub(super) fn all(&self, api: &str) -> Result<Vec<&'f Answer>, Missing> {
        self.found(api, None)
    }

    /// The only answer.
    pub(super) fn one(&self, api: &str) -> Result<&'f Value, Missing> {
        self.all(api)?.first().map(|answer| &answer.said).ok_or_else(|| missing(&format!("{api} was not captured")))
    }

    /// The answers of one region, page by page.
    pub(super) fn all_in(&self, region: &Region, api: &str) -> Result<Vec<&'f Answer>, Missing> {
        self.found(api, Some(region))
    }

    /// The only answer of a region.
    pub(super) fn one_in(&self, region: &Region, api: &str) -> Result<&'f Value, Missing> {
        let answers = self.all_in(region, api)?;
        let missing = || Missing { region: Some(region.clone()), why: format!("{api} was not captured") };
        answers.first().map(|answer| &answer.said).ok_or_else(missing)
    }

    /// Every item of a list that the account answers once.
    pub(super) fn list(&self, api: &str, path: &[&str]) -> Result<Vec<&'f Value>, Missing> {
        Ok(self.all(api)?.into_iter().flat_map(|answer| at(&answer.said, path)).collect())
    }

    /// Every item of a list of a region.
    pub(super) fn list_in(&self, region: &Region, api: &str, path: &[&str]) -> Result<Vec<&'f Value>, Missing> {
        Ok(self.all_in(region, api)?.into_iter().flat_map(|answer| at(&answer.said, path)).collect())
    }

    /// The answers to a question to which AWS's answer may be that there is no such thing, which leaves no trace. It was
    /// asked if what is asked beside it was answered, and nothing is noted as lacking.
    pub(super) fn perhaps(&self, api: &str, beside: &str) -> Result<Vec<&'f Answer>, Missing> {
        if let Some(gap) = self.gap(api, None) {
            return Err(gap);
        }
        let answers: Vec<&Answer> = self.answers().filter(|answer| answer.api == api).collect();
        let was_asked = self.facts.ended && self.answers().any(|answer| answer.api == beside);
        if answers.is_empty() && !was_asked {
            return Err(missing(&format!("{api} was not captured")));
        }
        Ok(answers)
    }

    /// The account of the organisation that pays, if the capture says.
    pub(super) fn payer(&self) -> Option<View<'f>> {
        let organization =
            self.facts.answers.iter().find(|answer| answer.api == "organizations:DescribeOrganization")?;
        let id = organization.said["Organization"]["MasterAccountId"].as_str()?;
        let account = self.facts.answers.iter().map(|answer| &answer.account).find(|account| account.as_str() == id)?;
        Some(View { facts: self.facts, account })
    }

    fn found(&self, api: &str, region: Option<&Region>) -> Result<Vec<&'f Answer>, Missing> {
        if let Some(gap) = self.gap(api, region) {
            return Err(gap);
        }
        let here = |answer: &&Answer| answer.api == api && region.is_none_or(|region| answer.region == *region);
        let answers: Vec<&Answer> = self.answers().filter(here).collect();
        if answers.is_empty() {
            return Err(Missing { region: region.cloned(), why: format!("{api} was not captured") });
        }
        Ok(answers)
    }

    /// A gap where a question was to be asked.
    fn gap(&self, api: &str, region: Option<&Region>) -> Option<Missing> {
        let of_account = self.facts.gaps.iter().filter(|gap| gap.account == *self.account);
        let mut here = of_account.filter(|gap| match region {
            Some(region) => gap.region == *region || gap.what == "the account",
            // What the account answers once is asked of it as a whole; but S3 answers from the region of a bucket.
            None => gap.region.is_global() || gap.what == api,
        });
        let gap = here.find(|gap| gap.what == api || ALL.contains(&gap.what.as_str()))?;
        Some(Missing { region: region.cloned(), why: format!("{api}: {}", gap.why) })
    }

    fn answers(&self) -> impl Iterator<Item = &'f Answer> {
        self.facts.answers.iter().filter(|answer| answer.account == *self.account)
    }
}

fn missing(why: &str) -> Missing {
    Missing { region: None, why: why.to_owned() }
}

fn is_enabled(status: &str) -> bool {
    matches!(status, "ENABLED" | "ENABLED_BY_DEFAULT" | "ENABLING" | "opted-in" | "opt-in-not-required")
}
