//! Pictures, as SVG in a page: each drawn for a wide page and for a narrow one, so that its words are as large as those around
//! it on both.

pub mod axis;
pub mod bars;
pub mod curve;
pub mod ink;
pub mod lanes;

/// The pixels that a picture has on a wide page, and on paper.
const WIDE: i32 = 900;
/// On a phone.
const NARROW: i32 = 340;

/// A picture.
#[derive(Debug)]
pub struct Chart {
    /// What it shows.
    pub title: String,
    /// The gist of it, for who does not see it.
    pub description: String,
    /// How it looks.
    pub drawn: Drawn,
}

/// A picture in both widths.
#[derive(Debug)]
pub struct Drawn {
    /// For a wide page.
    pub wide: Svg,
    /// For a phone.
    pub narrow: Svg,
}

/// What stands within an `svg` element.
#[derive(Debug)]
pub struct Svg {
    /// Its width and height in pixels.
    pub size: (u32, u32),
    /// Elements, escaped.
    pub elements: String,
}

/// Draws a picture in both widths.
pub fn both(draw: impl Fn(i32) -> Svg) -> Drawn {
    Drawn { wide: draw(WIDE), narrow: draw(NARROW) }
}

/// Whole pixels.
#[expect(clippy::cast_possible_truncation, reason = "a page is some thousand pixels large")]
fn px(pixels: f64) -> i32 {
    pixels.round() as i32
}

/// A size that a picture can have.
fn size(width: i32, height: i32) -> (u32, u32) {
    (width.unsigned_abs(), height.unsigned_abs())
}
