//! The lines at the foot of a terminal that are drawn again and again, and the text that passes above them.

use std::borrow::Cow;
use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use console::{Term, measure_text_width, truncate_str};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle, TermLike};

/// How often the lines are drawn.
const TICK: Duration = Duration::from_millis(100);

/// How many ticks are a second.
pub const TICKS_IN_A_SECOND: usize = 10;

/// Where the cursor waits: below the lines, so that what the terminal itself shows, such as `^C`, breaks none of them.
const CURSOR_LINE: &str = "\r";

/// How large a terminal is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// Lines.
    pub rows: usize,
    /// Characters in a line.
    pub columns: usize,
}

/// What is to be seen: the lines for a terminal of this size, after so many ticks.
pub trait View: Clone + Send + Sync + 'static {
    /// The lines, without line ends and none of them blank. Those that do not fit are left out, and cut off.
    fn lines(&self, size: Size, tick: usize) -> Vec<String>;
}

/// A terminal at whose foot a [`View`] may be shown. Its clones are the same terminal.
///
/// To indicatif, which draws, a view is one progress bar of several lines; while none is shown, the bar is finished.
/// Everything that is written goes through it, so text and lines never mix.
#[derive(Debug, Clone)]
pub struct Live {
    bar: ProgressBar,
    terminal: Arc<dyn TermLike>,
    stage: Arc<Mutex<Stage>>,
}

/// Whether views may be shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// They may.
    Open,
    /// The program leaves while its work still goes on: nothing is drawn any more.
    Closed,
}

/// A view that is shown until this is dropped.
#[derive(Debug)]
pub struct Showing(Live);

impl Live {
    /// Standard error.
    pub fn stderr() -> Self {
        Self::new(Arc::new(Term::buffered_stderr()))
    }

    /// Any terminal.
    pub fn new(terminal: Arc<dyn TermLike>) -> Self {
        let foot = Foot { terminal: Arc::clone(&terminal), drawn: Mutex::default() };
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::term_like_with_hz(Box::new(foot), 20));
        bar.finish_and_clear();
        Self { bar, terminal, stage: Arc::new(Mutex::new(Stage::Open)) }
    }

    /// Shows a view, instead of the one before it, and lets indicatif draw it ten times a second.
    pub fn show(&self, view: impl View) -> Showing {
        let terminal = Arc::clone(&self.terminal);
        let draw = move |state: &ProgressState, out: &mut dyn fmt::Write| {
            let size = Size { rows: terminal.height().into(), columns: terminal.width().into() };
            let tick = state.elapsed().as_millis() / TICK.as_millis();
            let lines = view.lines(size, usize::try_from(tick).unwrap_or_default());
            let _ = fitting(&lines, size).try_for_each(|line| writeln!(out, "{line}"));
            let _ = out.write_str(CURSOR_LINE);
        };
        let template = ProgressStyle::with_template("{view}").expect("it names one key");
        let stage = self.stage.lock().unwrap_or_else(PoisonError::into_inner);
        if *stage == Stage::Open {
            self.bar.set_style(template.with_key("view", draw));
            self.bar.reset();
            self.bar.enable_steady_tick(TICK);
        }
        Showing(self.clone())
    }

    /// Writes text above the view. It stands on lines of its own.
    pub fn write(&self, text: &str) {
        // A screen that cannot be written to must not end a containment.
        let _ = self.bar.suspend(|| {
            self.terminal.write_line(text.strip_suffix('\n').unwrap_or(text))?;
            self.terminal.flush()
        });
    }

    /// Takes the view off.
    pub fn wipe(&self) {
        self.bar.finish_and_clear();
    }

    /// Takes the view off for good: nothing is drawn any more, whatever is still going on.
    pub fn close(&self) {
        *self.stage.lock().unwrap_or_else(PoisonError::into_inner) = Stage::Closed;
        self.wipe();
    }
}

impl Drop for Showing {
    fn drop(&mut self) {
        self.0.wipe();
    }
}

/// The terminal as indicatif draws on it, except that lines end. indicatif fills each with blanks and lets the next begin
/// where the terminal breaks the row: all would be one long line, torn by every change of the width.
#[derive(Debug)]
struct Foot {
    terminal: Arc<dyn TermLike>,
    /// How wide each drawn line is.
    drawn: Mutex<Vec<usize>>,
}

impl TermLike for Foot {
    fn width(&self) -> u16 {
        self.terminal.width()
    }

    fn height(&self) -> u16 {
        self.terminal.height()
    }

    /// Goes to the first of the drawn lines. Where a terminal became narrower, it has broken those that no longer fit.
    fn move_cursor_up(&self, n: usize) -> io::Result<()> {
        let columns = usize::from(self.width()).max(1);
        let drawn = std::mem::take(&mut *self.drawn.lock().unwrap_or_else(PoisonError::into_inner));
        let rows: usize = drawn.iter().map(|width| width.div_ceil(columns).max(1)).sum();
        let broken = rows.saturating_sub(n + 1);
        self.terminal.move_cursor_up(n + broken)?;
        if broken > 0 { self.terminal.write_str("\x1b[J") } else { Ok(()) }
    }

    fn move_cursor_down(&self, n: usize) -> io::Result<()> {
        self.terminal.move_cursor_down(n)
    }

    fn move_cursor_right(&self, n: usize) -> io::Result<()> {
        self.terminal.move_cursor_right(n)
    }

    fn move_cursor_left(&self, n: usize) -> io::Result<()> {
        self.terminal.move_cursor_left(n)
    }

    fn write_line(&self, line: &str) -> io::Result<()> {
        self.terminal.write_line(line)
    }

