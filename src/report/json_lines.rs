//! Events as JSON lines, for pipelines.

use std::io::Write;

use super::text::escaped_json;
use crate::engine::ports::Reporter;
use crate::model::Event;

/// Writes each event as one line, at once. When the reader has gone away it falls silent: the run matters more than the
/// report, and the journal has everything.
#[derive(Debug)]
pub struct JsonLines<W> {
    out: Option<W>,
}

impl<W: Write> JsonLines<W> {
    /// Writes to `out`.
    pub fn new(out: W) -> Self {
        Self { out: Some(out) }
    }
}

impl<W: Write + Send> Reporter for JsonLines<W> {
    fn event(&mut self, event: &Event) {
        let Some(out) = &mut self.out else { return };
        let mut line = escaped_json(&serde_json::to_string(event).expect("an event is always JSON"));
        line.push('\n');
        if out.write_all(line.as_bytes()).and_then(|()| out.flush()).is_err() {
            self.out = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::example;

    #[test]
    fn every_event_is_one_line_and_reads_back_as_itself() {
        let events = example::run();
        let mut written = Vec::new();
        let mut lines = JsonLines::new(&mut written);
        for event in &events {
            lines.event(event);
        }
        let text = String::from_utf8(written).unwrap();
        let read: Vec<Event> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(read, events);
    }

    #[test]
    fn a_closed_pipe_silences_it() {
        struct Closed;
        impl Write for Closed {
            fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
                Err(std::io::ErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> std::io::Result<()> {
                Ok(())
            }
        }
        let mut lines = JsonLines::new(Closed);
        lines.event(&example::run()[0]);
        assert!(lines.out.is_none());
    }
}
