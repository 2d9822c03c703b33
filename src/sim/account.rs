//! AWS Account Management: which regions an account has enabled.

use serde::Deserialize;
use serde_json::{Value, json};

use super::call::{Body, Call, Permission, Refusal, Reply};
use super::world::{OptIn, World};
use crate::model::AccountId;

/// What the call needs to be allowed.
pub fn permissions(world: &World, call: &Call) -> Result<Vec<Permission>, Refusal> {
    match call.operation.as_str() {
        "ListRegions" | "GetRegionOptStatus" => {
            let account = asked_account(call)?;
            let resource = format!("arn:{}:account::{account}:account", world.partition);
            Ok(vec![Permission::new(format!("account:{}", call.operation), resource)])
        }
        _ => Err(call.unknown()),
    }
}

/// Carries the call out.
pub fn handle(world: &mut World, call: &Call) -> Reply {
    match call.operation.as_str() {
        "ListRegions" => list_regions(world, call),
        "GetRegionOptStatus" => region_opt_status(world, call),
        _ => Err(call.unknown()),
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct ListRegions {
    #[expect(dead_code, reason = "read by `asked_account`")]
    account_id: Option<AccountId>,
    max_results: Option<usize>,
    next_token: Option<String>,
    #[serde(default)]
    region_opt_status_contains: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct GetRegionOptStatus {
    #[expect(dead_code, reason = "read by `asked_account`")]
    account_id: Option<AccountId>,
    region_name: String,
}

fn list_regions(world: &World, call: &Call) -> Reply {
    let asked: ListRegions = call.params.read()?;
    let page = asked.max_results.unwrap_or(50);
    if !(1..=50).contains(&page) {
        return Err(Refusal::new(400, "ValidationException", "MaxResults must be from 1 to 50"));
    }
    let account = known_account(world, call)?;
    let wanted = |status: &str| {
        asked.region_opt_status_contains.is_empty() || asked.region_opt_status_contains.iter().any(|one| one == status)
    };
    let regions = world.account(&account).regions.iter();
    let regions: Vec<(&str, &str)> = regions
        .map(|(region, state)| (region.as_str(), status(state.opt_in)))
        .filter(|(region, status)| wanted(status) && asked.next_token.as_deref().is_none_or(|last| *region > last))
        .collect();
    let shown = regions.iter().take(page);
    let shown: Vec<Value> =
        shown.map(|(region, status)| json!({ "RegionName": region, "RegionOptStatus": status })).collect();
    let mut answer = json!({ "Regions": shown });
    if regions.len() > page {
        answer["NextToken"] = json!(regions[page - 1].0);
    }
    Ok(Body::Json(answer))
}

fn region_opt_status(world: &World, call: &Call) -> Reply {
    let asked: GetRegionOptStatus = call.params.read()?;
    let account = known_account(world, call)?;
    let region = world.account(&account).regions.get(asked.region_name.as_str());
    let unknown = || Refusal::new(400, "ValidationException", format!("{} is not a region", asked.region_name));
    let status = status(region.ok_or_else(unknown)?.opt_in);
    Ok(Body::Json(json!({ "RegionName": asked.region_name, "RegionOptStatus": status })))
}

fn status(opt_in: OptIn) -> &'static str {
    match opt_in {
        OptIn::OptInNotRequired => "ENABLED_BY_DEFAULT",
        OptIn::OptedIn => "ENABLED",
        OptIn::NotOptedIn => "DISABLED",
    }
}

/// The account that is asked about: the caller's own, unless another is named.
fn asked_account(call: &Call) -> Result<AccountId, Refusal> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Asked {
        account_id: Option<AccountId>,
    }
    Ok(call.params.read::<Asked>()?.account_id.unwrap_or_else(|| call.account.clone()))
}

/// Other accounts are open to the management account only (which must not name itself).
fn known_account(world: &World, call: &Call) -> Result<AccountId, Refusal> {
    let account = asked_account(call)?;
    let management =
        world.organization.as_ref().is_some_and(|organization| organization.management == call.account.as_str());
    if account != call.account && !(management && world.accounts.contains_key(&account)) {
        let message = format!("{} is not authorized to look at account {account}", call.principal.arn);
        return Err(Refusal::new(403, "AccessDeniedException", message));
    }
    Ok(account)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::call::test_call;
    use crate::sim::wire::params::Params;

    fn ask(operation: &str, params: Value) -> Result<Value, Refusal> {
        let mut call = test_call("account", operation, "");
        call.params = Params::Json(params);
        let mut world = World::new(1);
        let account = world.add_account(call.account.clone(), "development");
        account.regions.get_mut("eu-south-1").unwrap().opt_in = OptIn::OptedIn;
        permissions(&world, &call)?;
        match handle(&mut world, &call)? {
            Body::Json(json) => Ok(json),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn regions_are_listed_by_status_and_in_pages() {
        let enabled = json!({ "RegionOptStatusContains": ["ENABLED", "ENABLED_BY_DEFAULT"], "MaxResults": 10 });
        let first = ask("ListRegions", enabled.clone()).unwrap();
        assert_eq!(first["Regions"].as_array().unwrap().len(), 10);
        let mut next = enabled;
        next["NextToken"] = first["NextToken"].clone();
        assert_eq!(ask("ListRegions", next).unwrap()["Regions"].as_array().unwrap().len(), 8);
    }

    #[test]
    fn an_opted_in_region_is_enabled() {
        let status = |region: &str| ask("GetRegionOptStatus", json!({ "RegionName": region }));
        assert_eq!(status("eu-south-1").unwrap()["RegionOptStatus"], "ENABLED");
        assert_eq!(status("eu-south-2").unwrap()["RegionOptStatus"], "DISABLED");
        assert_eq!(status("eu-south-3").unwrap_err().code, "ValidationException");
    }

    #[test]
    fn another_account_is_not_open_to_a_member() {
        let refused = ask("ListRegions", json!({ "AccountId": "444455556666" })).unwrap_err();
        assert_eq!(refused.code, "AccessDeniedException");
    }
}
