//! The same containment by quell, by boto3 and by the `aws` CLI, each against a fresh `quell sim` with 80 ms per request:
//! 17 regions × 6 machines, and for each region describe, tag, snapshot, stop; and one key is switched off. What is timed is
//! a whole process, from its start to its end; quell has its plan, journal, drift check and proof on.
//!
//! `cargo bench` takes some minutes, most of them for the `aws` CLI. `cargo bench -- 9` takes nine rounds instead of three.

#[path = "../tests/it/binary.rs"]
#[expect(dead_code, reason = "shared with the tests, which use all of it")]
mod binary;
#[path = "../tests/it/python.rs"]
#[expect(dead_code, reason = "shared with the tests, which use all of it")]
mod python;

use std::fmt::Write as _;
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use binary::Simulator;
use python::{Python, source, without_aws_of_the_user};
use serde_json::Value;

const LATENCY: &str = "80ms";
const ROUNDS: usize = 3;

/// `CreateSnapshots` is the scarcest: one call per machine, a bucket of 100 that gains 5 tokens per second.
/// (Amazon EC2 Developer Guide, "Request throttling".)
const ONE_REGION_MACHINES: f64 = 300.0;
const SNAPSHOT_BURST: f64 = 100.0;
const SNAPSHOTS_PER_SECOND: f64 = 5.0;

type Failure = Box<dyn std::error::Error>;

/// Who does the job.
struct Contestant {
    name: &'static str,
    rounds: usize,
    command: fn(&Python, &Simulator) -> Command,
}

const CONTESTANTS: [Contestant; 4] = [
    Contestant { name: "quell", rounds: usize::MAX, command: quell },
    Contestant { name: "boto3, thread per region", rounds: usize::MAX, command: boto3 },
    Contestant { name: "boto3, thread per region, batched", rounds: usize::MAX, command: boto3_batched },
    Contestant { name: "aws CLI, process per region, batched", rounds: 1, command: aws_cli },
];

fn main() -> Result<(), Failure> {
    // `cargo test --benches` and `cargo bench` differ in the arguments that cargo adds.
    if !std::env::args().any(|argument| argument == "--bench") {
        return Ok(());
    }
    let rounds = std::env::args().find_map(|argument| argument.parse().ok()).unwrap_or(ROUNDS);
    let python = Python::ready().ok_or("the benchmark needs Python")?;
    print(&side_by_side(python, rounds)?)?;
    print(&one_region()?)
}

/// Times everybody, round by round, and gives medians and their ratio to quell's.
fn side_by_side(python: &Python, rounds: usize) -> Result<String, Failure> {
    let mut times = vec![Vec::new(); CONTESTANTS.len()];
    for round in 0..rounds {
        for (times, contestant) in times.iter_mut().zip(&CONTESTANTS) {
            if round < contestant.rounds {
                times.push(timed(python, contestant)?);
            }
        }
    }
    let mut text = format!("17 regions × 6 machines, {LATENCY} per request, median of the rounds:\n");
    let quell = median(&mut times[0]).as_secs_f64();
    for (times, contestant) in times.iter_mut().zip(&CONTESTANTS) {
        let (rounds, median) = (times.len(), median(times).as_secs_f64());
        writeln!(text, "  {:<38} {median:7.2} s  {:6.1} × quell  ({rounds} rounds)", contestant.name, median / quell)?;
    }
    Ok(text)
}

fn timed(python: &Python, contestant: &Contestant) -> Result<Duration, Failure> {
    let simulator = Simulator::start(scenario("bench"), LATENCY);
    let mut command = (contestant.command)(python, &simulator);
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let key = |name: &str| text(&simulator.ready["credentials"]["responder"][name]);
    command
        .env("AWS_ENDPOINT_URL", text(&simulator.ready["endpoint"]))
        .env("AWS_DEFAULT_REGION", "us-east-1")
        .env("AWS_REGION", "us-east-1")
        .env("AWS_ACCESS_KEY_ID", key("access_key_id"))
        .env("AWS_SECRET_ACCESS_KEY", key("secret_access_key"));
    let begun = Instant::now();
    let output = command.stdin(Stdio::null()).output()?;
    let took = begun.elapsed();
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(format!("{}: {}\n{said}", contestant.name, output.status).into());
    }
    python::succeed(python.script("contained.py").arg(simulator.ready.to_string()));
    Ok(took)
}

fn quell(_: &Python, simulator: &Simulator) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_quell"));
    without_aws_of_the_user(&mut command);
    let state = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("bench-state");
    command.arg("run").arg(source("benches/contain.yaml")).args(["--trust-endpoint", "--output", "json"]);
    command.args(["--approve", "reversible,disruptive"]).arg("--state").arg(state);
    command.args(["--input", &format!("leaked_key={}", leaked_key(simulator))]);
    command
}

fn boto3(python: &Python, simulator: &Simulator) -> Command {
    let mut command = python.program("python");
    command.arg(source("benches/contain_boto3.py")).arg(leaked_key(simulator));
    command
}

fn boto3_batched(python: &Python, simulator: &Simulator) -> Command {
    let mut command = boto3(python, simulator);
    command.arg("--batched");
    command
}

fn aws_cli(python: &Python, simulator: &Simulator) -> Command {
    let mut command = Command::new("bash");
    without_aws_of_the_user(&mut command);
    command.env("PATH", python.path()).arg(source("benches/contain_cli.sh")).arg(leaked_key(simulator));
    command
}

/// Three hundred machines in one region on the virtual clock: no throttle answer, close to what the budget demands.
fn one_region() -> Result<String, Failure> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_quell"));
    without_aws_of_the_user(&mut command);
    let state = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("bench-state");
    command.args(["drill", &scenario("one-region"), "--clock", "virtual", "--latency", LATENCY, "--output", "json"]);
    command.arg("--runbook").arg(source("benches/contain.yaml")).args(["--approve", "reversible,disruptive"]);
    let output = command.arg("--state").arg(state).stdin(Stdio::null()).output()?;
    if !output.status.success() {
        return Err(format!("the drill: {}\n{}", output.status, String::from_utf8_lossy(&output.stderr)).into());
    }
    let summary: Value = serde_json::from_slice(&output.stdout)?;
    let demanded = (ONE_REGION_MACHINES - SNAPSHOT_BURST) / SNAPSHOTS_PER_SECOND;
    let apply = summary["seconds"]["apply"].as_f64().ok_or("the summary holds no seconds for apply")?;
    Ok(format!(
        "300 machines in one region, documented budgets, virtual clock:\n  throttle answers {}, apply {apply:.1} s, \
         {:.2} × the {demanded:.0} s that the budget of CreateSnapshots demands\n",
        summary["throttled"],
        apply / demanded,
    ))
}

fn leaked_key(simulator: &Simulator) -> &str {
    simulator.ready["facts"]["leaked_key"].as_str().unwrap_or_default()
}

fn scenario(name: &str) -> String {
    source("scenarios").join(name).with_extension("yaml").to_string_lossy().into_owned()
}

fn median(times: &mut [Duration]) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

fn print(text: &str) -> Result<(), Failure> {
    Ok(std::io::stdout().write_all(text.as_bytes())?)
}
