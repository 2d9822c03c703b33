//! What goes wrong, where and when: latency, silence, refusals, spoilt answers, services that are behind.
//!
//! A rule strikes a share of the requests that fit it, in a window of time. Which of them is decided by the seed, the rule and
//! the number of the request among its like, so that the same plan strikes the same requests, however the lanes of a run are
//! mixed.

mod delay;
mod kind;
mod load;
mod paging;
mod past;
mod rule;
mod short;
mod spoilt;

pub use delay::{Delay, Tail};
pub use kind::FaultKind;
pub use load::{BadPlan, FaultPlan};
pub use rule::{Fault, Who};
pub use spoilt::CutOff;

pub(super) use spoilt::{page, spoil};

use std::collections::{BTreeMap, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::authenticate::Denial;
use super::world::Rng;
use crate::model::AccountId;
use paging::Paging;
use past::Past;

/// The faults of a simulated AWS. By default: 80 ms of latency, and nothing else.
#[derive(Debug)]
pub struct Faults {
    /// How long every request takes.
    pub latency: Duration,
    rules: Vec<Fault>,
    seed: u64,
    /// What the windows of time are counted from.
    begun: Timestamp,
    /// How many requests of a kind each rule has been asked about.
    asked: HashMap<(usize, Like), u64>,
    /// How often each kind struck.
    struck: BTreeMap<FaultKind, u64>,
    /// What reads that lag behind go by.
    past: Past,
    /// How many pages were made up.
    pages: u64,
}

impl Default for Faults {
    fn default() -> Self {
        Self {
            latency: Duration::from_millis(80),
            rules: Vec::new(),
            seed: 0,
            begun: Timestamp::UNIX_EPOCH,
            asked: HashMap::new(),
            struck: BTreeMap::new(),
            past: Past::default(),
            pages: 0,
        }
    }
}

/// Where a request is going and who sends it, as far as its signature says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// The service.
    pub service: String,
    /// The operation.
    pub operation: String,
    /// The region of the scope.
    pub region: String,
    /// The account of the access key.
    pub account: Option<AccountId>,
    /// The ARN of the principal of the access key.
    pub principal: Option<String>,
    /// When the temporary credentials were issued; none for a key that stays.
    pub issued: Option<Timestamp>,
    /// Whether the responder's key signs, or one that was got with it. As long as nobody was introduced, everybody is.
    pub is_responder: bool,
}

/// Requests that a rule counts together.
type Like = (String, String, String, Option<AccountId>);

/// What is to go wrong with a request.
#[derive(Debug, Clone, Default)]
pub(super) struct Struck {
    /// How much longer it takes.
    pub delay: Duration,
    /// What becomes of it.
    pub kind: Option<FaultKind>,
    /// How far a read lags behind.
    pub stale: Option<SignedDuration>,
    /// For how long what was made is not found.
    pub unseen: Option<SignedDuration>,
    /// By how much the service's clock is ahead.
    pub skew: SignedDuration,
}

impl Struck {
    /// What authentication says to it.
    pub fn denial(&self) -> Option<Denial> {
        match self.kind {
            Some(FaultKind::ExpireSessions) => Some(Denial::Expired),
            Some(FaultKind::RevokeCredentials) => Some(Denial::UnknownKey),
            _ => None,
        }
    }
}

impl Faults {
    /// Replaces what goes wrong. Windows of time are counted from `now`.
    pub fn set(&mut self, plan: FaultPlan, now: Timestamp) {
        *self = Self { latency: self.latency, rules: plan.rules, seed: plan.seed, begun: now, ..Self::default() };
    }

    /// Whether anything can go wrong.
    pub(super) fn are_set(&self) -> bool {
        !self.rules.is_empty()
    }

    /// How often each kind struck so far.
    pub fn struck(&self) -> &BTreeMap<FaultKind, u64> {
        &self.struck
    }

