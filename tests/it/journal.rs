//! The journal when its disk, its bytes or its neighbours fail: a clear error each, and nothing is done to AWS meanwhile.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Output};

use serde_json::Value;

use crate::binary;
use crate::interrupt::{self, SLOW};
use crate::site::{Site, stderr};

/// What quell was started with for a run.
fn run(site: &Site) -> Vec<String> {
    site.write("slow.yaml", SLOW);
    let input = site.simulator.leaked_key();
    let words = ["run", "slow.yaml", "--input", &input, "--trust-endpoint", "--approve", "reversible,disruptive"];
    words.map(str::to_owned).to_vec()
}

fn journal(site: &Site) -> PathBuf {
    site.path("state/runs").join(site.run()).join("journal.jsonl")
}

/// The requests that changed something, so far.
fn writes(site: &Site) -> usize {
    let log = site.simulator.log();
    let reads = ["Describe", "Get", "List", "Simulate", "AssumeRole", "Lookup"];
    let writes = |request: &&Value| {
        let operation = request["operation"].as_str().unwrap();
        !reads.iter().any(|read| operation.starts_with(read)) && request["outcome"] != "DryRunOperation"
    };
    log.as_array().unwrap().iter().filter(writes).count()
}

/// A command with a state folder on a disk of its own, which `prepare` may fill or close: `$disk` is where it is mounted.
/// Nobody else sees the disk, and it is gone afterwards; the journal is shown at the end of standard output.
fn on_a_disk(site: &Site, size: &str, prepare: &str, words: &[String], after: &str) -> Output {
    let quell = site.quell(&[]);
    let mut command = Command::new("unshare");
    let disk = site.path("disk");
    fs::create_dir_all(&disk).unwrap();
    let script = format!(
        "disk=$1; shift; mount -t tmpfs -o size={size} none \"$disk\" || exit 99; {prepare}\n\
         \"$@\" --state \"$disk/state\"; code=$?\n{after}\nexit $code"
    );
    // Who is not root may mount only where nobody else sees it, as root of a namespace of its own.
    let own = if is_root() { &["--mount"][..] } else { &["--user", "--map-root-user", "--mount"] };
    command.args(own).args(["sh", "-c", &script, "sh"]).arg(&disk);
    command.arg(env!("CARGO_BIN_EXE_quell")).args(words).env_clear().env("PATH", std::env::var_os("PATH").unwrap());
    for (name, value) in quell.get_envs().filter_map(|(name, value)| Some((name, value?))) {
        command.env(name, value);
    }
    command.env_remove("QUELL_STATE").current_dir(quell.get_current_dir().unwrap());
    let output = command.output().expect("unshare of util-linux");
    assert_ne!(output.status.code(), Some(99), "no disk could be mounted: {}", stderr(&output));
    output
}

fn is_root() -> bool {
    let output = Command::new("id").arg("-u").output().expect("id of coreutils");
    output.stdout == b"0\n"
}

#[test]
fn a_disk_that_cannot_be_written_ends_the_run_before_it_begins() {
    let site = Site::open();
    let (words, before) = (run(&site), site.simulator.world());
    let closed = on_a_disk(&site, "1m", "mount -o remount,ro \"$disk\"", &words, "");
    assert_eq!(closed.status.code(), Some(1), "{}", stderr(&closed));
    assert!(stderr(&closed).contains("cannot make `"), "{}", stderr(&closed));
    let full = on_a_disk(&site, "64k", "head -c 1m /dev/zero > \"$disk/filler\" 2> /dev/null", &words, "");
    assert_eq!(full.status.code(), Some(1), "{}", stderr(&full));
    assert!(stderr(&full).contains("disk/state"), "{}", stderr(&full));
    assert_eq!((writes(&site), site.simulator.world()), (0, before));
}

#[test]
fn a_disk_that_fills_up_ends_the_run_and_what_was_done_is_in_the_journal() {
    let site = Site::open();
    let words = run(&site);
    interrupt::slow_down(&site, "2s");
    // Room for the plan and a few events.
    let after = "journal=$(echo \"$disk\"/state/runs/*/journal.jsonl); cat \"$journal\"; rm \"$disk/filler\"; \
                 run=$(basename \"$(dirname \"$journal\")\"); echo; echo RESUMED; \
                 \"$QUELL\" resume \"$run\" --state \"$disk/state\" --trust-endpoint --output json; echo \"RESUMED WITH $?\" >&2";
    let after = after.replace("$QUELL", env!("CARGO_BIN_EXE_quell"));
    // Whatever the plan's size is, it leaves this much room: the disk is filled once the journal has begun.
    let prepare = "(until [ -s \"$disk\"/state/runs/*/journal.jsonl ]; do :; done; \
                    head -c 8m /dev/zero > \"$disk/filler\" 2> /dev/null) & ";
    let output = on_a_disk(&site, "4m", prepare, &words, &after);
    let (out, err) = (String::from_utf8_lossy(&output.stdout).into_owned(), stderr(&output));
    assert_eq!(output.status.code(), Some(1), "{err}");
    assert!(err.contains("cannot write `"), "{err}");
    // No request left without its intent on the disk: what was done is what the journal says was begun.
    assert!(err.contains("RESUMED WITH 0"), "{err}");
    let resumed = out.split_once("RESUMED\n").expect("it was resumed").1;
    let summary: Value = serde_json::from_str(resumed).unwrap_or_else(|error| panic!("{error}: {resumed}"));
    assert_eq!(summary["changes"]["done"], summary["changes"]["planned"], "{summary}");
}

