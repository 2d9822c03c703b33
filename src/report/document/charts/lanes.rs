//! Who was at work when: a lane for each, time from left to right.

use super::axis::Axis;
use super::ink::{self, Area, Ink, Stands};
use super::{Svg, px, size};
use crate::report::document::timeline::{Lane, Mark};
use crate::story::Phase;

/// From lane to lane.
const LANE: i32 = 30;
/// Above the lanes.
const TOP: i32 = 8;
/// Below them: the times.
const FOOT: i32 = 30;
/// The columns that a name may take, and the pixels of one.
const COLUMNS: i32 = 26;
const COLUMN: i32 = 7;
/// From this width on names stand to the left of their lanes, and not above them.
const BESIDE: i32 = 600;
/// Half the size of a mark.
const MARK: i32 = 5;
/// Marks that are nearer than this are drawn as one.
const NEAR: f64 = 3.0;

/// Draws lanes.
pub fn draw(lanes: &[Lane], width: i32) -> Svg {
    let beside = width >= BESIDE;
    let (left, lane) = if beside { (COLUMNS * COLUMN, LANE) } else { (MARK + 1, LANE + 14) };
    let count = i32::try_from(lanes.len()).unwrap_or(i32::MAX / LANE);
    let bottom = TOP + lane * count;
    let size = size(width, bottom + FOOT);
    let times = lanes.iter().flat_map(|lane| &lane.marks).map(|mark| mark.at);
    let axis = Axis::of(times, (f64::from(left), f64::from(width - MARK - 1)));
    let elements = ink::drawn(size, |area| {
        times_below(area, &axis, bottom);
        for (number, one) in (0..).zip(lanes) {
            let top = TOP + lane * number;
            let middle = top + lane - LANE / 2;
            if beside {
                let columns = usize::try_from(COLUMNS - 1).unwrap_or_default();
                ink::write(area, &one.name, (left - 10, middle), Stands::To, Ink::Words, columns);
            } else {
                ink::write(area, &one.name, (0, top + 9), Stands::From, Ink::Words, 44);
            }
            ink::bar(area, [(left - MARK, middle - 9), (width, middle + 9)], Ink::Band.filled());
            cuts(area, &axis, middle);
            marks(area, &one.marks, &axis, middle);
        }
    });
    Svg { size, elements }
}

/// The grid, and the times under it.
fn times_below(area: &Area<'_>, axis: &Axis, bottom: i32) {
    let mut free = i32::MIN;
    for (x, words) in axis.marks(76.0) {
        let x = px(x);
        ink::line(area, vec![(x, TOP), (x, bottom + 4)], Ink::Grid.line(1));
        // Half of what the words take.
        let half = i32::try_from(words.chars().count()).unwrap_or_default() * 7 / 2;
        let (edge, (width, _)) = (x + half, area.dim_in_pixel());
        let x = if edge > i32::try_from(width).unwrap_or(i32::MAX) {
            x - (edge - i32::try_from(width).unwrap_or(edge))
        } else {
            x
        };
        if x - half >= free.max(0) {
            ink::write(area, &words, (x, bottom + 16), Stands::About, Ink::Quiet, 20);
            free = x + half + 6;
        }
    }
}

/// Where time is left out: a break in the band of a lane.
fn cuts(area: &Area<'_>, axis: &Axis, middle: i32) {
    for (x, _) in axis.cuts() {
        let x = px(x);
        for by in [-4, 2] {
            let zigzag = (0..=3).map(|n| (x + by + if n % 2 == 0 { 2 } else { 0 }, middle - 9 + 6 * n));
            ink::line(area, zigzag.collect(), Ink::Quiet.line(1));
        }
    }
}

/// The marks of a lane; of those that lie on each other, one.
fn marks(area: &Area<'_>, marks: &[Mark], axis: &Axis, middle: i32) {
    for phase in crate::report::timeline::PHASES {
        let mut last = f64::MIN;
        for mark in marks.iter().filter(|mark| mark.phase == phase) {
            let x = axis.x(mark.at);
            if x - last >= NEAR {
                self::mark(area, phase, (px(x), middle));
                last = x;
            }
        }
    }
}

/// A mark: each phase has a colour and a form of its own, for who does not tell the colours apart.
fn mark(area: &Area<'_>, phase: Phase, (x, y): (i32, i32)) {
    let (ink, m) = (ink_of(phase), MARK);
    match phase {
        Phase::Entry => ink::shape(area, vec![(x - m - 1, y - m), (x + m + 1, y), (x - m - 1, y + m)], ink.filled()),
        Phase::Preparation => ink::bar(area, [(x - m + 1, y - m + 1), (x + m - 1, y + m - 1)], ink.filled()),
        Phase::Persistence => {
            ink::shape(area, vec![(x, y - m - 1), (x + m + 1, y), (x, y + m + 1), (x - m - 1, y)], ink.filled());
        }
        Phase::Launch => ink::circle(area, (x, y), m, ink.filled()),
        Phase::Discovery => ink::circle(area, (x, y), m - 1, ink.line(2)),
        Phase::Response => ink::bar(area, [(x - 1, y - m - 2), (x + 1, y + m + 2)], ink.filled()),
    }
}

/// The mark of a phase by itself, for a legend.
pub fn symbol(phase: Phase) -> Svg {
    let side = 2 * MARK + 4;
    let size = size(side, side);
    Svg { size, elements: ink::drawn(size, |area| mark(area, phase, (side / 2, side / 2))) }
}

/// The colour of a phase.
fn ink_of(phase: Phase) -> Ink {
    match phase {
        Phase::Entry => Ink::Entry,
        Phase::Preparation => Ink::Preparation,
        Phase::Persistence => Ink::Persistence,
        Phase::Launch => Ink::Launch,
        Phase::Discovery => Ink::Discovery,
        Phase::Response => Ink::Response,
    }
}
