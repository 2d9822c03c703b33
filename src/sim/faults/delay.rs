use std::f64::consts::TAU;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::model::Span;
use crate::sim::world::Rng;

/// The 99th percentile of the standard normal distribution.
const Z99: f64 = 2.326_347_9;
/// Nothing takes longer.
const LONGEST: Duration = Duration::from_hours(24);

/// How much more time requests take, each anew.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub enum Delay {
    /// All alike: `2s`.
    Fixed(Span),
    /// Anything in between: `1s..3s`.
    Between(Span, Span),
    /// Most of them short, and a few very long: `200ms/8s`, median and 99th percentile.
    Tailed {
        /// How the tail falls off.
        tail: Tail,
        /// Half of the requests take less.
        median: Span,
        /// One in a hundred takes more.
        p99: Span,
        /// None takes more.
        at_most: Option<Span>,
    },
}

/// How a long tail falls off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Tail {
    /// As the time of many small things that multiply.
    #[default]
    LogNormal,
    /// Slower still: now and then one takes beyond all measure.
    Pareto,
}

/// A delay in a file.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Written {
    Text(String),
    Tailed(WrittenTail),
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenTail {
    #[serde(default)]
    tail: Tail,
    median: Span,
    p99: Span,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    at_most: Option<Span>,
}

impl Delay {
    /// How much longer one request takes.
    pub(super) fn draw(&self, rng: &mut Rng) -> Duration {
        let seconds = match self {
            Self::Fixed(span) => return span.std(),
            Self::Between(least, most) => {
                let (least, most) = (least.std().as_secs_f64(), most.std().as_secs_f64());
                least + (most - least) * rng.unit()
            }
            Self::Tailed { tail, median, p99, at_most } => {
                let (median, p99) = (median.std().as_secs_f64(), p99.std().as_secs_f64());
                // From above 0 to 1, as both ways divide by it or take its logarithm.
                let unit = 1.0 - rng.unit();
                let drawn = match tail {
                    Tail::LogNormal => {
                        let normal = (-2.0 * unit.ln()).sqrt() * (TAU * rng.unit()).cos();
                        median * ((p99 / median).ln() / Z99 * normal).exp()
                    }
                    Tail::Pareto => {
                        let shape = 50_f64.ln() / (p99 / median).ln();
                        median * (2.0 * unit).powf(-1.0 / shape)
                    }
                };
                at_most.map_or(drawn, |most| drawn.min(most.std().as_secs_f64()))
            }
        };
        Duration::try_from_secs_f64(seconds).unwrap_or(LONGEST).min(LONGEST)
    }

    fn checked(self) -> Result<Self, String> {
        match &self {
            Self::Fixed(_) => Ok(self),
            Self::Between(least, most) if least <= most => Ok(self),
            Self::Between(least, most) => Err(format!("{least}..{most}: the lesser time comes first")),
            Self::Tailed { median, p99, .. } if median < p99 && median.std() > Duration::ZERO => Ok(self),
            Self::Tailed { median, p99, .. } => {
                Err(format!("the 99th percentile ({p99}) must be above the median ({median}), and that above nothing"))
            }
        }
    }
}

impl FromStr for Delay {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let delay = if let Some((least, most)) = text.split_once("..") {
            Self::Between(least.parse()?, most.parse()?)
        } else if let Some((median, p99)) = text.split_once('/') {
            Self::Tailed { tail: Tail::LogNormal, median: median.parse()?, p99: p99.parse()?, at_most: None }
        } else {
            Self::Fixed(text.parse()?)
        };
        delay.checked()
    }
}

impl TryFrom<Written> for Delay {
    type Error = String;

    fn try_from(written: Written) -> Result<Self, String> {
        match written {
            Written::Text(text) => text.parse(),
            Written::Tailed(WrittenTail { tail, median, p99, at_most }) => {
                Self::Tailed { tail, median, p99, at_most }.checked()
            }
        }
    }
}

impl From<Delay> for Written {
    fn from(delay: Delay) -> Self {
        match delay {
            Delay::Fixed(span) => Self::Text(span.to_string()),
            Delay::Between(least, most) => Self::Text(format!("{least}..{most}")),
            Delay::Tailed { tail, median, p99, at_most } => Self::Tailed(WrittenTail { tail, median, p99, at_most }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The median and the 99th percentile of ten thousand draws, and the longest.
    fn drawn(delay: &str) -> (f64, f64, f64) {
        let delay: Delay = serde_json::from_str(delay).unwrap();
        let mut rng = Rng::seeded(1);
        let mut drawn: Vec<f64> = (0..10_000).map(|_| delay.draw(&mut rng).as_secs_f64()).collect();
        drawn.sort_by(f64::total_cmp);
        (drawn[5_000], drawn[9_900], drawn[9_999])
    }

    #[test]
    fn a_long_tail_has_its_median_and_its_percentile() {
        for tail in ["log-normal", "pareto"] {
            let delay = format!(r#"{{"tail": "{tail}", "median": "200ms", "p99": "8s", "at_most": "30s"}}"#);
            let (median, p99, longest) = drawn(&delay);
            assert!((0.18..0.22).contains(&median) && (6.5..9.5).contains(&p99), "{tail}: {median} {p99}");
            assert!((10.0..=30.0).contains(&longest), "{tail}: {longest}");
        }
    }

    #[test]
    fn what_is_in_between_is_spread_evenly() {
        let (median, p99, longest) = drawn(r#""1s..3s""#);
        assert!((1.9..2.1).contains(&median) && (2.9..3.0).contains(&p99) && longest < 3.0);
    }

    #[test]
    fn mistakes_are_named() {
        let error = |text: &str| text.parse::<Delay>().unwrap_err();
        assert!(error("3s..1s").contains("lesser"));
        assert!(error("3s/1s").contains("median"));
        assert!(error("soon").contains("soon"));
    }
}
