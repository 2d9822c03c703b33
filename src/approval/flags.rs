use std::collections::BTreeSet;

use crate::engine::ports::{Approver, Boxed, Reply};
use crate::model::{Answer, Plan, Tier};

/// The tiers that the command line approves. All others are refused, with the flag that would have allowed them.
#[derive(Debug, Clone)]
pub struct Flags {
    approved: BTreeSet<Tier>,
    by: String,
}

impl Flags {
    /// Approves `tiers` in the name of `by`.
    pub fn new(tiers: impl IntoIterator<Item = Tier>, by: impl Into<String>) -> Self {
        Self { approved: tiers.into_iter().collect(), by: by.into() }
    }

    /// Whether a tier is approved.
    pub fn approves(&self, tier: Tier) -> bool {
        self.approved.contains(&tier)
    }

    /// The flag that would approve what is approved and all that `plan` needs.
    pub fn would_allow(&self, plan: &Plan) -> String {
        let tiers: BTreeSet<Tier> = self.approved.iter().copied().chain(plan.tiers()).collect();
        format!("--approve {}", tiers.into_iter().map(Tier::as_str).collect::<Vec<_>>().join(","))
    }
}

impl Approver for Flags {
    fn ask<'a>(&'a self, plan: &'a Plan, tier: Tier) -> Boxed<'a, Reply> {
        let (answer, through) = if self.approves(tier) {
            (Answer::Approved, "--approve".to_owned())
        } else {
            (Answer::Refused, format!("not listed; {} would allow it", self.would_allow(plan)))
        };
        Box::pin(async move { Reply { answer, by: self.by.clone(), through } })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::example;

    #[tokio::test]
    async fn a_tier_that_is_not_listed_is_refused_with_the_flag_that_allows_it() {
        let flags = Flags::new([Tier::Reversible], "ci");
        let plan = example::plan();
        assert_eq!(flags.ask(&plan, Tier::Reversible).await.answer, Answer::Approved);
        let refused = flags.ask(&plan, Tier::Disruptive).await;
        assert_eq!(refused.answer, Answer::Refused);
        assert_eq!(refused.through, "not listed; --approve reversible,disruptive would allow it");
    }
}
