//! Rules in one word, for the command line: `eu-west-3=no-answer`.

use std::str::FromStr;

use super::rule::is_service;
use super::{Fault, FaultKind};
use crate::model::{AccountId, Region};
use crate::sim::world::OPT_IN_REGIONS;

impl FromStr for Fault {
    type Err = String;

    /// Reads `WHERE=WHAT`. WHERE is one or more of region, account, `service`, `service:Operation`, or `*`, joined by `/`;
    /// WHAT a kind, where it takes one followed by `:` and a length of time, then perhaps `@` and the share of the requests:
    /// `eu-west-3=no-answer`, `eu-west-3/ec2:StopInstances=throttle@0.2`, `iam=latency:2s`, `ec2=latency:200ms/8s`,
    /// `ec2=stale-reads:10s`.
    fn from_str(text: &str) -> Result<Self, String> {
        let (place, what) = text.split_once('=').ok_or_else(|| {
            format!("`{text}` is not a fault: write WHERE=WHAT, such as eu-west-3=no-answer or ec2:StopInstances=throttle@0.2")
        })?;
        let (what, rate) = match what.split_once('@') {
            Some((what, rate)) => (what, rate.parse().map_err(|_| format!("`{rate}` is not a share from 0 to 1"))?),
            None => (what, 1.0),
        };
        let (kind, time) = match what.split_once(':') {
            Some((kind, time)) => (kind, Some(time)),
            None => (what, None),
        };
        let kind: FaultKind = kind.parse()?;
        let mut fault = Self { rate, ..Self::new(kind) };
        match time {
            Some(time) if kind.takes_by() => fault.by = Some(time.parse()?),
            Some(time) => fault.delay = Some(time.parse()?),
            None => {}
        }
        for part in place.split('/') {
            fault.narrow(part)?;
        }
        fault.checked().map_err(|why| format!("`{text}`: {why}"))
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
        } else if is_service(part) {
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

    #[test]
    fn every_kind_can_be_written_in_one_word() {
        for kind in FaultKind::ALL {
            let time = if kind == FaultKind::Latency || kind.takes_by() { ":2s" } else { "" };
            let rule: Fault = format!("eu-west-3/ec2:StopInstances={kind}{time}@0.5").parse().unwrap();
            assert_eq!((rule.kind, rule.rate), (kind, 0.5));
            let again: Fault = serde_json::from_value(serde_json::to_value(&rule).unwrap()).unwrap();
            assert_eq!(again, rule);
        }
    }

    #[test]
    fn mistakes_are_explained() {
        let error = |text: &str| text.parse::<Fault>().unwrap_err();
        assert!(error("eu-west-3").contains("WHERE=WHAT"));
        assert!(error("eu-west-33=no-answer").contains("eu-west-33"));
        assert!(error("eu-west-3=dead").contains("there are no-answer"));
        assert!(error("ec2=latency").contains("latency:2s"));
        assert!(error("ec2=stale-reads").contains("stale-reads:10s"));
        assert!(error("ec2=throttle:2s").contains("only there"));
        assert!(error("ec2=throttle@2").contains("from 0 to 1"));
        assert!(error("ec3:StopInstances=deny").contains("`ec3` is not a service"));
    }
}