    /// What is to go wrong with this request. What takes longer, lags behind or has another time comes together; of what
    /// becomes of the request, the first rule that strikes decides.
    pub(super) fn strike(&mut self, route: &Route, now: Timestamp) -> Struck {
        let mut struck = Struck::default();
        let since = now.duration_since(self.begun);
        for number in 0..self.rules.len() {
            let rule = &self.rules[number];
            let decided = struck.kind.is_some() && !rule.kind.adds();
            if decided || rule.times == Some(0) || !rule.fits(route) || !rule.reaches(route, self.begun) {
                continue;
            }
            let share = rule.share(since);
            if share <= 0.0 {
                continue;
            }
            let mut rng = self.dice(number, route);
            if share < 1.0 && rng.unit() >= share {
                continue;
            }
            self.note(number, &mut struck, &mut rng);
        }
        struck
    }

    fn note(&mut self, number: usize, struck: &mut Struck, rng: &mut Rng) {
        let rule = &mut self.rules[number];
        if let Some(times) = &mut rule.times {
            *times -= 1;
        }
        *self.struck.entry(rule.kind).or_default() += 1;
        let by = rule.by.map_or(SignedDuration::ZERO, |by| by.0);
        match rule.kind {
            FaultKind::Latency => {
                struck.delay += rule.delay.as_ref().map_or(Duration::ZERO, |delay| delay.draw(rng));
            }
            FaultKind::StaleReads => struck.stale = Some(by),
            FaultKind::NotFoundAfterCreate => struck.unseen = Some(by),
            FaultKind::ClockAhead => struck.skew += by,
            FaultKind::ClockBehind => struck.skew -= by,
            kind => struck.kind = Some(kind),
        }
    }

    /// What decides about the next request of this kind.
    fn dice(&mut self, number: usize, route: &Route) -> Rng {
        let Route { service, operation, region, account, .. } = route.clone();
        let count = self.asked.entry((number, (service, operation, region, account))).or_default();
        *count += 1;
        let mut hasher = DefaultHasher::new();
        (self.seed, number, *count).hash(&mut hasher);
        (&route.service, &route.operation, &route.region, &route.account).hash(&mut hasher);
        Rng::seeded(hasher.finish())
    }

    /// For how long states of the world are kept.
    fn longest_lag(&self) -> Option<SignedDuration> {
        let lagging = self.rules.iter().filter(|rule| {
            matches!(rule.kind, FaultKind::StaleReads | FaultKind::NotFoundAfterCreate) && rule.times != Some(0)
        });
        lagging.filter_map(|rule| rule.by).map(|by| by.0).max()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(region: &str, operation: &str) -> Route {
        Route {
            service: "ec2".into(),
            operation: operation.into(),
            region: region.into(),
            account: None,
            principal: Some("arn:aws:iam::111122223333:user/ir-oncall".into()),
            issued: None,
            is_responder: true,
        }
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_772_550_000 + second).unwrap()
    }

    fn faults(rules: &[&str]) -> Faults {
        let mut faults = Faults::default();
        let rules = rules.iter().map(|rule| rule.parse().unwrap()).collect();
        faults.set(FaultPlan { seed: 7, rules }, at(0));
        faults
    }

    /// A rule of a plan.
    fn rule(text: &str) -> Faults {
        let mut faults = Faults::default();
        faults.set(FaultPlan::load(&format!("[{text}]"), "test").unwrap(), at(0));
        faults
    }

    #[test]
    fn a_silent_region_is_silent_for_every_service() {
        let mut faults = faults(&["eu-west-3=no-answer"]);
        assert_eq!(faults.strike(&route("eu-west-3", "StopInstances"), at(0)).kind, Some(FaultKind::NoAnswer));
        assert_eq!(faults.strike(&route("eu-west-1", "StopInstances"), at(0)).kind, None);
    }

    #[test]
    fn a_share_strikes_some_and_always_the_same_ones() {
        let struck = || {
            let mut faults = faults(&["us-east-1/ec2:StopInstances=throttle@0.25"]);
            let route = route("us-east-1", "StopInstances");
            (0..400).map(|_| faults.strike(&route, at(0)).kind.is_some()).collect::<Vec<_>>()
        };
        let count = struck().iter().filter(|struck| **struck).count();
        assert!((60..140).contains(&count), "{count} of 400");
        assert_eq!(struck(), struck());
    }

