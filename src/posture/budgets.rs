//! Whether somebody is told when it becomes expensive.

use super::check::{Check, Read, Severity};
use super::facts::View;
use super::organization::ORGANIZATION;

const BUDGETS: &str = "budgets:DescribeBudgets";
const MONITORS: &str = "ce:GetAnomalyMonitors";

/// There is a budget.
pub(super) const BUDGET: Check = Check {
    id: "budgets.budget",
    title: "A budget watches the account's costs, or its organisation's",
    severity: Severity::Medium,
    why: "A bill is often the first that is noticed of a breach, weeks later; a budget writes the same day.",
    fix: "aws budgets create-budget --account-id ACCOUNT --budget BudgetName=NAME,BudgetLimit={Amount=1000,Unit=USD},\
          TimeUnit=MONTHLY,BudgetType=COST, with --notifications-with-subscribers.",
    needs: &[BUDGETS, ORGANIZATION],
    read: |view| there_is(view, (BUDGETS, "Budgets"), "has no budget"),
};

/// There is an anomaly monitor.
pub(super) const ANOMALIES: Check = Check {
    id: "ce.anomaly-monitor",
    title: "An anomaly monitor watches the account's costs, or its organisation's",
    severity: Severity::Medium,
    why: "A hundred machines in regions that were empty yesterday are an anomaly hours before they break a monthly budget.",
    fix: "aws ce create-anomaly-monitor --anomaly-monitor MonitorName=NAME,MonitorType=DIMENSIONAL,MonitorDimension=SERVICE, and \
          aws ce create-anomaly-subscription for it.",
    needs: &[MONITORS, ORGANIZATION],
    read: |view| there_is(view, (MONITORS, "AnomalyMonitors"), "has no anomaly monitor"),
};

/// Passes where the list of the account, or of the account that pays for it, has something in it.
fn there_is(view: &View<'_>, (api, list): (&str, &str), what: &str) -> Read {
    let mut read = Read::default();
    let path = [list, "*"];
    let by_payer = view.payer().and_then(|payer| payer.list(api, &path).ok());
    if by_payer.is_some_and(|watching| !watching.is_empty()) {
        return read;
    }
    if let Some(watching) = read.known(view.list(api, &path))
        && watching.is_empty()
    {
        read.fail("account", what);
    }
    read
}
