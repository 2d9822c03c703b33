//! Bars from left to right, with their names and figures as text.

use super::ink::{self, Ink, Stands};
use super::{Svg, px, size};
use crate::cost::Share;
use crate::report::document::burn::money;

/// From bar to bar.
const ROW: i32 = 26;
/// The columns that a name may take, and the pixels of one.
const COLUMNS: i32 = 16;
const COLUMN: i32 = 7;
/// The pixels of the figures behind the longest bar, on a wide page and on a narrow one.
const FIGURES: (i32, i32) = (190, 96);
/// From this width on there is room for both figures.
const ROOMY: i32 = 600;

/// Draws a bar for each share.
pub fn draw(shares: &[Share], width: i32) -> Svg {
    let count = i32::try_from(shares.len()).unwrap_or(i32::MAX / ROW);
    let size = size(width, ROW * count + 4);
    let roomy = width >= ROOMY;
    let left = COLUMNS * COLUMN;
    let right = width - if roomy { FIGURES.0 } else { FIGURES.1 };
    let most = shares.iter().map(|share| share.per_hour).fold(0.0, f64::max);
    let elements = ink::drawn(size, |area| {
        for (number, share) in (0..).zip(shares) {
            let middle = ROW * number + ROW / 2;
            let columns = usize::try_from(COLUMNS - 1).unwrap_or_default();
            ink::write(area, &share.name, (left - 8, middle), Stands::To, Ink::Words, columns);
            let part = if most > 0.0 { share.per_hour / most } else { 0.0 };
            let end = left + px(part * f64::from(right - left)).max(1);
            ink::bar(area, [(left, middle - 8), (end, middle + 8)], Ink::Money.filled());
            let unpriced =
                if share.unpriced > 0 { format!(" · {} without a price", share.unpriced) } else { String::new() };
            let figures = if roomy {
                format!("{}/h · {} machines{unpriced}", money(share.per_hour), share.machines)
            } else {
                format!("{}/h · {}", money(share.per_hour), share.machines)
            };
            ink::write(area, &figures, (end + 8, middle), Stands::From, Ink::Quiet, 60);
        }
    });
    Svg { size, elements }
}
