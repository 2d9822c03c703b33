//! Time from left to right, without the long silences.

use jiff::{SignedDuration, Timestamp};

/// Steps that a clock has, in seconds.
const STEPS: [i64; 18] =
    [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 14_400, 21_600, 43_200, 86_400];
/// Shorter silences are shown as they are.
const SILENCE: i64 = 3_600;
/// The most pieces that time is cut into.
const PIECES: usize = 4;
/// The pixels between two pieces.
const CUT: f64 = 28.0;
/// The fewest pixels of a piece.
const LEAST: f64 = 36.0;

/// An axis of time.
#[derive(Debug)]
pub struct Axis {
    pieces: Vec<Piece>,
}

/// A stretch of time in which something happened.
#[derive(Debug, Clone, Copy)]
struct Piece {
    from: i64,
    until: i64,
    left: f64,
    right: f64,
}

impl Axis {
    /// An axis for these times, between two pixels. Where much of the time nothing happened, that is left out.
    pub fn of(times: impl IntoIterator<Item = Timestamp>, (left, right): (f64, f64)) -> Self {
        let mut seconds: Vec<i64> = times.into_iter().map(Timestamp::as_second).collect();
        seconds.sort_unstable();
        let first = seconds.first().copied().unwrap_or_default();
        let mut pieces = vec![(first, seconds.last().copied().unwrap_or_default())];
        while pieces.len() < PIECES {
            let total: i64 = pieces.iter().map(|(from, until)| until - from).sum();
            let silences = seconds.windows(2).map(|pair| (pair[0], pair[1])).filter(|gap| is_within(&pieces, *gap));
            let Some((before, after)) = silences.max_by_key(|(before, after)| after - before) else { break };
            // Two events far apart are all there is; a third of the time is worth a cut.
            if after - before < SILENCE.max(total / 3) {
                break;
            }
            let cut = pieces.iter().position(|(from, until)| *from <= before && after <= *until).unwrap_or_default();
            let (from, until) = pieces[cut];
            pieces.splice(cut..=cut, [(from, before), (after, until)]);
        }
        Self { pieces: placed(&pieces, left, right) }
    }

    /// Where a time is, in pixels.
    pub fn x(&self, time: Timestamp) -> f64 {
        let second = time.as_second();
        let piece = self.pieces.iter().find(|piece| second <= piece.until).or(self.pieces.last());
        piece.map_or(0.0, |piece| piece.x(second))
    }

    /// The places where time is left out: pixels, and how long.
    pub fn cuts(&self) -> impl Iterator<Item = (f64, SignedDuration)> {
        self.pieces.windows(2).map(|pair| {
            let [one, next] = [pair[0], pair[1]];
            (f64::midpoint(one.right, next.left), SignedDuration::from_secs(next.from - one.until))
        })
    }

    /// Marks on the axis, at least so many pixels apart: pixels, and the time in words. The first of each piece bears the day.
    pub fn marks(&self, apart: f64) -> Vec<(f64, String)> {
        self.pieces.iter().flat_map(|piece| piece.marks(apart, self.pieces.len() > 1)).collect()
    }
}

fn is_within(pieces: &[(i64, i64)], (before, after): (i64, i64)) -> bool {
    pieces.iter().any(|(from, until)| *from <= before && after <= *until)
}

/// Gives each piece its share of the width.
#[expect(clippy::cast_precision_loss, reason = "pixels")]
fn placed(pieces: &[(i64, i64)], left: f64, right: f64) -> Vec<Piece> {
    let cuts = CUT * (pieces.len() - 1) as f64;
    let free = (right - left - cuts - LEAST * pieces.len() as f64).max(0.0);
    let total: i64 = pieces.iter().map(|(from, until)| until - from).sum();
    let mut x = left;
    let place = |(from, until): &(i64, i64)| {
        let share = if total == 0 { 1.0 / pieces.len() as f64 } else { (until - from) as f64 / total as f64 };
        let piece = Piece { from: *from, until: *until, left: x, right: x + LEAST + free * share };
        x = piece.right + CUT;
        piece
    };
    pieces.iter().map(place).collect()
}

