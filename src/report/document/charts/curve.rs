//! The burn rate over time.

use jiff::Timestamp;

use super::axis::step;
use super::ink::{self, Area, Ink, Stands};
use super::{Svg, px, size};
use crate::cost::Point;
use crate::report::document::burn::money;
use crate::report::document::containment::StepSpan;

/// The height of the curve.
const HEIGHT: i32 = 230;
/// Above it, left of it, and below it.
const MARGINS: (i32, i32, i32) = (24, 62, 30);
/// From step to step.
const ROW: i32 = 24;
/// The columns that the name of a step may take, and the pixels of one.
const COLUMN: i32 = 7;
/// Pixels from one time to the next.
const APART: f64 = 84.0;

/// Steps of the time since the first change, in seconds.
const ELAPSED: [f64; 13] = [0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0];

/// A frame in which time goes to the right and money up.
struct Frame {
    from: f64,
    until: f64,
    most: f64,
    left: i32,
    right: i32,
    bottom: i32,
}

/// The whole incident, with a mark where the response began.
pub fn incident(curve: &[Point], response: Option<Timestamp>, width: i32) -> Svg {
    let (first, last) = ends(curve);
    let size = size(width, HEIGHT + MARGINS.2);
    // A little of the time before and after shows that it was nothing.
    let rest = (last - first).max(60.0) * 0.04;
    let frame = Frame::new(curve, (first - rest, last + rest), (MARGINS.1, width));
    let elements = ink::drawn(size, |area| {
        frame.dollars(area);
        frame.times(area);
        frame.curve(area, curve);
        if let Some(at) = response {
            let x = frame.x(seconds(at));
            ink::line(area, vec![(x, MARGINS.0 - 10), (x, HEIGHT)], Ink::Response.line(2));
            ink::write(area, "response", (x - 6, MARGINS.0 - 12), Stands::To, Ink::Words, 20);
        }
    });
    Svg { size, elements }
}

/// The response alone: the curve, and below it a bar for each step.
pub fn response(curve: &[Point], steps: &[StepSpan], width: i32) -> Svg {
    let made: Vec<(&StepSpan, f64, f64)> =
        steps.iter().filter_map(|step| Some((step, seconds(step.first?), seconds(step.last?)))).collect();
    let first = made.iter().map(|(_, first, _)| *first).fold(f64::MAX, f64::min);
    let last = made.iter().map(|(.., last)| *last).fold(f64::MIN, f64::max);
    let rows = i32::try_from(made.len()).unwrap_or(i32::MAX / ROW);
    let bottom = HEIGHT + MARGINS.2 + ROW * rows + 6;
    let size = size(width, bottom);
    let rest = (last - first).max(1.0) * 0.04;
    let frame = Frame::new(curve, (first - rest, last + rest), (MARGINS.1, width));
    let elements = ink::drawn(size, |area| {
        frame.dollars(area);
        frame.elapsed(area, first, bottom);
        frame.curve(area, curve);
        for (number, (step, first, last)) in (0..).zip(made) {
            let middle = HEIGHT + MARGINS.2 + ROW * number + ROW / 2;
            let (from, until) = (frame.x(first), frame.x(last).max(frame.x(first) + 3));
            ink::bar(area, [(from, middle - 6), (until, middle + 6)], Ink::Response.filled());
            let words = step.step.as_str();
            let taken = i32::try_from(words.chars().count()).unwrap_or(i32::MAX / COLUMN) * COLUMN;
            let (x, stands) =
                if until + 8 + taken <= width { (until + 8, Stands::From) } else { (from - 8, Stands::To) };
            ink::write(area, words, (x, middle), stands, Ink::Words, 40);
        }
    });
    Svg { size, elements }
}

impl Frame {
    fn new(curve: &[Point], (from, until): (f64, f64), (left, right): (i32, i32)) -> Self {
        let highest = curve.iter().map(|point| point.per_hour).fold(0.0, f64::max);
        Self { from, until, most: round(highest), left, right: right - 12, bottom: HEIGHT }
    }

    fn x(&self, second: f64) -> i32 {
        let share = (second - self.from) / (self.until - self.from);
        self.left + px(share.clamp(0.0, 1.0) * f64::from(self.right - self.left))
    }

    fn y(&self, per_hour: f64) -> i32 {
        self.bottom - px(per_hour / self.most * f64::from(self.bottom - MARGINS.0))
    }

