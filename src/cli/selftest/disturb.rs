//! What a run is disturbed by.

use std::fmt;

use crate::sim::faults::Fault;
use crate::sim::world::Rng;

/// What goes wrong in a run.
#[derive(Debug, Clone)]
pub struct Disturbance {
    /// What it is called.
    pub name: String,
    /// On the wire and in the services.
    pub faults: Vec<Fault>,
    /// Where in the run, from 0 to 1, its process dies.
    dies: Option<f64>,
}

/// Everything that can go wrong, one at a time: a name, and faults in which `REGION` and `SERVICE` stand for one that is drawn.
const KINDS: &[(&str, &[&str])] = &[
    ("a silent region", &["REGION=no-answer"]),
    ("a region that refuses connections", &["REGION=refuse-connection"]),
    ("a region that breaks connections", &["REGION=reset"]),
    ("connections that break now and then", &["*=reset@0.1"]),
    ("connections that are refused now and then", &["*=refuse-connection@0.15"]),
    ("answers that are lost now and then", &["SERVICE=lost-answer@0.05"]),
    ("a slow service", &["SERVICE=latency:3s"]),
    ("internal errors", &["SERVICE=http-500@0.3"]),
    ("a service that is down", &["SERVICE=http-503"]),
    ("a service that is down now and then", &["SERVICE=http-503@0.2"]),
    ("throttling of everything", &["*=throttle@0.3"]),
    ("a service that throttles", &["SERVICE=throttle@0.6"]),
    ("a service that refuses", &["SERVICE=deny"]),
    ("a service that refuses now and then", &["SERVICE=deny@0.2"]),
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
        let (name, faults) = KINDS[kind % KINDS.len()];
        let mut draw = |from: &[&'static str]| from[rng.below(from.len())];
        let (region, service) = (draw(&REGIONS), draw(&SERVICES));
        let place = |text: &&str| text.replace("REGION", region).replace("SERVICE", service);
        let faults: Vec<String> = faults.iter().map(place).collect();
        let dies = (may_die == MayDie::Yes && rng.below(3) == 0).then(|| rng.unit());
        let name = format!("{name} ({})", faults.join(", "));
        let faults = faults.iter().map(|text| text.parse().expect("a fault of this table")).collect();
        Self { name, faults, dies }
    }

    /// At which of so many places the process dies.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "a place in a list")]
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
                assert!(!Disturbance::of_kind(kind, MayDie::Yes, &mut rng).faults.is_empty());
            }
        }
    }
}
