//! A pseudo-terminal with a person at it: quell writes on it, the person reads the screen and types.

use std::io::{Read as _, Write as _};
use std::num::NonZeroU16;
use std::process::{Child, Command};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, Once, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use pty_process::blocking::Pty;
use tokio::signal::unix::{SignalKind, signal};
use vt100::Screen;

/// How long a text may let people wait.
const PATIENCE: Duration = Duration::from_mins(1);

/// How long nothing comes from a process that was stopped, once all that it wrote was read.
const QUIET: Duration = Duration::from_millis(200);

/// What quell draws progress with.
const DRAWN: &[char] = &['⠋', '⠙', '⠹', '⠸', '⠼', '⠴', '⠦', '⠧', '⠇', '⠏', '█', '░'];

/// How each drawing ends: the cursor waits below it.
const DRAWING_END: &[u8] = b"\n\r";

static INTERRUPTIBLE: Once = Once::new();

pub struct Tty {
    pty: Arc<Pty>,
    process: Child,
    seen: Arc<Seen>,
    reader: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Seen {
    state: Mutex<State>,
    more: Condvar,
}

struct State {
    parser: vt100::Parser,
    bytes: Vec<u8>,
    is_over: bool,
    /// How many drawings are still to come before progress is judged again.
    unjudged: usize,
    /// The first screen on which progress was torn, if there was one.
    torn: Option<String>,
}

impl Default for State {
    fn default() -> Self {
        Self { parser: parser(24, 80), bytes: Vec::new(), is_over: false, unjudged: 0, torn: None }
    }
}

fn parser(rows: u16, columns: u16) -> vt100::Parser {
    vt100::Parser::new(at_least_one(rows), at_least_one(columns), 100_000)
}

fn at_least_one(n: u16) -> NonZeroU16 {
    NonZeroU16::new(n).expect("a terminal has lines and columns")
}

/// Ends the tests at Ctrl-C by a handler. A shell without job control has what it puts into the background ignore Ctrl-C,
/// and each process hands that down to those it starts. A handler is not handed down: they end at Ctrl-C, as at a terminal.
#[expect(clippy::exit, reason = "Ctrl-C ends the tests, as it does without a handler")]
fn end_at_ctrl_c() {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut interrupts = signal(SignalKind::interrupt()).unwrap();
            sender.send(()).unwrap();
            interrupts.recv().await;
        });
        std::process::exit(130);
    });
    receiver.recv().expect("Ctrl-C can be handled");
}

impl Tty {
    /// Starts a command on a terminal of so many lines and columns.
    pub fn start(command: Command, rows: u16, columns: u16) -> Self {
        INTERRUPTIBLE.call_once(end_at_ctrl_c);
        let (pty, terminal) = pty_process::blocking::open().unwrap();
        pty.resize(pty_process::Size::new(rows, columns)).unwrap();
        let command = pty_process::blocking::Command::from(command).env("TERM", "xterm-256color");
        let process = command.spawn(terminal).unwrap();
        let (pty, seen) = (Arc::new(pty), Arc::new(Seen::default()));
        seen.state.lock().unwrap().parser = parser(rows, columns);
        let reader = std::thread::spawn({
            let (pty, seen) = (Arc::clone(&pty), Arc::clone(&seen));
            move || read(&pty, &seen)
        });
        Self { pty, process, seen, reader: Some(reader) }
    }

    /// Types.
    pub fn enter(&self, keys: &str) {
        (&*self.pty).write_all(keys.as_bytes()).unwrap();
    }

    /// Waits until the screen is as told.
    pub fn until(&self, what: &str, is_so: impl Fn(&Screen) -> bool) {
        let is_over = self.until_or_end(what, is_so);
        assert!(!is_over, "it ended without {what}:\n{}", self.seen.state.lock().unwrap().parser.screen().contents());
    }

    /// Waits until the screen shows a text.
    pub fn until_shown(&self, text: &str) {
        self.until(text, |screen| screen.contents().contains(text));
    }

    /// Waits until the screen is as told; returns whether the command ended without that.
    pub fn until_or_end(&self, what: &str, is_so: impl Fn(&Screen) -> bool) -> bool {
        let state = self.seen.state.lock().unwrap();
        let waits = |state: &mut State| !is_so(state.parser.screen()) && !state.is_over;
        let (state, waited) = self.seen.more.wait_timeout_while(state, PATIENCE, waits).unwrap();
        assert!(!waited.timed_out(), "waited for {what}:\n{}", state.parser.screen().contents());
        !is_so(state.parser.screen())
    }

