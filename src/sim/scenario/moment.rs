//! Times of a story: relative to the day on which it is told.

use std::fmt;

use jiff::civil::Time;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;

/// A time of a story, in UTC: `14:43`, `14:43:20`, or with days before it: `-7d 03:10`.
#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Moment {
    days: i64,
    time: Time,
}

impl Moment {
    /// The time, when the story's day is that of `day`.
    pub fn on(self, day: Timestamp) -> Timestamp {
        let date = TimeZone::UTC.to_datetime(day).date();
        let time = TimeZone::UTC.to_timestamp(date.to_datetime(self.time)).unwrap_or(day);
        time + SignedDuration::from_hours(24 * self.days)
    }
}

impl TryFrom<String> for Moment {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let wrong = || format!("`{text}` is no time of a story (such as 14:43, 14:43:20 or -7d 03:10)");
        let (days, time) = match text.split_once("d ") {
            Some((days, time)) => (days.parse().map_err(|_| wrong())?, time),
            None => (0, text.as_str()),
        };
        let format = if time.len() == 5 { "%H:%M" } else { "%H:%M:%S" };
        Ok(Self { days, time: Time::strptime(format, time).map_err(|_| wrong())? })
    }
}

impl fmt::Debug for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}d {}", self.days, self.time)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_placed_on_their_day() {
        let day = "2026-03-03T20:00:00Z".parse().unwrap();
        let at = |text: &str| Moment::try_from(text.to_owned()).unwrap().on(day).to_string();
        assert_eq!(at("14:43"), "2026-03-03T14:43:00Z");
        assert_eq!(at("-7d 03:10:30"), "2026-02-24T03:10:30Z");
        assert!(Moment::try_from("yesterday".to_owned()).is_err());
    }
}