#[test]
fn a_journal_of_another_version_or_with_a_changed_byte_is_refused() {
    let site = Site::open();
    let output = site.quell(&run(&site).iter().map(String::as_str).collect::<Vec<_>>()).output().unwrap();
    assert_eq!(binary::code(&output), 0, "{}", stderr(&output));
    let (path, done) = (journal(&site), writes(&site));
    let whole = fs::read_to_string(&path).unwrap();
    let older = whole.replacen("{\"quell_journal\":1,", "{\"quell_journal\":0,", 1);
    let changed = whole.replacen("change-ended", "change-endee", 1);
    for (text, code, words) in [
        (&older, 2, "has journal format 0, and this quell reads format 1; use the quell that wrote it"),
        (&changed, 4, "its hash does not follow from the lines before"),
    ] {
        assert_ne!(text, &whole);
        fs::write(&path, text).unwrap();
        for command in ["resume", "rollback", "show", "report"] {
            let mut words_of_it = vec![command, site.run().leak()];
            if ["resume", "rollback"].contains(&command) {
                words_of_it.push("--trust-endpoint");
            }
            let output = site.quell(&words_of_it).output().unwrap();
            assert_eq!(binary::code(&output), code, "{command}: {}", stderr(&output));
            assert!(stderr(&output).contains(words), "{command}: {}", stderr(&output));
        }
    }
    assert_eq!(writes(&site), done, "nothing was sent meanwhile");
}

#[test]
fn a_torn_last_line_is_dropped_and_the_run_goes_on() {
    let site = Site::open();
    let output = site.quell(&run(&site).iter().map(String::as_str).collect::<Vec<_>>()).output().unwrap();
    assert_eq!(binary::code(&output), 0, "{}", stderr(&output));
    let path = journal(&site);
    let whole = fs::read_to_string(&path).unwrap();
    // All that came after the first change had begun is lost, and the line after it torn.
    let begun = whole.find("change-started").unwrap();
    let end = begun + whole[begun..].find('\n').unwrap() + 1;
    fs::write(&path, &whole[..end + 40]).unwrap();
    let output = site.quell(&["resume", &site.run(), "--trust-endpoint", "--output", "json"]).output().unwrap();
    assert_eq!(binary::code(&output), 0, "{}", stderr(&output));
    let summary = binary::json(&output);
    // What is found as wished after an attempt is that attempt's; the others count as they are found.
    let count = |name: &str| summary["changes"][name].as_u64().unwrap();
    assert_eq!((count("done") + count("already"), summary["outcome"].as_str()), (count("planned"), Some("contained")));
    let log = site.simulator.log();
    let switched_off = log.as_array().unwrap().iter().filter(|request| request["operation"] == "UpdateAccessKey");
    assert_eq!(switched_off.count(), 2, "each key was switched off once: {log:#?}");
}

#[test]
fn one_process_at_a_time_works_on_a_run() {
    let site = Site::open();
    interrupt::slow_down(&site, "3s");
    let mut first = interrupt::begun(&site, "change-started");
    let second = site.quell(&["resume", &site.run(), "--trust-endpoint"]).output().unwrap();
    assert_eq!(binary::code(&second), 4, "{}", stderr(&second));
    let words = format!("run {} is in the hands of another quell process", site.run());
    assert!(stderr(&second).contains(&words), "{}", stderr(&second));
    let reading = site.quell(&["show", &site.run()]).output().unwrap();
    assert_eq!(binary::code(&reading), 0, "who only reads may: {}", stderr(&reading));
    assert_eq!(first.wait().unwrap().code(), Some(0), "the first one is not disturbed");
    let log = site.simulator.log();
    let switched_off = log.as_array().unwrap().iter().filter(|request| request["operation"] == "UpdateAccessKey");
    assert_eq!(switched_off.count(), 2, "each key is switched off once");
}

#[test]
fn what_stands_after_the_last_event_is_not_a_journals() {
    let site = Site::open();
    let output = site.quell(&run(&site).iter().map(String::as_str).collect::<Vec<_>>()).output().unwrap();
    assert_eq!(binary::code(&output), 0, "{}", stderr(&output));
    let mut file = OpenOptions::new().append(true).open(journal(&site)).unwrap();
    writeln!(file, "{{\"hash\":\"{}\",\"event\":{{}}}}", "0".repeat(64)).unwrap();
    let output = site.quell(&["resume", &site.run(), "--trust-endpoint"]).output().unwrap();
    assert_eq!(binary::code(&output), 4, "{}", stderr(&output));
}
