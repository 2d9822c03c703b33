//! SVG that takes its colours from the page, so that it fits light, dark and paper.

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::report::text::cut;

/// What is drawn with. Each is a custom property of the page's style sheet: `--entry`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ink {
    /// Words.
    Words,
    /// Words that step back.
    Quiet,
    /// Grids and axes.
    Grid,
    /// What runs on behind a lane.
    Band,
    /// Money.
    Money,
    /// A phase, by its name.
    Entry,
    /// See [`Ink::Entry`].
    Preparation,
    /// See [`Ink::Entry`].
    Persistence,
    /// See [`Ink::Entry`].
    Launch,
    /// See [`Ink::Entry`].
    Discovery,
    /// See [`Ink::Entry`].
    Response,
}

impl Ink {
    const ALL: [Self; 11] = [
        Self::Words,
        Self::Quiet,
        Self::Grid,
        Self::Band,
        Self::Money,
        Self::Entry,
        Self::Preparation,
        Self::Persistence,
        Self::Launch,
        Self::Discovery,
        Self::Response,
    ];

    /// The custom property.
    fn property(self) -> &'static str {
        match self {
            Self::Words => "--words",
            Self::Quiet => "--quiet",
            Self::Grid => "--grid",
            Self::Band => "--band",
            Self::Money => "--money",
            Self::Entry => "--entry",
            Self::Preparation => "--preparation",
            Self::Persistence => "--persistence",
            Self::Launch => "--launch",
            Self::Discovery => "--discovery",
            Self::Response => "--response",
        }
    }

    /// What stands for it while it is drawn: a colour that nobody would choose, one for each.
    fn stand_in(self) -> RGBColor {
        RGBColor(1, 2, self as u8)
    }

    /// To fill with.
    pub fn filled(self) -> ShapeStyle {
        self.stand_in().filled()
    }

    /// To fill with, let through so much: 0 is nothing, 1 is all.
    pub fn through(self, share: f64) -> ShapeStyle {
        self.stand_in().mix(share).filled()
    }

    /// To draw lines with, so many pixels wide.
    pub fn line(self, width: u32) -> ShapeStyle {
        self.stand_in().stroke_width(width)
    }
}

/// A drawing that is being made.
pub type Area<'a> = DrawingArea<SVGBackend<'a>, plotters::coord::Shift>;

/// Draws a picture of so many pixels; gives what stands within its `svg` element.
pub fn drawn(size: (u32, u32), draw: impl FnOnce(&Area<'_>)) -> String {
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, size).into_drawing_area();
        draw(&area);
        area.present().expect(TO_A_STRING);
    }
    for ink in Ink::ALL {
        let RGBColor(r, g, b) = ink.stand_in();
        svg = svg.replace(&format!("\"#{r:02X}{g:02X}{b:02X}\""), &format!("\"var({})\"", ink.property()));
    }
    // The page makes an element of its own, with a title and a description.
    let inside = svg.split_once(">\n").map_or("", |(_, inside)| inside);
    inside.trim_end().trim_end_matches("</svg>").to_owned()
}

/// Why no error is handled: the only one there is would be that of a full disk.
pub const TO_A_STRING: &str = "drawing into a string cannot fail";

/// Where a text stands to its point.
#[derive(Debug, Clone, Copy)]
pub enum Stands {
    /// It begins there.
    From,
    /// It ends there.
    To,
    /// It is in the middle.
    About,
}

/// Writes a text, at the height of its middle, cut to so many columns.
pub fn write(area: &Area<'_>, text: &str, at: (i32, i32), stands: Stands, ink: Ink, columns: usize) {
    let across = match stands {
        Stands::From => HPos::Left,
        Stands::To => HPos::Right,
        Stands::About => HPos::Center,
    };
    let colour = ink.stand_in();
    let style = TextStyle::from(("sans-serif", TEXT).into_font()).color(&colour).pos(Pos::new(across, VPos::Center));
    area.draw(&Text::new(cut(text, columns), at, style)).expect(TO_A_STRING);
}

/// The size of texts. The library takes it times 1.24: these are 13 pixels.
pub const TEXT: f64 = 13.0 * 1.24;

/// A bar from one corner to the other.
pub fn bar(area: &Area<'_>, corners: [(i32, i32); 2], style: ShapeStyle) {
    area.draw(&Rectangle::new(corners, style)).expect(TO_A_STRING);
}

/// A line through points.
pub fn line(area: &Area<'_>, points: Vec<(i32, i32)>, style: ShapeStyle) {
    area.draw(&PathElement::new(points, style)).expect(TO_A_STRING);
}

/// A filled shape.
pub fn shape(area: &Area<'_>, points: Vec<(i32, i32)>, style: ShapeStyle) {
    area.draw(&Polygon::new(points, style)).expect(TO_A_STRING);
}

/// A filled circle.
pub fn circle(area: &Area<'_>, at: (i32, i32), radius: i32, style: ShapeStyle) {
    area.draw(&Circle::new(at, radius, style)).expect(TO_A_STRING);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_the_pages_and_texts_are_escaped() {
        let svg = drawn((100, 50), |area| {
            write(area, "<script>\u{202e}\"", (0, 10), Stands::From, Ink::Words, 40);
            bar(area, [(0, 0), (10, 10)], Ink::Launch.through(0.5));
        });
        assert!(svg.contains("fill=\"var(--launch)\"") && svg.contains("fill=\"var(--words)\""), "{svg}");
        assert!(svg.contains("&lt;script&gt;\\u{202e}&quot;"), "{svg}");
        assert!(!svg.contains('#') && !svg.contains("svg"), "{svg}");
    }
}