    /// Writes a line, and nothing of what should fill it.
    fn write_str(&self, text: &str) -> io::Result<()> {
        if text.trim_start_matches(' ').is_empty() {
            return Ok(());
        }
        let mut drawn = self.drawn.lock().unwrap_or_else(PoisonError::into_inner);
        if !drawn.is_empty() {
            self.terminal.write_line("")?;
        }
        drawn.push(measure_text_width(text));
        self.terminal.write_str(text)
    }

    fn clear_line(&self) -> io::Result<()> {
        self.terminal.clear_line()
    }

    fn flush(&self) -> io::Result<()> {
        self.terminal.flush()
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
pub(super) mod tests {
    use std::num::NonZeroU16;

    use super::*;

    /// Shows the same lines in every size.
    #[derive(Clone)]
    struct Fixed(&'static [&'static str]);

    impl View for Fixed {
        fn lines(&self, _: Size, _: usize) -> Vec<String> {
            self.0.iter().map(ToString::to_string).collect()
        }
    }

    /// A terminal of which everything can be seen.
    #[derive(Debug)]
    pub struct Glass(Mutex<Seen>);

    struct Seen {
        screen: vt100::Parser,
        columns: u16,
        written: String,
    }

    impl fmt::Debug for Seen {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(&self.screen.screen().contents())
        }
    }

    impl Glass {
        pub fn new(rows: u16, columns: u16) -> Arc<Self> {
            let [lines, width] = [rows, columns].map(|n| NonZeroU16::new(n).unwrap());
            let screen = vt100::Parser::new(lines, width, 100);
            Arc::new(Self(Mutex::new(Seen { screen, columns, written: String::new() })))
        }

        fn text(&self) -> String {
            self.0.lock().unwrap().screen.screen().contents().trim_end().to_owned()
        }

        fn write(&self, text: &str) {
            let mut seen = self.0.lock().unwrap();
            seen.screen.process(text.as_bytes());
            seen.written.push_str(text);
        }

        /// Moves nowhere where there is nowhere to go.
        fn go(&self, n: usize, way: char) {
            if n > 0 {
                self.write(&format!("\x1b[{n}{way}"));
            }
        }
    }

    impl TermLike for Glass {
        fn width(&self) -> u16 {
            self.0.lock().unwrap().columns
        }

        fn height(&self) -> u16 {
            self.0.lock().unwrap().screen.screen().size().0.get()
        }

        fn move_cursor_up(&self, n: usize) -> io::Result<()> {
            self.go(n, 'A');
            Ok(())
        }

        fn move_cursor_down(&self, n: usize) -> io::Result<()> {
            self.go(n, 'B');
            Ok(())
        }

        fn move_cursor_right(&self, n: usize) -> io::Result<()> {
            self.go(n, 'C');
            Ok(())
        }

        fn move_cursor_left(&self, n: usize) -> io::Result<()> {
            self.go(n, 'D');
            Ok(())
        }

        fn write_line(&self, line: &str) -> io::Result<()> {
            self.write(&format!("{line}\r\n"));
            Ok(())
        }

        fn write_str(&self, text: &str) -> io::Result<()> {
            // What the line discipline of a terminal does.
            self.write(&text.replace('\n', "\r\n"));
            Ok(())
        }

        fn clear_line(&self) -> io::Result<()> {
            self.write("\r\x1b[2K");
            Ok(())
        }

        fn flush(&self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn text_passes_above_the_lines_and_the_lines_go_at_the_end() {
        let glass = Glass::new(6, 20);
        let live = Live::new(glass.clone());
        live.write("before\n");
        assert_eq!(glass.text(), "before");
        let showing = live.show(Fixed(&["one", "two"]));
        live.write("a log\n");
        live.write("another");
        assert_eq!(glass.text(), "before\na log\nanother\none\ntwo");
        drop(showing);
        live.write("the end\n");
        assert_eq!(glass.text(), "before\na log\nanother\nthe end");
    }

    #[test]
    fn a_view_may_be_shown_again() {
        let glass = Glass::new(6, 20);
        let live = Live::new(glass.clone());
        drop(live.show(Fixed(&["one"])));
        assert_eq!(glass.text(), "");
        let _showing = live.show(Fixed(&["two"]));
        live.write("a log");
        assert_eq!(glass.text(), "a log\ntwo");
    }

    #[test]
    fn what_does_not_fit_is_left_out() {
        let glass = Glass::new(3, 10);
        let live = Live::new(glass.clone());
        let _showing = live.show(Fixed(&["0123456789abc", "two", "three", "four"]));
        for _ in 0..5 {
            live.bar.suspend(|| ());
        }
        assert_eq!(glass.text(), "01234567…\ntwo");
        assert_eq!(glass.0.lock().unwrap().screen.screen().scrollback_len(), 0);
    }

    #[test]
    fn lines_that_a_narrower_terminal_broke_are_erased_as_well() {
        let glass = Glass::new(10, 40);
        let foot = Foot { terminal: glass.clone(), drawn: Mutex::default() };
        let draw = || {
            ["twenty-five letters of it", "  ", "short", "  ", CURSOR_LINE].map(|text| foot.write_str(text).unwrap())
        };
        let written = || std::mem::take(&mut glass.0.lock().unwrap().written);
        draw();
        assert_eq!(written(), "twenty-five letters of it\r\nshort\r\n\r");
        foot.move_cursor_up(2).unwrap();
        assert_eq!(written(), "\x1b[2A");
        draw();
        written();
        glass.0.lock().unwrap().columns = 10;
        foot.move_cursor_up(2).unwrap();
        assert_eq!(written(), "\x1b[4A\x1b[J");
    }
}
