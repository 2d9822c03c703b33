//! The lines at the foot of a terminal that are drawn again and again, and the text that passes above them.

use std::borrow::Cow;
use std::fmt;
use std::io::Write;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use console::{Term, measure_text_width, truncate_str};

/// How often the lines are drawn.
const TICK: Duration = Duration::from_millis(100);

/// How many ticks are a second.
pub const TICKS_IN_A_SECOND: usize = 10;

/// How large a terminal is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// Lines.
    pub rows: usize,
    /// Characters in a line.
    pub columns: usize,
}

/// What is to be seen: the lines for a terminal of this size, after so many ticks.
pub trait View: Send {
    /// The lines, without line ends. Those that do not fit are left out, and cut off.
    fn lines(&self, size: Size, tick: usize) -> Vec<String>;
}

/// A terminal at whose foot a [`View`] may be shown. Its clones are the same terminal.
///
/// Everything that is written goes through it. While a view is shown, text waits for the next drawing: then the drawn lines
/// go, the text comes, and the lines come again, all in one piece. So no text is ever torn by a line, and a flood of logs
/// costs ten drawings a second.
#[derive(Clone)]
pub struct Live(Arc<Mutex<Foot>>);

struct Foot {
    out: Box<dyn Write + Send>,
    size: Box<dyn Fn() -> Size + Send>,
    view: Option<Box<dyn View>>,
    tick: usize,
    /// Text that waits for the next drawing.
    waiting: String,
    /// How wide each drawn line is.
    drawn: Vec<usize>,
}

/// A view that is shown until this is dropped.
#[derive(Debug)]
pub struct Showing {
    live: Live,
    _ticks: Sender<()>,
}

impl Live {
    /// Standard error.
    pub fn stderr() -> Self {
        let size = || {
            let (rows, columns) = Term::stderr().size();
            Size { rows: rows.into(), columns: columns.into() }
        };
        Self::new(std::io::stderr(), size)
    }

    /// Any terminal.
    pub fn new(out: impl Write + Send + 'static, size: impl Fn() -> Size + Send + 'static) -> Self {
        let foot = Foot {
            out: Box::new(out),
            size: Box::new(size),
            view: None,
            tick: 0,
            waiting: String::new(),
            drawn: Vec::new(),
        };
        Self(Arc::new(Mutex::new(foot)))
    }

    /// Shows a view, instead of the one before it, and draws it ten times a second.
    pub fn show(&self, view: impl View + 'static) -> Showing {
        self.foot().begin(Box::new(view));
        let (ticks, ended) = channel();
        let live = self.clone();
        std::thread::spawn(move || {
            while ended.recv_timeout(TICK) == Err(RecvTimeoutError::Timeout) {
                live.foot().turn();
            }
        });
        Showing { live: self.clone(), _ticks: ticks }
    }

    /// Writes text above the view. It begins and ends on a line of its own.
    pub fn write(&self, text: &str) {
        self.foot().write(text);
    }

    /// Takes the view off for good: nothing is drawn any more.
    pub fn wipe(&self) {
        self.foot().end();
    }

    /// A panic elsewhere must not silence the screen.
    fn foot(&self) -> MutexGuard<'_, Foot> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Live {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Live")
    }
}

impl Drop for Showing {
    fn drop(&mut self) {
        self.live.wipe();
    }
}

impl Foot {
    fn begin(&mut self, view: Box<dyn View>) {
        self.view = Some(view);
        self.tick = 0;
        self.draw();
    }

    fn turn(&mut self) {
        if self.view.is_some() {
            self.tick += 1;
            self.draw();
        }
    }

    fn end(&mut self) {
        self.view = None;
        self.draw();
    }

    fn write(&mut self, text: &str) {
        self.waiting.push_str(text);
        if self.view.is_none() {
            self.draw();
        } else if !text.ends_with('\n') {
            self.waiting.push('\n');
        }
    }

