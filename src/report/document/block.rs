//! What a report is laid out in. Each section says what it tells in blocks; [`super::html`] and [`super::markdown`] know how a
//! block looks, so that both say the same.

use jiff::Timestamp;

use super::charts::{Chart, Svg};

/// A part of a section.
#[derive(Debug)]
pub enum Block {
    /// A heading below that of the section.
    Heading(String),
    /// A paragraph.
    Text(String),
    /// What must not be overlooked.
    Notice(Tone, String),
    /// Figures to be seen from afar.
    Figures(Vec<Figure>),
    /// Terms, with what is to be said of each.
    Terms(Vec<(String, Cell)>),
    /// Points, one after the other.
    List(Vec<Cell>),
    /// Rows.
    Table(Table),
    /// A picture, and the same as a table.
    Picture(Picture),
    /// What is there for whoever asks.
    Folded(String, Vec<Block>),
    /// What is said of one thing.
    Entry(Entry),
}

/// How good or bad something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// As it should be.
    Good,
    /// To be looked at.
    Open,
    /// Not as it should be.
    Bad,
    /// Neither.
    Plain,
}

/// A figure to be seen from afar.
#[derive(Debug)]
pub struct Figure {
    /// What it counts.
    pub label: String,
    /// The figure.
    pub value: String,
    /// What to know of it.
    pub note: String,
}

/// A piece of text in a row.
#[derive(Debug, Clone)]
pub enum Cell {
    /// Words.
    Text(String),
    /// A name that a machine made: an id, a hash, a command.
    Code(String),
    /// A figure.
    Number(String),
    /// A time, UTC.
    Time(Timestamp),
    /// A word that says how good something is.
    Mark(Tone, String),
}

/// Rows with the heads of their columns.
#[derive(Debug)]
pub struct Table {
    /// What the rows are.
    pub caption: String,
    /// The heads.
    pub head: Vec<&'static str>,
    /// The rows, each as long as the head; the first cell names the row.
    pub rows: Vec<Vec<Cell>>,
}

/// A picture that a table tells as well.
#[derive(Debug)]
pub struct Picture {
    /// The picture.
    pub chart: Chart,
    /// What its marks mean: each, and the word.
    pub legend: Vec<(Svg, &'static str)>,
    /// The same as a table.
    pub table: Table,
}

/// What is said of one thing.
#[derive(Debug)]
pub struct Entry {
    /// Its name.
    pub heading: String,
    /// The word on it, if there is one.
    pub mark: Option<(Tone, String)>,
    /// The rest.
    pub blocks: Vec<Block>,
}

impl Cell {
    /// Words.
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    /// A name that a machine made.
    pub fn code(text: impl Into<String>) -> Self {
        Self::Code(text.into())
    }

    /// A count.
    pub fn count(count: usize) -> Self {
        Self::Number(count.to_string())
    }

    /// US dollars; none where no price is known.
    pub fn dollars(dollars: Option<f64>) -> Self {
        dollars.map_or_else(|| Self::text("not known"), |dollars| Self::Number(format!("{dollars:.2}")))
    }

    /// A time, if there is one.
    pub fn time(time: Option<Timestamp>) -> Self {
        time.map_or_else(|| Self::text("–"), Self::Time)
    }
}

impl Block {
    /// A paragraph.
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }
}

/// A time as a report shows it: UTC, to the second.
pub fn clock(time: Timestamp) -> String {
    time.strftime("%Y-%m-%d %H:%M:%S").to_string()
}
