//! Glue's `cron(…)` expressions, as far as they say minutes and hours.

use jiff::{SignedDuration, Timestamp};

/// A schedule: the minutes of the hour and the hours of the day (UTC) at which it fires.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Schedule {
    minutes: Vec<i64>,
    hours: Vec<i64>,
}

impl Schedule {
    /// Reads `cron(minutes hours day-of-month month day-of-week year)`. Of the last four only "every" is known here; another
    /// text is an error, so that no trigger is silently never fired.
    pub(super) fn read(text: &str) -> Result<Self, String> {
        let fields: Vec<&str> = text
            .strip_prefix("cron(")
            .and_then(|rest| rest.strip_suffix(')'))
            .ok_or_else(|| format!("{text} is not a cron expression"))?
            .split_whitespace()
            .collect();
        let [minutes, hours, days @ ..] = &fields[..] else { return Err(format!("{text} has too few fields")) };
        if days.len() != 4 || days.iter().any(|field| !matches!(*field, "*" | "?")) {
            return Err(format!("{text}: the simulated AWS knows schedules by minutes and hours only"));
        }
        Ok(Self { minutes: field(minutes, 60)?, hours: field(hours, 24)? })
    }

    /// When it fires next.
    pub(super) fn next(&self, after: Timestamp) -> Option<Timestamp> {
        let first = after.as_second().div_euclid(60) + 1;
        let fires = |minute: &i64| {
            self.minutes.contains(&minute.rem_euclid(60)) && self.hours.contains(&minute.div_euclid(60).rem_euclid(24))
        };
        let minute = (first..=first + 24 * 60).find(fires)?;
        Some(Timestamp::UNIX_EPOCH + SignedDuration::from_mins(minute))
    }
}

/// The values below `end` that a field names: `*`, `7`, `1,2`, `*/5`, `3/5`.
fn field(text: &str, end: i64) -> Result<Vec<i64>, String> {
    let number = |text: &str| text.parse::<i64>().ok().filter(|number| (0..end).contains(number));
    let wrong = || format!("`{text}` is not a value of a schedule");
    if let Some((from, step)) = text.split_once('/') {
        let from = if from == "*" { 0 } else { number(from).ok_or_else(wrong)? };
        let step = number(step).and_then(|step| usize::try_from(step).ok()).filter(|step| *step > 0);
        return Ok((from..end).step_by(step.ok_or_else(wrong)?).collect());
    }
    if text == "*" {
        return Ok((0..end).collect());
    }
    text.split(',').map(|one| number(one).ok_or_else(wrong)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schedules_fire_by_minute_and_hour_and_what_is_not_known_is_refused() {
        let next = |text: &str| {
            let after: Timestamp = "2026-03-03T15:04:30Z".parse().unwrap();
            Schedule::read(text).unwrap().next(after).unwrap().to_string()
        };
        assert_eq!(next("cron(0/5 * * * ? *)"), "2026-03-03T15:05:00Z");
        assert_eq!(next("cron(15 12 * * ? *)"), "2026-03-04T12:15:00Z");
        assert!(Schedule::read("cron(15 12 1 * ? *)").is_err());
        assert!(Schedule::read("rate(5 minutes)").is_err());
    }
}