    /// Puts what waits where the drawn lines begin, and the lines below it.
    fn draw(&mut self) {
        let size = (self.size)();
        let mut out = self.back_to_the_first_line(size);
        out.push_str(&std::mem::take(&mut self.waiting));
        let lines = self.view.as_ref().map(|view| view.lines(size, self.tick)).unwrap_or_default();
        self.drawn.clear();
        for line in fitting(&lines, size) {
            self.drawn.push(measure_text_width(&line));
            out.push_str(&line);
            out.push('\n');
        }
        if !out.is_empty() {
            // A screen that cannot be written to must not end a containment.
            let _ = self.out.write_all(out.as_bytes()).and_then(|()| self.out.flush());
        }
    }

    /// The way from below the drawn lines to their beginning, everything from there on erased. Where a terminal became
    /// narrower, it has broken the lines that no longer fit.
    fn back_to_the_first_line(&self, size: Size) -> String {
        let rows: usize = self.drawn.iter().map(|width| width.div_ceil(size.columns.max(1)).max(1)).sum();
        if rows == 0 { String::new() } else { format!("\r\x1b[{rows}A\x1b[J") }
    }
}

/// As much of the lines as fits: the cursor needs a line too, and a full last column makes some terminals begin a new line.
pub(super) fn fitting(lines: &[String], size: Size) -> impl Iterator<Item = Cow<'_, str>> {
    lines
        .iter()
        .take(size.rows.saturating_sub(1))
        .map(move |line| truncate_str(line, size.columns.saturating_sub(1), "…"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Shows the same lines in every size.
    struct Fixed(&'static [&'static str]);

    impl View for Fixed {
        fn lines(&self, _: Size, _: usize) -> Vec<String> {
            self.0.iter().map(ToString::to_string).collect()
        }
    }

    #[derive(Clone)]
    struct Glass(Arc<Mutex<vt100::Parser>>);

    impl Write for Glass {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            // What the line discipline of a terminal does.
            let text = String::from_utf8_lossy(bytes).replace('\n', "\r\n");
            self.0.lock().unwrap().process(text.as_bytes());
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    impl Glass {
        fn new(rows: u16, columns: u16) -> (Self, Foot) {
            let sizes = [rows, columns].map(|n| std::num::NonZeroU16::new(n).unwrap());
            let glass = Self(Arc::new(Mutex::new(vt100::Parser::new(sizes[0], sizes[1], 100))));
            let size = move || Size { rows: rows.into(), columns: columns.into() };
            let (out, size) = (Box::new(glass.clone()), Box::new(size));
            (glass, Foot { out, size, view: None, tick: 0, waiting: String::new(), drawn: Vec::new() })
        }

        fn text(&self) -> String {
            self.0.lock().unwrap().screen().contents()
        }
    }

    #[test]
    fn text_passes_above_the_lines_and_the_lines_go_at_the_end() {
        let (glass, mut foot) = Glass::new(6, 20);
        foot.begin(Box::new(Fixed(&["one", "two"])));
        foot.write("a log\n");
        foot.write("another");
        assert_eq!(glass.text(), "one\ntwo", "text waits for the next drawing");
        foot.turn();
        assert_eq!(glass.text(), "a log\nanother\none\ntwo");
        foot.end();
        foot.turn();
        foot.write("the end\n");
        assert_eq!(glass.text(), "a log\nanother\nthe end");
    }

    #[test]
    fn what_does_not_fit_is_left_out() {
        let (glass, mut foot) = Glass::new(3, 10);
        foot.begin(Box::new(Fixed(&["0123456789abc", "two", "three", "four"])));
        for _ in 0..5 {
            foot.turn();
        }
        assert_eq!(glass.text(), "01234567…\ntwo");
        assert_eq!(glass.0.lock().unwrap().screen().scrollback_len(), 0);
    }

    #[test]
    fn lines_that_a_narrower_terminal_broke_are_erased_as_well() {
        let (_, mut foot) = Glass::new(10, 40);
        foot.begin(Box::new(Fixed(&["twenty-five letters of it", "short"])));
        assert!(foot.back_to_the_first_line(Size { rows: 10, columns: 40 }).contains("[2A"));
        assert!(foot.back_to_the_first_line(Size { rows: 10, columns: 10 }).contains("[4A"));
    }
}
