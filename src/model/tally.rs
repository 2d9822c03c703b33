use std::collections::BTreeSet;
use std::fmt;

use super::{ActionName, Change, Kind, StepId, Tier};

/// The changes of one step, counted: what a person is asked about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tally {
    /// The step.
    pub step: StepId,
    /// What carries it out.
    pub action: ActionName,
    /// What must be approved.
    pub tier: Tier,
    /// How many changes.
    pub changes: usize,
    /// In how many accounts.
    pub accounts: usize,
    /// In how many regions, those of the global lanes not counted.
    pub regions: usize,
    /// What is counted: the kind of the members, or nothing when each change is of something that belongs to a member.
    kind: Option<Kind>,
}

impl Tally {
    /// Counts changes by step, in the order in which the steps first appear.
    pub fn by_step<'a>(changes: impl IntoIterator<Item = &'a Change>) -> Vec<Self> {
        let mut steps: indexmap::IndexMap<(&StepId, Tier), Vec<&Change>> = indexmap::IndexMap::new();
        for change in changes {
            steps.entry((&change.step, change.tier)).or_default().push(change);
        }
        steps.into_values().map(|changes| Self::of(&changes)).collect()
    }

    fn of(changes: &[&Change]) -> Self {
        let first = changes[0];
        let accounts: BTreeSet<_> = changes.iter().map(|change| &change.target.account).collect();
        let regions: BTreeSet<_> = changes.iter().map(|change| &change.target.region).collect();
        Self {
            step: first.step.clone(),
            action: first.action.clone(),
            tier: first.tier,
            changes: changes.len(),
            accounts: accounts.len(),
            regions: regions.into_iter().filter(|region| !region.is_global()).count(),
            kind: changes.iter().all(|change| is_of_member(change)).then(|| first.kind.clone()),
        }
    }
}

/// `stop 97 instances in 17 regions`, `revoke sessions of 2 users`.
impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let action = self.action.as_str().split_once('.').map_or(self.action.as_str(), |(_, action)| action);
        let (verb, object) = action.split_once('-').unwrap_or((action, ""));
        let object = object.replace('-', " ");
        let noun = self.kind.as_ref().map(|kind| kind.0.rsplit('.').next().unwrap_or(&kind.0).replace('-', " "));
        match noun {
            Some(noun) if object.is_empty() || object.trim_end_matches('s') == noun => {
                write!(f, "{verb} {}", counted(self.changes, &noun))?;
            }
            Some(noun) if object == "all" && noun == "account" => {
                write!(f, "{verb} everything in {}", counted(self.changes, &noun))?;
            }
            // The regions are counted below.
            Some(noun) if noun == "region" => write!(f, "{verb} {object}")?,
            Some(noun) if object == "all" => write!(f, "{verb} everything to {}", counted(self.changes, &noun))?,
            Some(noun) => write!(f, "{verb} {object} of {}", counted(self.changes, &noun))?,
            None if object.is_empty() => write!(f, "{verb} {}", counted(self.changes, "resource"))?,
            None => write!(f, "{verb} {}", counted(self.changes, object.strip_suffix('s').unwrap_or(&object)))?,
        }
        if self.regions > 0 {
            write!(f, " in {}", counted(self.regions, "region"))?;
        }
        let is_of_accounts = self.kind.as_ref().is_some_and(|kind| kind.0 == "account");
        if self.accounts > 1 && !is_of_accounts {
            write!(f, " of {}", counted(self.accounts, "account"))?;
        }
        Ok(())
    }
}

/// Whether a change is one of the member itself. A region is as good as each of its settings.
fn is_of_member(change: &Change) -> bool {
    change.resource == change.member || change.kind.0 == "ec2.region"
}

/// `1 region`, `17 regions`.
fn counted(count: usize, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{AccountId, ChangeId, Region, ResourceId, Target, Undo};

    fn change(action: &str, kind: &str, region: &str, member: &str, resource: &str) -> Change {
        let step = StepId::new("step").unwrap();
        let target = Target::new(AccountId::new("111122223333").unwrap(), Region::new(region).unwrap());
        let resource = ResourceId::new(resource).unwrap();
        Change {
            id: ChangeId::of(&step, &target, &resource),
            step,
            action: ActionName::new(action).unwrap(),
            tier: Tier::Reversible,
            target,
            kind: Kind::new(kind),
            member: ResourceId::new(member).unwrap(),
            also_for: Vec::new(),
            resource,
            summary: String::new(),
            before: String::new(),
            after: String::new(),
            prior: serde_json::Value::Null,
            undo: Undo::by("nothing"),
            notes: Vec::new(),
            attaches: None,
        }
    }

    fn said(changes: &[Change]) -> String {
        Tally::by_step(changes)[0].to_string()
    }

    #[test]
    fn a_tally_reads_as_a_sentence() {
        let stops = [
            change("ec2.stop-instances", "ec2.instance", "eu-west-1", "i-1", "i-1"),
            change("ec2.stop-instances", "ec2.instance", "eu-west-3", "i-2", "i-2"),
        ];
        assert_eq!(said(&stops), "stop 2 instances in 2 regions");
        assert_eq!(said(&stops[..1]), "stop 1 instance in 1 region");
        assert_eq!(
            said(&[change("ec2.isolate", "ec2.instance", "eu-west-1", "i-1", "i-1")]),
            "isolate 1 instance in 1 region"
        );
        let keys = [change("iam.deactivate-access-keys", "iam.user", "global", "anna", "AKIA1")];
        assert_eq!(said(&keys), "deactivate 1 access key");
        let sessions = [change("iam.revoke-sessions", "iam.user", "global", "anna", "anna")];
        assert_eq!(said(&sessions), "revoke sessions of 1 user");
        let lock = [change("organizations.deny-all", "account", "global", "111122223333", "111122223333")];
        assert_eq!(said(&lock), "deny everything in 1 account");
        let settings = [change("ec2.require-imdsv2", "ec2.region", "eu-west-1", "eu-west-1", "tokens")];
        assert_eq!(said(&settings), "require imdsv2 in 1 region");
        let deny = [change("iam.deny-all", "iam.user", "global", "anna", "anna")];
        assert_eq!(said(&deny), "deny everything to 1 user");
    }
}
