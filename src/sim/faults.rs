//! What goes wrong on the way: latency, silence, refusals.

use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::world::{OPT_IN_REGIONS, Rng};
use crate::model::{AccountId, Region, Span};

/// The faults of a simulated AWS. By default: 80 ms of latency, and nothing else.
#[derive(Debug, Clone)]
pub struct Faults {
    /// How long every request takes.
    pub latency: Duration,
    /// What goes wrong, the first fitting line deciding.
    pub rules: Vec<Fault>,
    rng: Rng,
    struck: u64,
}

impl Default for Faults {
    fn default() -> Self {
        Self { latency: Duration::from_millis(80), rules: Vec::new(), rng: Rng::seeded(0), struck: 0 }
    }
}

/// A rule: which requests, and what becomes of them. What is not stated fits everything.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// What becomes of them.
    pub kind: FaultKind,
    /// `ec2`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// `StopInstances`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<String>,
    /// `eu-west-3`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<Region>,
    /// The account whose credentials sign.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<AccountId>,
    /// The share of the requests: from 0 to 1.
    #[serde(default = "always")]
    pub rate: f64,
    /// After how many requests the rule is spent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub times: Option<u32>,
    /// For `latency`: how much more time a request takes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delay: Option<Span>,
}

fn always() -> f64 {
    1.0
}

/// What can go wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FaultKind {
    /// The request never arrives, and nothing ever comes back.
    NoAnswer,
    /// No connection is made.
    RefuseConnection,
    /// The request is carried out, and the connection breaks before the answer.
    Reset,
    /// The request is carried out, and nothing ever comes back.
    LostAnswer,
    /// `InternalError`, 500.
    #[serde(rename = "http-500")]
    Http500,
    /// `ServiceUnavailable`, 503.
    #[serde(rename = "http-503")]
    Http503,
    /// The service's own "too fast".
    Throttle,
    /// The service's own "access denied".
    Deny,
    /// It takes longer.
    Latency,
}

/// Where a request is going, as far as its signature says.
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
}

impl Faults {
    /// What is to go wrong with this request.
    pub fn strike(&mut self, route: &Route) -> Option<Fault> {
        let rng = &mut self.rng;
        let rule = self
            .rules
            .iter_mut()
            .find(|rule| rule.fits(route) && rule.times != Some(0) && (rule.rate >= 1.0 || rng.unit() < rule.rate))?;
        if let Some(times) = &mut rule.times {
            *times -= 1;
        }
        self.struck += 1;
        Some(rule.clone())
    }

    /// How many requests something went wrong with.
    pub fn struck(&self) -> u64 {
        self.struck
    }
}

impl Fault {
    fn fits(&self, route: &Route) -> bool {
        self.service.as_ref().is_none_or(|service| *service == route.service)
            && self.operation.as_ref().is_none_or(|operation| *operation == route.operation)
            && self.region.as_ref().is_none_or(|region| region.as_str() == route.region)
            && self.account.as_ref().is_none_or(|account| Some(account) == route.account.as_ref())
    }
}

impl FromStr for Fault {
    type Err = String;

    /// Reads `WHERE=WHAT`. WHERE is one or more of region, account, `service`, `service:Operation`, or `*`, joined by `/`;
    /// WHAT a kind, for latency followed by `:` and a length of time, then perhaps `@` and the share of the requests:
    /// `eu-west-3=no-answer`, `eu-west-3/ec2:StopInstances=throttle@0.2`, `iam=latency:2s`.
    fn from_str(text: &str) -> Result<Self, String> {
        let (place, what) = text.split_once('=').ok_or_else(|| {
            format!("`{text}` is not a fault: write WHERE=WHAT, such as eu-west-3=no-answer or ec2:StopInstances=throttle@0.2")
        })?;
        let (what, rate) = match what.split_once('@') {
            Some((what, rate)) => (what, rate.parse().map_err(|_| format!("`{rate}` is not a share from 0 to 1"))?),
            None => (what, 1.0),
        };
        if !(0.0..=1.0).contains(&rate) {
            return Err(format!("`{rate}` is not a share from 0 to 1"));
        }
        let (kind, delay) = match what.split_once(':') {
            Some((kind, delay)) => (kind, Some(delay.parse::<Span>()?)),
            None => (what, None),
        };
        let kind: FaultKind = serde_json::from_value(kind.into()).map_err(|_| {
            let known = "no-answer, refuse-connection, reset, lost-answer, http-500, http-503, throttle, deny, latency";
            format!("`{kind}` is not a kind of fault; there are {known}")
        })?;
        if (kind == FaultKind::Latency) != delay.is_some() {
            return Err(format!("`{text}`: a length of time belongs to latency, and only there (latency:2s)"));
        }
        let mut fault =
            Self { kind, service: None, operation: None, region: None, account: None, rate, times: None, delay };
        for part in place.split('/') {
            fault.narrow(part)?;
        }
        Ok(fault)
    }
}

impl Fault {
    fn narrow(&mut self, part: &str) -> Result<(), String> {
        if part == "*" {
        } else if let Ok(account) = AccountId::new(part) {
            self.account = Some(account);
        } else if Region::DEFAULT.contains(&part) || OPT_IN_REGIONS.contains(&part) {
            self.region = Some(Region::new(part).map_err(|error| error.to_string())?);
        } else if let Some((service, operation)) = part.split_once(':') {
            self.service = Some(service.to_owned());
            self.operation = Some(operation.to_owned());
        } else if super::wire::protocol::Protocol::of(part).is_some() {
            self.service = Some(part.to_owned());
        } else {
            return Err(format!("`{part}` is neither a region, an account, a service, service:Operation nor *"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(region: &str, operation: &str) -> Route {
        Route { service: "ec2".into(), operation: operation.into(), region: region.into(), account: None }
    }

    #[test]
    fn a_silent_region_is_silent_for_every_service() {
        let mut faults = Faults { rules: vec!["eu-west-3=no-answer".parse().unwrap()], ..Faults::default() };
        assert_eq!(faults.strike(&route("eu-west-3", "StopInstances")).unwrap().kind, FaultKind::NoAnswer);
        assert_eq!(faults.strike(&route("eu-west-1", "StopInstances")), None);
    }

    #[test]
    fn a_share_strikes_some() {
        let rule: Fault = "us-east-1/ec2:StopInstances=throttle@0.25".parse().unwrap();
        let mut faults = Faults { rules: vec![rule], ..Faults::default() };
        let route = route("us-east-1", "StopInstances");
        let struck = (0..400).filter(|_| faults.strike(&route).is_some()).count();
        assert!((60..140).contains(&struck), "{struck} of 400");
    }

    #[test]
    fn a_spent_rule_strikes_no_more() {
        let rule: Fault = serde_json::from_str(r#"{"kind": "http-500", "service": "ec2", "times": 1}"#).unwrap();
        let mut faults = Faults { rules: vec![rule], ..Faults::default() };
        assert!(faults.strike(&route("us-east-1", "RunInstances")).is_some());
        assert!(faults.strike(&route("us-east-1", "RunInstances")).is_none());
    }

    #[test]
    fn mistakes_are_explained() {
        let error = |text: &str| text.parse::<Fault>().unwrap_err();
        assert!(error("eu-west-3").contains("WHERE=WHAT"));
        assert!(error("eu-west-33=no-answer").contains("eu-west-33"));
        assert!(error("eu-west-3=dead").contains("there are no-answer"));
        assert!(error("ec2=latency").contains("latency:2s"));
        assert!(error("ec2=throttle@2").contains("from 0 to 1"));
    }
}