    /// Lines and figures for money.
    fn dollars(&self, area: &Area<'_>) {
        for part in 0..=4 {
            let dollars = self.most * f64::from(part) / 4.0;
            let y = self.y(dollars);
            ink::line(area, vec![(self.left, y), (self.right, y)], Ink::Grid.line(1));
            let words = money(dollars).trim_end_matches(".00").to_owned();
            ink::write(area, &words, (self.left - 8, y), Stands::To, Ink::Quiet, 12);
        }
        ink::write(area, "USD per hour", (0, 6), Stands::From, Ink::Quiet, 20);
    }

    /// The times of the clock at the bottom.
    fn times(&self, area: &Area<'_>) {
        let length = self.until - self.from;
        #[expect(clippy::cast_possible_truncation, reason = "seconds of an incident")]
        let (from, until, length) = (self.from.ceil() as i64, self.until as i64, length as i64);
        let step = step(length, f64::from(self.right - self.left) / APART);
        let form = match step {
            0..60 => "%H:%M:%S",
            86_400.. => "%d %b",
            _ => "%H:%M",
        };
        let first = from + (-from).rem_euclid(step);
        for second in (0..).map(|number| first + number * step).take_while(|second| *second <= until) {
            #[expect(clippy::cast_precision_loss, reason = "pixels")]
            let x = self.x(second as f64);
            ink::line(area, vec![(x, self.bottom), (x, self.bottom + 4)], Ink::Grid.line(1));
            let words = Timestamp::from_second(second).map(|time| time.strftime(form).to_string()).unwrap_or_default();
            ink::write(area, &words, (x, self.bottom + 16), Stands::About, Ink::Quiet, 12);
        }
    }

    /// The time since the first change at the bottom, and lines down through the steps.
    fn elapsed(&self, area: &Area<'_>, first: f64, bottom: i32) {
        let most = f64::from(self.right - self.left) / APART;
        let length = self.until - first;
        let step = ELAPSED.into_iter().find(|step| length / step <= most).unwrap_or(length / most);
        for number in (0..).take_while(|number| first + f64::from(*number) * step <= self.until) {
            let seconds = f64::from(number) * step;
            let x = self.x(first + seconds);
            ink::line(area, vec![(x, MARGINS.0), (x, bottom)], Ink::Grid.line(1));
            let words = match step {
                ..1.0 => format!("{seconds:.1} s"),
                1.0..60.0 => format!("{seconds:.0} s"),
                _ => format!("{:.0} min", seconds / 60.0),
            };
            ink::write(area, &words, (x, self.bottom + 16), Stands::About, Ink::Quiet, 12);
        }
    }

    /// Steps: what is burnt stays the same until a machine comes or goes.
    fn curve(&self, area: &Area<'_>, curve: &[Point]) {
        let mut points = vec![(self.left, self.y(self.at_the_left(curve)))];
        for point in curve {
            let at = seconds(point.at);
            if at < self.from || at > self.until {
                continue;
            }
            let x = self.x(at);
            let before = points.last().map_or(self.bottom, |(_, y)| *y);
            points.extend([(x, before), (x, self.y(point.per_hour))]);
        }
        points.push((self.right, points.last().map_or(self.bottom, |(_, y)| *y)));
        points.dedup();
        let mut under = points.clone();
        under.extend([(self.right, self.bottom), (self.left, self.bottom)]);
        ink::shape(area, under, Ink::Money.through(0.18));
        ink::line(area, points, Ink::Money.line(2));
    }

    /// What was burnt when the frame begins.
    fn at_the_left(&self, curve: &[Point]) -> f64 {
        curve.iter().take_while(|point| seconds(point.at) < self.from).last().map_or(0.0, |point| point.per_hour)
    }
}

fn ends(curve: &[Point]) -> (f64, f64) {
    let at = |point: Option<&Point>| point.map_or(0.0, |point| seconds(point.at));
    (at(curve.first()), at(curve.last()))
}

fn seconds(time: Timestamp) -> f64 {
    time.as_duration().as_secs_f64()
}

/// The next figure that four lines divide well.
fn round(highest: f64) -> f64 {
    let tens = 10_f64.powf(highest.max(1.0).log10().floor());
    let rounds = [1.0, 1.2, 1.6, 2.0, 3.0, 4.0, 6.0, 8.0, 10.0];
    rounds.into_iter().map(|round| round * tens).find(|round| *round >= highest).unwrap_or(highest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scale_is_round_and_holds_the_highest() {
        let near = |a: f64, b: f64| (a - b).abs() < 1e-9;
        assert!(near(round(632.72), 800.0) && near(round(0.4), 1.0) && near(round(100.0), 100.0));
        assert!(near(round(0.0), 1.0));
    }
}
