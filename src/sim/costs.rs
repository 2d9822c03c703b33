//! What an account's use costs, and who is told: Cost Explorer and Budgets.

pub mod budgets;
pub mod explorer;
pub mod prices;

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

/// What an account watches its costs with.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Costs {
    /// Budgets by name, as DescribeBudgets answers them.
    pub budgets: BTreeMap<String, Value>,
    /// Anomaly monitors, as GetAnomalyMonitors answers them.
    pub anomaly_monitors: Vec<Value>,
}
