//! AWS Budgets.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::model::AccountId;
use crate::sim::call::{Body, Call, Permission, Refusal, Reply};
use crate::sim::pages::part;
use crate::sim::world::World;

/// What the call needs to be allowed.
pub fn permissions(world: &World, call: &Call) -> Result<Vec<Permission>, Refusal> {
    // The names of the actions are older than those of the operations.
    let action = match call.operation.as_str() {
        "DescribeBudgets" => "budgets:ViewBudget",
        "CreateBudget" | "DeleteBudget" => "budgets:ModifyBudget",
        _ => return Err(call.unknown()),
    };
    let resource = format!("arn:{}:budgets::{}:budget/*", world.partition, call.account);
    Ok(vec![Permission::new(action, resource)])
}

/// Carries the call out.
pub fn handle(world: &mut World, call: &Call) -> Reply {
    match call.operation.as_str() {
        "DescribeBudgets" => describe(world, call),
        "CreateBudget" => create(world, call),
        "DeleteBudget" => delete(world, call),
        _ => Err(call.unknown()),
    }
}

fn check_account(call: &Call, account: &AccountId) -> Result<(), Refusal> {
    if *account == call.account {
        return Ok(());
    }
    Err(Refusal::new(400, "AccessDeniedException", format!("Account {account} is not the caller's own")))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Describe {
    account_id: AccountId,
    max_results: Option<usize>,
    next_token: Option<String>,
    #[serde(rename = "ShowFilterExpression")]
    _show_filter_expression: Option<bool>,
}

fn describe(world: &World, call: &Call) -> Reply {
    let asked: Describe = call.params.read()?;
    check_account(call, &asked.account_id)?;
    let budgets = world.account(&call.account).costs.budgets.values().collect();
    let (budgets, next) = part(budgets, asked.next_token.as_deref(), asked.max_results.unwrap_or(100))?;
    let mut answer = json!({ "Budgets": budgets });
    if let Some(next) = next {
        answer["NextToken"] = json!(next);
    }
    Ok(Body::Json(answer))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Create {
    account_id: AccountId,
    budget: Budget,
    #[serde(default)]
    notifications_with_subscribers: Vec<Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
#[expect(clippy::struct_field_names, reason = "as on the wire")]
struct Budget {
    budget_name: String,
    budget_limit: Spend,
    time_unit: String,
    budget_type: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Spend {
    amount: String,
    unit: String,
}

fn create(world: &mut World, call: &Call) -> Reply {
    let Create { account_id, budget, notifications_with_subscribers: notifications } = call.params.read()?;
    check_account(call, &account_id)?;
    if notifications.len() > 5 {
        let message = "Notifications count exceeds the limit of 5 per budget.";
        return Err(Refusal::new(400, "CreationLimitExceededException", message));
    }
    let held = &mut world.account_mut(&call.account).costs.budgets;
    if held.contains_key(&budget.budget_name) {
        let message = format!("Error creating budget: {} - the budget already exists.", budget.budget_name);
        return Err(Refusal::new(400, "DuplicateRecordException", message));
    }
    let Spend { amount, unit } = &budget.budget_limit;
    let shown = json!({
        "BudgetName": budget.budget_name, "BudgetLimit": { "Amount": amount, "Unit": unit },
        "TimeUnit": budget.time_unit, "BudgetType": budget.budget_type,
        "CalculatedSpend": { "ActualSpend": { "Amount": "0.0", "Unit": unit } },
    });
    held.insert(budget.budget_name, shown);
    Ok(Body::Json(json!({})))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Delete {
    account_id: AccountId,
    budget_name: String,
}

fn delete(world: &mut World, call: &Call) -> Reply {
    let Delete { account_id, budget_name } = call.params.read()?;
    check_account(call, &account_id)?;
    let removed = world.account_mut(&call.account).costs.budgets.remove(&budget_name);
    let missing = || Refusal::new(400, "NotFoundException", format!("Unable to find budget {budget_name}."));
    removed.ok_or_else(missing).map(|_| Body::Json(json!({})))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::call::test_call;
    use crate::sim::wire::params::Params;

    #[test]
    fn a_budget_is_made_once_and_listed() {
        let mut world = World::new(1);
        world.add_account(test_call("budgets", "", "").account, "development");
        let mut ask = |operation: &str, with: Value| {
            let mut call = test_call("budgets", operation, "");
            call.params = Params::Json(with);
            match handle(&mut world, &call).map_err(|refusal| refusal.code) {
                Ok(Body::Json(json)) => Ok(json),
                Ok(other) => panic!("{other:?}"),
                Err(code) => Err(code),
            }
        };
        let budget = json!({
            "BudgetName": "all", "BudgetLimit": { "Amount": "1000", "Unit": "USD" }, "TimeUnit": "MONTHLY",
            "BudgetType": "COST",
        });
        let with = json!({ "AccountId": "111122223333", "Budget": budget });
        ask("CreateBudget", with.clone()).unwrap();
        assert_eq!(ask("CreateBudget", with).unwrap_err(), "DuplicateRecordException");
        let listed = ask("DescribeBudgets", json!({ "AccountId": "111122223333" })).unwrap();
        assert_eq!(listed["Budgets"][0]["BudgetName"], "all");
        let other = ask("DescribeBudgets", json!({ "AccountId": "444455556666" }));
        assert_eq!(other.unwrap_err(), "AccessDeniedException");
    }
}
