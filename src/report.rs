//! What people and pipelines see of a plan and of a run. Every part reads events, or what the journal holds, and nothing
//! else: what is on the screen can be shown again from the journal.
//!
//! All text that comes from AWS (names, tags, messages) passes [`text`] before it reaches a terminal.

pub mod accounts;
pub mod case;
pub mod chain;
pub mod cost;
pub mod document;
pub mod drill;
pub mod evidence;
pub mod findings;
pub mod json_lines;
pub mod live;
pub mod plain;
pub mod plan_json;
pub mod plan_text;
pub mod posture;
pub mod progress;
pub mod record;
pub mod runs;
pub mod show;
pub mod style;
pub mod summary;
pub mod terminal;
pub mod text;
pub mod timeline;
mod unseen;
