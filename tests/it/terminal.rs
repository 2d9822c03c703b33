//! quell at a real terminal: its questions, its live screen, and what it leaves behind.

use std::process::Command;

use quell::sim::world::OPT_IN_REGIONS;
use vt100::Screen;

use crate::binary::{self, changed, differences};
use crate::interrupt::{SLOW, resumed, slow_down};
use crate::python::source;
use crate::site::Site;
use crate::tty::{Ended, Tty};

fn ask(site: &Site, arguments: &[&str]) -> Tty {
    Tty::start(site.quell(arguments), 40, 120)
}

/// Whether a yes-or-no question waits for its answer.
fn is_asked(screen: &Screen) -> bool {
    screen.rows(0, screen.size().1.get()).any(|row| row.trim_end().ends_with("[y/N]:"))
}

/// How many yes-or-no questions on the screen have an answer behind them.
fn answered(screen: &Screen) -> usize {
    let rows = screen.rows(0, screen.size().1.get());
    rows.filter(|row| row.split_once("[y/N]:").is_some_and(|(_, answer)| !answer.trim().is_empty())).count()
}

/// Answers every question by `answer`; returns how many there were.
fn answer_all(tty: &Tty, answer: &str) -> usize {
    for count in 0.. {
        if tty.until_or_end("a question or the end", is_asked) {
            return count;
        }
        tty.enter(answer);
        // The next question may be there at once.
        tty.until_or_end("the answer to be seen", |screen| answered(screen) > count);
    }
    unreachable!("the loop has no other end")
}

#[test]
fn a_drill_asks_at_most_three_times_and_contains() {
    let home = tempfile::tempdir().unwrap();
    let mut drill = binary::quell(home.path());
    drill.args(["drill", "cryptojack-small"]);
    let tty = Tty::start(drill, 40, 120);
    let asked = answer_all(&tty, "y\r");
    assert!((1..=3).contains(&asked), "{asked} questions");
    let Ended { code, text, .. } = tty.end();
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("rogue machines stopped        10 of 10"), "{text}");
}

#[test]
fn a_missing_input_is_asked_for_until_it_is_one_and_a_no_changes_nothing() {
    let site = Site::open();
    let before = site.simulator.world();
    let tty = ask(&site, &["run", "leaked-key", "--trust-endpoint"]);
    tty.until_shown("The id of the key that leaked");
    tty.enter("mallory\r");
    tty.until_shown("is an access key id, and `mall…` is not");
    tty.enter(&format!("{}\r", site.simulator.leaked_key().trim_start_matches("leaked_key=")));
    assert_eq!(answer_all(&tty, "n\r"), 1);
    let Ended { code, text, .. } = tty.end();
    assert_eq!(code, Some(4), "{text}");
    assert!(text.contains("nothing was changed: the "), "{text}");
    assert_eq!(differences(&before, &site.simulator.world()), []);
}

#[test]
fn ctrl_c_at_a_question_before_the_run_ends_quell() {
    let site = Site::open();
    let before = site.simulator.world();
    let tty = ask(&site, &["run", "leaked-key", "--input", &site.simulator.leaked_key()]);
    tty.until("a question", is_asked);
    tty.enter("\x03");
    let Ended { code, text, .. } = tty.end();
    assert_eq!(code, None, "a signal ends what has not begun a run: {text}");
    assert_eq!(differences(&before, &site.simulator.world()), []);
}

#[test]
fn ctrl_c_at_an_approval_is_a_no() {
    let site = Site::open();
    let before = site.simulator.world();
    let tty = ask(&site, &["run", "leaked-key", "--trust-endpoint", "--input", &site.simulator.leaked_key()]);
    tty.until("a question", is_asked);
    tty.enter("\x03");
    let Ended { code, text, .. } = tty.end();
    assert!(code == Some(4) || code == Some(130), "{code:?}\n{text}");
    assert_eq!(differences(&before, &site.simulator.world()), []);
}

#[test]
fn ctrl_c_while_it_works_ends_what_is_in_flight_and_resume_goes_on() {
    let site = Site::open();
    slow_down(&site, "1s");
    site.write("slow.yaml", SLOW);
    let input = site.simulator.leaked_key();
    let run = ["run", "slow.yaml", "--input", &input, "--trust-endpoint", "--approve", "reversible,disruptive"];
    let tty = ask(&site, &run);
    tty.until_shown("in flight");
    tty.enter("\x03");
    let Ended { code, text, .. } = tty.end();
    assert_eq!(code, Some(130), "{text}");
    assert!(text.contains("what is in flight ends first"), "{text}");
    assert!(text.contains(&format!("quell resume {}", site.run())), "{text}");
    slow_down(&site, "0s");
    resumed(&site);
}

#[test]
fn ctrl_c_twice_leaves_a_clean_screen() {
    let site = Site::open();
    slow_down(&site, "30s");
    site.write("slow.yaml", SLOW);
    let input = site.simulator.leaked_key();
    let run = ["run", "slow.yaml", "--input", &input, "--trust-endpoint", "--approve", "reversible,disruptive"];
    let tty = ask(&site, &run);
    tty.until_shown("in flight");
    tty.enter("\x03");
    tty.until_shown("what is in flight ends first");
    tty.enter("\x03");
    let Ended { code, text, .. } = tty.end();
    assert_eq!(code, Some(130), "{text}");
    assert!(text.trim_end().ends_with("looks what became of it and goes on"), "{text}");
}