impl Piece {
    #[expect(clippy::cast_precision_loss, reason = "pixels")]
    fn x(&self, second: i64) -> f64 {
        let length = self.until - self.from;
        if length == 0 {
            return f64::midpoint(self.left, self.right);
        }
        let share = (second - self.from) as f64 / length as f64;
        self.left + share.clamp(0.0, 1.0) * (self.right - self.left)
    }

    fn marks(&self, apart: f64, with_day: bool) -> Vec<(f64, String)> {
        let day = |second: i64, form: &str| {
            Timestamp::from_second(second).map(|time| time.strftime(form).to_string()).unwrap_or_default()
        };
        if self.until == self.from || self.right - self.left < 2.0 * apart {
            let form = if with_day { "%d %b %H:%M" } else { "%H:%M:%S" };
            return vec![(f64::midpoint(self.left, self.right), day(self.from, form))];
        }
        let step = step(self.until - self.from, (self.right - self.left) / apart);
        let form = match step {
            0..60 => "%H:%M:%S",
            86_400.. => "%d %b",
            _ => "%H:%M",
        };
        let first = self.from + (-self.from).rem_euclid(step);
        let seconds = (0..).map(|number| first + number * step).take_while(|second| *second <= self.until);
        let form = |number: usize| if number == 0 && with_day && step < 86_400 { "%d %b %H:%M" } else { form };
        seconds.enumerate().map(|(number, second)| (self.x(second), day(second, form(number)))).collect()
    }
}

/// The step of a clock that leaves at most so many marks.
#[expect(clippy::cast_precision_loss, reason = "a figure of at most some dozens")]
pub fn step(length: i64, most: f64) -> i64 {
    let fits = |step: &i64| length as f64 / *step as f64 <= most;
    STEPS.into_iter().find(fits).unwrap_or_else(|| {
        let days = length / 86_400;
        #[expect(clippy::cast_possible_truncation, reason = "a figure of at most some dozens")]
        let most = (most as i64).max(1);
        (days / most + 1) * 86_400
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn a_week_of_silence_is_left_out_and_said() {
        let times = ["2026-02-24T03:10:00Z", "2026-03-03T14:43:00Z", "2026-03-03T15:00:00Z", "2026-03-03T15:21:00Z"];
        let axis = Axis::of(times.map(at), (0.0, 1000.0));
        let cuts: Vec<_> = axis.cuts().collect();
        assert_eq!(cuts.len(), 1);
        assert_eq!(cuts[0].1.as_hours(), 7 * 24 + 11);
        assert!(axis.x(at(times[0])) < 40.0 && axis.x(at(times[1])) > cuts[0].0);
        assert!((axis.x(at(times[3])) - 1000.0).abs() < 0.01, "{axis:?}");
    }

    #[test]
    fn steady_work_is_not_cut_and_marks_are_on_the_clock() {
        let axis = Axis::of((0..50).map(|n| at("2026-03-03T14:43:07Z") + SignedDuration::from_mins(n)), (0.0, 600.0));
        assert_eq!(axis.cuts().count(), 0);
        let marks: Vec<String> = axis.marks(60.0).into_iter().map(|(_, words)| words).collect();
        assert_eq!(marks, ["14:45", "14:50", "14:55", "15:00", "15:05", "15:10", "15:15", "15:20", "15:25", "15:30"]);
    }

    #[test]
    fn one_moment_and_none_have_an_axis() {
        let moment = at("2026-03-03T14:43:07Z");
        assert!((Axis::of([moment], (0.0, 600.0)).x(moment) - 300.0).abs() < 0.01);
        assert_eq!(Axis::of([], (0.0, 600.0)).marks(60.0).len(), 1);
    }
}
