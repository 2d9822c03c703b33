//! Who may say yes, and how: a person at a terminal, a flag of the command line, a script in a test.

mod flags;
mod scripted;
mod terminal;

pub use flags::Flags;
pub use scripted::Scripted;
pub use terminal::{Terminal, yes};
