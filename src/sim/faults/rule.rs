use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::{Delay, FaultKind, Paging, Route};
use crate::model::{AccountId, Region, Span};

/// The longest time that a rule may state.
const LONGEST: SignedDuration = SignedDuration::from_hours(31 * 24);

/// A rule: which requests, when, how many of them, and what becomes of them. What is not stated fits everything.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub struct Fault {
    /// What becomes of them.
    pub kind: FaultKind,
    /// `ec2`.
    pub service: Option<String>,
    /// `StopInstances`.
    pub operation: Option<String>,
    /// `eu-west-3`.
    pub region: Option<Region>,
    /// The account whose credentials sign.
    pub account: Option<AccountId>,
    /// On whose side it is who signs.
    pub who: Option<Who>,
    /// The name of the user or role that signs.
    pub principal: Option<String>,
    /// From when on, after the plan was set.
    pub from: Option<Span>,
    /// Until when.
    pub until: Option<Span>,
    /// The share of the requests: from 0 to 1.
    pub rate: f64,
    /// How long it takes, from `until` on (or from `from`, without an end), until the share has fallen to nothing.
    pub recovers: Option<Span>,
    /// After how many requests the rule is spent.
    pub times: Option<u32>,
    /// For latency: how much more time a request takes.
    pub delay: Option<Delay>,
    /// For reads that lag behind, what is not found yet, and clocks: by how much.
    pub by: Option<Span>,
}

/// On whose side it is who sends a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Who {
    /// The responder of the scenario, in whatever role.
    Responder,
    /// Everybody else: the intruder, and who works there.
    Others,
}

/// A rule as it is written. Every field may be missing, so that each can be read, and found wrong, by itself.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Written {
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<FaultKind>,
    #[serde(skip_serializing_if = "Option::is_none")]
    service: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    operation: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    region: Option<Region>,
    #[serde(skip_serializing_if = "Option::is_none")]
    account: Option<AccountId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    who: Option<Who>,
    #[serde(skip_serializing_if = "Option::is_none")]
    principal: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<Span>,
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<Span>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rate: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    recovers: Option<Span>,
    #[serde(skip_serializing_if = "Option::is_none")]
    times: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    delay: Option<Delay>,
    #[serde(skip_serializing_if = "Option::is_none")]
    by: Option<Span>,
}

impl Fault {
    /// A rule for all requests.
    pub fn new(kind: FaultKind) -> Self {
        Self {
            kind,
            service: None,
            operation: None,
            region: None,
            account: None,
            who: None,
            principal: None,
            from: None,
            until: None,
            rate: 1.0,
            recovers: None,
            times: None,
            delay: None,
            by: None,
        }
    }

    /// Whether a request is one of those that the rule is about.
    pub(super) fn fits(&self, route: &Route) -> bool {
        let is_named = |name: &String| {
            let arn = route.principal.as_deref().unwrap_or_default();
            let mut parts = arn.splitn(6, ':').nth(5).unwrap_or_default().split('/').skip(1);
            parts.any(|part| part == name)
        };
        self.service.as_ref().is_none_or(|service| *service == route.service)
            && self.operation.as_ref().is_none_or(|operation| *operation == route.operation)
            && self.region.as_ref().is_none_or(|region| region.as_str() == route.region)
            && self.account.as_ref().is_none_or(|account| Some(account) == route.account.as_ref())
            && self.who.is_none_or(|who| (who == Who::Responder) == route.is_responder)
            && self.principal.as_ref().is_none_or(is_named)
            && (!self.kind.is_of_pages() || Paging::of(&route.service, &route.operation).is_some())
    }

    /// Whether the request's credentials are of those that the rule takes away: what was issued later is good again.
    pub(super) fn reaches(&self, route: &Route, begun: Timestamp) -> bool {
        let ends = begun.saturating_add(self.from.map_or(SignedDuration::ZERO, |from| from.0)).unwrap_or(begun);
        match self.kind {
            FaultKind::ExpireSessions => route.issued.is_some_and(|issued| issued < ends),
            FaultKind::RevokeCredentials => route.issued.is_none_or(|issued| issued < ends),
            _ => true,
        }
    }

    /// The share of the requests that is struck, so long after the plan was set.
    pub(super) fn share(&self, since: SignedDuration) -> f64 {
        let from = self.from.map_or(SignedDuration::ZERO, |from| from.0);
        if since < from {
            return 0.0;
        }
        match (self.until, self.recovers) {
            (None, None) => self.rate,
            (Some(until), _) if since < until.0 => self.rate,
            (Some(_), None) => 0.0,
            (until, Some(recovers)) => {
                let abated = since.saturating_sub(until.map_or(from, |until| until.0)).as_secs_f64();
                self.rate * (1.0 - abated / recovers.0.as_secs_f64().max(0.001)).max(0.0)
            }
        }
    }

    /// The same, if what it states goes together.
    pub(super) fn checked(self) -> Result<Self, String> {
        let kind = self.kind;
        if !(0.0..=1.0).contains(&self.rate) {
            return Err(format!("`{}` is not a share from 0 to 1", self.rate));
        }
        if (kind == FaultKind::Latency) != self.delay.is_some() {
            return Err("a length of time (`delay`) belongs to latency, and only there: latency:2s".to_owned());
        }
        if kind.takes_by() != self.by.is_some() {
            let kinds = "stale-reads, not-found-after-create, clock-ahead and clock-behind";
            return Err(format!("`by` belongs to {kinds}, and only there: stale-reads:10s"));
        }
        if self.operation.is_some() && self.service.is_none() {
            return Err("an operation needs its service".to_owned());
        }
        if let Some(service) = self.service.as_ref().filter(|service| !is_service(service)) {
            return Err(format!("`{service}` is not a service that is simulated"));
        }
        if let (from, Some(until)) = (self.from.unwrap_or(Span::seconds(0)), self.until)
            && until <= from
        {
            return Err(format!("it ends (`until: {until}`) before it begins (`from: {from}`)"));
        }
        let times = [self.from, self.until, self.recovers, self.by];
        if let Some(long) = times.into_iter().flatten().find(|time| time.0 > LONGEST) {
            return Err(format!("{long} is too long: at most {}", Span(LONGEST)));
        }
        Ok(self)
    }
}

/// Whether there is such a service in the simulated AWS.
pub(super) fn is_service(name: &str) -> bool {
    crate::sim::wire::protocol::Protocol::of(name).is_some()
}

impl TryFrom<Written> for Fault {
    type Error = String;

    fn try_from(written: Written) -> Result<Self, String> {
        let kind = written.kind.ok_or_else(|| format!("it lacks its `kind`; there are {}", FaultKind::names()))?;
        let rule = Self {
            kind,
            service: written.service,
            operation: written.operation,
            region: written.region,
            account: written.account,
            who: written.who,
            principal: written.principal,
            from: written.from,
            until: written.until,
            rate: written.rate.unwrap_or(1.0),
            recovers: written.recovers,
            times: written.times,
            delay: written.delay,
            by: written.by,
        };
        rule.checked()
    }
}

impl From<Fault> for Written {
    fn from(rule: Fault) -> Self {
        Self {
            kind: Some(rule.kind),
            service: rule.service,
            operation: rule.operation,
            region: rule.region,
            account: rule.account,
            who: rule.who,
            principal: rule.principal,
            from: rule.from,
            until: rule.until,
            rate: Some(rule.rate),
            recovers: rule.recovers,
            times: rule.times,
            delay: rule.delay,
            by: rule.by,
        }
    }
}
