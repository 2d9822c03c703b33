//! What a run is disturbed by.

use std::fmt;

use crate::sim::faults::FaultPlan;
use crate::sim::world::Rng;

/// What goes wrong in a run.
#[derive(Debug, Clone)]
pub struct Disturbance {
    /// What it is called.
    pub name: String,
    /// On the wire and in the services.
    pub faults: FaultPlan,
    /// Where in the run, from 0 to 1, its process dies.
    dies: Option<f64>,
}

/// Everything that can go wrong: a name, and the rules of a fault plan in which `REGION` and `SERVICE` stand for one that is
/// drawn.
const KINDS: &[(&str, &str)] = &[
    ("a silent region", "[REGION=no-answer]"),
    ("a region that dies and comes back", "[{ kind: no-answer, region: REGION, from: 1s, until: 90s }]"),
    ("a region that dies while changes are made", "[{ kind: no-answer, region: REGION, from: 2s }]"),
    ("a region that refuses connections", "[REGION=refuse-connection]"),
    ("a region that breaks connections", "[REGION=reset]"),
    ("connections that break now and then", "['*=reset-before@0.1', '*=reset@0.1']"),
    ("connections that are refused now and then", "['*=refuse-connection@0.15']"),
    ("TLS errors now and then", "['*=tls-error@0.15']"),
    ("answers that are lost now and then", "[SERVICE=lost-answer@0.05]"),
    ("half answers", "[SERVICE=half-answer@0.1]"),
    ("empty answers", "[SERVICE=empty-answer@0.1]"),
    ("garbage", "[SERVICE=garbage@0.1]"),
    ("a long tail of latency", "[{ kind: latency, delay: { tail: pareto, median: 200ms, p99: 8s, at_most: 30s } }]"),
    ("a slow service", "['SERVICE=latency:3s']"),
    ("internal errors", "[SERVICE=http-500@0.3]"),
    ("gateways", "[SERVICE=http-502@0.1, SERVICE=http-504@0.1]"),
    ("a service that is down", "[SERVICE=http-503]"),
    ("a service that is down now and then", "[SERVICE=http-503@0.2]"),
    ("web pages instead of answers", "[SERVICE=html-200@0.1, SERVICE=html-503@0.1]"),
    ("throttling of everything", "['*=throttle@0.3']"),
    ("a storm of throttling that abates", "[{ kind: throttle, service: SERVICE, until: 30s, recovers: 1m }]"),
    ("a service that refuses", "[SERVICE=deny]"),
    ("a service that refuses now and then", "[SERVICE=deny@0.2]"),
    ("reads that lag behind", "[{ kind: stale-reads, service: SERVICE, by: 6s }]"),
    ("what was made is not found yet", "[{ kind: not-found-after-create, service: SERVICE, by: 6s }]"),
    ("a clock that is ahead", "[{ kind: clock-ahead, by: 20m }]"),
    ("a clock that is behind", "[{ kind: clock-behind, by: 20m }]"),
    ("sessions that expire in the middle", "[{ kind: expire-sessions, from: 2s }]"),
    ("credentials that are revoked in the middle", "[{ kind: revoke-credentials, from: 2s, until: 20s }]"),
    ("pages that repeat", "[{ kind: repeat-page, rate: 0.2 }]"),
    ("empty pages", "[{ kind: empty-page, rate: 0.3 }]"),
    ("page tokens that are refused", "[{ kind: refuse-token, rate: 0.3 }]"),
];

const REGIONS: [&str; 2] = ["us-east-1", "eu-central-1"];
const SERVICES: [&str; 6] = ["ec2", "iam", "organizations", "autoscaling", "lambda", "cloudtrail"];

impl Disturbance {
    /// How many kinds there are.
    pub fn kinds() -> usize {
        KINDS.len()
    }

    /// One of a kind, its places drawn; in every third its process dies as well where `may_die`.
    ///
    /// # Panics
    /// Never: the faults above are checked by a test.
    pub fn of_kind(kind: usize, may_die: MayDie, rng: &mut Rng) -> Self {
        let (name, rules) = KINDS[kind % KINDS.len()];
        let mut draw = |from: &[&'static str]| from[rng.below(from.len())];
        let (region, service) = (draw(&REGIONS), draw(&SERVICES));
        let rules = rules.replace("REGION", region).replace("SERVICE", service);
        let dies = (may_die == MayDie::Yes && rng.below(3) == 0).then(|| rng.unit());
        let plan = FaultPlan::load(&rules, "self-test").expect("rules of this table");
        Self { name: format!("{name} {rules}"), faults: FaultPlan { seed: rng.number(), ..plan }, dies }
    }

    /// At which of so many places the process dies.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a place in a list"
    )]
    pub fn dies_at(&self, places: usize) -> Option<usize> {
        self.dies.filter(|_| places > 0).map(|share| ((share * places as f64) as usize).min(places - 1))
    }
}

/// Whether a process may die as well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MayDie {
    /// Sometimes it does.
    Yes,
    /// It does not.
    No,
}

impl fmt::Display for Disturbance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_made_of_faults() {
        let mut rng = Rng::seeded(1);
        for kind in 0..Disturbance::kinds() {
            for _ in 0..20 {
                assert!(!Disturbance::of_kind(kind, MayDie::Yes, &mut rng).faults.rules.is_empty());
            }
        }
    }
}
