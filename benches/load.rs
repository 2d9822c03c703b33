//! An organisation of two thousand accounts with twenty thousand rogue machines, in 17 regions each: how long a plan takes, how
//! much memory quell needs for it and for carrying it out, how many events a journal takes in, and how soon a run of that size
//! goes on after it was killed.
//!
//! The simulated AWS is a process of its own, on the same processors, that answers without any latency; so the memory is that
//! of quell alone (`VmHWM` of /proc, the most that was resident), and the times are those of both. Linux only.
//!
//! `cargo bench --bench load` takes some minutes. `cargo bench --bench load -- 100` takes so many accounts instead.

#[path = "../tests/it/binary.rs"]
#[expect(dead_code, reason = "shared with the tests, which use all of it")]
mod binary;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use binary::Simulator;

/// How long a run is left to go on before it is killed.
const CARRIED_OUT: Duration = Duration::from_secs(30);
/// How often the memory of a process is looked at.
const LOOK: Duration = Duration::from_millis(50);

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
    // `cargo test --benches` and `cargo bench` differ in the arguments that cargo adds.
    if !std::env::args().any(|argument| argument == "--bench") {
        return Ok(());
    }
    let accounts = std::env::args().find_map(|argument| argument.parse().ok()).unwrap_or(2_000);
    let home = tempfile::tempdir()?;
    let begun = Instant::now();
    let simulator = Simulator::start(scenario(accounts, home.path())?, "0s");
    say(&format!(
        "{accounts} accounts, {} machines; the simulated AWS is ready after {}",
        accounts * 10,
        shown(begun)
    ))?;

    let plan = home.path().join("plan.json");
    let mut planning = simulator.quell(home.path());
    planning.arg("plan").arg(source("benches/load.yaml")).arg("-o").arg(&plan).arg("--trust-endpoint");
    let begun = Instant::now();
    let (ended, memory) = watched(planning, home.path(), |_| false)?;
    let requests = simulator.log().as_array().map_or(0, Vec::len);
    let took = begun.elapsed();
    if !ended.is_some_and(|status| status.success()) {
        return Err(said(home.path()).into());
    }
    let size = std::fs::metadata(&plan)?.len();
    say(&format!(
        "plan      {:>6.1} s, {memory} MB at most, {} MB of plan; {requests} requests in the log",
        took.as_secs_f64(),
        size >> 20
    ))?;

    let mut run = simulator.quell(home.path());
    run.args(["run", "--trust-endpoint", "--approve", "reversible,disruptive", "--plan"]).arg(&plan);
    let begun = Instant::now();
    let (ended, memory) = watched(run, home.path(), |_| begun.elapsed() > CARRIED_OUT)?;
    if ended.is_some() {
        say(&format!("it ended by itself: {}", said(home.path())))?;
    }
    let before = journal(home.path())?;
    say(&format!(
        "run       {:>6.1} s until it was killed, {memory} MB at most; {before}",
        begun.elapsed().as_secs_f64()
    ))?;

    let mut resume = simulator.quell(home.path());
    resume.args(["resume", &before.run, "--trust-endpoint", "--approve", "reversible,disruptive"]);
    let begun = Instant::now();
    let mut goes_on = None;
    let (_, memory) = watched(resume, home.path(), |home| {
        if goes_on.is_none() && journal(home).is_ok_and(|now| now.changes > before.changes) {
            goes_on = Some(begun.elapsed());
        }
        goes_on.is_some() || begun.elapsed() > Duration::from_mins(5)
    })?;
    let goes_on = goes_on.ok_or_else(|| said(home.path()))?;
    say(&format!("resume    {:>6.1} s until the first change after it, {memory} MB at most", goes_on.as_secs_f64()))
}

/// The scenario with so many accounts, as a file.
fn scenario(accounts: usize, home: &Path) -> Result<PathBuf, Failure> {
    let text = std::fs::read_to_string(source("scenarios/load.yaml"))?;
    let path = home.join("load.yaml");
    std::fs::write(&path, text.replace("count: 2000", &format!("count: {accounts}")))?;
    Ok(path)
}

fn source(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// Runs a process until it ends or is to be killed. How it ended by itself, and how many MB were resident at most.
fn watched(
    mut command: Command,
    home: &Path,
    mut is_enough: impl FnMut(&Path) -> bool,
) -> Result<(Option<ExitStatus>, u64), Failure> {
    let errors = std::fs::File::create(home.join("stderr"))?;
    let mut process = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(errors).spawn()?;
    let mut memory = 0;
    loop {
        memory = memory.max(resident(&process));
        if let Some(status) = process.try_wait()? {
            return Ok((Some(status), memory));
        }
        if is_enough(home) {
            process.kill()?;
            process.wait()?;
            return Ok((None, memory));
        }
        std::thread::sleep(LOOK);
    }
}

/// The most that was resident so far, in MB; 0 for a process that has ended.
fn resident(process: &Child) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", process.id())).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok()).unwrap_or_default() / 1_024
}

fn said(home: &Path) -> String {
    let said = std::fs::read_to_string(home.join("stderr")).unwrap_or_default();
    said.chars().rev().take(2_000).collect::<Vec<_>>().into_iter().rev().collect()
}

/// What the only journal holds.
struct Journal {
    run: String,
    events: usize,
    changes: usize,
    megabytes: u64,
}

impl std::fmt::Display for Journal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} events in {} MB, {} changes ended", self.events, self.megabytes, self.changes)
    }
}

fn journal(home: &Path) -> Result<Journal, Failure> {
    let state = home.join("state");
    let run = quell::journal::list(&state)?.into_iter().next().ok_or("there is no run")?;
    let text = std::fs::read(state.join("runs").join(run.as_str()).join("journal.jsonl"))?;
    let lines = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let (mut events, mut changes) = (0, 0);
    for line in lines {
        events += 1;
        // What it begins with is its kind; only a plan's line is long.
        let head = String::from_utf8_lossy(&line[..line.len().min(300)]).into_owned();
        changes += usize::from(head.contains("change-ended"));
    }
    Ok(Journal { run: run.to_string(), events, changes, megabytes: (text.len() >> 20) as u64 })
}

fn shown(begun: Instant) -> String {
    format!("{:.1} s", begun.elapsed().as_secs_f64())
}

fn say(text: &str) -> Result<(), Failure> {
    Ok(writeln!(std::io::stdout(), "{text}")?)
}
