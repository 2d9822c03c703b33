//! Accounts alike: told once, with their number.

use std::collections::BTreeSet;

use indexmap::IndexMap;

use super::story::{AccountStory, Story};
use crate::model::AccountId;

/// The most accounts of one kind: the largest organisation that AWS has (AWS Organizations User Guide, "Quotas and service
/// limits").
const MOST: u32 = 10_000;

/// Gives every account its own place: of `team` with `count: 3` there are `team-1`, `team-2` and `team-3` with consecutive
/// numbers, and a unit that has `team` has them all.
///
/// # Errors
/// The words of what is wrong, when there are too many or a number is given twice.
pub(super) fn counted(story: &mut Story) -> Result<(), String> {
    let mut accounts: IndexMap<String, AccountStory> = IndexMap::new();
    let mut copies: IndexMap<String, Vec<String>> = IndexMap::new();
    let mut taken = BTreeSet::new();
    for (name, account) in std::mem::take(&mut story.accounts) {
        for (name_of_copy, id) in places(&name, &account)? {
            if !taken.insert(id.clone()) {
                return Err(format!("account `{name_of_copy}`: the number {id} is taken"));
            }
            copies.entry(name.clone()).or_default().push(name_of_copy.clone());
            accounts.insert(name_of_copy, AccountStory { id, count: None, ..account.clone() });
        }
    }
    story.accounts = accounts;
    for members in story.organization.iter_mut().flat_map(|organization| organization.units.values_mut()) {
        let all = |name: String| copies.get(&name).cloned().unwrap_or_else(|| vec![name]);
        *members = std::mem::take(members).into_iter().flat_map(all).collect();
    }
    Ok(())
}

/// The names and numbers of the accounts that an account of the story stands for.
fn places(name: &str, account: &AccountStory) -> Result<Vec<(String, AccountId)>, String> {
    let Some(count) = account.count else { return Ok(vec![(name.to_owned(), account.id.clone())]) };
    if count > MOST {
        return Err(format!("account `{name}`: {count} are too many; there are at most {MOST} alike"));
    }
    let first: u64 = account.id.as_str().parse().map_err(|error| format!("account `{name}`: {error}"))?;
    let place = |nth: u32| {
        let id = AccountId::new(format!("{:012}", first + u64::from(nth))).map_err(|error| error.to_string())?;
        Ok((format!("{name}-{}", nth + 1), id))
    };
    (0..count).map(place).collect()
}

#[cfg(test)]
mod tests {
    use super::super::Scenario;

    fn told(count: &str) -> Result<Scenario, String> {
        let text = include_str!("../../../scenarios/load.yaml");
        let count = text.replace("count: 2000", count);
        assert_ne!(count, text);
        Scenario::load(&count).map_err(|error| error.cause)
    }

    #[test]
    fn accounts_are_counted() {
        let built = told("count: 3").unwrap().build(1, "2026-03-03T18:00:00Z".parse().unwrap()).unwrap();
        let ids: Vec<_> = built.accounts.iter().map(|(name, id)| format!("{name} {id}")).collect();
        let first = ["management 710987654321", "security 711997755332"];
        assert_eq!(ids[..2], first);
        assert_eq!(ids[2..], ["workload-1 730000000000", "workload-2 730000000001", "workload-3 730000000002"]);
        let members = &built.world.organization.unwrap().members;
        assert_eq!(members.len(), 5);
        for id in built.accounts.values() {
            assert!(members.contains_key(id), "{id}");
            assert_eq!(built.world.accounts[id].iam.roles.len(), 1, "{id}");
        }
        assert_eq!(built.facts.machines["rogue"].len(), 30);
    }

    #[test]
    fn what_would_fill_the_memory_or_gives_a_number_twice_is_refused() {
        assert_eq!(
            told("count: 10001").unwrap_err(),
            "account `workload`: 10001 are too many; there are at most 10000 alike"
        );
        let text = include_str!("../../../scenarios/load.yaml").replace("711997755332", "730000000007");
        let twice = Scenario::load(&text).unwrap_err().cause;
        assert_eq!(twice, "account `workload-8`: the number 730000000007 is taken");
    }
}