#[test]
fn no_color_takes_all_colour_away() {
    let home = tempfile::tempdir().unwrap();
    let drill = |no_color: Option<&str>| {
        let mut drill = binary::quell(home.path());
        drill.args(["drill", "cryptojack-small"]).envs(no_color.map(|value| ("NO_COLOR", value)));
        let tty = Tty::start(drill, 40, 120);
        answer_all(&tty, "n\r");
        String::from_utf8_lossy(&tty.end().bytes).into_owned()
    };
    assert!(paints(&drill(None)), "there is colour to be taken away");
    let bytes = drill(Some("1"));
    assert!(!paints(&bytes), "{bytes:?}");
}

/// Whether there is an escape sequence that colours, such as `\x1b[31m`.
fn paints(bytes: &str) -> bool {
    let codes = bytes.split("\x1b[").skip(1);
    codes.map(|code| code.trim_start_matches(|c: char| c.is_ascii_digit() || c == ';')).any(|end| end.starts_with('m'))
}

/// A drill at the pace of the day, with a machine in each of the 34 regions.
fn everywhere(home: &std::path::Path, more: &[&str]) -> Command {
    let opted_in = OPT_IN_REGIONS.join(", ");
    let scenario = changed(
        home,
        "scenarios/bench.yaml",
        &[
            ("us-west-2,\n]", &format!("us-west-2, {opted_in},\n]")),
            ("count: 102", "count: 34"),
            ("    id: \"540987654321\"\n", &format!("    id: \"540987654321\"\n    opted_in: [{opted_in}]\n")),
        ],
    );
    let mut drill = binary::quell(home);
    drill.arg("drill").arg(scenario).arg("--runbook").arg(source("benches/contain.yaml"));
    drill.args(["--clock", "real", "--latency", "150ms", "--approve", "reversible,disruptive"]).args(more);
    drill
}

/// Whether the totals stand on the screen, and a line that begins with each of these names.
fn shows(screen: &Screen, doing: &str, names: &[&str]) -> bool {
    let rows: Vec<String> = screen.rows(0, screen.size().1.get()).collect();
    let begins = |name: &str| rows.iter().any(|row| row.strip_prefix("  ").is_some_and(|row| row.starts_with(name)));
    rows.iter().any(|row| row.contains(doing)) && names.iter().all(|name| begins(name))
}

/// The regions of Asia share a line, and the only one of Africa has its own.
const PARTS: [&str; 10] =
    ["af-south-1 ", "ap ", "ca ", "eu ", "global ", "il-central-1 ", "me ", "mx-central-1 ", "sa-east-1 ", "us "];

#[test]
fn all_regions_fit_on_a_small_terminal_and_logs_pass_above_them() {
    let home = tempfile::tempdir().unwrap();
    let tty = Tty::start(everywhere(home.path(), &["-vv"]), 24, 80);
    tty.until_shown("surveying");
    tty.until("all parts of the world at work", |screen| shows(screen, "applying", &PARTS));
    tty.until("all parts of the world being proven", |screen| shows(screen, "proving", &PARTS));
    let Ended { code, text, .. } = tty.end();
    assert_eq!(code, Some(0), "{text}");
    let logged: Vec<&str> = text.lines().filter(|line| line.contains("DEBUG")).collect();
    assert!(logged.len() > 100, "{} entries", logged.len());
    let torn: Vec<_> = logged.iter().filter(|line| !is_one_entry(line)).collect();
    assert!(torn.is_empty(), "{torn:#?}");
}

/// A time and a level at the beginning, and nowhere else.
fn is_one_entry(line: &str) -> bool {
    line.matches("Z DEBUG ").count() == 1
        && line.get(..2) == Some("20")
        && line.get(..40).is_some_and(|head| head.contains("Z DEBUG "))
}

#[test]
fn a_large_terminal_has_a_line_for_each_region() {
    let home = tempfile::tempdir().unwrap();
    let tty = Tty::start(everywhere(home.path(), &[]), 60, 200);
    tty.until("all regions at work", |screen| shows(screen, "applying", &OPT_IN_REGIONS));
    let Ended { code, text, .. } = tty.end();
    assert_eq!(code, Some(0), "{text}");
}

#[test]
fn a_terminal_that_becomes_narrow_in_the_middle_stays_in_order() {
    let home = tempfile::tempdir().unwrap();
    // Lines that the narrow terminal breaks must not scroll away: nobody could erase them.
    let tty = Tty::start(everywhere(home.path(), &[]), 100, 120);
    tty.until("work", |screen| shows(screen, "applying", &["ap-east-1", "us-west-2"]));
    tty.resize(100, 40);
    tty.until("all regions on forty columns", |screen| shows(screen, "proving", &["ap-east-1", "us-west-2"]));
    tty.resize(100, 100);
    let Ended { code, text, .. } = tty.end();
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("rogue machines stopped"), "{text}");
}

#[test]
fn a_terminal_that_cannot_go_back_gets_plain_lines() {
    let home = tempfile::tempdir().unwrap();
    let mut drill = Command::new("env");
    drill.arg("TERM=dumb").arg(env!("CARGO_BIN_EXE_quell")).args(["drill", "cryptojack-small", "--approve"]);
    drill.arg("reversible,disruptive").env_clear().env("HOME", home.path());
    let Ended { code, text, bytes } = Tty::start(drill, 24, 80).end();
    assert_eq!(code, Some(0), "{text}");
    assert!(!bytes.contains(&0x1b), "{text}");
    assert!(text.contains("applying: "), "{text}");
}
