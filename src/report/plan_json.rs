//! A plan as a JSON document: the plan file itself, with the digest that approvals are bound to.

use serde_json::{Value, json};

use crate::model::{Plan, Tally};

/// What `quell plan --output json` prints. `plan` is the content of a plan file.
pub fn document(plan: &Plan) -> Value {
    let steps: Vec<Value> = Tally::by_step(&plan.changes).iter().map(step).collect();
    let tiers = plan.tiers();
    json!({
        "digest": plan.digest(),
        "changes": plan.changes.len(),
        "approve": tiers.iter().map(|tier| tier.as_str()).collect::<Vec<_>>(),
        "steps": steps,
        "coverage": plan.coverage.counts(),
        "plan": plan,
    })
}

fn step(tally: &Tally) -> Value {
    json!({
        "step": tally.step,
        "action": tally.action,
        "tier": tally.tier,
        "changes": tally.changes,
        "accounts": tally.accounts,
        "regions": tally.regions,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::example;

    #[test]
    fn the_document_holds_the_plan_and_its_counts() {
        let plan = example::plan();
        let document = document(&plan);
        assert_eq!(document["digest"], plan.digest().as_str());
        assert_eq!(document["approve"], json!(["reversible", "disruptive"]));
        assert_eq!(document["steps"][2]["changes"], 2);
        assert_eq!(document["steps"][2]["regions"], 2);
        let read_again: Plan = serde_json::from_value(document["plan"].clone()).unwrap();
        assert_eq!(read_again.digest(), plan.digest());
    }
}