    /// Makes the terminal larger or smaller, and waits for a drawing that was made for it. The first after the change
    /// may have been on its way, made for the old size: nothing that is drawn again and again can help that, but the
    /// second has to be in order, and all after it.
    pub fn resize(&self, rows: u16, columns: u16) {
        self.signal("STOP");
        let mut state = self.all_read();
        state.parser.screen_mut().set_size(at_least_one(rows), at_least_one(columns));
        state.unjudged = 2;
        self.pty.resize(pty_process::Size::new(rows, columns)).unwrap();
        self.signal("CONT");
        let waits = |state: &mut State| state.unjudged > 0 && !state.is_over;
        let (state, waited) = self.seen.more.wait_timeout_while(state, PATIENCE, waits).unwrap();
        let in_time = !waited.timed_out() && !state.is_over;
        assert!(in_time, "not drawn for its new size:\n{}", state.parser.screen().contents());
    }

    fn signal(&self, name: &str) {
        let status = Command::new("kill").args(["-s", name, &self.process.id().to_string()]).status().unwrap();
        assert!(status.success(), "SIG{name} was not sent");
    }

    /// Waits until nothing comes any more.
    fn all_read(&self) -> MutexGuard<'_, State> {
        let mut state = self.seen.state.lock().unwrap();
        loop {
            let (next, waited) = self.seen.more.wait_timeout(state, QUIET).unwrap();
            if waited.timed_out() {
                return next;
            }
            state = next;
        }
    }

    /// Waits for the end. In every case the cursor is there again, and nothing of the progress is left or was torn.
    pub fn end(mut self) -> Ended {
        self.until_or_end("the end", |_| false);
        let code = exit_code(&mut self.process);
        let mut state = self.seen.state.lock().unwrap();
        let all = history(state.parser.screen_mut());
        let ended = Ended { code, text: all.join("\n"), bytes: state.bytes.clone() };
        assert!(!state.parser.screen().hide_cursor(), "the cursor is gone:\n{}", ended.text);
        assert_eq!(state.torn, None);
        let left: Vec<_> = all.iter().filter(|line| line.contains(DRAWN)).collect();
        assert!(left.is_empty(), "{left:#?} is left:\n{}", ended.text);
        drop(state);
        ended
    }
}

impl Drop for Tty {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
    }
}

/// What is left when a command has ended.
pub struct Ended {
    pub code: Option<i32>,
    /// All lines that ever stood on the terminal, as a person who scrolls back sees them; broken ones are whole again.
    pub text: String,
    /// All that was written.
    pub bytes: Vec<u8>,
}

/// Reads until nobody holds the terminal open any more.
fn read(pty: &Pty, seen: &Seen) {
    let mut buffer = [0; 4096];
    loop {
        let count = (&*pty).read(&mut buffer).unwrap_or(0);
        let Ok(mut state) = seen.state.lock() else { return };
        state.bytes.extend_from_slice(&buffer[..count]);
        state.parser.process(&buffer[..count]);
        state.is_over = count == 0;
        if state.bytes.ends_with(DRAWING_END) {
            state.unjudged = state.unjudged.saturating_sub(1);
        }
        if state.unjudged == 0 && state.torn.is_none() && is_torn(state.parser.screen()) {
            state.torn = Some(state.parser.screen().contents());
        }
        seen.more.notify_all();
        if count == 0 {
            return;
        }
    }
}

/// Whether progress stands twice on the screen, or does not fit in its width.
fn is_torn(screen: &Screen) -> bool {
    let columns = screen.size().1.get();
    let rows: Vec<(usize, String)> = screen.rows(0, columns).enumerate().collect();
    let drawn: Vec<_> = rows.iter().filter(|(_, row)| row.contains(DRAWN)).collect();
    let totals = drawn.iter().filter(|(_, row)| row.starts_with(DRAWN) && !row.starts_with(['█', '░'])).count();
    totals > 1 || drawn.iter().any(|(at, _)| u16::try_from(*at).is_ok_and(|at| screen.row_wrapped(at)))
}

/// All lines, from the first that was scrolled away to the last on the screen.
fn history(screen: &mut Screen) -> Vec<String> {
    let (rows, columns) = (usize::from(screen.size().0.get()), screen.size().1.get());
    let mut all: Vec<(String, bool)> = Vec::new();
    let above = screen.scrollback_len();
    for at in (0..=above).rev() {
        screen.set_scrollback(at);
        let visible = if at == 0 { rows } else { 1 };
        for (row, text) in screen.rows(0, columns).take(visible).enumerate() {
            all.push((text, u16::try_from(row).is_ok_and(|row| screen.row_wrapped(row))));
        }
    }
    let mut lines = vec![String::new()];
    for (text, goes_on) in all {
        lines.last_mut().expect("it begins with one").push_str(&text);
        if !goes_on {
            lines.push(String::new());
        }
    }
    lines
}

fn exit_code(process: &mut Child) -> Option<i32> {
    let begun = Instant::now();
    loop {
        if let Some(status) = process.try_wait().unwrap() {
            return status.code();
        }
        assert!(begun.elapsed() < PATIENCE, "it has closed its terminal and does not end");
        std::thread::sleep(Duration::from_millis(5));
    }
}