    #[test]
    fn what_one_lane_meets_does_not_depend_on_the_others() {
        let quiet = &mut faults(&["ec2=http-500@0.5"]);
        let busy = &mut faults(&["ec2=http-500@0.5"]);
        for _ in 0..50 {
            let alone = quiet.strike(&route("us-east-1", "StopInstances"), at(0)).kind;
            busy.strike(&route("eu-west-3", "StopInstances"), at(0));
            assert_eq!(busy.strike(&route("us-east-1", "StopInstances"), at(0)).kind, alone);
        }
    }

    #[test]
    fn a_spent_rule_strikes_no_more() {
        let mut faults = rule("{ kind: http-500, service: ec2, times: 1 }");
        assert!(faults.strike(&route("us-east-1", "RunInstances"), at(0)).kind.is_some());
        assert!(faults.strike(&route("us-east-1", "RunInstances"), at(0)).kind.is_none());
        assert_eq!(faults.struck()[&FaultKind::Http500], 1);
    }

    #[test]
    fn a_region_dies_and_comes_back() {
        let mut faults = rule("{ kind: no-answer, region: eu-west-3, from: 10s, until: 2m }");
        let dead = [0, 9, 10, 119, 120].map(|second| {
            let struck = faults.strike(&route("eu-west-3", "StopInstances"), at(second));
            struck.kind.is_some()
        });
        assert_eq!(dead, [false, false, true, true, false]);
    }

    #[test]
    fn a_storm_abates() {
        let mut faults = rule("{ kind: throttle, from: 10s, until: 20s, recovers: 100s }");
        let mut struck = |second| {
            let route = route("eu-west-3", "StopInstances");
            (0..200).filter(|_| faults.strike(&route, at(second)).kind.is_some()).count()
        };
        assert_eq!((struck(5), struck(15), struck(121)), (0, 200, 0));
        let (half, late) = (struck(70), struck(110));
        assert!((60..140).contains(&half) && (5..45).contains(&late), "{half}, then {late}");
    }

    #[test]
    fn latency_comes_beside_what_else_goes_wrong_and_of_that_the_first_decides() {
        let mut faults = faults(&["ec2=latency:2s", "ec2=throttle", "ec2=latency:1s", "*=no-answer"]);
        let struck = faults.strike(&route("us-east-1", "StopInstances"), at(0));
        assert_eq!((struck.kind, struck.delay.as_secs()), (Some(FaultKind::Throttle), 3));
    }

    #[test]
    fn the_intruder_need_not_be_disturbed() {
        let mut faults = rule("{ kind: deny, who: responder }");
        let responder = route("us-east-1", "StopInstances");
        let intruder = Route { is_responder: false, ..responder.clone() };
        assert!(faults.strike(&responder, at(0)).kind.is_some());
        assert!(faults.strike(&intruder, at(0)).kind.is_none());
        let mut faults = rule("{ kind: deny, principal: ir-oncall }");
        assert!(faults.strike(&responder, at(0)).kind.is_some());
        let other = Route { principal: Some("arn:aws:iam::111122223333:user/mara".into()), ..responder };
        assert!(faults.strike(&other, at(0)).kind.is_none());
    }

    #[test]
    fn only_sessions_from_before_expire() {
        let mut faults = rule("{ kind: expire-sessions, from: 30s }");
        let of = |issued: Option<i64>| Route { issued: issued.map(at), ..route("us-east-1", "StopInstances") };
        let mut expired = |issued, second| faults.strike(&of(issued), at(second)).denial();
        assert_eq!(expired(Some(5), 20), None, "before the time has come");
        assert_eq!(expired(Some(5), 40), Some(Denial::Expired));
        assert_eq!(expired(Some(31), 40), None, "a new session");
        assert_eq!(expired(None, 40), None, "a key that stays");
    }
}
